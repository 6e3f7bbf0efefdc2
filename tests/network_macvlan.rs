//! # Macvlan networks, typed as in the labs: containers that are machines of the office
//!
//! The office is a neighbour's machine at the other end of the cable `up0`, as in the claims about ports.

#[path = "props/network.rs"]
mod network;
#[path = "props/mod.rs"]
mod props;

use network::{Neighbour, address, links_like};
use props::Daemon;

/// The cable to the neighbour is `up0` here; the office's block is 192.0.2.0/24, its router the neighbour.
fn create(daemon: &Daemon) -> String {
    daemon.ok(&[
        "network",
        "create",
        "-d",
        "macvlan",
        "--subnet",
        "192.0.2.0/24",
        "--gateway",
        "192.0.2.2",
        "-o",
        "parent=up0",
        "lan",
    ])
}

fn pings(daemon: &Daemon, from: &str, to: &str) -> bool {
    daemon.run(&["exec", from, "ping", "-c", "1", "-W", "2", to]).status == 0
}

#[test]
fn a_container_is_a_machine_among_the_machines_of_the_office() {
    let mut daemon = Daemon::start();
    let neighbour = Neighbour::of(&daemon);
    create(&daemon);
    assert_eq!(
        daemon.ok(&["network", "ls", "-f", "driver=macvlan", "--format", "{{.Name}} {{.Driver}} {{.Scope}}"]),
        "lan macvlan local"
    );
    daemon.ok(&[
        "run",
        "-d",
        "--net",
        "lan",
        "--ip",
        "192.0.2.44",
        "-e",
        "DB=dog-db",
        "--name",
        "dog-web",
        "alpine",
        "sleep",
        "1000",
    ]);
    daemon.ok(&[
        "run",
        "-d",
        "--net",
        "lan",
        "--ip",
        "192.0.2.45",
        "-p",
        "8080:80",
        "--name",
        "dog-db",
        "alpine",
        "sleep",
        "1000",
    ]);
    assert_eq!(address(&daemon, "dog-web", "lan"), "192.0.2.44");
    assert!(pings(&daemon, "dog-web", "dog-db") && pings(&daemon, "dog-web", "192.0.2.2"), "by name, and the router");
    neighbour.run(&["busybox", "ping", "-c", "1", "-W", "2", "192.0.2.44"]).ok();
    assert!(daemon.ok(&["exec", "dog-db", "ip", "route"]).contains("default via 192.0.2.2 dev eth0"));
    assert!(!pings(&daemon, "dog-db", "192.0.2.1"), "the host and its macvlans do not hear each other");
    assert_eq!(daemon.ok(&["port", "dog-db"]), "", "who has an address of his own needs no port of the host's");
    // its life goes on without the daemon, and the next one knows it
    daemon.kill();
    neighbour.run(&["busybox", "ping", "-c", "1", "-W", "2", "192.0.2.45"]).ok();
    daemon.up();
    assert!(pings(&daemon, "dog-web", "dog-db"), "names are served again");
    let taken = daemon.run(&["run", "--rm", "--net", "lan", "--ip", "192.0.2.44", "alpine", "true"]).fails(125);
    assert!(taken.contains("Address already in use"), "{taken}");
    // another network more, and away again, while it runs
    daemon.ok(&["network", "create", "pets"]);
    daemon.ok(&["run", "-d", "--name", "cat", "--network", "pets", "alpine", "sleep", "1000"]);
    daemon.ok(&["network", "connect", "lan", "cat"]);
    assert!(pings(&daemon, "cat", "dog-web") && pings(&daemon, "dog-web", "cat"));
    daemon.ok(&["network", "disconnect", "lan", "cat"]);
    assert!(!pings(&daemon, "cat", "192.0.2.44"));
    assert!(daemon.run(&["network", "rm", "lan"]).fails(1).contains("has active endpoints"));
    daemon.ok(&["stop", "-t", "0", "dog-web"]);
    assert_eq!(neighbour.run(&["busybox", "ping", "-c", "1", "-W", "1", "192.0.2.44"]).status, 1, "silent when stop returns");
    daemon.ok(&["run", "--rm", "--net", "lan", "--ip", "192.0.2.44", "alpine", "ping", "-c", "1", "-W", "2", "192.0.2.2"]);
    daemon.ok(&["rm", "-f", "dog-web", "dog-db", "cat"]);
    daemon.ok(&["network", "rm", "lan", "pets"]);
    assert_eq!(links_like(&daemon, "up0"), ["up0"], "the card is not ours to remove");
    neighbour.run(&["busybox", "ping", "-c", "1", "-W", "2", "192.0.2.1"]).ok();
}

#[test]
fn without_a_parent_members_have_only_each_other() {
    let mut daemon = Daemon::start();
    let id = daemon.ok(&["network", "create", "-d", "macvlan", "island"]);
    let parent = format!("dm-{}", &id[..12]);
    assert_eq!(links_like(&daemon, "dm-"), [parent.as_str()]);
    for name in ["one", "two"] {
        daemon.ok(&["run", "-d", "--name", name, "--network", "island", "alpine", "sleep", "1000"]);
    }
    assert!(pings(&daemon, "one", "two"));
    assert!(!daemon.ok(&["exec", "one", "ip", "route"]).contains("default"));
    daemon.kill();
    daemon.up();
    assert!(pings(&daemon, "one", "two"), "a new daemon takes the parent for no leftover");
    assert_eq!(links_like(&daemon, "dm-"), [parent.as_str()]);
    daemon.ok(&["rm", "-f", "one", "two"]);
    daemon.ok(&["network", "rm", "island"]);
    assert!(links_like(&daemon, "dm-").is_empty() && links_like(&daemon, "dp-").is_empty());
}

#[test]
fn what_cannot_be_is_refused_in_dockers_words() {
    let daemon = Daemon::start();
    let _neighbour = Neighbour::of(&daemon);
    create(&daemon);
    let refused = |words: &[&str]| daemon.run(&[&["network", "create", "-d"], words].concat()).fails(1);
    let again = refused(&["macvlan", "--subnet", "198.51.100.0/24", "-o", "parent=up0", "lan2"]);
    assert!(again.contains("is already using parent interface up0"), "{again}");
    assert!(refused(&["macvlan", "-o", "parent=lo", "x"]).contains("loopback interface is not a valid macvlan parent link"));
    assert!(
        refused(&["macvlan", "-o", "parent=nic9", "x"])
            .contains("invalid subinterface vlan name nic9, example formatting is eth0.10")
    );
    assert!(
        refused(&["macvlan", "-o", "parent=up0.10macvlan10", "x"])
            .contains("unable to parse a valid vlan id from: 10macvlan10")
    );
    assert!(refused(&["macvlan", "-o", "parent=up0.x", "x"]).contains("unable to parse a valid vlan id from: x"));
    assert!(refused(&["macvlan", "-o", "macvlan_mode=l2", "x"]).contains("requested macvlan mode 'l2' is not valid"));
    assert!(refused(&["macvlan", "--subnet", "192.0.2.128/25", "-o", "parent=up0.20", "x"]).contains("overlaps"));
    assert!(refused(&["ipvlan", "-o", "parent=up0", "x"]).contains("the ipvlan driver is left out"));
    // as the labs print it, with the space missing
    let misprint =
        refused(&["macvlan", "--subnet", "192.168.10.0/24", "--gateway", "192.168.10.1", "-o", "parent=up0.10macvlan10"]);
    assert!(misprint.contains("requires exactly 1 argument"), "{misprint}");
    assert_eq!(
        daemon.ok(&["network", "ls", "-f", "type=custom", "--format", "{{.Name}}"]),
        "lan",
        "nothing is left of what was refused"
    );
}
