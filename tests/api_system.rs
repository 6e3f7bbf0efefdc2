//! # The API, as a whole: versions, headers, refusals, events
//!
//! What every client relies on before it asks for anything in particular. *See:* `src/api/lib.rs`, `src/api/system.rs`.

mod http;
mod props;

use http::{Wire, call, call_with};
use props::Daemon;
use serde_json::{Value, json};

#[test]
fn ping_says_everything_in_its_headers_with_and_without_a_version() {
    let daemon = Daemon::bare(&[]);
    for (method, path) in [("HEAD", "/_ping"), ("GET", "/_ping"), ("GET", "/v1.24/_ping"), ("GET", "/v1.45/_ping")] {
        let pong = call(&daemon.socket(), method, path, "").is(200);
        assert!(
            pong.head.starts_with("HTTP/1.1 200 OK\r\n") && pong.head.contains("\r\nApi-Version: 1.45\r\n"),
            "{}",
            pong.head
        );
        for (name, value) in
            [("Ostype", "linux"), ("Docker-Experimental", "false"), ("Builder-Version", "1"), ("Swarm", "inactive")]
        {
            assert_eq!(pong.header(name), value, "{name} of {method} {path}");
        }
        assert!(pong.header("Server").ends_with("(linux)"));
        assert_eq!(pong.body, if method == "GET" { b"OK".to_vec() } else { Vec::new() });
    }
}

#[test]
fn versions_too_new_and_too_old_are_refused_in_dockers_words() {
    let daemon = Daemon::bare(&[]);
    let new = call(&daemon.socket(), "GET", "/v1.99/info", "").is(400);
    assert_eq!(new.message(), "client version 1.99 is too new. Maximum supported API version is 1.45");
    assert_eq!(new.header("Content-Type"), "application/json");
    let old = call(&daemon.socket(), "GET", "/v1.12/info", "").is(400);
    assert!(old.message().starts_with("client version 1.12 is too old. Minimum supported API version is 1.24"));
}

#[test]
fn what_is_not_here_says_so_with_the_status_that_clients_understand() {
    let daemon = Daemon::bare(&[]);
    let ask = |method: &str, path: &str| call(&daemon.socket(), method, path, "");
    assert_eq!(ask("GET", "/nosuch").is(404).message(), "page not found");
    assert_eq!(ask("PATCH", "/info").is(404).message(), "page not found");
    for buildkit in ["/session", "/grpc"] {
        assert!(ask("POST", buildkit).is(404).message().starts_with("page not found"), "{buildkit}");
    }
    assert_eq!(ask("GET", "/plugins").is(200).json(), json!([]));
    for path in ["/swarm", "/nodes", "/services", "/tasks", "/secrets", "/configs", "/nodes/self"] {
        assert!(ask("GET", path).is(503).message().starts_with("This node is not a swarm manager."), "{path}");
    }
    let mut names: Vec<String> =
        ask("GET", "/networks").is(200).json().as_array().expect("a list").iter().map(|n| n["Name"].to_string()).collect();
    names.sort();
    assert_eq!(names, ["\"bridge\"", "\"host\"", "\"none\""]);
    assert_eq!(ask("GET", "/networks/none").is(200).json()["Driver"], "null");
    assert_eq!(ask("GET", "/networks/nosuch").is(404).message(), "network nosuch not found");
}

#[test]
fn a_refusal_carries_dockers_message_and_our_four_answers() {
    let daemon = Daemon::bare(&[]);
    let refused = call(&daemon.socket(), "GET", "/containers/nosuch/json", "").is(404);
    let body = refused.json();
    assert_eq!(body["message"], "No such container: nosuch");
    assert_eq!(body["minidock"]["because"], "No such container: nosuch");
    assert!(body["minidock"]["try"].is_string() && body["minidock"]["read"].as_str().expect("a room").starts_with("src/"));
    assert!(refused.body.ends_with(b"\n"));
}

#[test]
fn a_body_must_be_json_and_say_so() {
    let daemon = Daemon::bare(&[]);
    let create = |headers: &str, body: &str| call_with(&daemon.socket(), "POST", "/volumes/create", headers, body.as_bytes());
    let plain = create("Content-Type: text/plain\r\n", "{}").is(400);
    assert_eq!(plain.message(), "unsupported Content-Type header (text/plain): must be 'application/json'");
    create("", "{}").is(400);
    create("Content-Type: application/json; charset=utf-8\r\n", r#"{"Name":"vol"}"#).is(201);
    assert!(create("Content-Type: application/json\r\n", "{").is(400).message().starts_with("invalid JSON: "));
    assert_eq!(create("Content-Type: application/json\r\n", "{} {}").is(400).message(), "unexpected content after JSON");
}

#[test]
fn info_and_version_are_true() {
    let daemon = Daemon::bare(&[]);
    let info = call(&daemon.socket(), "GET", "/info", "").is(200).json();
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").expect("a kernel");
    assert_eq!(info["KernelVersion"], kernel.trim());
    assert_eq!(info["DockerRootDir"], daemon.data_root().to_str().expect("plain"));
    assert_eq!(info["Containers"], 0);
    assert_eq!(info["Swarm"]["LocalNodeState"], "inactive");
    assert_eq!(info["NCPU"], std::thread::available_parallelism().expect("CPUs").get());
    assert!(info["MemTotal"].as_i64().expect("bytes") > 1 << 20);
    assert_eq!(info["ID"], call(&daemon.socket(), "GET", "/info", "").json()["ID"], "drawn once");
    let version = call(&daemon.socket(), "GET", "/v1.30/version", "").is(200).json();
    assert_eq!((&version["ApiVersion"], &version["MinAPIVersion"]), (&json!("1.45"), &json!("1.24")));
}

#[test]
fn events_tell_past_and_future_and_are_filtered() {
    let daemon = Daemon::bare(&[]);
    let post = |path: &str, body: &str| call(&daemon.socket(), "POST", path, body);
    post("/volumes/create", r#"{"Name":"before"}"#).is(201);
    let mut wire = Wire::open(&daemon.socket());
    wire.send("GET", "/events?since=1&filters=%7B%22type%22%3A%5B%22volume%22%5D%7D", "", b"");
    let head = wire.head().is(200);
    assert_eq!(head.header("content-type"), "application/json");
    let mut next = || -> Value { serde_json::from_slice(&wire.chunk().expect("an event")).expect("JSON") };
    let past = next();
    assert_eq!((&past["Type"], &past["Action"], &past["Actor"]["ID"]), (&json!("volume"), &json!("create"), &json!("before")));
    assert_eq!(past["Actor"]["Attributes"]["driver"], "local");
    assert!(past.get("status").is_none(), "the legacy fields are for containers and images");
    call(&daemon.socket(), "DELETE", "/volumes/before", "").is(204);
    let future = next();
    assert_eq!((&future["Action"], &future["scope"]), (&json!("destroy"), &json!("local")));
    assert!(future["timeNano"].as_i64() >= past["timeNano"].as_i64());
    let over = call(&daemon.socket(), "GET", "/events?since=1&until=1", "").is(200);
    assert!(over.body.is_empty());
    assert!(call(&daemon.socket(), "GET", "/events?since=x", "").is(400).message().contains("since"));
    call(&daemon.socket(), "GET", "/events?filters=%7B%22nosuch%22%3A%5B%22x%22%5D%7D", "").is(400);
}

#[test]
fn a_connection_serves_many_requests_and_slow_ones_do_not_block_it() {
    let daemon = Daemon::bare(&[]);
    let mut wire = Wire::open(&daemon.socket());
    for _ in 0..50 {
        wire.send("GET", "/_ping", "", b"");
        let head = wire.head().is(200);
        assert_eq!(wire.body(&head), b"OK");
    }
    let mut slow = Wire::open(&daemon.socket());
    slow.write(b"GET /_pi");
    call(&daemon.socket(), "GET", "/_ping", "").is(200);
    slow.write(b"ng HTTP/1.1\r\nHost: d\r\n\r\n");
    slow.head().is(200);
}

#[test]
fn an_asked_for_stop_is_orderly_and_the_socket_file_goes() {
    let mut daemon = Daemon::bare(&[]);
    let mut events = Wire::open(&daemon.socket());
    events.send("GET", "/events", "", b"");
    events.head().is(200);
    call(&daemon.socket(), "POST", "/minidock/stop", "").is(204);
    props::wait_for("the socket file to go", || !daemon.socket().exists());
    daemon.kill();
    daemon.up();
    call(&daemon.socket(), "GET", "/_ping", "").is(200);
}

#[test]
fn who_has_said_all_still_hears_the_answer_and_who_has_gone_is_not_waited_for() {
    use std::{io::Read, net::Shutdown};
    let daemon = Daemon::start();
    let half = |asked: &str| {
        let mut socket = std::os::unix::net::UnixStream::connect(daemon.socket()).expect("the daemon listens");
        std::io::Write::write_all(&mut socket, asked.as_bytes()).expect("it reads");
        socket.shutdown(Shutdown::Write).expect("our own half");
        socket.set_read_timeout(Some(std::time::Duration::from_secs(20))).expect("a limit");
        let mut answer = String::new();
        socket.read_to_string(&mut answer).expect("an answer, and its end");
        answer
    };
    // a question that takes a while, one that keeps the connection, and none at all
    let id = daemon.ok(&["run", "-d", "alpine", "sleep", "0.5"]);
    assert!(half(&format!("POST /containers/{id}/wait HTTP/1.0\r\nHost: x\r\n\r\n")).contains("\"StatusCode\":0"));
    assert!(half("GET /_ping HTTP/1.1\r\nHost: x\r\n\r\n").ends_with("OK"));
    assert_eq!(half(""), "");
}

#[test]
fn the_daemon_can_be_had_through_a_pipe_as_ssh_has_it() {
    let daemon = Daemon::bare(&[]);
    let asked = "GET /_ping HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n";
    let answer = daemon.sh(&format!("printf '{asked}' | minidock system dial-stdio")).ok();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("OK"), "{answer}");
}
