//! # A new task
//!
//! Made of its service's spec as it is now, with what the container must know of the service (its name, labels, addresses), so
//! that a node needs nothing but the task.
//!
//! *See:* swarmkit `manager/orchestrator/task.go`. *Next room:* [`super::update`]

use super::{Context, place::Place};
use jiff::Timestamp;
use minidock_spec::swarm::{
    service::Service,
    task::{ServiceFacts, Task, TaskState},
};

/// A task for a place, wanted on `desired`, not to be started before `not_before`.
pub fn make(
    service: &Service,
    place: &Place,
    desired: TaskState,
    not_before: Option<Timestamp>,
    context: &mut Context,
) -> (Place, Task) {
    let mut task = Task {
        id: (context.new_id)(),
        created_at: Some(context.now),
        spec: service.spec.task_template.clone(),
        service_id: service.id.clone(),
        desired_state: desired,
        endpoint_ports: service.endpoint.ports.clone(),
        spec_version: service.spec_version,
        not_before,
        job_iteration: service.job_status.map(|j| j.job_iteration),
        service: facts(service),
        ..Task::default()
    };
    match place {
        Place::Slot(slot) => task.slot = *slot,
        Place::Node(node) => task.node_id = node.clone(),
    }
    task.status.timestamp = Some(context.now);
    task.status.message = "created".into();
    (place.clone(), task)
}

fn facts(service: &Service) -> ServiceFacts {
    ServiceFacts {
        name: service.spec.name.clone(),
        labels: service.spec.labels.clone(),
        virtual_ips: service.endpoint.virtual_ips.iter().map(|v| (v.network_id.clone(), v.addr.clone())).collect(),
    }
}
