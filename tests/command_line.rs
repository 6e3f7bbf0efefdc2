//! # The command line without a daemon: help, wrong use, and what must not need a socket
//!
//! Students meet a program first by what it says when they are wrong. These claims run the real binary against an address
//! where nobody answers, so they also prove that help and wrong use never ask for one. Whole help texts are golden files
//! below `tests/pure/golden/help`; `UPDATE=1` writes them anew, and only differences that are understood are committed.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
};

fn minidock(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_minidock"))
        .args(args)
        .env("MINIDOCK_HOST", "unix:///nobody/is/here.sock")
        .env("MINIDOCK_CONFIG", "/nonexistent")
        .env_remove("MINIDOCK_CONTEXT")
        .stdin(std::process::Stdio::null())
        .output()
        .expect("the binary runs")
}

/// Standard error of a command that must end with `status` and print nothing on standard output.
#[track_caller]
fn fails(args: &[&str], status: i32) -> String {
    let ended = minidock(args);
    assert_eq!(ended.status.code(), Some(status), "{args:?}: {}", String::from_utf8_lossy(&ended.stderr));
    assert!(ended.stdout.is_empty(), "{args:?} printed: {}", String::from_utf8_lossy(&ended.stdout));
    String::from_utf8(ended.stderr).expect("text")
}

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pure/golden/help").join(format!("{name}.txt"))
}

#[test]
fn help_has_not_changed_unnoticed() {
    let asked = [
        "",
        "container",
        "image",
        "network",
        "volume",
        "system",
        "context",
        "run",
        "create",
        "exec",
        "attach",
        "start",
        "stop",
        "kill",
        "rm",
        "logs",
        "cp",
        "commit",
        "export",
        "update",
        "wait",
        "ps",
        "images",
        "rmi",
        "inspect",
        "explain",
        "context create",
        "network create",
        "network connect",
        "network ls",
        "system stop",
        "swarm",
        "swarm init",
        "swarm ca",
        "node",
        "node update",
        "service",
        "service create",
        "service update",
        "service logs",
        "compose",
        "compose up",
    ];
    for words in asked {
        let mut args: Vec<&str> = words.split_whitespace().collect();
        args.push("--help");
        let ended = minidock(&args);
        assert_eq!(ended.status.code(), Some(0), "{words} --help");
        let text = String::from_utf8(ended.stdout).expect("text");
        let name = if words.is_empty() { "minidock".to_string() } else { words.replace(' ', "-") };
        if std::env::var_os("UPDATE").is_some() {
            std::fs::create_dir_all(golden("x").parent().expect("a folder")).expect("room");
            std::fs::write(golden(&name), &text).expect("room");
        }
        let wanted = std::fs::read_to_string(golden(&name)).unwrap_or_default();
        assert_eq!(text, wanted, "{words} --help: UPDATE=1 if this is meant");
    }
}

#[test]
fn a_noun_alone_prints_what_can_be_done_with_it() {
    for noun in ["container", "image", "network", "volume", "system", "context", "swarm", "node", "service"] {
        let ended = minidock(&[noun]);
        let text = String::from_utf8(ended.stderr).expect("text");
        assert_eq!(ended.status.code(), Some(0));
        assert!(text.starts_with(&format!("Usage:  minidock {noun} COMMAND\n")) && text.contains("\nCommands:\n"), "{text}");
    }
}

#[test]
fn block_a2_wrong_spellings_are_answered_well() {
    let a30 = fails(&["container", "execute", "abc"], 1);
    assert!(a30.contains("unknown command: minidock container execute") && a30.contains("Did you mean `exec`?"), "{a30}");
    let a31 = fails(&["container", "run", "--datach", "--name", "mydb", "-e", "MYSQL_ROOT_PASSWORD=x", "mysql:latest"], 125);
    assert!(a31.contains("unknown flag: --datach") && a31.contains("`--detach`"), "{a31}");
    let a32 = fails(&["imabe", "build", "--tage", "x", "."], 1);
    assert!(a32.contains("`image`"), "{a32}");
    for words in [&["container", "run"][..], &["run"], &["container", "exec"], &["container", "stop"], &["container", "rm"]] {
        let said = fails(words, 1);
        let n = if words.ends_with(&["exec"]) { "2 arguments" } else { "1 argument" };
        assert!(said.starts_with(&format!("\"minidock {}\" requires at least {n}.\n", words.join(" "))), "A35: {said}");
        assert!(said.contains(&format!(
            "\nSee 'minidock {} --help'.\n\nUsage:  minidock {}",
            words.join(" "),
            words.join(" ")
        )));
    }
    let literally = fails(&["run", "-p", "8080:8080", "REPLACE_ME_WITH_DOCKER_IMAGE_TAG"], 125);
    assert!(literally.contains("minidock"), "A41 is the daemon's to refuse: {literally}");
}

#[test]
fn flags_are_refused_with_125_and_arguments_with_1() {
    assert!(fails(&["run", "--name"], 125).starts_with("flag needs an argument: --name\n"));
    assert!(fails(&["run", "-xyz", "a"], 125).starts_with("unknown shorthand flag: 'x' in -xyz\n"));
    assert!(fails(&["ps", "--foo"], 125).starts_with("unknown flag: --foo\n"));
    assert!(fails(&["--foo"], 125).starts_with("unknown flag: --foo\n"));
    assert!(fails(&["info", "x"], 1).starts_with("\"minidock info\" accepts no arguments.\n"));
    assert!(fails(&["rename", "a"], 1).starts_with("\"minidock rename\" requires exactly 2 arguments.\n"));
    assert!(fails(&["run", "-d", "-a", "stdout", "alpine"], 1).contains("conflicting options"));
    assert!(fails(&["run", "--rm", "--restart=always", "alpine"], 125).contains("cannot specify both --restart and --rm"));
    assert!(fails(&["run", "--mount", "type=bind,source=/a", "alpine"], 125).contains("target is required"));
    assert!(fails(&["run", "--security-opt", "seccomp=/no/such.json", "alpine"], 125).contains("/no/such.json"));
    assert!(fails(&["run", "--env-file", "/no/such.env", "alpine"], 125).contains("/no/such.env"));
    assert!(fails(&["run", "-it", "alpine", "sh"], 1).contains("the input device is not a TTY"));
    assert!(fails(&["exec", "-it", "web", "sh"], 1).contains("the input device is not a TTY"));
}

#[test]
fn a_swarm_is_misused_in_dockers_words() {
    let one_dash = fails(&["swarm", "join", "-token", "SWMTKN-X-abcdef"], 125);
    assert!(one_dash.starts_with("unknown shorthand flag: 't' in -token\nDid you mean `--token`?\n"), "E02: {one_dash}");
    assert!(fails(&["swarm", "join"], 1).starts_with("\"minidock swarm join\" requires exactly 1 argument.\n"));
    assert!(fails(&["service", "creat", "x"], 1).contains("Did you mean `create`?"));
    assert!(fails(&["node", "delete", "x"], 1).contains("Did you mean `rm`?"));
    for (words, why) in [
        ("service create --replicas x a", "\"x\" for \"--replicas\" flag: strconv.ParseUint: parsing \"x\": invalid syntax"),
        (
            "service create -p target=x a",
            "\"-p, --publish\" flag: invalid target port (x): value must be an integer: invalid syntax",
        ),
        ("service create --limit-memory lots a", "\"lots\" for \"--limit-memory\" flag: invalid size: 'lots'"),
        ("service create --secret foo=bar a", "\"--secret\" flag: invalid field in secret request: foo"),
        ("service update --update-delay x a", "\"x\" for \"--update-delay\" flag: time: invalid duration \"x\""),
        ("swarm init --default-addr-pool x", "\"--default-addr-pool\" flag: invalid string being converted to CIDR: x"),
    ] {
        let said = fails(&words.split(' ').collect::<Vec<_>>(), 125);
        assert!(said.lines().next().is_some_and(|line| line.starts_with("invalid argument ") && line.contains(why)), "{said}");
    }
    for (words, why) in [
        ("service create --mode foo a", "minidock: Unknown mode: foo, only replicated and global supported\n"),
        ("service create --mode global --replicas 2 a", "minidock: replicas can only be used with replicated"),
        (
            "service scale web",
            "invalid scale specifier 'web'.\nSee 'minidock service scale --help'.\n\nUsage:  minidock service scale SERVICE=",
        ),
        (
            "swarm init --availability foo",
            "minidock: invalid availability \"foo\", only active, pause and drain are supported\n",
        ),
        ("swarm join-token foo", "minidock: unknown role foo\n"),
        ("service inspect --format prettyx a", "minidock: cannot supply extra formatting options to the pretty template\n"),
    ] {
        let said = fails(&words.split(' ').collect::<Vec<_>>(), 1);
        assert!(said.starts_with(why), "{words}: {said}");
    }
    let nothing_to_change = minidock(&["swarm", "update"]);
    assert_eq!(nothing_to_change.status.code(), Some(0));
    assert!(String::from_utf8_lossy(&nothing_to_change.stdout).starts_with("Usage:  minidock swarm update [OPTIONS]\n"));
}

#[test]
fn networks_are_misused_in_dockers_words() {
    assert!(fails(&["network", "foo"], 1).starts_with("minidock: unknown command: minidock network foo\n"));
    assert!(fails(&["network", "creat", "x"], 1).contains("Did you mean `create`?"));
    assert!(fails(&["network", "create"], 1).starts_with("\"minidock network create\" requires exactly 1 argument.\n"));
    assert!(fails(&["network", "connect", "a"], 1).starts_with("\"minidock network connect\" requires exactly 2 arguments.\n"));
    assert!(fails(&["network", "rm"], 1).starts_with("\"minidock network rm\" requires at least 1 argument.\n"));
    assert!(fails(&["network", "create", "--subnte", "10.0.0.0/24", "x"], 125).contains("Did you mean `--subnet`?"));
    assert!(fails(&["network", "create", "--gateway", "10.0.0.1", "x"], 1).contains("must have a corresponding subnet"));
    assert!(fails(&["network", "connect", "", "x"], 1).contains("invalid network name or ID: value is empty"));
}

#[test]
fn wishes_for_networks_and_ports_that_make_no_sense_are_refused_with_125() {
    for (words, why) in [
        (&["-p", "65536:80"][..], "invalid hostPort: 65536"),
        (&["-p", "80:65536"], "invalid containerPort: 65536"),
        (&["-p", "8000-8002:80-81"], "invalid ranges specified for container and host Ports"),
        (&["-p", "localhost:80:80"], "invalid IP address: localhost"),
        (&["-p", "80/foo"], "invalid proto: foo"),
        (&["--expose", "65536"], "value out of range"),
        (&["--dns", "resolver"], "IP address is not correctly formatted: resolver"),
        (&["--dns-search", "a b"], "a b is not a valid domain"),
        (&["--add-host", "a:b"], "invalid IP address in add-host: \"b\""),
        (&["--mac-address", "1"], "1 is not a valid mac address"),
        (&["--network", "host", "--network", "n"], "cannot attach both user-defined and non-user-defined network-modes"),
        (&["--network", "name=n,ip=10.0.0.2", "--ip", "10.0.0.3"], "cannot specify both --ip and per-network IPv4 address"),
        (&["--network", "name=n,colour=red"], "invalid field key colour"),
        (&["--network-alias", "a"], "network-scoped aliases are only supported for user-defined networks"),
        (&["--link", "a:b:c"], "bad format for links: a:b:c"),
    ] {
        for verb in ["run", "create"] {
            let said = fails(&[&[verb], words, &["alpine"]].concat(), 125);
            assert!(said.contains(why), "{verb} {words:?}: {said}");
        }
    }
}

#[test]
fn a_daemon_that_is_nowhere_is_named() {
    let said = fails(&["ps"], 1);
    assert!(said.contains("unix:///nobody/is/here.sock") && said.contains("\n  try "), "{said}");
    assert!(fails(&["run", "alpine"], 125).starts_with("minidock: Cannot connect"));
    assert!(fails(&["-H", "ftp://x", "ps"], 1).contains("unable to parse docker host `ftp://x`"));
    assert!(fails(&["--context", "nosuch", "ps"], 1).contains("context \"nosuch\" does not exist"));
}

#[test]
fn version_and_help_have_short_forms() {
    let version = minidock(&["-v"]);
    assert!(String::from_utf8_lossy(&version.stdout).starts_with("minidock version "));
    assert_eq!(minidock(&["--version"]).stdout, version.stdout);
    assert_eq!(minidock(&["help", "stop"]).stdout, minidock(&["stop", "--help"]).stdout);
    assert_eq!(minidock(&["stop", "-h"]).stdout, minidock(&["stop", "--help"]).stdout);
    assert_eq!(minidock(&["container", "stop", "--help"]).status.code(), Some(0));
}

#[test]
fn wishes_of_the_kernel_and_for_devices_are_checked_before_anybody_is_asked() {
    for (words, why) in [
        (&["--gpus", "foo"][..], "invalid count (foo): value must be either \"all\" or an integer"),
        (&["--sysctl", "kernel.hostname=x"], "sysctl 'kernel.hostname=x' is not allowed"),
        (&["--sysctl", "foo"], "sysctl 'foo' is not allowed"),
        (&["--restart", ":3"], "no policy provided before colon"),
    ] {
        let said = fails(&[&["run"], words, &["alpine"]].concat(), 125);
        assert!(said.contains(why), "{words:?}: {said}");
    }
    assert!(fails(&["build", "-t", "UPPER", "/"], 125).contains("for \"-t, --tag\" flag: invalid reference format"));
    assert!(fails(&["--tls", "ps"], 1).contains("TLS is not spoken"));
    assert!(fails(&["--log-level", "loud", "ps"], 1).contains("unable to parse logging level: loud"));
    assert!(fails(&["update", "--restart", "on-failure:x", "web"], 1).contains("maximum retry count must be an integer"));
    assert!(fails(&["exec", "--env-file", "/no/such.env", "web", "env"], 1).contains("/no/such.env"));
    assert!(fails(&["logs", "--since", "foo", "web"], 1).contains("invalid value for \"since\": failed to parse"));
}

#[test]
fn a_context_is_carried_to_another_machine() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |config: &str, args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_minidock"));
        command
            .args(args)
            .env("MINIDOCK_CONFIG", folder.path().join(config))
            .env_remove("MINIDOCK_HOST")
            .env_remove("DOCKER_HOST");
        command.current_dir(folder.path()).stdin(std::process::Stdio::null()).output().expect("the binary runs")
    };
    let ok = |config: &str, args: &[&str]| {
        let ended = at(config, args);
        assert!(ended.status.success(), "{args:?}: {}", String::from_utf8_lossy(&ended.stderr));
        String::from_utf8(ended.stdout).expect("text")
    };
    ok("a", &["context", "create", "class", "--description", "the class", "--docker", "host=tcp://127.0.0.1:2375"]);
    ok("a", &["context", "export", "class"]);
    assert!(!at("a", &["context", "export", "class"]).status.success(), "no file is written over");
    assert_eq!(ok("b", &["context", "import", "mine", "class.dockercontext"]), "mine\n");
    let shown = ok("b", &["context", "inspect", "mine", "--format", "{{.Endpoints.docker.Host}} {{.Metadata.Description}}"]);
    assert_eq!(shown, "tcp://127.0.0.1:2375 the class\n");
    assert!(!at("b", &["context", "import", "mine", "class.dockercontext"]).status.success(), "the name is taken");
}
