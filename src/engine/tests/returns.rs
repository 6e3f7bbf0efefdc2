//! # The daemon comes back: restore, restart policies, lost shims

mod stage;

use futures_util::StreamExt;
use minidock_engine::container::{
    attach::{self, AttachOptions},
    create, rename, start, stop, update, wait,
};
use minidock_linux::{proc::Process, signal};
use minidock_spec::engine::container::{CreateBody, Resources, RestartPolicy, UpdateBody};
use stage::{Stage, may_run, wait_for};
use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

/// Gone, or dead and only not buried yet by whoever inherited it.
fn is_over(pid: i32) -> bool {
    Process::read(pid).is_none_or(|process| process.is_over())
}

fn with_policy(mut body: CreateBody, name: &str, most: i64) -> CreateBody {
    body.host_config.restart_policy = RestartPolicy { name: name.into(), maximum_retry_count: most };
    body
}

#[tokio::test(flavor = "multi_thread")]
async fn on_failure_tries_as_often_as_it_may() {
    if !may_run() {
        return;
    }
    let stage = Stage::new().await;
    let id =
        stage.create(with_policy(stage.body(&["sh", "-c", "echo again; exit 3"]), "on-failure", 2)).await.expect("created");
    start::start(&stage.engine, &id).await.expect("started");
    let container = stage.engine.containers.find(&id).expect("there");
    wait_for("three runs", || container.record().restart_count == 2 && !container.record().state.is_running()).await;
    assert_eq!(stage.logs(&id).await.0, "again\nagain\nagain\n");
    assert_eq!(container.record().state.exit_code, 3);
    assert_eq!(stage.leaks().await, [String::new(); 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn stop_ends_a_restarting_container_and_rm_takes_it_away() {
    if !may_run() {
        return;
    }
    let stage = Stage::new().await;
    let id = stage.create(with_policy(stage.body(&["false"]), "always", 0)).await.expect("created");
    start::start(&stage.engine, &id).await.expect("started");
    let container = stage.engine.containers.find(&id).expect("there");
    wait_for("it restarts", || container.record().restart_count >= 3).await;
    stop::stop(&stage.engine, &id, Some(1), None).await.expect("stopped");
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert!(!container.record().state.is_running(), "{:?}", container.record().state);
    assert_eq!(stage.leaks().await, [String::new(); 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn rm_goes_with_the_process_and_waiters_hear_it() {
    if !may_run() {
        return;
    }
    let stage = Stage::new().await;
    let mut events = stage.engine.events.subscribe(None, None, Default::default());
    let mut body = stage.body(&["sh", "-c", "exit 9"]);
    body.host_config.auto_remove = true;
    body.config.volumes = Some([("/vol".to_string(), serde_json::json!({}))].into());
    let id = create::create(&stage.engine, Some("once"), body, None).await.expect("created").id;
    let removed = wait::wait(&stage.engine, &id, "removed").await.expect("armed");
    start::start(&stage.engine, &id).await.expect("started");
    let answer = tokio::time::timeout(Duration::from_secs(10), removed).await.expect("removed");
    assert_eq!(answer.status_code, 9);
    assert!(stage.engine.containers.find(&id).is_err());
    wait_for("its volume goes too", || stage.engine.volumes.all().is_empty()).await;
    let mut seen = Vec::new();
    while seen.last().map(String::as_str) != Some("destroy") {
        let event =
            tokio::time::timeout(Duration::from_secs(5), events.next()).await.expect("in time").expect("open").expect("good");
        if event.kind == "container" {
            if event.action == "die" {
                assert_eq!(event.actor.attributes.get("exitCode").map(String::as_str), Some("9"));
            }
            seen.push(event.action);
        }
    }
    assert_eq!(seen, ["create", "start", "die", "destroy"]);
    create::create(&stage.engine, Some("once"), stage.body(&["true"]), None).await.expect("the name is free");
    assert_eq!(stage.leaks().await, [String::new(); 0]);
}

/// The old daemon of the next test: a process of its own, so that it can be killed at a stroke.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "run by a_new_daemon_finds_what_the_old_one_left"]
async fn the_old_daemon() {
    let Some(folder) = std::env::var_os("OLD_DAEMON_FOLDER").map(PathBuf::from) else { return };
    let stage = Stage::at(&folder).await;
    let engine = &stage.engine;
    let named = |name: &'static str, body: CreateBody| async move {
        let id = create::create(engine, Some(name), body, None).await.expect("created").id;
        start::start(engine, &id).await.expect("started");
    };
    named("steady", stage.body(&["sh", "-c", "while :; do echo tick; sleep 0.1; done"])).await;
    named("fades", stage.body(&["sh", "-c", "sleep 1; exit 42"])).await;
    let mut body = stage.body(&["sleep", "1"]);
    body.host_config.auto_remove = true;
    named("passing", body).await;
    named("faithful", with_policy(stage.body(&["sleep", "1"]), "always", 0)).await;
    named("orphan", stage.body(&["sleep", "1000"])).await;
    named("stopped", with_policy(stage.body(&["sleep", "1000"]), "unless-stopped", 0)).await;
    stop::stop(engine, "stopped", Some(0), None).await.expect("stopped");
    let broken = create::create(engine, Some("broken"), stage.body(&["true"]), None).await.expect("created").id;
    std::fs::write(engine.paths.container_record(&broken), "{\"id\":").expect("room");
    std::fs::create_dir(engine.paths.container(&"f".repeat(64))).expect("half-made");
    let state = |name: &str| engine.containers.find(name).expect("there").record().state.clone();
    let facts = serde_json::json!({
        "steady_pid": state("steady").pid,
        "orphan_pid": state("orphan").pid,
        "orphan_shim": state("orphan").shim_pid,
        "broken": broken,
    });
    std::fs::write(folder.join("facts.tmp"), facts.to_string()).expect("room");
    std::fs::rename(folder.join("facts.tmp"), folder.join("facts")).expect("same folder");
    std::future::pending().await
}

/// Everything of a dead daemon that a new one finds, in one go, for that is how it comes.
#[tokio::test(flavor = "multi_thread")]
async fn a_new_daemon_finds_what_the_old_one_left() {
    if !may_run() {
        return;
    }
    let folder = tempfile::Builder::new().prefix("md-").tempdir().expect("a folder").keep();
    let mut old = std::process::Command::new(std::env::current_exe().expect("this test"))
        .args(["--ignored", "--exact", "the_old_daemon"])
        .env("OLD_DAEMON_FOLDER", &folder)
        .stdout(std::process::Stdio::null())
        .spawn()
        .expect("this test runs");
    wait_for("the old daemon stands", || folder.join("facts").exists()).await;
    old.kill().expect("ours");
    old.wait().expect("ours");
    let facts: serde_json::Value = serde_json::from_slice(&std::fs::read(folder.join("facts")).expect("there")).expect("ours");
    let number = |name: &str| facts[name].as_i64().expect("a number") as i32;
    signal::kill(number("orphan_shim"), 9).expect("it outlived the daemon");
    tokio::time::sleep(Duration::from_millis(1500)).await;

    let second = Stage::again(folder).await;
    let find = |name: &str| second.engine.containers.find(name).expect("kept").record();
    let steady = find("steady");
    assert_eq!((steady.state.phase.word(), steady.state.pid), ("running", number("steady_pid")));
    assert!(second.logs("steady").await.0.contains("tick"));
    let options = AttachOptions { stdout: true, stream: true, ..AttachOptions::default() };
    let attached = attach::attach(&second.engine, "steady", options).await.expect("attachable");
    let (mut ours, theirs) = tokio::io::duplex(4096);
    let joined = tokio::spawn(attached.join(theirs));
    let mut buffer = [0; 64];
    let n = tokio::io::AsyncReadExt::read(&mut ours, &mut buffer).await.expect("open");
    assert!(String::from_utf8_lossy(&buffer[..n]).contains("tick"));
    drop(ours);
    joined.abort();
    assert_eq!((find("fades").state.phase.word(), find("fades").state.exit_code), ("exited", 42));
    wait_for("--rm is done", || second.engine.containers.find("passing").is_err()).await;
    wait_for("always is started again", || find("faithful").state.has_process()).await;
    wait_for("the orphan is over", || !find("orphan").state.is_running()).await;
    assert_eq!(find("orphan").state.exit_code, 137);
    assert!(is_over(number("orphan_pid")), "no process of the orphan is left");
    assert_eq!(find("stopped").state.phase.word(), "exited");
    let broken = facts["broken"].as_str().expect("an id");
    assert!(second.engine.containers.find(broken).is_err(), "the broken record is set aside, not loaded");
    let aside = std::fs::read_dir(second.engine.paths.container(broken)).expect("kept").flatten();
    assert!(aside.into_iter().any(|e| e.file_name().to_string_lossy().contains("broken")), "and not destroyed");
    assert!(!second.engine.paths.container(&"f".repeat(64)).exists());
    let began = Instant::now();
    stop::stop(&second.engine, "steady", Some(0), None).await.expect("stoppable");
    assert!(began.elapsed() < Duration::from_secs(5));
    std::fs::remove_dir_all(second.engine.paths.container(broken)).expect("our own");
    assert_eq!(second.leaks().await, [String::new(); 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_shim_is_noticed_and_nothing_of_it_stays() {
    if !may_run() {
        return;
    }
    let stage = Stage::new().await;
    for force in [false, true] {
        let id = stage.create(stage.body(&["sh", "-c", "sleep 1000 & sleep 1000"])).await.expect("created");
        start::start(&stage.engine, &id).await.expect("started");
        let container = stage.engine.containers.find(&id).expect("there");
        let state = container.record().state.clone();
        signal::kill(state.shim_pid, 9).expect("it runs");
        let began = Instant::now();
        match force {
            true => stage.remove(&id).await.expect("removed"),
            false => {
                let stopped = stop::stop(&stage.engine, &id, Some(1), None).await;
                assert!(
                    stopped.as_ref().map_or_else(|e| e.kind() == minidock_base::Kind::NotModified, |()| true),
                    "{stopped:?}"
                );
                assert_eq!(container.record().state.phase.word(), "exited");
            }
        }
        assert!(began.elapsed() < Duration::from_secs(5));
        assert!(is_over(state.pid));
    }
    assert_eq!(stage.leaks().await, [String::new(); 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn names_and_limits_change_while_it_runs() {
    if !may_run() {
        return;
    }
    let stage = Stage::new().await;
    let id = create::create(&stage.engine, Some("old"), stage.body(&["sleep", "1000"]), None).await.expect("created").id;
    start::start(&stage.engine, &id).await.expect("started");
    rename::rename(&stage.engine, "old", "new").await.expect("renamed");
    assert!(stage.engine.containers.find("old").is_err() && stage.engine.containers.find("new").is_ok());
    let body = UpdateBody { resources: Resources { memory: 32 << 20, ..Resources::default() }, ..UpdateBody::default() };
    update::update(&stage.engine, "new", body).await.expect("updated");
    let limit = std::fs::read_to_string(format!("/sys/fs/cgroup/memory/minidock/{id}/memory.limit_in_bytes"));
    if let Ok(limit) = limit {
        assert_eq!(limit.trim(), "33554432");
    }
    stop::restart(&stage.engine, "new", Some(0), None).await.expect("restarted");
    assert!(stage.engine.containers.find("new").expect("there").record().state.is_running());
    assert_eq!(stage.leaks().await, [String::new(); 0]);
}
