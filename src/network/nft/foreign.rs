//! # Foreign: other people's firewalls
//!
//! In netfilter everybody may hang up chains at the same hook, and a packet passes if *nobody* drops it. So it is not enough
//! that our table accepts: Docker sets the policy of iptables' FORWARD chain to DROP and lets only its own bridges pass; firewalld
//! rejects what no zone knows; an administrator may do either.
//!
//! ```text
//!   hook forward, priority filter:   inet minidock forward     accept   ─┐ both must let it pass
//!                                    ip filter FORWARD         DROP     ─┘
//!                                         └ jump DOCKER-USER    the place that Docker leaves to its users
//!                                              └ jump MINIDOCK   ours: one rule per bridge and direction, accept
//! ```
//!
//! * [`settle`] puts our accept into `DOCKER-USER`, where Docker made one *by nftables*, and puts it there again when it has
//!   gone; it changes nothing when all is as it should be. The rules are of the kind that iptables writes itself, or Docker's
//!   own iptables could not read its table any more.
//! * Our accept comes before Docker's isolation, so we must not lead into Docker's bridges ourselves: [`bridges_of_docker`]
//!   reads their names from Docker's rules, and our table lets only published ports through to them.
//! * Where there is no such place ([`findings`]): a policy of drop without DOCKER-USER, firewalld, the older iptables whose rules
//!   nf_tables does not show. Then we say what is in the way and what to type; another's firewall is not ours to open.
//! * A [`Watch`] does it again whenever somebody changes a firewall.
//!
//! Laws: we write into one chain of our own and one rule that leads to it, nowhere else; purge takes both away.
//! See: docs.docker.com "Packet filtering and firewalls", firewalld.org. Next room: [`crate::port_map`]

use super::{
    ruleset,
    table::{State, Table},
};
use minidock_base::{Doing, Result};
use minidock_linux::{
    fds,
    netfilter::{
        Family, Table as NftTable, batch,
        command::{Chain, Command},
        read::{self, SeenChain, SeenRule},
        rule::{Field, Part, Rule},
        set::{Element, Verdict},
        value::Value,
    },
    poll::{Poll, Want},
};
use std::{
    collections::BTreeSet,
    os::fd::{AsFd, OwnedFd},
    path::Path,
    sync::Arc,
};

/// The chain that Docker leaves to its users.
const DOCKER_USER: &str = "DOCKER-USER";
/// The chain of Docker's own accepts, to which its rules for each bridge lead.
const DOCKER: &str = "DOCKER";
/// Our chain in somebody else's table.
const OURS: &str = "MINIDOCK";
const FORWARD_HOOK: u32 = 2;

/// Something in the way of our packets, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub what: String,
    pub hint: String,
}

/// The tables in which iptables keeps its filters.
fn filters() -> [NftTable; 2] {
    [NftTable::new(Family::Ip, "filter"), NftTable::new(Family::Ip6, "filter")]
}

/// Puts our accept where Docker leaves room for it, and Docker's bridges into our table; changes only what is not so already.
///
/// # Errors
/// The kernel's.
#[track_caller]
pub(super) fn settle(state: &mut State) -> Result<()> {
    let chains = read::chains(&mut state.socket).doing(|| "list the firewall's chains")?;
    let mut commands = Vec::new();
    for filter in filters() {
        commands.extend(way_past_docker(state, &filter, &chains)?);
    }
    let bridges = bridges_of_docker(state)?;
    let ours_is_there = chains.iter().any(|c| c.table == ruleset::table());
    if bridges != state.foreign && ours_is_there {
        let element = |link: &String| (ruleset::FOREIGN, Element::of(vec![Value::Ifname(link.clone())]));
        let gone = state.foreign.iter().filter(|link| !bridges.contains(link)).map(element).collect();
        let new = bridges.iter().filter(|link| !state.foreign.contains(link)).map(element).collect();
        commands.extend(ruleset::deletions(gone));
        commands.extend(ruleset::additions(new));
    }
    batch::apply(&mut state.socket, &commands).map_err(|e| e.cause).doing(|| "let our bridges pass Docker's firewall")?;
    state.foreign = bridges;
    Ok(())
}

/// The commands that make our chain in this table what it should be; none when it is. Without a bridge there is to be none.
fn way_past_docker(state: &mut State, filter: &NftTable, chains: &[SeenChain]) -> Result<Vec<Command>> {
    let has = |name: &str| chains.iter().any(|c| c.table == *filter && c.name == name);
    if state.bridges.is_empty() {
        return removal_from(state, filter, chains);
    }
    if !has(DOCKER_USER) {
        return Ok(Vec::new());
    }
    let rules = read::rules(&mut state.socket, filter).doing(|| format!("list the rules of {filter}"))?;
    let links: BTreeSet<&str> = state.bridges.iter().map(|b| b.link.as_str()).collect();
    let should: Vec<(Field, &str)> = links.iter().flat_map(|l| [(Field::Iifname, *l), (Field::Oifname, *l)]).collect();
    let is: Vec<&SeenRule> = rules.iter().filter(|r| r.chain == OURS).collect();
    let same = |(rule, (field, link)): (&&SeenRule, &(Field, &str))| match field {
        Field::Iifname => rule.iifname.as_deref() == Some(*link),
        _ => rule.oifname.as_deref() == Some(*link),
    };
    let mut commands = Vec::new();
    if !has(OURS) || is.len() != should.len() || !is.iter().zip(&should).all(same) {
        let chain = Chain { name: OURS.into(), base: None };
        commands.extend([Command::AddChain(filter.clone(), chain), Command::FlushChain(filter.clone(), OURS.into())]);
        for (field, link) in should {
            let is = Part::Is(field, Value::Ifname(link.into()));
            let rule = Rule(vec![is, Part::Counter, Part::Verdict(Verdict::Accept)]);
            commands.push(Command::AddRule(filter.clone(), OURS.into(), rule));
        }
    }
    if !rules.iter().any(leads_to_us) {
        let rule = Rule(vec![Part::Counter, Part::Verdict(Verdict::Jump(OURS.into()))]);
        commands.push(Command::InsertRule(filter.clone(), DOCKER_USER.into(), rule));
    }
    Ok(commands)
}

fn leads_to_us(rule: &SeenRule) -> bool {
    rule.chain == DOCKER_USER && rule.leads_to.as_deref() == Some(OURS)
}

/// The commands that take all of ours out of other people's tables.
///
/// # Errors
/// The kernel's.
pub(super) fn removal(state: &mut State) -> Result<Vec<Command>> {
    let chains = read::chains(&mut state.socket).doing(|| "list the firewall's chains")?;
    let mut commands = Vec::new();
    for filter in filters() {
        commands.extend(removal_from(state, &filter, &chains)?);
    }
    Ok(commands)
}

fn removal_from(state: &mut State, filter: &NftTable, chains: &[SeenChain]) -> Result<Vec<Command>> {
    if !chains.iter().any(|c| c.table == *filter && c.name == OURS) {
        return Ok(Vec::new());
    }
    let rules = read::rules(&mut state.socket, filter).doing(|| format!("list the rules of {filter}"))?;
    let jumps = rules.iter().filter(|r| r.leads_to.as_deref() == Some(OURS));
    let mut commands: Vec<Command> =
        jumps.map(|rule| Command::DeleteRule(filter.clone(), rule.chain.clone(), rule.handle)).collect();
    commands.push(Command::FlushChain(filter.clone(), OURS.into()));
    commands.push(Command::DeleteChain(filter.clone(), OURS.into()));
    Ok(commands)
}

/// The links of Docker's bridges, read from its rules (`-o docker0 -j DOCKER`); ours are never among them.
///
/// # Errors
/// The kernel's.
pub(super) fn bridges_of_docker(state: &mut State) -> Result<Vec<String>> {
    let mut links = BTreeSet::new();
    for filter in filters() {
        let rules = read::rules(&mut state.socket, &filter).doing(|| format!("list the rules of {filter}"))?;
        let theirs = rules.into_iter().filter(|r| r.leads_to.as_deref() == Some(DOCKER)).filter_map(|r| r.oifname);
        links.extend(theirs.filter(|link| !state.bridges.iter().any(|b| b.link == *link)));
    }
    Ok(links.into_iter().collect())
}

/// What is in the way of our packets and cannot be helped by us.
///
/// # Errors
/// The kernel's.
pub(super) fn findings(state: &mut State) -> Result<Vec<Finding>> {
    let chains = read::chains(&mut state.socket).doing(|| "list the firewall's chains")?;
    let mut found = Vec::new();
    let link = state.bridges.first().map_or("minidock0".to_string(), |b| b.link.clone());
    for chain in chains.iter().filter(|c| c.drops && c.hook.is_some_and(|(hook, _)| hook == FORWARD_HOOK)) {
        let SeenChain { table, name, .. } = chain;
        if *table == ruleset::table() || table.name == "firewalld" {
            continue;
        }
        let rules = read::rules(&mut state.socket, table).doing(|| format!("list the rules of {table}"))?;
        if rules.iter().any(leads_to_us) {
            continue;
        }
        let what =
            format!("table {table} drops what it does not know on its way through this host (chain {name}, policy drop)");
        let rule = |side: &str| format!("nft insert rule {table} {name} {side} \"{link}\" accept");
        let hint = format!("let our bridges pass there, each both ways: {}; {}", rule("iifname"), rule("oifname"));
        found.push(Finding { what, hint });
    }
    if chains.iter().any(|c| c.table.name == "firewalld") {
        found.push(Finding {
            what: "firewalld is active: it rejects what comes from a link that belongs to no zone of its".into(),
            hint: format!("firewall-cmd --permanent --zone=trusted --add-interface={link} && firewall-cmd --reload"),
        });
    }
    found.extend(legacy(Path::new("/proc/thread-self/net/ip_tables_names"), &link));
    Ok(found)
}

/// The older iptables keeps its rules where nf_tables does not see them; the kernel only tells that it has a table `filter`.
fn legacy(names: &Path, link: &str) -> Option<Finding> {
    let names = std::fs::read_to_string(names).ok()?;
    names.lines().any(|name| name == "filter").then(|| Finding {
        what: "the legacy iptables has a table filter, whose rules we cannot see; its FORWARD chain may drop our packets"
            .into(),
        hint: format!(
            "look with `iptables-legacy -S FORWARD`; let our bridges pass: iptables-legacy -I FORWARD -i {link} -j ACCEPT; \
             iptables-legacy -I FORWARD -o {link} -j ACCEPT"
        ),
    })
}

/// A thread that mends our table, and our way past Docker's, whenever somebody has changed a firewall. Ends when dropped.
#[derive(Debug)]
pub struct Watch {
    /// Closing our end is the signal to stop.
    stop: Option<OwnedFd>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Watch {
    /// Starts it; call it in the table's network namespace.
    ///
    /// # Errors
    /// When there is no bell to hear (no right to listen): the table is then mended only when we change it ourselves.
    pub fn start(table: Arc<Table>) -> Result<Watch> {
        let bell = read::Bell::open().doing(|| "listen to changes of the firewall")?;
        let (stopped, stop) = fds::pipe().doing(|| "listen to changes of the firewall")?;
        let thread = std::thread::Builder::new()
            .name("firewall".into())
            .spawn(move || attend(&table, &bell, &stopped))
            .doing(|| "listen to changes of the firewall")?;
        Ok(Watch { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _its_panic_was_printed = thread.join();
        }
    }
}

fn attend(table: &Table, bell: &read::Bell, stopped: &OwnedFd) {
    // our own changes of our own table are no news, but that it was deleted is
    let concerns = |(changed, deleted): &(NftTable, bool)| match *changed == ruleset::table() {
        true => *deleted,
        false => filters().contains(changed),
    };
    loop {
        let mut poll = Poll::with_capacity(2);
        let (rings, ends) = (poll.add(bell.as_fd(), Want::READ), poll.add(stopped.as_fd(), Want::READ));
        if let Err(failed) = poll.wait(None) {
            return tracing::warn!("changes of other firewalls are no longer noticed: {failed}");
        }
        if poll.ready(ends).any() {
            return;
        }
        let news = poll.ready(rings).any() && bell.heard().is_none_or(|tables| tables.iter().any(concerns));
        if news && let Err(error) = table.mend() {
            tracing::warn!("our firewall rules are not mended: {}", error.message());
        }
    }
}
