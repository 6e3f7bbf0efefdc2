//! # Service: so many of these, reachable under this name
//!
//! What a person asks of a swarm. A [`ServiceSpec`] says what each task runs, how many there shall be ([`ServiceMode`]), how a
//! change is rolled out, and under which addresses and ports the service is found. The managers add the endpoint (virtual
//! addresses, ports) and, while a change is under way, how far it is.
//!
//! *See:* moby `api/swagger.yaml` tag Service. *Next room:* [`super::node`]

use super::{Version, is_zero_u64, null_is_default, task::TaskSpec};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Service {
    #[serde(rename = "ID")]
    pub id: String,
    pub version: Version,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub updated_at: Option<Timestamp>,
    pub spec: ServiceSpec,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub previous_spec: Option<ServiceSpec>,
    pub endpoint: Endpoint,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub update_status: Option<UpdateStatus>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_status: Option<ServiceStatus>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job_status: Option<JobStatus>,
    /// Grows when what tasks are made of changes. Not in Docker's body.
    pub spec_version: Version,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ServiceSpec {
    pub name: String,
    #[serde(deserialize_with = "null_is_default")]
    pub labels: BTreeMap<String, String>,
    pub task_template: TaskSpec,
    pub mode: ServiceMode,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub update_config: Option<UpdateConfig>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rollback_config: Option<UpdateConfig>,
    /// The old place for networks; new clients write them into the task template.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_is_default")]
    pub networks: Vec<super::task::NetworkAttachmentConfig>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint_spec: Option<EndpointSpec>,
}

/// How many: exactly one of these is set; none means one replica.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ServiceMode {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replicated: Option<Replicated>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub global: Option<Empty>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replicated_job: Option<ReplicatedJob>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub global_job: Option<Empty>,
}

impl ServiceMode {
    /// So many tasks at once, each in a slot of its own.
    pub fn replicas(count: u64) -> ServiceMode {
        ServiceMode { replicated: Some(Replicated { replicas: Some(count) }), ..ServiceMode::default() }
    }

    /// Docker's word for it.
    pub fn name(&self) -> &'static str {
        match self {
            ServiceMode { global: Some(_), .. } => "global",
            ServiceMode { replicated_job: Some(_), .. } => "replicated job",
            ServiceMode { global_job: Some(_), .. } => "global job",
            _ => "replicated",
        }
    }

    /// One task on each node that is fit for it.
    pub fn is_global(&self) -> bool {
        self.global.is_some() || self.global_job.is_some()
    }

    /// Its tasks are meant to end.
    pub fn is_job(&self) -> bool {
        self.replicated_job.is_some() || self.global_job.is_some()
    }

    /// Slots of a replicated service.
    pub fn wanted(&self) -> u64 {
        match (&self.replicated, &self.replicated_job) {
            (Some(r), _) => r.replicas.unwrap_or(1),
            (None, Some(job)) => job.total_completions.unwrap_or(1),
            (None, None) => 1,
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Empty {}

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Replicated {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replicas: Option<u64>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ReplicatedJob {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_concurrent: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total_completions: Option<u64>,
}

/// How a change is rolled out, or rolled back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct UpdateConfig {
    /// Slots at once; 0: all.
    pub parallelism: u64,
    /// Nanoseconds between batches.
    #[serde(skip_serializing_if = "super::is_zero")]
    pub delay: i64,
    /// `pause`, `continue`, `rollback`
    pub failure_action: String,
    /// Nanoseconds during which a new task that fails counts against the update.
    #[serde(skip_serializing_if = "super::is_zero")]
    pub monitor: i64,
    #[serde(serialize_with = "shortest")]
    pub max_failure_ratio: f32,
    /// `stop-first`, `start-first`
    pub order: String,
}

/// 0.4 is written as 0.4, not as the double that is nearest to the float that is nearest to it; and nothing as 0.
fn shortest<S: serde::Serializer>(number: &f32, serializer: S) -> Result<S::Ok, S::Error> {
    match *number {
        whole @ (0.0 | 1.0) => serializer.serialize_u64(whole as u64),
        part => serializer.serialize_f64(part.to_string().parse().unwrap_or_default()),
    }
}

impl Default for UpdateConfig {
    fn default() -> UpdateConfig {
        UpdateConfig {
            parallelism: 1,
            delay: 0,
            failure_action: "pause".into(),
            monitor: 5_000_000_000,
            max_failure_ratio: 0.0,
            order: "stop-first".into(),
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct EndpointSpec {
    /// `vip` or `dnsrr`
    #[serde(skip_serializing_if = "String::is_empty")]
    pub mode: String,
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_is_default")]
    pub ports: Vec<EndpointPort>,
}

/// One published port of a service.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct EndpointPort {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// `tcp`, `udp`
    pub protocol: String,
    pub target_port: u32,
    /// 0 in a spec: the managers choose one.
    #[serde(skip_serializing_if = "is_zero_u32")]
    pub published_port: u32,
    /// `ingress`: on every node; `host`: on the task's own.
    pub publish_mode: String,
}

impl Default for EndpointPort {
    fn default() -> EndpointPort {
        EndpointPort {
            name: String::new(),
            protocol: "tcp".into(),
            target_port: 0,
            published_port: 0,
            publish_mode: "ingress".into(),
        }
    }
}

fn is_zero_u32(n: &u32) -> bool {
    *n == 0
}

/// Where the service is found.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Endpoint {
    pub spec: EndpointSpec,
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_is_default")]
    pub ports: Vec<EndpointPort>,
    #[serde(rename = "VirtualIPs", skip_serializing_if = "Vec::is_empty", deserialize_with = "null_is_default")]
    pub virtual_ips: Vec<VirtualIp>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct VirtualIp {
    #[serde(rename = "NetworkID")]
    pub network_id: String,
    /// `10.0.1.2/24`
    #[serde(rename = "Addr")]
    pub addr: String,
}

/// A change under way.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct UpdateStatus {
    /// `updating`, `paused`, `completed`, `rollback_started`, `rollback_paused`, `rollback_completed`
    pub state: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completed_at: Option<Timestamp>,
    pub message: String,
}

/// Counted when asked for (`?status=true`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ServiceStatus {
    pub running_tasks: u64,
    pub desired_tasks: u64,
    #[serde(skip_serializing_if = "is_zero_u64")]
    pub completed_tasks: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct JobStatus {
    pub job_iteration: Version,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_execution: Option<Timestamp>,
}
