//! # Volumes over the API
//!
//! *See:* `src/engine/volumes.rs`, `src/api/volumes.rs`.

mod http;
mod props;

use http::{Response, call};
use props::Daemon;
use serde_json::{Value, json};

fn post(daemon: &Daemon, path: &str, body: Value) -> Response {
    call(&daemon.socket(), "POST", path, &body.to_string())
}

fn names(daemon: &Daemon, filters: &str) -> Vec<String> {
    let listed = call(&daemon.socket(), "GET", &format!("/volumes?filters={filters}"), "").is(200).json();
    listed["Volumes"].as_array().expect("a list").iter().map(|v| v["Name"].as_str().expect("a name").to_string()).collect()
}

#[test]
fn a_volume_has_dockers_shape_and_survives_the_daemon() {
    let mut daemon = Daemon::bare(&[]);
    let made = post(&daemon, "/volumes/create", json!({"Name": "data", "Labels": {"a": "b"}})).is(201).json();
    assert_eq!(made["Name"], "data");
    assert_eq!((&made["Driver"], &made["Scope"]), (&json!("local"), &json!("local")));
    assert_eq!((&made["Labels"], &made["Options"]), (&json!({"a": "b"}), &Value::Null));
    assert!(!made["CreatedAt"].as_str().expect("a time").contains('.'), "seconds only: {made}");
    let data = std::path::PathBuf::from(made["Mountpoint"].as_str().expect("a path"));
    std::fs::write(data.join("file"), "kept").expect("the folder is there");
    daemon.kill();
    daemon.up();
    assert_eq!(call(&daemon.socket(), "GET", "/volumes/data", "").is(200).json(), made);
    assert_eq!(std::fs::read(data.join("file")).expect("still there"), b"kept");
    assert_eq!(post(&daemon, "/volumes/create", json!({"Name": "data"})).is(201).json(), made, "create finds what is there");
    call(&daemon.socket(), "DELETE", "/volumes/data", "").is(204);
    assert!(!data.exists());
    assert_eq!(call(&daemon.socket(), "GET", "/volumes/data", "").is(404).message(), "get data: no such volume");
    call(&daemon.socket(), "DELETE", "/volumes/data", "").is(404);
    call(&daemon.socket(), "DELETE", "/volumes/data?force=1", "").is(204);
}

#[test]
fn odd_wishes_are_refused_and_leave_nothing() {
    let daemon = Daemon::bare(&[]);
    for (wish, status, says) in [
        (json!({"Name": "../x"}), 400, "includes invalid characters"),
        (json!({"Name": "a"}), 400, "at least two alphanumeric"),
        (json!({"Name": "x".repeat(300)}), 400, "includes invalid characters"),
        (json!({"Name": "vol", "Driver": "nosuch"}), 404, "plugin \"nosuch\" not found"),
        (json!({"Name": "vol", "DriverOpts": {"foo": "bar"}}), 400, "invalid option: \"foo\""),
        (json!({"Name": "vol", "DriverOpts": {"type": "tmpfs"}}), 400, "missing required option: \"device\""),
        (json!({"Name": "vol", "DriverOpts": {"size": "1g"}}), 400, "no quota support"),
    ] {
        let refused = post(&daemon, "/volumes/create", wish.clone()).is(status);
        assert!(refused.message().contains(says), "{wish}: {}", refused.message());
    }
    assert!(names(&daemon, "").is_empty());
    assert_eq!(std::fs::read_dir(daemon.data_root().join("volumes")).expect("a folder").count(), 0);
}

#[test]
fn lists_are_filtered_and_prune_takes_anonymous_volumes_only() {
    let daemon = Daemon::bare(&[]);
    post(&daemon, "/volumes/create", json!({"Name": "web", "Labels": {"app": "shop"}})).is(201);
    post(&daemon, "/volumes/create", json!({"Name": "database"})).is(201);
    let anonymous = post(&daemon, "/volumes/create", json!({})).is(201).json();
    assert_eq!(anonymous["Labels"], json!({"com.docker.volume.anonymous": ""}));
    assert_eq!(anonymous["Name"].as_str().expect("a name").len(), 64);
    assert_eq!(names(&daemon, "%7B%22label%22%3A%5B%22app%3Dshop%22%5D%7D"), ["web"]);
    assert_eq!(names(&daemon, "%7B%22name%22%3A%7B%22base%22%3Atrue%7D%7D"), ["database"]);
    assert_eq!(names(&daemon, "%7B%22dangling%22%3A%5B%22true%22%5D%7D").len(), 3);
    assert_eq!(names(&daemon, "%7B%22driver%22%3A%5B%22nosuch%22%5D%7D").len(), 0);
    call(&daemon.socket(), "GET", "/volumes?filters=%7B%22x%22%3A%5B%22y%22%5D%7D", "").is(400);
    let pruned = post(&daemon, "/volumes/prune", json!({})).is(200).json();
    assert_eq!(pruned["VolumesDeleted"], json!([anonymous["Name"]]));
    let rest = call(&daemon.socket(), "POST", "/v1.41/volumes/prune", "").is(200).json();
    assert_eq!(rest["VolumesDeleted"].as_array().map(Vec::len), Some(2), "before 1.42 all unused ones were meant");
}

#[test]
fn a_broken_volume_record_is_left_alone_and_stops_nobody() {
    let mut daemon = Daemon::bare(&[]);
    post(&daemon, "/volumes/create", json!({"Name": "good"})).is(201);
    post(&daemon, "/volumes/create", json!({"Name": "bad"})).is(201);
    let record = daemon.data_root().join("volumes/bad/volume.json");
    std::fs::write(&record, "{\"name\":").expect("room");
    daemon.kill();
    daemon.up();
    assert_eq!(names(&daemon, ""), ["good"]);
    assert!(record.exists(), "unreadable state is never destroyed");
    let log = std::fs::read_to_string(daemon.folder.join("daemon.log")).expect("a log");
    assert!(log.contains("volume.json:1:"), "the file and the place are named: {log}");
}

#[test]
fn many_clients_make_one_volume() {
    let daemon = Daemon::bare(&[]);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for n in 0..20 {
                    post(&daemon, "/volumes/create", json!({"Name": format!("vol{}", n % 5)})).is(201);
                    let gone = call(&daemon.socket(), "DELETE", &format!("/volumes/vol{}", n % 5), "");
                    // 409: another client is just making it, so it is in use
                    assert!([204, 404, 409].contains(&gone.status), "{}", gone.head);
                }
            });
        }
    });
    assert!(std::fs::read_dir(daemon.data_root().join("tmp")).map(|all| all.count() == 0).unwrap_or(true));
}
