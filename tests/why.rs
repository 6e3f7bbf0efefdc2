//! # why reach: each link broken once, with real containers
//!
//! The chain is judged in `src/network/reach`; here every fact is true: containers that stop, networks that are apart, programs that
//! listen nowhere or only to themselves, and `--json` for whoever asks by program.

#[path = "props/network.rs"]
mod network;
#[path = "props/mod.rs"]
mod props;

use network::{Neighbour, address, serve, serve_at};
use props::{Daemon, wait_for};
use serde_json::Value;

/// What is said, and the status: 0 when B is reached.
fn why(daemon: &Daemon, from: &str, to: &str) -> (i32, String) {
    let printed = daemon.run(&["why", "reach", from, to]);
    (printed.status, printed.out + &printed.err)
}

/// The chain breaks at `link`, in these words.
#[track_caller]
fn breaks(daemon: &Daemon, (from, to): (&str, &str), link: &str, words: &str) {
    let (status, text) = why(daemon, from, to);
    let broken: Vec<&str> = text.lines().filter(|line| line.starts_with("  NO ")).collect();
    assert_eq!((status, broken.len()), (1, 1), "{from} → {to}: {text}");
    assert!(broken[0].starts_with(&format!("  NO   {link:<10} ")) && broken[0].contains(words), "{from} → {to}: {text}");
    let last = text.lines().last().unwrap_or_default();
    assert!(last.starts_with("       try        "), "{from} → {to} ends with what to try: {text}");
}

#[track_caller]
fn holds(daemon: &Daemon, from: &str, to: &str) -> String {
    let (status, text) = why(daemon, from, to);
    assert!(status == 0 && !text.contains("  NO "), "{from} → {to}: {text}");
    text
}

fn sleeper(daemon: &Daemon, name: &str, flags: &[&str]) {
    daemon.ok(&[&["run", "-d", "--name", name], flags, &["alpine", "sleep", "1000"]].concat());
}

#[test]
fn on_a_network_of_ones_own_every_link_can_hold_and_each_can_break() {
    let daemon = Daemon::start();
    daemon.ok(&["network", "create", "app"]);
    daemon.ok(&["network", "create", "store"]);
    serve(&daemon, "db", &["--network", "app"], "db");
    sleeper(&daemon, "web", &["--network", "app"]);
    sleeper(&daemon, "far", &["--network", "store"]);
    sleeper(&daemon, "lone", &["--network", "none"]);

    let told = holds(&daemon, "web", "db:80");
    assert!(told.starts_with("web can reach db:80/tcp\n"), "{told}");
    let addr = address(&daemon, "db", "app");
    for line in [
        format!("  yes  name       db is {addr}, says 127.0.0.11"),
        format!("  yes  address    {addr} is db, on network app"),
        "  yes  route      directly on link eth0".into(),
        format!("  yes  neighbour  {addr} answers from 02:42:"),
        "  yes  rule       both are on network app: it is switched, not routed".into(),
        "  yes  listener   db accepts connections at port 80/tcp".into(),
    ] {
        assert!(told.contains(&line), "{line}\n{told}");
    }
    holds(&daemon, "web", "db");
    holds(&daemon, "web", &format!("{addr}:80"));
    holds(&daemon, "db", "127.0.0.1:80");
    holds(&daemon, "host", &format!("{addr}:80"));

    breaks(&daemon, ("web", "nosuch"), "name", "nosuch"); // the host's servers are out of reach here: SERVFAIL
    breaks(&daemon, ("web", "far"), "name", "no common network: web is on app, far on store");
    breaks(&daemon, ("lone", &addr), "route", "--network none");
    breaks(&daemon, ("web", "db:81"), "listener", "nothing listens at port 81/tcp of db");
    let far = address(&daemon, "far", "store");
    breaks(&daemon, ("web", &format!("{far}:80")), "rule", "networks app and store are apart");
    let nobody = addr.rsplit_once('.').map(|(net, _)| format!("{net}.77")).expect("an address");
    breaks(&daemon, ("web", &nobody), "address", "nobody on network app has");

    daemon.ok(&["stop", "-t", "0", "db"]);
    breaks(&daemon, ("web", "db:80"), "name", "db is exited");
    breaks(&daemon, ("web", &format!("{addr}:80")), "address", "nobody on network app has");
    breaks(&daemon, ("db", "web"), "name", "db is exited");
    daemon.ok(&["start", "db"]);
    daemon.ok(&["network", "connect", "store", "db"]);
    holds(&daemon, "far", "db");

    assert!(daemon.run(&["why", "reach", "ghost", "db"]).fails(1).contains("No such container: ghost"));
    for bad in ["db:0", "db:65536", "db:80/sctp", ":80"] {
        assert!(daemon.run(&["why", "reach", "web", bad]).fails(1).contains("invalid target"), "{bad}");
    }
}

#[test]
fn on_the_default_network_names_are_what_is_missing() {
    let daemon = Daemon::start();
    serve(&daemon, "db", &[], "db");
    sleeper(&daemon, "web", &[]);
    sleeper(&daemon, "linked", &["--link", "db:store"]);
    breaks(&daemon, ("web", "db:80"), "name", "on the default network bridge containers have no names");
    let addr = address(&daemon, "db", "bridge");
    assert!(holds(&daemon, "linked", "store:80").contains(&format!("store is {addr}, says /etc/hosts of linked")));
    holds(&daemon, "web", &format!("{addr}:80"));
}

#[test]
fn who_listens_only_to_himself_is_told_so() {
    let daemon = Daemon::start();
    daemon.ok(&["network", "create", "app"]);
    sleeper(&daemon, "web", &["--network", "app"]);
    let page = "mkdir -p /www && exec httpd -f -p 127.0.0.1:80 -h /www";
    daemon.ok(&["run", "-d", "--name", "shy", "--network", "app", "alpine", "sh", "-c", page]);
    network::await_listener(&daemon, "shy", 80);
    breaks(&daemon, ("web", "shy:80"), "listener", "shy listens at port 80 on 127.0.0.1 only, not on");
    assert!(why(&daemon, "web", "shy:80").1.contains("let the program listen on 0.0.0.0"));
    holds(&daemon, "shy", "127.0.0.1:80");
}

#[test]
fn internal_networks_and_shy_ones_are_named_with_their_rule() {
    let daemon = Daemon::start();
    let neighbour = Neighbour::of(&daemon);
    daemon.ok(&["network", "create", "--internal", "vault"]);
    daemon.ok(&["network", "create", "-o", "com.docker.network.bridge.enable_icc=false", "shy"]);
    sleeper(&daemon, "in", &["--network", "vault"]);
    sleeper(&daemon, "out", &[]);
    serve(&daemon, "one", &["--network", "shy"], "one");
    sleeper(&daemon, "two", &["--network", "shy"]);
    breaks(&daemon, ("in", "192.0.2.2:80"), "route", "vault is internal: it has no way out");
    let vault = address(&daemon, "in", "vault");
    breaks(&daemon, ("out", &format!("{vault}:80")), "rule", "network vault is internal");
    breaks(&daemon, ("two", "one:80"), "rule", "enable_icc=false");
    drop(neighbour);
}

#[test]
fn a_published_port_is_followed_to_its_container_and_the_world_is_tried() {
    let daemon = Daemon::start();
    let neighbour = Neighbour::of(&daemon);
    serve_at(&daemon, "web", &["-p", "8080:8000"], "web", 8000);
    sleeper(&daemon, "asker", &[]);
    let told = holds(&daemon, "asker", "192.0.2.1:8080");
    assert!(told.contains("192.0.2.1 is this host; port 8080 is published and leads to 172.17.0.2:8000 in web"), "{told}");
    holds(&daemon, "host", "127.0.0.1:8080");
    serve(&daemon, "own", &["-p", "127.0.0.1:9090:80"], "own");
    holds(&daemon, "host", "127.0.0.1:9090");
    breaks(&daemon, ("asker", "192.0.2.1:9090"), "listener", "port 9090/tcp is published on 127.0.0.1 only, not on 192.0.2.1");
    breaks(&daemon, ("asker", "192.0.2.1:8081"), "listener", "nothing listens at port 8081/tcp of this host");
    // the neighbour is there, but nobody listens at it; and one that is not there at all
    breaks(&daemon, ("asker", "192.0.2.2:9"), "listener", "refuses port 9/tcp");
    let (status, text) = why(&daemon, "asker", "192.0.2.2");
    assert!(status == 0 && text.contains("it leaves with the host's address (masquerade)"), "{text}");
    // a firewall that somebody throws away comes back
    daemon.inside(&["nft", "flush", "ruleset"]).ok();
    wait_for("the firewall to be mended", || why(&daemon, "asker", "192.0.2.1:8080").0 == 0);
    drop(neighbour);
}

#[test]
fn programs_ask_for_json() {
    let daemon = Daemon::start();
    serve(&daemon, "db", &[], "db");
    sleeper(&daemon, "web", &[]);
    let printed = daemon.run(&["why", "reach", "--json", "web", "db:80"]);
    let told: Value = serde_json::from_str(&printed.out).expect("JSON");
    assert_eq!(
        (printed.status, &told["reachable"], &told["from"], &told["to"]),
        (1, &false.into(), &"web".into(), &"db:80/tcp".into())
    );
    let last = told["links"].as_array().and_then(|links| links.last()).expect("a link");
    assert_eq!((&last["step"], &last["holds"]), (&"name".into(), &"no".into()));
    assert!(last["try"].as_str().is_some_and(|hint| hint.contains("172.17.0.2")), "{told}");
}
