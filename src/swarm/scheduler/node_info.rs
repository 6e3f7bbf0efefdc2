//! # Node info: what is left on each machine
//!
//! What a node has, minus what its tasks reserve. Built from the tables once, then kept up change by change ([`Machines::note`]), so that
//! one more task costs the same however many run already. A task counts from its assignment until it is over
//! ([`TaskState::is_over`]) whatever is wanted of it, for a container that is still being stopped still uses its memory and its port. When
//! nodes are compared, one that was told to end counts no more: after an update of all tasks at once they are spread as evenly as before.
//!
//! Laws: kept up by changes or made of the tables anew, it is the same. *See:* swarmkit `manager/scheduler/nodeinfo.go`.
//! *Next room:* [`super::filter`]

use super::generic::Given;
use crate::store::{Change, Row, Tables};
use jiff::Timestamp;
use minidock_spec::swarm::{
    generic::GenericResource,
    node::Node,
    task::{Amounts, Task, TaskState},
};
use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

/// Failures of one service on one node within this time count against it.
const MEMORY: i64 = 5 * 60;
/// So many of them, and other nodes are preferred.
pub(crate) const MANY_FAILURES: usize = 5;

/// One machine and what is left of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Machine {
    pub node: Arc<Node>,
    /// CPUs and memory that are left; may be less than nothing.
    pub free: Amounts,
    /// What only some machines have, and tasks of this one have been given.
    given: Given,
    /// Tasks whose containers are here, or will be.
    pub tasks: usize,
    /// Those of them that nobody has told to end: by these nodes are compared.
    pub lasting: usize,
    /// And of these, how many are each service's.
    of_service: BTreeMap<String, usize>,
    /// Ports that tasks hold themselves (`mode=host`), and how many hold each.
    ports: BTreeMap<(String, u32), usize>,
    /// When tasks of a service and spec have failed here, as long as they are remembered.
    failed: BTreeMap<(String, u64), BTreeMap<String, Timestamp>>,
}

impl Machine {
    fn new(node: &Arc<Node>) -> Machine {
        Machine {
            node: node.clone(),
            free: Amounts { generic: Vec::new(), ..node.description.resources.clone() },
            given: Given::default(),
            tasks: 0,
            lasting: 0,
            of_service: BTreeMap::new(),
            ports: BTreeMap::new(),
            failed: BTreeMap::new(),
        }
    }

    /// The node says something else of itself.
    fn turn_into(&mut self, node: &Arc<Node>) {
        let (has, had) = (&node.description.resources, &self.node.description.resources);
        self.free.nano_cpus += has.nano_cpus - had.nano_cpus;
        self.free.memory_bytes += has.memory_bytes - had.memory_bytes;
        self.free.pids = has.pids;
        self.node = node.clone();
    }

    fn add(&mut self, task: &Task) {
        let needs = reserved(task);
        self.free.nano_cpus -= needs.nano_cpus;
        self.free.memory_bytes -= needs.memory_bytes;
        self.given.count(&task.generic_resources, true);
        self.tasks += 1;
        if task.is_wanted() {
            self.lasting += 1;
            *self.of_service.entry(task.service_id.clone()).or_default() += 1;
        }
        host_ports(task).for_each(|port| *self.ports.entry(port).or_default() += 1);
    }

    fn remove(&mut self, task: &Task) {
        let needs = reserved(task);
        self.free.nano_cpus += needs.nano_cpus;
        self.free.memory_bytes += needs.memory_bytes;
        self.given.count(&task.generic_resources, false);
        self.tasks = self.tasks.saturating_sub(1);
        if task.is_wanted() {
            self.lasting = self.lasting.saturating_sub(1);
            less(&mut self.of_service, &task.service_id, 1);
        }
        host_ports(task).for_each(|port| less(&mut self.ports, &port, 1));
    }

    /// What a task is to this machine: `is_there`, from now on, or not any more.
    fn count_task(&mut self, task: &Task, is_there: bool) {
        match (task.occupies(), is_there) {
            (true, true) => self.add(task),
            (true, false) => self.remove(task),
            (false, _) => {}
        }
        let Some(at) = failure(task) else { return };
        let which = (task.service_id.clone(), task.spec_version.index);
        let remembered = self.failed.entry(which.clone()).or_default();
        match is_there {
            true => drop(remembered.insert(task.id.clone(), at)),
            false => drop(remembered.remove(&task.id)),
        }
        if remembered.is_empty() {
            self.failed.remove(&which);
        }
    }

    /// How many tasks it can bear at once, as it says itself; 0: it does not say.
    pub fn bears(&self) -> i64 {
        self.node.description.resources.pids
    }

    /// Is there enough of what only some machines have?
    pub fn has_things(&self, needs: &[GenericResource]) -> bool {
        self.given.leaves(&self.node.description.resources.generic, needs)
    }

    /// How many of such a kind are left.
    pub fn free_things(&self, kind: &str) -> i64 {
        self.given.free(&self.node.description.resources.generic, kind)
    }

    /// Which of them a task with these needs is to have.
    pub fn choose_things(&self, needs: &[GenericResource]) -> Vec<GenericResource> {
        self.given.choose(&self.node.description.resources.generic, needs)
    }

    /// How many tasks of a service are here that nobody has told to end.
    pub fn count(&self, service: &str) -> usize {
        self.of_service.get(service).copied().unwrap_or(0)
    }

    /// A task holds this port here.
    pub fn holds(&self, port: &(String, u32)) -> bool {
        self.ports.contains_key(port)
    }

    /// It has failed this service often lately.
    pub fn is_unlucky(&self, service: &str, spec: u64, now: Timestamp) -> bool {
        if self.failed.is_empty() {
            return false;
        }
        let lately = |at: &&Timestamp| now.duration_since(**at).as_secs() < MEMORY;
        let all = self.failed.get(&(service.to_string(), spec));
        all.is_some_and(|all| all.values().filter(lately).count() >= MANY_FAILURES)
    }
}

fn less<K: Ord>(counts: &mut BTreeMap<K, usize>, key: &K, by: usize) {
    let Some(count) = counts.get_mut(key) else { return };
    *count = count.saturating_sub(by);
    if *count == 0 {
        counts.remove(key);
    }
}

fn failure(task: &Task) -> Option<Timestamp> {
    matches!(task.status.state, TaskState::Failed | TaskState::Rejected).then_some(task.status.timestamp).flatten()
}

/// What a task reserves.
pub fn reserved(task: &Task) -> &Amounts {
    static NOTHING: Amounts = Amounts { nano_cpus: 0, memory_bytes: 0, pids: 0, generic: Vec::new() };
    task.spec.resources.as_ref().and_then(|r| r.reservations.as_ref()).unwrap_or(&NOTHING)
}

/// The ports a task holds on its node.
pub fn host_ports(task: &Task) -> impl Iterator<Item = (String, u32)> {
    let held = task.endpoint_ports.iter().filter(|p| p.publish_mode == "host" && p.published_port != 0);
    held.map(|p| (p.protocol.clone(), p.published_port))
}

/// All machines of the swarm.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Machines {
    /// In order of ID; while no node comes or goes, each is known by its place here.
    all: Vec<Machine>,
    /// How many tasks of a service there are on all of them that nobody has told to end.
    of_service: HashMap<String, usize>,
}

impl Machines {
    /// Counts what runs where.
    pub fn of(tables: &Tables) -> Machines {
        let mut machines = Machines { all: tables.nodes().map(Machine::new).collect(), of_service: HashMap::new() };
        for task in tables.tasks() {
            machines.count_task(task, true);
        }
        machines
    }

    /// Takes in one change of the tables; all must be, in order.
    pub fn note(&mut self, change: &Change) {
        match (&change.before, &change.after) {
            (_, Some(Row::Node(node))) => match self.find(&node.id) {
                Ok(at) => self.all[at].turn_into(node),
                Err(at) => self.all.insert(at, Machine::new(node)),
            },
            (Some(Row::Node(node)), None) => {
                let gone = self.find(&node.id).ok().map(|at| self.all.remove(at).of_service);
                gone.into_iter().flatten().for_each(|(service, count)| self.fewer(&service, count));
            }
            (before, after) => {
                if let Some(Row::Task(task)) = before {
                    self.count_task(task, false);
                }
                if let Some(Row::Task(task)) = after {
                    self.count_task(task, true);
                }
            }
        }
    }

    fn count_task(&mut self, task: &Task, is_there: bool) {
        if let Ok(at) = self.find(&task.node_id) {
            self.count_task_at(at, task, is_there);
        }
    }

    fn count_task_at(&mut self, at: usize, task: &Task, is_there: bool) {
        self.all[at].count_task(task, is_there);
        match (task.occupies() && task.is_wanted(), is_there) {
            (true, true) => *self.of_service.entry(task.service_id.clone()).or_default() += 1,
            (true, false) => self.fewer(&task.service_id, 1),
            (false, _) => {}
        }
    }

    fn fewer(&mut self, service: &str, by: usize) {
        let Some(count) = self.of_service.get_mut(service) else { return };
        *count = count.saturating_sub(by);
        if *count == 0 {
            self.of_service.remove(service);
        }
    }

    /// Where it stands, or would.
    fn find(&self, node: &str) -> Result<usize, usize> {
        if node.is_empty() {
            return Err(0); // most tasks that change have no node yet
        }
        self.all.binary_search_by(|machine| machine.node.id.as_str().cmp(node))
    }

    /// Some machine has a task of this service that nobody has told to end.
    pub fn have(&self, service: &str) -> bool {
        self.of_service.contains_key(service)
    }

    /// The place of a node in the order of IDs.
    pub fn place(&self, node: &str) -> Option<usize> {
        self.find(node).ok()
    }

    /// The machine at such a place.
    pub fn at(&self, place: usize) -> &Machine {
        &self.all[place]
    }

    /// All, in order of ID.
    pub fn iter(&self) -> impl Iterator<Item = &Machine> {
        self.all.iter()
    }

    /// A task was given to the node at this place.
    pub fn take(&mut self, place: usize, task: &Task) {
        self.count_task_at(place, task, true);
    }

    /// That was only an intention: it counts when it is written.
    pub fn give_back(&mut self, task: &Task) {
        self.count_task(task, false);
    }
}
