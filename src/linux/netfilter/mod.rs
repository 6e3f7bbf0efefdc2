//! # Netfilter: the kernel's firewall, asked by netlink
//!
//! `nft` is a compiler: it reads a language that people can write, makes register programs of it and sends them to the
//! kernel over a netlink socket. Starting that compiler costs seven milliseconds; the kernel's work on one change costs
//! ten microseconds. So we send the programs ourselves, and keep the language: everything here is a value that can say
//! itself in both.
//!
//! ```text
//!                              ┌── Display ──►  add element inet minidock published4 { tcp . 8080 : 172.17.0.2 . 80 }
//!   command::Command ──────────┤                        (the record: `minidock explain`, `explain --sh`)
//!   (table, chain, set, rule,  │
//!    element; add or delete)   └── message() ─►  NFT_MSG_NEWSETELEM, attributes in attributes
//!                                                 │
//!   batch::apply(&mut Socket, &[Command]) ────────┴──►  BATCH_BEGIN … BATCH_END: all of them or none
//! ```
//!
//! * [`value`]: addresses, ports, names of links: as nft prints them and as a register holds them.
//! * [`set`]: sets and maps, whose keys may be several values in a row; verdicts.
//! * [`rule`]: matches and statements, each with its text and its register program; [`spread`]: the one that deals connections out.
//! * [`command`]: what is to be added or deleted; [`batch`]: a list of them as one transaction.
//! * [`mod@read`]: what is there: tables, chains, rules with their handles, elements; and a bell that rings when it changes.
//! * [`conntrack`]: the table of connections, for one purpose: to forget some of them.
//!
//! We write the attributes ourselves, with the same two hundred lines of [`crate::netlink::wire`] that links and addresses
//! are made with. The crate that has nf_tables messages (netlink-packet-netfilter) is some months old, has five of the twelve
//! expressions we need, and would leave the other seven to raw attributes anyway: then better all of one kind, and no second
//! set of types between nft's words and the kernel's.
//!
//! Laws: what is sent and what is said come from one value, and a test asks `nft list` whether they agree; nothing here decides what
//! a packet may do.
//!
//! *In the real world* nft also optimises, checks types across rules and knows a hundred expressions; here are those that a
//! container's network needs. *See:* nft(8), `include/uapi/linux/netfilter/nf_tables.h`, libnftnl's `examples`.
//! Next room: [`value`]

pub mod batch;
pub mod command;
pub mod conntrack;
pub mod read;
pub mod rule;
pub mod set;
pub mod spread;
pub mod value;

/// The subsystem of nf_tables in a message's kind (NFNL_SUBSYS_NFTABLES).
pub(crate) const NFTABLES: u16 = 10;
/// That of the connection table (NFNL_SUBSYS_CTNETLINK).
pub(crate) const CTNETLINK: u16 = 1;

/// Which packets a table sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// IPv4 only.
    Ip,
    /// IPv6 only.
    Ip6,
    /// Both.
    Inet,
    /// Frames that a bridge passes on.
    Bridge,
}

impl Family {
    /// The word in nft.
    pub fn word(self) -> &'static str {
        match self {
            Family::Ip => "ip",
            Family::Ip6 => "ip6",
            Family::Inet => "inet",
            Family::Bridge => "bridge",
        }
    }

    /// NFPROTO_*.
    pub fn number(self) -> u8 {
        match self {
            Family::Inet => 1,
            Family::Bridge => 7,
            Family::Ip => 2,
            Family::Ip6 => 10,
        }
    }

    /// The family with this number, if it is one of ours.
    pub fn of(number: u8) -> Option<Family> {
        [Family::Ip, Family::Ip6, Family::Inet].into_iter().find(|f| f.number() == number)
    }
}

/// A table by family and name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Table {
    pub family: Family,
    pub name: String,
}

impl Table {
    pub fn new(family: Family, name: impl Into<String>) -> Table {
        Table { family, name: name.into() }
    }
}

impl std::fmt::Display for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.family.word(), self.name)
    }
}
