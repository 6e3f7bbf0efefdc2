//! # Filters that explain
//!
//! A node fits a task or there is a reason why not. The filters are asked in a fixed order, the first that says no names the
//! reason, and the reasons of all nodes are counted into one sentence, in Docker's words:
//!
//! ```text
//!   no suitable node (insufficient resources on 2 nodes; scheduling constraints not satisfied on 1 node)
//! ```
//!
//! `why task` asks the same filters node by node ([`passes`], [`told`]), so what is told is what was decided.
//!
//! *See:* swarmkit `manager/scheduler/filter.go`. *Next room:* [`super::constraint`]

use super::{
    constraint::{self, Constraint},
    node_info::{self, Machine, Machines},
};
use minidock_spec::swarm::{
    generic,
    node::{Availability, NodeState},
    task::{Amounts, Placement, PlacementPreference, Platform, Task},
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
    /// So many tasks that one more would be one too many, whatever it is.
    Full,
}

/// What the tasks of a group ask for.
#[derive(Clone, Debug)]
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
        static ANYWHERE: Placement =
            Placement { constraints: Vec::new(), preferences: Vec::new(), max_replicas: 0, platforms: Vec::new() };
        let placement = task.spec.placement.as_ref().unwrap_or(&ANYWHERE);
        let label = |p: &PlacementPreference| Some(p.spread.as_ref()?.spread_descriptor.clone());
        Wish {
            service: task.service_id.clone(),
            spec: task.spec_version.index,
            needs: node_info::reserved(task).clone(),
            // those that cannot be read were refused when the service was made
            constraints: placement.constraints.iter().filter_map(|c| constraint::parse(c).ok()).collect(),
            platforms: placement.platforms.clone(),
            ports: node_info::host_ports(task).collect(),
            max_replicas: placement.max_replicas,
            preferences: placement.preferences.iter().filter_map(label).collect(),
        }
    }

    /// Another group asks the same of a node, whatever else it runs.
    pub fn asks_as(&self, other: &Wish) -> bool {
        self.constraints == other.constraints && self.needs == other.needs && self.platforms == other.platforms
    }
}

impl Reason {
    /// In the order in which they are asked.
    pub const ALL: [Reason; 7] = [
        Reason::NotReady,
        Reason::NoRoom,
        Reason::Constraints,
        Reason::Platform,
        Reason::HostPort,
        Reason::MaxReplicas,
        Reason::Full,
    ];

    /// Only a group's own service or ports keep it out: for another group that asks the same, the node may do.
    pub fn is_of_service(self) -> bool {
        matches!(self, Reason::HostPort | Reason::MaxReplicas)
    }

    /// The filter's name.
    pub fn filter(self) -> &'static str {
        match self {
            Reason::NotReady => "ready",
            Reason::NoRoom => "resources",
            Reason::Constraints => "constraints",
            Reason::Platform => "platform",
            Reason::HostPort => "host ports",
            Reason::MaxReplicas => "max replicas",
            Reason::Full => "tasks",
        }
    }
}

/// Asks one node.
///
/// # Errors
/// The first filter that says no.
pub fn check(wish: &Wish, machine: &Machine) -> Result<(), Reason> {
    Reason::ALL.into_iter().find(|filter| !passes(*filter, wish, machine)).map_or(Ok(()), Err)
}

/// Asks one filter.
pub fn passes(filter: Reason, wish: &Wish, machine: &Machine) -> bool {
    let node = &machine.node;
    match filter {
        Reason::NotReady => node.status.state == NodeState::Ready && node.spec.availability == Availability::Active,
        Reason::NoRoom => {
            wish.needs.nano_cpus <= machine.free.nano_cpus.max(0)
                && wish.needs.memory_bytes <= machine.free.memory_bytes.max(0)
                && machine.has_things(&wish.needs.generic)
        }
        Reason::Constraints => wish.constraints.iter().all(|c| constraint::holds(c, node)),
        Reason::Platform => wish.platforms.is_empty() || wish.platforms.iter().any(|p| runs(p, &node.description.platform)),
        Reason::HostPort => !wish.ports.iter().any(|port| machine.holds(port)),
        Reason::MaxReplicas => wish.max_replicas == 0 || (machine.count(&wish.service) as u64) < wish.max_replicas,
        Reason::Full => machine.bears() == 0 || (machine.tasks as i64) < machine.bears(),
    }
}

fn runs(wanted: &Platform, is: &Platform) -> bool {
    let arch = constraint::architecture;
    (wanted.os.is_empty() || wanted.os.eq_ignore_ascii_case(&is.os))
        && (wanted.architecture.is_empty() || arch(&wanted.architecture).eq_ignore_ascii_case(arch(&is.architecture)))
}

/// Why how many nodes do not fit.
pub fn count(wish: &Wish, machines: &Machines) -> Vec<(Reason, usize)> {
    let mut counted = std::collections::BTreeMap::<Reason, usize>::new();
    for machine in machines.iter() {
        if let Err(reason) = check(wish, machine) {
            *counted.entry(reason).or_default() += 1;
        }
    }
    counted.into_iter().collect()
}

/// Docker's sentence.
pub fn no_suitable_node(counted: &[(Reason, usize)]) -> String {
    match counted {
        [] => "no suitable node".to_string(),
        some => format!("no suitable node ({})", explain(some)),
    }
}

/// The reasons alone: of a task that was made for one node.
pub fn explain(counted: &[(Reason, usize)]) -> String {
    let part = |(reason, count): &(Reason, usize)| {
        let nodes = if *count == 1 { "1 node".to_string() } else { format!("{count} nodes") };
        match reason {
            Reason::NotReady => format!("{nodes} not available for new tasks"),
            Reason::NoRoom => format!("insufficient resources on {nodes}"),
            Reason::Constraints => format!("scheduling constraints not satisfied on {nodes}"),
            Reason::Platform => format!("unsupported platform on {nodes}"),
            Reason::HostPort => format!("host-mode port already in use on {nodes}"),
            Reason::MaxReplicas => "max replicas per node limit exceed".to_string(),
            Reason::Full => format!("as many tasks as it can bear on {nodes}"),
        }
    };
    counted.iter().map(part).collect::<Vec<_>>().join("; ")
}

/// What a filter says to a node that it keeps out.
pub fn told(reason: Reason, wish: &Wish, machine: &Machine) -> String {
    let node = &machine.node;
    match reason {
        Reason::NotReady if node.status.state != NodeState::Ready => format!("is {}", node.status.state.name()),
        Reason::NotReady => format!("is set to {}", node.spec.availability.name()),
        Reason::NoRoom => {
            let lacks = |wanted: i64, free: i64| (wanted - free.max(0)).max(0);
            let cpus = lacks(wish.needs.nano_cpus, machine.free.nano_cpus) as f64 / 1e9;
            let memory = lacks(wish.needs.memory_bytes, machine.free.memory_bytes);
            let things = generic::counts(&wish.needs.generic).into_iter().filter_map(|(kind, wanted)| {
                let lacking = lacks(wanted, machine.free_things(kind));
                (lacking > 0).then(|| format!("{lacking} {kind}"))
            });
            let parts = [
                (cpus > 0.0).then(|| format!("{cpus} CPUs")),
                (memory > 0).then(|| minidock_base::units::human_bytes(memory as f64)),
            ];
            let parts: Vec<String> = parts.into_iter().flatten().chain(things).collect();
            format!("lacks {} of what is reserved", parts.join(" and "))
        }
        Reason::Constraints => {
            let broken = wish.constraints.iter().filter(|c| !constraint::holds(c, node)).map(ToString::to_string);
            format!("does not meet {}", broken.collect::<Vec<_>>().join(" and "))
        }
        Reason::Platform => {
            let is = &node.description.platform;
            format!("is {}/{}, the image is made for something else", is.os, is.architecture)
        }
        Reason::HostPort => {
            let taken = wish.ports.iter().filter(|p| machine.holds(p));
            let taken: Vec<String> = taken.map(|(protocol, port)| format!("{port}/{protocol}")).collect();
            format!("has {} in use by another task", taken.join(", "))
        }
        Reason::Full => format!("has {} tasks, as many as its machine can bear", machine.tasks),
        Reason::MaxReplicas => {
            format!("runs {} tasks of this service already, the limit per node", machine.count(&wish.service))
        }
    }
}
