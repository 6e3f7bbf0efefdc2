//! # Wiring: what is asked of the kernel's network, in words
//!
//! Links, addresses, routes and firewall rules are not made by system calls of their own, but by messages to the kernel over
//! a netlink socket. They were written down as the commands that a person would type; here each command gets its sentence
//! and its reason, as the system calls have theirs in [`crate::sentence`] and [`crate::reason`].
//!
//! ```text
//!   ip link add veth4f6d0c1 … master br-5f2c… up type veth peer name eth0 … netns …
//!        Lays a cable: its near end, veth4f6d0c1, is plugged into the bridge br-5f2c…; its far end, eth0, lies in the sandbox.
//!        why   a network namespace begins with no way out …
//! ```
//!
//! Laws: what is not known is told as the command that it is. *See:* ip(8), nft(8), rtnetlink(7).
//! *Next room:* [`crate::network`]

use minidock_linux::action::Action;

/// What a message to the kernel's network does.
pub fn what(action: &Action) -> String {
    match action.call.as_str() {
        "nft" => rules(&action.args),
        _ => link(action.args.get(1).map_or("", String::as_str)),
    }
}

/// The command as a person would type it; of the place where the sandbox is pinned, only that there is one.
pub fn shown(action: &Action) -> String {
    match action.call.as_str() {
        "nft" => format!("nft {}", action.args.join("; ")),
        _ => {
            let command = action.args.get(1).map_or("", String::as_str);
            let pin = command.split(' ').find_map(|word| word.strip_prefix("--net="));
            pin.map_or(command.to_string(), |pin| command.replace(pin, "…"))
        }
    }
}

/// A command of ip(8).
fn link(command: &str) -> String {
    let (place, command) = match command.strip_prefix("nsenter ").and_then(|rest| rest.split_once(" ip ")) {
        Some((_, rest)) => (" in the sandbox", format!("ip {rest}")),
        None => ("", command.to_string()),
    };
    let command = command.replacen("ip -6 ", "ip ", 1);
    let words: Vec<&str> = command.split(' ').collect();
    let after = |key: &str| words.iter().position(|word| *word == key).and_then(|at| words.get(at + 1)).copied().unwrap_or("?");
    match words[..] {
        ["ip", "link", "add", name, ..] if words.contains(&"veth") => {
            let mac = if words.contains(&"address") { format!(" ({})", after("address")) } else { String::new() };
            let plugged = match words.contains(&"master") {
                true => format!(" is plugged into the bridge {}", after("master")),
                false => " stays here".to_string(),
            };
            let far = after("name");
            format!("Lays a cable: its near end, {name},{plugged}; its far end, {far}{mac}, lies in the sandbox.")
        }
        ["ip", "link", "add", "link", parent, "name", name, ..] if words.contains(&"macvlan") => {
            format!(
                "Puts a further machine on the cable of {parent}: {name} ({}), which lies in the sandbox.",
                after("address")
            )
        }
        ["ip", "link", "add", name, ..] if words.contains(&"bridge") => format!("Makes a switch: the bridge {name}."),
        ["ip", "link", "set", name, "up"] => format!("Switches {name}{place} on."),
        ["ip", "link", "set", name, "netns", _, ref renamed @ ..] => {
            let named = renamed.last().map_or(String::new(), |new| format!(", where it is called {new}"));
            format!("Sends {name}{place} away, into another network namespace{named}.")
        }
        ["ip", "link", "set", name, "type", "bridge_slave", ref knobs @ ..] => {
            format!("Sets up the bridge's port of {name}: {}.", knobs.join(" "))
        }
        ["ip", "link", "delete", name] => format!("Takes {name} away."),
        ["ip", "addr", "add", address, ..] => format!("Gives {}{place} the address {address}.", after("dev")),
        ["ip", "route", "replace", "default", "via", gateway, ..] => {
            format!("What is for none of its neighbours goes to the gateway {gateway}.")
        }
        ["ip", "route", "replace", block, ..] => format!("Says which way {block} is."),
        ["ip", "addr" | "link" | "route"] | ["ip", "-details", "link", ..] => "Asks what is there.".into(),
        _ => format!("Asks of the kernel: {command}."),
    }
}

/// Lines of nft, all of one transaction.
fn rules(lines: &[String]) -> String {
    if lines.iter().any(|line| line.contains(" minidock_dns ")) {
        let port = |protocol: &str| {
            let set = format!("{protocol} dport set ");
            lines.iter().find_map(|line| line.split_once(&set)).map_or("?", |(_, port)| port).to_string()
        };
        return format!(
            "Leads what is sent to port 53 of 127.0.0.11 to the name server's own ports (udp {}, tcp {}), and its answers back.",
            port("udp"),
            port("tcp")
        );
    }
    let published: Vec<String> = lines.iter().filter_map(|line| published(line)).flatten().collect();
    match (published.is_empty(), lines) {
        (false, _) => format!("Publishes: {}.", published.join("; ")),
        (true, [one]) => format!("Changes the firewall: {one}."),
        (true, [first, ..]) => format!("Changes the firewall, {} commands in one transaction: {first}, ….", lines.len()),
        (true, []) => "Changes nothing in the firewall.".into(),
    }
}

/// `add element … published4 { tcp . 8080 : 172.17.0.2 . 80 }` → `tcp port 8080 of the host leads to 172.17.0.2 port 80`.
fn published(line: &str) -> Option<Vec<String>> {
    let rest = line.strip_prefix("add element inet minidock ")?;
    let (set, elements) = rest.split_once(" { ")?;
    if !set.starts_with("published") && !set.starts_with("bound") {
        return None;
    }
    let told = |element: &str| {
        let (door, target) = element.split_once(" : ")?;
        let (address, port) = target.split_once(" . ")?;
        let door = match door.split(" . ").collect::<Vec<_>>()[..] {
            [protocol, port] => format!("{protocol} port {port} of the host"),
            [host, protocol, port] => format!("{protocol} port {port} of {host}"),
            _ => return None,
        };
        Some(format!("{door} leads to {address} port {port}"))
    };
    elements.trim_end_matches(" }").split(", ").map(told).collect()
}

/// Why it is done at all; empty where the sentence says it all.
pub fn why(action: &Action) -> &'static str {
    let joined = action.args.join(" ");
    let has = |text: &str| joined.contains(text);
    match action.call.as_str() {
        "netlink" if has(" type veth ") => {
            "a network namespace begins with no way out; a cable with an end on either side is the door, and the bridge is the switch that other containers' cables are plugged into"
        }
        "netlink" if has(" type macvlan ") => {
            "the network is a segment outside of this machine, and the container is to be one of its machines: with a MAC that its switch and its router see"
        }
        "netlink" if has(" link set ") && has(" netns ") => {
            "a link can be in one network namespace only: what the container is to have whole, the host has no more"
        }
        "netlink" if has(" link set lo up") => "programs that talk to themselves over 127.0.0.1 would find no way",
        "netlink" if has(" addr add ") => {
            "the link's MAC was made from this address, so whoever remembers one of the two is never wrong about the other"
        }
        "netlink" if has("route replace default") => {
            "a host reaches its neighbours by itself and gives everything else to a router: here the bridge's own address on the machine outside"
        }
        "netlink" if has("isolated on") => "frames between two isolated ports of a bridge are dropped",
        "nft" if has("minidock_dns") => {
            "the daemon's name server listens in the sandbox, but not on port 53, which the container may want for a server of its own"
        }
        "nft" if has("published") || has("bound") => {
            "the container's address means nothing outside of this machine: a packet that knocks at the host's port gets another destination (DNAT) before it is decided where it goes"
        }
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use minidock_linux::action::Actor;

    fn told(call: &str, args: &[&str]) -> String {
        let args = args.iter().map(|arg| (*arg).to_string()).collect();
        let (call, room) = (call.into(), "src/network/sandbox.rs:1".into());
        what(&Action { at_us: 0, actor: Actor::Daemon, call, args, result: 0, errno: None, took_us: 1, room })
    }

    #[test]
    fn commands_have_sentences() {
        for (command, sentence) in [
            (
                "ip link add veth1 group 19828 master br0 up type veth peer name eth0 address 02:42:ac:11:00:02 netns /x",
                "Lays a cable: its near end, veth1, is plugged into the bridge br0; its far end, eth0 (02:42:ac:11:00:02), lies in the sandbox.",
            ),
            (
                "ip link add link eth0 name eth0 address 02:42:c0:a8:0a:02 netns /x type macvlan mode bridge",
                "Puts a further machine on the cable of eth0: eth0 (02:42:c0:a8:0a:02), which lies in the sandbox.",
            ),
            ("nsenter --net=/x ip link set lo up", "Switches lo in the sandbox on."),
            (
                "ip link set ens4 netns /proc/7/ns/net name eth0",
                "Sends ens4 away, into another network namespace, where it is called eth0.",
            ),
            ("ip link set ens4 netns /x", "Sends ens4 away, into another network namespace."),
            ("nsenter --net=/x ip addr add 172.17.0.2/16 dev eth0", "Gives eth0 in the sandbox the address 172.17.0.2/16."),
            (
                "nsenter --net=/x ip route replace default via 172.17.0.1",
                "What is for none of its neighbours goes to the gateway 172.17.0.1.",
            ),
            (
                "nsenter --net=/x ip -6 route replace default via fd00::1",
                "What is for none of its neighbours goes to the gateway fd00::1.",
            ),
            ("ip neigh replace 10.0.0.1", "Asks of the kernel: ip neigh replace 10.0.0.1."),
        ] {
            assert_eq!(told("netlink", &["RTM_NEWLINK", command]), sentence);
        }
        assert_eq!(
            told("nft", &["add element inet minidock published4 { tcp . 8080 : 172.17.0.2 . 80 }"]),
            "Publishes: tcp port 8080 of the host leads to 172.17.0.2 port 80."
        );
        assert_eq!(
            told("nft", &["add element inet minidock bound6 { ::1 . udp . 53 : fd00::2 . 53 }"]),
            "Publishes: udp port 53 of ::1 leads to fd00::2 port 53."
        );
    }
}
