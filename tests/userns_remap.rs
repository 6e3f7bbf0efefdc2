//! # The lab of user namespaces: `minidock daemon --userns-remap`
//!
//! Root of a container is nobody outside. The daemon of these claims sees `/etc/subuid` and `/etc/subgid` of its own, bound over the machine's
//! in a mount namespace, so that the machine's stay as they are.

#[path = "props/mod.rs"]
mod props;

use props::Daemon;
use std::{fs, os::unix::fs::MetadataExt};

/// One that gives containers the ids from 231072 on.
fn remapping(who: &str, lines: &str) -> Daemon {
    let mut daemon = Daemon::asleep(&["--userns-remap", who]);
    let file = daemon.folder.join("subid");
    fs::write(&file, lines).expect("room");
    let script = "for f in subuid subgid; do mount --bind \"$0\" /etc/$f || exit 1; done; exec \"$@\"";
    let words = ["unshare", "--mount", "sh", "-c", script];
    daemon.under = words.map(String::from).into_iter().chain([file.display().to_string()]).collect();
    daemon.up();
    daemon
}

#[test]
fn root_of_a_container_is_nobody_outside() {
    let daemon = remapping("default", "ann:100000:131072\n");
    let lines = fs::read_to_string(daemon.folder.join("subid")).expect("a file");
    assert_eq!(lines, "ann:100000:131072\ndockremap:231072:65536\n", "he was given ids that nobody had, once");
    let root = daemon.data_root().join("231072.231072");
    assert_eq!(daemon.ok(&["info", "--format", "{{.DockerRootDir}}"]), root.display().to_string());
    assert!(daemon.ok(&["info", "--format", "{{.SecurityOptions}}"]).contains("name=userns"));
    assert_eq!(daemon.ok(&["images", "-q"]), "", "it is a world of its own");
    daemon.import_images();

    assert_eq!(daemon.ok(&["run", "--rm", "alpine", "id", "-u"]), "0");
    let map = daemon.ok(&["run", "--rm", "alpine", "cat", "/proc/self/uid_map"]);
    assert_eq!(map.split_whitespace().collect::<Vec<_>>(), ["0", "231072", "65536"]);
    let secret = daemon.folder.join("secret");
    fs::write(&secret, "the host's").expect("room");
    let bind = format!("{}:/host:ro", daemon.folder.display());
    let bind_rw = format!("{}:/host", daemon.folder.display());
    assert_eq!(daemon.ok(&["run", "--rm", "-v", &bind, "alpine", "stat", "-c", "%U", "/host/secret"]), "nobody");
    let refused = daemon.run(&["run", "--rm", "-v", &bind_rw, "alpine", "rm", "-f", "/host/secret"]);
    assert!(refused.status == 1 && refused.err.contains("Permission denied") && secret.exists(), "{refused:?}");

    daemon.ok(&["run", "-d", "--name", "web", "-p", "8080:80", "alpine", "sh", "-c", "exec httpd -f -p 80 -h /etc"]);
    let host = daemon.inspect("web", "{{.State.Pid}}");
    assert_eq!(fs::metadata(format!("/proc/{host}")).expect("it runs").uid(), 231_072);
    assert_eq!(
        daemon.ok(&["exec", "web", "stat", "-c", "%u:%g", "/", "/etc", "/etc/passwd", "/etc/hosts"]),
        ["0:0"; 4].join("\n")
    );
    assert!(daemon.ok(&["exec", "web", "ls", "/sys/class/net"]).contains("eth0"), "its own network is shown");
    props::wait_for("a page", || daemon.inside(&["curl", "-sf", "http://127.0.0.1:8080/hostname"]).status == 0);
    assert_eq!(daemon.ok(&["exec", "-u", "1000", "web", "id", "-u"]), "1000");
}

#[test]
fn files_cross_the_border_once() {
    let daemon = remapping("bob:bob", "bob:231072:65536\n");
    daemon.import_images();
    let steps = "touch /data/f && chown 1000:1000 /data/f && mkdir /new && chown 5:6 /new";
    daemon.ok(&["run", "--name", "made", "-v", "vol:/data", "alpine", "sh", "-c", steps]);
    let data = daemon.data_root().join("231072.231072/volumes/vol/_data");
    assert_eq!(fs::metadata(&data).expect("a volume").uid(), 231_072, "a volume belongs to root of the containers");
    assert_eq!(fs::metadata(data.join("f")).expect("a file").uid(), 232_072);
    daemon.ok(&["commit", "made", "made"]);
    assert_eq!(daemon.ok(&["run", "--rm", "made", "stat", "-c", "%u:%g", "/new"]), "5:6");
    let list = daemon
        .sh("minidock cp made:/new - | tar tv --numeric-owner && minidock export made | tar tv --numeric-owner new/")
        .ok();
    assert_eq!(list.matches(" 5/6 ").count(), 2, "{list}");

    fs::write(
        daemon.folder.join("Dockerfile"),
        "FROM alpine\nWORKDIR /app\nCOPY --chown=7:8 x /app/\nRUN stat -c %u:%g /app /app/x > /seen\n",
    )
    .expect("room");
    fs::write(daemon.folder.join("x"), "").expect("room");
    let built = daemon.sh("mkdir ctx && mv Dockerfile x ctx && minidock build -qt built ctx");
    assert_eq!(built.status, 0, "{built:?}");
    assert_eq!(daemon.ok(&["run", "--rm", "built", "cat", "/seen"]), "0:0\n7:8");

    daemon.ok(&["run", "-d", "--name", "runs", "alpine", "sleep", "1000"]);
    daemon.sh("echo in > y && minidock cp y runs:/y && minidock cp y made:/y").ok();
    assert_eq!(daemon.ok(&["exec", "runs", "stat", "-c", "%u:%g", "/y"]), "0:0");
    assert_eq!(daemon.ok(&["run", "--rm", "--pid", "container:runs", "alpine", "cat", "/proc/1/comm"]), "sleep");
}

#[test]
fn what_does_not_go_with_a_user_namespace_is_refused_unless_it_goes_without() {
    let daemon = remapping("1001:bob", "1001:231072:65536\nbob:231072:65536\n");
    daemon.import_images();
    for (words, why) in [
        ("--privileged", "privileged mode is incompatible with user namespaces"),
        ("--network=host", "cannot share the host's network namespace when user namespaces are enabled"),
        ("--pid=host", "cannot share the host PID namespace when user namespaces are enabled"),
    ] {
        let refused = daemon.run(&["run", "--rm", words, "alpine", "true"]).fails(125);
        assert!(refused.contains(why), "{refused}");
        daemon.ok(&["run", "--rm", "--userns=host", words, "alpine", "true"]);
    }
    let map = daemon.ok(&["run", "--rm", "--userns", "host", "alpine", "cat", "/proc/self/uid_map"]);
    assert_eq!(map.split_whitespace().collect::<Vec<_>>(), ["0", "0", "4294967295"]);
}

#[test]
fn who_has_no_ids_is_named() {
    let mut daemon = Daemon::asleep(&[]);
    let said = std::process::Command::new(props::MINIDOCK)
        .args(["daemon", "--userns-remap", "nobodyatall"])
        .args([
            format!("--data-root={}", daemon.data_root().display()),
            format!("--exec-root={}", daemon.exec_root().display()),
        ])
        .output()
        .expect("the binary runs");
    let text = String::from_utf8_lossy(&said.stderr);
    assert!(
        !said.status.success() && text.contains("no subordinate ids are given to \"nobodyatall\" in /etc/subuid"),
        "{text}"
    );
    daemon.up();
}
