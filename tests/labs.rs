//! # The labs, row by row: blocks A and B of the acceptance list, and block D's row 14
//!
//! Each claim is one or a few rows of the labs that minidock exists for, typed as a student types them. Rows that publish
//! ports, build or pull belong to later issues.

#[path = "props/mod.rs"]
mod props;

use props::{Daemon, Printed, wait_for};

/// Types `keys` at a command that runs in a terminal of its own.
fn at_a_terminal(daemon: &Daemon, command: &str, keys: &str) -> Printed {
    daemon.sh(&format!("printf '{keys}' | script -qec '{command}' /dev/null"))
}

#[test]
fn a02_hello_world_prints_its_text() {
    let daemon = Daemon::start();
    let long = daemon.ok(&["container", "run", "hello-world"]);
    assert!(long.contains("Hello from minidock!"), "{long}");
    assert_eq!(daemon.ok(&["run", "hello-world"]), long, "A03: the short alias does the same");
}

#[test]
fn a05_to_a09_images_and_first_commands() {
    let daemon = Daemon::start();
    let usage = daemon.run(&["image"]);
    let usage = format!("{}{}", usage.out, usage.err);
    for word in ["Usage:", "ls", "inspect", "history", "prune"] {
        assert!(usage.contains(word), "A05: {usage}");
    }
    let images = daemon.ok(&["image", "ls"]);
    assert!(images.starts_with("REPOSITORY") && images.contains("IMAGE ID") && images.contains("alpine"), "A06: {images}");
    let root = daemon.ok(&["container", "run", "alpine", "ls", "-l"]);
    for folder in ["bin", "dev", "etc", "proc", "usr"] {
        assert!(root.lines().any(|l| l.ends_with(&format!(" {folder}"))), "A07: {root}");
    }
    assert_eq!(daemon.ok(&["container", "run", "alpine", "echo", "hello from alpine"]), "hello from alpine");
    assert_eq!(daemon.ok(&["container", "run", "alpine", "/bin/sh"]), "", "A09: no stdin, the shell sees its end");
    let listed = daemon.ok(&["container", "ls", "-a"]);
    assert_eq!(listed.lines().count(), 4, "A12: a row for each run\n{listed}");
    assert!(listed.contains("Exited (0)") && listed.contains("\"ls -l\""), "A12: {listed}");
    assert_eq!(daemon.ok(&["container", "ls"]).lines().count(), 1, "A11: header only");
}

#[test]
fn a10_and_a14_to_a19_a_container_keeps_its_own_layer() {
    let daemon = Daemon::start();
    let first = at_a_terminal(
        &daemon,
        "minidock container run -it --name mine alpine /bin/ash",
        "echo hello world > hello.txt\\nls\\nexit\\n",
    )
    .ok();
    assert!(first.contains("hello.txt"), "{first}");
    assert!(!daemon.ok(&["container", "run", "alpine", "ls"]).contains("hello.txt"), "A15: a new layer for each container");
    let id = daemon.inspect("mine", "{{.Id}}");
    daemon.ok(&["container", "start", &id[..6]]);
    let listed = daemon.ok(&["container", "ls"]);
    assert!(listed.contains("Up") && listed.contains("mine"), "A18: {listed}");
    assert!(daemon.ok(&["container", "exec", &id[..6], "ls"]).contains("hello.txt"), "A19");
    assert!(daemon.inspect("mine", "{{.State.Running}}") == "true");
}

#[test]
fn a20_and_a21_inspect_is_json_and_a_missing_shell_is_named() {
    let daemon = Daemon::start();
    let image: serde_json::Value = serde_json::from_str(&daemon.ok(&["image", "inspect", "alpine"])).expect("JSON");
    assert_eq!(image[0]["RepoTags"][0], "alpine:latest");
    assert!(image[0]["Config"]["Labels"]["org.minidock.stand-in"].is_string(), "stand-ins say so");
    daemon.ok(&["run", "-d", "--name", "box", "alpine", "sleep", "1000"]);
    let missing = daemon.run(&["exec", "box", "/bin/bash"]);
    assert!([126, 127].contains(&missing.status), "{missing:?}");
    assert!((missing.out + &missing.err).contains("no such file or directory"), "the shell is named");
}

#[test]
fn a30_to_a35_wrong_spellings_fail_well() {
    let daemon = Daemon::start();
    let execute = daemon.run(&["container", "execute", "x"]).fails(1);
    assert!(execute.contains("execute") && execute.contains("exec"), "A30: {execute}");
    let flag = daemon.run(&["container", "run", "--datach", "--name", "mydb", "mysql:latest"]).fails(125);
    assert!(flag.contains("unknown flag: --datach") && flag.contains("--detach"), "A31: {flag}");
    let image = daemon.run(&["imabe", "build", "--tage", "x", "."]);
    assert!(image.status != 0 && image.err.contains("image"), "A32: {image:?}");
    for words in [&["container", "run"][..], &["run"], &["container", "exec"], &["container", "stop"], &["container", "rm"]] {
        let refused = daemon.run(words);
        assert!(refused.status != 0, "A35 {words:?}");
        assert!(refused.err.contains("requires at least") && refused.err.contains("Usage:"), "A35 {words:?}: {}", refused.err);
    }
    assert_eq!(daemon.ok(&["ps", "-aq"]), "", "nothing was created");
    let upper = daemon.run(&["run", "REPLACE_ME_WITH_DOCKER_IMAGE_TAG"]).fails(125);
    assert!(upper.contains("must be lowercase"), "A41: {upper}");
}

#[test]
fn b02_to_b07_the_container_is_its_own_host() {
    let daemon = Daemon::start();
    let hostname = daemon.ok(&["container", "run", "alpine", "hostname"]);
    assert!(hostname.len() == 12 && hostname.bytes().all(|c| c.is_ascii_hexdigit()), "B02: {hostname}");
    assert!(daemon.ok(&["container", "ls", "--all"]).contains(&hostname), "B03: the id is the hostname");
    let inside = at_a_terminal(
        &daemon,
        "minidock container run --interactive --tty --rm alpine sh",
        "ps aux\\ncat /etc/issue\\nexit\\n",
    )
    .ok();
    assert!(inside.contains("PID") && inside.contains("ps aux"), "B05: {inside}");
    assert!(!inside.contains("minidock daemon"), "only the container's processes are visible");
    assert_eq!(daemon.ok(&["container", "ls", "--all", "-q"]).lines().count(), 1, "B06: --rm removed it");
}

#[test]
fn b08_to_b19_a_service_logs_top_exec_stop() {
    let daemon = Daemon::start();
    let script = "trap 'echo bye; exit 0' TERM; echo ready; echo warn >&2; while :; do sleep 0.1; done";
    let id = daemon.ok(&["container", "run", "--detach", "--name", "mydb", "-e", "SECRET=pw", "alpine", "sh", "-c", script]);
    assert!(id.len() == 64 && id.bytes().all(|c| c.is_ascii_hexdigit()), "B08: {id}");
    wait_for("its first line", || daemon.ok(&["container", "logs", "mydb"]).contains("ready"));
    let logs = daemon.run(&["logs", "mydb"]);
    assert!(logs.out.contains("ready") && logs.err.contains("warn"), "B10: both streams, each on its own");
    let top = daemon.ok(&["container", "top", "mydb"]);
    assert!(top.starts_with("UID") && top.contains("PID") && top.contains("sh -c"), "B11: {top}");
    assert_eq!(daemon.ok(&["exec", "mydb", "sh", "-c", "echo $SECRET"]), "pw", "B14: the variable comes from -e");
    let refused = daemon.run(&["container", "rm", "mydb"]).fails(1);
    assert!(refused.contains("stop the container before"), "B19: {refused}");
    assert_eq!(daemon.ok(&["container", "stop", "mydb"]), "mydb");
    assert_eq!(daemon.inspect("mydb", "{{.State.ExitCode}}"), "0", "it heard SIGTERM");
    assert!(daemon.ok(&["logs", "mydb"]).contains("bye"));
    assert_eq!(daemon.ok(&["container", "rm", "mydb"]), "mydb");
}

#[test]
fn b18_force_removes_a_running_container_and_b20_a_bind_mount_replaces_files() {
    let daemon = Daemon::start();
    std::fs::create_dir(daemon.folder.join("site")).expect("a folder");
    std::fs::write(daemon.folder.join("site/index.html"), "old").expect("a file");
    let mount = format!("type=bind,source={},target=/usr/share/html", daemon.folder.join("site").display());
    daemon.ok(&["container", "run", "--detach", "--name", "app", "--mount", &mount, "alpine", "sleep", "1000"]);
    assert_eq!(daemon.ok(&["exec", "app", "cat", "/usr/share/html/index.html"]), "old");
    std::fs::write(daemon.folder.join("site/index.html"), "new").expect("a file");
    assert_eq!(daemon.ok(&["exec", "app", "cat", "/usr/share/html/index.html"]), "new", "B21: at once, image untouched");
    assert_eq!(daemon.ok(&["container", "rm", "--force", "app"]), "app");
    assert_eq!(daemon.ok(&["ps", "-aq"]), "");
}

#[test]
fn d14_a_pid_1_that_ignores_sigterm_takes_the_whole_grace_period() {
    let daemon = Daemon::start();
    daemon.ok(&["run", "-d", "--name", "deaf", "alpine", "sleep", "1000"]);
    let began = std::time::Instant::now();
    daemon.ok(&["stop", "-t", "1", "deaf"]);
    assert!(began.elapsed().as_millis() >= 1000, "it waited");
    assert_eq!(daemon.inspect("deaf", "{{.State.ExitCode}}"), "137");
    daemon.ok(&["run", "-d", "--name", "init", "--init", "alpine", "sleep", "1000"]);
    let began = std::time::Instant::now();
    daemon.ok(&["stop", "init"]);
    assert!(began.elapsed().as_secs() < 5, "--init hands the signal on");
    assert_eq!(daemon.inspect("init", "{{.State.ExitCode}}"), "143");
}

#[test]
fn exit_codes_are_dockers() {
    let daemon = Daemon::start();
    for (words, status) in [
        (&["run", "--rm", "alpine", "sh", "-c", "exit 3"][..], 3),
        (&["run", "--rm", "alpine", "nosuchcommand"], 127),
        (&["run", "--rm", "alpine", "/etc"], 126),
        (&["run", "--rm", "alpine", "/etc/passwd"], 126),
        (&["run", "--rm", "--init", "alpine", "sh", "-c", "kill -9 $$"], 137),
        (&["run", "--rm", "--no-such-flag", "alpine"], 125),
        (&["run", "--rm", "no/such/image:1"], 125),
        (&["run", "--rm", "golang go get ... && hello"], 125),
        (&["run", "--rm", "alpine", "go get ... && hello"], 127),
    ] {
        let printed = daemon.run(words);
        assert_eq!(printed.status, status, "{words:?}: {printed:?}");
    }
    assert_eq!(daemon.ok(&["ps", "-aq"]), "", "nothing is left behind");
}
