//! # Who reaches whom: two networks, a matrix, and what `--internal` and `enable_icc` mean
//!
//! The classic picture of the labs: two applications, each a web server and a database on a network of their own, and an admin who
//! lives on both. Every pair is tried by name and by address, on an open and on a closed port, with busybox wget in the containers.

#[path = "props/network.rs"]
mod network;
#[path = "props/mod.rs"]
mod props;

use network::{Neighbour, address, fetch, fetch_in, serve};
use props::Daemon;

const DOGS: [&str; 2] = ["dog-web", "dog-db"];
const CATS: [&str; 2] = ["cat-web", "cat-db"];

#[test]
fn dogs_and_cats_do_not_meet_and_the_admin_reaches_both() {
    let daemon = Daemon::start();
    daemon.ok(&["network", "create", "dog-net"]);
    daemon.ok(&["network", "create", "cat-net"]);
    for (names, net, port) in [(DOGS, "dog-net", "8081:80"), (CATS, "cat-net", "8082:80")] {
        serve(&daemon, names[0], &["--network", net, "-p", port], names[0]);
        serve(&daemon, names[1], &["--network", net], names[1]);
    }
    serve(&daemon, "admin", &["--network", "dog-net", "--network", "cat-net"], "admin");
    serve(&daemon, "stray", &[], "stray");
    let side = |name: &str| match name.split('-').next() {
        Some("dog") => vec!["dog-net"],
        Some("cat") => vec!["cat-net"],
        Some("admin") => vec!["dog-net", "cat-net"],
        _ => vec!["bridge"],
    };
    let all = [DOGS.as_slice(), CATS.as_slice(), &["admin", "stray"]].concat();
    let tries: Vec<(&str, &str)> = all.iter().flat_map(|a| all.iter().map(move |b| (*a, *b))).filter(|(a, b)| a != b).collect();
    std::thread::scope(|scope| {
        for chunk in tries.chunks(2) {
            let (daemon, side) = (&daemon, &side);
            scope.spawn(move || {
                for (from, to) in chunk {
                    let together = side(from).iter().any(|n| side(to).contains(n));
                    let by_name = fetch_in(daemon, from, &format!("http://{to}/"));
                    let names = together && *from != "stray";
                    assert_eq!(by_name.is_some(), names, "{from} → {to} by name: {by_name:?}");
                    for net in side(to) {
                        let by_address = fetch_in(daemon, from, &format!("http://{}/", address(daemon, to, net)));
                        assert_eq!(by_address.is_some(), side(from).contains(&net), "{from} → {to} by address on {net}");
                    }
                }
            });
        }
    });
    assert_eq!(fetch(&daemon, "http://127.0.0.1:8081/").as_deref(), Some("dog-web"));
    assert_eq!(fetch(&daemon, "http://127.0.0.1:8082/").as_deref(), Some("cat-web"));
    let neighbour = Neighbour::of(&daemon);
    assert_eq!(neighbour.fetch("http://192.0.2.1:8082/").as_deref(), Some("cat-web"));
    for (from, port, page) in [("dog-db", 8082, "cat-web"), ("cat-db", 8081, "dog-web"), ("stray", 8081, "dog-web")] {
        let published = fetch_in(&daemon, from, &format!("http://192.0.2.1:{port}/"));
        assert_eq!(published.as_deref(), Some(page), "{from} by the published port");
    }
}

#[test]
fn an_internal_network_has_no_way_out_and_no_way_in() {
    let daemon = Daemon::start();
    let neighbour = Neighbour::of(&daemon);
    neighbour.run(&["ip", "route", "add", "10.5.0.0/24", "via", "192.0.2.1"]).ok();
    daemon.ok(&["network", "create", "--internal", "--subnet", "10.5.0.0/24", "inner"]);
    serve(&daemon, "web", &["--network", "inner", "-p", "8080:80"], "inner");
    daemon.ok(&["run", "-d", "--name", "in", "--network", "inner", "alpine", "sleep", "1000"]);
    daemon.ok(&["run", "-d", "--name", "out", "alpine", "sleep", "1000"]);
    assert_eq!(fetch_in(&daemon, "in", "http://web/").as_deref(), Some("inner"), "inside they meet");
    assert!(!daemon.ok(&["exec", "in", "ip", "route"]).contains("default"), "there is no way out to begin with");
    daemon.run(&["exec", "--privileged", "in", "ip", "route", "add", "default", "via", "10.5.0.1"]);
    assert_eq!(daemon.run(&["exec", "in", "ping", "-c", "1", "-W", "1", "192.0.2.2"]).status, 1, "nor may one be made");
    assert_eq!(fetch_in(&daemon, "out", &format!("http://{}/", address(&daemon, "web", "inner"))), None);
    assert_eq!(neighbour.fetch("http://10.5.0.2/"), None);
    assert_eq!(neighbour.fetch("http://192.0.2.1:8080/"), None, "a published port of an internal network is not open");
    daemon.ok(&["network", "connect", "bridge", "in"]);
    daemon.ok(&["exec", "in", "ping", "-c", "1", "-W", "2", "192.0.2.2"]);
}

#[test]
fn without_icc_neighbours_are_strangers_but_published_ports_are_open() {
    let daemon = Daemon::start();
    let neighbour = Neighbour::of(&daemon);
    daemon.ok(&["network", "create", "-o", "com.docker.network.bridge.enable_icc=false", "cold"]);
    serve(&daemon, "web", &["--network", "cold", "-p", "8080:80"], "cold");
    daemon.ok(&["run", "-d", "--name", "bb", "--network", "cold", "alpine", "sleep", "1000"]);
    assert_eq!(fetch_in(&daemon, "bb", &format!("http://{}/", address(&daemon, "web", "cold"))), None);
    assert_eq!(fetch(&daemon, "http://127.0.0.1:8080/").as_deref(), Some("cold"));
    assert_eq!(neighbour.fetch("http://192.0.2.1:8080/").as_deref(), Some("cold"));
    daemon.ok(&["exec", "bb", "ping", "-c", "1", "-W", "2", "192.0.2.2"]);
}

#[test]
fn an_unpublished_port_cannot_be_reached_by_routing_to_the_container() {
    let daemon = Daemon::start();
    let neighbour = Neighbour::of(&daemon);
    serve(&daemon, "web", &[], "private");
    neighbour.run(&["ip", "route", "add", "172.17.0.0/16", "via", "192.0.2.1"]).ok();
    assert_eq!(neighbour.fetch("http://172.17.0.2/"), None, "a neighbour may know the way; it is closed");
    assert_eq!(fetch(&daemon, "http://172.17.0.2/").as_deref(), Some("private"), "the host itself may");
}

#[test]
fn a_hundred_containers_come_and_go_and_every_address_is_given_once() {
    let daemon = Daemon::start();
    daemon.ok(&["network", "create", "crowd"]);
    let daemon = &daemon;
    let round = move |n: usize| {
        let names: Vec<String> = (0..10).map(|i| format!("c{n}-{i}")).collect();
        for name in &names {
            daemon.ok(&["run", "-d", "--name", name, "--network", "crowd", "alpine", "sleep", "1000"]);
        }
        let found: Vec<String> = names.iter().map(|name| address(daemon, name, "crowd")).collect();
        names.iter().for_each(|name| drop(daemon.ok(&["rm", "-f", name])));
        found
    };
    for _ in 0..2 {
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..5).map(|n| scope.spawn(move || round(n))).collect();
            let all: Vec<Vec<String>> = threads.into_iter().map(|t| t.join().expect("ten containers")).collect();
            for own in &all {
                let distinct: std::collections::BTreeSet<&String> = own.iter().collect();
                assert_eq!(distinct.len(), 10, "ten containers that lived at once: {own:?}");
            }
        });
    }
    props::wait_for("links to go", || network::links_like(daemon, "veth").is_empty());
    let last = daemon.ok(&["run", "--rm", "--network", "crowd", "alpine", "hostname", "-i"]);
    assert!(last.ends_with(".0.2"), "every address came back: {last}");
}
