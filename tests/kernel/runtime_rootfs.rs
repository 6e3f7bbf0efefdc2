//! The tree: mounts and their flags, what is read-only, what is covered, what is copied up.

use crate::bundle::{Bundle, can_run};
use serde_json::json;
use std::{fs, os::unix::fs::MetadataExt, os::unix::fs::PermissionsExt};

#[test]
fn a_bind_mount_has_the_flags_it_was_given() {
    if !can_run() {
        return;
    }
    let mut bundle = Bundle::new(
        "touch /mnt/a/x; touch /mnt/a/deep/x; touch /mnt/b/deep/x; grep -c ' /mnt/a .*ro,nosuid,nodev,noexec' /proc/self/mountinfo",
    );
    let source = bundle.path().join("source");
    fs::create_dir_all(source.join("deep")).expect("room");
    let options = json!(["rbind", "ro", "nosuid", "nodev", "noexec", "rprivate"]);
    bundle.mount(json!({"destination": "/mnt/a", "source": source, "options": options}));
    bundle.mount(json!({"destination": "/mnt/b", "source": "source", "options": ["rbind", "rro"]}));
    bundle.mount(json!({"destination": "/mnt/file", "source": source.join("../config.json"), "options": ["bind", "ro"]}));
    let printed = bundle.run();
    assert_eq!(printed.out.trim(), "1", "{}", printed.err);
    assert_eq!(printed.err.matches("Read-only file system").count(), 3, "{}", printed.err);
    assert!(bundle.rootfs().join("mnt/file").is_file());
    assert!(fs::read_dir(source.join("deep")).expect("there").next().is_none());
}

#[test]
fn rro_reaches_the_mounts_below_and_ro_does_not() {
    if !can_run() {
        return;
    }
    // Inside a mount namespace of this test's own, so that the host never sees the mount below.
    let bundle = Bundle::new("true");
    let below = bundle.path().join("source/below");
    fs::create_dir_all(&below).expect("room");
    let mut both = Bundle::new("touch /mnt/ro/below/x && echo ro; touch /mnt/rro/below/x || echo rro");
    for word in ["ro", "rro"] {
        both.mount(
            json!({"destination": format!("/mnt/{word}"), "source": bundle.path().join("source"), "options": ["rbind", word]}),
        );
    }
    both.write();
    let script = format!(
        "mount -t tmpfs below {} && exec {} runtime --root {} run {}",
        below.display(),
        env!("CARGO_BIN_EXE_minidock"),
        both.path().join("state").display(),
        both.id
    );
    let output = std::process::Command::new("unshare")
        .args(["-m", "sh", "-c", &script])
        .current_dir(both.path())
        .output()
        .expect("it runs");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "ro\nrro\n", "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn ids_are_mapped_by_the_mount_alone() {
    if !can_run() {
        return;
    }
    let mut bundle = Bundle::new("stat -c %u:%g /mnt/f/owned; touch /mnt/f/new");
    let source = bundle.path().join("source");
    fs::create_dir(&source).expect("room");
    fs::write(source.join("owned"), "").expect("room");
    std::os::unix::fs::chown(source.join("owned"), Some(1000), Some(1000)).expect("root");
    std::os::unix::fs::chown(&source, Some(1000), Some(1000)).expect("root");
    let map = json!([{"containerID": 1000, "hostID": 0, "size": 1}]);
    bundle
        .mount(json!({"destination": "/mnt/f", "source": source, "options": ["bind"], "uidMappings": map, "gidMappings": map}));
    assert_eq!(bundle.run().ok(), "0:0\n");
    assert_eq!(fs::metadata(source.join("new")).expect("it made it").uid(), 1000);
}

#[test]
fn a_source_may_lie_on_what_an_earlier_entry_has_hung() {
    if !can_run() {
        return;
    }
    // (a user namespace, an id table) → whose the file is, seen from inside
    for (walled, mapped, owner) in [(false, false, 0), (false, true, 100000), (true, false, 65534), (true, true, 0)] {
        let mut bundle = Bundle::new("stat -c %u /run/word; cat /run/word");
        let source = bundle.path().join("source");
        fs::create_dir_all(source.join("below")).expect("room");
        fs::write(source.join("below/word"), "hello\n").expect("room");
        fs::set_permissions(bundle.path(), fs::Permissions::from_mode(0o755)).expect("ours");
        // behind a user namespace nobody could open it by its path
        fs::set_permissions(&source, fs::Permissions::from_mode(0o711)).expect("ours");
        let map = json!([{"containerID": 0, "hostID": 100000, "size": 65536}]);
        if walled {
            bundle.namespace(json!({"type": "user"}));
            bundle.config["linux"]["uidMappings"] = map.clone();
            bundle.config["linux"]["gidMappings"] = map.clone();
        }
        bundle.mount(json!({"destination": "/mnt", "source": "source", "options": ["bind"]}));
        let mut second = json!({"destination": "/run", "source": bundle.rootfs().join("mnt/below"), "options": ["rbind"]});
        if mapped {
            second["uidMappings"] = map.clone();
            second["gidMappings"] = map;
        }
        bundle.mount(second);
        assert_eq!(bundle.run().ok(), format!("{owner}\nhello\n"), "walled {walled}, mapped {mapped}");
    }
}

#[test]
fn a_tmpfs_begins_with_what_it_covers() {
    if !can_run() {
        return;
    }
    let mut bundle =
        Bundle::new("cat /data/deep/f; stat -c '%a %u' /data /data/deep /data/suid; readlink /data/link; echo x > /data/new");
    let data = bundle.rootfs().join("data");
    fs::create_dir_all(data.join("deep")).expect("room");
    fs::write(data.join("deep/f"), "kept\n").expect("room");
    fs::write(data.join("suid"), "").expect("room");
    std::os::unix::fs::symlink("deep/f", data.join("link")).expect("room");
    std::os::unix::fs::chown(data.join("suid"), Some(7), None).expect("root");
    for (name, mode) in [("", 0o1750), ("deep", 0o700), ("suid", 0o4711)] {
        fs::set_permissions(data.join(name), fs::Permissions::from_mode(mode)).expect("ours");
    }
    bundle.mount(
        json!({"destination": "/data", "type": "tmpfs", "source": "tmpfs", "options": ["tmpcopyup", "nosuid", "size=1m"]}),
    );
    assert_eq!(bundle.run().ok(), "kept\n1750 0\n700 0\n4711 7\ndeep/f\n");
    assert!(!data.join("new").exists());
}

#[test]
fn what_is_masked_is_empty_and_what_is_read_only_refuses() {
    if !can_run() {
        return;
    }
    let mut bundle = Bundle::new(
        "cat /etc/secret | wc -c; ls /secrets | wc -l; touch /secrets/x; echo x > /proc/sys/kernel/domainname; touch /etc/x; touch /ro/x; cat /ro/y",
    );
    fs::write(bundle.rootfs().join("etc/secret"), "secret").expect("room");
    for name in ["secrets", "ro"] {
        fs::create_dir(bundle.rootfs().join(name)).expect("room");
        fs::write(bundle.rootfs().join(name).join("y"), "y\n").expect("room");
    }
    bundle.config["linux"]["maskedPaths"] = json!(["/etc/secret", "/secrets", "/nosuch"]);
    bundle.config["linux"]["readonlyPaths"] = json!(["/proc/sys", "/ro", "/nosuch"]);
    bundle.config["root"]["readonly"] = json!(true);
    let printed = bundle.run();
    assert_eq!(printed.out, "0\n0\ny\n", "{}", printed.err);
    assert_eq!(printed.err.matches("Read-only file system").count(), 4, "{}", printed.err);
}

#[test]
fn an_overlay_root_is_seen_by_nobody_outside() {
    if !can_run() {
        return;
    }
    let mut bundle = Bundle::new(
        "echo hello > /written; cat /one /two; head -1 /proc/self/mountinfo | cut -d' ' -f5; grep -c overlay /proc/self/mountinfo",
    );
    let layer = |n: usize| bundle.path().join(format!("layers/{n:064}"));
    // More layers than the options of mount(2) could name in one page.
    let mut lower = vec![bundle.rootfs().display().to_string()];
    for n in 0..60 {
        fs::create_dir_all(layer(n)).expect("room");
        fs::write(layer(n).join(if n % 2 == 0 { "one" } else { "two" }), format!("{n}\n")).expect("room");
        lower.insert(0, layer(n).display().to_string());
    }
    for name in ["upper", "work", "merged"] {
        fs::create_dir(bundle.path().join(name)).expect("room");
    }
    let at = |name: &str| bundle.path().join(name).display().to_string();
    let options = json!([
        format!("lowerdir={}", lower.join(":")),
        format!("upperdir={}", at("upper")),
        format!("workdir={}", at("work"))
    ]);
    bundle.config["root"]["path"] = json!("merged");
    bundle.config["mounts"]
        .as_array_mut()
        .expect("a list")
        .insert(0, json!({"destination": "/", "type": "overlay", "source": "overlay", "options": options}));
    assert_eq!(bundle.run().ok(), "58\n59\n/\n1\n");
    assert_eq!(fs::read_to_string(bundle.path().join("upper/written")).expect("in the upper layer"), "hello\n");
    assert!(fs::read_dir(bundle.path().join("merged")).expect("there").next().is_none());
}

#[test]
fn a_layer_that_is_missing_is_told_with_the_kernels_words() {
    if !can_run() {
        return;
    }
    let mut bundle = Bundle::new("true");
    let at = bundle.path().display().to_string();
    let options = json!([format!("lowerdir={at}/nosuch:{at}/rootfs")]);
    bundle.config["mounts"]
        .as_array_mut()
        .expect("a list")
        .insert(0, json!({"destination": "/", "type": "overlay", "source": "overlay", "options": options}));
    let told = bundle.run().fails(1);
    assert!(told.contains("nosuch"), "{told}");
}

#[test]
fn the_roots_propagation_is_what_was_asked() {
    if !can_run() {
        return;
    }
    for (word, mark) in [("shared", "shared:"), ("private", ""), ("unbindable", "unbindable")] {
        let mut bundle = Bundle::new("head -1 /proc/self/mountinfo");
        bundle.config["linux"]["rootfsPropagation"] = json!(word);
        let line = bundle.run().ok();
        let field = line.split(" - ").next().expect("fields").split(' ').skip(6).collect::<Vec<_>>().join(" ");
        assert!(if mark.is_empty() { field.trim().is_empty() } else { field.contains(mark) }, "{word}: {line}");
    }
}

#[test]
fn dev_has_what_programs_expect_and_devices_that_were_asked_for() {
    if !can_run() {
        return;
    }
    let mut bundle = Bundle::new(
        "stat -c '%n %t:%T %a' /dev/null /dev/zero /dev/full /dev/random /dev/urandom /dev/tty /dev/mine; for l in ptmx fd stdin; do readlink /dev/$l; done; echo x > /dev/null",
    );
    bundle.config["linux"]["devices"] =
        json!([{"path": "/dev/mine", "type": "c", "major": 1, "minor": 3, "fileMode": 0o640, "uid": 0, "gid": 0}]);
    let out = bundle.run().ok();
    assert!(
        out.contains("/dev/null 1:3 666")
            && out.contains("/dev/mine 1:3 640")
            && out.contains("pts/ptmx\n/proc/self/fd\n/proc/self/fd/0"),
        "{out}"
    );
}

#[test]
fn the_user_the_groups_and_the_limits_are_those_of_the_configuration() {
    if !can_run() {
        return;
    }
    let mut bundle = Bundle::new(
        "id -u; id -g; grep Groups /proc/self/status; echo $HOME; umask; ulimit -n; cat /proc/self/oom_score_adj; pwd; echo $A",
    );
    bundle.config["process"]["user"] = json!({"uid": 1000, "gid": 7, "additionalGids": [5, 9], "umask": 0o027});
    bundle.config["process"]["rlimits"] = json!([{"type": "RLIMIT_NOFILE", "soft": 99, "hard": 100}]);
    bundle.config["process"]["oomScoreAdj"] = json!(300);
    bundle.config["process"]["cwd"] = json!("/made/on/demand");
    bundle.config["process"]["env"] = json!(["PATH=/bin", "A=1", "A=2"]);
    let out = bundle.run().ok();
    let lines: Vec<&str> = out.lines().map(str::trim).collect();
    assert_eq!(lines[..2], ["1000", "7"]);
    assert_eq!(lines[2].split_whitespace().collect::<Vec<_>>(), ["Groups:", "5", "9"]);
    assert_eq!(lines[3..], ["/home/go", "0027", "99", "300", "/made/on/demand", "2"]);
}
