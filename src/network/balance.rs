//! # Balance: one address for all tasks of a service
//!
//! Clients want to call `web`, not `web.3`. So a service has an address of its own, the *virtual IP*, which no interface has: in each
//! sandbox a few rules turn a connection that begins towards it into one to a task, each task in turn.
//!
//! ```text
//!   client 10.0.1.9 ── connects to 10.0.1.2:80 ──► output, nat: services { 10.0.1.2 : goto vip-10.0.1.2 }
//!                                                     vip-10.0.1.2: dnat ip to numgen inc mod 2 map { 0 : 10.0.1.5, 1 : 10.0.1.6 }
//!   leaves as 10.0.1.9 → 10.0.1.6:80; the kernel remembers, and turns the answers back
//!
//!   nobody there:                    vip-10.0.1.2: dnat ip to 127.0.0.1   ► input, filter: ip daddr 127.0.0.1 ct status dnat reject
//!   in the middle of a connection that is not remembered (any more):        output, filter: ip daddr @vips reject
//! ```
//!
//! * [`Balance::set`] is told all services of the sandbox's networks and changes what differs, in one transaction: a service that has not
//!   changed keeps its rule and its turn.
//! * Only the *first* packet of a connection is dealt out. A task that is to end gets no new ones, but those it has go on until
//!   it is gone; then the kernel is made to forget them, and their next packet is refused: better than a silence of minutes.
//! * Which task comes first differs from sandbox to sandbox (`turned`): a hundred clients that call once each do not all
//!   call the same one.
//! * **Nobody there** is refused at once. Not in *output*, where a sender is told that the operation is not permitted, as if it were he who
//!   may not; but one step further on, as if a machine without such a port had answered.
//! * Whoever calls a task by its own address (`tasks.web`, `dnsrr`) is not our affair, but for one thing: once it is known that the task is
//!   gone, a connection that begins is refused at once (`gone`), instead of asking for its MAC for three seconds.
//! * Ping is dealt out as well: it says whether a task answers, not whether a rule is there.
//! * No interface has the virtual IP, `lo` neither: it would become the *sender* of what is sent to it.
//!
//! Laws: established connections outlive every change but the end of their task; nothing outside this table decides.
//!
//! *In the real world* Docker marks packets and lets IPVS balance them, in a namespace of its own for each network. *See:* nft(8) NAT
//! STATEMENTS, moby `libnetwork/service_linux.go`. *Next room:* [`crate::mesh`]

use crate::{
    deal::{Deal, Dealer, Deals, Ground, turned},
    sandbox::{self, Sandbox},
};
use minidock_base::{Doing, Result};
use minidock_linux::{
    netfilter::{
        Family, Table, batch,
        command::{Chain, Command, Hook, Purpose},
        conntrack::Flow,
        rule::{End, Field, Part, Rule},
        set::{Answer, Element, Set, Verdict},
        value::{Type, Value},
    },
    netlink::{Family as Line, Socket},
};
use std::{
    collections::{BTreeSet, VecDeque, hash_map::DefaultHasher},
    hash::{Hash, Hasher},
    net::{IpAddr, Ipv4Addr},
    sync::{Mutex, PoisonError},
};

/// Virtual IPs, each with the chain that deals its connections out.
const SERVICES: Set = Set { name: "services", key: &[Type::Ipv4], answer: Answer::Verdict, interval: false };
/// The same, to be asked after: what still goes there has not been dealt out.
const VIPS: Set = Set { name: "vips", answer: Answer::Nothing, ..SERVICES };
/// Who was on the networks, and is no more.
const GONE: Set = Set { name: "gone", ..VIPS };
/// Of so many it is remembered; addresses are given out again only after all others, so nobody waits for one of more than that.
const REMEMBERED: usize = 256;
const TCP: u8 = 6;
/// Where connections to a service without tasks are led, to be refused.
const NOBODY: Ipv4Addr = Ipv4Addr::LOCALHOST;

/// A service on one of the sandbox's networks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    pub vip: Ipv4Addr,
    /// The tasks that take new connections.
    pub backends: Vec<Ipv4Addr>,
}

/// The services that one sandbox can call.
#[derive(Debug)]
pub struct Balance {
    /// Differs from sandbox to sandbox.
    seed: u64,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    dealer: Dealer,
    there: BTreeSet<Ipv4Addr>,
    gone: VecDeque<Ipv4Addr>,
    /// Those of them that the kernel was told of.
    told: BTreeSet<Ipv4Addr>,
}

impl Balance {
    /// Opens the line to the sandbox's own firewall; changes nothing.
    ///
    /// # Errors
    /// EPERM without CAP_SYS_ADMIN over the sandbox; a kernel without nf_tables.
    pub fn open(sandbox: &Sandbox) -> Result<Balance> {
        let opened = sandbox.visit(|| Socket::open(Line::Netfilter))?.doing(|| "open a line to the sandbox's firewall")?;
        let socket = opened.named(sandbox::prefix(sandbox.place()));
        let state = State {
            dealer: Dealer::new(ground(), socket),
            there: BTreeSet::new(),
            gone: VecDeque::new(),
            told: BTreeSet::new(),
        };
        Ok(Balance { seed: hash(sandbox.place()), state: Mutex::new(state) })
    }

    /// Makes these the services that can be called. `there` is everybody on the sandbox's networks, those on their way out
    /// included: connections that were dealt out to others are cut off.
    ///
    /// # Errors
    /// The kernel's; then all is as before.
    pub fn set(&self, services: &[Service], there: &BTreeSet<Ipv4Addr>) -> Result<()> {
        let deal = |service: &Service| {
            let mut tasks = turned(&service.backends, hash((self.seed, service.vip)));
            if tasks.is_empty() {
                tasks.push(NOBODY);
            }
            (
                vec![Value::Address(service.vip.into())],
                Deal { chain: format!("vip-{}", service.vip), asks: Vec::new(), tasks, port: None },
            )
        };
        let ours = |flow: &Flow| services.iter().any(|service| IpAddr::from(service.vip) == flow.to.0);
        let deals: Deals = services.iter().map(deal).collect();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.dealer.set(deals, there, ours)? {
            state.told.clear();
        }
        state.remember(there)
    }
}

impl State {
    /// Writes down who has gone: what the kernel does not know yet, or knows still. After a failure that is so once more.
    fn remember(&mut self, there: &BTreeSet<Ipv4Addr>) -> Result<()> {
        self.gone.retain(|address| !there.contains(address));
        self.gone.extend(self.there.difference(there));
        self.gone.drain(..self.gone.len().saturating_sub(REMEMBERED));
        self.there.clone_from(there);
        let gone: BTreeSet<Ipv4Addr> = self.gone.iter().copied().collect();
        let element = |address: &Ipv4Addr| Element::of(vec![Value::Address((*address).into())]);
        let forgotten = self.told.difference(&gone).map(|back| vec![element(back)]);
        let mut commands: Vec<Command> = forgotten.map(|back| Command::DeleteElements(ground().table, GONE, back)).collect();
        let new: Vec<Element> = gone.difference(&self.told).map(element).collect();
        if !new.is_empty() {
            commands.push(Command::AddElements(ground().table, GONE, new));
        }
        if !commands.is_empty() {
            let done = batch::apply_deletions(self.dealer.socket(), commands);
            done.map_err(|e| e.cause).doing(|| "write down who has gone")?;
            self.told = gone;
        }
        Ok(())
    }
}

fn hash(of: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    hasher.finish()
}

/// Our one table in a sandbox.
pub(crate) fn ground() -> Ground {
    const TO: &[Field] = &[Field::Ip(End::Destination)];
    let table = Table::new(Family::Inet, "minidock_services");
    let chain = |name: &str, purpose, hook, priority| {
        Command::AddChain(table.clone(), Chain { name: name.into(), base: Some((purpose, hook, priority)) })
    };
    let rule = |chain: &str, parts: Vec<Part>| Command::AddRule(table.clone(), chain.into(), Rule(parts));
    let tcp = || Part::Is(Field::L4proto, Value::Protocol(TCP));
    let nobody = || vec![Part::Is(TO[0], Value::Address(NOBODY.into())), Part::Translated];
    let structure = vec![
        chain("balance", Purpose::Nat, Hook::Output, -100),
        chain("refuse", Purpose::Filter, Hook::Output, 0),
        chain("nobody", Purpose::Filter, Hook::Input, 0),
        Command::AddSet(table.clone(), SERVICES),
        Command::AddSet(table.clone(), VIPS),
        Command::AddSet(table.clone(), GONE),
        rule("balance", vec![Part::MidStream, Part::Verdict(Verdict::Accept)]),
        rule("balance", vec![Part::Vmap(TO, SERVICES.name)]),
        rule("refuse", vec![Part::In(TO, VIPS.name), tcp(), Part::Reset]),
        rule("refuse", vec![Part::In(TO, VIPS.name), Part::Reject]),
        rule("refuse", vec![Part::MidStream, Part::Verdict(Verdict::Accept)]),
        rule("refuse", vec![Part::In(TO, GONE.name), tcp(), Part::Reset]),
        rule("nobody", [nobody(), vec![tcp(), Part::Reset]].concat()),
        rule("nobody", [nobody(), vec![Part::Reject]].concat()),
    ];
    Ground { table, map: SERVICES, listed: VIPS, structure }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deal::tests::says_what_it_does;

    fn service(vip: u8, tasks: &[u8]) -> (Vec<Value>, Deal) {
        let at = |last: u8| Ipv4Addr::new(10, 0, 1, last);
        let tasks = tasks.iter().map(|last| at(*last)).collect();
        (vec![Value::Address(at(vip).into())], Deal { chain: format!("vip-{}", at(vip)), asks: Vec::new(), tasks, port: None })
    }

    #[test]
    fn the_rules_read_as_a_person_would_write_them() {
        let deals: Deals = [service(2, &[5, 6, 7]), service(3, &[8])].into_iter().collect();
        let lines: Vec<String> = ground().whole(&deals).iter().map(|c| c.to_string()).collect();
        for line in [
            "add chain inet minidock_services balance { type nat hook output priority -100; policy accept; }",
            "add rule inet minidock_services balance tcp flags != syn / syn,ack accept",
            "add rule inet minidock_services balance ip daddr vmap @services",
            "add rule inet minidock_services vip-10.0.1.2 dnat ip to numgen inc mod 3 map { 0 : 10.0.1.5, 1 : 10.0.1.6, 2 : 10.0.1.7 }",
            "add rule inet minidock_services vip-10.0.1.3 dnat ip to 10.0.1.8",
            "add element inet minidock_services services { 10.0.1.2 : goto vip-10.0.1.2, 10.0.1.3 : goto vip-10.0.1.3 }",
        ] {
            assert!(lines.iter().any(|l| l == line), "{line} is not among {lines:#?}");
        }
        says_what_it_does(&ground(), &deals);
    }

    /// Clients that call once each do not all call the same task.
    #[test]
    fn sandboxes_begin_with_different_tasks() {
        let backends: Vec<Ipv4Addr> = (1..=10).map(|last| Ipv4Addr::new(10, 0, 1, last)).collect();
        let vip = Ipv4Addr::new(10, 0, 1, 99);
        let mut firsts = std::collections::BTreeMap::<Ipv4Addr, u32>::new();
        for sandbox in 0..1000 {
            let seed = hash(std::path::PathBuf::from(format!("/run/minidock/netns/{sandbox:064x}")));
            *firsts.entry(turned(&backends, hash((seed, vip)))[0]).or_default() += 1;
        }
        // chi-square with 9 degrees of freedom: beyond 27.9 once in a thousand
        let chi: f64 = firsts.values().map(|n| (f64::from(*n) - 100.0).powi(2) / 100.0).sum();
        assert!(firsts.len() == 10 && chi < 27.9, "{chi}: {firsts:?}");
    }
}
