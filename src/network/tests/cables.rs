//! # What bridges, sandboxes and cables are, asked of `ip`
//!
//! Each claim is made in a network namespace of its own that plays the daemon's home; the oracle is iproute2, not our reader.

use minidock_linux::netlink::{Family, Socket, link, neighbour, vxlan};
use minidock_network::settings::{Settings, Turned};
use minidock_network::{
    bridge,
    home::Home,
    model::{Bridge, Endpoint, Mac, Subnet},
    sandbox::{self, Sandbox},
    shelf::Shelf,
};
use serde_json::Value;
use std::{
    io::ErrorKind,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// Runs a claim in a fresh network namespace (on its own thread), with a folder for pins; says SKIP without root.
fn at_home(claim: impl FnOnce(&Home, &TempDir) + Send) {
    let folder = tempfile::tempdir().expect("a folder");
    let at_home = Sandbox::create(&folder.path().join("home"));
    let stage = match at_home {
        Err(e) if e.message().contains("EPERM") => return println!("SKIP: needs root ({e})"),
        other => other.expect("a namespace"),
    };
    // what was made in here, sandboxes included, must not outlive a claim that failed
    let done = stage
        .visit(|| std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| claim(&Home::open().expect("a socket"), &folder))));
    for entry in std::fs::read_dir(folder.path()).expect("our folder").flatten() {
        Sandbox::remove(&entry.path()).expect("ours to remove");
    }
    if let Err(panic) = done.expect("root may visit") {
        std::panic::resume_unwind(panic);
    }
}

fn run(program: &str, args: &[&str]) -> (bool, String) {
    let done = Command::new(program).args(args).output().expect("iproute2 and friends");
    (done.status.success(), String::from_utf8_lossy(&done.stdout).into_owned() + &String::from_utf8_lossy(&done.stderr))
}

fn ask(program: &str, args: &[&str]) -> Value {
    let (fine, text) = run(program, args);
    assert!(fine, "{program} {args:?}: {text}");
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{program} {args:?}: {e}: {text}"))
}

fn inside(sandbox: &Sandbox, args: &[&str]) -> Value {
    let net = format!("--net={}", sandbox.place().display());
    ask("nsenter", &[&[net.as_str(), "ip", "-j", "-d"], args].concat())
}

fn network(link: &str, subnets: &[(&str, &str)]) -> Bridge {
    let subnet = |(block, gateway): &(&str, &str)| Subnet {
        subnet: block.parse().expect("a block"),
        gateway: Some(gateway.parse().expect("an address")),
        range: None,
        aux: Default::default(),
    };
    Bridge {
        network_id: "n".repeat(64),
        link: link.into(),
        subnets: subnets.iter().map(subnet).collect(),
        internal: false,
        icc: true,
        masquerade: true,
        mtu: 1500,
        host_binding: Ipv4Addr::UNSPECIFIED.into(),
    }
}

fn endpoint(number: u8, inside: &str) -> Endpoint {
    let v4 = Ipv4Addr::new(172, 30, 0, number);
    Endpoint {
        id: format!("{number:064x}"),
        network_id: "n".repeat(64),
        host_link: format!("veth{number:07x}"),
        inside: inside.into(),
        mac: Mac::of(v4),
        v4: Some((v4, 16)),
        v6: None,
        gateway_v4: Some(Ipv4Addr::new(172, 30, 0, 1)),
        gateway_v6: None,
    }
}

fn member(home: &Home, folder: &TempDir, bridge: &Bridge, endpoint: &Endpoint) -> Sandbox {
    let pin: PathBuf = folder.path().join(&endpoint.host_link);
    let sandbox = Sandbox::create(&pin).expect("a sandbox");
    sandbox.plug(home, bridge, endpoint).expect("plugged");
    sandbox.set_default_routes(endpoint.gateway_v4, endpoint.gateway_v6).expect("a way out");
    sandbox
}

/// Whether the stack that has `address` answers, asked from this sandbox (`None`: from home): a closed port says so as well.
fn answers(from: Option<&Sandbox>, address: &str) -> bool {
    let knock = || {
        let to = SocketAddr::new(address.parse().expect("an address"), 9);
        match TcpStream::connect_timeout(&to, Duration::from_secs(1)) {
            Ok(_) => true,
            Err(e) => e.kind() == ErrorKind::ConnectionRefused,
        }
    };
    match from {
        Some(sandbox) => sandbox.visit(knock).expect("root may visit"),
        None => knock(),
    }
}

const BLOCK: (&str, &str) = ("172.30.0.0/16", "172.30.0.1");

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
fn a_sandbox_from_the_shelf_is_as_good_as_a_new_one_and_tells_how_it_was_made() {
    at_home(|home, folder| {
        use minidock_linux::action::{self, Actor};
        let net = network("br-test", &[BLOCK]);
        bridge::ensure(home, &net).expect("a bridge");
        let shelf = Shelf::new(2);
        shelf.refill().expect("root may");
        for number in 2..6 {
            let cable = endpoint(number, "eth0");
            action::start(Actor::Daemon);
            let sandbox = shelf.take(&folder.path().join(number.to_string())).expect("from the shelf, or made now");
            let actions = action::stop();
            for call in ["unshare", "netlink", "move_mount"] {
                assert!(actions.iter().any(|a| a.call == call), "{call}: {actions:#?}");
            }
            sandbox.plug(home, &net, &cable).expect("plugged");
            assert!(answers(Some(&sandbox), "172.30.0.1") && answers(Some(&sandbox), "127.0.0.1"));
        }
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
        let sandbox = member(home, folder, &net, &six);
        // the kernel joins an address's multicast group, by which it is found, in its own time (a work queue)
        let listens = |group: &str| std::fs::read_to_string("/proc/thread-self/net/igmp6").expect("a table").contains(group);
        let began = Instant::now();
        while !(listens("ff0200000000000000000001ff000001")
            && sandbox.visit(|| listens("ff0200000000000000000001ff000002")).expect("root"))
        {
            assert!(began.elapsed() < Duration::from_millis(900), "duplicate address detection");
        }
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
fn one_endpoint_costs_three_messages() {
    at_home(|home, folder| {
        use minidock_linux::action::{self, Actor};
        let net = network("br-test", &[BLOCK]);
        bridge::ensure(home, &net).expect("a bridge");
        let sandbox = Sandbox::create(&folder.path().join("one")).expect("a sandbox");
        action::start(Actor::Daemon);
        sandbox.plug(home, &net, &endpoint(2, "eth0")).expect("plugged");
        let actions = action::stop();
        let changes: Vec<&String> = actions.iter().map(|a| &a.args[1]).filter(|m| !m.contains("link show")).collect();
        assert_eq!(changes.len(), 3, "{changes:#?}");
        // a kernel before 6.2 does not echo: there the number of eth0 is asked for
        assert!(actions.len() == 6 || !echoes(), "{actions:#?}");
    });
}

fn echoes() -> bool {
    let (_, release) = run("uname", &["-r"]);
    let mut numbers = release.split('.').map(|n| n.parse::<u32>().unwrap_or(0));
    (numbers.next(), numbers.next()) >= (Some(6), Some(2))
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

/// Runs one of the claims below in a process of its own, started by `how` (unshare, setpriv, …).
fn elsewhere(claim: &str, how: &[&str]) {
    let own = std::env::current_exe().expect("a path");
    let done = Command::new(how[0])
        .args(&how[1..])
        .arg(own)
        .args(["--exact", claim, "--ignored", "--nocapture", "--test-threads", "1"])
        .env("MINIDOCK_ELSEWHERE", "1")
        .output()
        .expect("util-linux");
    let text = String::from_utf8_lossy(&done.stdout).into_owned() + &String::from_utf8_lossy(&done.stderr);
    if text.contains("unshare failed") || text.contains("SKIP") {
        return println!("SKIP: {text}");
    }
    assert!(done.status.success() && text.contains("1 passed"), "{text}");
}

#[test]
fn a_daemon_without_root_has_its_networks_in_a_user_namespace() {
    elsewhere(
        "sandboxes_and_cables_in_a_world_of_our_own",
        &["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "unshare", "-Urnm"],
    );
}

#[test]
fn a_daemon_in_a_private_mount_namespace_pins_its_sandboxes_there() {
    elsewhere("sandboxes_and_cables_in_a_world_of_our_own", &["unshare", "-nm", "--propagation", "private"]);
    elsewhere("sandboxes_and_cables_in_a_world_of_our_own", &["unshare", "-nm", "--propagation", "slave"]);
}

#[test]
#[ignore = "run by the claims above, in namespaces of their choice"]
fn sandboxes_and_cables_in_a_world_of_our_own() {
    if std::env::var_os("MINIDOCK_ELSEWHERE").is_none() {
        return;
    }
    let folder = Path::new("/tmp");
    let (fine, text) = run("mount", &["-t", "tmpfs", "tmpfs", "/tmp"]);
    assert!(fine, "{text}");
    let home = Home::open().expect("a socket");
    let net = network("br-test", &[BLOCK, ("fd00:30::/64", "fd00:30::1")]);
    bridge::ensure(&home, &net).expect("a bridge");
    let settings = Settings::load(&folder.join("settings.json")).expect("none yet");
    settings.forward(true).expect("ours to turn");
    let mut six = endpoint(2, "eth0");
    six.v6 = Some((Ipv6Addr::new(0xfd00, 0x30, 0, 0, 0, 0, 0, 2), 64));
    let sandbox = Sandbox::create(&folder.join("pin")).expect("a sandbox");
    sandbox.plug(&home, &net, &six).expect("plugged");
    sandbox.set_default_routes(six.gateway_v4, None).expect("a way out");
    assert!(answers(Some(&sandbox), "172.30.0.1") && answers(Some(&sandbox), "fd00:30::1"));
    let again = Sandbox::open(&folder.join("pin")).expect("pinned");
    drop(sandbox);
    assert!(answers(Some(&again), "172.30.0.1"));
    sandbox::leave(&home, &[six]).expect("silenced");
    Sandbox::remove(&folder.join("pin")).expect("unpinned");
    assert!(!folder.join("pin").exists());
}

#[test]
fn the_hosts_knobs_are_turned_when_needed_and_turned_back() {
    at_home(|_, folder| {
        let file = folder.path().join("host-settings.json");
        let knob = "/proc/sys/net/ipv4/ip_forward";
        let now = || std::fs::read_to_string(knob).expect("a knob").trim().to_string();
        let set = |value: &str| std::fs::write(knob, value).expect("our namespace");
        set("0");
        let settings = Settings::load(&file).expect("none yet");
        settings.need("net/ipv4/ip_forward", "0").expect("it is so");
        assert!(settings.changed().is_empty() && !file.exists());
        settings.forward(false).expect("ours to turn");
        assert_eq!(now(), "1");
        // the daemon is killed; the next one finds the note, and turns the knob again after somebody else did
        let settings = Settings::load(&file).expect("a note");
        set("0");
        settings.forward(false).expect("ours to turn");
        assert_eq!(settings.changed(), [("net.ipv4.ip_forward".to_string(), Turned { was: "0".into(), now: "1".into() })]);
        settings.restore().expect("put back");
        assert_eq!((now().as_str(), file.exists(), settings.changed().len()), ("0", false, 0));
        settings.restore().expect("twice is once");
        // what somebody else has changed since is theirs
        settings.forward(true).expect("ours to turn");
        set("0");
        settings.restore().expect("put back");
        assert_eq!(now(), "0");
        let missing = settings.need("net/ipv4/no_such_knob", "1").expect_err("no such knob");
        assert!(missing.message().contains("no_such_knob"), "{missing}");
        std::fs::write(&file, "half a no").expect("our folder");
        assert!(Settings::load(&file).is_err_and(|e| e.message().contains("host-settings.json")));
        std::fs::remove_file(&file).expect("our folder");
    });
}

#[test]
fn two_machines_share_a_segment_through_a_tunnel() {
    at_home(|home, folder| {
        // the underlay: a bridge at home, and two machines that are namespaces plugged into it
        let underlay = network("br-under", &[("192.0.2.0/24", "192.0.2.254")]);
        bridge::ensure(home, &underlay).expect("a bridge");
        let machine = |number: u8| {
            let v4 = Ipv4Addr::new(192, 0, 2, number);
            let mut cable = endpoint(number, "uplink");
            (cable.mac, cable.v4, cable.gateway_v4) = (Mac::of(v4), Some((v4, 24)), None);
            cable.host_link = format!("vethm{number}");
            member(home, folder, &underlay, &cable)
        };
        let machines = [machine(1), machine(2)];
        // on each: the overlay's bridge and tunnel in a namespace of their own (as Docker has it), one container behind them
        let containers = [0u8, 1].map(|n| {
            let (own, other) = (n + 1, 2 - n);
            let overlay = Sandbox::create(&folder.path().join(format!("overlay{own}"))).expect("a namespace");
            let port = bridge_in(&overlay);
            let tunnel = machines[n as usize]
                .visit(|| {
                    let place = overlay.place().to_string_lossy();
                    let wanted = vxlan::Vxlan {
                        name: "vx0",
                        id: 4097,
                        port: 4789,
                        local: Some(Ipv4Addr::new(192, 0, 2, own).into()),
                        learning: false,
                        proxy: true,
                        mtu: 1450,
                        group: 0,
                        master: Some((port, "br0")),
                        namespace: Some((overlay.fd(), &place)),
                    };
                    vxlan::add(&mut Socket::open(Family::Route).expect("a socket"), &wanted)
                })
                .expect("root may visit")
                .expect("a tunnel");
            overlay
                .visit(|| {
                    let mut socket = Socket::open(Family::Route).expect("a socket");
                    let index = link::by_name(&mut socket, "vx0").expect("an answer").expect("moved in here").index;
                    assert!(tunnel.is_none_or(|told| told == index));
                    let (there, at) = (Ipv4Addr::new(10, 0, 1, other), Ipv4Addr::new(192, 0, 2, other).into());
                    neighbour::add(&mut socket, index, "vx0", there.into(), Mac::of(there).0).expect("a neighbour");
                    neighbour::add_forwarding(&mut socket, index, "vx0", Mac::of(there).0, at).expect("its machine");
                    neighbour::append_flood(&mut socket, index, "vx0", at).expect("one machine");
                    neighbour::append_flood(&mut socket, index, "vx0", Ipv4Addr::new(192, 0, 2, 77).into())
                        .expect("two machines");
                    let flooded = neighbour::forwarding_table(&mut socket).expect("a table");
                    assert_eq!(flooded.iter().filter(|n| n.index == index && n.mac == Some([0; 6])).count(), 2);
                    neighbour::remove_forwarding(&mut socket, index, "vx0", [0; 6], Ipv4Addr::new(192, 0, 2, 77).into())
                        .expect("one");
                    let mut cable = endpoint(own, "eth0");
                    let v4 = Ipv4Addr::new(10, 0, 1, own);
                    (cable.mac, cable.v4) = (Mac::of(v4), Some((v4, 24)));
                    cable.host_link = format!("vethc{own}");
                    let inner = network("br0", &[]);
                    let container = Sandbox::create(&folder.path().join(format!("container{own}"))).expect("a sandbox");
                    container.plug(&Home::open().expect("a socket"), &inner, &cable).expect("plugged");
                    container
                })
                .expect("root may visit")
        });
        assert!(answers(Some(&containers[0]), "10.0.1.2") && answers(Some(&containers[1]), "10.0.1.1"));
        let overlay = Sandbox::open(&folder.path().join("overlay1")).expect("pinned");
        let shown = inside(&overlay, &["link", "show", "vx0"]);
        let data = &shown[0]["linkinfo"]["info_data"];
        assert_eq!((&data["id"], &data["port"], &data["local"]), (&4097.into(), &4789.into(), &"192.0.2.1".into()));
        assert_eq!((&shown[0]["master"], &data["learning"]), (&"br0".into(), &false.into()), "{shown}");
        overlay
            .visit(|| {
                let mut socket = Socket::open(Family::Route).expect("a socket");
                let index = link::by_name(&mut socket, "vx0").expect("an answer").expect("there").index;
                let (there, at) = (Ipv4Addr::new(10, 0, 1, 2), Ipv4Addr::new(192, 0, 2, 2).into());
                neighbour::remove_forwarding(&mut socket, index, "vx0", Mac::of(there).0, at).expect("forgotten");
                neighbour::remove_forwarding(&mut socket, index, "vx0", [0; 6], at).expect("forgotten");
                neighbour::remove(&mut socket, index, "vx0", there.into()).expect("forgotten");
                assert!(neighbour::remove(&mut socket, index, "vx0", there.into()).is_err_and(|e| e.is(2)));
            })
            .expect("root may visit");
        assert!(!answers(Some(&containers[0]), "10.0.1.2"), "nobody knows the way any more");
    });
}

/// A bridge without an address, in there; its number.
fn bridge_in(place: &Sandbox) -> u32 {
    place
        .visit(|| {
            let home = Home::open().expect("a socket");
            bridge::ensure(&home, &network("br0", &[])).expect("a bridge");
            home.links().expect("a list").iter().find(|l| l.name == "br0").expect("made just now").index
        })
        .expect("root may visit")
}
