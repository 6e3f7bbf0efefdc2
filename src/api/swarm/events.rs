//! # Events of the swarm: each change of a row, in Docker's words
//!
//! Every manager tells its listeners what the tables say: a service was made, a node went down, an update is done. Nobody has to
//! publish anything for that: the store tells each change with the row before and after, and what differs between the two is the
//! event.
//!
//! ```text
//!   Change { before, after } ──► (service, update, {name, replicas.old: 1, replicas.new: 3}) ──► GET /events, scope swarm
//! ```
//!
//! Tasks are no events in Docker: their containers are, on their nodes.
//!
//! *See:* moby `daemon/events.go` (generateClusterEvent). *Next room:* [`super::why`]

use minidock_engine::Engine;
use minidock_spec::swarm::service::Service;
use minidock_swarm::{
    node::Swarm,
    store::{Change, Row},
};
use std::{collections::BTreeMap, pin::pin, sync::Arc};
use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;

/// Publishes what changes in the swarm's tables for as long as the daemon lives and this machine is a manager.
pub async fn follow(swarm: Arc<Swarm>, engine: Arc<Engine>, closing: CancellationToken) {
    closing.run_until_cancelled(follow_on(&swarm, &engine)).await;
}

async fn follow_on(swarm: &Swarm, engine: &Engine) {
    loop {
        let mut turned = pin!(swarm.turned());
        // only what it tells is kept: a manager that has left must be free to go
        let Ok(mut changes) = swarm.manager().map(|manager| manager.watch()) else {
            turned.await;
            continue;
        };
        loop {
            let told = tokio::select! {
                biased; // what a manager said last is told before the next takes its place
                told = changes.recv() => told,
                () = &mut turned => break,
            };
            match told {
                Ok(list) => list.iter().for_each(|change| publish(engine, change)),
                Err(RecvError::Lagged(lost)) => tracing::debug!(lost, "some events of the swarm were not told"),
                Err(RecvError::Closed) => {
                    turned.await;
                    break;
                }
            }
        }
    }
}

fn publish(engine: &Engine, change: &Change) {
    if let Some((kind, action, id, attributes)) = event(change) {
        engine.events.publish_in("swarm", kind, action, &id, attributes);
    }
}

/// What a change is called: kind, action, whose, and what differs.
pub fn event(change: &Change) -> Option<(&'static str, &'static str, String, BTreeMap<String, String>)> {
    let action = match (&change.before, &change.after) {
        (None, Some(_)) => "create",
        (Some(_), Some(_)) => "update",
        (Some(_), None) => "remove",
        (None, None) => return None,
    };
    let row = change.row()?;
    let (kind, name) = match row {
        Row::Service(service) => ("service", service.spec.name.clone()),
        Row::Network(network) => ("network", network.spec.name.clone()),
        Row::Secret(secret) => ("secret", secret.spec.name.clone()),
        Row::Config(config) => ("config", config.spec.name.clone()),
        Row::Node(node) => ("node", node.description.hostname.clone()),
        Row::Task(_) | Row::Cluster(_) => return None,
    };
    let mut attributes = BTreeMap::from([("name".to_string(), name)]);
    if let (Some(before), Some(after)) = (&change.before, &change.after) {
        for ((key, old), (_, new)) in facts(before).into_iter().zip(facts(after)) {
            if old != new {
                attributes.insert(format!("{key}.old"), old);
                attributes.insert(format!("{key}.new"), new);
            }
        }
        attributes.retain(|_, value| !value.is_empty());
    }
    Some((kind, action, row.id().to_string(), attributes))
}

/// The facts of a row whose change is worth a word, always the same ones in the same order.
fn facts(row: &Row) -> Vec<(&'static str, String)> {
    match row {
        Row::Node(node) => vec![
            ("availability", node.spec.availability.name().to_string()),
            ("role", node.spec.role.name().to_string()),
            ("state", node.status.state.name().to_string()),
            ("leader", node.manager_status.as_ref().map(|m| m.leader.to_string()).unwrap_or_default()),
            ("reachability", node.manager_status.as_ref().map(|m| m.reachability.clone()).unwrap_or_default()),
        ],
        Row::Service(service) => vec![
            ("image", image(service)),
            ("replicas", service.spec.mode.replicated.and_then(|r| r.replicas).map(|n| n.to_string()).unwrap_or_default()),
            ("updatestate", service.update_status.as_ref().map(|u| u.state.clone()).unwrap_or_default()),
        ],
        _ => Vec::new(),
    }
}

fn image(service: &Service) -> String {
    service.spec.task_template.container_spec.as_ref().map(|c| c.image.clone()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use minidock_spec::swarm::{
        node::{Node, NodeState},
        service::{ServiceMode, UpdateStatus},
        task::Task,
    };

    fn web(replicas: u64, update: &str) -> Row {
        let mut service = Service { id: "s".into(), ..Service::default() };
        service.spec.name = "web".into();
        service.spec.mode = ServiceMode::replicas(replicas);
        service.update_status = (!update.is_empty()).then(|| UpdateStatus { state: update.into(), ..UpdateStatus::default() });
        service.into()
    }

    fn told(before: Option<Row>, after: Option<Row>) -> (&'static str, &'static str, Vec<String>) {
        let (kind, action, _, attributes) = event(&Change { before, after }).expect("an event");
        (kind, action, attributes.iter().map(|(k, v)| format!("{k}={v}")).collect())
    }

    #[test]
    fn what_differs_between_before_and_after_is_the_event() {
        assert_eq!(told(None, Some(web(1, ""))), ("service", "create", vec!["name=web".into()]));
        assert_eq!(told(Some(web(1, "")), None), ("service", "remove", vec!["name=web".into()]));
        assert_eq!(
            told(Some(web(1, "")), Some(web(3, ""))),
            ("service", "update", vec!["name=web".into(), "replicas.new=3".into(), "replicas.old=1".into()])
        );
        assert_eq!(
            told(Some(web(3, "")), Some(web(3, "updating"))),
            ("service", "update", vec!["name=web".into(), "updatestate.new=updating".into()])
        );
        let node = |state| {
            let mut node = Node { id: "n".into(), ..Node::default() };
            (node.description.hostname, node.status.state) = ("node1".into(), state);
            Some(Row::from(node))
        };
        let down = told(node(NodeState::Ready), node(NodeState::Down));
        assert_eq!(down, ("node", "update", vec!["name=node1".into(), "state.new=down".into(), "state.old=ready".into()]));
    }

    #[test]
    fn tasks_are_no_events() {
        assert!(event(&Change { before: None, after: Some(Task::default().into()) }).is_none());
    }
}
