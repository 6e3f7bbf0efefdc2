//! # At a terminal: raw mode, sizes, signals, detach keys
//!
//! What a script never sees and a student always does. Each claim runs the real client in a pseudo-terminal of its own
//! (`props/terminal.py`), against a real daemon, types at it, and looks whether the terminal was given back.

#[path = "props/mod.rs"]
mod props;

use props::{Daemon, MINIDOCK};
use serde_json::{Value, json};
use std::{
    io::Write,
    process::{Command, Stdio},
};

/// What happened at the terminal.
#[derive(Debug)]
struct Seen {
    status: i64,
    out: String,
    cooked: bool,
}

/// Runs `minidock args` in a terminal and does `steps`.
#[track_caller]
fn at_a_terminal(daemon: &Daemon, args: &[&str], steps: Value) -> Seen {
    let argv: Vec<&str> = std::iter::once(MINIDOCK).chain(args.iter().copied()).collect();
    let mut driver = Command::new("python3")
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/props/terminal.py"))
        .env("MINIDOCK_HOST", daemon.host())
        .env("MINIDOCK_CONFIG", daemon.folder.join("config"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 is there");
    let wish = json!({"argv": argv, "steps": steps}).to_string();
    driver.stdin.take().expect("piped").write_all(wish.as_bytes()).expect("it reads");
    let told = driver.wait_with_output().expect("it ends");
    let told: Value = serde_json::from_slice(&told.stdout).expect("JSON");
    assert_eq!(told["missed"], Value::Null, "{args:?} did not print what was expected: {}", told["out"]);
    Seen {
        status: told["status"].as_i64().expect("it ended by itself"),
        out: told["out"].as_str().expect("text").to_string(),
        cooked: told["cooked"].as_bool().expect("a fact"),
    }
}

#[test]
fn a_terminal_has_our_size_follows_it_and_is_given_back() {
    let daemon = Daemon::start();
    let steps = json!([
        ["expect", "# "],
        ["type", "stty size; tty\r"],
        ["expect", "33 101"],
        ["expect", "/dev/pts/0"],
        ["size", 44, 120],
        ["type", "while [ \"$(stty size)\" != '44 120' ]; do :; done; echo follo''wed\r"],
        ["expect", "followed"],
        ["type", "exit 5\r"]
    ]);
    let seen = at_a_terminal(&daemon, &["run", "-it", "--rm", "alpine", "sh"], steps.clone());
    assert!(seen.status == 5 && seen.cooked, "{seen:?}");
    daemon.ok(&["run", "-d", "--name", "web", "alpine", "sleep", "1000"]);
    let seen = at_a_terminal(&daemon, &["exec", "-it", "web", "sh"], steps);
    assert!(seen.status == 5 && seen.cooked, "{seen:?}");
}

#[test]
fn the_detach_keys_leave_a_program_running() {
    let daemon = Daemon::start();
    let left = json!([["expect", "# "], ["type", "echo a\u{10}b\r"], ["expect", "b\r\n"], ["type", "\u{10}\u{11}"]]);
    let seen = at_a_terminal(&daemon, &["run", "-it", "--name", "mine", "alpine", "sh"], left);
    assert!(seen.status == 0 && seen.cooked, "{seen:?}");
    assert_eq!(daemon.inspect("mine", "{{.State.Running}}"), "true");
    let left = json!([["type", "\r"], ["expect", "# "], ["type", "\u{18}x"]]);
    let seen = at_a_terminal(&daemon, &["attach", "--detach-keys", "ctrl-x,x", "mine"], left);
    assert!(seen.status == 1 && seen.cooked && seen.out.contains("read escape sequence"), "{seen:?}");
    let ended = json!([["type", "\r"], ["expect", "# "], ["type", "exit 6\r"]]);
    let seen = at_a_terminal(&daemon, &["attach", "mine"], ended);
    assert!(seen.status == 6 && seen.cooked, "{seen:?}");
    let again = json!([["expect", "# "], ["type", "exit 4\r"]]);
    assert_eq!(at_a_terminal(&daemon, &["start", "-ai", "mine"], again).status, 4);
}

#[test]
fn ctrl_c_reaches_the_program_with_and_without_a_terminal() {
    let daemon = Daemon::start();
    let inside = json!([
        ["expect", "# "],
        ["type", "echo re''ady; sleep 1000\r"],
        ["expect", "ready"],
        ["type", "\u{3}"],
        ["expect", "# "],
        ["type", "exit 3\r"]
    ]);
    let seen = at_a_terminal(&daemon, &["run", "-it", "--rm", "alpine", "sh"], inside);
    assert!(seen.status == 3 && seen.cooked, "{seen:?}");
    let script = "trap 'echo got it; exit 9' INT; echo up; while :; do sleep 0.05; done";
    let outside = json!([["expect", "up"], ["type", "\u{3}"], ["expect", "got it"]]);
    assert_eq!(at_a_terminal(&daemon, &["run", "-i", "--rm", "alpine", "sh", "-c", script], outside).status, 9);
}

#[test]
fn a_signal_is_passed_on_or_ends_us_with_the_terminal_given_back() {
    let daemon = Daemon::start();
    let script = "trap 'exit 8' TERM; echo up; while :; do sleep 0.05; done";
    let told = json!([["expect", "up"], ["signal", 15]]);
    let seen = at_a_terminal(&daemon, &["run", "-it", "--rm", "alpine", "sh", "-c", script], told.clone());
    assert!(seen.status == 8 && seen.cooked, "{seen:?}");
    let seen =
        at_a_terminal(&daemon, &["run", "-it", "--name", "deaf", "--sig-proxy=false", "alpine", "sh", "-c", script], told);
    assert!(seen.status == 143 && seen.cooked, "{seen:?}");
    assert_eq!(daemon.inspect("deaf", "{{.State.Running}}"), "true");
    let told = json!([["expect", "# "], ["signal", 15]]);
    let seen = at_a_terminal(&daemon, &["exec", "-it", "deaf", "sh"], told);
    assert!(seen.status == 143 && seen.cooked, "{seen:?}");
}

#[test]
fn a_program_that_cannot_start_leaves_the_terminal_as_it_was() {
    let daemon = Daemon::start();
    let seen = at_a_terminal(&daemon, &["run", "-it", "--rm", "alpine", "nosuchcmd"], json!([]));
    assert!(seen.status == 127 && seen.cooked && seen.out.contains("executable file not found"), "{seen:?}");
    assert_eq!(daemon.ok(&["ps", "-aq"]), "", "--rm removes one that never started, too");
}

#[test]
fn a_copy_is_counted_while_it_moves_and_summed_up_when_it_has() {
    let daemon = Daemon::start();
    daemon.ok(&["create", "--name", "box", "alpine"]);
    let file = daemon.folder.join("large");
    std::fs::File::create(&file).and_then(|f| f.set_len(256 << 20)).expect("room for a file with a hole");
    let file = file.display().to_string();
    let steps = json!([
        ["expect", "Preparing to copy..."],
        ["expect", "Copying to container - "],
        ["expect", "Successfully copied 268MB to box:/tmp"]
    ]);
    assert_eq!(at_a_terminal(&daemon, &["cp", &file, "box:/tmp"], steps).status, 0);
    let back = daemon.folder.join("back").display().to_string();
    let steps = json!([
        ["expect", "Preparing to copy..."],
        ["expect", "Copying from container - "],
        ["expect", "Successfully copied 268MB to "]
    ]);
    assert_eq!(at_a_terminal(&daemon, &["cp", "box:/tmp/large", &back], steps).status, 0);
    let quiet = at_a_terminal(&daemon, &["cp", "-q", "box:/etc/hostname", &back], json!([]));
    assert_eq!((quiet.status, quiet.out.trim()), (0, "COOKED"));
    let refused = at_a_terminal(&daemon, &["cp", "box:/no/such", &back], json!([["expect", "Could not find the file"]]));
    assert!(refused.status == 1 && !refused.out.contains("Successfully"), "{}", refused.out);
}

#[test]
fn a_service_is_seen_to_converge_and_ctrl_c_ends_only_the_waiting() {
    let mut daemon = Daemon::start();
    daemon.ok(&["swarm", "init", "--advertise-addr", "127.0.0.1"]);
    let create = ["service", "create", "--no-resolve-image", "--update-monitor", "1s"];
    let converges = json!([
        ["size", 40, 130],
        ["expect", "overall progress: 0 out of 2 tasks"],
        ["expect", "1/2: "],
        ["expect", "overall progress: 2 out of 2 tasks"],
        ["expect", "verify: Waiting 1 seconds to verify that tasks are stable..."],
        ["expect", "verify: Service "],
        ["expect", " converged"]
    ]);
    let seen = at_a_terminal(
        &daemon,
        &[&create[..], &["--name", "web", "--replicas", "2", "alpine", "sleep", "1000"]].concat(),
        converges,
    );
    let full = format!("running   [{}>]", "=".repeat(50));
    assert!(seen.status == 0 && seen.cooked && seen.out.contains(&full), "{seen:?}");
    let waits = json!([
        ["expect", "1/1: no suitable node (scheduling constraints not satisfied on 1 node)"],
        ["type", "\u{3}"],
        ["expect", "Operation continuing in background."],
        ["expect", "Use `minidock service ps "]
    ]);
    let nowhere = ["--name", "nowhere", "--constraint", "node.labels.rack==7", "alpine", "true"];
    let seen = at_a_terminal(&daemon, &[&create[..], &nowhere].concat(), waits);
    assert!(seen.status == 0 && seen.cooked, "{seen:?}");
    assert!(daemon.ok(&["service", "ls"]).contains("nowhere"), "it is still there");
    // a manager that starts again waits for its key, which is typed and not shown
    daemon.ok(&["service", "rm", "web", "nowhere"]);
    daemon.ok(&["swarm", "update", "--autolock=true"]);
    let key = daemon.ok(&["swarm", "unlock-key", "-q"]);
    daemon.kill();
    daemon.up();
    assert!(daemon.run(&["service", "ls"]).fails(1).contains("minidock swarm unlock"));
    let typed = json!([["expect", "Enter unlock key: "], ["type", format!("{key}\r")]]);
    let seen = at_a_terminal(&daemon, &["swarm", "unlock"], typed);
    assert!(seen.status == 0 && seen.cooked && !seen.out.contains(&key), "{seen:?}");
    props::wait_for("the manager to take its part again", || daemon.run(&["service", "ls"]).status == 0);
}
