//! # What bridges, sandboxes and cables are, asked of `ip`
//!
//! Addresses, routes, MACs, isolation: what an endpoint is, and the shell commands that make the same.

mod rig;

use minidock_network::{
    bridge,
    sandbox::{self, Sandbox},
};
use rig::{BLOCK, answers, ask, at_home, endpoint, inside, member, network, run};
use serde_json::Value;
use std::net::{Ipv4Addr, Ipv6Addr};

#[test]
fn an_endpoint_is_what_docker_makes_of_it() {
    at_home(|home, folder| {
        let net = network("br-test", &[BLOCK]);
        bridge::ensure(home, &net).expect("a bridge");
        bridge::ensure(home, &net).expect("a second time changes nothing");
        let here = ask("ip", &["-j", "-d", "addr", "show", "br-test"]);
        assert_eq!(here[0]["linkinfo"]["info_kind"], "bridge");
        assert_eq!(here[0]["address"], "02:42:ac:1e:00:01");
        assert_eq!(here[0]["group"].as_str().map(|g| g.to_string()), Some("19828".into()));
        let (mine, all) = (&here[0]["addr_info"][0], here[0]["addr_info"].as_array().expect("a list").len());
        assert_eq!((&mine["local"], &mine["prefixlen"], all), (&"172.30.0.1".into(), &16.into(), 1));
        let sandbox = member(home, folder, &net, &endpoint(2, "eth0"));
        let links = inside(&sandbox, &["addr"]);
        let (lo, eth0) = (&links[0], links.as_array().expect("a list").last().expect("a link"));
        assert_eq!((&lo["ifname"], &lo["addr_info"][0]["local"]), (&"lo".into(), &"127.0.0.1".into()));
        assert_eq!(
            (&eth0["ifname"], &eth0["address"], &eth0["mtu"]),
            (&"eth0".into(), &"02:42:ac:1e:00:02".into(), &1500.into())
        );
        assert_eq!(eth0["operstate"], "UP");
        let addresses = eth0["addr_info"].as_array().expect("a list");
        assert_eq!(addresses.len(), 1, "no IPv6 unless asked for: {addresses:?}");
        assert_eq!((&addresses[0]["local"], &addresses[0]["broadcast"]), (&"172.30.0.2".into(), &"172.30.255.255".into()));
        let routes = inside(&sandbox, &["route"]);
        assert_eq!(
            (&routes[0]["dst"], &routes[0]["gateway"], &routes[0]["dev"]),
            (&"default".into(), &"172.30.0.1".into(), &"eth0".into())
        );
        assert_eq!((&routes[1]["dst"], &routes[1]["prefsrc"]), (&"172.30.0.0/16".into(), &"172.30.0.2".into()));
        assert!(answers(Some(&sandbox), "172.30.0.1") && answers(None, "172.30.0.2"));
    });
}

#[test]
fn neighbours_reach_each_other_and_a_silenced_one_is_gone_at_once() {
    at_home(|home, folder| {
        let net = network("br-test", &[BLOCK]);
        bridge::ensure(home, &net).expect("a bridge");
        let (dog, cat) = (endpoint(2, "eth0"), endpoint(3, "eth0"));
        let (kennel, basket) = (member(home, folder, &net, &dog), member(home, folder, &net, &cat));
        assert!(answers(Some(&kennel), "172.30.0.3") && answers(Some(&basket), "172.30.0.2"));
        sandbox::leave(home, std::slice::from_ref(&dog)).expect("silenced");
        assert!(!answers(Some(&basket), "172.30.0.2"));
        sandbox::leave(home, &[dog, endpoint(9, "eth0")]).expect("a second time, and one that never was");
    });
}

#[test]
fn a_running_container_gets_a_second_network_and_loses_it_again() {
    at_home(|home, folder| {
        let (one, mut two) = (network("br-one", &[BLOCK]), network("br-two", &[("172.31.0.0/24", "172.31.0.1")]));
        two.internal = true;
        for net in [&one, &two] {
            bridge::ensure(home, net).expect("a bridge");
        }
        let sandbox = member(home, folder, &one, &endpoint(2, "eth0"));
        let mut second = endpoint(3, "eth1");
        second.v4 = Some((Ipv4Addr::new(172, 31, 0, 3), 24));
        // as after a restart of the daemon: found by its pin
        let found = Sandbox::open(sandbox.place()).expect("still pinned");
        drop(sandbox);
        found.plug(home, &two, &second).expect("plugged");
        assert!(answers(Some(&found), "172.31.0.1") && answers(Some(&found), "172.30.0.1"));
        found.unplug(home, &second).expect("unplugged");
        found.unplug(home, &second).expect("twice is once");
        let left = inside(&found, &["link"]);
        assert!(!left.to_string().contains("eth1"), "{left}");
        found.set_default_routes(None, None).expect("cut off");
        found.set_default_routes(None, None).expect("already");
        assert!(!inside(&found, &["route"]).to_string().contains("default"));
        assert!(found.plug(home, &one, &endpoint(4, "eth0")).is_err_and(|e| e.message().contains("EEXIST")));
        let here = ask("ip", &["-j", "link"]);
        assert!(!here.to_string().contains("veth0000004"), "half a cable was left: {here}");
    });
}

#[test]
fn ipv6_works_at_once_where_it_is_asked_for() {
    at_home(|home, folder| {
        let net = network("br-six", &[BLOCK, ("fd00:30::/64", "fd00:30::1")]);
        bridge::ensure(home, &net).expect("a bridge");
        let mut six = endpoint(2, "eth0");
        six.v6 = Some((Ipv6Addr::new(0xfd00, 0x30, 0, 0, 0, 0, 0, 2), 64));
        six.gateway_v6 = Some(Ipv6Addr::new(0xfd00, 0x30, 0, 0, 0, 0, 0, 1));
        let sandbox = Sandbox::create(&folder.path().join("six")).expect("a sandbox");
        let gateways = [six.gateway_v4.map(Into::into), six.gateway_v6.map(Into::into)];
        let gateways: Vec<_> = gateways.into_iter().flatten().collect();
        sandbox.plug_and_lead_out(home, &net, &six, &gateways).expect("plugged");
        assert!(answers(Some(&sandbox), "fd00:30::1"));
        let routes = inside(&sandbox, &["-6", "route", "show", "default"]);
        assert_eq!((&routes[0]["gateway"], &routes[0]["dev"]), (&"fd00:30::1".into(), &"eth0".into()));
        assert!(answers(None, "fd00:30::2"));
    });
}

#[test]
fn without_icc_members_reach_the_gateway_and_nobody_else() {
    at_home(|home, folder| {
        let mut net = network("br-quiet", &[BLOCK]);
        net.icc = false;
        bridge::ensure(home, &net).expect("a bridge");
        let (one, _two) = (member(home, folder, &net, &endpoint(2, "eth0")), member(home, folder, &net, &endpoint(3, "eth0")));
        assert!(answers(Some(&one), "172.30.0.1") && !answers(Some(&one), "172.30.0.3"));
    });
}

#[test]
fn the_recorded_commands_do_the_same_in_a_shell() {
    at_home(|home, folder| {
        use minidock_linux::action::{self, Action, Actor};
        let net = network("br-test", &[BLOCK, ("fd00:30::/64", "fd00:30::1")]);
        let mut six = endpoint(2, "eth0");
        six.v6 = Some((Ipv6Addr::new(0xfd00, 0x30, 0, 0, 0, 0, 0, 2), 64));
        six.gateway_v6 = Some(Ipv6Addr::new(0xfd00, 0x30, 0, 0, 0, 0, 0, 1));
        action::start(Actor::Daemon);
        bridge::ensure(home, &net).expect("a bridge");
        let sandbox = member(home, folder, &net, &six);
        let actions = action::stop();
        assert!(actions.iter().all(|a| a.room.starts_with("src/network/")), "{actions:#?}");
        let shape = |s: Value| s.to_string().replace(char::is_numeric, "");
        let strip = |mut links: Value| {
            for link in links.as_array_mut().into_iter().flatten() {
                let link = link.as_object_mut().expect("a link");
                link.retain(|key, _| {
                    ["ifname", "flags", "mtu", "master", "operstate", "group", "dst", "gateway", "dev"].contains(&key.as_str())
                });
            }
            shape(links)
        };
        let (here, there) = (strip(ask("ip", &["-j", "-d", "link"])), strip(inside(&sandbox, &["route"])));
        // the same by hand, in a home of its own
        let second = Sandbox::create(&folder.path().join("second")).expect("a namespace");
        let pin = sandbox.place().to_path_buf();
        Sandbox::remove(&pin).expect("unpinned");
        let anew = Sandbox::create(&pin).expect("a sandbox");
        let line = |a: &Action| match a.call.as_str() {
            "netlink" if !a.args[1].contains(" show ") => Some(a.args[1].clone()),
            "write" if a.args[0].contains("/eth0/") => {
                Some(format!("nsenter --net={} sh -c 'echo {} > {}'", pin.display(), a.args[1], a.args[0]))
            }
            "write" if a.args[0].contains("/br-test/") => Some(format!("echo {} > {}", a.args[1], a.args[0])),
            _ => None,
        };
        let script = actions.iter().filter_map(line).collect::<Vec<_>>().join("\n");
        let (fine, text) = run("nsenter", &[&format!("--net={}", second.place().display()), "sh", "-ec", &script]);
        assert!(fine, "{script}\n{text}");
        assert_eq!(strip(inside(&second, &["link"])), here, "{script}");
        assert_eq!(strip(inside(&anew, &["route"])), there, "{script}");
    });
}

#[test]
fn one_endpoint_costs_three_datagrams_way_out_included() {
    at_home(|home, folder| {
        use minidock_linux::action::{self, Actor};
        let net = network("br-test", &[BLOCK]);
        bridge::ensure(home, &net).expect("a bridge");
        let sandbox = Sandbox::create(&folder.path().join("one")).expect("a sandbox");
        let before = home.datagrams() + sandbox.datagrams();
        action::start(Actor::Daemon);
        let cable = endpoint(2, "eth0");
        let gateway = cable.gateway_v4.expect("a way out");
        sandbox.plug_and_lead_out(home, &net, &cable, &[gateway.into()]).expect("plugged");
        let actions = action::stop();
        let changes: Vec<&String> = actions.iter().map(|a| &a.args[1]).filter(|m| !m.contains("link show")).collect();
        // the cable, on, the address, the way out
        assert_eq!(changes.len(), 4, "{changes:#?}");
        // a kernel before 6.2 does not echo: there the number of eth0 is asked for
        assert!(actions.len() == 6 || !echoes(), "{actions:#?}");
        let sent = home.datagrams() + sandbox.datagrams() - before;
        assert!(sent == 3 || !echoes(), "{sent} datagrams for {actions:#?}");
        let routes = inside(&sandbox, &["route"]);
        assert_eq!((&routes[0]["dst"], &routes[0]["gateway"]), (&"default".into(), &gateway.to_string().into()));
        assert!(answers(Some(&sandbox), "172.30.0.1"));
    });
}

fn echoes() -> bool {
    let (_, release) = run("uname", &["-r"]);
    let mut numbers = release.split('.').map(|n| n.parse::<u32>().unwrap_or(0));
    (numbers.next(), numbers.next()) >= (Some(6), Some(2))
}
