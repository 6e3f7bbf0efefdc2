//! # Attachments: a container of a person on a network of the swarm
//!
//! `minidock run --network over`: the container is no task, but its place on the network must be one, for only so does every
//! other node learn that its address is taken and behind which machine it is. So its machine asks for a task without work: it stands on
//! a node from the beginning, has an address, and ends when the container leaves.
//!
//! ```text
//!   machine ── Ask::Attach ──► leader: attachable? an address ─► Task { no service, ASSIGNED to the asker }
//!           ◄── task, address ─┘        the agent climbs it; the address is a neighbour for everybody
//! ```
//!
//! Laws: only networks that were made `--attachable`; a machine asks for itself only. *See:* swarmkit `manager/resourceapi`,
//! `api/resource.proto`. *Next room:* [`super::nodes`]

use super::{Decided, find, refusal};
use crate::{
    allocator::addresses::{Taken, net},
    orchestrator::Context,
    store::{Action, Table, Tables},
};
use minidock_base::{Error, Kind};
use minidock_spec::swarm::task::{
    NetworkAttachment, NetworkAttachmentConfig, NetworkAttachmentSpec, Task, TaskSpec, TaskState,
};
use serde::{Deserialize, Serialize};
use serde_json::to_value;
use std::net::Ipv4Addr;

/// What a machine asks for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Attach {
    /// ID or name.
    pub network: String,
    pub container_id: String,
    /// By which the others find it.
    pub name: String,
    /// The address that the user wants.
    pub address: Option<Ipv4Addr>,
}

/// What it is given.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Attached {
    pub task: String,
    pub network_id: String,
    pub address: Ipv4Addr,
}

/// A place on a network for a container of `node`.
///
/// # Errors
/// 404 for the network; 403 when it is not attachable; 400 for an address that is taken or elsewhere; 503 when none is left.
pub fn attach(tables: &Tables, node: &str, wish: &Attach, context: &mut Context) -> Decided {
    let id = find(tables, Table::Network, &wish.network)?;
    let network = tables.network(&id).ok_or_else(|| Error::not_found(format!("network {} not found", wish.network)))?;
    let name = &network.spec.name;
    if !network.spec.attachable {
        return Err(Error::forbidden(format!(
            "Could not attach to network {name}: rpc error: code = PermissionDenied desc = network {name} not manually attachable"
        ))
        .hint("minidock network create -d overlay --attachable"));
    }
    let unready = || Error::unavailable(format!("network {name} has no addresses yet"));
    let subnet = network.subnet().and_then(net).ok_or_else(unready)?;
    let mut taken = Taken::of(tables);
    let address = match wish.address {
        None => taken.next(network).ok_or_else(|| {
            Error::unavailable(format!("no address is left in network {name} ({subnet})"))
                .hint("a network with a larger subnet")
        })?,
        Some(address) if !subnet.contains(address.into()) => {
            let text = format!("no configured subnet contains IP address {address}");
            return Err(refusal(Kind::InvalidParameter, text));
        }
        Some(address) if taken.is_taken(&id, address.into()) => {
            return Err(refusal(Kind::InvalidParameter, format!("address {address} of network {name} is already in use")));
        }
        Some(address) => format!("{address}/{}", subnet.prefix()),
    };
    let given = address.split('/').next().and_then(|a| a.parse().ok()).ok_or_else(unready)?;
    let mut task = Task {
        id: (context.new_id)(),
        name: wish.name.clone(),
        created_at: Some(context.now),
        spec: TaskSpec {
            network_attachment_spec: Some(NetworkAttachmentSpec { container_id: wish.container_id.clone() }),
            networks: vec![NetworkAttachmentConfig { target: id.clone(), ..NetworkAttachmentConfig::default() }],
            ..TaskSpec::default()
        },
        node_id: node.to_string(),
        desired_state: TaskState::Running,
        networks: vec![NetworkAttachment { network: (**network).clone(), addresses: vec![address], aliases: Vec::new() }],
        ..Task::default()
    };
    (task.status.state, task.status.timestamp) = (TaskState::Assigned, Some(context.now));
    let attached = Attached { task: task.id.clone(), network_id: id, address: given };
    let answer = to_value(attached).map_err(|e| Error::system(e.to_string()))?;
    Ok((vec![Action::Put(task.into())], answer))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{orchestrator, orchestrator::reaper, store::Batch};
    use jiff::Timestamp;
    use minidock_base::Result;
    use minidock_spec::swarm::{
        network::{IpamConfig, IpamOptions, Network},
        node::Node,
    };

    fn swarm(attachable: bool) -> Tables {
        let mut network = Network { id: "net".into(), ..Network::default() };
        (network.spec.name, network.spec.attachable) = ("over".into(), attachable);
        let pool = IpamConfig { subnet: "10.0.1.0/29".into(), gateway: "10.0.1.1".into(), range: String::new() };
        network.ipam_options = Some(IpamOptions { configs: vec![pool], ..IpamOptions::default() });
        let mut tables = Tables::default();
        put(&mut tables, vec![Action::Put(network.into()), Action::Put(Node { id: "n1".into(), ..Node::default() }.into())]);
        tables
    }

    fn put(tables: &mut Tables, actions: Vec<Action>) {
        tables.apply(1, Batch { at: Timestamp::UNIX_EPOCH, actions }).expect("rows that fit");
    }

    fn ask(tables: &mut Tables, address: Option<&str>) -> Result<Attached> {
        let wish = Attach {
            network: "over".into(),
            container_id: "c1".into(),
            name: "box".into(),
            address: address.map(|a| a.parse().expect("an address")),
        };
        let mut n = tables.tasks().count();
        let mut new_id = || {
            n += 1;
            format!("t{n}")
        };
        let mut context = Context { now: Timestamp::UNIX_EPOCH, new_id: &mut new_id };
        let (actions, answer) = attach(tables, "n1", &wish, &mut context)?;
        put(tables, actions);
        Ok(serde_json::from_value(answer).expect("ours"))
    }

    #[test]
    fn each_container_gets_an_address_of_its_own_until_none_is_left() {
        let mut tables = swarm(true);
        let given: Vec<String> = (0..4).map(|_| ask(&mut tables, None).expect("one is free").address.to_string()).collect();
        assert_eq!(given, ["10.0.1.2", "10.0.1.3", "10.0.1.4", "10.0.1.5"]);
        let why = |e: Error| e.message();
        assert!(why(ask(&mut tables, Some("10.0.1.3")).expect_err("taken")).contains("already in use"));
        assert!(why(ask(&mut tables, Some("10.9.0.3")).expect_err("elsewhere")).contains("no configured subnet"));
        assert_eq!(ask(&mut tables, Some("10.0.1.6")).expect("free").address.to_string(), "10.0.1.6");
        assert!(why(ask(&mut tables, None).expect_err("full")).contains("no address is left"));
        assert_eq!(tables.task("t1").expect("written").container_name(), "box");
    }

    #[test]
    fn only_an_attachable_network_takes_containers_of_people() {
        let refused = ask(&mut swarm(false), None).expect_err("refused");
        assert_eq!(refused.kind(), Kind::Forbidden);
        assert!(refused.message().ends_with("network over not manually attachable"), "{refused}");
    }

    #[test]
    fn an_attachment_stays_without_a_service_and_goes_when_it_is_over() {
        let mut tables = swarm(true);
        ask(&mut tables, None).expect("given");
        let mut new_id = String::new;
        let mut context = Context { now: Timestamp::UNIX_EPOCH, new_id: &mut new_id };
        assert!(orchestrator::reconcile(&tables, "", &mut context).actions.is_empty(), "nobody tells it to end");
        assert!(reaper::reap(&tables, [&String::new()]).is_empty());
        let mut task = Task::clone(tables.task("t1").expect("there"));
        task.status.state = TaskState::Complete;
        put(&mut tables, vec![Action::Put(task.into())]);
        assert_eq!(reaper::reap(&tables, [&String::new()]).len(), 1);
        let mut tables = swarm(true);
        ask(&mut tables, None).expect("given");
        put(&mut tables, vec![Action::Delete(Table::Node, "n1".into())]);
        assert_eq!(reaper::reap(&tables, [&String::new()]).len(), 1, "its machine is no node any more");
    }
}
