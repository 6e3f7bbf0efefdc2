//! # Whether they also agree on what nobody thought of
//!
//! Random rulesets, and random sequences of changes with thrown-away tables and restarts among them: what `nft list` prints is what
//! was wanted.

use super::{
    ruleset::Ruleset,
    table::Table,
    tests::{apart, bridge, listed, nft, port, same, text_of},
};
use crate::model::{Bridge, Net, Protocol, Published, Subnet};
use proptest::{prelude::*, test_runner::TestRunner};
use std::net::IpAddr;

fn some_net() -> impl Strategy<Value = Net> {
    let v4 = (any::<[u8; 4]>(), 8u8..=30).prop_map(|(a, p)| Net::around(IpAddr::from(a), p));
    let v6 = (any::<[u8; 16]>(), 16u8..=120).prop_map(|(a, p)| Net::around(IpAddr::from(a), p));
    prop_oneof![v4, v6]
}

fn some_bridge() -> impl Strategy<Value = Bridge> {
    let link = "[a-z][a-z0-9-]{0,13}[a-z0-9]";
    (link, prop::collection::vec(some_net(), 0..3), any::<[bool; 3]>()).prop_map(|(link, nets, [internal, icc, masquerade])| {
        let mut bridge = Bridge { internal, icc, masquerade, ..bridge(&link, &[]) };
        // blocks of one network do not overlap (ipam sees to that)
        for net in nets {
            if !bridge.subnets.iter().any(|s| s.subnet.overlaps(&net)) {
                bridge.subnets.push(Subnet { subnet: net, gateway: None, range: None, aux: Default::default() });
            }
        }
        bridge
    })
}

fn some_port() -> impl Strategy<Value = Published> {
    let (v4, v6) = (any::<[u8; 4]>().prop_map(IpAddr::from), any::<[u8; 16]>().prop_map(IpAddr::from));
    let any_or = |any: &str, one| prop_oneof![Just(any.parse().expect("an address")), one];
    let pair4 = (any_or("0.0.0.0", any::<[u8; 4]>().prop_map(IpAddr::from).boxed()), v4);
    let pair6 = (any_or("::", any::<[u8; 16]>().prop_map(IpAddr::from).boxed()), v6);
    let pair = prop_oneof![pair4, pair6];
    let protocol = prop_oneof![Just(Protocol::Tcp), Just(Protocol::Udp)];
    // nft prints an address that embeds an IPv4 one as it likes; those are nobody's host address
    (pair, protocol, 1u16.., 1u16..).prop_map(|((host, target), protocol, outside, inside)| Published {
        endpoint_id: "e".into(),
        protocol,
        host: (host, outside),
        target: (target, inside),
        bridge: "minidock0".into(),
    })
}

#[test]
fn whatever_the_ruleset_text_and_kernel_agree() {
    apart(|| {
        let wanted = (prop::collection::vec(some_bridge(), 0..6), prop::collection::vec(some_port(), 0..12));
        let mut runner = TestRunner::new(ProptestConfig { failure_persistence: None, cases: 60, ..ProptestConfig::default() });
        let table = Table::open().expect("nf_tables");
        let claim = |(mut bridges, mut published): (Vec<Bridge>, Vec<Published>)| {
            // no two bridges of one name, no two targets for one door
            bridges.sort_by(|a, b| a.link.cmp(&b.link));
            bridges.dedup_by(|a, b| a.link == b.link);
            published.sort_by_key(|p| (p.protocol, p.host));
            published.dedup_by_key(|p| (p.protocol, p.host));
            let wanted = Ruleset { bridges, published };
            table.replace(&wanted).map_err(|e| TestCaseError::fail(e.message()))?;
            same(&listed(), &text_of(&wanted));
            for port in &wanted.published {
                let to = table.leads_to(port.protocol, port.host).map_err(|e| TestCaseError::fail(e.message()))?;
                prop_assert_eq!(to, Some(port.target));
            }
            Ok(())
        };
        if let Err(failed) = runner.run(&wanted, claim) {
            panic!("{failed}");
        }
    });
}

/// What may be asked of a table.
#[derive(Clone, Debug)]
enum Ask {
    Add(usize, bool),
    Remove(usize),
    Publish(Vec<u16>),
    Unpublish(Vec<u16>),
    Flush,
    Reborn,
}

fn some_asks() -> impl Strategy<Value = Vec<Ask>> {
    let ports = || prop::collection::vec(9000u16..9012, 1..5);
    prop::collection::vec(
        prop_oneof![
            4 => (0..4usize, any::<bool>()).prop_map(|(n, icc)| Ask::Add(n, icc)),
            2 => (0..4usize).prop_map(Ask::Remove),
            4 => ports().prop_map(Ask::Publish),
            3 => ports().prop_map(Ask::Unpublish),
            1 => Just(Ask::Flush),
            1 => Just(Ask::Reborn),
        ],
        1..14,
    )
}

#[test]
fn whatever_is_asked_in_whatever_order_the_table_is_what_it_should_be() {
    apart(|| {
        let door = |n: &u16| {
            let protocol = if n.is_multiple_of(2) { Protocol::Tcp } else { Protocol::Udp };
            port(protocol, if n.is_multiple_of(3) { "127.0.0.1" } else { "0.0.0.0" }, *n, "172.30.0.2", 80)
        };
        let net = |n: usize, icc: bool| Bridge { icc, ..bridge(&format!("br-{n}"), &[&format!("172.3{n}.0.0/16")]) };
        let sorted = |text: &str| {
            // sets of blocks are printed in the order of their making, which is not what is claimed here
            let mut lines: Vec<String> =
                text.lines().map(|l| l.replace(['{', '}', ','], "").replace("elements =", "").trim().into()).collect();
            lines.sort();
            lines
        };
        let claim = |asks: Vec<Ask>| {
            let mut table = Table::open().map_err(|e| TestCaseError::fail(e.message()))?;
            table.replace(&Ruleset::default()).map_err(|e| TestCaseError::fail(e.message()))?;
            let (mut bridges, mut doors) = (std::collections::BTreeMap::new(), std::collections::BTreeSet::new());
            for ask in asks {
                let done = match &ask {
                    Ask::Add(n, icc) => {
                        bridges.insert(*n, *icc);
                        table.add_bridge(&net(*n, *icc))
                    }
                    Ask::Remove(n) => {
                        let icc = bridges.remove(n).unwrap_or(true);
                        table.remove_bridge(&net(*n, icc))
                    }
                    Ask::Publish(ports) => {
                        doors.extend(ports.iter().copied());
                        table.publish(&ports.iter().map(door).collect::<Vec<_>>())
                    }
                    Ask::Unpublish(ports) => {
                        ports.iter().for_each(|n| {
                            doors.remove(n);
                        });
                        table.unpublish(&ports.iter().map(door).collect::<Vec<_>>())
                    }
                    Ask::Flush => {
                        nft(&["flush", "ruleset"]);
                        table.mend()
                    }
                    Ask::Reborn => {
                        let wanted = table.wanted();
                        table = Table::open().map_err(|e| TestCaseError::fail(e.message()))?;
                        table.replace(&wanted)
                    }
                };
                prop_assert!(done.is_ok(), "{:?}: {:?}", ask, done);
            }
            let wanted = Ruleset {
                bridges: bridges.iter().map(|(n, icc)| net(*n, *icc)).collect(),
                published: doors.iter().map(door).collect(),
            };
            let missing = wanted == Ruleset::default() && nft(&["list", "ruleset"]).is_empty();
            prop_assert!(missing || sorted(&listed()) == sorted(&text_of(&wanted)), "{}", listed());
            Ok(())
        };
        let mut runner = TestRunner::new(ProptestConfig { failure_persistence: None, cases: 60, ..ProptestConfig::default() });
        if let Err(failed) = runner.run(&some_asks(), claim) {
            panic!("{failed}");
        }
    });
}
