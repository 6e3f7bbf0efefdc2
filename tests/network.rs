//! # Networks, from the command line: what is made, what is shown, what the kernel says of it
//!
//! Each claim types at a daemon in a namespace of its own and asks `ip -j` and busybox in containers whether it is true.

#[path = "props/network.rs"]
mod network;
#[path = "props/mod.rs"]
mod props;

use network::{address, fetch_in, json, link, links_like, ports_of, serve};
use props::{Daemon, wait_for};
use serde_json::{Value, json as value};

fn inspect(daemon: &Daemon, network: &str) -> Value {
    let text = daemon.ok(&["network", "inspect", network]);
    serde_json::from_str::<Value>(&text).expect("JSON")[0].clone()
}

#[test]
fn every_test_daemon_has_a_namespace_of_its_own() {
    let (one, other) = (Daemon::bare(&[]), Daemon::bare(&[]));
    let space = |daemon: &Daemon| std::fs::read_link(format!("/proc/{}/ns/net", daemon.pid())).expect("a link");
    let ours = std::fs::read_link("/proc/self/ns/net").expect("a link");
    assert!(space(&one) != space(&other) && space(&one) != ours);
    assert_eq!(one.inside(&["readlink", "/proc/self/ns/net"]).ok().trim(), space(&one).display().to_string());
}

#[test]
fn three_networks_are_always_there_and_cannot_be_removed() {
    let daemon = Daemon::start();
    let listed = daemon.ok(&["network", "ls"]);
    let rows: Vec<Vec<&str>> = listed.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[0], ["NETWORK", "ID", "NAME", "DRIVER", "SCOPE"]);
    let rest: Vec<&[&str]> = rows[1..].iter().map(|row| &row[1..]).collect();
    assert_eq!(rest, [["bridge", "bridge", "local"], ["host", "host", "local"], ["none", "null", "local"]]);
    for name in ["bridge", "host", "none"] {
        let refused = daemon.run(&["network", "rm", name]).fails(1);
        assert!(refused.contains(&format!("{name} is a pre-defined network and cannot be removed")), "{refused}");
        let taken = daemon.run(&["network", "create", name]).fails(1);
        assert!(taken.contains(&format!("operation is not permitted on predefined {name} network")), "{taken}");
    }
    assert_eq!(daemon.ok(&["network", "ls", "-q", "--no-trunc"]).lines().count(), 3);
}

#[test]
fn the_default_bridge_is_dockers() {
    let daemon = Daemon::start();
    let before = inspect(&daemon, "bridge");
    assert_eq!(before["IPAM"]["Config"][0]["Subnet"], "172.17.0.0/16");
    assert_eq!(before["IPAM"]["Config"][0]["Gateway"], "172.17.0.1");
    assert_eq!(before["Options"]["com.docker.network.bridge.name"], "minidock0");
    assert_eq!(before["Containers"], value!({}));
    daemon.ok(&["run", "-d", "--name", "one", "alpine", "sleep", "1000"]);
    let bridge = link(&daemon, "minidock0").expect("the bridge");
    assert_eq!(bridge["linkinfo"]["info_kind"], "bridge");
    assert_eq!(bridge["addr_info"][0]["local"], "172.17.0.1");
    assert_eq!(bridge["addr_info"][0]["prefixlen"], 16);
    let ports = ports_of(&daemon, "minidock0");
    assert!(ports.len() == 1 && ports[0].starts_with("veth"), "{ports:?}");
    assert_eq!(address(&daemon, "one", "bridge"), "172.17.0.2");
    assert_eq!(daemon.inspect("one", "{{.NetworkSettings.IPAddress}} {{.NetworkSettings.Gateway}}"), "172.17.0.2 172.17.0.1");
    assert_eq!(daemon.inspect("one", "{{.NetworkSettings.MacAddress}}"), "02:42:ac:11:00:02", "the MAC is made of the address");
    let inside = daemon.ok(&["exec", "one", "ip", "addr", "show", "eth0"]);
    assert!(inside.contains("inet 172.17.0.2/16") && inside.contains("02:42:ac:11:00:02"), "{inside}");
    assert!(daemon.ok(&["exec", "one", "ip", "route"]).contains("default via 172.17.0.1 dev eth0"));
    let id = daemon.inspect("one", "{{.Id}}");
    let member = &inspect(&daemon, "bridge")["Containers"][&id];
    assert_eq!((&member["Name"], &member["IPv4Address"]), (&value!("one"), &value!("172.17.0.2/16")));
    assert_eq!(member["MacAddress"], "02:42:ac:11:00:02");
    daemon.inside(&["busybox", "ping", "-c", "1", "-W", "2", "172.17.0.2"]).ok();
    daemon.ok(&["exec", "one", "ping", "-c", "1", "-W", "2", "172.17.0.1"]);
}

#[test]
fn a_network_of_ones_own_is_made_as_wished() {
    let daemon = Daemon::start();
    let id = daemon.ok(&[
        "network",
        "create",
        "-d",
        "bridge",
        "--subnet",
        "192.168.1.0/24",
        "--ip-range",
        "192.168.1.0/28",
        "--gateway",
        "192.168.1.100",
        "--aux-address",
        "DefaultGatewayIPv4=192.168.1.1",
        "-o",
        "com.docker.network.bridge.name=brnet",
        "--label",
        "course=nets",
        "brnet",
    ]);
    assert!(id.len() == 64 && id.bytes().all(|b| b.is_ascii_hexdigit()), "{id}");
    let shown = inspect(&daemon, "brnet");
    assert_eq!(
        shown["IPAM"]["Config"][0],
        value!({ "Subnet": "192.168.1.0/24", "IPRange": "192.168.1.0/28", "Gateway": "192.168.1.100",
                 "AuxiliaryAddresses": { "DefaultGatewayIPv4": "192.168.1.1" } })
    );
    assert_eq!((&shown["Labels"]["course"], &shown["Id"]), (&value!("nets"), &value!(id)));
    daemon.ok(&["run", "-d", "--name", "aa", "--network", "brnet", "alpine", "sleep", "1000"]);
    assert_eq!(address(&daemon, "aa", "brnet"), "192.168.1.2", "the first that is free in the range: .1 has somebody already");
    assert_eq!(link(&daemon, "brnet").expect("the bridge has the name wished for")["addr_info"][0]["local"], "192.168.1.100");
    assert!(daemon.ok(&["exec", "aa", "ip", "route"]).contains("default via 192.168.1.100"));
    let plain = daemon.ok(&["network", "create", "plain"]);
    daemon.ok(&["run", "-d", "--name", "bb", "--network", "plain", "alpine", "sleep", "1000"]);
    assert_eq!(links_like(&daemon, "br-"), [format!("br-{}", &plain[..12])]);
    assert!(address(&daemon, "bb", "plain").starts_with("172.18.0."), "Docker's next pool");
    assert_eq!(daemon.ok(&["network", "ls", "-q", "-f", "label=course=nets"]), id[..12]);
    assert_eq!(daemon.ok(&["network", "ls", "-f", "driver=bridge", "--format", "{{.Name}}"]), "bridge\nbrnet\nplain");
    assert_eq!(daemon.ok(&["network", "ls", "-f", "type=custom", "--format", "{{.Name}}"]), "brnet\nplain");
    let used = daemon.run(&["network", "rm", "plain"]).fails(1);
    assert!(used.contains("has active endpoints"), "{used}");
    daemon.ok(&["rm", "-f", "aa", "bb"]);
    assert_eq!(daemon.ok(&["network", "rm", "plain", &id[..12]]), format!("plain\n{}", &id[..12]));
    assert_eq!(links_like(&daemon, "br"), Vec::<String>::new(), "the bridges went with their networks");
}

#[test]
fn bad_wishes_are_refused_in_dockers_words_and_leave_nothing() {
    let daemon = Daemon::start();
    daemon.ok(&["network", "create", "--subnet", "10.1.0.0/24", "n1"]);
    daemon.inside(&["ip", "link", "add", "dev", "far0", "type", "bridge"]).ok();
    daemon.inside(&["ip", "addr", "add", "10.9.0.1/16", "dev", "far0"]).ok();
    daemon.inside(&["ip", "link", "set", "far0", "up"]).ok();
    daemon.ok(&["run", "-d", "--name", "first", "--network", "n1", "--ip", "10.1.0.5", "alpine", "sleep", "1000"]);
    for (words, why) in [
        (&["network", "create", "--subnet", "10.1.0.128/25", "x"][..], "Pool overlaps with other one on this address space"),
        (&["network", "create", "--subnet", "10.1.0.0/24", "x"], "Pool overlaps with other one on this address space"),
        (&["network", "create", "--subnet", "10.9.9.0/24", "x"], "overlap"),
        (&["network", "create", "n1"], "network with name n1 already exists"),
        (&["network", "create", "--subnet", "foo", "x"], "invalid"),
        (&["network", "create", "--subnet", "10.2.0.0/24", "--gateway", "10.2.0.0", "x"], "10.2.0.0"),
        (&["network", "create", "-d", "nosuch", "x"], "nosuch"),
        (&["network", "create", "--subnet", "10.2.0.0/33", "x"], "10.2.0.0/33"),
        (&["network", "create", ""], "name"),
        (&["network", "create", "-o", "com.docker.network.bridge.name=a-name-that-is-too-long", "x"], "name"),
        (&["network", "rm", "nosuch"], "network nosuch not found"),
        (&["network", "connect", "nosuch", "first"], "network nosuch not found"),
        (&["network", "connect", "n1", "nosuch"], "No such container: nosuch"),
        (&["network", "connect", "n1", "first"], "already"),
        (&["network", "disconnect", "bridge", "first"], "not connected"),
        (&["network", "inspect", "nosuch"], "nosuch"),
    ] {
        let refused = daemon.run(words);
        assert!(refused.status == 1 && refused.err.contains(why), "{words:?}: {refused:?}");
    }
    for (flags, why) in [
        (&["--network", "n1", "--ip", "10.1.0.5"][..], "Address already in use"),
        (&["--network", "n1", "--ip", "10.7.0.5"], "10.7.0.5"),
        (&["--network", "n1", "--ip", "10.1.0.1"], "Address already in use"),
        (&["--network", "n1", "--ip", "10.1.0.300"], "10.1.0.300"),
        (&["--ip", "172.17.0.9"], "user specified IP address is supported on user defined networks only"),
        (&["--network", "nosuch"], "network nosuch not found"),
        (&["--network", "container:nosuch"], "No such container: nosuch"),
        (&["--link", "nosuch"], "nosuch"),
        (&["--network", "host", "--network-alias", "aa"], "aliases"),
    ] {
        let refused = daemon.run(&[&["run", "-d", "--name", "bad"], flags, &["alpine", "true"]].concat());
        assert!(refused.status == 125 && refused.err.contains(why), "{flags:?}: {refused:?}");
        daemon.run(&["rm", "-f", "bad"]);
    }
    assert_eq!(daemon.ok(&["ps", "-aq"]).lines().count(), 1);
    assert_eq!(daemon.ok(&["network", "ls", "-q"]).lines().count(), 4, "nothing half-made");
    wait_for("one link for one container", || links_like(&daemon, "veth").len() == 1);
}

#[test]
fn a_small_network_says_when_it_is_full_and_gives_back_what_is_left() {
    let daemon = Daemon::start();
    daemon.ok(&["network", "create", "--subnet", "10.3.0.0/29", "tiny"]);
    for n in 2..=6 {
        daemon.ok(&["run", "-d", "--name", &format!("c{n}"), "--network", "tiny", "alpine", "sleep", "1000"]);
        assert_eq!(address(&daemon, &format!("c{n}"), "tiny"), format!("10.3.0.{n}"));
    }
    let full = daemon.run(&["run", "-d", "--name", "c7", "--network", "tiny", "alpine", "true"]).fails(125);
    assert!(full.contains("no available IPv4 addresses on this network's address pools: tiny"), "{full}");
    daemon.ok(&["rm", "-f", "c3"]);
    daemon.ok(&["start", "c7"]);
    assert_eq!(daemon.ok(&["run", "--rm", "--network", "tiny", "alpine", "hostname", "-i"]), "10.3.0.3");
}

#[test]
fn a_container_lives_on_several_networks_and_moves_while_it_runs() {
    let daemon = Daemon::start();
    daemon.ok(&["network", "create", "n1"]);
    daemon.ok(&["network", "create", "n2"]);
    daemon.ok(&["network", "create", "--subnet", "10.8.0.0/24", "n3"]);
    serve(&daemon, "aa", &["--network", "n1", "--network", "name=n2,alias=second"], "page-a");
    serve(&daemon, "bb", &["--network", "n2"], "page-b");
    daemon.ok(&["run", "-d", "--name", "cc", "--network", "n3", "alpine", "sleep", "1000"]);
    assert_eq!(fetch_in(&daemon, "bb", "http://second/").as_deref(), Some("page-a"));
    assert_eq!(fetch_in(&daemon, "cc", &format!("http://{}/", address(&daemon, "aa", "n1"))), None, "bridges are apart");
    daemon.ok(&["network", "connect", "--alias", "third", "--ip", "10.8.0.77", "n3", "aa"]);
    assert_eq!(fetch_in(&daemon, "cc", "http://third/").as_deref(), Some("page-a"), "connected while it runs");
    assert_eq!(address(&daemon, "aa", "n3"), "10.8.0.77");
    let links = daemon.ok(&["exec", "aa", "ls", "/sys/class/net"]);
    assert_eq!(links.split_whitespace().collect::<Vec<_>>(), ["eth0", "eth1", "eth2", "lo"]);
    daemon.ok(&["network", "disconnect", "n3", "aa"]);
    assert_eq!(fetch_in(&daemon, "cc", "http://third/"), None);
    assert_eq!(daemon.ok(&["exec", "aa", "ls", "/sys/class/net"]).split_whitespace().count(), 3);
    daemon.ok(&["network", "disconnect", "n1", "aa"]);
    assert_eq!(fetch_in(&daemon, "bb", "http://aa/").as_deref(), Some("page-a"), "the other network goes on");
    daemon.ok(&["network", "disconnect", "-f", "n2", "bb"]);
    assert_eq!(daemon.inspect("bb", "{{json .NetworkSettings.Networks}}"), "{}");
    assert_eq!(fetch_in(&daemon, "aa", "http://bb/"), None);
}

#[test]
fn a_stopped_container_can_be_connected_and_has_its_place_when_it_starts() {
    let daemon = Daemon::start();
    daemon.ok(&["network", "create", "--subnet", "10.4.0.0/24", "n1"]);
    daemon.ok(&["create", "--name", "cc", "alpine", "sh", "-c", "ip -4 -o addr; sleep 1000"]);
    daemon.ok(&["network", "connect", "--ip", "10.4.0.9", "n1", "cc"]);
    daemon.ok(&["start", "cc"]);
    wait_for("its addresses", || daemon.ok(&["logs", "cc"]).lines().count() >= 3);
    let said = daemon.ok(&["logs", "cc"]);
    assert!(said.contains("172.17.0.2/16") && said.contains("10.4.0.9/24"), "{said}");
    daemon.ok(&["restart", "-t", "0", "cc"]);
    assert_eq!(address(&daemon, "cc", "n1"), "10.4.0.9", "a wished address stays");
    daemon.ok(&["stop", "-t", "0", "cc"]);
    assert_eq!(address(&daemon, "cc", "n1"), "", "a container that does not run has no address");
    wait_for("its links to go with its namespace", || links_like(&daemon, "veth").is_empty());
}

#[test]
fn host_none_and_another_containers_network_are_what_they_say() {
    let daemon = Daemon::start();
    daemon.inside(&["ip", "link", "add", "mark0", "type", "bridge"]).ok();
    assert!(daemon.ok(&["run", "--rm", "--network", "host", "alpine", "ip", "link"]).contains("mark0"));
    let none = daemon.ok(&["run", "--rm", "--network", "none", "alpine", "ip", "-o", "link"]);
    assert!(none.lines().count() == 1 && none.contains("lo:"), "{none}");
    serve(&daemon, "web", &[], "shared");
    let through =
        daemon.ok(&["run", "--rm", "--network", "container:web", "alpine", "wget", "-q", "-O", "-", "http://127.0.0.1/"]);
    assert_eq!(through, "shared");
    for (flags, why) in [
        (&["--network", "container:web", "-p", "80:80"][..], "conflicting options"),
        (&["--network", "container:web", "--hostname", "x"], "conflicting options"),
        (&["--network", "container:web", "--dns", "1.1.1.1"], "conflicting options"),
    ] {
        let refused = daemon.run(&[&["run", "--rm"], flags, &["alpine", "true"]].concat()).fails(125);
        assert!(refused.contains(why), "{flags:?}: {refused}");
    }
}

#[test]
fn names_hosts_and_resolvers_are_written_into_the_container() {
    let daemon = Daemon::start();
    daemon.ok(&["network", "create", "n1"]);
    let flags = ["--add-host", "printer:10.0.0.9", "--hostname", "box", "--domainname", "lab.example", "--dns", "192.0.2.53"];
    let more = ["--dns-search", "lab.example", "--dns-option", "timeout:1"];
    let cat = |network: &str, file: &str| {
        daemon.ok(&[&["run", "--rm", "--network", network], &flags[..], &more[..], &["alpine", "cat", file]].concat())
    };
    let hosts = cat("bridge", "/etc/hosts");
    assert!(hosts.contains("10.0.0.9\tprinter") && hosts.contains("172.17.0.2\tbox.lab.example box"), "{hosts}");
    assert_eq!(cat("bridge", "/etc/hostname"), "box");
    let resolver = cat("bridge", "/etc/resolv.conf");
    for line in ["nameserver 192.0.2.53", "search lab.example", "options timeout:1"] {
        assert!(resolver.lines().any(|l| l == line), "{resolver}");
    }
    let own = cat("n1", "/etc/resolv.conf");
    assert!(own.lines().any(|l| l == "nameserver 127.0.0.11") && own.contains("search lab.example"), "{own}");
    assert!(own.contains("ndots:0") && own.contains("timeout:1"), "{own}");
    let gateway = daemon.ok(&["run", "--rm", "--add-host", "host.docker.internal:host-gateway", "alpine", "cat", "/etc/hosts"]);
    assert!(gateway.contains("172.17.0.1\thost.docker.internal"), "{gateway}");
    let plain =
        daemon.ok(&["run", "--rm", "--network", "n1", "alpine", "sh", "-c", "hostname -i; hostname; cat /etc/resolv.conf"]);
    assert!(plain.starts_with("172.18.0.2\n") && plain.contains("nameserver 127.0.0.11"), "{plain}");
    let mac = daemon.ok(&["run", "--rm", "--mac-address", "92:d0:c6:0a:29:33", "alpine", "cat", "/sys/class/net/eth0/address"]);
    assert_eq!(mac, "92:d0:c6:0a:29:33");
}

#[test]
fn unused_networks_are_pruned_and_used_ones_stay() {
    let daemon = Daemon::start();
    for n in ["old", "older", "used"] {
        daemon.ok(&["network", "create", n]);
    }
    daemon.ok(&["run", "-d", "--name", "cc", "--network", "used", "alpine", "sleep", "1000"]);
    let pruned = daemon.ok(&["network", "prune", "-f"]);
    assert_eq!(pruned, "Deleted Networks:\nold\nolder");
    assert_eq!(daemon.ok(&["network", "prune", "-f"]), "");
    assert_eq!(daemon.ok(&["network", "ls", "-f", "type=custom", "--format", "{{.Name}}"]), "used");
    daemon.ok(&["rm", "-f", "cc"]);
    let all = daemon.ok(&["system", "prune", "-f"]);
    assert!(all.contains("Deleted Networks:\nused\n"), "{all}");
}

#[test]
fn networks_live_in_six_where_asked_for() {
    let daemon = Daemon::start();
    daemon.ok(&["network", "create", "--ipv6", "--subnet", "fd00:9::/64", "--subnet", "10.6.0.0/24", "six"]);
    serve(&daemon, "web", &["--network", "six"], "six");
    let own = daemon.inspect("web", "{{(index .NetworkSettings.Networks \"six\").GlobalIPv6Address}}");
    assert!(own.starts_with("fd00:9::"), "{own}");
    daemon.ok(&["run", "-d", "--name", "bb", "--network", "six", "--ip6", "fd00:9::99", "alpine", "sleep", "1000"]);
    assert_eq!(fetch_in(&daemon, "bb", &format!("http://[{own}]/")).as_deref(), Some("six"));
    assert!(daemon.ok(&["exec", "bb", "ip", "-6", "addr"]).contains("fd00:9::99/64"));
    let bridge = json(&daemon, &["ip", "-j", "-6", "addr"]).to_string();
    assert!(bridge.contains("fd00:9::1"), "{bridge}");
}

#[test]
fn the_way_out_leads_over_the_network_with_the_highest_priority() {
    let mut daemon = Daemon::start();
    daemon.ok(&["network", "create", "--subnet", "10.1.0.0/24", "aa"]);
    daemon.ok(&["network", "create", "--subnet", "10.2.0.0/24", "bb"]);
    serve(&daemon, "web", &["--network", "aa", "-p", "8080:80"], "web");
    let gateway = |daemon: &Daemon| {
        let routes = daemon.ok(&["exec", "web", "ip", "route", "show", "default"]);
        routes.split_whitespace().nth(2).expect("a gateway").to_string()
    };
    let reached = |daemon: &Daemon| {
        fetch_in(daemon, "web", "http://127.0.0.1/").is_some() && network::fetch(daemon, "http://127.0.0.1:8080/").is_some()
    };
    daemon.ok(&["network", "connect", "bb", "web"]);
    assert_eq!(gateway(&daemon), "10.1.0.1", "among equals the first by name");
    daemon.ok(&["network", "disconnect", "bb", "web"]);
    daemon.ok(&["network", "connect", "--gw-priority", "7", "bb", "web"]);
    assert!(gateway(&daemon) == "10.2.0.1" && reached(&daemon), "ports follow");
    daemon.kill();
    daemon.up();
    daemon.ok(&["restart", "-t", "0", "web"]);
    network::await_listener(&daemon, "web", 80);
    assert!(gateway(&daemon) == "10.2.0.1" && reached(&daemon), "it is a wish, and stays");
    daemon.ok(&["network", "disconnect", "bb", "web"]);
    assert!(gateway(&daemon) == "10.1.0.1" && reached(&daemon));
    daemon.ok(&["run", "--rm", "--network", "name=bb,gw-priority=-1", "alpine", "true"]);
}

#[test]
fn a_network_on_paper_is_what_others_are_made_from() {
    let daemon = Daemon::start();
    let words =
        ["network", "create", "--config-only", "--subnet", "10.7.0.0/24", "-o", "com.docker.network.driver.mtu=1400", "paper"];
    daemon.ok(&words);
    let shown = inspect(&daemon, "paper");
    assert_eq!(
        (&shown["ConfigOnly"], &shown["Driver"], &shown["IPAM"]["Config"][0]["Subnet"]),
        (&value!(true), &value!("null"), &value!("10.7.0.0/24"))
    );
    let joined = daemon.run(&["run", "--rm", "--network", "paper", "alpine", "true"]).fails(125);
    assert!(joined.contains("cannot create endpoint on configuration-only network"), "{joined}");
    daemon.ok(&["network", "create", "--config-from", "paper", "--attachable", "n1"]);
    let made = inspect(&daemon, "n1");
    assert_eq!(
        (&made["ConfigFrom"]["Network"], &made["ConfigOnly"], &made["Driver"]),
        (&value!("paper"), &value!(false), &value!("bridge"))
    );
    let mtu = daemon.ok(&["run", "--rm", "--network", "n1", "alpine", "cat", "/sys/class/net/eth0/mtu"]);
    assert_eq!(mtu, "1400");
    let used = daemon.run(&["network", "rm", "paper"]).fails(1);
    assert!(used.contains("configuration network \"paper\" is in use"), "{used}");
    let twice = daemon.run(&["network", "create", "--config-from", "paper", "n2"]).fails(1);
    assert!(twice.contains("overlaps"), "one pool is one network's: {twice}");
    let own = daemon.run(&["network", "create", "--config-from", "paper", "--subnet", "10.8.0.0/24", "n2"]).fails(1);
    assert!(own.contains("user specified configurations are not supported"), "{own}");
    daemon.ok(&["network", "prune", "-f"]);
    assert_eq!(daemon.ok(&["network", "ls", "-f", "type=custom", "--format", "{{.Name}}"]), "paper", "paper is never pruned");
    daemon.ok(&["network", "rm", "paper"]);
}
