//! # Links upon the host's own cable, asked of `ip`
//!
//! The office is a namespace at the other end of a cable; the containers lie upon this end of it.

mod rig;

use minidock_linux::netlink::upon::Mode;
use minidock_network::{
    sandbox::Sandbox,
    upon::{ensure_parent, far_end, parent_to_nowhere},
};
use rig::{answers, ask, at_home, endpoint, inside, run};
use tempfile::TempDir;

/// A cable `up0` to the office, whose router is 172.30.0.1.
fn office(folder: &TempDir) -> Sandbox {
    let office = Sandbox::create(&folder.path().join("office")).expect("a namespace");
    let net = format!("--net={}", office.place().display());
    assert!(run("ip", &["link", "add", "up0", "up", "type", "veth", "peer", "name", "in0"]).0);
    let moved = run("ip", &["link", "set", "in0", "netns", &office.place().display().to_string()]);
    assert!(moved.0, "{}", moved.1);
    for words in [&["addr", "add", "172.30.0.1/16", "dev", "in0"][..], &["link", "set", "in0", "up"]] {
        assert!(run("nsenter", &[&[net.as_str(), "ip"], words].concat()).0);
    }
    office
}

#[test]
fn members_are_machines_of_the_office_and_of_nobody_else() {
    at_home(|home, folder| {
        let router = office(folder);
        assert!(!ensure_parent(home, "up0", false).expect("it is there"));
        let member = |number: u8| {
            let sandbox = Sandbox::create(&folder.path().join(number.to_string())).expect("a sandbox");
            let mut its = endpoint(number, "eth0");
            its.host_link = String::new();
            let gateway = its.gateway_v4.expect("a way out").into();
            sandbox.plug_upon(home, "up0", Mode::Bridge, 0, &its, &[gateway]).expect("upon the card");
            (sandbox, its)
        };
        let ((dog, its), (cat, _)) = (member(2), member(3));
        assert!(answers(Some(&dog), "172.30.0.1") && answers(Some(&dog), "172.30.0.3") && answers(Some(&router), "172.30.0.2"));
        let eth0 = &inside(&dog, &["link", "show", "eth0"])[0];
        assert_eq!((&eth0["linkinfo"]["info_kind"], &eth0["address"]), (&"macvlan".into(), &"02:42:ac:1e:00:02".into()));
        let routes = inside(&dog, &["route"]);
        assert_eq!((&routes[0]["dst"], &routes[0]["gateway"]), (&"default".into(), &"172.30.0.1".into()));
        let refused = dog.plug_upon(home, "up0", Mode::Bridge, 0, &endpoint(4, "eth0"), &[]).expect_err("there is an eth0");
        assert!(refused.message().contains("EEXIST"), "{refused}");
        dog.silence(&its).expect("switched off");
        assert!(!answers(Some(&cat), "172.30.0.2"));
        dog.unplug_inside(&its).expect("away");
        dog.unplug_inside(&its).expect("twice is once");
        assert!(!inside(&dog, &["link"]).to_string().contains("eth0"));
        let left = ask("ip", &["-j", "link"]);
        let names: Vec<&str> = left.as_array().expect("a list").iter().filter_map(|l| l["ifname"].as_str()).collect();
        assert_eq!(names.iter().filter(|n| !matches!(**n, "lo" | "up0")).count(), 0, "nothing of it stands at home: {names:?}");
    });
}

#[test]
fn a_network_without_a_parent_has_a_cable_to_nowhere() {
    at_home(|home, folder| {
        let parent = parent_to_nowhere(&"5f".repeat(32));
        assert!(ensure_parent(home, &parent, true).expect("made"));
        assert!(!ensure_parent(home, &parent, true).expect("there"));
        let member = |number: u8| {
            let sandbox = Sandbox::create(&folder.path().join(number.to_string())).expect("a sandbox");
            sandbox.plug_upon(home, &parent, Mode::Bridge, 0, &endpoint(number, "eth0"), &[]).expect("upon the cable");
            sandbox
        };
        let (dog, _cat) = (member(2), member(3));
        assert!(answers(Some(&dog), "172.30.0.3") && !answers(Some(&dog), "172.30.0.1"));
        home.delete_link(&parent).expect("ours");
        let left = ask("ip", &["-j", "link"]).to_string();
        assert!(!left.contains(&far_end(&parent)), "both ends go: {left}");
    });
}

#[test]
fn a_parent_that_cannot_be_is_refused_and_a_vlan_is_made_where_the_kernel_has_them() {
    at_home(|home, folder| {
        let _router = office(folder);
        let why = |name: &str| ensure_parent(home, name, false).expect_err("refused").message();
        assert!(why("eth7").contains("invalid subinterface vlan name eth7, example formatting is eth0.10"));
        assert!(why("eth7.10").contains("failed to find master interface eth7 on the Docker host: Link not found"));
        assert!(why("up0.5000").contains("vlan id must be between 1-4094, received: 5000"));
        let by_hand = run("ip", &["link", "add", "link", "up0", "name", "probe", "type", "vlan", "id", "9"]).0;
        match ensure_parent(home, "up0.10", false) {
            Ok(made) => {
                assert!(made && by_hand);
                let vlan = &ask("ip", &["-j", "-d", "link", "show", "up0.10"])[0];
                assert_eq!(
                    (&vlan["linkinfo"]["info_kind"], &vlan["linkinfo"]["info_data"]["id"]),
                    (&"vlan".into(), &10.into())
                );
                assert!(!ensure_parent(home, "up0.10", false).expect("there"));
            }
            Err(refused) => {
                assert!(!by_hand, "ip could: {refused}");
                assert!(refused.message().contains("create the vlan link up0.10"), "{refused}");
            }
        }
    });
}
