//! # Ruleset: what may pass, as a value
//!
//! Which networks there are and which ports are published is all that the firewall depends on. This room makes of it
//! the whole table, as a list of commands: pure, so that it can be printed, compared and tested without a kernel.
//!
//! ```text
//!   Ruleset { bridges, published } ──commands()──►  add table, chains, sets, rules        the same for everybody
//!                                                   add elements: one per bridge and question, one per port
//!   one bridge more, one port more ──────────────►  elements only
//! ```
//!
//! * [`structure`]: chains and rules never change; [`crate::nft`] draws the way of a packet through them.
//! * [`of_bridge`] and [`of_port`]: the elements of one bridge, of one published port.
//! * A port that is published on `0.0.0.0` is kept by its number alone (`published4`), one that is bound to an address by
//!   address and number (`bound4`), which is asked first.
//!
//! Laws: no rule names a bridge or a port; so a packet's cost does not depend on how many there are.
//! Next room: [`crate::nft::listing`]

use crate::model::{Bridge, Published};
use minidock_base::{Error, Result};
use minidock_linux::netfilter::{
    Family, Table,
    command::{Chain, Command, Hook, Purpose},
    rule::{End, Field, Part, Rule},
    set::{Answer, Element, Set, Verdict},
    value::{Type, Value},
};
use std::net::{IpAddr, Ipv6Addr};

/// All networks of the bridge driver and all published ports.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ruleset {
    pub bridges: Vec<Bridge>,
    pub published: Vec<Published>,
}

/// Our one table.
pub fn table() -> Table {
    Table::new(Family::Inet, "minidock")
}

/// The links of our bridges.
pub const BRIDGES: Set = Set { name: "bridges", key: &[Type::Ifname], answer: Answer::Nothing, interval: false };
/// Those without a way out (`--internal`).
pub const INTERNAL: Set = Set { name: "internal", ..BRIDGES };
/// Bridges of another engine on this machine, into which ours may not lead.
pub const FOREIGN: Set = Set { name: "foreign", ..BRIDGES };
/// What leaves its network with the host's address: link and block.
pub const MASQUERADE4: Set =
    Set { name: "masquerade4", key: &[Type::Ifname, Type::Ipv4], answer: Answer::Nothing, interval: true };
pub const MASQUERADE6: Set = Set { name: "masquerade6", key: &[Type::Ifname, Type::Ipv6], ..MASQUERADE4 };
/// What belongs behind which bridge: link and block.
pub const OWN4: Set = Set { name: "own4", ..MASQUERADE4 };
pub const OWN6: Set = Set { name: "own6", ..MASQUERADE6 };
/// From a bridge into the same one.
pub const WITHIN: Set = Set { name: "within", key: &[Type::Ifname, Type::Ifname], answer: Answer::Verdict, interval: false };
/// From elsewhere into a bridge.
pub const INTO: Set = Set { name: "into", key: &[Type::Ifname], answer: Answer::Verdict, interval: false };
/// Published on one address.
pub const BOUND4: Set = Set {
    name: "bound4",
    key: &[Type::Ipv4, Type::Protocol, Type::Service],
    answer: Answer::Values(&[Type::Ipv4, Type::Service]),
    interval: false,
};
pub const BOUND6: Set = Set {
    name: "bound6",
    key: &[Type::Ipv6, Type::Protocol, Type::Service],
    answer: Answer::Values(&[Type::Ipv6, Type::Service]),
    interval: false,
};
/// Published on all addresses.
pub const PUBLISHED4: Set = Set { name: "published4", key: &[Type::Protocol, Type::Service], ..BOUND4 };
pub const PUBLISHED6: Set = Set { name: "published6", key: &[Type::Protocol, Type::Service], ..BOUND6 };

/// In the order in which they are made, and printed.
pub const SETS: [Set; 13] =
    [BRIDGES, INTERNAL, FOREIGN, OWN4, OWN6, MASQUERADE4, MASQUERADE6, WITHIN, INTO, BOUND4, PUBLISHED4, BOUND6, PUBLISHED6];

/// The chain that judges what comes into a bridge from elsewhere.
const PUBLISHED_ONLY: &str = "published_only";
/// The chain that translates destinations.
const TRANSLATE: &str = "translate";

impl Ruleset {
    /// The whole table, made anew in one transaction whatever was there before.
    ///
    /// # Errors
    /// As [`of_port`].
    pub fn commands(&self, foreign: &[String]) -> Result<Vec<Command>> {
        // add, delete, add: the deletion alone would be refused when there is no table
        let mut commands = vec![Command::AddTable(table()), Command::DeleteTable(table())];
        commands.extend(self.fresh(foreign)?);
        Ok(commands)
    }

    /// The whole table where there is none.
    ///
    /// # Errors
    /// As [`of_port`].
    pub fn fresh(&self, foreign: &[String]) -> Result<Vec<Command>> {
        let mut members: Vec<(Set, Element)> = self.bridges.iter().flat_map(of_bridge).collect();
        for port in &self.published {
            members.push(of_port(port)?);
        }
        members.extend(foreign.iter().map(|link| (FOREIGN, Element::of(vec![name(link)]))));
        let mut commands = structure();
        commands.extend(additions(members));
        Ok(commands)
    }
}

/// Elements, gathered by their set, as additions.
pub fn additions(members: Vec<(Set, Element)>) -> Vec<Command> {
    gathered(members).map(|(set, elements)| Command::AddElements(table(), set, elements)).collect()
}

/// Elements as deletions, each a command of its own: so that one that is gone already does not hide the others.
pub fn deletions(members: Vec<(Set, Element)>) -> Vec<Command> {
    members.into_iter().map(|(set, element)| Command::DeleteElements(table(), set, vec![element])).collect()
}

fn gathered(members: Vec<(Set, Element)>) -> impl Iterator<Item = (Set, Vec<Element>)> {
    SETS.into_iter().filter_map(move |set| {
        let elements: Vec<Element> = members.iter().filter(|(its, _)| *its == set).map(|(_, e)| e.clone()).collect();
        (!elements.is_empty()).then_some((set, elements))
    })
}

/// What the table's sets know of one bridge.
pub fn of_bridge(bridge: &Bridge) -> Vec<(Set, Element)> {
    let link = || name(&bridge.link);
    let judged = || Verdict::Goto(PUBLISHED_ONLY.into());
    let (within, into) = match bridge {
        Bridge { internal: true, icc: true, .. } => (Verdict::Accept, Verdict::Drop),
        Bridge { internal: true, .. } => (Verdict::Drop, Verdict::Drop),
        Bridge { icc: true, .. } => (Verdict::Accept, judged()),
        _ => (judged(), judged()),
    };
    let mut members = vec![
        (BRIDGES, Element::of(vec![link()])),
        (WITHIN, Element::to_verdict(vec![link(), link()], within)),
        (INTO, Element::to_verdict(vec![link()], into)),
    ];
    if bridge.internal {
        members.push((INTERNAL, Element::of(vec![link()])));
        return members;
    }
    for subnet in bridge.subnets.iter().map(|s| s.subnet) {
        let (own, masquerade) = if subnet.is_v4() { (OWN4, MASQUERADE4) } else { (OWN6, MASQUERADE6) };
        let block = || Element::of(vec![link(), Value::Net(subnet.address(), subnet.prefix())]);
        members.push((own, block()));
        if bridge.masquerade {
            members.push((masquerade, block()));
        }
    }
    members
}

/// What the table's maps know of one published port.
///
/// # Errors
/// [`minidock_base::Kind::InvalidParameter`] when the address outside is of another family than the one inside (the kernel
/// translates no IPv6 into IPv4), or is `::1` (it routes no answer back to that one).
pub fn of_port(port: &Published) -> Result<(Set, Element)> {
    let ((host, outside), (target, inside)) = (port.host, port.target);
    let (bound, published) = match (host, target) {
        (IpAddr::V4(_), IpAddr::V4(_)) => (BOUND4, PUBLISHED4),
        (IpAddr::V6(_), IpAddr::V6(_)) => (BOUND6, PUBLISHED6),
        _ => {
            return Err(Error::invalid(format!("cannot lead {host} to {target}: they are of different families"))
                .hint("publish on an address of the family that the container has"));
        }
    };
    if host == IpAddr::V6(Ipv6Addr::LOCALHOST) {
        return Err(Error::invalid(
            "cannot publish a port on ::1: the kernel routes no answer back to the IPv6 loopback address",
        )
        .hint("publish on 127.0.0.1, or on another IPv6 address of this host"));
    }
    let door = [Value::Protocol(port.protocol.number()), Value::Service(outside)];
    let to = vec![Value::Address(target), Value::Service(inside)];
    Ok(match host.is_unspecified() {
        true => (published, Element::to_values(door.to_vec(), to)),
        false => (bound, Element::to_values([&[Value::Address(host)], &door[..]].concat(), to)),
    })
}

fn name(link: &str) -> Value {
    Value::Ifname(link.to_string())
}

/// Table, chains, sets and rules: the same for everybody.
pub fn structure() -> Vec<Command> {
    let mut commands = vec![Command::AddTable(table())];
    let chains = chains();
    for (chain, _) in &chains {
        commands.push(Command::AddChain(table(), chain.clone()));
    }
    commands.extend(SETS.map(|set| Command::AddSet(table(), set)));
    for (chain, rules) in chains {
        for rule in rules {
            commands.push(Command::AddRule(table(), chain.name.clone(), Rule(rule)));
        }
    }
    commands
}

const SOURCE4: Field = Field::Ip(End::Source);
const SOURCE6: Field = Field::Ip6(End::Source);
const TO4: Field = Field::Ip(End::Destination);
const TO6: Field = Field::Ip6(End::Destination);

fn chains() -> Vec<(Chain, Vec<Vec<Part>>)> {
    use Field::{Dport, Iifname, L4proto, Oifname};
    use Part::{Dnat, Established, In, Is, IsNot, Masquerade, NotIn, ToThisMachine, Translated, Verdict as Then, Vmap};
    let base = |name: &str, purpose, hook, priority| Chain { name: name.into(), base: Some((purpose, hook, priority)) };
    let plain = |name: &str| Chain { name: name.into(), base: None };
    let loopback4 = Value::Net(IpAddr::from([127, 0, 0, 0]), 8);
    let loopback6 = Value::Address(Ipv6Addr::LOCALHOST.into());
    let to = |chain: &str| Then(Verdict::Jump(chain.into()));
    vec![
        (plain(PUBLISHED_ONLY), vec![vec![Translated, Then(Verdict::Accept)], vec![Then(Verdict::Drop)]]),
        (
            plain(TRANSLATE),
            vec![
                vec![Dnat(Family::Ip, &[TO4, L4proto, Dport], BOUND4.name)],
                vec![Dnat(Family::Ip, &[L4proto, Dport], PUBLISHED4.name)],
                vec![Dnat(Family::Ip6, &[TO6, L4proto, Dport], BOUND6.name)],
                vec![Dnat(Family::Ip6, &[L4proto, Dport], PUBLISHED6.name)],
            ],
        ),
        (
            base("guard", Purpose::Filter, Hook::Prerouting, -300),
            vec![vec![IsNot(Iifname, Value::Ifname("lo".into())), Is(TO4, loopback4.clone()), Then(Verdict::Drop)]],
        ),
        (base("prerouting", Purpose::Nat, Hook::Prerouting, -100), vec![vec![ToThisMachine, to(TRANSLATE)]]),
        (
            base("output", Purpose::Nat, Hook::Output, -100),
            vec![vec![Is(TO6, loopback6), Then(Verdict::Accept)], vec![ToThisMachine, to(TRANSLATE)]],
        ),
        (
            base("forward", Purpose::Filter, Hook::Forward, 0),
            vec![
                vec![Established, Then(Verdict::Accept)],
                vec![Vmap(&[Iifname, Oifname], WITHIN.name)],
                vec![In(&[Iifname], INTERNAL.name), Then(Verdict::Drop)],
                vec![In(&[Iifname], BRIDGES.name), In(&[Oifname], FOREIGN.name), Then(Verdict::Goto(PUBLISHED_ONLY.into()))],
                vec![Vmap(&[Oifname], INTO.name)],
            ],
        ),
        (
            base("postrouting", Purpose::Nat, Hook::Postrouting, 100),
            vec![
                vec![In(&[Iifname], BRIDGES.name), In(&[Oifname], BRIDGES.name), Translated, Masquerade],
                vec![In(&[Oifname, SOURCE4], OWN4.name), Translated, Masquerade],
                vec![In(&[Oifname, SOURCE6], OWN6.name), Translated, Masquerade],
                vec![In(&[Oifname], BRIDGES.name), Is(SOURCE4, loopback4), Masquerade],
                vec![NotIn(&[Oifname], BRIDGES.name), In(&[Iifname, SOURCE4], MASQUERADE4.name), Masquerade],
                vec![NotIn(&[Oifname], BRIDGES.name), In(&[Iifname, SOURCE6], MASQUERADE6.name), Masquerade],
            ],
        ),
    ]
}
