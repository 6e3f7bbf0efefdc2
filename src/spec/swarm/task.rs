//! # Task: one container's worth of work, and the ladder it climbs
//!
//! A task is made for a service's slot, gets a node, becomes a container, ends, and is never started again: when more work
//! is wanted, a new task takes the slot. Its state only ever climbs. Beside each rung the room that climbs to it:
//!
//! ```text
//!   NEW        made                           swarm::orchestrator
//!   PENDING    its networks have addresses    swarm::allocator
//!   ASSIGNED   a node was chosen              swarm::scheduler
//!   ACCEPTED   the node has heard of it       swarm::agent, from here to the end
//!   PREPARING  image, networks, secrets
//!   READY      prepared; waits for its turn
//!   STARTING   started, not yet healthy
//!   RUNNING
//!   COMPLETE   ended well · SHUTDOWN told to end · FAILED ended badly · REJECTED could not be prepared
//!   REMOVE     its service is gone · ORPHANED its node has been gone too long
//! ```
//!
//! `DesiredState` is the rung the managers want it on: READY (hold), RUNNING, SHUTDOWN, REMOVE.
//!
//! Laws: neither state ever goes back; the order of the enum is the order of the ladder.
//! *See:* swarmkit `design/task_model.md`. *Next room:* [`super::container`]

pub use super::container::{ConfigReference, ContainerSpec, DnsConfig, FileTarget, SecretReference};
use super::{
    Version, generic::GenericResource, is_zero, is_zero_u64, network::Network, null_is_default, service::EndpointPort,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fmt};

/// The ladder; `<` means "earlier on it".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TaskState {
    #[default]
    New,
    Allocated,
    Pending,
    Assigned,
    Accepted,
    Preparing,
    Ready,
    Starting,
    Running,
    Complete,
    Shutdown,
    Failed,
    Rejected,
    Remove,
    Orphaned,
}

impl TaskState {
    /// The container has ended, or never will be: nothing of a node is in use.
    pub fn is_over(self) -> bool {
        self > TaskState::Running
    }

    pub const ALL: [TaskState; 15] = [
        TaskState::New,
        TaskState::Allocated,
        TaskState::Pending,
        TaskState::Assigned,
        TaskState::Accepted,
        TaskState::Preparing,
        TaskState::Ready,
        TaskState::Starting,
        TaskState::Running,
        TaskState::Complete,
        TaskState::Shutdown,
        TaskState::Failed,
        TaskState::Rejected,
        TaskState::Remove,
        TaskState::Orphaned,
    ];
}

impl fmt::Display for TaskState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TaskState::New => "new",
            TaskState::Allocated => "allocated",
            TaskState::Pending => "pending",
            TaskState::Assigned => "assigned",
            TaskState::Accepted => "accepted",
            TaskState::Preparing => "preparing",
            TaskState::Ready => "ready",
            TaskState::Starting => "starting",
            TaskState::Running => "running",
            TaskState::Complete => "complete",
            TaskState::Shutdown => "shutdown",
            TaskState::Failed => "failed",
            TaskState::Rejected => "rejected",
            TaskState::Remove => "remove",
            TaskState::Orphaned => "orphaned",
        })
    }
}

/// One container's worth of work.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Task {
    #[serde(rename = "ID")]
    pub id: String,
    pub version: Version,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub updated_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    #[serde(deserialize_with = "null_is_default")]
    pub labels: BTreeMap<String, String>,
    pub spec: TaskSpec,
    #[serde(rename = "ServiceID", skip_serializing_if = "String::is_empty")]
    pub service_id: String,
    #[serde(skip_serializing_if = "is_zero_u64")]
    pub slot: u64,
    #[serde(rename = "NodeID", skip_serializing_if = "String::is_empty")]
    pub node_id: String,
    pub status: TaskStatus,
    pub desired_state: TaskState,
    #[serde(rename = "NetworksAttachments", skip_serializing_if = "Vec::is_empty")]
    pub networks: Vec<NetworkAttachment>,
    /// What it was given of what only some machines have.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_is_default")]
    pub generic_resources: Vec<GenericResource>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job_iteration: Option<Version>,
    /// The ports this task itself needs on its node (`mode=host`), and those of its service. Not in Docker's body.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub endpoint_ports: Vec<EndpointPort>,
    /// Which version of its service's spec it was made from. Not in Docker's body.
    pub spec_version: Version,
    /// Until when it must wait on READY: the restart delay. Not in Docker's body.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Timestamp>,
    /// The service's name and its labels, for the container's name and labels. Not in Docker's body.
    #[serde(skip_serializing_if = "ServiceFacts::is_empty")]
    pub service: ServiceFacts,
}

/// What a task must know of its service once that is gone.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ServiceFacts {
    pub name: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Virtual addresses by network ID, `10.0.1.2/24`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub virtual_ips: BTreeMap<String, String>,
}

impl ServiceFacts {
    fn is_empty(&self) -> bool {
        self.name.is_empty()
    }
}

impl Task {
    /// Docker's name of the container: `web.1.<task>` or `web.<node>.<task>`; an attached one has its own.
    pub fn container_name(&self) -> String {
        if self.spec.network_attachment_spec.is_some() {
            return self.name.clone();
        }
        let place = if self.slot > 0 { self.slot.to_string() } else { self.node_id.clone() };
        format!("{}.{place}.{}", self.service.name, self.id)
    }

    /// Nobody has told it to end: it holds its place, unless it has ended by itself. (A job's task is wanted COMPLETE.)
    pub fn is_wanted(&self) -> bool {
        self.desired_state <= TaskState::Complete
    }

    /// Its container uses a node, or may: assigned and not known to have ended.
    pub fn occupies(&self) -> bool {
        self.status.state >= TaskState::Assigned && !self.status.state.is_over()
    }
}

/// What is known of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct TaskStatus {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<Timestamp>,
    pub state: TaskState,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub err: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container_status: Option<ContainerStatus>,
    pub port_status: PortStatus,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ContainerStatus {
    #[serde(rename = "ContainerID")]
    pub container_id: String,
    #[serde(rename = "PID")]
    pub pid: i64,
    #[serde(rename = "ExitCode")]
    pub exit_code: i64,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct PortStatus {
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_is_default")]
    pub ports: Vec<EndpointPort>,
}

/// A task's place on a network.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct NetworkAttachment {
    /// The network as it was when the address was given.
    pub network: Network,
    /// `10.0.1.5/24`
    pub addresses: Vec<String>,
    /// Other names on this network. Not in Docker's body.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
}

/// What to run and under which conditions.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct TaskSpec {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container_spec: Option<ContainerSpec>,
    /// No work of its own: a container of a person is on a network of the swarm.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network_attachment_spec: Option<NetworkAttachmentSpec>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resources: Option<ResourceRequirements>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restart_policy: Option<RestartPolicy>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub placement: Option<Placement>,
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_is_default")]
    pub networks: Vec<NetworkAttachmentConfig>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_driver: Option<Driver>,
    pub force_update: u64,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub runtime: String,
}

/// Whose place on a network it is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct NetworkAttachmentSpec {
    #[serde(rename = "ContainerID")]
    pub container_id: String,
}

/// Limits are enforced on the node; reservations decide where there is room.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ResourceRequirements {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limits: Option<Amounts>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reservations: Option<Amounts>,
}

/// Billionths of a CPU, bytes, processes, and what only some machines have.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Amounts {
    #[serde(rename = "NanoCPUs", alias = "NanoCpus", skip_serializing_if = "is_zero")]
    pub nano_cpus: i64,
    #[serde(rename = "MemoryBytes", skip_serializing_if = "is_zero")]
    pub memory_bytes: i64,
    #[serde(rename = "Pids", skip_serializing_if = "is_zero")]
    pub pids: i64,
    #[serde(rename = "GenericResources", skip_serializing_if = "Vec::is_empty", deserialize_with = "null_is_default")]
    pub generic: Vec<GenericResource>,
}

/// When a task that ended is replaced.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct RestartPolicy {
    /// `none`, `on-failure`, `any`
    pub condition: String,
    /// Nanoseconds; Docker's default is 5 s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delay: Option<i64>,
    /// 0: without end.
    pub max_attempts: u64,
    /// Nanoseconds in which attempts are counted; 0: since ever.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window: Option<i64>,
}

impl Default for RestartPolicy {
    fn default() -> RestartPolicy {
        RestartPolicy { condition: "any".into(), delay: None, max_attempts: 0, window: None }
    }
}

/// Where a task may run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Placement {
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_is_default")]
    pub constraints: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_is_default")]
    pub preferences: Vec<PlacementPreference>,
    #[serde(skip_serializing_if = "is_zero_u64")]
    pub max_replicas: u64,
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_is_default")]
    pub platforms: Vec<Platform>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct PlacementPreference {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spread: Option<Spread>,
}

/// `node.labels.rack`: spread evenly over its values.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Spread {
    pub spread_descriptor: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Platform {
    #[serde(rename = "Architecture", skip_serializing_if = "String::is_empty")]
    pub architecture: String,
    #[serde(rename = "OS", skip_serializing_if = "String::is_empty")]
    pub os: String,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct NetworkAttachmentConfig {
    /// The network's ID, or its name in a request.
    pub target: String,
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_is_default")]
    pub aliases: Vec<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "null_is_default")]
    pub driver_opts: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Driver {
    pub name: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "null_is_default")]
    pub options: BTreeMap<String, String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ladder_is_in_order_and_speaks_as_docker_does() {
        assert!(TaskState::ALL.windows(2).all(|w| w[0] < w[1]));
        for state in TaskState::ALL {
            assert_eq!(serde_json::to_value(state).expect("a word"), state.to_string());
        }
        assert!(!TaskState::Running.is_over() && TaskState::Complete.is_over());
    }
}
