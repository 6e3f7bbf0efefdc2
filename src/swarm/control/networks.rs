//! # Networks of the swarm
//!
//! Made and removed here; the allocator gives them subnet and number, and a node learns of one only when a task on it needs it.
//!
//! *See:* swarmkit `manager/controlapi/network.go`. *Next room:* [`super::nodes`]

use super::{Decided, check_dns_name, find, refusal};
use crate::{
    allocator::addresses::net,
    orchestrator::Context,
    store::{Action, Table, Tables},
};
use minidock_base::{Error, Kind};
use minidock_spec::swarm::network::{Network, NetworkSpec};
use serde_json::json;

/// A new network.
///
/// # Errors
/// 409 when the name is taken; 400 for a driver that is not `overlay`, a subnet that cannot be read or overlaps another's.
pub fn create(tables: &Tables, spec: &NetworkSpec, context: &mut Context) -> Decided {
    check_dns_name(&spec.name)?;
    if tables.named(Table::Network, &spec.name).is_some() {
        return Err(Error::conflict(format!("network with name {} already exists", spec.name)));
    }
    if !matches!(spec.driver_configuration.name.as_str(), "" | "overlay") {
        return Err(refusal(Kind::InvalidParameter, format!("driver {} is not of the swarm", spec.driver_configuration.name)));
    }
    if spec.driver_configuration.options.contains_key("encrypted") {
        return Err(Error::not_implemented("encrypted overlay networks are not there").hint(
            "leave out --opt encrypted: the control plane is encrypted in any case, the data between containers is not",
        ));
    }
    if let Some(other) = tables.networks().find(|n| spec.ingress && n.spec.ingress) {
        return Err(refusal(Kind::Conflict, format!("ingress network ({}) is already present", other.id)));
    }
    for config in spec.ipam_options.iter().flat_map(|i| &i.configs).filter(|c| !c.subnet.is_empty()) {
        let subnet = net(&config.subnet).ok_or_else(|| {
            refusal(Kind::InvalidParameter, format!("invalid subnet {}: an address with a prefix is wanted", config.subnet))
        })?;
        let other = tables.networks().find(|n| n.subnet().and_then(net).is_some_and(|s| s.overlaps(&subnet)));
        if let Some(other) = other {
            return Err(Error::conflict("Pool overlaps with other one on this address space").hint(format!(
                "network {} has {}",
                other.spec.name,
                other.subnet().unwrap_or_default()
            )));
        }
    }
    let mut spec = spec.clone();
    spec.driver_configuration.name = "overlay".into();
    spec.scope = "swarm".into();
    let network = Network { id: (context.new_id)(), spec, ..Network::default() };
    let answer = json!({ "Id": network.id, "Warning": "" });
    Ok((vec![Action::Put(network.into())], answer))
}

/// Removes a network that nobody uses.
///
/// # Errors
/// 404; 400 while a service or a task is on it, naming it.
pub fn remove(tables: &Tables, text: &str) -> Decided {
    let id = find(tables, Table::Network, text)?;
    let is_on = |targets: &[minidock_spec::swarm::task::NetworkAttachmentConfig]| targets.iter().any(|n| n.target == id);
    if let Some(service) = tables.services().find(|s| is_on(&s.spec.task_template.networks) || is_on(&s.spec.networks)) {
        return Err(refusal(Kind::Forbidden, format!("network {id} is in use by service {}", service.id))
            .hint(format!("minidock service rm {}", service.spec.name)));
    }
    let ingress = tables.network(&id).is_some_and(|n| n.spec.ingress);
    let uses = |t: &&std::sync::Arc<minidock_spec::swarm::task::Task>| {
        // one that is told to end holds nothing up: `stack rm` removes networks right behind their services
        t.desired_state <= minidock_spec::swarm::task::TaskState::Running && !t.status.state.is_over()
    };
    if let Some(task) = tables.tasks_on_network(&id).find(uses) {
        let what = if ingress { "ingress network" } else { "network" };
        return Err(refusal(Kind::Forbidden, format!("{what} {id} is in use by task {}", task.id)));
    }
    Ok((vec![Action::Delete(Table::Network, id)], json!(null)))
}
