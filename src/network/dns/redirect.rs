//! # Redirect: port 53 is not ours to take
//!
//! Programs ask 127.0.0.11 at port 53. But if we listened there, a container whose own program is a name server could not
//! start it: a listener on `0.0.0.0:53` collides with one on any address's port 53. So we listen at ports that the kernel
//! chooses, and two pairs of firewall rules inside the sandbox write the one number over the other on the way.
//!
//! ```text
//!   program ── 127.0.0.11:53 ──► output, priority 300 ── dport 53 → 40001 ──► lo ──► our socket 127.0.0.11:40001
//!   program ◄── from 127.0.0.11:53 ── lo ◄── sport 40001 → 53 ── output, priority raw ◄───────┘
//! ```
//!
//! * The questions are rewritten last and the answers first: so everything else in the sandbox, the container's own firewall and
//!   its connection tracking included, sees port 53 both ways, and rules of its own for port 53 go before ours.
//! * The rewriting is stateless. Docker translates addresses (NAT), for which the kernel keeps a record of each
//!   question for half a minute: at twenty thousand questions a second the table is full in thirteen seconds.
//! * The rules are replaced as one transaction, also after a restart of the daemon, when the ports are others.
//!
//! A container with CAP_NET_ADMIN can take the rules away (as it can with Docker's); it then has no names, and harms nobody else.
//!
//! *See:* nft(8) "PAYLOAD EXPRESSIONS" (setting a field), moby `libnetwork/resolver_unix.go`. *Next room:*
//! [`crate::dns::server`]

use minidock_linux::{
    errno::CallFailed,
    netfilter::{
        Family, Table, batch,
        command::{Chain, Command, Hook, Purpose},
        rule::{End, Field, Part, Protocol, Rule},
        value::Value,
    },
    netlink::Socket,
};
use std::net::{IpAddr, Ipv4Addr};

/// Where programs find us.
pub const ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 11);
const PORT: u16 = 53;
const TABLE: &str = "minidock_dns";
/// Behind the filters (0) and the translation (-100) of the container's own.
const LAST: i32 = 300;
/// In front of everything.
const FIRST: i32 = -300;

/// The rules that lead port 53 to these ports and back.
pub fn rules(udp: u16, tcp: u16) -> Vec<Command> {
    let table = Table::new(Family::Inet, TABLE);
    let chain = |name: &str, priority| Chain { name: name.into(), base: Some((Purpose::Filter, Hook::Output, priority)) };
    let rewrite = |chain: &str, end: End, protocol: Protocol, from: u16, to: u16| {
        let number = Value::Protocol(if protocol == Protocol::Udp { 17 } else { 6 });
        let port = if end == End::Source { Field::Sport } else { Field::Dport };
        let rule = Rule(vec![
            Part::Is(Field::Ip(end), Value::Address(IpAddr::V4(ADDRESS))),
            Part::Is(Field::L4proto, number),
            Part::Is(port, Value::Service(from)),
            Part::SetPort(protocol, end, to),
        ]);
        Command::AddRule(table.clone(), chain.into(), rule)
    };
    vec![
        // there may be one of a daemon that was killed, or none: made if missing, so that deleting cannot fail
        Command::AddTable(table.clone()),
        Command::DeleteTable(table.clone()),
        Command::AddTable(table.clone()),
        Command::AddChain(table.clone(), chain("questions", LAST)),
        Command::AddChain(table.clone(), chain("answers", FIRST)),
        rewrite("questions", End::Destination, Protocol::Udp, PORT, udp),
        rewrite("questions", End::Destination, Protocol::Tcp, PORT, tcp),
        rewrite("answers", End::Source, Protocol::Udp, udp, PORT),
        rewrite("answers", End::Source, Protocol::Tcp, tcp, PORT),
    ]
}

/// Lays the rules in the network namespace of the calling thread.
///
/// # Errors
/// EPERM without CAP_NET_ADMIN over it; a kernel without nf_tables.
pub fn lay(udp: u16, tcp: u16) -> Result<(), CallFailed> {
    let mut socket = Socket::open(minidock_linux::netlink::Family::Netfilter)?;
    let laid = batch::apply(&mut socket, &rules(udp, tcp)).map_err(|refused| refused.cause);
    // closing it waits until the kernel has cleared up behind the transaction, ten milliseconds, and a container waits for us
    let _closes_by_itself = std::thread::Builder::new().name("closes".into()).spawn(move || drop(socket));
    laid
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rules_read_as_a_person_would_write_them() {
        let text: Vec<String> = rules(40001, 40002).iter().map(Command::to_string).collect();
        assert_eq!(
            text[3..],
            [
                "add chain inet minidock_dns questions { type filter hook output priority 300; policy accept; }",
                "add chain inet minidock_dns answers { type filter hook output priority raw; policy accept; }",
                "add rule inet minidock_dns questions ip daddr 127.0.0.11 meta l4proto udp th dport 53 udp dport set 40001",
                "add rule inet minidock_dns questions ip daddr 127.0.0.11 meta l4proto tcp th dport 53 tcp dport set 40002",
                "add rule inet minidock_dns answers ip saddr 127.0.0.11 meta l4proto udp th sport 40001 udp sport set 53",
                "add rule inet minidock_dns answers ip saddr 127.0.0.11 meta l4proto tcp th sport 40002 tcp sport set 53",
            ]
        );
    }
}
