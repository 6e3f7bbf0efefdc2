//! # The orchestrator, in a world that is only tables
//!
//! [`World`] plays allocator, scheduler and node: tasks that are wanted get a node and climb; a test breaks something and looks
//! at what is told. The properties check what must hold whatever happens.

use super::*;
use crate::store::{Batch, Row};
use minidock_spec::swarm::{
    Version,
    node::Node,
    service::{Empty, JobStatus, ReplicatedJob, ServiceMode, UpdateConfig},
    task::{ContainerSpec, RestartPolicy},
};
use proptest::prelude::*;

struct World {
    tables: Tables,
    now: Timestamp,
    ids: u32,
    index: u64,
}

impl World {
    fn new(nodes: &[&str], mode: ServiceMode) -> World {
        let mut world = World { tables: Tables::default(), now: Timestamp::UNIX_EPOCH, ids: 0, index: 0 };
        for id in nodes {
            let mut node = Node { id: id.to_string(), ..Node::default() };
            node.status.state = NodeState::Ready;
            world.put(node.into());
        }
        let mut service = Service { id: "web".into(), ..Service::default() };
        (service.spec.name, service.spec.mode) = ("web".into(), mode);
        if service.spec.mode.is_job() {
            service.job_status = Some(JobStatus::default());
        }
        world.put(service.into());
        world.settle();
        world
    }

    fn put(&mut self, row: Row) {
        self.act(vec![Action::Put(row)]);
    }

    fn act(&mut self, actions: Vec<Action>) {
        self.index += 1;
        self.tables.apply(self.index, Batch { at: self.now, actions }).expect("rows that fit");
    }

    fn service(&mut self, change: impl FnOnce(&mut Service)) {
        let mut service = Service::clone(self.tables.service("web").expect("it is there"));
        change(&mut service);
        self.put(service.into());
    }

    fn node(&mut self, id: &str, change: impl FnOnce(&mut Node)) {
        let mut node = Node::clone(self.tables.node(id).expect("it is there"));
        change(&mut node);
        self.put(node.into());
    }

    fn new_spec(&mut self, image: &str, config: UpdateConfig) {
        self.service(|s| {
            s.previous_spec = Some(s.spec.clone());
            s.spec.task_template.container_spec = Some(ContainerSpec { image: image.into(), ..ContainerSpec::default() });
            s.spec.update_config = Some(config);
            s.spec_version.index += 1;
            s.update_status = None;
        });
    }

    fn reconcile(&mut self) -> Option<Timestamp> {
        let mut ids = self.ids;
        let mut new_id = || {
            ids += 1;
            format!("t{ids:04}")
        };
        let decision = reconcile(&self.tables, "web", &mut Context { now: self.now, new_id: &mut new_id });
        self.ids = ids;
        let wake = decision.wake;
        self.act(decision.actions);
        let services: Vec<String> =
            self.tables.services().map(|s| s.id.clone()).chain(self.tables.tasks().map(|t| t.service_id.clone())).collect();
        let reaped = reaper::reap(&self.tables, &services);
        self.act(reaped);
        wake
    }

    /// One step of every node: who is wanted runs, who is not ends.
    fn nodes(&mut self, image_that_fails: &str) -> bool {
        let mut moved = false;
        let tasks: Vec<Task> = self.tables.tasks().map(|t| Task::clone(t)).collect();
        for mut task in tasks {
            let before = task.clone();
            if task.node_id.is_empty() && task.is_wanted() {
                let nodes: Vec<String> = fit_nodes(&self.tables, self.tables.service("web").expect("it is there"));
                let load = |id: &String| self.tables.tasks_of_node(id).filter(|t| t.occupies()).count();
                let Some(node) = nodes.into_iter().min_by_key(|id| (load(id), id.clone())) else { continue };
                task.node_id = node;
                task.status.state = TaskState::Assigned;
            }
            let alive = self.tables.node(&task.node_id).is_some_and(|n| n.status.state != NodeState::Down);
            if alive && !task.status.state.is_over() {
                let image = task.spec.container_spec.as_ref().map_or("", |c| c.image.as_str());
                task.status.state = match task.desired_state {
                    TaskState::Running | TaskState::Complete if !image_that_fails.is_empty() && image == image_that_fails => {
                        TaskState::Failed
                    }
                    TaskState::Running | TaskState::Complete => TaskState::Running,
                    TaskState::Ready => TaskState::Ready,
                    _ if task.status.state < TaskState::Assigned => task.status.state,
                    _ => TaskState::Shutdown,
                };
            }
            if task != before {
                if task.status.state != before.status.state {
                    task.status.timestamp = Some(self.now);
                }
                moved = true;
                self.put(task.into());
            }
        }
        moved
    }

    /// Until nothing moves any more; time jumps to the next wake-up.
    fn settle_with(&mut self, failing: &str, jumps: usize) {
        for _ in 0..jumps {
            let mut wake = self.reconcile();
            while self.nodes(failing) {
                wake = self.reconcile();
            }
            match wake {
                Some(at) if at > self.now => self.now = at,
                _ => return,
            }
        }
    }

    fn settle(&mut self) {
        self.settle_with("", 200);
    }

    fn running(&self) -> Vec<&Task> {
        self.tables.tasks().filter(|t| t.status.state == TaskState::Running).map(|t| &**t).collect()
    }

    fn image(&self, image: &str) -> usize {
        let has = |t: &&Task| t.spec.container_spec.as_ref().is_some_and(|c| c.image == image);
        self.running().into_iter().filter(has).count()
    }

    fn fail(&mut self, id: &str, state: TaskState) {
        let mut task = Task::clone(self.tables.task(id).expect("it is there"));
        (task.status.state, task.status.timestamp) = (state, Some(self.now));
        self.put(task.into());
    }

    fn first(&self) -> String {
        self.running().first().expect("somebody runs").id.clone()
    }
}

#[test]
fn as_many_run_as_are_wanted_up_and_down() {
    let mut world = World::new(&["a", "b", "c"], ServiceMode::replicas(2));
    for count in [2, 7, 3, 0, 1] {
        world.service(|s| s.spec.mode = ServiceMode::replicas(count));
        world.settle();
        assert_eq!(world.running().len() as u64, count);
    }
}

#[test]
fn scaling_down_takes_from_the_node_with_most() {
    let mut world = World::new(&["a", "b"], ServiceMode::replicas(3));
    world.service(|s| s.spec.mode = ServiceMode::replicas(2));
    world.settle();
    let nodes: std::collections::BTreeSet<&str> = world.running().iter().map(|t| t.node_id.as_str()).collect();
    assert_eq!(nodes.len(), 2);
}

#[test]
fn a_task_that_ends_is_replaced_in_its_slot_after_the_delay() {
    let mut world = World::new(&["a"], ServiceMode::replicas(1));
    let (old, began) = (world.first(), world.now);
    world.fail(&old, TaskState::Failed);
    world.reconcile();
    let next = world.tables.tasks().find(|t| t.is_wanted()).expect("a successor").clone();
    assert_eq!((next.slot, next.desired_state), (1, TaskState::Ready));
    world.settle();
    assert_eq!(world.now.duration_since(began).as_secs(), 5);
    assert_ne!(world.first(), old);
}

#[test]
fn the_restart_condition_and_the_attempts_are_kept() {
    for (condition, attempts, end, runs) in [
        ("any", 0, TaskState::Complete, 1),
        ("on-failure", 0, TaskState::Complete, 0),
        ("on-failure", 0, TaskState::Failed, 1),
        ("none", 0, TaskState::Failed, 0),
        ("any", 2, TaskState::Failed, 1),
    ] {
        let mut world = World::new(&["a"], ServiceMode::replicas(1));
        world.service(|s| {
            let policy = RestartPolicy { condition: condition.into(), max_attempts: attempts, ..RestartPolicy::default() };
            s.spec.task_template.restart_policy = Some(policy);
            s.spec_version.index += 1;
        });
        world.settle();
        let id = world.first();
        world.fail(&id, end);
        world.settle();
        assert_eq!(world.running().len(), runs, "{condition} after {end}");
        if attempts > 0 {
            for _ in 0..attempts {
                let id = world.running().first().map(|t| t.id.clone());
                id.into_iter().for_each(|id| world.fail(&id, end));
                world.settle();
            }
            assert_eq!(world.running().len(), 0, "no more than {attempts} attempts");
        }
    }
}

#[test]
fn tasks_of_a_dead_or_drained_node_run_elsewhere() {
    let mut world = World::new(&["a", "b"], ServiceMode::replicas(4));
    world.node("a", |n| n.status.state = NodeState::Down);
    world.settle();
    let on_b = world.tables.tasks().filter(|t| t.is_wanted() && t.node_id == "b").count();
    assert_eq!(on_b, 4);
    world.node("a", |n| n.status.state = NodeState::Ready);
    world.settle();
    assert_eq!(world.running().len(), 4, "what came back with the node is told to end");
    let before = world.now;
    world.node("b", |n| n.spec.availability = Availability::Drain);
    world.settle();
    assert!(world.running().iter().all(|t| t.node_id == "a"));
    assert_eq!(world.now, before, "a drained node's tasks do not wait");
}

#[test]
fn a_global_service_follows_the_nodes() {
    let mut world = World::new(&["a", "b", "c"], ServiceMode { global: Some(Empty {}), ..ServiceMode::default() });
    assert_eq!(world.running().len(), 3);
    world.node("b", |n| n.spec.availability = Availability::Drain);
    world.settle();
    assert_eq!(world.running().len(), 2);
    world.node("b", |n| n.spec.availability = Availability::Active);
    world.settle();
    assert_eq!(world.running().len(), 3);
}

#[test]
fn an_update_renews_as_many_at_once_as_it_may() {
    for (order, parallelism) in [("stop-first", 1), ("stop-first", 2), ("start-first", 1), ("stop-first", 0)] {
        let mut world = World::new(&["a", "b"], ServiceMode::replicas(4));
        world.new_spec("v2", UpdateConfig { parallelism, order: order.into(), ..UpdateConfig::default() });
        let mut least = 4;
        let mut most = 4;
        for _ in 0..100 {
            let wake = world.reconcile();
            let wanted =
                world.tables.tasks().filter(|t| t.desired_state == TaskState::Running && !t.status.state.is_over()).count();
            (least, most) = (least.min(wanted), most.max(wanted));
            if !world.nodes("") {
                match wake {
                    Some(at) if at > world.now => world.now = at,
                    _ => break,
                }
            }
        }
        assert_eq!(world.image("v2"), 4, "{order} {parallelism}");
        let allowed = if parallelism == 0 { 4 } else { parallelism as usize };
        match order {
            "stop-first" => assert!(least >= 4 - allowed && most == 4, "{order} {parallelism}: {least} {most}"),
            _ => assert!(least == 4 && most <= 4 + allowed, "{order} {parallelism}: {least} {most}"),
        }
        let status = world.tables.service("web").and_then(|s| s.update_status.clone()).expect("a status");
        assert_eq!((status.state.as_str(), status.message.as_str()), ("completed", "update completed"));
    }
}

#[test]
fn a_bad_update_pauses_or_rolls_back_by_itself() {
    for (action, state, old) in [("pause", "paused", 3), ("rollback", "rollback_completed", 4)] {
        let mut world = World::new(&["a", "b"], ServiceMode::replicas(4));
        world.new_spec("v1", UpdateConfig { parallelism: 0, ..UpdateConfig::default() });
        world.settle();
        world.new_spec("bad", UpdateConfig { failure_action: action.into(), ..UpdateConfig::default() });
        world.settle_with("bad", 40);
        let status = world.tables.service("web").and_then(|s| s.update_status.clone()).expect("a status");
        assert_eq!(status.state, state, "{action}: {}", status.message);
        assert_eq!(world.image("v1"), old, "{action}");
        // as in SwarmKit: from where one has gone back by oneself nothing leads to what failed
        let previous = world.tables.service("web").and_then(|s| s.previous_spec.clone());
        assert_eq!(previous.is_some(), action == "pause", "{action}");
    }
}

#[test]
fn a_place_that_fails_holds_up_no_other_and_the_ratio_decides() {
    // one of four may fail: the second one is one too many; with `continue` all are renewed, and it is over
    let cases = [("rollback", 0.25, "rollback_completed", 4), ("pause", 0.25, "paused", 2), ("continue", 0.0, "completed", 0)];
    for (action, max_failure_ratio, state, old) in cases {
        let mut world = World::new(&["a", "b"], ServiceMode::replicas(4));
        world.new_spec("v1", UpdateConfig { parallelism: 0, ..UpdateConfig::default() });
        world.settle();
        let config =
            UpdateConfig { parallelism: 1, failure_action: action.into(), max_failure_ratio, ..UpdateConfig::default() };
        world.new_spec("bad", config);
        world.settle_with("bad", 40);
        let status = world.tables.service("web").and_then(|s| s.update_status.clone()).expect("a status");
        assert_eq!((status.state.as_str(), world.image("v1")), (state, old), "{action}: {}", status.message);
    }
}

#[test]
fn a_job_runs_to_its_completions_and_not_more_at_once_than_allowed() {
    let job = ReplicatedJob { max_concurrent: Some(2), total_completions: Some(5) };
    let mut world = World::new(&["a", "b"], ServiceMode { replicated_job: Some(job), ..ServiceMode::default() });
    let mut completed = 0;
    while let Some(id) = world.running().first().map(|t| t.id.clone()) {
        assert!(world.running().len() <= 2);
        world.fail(&id, TaskState::Complete);
        completed += 1;
        world.settle();
    }
    assert_eq!(completed, 5);
    world.service(|s| s.job_status = Some(JobStatus { job_iteration: Version { index: 1 }, last_execution: None }));
    world.settle();
    assert_eq!(world.running().len(), 2, "a new iteration begins again");
}

#[test]
fn a_job_on_a_node_that_is_lost_is_done_elsewhere_and_not_twice() {
    let job = ReplicatedJob { max_concurrent: Some(1), total_completions: Some(1) };
    let mut world = World::new(&["a", "b"], ServiceMode { replicated_job: Some(job), ..ServiceMode::default() });
    let (first, lost) = (world.first(), world.running()[0].node_id.clone());
    world.node(&lost, |n| n.status.state = NodeState::Down);
    world.settle();
    let second = world.tables.tasks().find(|t| t.id != first && t.is_wanted()).expect("another").id.clone();
    world.fail(&second, TaskState::Complete);
    world.node(&lost, |n| n.status.state = NodeState::Ready);
    world.settle();
    assert!(world.running().is_empty(), "what came back with the node is told to end");
}

#[test]
fn a_job_that_fails_is_tried_as_often_as_asked_and_its_history_is_kept() {
    let job = ReplicatedJob { max_concurrent: Some(1), total_completions: Some(1) };
    let mut world = World::new(&["a"], ServiceMode { replicated_job: Some(job), ..ServiceMode::default() });
    world
        .service(|s| s.spec.task_template.restart_policy = Some(RestartPolicy { max_attempts: 2, ..RestartPolicy::default() }));
    while let Some(id) = world.running().first().map(|t| t.id.clone()) {
        world.fail(&id, TaskState::Failed);
        world.settle();
    }
    let failed = world.tables.tasks().filter(|t| t.status.state == TaskState::Failed && t.desired_state == TaskState::Shutdown);
    assert_eq!(failed.count(), 3);
    for iteration in 1..20 {
        world.service(|s| s.job_status = Some(JobStatus { job_iteration: Version { index: iteration }, last_execution: None }));
        world.settle();
        let id = world.first();
        world.fail(&id, TaskState::Complete);
        world.settle();
    }
    assert_eq!(world.tables.tasks().count(), 5, "as many as the history keeps");
}

#[test]
fn a_removed_service_takes_its_tasks_along() {
    let mut world = World::new(&["a"], ServiceMode::replicas(3));
    world.act(vec![Action::Delete(crate::store::Table::Service, "web".into())]);
    world.reconcile();
    let mut left: Vec<Task> = world.tables.tasks().map(|t| Task::clone(t)).collect();
    assert!(left.iter().all(|t| t.desired_state == TaskState::Remove));
    for task in &mut left {
        (task.status.state, task.status.timestamp) = (TaskState::Shutdown, Some(world.now));
        world.put(task.clone().into());
    }
    world.reconcile();
    assert_eq!(world.tables.tasks().count(), 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn whatever_happens_there_are_never_more_than_wanted_and_in_the_end_just_as_many(
        steps in prop::collection::vec((0u8..6, 0u64..8, 0usize..3), 1..12),
    ) {
        let mut world = World::new(&["a", "b", "c"], ServiceMode::replicas(3));
        let mut wanted = 3;
        for (kind, count, which) in steps {
            let node = ["a", "b", "c"][which];
            match kind {
                0 => {
                    wanted = count;
                    world.service(|s| s.spec.mode = ServiceMode::replicas(count));
                }
                1 if world.tables.nodes().filter(|n| n.status.state == NodeState::Ready).count() > 1 => {
                    world.node(node, |n| n.status.state = NodeState::Down);
                }
                2 => world.node(node, |n| n.status.state = NodeState::Ready),
                3 => {
                    let id = world.running().get(which).map(|t| t.id.clone());
                    id.into_iter().for_each(|id| world.fail(&id, TaskState::Failed));
                }
                4 => world.new_spec(&format!("v{count}"), UpdateConfig { parallelism: count, ..UpdateConfig::default() }),
                _ => {
                    world.reconcile();
                    world.nodes("");
                }
            }
            world.reconcile();
            let told = world.tables.tasks().filter(|t| t.desired_state == TaskState::Running && !t.status.state.is_over()
                && world.tables.node(&t.node_id).is_none_or(|n| n.status.state == NodeState::Ready)).count() as u64;
            prop_assert!(told <= wanted, "{} are told to run, {} wanted", told, wanted);
        }
        for node in ["a", "b", "c"] {
            world.node(node, |n| n.status.state = NodeState::Ready);
        }
        world.settle();
        prop_assert_eq!(world.running().len() as u64, wanted);
    }
}

#[test]
fn one_that_cannot_be_prepared_while_it_waits_is_replaced_when_its_turn_would_come() {
    let mut world = World::new(&["n"], ServiceMode::replicas(1));
    let reject = |world: &mut World| {
        let tasks: Vec<Task> = world.tables.tasks().filter(|t| !t.status.state.is_over()).map(|t| Task::clone(t)).collect();
        for mut task in tasks {
            task.status.state = TaskState::Rejected;
            world.put(task.into());
        }
    };
    reject(&mut world);
    world.reconcile();
    assert_eq!(world.tables.tasks().count(), 2);
    reject(&mut world);
    let turn = world.reconcile().expect("a time to look again");
    assert_eq!((world.tables.tasks().count(), turn.duration_since(world.now).as_secs()), (2, 5));
    world.now = turn;
    world.reconcile();
    assert_eq!(world.tables.tasks().count(), 3);
}
