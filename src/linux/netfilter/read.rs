//! # Read: what rules there are, and a bell that rings when they change
//!
//! We are rarely alone with a firewall. This room reads what others have put there, as far as our questions go: which
//! chains hang at which hook and drop by default, which rule leads where, what a map of ours holds in truth.
//!
//! ```text
//!   chains    ip filter FORWARD   hook forward, priority 0, policy drop       somebody drops what he does not know
//!   rules     ip filter DOCKER-USER  handle 17: jump MINIDOCK                 our way past him
//!   elements  inet minidock published4 { tcp . 8080 : 172.17.0.2 . 80 }       what a packet will find
//! ```
//!
//! * Rules are read for three things only: their handle (by which they are deleted), the link they ask for, their verdict.
//! * [`Bell`] is a socket that hears of every transaction of everybody (NFNLGRP_NFTABLES): who restarts his own
//!   firewall throws away what we had put in there.
//!
//! Laws: what we do not understand is passed over, never misread. *See:* libnftnl. Next room: [`crate::netfilter::conntrack`]

use super::{
    Family, NFTABLES, Table,
    set::{Answer, Data, Element, Set},
    value::{Type, Value},
};
use crate::{
    action,
    errno::CallFailed,
    netlink::{
        socket::Socket,
        wire::{Message, attribute, attributes, messages, text_of},
    },
};
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, netlink};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

const GETTABLE: u16 = 1;
const DELTABLE: u16 = 2;
const GETCHAIN: u16 = 4;
const GETRULE: u16 = 7;
const GETSETELEM: u16 = 13;
/// Behind the header of each message: family, version, number of the subsystem.
const FAMILY_HEADER: usize = 4;
/// The group that hears of changes (NFNLGRP_NFTABLES), as a bit.
const CHANGES: u32 = 1 << (7 - 1);
const META_IIFNAME: u32 = 6;
const META_OIFNAME: u32 = 7;

/// A chain as the kernel has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenChain {
    pub table: Table,
    pub name: String,
    /// The hook's number (0 prerouting, 1 input, 2 forward, 3 output, 4 postrouting) and the priority, of a base chain.
    pub hook: Option<(u32, i32)>,
    /// Whether it drops what no rule decides.
    pub drops: bool,
}

/// What we read of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenRule {
    pub chain: String,
    pub handle: u64,
    /// The link by which a packet must have come, and the one by which it must leave, if it asks for one.
    pub iifname: Option<String>,
    pub oifname: Option<String>,
    /// The chain it leads to, by jump or goto.
    pub leads_to: Option<String>,
}

/// All tables of our families.
///
/// # Errors
/// The kernel's.
#[track_caller]
pub fn tables(socket: &mut Socket) -> Result<Vec<Table>, CallFailed> {
    let bodies = socket.dump("NFT_MSG_GETTABLE", || "nft list tables".into(), request(GETTABLE, 0))?;
    Ok(bodies.iter().filter_map(|body| table_of(body)).collect())
}

/// All chains of our families.
///
/// # Errors
/// The kernel's.
#[track_caller]
pub fn chains(socket: &mut Socket) -> Result<Vec<SeenChain>, CallFailed> {
    let bodies = socket.dump("NFT_MSG_GETCHAIN", || "nft list chains".into(), request(GETCHAIN, 0))?;
    Ok(bodies.iter().filter_map(|body| chain_of(body)).collect())
}

/// All rules of a table; none when there is no such table.
///
/// # Errors
/// The kernel's.
#[track_caller]
pub fn rules(socket: &mut Socket, table: &Table) -> Result<Vec<SeenRule>, CallFailed> {
    let mut message = request(GETRULE, table.family.number());
    message.text(1, &table.name);
    let bodies = socket.dump("NFT_MSG_GETRULE", || format!("nft -a list table {table}"), message)?;
    // old kernels tell the rules of all tables, whatever was asked
    Ok(bodies.iter().filter(|body| table_of(body).as_ref() == Some(table)).filter_map(|body| rule_of(body)).collect())
}

/// The members of a set or map of ours, as the kernel has them; blocks of addresses come as their first address.
///
/// # Errors
/// ENOENT when there is no such set; the kernel's.
#[track_caller]
pub fn elements(socket: &mut Socket, table: &Table, set: &Set) -> Result<Vec<Element>, CallFailed> {
    let mut message = request(GETSETELEM, table.family.number());
    message.text(1, &table.name).text(2, set.name);
    let shown = || format!("nft list {} {table} {}", set.word(), set.name);
    let bodies = socket.dump("NFT_MSG_GETSETELEM", shown, message)?;
    let lists = bodies.iter().filter_map(|body| attribute(body.get(FAMILY_HEADER..)?, 3));
    Ok(lists.flat_map(attributes).filter_map(|(_, element)| element_of(element, set)).collect())
}

fn request(operation: u16, family: u8) -> Message {
    let mut message = Message::new(NFTABLES << 8 | operation, 0);
    message.raw(&[family, 0, 0, 0]);
    message
}

fn table_of(body: &[u8]) -> Option<Table> {
    let family = Family::of(*body.first()?)?;
    Some(Table::new(family, text_of(attribute(body.get(FAMILY_HEADER..)?, 1)?)))
}

fn be32(value: &[u8]) -> Option<u32> {
    Some(u32::from_be_bytes(value.get(..4)?.try_into().ok()?))
}

fn chain_of(body: &[u8]) -> Option<SeenChain> {
    let table = table_of(body)?;
    let body = body.get(FAMILY_HEADER..)?;
    let hook = attribute(body, 4).and_then(|hook| {
        let number = |kind| be32(attribute(hook, kind)?);
        Some((number(1)?, number(2)? as i32))
    });
    let drops = hook.is_some() && attribute(body, 5).and_then(be32) == Some(0);
    Some(SeenChain { table, name: text_of(attribute(body, 3)?), hook, drops })
}

fn rule_of(body: &[u8]) -> Option<SeenRule> {
    let body = body.get(FAMILY_HEADER..)?;
    let handle = u64::from_be_bytes(attribute(body, 3)?.try_into().ok()?);
    let (mut iifname, mut oifname, mut leads_to, mut loaded) = (None, None, None, None);
    for (_, expression) in attribute(body, 4).into_iter().flat_map(attributes) {
        let name = attribute(expression, 1).map(text_of).unwrap_or_default();
        let data = attribute(expression, 2).unwrap_or_default();
        match name.as_str() {
            "meta" => loaded = attribute(data, 2).and_then(be32),
            "cmp" if attribute(data, 2).and_then(be32) == Some(0) => {
                let value = attribute(data, 3).and_then(|value| attribute(value, 1)).map(text_of);
                match loaded {
                    Some(META_IIFNAME) => iifname = value,
                    Some(META_OIFNAME) => oifname = value,
                    _ => {}
                }
            }
            "immediate" => {
                leads_to = attribute(data, 2).and_then(|d| attribute(d, 2)).and_then(|v| attribute(v, 2)).map(text_of)
            }
            _ => {}
        }
    }
    Some(SeenRule { chain: text_of(attribute(body, 2)?), handle, iifname, oifname, leads_to })
}

fn element_of(element: &[u8], set: &Set) -> Option<Element> {
    let key = fields(set.key, attribute(attribute(element, 1)?, 1)?)?;
    let data = match set.answer {
        Answer::Values(types) => Some(Data::Values(fields(types, attribute(attribute(element, 2)?, 1)?)?)),
        // where a verdict leads is not asked for by anybody
        Answer::Nothing | Answer::Verdict => None,
    };
    Some(Element { key, data })
}

/// Values that lie side by side, each at a multiple of four bytes.
fn fields(types: &[Type], mut bytes: &[u8]) -> Option<Vec<Value>> {
    let mut values = Vec::new();
    for kind in types {
        values.push(Value::read(*kind, bytes)?);
        bytes = bytes.get(kind.width().next_multiple_of(4)..).unwrap_or_default();
    }
    Some(values)
}

/// Rings when a firewall of this network namespace has changed.
#[derive(Debug)]
pub struct Bell {
    socket: OwnedFd,
}

impl Bell {
    /// Hangs one up in the network namespace of the calling thread.
    ///
    /// # Errors
    /// EPERM: without CAP_NET_ADMIN over the namespace.
    #[track_caller]
    pub fn open() -> Result<Bell, CallFailed> {
        let shown = || vec!["AF_NETLINK".into(), "SOCK_RAW|SOCK_NONBLOCK".into(), "NETLINK_NETFILTER, NFNLGRP_NFTABLES".into()];
        let socket = action::call("socket", shown, || {
            let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
            let socket = rustix::net::socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, Some(netlink::NETFILTER))?;
            rustix::net::bind(&socket, &netlink::SocketAddrNetlink::new(0, CHANGES))?;
            Ok::<_, rustix::io::Errno>(socket)
        })?;
        Ok(Bell { socket })
    }

    /// Reads what it heard since the last time, without waiting: the tables that changed, each once, and whether it was
    /// deleted. When more happened than it could hold, `None`: look at everything.
    pub fn heard(&self) -> Option<Vec<(Table, bool)>> {
        let (mut room, mut heard) = (vec![0; 64 * 1024], Vec::new());
        loop {
            match rustix::net::recv(&self.socket, &mut *room, RecvFlags::DONTWAIT) {
                Ok((length, _)) => {
                    for message in messages(room.get(..length).unwrap_or_default()) {
                        let deleted = message.kind == NFTABLES << 8 | DELTABLE;
                        heard.extend(table_of(message.body).map(|table| (table, deleted)).filter(|t| !heard.contains(t)));
                    }
                }
                Err(rustix::io::Errno::AGAIN) => return Some(heard),
                Err(rustix::io::Errno::INTR) => {}
                Err(_) => return None,
            }
        }
    }
}

impl AsFd for Bell {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netfilter::{
        command::Command,
        rule::{Field, Part, Rule},
        set::Verdict,
    };

    /// A rule as the kernel tells it: what was sent, and a handle.
    fn told(parts: Vec<Part>) -> Vec<u8> {
        let table = Table::new(Family::Ip, "filter");
        let mut messages = Command::AddRule(table, "FORWARD".into(), Rule(parts)).messages(0);
        let mut message = messages.remove(0);
        message.attr(3, &17u64.to_be_bytes());
        message.finish(1)[16..].to_vec()
    }

    #[test]
    fn of_a_rule_its_links_and_where_it_leads_are_read() {
        let link = |name: &str| Value::Ifname(name.into());
        let jump =
            told(vec![Part::Is(Field::Oifname, link("docker0")), Part::Counter, Part::Verdict(Verdict::Jump("DOCKER".into()))]);
        let rule = rule_of(&jump).expect("a rule");
        assert_eq!((rule.chain.as_str(), rule.handle), ("FORWARD", 17));
        assert_eq!((rule.iifname, rule.oifname.as_deref(), rule.leads_to.as_deref()), (None, Some("docker0"), Some("DOCKER")));
        let accept = told(vec![Part::Is(Field::Iifname, link("br-one")), Part::Verdict(Verdict::Accept)]);
        let rule = rule_of(&accept).expect("a rule");
        assert_eq!((rule.iifname.as_deref(), rule.oifname, rule.leads_to), (Some("br-one"), None, None));
        // what is asked the other way round is no such question
        let not = told(vec![Part::IsNot(Field::Oifname, link("docker0")), Part::Verdict(Verdict::Drop)]);
        assert_eq!(rule_of(&not).expect("a rule").oifname, None);
    }

    #[test]
    fn bytes_that_lie_are_passed_over() {
        let whole = told(vec![Part::Is(Field::Oifname, Value::Ifname("docker0".into())), Part::Counter, Part::Established]);
        let set = Set { name: "s", key: &[Type::Ifname, Type::Ipv4], answer: Answer::Values(&[Type::Service]), interval: true };
        for cut in 0..whole.len() {
            for wrong in [0u8, 1, 3, 7, 127, 255] {
                let mut bent = whole[..cut].to_vec();
                if let Some(byte) = bent.get_mut(cut / 2) {
                    *byte = wrong;
                }
                let _ = (table_of(&bent), chain_of(&bent), rule_of(&bent), element_of(&bent, &set));
            }
        }
    }
}
