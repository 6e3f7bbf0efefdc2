//! # A daemon on demand: started once, stopped when asked
//!
//! The first command on a machine starts a daemon at the default socket. These claims need the default places, so they run
//! in a mount namespace of their own in which `/run` and `/var/lib` are empty: nothing of the machine's is seen or touched.

use std::process::{Command, Output};

/// A shell script in a world whose default places are empty; `$M` is the binary.
fn in_an_empty_world(script: &str) -> Output {
    let prepared = format!(
        "set -e; mount -t tmpfs tmpfs /run; mount -t tmpfs tmpfs /var/lib; ip link set lo up; set +e\n{script}\n$M system stop 2>/dev/null"
    );
    Command::new("unshare")
        .args(["--mount", "--net", "sh", "-c", &prepared])
        .env("M", env!("CARGO_BIN_EXE_minidock"))
        .env("MINIDOCK_CONFIG", "/nonexistent")
        .env_remove("MINIDOCK_HOST")
        .env_remove("MINIDOCK_CONTEXT")
        .output()
        .expect("unshare is there")
}

fn texts(ended: &Output) -> (String, String) {
    (String::from_utf8_lossy(&ended.stdout).into_owned(), String::from_utf8_lossy(&ended.stderr).into_owned())
}

#[test]
fn four_first_commands_start_one_daemon_and_say_so_once() {
    let script =
        "for n in 1 2 3 4; do $M ps -q & done; wait; ls /proc/$(cat /run/minidock/daemon.pid)/exe >/dev/null && echo alive";
    let ended = in_an_empty_world(script);
    let (out, err) = texts(&ended);
    assert_eq!(err.matches("minidock: started the daemon (pid ").count(), 1, "{out}{err}");
    assert!(out.contains("alive") && !err.contains("cannot"), "{out}{err}");
}

#[test]
fn the_daemon_lets_go_of_what_its_caller_had_open() {
    // if the daemon held the pipe, cat would never see its end
    let script = "( exec 7>&1; $M ps -q 2>/dev/null; echo listed ) | timeout 20 cat; echo \"cat ended with $?\"";
    let (out, err) = texts(&in_an_empty_world(script));
    assert!(out.contains("listed") && out.contains("cat ended with 0"), "{out}{err}");
}

#[test]
fn stopping_leaves_no_daemon_and_finding_none_is_no_error() {
    let script = "$M system stop; echo first $?; $M ps -q; pid=$(cat /run/minidock/daemon.pid); $M system stop; echo second $?
        readlink /proc/$pid/exe >/dev/null || echo gone; $M -H tcp://127.0.0.1:1 system stop; echo third $?";
    let (out, err) = texts(&in_an_empty_world(script));
    assert!(
        out.contains("first 0") && out.contains("second 0") && out.contains("third 0") && out.contains("gone"),
        "{out}{err}"
    );
    assert!(err.contains("minidock: no daemon at unix:///run/minidock.sock"), "{err}");
}

#[test]
fn a_daemon_that_cannot_start_says_why() {
    let script = "mkdir -p /var/lib/minidock; mount -t tmpfs -o ro tmpfs /var/lib/minidock; $M ps; echo status $?";
    let (out, err) = texts(&in_an_empty_world(script));
    assert!(out.contains("status 1") && err.contains("cannot start the daemon"), "{out}{err}");
}
