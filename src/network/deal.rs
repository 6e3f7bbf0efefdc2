//! # Deal: connections, dealt out like cards
//!
//! Two rooms lead connections to one of several tasks, each in turn: [`crate::balance`] those to a service's virtual IP, in every sandbox;
//! [`crate::mesh`] those to a published port, on every machine. What they have in common is here: one chain per service or port,
//! a map that leads to it, and the care for connections whose task has gone.
//!
//! ```text
//!   map services { 10.0.1.2 : goto vip-10.0.1.2, … }          set listed { 10.0.1.2, … }
//!   chain vip-10.0.1.2 { dnat ip to numgen inc mod 2 map { 0 : 10.0.1.5, 1 : 10.0.1.6 } }
//! ```
//!
//! * [`Dealer::set`] is told all deals and changes what differs from what it was told last, in one transaction; the first time, or when
//!   somebody has thrown the table away, it makes the whole table anew.
//! * A chain is a *rule of its own*, and so a counter of its own: whoever calls two services by turns, each with two tasks,
//!   would with a common counter always reach the same task of each.
//! * A connection is remembered by the kernel together with its task. When the task has gone the memory is deleted; what comes next
//!   of that connection is in the middle of nothing and is refused.
//!
//! Laws: a failed change is as if it had never been asked for.
//! See: [`minidock_linux::netfilter::spread`], conntrack(8). Next room: [`crate::balance`]

use minidock_base::{Doing, Result};
use minidock_linux::{
    netfilter::{
        Family, Table, batch,
        command::{Chain, Command},
        conntrack::{self, Flow},
        read,
        rule::{Part, Rule},
        set::{Element, Set, Verdict},
        spread::Spread,
        value::Value,
    },
    netlink::Socket,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr},
};

/// What is to be dealt out to whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Deal {
    pub chain: String,
    /// What the rule must ask first.
    pub asks: Vec<Part>,
    /// In the order of their turns; nobody: refused.
    pub tasks: Vec<Ipv4Addr>,
    /// The port there, if it is another one than was called.
    pub port: Option<u16>,
}

/// Deals, by the key under which a packet finds them.
pub(crate) type Deals = BTreeMap<Vec<Value>, Deal>;

/// The fixed parts of a dealer's table.
#[derive(Clone, Debug)]
pub(crate) struct Ground {
    pub table: Table,
    /// Key → the chain that deals.
    pub map: Set,
    /// The keys alone.
    pub listed: Set,
    /// Chains, sets and rules, `map` and `listed` among them, that the deals are put on.
    pub structure: Vec<Command>,
}

/// A table that deals connections out, in one network namespace.
#[derive(Debug)]
pub(crate) struct Dealer {
    ground: Ground,
    socket: Socket,
    /// What the kernel was told; nothing: what it has, if anything, is of a daemon before us.
    told: Option<Deals>,
    /// Who may still have connections that we dealt out.
    led: BTreeSet<Ipv4Addr>,
}

impl Dealer {
    pub fn new(ground: Ground, socket: Socket) -> Dealer {
        Dealer { ground, socket, told: None, led: BTreeSet::new() }
    }

    /// Makes these the deals. Connections to tasks that are not `there` are cut off: those that we dealt out, and, if a daemon
    /// before us may have dealt some, those that are `ours` by their looks. Gives back whether the table was made anew: then what
    /// else was put into it is gone.
    ///
    /// # Errors
    /// The kernel's.
    pub fn set(&mut self, wanted: Deals, there: &BTreeSet<Ipv4Addr>, ours: impl Fn(&Flow) -> bool) -> Result<bool> {
        let changes = self.told.as_ref().map(|told| self.ground.difference(told, &wanted));
        let doing = || "deal connections out to tasks";
        let is_new = match changes {
            None => true,
            Some(changes) if changes.is_empty() => !self.is_there()?,
            Some(changes) => match self.apply(&changes) {
                // whoever may change this firewall has thrown our table away
                Err(refused) if refused.only_missing() => true,
                other => other.map(|()| false).map_err(|e| e.cause).doing(doing)?,
            },
        };
        if is_new {
            self.apply(&self.ground.whole(&wanted)).map_err(|e| e.cause).doing(doing)?;
        }
        self.cut_off(&wanted, there, ours);
        self.told = Some(wanted);
        Ok(is_new)
    }

    /// What the kernel was told last.
    pub fn told(&self) -> Option<&Deals> {
        self.told.as_ref()
    }

    /// Leaves no table.
    ///
    /// # Errors
    /// The kernel's.
    pub fn purge(&mut self) -> Result<()> {
        let table = || self.ground.table.clone();
        let commands = [Command::AddTable(table()), Command::DeleteTable(table())];
        batch::apply(&mut self.socket, &commands).map_err(|e| e.cause).doing(|| format!("remove the table {}", table()))?;
        (self.told, self.led) = (None, BTreeSet::new());
        Ok(())
    }

    /// The line to the kernel, for what else is to be asked of it.
    pub fn socket(&mut self) -> &mut Socket {
        &mut self.socket
    }

    fn is_there(&mut self) -> Result<bool> {
        let tables = read::tables(&mut self.socket).doing(|| "list the firewall's tables")?;
        Ok(tables.contains(&self.ground.table))
    }

    #[track_caller]
    fn apply(&mut self, commands: &[Command]) -> Result<(), batch::Refused> {
        batch::apply(&mut self.socket, commands)
    }

    /// Makes the kernel forget the connections to tasks that are gone. Failing is no failure of ours: the connections then end
    /// as those to a machine that has lost power.
    fn cut_off(&mut self, wanted: &Deals, there: &BTreeSet<Ipv4Addr>, ours: impl Fn(&Flow) -> bool) {
        let gone: BTreeSet<Ipv4Addr> = self.led.difference(there).copied().collect();
        let dead = |flow: &Flow| match flow.answers.0 {
            // never translated
            answers if answers == flow.to.0 => false,
            IpAddr::V4(answers) => gone.contains(&answers) || ours(flow) && !there.contains(&answers),
            IpAddr::V6(_) => false,
        };
        let done = match self.told {
            None => conntrack::forget_those(&mut self.socket, dead).map(drop),
            Some(_) if gone.is_empty() => Ok(()),
            Some(_) => {
                let forget = |gone: &Ipv4Addr| conntrack::forget_answered_by(&mut self.socket, (*gone).into());
                let told = gone.iter().try_for_each(forget);
                told.or_else(|_older_kernel| conntrack::forget_those(&mut self.socket, dead).map(drop))
            }
        };
        if let Err(failed) = done {
            tracing::debug!("connections to tasks that are gone are not forgotten: {failed}");
        }
        self.led.retain(|address| there.contains(address));
        // what is led to loopback is refused there, and never remembered
        let led = wanted.values().flat_map(|deal| &deal.tasks).filter(|task| !task.is_loopback());
        self.led.extend(led);
    }
}

impl Ground {
    /// The whole table anew.
    pub fn whole(&self, wanted: &Deals) -> Vec<Command> {
        // there may be one of a daemon that was killed, or none: made if missing, so that deleting cannot fail
        let table = || self.table.clone();
        let mut commands = vec![Command::AddTable(table()), Command::DeleteTable(table()), Command::AddTable(table())];
        commands.extend(self.structure.iter().cloned());
        commands.extend(self.difference(&Deals::new(), wanted));
        commands
    }

    /// The commands that lead from what was told to what is wanted.
    pub fn difference(&self, told: &Deals, wanted: &Deals) -> Vec<Command> {
        let table = || self.table.clone();
        let (mut commands, mut elements) = (Vec::new(), Vec::new());
        let gone: Vec<_> = told.iter().filter(|(key, _)| !wanted.contains_key(*key)).collect();
        if !gone.is_empty() {
            let keys: Vec<Element> = gone.iter().map(|(key, _)| Element::of(key.to_vec())).collect();
            commands.push(Command::DeleteElements(table(), self.map, keys.clone()));
            commands.push(Command::DeleteElements(table(), self.listed, keys));
        }
        for (_, deal) in gone {
            commands.push(Command::FlushChain(table(), deal.chain.clone()));
            commands.push(Command::DeleteChain(table(), deal.chain.clone()));
        }
        for (key, deal) in wanted {
            match told.get(key) {
                Some(before) if before == deal => continue,
                Some(_) => commands.push(Command::FlushChain(table(), deal.chain.clone())),
                None => {
                    commands.push(Command::AddChain(table(), Chain { name: deal.chain.clone(), base: None }));
                    elements.push(Element::to_verdict(key.clone(), Verdict::Goto(deal.chain.clone())));
                }
            }
            commands.extend(deal.rule().map(|rule| Command::AddRule(table(), deal.chain.clone(), rule)));
        }
        if !elements.is_empty() {
            let keys = elements.iter().map(|element| Element::of(element.key.clone())).collect();
            commands.push(Command::AddElements(table(), self.map, elements));
            commands.push(Command::AddElements(table(), self.listed, keys));
        }
        commands
    }
}

impl Deal {
    /// The one rule of its chain; none when there is nobody.
    fn rule(&self) -> Option<Rule> {
        let place = |task: &Ipv4Addr| {
            let port = self.port.map(Value::Service);
            std::iter::once(Value::Address((*task).into())).chain(port).collect()
        };
        let places: Vec<Vec<Value>> = self.tasks.iter().map(place).collect();
        let mut parts = self.asks.clone();
        parts.push(Part::Spread(Family::Ip, Spread(places)));
        (!self.tasks.is_empty()).then_some(Rule(parts))
    }
}

/// Each task once, beginning with the one that has this number (counted round).
pub(crate) fn turned(tasks: &[Ipv4Addr], first: u64) -> Vec<Ipv4Addr> {
    let mut tasks: Vec<Ipv4Addr> = tasks.iter().copied().collect::<BTreeSet<_>>().into_iter().collect();
    if !tasks.is_empty() {
        let first = first % tasks.len() as u64;
        tasks.rotate_left(first as usize);
    }
    tasks
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::nft::listing::listing;
    use minidock_linux::{
        namespaces::{Namespace, Set as Namespaces, unshare},
        netlink::Family as Line,
    };
    use proptest::prelude::*;
    use std::{
        io::Write,
        process::{Command as Process, Stdio},
    };

    /// Runs `f` on a thread in a fresh network namespace; says SKIP without the right to make one.
    pub(crate) fn apart(f: impl FnOnce() + Send) {
        std::thread::scope(|threads| {
            let run = || match unshare(Namespaces::default().with(Namespace::Network)) {
                Ok(()) => f(),
                Err(_) => println!("SKIP: needs root"),
            };
            if let Err(panic) = threads.spawn(run).join() {
                std::panic::resume_unwind(panic);
            }
        });
    }

    pub(crate) fn dealer(ground: Ground) -> Dealer {
        Dealer::new(ground, Socket::open(Line::Netfilter).expect("nf_tables"))
    }

    pub(crate) fn listed(table: &Table) -> String {
        let done =
            Process::new("nft").args(["list", "table", table.family.word(), &table.name]).output().expect("nft, the oracle");
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8(done.stdout).expect("text")
    }

    /// What we print is what nft lists after we have spoken to the kernel, and after a person has typed our lines.
    #[track_caller]
    pub(crate) fn says_what_it_does(ground: &Ground, deals: &Deals) {
        let commands = ground.whole(deals);
        let lines: String = commands.iter().map(|command| format!("{command}\n")).collect();
        apart(|| {
            dealer(ground.clone()).set(deals.clone(), &BTreeSet::new(), |_| false).expect("applied");
            assert_eq!(in_lines(&listing(&commands[2..])), in_lines(&listed(&ground.table)));
        });
        apart(|| {
            let mut typed = Process::new("nft").args(["-f", "-"]).stdin(Stdio::piped()).spawn().expect("nft");
            typed.stdin.take().expect("piped").write_all(lines.as_bytes()).expect("read");
            assert!(typed.wait().expect("ended").success(), "{lines}");
            assert_eq!(in_lines(&listing(&commands[2..])), in_lines(&listed(&ground.table)));
        });
    }

    /// nft puts several short elements into one line; and what is typed as `reject` behind `ip daddr` it takes for the answer of
    /// IPv4, which is the same answer.
    fn in_lines(text: &str) -> String {
        text.replace(",\n\t\t\t     ", ", ").replace("reject with icmp port-unreachable", "reject")
    }

    /// Chains and elements in no particular order, each on a line of its own.
    fn sorted(text: &str) -> Vec<String> {
        let of_block = |block: &str| {
            let words = block.replace("elements = {", "").replace('}', "").replace(',', "\n");
            let mut lines: Vec<&str> = words.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
            lines.sort();
            lines.join("\n")
        };
        let mut blocks: Vec<String> = text.split("\n\n").map(of_block).collect();
        blocks.sort();
        blocks
    }

    fn address(last: u8) -> Ipv4Addr {
        Ipv4Addr::new(10, 0, 1, last)
    }

    fn deals(of: &BTreeMap<u8, Vec<u8>>) -> Deals {
        let deal = |(vip, tasks): (&u8, &Vec<u8>)| {
            let tasks = tasks.iter().map(|task| address(*task)).collect();
            (
                vec![Value::Address(address(*vip).into())],
                Deal { chain: format!("vip-{vip}"), asks: Vec::new(), tasks, port: None },
            )
        };
        of.iter().map(deal).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]
        /// Whatever was told before: by difference the kernel has what it would have had if it had been told only the last.
        #[test]
        fn a_difference_leads_where_a_fresh_start_leads(
            steps in prop::collection::vec(prop::collection::btree_map(2u8..6, prop::collection::vec(10u8..14, 0..4), 0..4), 1..6),
        ) {
            let ground = crate::balance::ground();
            let mut last = (String::new(), String::new());
            apart(|| {
                let mut dealer = dealer(ground.clone());
                for step in &steps {
                    dealer.set(deals(step), &BTreeSet::new(), |_| false).expect("applied");
                }
                last.0 = listed(&ground.table);
                // and told twice by different daemons
                let mut other = Dealer::new(ground.clone(), Socket::open(Line::Netfilter).expect("nf_tables"));
                other.set(deals(steps.last().expect("one at least")), &BTreeSet::new(), |_| false).expect("applied");
                last.1 = listed(&ground.table);
            });
            prop_assert_eq!(sorted(&last.0), sorted(&last.1));
        }

        #[test]
        fn everybody_has_one_turn_wherever_it_begins(tasks in prop::collection::vec(any::<u8>(), 0..20), first: u64) {
            let all: Vec<Ipv4Addr> = tasks.iter().map(|last| address(*last)).collect();
            let turned = turned(&all, first);
            let once: BTreeSet<Ipv4Addr> = all.iter().copied().collect();
            prop_assert_eq!(turned.len(), once.len());
            prop_assert_eq!(turned.iter().copied().collect::<BTreeSet<_>>(), once);
        }
    }
}
