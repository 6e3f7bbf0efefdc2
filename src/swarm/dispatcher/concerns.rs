//! # Whom a change concerns
//!
//! A thousand tasks on a hundred nodes change their status all the time. If each change made each node's view anew, a leader would do
//! nothing else. So it is asked first whether a change can alter what a node is told; a wrong *yes* costs some time, a wrong *no*
//! would leave a node in ignorance.
//!
//! And a status that changes is no news to the node that has reported it: [`is_news`].
//!
//! *Next room:* [`super`]

use super::View;
use crate::store::{Change, Row};
use minidock_spec::swarm::{
    service::Service,
    task::{Task, TaskState},
};
use std::sync::Arc;

/// Can `change` alter what `node` is told, who was last told `told`?
pub fn concerns(change: &Change, node: &str, told: &View) -> bool {
    match (&change.before, &change.after) {
        (Some(Row::Task(before)), Some(Row::Task(after))) => {
            let own = before.node_id == node || after.node_id == node;
            (own && is_news(before, after)) || (others_see(before, after) && shares(after, told))
        }
        (Some(Row::Task(task)), None) | (None, Some(Row::Task(task))) => task.node_id == node || shares(task, told),
        (Some(Row::Service(before)), Some(Row::Service(after))) => names_lead_elsewhere(before, after),
        (Some(Row::Node(before)), Some(Row::Node(after))) => {
            let elsewhere = before.status.data_path() != after.status.data_path();
            after.id == node || elsewhere || before.raft_id != after.raft_id
        }
        _ => true,
    }
}

/// What a node must be told of its own task: not that its status is what the node has said. That it is over, yes: a manager may
/// have decided that.
pub fn is_news(before: &Arc<Task>, after: &Arc<Task>) -> bool {
    if Arc::ptr_eq(before, after) {
        return false;
    }
    before.desired_state != after.desired_state
        || before.status.state.is_over() != after.status.state.is_over()
        || (before.status.state < TaskState::Assigned) != (after.status.state < TaskState::Assigned)
        || before.node_id != after.node_id
        || before.networks != after.networks
        || before.endpoint_ports != after.endpoint_ports
        || before.service != after.service
        || before.spec != after.spec
}

/// Others on its networks see whether it is there, and whether it takes connections.
fn others_see(before: &Task, after: &Task) -> bool {
    let seen = |t: &Task| {
        let there = t.status.state >= TaskState::Ready && !t.status.state.is_over();
        (there, t.status.state == TaskState::Running && t.is_wanted(), t.networks.len(), t.node_id.clone())
    };
    seen(before) != seen(after)
}

/// It is on a network that the node knows, or behind a port of the mesh, which every node knows.
fn shares(task: &Task, told: &View) -> bool {
    let on_mesh = || task.endpoint_ports.iter().any(|p| p.publish_mode != "host");
    task.networks.iter().any(|n| told.networks.contains_key(&n.network.id)) || on_mesh()
}

fn names_lead_elsewhere(before: &Service, after: &Service) -> bool {
    before.endpoint != after.endpoint
        || before.spec.networks != after.spec.networks
        || before.spec.task_template.networks != after.spec.task_template.networks
        || before.spec.name != after.spec.name
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Action, Batch, Tables};
    use minidock_spec::swarm::{
        network::Network,
        node::Node,
        service::EndpointPort,
        task::{NetworkAttachment, TaskSpec},
    };
    use proptest::prelude::*;

    fn task(id: usize, state: usize, wanted: usize, node: usize, network: usize, port: bool) -> Task {
        let mut task = Task { id: format!("t{id}"), service_id: "s".into(), ..Task::default() };
        (task.status.state, task.desired_state) = (TaskState::ALL[state % 15], TaskState::ALL[wanted % 15]);
        if task.status.state >= TaskState::Assigned {
            task.node_id = format!("n{}", node % 3);
        }
        task.spec = TaskSpec { force_update: (wanted % 2) as u64, ..TaskSpec::default() };
        if network > 0 {
            let number = network;
            let network = Network { id: format!("net{number}"), ..Network::default() };
            task.networks.push(NetworkAttachment {
                network,
                addresses: vec![format!("10.0.{number}.{id}/24")],
                aliases: vec![],
            });
        }
        if port {
            task.endpoint_ports.push(EndpointPort { publish_mode: "ingress".into(), ..EndpointPort::default() });
        }
        task
    }

    fn world() -> Tables {
        let mut tables = Tables::default();
        let nodes = (0..3).map(|n| Row::from(Node { id: format!("n{n}"), ..Node::default() }));
        let networks = (1..3).map(|n| Row::from(Network { id: format!("net{n}"), ..Network::default() }));
        let mut service = Service { id: "s".into(), ..Service::default() };
        service.spec.name = "web".into();
        let attached =
            |n: u32| minidock_spec::swarm::task::NetworkAttachmentConfig { target: format!("net{n}"), ..Default::default() };
        service.spec.task_template.networks = vec![attached(1), attached(2)];
        let rows = nodes.chain(networks).chain([Row::from(service)]).map(Action::Put).collect();
        tables.apply(1, Batch { at: jiff::Timestamp::UNIX_EPOCH, actions: rows }).expect("new rows");
        tables
    }

    proptest! {
        /// Nodes are told by difference, and only of what concerns them; in the end each knows what it would be told afresh,
        /// but for statuses that it has reported itself.
        #[test]
        fn whoever_is_told_only_what_concerns_it_knows_all_that_concerns_it(
            steps in prop::collection::vec((0..6usize, 0..15usize, 0..15usize, 0..3usize, 0..3usize, any::<bool>()), 1..60)
        ) {
            let mut tables = world();
            let mut told: Vec<View> = (0..3).map(|n| crate::dispatcher::view(&tables, &format!("n{n}"))).collect();
            for (index, (id, state, wanted, node, network, port)) in steps.into_iter().enumerate() {
                let mut task = task(id, state, wanted, node, network, port);
                let old = tables.task(&task.id).cloned();
                task.version = old.as_ref().map_or_else(Default::default, |t| t.version);
                if let Some(old) = old.filter(|t| !t.node_id.is_empty()) {
                    // what a task is made of does not change once it has a node
                    (task.node_id, task.networks) = (old.node_id.clone(), old.networks.clone());
                    task.endpoint_ports = old.endpoint_ports.clone();
                }
                let batch = Batch { at: jiff::Timestamp::UNIX_EPOCH, actions: vec![Action::Put(task.into())] };
                let changes = tables.apply(index as u64 + 2, batch).expect("the version that was read");
                for (n, told) in told.iter_mut().enumerate() {
                    let id = format!("n{n}");
                    let now = crate::dispatcher::view(&tables, &id);
                    if changes.iter().any(|change| concerns(change, &id, told)) && let Some(delta) = now.since(told) {
                        told.apply(delta);
                    }
                    prop_assert_eq!(&told.networks, &now.networks);
                    prop_assert_eq!(told.tasks.keys().collect::<Vec<_>>(), now.tasks.keys().collect::<Vec<_>>());
                    for (id, task) in &now.tasks {
                        prop_assert!(!is_news(&told.tasks[id], task), "{:?}\n{:?}", told.tasks[id], task);
                    }
                }
            }
        }
    }
}
