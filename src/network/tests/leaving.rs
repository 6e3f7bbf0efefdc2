//! # Leaving, and what is left
//!
//! A namespace dies when the kernel likes; what must be true in the meantime, and after a daemon was killed.

mod rig;

use minidock_network::{
    bridge,
    model::Mac,
    sandbox::{self, Sandbox},
};
use rig::{BLOCK, answers, ask, at_home, endpoint, inside, member, network, run};
use std::time::{Duration, Instant};

#[test]
fn an_address_given_anew_is_never_answered_by_the_dying_namespace() {
    at_home(|home, folder| {
        let net = network("br-test", &[BLOCK]);
        bridge::ensure(home, &net).expect("a bridge");
        let asker = member(home, folder, &net, &endpoint(200, "eth0"));
        let forget = || drop(run("nsenter", &[&format!("--net={}", asker.place().display()), "ip", "neigh", "flush", "all"]));
        for round in 0..10u8 {
            let mut old = endpoint(2, "eth0");
            old.host_link = format!("vethold{round}");
            old.mac = Mac([2, 0, 0, 0, 0, round]);
            let dying = member(home, folder, &net, &old);
            forget();
            assert!(answers(Some(&asker), "172.30.0.2"), "round {round}");
            // the namespace is held (as a slow death would), its address goes to somebody else with another MAC
            sandbox::leave(home, &[old]).expect("silenced");
            let mut new = endpoint(2, "eth0");
            new.host_link = format!("vethnew{round}");
            new.mac = Mac([2, 0, 0, 0, 1, round]);
            let reborn = member(home, folder, &net, &new);
            // one that remembers is told by the announcement, one that does not asks: half of the rounds each
            if round % 2 == 0 {
                forget();
            }
            assert!(answers(Some(&asker), "172.30.0.2"), "round {round}");
            let table = inside(&asker, &["neigh", "show", "172.30.0.2"]);
            assert_eq!(table[0]["lladdr"], new.mac.to_string(), "round {round}: {table}");
            sandbox::leave(home, &[new]).expect("silenced");
            for gone in [dying, reborn] {
                Sandbox::remove(gone.place()).expect("unpinned");
            }
        }
    });
}

#[test]
fn leftovers_are_ours_and_only_those_nobody_knows() {
    at_home(|home, folder| {
        let net = network("br-test", &[BLOCK]);
        bridge::ensure(home, &net).expect("a bridge");
        let _members = [member(home, folder, &net, &endpoint(2, "eth0")), member(home, folder, &net, &endpoint(3, "eth0"))];
        assert!(run("ip", &["link", "add", "vethforeign", "master", "br-test", "type", "veth", "peer", "name", "x"]).0);
        let known = ["veth0000002".to_string()].into();
        let bridges = ["br-test".to_string()].into();
        assert_eq!(home.leftovers(&known, &bridges).expect("a list"), ["veth0000003"]);
        assert!(home.leftovers(&known, &Default::default()).expect("a list").is_empty(), "another daemon's bridge");
        assert!(home.stray_bridges(&bridges).expect("a list").is_empty());
        assert_eq!(home.stray_bridges(&Default::default()).expect("a list"), ["br-test"]);
        home.delete_link("veth0000003").expect("removed");
        home.delete_link("veth0000003").expect("removing what is gone succeeds");
        bridge::remove(home, "br-test").expect("removed");
        bridge::remove(home, "br-test").expect("removing what is gone succeeds");
        assert!(!ask("ip", &["-j", "link"]).to_string().contains("br-test"));
    });
}

#[test]
fn a_bridge_that_was_made_anew_behind_our_back_is_found() {
    at_home(|home, folder| {
        let net = network("br-test", &[BLOCK]);
        bridge::ensure(home, &net).expect("a bridge");
        assert!(run("ip", &["link", "del", "br-test"]).0 && run("ip", &["link", "add", "br-test", "type", "bridge"]).0);
        bridge::ensure(home, &net).expect("addresses again");
        let sandbox = member(home, folder, &net, &endpoint(2, "eth0"));
        assert!(answers(Some(&sandbox), "172.30.0.1"));
        assert!(run("ip", &["link", "del", "br-test"]).0);
        let lost = Sandbox::create(&folder.path().join("lost")).expect("a sandbox");
        assert!(lost.plug(home, &net, &endpoint(3, "eth0")).is_err());
        assert!(run("ip", &["link", "add", "br-test", "up", "type", "bridge"]).0);
        lost.plug(home, &net, &endpoint(3, "eth0")).expect("the number is asked for anew");
        assert!(run("ip", &["link", "add", "br-mine", "type", "veth", "peer", "name", "y"]).0);
        let refused = bridge::ensure(home, &network("br-mine", &[BLOCK])).expect_err("no bridge");
        assert!(refused.message().contains("exists and is no bridge"), "{refused}");
        for bad in ["", "a b", "../x", "br;reboot", "-br", "sixteen-letters-x"] {
            assert!(bridge::ensure(home, &network(bad, &[BLOCK])).is_err(), "{bad}");
        }
    });
}

#[test]
fn a_namespace_that_is_let_go_takes_its_cables_with_it() {
    at_home(|home, folder| {
        let net = network("br-test", &[BLOCK]);
        bridge::ensure(home, &net).expect("a bridge");
        for number in 2..22 {
            let sandbox = member(home, folder, &net, &endpoint(number, "eth0"));
            Sandbox::remove(sandbox.place()).expect("unpinned");
            Sandbox::remove(sandbox.place()).expect("removing what is gone succeeds");
            assert!(!sandbox.place().exists());
        }
        let began = Instant::now();
        while home.links().expect("a list").iter().any(|l| l.kind == "veth") {
            assert!(began.elapsed() < Duration::from_secs(20), "the kernel keeps them");
            std::thread::yield_now();
        }
    });
}
