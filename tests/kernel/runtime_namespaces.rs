//! Walls: new ones, joined ones, and who one is behind them.

use crate::bundle::{Bundle, can_run};
use serde_json::json;
use std::fs;

fn link(pid: impl std::fmt::Display, kind: &str) -> String {
    fs::read_link(format!("/proc/{pid}/ns/{kind}")).expect("a process").display().to_string()
}

#[test]
fn pid_one_cannot_see_the_host() {
    if !can_run() {
        return;
    }
    let out =
        Bundle::new("echo $$; hostname; ls -d /proc/[0-9]* | wc -l; ls /sys /home 2>&1 | wc -l; cat /proc/net/dev | grep -c :")
            .run()
            .ok();
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(lines[..2], ["1", "inside"]);
    assert!(lines[2].trim().parse::<u32>().expect("a number") <= 3, "{out}");
    assert_eq!(lines[4], "1", "only lo: {out}");
}

#[test]
fn exec_stands_in_every_namespace_of_the_container() {
    if !can_run() {
        return;
    }
    let mut bundle = Bundle::new("sleep 100");
    bundle.namespace(json!({"type": "cgroup"})).namespace(json!({"type": "time"}));
    bundle.start();
    let pid = bundle.pid();
    for kind in ["mnt", "pid", "net", "uts", "ipc", "cgroup", "time"] {
        assert_ne!(link(pid, kind), link("self", kind), "{kind}");
        assert_eq!(bundle.exec(&format!("readlink /proc/self/ns/{kind}")).ok().trim(), link(pid, kind), "{kind}");
    }
}

#[test]
fn namespaces_are_joined_by_path() {
    if !can_run() {
        return;
    }
    let host = Bundle::new("sleep 100");
    host.start();
    let pid = host.pid();
    let mut guest = Bundle::new("for n in pid net ipc uts; do readlink /proc/self/ns/$n; done; ps | grep -c sleep");
    guest.config["hostname"] = json!("");
    for kind in ["pid", "network", "ipc", "uts"] {
        let file = if kind == "network" { "net" } else { kind };
        guest.without_namespace(kind).namespace(json!({"type": kind, "path": format!("/proc/{pid}/ns/{file}")}));
    }
    let out = guest.run().ok();
    let wanted: Vec<String> = ["pid", "net", "ipc", "uts"].iter().map(|kind| link(pid, kind)).collect();
    assert_eq!(out.lines().take(4).collect::<Vec<_>>(), wanted);
    assert!(out.lines().nth(4).is_some_and(|n| n.trim() != "0"), "it sees the other's processes: {out}");
    let mut wrong = Bundle::new("true");
    wrong.without_namespace("ipc").namespace(json!({"type": "ipc", "path": "/proc/self/ns/uts"}));
    assert!(wrong.run().fails(1).contains("EINVAL"));
}

#[test]
fn root_inside_is_nobody_outside() {
    if !can_run() {
        return;
    }
    let mut bundle = Bundle::new("id -u; cat /proc/self/uid_map; cat /proc/self/setgroups; mkdir /tmp/mine; sleep 100");
    let map = json!([{"containerID": 0, "hostID": 100000, "size": 65536}]);
    bundle.namespace(json!({"type": "user"}));
    bundle.config["linux"]["uidMappings"] = map.clone();
    bundle.config["linux"]["gidMappings"] = map;
    for name in ["tmp", "mnt"] {
        std::os::unix::fs::chown(bundle.rootfs().join(name), Some(100000), Some(100000)).expect("root");
    }
    open_to_all(bundle.path());
    bundle.start();
    use std::os::unix::fs::MetadataExt;
    assert_eq!(fs::metadata(format!("/proc/{}", bundle.pid())).expect("it runs").uid(), 100000);
    assert_eq!(
        bundle.exec("id -u; ls -ln /dev/null | cut -c1-10").ok().split_whitespace().collect::<Vec<_>>(),
        ["0", "crw-rw-rw-"]
    );
    crate::bundle::wait_for("a folder", || {
        fs::metadata(bundle.rootfs().join("tmp/mine")).is_ok_and(|facts| facts.uid() == 100000)
    });

    // … and a second container joins that user namespace, with a pid namespace of its own.
    let pid = bundle.pid();
    let mut guest = Bundle::new("id -u; echo $$; readlink /proc/self/ns/user");
    guest.namespace(json!({"type": "user", "path": format!("/proc/{pid}/ns/user")}));
    open_to_all(guest.path());
    let out = guest.run().ok();
    assert_eq!(out.lines().collect::<Vec<_>>(), ["0", "1", &link(pid, "user")]);
}

#[test]
fn a_user_namespace_of_its_own_may_join_the_hosts_network_namespace() {
    if !can_run() {
        return;
    }
    // An engine makes the network first, in its own user namespace, and hands it down by path.
    let host = Bundle::new("sleep 100");
    host.start();
    let pid = host.pid();
    let mut guest = Bundle::new("readlink /proc/self/ns/net; readlink /proc/self/ns/ipc; id -u");
    let map = json!([{"containerID": 0, "hostID": 100000, "size": 65536}]);
    guest.namespace(json!({"type": "user"}));
    guest.config["linux"]["uidMappings"] = map.clone();
    guest.config["linux"]["gidMappings"] = map;
    for (kind, file) in [("network", "net"), ("ipc", "ipc")] {
        guest.without_namespace(kind).namespace(json!({"type": kind, "path": format!("/proc/{pid}/ns/{file}")}));
    }
    open_to_all(guest.path());
    assert_eq!(guest.run().ok().lines().collect::<Vec<_>>(), [link(pid, "net").as_str(), &link(pid, "ipc"), "0"]);
}

#[test]
fn killing_a_container_that_shares_its_pids_takes_all_its_processes() {
    if !can_run() {
        return;
    }
    let mut bundle = Bundle::new("sleep 101 & sleep 102 & wait");
    bundle.without_namespace("pid");
    bundle.start();
    crate::bundle::wait_for("its children", || {
        let pids: Vec<i32> = serde_json::from_str(&bundle.runtime(&["ps", "-f", "json", &bundle.id]).ok()).expect("pids");
        pids.len() == 3
    });
    minidock_linux::signal::kill(bundle.pid(), 9).expect("ours");
    crate::bundle::wait_for("the end", || bundle.state()["status"] == "stopped");
    bundle.runtime(&["kill", &bundle.id, "KILL"]).ok();
    crate::bundle::wait_for("nobody", || bundle.runtime(&["ps", "-f", "json", &bundle.id]).ok().trim() == "[]");
}

/// A user namespace's root is nobody to the temporary folders of the tests.
fn open_to_all(path: &std::path::Path) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("ours");
}

#[test]
fn clocks_are_offset_in_a_time_namespace() {
    if !can_run() {
        return;
    }
    let mut bundle = Bundle::new("cut -d' ' -f1 /proc/uptime; cat /proc/self/timens_offsets");
    bundle.namespace(json!({"type": "time"}));
    bundle.config["linux"]["timeOffsets"] = json!({"boottime": {"secs": 1_000_000}, "monotonic": {"secs": 500, "nanosecs": 5}});
    let out = bundle.run().ok();
    let uptime: f64 = out.lines().next().and_then(|line| line.parse().ok()).expect("seconds");
    assert!(uptime > 1_000_000.0, "{out}");
    assert!(out.contains("500") && out.contains("1000000"), "{out}");
}

#[test]
fn a_container_without_a_mount_namespace_leaves_no_mount() {
    if !can_run() {
        return;
    }
    let mut bundle = Bundle::new("readlink /proc/self/ns/mnt; cat /etc/passwd | head -1");
    bundle.without_namespace("mount");
    let out = bundle.run().ok();
    assert_eq!(out.lines().collect::<Vec<_>>(), [link("self", "mnt").as_str(), "root:x:0:0::/root:/bin/sh"]);
}

#[test]
fn sysctls_of_own_namespaces_are_set_and_others_refused() {
    if !can_run() {
        return;
    }
    let mut bundle = Bundle::new("cat /proc/sys/net/ipv4/ip_unprivileged_port_start /proc/sys/kernel/shmmax");
    bundle.config["linux"]["sysctl"] = json!({"net.ipv4.ip_unprivileged_port_start": "0", "kernel.shmmax": "4096"});
    assert_eq!(bundle.run().ok(), "0\n4096\n");
    bundle.config["linux"]["sysctl"] = json!({"kernel.core_pattern": "|/evil"});
    assert!(bundle.run().fails(1).contains("is not in a separate kernel namespace"));
    bundle.without_namespace("network").config["linux"]["sysctl"] = json!({"net.ipv4.ip_forward": "1"});
    assert!(bundle.run().fails(1).contains("not allowed in host network namespace"));
}
