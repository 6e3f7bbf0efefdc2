//! # Network: cables, addresses and rules, as commands of ip(8) and nft(8)
//!
//! What the daemon asked of the kernel's network it wrote down as the commands that a person would type: `ip link add …`,
//! `nsenter --net=… ip addr add …`, lines of nft. So this chapter of the script is mostly the record itself, with another
//! sandbox in the place of the container's, and what must be there before: a bridge, and the table.
//!
//! ```text
//!   recorded                                                  script
//!   ip link add veth1 … netns /run/…/netns/4f6d   ─────────►  ip link add veth1 … netns "$net"
//!   nsenter --net=/run/…/netns/4f6d ip addr …     ─────────►  nsenter --net="$net" ip addr …
//!   nft add element inet minidock published4 …    ─────────►  nft 'add element …'        and in `put_back`: delete element
//!   (asks what is there; failed; the name server)             left out
//! ```
//!
//! * A bridge or a table that is there is used; one that is missing is made, and taken away at the end.
//! * The name server is a part of the daemon: by hand there is none, and resolv.conf is written without it.
//!
//! Laws: who runs the script while the container runs would have two of every address: the script looks for the cable and
//! stops. *See:* ip-link(8), ip-netns(8), nft(8). *Next room:* [`crate::mounts`]

use crate::script::{Script, word};
use minidock_linux::action::{Action, Actor};
use serde_json::Value;
use std::collections::BTreeSet;

/// What a container's network stands on, which was there before the container.
#[derive(Clone, Debug, Default)]
pub struct Ground {
    pub bridges: Vec<Bridge>,
    /// The firewall's table without published ports, as nft lists it.
    pub table: String,
}

/// A bridge that the container's cables are plugged into.
#[derive(Clone, Debug)]
pub struct Bridge {
    pub link: String,
    /// With their prefixes: `172.18.0.1/16`.
    pub addresses: Vec<String>,
    pub mac: Option<String>,
    /// 0: the kernel's default.
    pub mtu: u32,
}

/// The table that published ports are in.
const TABLE: &str = "inet minidock";
/// Where the name server is found, and what resolv.conf says of it.
const NAME_SERVER: &str = "nameserver 127.0.0.11";

/// What the record calls the sandbox of this container, quoted as a shell needs it: where it is pinned, and before that some
/// other word, for it may have been made in advance. None: the daemon made no sandbox.
fn pins(actions: &[Action]) -> BTreeSet<&str> {
    commands(actions).filter_map(|command| inside(command).map(|(pin, _)| pin)).collect()
}

/// A recorded command for the sandbox of the script.
fn for_ours(command: &str, pins: &BTreeSet<&str>) -> String {
    pins.iter().fold(command.to_string(), |command, pin| {
        let command = command.replace(&format!("--net={pin} "), "--net=\"$net\" ");
        let command = command.replace(&format!(" netns {pin} "), " netns \"$net\" ");
        match command.strip_suffix(&format!(" netns {pin}")) {
            Some(rest) => format!("{rest} netns \"$net\""),
            None => command,
        }
    })
}

/// `nsenter --net=PIN ip …` → (PIN, `ip …`).
fn inside(command: &str) -> Option<(&str, &str)> {
    let rest = command.strip_prefix("nsenter --net=")?;
    let end = match rest.strip_prefix('\'') {
        // a quote within is written '\'' : the word ends at a quote with a space behind it
        Some(quoted) => quoted.find("' ").map(|end| end + 2)?,
        None => rest.find(' ')?,
    };
    Some((&rest[..end], rest[end..].trim_start()))
}

/// The commands of ip(8) that changed something, in order.
fn commands(actions: &[Action]) -> impl Iterator<Item = &str> {
    let changes = |kind: &str| !kind.starts_with("RTM_GET");
    done(actions, "netlink").filter(move |action| action.args.first().is_some_and(|kind| changes(kind))).filter_map(command)
}

fn command(action: &Action) -> Option<&str> {
    action.args.get(1).map(String::as_str)
}

/// The daemon's calls of this name that did not fail.
fn done<'a>(actions: &'a [Action], call: &'static str) -> impl Iterator<Item = &'a Action> {
    actions.iter().filter(move |a| a.call == call && a.actor == Actor::Daemon && a.errno.is_none())
}

/// The host's side: sandbox, bridges, cables, rules. Whether there is a sandbox: `$net` then.
pub fn outside(script: &mut Script, name: &str, ground: &Ground, actions: &[Action]) -> bool {
    let pins = pins(actions);
    if pins.is_empty() {
        return false;
    }
    script.chapter("network: a sandbox, bridges, cables, rules");
    let cables: Vec<&str> = commands(actions).filter_map(cable).collect();
    for cable in &cables {
        let taken = word(&format!("container {name} runs: its addresses are taken"));
        script.run(&format!("if ip link show {cable} > /dev/null 2>&1; then echo {taken} >&2; exit 1; fi"));
    }
    script.run("bridges= table= forward=");
    put_back(script, &cables, actions);
    script.note("A network namespace that hangs on a file, so that it is there before anything runs in it.");
    script.run(": > \"$work/net\"; unshare --net=\"$work/net\" true; net=$work/net");
    settings(script, actions);
    for bridge in &ground.bridges {
        raise(script, bridge);
    }
    for command in commands(actions) {
        script.run(&for_ours(command, &pins));
    }
    rules(script, ground, actions);
    true
}

/// The near end of a cable: `ip link add veth1 … peer name eth0 …`.
fn cable(command: &str) -> Option<&str> {
    let rest = command.strip_prefix("ip link add ").filter(|rest| rest.contains(" type veth "))?;
    rest.split(' ').next()
}

/// The function that undoes it all; it must be there before anything is made.
fn put_back(script: &mut Script, cables: &[&str], actions: &[Action]) {
    script.run("put_back() {");
    script.run("    [ -z \"$net\" ] || umount \"$net\"");
    for cable in cables {
        script.run(&format!("    ip link delete {cable} 2> /dev/null"));
    }
    for line in elements(actions) {
        script.run(&format!("    [ -n \"$table\" ] || nft {} 2> /dev/null", word(&deletion(line))));
    }
    script.run(&format!("    [ -z \"$table\" ] || nft delete table {TABLE}"));
    script.run("    for one in $bridges; do ip link delete \"$one\"; done");
    script.run("    [ -z \"$forward\" ] || echo \"$forward\" > /proc/sys/net/ipv4/ip_forward\n}");
}

/// What was set in the sandbox; what was set at home belongs to a bridge or to the host.
fn settings(script: &mut Script, actions: &[Action]) {
    let of_default = |path: &str| path.contains("/conf/default/");
    for action in done(actions, "write") {
        let arg = |n: usize| action.args.get(n).map_or("", |arg| arg.trim_matches('"'));
        if arg(0).starts_with("/proc/sys/net/") && of_default(arg(0)) {
            let line = format!("echo {} > {}", word(arg(1)), word(arg(0)));
            script.run(&format!("nsenter --net=\"$net\" sh -c {}", word(&line)));
        }
    }
}

fn raise(script: &mut Script, bridge: &Bridge) {
    let link = word(&bridge.link);
    let mac = bridge.mac.as_ref().map(|mac| format!(" address {}", word(mac))).unwrap_or_default();
    let mtu = if bridge.mtu == 0 { String::new() } else { format!(" mtu {}", bridge.mtu) };
    script.note("The network's switch, with the gateway's address on it; usually it is there.");
    script.run(&format!("if ! ip link show {link} > /dev/null 2>&1; then"));
    script.run(&format!("    ip link add {link}{mac}{mtu} up type bridge; bridges=\"$bridges {link}\""));
    for address in &bridge.addresses {
        script.run(&format!("    ip addr add {} dev {link}", word(address)));
    }
    script.run(&format!("    echo 1 > /proc/sys/net/ipv4/conf/{link}/route_localnet\nfi"));
}

fn rules(script: &mut Script, ground: &Ground, actions: &[Action]) {
    if ground.table.is_empty() {
        return;
    }
    let mut mark = String::from("END OF TABLE");
    while ground.table.lines().any(|line| line == mark) {
        mark.push('.');
    }
    script.note("The firewall: which network may talk to which, and who leaves with the host's address.");
    script.run(&format!("if ! nft list table {TABLE} > /dev/null 2>&1; then"));
    script.run(&format!("    nft -f - <<'{mark}'\n{}{mark}", ended(&ground.table)));
    script.run("    table=made; forward=$(cat /proc/sys/net/ipv4/ip_forward); echo 1 > /proc/sys/net/ipv4/ip_forward\nfi");
    let mut first = true;
    for line in elements(actions) {
        if first {
            script.note("Published ports: what arrives there gets another destination.");
        }
        first = false;
        script.run(&format!("nft {}", word(line)));
    }
}

fn ended(text: &str) -> String {
    if text.ends_with('\n') { text.to_string() } else { format!("{text}\n") }
}

/// The lines of nft that published this container's ports.
fn elements(actions: &[Action]) -> impl Iterator<Item = &str> {
    let lines = done(actions, "nft").flat_map(|action| &action.args).map(String::as_str);
    lines.filter(|line| line.strip_prefix("add element ").is_some_and(|rest| rest.starts_with(TABLE)))
}

/// `add element … { tcp . 8080 : 172.17.0.2 . 80 }` → `delete element … { tcp . 8080 }`.
fn deletion(line: &str) -> String {
    let line = line.replacen("add", "delete", 1);
    let Some((head, elements)) = line.split_once(" { ") else { return line };
    let keys = elements.trim_end_matches(" }").split(", ").map(|element| element.split(" : ").next().unwrap_or_default());
    format!("{head} {{ {} }}", keys.collect::<Vec<_>>().join(", "))
}

/// A copy of resolv.conf without the server that is not there; inside, before anything is mounted.
pub fn without_name_server(script: &mut Script, source: &str) {
    script.note("The name server of a sandbox is a part of the daemon; by hand there is none.");
    script.run(&format!("grep -vx {} {} > \"$work/resolv.conf\" || true", word(NAME_SERVER), word(source)));
}

/// A copy of hosts in which the container has its addresses: after its end the daemon's file has them no more.
pub fn with_addresses(script: &mut Script, source: &str, config: &Value, actions: &[Action]) {
    let hostname = config["hostname"].as_str().unwrap_or_default();
    let domain = config["linux"]["sysctl"]["kernel.domainname"].as_str().map(|name| format!(".{name}")).unwrap_or_default();
    let mut names = format!("{hostname}{domain}");
    if let Some((short, _)) = names.clone().split_once('.') {
        names = format!("{names} {short}");
    }
    script.run(&format!("cp {} \"$work/hosts\"", word(source)));
    for address in commands(actions).filter_map(address) {
        let line = word(&format!("{address}\t{names}"));
        script.run(&format!("grep -qx {line} \"$work/hosts\" || printf '%s\\n' {line} >> \"$work/hosts\""));
    }
}

/// `nsenter --net=PIN ip addr add 172.17.0.2/16 … dev eth0` → 172.17.0.2
fn address(command: &str) -> Option<&str> {
    inside(command)?.1.strip_prefix("ip addr add ")?.split('/').next()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn action(call: &str, args: &[&str]) -> Action {
        let args = args.iter().map(|arg| (*arg).to_string()).collect();
        let room = "src/network/sandbox.rs:1".into();
        Action { at_us: 0, actor: Actor::Daemon, call: call.into(), args, result: 0, errno: None, took_us: 1, room }
    }

    #[test]
    fn the_record_becomes_a_script_for_another_sandbox() {
        let mut refused = action("netlink", &["RTM_NEWLINK", "ip link add br-gone up type bridge"]);
        refused.errno = Some(17);
        let actions = [
            action("netlink", &["RTM_SETLINK", "nsenter --net=SANDBOX ip link set lo up"]),
            action("netlink", &["RTM_GETLINK", "ip -details link show minidock0"]),
            refused,
            action(
                "netlink",
                &["RTM_NEWLINK", "ip link add veth1 master br0 up type veth peer name eth0 netns '/a b/netns/4f'"],
            ),
            action("write", &["\"/proc/sys/net/ipv6/conf/default/disable_ipv6\"", "\"1\""]),
            action("write", &["\"/proc/sys/net/ipv4/conf/br0/route_localnet\"", "\"1\""]),
            action("netlink", &["RTM_NEWADDR", "nsenter --net='/a b/netns/4f' ip addr add 172.17.0.2/16 dev eth0"]),
            action(
                "nft",
                &["add element inet minidock published4 { tcp . 8080 : 172.17.0.2 . 80, udp . 53 : 172.17.0.2 . 53 }"],
            ),
            action("nft", &["add table inet minidock_dns"]),
        ];
        assert_eq!(pins(&actions), ["'/a b/netns/4f'", "SANDBOX"].into());
        let bridge = Bridge { link: "br0".into(), addresses: vec!["172.17.0.1/16".into()], mac: None, mtu: 0 };
        let ground = Ground { bridges: vec![bridge], table: "table inet minidock {\n}\n".into() };
        let mut script = Script::default();
        assert!(outside(&mut script, "web", &ground, &actions));
        let text = script.text();
        for want in [
            "if ip link show veth1 > /dev/null 2>&1; then echo 'container web runs: its addresses are taken' >&2; exit 1; fi",
            "nft 'delete element inet minidock published4 { tcp . 8080, udp . 53 }'",
            "\nnsenter --net=\"$net\" ip link set lo up\n",
            "\nip link add veth1 master br0 up type veth peer name eth0 netns \"$net\"\n",
            "\nnsenter --net=\"$net\" sh -c 'echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6'\n",
            "    ip link add br0 up type bridge; bridges=\"$bridges br0\"\n    ip addr add 172.17.0.1/16 dev br0\n",
            "\nnft 'add element inet minidock published4 { tcp . 8080 : 172.17.0.2 . 80, udp . 53 : 172.17.0.2 . 53 }'\n",
        ] {
            assert!(text.contains(want), "{want} in {text}");
        }
        for unwanted in ["br-gone", "-details", "minidock_dns", "a b/netns", "SANDBOX"] {
            assert!(!text.contains(unwanted), "{unwanted} in {text}");
        }
        assert!(!outside(&mut Script::default(), "web", &ground, &actions[1..3]));
    }

    #[test]
    fn six_has_colons_of_its_own() {
        let line = "add element inet minidock bound6 { ::1 . tcp . 80 : fd00::2 . 80 }";
        assert_eq!(deletion(line), "delete element inet minidock bound6 { ::1 . tcp . 80 }");
    }
}
