//! # Rule: a line of nft, and the register program that it is
//!
//! The kernel's firewall is a small machine: sixteen four-byte registers, a dozen instructions. A match loads something
//! into registers and compares it; if the comparison fails, the rest of the rule is not executed. A statement does something.
//!
//! ```text
//!   iifname != "lo" ip daddr 127.0.0.0/8 drop
//!   ─────┬───────── ─────────┬────────── ──┬─
//!        │                   │             └ immediate  verdict = drop
//!        │                   └ meta nfproto → r8 · cmp r8 == ipv4 · payload 1 byte at network+16 → r8 · cmp r8 == 127
//!        └ meta iifname → r8 · cmp r8 != "lo"
//!
//!   dnat ip to meta l4proto . th dport map @published4
//!        meta l4proto → r8 · payload 2 bytes at transport+2 → r9 · lookup r8.. in published4 → r8.. · nat dnat addr r8, port r9
//! ```
//!
//! * [`Field`] is what can be loaded, [`Part`] a match or a statement; [`Part::program`] are its instructions, `Display` its text.
//! * In a table of family inet a look at an IPv4 header must first make sure that there is one (`meta nfproto`); nft adds that by
//!   itself and does not print it, and so do we.
//!
//! Laws: a key's fields lie in registers as they lie in a set's key: each at a multiple of four bytes.
//! See: nft(8); `net/netfilter/nft_{meta,payload,cmp,lookup,nat,fib,ct}.c`. Next room: [`crate::netfilter::command`]

use super::{
    Family,
    set::{DATA_VALUE, Verdict},
    spread::Spread,
    value::{Type, Value},
};
use crate::netlink::wire::Message;
use std::fmt;

/// The first of the four-byte registers (NFT_REG32_00); 0 is the verdict's.
pub(crate) const R: u32 = 8;
const VERDICT: u32 = 0;
const EXPR_NAME: u16 = 1;
const EXPR_DATA: u16 = 2;
/// `ct state` is a set of bits; these two mean: belongs to a connection that was let in before.
const ESTABLISHED_RELATED: u32 = 0x6;
/// `ct status`: its destination was translated (IPS_DST_NAT).
const DST_NAT: u32 = 0x20;
/// `fib daddr type`: an address of this machine (RTN_LOCAL).
const LOCAL: u32 = 2;

/// Source or destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Source,
    Destination,
}

/// Something of a packet that can be loaded into a register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// The link by which it came; empty for what this machine itself sends.
    Iifname,
    /// The link by which it leaves.
    Oifname,
    Ip(End),
    Ip6(End),
    /// The protocol above IP.
    L4proto,
    /// Its source port, of whatever protocol has ports.
    Sport,
    /// Its destination port, likewise.
    Dport,
}

impl Field {
    fn word(self) -> &'static str {
        match self {
            Field::Iifname => "iifname",
            Field::Oifname => "oifname",
            Field::Ip(End::Source) => "ip saddr",
            Field::Ip(End::Destination) => "ip daddr",
            Field::Ip6(End::Source) => "ip6 saddr",
            Field::Ip6(End::Destination) => "ip6 daddr",
            Field::L4proto => "meta l4proto",
            Field::Sport => "th sport",
            Field::Dport => "th dport",
        }
    }

    fn kind(self) -> Type {
        match self {
            Field::Iifname | Field::Oifname => Type::Ifname,
            Field::Ip(_) => Type::Ipv4,
            Field::Ip6(_) => Type::Ipv6,
            Field::L4proto => Type::Protocol,
            Field::Sport | Field::Dport => Type::Service,
        }
    }

    /// The family whose header it is in, if it is in one.
    fn family(self) -> Option<Family> {
        match self {
            Field::Ip(_) => Some(Family::Ip),
            Field::Ip6(_) => Some(Family::Ip6),
            _ => None,
        }
    }

    /// How many registers it takes.
    fn registers(self) -> u32 {
        self.kind().width().div_ceil(4) as u32
    }

    /// Loads its first `width` bytes.
    fn load(self, register: u32, width: usize) -> Instruction {
        match self {
            Field::Iifname => meta(6, register),
            Field::Oifname => meta(7, register),
            Field::L4proto => meta(16, register),
            Field::Ip(End::Source) => payload(1, 12, width, register),
            Field::Ip(End::Destination) => payload(1, 16, width, register),
            Field::Ip6(End::Source) => payload(1, 8, width, register),
            Field::Ip6(End::Destination) => payload(1, 24, width, register),
            Field::Sport => payload(2, 0, width, register),
            Field::Dport => payload(2, 2, width, register),
        }
    }
}

/// A match or a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// `iifname "lo"`, `ip daddr 127.0.0.0/8` (a prefix of whole bytes).
    Is(Field, Value),
    /// `iifname != "lo"`.
    IsNot(Field, Value),
    /// `iifname @internal`.
    In(&'static [Field], &'static str),
    /// `oifname != @bridges`.
    NotIn(&'static [Field], &'static str),
    /// `meta nfproto ipv4`.
    V4,
    /// `ct state established,related`.
    Established,
    /// `ct status dnat`.
    Translated,
    /// `fib daddr type local`.
    ToThisMachine,
    /// `oifname vmap @into`.
    Vmap(&'static [Field], &'static str),
    /// `dnat ip to meta l4proto . th dport map @published4`.
    Dnat(Family, &'static [Field], &'static str),
    /// `dnat ip to numgen inc mod 2 map { 0 : 10.0.1.5, 1 : 10.0.1.6 }`.
    Spread(Family, Spread),
    /// `tcp flags != syn / syn,ack`: belongs to a connection that began earlier.
    MidStream,
    Masquerade,
    /// `reject`: tells the sender that nobody is there (ICMP).
    Reject,
    /// `reject with tcp reset`.
    Reset,
    /// `udp dport set 40001`: writes another port into the packet, and mends its checksum; no connection is remembered.
    SetPort(Protocol, End, u16),
    Counter,
    Verdict(Verdict),
}

/// A protocol whose ports can be rewritten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    Tcp,
    Udp,
}

impl Protocol {
    fn word(self) -> &'static str {
        match self {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
        }
    }

    /// Where in its header the checksum stands.
    fn checksum(self) -> u32 {
        match self {
            Protocol::Tcp => 16,
            Protocol::Udp => 6,
        }
    }
}

/// An expression of nf_tables: its name and what writes its attributes.
pub(crate) struct Instruction(pub(crate) &'static str, pub(crate) Box<dyn Fn(&mut Message)>);

impl Instruction {
    /// Writes it as an NFTA_EXPR.
    pub(crate) fn write(&self, to: &mut Message) {
        to.text(EXPR_NAME, self.0).nest(EXPR_DATA, &self.1);
    }
}

impl Part {
    /// Its instructions; `map` is the number of the map that belongs to it alone, if it has one.
    pub(crate) fn program(&self, map: u32) -> Vec<Instruction> {
        match self {
            Part::Is(field, value) => compare(*field, value, 0),
            Part::IsNot(field, value) => compare(*field, value, 1),
            Part::In(key, set) => with_key(key, lookup(set, None, false)),
            Part::NotIn(key, set) => with_key(key, lookup(set, None, true)),
            Part::V4 => family_is(Family::Ip).into(),
            Part::Established => bits(0, ESTABLISHED_RELATED),
            Part::Translated => bits(2, DST_NAT),
            Part::ToThisMachine => {
                let fib = Instruction(
                    "fib",
                    Box::new(|m| {
                        m.be32(1, R).be32(2, 3).be32(3, 2);
                    }),
                );
                vec![fib, cmp(0, LOCAL.to_ne_bytes().to_vec())]
            }
            Part::Vmap(key, map) => with_key(key, lookup(map, Some(VERDICT), false)),
            Part::Dnat(family, key, map) => {
                let mut program = with_key(key, lookup(map, Some(R), false));
                program.push(nat(*family, true));
                program
            }
            Part::Spread(family, spread) => spread.program(*family, map),
            Part::MidStream => mid_stream(),
            Part::Reject => vec![reject(2, 1)],
            Part::Reset => vec![reject(1, 0)],
            Part::Masquerade => vec![Instruction("masq", Box::new(|_| ()))],
            Part::SetPort(protocol, end, port) => set_port(*protocol, *end, *port),
            Part::Counter => {
                vec![Instruction(
                    "counter",
                    Box::new(|m| {
                        m.attr(1, &[0; 8]).attr(2, &[0; 8]);
                    }),
                )]
            }
            Part::Verdict(verdict) => {
                let verdict = verdict.clone();
                let write = move |m: &mut Message| {
                    m.be32(1, VERDICT).nest(2, |m| verdict.write(m));
                };
                vec![Instruction("immediate", Box::new(write))]
            }
        }
    }
}

/// `meta load KEY => reg`.
fn meta(key: u32, register: u32) -> Instruction {
    Instruction(
        "meta",
        Box::new(move |m| {
            m.be32(1, register).be32(2, key);
        }),
    )
}

/// `payload load WIDTHb @ BASE header + OFFSET => reg`; base 1 is the network's header, 2 the transport's.
fn payload(base: u32, offset: u32, width: usize, register: u32) -> Instruction {
    let width = width as u32;
    Instruction(
        "payload",
        Box::new(move |m| {
            m.be32(1, register).be32(2, base).be32(3, offset).be32(4, width);
        }),
    )
}

/// `cmp eq reg …` (operation 0) or `cmp neq reg …` (1).
fn cmp(operation: u32, bytes: Vec<u8>) -> Instruction {
    let write = move |m: &mut Message| {
        m.be32(1, R).be32(2, operation).nest(3, |m| {
            m.attr(DATA_VALUE, &bytes);
        });
    };
    Instruction("cmp", Box::new(write))
}

/// `immediate reg PORT`, `payload write reg => 2b @ transport header`.
fn set_port(protocol: Protocol, end: End, port: u16) -> Vec<Instruction> {
    let immediate = move |m: &mut Message| {
        m.be32(1, R).nest(2, |m| {
            m.attr(DATA_VALUE, &port.to_be_bytes());
        });
    };
    let offset = if end == End::Source { 0 } else { 2 };
    let (transport, width, internet_checksum) = (2, 2, 1);
    let write = move |m: &mut Message| {
        m.be32(2, transport).be32(3, offset).be32(4, width).be32(5, R);
        m.be32(6, internet_checksum).be32(7, protocol.checksum());
    };
    vec![Instruction("immediate", Box::new(immediate)), Instruction("payload", Box::new(write))]
}

/// Makes sure that the packet has this family's header.
fn family_is(family: Family) -> [Instruction; 2] {
    [meta(15, R), cmp(0, vec![family.number()])]
}

fn compare(field: Field, value: &Value, operation: u32) -> Vec<Instruction> {
    let mut bytes = value.bytes();
    if let Value::Net(_, prefix) = value {
        bytes.truncate((*prefix / 8) as usize);
    }
    let mut program: Vec<Instruction> = field.family().into_iter().flat_map(family_is).collect();
    program.push(field.load(R, bytes.len()));
    program.push(cmp(operation, bytes));
    program
}

/// Loads the key's fields side by side, then does what is to be done with them.
fn with_key(key: &[Field], then: Instruction) -> Vec<Instruction> {
    let mut program: Vec<Instruction> = key.iter().find_map(|f| f.family()).into_iter().flat_map(family_is).collect();
    let mut register = R;
    for field in key {
        program.push(field.load(register, field.kind().width()));
        register += field.registers();
    }
    program.push(then);
    program
}

fn lookup(set: &'static str, into: Option<u32>, inverted: bool) -> Instruction {
    let write = move |m: &mut Message| {
        m.text(1, set).be32(2, R);
        if let Some(register) = into {
            m.be32(3, register);
        }
        if inverted {
            m.be32(5, 1);
        }
    };
    Instruction("lookup", Box::new(write))
}

/// `ct load KEY`, and at least one of these bits is set.
fn bits(key: u32, mask: u32) -> Vec<Instruction> {
    let ct = Instruction(
        "ct",
        Box::new(move |m| {
            m.be32(1, R).be32(2, key);
        }),
    );
    let bitwise = move |m: &mut Message| {
        let value = |bytes: u32| {
            move |m: &mut Message| {
                m.attr(DATA_VALUE, &bytes.to_ne_bytes());
            }
        };
        m.be32(1, R).be32(2, R).be32(3, 4).nest(4, value(mask)).nest(5, value(0));
    };
    vec![ct, Instruction("bitwise", Box::new(bitwise)), cmp(1, vec![0; 4])]
}

/// The address and, behind it, the port, to which a connection is led; or the address alone.
pub(crate) fn nat(family: Family, with_port: bool) -> Instruction {
    let port = R + if family == Family::Ip { 1 } else { 4 };
    let number = family.number() as u32;
    Instruction(
        "nat",
        Box::new(move |m| {
            m.be32(1, 1).be32(2, number).be32(3, R);
            if with_port {
                m.be32(5, port);
            }
        }),
    )
}

/// `reject type TYPE code CODE`: 1 is a TCP reset, 2 ICMP of whatever family fits (code 1: port unreachable).
fn reject(kind: u32, code: u8) -> Instruction {
    Instruction(
        "reject",
        Box::new(move |m| {
            m.be32(1, kind).u8(2, code);
        }),
    )
}

/// TCP, and of the flags SYN and ACK not SYN alone.
fn mid_stream() -> Vec<Instruction> {
    const TCP: u8 = 6;
    const SYN: u8 = 0x02;
    const ACK: u8 = 0x10;
    let mask = |m: &mut Message| {
        m.be32(1, R).be32(2, R).be32(3, 1);
        m.nest(4, |m| _ = m.attr(DATA_VALUE, &[SYN | ACK])).nest(5, |m| _ = m.attr(DATA_VALUE, &[0]));
    };
    let flags = payload(2, 13, 1, R);
    vec![meta(16, R), cmp(0, vec![TCP]), flags, Instruction("bitwise", Box::new(mask)), cmp(1, vec![SYN])]
}

fn words(key: &[Field]) -> String {
    key.iter().map(|f| f.word()).collect::<Vec<_>>().join(" . ")
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Part::Is(field, value) => write!(f, "{} {value}", field.word()),
            Part::IsNot(field, value) => write!(f, "{} != {value}", field.word()),
            Part::In(key, set) => write!(f, "{} @{set}", words(key)),
            Part::NotIn(key, set) => write!(f, "{} != @{set}", words(key)),
            Part::V4 => f.write_str("meta nfproto ipv4"),
            Part::Established => f.write_str("ct state established,related"),
            Part::Translated => f.write_str("ct status dnat"),
            Part::ToThisMachine => f.write_str("fib daddr type local"),
            Part::Vmap(key, map) => write!(f, "{} vmap @{map}", words(key)),
            Part::Dnat(family, key, map) => write!(f, "dnat {} to {} map @{map}", family.word(), words(key)),
            Part::Spread(family, spread) => write!(f, "dnat {} to {spread}", family.word()),
            Part::MidStream => f.write_str("tcp flags != syn / syn,ack"),
            Part::Masquerade => f.write_str("masquerade"),
            Part::Reject => f.write_str("reject"),
            Part::Reset => f.write_str("reject with tcp reset"),
            Part::SetPort(protocol, end, port) => {
                let end = if *end == End::Source { "sport" } else { "dport" };
                write!(f, "{} {end} set {port}", protocol.word())
            }
            Part::Counter => f.write_str("counter"),
            Part::Verdict(verdict) => write!(f, "{verdict}"),
        }
    }
}

/// A rule: matches, then statements.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule(pub Vec<Part>);

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts: Vec<String> = self.0.iter().map(Part::to_string).collect();
        f.write_str(&parts.join(" "))
    }
}
