//! # Filters that explain
//!
//! A node fits a task or there is a reason why not. The filters are asked in a fixed order, the first that says no names the
//! reason, and the reasons of all nodes are counted into one sentence, in Docker's words:
//!
//! ```text
//!   no suitable node (insufficient resources on 2 nodes; scheduling constraints not satisfied on 1 node)
//! ```
//!
//! `why task` asks the same filters node by node ([`explain`]), so what is told is what was decided.
//!
//! *See:* swarmkit `manager/scheduler/filter.go`. *Next room:* [`super::constraint`]

use super::{
    constraint::{self, Constraint},
    node_info::{self, Machine, Machines},
};
use minidock_spec::swarm::{
    node::{Availability, NodeState},
    task::{Amounts, Platform, Task},
};

/// Why a node does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    NotReady,
    NoRoom,
    Constraints,
    Platform,
    HostPort,
    MaxReplicas,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Yes,
    No(Reason),
}

/// What the tasks of a group ask for.
pub struct Wish {
    pub service: String,
    pub spec: u64,
    pub needs: Amounts,
    pub constraints: Vec<Constraint>,
    pub platforms: Vec<Platform>,
    pub ports: Vec<(String, u32)>,
    pub max_replicas: u64,
    /// Labels to spread over, outermost first.
    pub preferences: Vec<String>,
}

impl Wish {
    pub fn of(task: &Task) -> Wish {
        let placement = task.spec.placement.clone().unwrap_or_default();
        Wish {
            service: task.service_id.clone(),
            spec: task.spec_version.index,
            needs: node_info::reserved(task),
            // those that cannot be read were refused when the service was made
            constraints: placement.constraints.iter().filter_map(|c| constraint::parse(c).ok()).collect(),
            platforms: placement.platforms,
            ports: node_info::host_ports(task).collect(),
            max_replicas: placement.max_replicas,
            preferences: placement.preferences.into_iter().filter_map(|p| Some(p.spread?.spread_descriptor)).collect(),
        }
    }
}

/// Asks one node.
pub fn check(wish: &Wish, machine: &Machine) -> Verdict {
    let node = &machine.node;
    let no = |reason| Verdict::No(reason);
    if node.status.state != NodeState::Ready || node.spec.availability != Availability::Active {
        return no(Reason::NotReady);
    }
    if wish.needs.nano_cpus > machine.free.nano_cpus.max(0) || wish.needs.memory_bytes > machine.free.memory_bytes.max(0) {
        return no(Reason::NoRoom);
    }
    if !wish.constraints.iter().all(|c| constraint::holds(c, node)) {
        return no(Reason::Constraints);
    }
    if !wish.platforms.is_empty() && !wish.platforms.iter().any(|p| runs(p, &node.description.platform)) {
        return no(Reason::Platform);
    }
    if wish.ports.iter().any(|port| machine.ports.contains(port)) {
        return no(Reason::HostPort);
    }
    if wish.max_replicas > 0 && machine.count(&wish.service) as u64 >= wish.max_replicas {
        return no(Reason::MaxReplicas);
    }
    Verdict::Yes
}

fn runs(wanted: &Platform, is: &Platform) -> bool {
    let arch = |name: &str| match name {
        "x86_64" => "amd64".to_string(),
        "aarch64" => "arm64".to_string(),
        other => other.to_ascii_lowercase(),
    };
    (wanted.os.is_empty() || wanted.os.eq_ignore_ascii_case(&is.os))
        && (wanted.architecture.is_empty() || arch(&wanted.architecture) == arch(&is.architecture))
}

/// The nodes that fit, and why how many others do not.
pub fn sort_out(wish: &Wish, machines: &Machines) -> (Vec<String>, Vec<(Reason, usize)>) {
    let (mut fit, mut counted) = (Vec::new(), std::collections::BTreeMap::<Reason, usize>::new());
    for machine in machines.iter() {
        match check(wish, machine) {
            Verdict::Yes => fit.push(machine.node.id.clone()),
            Verdict::No(reason) => *counted.entry(reason).or_default() += 1,
        }
    }
    (fit, counted.into_iter().collect())
}

/// Docker's sentence.
pub fn no_suitable_node(counted: &[(Reason, usize)]) -> String {
    let part = |(reason, count): &(Reason, usize)| {
        let nodes = if *count == 1 { "1 node".to_string() } else { format!("{count} nodes") };
        match reason {
            Reason::NotReady => format!("{nodes} not available for new tasks"),
            Reason::NoRoom => format!("insufficient resources on {nodes}"),
            Reason::Constraints => format!("scheduling constraints not satisfied on {nodes}"),
            Reason::Platform => format!("unsupported platform on {nodes}"),
            Reason::HostPort => format!("host-mode port already in use on {nodes}"),
            Reason::MaxReplicas => "max replicas per node limit exceed".to_string(),
        }
    };
    match counted {
        [] => "no suitable node".to_string(),
        some => format!("no suitable node ({})", some.iter().map(part).collect::<Vec<_>>().join("; ")),
    }
}

/// One node's answer in a sentence, and the smallest change that would make it fit.
pub fn explain(wish: &Wish, machine: &Machine) -> (Verdict, String) {
    let node = &machine.node;
    let verdict = check(wish, machine);
    let sentence = match verdict {
        Verdict::Yes => "fits".to_string(),
        Verdict::No(Reason::NotReady) if node.status.state != NodeState::Ready => {
            format!("is {}: start it again", node.status.state.name())
        }
        Verdict::No(Reason::NotReady) => {
            format!("is set to {}: minidock node update --availability active {}", node.spec.availability.name(), name(machine))
        }
        Verdict::No(Reason::NoRoom) => {
            let lacks = |wanted: i64, free: i64| (wanted - free.max(0)).max(0);
            let cpus = lacks(wish.needs.nano_cpus, machine.free.nano_cpus) as f64 / 1e9;
            let memory = lacks(wish.needs.memory_bytes, machine.free.memory_bytes) / (1 << 20);
            format!("lacks {cpus} CPUs and {memory} MiB of what is reserved: reserve less, or free some there")
        }
        Verdict::No(Reason::Constraints) => {
            let broken = wish.constraints.iter().filter(|c| !constraint::holds(c, node));
            let broken: Vec<String> =
                broken.map(|c| format!("{}{}{}", c.key, if c.equal { "==" } else { "!=" }, c.value)).collect();
            format!("does not meet {}", broken.join(" and "))
        }
        Verdict::No(Reason::Platform) => {
            let is = &node.description.platform;
            format!("is {}/{}, the image is made for something else", is.os, is.architecture)
        }
        Verdict::No(Reason::HostPort) => {
            let taken: Vec<String> = wish
                .ports
                .iter()
                .filter(|p| machine.ports.contains(p))
                .map(|(protocol, port)| format!("{port}/{protocol}"))
                .collect();
            format!("has {} in use by another task", taken.join(", "))
        }
        Verdict::No(Reason::MaxReplicas) => {
            format!("runs {} tasks of this service already, the limit per node", machine.count(&wish.service))
        }
    };
    (verdict, sentence)
}

fn name(machine: &Machine) -> &str {
    match machine.node.description.hostname.as_str() {
        "" => &machine.node.id,
        hostname => hostname,
    }
}
