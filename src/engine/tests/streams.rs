//! # Streams: attach, logs, exec, terminals

mod stage;

use minidock_base::Kind;
use minidock_engine::container::{
    attach::{self, AttachOptions},
    exec, pause, start, stop, wait,
};
use minidock_spec::engine::exec::{ExecCreate, ExecStart};
use stage::{Stage, may_run, read_all, wait_for};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

fn all() -> AttachOptions {
    AttachOptions { stdin: true, stdout: true, stderr: true, stream: true, ..AttachOptions::default() }
}

async fn exec_in(stage: &Stage, id: &str, wish: ExecCreate) -> (String, String, i64) {
    let exec_id = exec::create(&stage.engine, id, wish).await.expect("prepared").id;
    let attached = exec::start(&stage.engine, &exec_id, ExecStart::default()).await.expect("started").expect("watched");
    let (ours, theirs) = tokio::io::duplex(1 << 16);
    let tty = attached.tty;
    let joined = tokio::spawn(attached.join(theirs));
    let (out, err) = read_all(ours, tty).await;
    joined.await.expect("no panic").expect("joined");
    let mut code = None;
    for _ in 0..100 {
        code = exec::inspect(&stage.engine, &exec_id).await.expect("known").exit_code;
        if code.is_some() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    (out, err, code.expect("it ended"))
}

fn wish(words: &[&str]) -> ExecCreate {
    ExecCreate {
        cmd: words.iter().map(|w| w.to_string()).collect(),
        attach_stdout: true,
        attach_stderr: true,
        ..ExecCreate::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_typed_is_read_and_the_end_of_it_too() {
    if !may_run() {
        return;
    }
    let stage = Stage::new().await;
    let mut body = stage.body(&["cat"]);
    (body.config.open_stdin, body.config.stdin_once) = (true, true);
    let id = stage.create(body).await.expect("created");
    let attached = attach::attach(&stage.engine, &id, all()).await.expect("attached before the start");
    let (ours, theirs) = tokio::io::duplex(1 << 16);
    let joined = tokio::spawn(attached.join(theirs));
    let ended = wait::wait(&stage.engine, &id, "next-exit").await.expect("armed");
    start::start(&stage.engine, &id).await.expect("started");
    let (from, mut to) = tokio::io::split(ours);
    to.write_all(b"hello\n").await.expect("open");
    to.shutdown().await.expect("a half-close");
    assert_eq!(read_all(from, false).await.0, "hello\n");
    joined.await.expect("no panic").expect("joined");
    assert_eq!(ended.await.status_code, 0);
    assert_eq!(stage.leaks().await, [String::new(); 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn several_clients_see_the_same_and_detach_keys_leave_it_running() {
    if !may_run() {
        return;
    }
    let stage = Stage::new().await;
    let mut body = stage.body(&["sh"]);
    (body.config.tty, body.config.open_stdin) = (true, true);
    let id = stage.create(body).await.expect("created");
    start::start(&stage.engine, &id).await.expect("started");
    attach::resize(&stage.engine, &id, 33, 101).await.expect("a terminal");
    let mut clients = Vec::new();
    for _ in 0..2 {
        let attached = attach::attach(&stage.engine, &id, all()).await.expect("attached");
        assert!(attached.tty);
        let (ours, theirs) = tokio::io::duplex(1 << 16);
        clients.push((ours, tokio::spawn(attached.join(theirs))));
    }
    clients[0].0.write_all(b"stty size; echo a\"\"b\n").await.expect("open");
    for (client, _) in &mut clients {
        let mut seen = String::new();
        let mut buffer = [0; 1024];
        while !(seen.contains("33 101") && seen.contains("ab\r\n")) {
            let n =
                tokio::time::timeout(Duration::from_secs(5), client.read(&mut buffer)).await.expect("in time").expect("open");
            assert!(n > 0, "{seen}");
            seen.push_str(&String::from_utf8_lossy(&buffer[..n]));
        }
    }
    clients[0].0.write_all(b"\x10\x11").await.expect("open");
    let (_, joined) = clients.remove(0);
    tokio::time::timeout(Duration::from_secs(5), joined).await.expect("detached").expect("no panic").expect("joined");
    assert!(stage.engine.containers.find(&id).expect("there").record().state.is_running());
    clients[0].0.write_all(b"exit 4\n").await.expect("open");
    let container = stage.engine.containers.find(&id).expect("there");
    wait_for("the shell ends", || !container.record().state.is_running()).await;
    assert_eq!(container.record().state.exit_code, 4);
    assert_eq!(stage.leaks().await, [String::new(); 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exec_is_a_second_process_with_its_own_code() {
    if !may_run() {
        return;
    }
    let stage = Stage::new().await;
    let mut body = stage.body(&["sleep", "1000"]);
    body.config.env = vec!["A=1".into()];
    let id = stage.create(body).await.expect("created");
    let early = exec::create(&stage.engine, &id, wish(&["true"])).await.expect_err("not running");
    assert_eq!((early.kind(), early.message()), (Kind::Conflict, format!("container {id} is not running")));
    start::start(&stage.engine, &id).await.expect("started");

    let mut sh =
        wish(&["sh", "-c", "echo $A $B $HOME; pwd; id -u; echo err >&2; grep -E 'CapEff|Seccomp_f' /proc/self/status; exit 6"]);
    sh.env = vec!["B=2".into()];
    sh.working_dir = "/tmp".into();
    let (out, err, code) = exec_in(&stage, &id, sh.clone()).await;
    assert_eq!(out, "1 2 /root\n/tmp\n0\nCapEff:\t00000000a80425fb\nSeccomp_filters:\t1\n");
    assert_eq!((err.as_str(), code), ("err\n", 6));
    sh.user = "www".into();
    assert!(exec_in(&stage, &id, sh.clone()).await.0.starts_with("1 2 /home\n/tmp\n33\nCapEff:\t0000000000000000"));
    sh.user = "ghost".into();
    let (out, _, code) = exec_in(&stage, &id, sh).await;
    assert!(out.contains("unable to find user ghost") && code == 126, "{out} {code}");

    let (out, _, code) = exec_in(&stage, &id, wish(&["nosuch"])).await;
    assert!(out.contains("executable file not found in $PATH") && (code == 126 || code == 127), "{out} {code}");
    let mut terminal = wish(&["sh", "-c", "tty; stty size; echo $TERM"]);
    (terminal.tty, terminal.console_size) = (true, Some([20, 70]));
    let (out, ..) = exec_in(&stage, &id, terminal).await;
    assert!(out.contains("/dev/pts/") && out.contains("20 70") && out.contains("xterm"), "{out}");
    let mut all = wish(&["grep", "CapEff", "/proc/self/status"]);
    all.privileged = true;
    assert!(!exec_in(&stage, &id, all).await.0.contains("a80425fb"));

    let detached = exec::create(&stage.engine, &id, wish(&["touch", "/tmp/d"])).await.expect("prepared").id;
    let how = ExecStart { detach: true, ..ExecStart::default() };
    assert!(exec::start(&stage.engine, &detached, how.clone()).await.expect("started").is_none());
    assert_eq!(exec::start(&stage.engine, &detached, how).await.err().map(|e| e.kind()), Some(Kind::Conflict));
    pause::pause(&stage.engine, &id).await.expect("frozen");
    assert_eq!(exec::create(&stage.engine, &id, wish(&["true"])).await.expect_err("frozen").kind(), Kind::Conflict);
    pause::unpause(&stage.engine, &id).await.expect("thawed");
    stop::kill(&stage.engine, &id, None).await.expect("killed");
    assert_eq!(stage.leaks().await, [String::new(); 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_container_can_be_stopped() {
    if !may_run() {
        return;
    }
    let stage = Stage::new().await;
    let id = stage.create(stage.body(&["sleep", "1000"])).await.expect("created");
    start::start(&stage.engine, &id).await.expect("started");
    pause::pause(&stage.engine, &id).await.expect("frozen");
    assert_eq!(
        start::start(&stage.engine, &id).await.expect_err("frozen").message(),
        "cannot start a paused container, try unpause instead"
    );
    stop::stop(&stage.engine, &id, Some(1), None).await.expect("stopped");
    assert!(!stage.engine.containers.find(&id).expect("there").record().state.is_running());
    assert_eq!(stage.leaks().await, [String::new(); 0]);
}
