//! # Spread: one address for many
//!
//! A service has one address and ten containers behind it. Each new connection goes to the next of them: a counter (`numgen inc`)
//! gives its number, a map of its own (nft calls it anonymous: it belongs to this one rule and goes with it) the address.
//!
//! ```text
//!   dnat ip to numgen inc mod 3 map { 0 : 10.0.1.5, 1 : 10.0.1.6, 2 : 10.0.1.7 }
//!        numgen → r8 · lookup r8 in the map → r8.. · nat dnat addr r8 (, port r9)
//! ```
//!
//! * The kernel gets the map first, under a number that holds within the transaction ([`Spread::messages`]), then the rule, which calls it
//!   by that number.
//! * A single place needs neither map nor counter: `dnat ip to 10.0.1.5`.
//! * The counter is the rule's own, and counts for all processors together: with two containers every second connection goes to each.
//!   It begins anew when the rule is replaced.
//!
//! Laws: the counter is a number of the machine's own order, unlike everything else that is looked up.
//! See: nft(8) "NUMGEN EXPRESSION", `net/netfilter/nft_numgen.c`. Next room: [`crate::netfilter::command`]

use super::{
    Family, Table,
    command::{ELEMENTS, NEWSET, NEWSETELEM, named},
    rule::{Instruction, R, nat},
    set::DATA_VALUE,
    value::{Value, joined, register_bytes},
};
use crate::netlink::wire::{CREATE, Message};
use std::{fmt, net::IpAddr};

/// What a set of ours without a name is called until the kernel has named it.
const NAMELESS: &str = "__map%d";
/// Belongs to one rule, never changes, answers (NFT_SET_ANONYMOUS, _CONSTANT, _MAP).
const FLAGS: u32 = 0x1 | 0x2 | 0x8;
/// nft's number for a plain number.
const INTEGER: u32 = 4;
const TYPE_BITS: u32 = 6;
/// nft's notes: the keys are numbers of the machine's order, the answers of the network's.
const NOTES: [u8; 12] = [0, 4, 1, 0, 0, 0, 1, 4, 2, 0, 0, 0];

/// The places that new connections are led to, in turn: addresses, or addresses with a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spread(pub Vec<Vec<Value>>);

impl Spread {
    /// The map, to be sent before the rule; `number` holds within the transaction.
    pub(crate) fn messages(&self, table: &Table, number: u32) -> Vec<Message> {
        let [first, _, ..] = self.0.as_slice() else { return Vec::new() };
        let data = first.iter().fold(0, |sum, value| sum << TYPE_BITS | value.kind().number());
        let set = named(NEWSET, CREATE, table, |m| {
            m.text(2, NAMELESS).be32(3, FLAGS).be32(4, INTEGER).be32(5, 4).be32(6, data);
            m.be32(7, register_bytes(first, Value::bytes).len() as u32).be32(10, number).attr(13, &NOTES);
        });
        let whole = self.0.iter().enumerate().collect::<Vec<_>>();
        let members = whole.chunks(ELEMENTS).map(|some| {
            named(NEWSETELEM, CREATE, table, |m| {
                m.text(2, NAMELESS).be32(4, number).nest(3, |m| {
                    for (index, place) in some {
                        m.nest(1, |m| {
                            m.nest(1, |m| _ = m.attr(DATA_VALUE, &(*index as u32).to_ne_bytes()));
                            m.nest(2, |m| _ = m.attr(DATA_VALUE, &register_bytes(place, Value::bytes)));
                        });
                    }
                });
            })
        });
        std::iter::once(set).chain(members).collect()
    }

    /// The rule's instructions.
    pub(crate) fn program(&self, family: Family, number: u32) -> Vec<Instruction> {
        let with_port = self.0.first().is_some_and(|place| place.len() > 1);
        if let [alone] = self.0.as_slice() {
            let mut program = Vec::new();
            let mut register = R;
            for value in alone {
                let bytes = value.bytes();
                let load = register;
                register += bytes.len().div_ceil(4) as u32;
                let write = move |m: &mut Message| {
                    m.be32(1, load).nest(2, |m| _ = m.attr(DATA_VALUE, &bytes));
                };
                program.push(Instruction("immediate", Box::new(write)));
            }
            program.push(nat(family, with_port));
            return program;
        }
        let (modulus, in_turn) = (self.0.len() as u32, 0);
        let count = move |m: &mut Message| {
            m.be32(1, R).be32(2, modulus).be32(3, in_turn);
        };
        let look = move |m: &mut Message| {
            m.text(1, NAMELESS).be32(2, R).be32(3, R).be32(4, number);
        };
        vec![Instruction("numgen", Box::new(count)), Instruction("lookup", Box::new(look)), nat(family, with_port)]
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let [alone] = self.0.as_slice() {
            return match alone.as_slice() {
                [Value::Address(IpAddr::V6(v6)), Value::Service(port)] => write!(f, "[{v6}]:{port}"),
                [address, port] => write!(f, "{address}:{port}"),
                other => f.write_str(&joined(other)),
            };
        }
        let members = self.0.iter().enumerate().map(|(index, place)| format!("{index} : {}", joined(place)));
        write!(f, "numgen inc mod {} map {{ {} }}", self.0.len(), members.collect::<Vec<_>>().join(", "))
    }
}
