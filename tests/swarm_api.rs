//! # The swarm over the API
//!
//! A swarm of one behind a raw socket: what is refused, in which words and with what left behind; what answers look like to the absent
//! field; logs, events, networks of both kinds, and why something does not run. What `dockerd` answers to the same questions stands in the
//! assertions.
//!
//! *See:* `src/api/swarm`.

mod http;
mod props;

use http::{Response, call, call_with};
use props::{Daemon, wait_for};
use serde_json::{Value, json};

/// A daemon that is a swarm of its own.
struct Node(Daemon);

impl Node {
    fn start(images: bool) -> Node {
        let node = Node(if images { Daemon::start() } else { Daemon::bare(&[]) });
        let id = node.post("/swarm/init", json!({"ListenAddr": "127.0.0.1:2377", "AdvertiseAddr": "127.0.0.1"})).is(200).json();
        assert_eq!(id.as_str().expect("an ID").len(), 25);
        node
    }

    /// Filters may be written as they are meant.
    fn get(&self, path: &str) -> Response {
        let escape = |c: char| match c {
            '{' | '}' | '"' | '[' | ']' | '(' | ' ' => format!("%{:02X}", u32::from(c)),
            plain => plain.to_string(),
        };
        call(&self.0.socket(), "GET", &path.chars().map(escape).collect::<String>(), "")
    }

    fn post(&self, path: &str, body: Value) -> Response {
        call(&self.0.socket(), "POST", path, &body.to_string())
    }

    fn delete(&self, path: &str) -> Response {
        call(&self.0.socket(), "DELETE", path, "")
    }

    /// The tasks of a service in this state.
    fn in_state(&self, service: &str, state: &str) -> Vec<Value> {
        let tasks = self.get(&format!("/tasks?filters={{\"service\":[\"{service}\"]}}")).is(200).json();
        tasks.as_array().expect("a list").iter().filter(|t| t["Status"]["State"] == state).cloned().collect()
    }

    fn await_state(&self, service: &str, state: &str, count: usize) {
        wait_for(&format!("{count} tasks of {service} {state}"), || self.in_state(service, state).len() == count);
    }
}

fn service(name: &str, command: &[&str]) -> Value {
    let container = json!({"Image": "alpine", "Command": command, "StopGracePeriod": 100_000_000});
    json!({"Name": name, "TaskTemplate": {"ContainerSpec": container}, "Mode": {"Replicated": {"Replicas": 1}}})
}

/// The spec with something else at a path of keys.
fn with(mut spec: Value, path: &str, value: Value) -> Value {
    let mut place = &mut spec;
    for key in path.split('.') {
        place = &mut place[key];
    }
    *place = value;
    spec
}

#[test]
fn outside_a_swarm_every_door_says_so_and_nonsense_founds_nothing() {
    let daemon = Daemon::bare(&[]);
    let socket = daemon.socket();
    for path in
        ["/swarm", "/nodes", "/services", "/tasks/x", "/secrets", "/configs", "/swarm/unlockkey", "/services/x/logs?stdout=1"]
    {
        let refused = call(&socket, "GET", path, "").is(503).message();
        assert!(refused.starts_with("This node is not a swarm manager."), "{path}: {refused}");
    }
    let post = |path: &str, body: Value| call(&socket, "POST", path, &body.to_string());
    assert_eq!(post("/swarm/leave", json!({})).is(503).message(), "This node is not part of a swarm");
    post("/services/create", service("web", &["sleep"])).is(503);
    for (path, body) in [
        ("/swarm/init", json!({"ListenAddr": "bad:addr:1"})),
        ("/swarm/init", json!({"AdvertiseAddr": "nosuchif", "ListenAddr": "0.0.0.0:2377"})),
        ("/swarm/init", json!({"ListenAddr": "127.0.0.1:99999"})),
        ("/swarm/init", json!({"ListenAddr": "127.0.0.1:2377", "DefaultAddrPool": ["nonsense"]})),
        ("/swarm/init", json!({"ListenAddr": "127.0.0.1:2377", "DataPathPort": 80})),
        ("/swarm/init", json!({"ListenAddr": 5})),
        ("/swarm/init", json!({"ListenAddr": "127.0.0.1:2377", "Availability": "asleep"})),
        ("/swarm/join", json!({"ListenAddr": "127.0.0.1:2377", "RemoteAddrs": ["127.0.0.1:1"], "JoinToken": "nonsense"})),
        ("/swarm/join", json!({"RemoteAddrs": [], "JoinToken": ""})),
    ] {
        let refused = post(path, body.clone());
        assert_eq!(refused.status, 400, "{path} {body}: {}", refused.message());
    }
    call_with(&socket, "POST", "/swarm/init", "Content-Type: application/json\r\n", b"{").is(400);
    let info = call(&socket, "GET", "/info", "").json();
    let nothing = json!({"NodeID": "", "NodeAddr": "", "LocalNodeState": "inactive", "ControlAvailable": false, "Error": "", "RemoteManagers": null});
    assert_eq!(info["Swarm"], nothing);
    assert_eq!(call(&socket, "GET", "/_ping", "").header("Swarm"), "inactive");
    assert_eq!(
        post("/networks/create", json!({"Name": "n", "Scope": "swarm"})).is(403).message(),
        "cannot create a swarm scoped network when swarm is not active"
    );
}

#[test]
fn a_swarm_of_one_looks_like_dockers() {
    let node = Node::start(false);
    assert_eq!(node.get("/_ping").header("Swarm"), "active/manager");
    let nodes = node.get("/nodes").is(200).json();
    let one = &nodes[0];
    assert_eq!((&one["Status"], &one["Spec"]["Role"]), (&json!({"State": "ready", "Addr": "127.0.0.1"}), &json!("manager")));
    assert_eq!(one["ManagerStatus"], json!({"Leader": true, "Reachability": "reachable", "Addr": "127.0.0.1:2377"}));
    for ours in ["CertifiedRole", "RaftId"] {
        assert!(one.get(ours).is_none(), "{ours}");
    }
    let swarm = node.get("/swarm").is(200).json();
    let mut keys: Vec<&str> = swarm.as_object().expect("an object").keys().map(String::as_str).collect();
    keys.sort_unstable();
    assert_eq!(
        keys,
        [
            "CreatedAt",
            "DataPathPort",
            "DefaultAddrPool",
            "ID",
            "JoinTokens",
            "RootRotationInProgress",
            "Spec",
            "SubnetSize",
            "TLSInfo",
            "UpdatedAt",
            "Version",
        ]
    );
    let info = node.get("/info").json()["Swarm"].clone();
    assert_eq!(
        (&info["LocalNodeState"], &info["ControlAvailable"], &info["Managers"]),
        (&json!("active"), &json!(true), &json!(1))
    );
    assert!(info["Cluster"].get("JoinTokens").is_none(), "tokens are for those who may ask a manager");
    assert!(
        node.post("/swarm/init", json!({"ListenAddr": "127.0.0.1:2377"})).is(503).message().contains("already part of a swarm")
    );
    assert!(
        node.post("/swarm/leave", json!({})).is(503).message().contains("Removing the last manager erases all current state")
    );
}

#[test]
fn versions_guard_nodes_and_the_swarm_itself() {
    let node = Node::start(false);
    let one = node.get("/nodes").json()[0].clone();
    let (id, version) = (one["ID"].as_str().expect("an ID"), &one["Version"]["Index"]);
    let update = |query: &str, spec: &Value| node.post(&format!("/nodes/{id}/update{query}"), spec.clone());
    assert!(update("", &one["Spec"]).is(400).message().starts_with("invalid node version ''"));
    assert!(update("?version=1", &one["Spec"]).is(400).message().ends_with("update out of sequence"));
    let now = format!("?version={version}");
    assert_eq!(update(&now, &json!({})).is(400).message(), "invalid Role: \"\"");
    assert_eq!(
        update(&now, &with(one["Spec"].clone(), "Availability", json!("asleep"))).is(400).message(),
        "invalid Availability: \"asleep\""
    );
    let demoted = update(&now, &with(one["Spec"].clone(), "Role", json!("worker"))).is(400).message();
    assert!(demoted.ends_with("attempting to demote the last manager of the swarm"), "{demoted}");
    update(&now, &with(one["Spec"].clone(), "Labels", json!({"disk": "ssd"}))).is(200);
    let by_label = |label: &str| {
        node.get(&format!("/nodes?filters={{\"node.label\":[\"{label}\"]}}")).json().as_array().expect("a list").len()
    };
    assert_eq!((by_label("disk=ssd"), by_label("disk"), by_label("disk=hdd")), (1, 1, 0));
    assert!(
        node.delete(&format!("/nodes/{id}?force=1")).is(400).message().contains("It must be demoted to worker before removal")
    );

    let swarm = node.get("/swarm").json();
    let version = &swarm["Version"]["Index"];
    assert_eq!(
        node.post(&format!("/swarm/update?version={version}&rotateWorkerToken=foo"), swarm["Spec"].clone()).is(400).message(),
        "invalid value for rotateWorkerToken: foo"
    );
    let locked = with(swarm["Spec"].clone(), "EncryptionConfig.AutoLockManagers", json!(true));
    node.post(&format!("/swarm/update?version={version}&rotateWorkerToken=1"), locked).is(200);
    let after = node.get("/swarm").json();
    assert_ne!(after["JoinTokens"]["Worker"], swarm["JoinTokens"]["Worker"]);
    assert_eq!(after["JoinTokens"]["Manager"], swarm["JoinTokens"]["Manager"]);
    let key = node.get("/swarm/unlockkey").json()["UnlockKey"].as_str().expect("a key").to_string();
    assert!(key.starts_with("SWMKEY-1-") && key.len() == 52, "{key}");
    assert!(!after.to_string().contains(&key) && !node.get("/info").json().to_string().contains(&key));
}

#[test]
fn what_cannot_be_is_refused_in_dockers_words_and_leaves_nothing() {
    let node = Node::start(false);
    let web = || service("web", &["sleep"]);
    let container = |key: &str, value: Value| with(web(), &format!("TaskTemplate.ContainerSpec.{key}"), value);
    let port = |port: Value| with(web(), "EndpointSpec", json!({"Ports": [port]}));
    for (body, status, words) in [
        (json!({}), 400, "mismatched Runtime and *Spec fields"),
        (with(web(), "TaskTemplate.Runtime", json!("foo")), 400, "unsupported runtime"),
        (with(web(), "Name", json!("-x")), 400, "name must be valid as a DNS name component"),
        (with(web(), "Name", json!("x".repeat(64))), 400, "name must be 63 characters or fewer"),
        (container("Image", json!("")), 400, "ContainerSpec: image reference must be provided"),
        (container("Image", json!("BAD IMAGE")), 400, "ContainerSpec: \"BAD IMAGE\" is not a valid repository/tag"),
        (container("Env", json!(5)), 400, "invalid JSON"),
        (container("Mounts", json!([{"Type": "foo", "Target": "/x"}])), 400, "invalid MountType: \"foo\""),
        (
            container("Mounts", json!([{"Type": "volume", "Target": "/x"}, {"Type": "volume", "Target": "/x"}])),
            400,
            "duplicate mount point: /x",
        ),
        (container("Healthcheck", json!({"Interval": 5})), 400, "Interval in HealthConfig cannot be less than 1ms"),
        (
            container("Secrets", json!([{"SecretID": "x", "SecretName": "pw", "File": {"Name": "pw"}}])),
            400,
            "secret not found: pw",
        ),
        (
            container("Secrets", json!([{"SecretID": "x", "SecretName": "pw"}])),
            400,
            "malformed secret reference, no target provided",
        ),
        (
            container("Configs", json!([{"ConfigID": "x", "ConfigName": "cf", "File": {"Name": "cf"}}])),
            400,
            "config not found: cf",
        ),
        (with(web(), "Mode", json!({"Replicated": {"Replicas": 1}, "Global": {}})), 400, "must specify only one service mode"),
        (with(web(), "Mode", json!({"Replicated": {"Replicas": -1}})), 400, "invalid JSON"),
        (with(web(), "TaskTemplate.Placement", json!({"Constraints": ["node.role"]})), 400, "has no operator"),
        (
            with(web(), "TaskTemplate.RestartPolicy", json!({"Condition": "sometimes"})),
            400,
            "invalid RestartCondition: \"sometimes\"",
        ),
        (
            with(web(), "TaskTemplate.Resources", json!({"Limits": {"NanoCPUs": 5}})),
            400,
            "invalid cpu value 5e-09: Must be at least 0.001",
        ),
        (
            with(web(), "TaskTemplate.Resources", json!({"Reservations": {"MemoryBytes": 5}})),
            400,
            "invalid memory value 5: Must be at least 4MiB",
        ),
        (with(web(), "TaskTemplate.Networks", json!([{"Target": "nosuch"}])), 404, "network nosuch not found"),
        (
            with(web(), "TaskTemplate.Networks", json!([{"Target": "ingress"}])),
            400,
            "cannot be explicitly attached to the ingress network",
        ),
        (with(web(), "UpdateConfig", json!({"Order": "sideways"})), 400, "unrecognized update order sideways"),
        (with(web(), "UpdateConfig", json!({"MaxFailureRatio": 2})), 400, "cannot be less than 0 or bigger than 1"),
        (with(web(), "EndpointSpec", json!({"Mode": "foo"})), 400, "invalid resolution mode: \"foo\""),
        (port(json!({"TargetPort": 80, "PublishedPort": 70_000})), 400, "invalid port 70000"),
        (port(json!({"TargetPort": 80, "Protocol": "foo"})), 400, "invalid protocol"),
    ] {
        let refused = node.post("/services/create", body.clone());
        assert!(
            refused.status == status && refused.message().contains(words),
            "{body}: {} {}",
            refused.status,
            refused.message()
        );
    }
    for (kind, table) in [("secrets", "secret"), ("configs", "config")] {
        let create = |body: Value| node.post(&format!("/{kind}/create"), body);
        let most = if table == "secret" { 512_000 } else { 1_024_000 };
        let too_small = format!("{table} data must be larger than 0 and less than {most} bytes");
        for (body, words) in [
            (json!({"Name": "", "Data": "aGVsbG8="}), "name must be provided".to_string()),
            (json!({"Name": "b!", "Data": "aGVsbG8="}), "invalid name, only 64 [a-zA-Z0-9-_.] characters allowed".to_string()),
            (json!({"Name": "b", "Data": "***"}), "illegal base64 data at input byte 0".to_string()),
            (json!({"Name": "b", "Data": ""}), too_small.clone()),
            (json!({"Name": "b", "Data": "eHh4".repeat(most / 3 + 1)}), too_small),
        ] {
            let refused = create(body).is(400).message();
            assert!(refused.contains(&words), "{kind}: {refused}");
        }
    }
    for list in ["/services", "/tasks", "/secrets", "/configs"] {
        assert_eq!(node.get(list).json(), json!([]), "{list}");
    }
}

/// A few thousand odd requests, the same ones every time.
#[test]
fn no_request_brings_the_daemon_down_or_makes_half_a_thing() {
    let node = Node::start(false);
    let odd = [
        json!(null),
        json!(-1),
        json!(1e300),
        json!("\u{0}x"),
        json!([]),
        json!({}),
        json!([{}]),
        json!("x".repeat(5000)),
        json!(true),
    ];
    let fields = [
        "Name",
        "Labels",
        "TaskTemplate",
        "Mode",
        "EndpointSpec",
        "UpdateConfig",
        "Networks",
        "Data",
        "Driver",
        "Templating",
        "Role",
        "Availability",
        "Orchestration",
        "Raft",
        "CAConfig",
        "EncryptionConfig",
        "IPAM",
        "Options",
        "Scope",
        "JoinToken",
        "RemoteAddrs",
    ];
    let routes = [
        "/services/create",
        "/services/x/update?version=1",
        "/secrets/create",
        "/configs/create",
        "/secrets/x/update?version=1",
        "/nodes/x/update?version=1",
        "/swarm/update?version=0",
        "/swarm/init",
        "/swarm/join",
        "/swarm/unlock",
        "/networks/create",
    ];
    for route in routes {
        for field in fields {
            for value in &odd {
                let answer = node.post(route, json!({ field: value, "Driver": "overlay" }));
                assert!(
                    (400..=503).contains(&answer.status) && answer.status != 500,
                    "{route} {field} {value}: {}",
                    answer.status
                );
                assert!(!answer.message().is_empty());
            }
        }
    }
    // too much of a good thing
    let most = node.post(
        "/services/create",
        with(service("lots", &["sleep"]), "Mode", json!({"Replicated": {"Replicas": 1_000_000_000}})),
    );
    assert!(most.is(400).message().contains("more than the nodes can hold"));
    let long = with(service("long", &["sleep"]), "TaskTemplate.ContainerSpec.Env", json!(["x".repeat(9 << 20)]));
    assert_eq!(node.post("/services/create", long).is(400).message(), "the request body is longer than 8MiB");
    let deep = format!("{{\"TaskTemplate\":{}{}}}", "[".repeat(5000), "]".repeat(5000));
    call_with(&node.0.socket(), "POST", "/services/create", "Content-Type: application/json\r\n", deep.as_bytes()).is(400);
    for query in ["%7B", "[]", "{\"name\":5}", "{\"x\":[\"y\"]}", "{\"name\":[\"(\"]}", "%00", "{\"id\":{\"a\":\"b\"}}"] {
        for list in ["/services", "/tasks", "/nodes", "/secrets", "/configs", "/networks"] {
            let status = node.get(&format!("{list}?filters={query}")).status;
            assert!(matches!(status, 200 | 400), "{list} {query}: {status}");
        }
    }
    for id in ["%2e%2e", "%00", "a%20b", &"x".repeat(3000), "%F0%9F%90%B3"] {
        for path in ["/services", "/tasks", "/nodes", "/secrets", "/configs"] {
            node.get(&format!("{path}/{id}")).is(404);
            node.get(&format!("{path}/{id}/logs?stdout=1")).is(404);
        }
    }
    assert_eq!(node.get("/services").json(), json!([]));
    assert_eq!(
        node.get("/networks?filters={\"scope\":[\"swarm\"]}").json().as_array().expect("a list").len(),
        1,
        "ingress alone"
    );
}

#[test]
fn a_service_is_made_shown_changed_rolled_back_and_gone() {
    let node = Node::start(true);
    let web = with(service("web", &["sleep", "1000"]), "Labels", json!({"a": "b"}));
    let auth = "X-Registry-Auth: eyJ1c2VybmFtZSI6ImEiLCJwYXNzd29yZCI6ImdlaGVpbSJ9\r\nContent-Type: application/json\r\n";
    let made = call_with(&node.0.socket(), "POST", "/v1.41/services/create", auth, web.to_string().as_bytes()).is(201).json();
    let id = made["ID"].as_str().expect("an ID").to_string();
    assert_eq!(made, json!({"ID": id}));
    assert!(node.post("/services/create", web).is(409).message().ends_with("service web already exists"));
    node.await_state("web", "running", 1);
    let template = json!({
        "ContainerSpec": {"Image": "alpine", "Command": ["sleep", "1000"], "StopGracePeriod": 100_000_000, "Isolation": "default"},
        "ForceUpdate": 0, "Runtime": "container",
    });
    let spec = json!({"Name": "web", "Labels": {"a": "b"}, "TaskTemplate": template, "Mode": {"Replicated": {"Replicas": 1}}});
    let shown = node.get("/services/web").is(200).json();
    let (version, made, changed) = (&shown["Version"], &shown["CreatedAt"], &shown["UpdatedAt"]);
    assert_eq!(
        shown,
        json!({"ID": id, "Version": version, "CreatedAt": made, "UpdatedAt": changed, "Spec": spec, "Endpoint": {"Spec": {}}})
    );
    let status = node.get("/services?status=true").json()[0]["ServiceStatus"].clone();
    assert_eq!(status, json!({"RunningTasks": 1, "DesiredTasks": 1, "CompletedTasks": 0}));
    let defaults = node.get(&format!("/services/{}?insertDefaults=1", &id[..6])).json();
    assert_eq!(defaults["Spec"]["UpdateConfig"]["Monitor"], 5_000_000_000u64);

    let task = node.in_state("web", "running")[0].clone();
    assert_eq!((&task["Slot"], &task["DesiredState"], &task["ServiceID"]), (&json!(1), &json!("running"), &json!(id)));
    assert!(task["Spec"].get("Runtime").is_none() && task.get("SpecVersion").is_none());
    assert_eq!(node.get(&format!("/tasks/{}", task["ID"].as_str().expect("an ID"))).json()["ID"], task["ID"]);

    let update = |query: &str, spec: &Value| node.post(&format!("/services/web/update{query}"), spec.clone());
    let now = format!("?version={}", version["Index"]);
    assert!(update("", &spec).is(400).message().starts_with("invalid service version ''"));
    assert!(update("?version=1", &spec).is(400).message().ends_with("update out of sequence"));
    assert!(update(&format!("{now}&rollback=previous"), &spec).is(400).message().ends_with("does not have a previous spec"));
    assert_eq!(update(&format!("{now}&rollback=foo"), &spec).is(400).message(), "unrecognized rollback option foo");
    assert!(
        update(&now, &with(spec.clone(), "Name", json!("other")))
            .is(501)
            .message()
            .ends_with("renaming services is not supported")
    );
    assert!(
        update(&now, &with(spec.clone(), "Mode", json!({"Global": {}})))
            .is(501)
            .message()
            .ends_with("service mode change is not allowed")
    );
    let env = with(spec.clone(), "TaskTemplate.ContainerSpec.Env", json!(["A=1"]));
    let quick = with(env, "UpdateConfig", json!({"Parallelism": 0, "Monitor": 1_000_000}));
    assert_eq!(update(&now, &quick).is(200).json(), json!({"Warnings": null}));
    wait_for("the update", || node.get("/services/web").json()["UpdateStatus"]["State"] == "completed");
    let up_to_date = node.get("/tasks?filters={\"service\":[\"web\"],\"_up-to-date\":[\"true\"]}").json();
    assert_eq!(
        (up_to_date.as_array().expect("a list").len(), &up_to_date[0]["Spec"]["ContainerSpec"]["Env"]),
        (1, &json!(["A=1"]))
    );
    let shown = node.get("/services/web").json();
    assert_eq!(shown["PreviousSpec"], spec);
    update(&format!("?version={}&rollback=previous", shown["Version"]["Index"]), &spec).is(200);
    wait_for("the rollback", || node.get("/services/web").json()["UpdateStatus"]["State"] == "rollback_completed");
    assert_eq!(node.get("/services/web").json()["Spec"], spec);

    for path in ["/services", "/services/web", "/tasks"] {
        let told = String::from_utf8_lossy(&node.get(path).body).into_owned();
        assert!(!told.contains("eyJ1c2Vy"), "{path} tells the password: {told}");
    }
    node.delete("/services/web").is(200);
    assert_eq!(node.delete("/services/web").is(404).message(), "service web not found");
    wait_for("its containers to go", || node.get("/containers/json?all=1").json() == json!([]));
}

#[test]
fn logs_come_in_frames_and_say_whose_they_are() {
    let node = Node::start(true);
    node.post("/services/create", service("talk", &["sh", "-c", "echo out; echo err >&2; exec sleep 1000"])).is(201);
    node.await_state("talk", "running", 1);
    let task = node.in_state("talk", "running")[0].clone();
    let text = |path: &str| String::from_utf8_lossy(&node.get(path).is(200).body).into_owned();
    let all = "/services/talk/logs?stdout=1&stderr=1";
    wait_for("both lines", || text(all).contains("out\n") && text(all).contains("err\n"));
    let answer = node.get(all);
    assert_eq!(answer.header("Content-Type"), "application/vnd.docker.multiplexed-stream");
    let mut frames: Vec<Vec<u8>> = vec![b"\x01\0\0\0\0\0\0\x04out\n".to_vec(), b"\x02\0\0\0\0\0\0\x04err\n".to_vec()];
    let (first, second) = answer.body.split_at(12);
    let mut came = vec![first.to_vec(), second.to_vec()];
    frames.sort();
    came.sort();
    assert_eq!(came, frames);
    let word = |key: &str| task[key].as_str().expect("an ID");
    let whose = format!(
        "com.docker.swarm.node.id={},com.docker.swarm.service.id={},com.docker.swarm.task.id={} out\n",
        word("NodeID"),
        word("ServiceID"),
        word("ID")
    );
    assert!(text("/services/talk/logs?stdout=1&details=1").contains(&whose));
    let stamped = text(&format!("/tasks/{}/logs?stdout=1&timestamps=1&tail=2", word("ID")));
    assert!(stamped.contains("Z out\n") && !stamped.contains("err"), "{stamped}");
    for (path, words) in [
        ("/services/talk/logs", "Bad parameters: you must choose at least one stream"),
        ("/services/talk/logs?stdout=1&tail=foo", "tail value must be a positive integer or \"all\""),
        ("/services/talk/logs?stdout=1&since=foo", "no time in seconds"),
    ] {
        assert!(node.get(path).is(400).message().contains(words), "{path}");
    }
    assert_eq!(node.get("/tasks/nosuch/logs?stdout=1").is(404).message(), "task nosuch not found");
}

#[test]
fn networks_of_both_kinds_are_one_list_and_a_name_is_one_network() {
    let node = Node::start(false);
    let create = |body: Value| node.post("/networks/create", body);
    let made = create(json!({
        "Name": "back", "Driver": "overlay", "Labels": {"x": "y"}, "Attachable": true, "Options": {"foo": "bar"},
        "IPAM": {"Config": [{"Subnet": "10.9.0.0/24", "Gateway": "10.9.0.1"}]},
    }));
    let id = made.is(201).json()["Id"].as_str().expect("an ID").to_string();
    create(json!({"Name": "local"})).is(201);
    assert_eq!(create(json!({"Name": "back"})).is(409).message(), "network with name back already exists");
    assert_eq!(
        create(json!({"Name": "local", "Driver": "overlay"})).is(409).message(),
        "network with name local already exists"
    );
    for (body, status, words) in [
        (
            json!({"Name": "o", "Driver": "overlay", "Scope": "local"}),
            403,
            "cannot downgrade network scope for overlay networks",
        ),
        (json!({"Name": "bad name!", "Driver": "overlay"}), 400, "name must be valid as a DNS name component"),
        (
            json!({"Name": "o", "Driver": "overlay", "IPAM": {"Config": [{"Subnet": "nonsense"}]}}),
            400,
            "invalid subnet nonsense",
        ),
        (json!({"Name": "o", "Driver": "overlay", "IPAM": {"Config": [{"Subnet": "10.9.0.0/16"}]}}), 409, "Pool overlaps"),
        (json!({"Name": "o", "Driver": "overlay", "Ingress": true}), 409, "is already present"),
        (json!({"Name": "o", "Driver": "overlay", "Options": {"encrypted": ""}}), 501, "encrypted"),
        (json!({"Name": "o", "Driver": "overlay", "EnableIPv6": true}), 501, "IPv6"),
        (json!({"Name": "bridge", "Driver": "overlay"}), 403, "predefined"),
    ] {
        let refused = create(body.clone());
        assert!(
            refused.status == status && refused.message().contains(words),
            "{body}: {} {}",
            refused.status,
            refused.message()
        );
    }
    let names = |filters: &str| -> Vec<String> {
        let listed = node.get(&format!("/networks?filters={filters}")).is(200).json();
        let mut names: Vec<String> =
            listed.as_array().expect("a list").iter().map(|n| n["Name"].as_str().expect("a name").into()).collect();
        names.sort();
        names
    };
    assert_eq!(names("{\"scope\":[\"swarm\"]}"), ["back", "ingress"]);
    assert_eq!(names("{\"driver\":[\"overlay\"],\"label\":[\"x=y\"]}"), ["back"]);
    assert!(names("{}").contains(&"local".to_string()) && names("{}").contains(&"back".to_string()));
    wait_for("its number", || {
        node.get("/networks/back").json()["Options"]["com.docker.network.driver.overlay.vxlanid_list"].is_string()
    });
    let shown = node.get(&format!("/networks/{}", &id[..8])).is(200).json();
    assert_eq!(
        (&shown["Scope"], &shown["Containers"], &shown["IPAM"]["Options"]),
        (&json!("swarm"), &Value::Null, &Value::Null)
    );
    assert_eq!(shown["IPAM"]["Config"], json!([{"Subnet": "10.9.0.0/24", "Gateway": "10.9.0.1"}]));
    node.get("/networks/back?scope=local").is(404);
    node.get("/networks/local?scope=swarm").is(404);
    let pruned = node.post("/networks/prune", json!({})).is(200).json();
    let mut gone: Vec<&str> =
        pruned["NetworksDeleted"].as_array().expect("a list").iter().map(|n| n.as_str().expect("a name")).collect();
    gone.sort_unstable();
    assert_eq!(gone, ["back", "local"]);
    create(json!({"Name": "again", "Driver": "overlay"})).is(201);
    node.delete("/networks/again").is(204);
    assert_eq!(node.delete("/networks/again").is(404).message(), "network again not found");
}

#[test]
fn secrets_go_in_and_never_out_and_configs_do() {
    let node = Node::start(false);
    for (kind, table) in [("secrets", "secret"), ("configs", "config")] {
        let id = node
            .post(&format!("/{kind}/create"), json!({"Name": "a", "Data": "Z2VoZWlt", "Labels": {"l": "1"}}))
            .is(201)
            .json()["ID"]
            .clone();
        assert!(
            node.post(&format!("/{kind}/create"), json!({"Name": "a", "Data": "Z2VoZWlt"}))
                .is(409)
                .message()
                .ends_with(&format!("{table} a already exists"))
        );
        let shown = node.get(&format!("/{kind}/a")).is(200).json();
        assert_eq!((&shown["ID"], shown["Spec"].get("Data").is_some()), (&id, table == "config"));
        assert_eq!(node.get(&format!("/{kind}")).json()[0], shown);
        let version = &shown["Version"]["Index"];
        let update = |query: String, body: Value| node.post(&format!("/{kind}/a/update{query}"), body);
        assert_eq!(update(String::new(), json!({"Name": "a"})).is(400).message(), format!("invalid {table} version"));
        let other = update(format!("?version={version}"), json!({"Name": "a", "Data": "b3RoZXI="})).is(400).message();
        assert!(other.ends_with("only updates to Labels are allowed"), "{other}");
        update(format!("?version={version}"), json!({"Name": "a", "Labels": {"z": "2"}})).is(200);
        assert_eq!(node.get(&format!("/{kind}/a")).json()["Spec"]["Labels"], json!({"z": "2"}));
        let events = node.get("/events?since=1&until=1").body;
        assert!(!String::from_utf8_lossy(&events).contains("Z2VoZWlt"));
        node.delete(&format!("/{kind}/a")).is(204);
        assert_eq!(node.get(&format!("/{kind}/a")).is(404).message(), format!("{table} a not found"));
    }
}

#[test]
fn what_happens_in_the_swarm_is_an_event_of_its_scope() {
    let node = Node::start(true);
    node.post("/services/create", service("web", &["sleep", "1000"])).is(201);
    let shown = node.get("/services/web").json();
    let version = &shown["Version"]["Index"];
    node.post(
        &format!("/services/web/update?version={version}"),
        with(shown["Spec"].clone(), "Mode", json!({"Replicated": {"Replicas": 2}})),
    )
    .is(200);
    node.delete("/services/web").is(200);
    // a stream without an end is cut by a `until` that is past
    let until = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_secs() + 1;
    let told = || {
        let events =
            node.get(&format!("/events?since=1&until={until}&filters={{\"scope\":[\"swarm\"],\"type\":[\"service\"]}}"));
        let lines = String::from_utf8_lossy(&events.body).into_owned();
        lines.lines().map(|line| serde_json::from_str::<Value>(line).expect("an event")).collect::<Vec<_>>()
    };
    let actions: Vec<String> = told().iter().map(|e| e["Action"].as_str().expect("a word").to_string()).collect();
    assert_eq!(
        (actions.first().map(String::as_str), actions.last().map(String::as_str)),
        (Some("create"), Some("remove")),
        "{actions:?}"
    );
    let scaled = told().into_iter().find(|e| e["Actor"]["Attributes"].get("replicas.new").is_some()).expect("an update");
    assert_eq!(scaled["Actor"]["Attributes"], json!({"name": "web", "replicas.old": "1", "replicas.new": "2"}));
    assert_eq!((&scaled["scope"], scaled.get("status").is_none()), (&json!("swarm"), true));
}

#[test]
fn why_tells_what_stands_in_the_way_and_the_smallest_change() {
    let node = Node::start(true);
    let choosy = with(
        service("choosy", &["sleep", "1000"]),
        "TaskTemplate.Placement",
        json!({"Constraints": ["node.labels.disk==ssd"]}),
    );
    node.post("/services/create", choosy).is(201);
    node.await_state("choosy", "pending", 1);
    wait_for("a reason", || node.in_state("choosy", "pending").first().is_some_and(|t| t["Status"].get("Err").is_some()));
    assert_eq!(
        node.in_state("choosy", "pending")[0]["Status"]["Err"],
        "no suitable node (scheduling constraints not satisfied on 1 node)"
    );
    let why = node.get("/minidock/why/task?id=choosy.1").is(200).json();
    let hostname = node.get("/nodes").json()[0]["Description"]["Hostname"].as_str().expect("a name").to_string();
    assert_eq!(why["Change"], format!("give {hostname} the label disk=ssd"));
    assert_eq!(why["Commands"], json!([format!("minidock node update --label-add disk=ssd {hostname}")]));
    assert_eq!(why["Nodes"][0]["Filters"].as_array().expect("a list").iter().filter(|f| f["Holds"] == false).count(), 1);
    let why = node.get("/minidock/why/service?id=choosy").is(200).json();
    assert_eq!((&why["Running"], &why["Desired"], why["Waits"].as_array().expect("a list").len()), (&json!(0), &json!(1), 1));

    let one = node.get("/nodes").json()[0].clone();
    let update = format!("/nodes/{}/update?version={}", one["ID"].as_str().expect("an ID"), one["Version"]["Index"]);
    node.post(&update, with(one["Spec"].clone(), "Labels", json!({"disk": "ssd"}))).is(200);
    node.await_state("choosy", "running", 1);
    let why = node.get("/minidock/why/service?id=choosy").json();
    assert_eq!(why["Verdict"], "it waits for nothing: 1 of 1 running");
    let why = node.get("/minidock/why/leader").is(200).json();
    assert!(why["Verdict"].as_str().expect("words").contains("leads since term"), "{why}");
    for path in ["/minidock/why/task?id=nosuch", "/minidock/why/service?id=nosuch"] {
        node.get(path).is(404);
    }
    node.get("/minidock/why/task").is(400);
}
