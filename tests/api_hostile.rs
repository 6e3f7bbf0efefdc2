//! # No request makes the daemon die
//!
//! Whoever can connect is root already; but a typing error, a broken client or a port scanner must not take the keeper of all
//! containers along. So the daemon is fed with rubbish of every kind (bytes that are no HTTP, paths and queries and bodies that
//! nobody thought of, requests that stop in the middle) and must answer the next honest question, with the same process, and
//! without growing.
//!
//! *See:* `src/api/call.rs`, `src/api/door.rs`.

mod http;
mod props;

use http::{Wire, call, call_with};
use props::Daemon;
use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};
use std::{fs, io::Read, time::Duration};

/// Runs `attack` with many values; afterwards the daemon must be the same process, answering, with few descriptors.
fn attack<S: Strategy>(cases: u32, values: S, attack: impl Fn(&Daemon, S::Value)) {
    let daemon = Daemon::bare(&[]);
    let before = resident_kib(&daemon);
    let mut runner = TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() });
    let outcome = runner.run(&values, |value| {
        attack(&daemon, value);
        Ok(())
    });
    outcome.unwrap_or_else(|e| panic!("{e}"));
    call(&daemon.socket(), "GET", "/_ping", "").is(200);
    assert!(fs::metadata(format!("/proc/{}", daemon.pid())).is_ok(), "it is another process");
    props::wait_for("the descriptors to be given back", || {
        fs::read_dir(format!("/proc/{}/fd", daemon.pid())).expect("alive").count() < 40
    });
    let after = resident_kib(&daemon);
    assert!(after < before + 20_000, "it grew from {before} to {after} KiB");
}

fn resident_kib(daemon: &Daemon) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", daemon.pid())).expect("alive");
    let anonymous = status.lines().find_map(|l| l.strip_prefix("RssAnon:")?.split_whitespace().next()?.parse().ok());
    anonymous.expect("a number")
}

#[test]
fn bytes_that_are_no_http() {
    attack(300, prop::collection::vec(any::<u8>(), 0..300), |daemon, bytes| {
        let mut wire = Wire::open(&daemon.socket());
        wire.write(&bytes);
        let _ = wire.stream.get_ref().shutdown(std::net::Shutdown::Write);
        let mut answer = Vec::new();
        let _ = wire.stream.read_to_end(&mut answer);
        assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 "), "{answer:?}");
    });
}

const METHODS: [&str; 6] = ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH"];

/// Every word of a path that means something, so that random paths reach the handlers.
const WORDS: [&str; 44] = [
    "containers",
    "json",
    "create",
    "start",
    "stop",
    "kill",
    "wait",
    "attach",
    "exec",
    "logs",
    "top",
    "stats",
    "archive",
    "export",
    "images",
    "load",
    "get",
    "history",
    "tag",
    "volumes",
    "prune",
    "networks",
    "none",
    "events",
    "info",
    "version",
    "system",
    "df",
    "commit",
    "resize",
    "rename",
    "update",
    "changes",
    "v1.45",
    "v1.24",
    "minidock",
    "nosuch",
    "..",
    "%2e%2e",
    "%00",
    "%",
    "a b",
    "é",
    "x:y@z",
];

const KEYS: [&str; 16] = [
    "all",
    "size",
    "limit",
    "filters",
    "name",
    "t",
    "signal",
    "h",
    "w",
    "since",
    "until",
    "tail",
    "path",
    "force",
    "condition",
    "repo",
];

const VALUES: [&str; 16] = [
    "",
    "1",
    "-1",
    "99999999999999999999",
    "true",
    "x",
    "{}",
    "[]",
    "{\"a\":1}",
    "{\"status\":[\"x\"]}",
    "%ff%fe",
    "0x10",
    "1.5",
    "NaN",
    "../../etc/passwd",
    "[a-z",
];

#[test]
fn paths_and_queries_that_nobody_thought_of() {
    let words = prop::collection::vec(prop::sample::select(&WORDS[..]), 0..6);
    let query = prop::collection::vec((prop::sample::select(&KEYS[..]), prop::sample::select(&VALUES[..])), 0..4);
    let bodies = prop::sample::select(vec![
        "",
        "{}",
        "[]",
        "null",
        "1",
        "\"x\"",
        "{\"Image\":1}",
        "{\"Image\":\"nosuch\"}",
        "{\"HostConfig\":[]}",
        "{",
    ]);
    attack(600, (prop::sample::select(&METHODS[..]), words, query, bodies), |daemon, (method, words, query, body)| {
        let path: String = words.iter().map(|w| format!("/{}", w.replace(' ', "%20"))).collect();
        if path.contains("events") || path.ends_with("/minidock") {
            return; // a stream without an end
        }
        let query: Vec<String> = query.iter().map(|(k, v)| format!("{k}={}", escape(v))).collect();
        let answer = call(&daemon.socket(), method, &format!("{path}/?{}", query.join("&")), body);
        assert!((200..=599).contains(&answer.status), "{method} {path}: {}", answer.head);
        assert_ne!(answer.status, 500, "{method} {path}: {}", String::from_utf8_lossy(&answer.body));
        if answer.status >= 400 && method != "HEAD" {
            assert!(!answer.message().is_empty(), "{method} {path}");
        }
    });
}

/// What no client sends bare in a query.
fn escape(text: &str) -> String {
    text.chars()
        .map(|c| if matches!(c, '{' | '}' | '"' | '[' | ']' | ' ') { format!("%{:02X}", c as u32) } else { c.into() })
        .collect()
}

#[test]
fn bodies_of_any_shape_for_every_call_that_takes_one() {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        prop::sample::select(vec!["", "x", "alpine", "-1", "../..", "\u{0}", "bridge"]).prop_map(Into::into),
    ];
    let names = prop::sample::select(vec![
        "Image",
        "Cmd",
        "Env",
        "HostConfig",
        "Memory",
        "Binds",
        "Mounts",
        "Labels",
        "Name",
        "Driver",
        "DriverOpts",
        "Healthcheck",
        "Test",
        "PortBindings",
        "RestartPolicy",
        "Tty",
        "NetworkingConfig",
        "EndpointsConfig",
        "image",
        "hostconfig",
    ]);
    let tree = leaf.prop_recursive(4, 40, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(serde_json::Value::from),
            prop::collection::vec((names.clone(), inner), 0..6)
                .prop_map(|fields| serde_json::Value::Object(fields.into_iter().map(|(k, v)| (k.to_string(), v)).collect())),
        ]
    });
    let paths = vec![
        "/containers/create",
        "/volumes/create",
        "/containers/x/exec",
        "/exec/x/start",
        "/containers/x/update",
        "/commit?container=x",
    ];
    attack(500, (prop::sample::select(paths), tree), |daemon, (path, body)| {
        let answer = call(&daemon.socket(), "POST", path, &body.to_string());
        assert!(
            matches!(answer.status, 201 | 400 | 404 | 409 | 501),
            "{path} {body}: {} {}",
            answer.status,
            String::from_utf8_lossy(&answer.body)
        );
    });
}

#[test]
fn odd_wishes_for_a_real_image_run_or_are_refused_and_leave_nothing() {
    let daemon = Daemon::start();
    let (pid, mounts) = (daemon.pid(), || fs::read_to_string("/proc/self/mountinfo").expect("/proc").lines().count());
    let before = mounts();
    let text = prop::sample::select(vec![
        "",
        "x",
        "0",
        "-1",
        "host",
        "none",
        "container:x",
        "/",
        "/etc",
        "../..",
        "a:b:c",
        "\u{0}",
        "1000:1000",
        "SIGKILL",
        "é",
    ]);
    let number = prop::sample::select(vec![0i64, -1, 1, 64 << 20, i64::MAX, i64::MIN, 1_000_000]);
    let field = prop_oneof![
        (prop::sample::select(vec!["User", "WorkingDir", "Hostname", "StopSignal", "Domainname"]), text.clone())
            .prop_map(|(key, v)| (false, key, serde_json::json!(v))),
        (
            prop::sample::select(vec![
                "NetworkMode",
                "PidMode",
                "IpcMode",
                "UTSMode",
                "UsernsMode",
                "CgroupParent",
                "CpusetCpus",
                "Runtime",
                "CgroupnsMode"
            ]),
            text.clone()
        )
            .prop_map(|(key, v)| (true, key, serde_json::json!(v))),
        (
            prop::sample::select(vec!["Binds", "CapAdd", "CapDrop", "SecurityOpt", "GroupAdd", "VolumesFrom", "ExtraHosts"]),
            text.clone()
        )
            .prop_map(|(key, v)| (true, key, serde_json::json!([v]))),
        (
            prop::sample::select(vec![
                "Memory",
                "MemorySwap",
                "CpuShares",
                "NanoCpus",
                "PidsLimit",
                "ShmSize",
                "CpuPeriod",
                "CpuQuota",
                "OomScoreAdj",
                "BlkioWeight"
            ]),
            number
        )
            .prop_map(|(key, v)| (true, key, serde_json::json!(v))),
        (prop::sample::select(vec!["Tmpfs", "Sysctls"]), text.clone(), text).prop_map(|(key, k, v)| (
            true,
            key,
            serde_json::json!({k: v})
        )),
    ];
    let mut runner =
        TestRunner::new(Config { cases: 60, failure_persistence: None, max_shrink_iters: 30, ..Config::default() });
    let outcome = runner.run(&prop::collection::vec(field, 1..4), |fields| {
        let mut body = serde_json::json!({"Image": "alpine", "Cmd": ["true"], "HostConfig": {}});
        for (host, key, value) in fields {
            let place = if host { &mut body["HostConfig"] } else { &mut body };
            place[key] = value;
        }
        let made = call(&daemon.socket(), "POST", "/containers/create", &body.to_string());
        if made.status != 201 {
            prop_assert!(
                matches!(made.status, 400 | 403 | 404 | 409 | 501),
                "create {}: {} {}",
                body,
                made.status,
                made.message()
            );
            return Ok(());
        }
        let id = made.json()["Id"].as_str().expect("an id").to_string();
        let started = call(&daemon.socket(), "POST", &format!("/containers/{id}/start"), "");
        prop_assert!(started.status == 204 || !started.message().is_empty(), "start {}: {}", body, started.head);
        call(&daemon.socket(), "DELETE", &format!("/containers/{id}?force=1&v=1"), "").is(204);
        Ok(())
    });
    outcome.unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(daemon.pid(), pid);
    assert_eq!(call(&daemon.socket(), "GET", "/containers/json?all=1", "").json(), serde_json::json!([]));
    assert_eq!(fs::read_dir(daemon.data_root().join("containers")).expect("a folder").count(), 0, "a folder is left");
    assert_eq!(mounts(), before, "a mount is left");
}

#[test]
fn requests_that_stop_in_the_middle() {
    let whole = "POST /v1.45/containers/create?name=x HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\nContent-Length: 17\r\n\r\n{\"Image\":\"alpine\"}";
    attack(200, 0..whole.len(), |daemon, length| {
        Wire::open(&daemon.socket()).write(&whole.as_bytes()[..length]);
    });
}

#[test]
fn headers_and_bodies_without_end() {
    let daemon = Daemon::bare(&[]);
    let mut wire = Wire::open(&daemon.socket());
    wire.write(b"GET /info HTTP/1.1\r\n");
    for n in 0..2000 {
        wire.write(format!("X-Header-{n}: {}\r\n", "y".repeat(500)).as_bytes());
    }
    wire.write(b"\r\n");
    drop(wire);
    let huge = vec![b' '; 9 << 20];
    let refused = call_with(&daemon.socket(), "POST", "/volumes/create", "Content-Type: application/json\r\n", &huge);
    assert!(refused.status == 400 || refused.status == 0, "{}", refused.head);
    let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
    call(&daemon.socket(), "POST", "/containers/create", &deep).is(400);
    let long = format!("/containers/{}/json", "x".repeat(30_000));
    assert!([404, 414].contains(&call(&daemon.socket(), "GET", &long, "").status));
    call(&daemon.socket(), "GET", "/_ping", "").is(200);
}

#[test]
fn two_hundred_idle_clients_cost_little_and_block_nobody() {
    let daemon = Daemon::bare(&[]);
    let before = resident_kib(&daemon);
    let idle: Vec<Wire> = (0..200).map(|_| Wire::open(&daemon.socket())).collect();
    let listening: Vec<Wire> = (0..200)
        .map(|_| {
            let mut wire = Wire::open(&daemon.socket());
            wire.send("GET", "/events", "", b"");
            wire.head().is(200);
            wire
        })
        .collect();
    call(&daemon.socket(), "GET", "/_ping", "").is(200);
    let after = resident_kib(&daemon);
    assert!(after < before + 16_000, "400 clients cost {} KiB", after - before);
    drop((idle, listening));
    props::wait_for("the descriptors to be given back", || {
        std::thread::sleep(Duration::from_millis(20));
        fs::read_dir(format!("/proc/{}/fd", daemon.pid())).expect("alive").count() < 40
    });
}
