//! # What a swarm's users see: requests while services change
//!
//! Three nodes, a service of three replicas with a port in the mesh, and clients that never stop asking: on every node at its published port, and in a
//! container of every node at the service's name. Whatever is done to the service, an update, a drain, a scaling: no request is lost. One cluster for
//! all of it, for each claim begins where the one before ended.

#[path = "props/nodes.rs"]
mod nodes;
#[path = "props/mod.rs"]
mod props;

use nodes::Nodes;
use props::{comes_true, wait_for};
use serde_json::Value;
use std::{collections::BTreeMap, fs, path::Path, time::Duration};

const NODES: [&str; 3] = ["node1", "node2", "node3"];

/// What the clients of one place saw.
#[derive(Debug)]
struct Seen {
    place: String,
    /// Who answered how often: host name and version.
    good: BTreeMap<String, u64>,
    bad: Vec<String>,
    worst: f64,
}

struct World {
    nodes: Nodes,
    vip: String,
}

impl World {
    fn new() -> World {
        let nodes = Nodes::up(&["--nodes", "3"]);
        for script in ["server.py", "load.py"] {
            let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/traffic").join(script);
            fs::copy(from, nodes.host.folder.join(script)).expect("a copy");
        }
        nodes.ok("node1", &["network", "create", "-d", "overlay", "shop"]);
        let server = nodes.host.folder.join("server.py").display().to_string();
        let create = |words: &[&str]| {
            let common = ["service", "create", "-d", "--no-resolve-image", "--network", "shop"];
            nodes.ok("node1", &[&common[..], words].concat())
        };
        let health = "grep -q ':0050 00000000:0000 0A' /proc/net/tcp";
        let web = ["--name", "web", "--replicas", "3", "-p", "8080:80", "--mount", "type=bind,src=/,dst=/host,ro"];
        // unhealthy is who has not opened its door yet; only then is a task called
        let healthy = ["--health-cmd", health, "--health-interval", "300ms", "--health-retries", "100"];
        create(&[&web[..], &healthy, &["alpine", "chroot", "/host", "python3", "-B", &server]].concat());
        create(&["--name", "client", "--mode", "global", "alpine", "sleep", "100000"]);
        let shown = nodes.ok("node1", &["service", "inspect", "web"]);
        let shown: Value = serde_json::from_str(&shown).expect("JSON");
        let network = nodes.ok("node1", &["network", "inspect", "-f", "{{.ID}}", "shop"]);
        let vips = shown[0]["Endpoint"]["VirtualIPs"].as_array().expect("a list").clone();
        let vip = vips.iter().find(|vip| vip["NetworkID"] == network.as_str()).expect("one on each network");
        let vip = vip["Addr"].as_str().expect("an address").split('/').next().expect("a part").to_string();
        let world = World { nodes, vip };
        world.settled(&["3/3 3/3"]);
        world
    }

    /// Waits until both services have what they want.
    #[track_caller]
    fn settled(&self, wanted: &[&str]) {
        let shown = || {
            self.nodes
                .ok("node1", &["service", "ls", "--format", "{{.Replicas}}"])
                .split_whitespace()
                .collect::<Vec<_>>()
                .join(" ")
        };
        wait_for(&format!("{wanted:?}"), || wanted.contains(&shown().as_str()));
    }

    /// Asks at every place while `act` is done. `with_vip`: these nodes' containers ask too.
    fn under_load(&self, with_vip: &[&str], act: impl FnOnce()) -> Vec<Seen> {
        // the clients go on as long as it is there: until this ends, or a claim fails in it
        let going = tempfile::NamedTempFile::new_in(&self.nodes.host.folder).expect("a file");
        let script = self.nodes.host.folder.join("load.py");
        let load = |to: &str| format!("python3 -B {} {to} {}", script.display(), going.path().display());
        let mut places: Vec<(&str, String, String)> =
            NODES.iter().map(|node| (*node, format!("{node}, at its port"), load("127.0.0.1:8080"))).collect();
        for node in with_vip {
            let client = self.nodes.ok(node, &["ps", "-qf", "name=client"]);
            let pid = self.nodes.ok(node, &["inspect", "-f", "{{.State.Pid}}", &client]);
            let there = format!("nsenter -t {pid} -n {}", load(&format!("{}:80", self.vip)));
            places.push((node, format!("{node}, in a container"), there));
        }
        std::thread::scope(|scope| {
            let asked = |(node, place, script): (&str, String, String)| {
                let node = node.to_string();
                let nodes = &self.nodes;
                scope.spawn(move || (place, nodes.inside(&node, &script)))
            };
            let asking: Vec<_> = places.into_iter().map(asked).collect();
            act();
            drop(going);
            asking.into_iter().map(|thread| seen(thread.join().expect("an answer"))).collect()
        })
    }

    /// Waits until every task of `web` that should run is one of this version, and runs.
    fn rolled(&self, version: &str) {
        // three tasks, one after the other, each with a program that takes its time to begin
        let rolled = comes_true(Duration::from_secs(90), || {
            let state = self.nodes.ok("node1", &["service", "inspect", "-f", "{{.UpdateStatus.State}}", "web"]);
            assert!(!state.starts_with("rollback") && state != "paused", "{state}");
            state == "completed"
        });
        assert!(rolled, "waited 90 s for version {version}");
        self.settled(&["3/3 3/3", "3/3 2/2"]);
    }
}

fn seen((place, text): (String, String)) -> Seen {
    let told: Value = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{place}: {e}: {text}"));
    let good = told["good"].as_object().expect("a map");
    Seen {
        place,
        good: good.iter().map(|(name, count)| (name.clone(), count.as_u64().expect("a number"))).collect(),
        bad: told["bad"].as_array().expect("a list").iter().map(|b| b.as_str().expect("a text").to_string()).collect(),
        worst: told["worst"].as_f64().expect("a number"),
    }
}

/// Nothing went wrong anywhere, and there was something to go wrong.
#[track_caller]
fn nothing_lost(what: &str, all: &[Seen]) {
    let (good, worst) =
        (all.iter().flat_map(|seen| seen.good.values()).sum::<u64>(), all.iter().map(|s| s.worst).fold(0.0, f64::max));
    println!("{what}: {good} requests, the longest {worst:.2} s");
    for seen in all {
        assert!(seen.bad.is_empty(), "{what}: {}: {} of {:?}: {:#?}", seen.place, seen.bad.len(), seen.good, seen.bad);
    }
    assert!(good > 100, "{what}: {all:?}");
}

#[test]
fn no_request_is_lost_whatever_is_done_to_a_service() {
    let world = World::new();
    let update = |words: &[&str]| {
        let common = ["service", "update", "-d", "--no-resolve-image"];
        world.nodes.ok("node1", &[&common[..], words, &["web"]].concat());
    };

    // quiet: each replica has its share, wherever one asks
    let quiet = world.under_load(&NODES, || {
        // as long as forty looks at the service take: some seconds
        (0..40).for_each(|_| drop(world.nodes.ok("node1", &["service", "ps", "web"])));
    });
    nothing_lost("quiet", &quiet);
    for seen in &quiet {
        let (least, most) = (seen.good.values().min().expect("some"), seen.good.values().max().expect("some"));
        assert!(seen.good.len() == 3 && most - least <= 2, "each its turn: {seen:?}");
    }

    for (order, version) in [("start-first", "2"), ("stop-first", "3")] {
        let all = world.under_load(&NODES, || {
            update(&["--update-order", order, "--update-delay", "200ms", "--env-add", &format!("V={version}")]);
            world.rolled(version);
        });
        nothing_lost(order, &all);
        for seen in &all {
            assert!(seen.good.keys().any(|name| name.ends_with(version)), "{seen:?}");
        }
    }

    // a node is emptied; its own clients at its port go on, by the other nodes' tasks
    let drained = world.under_load(&["node1", "node3"], || {
        world.nodes.ok("node1", &["node", "update", "--availability", "drain", "node2"]);
        world.settled(&["2/2 3/3", "3/3 2/2"]);
        wait_for("node2 to be empty", || world.nodes.ok("node2", &["ps", "-q"]).is_empty());
    });
    nothing_lost("drain", &drained);

    // fewer and more
    let scaled = world.under_load(&["node1", "node3"], || {
        for (count, shown) in [("1", ["2/2 1/1", "1/1 2/2"]), ("4", ["2/2 4/4", "4/4 2/2"])] {
            world.nodes.ok("node1", &["service", "scale", "-d", &format!("web={count}")]);
            world.settled(&shown);
        }
    });
    nothing_lost("scaling", &scaled);

    // nobody: refused, at the port and at the name, and not after a silence
    world.nodes.ok("node1", &["service", "scale", "-d", "web=0"]);
    world.settled(&["2/2 0/0", "0/0 2/2"]);
    for seen in world.under_load(&["node1"], || ()) {
        assert!(seen.good.is_empty() && !seen.bad.is_empty(), "{seen:?}");
        assert!(seen.bad.iter().all(|bad| bad.contains("ConnectionRefused")), "{seen:?}");
        assert!(seen.worst < 0.5, "{seen:?}");
    }
}
