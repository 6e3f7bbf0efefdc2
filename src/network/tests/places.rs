//! # Where a daemon may live, and what it changes there
//!
//! User namespaces, mount namespaces, namespaces made beforehand, the host's knobs.

mod rig;

use minidock_network::{
    bridge,
    home::Home,
    sandbox::{self, Sandbox},
    settings::{Settings, Turned},
    shelf::Shelf,
};
use rig::{BLOCK, answers, at_home, endpoint, network, run};
use std::{net::Ipv6Addr, path::Path, process::Command};

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
            let named = format!("nsenter --net={} ip link set lo up", sandbox.place().display());
            assert!(actions.iter().any(|a| a.args.contains(&named)), "{actions:#?}");
            for call in ["unshare", "netlink", "move_mount"] {
                assert!(actions.iter().any(|a| a.call == call), "{call}: {actions:#?}");
            }
            sandbox.plug(home, &net, &cable).expect("plugged");
            assert!(answers(Some(&sandbox), "172.30.0.1") && answers(Some(&sandbox), "127.0.0.1"));
        }
    });
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
