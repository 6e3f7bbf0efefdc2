//! # Bars: what is shown of a service on its way
//!
//! After `service create` one wants to see it come up. What is there to see is computed here, from the service and its tasks as they are
//! at one moment; [`super::progress`] asks again and again, and draws.
//!
//! ```text
//!   overall progress: 2 out of 3 tasks
//!   1/3: running   [==================================================>]
//!   2/3: running   [==================================================>]
//!   3/3: preparing [=================================>                 ]          no suitable node (…)    when it cannot
//! ```
//!
//! * [`Bars::look`] gives the lines that are new, and whether all is as it shall be.
//!
//! Laws: of two tasks in a slot the one that shall live counts; more than twenty get no bar each, only the sum. Jobs are counted by
//! what is done, in [`super::job_bars`]. *See:* docker/cli `cli/command/service/progress`. *Next room:* [`super::job_bars`]

use super::job_bars;
use minidock_base::id;
use minidock_spec::swarm::{
    service::Service,
    task::{Task, TaskState},
};
use std::collections::{BTreeMap, BTreeSet};

/// More than so many tasks get no line each.
pub const MOST: u64 = 20;

/// One line of the display: an id that keeps its place, words, and perhaps how far of how much.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    pub id: String,
    pub words: String,
    pub bar: Option<(u64, u64)>,
}

/// What was shown so far.
#[derive(Debug, Default)]
pub struct Bars {
    /// Which line belongs to which slot or node.
    places: BTreeMap<String, u64>,
    begun: bool,
    done: bool,
}

impl Line {
    pub fn new(id: impl Into<String>, words: impl Into<String>) -> Line {
        Line { id: id.into(), words: words.into(), bar: None }
    }
}

impl Bars {
    /// What has changed for the eye, and whether the service is as it shall be. `alive`: the nodes that are not down.
    pub fn look(&mut self, service: &Service, tasks: &[Task], alive: &BTreeSet<String>, rollback: bool) -> (bool, Vec<Line>) {
        let mode = &service.spec.mode;
        if mode.is_job() {
            return job_bars::look(service, tasks, &mut self.begun);
        }
        let is_global = mode.is_global();
        let chosen = chosen(tasks, is_global, alive);
        let wanted = if is_global { chosen.len() as u64 } else { mode.wanted() };
        let mut lines = Vec::new();
        if is_global && !self.begun && wanted == 0 {
            return (false, vec![Line::new("overall progress", "waiting for new tasks")]);
        }
        if !self.begun {
            self.begun = true;
            lines.push(overall(0, wanted, rollback));
            if !is_global && wanted <= MOST {
                lines.extend((1..=wanted).map(|n| Line::new(format!("{n}/{wanted}"), " ")));
            }
        }
        if self.done && chosen.values().any(|task| task.status.state != TaskState::Running) {
            self.done = false;
        }
        let mut running = 0;
        for (key, task) in &chosen {
            let next = self.places.len() as u64 + 1;
            let place = *self.places.entry(key.clone()).or_insert(next);
            if is_global && !alive.contains(&task.node_id) {
                continue;
            }
            running += u64::from(task.desired_state <= TaskState::Running && task.status.state == TaskState::Running);
            if !self.done && wanted <= MOST && (is_global || place <= wanted) {
                let name = if is_global { id::short(&task.node_id).to_string() } else { format!("{place}/{wanted}") };
                lines.extend(of_task(name, task, TaskState::Running));
            }
        }
        if !self.done {
            lines.push(overall(running, wanted, rollback));
            self.done = running == wanted;
        }
        (running == wanted, lines)
    }
}

fn overall(running: u64, wanted: u64, rollback: bool) -> Line {
    let back = if rollback { "rolling back update: " } else { "" };
    Line::new("overall progress", format!("{back}{running} out of {wanted} tasks"))
}

/// The line of a task on its way to `last`: how far it is, or what is in its way.
pub fn of_task(name: String, task: &Task, last: TaskState) -> Option<Line> {
    if !task.status.err.is_empty() {
        return Some(Line::new(name, short_error(&task.status.err)));
    }
    let over = |state: TaskState| state > last.max(TaskState::Running);
    if over(task.desired_state) || over(task.status.state) {
        return None;
    }
    let rung = |state: TaskState| TaskState::ALL.iter().position(|s| *s == state).unwrap_or(0) as u64 + 1;
    let bar = Some((rung(task.status.state), rung(last)));
    Some(Line { id: name, words: format!("{:<9}", task.status.state.to_string()), bar })
}

/// One line, and not too long for a narrow terminal.
fn short_error(text: &str) -> String {
    let text = text.replace(['\n', '\r'], " ");
    match text.char_indices().nth(75) {
        Some(_) => text.chars().take(74).chain(['…']).collect(),
        None => text,
    }
}

/// One task for each slot or node: the one with the lowest desired state, then the one that is least far.
fn chosen<'a>(tasks: &'a [Task], by_node: bool, alive: &BTreeSet<String>) -> BTreeMap<String, &'a Task> {
    let mut chosen: BTreeMap<String, &Task> = BTreeMap::new();
    for task in tasks {
        let gone = |state: TaskState| state > TaskState::Rejected;
        let on_dead_node = !by_node && !task.node_id.is_empty() && !alive.contains(&task.node_id);
        if gone(task.desired_state) || gone(task.status.state) || on_dead_node {
            continue;
        }
        let key = if by_node { task.node_id.clone() } else { format!("{:020}", task.slot) };
        let order = |task: &Task| (task.desired_state, task.status.state);
        match chosen.get(&key) {
            Some(other) if order(other) <= order(task) => {}
            _ => {
                chosen.insert(key, task);
            }
        }
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;
    use minidock_spec::swarm::service::{Empty, ServiceMode, ServiceSpec};

    fn service(mode: ServiceMode) -> Service {
        Service { spec: ServiceSpec { mode, ..ServiceSpec::default() }, ..Service::default() }
    }

    fn task(slot: u64, node: &str, state: TaskState, desired: TaskState) -> Task {
        let mut task = Task { slot, node_id: node.into(), desired_state: desired, ..Task::default() };
        task.status.state = state;
        task
    }

    fn said(lines: &[Line]) -> Vec<String> {
        lines.iter().map(|line| format!("{}: {}", line.id, line.words.trim())).collect()
    }

    fn alive(nodes: &[&str]) -> BTreeSet<String> {
        nodes.iter().map(|n| n.to_string()).collect()
    }

    #[test]
    fn few_replicas_have_a_line_each() {
        use TaskState::{Preparing, Running, Shutdown};
        let (web, mut bars, up) = (service(ServiceMode::replicas(2)), Bars::default(), alive(&["n"]));
        let (done, lines) = bars.look(&web, &[], &up, false);
        assert!(!done);
        assert_eq!(said(&lines)[..3], ["overall progress: 0 out of 2 tasks", "1/2: ", "2/2: "]);
        let tasks = [task(7, "n", Running, Running), task(9, "n", Preparing, Running), task(9, "n", Running, Shutdown)];
        let (done, lines) = bars.look(&web, &tasks, &up, true);
        assert!(!done);
        assert_eq!(said(&lines), ["1/2: running", "2/2: preparing", "overall progress: rolling back update: 1 out of 2 tasks"]);
        assert_eq!((lines[0].bar, lines[1].bar), (Some((9, 9)), Some((6, 9))));
        let tasks = [task(7, "n", Running, Running), task(9, "n", Running, Running)];
        assert!(bars.look(&web, &tasks, &up, false).0);
        assert_eq!(bars.look(&web, &tasks, &up, false), (true, vec![]), "what is done is not said again");
        let (done, lines) = bars.look(&web, &tasks[..1], &up, false);
        assert_eq!((done, lines.len()), (false, 0), "a slot between two tasks is no failure yet");
    }

    #[test]
    fn many_replicas_have_the_sum_only_and_a_dead_node_does_not_count() {
        let tasks: Vec<Task> =
            (1..=30).map(|n| task(n, if n > 28 { "dead" } else { "n" }, TaskState::Running, TaskState::Running)).collect();
        let (done, lines) = Bars::default().look(&service(ServiceMode::replicas(30)), &tasks, &alive(&["n"]), false);
        assert!(!done);
        assert_eq!(said(&lines), ["overall progress: 0 out of 30 tasks", "overall progress: 28 out of 30 tasks"]);
    }

    #[test]
    fn what_is_in_the_way_is_said_on_one_line() {
        let mut stuck = task(1, "", TaskState::Pending, TaskState::Running);
        stuck.status.err = format!("no suitable node\n{}", "x".repeat(90));
        let (_, lines) = Bars::default().look(&service(ServiceMode::replicas(1)), &[stuck], &alive(&[]), false);
        assert_eq!(lines[2].words.chars().count(), 75);
        assert!(lines[2].words.starts_with("no suitable node x") && lines[2].words.ends_with('…'));
    }

    #[test]
    fn a_global_service_is_as_large_as_its_nodes() {
        let agent = service(ServiceMode { global: Some(Empty {}), ..ServiceMode::default() });
        let mut bars = Bars::default();
        assert_eq!(said(&bars.look(&agent, &[], &alive(&["a"]), false).1), ["overall progress: waiting for new tasks"]);
        let tasks = [task(0, "aaaaaaaaaaaaaaaaaaaa", TaskState::Running, TaskState::Running)];
        let (done, lines) = bars.look(&agent, &tasks, &alive(&["aaaaaaaaaaaaaaaaaaaa"]), false);
        assert!(done);
        assert_eq!(
            said(&lines),
            ["overall progress: 0 out of 1 tasks", "aaaaaaaaaaaa: running", "overall progress: 1 out of 1 tasks"]
        );
    }
}
