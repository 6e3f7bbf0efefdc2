//! # Explain, tried: the script builds the same container
//!
//! A container is run whose program prints everything that can be known from inside: namespaces, mounts, capabilities, limits,
//! devices, what is hidden. Then the script that `minidock explain --sh` prints is run by /bin/sh, without minidock, and its
//! program, the same one, has to print the same.

mod props;

use props::{Daemon, Printed, skip, wait_for};
use std::{collections::BTreeSet, fs, process::Command};

/// What can be known from inside, one fact a line. `HOST` holds the host's namespaces.
const FACTS: &str = r#"
for kind in pid mnt net uts ipc cgroup user; do
    case " $HOST " in *" $(readlink /proc/self/ns/$kind) "*) echo "ns $kind shared" ;; *) echo "ns $kind own" ;; esac
done
echo "pid $$"; echo "name $(hostname)"; echo "cwd $(pwd)"; echo "id $(id)"; echo "umask $(umask)"
grep -E '^(Cap|NoNewPrivs|Groups)' /proc/self/status
while read -r id parent device root point options rest; do echo "mount $point $options ${rest##* - }"; done < /proc/self/mountinfo
ls -lA /dev | while read -r mode links user group a b c d e f g; do echo "dev $mode $user $group $a $b"; done | sort | uniq -c
ls -l /dev/fd /dev/stdin /dev/ptmx /dev/core 2>&1 | sed 's/.*[0-9] \/dev/link \/dev/'
ip link show lo | grep -o '<.*>'
for link in eth0 eth1; do
    ip addr show $link 2> /dev/null | grep -oE '<.*>|mtu [0-9]+|link/ether [0-9a-f:]+|inet6? [0-9a-f.:/]+( brd [0-9.]+)?' | sed "s/^/$link /"
done
ip route | sed 's/^/route /'
ip route | sed -n 's/^default via \([0-9.]*\) .*/\1/p' | while read -r gateway; do
    ping -c 1 -W 5 $gateway > /dev/null && echo "the gateway answers"
done
grep -v '^nameserver 127.0.0.11$' /etc/resolv.conf | sed 's/^/resolv.conf /'; sed -n '/^1$/!s/^/hosts /p' /etc/hosts
cat /proc/sys/net/ipv6/conf/eth0/disable_ipv6 2> /dev/null | sed 's/^/no ipv6 /'
for limit in c d f l n s t v; do echo "limit $limit $(ulimit -H -$limit) $(ulimit -S -$limit)"; done
for knob in memory/memory.limit_in_bytes memory/memory.memsw.limit_in_bytes pids/pids.max cpu/cpu.cfs_quota_us devices/devices.list; do
    echo "knob $knob $(cat /sys/fs/cgroup/$knob 2>&1 | tr '\n' ';')"
done
for path in /proc/kcore /proc/keys /proc/timer_list /proc/acpi /sys/firmware; do
    if [ -d $path ]; then echo "hidden $path $(ls -A $path | wc -l)"; else echo "hidden $path $(head -c 64 $path 2>/dev/null | wc -c)"; fi
done
for path in /proc/sys/kernel/domainname /proc/sysrq-trigger /sys/kernel/profiling /canary /etc/hosts; do
    if (echo 1 >> $path) 2>/dev/null; then echo "write $path yes"; else echo "write $path no"; fi
done
echo "oom $(cat /proc/self/oom_score_adj)"; echo "sysctl $(cat /proc/sys/net/ipv4/ip_unprivileged_port_start)"
for fd in /proc/$$/fd/*; do [ -L "$fd" ] && echo "fd ${fd##*/}"; done
tr '\0' '\n' < /proc/$$/environ | grep -v '^HOST=' | sort | sed 's/^/env /'
mknod /tmp/disk b 8 0 2>/dev/null && echo "mknod yes" || echo "mknod no"
(exec 3< /tmp/disk) 2>/dev/null && echo "disk readable" || echo "disk refused"
chroot / true 2>/dev/null && echo "chroot yes" || echo "chroot no"
"#;

fn able() -> bool {
    let missing: Vec<&str> = ["unshare", "capsh", "ip", "nft", "prlimit"].into_iter().filter(|tool| !has(tool)).collect();
    if !missing.is_empty() {
        skip(&format!("explain --sh: no {}", missing.join(", ")));
    }
    missing.is_empty()
}

fn has(tool: &str) -> bool {
    Command::new("/bin/sh").args(["-c", &format!("command -v {tool}")]).output().is_ok_and(|found| found.status.success())
}

fn host_namespaces() -> String {
    let kinds = ["pid", "mnt", "net", "uts", "ipc", "cgroup", "user"];
    kinds.map(|kind| fs::read_link(format!("/proc/self/ns/{kind}")).expect("a namespace").display().to_string()).join(" ")
}

/// Runs a container of these flags and then its script; both tell the same.
#[track_caller]
fn same(daemon: &Daemon, name: &str, flags: &[&str]) {
    let host = format!("HOST={}", host_namespaces());
    let command = [&["run", "--name", name, "-e", &host], flags, &["alpine", "sh", "-c", FACTS]].concat();
    let inside = daemon.run(&command);
    assert!(inside.out.contains("ns pid own"), "{inside:?}");
    let script = daemon.folder.join(format!("{name}.sh"));
    fs::write(&script, daemon.ok(&["explain", "--sh", name])).expect("room");
    // the kernel takes a namespace's cables away some time after its last program
    wait_for("its cables to go", || !home(daemon).contains("veth"));
    let before = home(daemon);
    // where the daemon is, and then on a machine without its bridges and rules
    let places: &[&str] = if flags.contains(&"host") { &[""] } else { &["", "unshare --net"] };
    for place in places {
        let by_hand = run_script(daemon, &format!("{place} sh '{}'", script.display()));
        assert_eq!(by_hand.status, inside.status, "{by_hand:?}");
        let (theirs, ours) = (facts(&inside.out), facts(&by_hand.out));
        let missing: Vec<_> = theirs.difference(&ours).collect();
        let more: Vec<_> = ours.difference(&theirs).collect();
        assert!(
            missing.is_empty() && more.is_empty(),
            "{name} {place}\nonly in the container: {missing:#?}\nonly by hand: {more:#?}\n{}",
            by_hand.err
        );
    }
    wait_for("links, rules and settings of the host as they were", || home(daemon) == before);
    let left = fs::read_dir(daemon.data_root().join("tmp")).expect("the scratch folder").count();
    assert_eq!(left, 0, "the script cleans up");
}

/// Runs a line of shell where the daemon's network is.
fn run_script(daemon: &Daemon, line: &str) -> Printed {
    // what whoever runs the tests left open would be told as a difference
    minidock_linux::fds::cloexec_from(3).expect("a kernel of this decade");
    let mut command = Command::new("/bin/sh");
    command.args(["-c", line]).stdin(std::process::Stdio::null());
    daemon.finish_inside(command)
}

/// Links, rules and settings where the daemon is.
fn home(daemon: &Daemon) -> String {
    daemon
        .sh("ip -o link | sed 's/^[0-9]*: //; s/state [A-Z]*//; s/<.*>//'; nft list ruleset; cat /proc/sys/net/ipv4/ip_forward")
        .ok()
}

/// Facts without what cannot be equal: the names of layers and groups.
fn facts(text: &str) -> BTreeSet<String> {
    let line = |line: &str| match line.split_once(" overlay ") {
        Some((mount, _)) => format!("{mount} overlay"),
        None => line.replace("-by-hand", ""),
    };
    text.lines().map(line).collect()
}

#[test]
fn the_script_builds_what_minidock_built() {
    if !able() {
        return;
    }
    let daemon = Daemon::start();
    same(&daemon, "plain", &[]);
    let data = daemon.folder.join("it's data");
    fs::create_dir(&data).expect("room");
    let bind = format!("{}:/data:ro", data.display());
    same(
        &daemon,
        "rich",
        &[
            "-m",
            "64m",
            "--pids-limit",
            "50",
            "--cpus",
            "0.5",
            "--hostname",
            "rich",
            "-w",
            "/usr/bin",
            "--read-only",
            "--tmpfs",
            "/scratch",
            "-v",
            &bind,
            "-e",
            "ODD=it's \"$HOME\"\nEND OF INSIDE\ntouch /tmp/escaped",
            "--ulimit",
            "nofile=64:128",
            "--cap-drop",
            "ALL",
            "--cap-add",
            "NET_RAW",
            "--security-opt",
            "no-new-privileges",
            "--oom-score-adj",
            "100",
            "--sysctl",
            "net.ipv4.ip_unprivileged_port_start=80",
        ],
    );
    same(&daemon, "nobody", &["-u", "1000:1001", "--group-add", "5", "--ipc", "host", "--network", "host", "-e", "X=1"]);
    same(&daemon, "private", &["--cgroupns", "private", "--privileged", "-v", "/named"]);
}

#[test]
fn the_script_lays_the_cables_that_minidock_laid() {
    if !able() {
        return;
    }
    let daemon = Daemon::start();
    same(&daemon, "bridged", &["-p", "8080:80"]);
    daemon.ok(&["network", "create", "--subnet", "10.99.0.0/24", "-o", "com.docker.network.driver.mtu=1400", "pets"]);
    daemon.ok(&["network", "create", "--internal", "vault"]);
    same(&daemon, "user", &["--network", "pets", "--ip", "10.99.0.77", "--network-alias", "cat", "--hostname", "cat"]);
    same(&daemon, "internal", &["--network", "vault"]);
    same(&daemon, "two", &["--network", "pets", "--network", "vault", "--dns", "192.0.2.53", "--dns-search", "lan"]);
    same(&daemon, "none", &["--network", "none"]);
}

#[test]
fn a_port_published_by_hand_leads_inside() {
    if !able() {
        return;
    }
    let daemon = Daemon::start();
    let program = "printf 'HTTP/1.0 200 OK\\r\\n\\r\\nby hand' | nc -l -p 80";
    daemon.ok(&["create", "--name", "web", "-p", "8080:80", "alpine", "sh", "-c", program]);
    daemon.ok(&["start", "web"]);
    let script = daemon.folder.join("web.sh");
    fs::write(&script, daemon.ok(&["explain", "--sh", "web"])).expect("room");
    let refused = run_script(&daemon, &format!("sh '{}'", script.display()));
    assert_eq!((refused.status, refused.err.trim()), (1, "container web runs: its addresses are taken"));
    daemon.ok(&["kill", "web"]);
    let line = format!("timeout 60 sh '{}'", script.display());
    std::thread::scope(|scope| {
        let by_hand = scope.spawn(|| run_script(&daemon, &line));
        let mut heard = String::new();
        wait_for("the program by hand to answer", || {
            heard = daemon.sh("curl -s -m 5 http://127.0.0.1:8080/ || true").ok();
            !heard.is_empty() || by_hand.is_finished()
        });
        let ended = by_hand.join().expect("no panic");
        assert_eq!((heard.as_str(), ended.status), ("by hand", 0), "{ended:?}");
    });
    assert!(!home(&daemon).contains("8080"), "the door is closed again");
}

#[test]
fn the_story_has_every_chapter_and_follows_while_it_happens() {
    let daemon = Daemon::start();
    let told = daemon.run(&["run", "--rm", "--explain", "alpine", "true"]);
    assert!(told.err.contains("clone3(") && told.err.contains("pivot_root("), "{}", told.err);
    daemon.ok(&["run", "--name", "web", "-m", "64m", "alpine", "true"]);
    let story = daemon.ok(&["explain", "web"]);
    for chapter in ["IMAGE", "NAMESPACES", "ROOT FILESYSTEM", "LIMITS", "IDENTITY", "PRIVILEGES", "EXEC", "NETWORK"] {
        assert!(story.contains(&format!("\n{chapter}\n")), "{chapter} is missing in {story}");
    }
    for sentence in ["Lays a cable: its near end, veth", "Gives eth0 in the sandbox the address 172.17.0.2/16."] {
        assert!(story.contains(sentence), "{sentence} is missing in {story}");
    }
    let json: serde_json::Value = serde_json::from_str(&daemon.ok(&["explain", "--json", "web"])).expect("JSON");
    let steps =
        json["chapters"].as_array().expect("chapters").iter().flat_map(|chapter| chapter["steps"].as_array().expect("steps"));
    assert!(steps.clone().count() > 50);
    for step in steps.clone() {
        let room = step["action"]["room"].as_str().unwrap_or_default();
        let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(room.split(':').next().unwrap_or_default());
        assert!(room.starts_with("src/") && file.is_file(), "a reader finds no room {room}: {step}");
    }
    assert!(daemon.run(&["explain", "nosuch"]).fails(1).contains("No such container: nosuch"));
}
