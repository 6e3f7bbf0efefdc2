//! # The shim's claims, asked of a real container

mod rig;

use minidock_shim::protocol::*;
use minidock_spec::engine::stream::{Deframer, Stream};
use rig::{Rig, able};
use serde_json::{Value, json};
use std::{
    fs,
    io::{Read, Write},
    net::Shutdown,
    os::unix::net::UnixStream,
    time::{Duration, Instant},
};

/// Everything a client is told until its stream ends: (stdout, stderr).
fn frames(mut stream: UnixStream) -> (Vec<u8>, Vec<u8>) {
    let (mut all, mut out, mut err) = (Vec::new(), Vec::new(), Vec::new());
    stream.read_to_end(&mut all).expect("the stream ends");
    let keep = |stream, bytes: &[u8]| if stream == Stream::Stdout { out.extend(bytes) } else { err.extend(bytes) };
    Deframer::new().feed(&all, keep).expect("frames");
    (out, err)
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).expect("text")
}

#[test]
fn what_a_container_says_reaches_clients_and_log_and_its_status_the_disk_before_anybody_is_told() {
    if !able() {
        return;
    }
    let mut rig = Rig::new("echo out; echo err >&2; printf end; exit 3");
    let (first, second) = (rig.attach(None, false), rig.attach(None, false));
    assert!(rig.start() > 0);
    let exit = rig.exited();
    let on_disk: Exit =
        serde_json::from_str(&fs::read_to_string(&rig.launch.exit_file).expect("written before")).expect("an exit");
    assert_eq!((exit.code, exit.oom_killed, &on_disk), (3, false, &exit));
    let mut said: Vec<Value> = rig.log().lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    said.sort_by_key(|line| line["log"].to_string());
    let pairs: Vec<_> =
        said.iter().map(|line| (line["log"].as_str().expect("text"), line["stream"].as_str().expect("text"))).collect();
    assert_eq!(pairs, [("end", "stdout"), ("err\n", "stderr"), ("out\n", "stdout")]);
    for client in [first, second] {
        let (out, err) = frames(client);
        assert_eq!((text(out), text(err)), ("out\nend".into(), "err\n".into()));
    }
    let actions = fs::read_to_string(rig.launch.actions_file.as_ref().expect("a file")).expect("recorded");
    assert!(actions.lines().any(|line| line.contains("posix_spawn") && line.contains("src/shim/runtime.rs")));
    rig.over();
}

#[test]
fn typed_bytes_go_in_and_a_half_close_is_the_programs_end_of_file() {
    if !able() {
        return;
    }
    let mut rig = Rig::with(&["/bin/cat"], |_, launch| (launch.open_stdin, launch.stdin_once) = (true, true));
    let mut client = rig.attach(None, true);
    let typed: Vec<u8> = (0..1_000_000u32).flat_map(|n| n.to_le_bytes()).collect();
    client.write_all(b"before the start ").expect("room");
    rig.start();
    let mut writer = client.try_clone().expect("a socket");
    let to_type = typed.clone();
    let typist = std::thread::spawn(move || {
        writer.write_all(&to_type).expect("a reader");
        writer.shutdown(Shutdown::Write).expect("a socket");
    });
    let (out, _) = frames(client);
    typist.join().expect("no panic");
    assert!(out == [b"before the start ".as_slice(), &typed].concat(), "{} bytes", out.len());
    assert_eq!(rig.exited().code, 0);
    rig.over();
}

#[test]
fn a_terminal_has_the_size_it_was_given_before_and_after_the_start() {
    if !able() {
        return;
    }
    let script = "stty size; read line; stty size; echo got $line";
    let mut rig = Rig::with(&["/bin/sh", "-c", script], |_, launch| {
        (launch.terminal, launch.open_stdin, launch.console_size) = (true, true, [24, 80]);
    });
    let mut client = rig.attach(None, true);
    rig.start();
    let mut seen = Vec::new();
    let mut room = [0; 256];
    while !seen.ends_with(b"24 80\r\n") {
        let n = client.read(&mut room).expect("output");
        assert!(n > 0, "{}", String::from_utf8_lossy(&seen));
        seen.extend(&room[..n]);
    }
    assert!(matches!(rig.ask(Request::Resize { exec: None, rows: 50, cols: 132 }), Answer::Ok));
    client.write_all(b"hello\n").expect("a terminal");
    client.read_to_end(&mut seen).expect("the end");
    assert!(text(seen).ends_with("hello\r\n50 132\r\ngot hello\r\n"));
    assert_eq!(rig.exited().code, 0);
    assert!(rig.said().contains("got hello\r\n"));
    rig.over();
}

#[test]
fn a_command_that_does_not_exist_is_refused_in_the_runtimes_words_and_leaves_nothing() {
    if !able() {
        return;
    }
    let mut rig = Rig::with(&["/bin/nosuchcmd"], |_, _| {});
    let client = rig.attach(None, false);
    match rig.ask(Request::Start) {
        Answer::Failed(wire) => {
            assert!(wire.because.contains("/bin/nosuchcmd") && wire.because.contains("no such file"), "{wire:?}")
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(frames(client).0, b"");
    assert!(!rig.launch.exit_file.exists());
    rig.over();
}

#[test]
fn a_daemon_that_was_killed_finds_the_container_again_and_misses_nothing() {
    if !able() {
        return;
    }
    let mut rig = Rig::new("trap 'echo bye; exit 42' TERM; echo ready; while :; do sleep 0.05; done");
    let pid = rig.start();
    rig.die();
    let signalled = std::process::Command::new("kill").args(["-TERM", &rig.shim.id().to_string()]).status();
    assert!(signalled.expect("kill").success());
    while !rig.said().contains("ready") {
        std::thread::sleep(Duration::from_millis(2));
    }
    rig.come_back();
    match rig.ask(Request::State) {
        Answer::State { pid: now, exit: None, .. } => assert_eq!(now, pid),
        other => panic!("{other:?}"),
    }
    rig.die();
    assert!(std::process::Command::new("kill").args(["-TERM", &pid.to_string()]).status().expect("kill").success());
    // nobody listens: the status waits on disk
    while !rig.launch.exit_file.exists() {
        std::thread::sleep(Duration::from_millis(2));
    }
    let exit: Exit = serde_json::from_str(&fs::read_to_string(&rig.launch.exit_file).expect("whole")).expect("whole");
    assert_eq!(exit.code, 42);
    assert_eq!(rig.said(), "ready\nbye\n");
    rig.over();
}

#[test]
fn an_exec_has_its_own_streams_status_and_terminal() {
    if !able() {
        return;
    }
    let mut rig = Rig::new("while :; do sleep 0.05; done");
    rig.start();
    let exec = |exec: &str, words: &[&str], terminal: bool| {
        let mut process = rig::process(words);
        process["terminal"] = json!(terminal);
        Request::Exec(Box::new(Exec { exec: exec.into(), process, terminal, console_size: [0, 0], open_stdin: true }))
    };
    assert!(matches!(rig.ask(exec("one", &["/bin/sh", "-c", "cat; echo oops >&2; exit 9"], false)), Answer::Ok));
    let mut client = rig.attach(Some("one"), true);
    client.write_all(b"early").expect("room");
    client.shutdown(Shutdown::Write).expect("a socket");
    assert!(matches!(rig.ask(Request::ExecStart { exec: "one".into() }), Answer::Started { .. }));
    let (out, err) = frames(client);
    assert_eq!((text(out), text(err)), ("early".into(), "oops\n".into()));
    assert!(matches!(rig.event(), Some(Event::ExecExited { exec, code: 9 }) if exec == "one"));

    assert!(matches!(rig.ask(exec("two", &["/bin/sh", "-c", "stty size; exit 1"], true)), Answer::Ok));
    let mut client = rig.attach(Some("two"), true);
    assert!(matches!(rig.ask(Request::Resize { exec: Some("two".into()), rows: 11, cols: 22 }), Answer::Ok));
    assert!(matches!(rig.ask(Request::ExecStart { exec: "two".into() }), Answer::Started { .. }));
    let mut seen = Vec::new();
    client.read_to_end(&mut seen).expect("the end");
    assert_eq!(text(seen), "11 22\r\n");
    assert!(matches!(rig.event(), Some(Event::ExecExited { code: 1, .. })));

    assert!(matches!(rig.ask(exec("three", &["/bin/nosuch"], false)), Answer::Ok));
    let client = rig.attach(Some("three"), false);
    match rig.ask(Request::ExecStart { exec: "three".into() }) {
        Answer::Failed(wire) => assert!(wire.because.contains("/bin/nosuch"), "{wire:?}"),
        other => panic!("{other:?}"),
    }
    frames(client);
    match rig.ask(Request::State) {
        Answer::State { execs, .. } => assert!(execs.is_empty(), "{execs:?}"),
        other => panic!("{other:?}"),
    }
    assert!(rig.said().is_empty(), "an exec's output is no log");
    assert!(matches!(rig.ask(Request::Kill { exec: None, signal: 9 }), Answer::Ok));
    assert_eq!(rig.exited().code, 137);
    rig.over();
}

#[test]
fn a_grandchild_that_holds_the_pipe_does_not_hold_the_exit() {
    if !able() {
        return;
    }
    let mut rig = Rig::new("while :; do sleep 0.05; done");
    rig.start();
    let process = rig::process(&["/bin/sh", "-c", "(sleep 1; echo late; sleep 60) & echo now"]);
    let exec = Exec { exec: "x".into(), process, terminal: false, console_size: [0, 0], open_stdin: false };
    rig.ask(Request::Exec(Box::new(exec)));
    let client = rig.attach(Some("x"), false);
    let began = Instant::now();
    rig.ask(Request::ExecStart { exec: "x".into() });
    assert_eq!(text(frames(client).0), "now\nlate\n");
    assert!(matches!(rig.event(), Some(Event::ExecExited { code: 0, .. })));
    assert!((1..4).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
    rig.ask(Request::Kill { exec: None, signal: 9 });
    rig.exited();
    rig.over();
}

#[test]
fn a_slow_reader_gets_every_byte_and_a_long_log_every_line() {
    if !able() {
        return;
    }
    let mut rig = Rig::new("seq 1 100000");
    let mut slow = rig.attach(None, false);
    rig.start();
    std::thread::sleep(Duration::from_millis(300));
    let (mut all, mut room) = (Vec::new(), [0; 8192]);
    loop {
        match slow.read(&mut room).expect("output") {
            0 => break,
            n => all.extend(&room[..n]),
        }
        if all.len() < 100_000 {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    let mut out = Vec::new();
    Deframer::new().feed(&all, |_, bytes| out.extend_from_slice(bytes)).expect("frames");
    let want: String = (1..=100_000).map(|n| format!("{n}\n")).collect();
    assert!(text(out) == want);
    assert_eq!(rig.exited().code, 0);
    assert!(rig.said() == want);
    rig.over();
}

#[test]
fn a_container_that_ends_before_its_runtime_is_no_race() {
    if !able() {
        return;
    }
    for _ in 0..15 {
        let mut rig = Rig::with(&["/bin/true"], |_, _| {});
        rig.start();
        assert_eq!(rig.exited().code, 0);
        rig.over();
    }
}

#[test]
fn a_shim_that_was_never_told_to_start_ends_with_its_daemon() {
    if !able() {
        return;
    }
    let mut rig = Rig::new("true");
    rig.die();
    rig.over();
}

#[test]
fn an_out_of_memory_kill_is_noted_whether_the_container_dies_of_it_or_not() {
    if !able() {
        return;
    }
    // dd wants a buffer larger than the whole container may have
    let eat = "dd if=/dev/zero of=/dev/null bs=64M count=1";
    let limited = |script: &str| {
        let mut rig = Rig::with(&["/bin/sh", "-c", script], |config, _| {
            config["linux"]["resources"] =
                json!({ "memory": { "limit": 16 << 20, "swap": 16 << 20 }, "devices": [{ "allow": true, "access": "rwm" }] });
        });
        rig.start();
        rig
    };
    let mut survivor = limited(&format!("sleep 0.2; {eat}; exit 5"));
    let exit = survivor.exited();
    assert_eq!((exit.code, exit.oom_killed), (5, true));
    survivor.over();
    let mut victim = limited(&format!("exec {eat}"));
    let exit = victim.exited();
    assert_eq!((exit.code, exit.oom_killed), (137, true));
    victim.over();
}

#[test]
fn a_shim_cannot_be_confused_by_what_is_said_to_it() {
    if !able() {
        return;
    }
    let mut rig = Rig::new("sleep 100");
    let refused = |answer: Answer, why: &str| match answer {
        Answer::Failed(wire) => assert!(wire.because.contains(why), "{wire:?}"),
        other => panic!("{other:?}"),
    };
    refused(rig.ask(Request::Kill { exec: None, signal: 9 }), "not running yet");
    let process = rig::process(&["/bin/true"]);
    let exec = |exec: &str| Exec {
        exec: exec.into(),
        process: process.clone(),
        terminal: false,
        console_size: [0, 0],
        open_stdin: false,
    };
    refused(rig.ask(Request::Exec(Box::new(exec("x")))), "is not running");
    let launch = rig.launch.clone();
    refused(rig.ask(Request::Launch(Box::new(launch))), "launched already");
    rig.start();
    refused(rig.ask(Request::Start), "started already");
    refused(rig.ask(Request::ExecStart { exec: "nosuch".into() }), "No such exec");
    refused(rig.ask(Request::Exec(Box::new(exec("../../etc/passwd")))), "letters and digits");
    // strangers at the door: noise, silence, half a line, a mebibyte without a newline
    for noise in [b"GET / HTTP/1.1\r\n\r\n".as_slice(), b"{\"control\"", b"", b"\n\n\n", &vec![b'x'; 2 << 20]] {
        let mut stranger = minidock_shim::socket::connect(&rig.launch.socket).expect("the shim listens");
        let _ = stranger.write_all(noise); // it may hang up in the middle
        drop(stranger);
    }
    let crowd: Vec<_> =
        (0..60).map(|_| minidock_shim::socket::connect(&rig.launch.socket).expect("the shim listens")).collect();
    let (mut typist, mut gone) = (rig.attach(None, true), rig.attach(None, false));
    typist.write_all(b"nobody reads this").expect("room");
    gone.write_all(b"nor this").expect("room");
    drop((crowd, typist, gone));
    match rig.ask(Request::State) {
        Answer::State { pid, exit: None, .. } => assert!(pid > 0),
        other => panic!("{other:?}"),
    }
    assert!(matches!(rig.ask(Request::Kill { exec: None, signal: 9 }), Answer::Ok));
    assert_eq!(rig.exited().code, 137);
    rig.over();
}
