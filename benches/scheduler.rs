//! # The scheduler alone: a hundred thousand tasks onto ten thousand nodes
//!
//! No manager, no agreement, no container: the functions that choose, and what they cost. The nodes have labels, the services ask for some of
//! them, reserve CPUs and memory, and every tenth spreads over racks. Then one more service of one task is placed, with few and with many tasks
//! running: what is there already must not count. At last whole turns of a leader, which note, allocate, choose and write a draft.
//!
//! And SwarmKit's own benchmark, `BenchmarkScheduler…` in its `manager/scheduler`: each task stands alone, so that every one of them is a choice
//! among all nodes; with constraints a third of the nodes has what is wanted. Timed is, there and here, from tasks that wait to tasks that are
//! assigned *and written* into the tables in memory. `SWARMKIT_BENCH=FILE` names their test program (`go test -c ./manager/scheduler`): it is run
//! too, and what we do is said as a multiple of what it does. It takes minutes. On 28 November 2026, a machine of two cores that were now and then
//! compiling too, SwarmKit of August 2026 by go 1.27, four runs of both, tasks a second in the quietest and the ratio in each:
//!
//! ```text
//!   1,000 tasks, 1,000 nodes                      ours 52,800      SwarmKit  3,440    15, 29, 19, 63 x
//!   10,000 tasks, 1,000 nodes                          45,000                2,940    15, 25, 24, 26 x
//!   10,000 tasks, 1,000 nodes, a third fit             73,800                3,150    23, 18, 22, 17 x
//!   100,000 tasks, 5,000 nodes, a third fit            27,400            below 333    above 82 x
//! ```
//!
//! `make bench` runs it; `--json FILE` writes the rows, as measure.py wants them.

use jiff::Timestamp;
use minidock_spec::swarm::{
    cluster::Cluster,
    node::{Node, NodeState, Role},
    service::{ServiceMode, ServiceSpec},
    task::{Amounts, ContainerSpec, Placement, PlacementPreference, ResourceRequirements, Spread, Task, TaskSpec, TaskState},
};
use minidock_swarm::{
    control::{self, Wish},
    dispatcher::heartbeat::Beats,
    manager::turn::{self, Entry, Reports},
    orchestrator::Context,
    round::Dirty,
    scheduler::{self, Machines},
    store::{Action, Batch, Tables},
};
use serde_json::{Value, json};
use std::{process::Command, time::Instant};

const NODES: usize = 10_000;
const TASKS: usize = 100_000;
const OF_A_SERVICE: usize = 100;
const NOW: Timestamp = Timestamp::UNIX_EPOCH;

fn node(number: usize) -> Node {
    let mut node = Node { id: format!("node{number:05}"), ..Node::default() };
    (node.status.state, node.spec.role) = (NodeState::Ready, Role::Worker);
    node.description.resources =
        Amounts { nano_cpus: 64_000_000_000, memory_bytes: 256 << 30, pids: 1000, ..Amounts::default() };
    let labels =
        [("rack", format!("r{}", number % 100)), ("disk", if number.is_multiple_of(2) { "ssd" } else { "hdd" }.into())];
    node.spec.labels = labels.map(|(key, value)| (key.to_string(), value)).into();
    node
}

fn template(service: usize) -> TaskSpec {
    let preference = PlacementPreference { spread: Some(Spread { spread_descriptor: "node.labels.rack".into() }) };
    let placement = Placement {
        constraints: vec!["node.role==worker".into(), "node.labels.disk==ssd".into()],
        preferences: if service.is_multiple_of(10) { vec![preference] } else { Vec::new() },
        ..Placement::default()
    };
    let reservations = Some(Amounts { nano_cpus: 100_000_000, memory_bytes: 64 << 20, ..Amounts::default() });
    TaskSpec {
        container_spec: Some(ContainerSpec { image: "alpine".into(), ..ContainerSpec::default() }),
        placement: Some(placement),
        resources: Some(ResourceRequirements { reservations, limits: None }),
        ..TaskSpec::default()
    }
}

fn task(number: usize) -> Task {
    let service = number / OF_A_SERVICE;
    let mut task = Task {
        id: format!("task{number:06}"),
        service_id: format!("s{service:04}"),
        spec: template(service),
        ..Task::default()
    };
    (task.status.state, task.desired_state) = (TaskState::Pending, TaskState::Running);
    task
}

fn put(tables: &mut Tables, actions: Vec<Action>) {
    tables.apply(1, Batch { at: NOW, actions }).expect("rows that fit");
}

fn waiting(tasks: usize) -> Tables {
    let mut tables = Tables::default();
    let nodes = (0..NODES).map(|n| Action::Put(node(n).into()));
    put(&mut tables, nodes.chain((0..tasks).map(|n| Action::Put(task(n).into()))).collect());
    tables
}

/// Seconds, and what came of it.
fn timed<T>(work: impl FnOnce() -> T) -> (f64, T) {
    let began = Instant::now();
    let made = work();
    (began.elapsed().as_secs_f64(), made)
}

/// The same tables with everything placed; seconds that the placing took.
fn placed(tasks: usize) -> (f64, Tables, Machines) {
    let mut tables = waiting(tasks);
    let (seconds, plan) = timed(|| scheduler::schedule(&tables, &mut Machines::of(&tables), NOW));
    assert_eq!((plan.actions.len(), plan.unplaced), (tasks, 0));
    put(&mut tables, plan.actions);
    let machines = Machines::of(&tables);
    (seconds, tables, machines)
}

/// Milliseconds for one more task of a new service, the median of several; the machines are kept up, as a leader keeps them.
fn one_more(tables: &mut Tables, machines: &mut Machines) -> f64 {
    let mut took = Vec::new();
    for nth in 0..21 {
        let mut one = task(0);
        (one.id, one.service_id) = (format!("more{nth}"), format!("more{nth}"));
        put(tables, vec![Action::Put(one.into())]);
        let (seconds, plan) = timed(|| scheduler::schedule(tables, machines, NOW));
        for change in tables.apply(1, Batch { at: NOW, actions: plan.actions }).expect("a row that fits") {
            machines.note(&change);
        }
        took.push(seconds * 1000.0);
    }
    median(took)
}

fn median(mut took: Vec<f64>) -> f64 {
    took.sort_by(f64::total_cmp);
    took[took.len() / 2]
}

/// Milliseconds for a leader's turn in which one more service is made, given its task and a node; the median of several.
fn a_turn(mut tables: Tables) -> f64 {
    put(&mut tables, vec![Action::Put(Cluster { id: "c".into(), ..Cluster::default() }.into())]);
    let (mut dirty, mut took, mut ids) = (Dirty::default(), Vec::new(), 0);
    for nth in 0..21 {
        let template = template(1);
        let spec = ServiceSpec {
            name: format!("more{nth}"),
            task_template: template,
            mode: ServiceMode::replicas(1),
            ..ServiceSpec::default()
        };
        let wish = Wish::CreateService { spec: Box::new(spec) };
        let (answer, _told) = tokio::sync::oneshot::channel();
        let entry = Entry { decide: Box::new(move |tables, context| control::decide(tables, &wish, context)), answer };
        let mut new_id = || {
            ids += 1;
            format!("id{ids}")
        };
        let mut context = Context { now: NOW, new_id: &mut new_id };
        let beats = Beats::new(NOW);
        let (seconds, turn) = timed(|| turn::take(&tables, vec![entry], &Reports::new(), &beats, &mut dirty, &mut context));
        turn.batches.into_iter().for_each(|actions| put(&mut tables, actions));
        took.push(seconds * 1000.0);
    }
    median(took)
}

/// SwarmKit's benchmark: its name, nodes, tasks.
const OF_SWARMKIT: [(&str, usize, usize); 4] = [
    ("Scheduler1kNodes1kTasks", 1_000, 1_000),
    ("Scheduler1kNodes10kTasks", 1_000, 10_000),
    ("SchedulerConstraints1kNodes10kTasks", 1_000, 10_000),
    ("SchedulerConstraints5kNodes100kTasks", 5_000, 100_000),
];
/// After so many seconds it is not waited for any longer: it is slower than that.
const PATIENCE: u64 = 300;

/// Tasks each second, when each is a service of its own; if `constrained`, for every third node.
fn each_alone(nodes: usize, tasks: usize, constrained: bool) -> f64 {
    let (mut tables, mut rows) = (Tables::default(), Vec::new());
    for number in 0..nodes {
        let mut node = Node { id: format!("node{number:05}"), ..Node::default() };
        node.status.state = NodeState::Ready;
        if number.is_multiple_of(3) {
            node.spec.labels.insert("network".into(), "special".into());
        }
        rows.push(Action::Put(node.into()));
    }
    for number in 0..tasks {
        let id = format!("task{number}");
        let mut task = Task { service_id: format!("service-of-{id}"), id, ..Task::default() };
        if constrained {
            let constraints = vec!["node.labels.network==special".into()];
            task.spec.placement = Some(Placement { constraints, ..Placement::default() });
        }
        (task.status.state, task.desired_state) = (TaskState::Pending, TaskState::Running);
        rows.push(Action::Put(task.into()));
    }
    put(&mut tables, rows);
    let (seconds, ()) = timed(|| {
        let mut machines = Machines::of(&tables);
        let plan = scheduler::schedule(&tables, &mut machines, NOW);
        let batch = Batch { at: NOW, actions: plan.actions };
        tables.apply(1, batch).expect("rows that fit").iter().for_each(|change| machines.note(change));
    });
    assert_eq!(tables.tasks_waiting().count(), 0);
    tasks as f64 / seconds
}

/// The same of SwarmKit, if its test program is here, and what to call it: who does not come to an end does at most so many.
fn of_swarmkit(name: &str, tasks: usize) -> Option<(&'static str, f64)> {
    let program = std::env::var_os("SWARMKIT_BENCH")?;
    let mut command = Command::new("timeout");
    command.arg(PATIENCE.to_string()).arg(program).args(["-test.run", "XXX", "-test.benchtime", "1x", "-test.bench"]);
    let told = command.arg(format!("^Benchmark{name}$")).output().expect("SWARMKIT_BENCH names a program");
    if told.status.code() == Some(124) {
        return Some(("SwarmKit, had it ended by now", tasks as f64 / PATIENCE as f64));
    }
    let told = String::from_utf8_lossy(&told.stdout);
    let words: Vec<&str> = told.split_whitespace().collect();
    let nanoseconds = words.windows(2).find_map(|pair| pair[0].parse::<f64>().ok().filter(|_| pair[1] == "ns/op"));
    Some(("SwarmKit", tasks as f64 / (nanoseconds.expect("it tells its nanoseconds") / 1e9)))
}

fn beside_swarmkit(rows: &mut Rows) {
    for (name, nodes, tasks) in OF_SWARMKIT {
        let constrained = name.contains("Constraints");
        let ours = median((0..3).map(|_| each_alone(nodes, tasks, constrained)).collect());
        let how = if constrained { ", a third of them fit" } else { "" };
        let what = format!("{tasks} tasks, each alone, onto {nodes} nodes{how}");
        rows.row(&what, ours, "/s", of_swarmkit(name, tasks), "10 or more");
    }
}

struct Rows(Vec<Value>);

impl Rows {
    fn row(&mut self, what: &str, value: f64, unit: &str, base: Option<(&str, f64)>, limit: &str) {
        let ratio = base.map(|(_, base)| value / base);
        let against = base.map(|(name, _)| name);
        self.0.push(json!({"what": what, "value": value, "unit": unit, "against": against, "ratio": ratio, "limit": limit}));
        let ratio = base.map(|(name, base)| format!("  {:7.3} x {name}", value / base)).unwrap_or_default();
        println!("{what:<78} {value:10.3} {unit:<6}{ratio}   (limit {limit})");
    }
}

fn main() {
    let mut rows = Rows(Vec::new());
    let (seconds, mut many, mut machines) = placed(TASKS);
    rows.row(&format!("schedule {TASKS} tasks onto {NODES} nodes, with constraints"), seconds, "s", None, "seconds");
    rows.row("... tasks for each second", TASKS as f64 / seconds, "/s", None, "as many as can be");
    let (_, mut few, mut of_few) = placed(TASKS / 100);
    let base = one_more(&mut few, &mut of_few);
    let among_many = one_more(&mut many, &mut machines);
    rows.row("one more task of a new service, among 100 times as many", among_many, "ms", Some(("among few", base)), "about 1");
    let base = a_turn(few);
    rows.row("a leader's whole turn for it, among 100 times as many", a_turn(many), "ms", Some(("among few", base)), "-");
    beside_swarmkit(&mut rows);
    let mut words = std::env::args().skip_while(|word| word != "--json").skip(1);
    if let Some(file) = words.next() {
        std::fs::write(file, Value::Array(rows.0).to_string()).expect("the file can be written");
    }
}
