//! # Whether the text and the kernel say the same
//!
//! Rulesets are applied by netlink in a network namespace of the test; `nft list` then prints what the kernel holds, and
//! that must be our own text, to the last tab.

use super::{
    listing::listing,
    ruleset::{self, Ruleset},
    table::Table,
};
use crate::model::{Bridge, Protocol, Published, Subnet};
use minidock_linux::{
    action,
    namespaces::{Namespace, Set, unshare},
};
use std::process::Command;

/// Runs `f` on a thread in a fresh network namespace; false without the right to make one.
pub(super) fn apart(f: impl FnOnce() + Send) -> bool {
    std::thread::scope(|threads| {
        let ran = threads.spawn(|| {
            if unshare(Set::default().with(Namespace::Network)).is_err() {
                eprintln!("SKIP: needs root");
                return false;
            }
            f();
            true
        });
        ran.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

pub(super) fn nft(args: &[&str]) -> String {
    let done = Command::new("nft").args(args).output().expect("nft, the oracle");
    assert!(done.status.success(), "nft {args:?}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).expect("text")
}

pub(super) fn listed() -> String {
    nft(&["list", "table", "inet", "minidock"])
}

/// Two texts are one; else the first line where they part.
#[track_caller]
pub(super) fn same(ours: &str, theirs: &str) {
    let parted = ours.lines().zip(theirs.lines()).find(|(a, b)| a != b);
    assert!(ours == theirs, "they part at {parted:?}; {} and {} lines", ours.lines().count(), theirs.lines().count());
}

pub(super) fn bridge(link: &str, subnets: &[&str]) -> Bridge {
    let subnet =
        |net: &&str| Subnet { subnet: net.parse().expect("a block"), gateway: None, range: None, aux: Default::default() };
    Bridge {
        network_id: "n".into(),
        link: link.into(),
        subnets: subnets.iter().map(subnet).collect(),
        internal: false,
        icc: true,
        masquerade: true,
        mtu: 0,
        host_binding: "0.0.0.0".parse().expect("an address"),
    }
}

pub(super) fn port(protocol: Protocol, host: &str, outside: u16, target: &str, inside: u16) -> Published {
    let address = |text: &str| text.parse().expect("an address");
    Published {
        endpoint_id: "e".into(),
        protocol,
        host: (address(host), outside),
        target: (address(target), inside),
        bridge: "minidock0".into(),
    }
}

pub(super) fn text_of(wanted: &Ruleset) -> String {
    listing(&wanted.fresh(&[]).expect("families fit"))
}

#[test]
fn an_empty_and_a_full_table_are_listed_by_nft_as_we_print_them() {
    apart(|| {
        let table = Table::open().expect("nf_tables");
        table.replace(&Ruleset::default()).expect("an empty table");
        same(&listed(), &text_of(&Ruleset::default()));

        let internal = Bridge { internal: true, ..bridge("br-1nternal", &["172.20.0.0/16"]) };
        let apart = Bridge { icc: false, ..bridge("br-apart", &["172.21.0.0/16", "fd00:21::/64"]) };
        let wanted = Ruleset {
            bridges: vec![bridge("minidock0", &["172.17.0.0/16"]), internal, apart],
            published: vec![
                port(Protocol::Tcp, "0.0.0.0", 8080, "172.17.0.2", 80),
                port(Protocol::Udp, "0.0.0.0", 53, "172.17.0.3", 5353),
                port(Protocol::Tcp, "127.0.0.1", 443, "172.17.0.2", 443),
                port(Protocol::Tcp, "::", 8080, "fd00:21::2", 80),
                port(Protocol::Udp, "fd00:9::1", 8080, "fd00:21::2", 80),
            ],
        };
        table.replace(&wanted).expect("a full table");
        same(&listed(), &text_of(&wanted));
        insist_on_golden("full", &listed());
        // once more: no duplicate; then what is no longer wanted is gone
        table.replace(&wanted).expect("a full table");
        same(&listed(), &text_of(&wanted));
        table.replace(&Ruleset::default()).expect("an empty table");
        same(&listed(), &text_of(&Ruleset::default()));
        table.purge().expect("no table");
        assert_eq!(nft(&["list", "ruleset"]), "");
        table.purge().expect("removing what is gone succeeds");
    });
}

/// The golden file is for readers; `UPDATE=1` writes it.
fn insist_on_golden(name: &str, text: &str) {
    let path = format!("{}/nft/golden/{name}.nft", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, text).expect("the golden file");
    }
    assert_eq!(text, std::fs::read_to_string(&path).expect("the golden file"), "{path}");
}

#[test]
fn changes_one_by_one_end_in_the_same_table_as_all_at_once() {
    apart(|| {
        let table = Table::open().expect("nf_tables");
        let (a, b) = (bridge("minidock0", &["172.17.0.0/16"]), bridge("br-b", &["172.18.0.0/16", "fd00:18::/64"]));
        let ports: Vec<Published> = (0..20).map(|n| port(Protocol::Tcp, "0.0.0.0", 9000 + n, "172.17.0.2", 80)).collect();
        // the first change finds no table and makes it
        table.add_bridge(&a).expect("a bridge");
        table.add_bridge(&b).expect("a bridge");
        table.add_bridge(&b).expect("twice is once");
        ports.chunks(3).for_each(|some| table.publish(some).expect("ports"));
        let wanted = Ruleset { bridges: vec![a.clone(), b.clone()], published: ports.clone() };
        same(&listed(), &text_of(&wanted));
        assert_eq!(table.wanted(), wanted);
        // the whole of what minidock says it did is a script that nft understands, and comes to the same
        let script: Vec<String> = wanted.commands(&[]).expect("families fit").iter().map(|c| c.to_string()).collect();
        let ours = listed();
        std::fs::write("/tmp/minidock-nft-test.nft", script.join("\n")).expect("a file");
        nft(&["-f", "/tmp/minidock-nft-test.nft"]);
        std::fs::remove_file("/tmp/minidock-nft-test.nft").expect("our file");
        same(&listed(), &ours);

        let less = Bridge { masquerade: false, ..b.clone() };
        table.add_bridge(&less).expect("a changed bridge");
        same(&listed(), &text_of(&Ruleset { bridges: vec![a.clone(), less.clone()], published: ports.clone() }));
        table.unpublish(&ports).expect("closed");
        table.unpublish(&ports).expect("closing what is closed succeeds");
        table.remove_bridge(&less).expect("removed");
        table.remove_bridge(&b).expect("removing what is gone succeeds");
        same(&listed(), &text_of(&Ruleset { bridges: vec![a.clone()], published: vec![] }));
    });
}

#[test]
fn a_change_is_recorded_in_nfts_own_words_and_a_refusal_names_what_was_refused() {
    apart(|| {
        let table = Table::open().expect("nf_tables");
        table.replace(&Ruleset::default()).expect("a table");
        action::start(action::Actor::Daemon);
        table.publish(&[port(Protocol::Tcp, "0.0.0.0", 8080, "172.17.0.2", 80)]).expect("a port");
        let refused = table.publish(&[
            port(Protocol::Tcp, "0.0.0.0", 8081, "172.17.0.2", 80),
            port(Protocol::Tcp, "0.0.0.0", 8080, "172.17.0.9", 80),
        ]);
        let actions = action::stop();
        assert_eq!(actions[0].call, "nft");
        assert_eq!(actions[0].args, ["add element inet minidock published4 { tcp . 8080 : 172.17.0.2 . 80 }"]);
        assert!(actions[0].room.starts_with("src/network/nft/table.rs"), "{}", actions[0].room);
        let refused = refused.expect_err("the port leads elsewhere");
        assert!(
            refused.message().contains("publish 0.0.0.0:8081 → 172.17.0.2:80/tcp, 0.0.0.0:8080 → 172.17.0.9:80/tcp"),
            "{refused}"
        );
        assert!(refused.message().contains("EEXIST"), "{refused}");
        // nothing of it has happened
        assert_eq!(table.wanted().published.len(), 1);
        assert_eq!(table.leads_to(Protocol::Tcp, ("0.0.0.0".parse().expect("an address"), 8081)).expect("asked"), None);
        let to = table.leads_to(Protocol::Tcp, ("127.0.0.1".parse().expect("an address"), 8080)).expect("asked");
        assert_eq!(to, Some(("172.17.0.2".parse().expect("an address"), 80)));
        let mixed = table.publish(&[port(Protocol::Tcp, "0.0.0.0", 81, "fd00::2", 80)]).expect_err("two families");
        assert!(mixed.message().contains("different families"), "{mixed}");
        let loopback = table.publish(&[port(Protocol::Tcp, "::1", 81, "fd00::2", 80)]).expect_err("no way back");
        assert!(loopback.message().contains("cannot publish a port on ::1"), "{loopback}");
    });
}

#[test]
fn a_table_that_somebody_threw_away_comes_back() {
    apart(|| {
        let table = std::sync::Arc::new(Table::open().expect("nf_tables"));
        let wanted = Ruleset {
            bridges: vec![bridge("minidock0", &["172.17.0.0/16"])],
            published: vec![port(Protocol::Tcp, "0.0.0.0", 8080, "172.17.0.2", 80)],
        };
        table.replace(&wanted).expect("a table");
        nft(&["flush", "ruleset"]);
        let more = port(Protocol::Tcp, "0.0.0.0", 8081, "172.17.0.2", 81);
        table.publish(std::slice::from_ref(&more)).expect("the whole table comes with it");
        let both = Ruleset { published: vec![wanted.published[0].clone(), more], ..wanted };
        same(&listed(), &text_of(&both));

        let watch = super::foreign::Watch::start(table.clone()).expect("a bell");
        nft(&["flush", "ruleset"]);
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
        while nft(&["list", "ruleset"]) != text_of(&both) {
            assert!(std::time::Instant::now() < deadline, "the watch has not mended it: {}", nft(&["list", "ruleset"]));
        }
        drop(watch);
    });
}

#[test]
fn a_thousand_ports_are_one_transaction_and_the_next_costs_the_same() {
    apart(|| {
        let table = Table::open().expect("nf_tables");
        let ports = |from: u16, count: u16| -> Vec<Published> {
            (from..from + count).map(|n| port(Protocol::Tcp, "0.0.0.0", n, "172.17.0.2", n)).collect()
        };
        let median = |table: &Table, from: u16| {
            let mut times: Vec<_> = (from..from + 51)
                .map(|n| {
                    let one = ports(n, 1);
                    let began = std::time::Instant::now();
                    table.publish(&one).expect("a port");
                    began.elapsed()
                })
                .collect();
            times.sort();
            times[25]
        };
        table.replace(&Ruleset::default()).expect("a table");
        let alone = median(&table, 100);
        table.replace(&Ruleset { bridges: vec![], published: ports(10_000, 20_000) }).expect("twenty thousand at once");
        let among_many = median(&table, 200);
        eprintln!("a port more: {alone:?} among none, {among_many:?} among 20,000");
        assert!(among_many < alone * 4 + std::time::Duration::from_micros(300), "{alone:?} → {among_many:?}");
    });
}

#[test]
fn a_firewall_in_our_way_is_found_and_said_what_to_type() {
    apart(|| {
        let table = Table::open().expect("nf_tables");
        table.add_bridge(&bridge("br-one", &["172.30.0.0/16"])).expect("a bridge");
        assert_eq!(table.findings().expect("asked"), []);
        nft(&["add table ip filter; add chain ip filter FORWARD { type filter hook forward priority 0; policy drop; }"]);
        nft(&[
            "add table inet firewalld; add chain inet firewalld filter_FORWARD { type filter hook forward priority 10; policy accept; }",
        ]);
        let found = table.findings().expect("asked");
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].what.contains("table ip filter drops") && found[1].what.contains("firewalld is active"), "{found:?}");
        // what we say to type is understood, and helps: somebody who did it is still told, for we do not read his rules
        let typed = found[0].hint.split_once(": ").expect("commands").1;
        typed.split("; ").for_each(|line| drop(nft(&[line.trim_start_matches("nft ")])));
        assert_eq!(nft(&["list", "chain", "ip", "filter", "FORWARD"]).matches("\"br-one\" accept").count(), 2);
        // with Docker's place for its users, ours is put there by itself, and taken away again
        nft(&["add chain ip filter DOCKER-USER; add rule ip filter FORWARD jump DOCKER-USER"]);
        table.mend().expect("mended");
        assert_eq!(table.findings().expect("asked").len(), 1, "only firewalld is left");
        let ours = nft(&["list", "chain", "ip", "filter", "MINIDOCK"]);
        assert!(ours.contains("iifname \"br-one\" counter packets 0 bytes 0 accept"), "{ours}");
        table.mend().expect("nothing to mend");
        assert_eq!(nft(&["list", "chain", "ip", "filter", "DOCKER-USER"]).matches("jump MINIDOCK").count(), 1);
        table.purge().expect("purged");
        // a watch that hears of the purge has nothing to mend
        table.mend().expect("nothing to mend");
        assert!(!nft(&["list", "ruleset"]).contains("MINIDOCK"));
        // the older iptables keeps its rules elsewhere: one use of it, and its table is there
        match Command::new("iptables-legacy").args(["-S", "FORWARD"]).output() {
            Ok(done) if done.status.success() => {
                let found = table.findings().expect("asked");
                assert!(found.iter().any(|f| f.what.contains("legacy iptables")), "{found:?}");
            }
            _ => eprintln!("SKIP: no iptables-legacy on this machine"),
        }
    });
}

#[test]
fn many_threads_may_change_it_at_once() {
    apart(|| {
        let table = Table::open().expect("nf_tables");
        table.replace(&Ruleset::default()).expect("a table");
        std::thread::scope(|threads| {
            for n in 0..8u16 {
                let table = &table;
                threads.spawn(move || {
                    for round in 0..50 {
                        let ports: Vec<Published> =
                            (0..3).map(|m| port(Protocol::Tcp, "0.0.0.0", 10_000 + n * 100 + m, "172.30.0.2", round)).collect();
                        table.publish(&ports).expect("published");
                        if round < 49 {
                            table.unpublish(&ports).expect("closed");
                        }
                    }
                });
            }
        });
        assert_eq!(table.wanted().published.len(), 24);
        same(&listed(), &text_of(&table.wanted()));
    });
}

#[test]
fn every_command_of_the_structure_has_its_place_in_the_listing() {
    let text = listing(&ruleset::structure());
    for set in ruleset::SETS {
        assert!(text.contains(&format!("\t{} {} {{\n", set.word(), set.name)), "{}", set.name);
    }
    assert!(text.starts_with("table inet minidock {\n") && text.ends_with("}\n"));
}
