//! # Containers over the API: statuses, shapes, streams
//!
//! What Docker's clients take for granted, byte by byte. *See:* `src/api/containers.rs`, `src/api/streams.rs`,
//! `src/api/hijack.rs`, `src/api/door.rs`.

mod http;
mod props;

use http::{Response, Wire, call, frames};
use props::{Daemon, wait_for};
use serde_json::{Value, json};
use std::{
    io::{Read, Write},
    time::{Duration, Instant},
};

fn post(daemon: &Daemon, path: &str, body: Value) -> Response {
    let text = if body.is_null() { String::new() } else { body.to_string() };
    call(&daemon.socket(), "POST", path, &text)
}

fn get(daemon: &Daemon, path: &str) -> Response {
    call(&daemon.socket(), "GET", path, "")
}

/// Creates a container of `sh -c script` and gives back its id.
fn create(daemon: &Daemon, name: &str, script: &str, more: Value) -> String {
    let mut body = json!({"Image": "alpine", "Cmd": ["sh", "-c", script]});
    body.as_object_mut().expect("an object").extend(more.as_object().cloned().unwrap_or_default());
    post(daemon, &format!("/containers/create?name={name}"), body).is(201).json()["Id"].as_str().expect("an id").to_string()
}

fn start(daemon: &Daemon, id: &str) {
    post(daemon, &format!("/containers/{id}/start"), Value::Null).is(204);
}

fn wait(daemon: &Daemon, id: &str) -> i64 {
    post(daemon, &format!("/containers/{id}/wait"), Value::Null).is(200).json()["StatusCode"].as_i64().expect("a code")
}

#[test]
fn statuses_are_dockers_from_create_to_remove() {
    let daemon = Daemon::start();
    let missing = post(&daemon, "/containers/create", json!({"Image": "nosuch"})).is(404);
    assert_eq!(missing.message(), "No such image: nosuch:latest");
    let id = create(&daemon, "web", "sleep 1000", Value::Null);
    assert_eq!(id.len(), 64);
    let taken = post(&daemon, "/containers/create?name=web", json!({"Image": "alpine"})).is(409);
    assert!(taken.message().starts_with("Conflict. The container name \"/web\" is already in use by container \""));
    post(&daemon, "/containers/create?name=.x", json!({"Image": "alpine"})).is(400);
    start(&daemon, "web");
    assert!(post(&daemon, "/containers/web/start", Value::Null).is(304).body.is_empty());
    assert!(call(&daemon.socket(), "DELETE", "/containers/web", "").is(409).message().contains("stop the container before"));
    post(&daemon, "/containers/web/pause", Value::Null).is(204);
    post(&daemon, "/containers/web/pause", Value::Null).is(409);
    post(&daemon, "/containers/web/unpause", Value::Null).is(204);
    post(&daemon, "/containers/web/rename?name=shop", Value::Null).is(204);
    post(&daemon, "/containers/web/kill", Value::Null).is(404);
    post(&daemon, "/containers/shop/resize?h=10&w=20", Value::Null);
    post(&daemon, "/containers/shop/resize?h=x", Value::Null).is(400);
    post(&daemon, "/containers/shop/kill?signal=NOSUCH", Value::Null).is(400);
    post(&daemon, "/containers/shop/stop?t=0", Value::Null).is(204);
    post(&daemon, "/containers/shop/stop?t=0", Value::Null).is(304);
    assert!(post(&daemon, "/containers/shop/kill", Value::Null).is(409).message().contains("is not running"));
    call(&daemon.socket(), "DELETE", "/containers/shop", "").is(204);
    call(&daemon.socket(), "DELETE", "/containers/shop", "").is(404);
}

#[test]
fn wait_sends_its_head_at_once_and_never_misses_a_short_life() {
    let daemon = Daemon::start();
    for condition in ["next-exit", "removed"] {
        let id = create(&daemon, "short", "exit 3", json!({"HostConfig": {"AutoRemove": condition == "removed"}}));
        let mut wire = Wire::open(&daemon.socket());
        let began = Instant::now();
        wire.send("POST", &format!("/containers/{id}/wait?condition={condition}"), "", b"");
        let head = wire.head().is(200);
        assert!(began.elapsed() < Duration::from_secs(2), "the head did not come at once");
        start(&daemon, &id);
        let body: Value = serde_json::from_slice(&wire.body(&head)).expect("JSON");
        assert_eq!(body["StatusCode"], 3, "{condition}");
        if condition == "removed" {
            get(&daemon, &format!("/containers/{id}/json")).is(404);
        } else {
            assert_eq!(wait(&daemon, &id), 3, "afterwards it answers at once");
            call(&daemon.socket(), "DELETE", &format!("/containers/{id}"), "").is(204);
        }
    }
    post(&daemon, "/containers/nosuch/wait", Value::Null).is(404);
    let id = create(&daemon, "other", "true", Value::Null);
    post(&daemon, &format!("/containers/{id}/wait?condition=nosuch"), Value::Null).is(400);
}

#[test]
fn attach_before_the_start_gets_everything_in_frames() {
    let daemon = Daemon::start();
    let id = create(&daemon, "talk", "echo out; echo err >&2; cat; exit 5", json!({"OpenStdin": true, "StdinOnce": true}));
    let mut wire = Wire::open(&daemon.socket());
    let path = format!("/v1.45/containers/{id}/attach?stream=1&stdin=1&stdout=1&stderr=1");
    wire.send("POST", &path, "Connection: Upgrade\r\nUpgrade: tcp\r\n", b"");
    let head = wire.head().is(101);
    assert!(head.head.starts_with("HTTP/1.1 101 UPGRADED\r\n"), "{}", head.head);
    assert_eq!(head.header("Content-Type"), "application/vnd.docker.multiplexed-stream");
    assert_eq!((head.header("Connection"), head.header("Upgrade")), ("Upgrade".into(), "tcp".into()));
    start(&daemon, &id);
    wire.write(b"typed\n");
    wire.stream.get_ref().shutdown(std::net::Shutdown::Write).expect("half of it");
    let mut stream = Vec::new();
    wire.stream.read_to_end(&mut stream).expect("the whole stream in time");
    let said = |n: u8| frames(&stream).into_iter().filter(|(s, _)| *s == n).map(|(_, text)| text).collect::<String>();
    assert_eq!((said(1), said(2)), ("out\ntyped\n".into(), "err\n".into()));
    assert_eq!(wait(&daemon, &id), 5);
}

#[test]
fn an_old_client_gets_a_200_and_a_raw_stream() {
    let daemon = Daemon::start();
    let id = create(&daemon, "old", "echo hello", Value::Null);
    let mut wire = Wire::open(&daemon.socket());
    wire.send("POST", &format!("/v1.24/containers/{id}/attach?stream=1&stdout=1"), "", b"");
    let head = wire.head().is(200);
    assert_eq!(head.header("Content-Type"), "application/vnd.docker.raw-stream");
    assert_eq!((head.header("Upgrade"), head.header("Transfer-Encoding")), (String::new(), String::new()));
    start(&daemon, &id);
    let mut stream = Vec::new();
    wire.stream.read_to_end(&mut stream).expect("the whole stream in time");
    assert_eq!(frames(&stream), [(1, "hello\n".to_string())]);
    let refused = post(&daemon, "/containers/nosuch/attach?stream=1", Value::Null).is(404);
    assert_eq!(refused.message(), "No such container: nosuch", "a refusal stays an ordinary answer");
}

#[test]
fn logs_are_frames_without_a_terminal_and_raw_with_one() {
    let daemon = Daemon::start();
    let id = create(&daemon, "plain", "echo one; echo two >&2; echo three", Value::Null);
    start(&daemon, &id);
    wait(&daemon, &id);
    let all = get(&daemon, &format!("/containers/{id}/logs?stdout=1&stderr=1")).is(200);
    assert_eq!(all.header("Content-Type"), "application/vnd.docker.multiplexed-stream");
    let mut lines = frames(&all.body);
    lines.sort();
    assert_eq!(lines, [(1, "one\n".into()), (1, "three\n".into()), (2, "two\n".into())]);
    let last = get(&daemon, &format!("/containers/{id}/logs?stdout=1&stderr=1&tail=1&timestamps=1")).is(200);
    let (_, line) = &frames(&last.body)[0];
    let (time, text) = line.split_once(' ').expect("a time and a text");
    assert!(time.len() == 30 && time.ends_with('Z') && text.ends_with('\n'), "{line}");
    assert!(get(&daemon, &format!("/containers/{id}/logs")).is(400).message().contains("at least one stream"));
    get(&daemon, "/containers/nosuch/logs?stdout=1").is(404);
    let tty = create(&daemon, "terminal", "echo hello", json!({"Tty": true}));
    start(&daemon, &tty);
    wait(&daemon, &tty);
    let raw = get(&daemon, &format!("/containers/{tty}/logs?stdout=1")).is(200);
    assert_eq!(raw.header("Content-Type"), "application/vnd.docker.raw-stream");
    assert_eq!(raw.body, b"hello\r\n");
}

#[test]
fn followed_logs_end_with_the_container_and_are_dropped_with_the_client() {
    let daemon = Daemon::start();
    let id = create(&daemon, "ticker", "for n in 1 2 3; do echo $n; sleep 0.1; done", Value::Null);
    start(&daemon, &id);
    let followed = get(&daemon, &format!("/containers/{id}/logs?stdout=1&follow=1")).is(200);
    assert_eq!(frames(&followed.body).into_iter().map(|(_, text)| text).collect::<String>(), "1\n2\n3\n");
    let long = create(&daemon, "long", "sleep 1000", Value::Null);
    start(&daemon, &long);
    let descriptors = || std::fs::read_dir(format!("/proc/{}/fd", daemon.pid())).expect("alive").count();
    let before = descriptors();
    let clients: Vec<Wire> = (0..20)
        .map(|n| {
            let mut wire = Wire::open(&daemon.socket());
            let path = match n % 3 {
                0 => format!("/containers/{long}/logs?stdout=1&follow=1"),
                1 => format!("/containers/{long}/stats"),
                _ => "/events".to_string(),
            };
            wire.send("GET", &path, "", b"");
            wire.head().is(200);
            wire
        })
        .collect();
    drop(clients);
    // beside the streams: two network namespaces that are kept ready, a descriptor and a socket each
    wait_for("streams to be dropped with their clients", || descriptors() <= before + 5);
    post(&daemon, &format!("/containers/{long}/wait?condition=next-exit"), Value::Null);
}

#[test]
fn a_client_that_goes_away_does_not_undo_what_it_asked_for() {
    let daemon = Daemon::start();
    for n in 0..10 {
        let id = create(&daemon, &format!("c{n}"), "sleep 1000", Value::Null);
        let mut wire = Wire::open(&daemon.socket());
        wire.send("POST", &format!("/containers/{id}/start"), "", b"");
        drop(wire); // at once: most often before the daemon has read a byte
        wait_for("the container to run all the same", || {
            get(&daemon, &format!("/containers/{id}/json")).json()["State"]["Running"] == true
        });
    }
}

#[test]
fn exec_has_three_steps_and_its_exit_code_is_kept() {
    let daemon = Daemon::start();
    let id = create(&daemon, "host", "sleep 1000", Value::Null);
    let wish = json!({"Cmd": ["sh", "-c", "echo out; echo err >&2; exit 9"], "AttachStdout": true, "AttachStderr": true});
    assert!(post(&daemon, &format!("/containers/{id}/exec"), wish.clone()).is(409).message().contains("is not running"));
    start(&daemon, &id);
    let exec = post(&daemon, &format!("/containers/{id}/exec"), wish).is(201).json()["Id"].as_str().expect("an id").to_string();
    let before = get(&daemon, &format!("/exec/{exec}/json")).is(200).json();
    assert_eq!((&before["Running"], &before["ExitCode"]), (&json!(false), &Value::Null));
    let mut wire = Wire::open(&daemon.socket());
    let headers = "Content-Type: application/json\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n";
    wire.send("POST", &format!("/exec/{exec}/start"), headers, br#"{"Detach":false,"Tty":false}"#);
    wire.head().is(101);
    let mut stream = Vec::new();
    wire.stream.read_to_end(&mut stream).expect("the whole stream in time");
    let mut said = frames(&stream);
    said.sort();
    assert_eq!(said, [(1, "out\n".into()), (2, "err\n".into())]);
    wait_for("the exit code", || get(&daemon, &format!("/exec/{exec}/json")).json()["ExitCode"] == 9);
    let detached = json!({"Cmd": ["touch", "/made"]});
    let exec =
        post(&daemon, &format!("/containers/{id}/exec"), detached).is(201).json()["Id"].as_str().expect("an id").to_string();
    assert!(post(&daemon, &format!("/exec/{exec}/start"), json!({"Detach": true})).is(200).body.is_empty());
    wait_for("the file", || call(&daemon.socket(), "HEAD", &format!("/containers/{id}/archive?path=/made"), "").status == 200);
    post(&daemon, &format!("/containers/{id}/exec"), json!({"Cmd": []})).is(400);
    post(&daemon, "/exec/nosuch/start", json!({})).is(404);
    get(&daemon, "/exec/nosuch/json").is(404);
}

#[test]
fn an_exec_on_a_used_connection_works_too() {
    let daemon = Daemon::start();
    let id = create(&daemon, "host", "sleep 1000", Value::Null);
    start(&daemon, &id);
    let mut wire = Wire::open(&daemon.socket());
    let body = json!({"Cmd": ["echo", "hi"], "AttachStdout": true}).to_string();
    wire.send("POST", &format!("/containers/{id}/exec"), "Content-Type: application/json\r\n", body.as_bytes());
    let head = wire.head().is(201);
    let exec: Value = serde_json::from_slice(&wire.body(&head)).expect("JSON");
    let path = format!("/exec/{}/start", exec["Id"].as_str().expect("an id"));
    wire.send("POST", &path, "Content-Type: application/json\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n", b"{}");
    wire.head().is(101);
    let mut stream = Vec::new();
    wire.stream.read_to_end(&mut stream).expect("the whole stream in time");
    assert_eq!(frames(&stream), [(1, "hi\n".to_string())]);
}

#[test]
fn the_first_byte_of_a_stream_waits_until_its_head_was_read() {
    let daemon = Daemon::start();
    let id = create(&daemon, "host", "sleep 1000", Value::Null);
    start(&daemon, &id);
    let wish = json!({"Cmd": ["echo", "hi"], "AttachStdout": true});
    let exec = post(&daemon, &format!("/containers/{id}/exec"), wish).is(201).json()["Id"].as_str().expect("an id").to_string();
    let mut socket = std::os::unix::net::UnixStream::connect(daemon.socket()).expect("it listens");
    let request = format!(
        "POST /exec/{exec}/start HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\nContent-Length: 2\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n{{}}"
    );
    socket.write_all(request.as_bytes()).expect("it listens");
    std::thread::sleep(Duration::from_millis(20));
    let mut buffer = [0; 8192];
    let n = socket.read(&mut buffer).expect("a head");
    assert!(buffer[..n].ends_with(b"\r\n\r\n"), "the stream came together with its head");
    let mut stream = Vec::new();
    socket.read_to_end(&mut stream).expect("the rest");
    assert_eq!(frames(&stream), [(1, "hi\n".to_string())]);
}

#[test]
fn inspect_and_list_have_dockers_shape() {
    let daemon = Daemon::start();
    let id = create(
        &daemon,
        "web",
        "exit 4",
        json!({"Labels": {"app": "shop"}, "Env": ["A=b"], "HostConfig": {"NetworkMode": "none"}}),
    );
    let made = get(&daemon, "/containers/web/json").is(200).json();
    assert_eq!(made["Name"], "/web");
    assert_eq!(made["State"]["Status"], "created");
    assert_eq!(
        (&made["State"]["StartedAt"], &made["State"]["FinishedAt"]),
        (&json!("0001-01-01T00:00:00Z"), &json!("0001-01-01T00:00:00Z"))
    );
    assert_eq!((&made["ExecIDs"], &made["Mounts"], &made["LogPath"]), (&Value::Null, &json!([]), &json!("")));
    assert_eq!(
        (&made["HostConfig"]["Binds"], &made["HostConfig"]["PortBindings"], &made["HostConfig"]["Dns"]),
        (&Value::Null, &json!({}), &json!([]))
    );
    assert!(made["Image"].as_str().expect("an id").starts_with("sha256:") && made["Config"]["Image"] == "alpine");
    assert!(made.get("SizeRw").is_none());
    assert!(get(&daemon, "/containers/web/json?size=1").json()["SizeRootFs"].as_i64().expect("bytes") > 0);
    assert_eq!(get(&daemon, &format!("/containers/{}/json", &id[..12])).json()["Id"], json!(id));
    assert_eq!(get(&daemon, "/containers//web/json").json()["Id"], json!(id), "a name may have its slash");
    assert_eq!(get(&daemon, "/containers/json").json(), json!([]));
    start(&daemon, &id);
    assert_eq!(wait(&daemon, &id), 4);
    let row = |query: &str| get(&daemon, &format!("/containers/json?{query}")).is(200).json();
    let all = row("all=1");
    assert_eq!(
        (&all[0]["Names"], &all[0]["State"], &all[0]["Command"]),
        (&json!(["/web"]), &json!("exited"), &json!("sh -c 'exit 4'"))
    );
    assert!(all[0]["Status"].as_str().expect("a sentence").starts_with("Exited (4) "));
    assert_eq!((&all[0]["Ports"], &all[0]["HostConfig"]["NetworkMode"]), (&json!([]), &json!("none")));
    let found = |filters: Value| {
        let text: String = filters.to_string().bytes().map(|b| format!("%{b:02x}")).collect();
        row(&format!("all=1&filters={text}")).as_array().expect("a list").len()
    };
    for yes in [
        json!({"status": ["exited"]}),
        json!({"exited": ["4"]}),
        json!({"name": ["we"]}),
        json!({"name": ["^/web$"]}),
        json!({"id": [&id[..6]]}),
        json!({"label": ["app=shop"]}),
        json!({"ancestor": ["alpine"]}),
        json!({"network": ["none"]}),
        json!({"health": ["none"]}),
        json!({"is-task": ["false"]}),
    ] {
        assert_eq!(found(yes.clone()), 1, "{yes}");
    }
    for no in [
        json!({"status": ["running"]}),
        json!({"exited": ["0"]}),
        json!({"name": ["x"]}),
        json!({"label": ["app=x"]}),
        json!({"volume": ["v"]}),
        json!({"since": ["web"]}),
    ] {
        assert_eq!(found(no.clone()), 0, "{no}");
    }
    get(&daemon, "/containers/json?filters=%7B%22status%22%3A%5B%22x%22%5D%7D").is(400);
    get(&daemon, "/containers/json?filters=%7B%22before%22%3A%5B%22x%22%5D%7D").is(404);
}

#[test]
fn a_command_that_is_missing_leaves_a_created_container_with_its_reason() {
    let daemon = Daemon::start();
    let id = post(&daemon, "/containers/create", json!({"Image": "alpine", "Cmd": ["nosuchcmd"]})).is(201).json()["Id"]
        .as_str()
        .expect("an id")
        .to_string();
    let refused = post(&daemon, &format!("/containers/{id}/start"), Value::Null).is(400);
    assert!(refused.message().contains("exec: \"nosuchcmd\": executable file not found in $PATH"), "{}", refused.message());
    let state = get(&daemon, &format!("/containers/{id}/json")).json()["State"].clone();
    assert_eq!((&state["Status"], &state["ExitCode"]), (&json!("created"), &json!(127)));
    assert!(state["Error"].as_str().expect("a reason").contains("nosuchcmd"));
}

#[test]
fn health_goes_from_starting_to_healthy_and_unhealthy_and_on_after_the_daemons_death() {
    let mut daemon = Daemon::start();
    let health =
        json!({"Healthcheck": {"Test": ["CMD-SHELL", "echo asked; test -e /ok"], "Interval": 50_000_000i64, "Retries": 2}});
    let id = create(&daemon, "web", "sleep 1000", health);
    start(&daemon, &id);
    let state = |daemon: &Daemon| get(daemon, &format!("/containers/{id}/json")).json()["State"]["Health"].clone();
    wait_for("unhealthy", || state(&daemon)["Status"] == "unhealthy");
    assert!(state(&daemon)["FailingStreak"].as_i64() >= Some(2));
    assert_eq!((&state(&daemon)["Log"][0]["ExitCode"], &state(&daemon)["Log"][0]["Output"]), (&json!(1), &json!("asked\n")));
    let status = get(&daemon, "/containers/json").json()[0]["Status"].as_str().expect("a sentence").to_string();
    assert!(status.ends_with("(unhealthy)"), "{status}");
    daemon.kill();
    daemon.up();
    let wish = json!({"Cmd": ["touch", "/ok"]});
    let exec = post(&daemon, &format!("/containers/{id}/exec"), wish).is(201).json()["Id"].as_str().expect("an id").to_string();
    post(&daemon, &format!("/exec/{exec}/start"), json!({"Detach": true})).is(200);
    wait_for("healthy", || state(&daemon)["Status"] == "healthy");
    assert!(state(&daemon)["Log"].as_array().expect("a list").len() <= 5);
    let told = get(&daemon, "/events?since=1&until=2&filters=%7B%22event%22%3A%5B%22health_status%22%5D%7D");
    drop(told);
}

#[test]
fn a_check_that_hangs_is_killed_and_counts_as_failed() {
    let daemon = Daemon::start();
    let health = json!({"Healthcheck": {"Test": ["CMD", "sleep", "77"], "Interval": 50_000_000i64, "Timeout": 100_000_000i64, "Retries": 1}});
    let id = create(&daemon, "web", "sleep 1000", health);
    start(&daemon, &id);
    let inspect = || get(&daemon, &format!("/containers/{id}/json")).json();
    wait_for("unhealthy", || inspect()["State"]["Health"]["Status"] == "unhealthy");
    let log = inspect()["State"]["Health"]["Log"].clone();
    assert_eq!((&log[0]["ExitCode"], &log[0]["Output"]), (&json!(-1), &json!("Health check exceeded timeout (100ms)")));
    post(&daemon, &format!("/containers/{id}/stop?t=0"), Value::Null).is(204);
    wait_for("no check to be left", || !still_there("sleep\0"));
    fn still_there(word: &str) -> bool {
        let all = std::fs::read_dir("/proc").expect("/proc").flatten();
        all.filter_map(|p| std::fs::read_to_string(p.path().join("cmdline")).ok())
            .any(|c| c.starts_with(word) && c.contains("\x0077\0"))
    }
}

#[test]
fn pruning_takes_what_is_stopped_and_what_the_filter_names() {
    let daemon = Daemon::start();
    for (name, label) in [("a1", "keep"), ("b1", "go")] {
        create(&daemon, name, "true", json!({"Labels": {"what": label}}));
    }
    let running = create(&daemon, "c1", "sleep 1000", json!({"Labels": {"what": "go"}}));
    start(&daemon, &running);
    let pruned =
        post(&daemon, "/containers/prune?filters=%7B%22label%22%3A%5B%22what%3Dgo%22%5D%7D", Value::Null).is(200).json();
    assert_eq!(pruned["ContainersDeleted"].as_array().map(Vec::len), Some(1));
    assert_eq!(get(&daemon, "/containers/json?all=1").json().as_array().map(Vec::len), Some(2));
    post(&daemon, "/containers/prune?filters=%7B%22x%22%3A%5B%22y%22%5D%7D", Value::Null).is(400);
}

#[test]
fn files_go_in_and_out_as_tar() {
    let daemon = Daemon::start();
    let id = create(&daemon, "files", "sleep 1000", Value::Null);
    let mut archive = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(5);
    header.set_mode(0o640);
    archive.append_data(&mut header, "note", &b"hello"[..]).expect("memory");
    let archive = archive.into_inner().expect("memory");
    let put = |path: &str, body: &[u8]| {
        http::call_with(
            &daemon.socket(),
            "PUT",
            &format!("/containers/{id}/archive?path={path}"),
            "Content-Type: application/x-tar\r\n",
            body,
        )
    };
    put("/root", &archive).is(200);
    put("/nosuch", &archive).is(404);
    put("/root", b"no tar at all").status.checked_sub(400).expect("a refusal");
    let head = call(&daemon.socket(), "HEAD", &format!("/containers/{id}/archive?path=/root/note"), "").is(200);
    assert!(!head.header("X-Docker-Container-Path-Stat").is_empty());
    let got = get(&daemon, &format!("/containers/{id}/archive?path=/root/note")).is(200);
    assert_eq!(got.header("Content-Type"), "application/x-tar");
    let mut entries = tar::Archive::new(&got.body[..]);
    let mut entry = entries.entries().expect("a tar").next().expect("an entry").expect("a good one");
    let mut text = String::new();
    entry.read_to_string(&mut text).expect("memory");
    assert_eq!((entry.path().expect("a name").display().to_string(), text), ("note".into(), "hello".into()));
    get(&daemon, &format!("/containers/{id}/archive?path=/nosuch")).is(404);
    get(&daemon, &format!("/containers/{id}/archive")).is(400);
    let changes = get(&daemon, &format!("/containers/{id}/changes")).is(200).json();
    assert_eq!(changes, json!([{"Path": "/root", "Kind": 0}, {"Path": "/root/note", "Kind": 1}]));
}

#[test]
fn lines_are_sent_to_who_collects_them_and_logs_shows_them_all_the_same() {
    let daemon = Daemon::start();
    let path = daemon.folder.join("ear");
    let ear = std::os::unix::net::UnixDatagram::bind(&path).expect("a socket");
    ear.set_read_timeout(Some(std::time::Duration::from_secs(20))).expect("a limit");
    let log = |kind: &str, options: Value| json!({"HostConfig": {"LogConfig": {"Type": kind, "Config": options}}});
    let options =
        json!({"syslog-address": format!("unixgram://{}", path.display()), "tag": "{{.Name}}", "syslog-facility": "local0"});
    create(&daemon, "said", "echo hello; echo boo >&2", log("syslog", options));
    start(&daemon, "said");
    let heard = |n| {
        let mut room = [0; 1000];
        let got = ear.recv(&mut room).unwrap_or_else(|error| panic!("line {n}: {error}"));
        String::from_utf8_lossy(&room[..got]).into_owned()
    };
    let (mut one, mut two) = (heard(1), heard(2));
    if one.starts_with("<131>") {
        std::mem::swap(&mut one, &mut two); // two streams have no order
    }
    assert!(one.starts_with("<134>") && one.contains(" said[") && one.ends_with("]: hello"), "{one}");
    assert!(two.starts_with("<131>") && two.ends_with("]: boo"), "{two}");
    assert_eq!(wait(&daemon, "said"), 0);
    let shown = daemon.run(&["logs", "said"]);
    assert_eq!((shown.out.as_str(), shown.err.as_str()), ("hello\n", "boo\n"));
    assert_eq!(daemon.inspect("said", "{{.LogPath}}"), "", "the file is ours");
    // who cannot be found is told at the start, what makes no sense when it is made
    create(&daemon, "lost", "true", log("syslog", json!({"syslog-address": "unix:///nosuch"})));
    assert!(post(&daemon, "/containers/lost/start", Value::Null).message().contains("failed to initialize logging driver"));
    let mut body = log("gelf", json!({}));
    body["Image"] = json!("alpine");
    assert_eq!(post(&daemon, "/containers/create", body).is(400).message(), "gelf-address is a required parameter");
}
