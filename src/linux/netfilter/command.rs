//! # Command: what is to be added or deleted
//!
//! A firewall is changed by commands: add a table, a chain, a set, a rule, elements; delete them again. Each is one message
//! to the kernel and one line of nft.
//!
//! ```text
//!   AddElements(published4, …)   add element inet minidock published4 { tcp . 8080 : 172.17.0.2 . 80 }
//!                                NFT_MSG_NEWSETELEM  table, set, elements [ key, data ]
//! ```
//!
//! * Adding what is there already changes nothing; deleting what is not there is refused, with the whole transaction
//!   ([`crate::netfilter::batch`] says what to do about it).
//! * A base [`Chain`] has a hook: the place on the packet's way where it is asked, and a priority among those asked there.
//! * An attribute's length has sixteen bits, so a long list of elements becomes several messages ([`ELEMENTS`] each).
//!
//! See: nft(8). Next room: [`crate::netfilter::batch`]

use super::{
    NFTABLES, Table,
    rule::{Part, Rule},
    set::{Answer, Element, Set, Verdict},
};
use crate::netlink::wire::{APPEND, CREATE, Message};
use std::fmt;

/// How many elements one message may carry: the longest has about 130 bytes, an attribute at most 65,535.
pub(crate) const ELEMENTS: usize = 400;

const NEWTABLE: u16 = 0;
const DELTABLE: u16 = 2;
const NEWCHAIN: u16 = 3;
const DELCHAIN: u16 = 5;
const NEWRULE: u16 = 6;
const DELRULE: u16 = 8;
pub(crate) const NEWSET: u16 = 9;
pub(crate) const NEWSETELEM: u16 = 12;
const DELSETELEM: u16 = 14;

const LIST_ELEM: u16 = 1;
const SET_INTERVAL: u32 = 0x4;
const SET_MAP: u32 = 0x8;
const SET_CONCAT: u32 = 0x80;
/// The "type" of a map's data when it is a verdict (NFT_DATA_VERDICT).
const DATA_IS_VERDICT: u32 = 0xffff_ff00;
/// nft's notes on a set: what order the bytes of a key have (NFTNL_UDATA_SET_KEYBYTEORDER).
const UDATA_KEY_BYTEORDER: u8 = 0;
const HOST_ENDIAN: u32 = 1;
/// How many bits nft shifts a type's number to make room for the next field's.
const TYPE_BITS: u32 = 6;

/// What a base chain is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    Filter,
    Nat,
}

/// A place on a packet's way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    /// Just arrived; nobody knows yet where it goes.
    Prerouting,
    /// For this machine itself.
    Input,
    /// On its way through this machine.
    Forward,
    /// Made by this machine.
    Output,
    /// About to leave.
    Postrouting,
}

impl Hook {
    pub fn word(self) -> &'static str {
        match self {
            Hook::Prerouting => "prerouting",
            Hook::Input => "input",
            Hook::Forward => "forward",
            Hook::Output => "output",
            Hook::Postrouting => "postrouting",
        }
    }

    fn number(self) -> u32 {
        match self {
            Hook::Prerouting => 0,
            Hook::Input => 1,
            Hook::Forward => 2,
            Hook::Output => 3,
            Hook::Postrouting => 4,
        }
    }
}

/// A chain; without a `base` it is only asked by others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    pub name: String,
    pub base: Option<(Purpose, Hook, i32)>,
}

impl Chain {
    /// `type filter hook forward priority filter; policy accept;` as nft prints it.
    pub fn hook_line(&self) -> Option<String> {
        let (purpose, hook, priority) = self.base?;
        let purpose = match purpose {
            Purpose::Filter => "filter",
            Purpose::Nat => "nat",
        };
        let priority = match (hook, priority) {
            (_, -300) => "raw".to_string(),
            (_, 0) => "filter".to_string(),
            (Hook::Prerouting, -100) => "dstnat".to_string(),
            (Hook::Postrouting, 100) => "srcnat".to_string(),
            (_, other) => other.to_string(),
        };
        Some(format!("type {purpose} hook {} priority {priority}; policy accept;", hook.word()))
    }
}

/// One change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    AddTable(Table),
    DeleteTable(Table),
    AddChain(Table, Chain),
    DeleteChain(Table, String),
    /// Deletes all rules of a chain.
    FlushChain(Table, String),
    AddSet(Table, Set),
    /// At the end of the chain.
    AddRule(Table, String, Rule),
    /// At the beginning of the chain.
    InsertRule(Table, String, Rule),
    DeleteRule(Table, String, u64),
    AddElements(Table, Set, Vec<Element>),
    DeleteElements(Table, Set, Vec<Element>),
}

impl Command {
    /// Its messages (one, but for a long list of elements and a rule with a map of its own); `number` is its own in the transaction.
    pub(crate) fn messages(&self, number: u32) -> Vec<Message> {
        match self {
            Command::AddTable(table) => vec![named(NEWTABLE, CREATE, table, |m| {
                m.be32(2, 0);
            })],
            Command::DeleteTable(table) => vec![named(DELTABLE, 0, table, |_| ())],
            Command::AddChain(table, chain) => vec![add_chain(table, chain)],
            Command::DeleteChain(table, chain) => vec![named(DELCHAIN, 0, table, |m| {
                m.text(3, chain);
            })],
            Command::FlushChain(table, chain) => vec![named(DELRULE, 0, table, |m| {
                m.text(2, chain);
            })],
            Command::AddSet(table, set) => vec![add_set(table, set)],
            Command::AddRule(table, chain, rule) => add_rule(APPEND, table, chain, rule, number),
            Command::InsertRule(table, chain, rule) => add_rule(0, table, chain, rule, number),
            Command::DeleteRule(table, chain, handle) => {
                vec![named(DELRULE, 0, table, |m| {
                    m.text(2, chain).attr(3, &handle.to_be_bytes());
                })]
            }
            Command::AddElements(table, set, all) => {
                all.chunks(ELEMENTS).map(|some| elements(true, table, set, some)).collect()
            }
            Command::DeleteElements(table, set, all) => {
                all.chunks(ELEMENTS).map(|some| elements(false, table, set, some)).collect()
            }
        }
    }
}

/// A message about something in a table: the family's header, the table's name (attribute 1 of all of them), the rest.
pub(crate) fn named(operation: u16, flags: u16, table: &Table, rest: impl FnOnce(&mut Message)) -> Message {
    let mut message = Message::new(NFTABLES << 8 | operation, flags);
    message.raw(&[table.family.number(), 0, 0, 0]).text(1, &table.name);
    rest(&mut message);
    message
}

fn add_chain(table: &Table, chain: &Chain) -> Message {
    named(NEWCHAIN, CREATE, table, |m| {
        m.text(3, &chain.name);
        if let Some((purpose, hook, priority)) = chain.base {
            let accept = 1;
            m.nest(4, |m| {
                m.be32(1, hook.number()).be32(2, priority as u32);
            })
            .be32(5, accept);
            m.text(7, if purpose == Purpose::Nat { "nat" } else { "filter" });
        }
    })
}

fn add_rule(place: u16, table: &Table, chain: &str, rule: &Rule, number: u32) -> Vec<Message> {
    // named sets have the number 1
    let map = number + 2;
    let spread = rule.0.iter().find_map(|part| match part {
        Part::Spread(_, spread) => Some(spread),
        _ => None,
    });
    let mut messages = spread.map_or(Vec::new(), |spread| spread.messages(table, map));
    messages.push(named(NEWRULE, CREATE | place, table, |m| {
        m.text(2, chain).nest(4, |m| {
            for instruction in rule.0.iter().flat_map(|part| part.program(map)) {
                m.nest(LIST_ELEM, |m| instruction.write(m));
            }
        });
    }));
    messages
}

fn add_set(table: &Table, set: &Set) -> Message {
    named(NEWSET, CREATE, table, |m| {
        let number = |types: &[super::value::Type]| types.iter().fold(0, |sum, t| sum << TYPE_BITS | t.number());
        let width = |types: &[super::value::Type]| match types {
            [alone] => alone.width() as u32,
            several => several.iter().map(|t| t.width().next_multiple_of(4) as u32).sum(),
        };
        let mut flags = if set.interval { SET_INTERVAL | SET_CONCAT } else { 0 };
        if set.answer != Answer::Nothing {
            flags |= SET_MAP;
        }
        m.text(2, set.name).be32(3, flags).be32(4, number(set.key)).be32(5, width(set.key));
        match set.answer {
            Answer::Nothing => {}
            Answer::Values(data) => {
                m.be32(6, number(data)).be32(7, width(data));
            }
            Answer::Verdict => {
                m.be32(6, DATA_IS_VERDICT);
            }
        }
        if set.interval {
            // the kernel keeps a range for each field, so it must know where one ends
            m.nest(9, |m| {
                m.nest(2, |m| {
                    for kind in set.key {
                        m.nest(LIST_ELEM, |m| {
                            m.be32(1, kind.width() as u32);
                        });
                    }
                });
            });
        }
        // a number by which others of the same transaction could call it; the kernel insists on one
        m.be32(10, 1);
        if set.key == [super::value::Type::Ifname] {
            // a note for whoever lists the set: the key is a text, not a number of the network's order
            m.attr(13, &[&[UDATA_KEY_BYTEORDER, 4][..], &HOST_ENDIAN.to_ne_bytes()].concat());
        }
    })
}

fn elements(add: bool, table: &Table, set: &Set, some: &[Element]) -> Message {
    let (operation, flags) = if add { (NEWSETELEM, CREATE) } else { (DELSETELEM, 0) };
    named(operation, flags, table, |m| {
        m.text(2, set.name).nest(3, |m| {
            for element in some {
                m.nest(LIST_ELEM, |m| element.write(m, set.interval, !add));
            }
        });
    })
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Command::AddTable(table) => write!(f, "add table {table}"),
            Command::DeleteTable(table) => write!(f, "delete table {table}"),
            Command::AddChain(table, chain) => match chain.hook_line() {
                Some(line) => write!(f, "add chain {table} {} {{ {line} }}", chain.name),
                None => write!(f, "add chain {table} {}", chain.name),
            },
            Command::DeleteChain(table, chain) => write!(f, "delete chain {table} {chain}"),
            Command::FlushChain(table, chain) => write!(f, "flush chain {table} {chain}"),
            Command::AddSet(table, set) => {
                let flags = if set.interval { " flags interval;" } else { "" };
                write!(f, "add {} {table} {} {{ type {};{flags} }}", set.word(), set.name, set.types())
            }
            Command::AddRule(table, chain, rule) => write!(f, "add rule {table} {chain} {rule}"),
            Command::InsertRule(table, chain, rule) => write!(f, "insert rule {table} {chain} {rule}"),
            Command::DeleteRule(table, chain, handle) => write!(f, "delete rule {table} {chain} handle {handle}"),
            Command::AddElements(table, set, some) => {
                let list: Vec<String> = some.iter().map(Element::to_string).collect();
                write!(f, "add element {table} {} {{ {} }}", set.name, list.join(", "))
            }
            Command::DeleteElements(table, set, some) => {
                let list: Vec<String> = some.iter().map(Element::key_text).collect();
                write!(f, "delete element {table} {} {{ {} }}", set.name, list.join(", "))
            }
        }
    }
}

/// The verdict that lets another chain judge.
pub fn jump(chain: &str) -> Verdict {
    Verdict::Jump(chain.to_string())
}
