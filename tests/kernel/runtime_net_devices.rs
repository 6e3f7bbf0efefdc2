//! `linux.netDevices`: a link of the host moves in, with all that is its own, and nothing is lost when it cannot.
//!
//! Each test has a network namespace of its own for "the host", and gives away the ends of a cable in it.

use crate::bundle::{Bundle, Printed, can_run};
use serde_json::json;
use std::process::{Command, Stdio};

/// A host with two links to give, which have everything that a link can have.
const HOST: &str = "ip link set lo up
    ip link add gift0 mtu 1400 address 02:00:00:00:00:07 type veth peer name gift1
    ip addr add 169.254.169.77/32 dev gift0; ip addr add 127.0.0.33/32 scope host dev gift0
    ip addr add 10.9.0.7/24 dev gift0 valid_lft 1000 preferred_lft 1000
    ip addr add fd00::7/64 dev gift0 nodad; ip link set gift0 up";

/// On a host of its own: `before`, then the runtime with `args` (if any), then `after`.
fn on_a_host(bundle: &Bundle, before: &str, args: &[&str], after: &str) -> Printed {
    bundle.write();
    let own = bundle.command(args);
    let script = format!("{HOST}\n{before}\n\"$@\"; status=$?; {after}\nexit $status");
    let mut command = Command::new("unshare");
    command.args(["--net", "sh", "-c", &script, "sh"]).arg(own.get_program()).args(own.get_args());
    command.current_dir(bundle.path()).stdin(Stdio::null());
    Printed::of(command.output().expect("unshare is there"))
}

#[test]
fn a_device_moves_in_with_its_own_and_is_switched_on() {
    if !can_run() {
        return;
    }
    let mut bundle = Bundle::new("ip addr show dev eth0; ip link show lo");
    bundle.config["linux"]["netDevices"] = json!({"gift0": {"name": "eth0"}});
    bundle.config["linux"]["sysctl"] = json!({"net.ipv4.conf.eth0.forwarding": "1"});
    let inside = on_a_host(&bundle, "", &["run", &bundle.id.clone()], "ip link show gift0 && status=9").ok();
    for kept in ["mtu 1400", "02:00:00:00:00:07", "169.254.169.77/32", "fd00::7/64", "UP", "LOOPBACK,UP"] {
        assert!(inside.contains(kept), "{kept}: {inside}");
    }
    for left in ["127.0.0.33", "10.9.0.7"] {
        assert!(!inside.contains(left), "{left} is not for good, or not for everywhere: {inside}");
    }
}

#[test]
fn a_device_stays_where_it_was_sent_when_the_container_has_gone() {
    if !can_run() {
        return;
    }
    let mut bundle = Bundle::new("ip link show dev gift0");
    let net = bundle.path().join("net").display().to_string();
    bundle.without_namespace("network").namespace(json!({"type": "network", "path": net}));
    bundle.config["linux"]["netDevices"] = json!({"gift0": {}, "gift1": {"name": "eth%d"}});
    let before = format!("trap 'umount {net}' EXIT; : > {net}; unshare --net={net} ip link set lo up");
    let after = format!("nsenter --net={net} ip -brief link; ip -brief link | grep -v ^lo && status=9");
    let told = on_a_host(&bundle, &before, &["run", &bundle.id.clone()], &after).ok();
    assert!(told.contains("gift0@eth0") && told.contains("eth0@gift0"), "{told}");
}

#[test]
fn who_cannot_have_all_gets_none_and_the_host_keeps_them() {
    if !can_run() {
        return;
    }
    let told = |devices: serde_json::Value| {
        let mut bundle = Bundle::new("true");
        bundle.config["linux"]["netDevices"] = devices;
        let after = "ip addr show dev gift0 2>&1";
        let printed = on_a_host(&bundle, "", &["run", &bundle.id.clone()], after);
        for kept in ["gift0", "UP", "169.254.169.77/32", "127.0.0.33/32", "fd00::7/64"] {
            assert!(printed.out.contains(kept), "{kept}: {} {}", printed.out, printed.err);
        }
        assert!(!bundle.path().join("state").join(&bundle.id).exists());
        printed.fails(1)
    };
    let missing = told(json!({"gift0": {"name": "eth0"}, "nosuch": {}}));
    assert!(missing.contains("move netDevice nosuch to namespace") && missing.contains("link not found"), "{missing}");
    let taken = told(json!({"gift0": {"name": "same"}, "gift1": {"name": "same"}}));
    assert!(taken.contains("a network device with the name same exists there already"), "{taken}");
    assert!(told(json!({"gift0": {}, "lo": {"name": "lo1"}})).contains("move netDevice lo"));
}

#[test]
fn without_a_network_namespace_there_is_nowhere_to_move() {
    if !can_run() {
        return;
    }
    let mut bundle = Bundle::new("true");
    bundle.without_namespace("network");
    bundle.config["linux"]["netDevices"] = json!({"gift0": {}});
    let told = on_a_host(&bundle, "", &["run", &bundle.id.clone()], "").fails(1);
    assert!(told.contains("unable to move network devices without a NET namespace"), "{told}");
    bundle.namespace(json!({"type": "network", "path": "/proc/self/ns/net"}));
    let told = on_a_host(&bundle, "", &["run", &bundle.id.clone()], "").fails(1);
    assert!(told.contains("shares the network namespace of the host"), "{told}");
}
