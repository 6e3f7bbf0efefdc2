//! # A default container is Docker's, fact by fact, and the known ways out are closed
//!
//! The facts were read inside a container of a real Docker Engine on a machine like this one; here the same questions are
//! asked of ours: by a probe inside (busybox) and from outside by `/proc`.

#[path = "props/mod.rs"]
mod props;

use props::Daemon;

fn field<'a>(status: &'a str, name: &str) -> &'a str {
    status.lines().find_map(|l| l.strip_prefix(name)).unwrap_or_else(|| panic!("no {name} in\n{status}")).trim()
}

fn status(daemon: &Daemon, flags: &[&str]) -> String {
    daemon.ok(&[&["run", "--rm"], flags, &["alpine", "cat", "/proc/self/status"]].concat())
}

#[test]
fn capabilities_are_dockers_fourteen() {
    let daemon = Daemon::start();
    let root = status(&daemon, &[]);
    for set in ["CapPrm:", "CapEff:", "CapBnd:"] {
        assert_eq!(field(&root, set), "00000000a80425fb", "{set}");
    }
    for set in ["CapInh:", "CapAmb:"] {
        assert_eq!(field(&root, set), "0000000000000000", "{set}");
    }
    let user = status(&daemon, &["-u", "1000:1000"]);
    assert_eq!((field(&user, "CapEff:"), field(&user, "CapBnd:")), ("0000000000000000", "00000000a80425fb"));
    let chown = status(&daemon, &["--cap-drop", "ALL", "--cap-add", "chown"]);
    assert_eq!((field(&chown, "CapEff:"), field(&chown, "CapBnd:")), ("0000000000000001", "0000000000000001"));
    let own = std::fs::read_to_string(format!("/proc/{}/status", daemon.pid())).expect("the daemon runs");
    assert_eq!(
        field(&status(&daemon, &["--privileged"]), "CapEff:"),
        field(&own, "CapEff:"),
        "--privileged: all that the daemon has"
    );
}

#[test]
fn seccomp_is_one_filter_and_can_be_switched_off() {
    let daemon = Daemon::start();
    let default = status(&daemon, &[]);
    assert_eq!(
        (field(&default, "Seccomp:"), field(&default, "Seccomp_filters:"), field(&default, "NoNewPrivs:")),
        ("2", "1", "0")
    );
    assert_eq!(field(&status(&daemon, &["--security-opt", "no-new-privileges"]), "NoNewPrivs:"), "1");
    assert_eq!(field(&status(&daemon, &["--security-opt", "seccomp=unconfined"]), "Seccomp:"), "0");
    assert_eq!(field(&status(&daemon, &["--privileged"]), "Seccomp:"), "0");
    daemon.ok(&["run", "-d", "--name", "box", "alpine", "sleep", "1000"]);
    let exec = daemon.ok(&["exec", "box", "cat", "/proc/self/status"]);
    assert_eq!((field(&exec, "Seccomp:"), field(&exec, "CapEff:")), ("2", "00000000a80425fb"), "exec is no way around");
}

#[test]
fn what_docker_forbids_root_is_forbidden() {
    let daemon = Daemon::start();
    for forbidden in [
        "mount -t tmpfs none /mnt",
        "unshare -m true",
        "unshare -U true",
        "dmesg",
        "hostname other",
        "swapon /dev/null",
        "date -s 2020-01-01 2>&1 | grep -v 'not permitted' | grep -v 2020",
        "echo 1 > /proc/sys/kernel/core_pattern",
        "echo b > /proc/sysrq-trigger",
        "mknod /tmp/disk b 8 0 && head -c 1 /tmp/disk",
        "mknod /tmp/mem c 1 1 && head -c 1 /tmp/mem",
        "ls /proc/1/root/../../../../proc/acpi/*",
        "echo 1 > /sys/kernel/uevent_helper",
    ] {
        let tried = daemon.run(&["run", "--rm", "alpine", "sh", "-c", forbidden]);
        assert_ne!(tried.status, 0, "{forbidden}: {tried:?}");
    }
    for allowed in ["mkdir -p /new && chroot / true", "mknod /tmp/null c 1 3 && echo x > /tmp/null", "chown 1000:1000 /tmp"] {
        daemon.ok(&["run", "--rm", "alpine", "sh", "-c", allowed]);
    }
}

#[test]
fn mounts_devices_and_descriptors_are_dockers() {
    let daemon = Daemon::start();
    let mounts = daemon.ok(&["run", "--rm", "alpine", "cat", "/proc/self/mountinfo"]);
    let options = |target: &str| {
        let line =
            mounts.lines().rfind(|l| l.split(' ').nth(4) == Some(target)).unwrap_or_else(|| panic!("no {target} in\n{mounts}"));
        (line.split(' ').nth(5).unwrap_or_default().to_string(), line.to_string())
    };
    assert!(options("/proc").0.contains("nosuid,nodev,noexec"), "{mounts}");
    assert!(options("/sys").0.starts_with("ro"), "{mounts}");
    for read_only in ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"] {
        let here = std::path::Path::new(read_only).exists();
        assert!(!here || options(read_only).0.starts_with("ro"), "{read_only}: {mounts}");
    }
    for masked in ["/proc/keys", "/proc/timer_list"] {
        assert_eq!(daemon.ok(&["run", "--rm", "alpine", "sh", "-c", &format!("wc -c < {masked}")]), "0");
    }
    assert!(options("/dev/shm").1.contains("size=65536k"), "{mounts}");
    let devices = daemon.ok(&["run", "--rm", "alpine", "ls", "/dev"]);
    for node in
        ["full", "null", "ptmx", "random", "tty", "urandom", "zero", "stdin", "stdout", "stderr", "fd", "shm", "mqueue", "pts"]
    {
        assert!(devices.lines().any(|l| l == node), "/dev/{node} in {devices}");
    }
    assert!(!devices.lines().any(|l| l == "console"), "console only with a terminal");
    let descriptors = daemon.ok(&["run", "--rm", "alpine", "sh", "-c", "ls /proc/self/fd"]);
    assert_eq!(descriptors.split_whitespace().collect::<Vec<_>>(), ["0", "1", "2", "3"], "3 is ls's own");
    let groups = status(&daemon, &["-u", "1000:1000"]);
    assert!(["", "1000"].contains(&field(&groups, "Groups:")), "no group of the host");
    assert_eq!(
        (field(&groups, "SigIgn:"), field(&groups, "SigBlk:")),
        ("0000000000000000", "0000000000000000"),
        "signals as at birth"
    );
}

#[test]
fn namespaces_are_the_containers_own() {
    let daemon = Daemon::start();
    for namespace in ["mnt", "uts", "ipc", "pid", "net"] {
        let inside = daemon.ok(&["run", "--rm", "alpine", "readlink", &format!("/proc/self/ns/{namespace}")]);
        let outside = std::fs::read_link(format!("/proc/self/ns/{namespace}")).expect("a namespace").display().to_string();
        assert_ne!(inside, outside, "{namespace}");
    }
    let links = daemon.ok(&["run", "--rm", "--network", "none", "alpine", "ip", "-o", "link"]);
    assert!(links.contains("lo:") && links.contains("LOOPBACK,UP") && !links.contains("eth0"), "{links}");
    assert_eq!(
        daemon.ok(&["run", "--rm", "--uts", "host", "alpine", "readlink", "/proc/self/ns/uts"]),
        std::fs::read_link("/proc/self/ns/uts").expect("one").display().to_string()
    );
}

#[test]
fn the_binary_cannot_be_overwritten_from_inside() {
    let daemon = Daemon::start();
    let before = std::fs::read(props::MINIDOCK).expect("the binary");
    let script = "printf '#!/proc/self/exe\\n' > /evil; chmod +x /evil; sleep 1000";
    daemon.ok(&["run", "-d", "--name", "box", "alpine", "sh", "-c", script]);
    props::wait_for("the trap", || daemon.run(&["exec", "box", "test", "-x", "/evil"]).status == 0);
    let _ = daemon.run(&["exec", "box", "/evil"]);
    let _ = daemon.run(&["exec", "box", "sh", "-c", "for i in 1 2 3; do echo x > /proc/1/exe; done"]);
    assert!(before == std::fs::read(props::MINIDOCK).expect("the binary"), "CVE-2019-5736");
}

#[test]
fn a_working_directory_cannot_leak_the_host() {
    let daemon = Daemon::start();
    for descriptor in 3..12 {
        let tried = daemon.run(&[
            "run",
            "--rm",
            "-w",
            &format!("/proc/self/fd/{descriptor}"),
            "alpine",
            "sh",
            "-c",
            "ls ../../../../etc/debian_version",
        ]);
        assert_ne!(tried.status, 0, "CVE-2024-21626 by descriptor {descriptor}: {tried:?}");
    }
}

#[test]
fn users_are_read_from_the_image_and_nonsense_is_refused() {
    let daemon = Daemon::start();
    assert_eq!(daemon.ok(&["run", "--rm", "-u", "nobody", "alpine", "id", "-u"]), "65534");
    assert_eq!(daemon.ok(&["run", "--rm", "-u", "1", "alpine", "id", "-u"]), "1");
    for bad in ["2147483648", "4294967296", "-1", "1:2147483648", "nosuchuser", "root:nosuchgroup"] {
        let refused = daemon.run(&["run", "--rm", &format!("--user={bad}"), "alpine", "id"]);
        assert_ne!(refused.status, 0, "{bad}: {refused:?}");
    }
    assert_eq!(daemon.ok(&["ps", "-aq"]), "");
}

#[test]
fn a_hostile_passwd_neither_hangs_nor_crashes() {
    let daemon = Daemon::start();
    daemon.ok(&["run", "--name", "fifo", "alpine", "sh", "-c", "rm /etc/passwd; mkfifo /etc/passwd"]);
    daemon.ok(&["commit", "fifo", "hostile:fifo"]);
    daemon.ok(&["run", "--name", "zero", "alpine", "sh", "-c", "rm /etc/passwd; ln -s /dev/zero /etc/passwd"]);
    daemon.ok(&["commit", "zero", "hostile:zero"]);
    for image in ["hostile:fifo", "hostile:zero"] {
        let began = std::time::Instant::now();
        let tried = daemon.run(&["run", "--name", "victim", "-u", "daemon", image, "true"]);
        assert!(tried.status != 0 && began.elapsed().as_secs() < 5, "{image}: {tried:?} after {:?}", began.elapsed());
        let _ = daemon.run(&["rm", "-f", "victim"]);
    }
    assert_eq!(daemon.ok(&["run", "--rm", "-u", "0", "alpine", "id", "-u"]), "0", "the daemon is alive");
}
