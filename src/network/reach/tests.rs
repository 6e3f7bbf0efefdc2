//! # One test for each link that may break

use super::{facts::*, verdict};
use crate::{model::Protocol, nft::foreign::Finding};
use minidock_spec::engine::reach::{Holds, Reach, Step};
use std::net::IpAddr;

fn address(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn place(network: &str, own: &str) -> Place {
    let own = address(own);
    Place {
        network: network.into(),
        inside: "eth0".into(),
        blocks: vec![crate::model::Net::around(own, 16)],
        addresses: vec![own],
        internal: false,
        icc: true,
        masquerade: true,
        names: true,
    }
}

fn party(name: &str, places: Vec<Place>) -> Party {
    Party { name: name.into(), running: true, status: "running".into(), stack: Stack::Bridged, places }
}

/// web calls db:5432 on the network `app`, and all is well.
fn fine() -> Facts {
    let db = party("db", vec![place("app", "172.18.0.3")]);
    Facts {
        from: party("web", vec![place("app", "172.18.0.2")]),
        to: "db".into(),
        port: Some((Protocol::Tcp, 5432)),
        meant: Some(db.clone()),
        naming: Some(Naming::Answered(address("127.0.0.11"), address("172.18.0.3"))),
        owner: Some(Owner::Container(db)),
        way: Some(Way::Direct { link: "eth0".into() }),
        neighbour: Some((address("172.18.0.3"), Some("02:42:ac:12:00:03".into()))),
        findings: vec![],
        table: true,
        published_on: vec![],
        waiting: Some(vec!["0.0.0.0:5432".parse().expect("an address")]),
        attempt: Some(Attempt::Connected),
    }
}

/// The chain ends at `step`, with these words.
#[track_caller]
fn breaks(reach: &Reach, step: Step, words: &str) {
    let broken = reach.broken().unwrap_or_else(|| panic!("nothing is broken: {reach:#?}"));
    assert_eq!((broken.step, reach.links.last()), (step, Some(broken)), "the chain ends where it is broken");
    assert!(broken.says.contains(words), "{:?} does not say {words:?}", broken.says);
    assert!(!reach.reachable && broken.hint.is_some());
}

#[test]
fn a_whole_chain_is_told_link_by_link() {
    let reach = verdict(&fine());
    assert!(reach.reachable && reach.links.iter().all(|link| link.holds == Holds::Yes), "{reach:#?}");
    assert_eq!((reach.from.as_str(), reach.to.as_str(), reach.links.len()), ("web", "db:5432/tcp", 6));
    assert_eq!(reach.links[4].says, "both are on network app: it is switched, not routed");
}

#[test]
fn who_does_not_run_neither_calls_nor_is_called() {
    let stopped = |name: &str| Party { running: false, status: "exited".into(), ..party(name, vec![]) };
    breaks(&verdict(&Facts { from: stopped("web"), ..fine() }), Step::Name, "web is exited");
    breaks(&verdict(&Facts { meant: Some(stopped("db")), naming: None, owner: None, ..fine() }), Step::Name, "db is exited");
}

#[test]
fn a_name_nobody_has_is_said_to_be_unknown() {
    let facts = Facts { meant: None, naming: Some(Naming::Unknown(address("127.0.0.11"))), owner: None, ..fine() };
    breaks(&verdict(&facts), Step::Name, "127.0.0.11 knows no db");
    let silent = Naming::Silent(Some(address("192.0.2.53")), "timed out".into());
    breaks(
        &verdict(&Facts { naming: Some(silent), ..facts }),
        Step::Name,
        "192.0.2.53 could not tell web who db is: timed out",
    );
}

#[test]
fn without_a_common_network_there_is_no_name() {
    let far = party("db", vec![place("store", "172.19.0.2")]);
    let facts = Facts { meant: Some(far), naming: Some(Naming::Unknown(address("127.0.0.11"))), owner: None, ..fine() };
    let reach = verdict(&facts);
    breaks(&reach, Step::Name, "no common network: web is on app, db on store");
    assert_eq!(reach.broken().and_then(|l| l.hint.as_deref()), Some("minidock network connect store web"));
    let alone = Party { stack: Stack::None, ..party("web", vec![]) };
    let reach = verdict(&Facts { from: alone, ..facts });
    let hint = reach.broken().and_then(|l| l.hint.clone()).expect("what helps");
    assert!(hint.starts_with("web was started with --network none") && hint.ends_with("--network store …"), "{hint}");
}

#[test]
fn the_default_network_has_no_names() {
    let nameless = |own: &str| Place { names: false, ..place("bridge", own) };
    let facts = Facts {
        from: party("web", vec![nameless("172.17.0.2")]),
        meant: Some(party("db", vec![nameless("172.17.0.3")])),
        naming: Some(Naming::Silent(None, "nobody knows db".into())),
        owner: None,
        ..fine()
    };
    let reach = verdict(&facts);
    breaks(&reach, Step::Name, "on the default network bridge containers have no names");
    assert!(reach.broken().and_then(|l| l.hint.as_deref()).is_some_and(|hint| hint.starts_with("call it 172.17.0.3")));
}

#[test]
fn an_address_that_is_nobodys_is_named() {
    let facts =
        Facts { naming: Some(Naming::Literal(address("172.18.0.77"))), owner: Some(Owner::Elsewhere), meant: None, ..fine() };
    breaks(&verdict(&facts), Step::Address, "nobody on network app has 172.18.0.77 now");
}

#[test]
fn an_internal_network_has_no_way_out_and_lets_nobody_in() {
    let inner = |own: &str| Place { internal: true, ..place("vault", own) };
    let outside = Facts {
        from: party("web", vec![inner("172.18.0.2")]),
        naming: Some(Naming::Literal(address("192.0.2.9"))),
        meant: None,
        owner: Some(Owner::Elsewhere),
        way: Some(Way::None { why: "network is unreachable".into() }),
        ..fine()
    };
    breaks(&verdict(&outside), Step::Route, "vault is internal: it has no way out");
    let through = Some(Way::Via { gateway: address("172.18.0.1"), link: "eth0".into() });
    let refused = Some(Attempt::Silence);
    let by_hand = Facts { way: through.clone(), attempt: refused.clone(), ..outside };
    breaks(&verdict(&by_hand), Step::Rule, "iifname @internal drop");
    let inside = party("db", vec![Place { internal: true, ..place("vault", "172.19.0.2") }]);
    let facts = Facts {
        naming: Some(Naming::Literal(address("172.19.0.2"))),
        owner: Some(Owner::Container(inside)),
        way: through,
        attempt: refused,
        ..fine()
    };
    breaks(&verdict(&facts), Step::Rule, "network vault is internal");
}

#[test]
fn a_missing_route_or_neighbour_is_the_link_that_breaks() {
    let facts = Facts { way: Some(Way::None { why: "network is unreachable".into() }), ..fine() };
    breaks(&verdict(&facts), Step::Route, "network is unreachable");
    let alone = Party { stack: Stack::None, places: vec![], ..party("web", vec![]) };
    breaks(&verdict(&Facts { from: alone, ..facts }), Step::Route, "--network none");
    let facts = Facts { neighbour: Some((address("172.18.0.3"), None)), ..fine() };
    breaks(&verdict(&facts), Step::Neighbour, "nobody answers for 172.18.0.3");
}

#[test]
fn segments_that_are_apart_are_named_with_the_rule() {
    let db = party("db", vec![place("store", "172.19.0.2")]);
    let facts = Facts {
        naming: Some(Naming::Literal(address("172.19.0.2"))),
        owner: Some(Owner::Container(db)),
        way: Some(Way::Via { gateway: address("172.18.0.1"), link: "eth0".into() }),
        neighbour: Some((address("172.18.0.1"), Some("02:42:ac:12:00:01".into()))),
        attempt: Some(Attempt::Silence),
        ..fine()
    };
    breaks(&verdict(&facts), Step::Rule, "networks app and store are apart");
    let shy = |own: &str| Place { icc: false, ..place("app", own) };
    let db = party("db", vec![shy("172.18.0.3")]);
    let facts = Facts {
        from: party("web", vec![shy("172.18.0.2")]),
        owner: Some(Owner::Container(db)),
        neighbour: Some((address("172.18.0.3"), None)),
        attempt: None,
        ..fine()
    };
    breaks(&verdict(&facts), Step::Rule, "enable_icc=false");
}

#[test]
fn a_published_port_is_followed_to_its_container() {
    let db = party("db", vec![place("store", "172.19.0.2")]);
    let door = "172.19.0.2:5432".parse().expect("an address");
    let facts = Facts {
        naming: Some(Naming::Literal(address("172.18.0.1"))),
        owner: Some(Owner::Host(Some((door, db)))),
        port: Some((Protocol::Tcp, 15432)),
        waiting: Some(vec!["127.0.0.1:5432".parse().expect("an address")]),
        attempt: Some(Attempt::Refused),
        ..fine()
    };
    let reach = verdict(&facts);
    assert!(reach.links[1].says.contains("port 15432 is published and leads to 172.19.0.2:5432 in db"), "{reach:#?}");
    breaks(&reach, Step::Listener, "db listens at port 5432 on 127.0.0.1 only, not on 172.19.0.2");
}

#[test]
fn a_port_that_is_published_on_another_address_only_is_named() {
    let facts = Facts {
        naming: Some(Naming::Literal(address("172.18.0.1"))),
        owner: Some(Owner::Host(None)),
        published_on: vec![address("127.0.0.1")],
        waiting: Some(vec![]),
        attempt: Some(Attempt::Refused),
        ..fine()
    };
    breaks(&verdict(&facts), Step::Listener, "port 5432/tcp is published on 127.0.0.1 only, not on 172.18.0.1");
}

#[test]
fn who_does_not_listen_or_only_to_itself_is_told_so() {
    let with = |waiting: &[&str]| {
        let waiting = waiting.iter().map(|at| at.parse().expect("an address")).collect();
        verdict(&Facts { waiting: Some(waiting), attempt: Some(Attempt::Refused), ..fine() })
    };
    breaks(&with(&["0.0.0.0:80"]), Step::Listener, "nothing listens at port 5432/tcp of db; it listens at 0.0.0.0:80");
    breaks(&with(&[]), Step::Listener, "it listens nowhere");
    breaks(&with(&["127.0.0.1:5432", "[::1]:5432"]), Step::Listener, "on 127.0.0.1, ::1 only");
    breaks(&with(&["0.0.0.0:5432"]), Step::Listener, "db refuses port 5432/tcp");
    let silent = Facts { attempt: Some(Attempt::Silence), ..fine() };
    breaks(&verdict(&silent), Step::Listener, "all links hold, but db does not answer");
}

#[test]
fn another_firewall_is_blamed_only_when_nothing_comes_back() {
    let finding = Finding { what: "table ip filter drops".into(), hint: "let our bridges pass".into() };
    let facts = Facts {
        naming: Some(Naming::Literal(address("192.0.2.9"))),
        meant: None,
        owner: Some(Owner::Elsewhere),
        way: Some(Way::Via { gateway: address("172.18.0.1"), link: "eth0".into() }),
        findings: vec![finding],
        waiting: None,
        ..fine()
    };
    assert!(verdict(&facts).reachable, "it was tried, and it works");
    let silent = Facts { attempt: Some(Attempt::Silence), ..facts };
    breaks(&verdict(&silent), Step::Rule, "table ip filter drops");
    let thrown_away = Facts { table: false, findings: vec![], ..silent };
    breaks(&verdict(&thrown_away), Step::Rule, "inet minidock is not in the kernel");
}

#[test]
fn without_a_port_the_last_link_is_not_asked() {
    let reach = verdict(&Facts { port: None, attempt: None, waiting: None, ..fine() });
    assert!(reach.reachable && reach.to == "db");
    assert_eq!(reach.links.last().map(|l| l.holds), Some(Holds::Unknown));
}

#[test]
fn what_is_typed_is_a_host_and_maybe_a_port() {
    let read = |text: &str| target(text).map(|(host, port)| (host, port.map(|(p, n)| format!("{n}/{p}"))));
    for (text, host, port) in [
        ("db", "db", None),
        ("db:5432", "db", Some("5432/tcp")),
        ("db:53/udp", "db", Some("53/udp")),
        ("192.0.2.9:80", "192.0.2.9", Some("80/tcp")),
        ("fd00::2", "fd00::2", None),
        ("[fd00::2]", "fd00::2", None),
        ("[fd00::2]:80", "fd00::2", Some("80/tcp")),
    ] {
        assert_eq!(read(text).expect(text), (host.to_string(), port.map(str::to_string)), "{text}");
    }
    for bad in ["", ":80", "db:", "db:0", "db:65536", "db:+80", "db:080", "db:80/sctp", "[]:80", "[fd00::2]80", "db:http"] {
        assert!(read(bad).is_err_and(|e| e.message().starts_with("invalid target")), "{bad}");
    }
}

proptest::proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(text in "\\PC{0,40}", odd in "[\\[\\]:a-f0-9/]{0,12}") {
        drop(target(&text));
        drop(target(&odd));
    }
}
