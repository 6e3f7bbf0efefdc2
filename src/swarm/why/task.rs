//! # Why is this task where it is?
//!
//! A task that waits for a node is asked about node by node, filter by filter. For each node there is a list of changes that would let it in,
//! each with a weight: a label is easily given, a dead machine not easily raised. The node whose list weighs least is the smallest change.
//! On every other rung of the ladder the answer is what the rung waits for.
//!
//! *Next room:* [`super::service`]

use super::{node_name, node_named, seconds, since, task_name, unready_network};
use crate::{
    scheduler::{
        Machines,
        constraint::{self, Constraint},
        filter::{self, Reason, Wish},
        node_info::{Machine, host_ports},
    },
    store::Tables,
};
use jiff::Timestamp;
use minidock_base::units::human_bytes;
use minidock_spec::swarm::{
    generic,
    node::NodeState,
    task::{Task, TaskState},
    why::{FilterWhy, NodeWhy, TaskWhy},
};
use std::sync::Arc;

/// The answer for one task.
pub fn why(tables: &Tables, task: &Arc<Task>, now: Timestamp) -> TaskWhy {
    let mut why = TaskWhy {
        id: task.id.clone(),
        name: task_name(tables, task),
        service: task.service.name.clone(),
        state: task.status.state,
        desired_state: task.desired_state,
        node: if task.node_id.is_empty() { String::new() } else { node_named(tables, &task.node_id) },
        ..TaskWhy::default()
    };
    match task.status.state {
        TaskState::Pending if task.is_wanted() => places(tables, task, &mut why),
        _ => why.verdict = rung(tables, task, now, &mut why.commands),
    }
    why
}

/// Every node's answer, and the smallest change.
fn places(tables: &Tables, task: &Arc<Task>, why: &mut TaskWhy) {
    let (wish, machines) = (Wish::of(task), Machines::of(tables));
    // a global service's task was made for one node
    let asked: Vec<&Machine> = machines.iter().filter(|m| task.node_id.is_empty() || m.node.id == task.node_id).collect();
    let mut best: Option<(u32, Vec<Change>)> = None;
    for machine in &asked {
        let broken: Vec<Reason> = Reason::ALL.into_iter().filter(|r| !filter::passes(*r, &wish, machine)).collect();
        let filters = Reason::ALL.into_iter().map(|reason| FilterWhy {
            filter: reason.filter().into(),
            holds: !broken.contains(&reason),
            why: if broken.contains(&reason) { filter::told(reason, &wish, machine) } else { String::new() },
        });
        why.nodes.push(NodeWhy {
            id: machine.node.id.clone(),
            hostname: node_name(&machine.node).into(),
            fits: broken.is_empty(),
            filters: filters.collect(),
        });
        let changes: Vec<Change> = broken.into_iter().flat_map(|r| changes(r, tables, task, &wish, machine)).collect();
        let weight = changes.iter().map(|c| c.weight).sum();
        if !changes.is_empty() && best.as_ref().is_none_or(|(least, _)| weight < *least) {
            best = Some((weight, changes));
        }
    }
    let fit: Vec<&str> = why.nodes.iter().filter(|n| n.fits).map(|n| n.hostname.as_str()).collect();
    why.verdict = match (&fit[..], asked.is_empty()) {
        (_, true) => "it waits for a node, and there is none".into(),
        ([], _) if task.node_id.is_empty() => format!("none of {} nodes can take it", asked.len()),
        ([], _) => "it was made for one node, and that cannot take it".into(),
        (some, _) => format!("it fits on {}: it is given a node in the next round", some.join(", ")),
    };
    if let (true, Some((_, changes))) = (fit.is_empty(), best) {
        why.change = changes.iter().map(|c| c.what.as_str()).collect::<Vec<_>>().join(", and ");
        why.commands = changes.into_iter().flat_map(|c| c.command).collect();
    }
}

/// Something that would let the task in.
struct Change {
    weight: u32,
    what: String,
    command: Option<String>,
}

impl Change {
    fn new(weight: u32, what: String, command: impl Into<Option<String>>) -> Change {
        Change { weight, what, command: command.into() }
    }
}

/// What would have to change for one filter to let the task onto one node.
fn changes(reason: Reason, tables: &Tables, task: &Task, wish: &Wish, machine: &Machine) -> Vec<Change> {
    let (node, service) = (node_name(&machine.node), task.service.name.as_str());
    match reason {
        Reason::NotReady if machine.node.status.state != NodeState::Ready => {
            vec![Change::new(8, format!("start {node} again"), None)]
        }
        Reason::NotReady => {
            let command = format!("minidock node update --availability active {node}");
            vec![Change::new(1, format!("let {node} take tasks again"), command)]
        }
        Reason::NoRoom => vec![room(wish, machine, node, service)],
        Reason::Constraints => {
            let broken = wish.constraints.iter().filter(|c| !constraint::holds(c, &machine.node));
            broken.map(|c| meet(c, node, service)).collect()
        }
        Reason::Platform => {
            let is = &machine.node.description.platform;
            vec![Change::new(9, format!("use an image for {}/{}", is.os, is.architecture), None)]
        }
        Reason::HostPort => {
            let holder =
                tables.tasks_of_node(&machine.node.id).find(|t| t.occupies() && host_ports(t).any(|p| wish.ports.contains(&p)));
            let whose = holder.map_or_else(|| "another task".into(), |t| task_name(tables, t));
            vec![Change::new(4, format!("publish another port, or end {whose} on {node}"), None)]
        }
        Reason::Full => vec![Change::new(7, format!("add a node, for {node} has as many tasks as it can bear"), None)],
        Reason::MaxReplicas => {
            let more = machine.count(&wish.service) + 1;
            let command = format!("minidock service update --replicas-max-per-node {more} {service}");
            vec![Change::new(4, format!("allow {more} of {service} on {node}, or add a node"), command)]
        }
    }
}

fn room(wish: &Wish, machine: &Machine, node: &str, service: &str) -> Change {
    let (mut words, mut flags) = (Vec::new(), Vec::new());
    let (needs, free) = (&wish.needs, &machine.free);
    if needs.nano_cpus > free.nano_cpus.max(0) {
        let cpus = free.nano_cpus.max(0) as f64 / 1e9;
        words.push(format!("{cpus} CPUs"));
        flags.push(format!("--reserve-cpu {cpus}"));
    }
    if needs.memory_bytes > free.memory_bytes.max(0) {
        // the flag reads whole bytes exactly; a rounded number might not fit
        words.push(human_bytes(free.memory_bytes.max(0) as f64));
        flags.push(format!("--reserve-memory {}", free.memory_bytes.max(0)));
    }
    let free_things = |kind: &str| machine.free_things(kind);
    for (kind, _) in generic::counts(&needs.generic).into_iter().filter(|(kind, wanted)| *wanted > free_things(kind)) {
        words.push(format!("{} {kind}", free_things(kind)));
        flags.push(match free_things(kind) {
            0 => format!("--generic-resource-rm {kind}"),
            free => format!("--generic-resource-add {kind}={free}"),
        });
    }
    let what = format!("reserve at most {} (what is left on {node}), or free some there", words.join(" and "));
    Change::new(3, what, format!("minidock service update {} {service}", flags.join(" ")))
}

/// How a node comes to meet a constraint; where it cannot, the service must drop it.
fn meet(constraint: &Constraint, node: &str, service: &str) -> Change {
    let (key, value) = (constraint.key.to_ascii_lowercase(), &constraint.value);
    let label = key.strip_prefix("node.labels.").and_then(|_| constraint.key.get("node.labels.".len()..));
    match (label, key.as_str(), constraint.equal) {
        (Some(label), _, true) => {
            let command = format!("minidock node update --label-add {label}={value} {node}");
            Change::new(2, format!("give {node} the label {label}={value}"), command)
        }
        (Some(label), _, false) => Change::new(
            2,
            format!("take the label {label} off {node}"),
            format!("minidock node update --label-rm {label} {node}"),
        ),
        (None, "node.role", equal) if value.eq_ignore_ascii_case("manager") || value.eq_ignore_ascii_case("worker") => {
            let manager = equal == value.eq_ignore_ascii_case("manager");
            let verb = if manager { "promote" } else { "demote" };
            Change::new(4, format!("{verb} {node}"), format!("minidock node {verb} {node}"))
        }
        _ => {
            let command = format!("minidock service update --constraint-rm '{constraint}' {service}");
            Change::new(5, format!("drop the constraint {constraint}"), command)
        }
    }
}

/// What the task's rung of the ladder means, and what it waits for.
fn rung(tables: &Tables, task: &Task, now: Timestamp, commands: &mut Vec<String>) -> String {
    let node = node_named(tables, &task.node_id);
    let ago = since(task.status.timestamp, now);
    let why = |text: &str| if text.is_empty() { String::new() } else { format!(": {text}") };
    let lost = tables.node(&task.node_id).is_none_or(|n| n.status.state != NodeState::Ready);
    match task.status.state {
        _ if task.desired_state > TaskState::Complete && !task.status.state.is_over() => {
            let waits = if lost {
                format!("{node} cannot be reached, so nobody knows when it has ended")
            } else {
                format!("{node} ends it")
            };
            format!("it is told to end: {waits}")
        }
        TaskState::New => match tables.service(&task.service_id).and_then(|s| unready_network(tables, s)) {
            Some(network) => format!("it waits for its addresses: {network}"),
            None => "it waits for its addresses: they are given in the next round".into(),
        },
        TaskState::Allocated | TaskState::Pending => "it waits for a node".into(),
        state if state < TaskState::Running && lost => {
            format!("{node} was to run it, and cannot be reached: it is placed elsewhere once that node counts as down")
        }
        TaskState::Ready => match task.not_before {
            Some(at) if at > now => {
                format!("it is prepared on {node} and waits out its restart delay: {} more", seconds(at.duration_since(now)))
            }
            _ => format!("it is prepared on {node} and waits until the task before it has ended"),
        },
        TaskState::Starting => format!("its container was started on {node} {ago} ago and is not healthy yet"),
        state if state < TaskState::Running => format!("{node} is at it ({state}) since {ago}{}", why(&task.status.message)),
        TaskState::Running => {
            commands.push(format!("minidock service logs {}", task.service.name));
            format!("it runs on {node} since {ago}")
        }
        state => {
            commands.push(format!("minidock service ps --no-trunc {}", task.service.name));
            format!("it ended {ago} ago on {node} ({state}){}", why(&task.status.err))
        }
    }
}
