//! # Set: a question with one answer, however many members
//!
//! A rule that compares is linear: a thousand published ports would be a thousand rules, each of which every new
//! connection must pass. A set is a hash table in the kernel: the rule asks it once. A *map* also answers: with a value
//! (where does this port lead?) or with a *verdict* (which chain judges what goes to this bridge?).
//!
//! ```text
//!   map published4 { type inet_proto . inet_service : ipv4_addr . inet_service
//!                    elements = { tcp . 8080 : 172.17.0.2 . 80 } }             key → data
//!   map into       { type ifname : verdict
//!                    elements = { "minidock0" : goto published } }             key → verdict
//! ```
//!
//! * [`Set`] says what is in it, [`Element`] is one member. With `interval` a key may hold a block of addresses; the kernel
//!   then keeps the first and the last value of each field (`nft_set_pipapo`).
//!
//! Laws: an element is deleted by its key alone. *See:* nft(8), "SETS", "MAPS". Next room: [`crate::netfilter::rule`]

use super::value::{Type, Value, joined, register_bytes};
use crate::netlink::wire::Message;
use std::fmt;

const ELEM_KEY: u16 = 1;
const ELEM_DATA: u16 = 2;
const ELEM_KEY_END: u16 = 10;
pub(crate) const DATA_VALUE: u16 = 1;
pub(crate) const DATA_VERDICT: u16 = 2;
const VERDICT_CODE: u16 = 1;
const VERDICT_CHAIN: u16 = 2;

/// What becomes of a packet.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// This table has nothing against it; others are still asked.
    Accept,
    Drop,
    /// Another chain is asked; if it does not decide, the next rule here is.
    Jump(String),
    /// Another chain is asked instead of what is left here.
    Goto(String),
}

impl Verdict {
    /// NF_DROP, NF_ACCEPT, NFT_JUMP, NFT_GOTO.
    fn code(&self) -> i32 {
        match self {
            Verdict::Drop => 0,
            Verdict::Accept => 1,
            Verdict::Jump(_) => -3,
            Verdict::Goto(_) => -4,
        }
    }

    /// Writes it as an NFTA_DATA_VERDICT.
    pub(crate) fn write(&self, to: &mut Message) {
        to.nest(DATA_VERDICT, |m| {
            m.be32(VERDICT_CODE, self.code() as u32);
            if let Verdict::Jump(chain) | Verdict::Goto(chain) = self {
                m.text(VERDICT_CHAIN, chain);
            }
        });
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Verdict::Accept => f.write_str("accept"),
            Verdict::Drop => f.write_str("drop"),
            Verdict::Jump(chain) => write!(f, "jump {chain}"),
            Verdict::Goto(chain) => write!(f, "goto {chain}"),
        }
    }
}

/// What a map answers with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It does not: a plain set.
    Nothing,
    Values(&'static [Type]),
    Verdict,
}

/// A named set or map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Set {
    pub name: &'static str,
    pub key: &'static [Type],
    pub answer: Answer,
    /// Whether keys may be blocks of addresses.
    pub interval: bool,
}

impl Set {
    /// `set` or `map`.
    pub fn word(&self) -> &'static str {
        match self.answer {
            Answer::Nothing => "set",
            _ => "map",
        }
    }

    /// `inet_proto . inet_service : ipv4_addr . inet_service`.
    pub fn types(&self) -> String {
        let words = |types: &[Type]| types.iter().map(|t| t.word()).collect::<Vec<_>>().join(" . ");
        match self.answer {
            Answer::Nothing => words(self.key),
            Answer::Values(data) => format!("{} : {}", words(self.key), words(data)),
            Answer::Verdict => format!("{} : verdict", words(self.key)),
        }
    }
}

/// One member of a set or map.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Element {
    pub key: Vec<Value>,
    pub data: Option<Data>,
}

/// What a map answers for one key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Data {
    Values(Vec<Value>),
    Verdict(Verdict),
}

impl Element {
    /// A member of a set.
    pub fn of(key: Vec<Value>) -> Element {
        Element { key, data: None }
    }

    /// A key of a map and its values.
    pub fn to_values(key: Vec<Value>, values: Vec<Value>) -> Element {
        Element { key, data: Some(Data::Values(values)) }
    }

    /// A key of a map and its verdict.
    pub fn to_verdict(key: Vec<Value>, verdict: Verdict) -> Element {
        Element { key, data: Some(Data::Verdict(verdict)) }
    }

    /// The key's bytes, as in a register.
    pub fn key_bytes(&self) -> Vec<u8> {
        register_bytes(&self.key, Value::bytes)
    }

    /// Writes its attributes; for a deletion the key is all that counts.
    pub(crate) fn write(&self, to: &mut Message, interval: bool, key_only: bool) {
        let value = |bytes: Vec<u8>| {
            move |m: &mut Message| {
                m.attr(DATA_VALUE, &bytes);
            }
        };
        to.nest(ELEM_KEY, value(self.key_bytes()));
        if interval {
            to.nest(ELEM_KEY_END, value(register_bytes(&self.key, Value::last_bytes)));
        }
        match &self.data {
            Some(_) if key_only => {}
            Some(Data::Values(values)) => {
                to.nest(ELEM_DATA, value(register_bytes(values, Value::bytes)));
            }
            Some(Data::Verdict(verdict)) => {
                to.nest(ELEM_DATA, |m| verdict.write(m));
            }
            None => {}
        }
    }

    /// The key alone, as nft writes it in a deletion.
    pub fn key_text(&self) -> String {
        joined(&self.key)
    }
}

impl fmt::Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&joined(&self.key))?;
        match &self.data {
            None => Ok(()),
            Some(Data::Values(values)) => write!(f, " : {}", joined(values)),
            Some(Data::Verdict(verdict)) => write!(f, " : {verdict}"),
        }
    }
}
