//! Known escapes and handling bugs, tried (conformance.md 2.1 and 2.3): each ends in an error or stays inside.

use crate::bundle::{Bundle, can_run, wait_for};
use serde_json::json;
use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt, symlink},
    path::Path,
    time::{Duration, Instant},
};

/// A folder of the host that must stay as it is.
fn victim(bundle: &Bundle) -> std::path::PathBuf {
    let victim = bundle.path().join("victim");
    fs::create_dir(&victim).expect("room");
    fs::write(victim.join("null"), "host").expect("room");
    fs::write(victim.join("ptmx"), "host").expect("room");
    victim
}

fn is_untouched(victim: &Path) -> bool {
    let names = fs::read_dir(victim).expect("there").count();
    let kept = |name: &str| fs::read_to_string(victim.join(name)).is_ok_and(|text| text == "host");
    names == 2 && kept("null") && kept("ptmx")
}

#[test]
fn our_own_program_cannot_be_overwritten_from_inside() {
    // CVE-2019-5736
    if !can_run() {
        return;
    }
    let bundle = Bundle::new("sleep 100");
    let evil = bundle.rootfs().join("evil");
    fs::write(&evil, "#!/proc/self/exe\n").expect("room");
    fs::set_permissions(&evil, fs::Permissions::from_mode(0o755)).expect("ours");
    bundle.write();
    let program = fs::metadata(env!("CARGO_BIN_EXE_minidock")).expect("it is there");
    bundle.runtime(&["create", &bundle.id]).ok();
    let door = format!("/proc/{}/exe", bundle.pid());
    let through = fs::metadata(&door).expect("a process");
    // seen through an overlay it has another inode
    assert_eq!((through.len(), through.mtime()), (program.len(), program.mtime()), "still our program");
    // Held open until the program is no longer executed, then opened anew for writing: what the exploit does.
    let held = fs::File::open(&door).expect("readable");
    bundle.runtime(&["start", &bundle.id]).ok();
    use std::os::fd::AsRawFd;
    let again = fs::OpenOptions::new().write(true).open(format!("/proc/self/fd/{}", held.as_raw_fd()));
    let errno = again.expect_err("it must not be writable").raw_os_error();
    assert!(matches!(errno, Some(30 | 26)), "EROFS or ETXTBSY, not {errno:?}");
    bundle.runtime(&["exec", &bundle.id, "/evil"]);
    assert_eq!(fs::metadata(env!("CARGO_BIN_EXE_minidock")).expect("it is there").mtime(), program.mtime());
}

#[test]
fn a_leaked_descriptor_is_no_working_directory() {
    // CVE-2024-21626
    if !can_run() {
        return;
    }
    use std::os::fd::AsFd;
    let leaked = fs::File::open("/").expect("readable");
    minidock_linux::fds::inheritable(leaked.as_fd()).expect("ours");
    let mut bundle = Bundle::new("ls ../../../etc/hostname");
    for number in 3..14 {
        bundle.config["process"]["cwd"] = json!(format!("/proc/self/fd/{number}"));
        assert_ne!(bundle.run().status, 0, "{number}");
    }
    bundle.config["process"]["cwd"] = json!("/");
    bundle.config["process"]["args"] = json!(["sleep", "100"]);
    bundle.start();
    for number in 3..14 {
        let cwd = format!("/proc/self/fd/{number}");
        assert_ne!(bundle.runtime(&["exec", "--cwd", &cwd, &bundle.id, "ls", "../../../etc/hostname"]).status, 0, "{number}");
    }
}

#[test]
fn nothing_is_mounted_through_a_link_to_the_host() {
    // CVE-2021-30465, CVE-2024-45310
    if !can_run() {
        return;
    }
    for (n, way) in ["absolute", "../../victim"].into_iter().enumerate() {
        let mut bundle = Bundle::new("true");
        let victim = victim(&bundle);
        let target = if n == 0 { victim.clone() } else { way.into() };
        symlink(target, bundle.rootfs().join("esc")).expect("room");
        bundle.mount(json!({"destination": "/esc/sub", "type": "tmpfs", "source": "tmpfs"}));
        bundle.mount(json!({"destination": "/esc", "type": "tmpfs", "source": "tmpfs"}));
        bundle.run();
        assert!(is_untouched(&victim), "{way}");
    }
}

#[test]
fn proc_and_sys_are_mounted_on_ordinary_folders_only() {
    // CVE-2019-19921, CVE-2023-27561, CVE-2023-28642
    if !can_run() {
        return;
    }
    for name in ["proc", "sys"] {
        let mut bundle = Bundle::new("true");
        bundle.mount(json!({"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["ro"]}));
        fs::remove_dir(bundle.rootfs().join(name)).expect("empty");
        symlink("/tmp", bundle.rootfs().join(name)).expect("room");
        assert!(bundle.run().fails(1).contains("must be mounted on ordinary directory"), "{name}");
    }
}

#[test]
fn nothing_is_mounted_over_the_files_of_proc() {
    // CVE-2019-16884, CVE-2025-52881
    if !can_run() {
        return;
    }
    for path in ["/proc/self/attr/exec", "/proc/sys/kernel/core_pattern", "/proc/1"] {
        let mut bundle = Bundle::new("true");
        bundle.mount(json!({"destination": path, "source": "/etc/hostname", "options": ["bind"]}));
        assert!(bundle.run().fails(1).contains("inside /proc"), "{path}");
    }
    let mut faked = Bundle::new("cat /proc/uptime");
    fs::write(faked.path().join("uptime"), "1.00 2.00\n").expect("room");
    faked.mount(json!({"destination": "/proc/uptime", "source": "uptime", "options": ["bind"]}));
    assert_eq!(faked.run().ok(), "1.00 2.00\n");
}

#[test]
fn a_false_proc_gets_no_sysctl() {
    // CVE-2025-52881: what is written goes to the real one, or nowhere
    if !can_run() {
        return;
    }
    let mut bundle = Bundle::new("cat /proc/sys/kernel/shmmax");
    bundle.config["mounts"][0] = json!({"destination": "/proc", "type": "tmpfs", "source": "tmpfs"});
    bundle.config["linux"]["sysctl"] = json!({"kernel.shmmax": "4096"});
    let printed = bundle.run();
    assert!(printed.status != 0 || printed.out.is_empty(), "{printed:?}");
}

#[test]
fn paths_are_masked_by_the_real_null_device_or_not_at_all() {
    // CVE-2025-31133
    if !can_run() {
        return;
    }
    let attempts: [(&str, fn(&Path)); 3] = [
        ("a link", |dev| symlink("/marker", dev.join("null")).expect("room")),
        ("a file", |dev| fs::write(dev.join("null"), "marker").expect("room")),
        ("nothing", |_| {}),
    ];
    for (what, make) in attempts {
        let mut bundle = Bundle::new("cat /proc/keys");
        let dev = bundle.path().join("dev");
        fs::create_dir(&dev).expect("room");
        make(&dev);
        fs::write(bundle.rootfs().join("marker"), "marker").expect("room");
        bundle.config["mounts"][1] = json!({"destination": "/dev", "source": dev, "options": ["bind"]});
        bundle.config["mounts"].as_array_mut().expect("a list").remove(2);
        bundle.config["linux"]["maskedPaths"] = json!(["/proc/keys"]);
        assert_ne!(bundle.run().status, 0, "{what}");
        assert_eq!(fs::read_to_string(bundle.rootfs().join("marker")).expect("there"), "marker");
    }
}

#[test]
fn a_console_that_is_a_link_gets_no_terminal() {
    // CVE-2025-52565
    if !can_run() {
        return;
    }
    let mut bundle = Bundle::new("cat /marker");
    let dev = bundle.path().join("dev");
    fs::create_dir_all(dev.join("pts")).expect("room");
    symlink("/marker", dev.join("console")).expect("room");
    fs::write(bundle.rootfs().join("marker"), "marker").expect("room");
    bundle.config["mounts"][1] = json!({"destination": "/dev", "source": dev, "options": ["bind"]});
    bundle.config["process"]["terminal"] = json!(true);
    let printed = bundle.run();
    assert!(printed.status != 0 || printed.out.contains("marker"), "{printed:?}");
}

#[test]
fn a_dev_that_is_a_link_to_the_host_changes_nothing_there() {
    // CVE-2026-41579, CVE-2026-47766
    if !can_run() {
        return;
    }
    for way in ["absolute", "../victim"] {
        let mut bundle = Bundle::new("true");
        let victim = victim(&bundle);
        let target = if way == "absolute" { victim.clone() } else { way.into() };
        fs::create_dir_all(bundle.rootfs().join(victim.strip_prefix("/").expect("absolute"))).expect("room");
        fs::remove_dir(bundle.rootfs().join("dev")).expect("empty");
        symlink(target, bundle.rootfs().join("dev")).expect("room");
        bundle.config["mounts"].as_array_mut().expect("a list").truncate(1);
        bundle.run();
        assert!(is_untouched(&victim), "{way}");
    }
}

#[test]
fn a_hostile_passwd_is_an_error_at_once() {
    // CVE-2024-9676, CVE-2026-47262
    if !can_run() {
        return;
    }
    type Make = fn(&Path);
    let attempts: [(&str, Make); 3] = [
        ("a FIFO", |path| minidock_linux::fifo::mkfifo(path).expect("room")),
        ("a device", |path| symlink("/dev/zero", path).expect("room")),
        ("a socket", |path| drop(std::os::unix::net::UnixListener::bind(path).expect("room"))),
    ];
    for (what, make) in attempts {
        let bundle = Bundle::new("true");
        let passwd = bundle.rootfs().join("etc/passwd");
        fs::remove_file(&passwd).expect("ours");
        make(&passwd);
        let began = Instant::now();
        bundle.run();
        assert!(began.elapsed() < Duration::from_secs(2), "{what} hangs");
    }
    let huge = Bundle::new("echo $HOME");
    let file = fs::File::create(huge.rootfs().join("etc/passwd")).expect("room");
    file.set_len(200 << 20).expect("sparse");
    assert_eq!(huge.run().ok(), "/\n");
}

#[test]
fn who_joins_cannot_be_watched_before_he_is_inside() {
    // CVE-2016-9962: those inside try to look at every newcomer's descriptors
    if !can_run() {
        return;
    }
    let mut bundle = Bundle::new(
        "while :; do for p in /proc/[0-9]*; do ls -l $p/fd 2>/dev/null | grep -E 'socket|state|minidock' >> /tmp/seen; done; done",
    );
    bundle.config["process"]["user"] = json!({"uid": 1000, "gid": 1000});
    fs::set_permissions(bundle.rootfs().join("tmp"), fs::Permissions::from_mode(0o1777)).expect("ours");
    bundle.start();
    for _ in 0..20 {
        bundle.runtime(&["exec", "--user", "1000:1000", &bundle.id, "true"]).ok();
    }
    let seen = fs::read_to_string(bundle.rootfs().join("tmp/seen")).unwrap_or_default();
    assert_eq!(seen, "");
}

#[test]
fn ids_and_users_out_of_range_are_refused() {
    // CVE-2024-40635, CVE-2026-30892 and traversal by id
    if !can_run() {
        return;
    }
    let mut bundle = Bundle::new("id -u; id -g");
    bundle.write();
    for id in ["../x", "a/b", "..", ".", "", "a b", &"a".repeat(1100)] {
        assert_eq!(bundle.runtime(&["create", "--", id]).status, 1, "{id:?}");
    }
    assert!(!bundle.path().join("state").exists());
    for uid in [json!(2147483648u32), json!(4294967295u32), json!(-1)] {
        bundle.config["process"]["user"] = json!({"uid": uid, "gid": 0});
        assert_eq!(bundle.run().status, 1, "{uid}");
    }
    let running = Bundle::new("sleep 100");
    running.start();
    assert_eq!(running.runtime(&["exec", "-u", "1", &running.id, "sh", "-c", "id -u; id -g"]).ok(), "1\n0\n");
    for user in ["2147483648", "4294967296", "-1", "1:2147483648", "root"] {
        assert_eq!(running.runtime(&["exec", "-u", user, &running.id, "true"]).status, 255, "{user}");
    }
}

#[test]
fn the_hosts_null_device_keeps_its_owner() {
    // runc issue 3674
    if !can_run() {
        return;
    }
    let before = fs::metadata("/dev/null").expect("there");
    let bundle = Bundle::new("sleep 100");
    bundle.start();
    bundle.runtime(&["exec", "-u", "1234", &bundle.id, "true"]).ok();
    let after = fs::metadata("/dev/null").expect("there");
    assert_eq!((before.uid(), before.mode()), (after.uid(), after.mode()));
}

#[test]
fn nothing_is_inheritable_and_no_group_of_the_host_comes_in() {
    // CVE-2022-29162, CVE-2022-24769, CVE-2022-36109
    if !can_run() {
        return;
    }
    let bundle = Bundle::new("sleep 100");
    bundle.start();
    let out = bundle
        .runtime(&[
            "exec",
            "-u",
            "1000:1000",
            "--cap",
            "CAP_SYSLOG",
            &bundle.id,
            "grep",
            "-E",
            "CapInh|Groups",
            "/proc/self/status",
        ])
        .ok();
    let lines: Vec<Vec<&str>> = out.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines, [vec!["Groups:"], vec!["CapInh:", "0000000000000000"]]);
}

#[test]
fn cgroups_are_shown_read_only_and_without_a_release_agent() {
    // CVE-2022-0492
    if !can_run() {
        return;
    }
    let mut bundle = Bundle::new(
        "cut -d' ' -f5,6 /proc/self/mountinfo | grep '^/sys/fs/cgroup' | grep -vc ' ro,'; find /sys/fs/cgroup -name release_agent; echo 1 > /sys/fs/cgroup/memory/cgroup.procs",
    );
    bundle.mount(json!({"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["ro"]}));
    bundle.mount(json!({"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["nosuid", "noexec", "nodev", "ro"]}));
    let printed = bundle.run();
    assert_eq!(printed.out, "0\n", "{printed:?}");
}

#[test]
fn a_target_swapped_in_a_loop_never_leads_outside() {
    if !can_run() {
        return;
    }
    let mut bundle = Bundle::new("true");
    let victim = victim(&bundle);
    let swap = bundle.rootfs().join("swap");
    fs::create_dir_all(swap.join("folder")).expect("room");
    symlink(&victim, swap.join("link")).expect("room");
    fs::rename(swap.join("folder"), swap.join("way")).expect("room");
    bundle.mount(json!({"destination": "/swap/way/deep/er", "type": "tmpfs", "source": "tmpfs"}));
    bundle.write();
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let swapper = {
        let (stop, swap) = (stop.clone(), swap.clone());
        std::thread::spawn(move || {
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                let _ = fs::rename(swap.join("way"), swap.join("aside"));
                let _ = fs::rename(swap.join("link"), swap.join("way"));
                let _ = fs::rename(swap.join("way"), swap.join("link"));
                let _ = fs::rename(swap.join("aside"), swap.join("way"));
            }
        })
    };
    for _ in 0..30 {
        bundle.runtime(&["run", &bundle.id]);
        bundle.runtime(&["delete", "--force", &bundle.id]);
    }
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    swapper.join().expect("it only renames");
    assert!(is_untouched(&victim));
}

#[test]
fn an_init_that_was_killed_leaves_a_container_that_can_be_deleted() {
    if !can_run() {
        return;
    }
    let bundle = Bundle::new("sleep 100");
    bundle.write();
    bundle.runtime(&["create", &bundle.id]).ok();
    let pid = bundle.pid();
    minidock_linux::signal::kill(pid, 9).expect("ours");
    wait_for("the end", || bundle.state()["status"] == "stopped");
    assert!(bundle.runtime(&["start", &bundle.id]).fails(1).contains("cannot start a container that has stopped"));
    bundle.runtime(&["delete", &bundle.id]).ok();
}
