//! # Node info: what is left on each machine
//!
//! What a node has, minus what its tasks reserve. Built from the tables once, then kept up task by task: a task counts from
//! its assignment until it is over ([`TaskState::is_over`]) whatever is wanted of it, for a container that is still being stopped still
//! uses its memory and its port.
//!
//! *See:* swarmkit `manager/scheduler/nodeinfo.go`. *Next room:* [`super::filter`]

use crate::store::Tables;
use jiff::Timestamp;
use minidock_spec::swarm::{
    node::Node,
    task::{Amounts, Task, TaskState},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// Failures of one service on one node within this time count against it.
const MEMORY: i64 = 5 * 60;
/// So many of them, and other nodes are preferred.
pub(crate) const MANY_FAILURES: usize = 5;

/// One machine and what is left of it.
#[derive(Clone, Debug)]
pub struct Machine {
    pub node: Arc<Node>,
    pub free: Amounts,
    pub tasks: usize,
    pub of_service: BTreeMap<String, usize>,
    /// Ports that tasks hold themselves (`mode=host`).
    pub ports: BTreeSet<(String, u32)>,
    /// Lately failed tasks of a service and spec.
    pub failed: BTreeMap<(String, u64), usize>,
}

impl Machine {
    fn new(node: &Arc<Node>) -> Machine {
        Machine {
            node: node.clone(),
            free: node.description.resources,
            tasks: 0,
            of_service: BTreeMap::new(),
            ports: BTreeSet::new(),
            failed: BTreeMap::new(),
        }
    }

    fn add(&mut self, task: &Task) {
        let needs = reserved(task);
        self.free.nano_cpus -= needs.nano_cpus;
        self.free.memory_bytes -= needs.memory_bytes;
        self.tasks += 1;
        *self.of_service.entry(task.service_id.clone()).or_default() += 1;
        self.ports.extend(host_ports(task));
    }

    /// How many tasks it can bear at once, as it says itself; 0: it does not say.
    pub fn bears(&self) -> i64 {
        self.node.description.resources.pids
    }

    /// How many tasks of a service are here.
    pub fn count(&self, service: &str) -> usize {
        self.of_service.get(service).copied().unwrap_or(0)
    }

    /// It has failed this service often lately.
    pub fn is_unlucky(&self, service: &str, spec: u64) -> bool {
        self.failed.get(&(service.to_string(), spec)).is_some_and(|n| *n >= MANY_FAILURES)
    }
}

/// What a task reserves.
pub fn reserved(task: &Task) -> Amounts {
    task.spec.resources.as_ref().and_then(|r| r.reservations).unwrap_or_default()
}

/// The ports a task holds on its node.
pub fn host_ports(task: &Task) -> impl Iterator<Item = (String, u32)> {
    let held = task.endpoint_ports.iter().filter(|p| p.publish_mode == "host" && p.published_port != 0);
    held.map(|p| (p.protocol.clone(), p.published_port))
}

/// All machines of the swarm.
#[derive(Clone, Debug, Default)]
pub struct Machines(BTreeMap<String, Machine>);

impl Machines {
    /// Counts what runs where; failures older than five minutes before `now` are forgotten.
    pub fn of(tables: &Tables, now: Timestamp) -> Machines {
        let mut machines = Machines(tables.nodes().map(|node| (node.id.clone(), Machine::new(node))).collect());
        for task in tables.tasks() {
            let Some(machine) = machines.0.get_mut(&task.node_id) else { continue };
            if task.occupies() {
                machine.add(task);
            }
            let failed = matches!(task.status.state, TaskState::Failed | TaskState::Rejected);
            if failed && task.status.timestamp.is_some_and(|t| now.duration_since(t).as_secs() < MEMORY) {
                *machine.failed.entry((task.service_id.clone(), task.spec_version.index)).or_default() += 1;
            }
        }
        machines
    }

    pub fn get(&self, node: &str) -> Option<&Machine> {
        self.0.get(node)
    }

    pub fn iter(&self) -> impl Iterator<Item = &Machine> {
        self.0.values()
    }

    /// A task was given to a node.
    pub fn take(&mut self, node: &str, task: &Task) {
        if let Some(machine) = self.0.get_mut(node) {
            machine.add(task);
        }
    }
}
