//! # The shapes of a swarm: services, tasks, nodes, secrets, configs
//!
//! Every object has a head ([`META`]) that is part of itself, as is the name and labels of every spec ([`ANNOTATIONS`]).
//!
//! See: moby `api/types/swarm`. Next room: [`super::task`]

use super::{Field, Kind, Shape, task::TASK_SPEC};

/// Version and times.
pub static META: Shape = Shape {
    name: "swarm.Meta",
    fields: &[
        Field::new("Version", Kind::Struct(&VERSION)).omit(),
        Field::new("CreatedAt", Kind::Time).omit(),
        Field::new("UpdatedAt", Kind::Time).omit(),
    ],
};

/// It grows with every change.
pub static VERSION: Shape = Shape { name: "swarm.Version", fields: &[Field::new("Index", Kind::Int).omit()] };

/// Name and labels.
pub static ANNOTATIONS: Shape = Shape {
    name: "swarm.Annotations",
    fields: &[Field::new("Name", Kind::Text).omit(), Field::new("Labels", Kind::Map(&Kind::Text))],
};

/// The answer of `GET /services/{id}`.
pub static SERVICE: Shape = Shape {
    name: "swarm.Service",
    fields: &[
        Field::new("ID", Kind::Text),
        Field::new("Meta", Kind::Struct(&META)).embed(),
        Field::new("Spec", Kind::Struct(&SERVICE_SPEC)).omit(),
        Field::new("PreviousSpec", Kind::Pointer(&Kind::Struct(&SERVICE_SPEC))).omit(),
        Field::new("Endpoint", Kind::Struct(&ENDPOINT)).omit(),
        Field::new("UpdateStatus", Kind::Pointer(&Kind::Struct(&UPDATE_STATUS))).omit(),
        Field::new("ServiceStatus", Kind::Pointer(&Kind::Struct(&SERVICE_STATUS))).omit(),
        Field::new("JobStatus", Kind::Pointer(&Kind::Struct(&JOB_STATUS))).omit(),
    ],
};

static SERVICE_SPEC: Shape = Shape {
    name: "swarm.ServiceSpec",
    fields: &[
        Field::new("Annotations", Kind::Struct(&ANNOTATIONS)).embed(),
        Field::new("TaskTemplate", Kind::Struct(&TASK_SPEC)).omit(),
        Field::new("Mode", Kind::Struct(&MODE)).omit(),
        Field::new("UpdateConfig", Kind::Pointer(&Kind::Struct(&UPDATE_CONFIG))).omit(),
        Field::new("RollbackConfig", Kind::Pointer(&Kind::Struct(&UPDATE_CONFIG))).omit(),
        Field::new("Networks", Kind::List(&Kind::Struct(&super::task::ATTACHMENT_CONFIG))).omit(),
        Field::new("EndpointSpec", Kind::Pointer(&Kind::Struct(&ENDPOINT_SPEC))).omit(),
    ],
};

static MODE: Shape = Shape {
    name: "swarm.ServiceMode",
    fields: &[
        Field::new("Replicated", Kind::Pointer(&Kind::Struct(&REPLICATED))).omit(),
        Field::new("Global", Kind::Pointer(&Kind::Struct(&GLOBAL))).omit(),
        Field::new("ReplicatedJob", Kind::Pointer(&Kind::Struct(&REPLICATED_JOB))).omit(),
        Field::new("GlobalJob", Kind::Pointer(&Kind::Struct(&GLOBAL_JOB))).omit(),
    ],
};

static REPLICATED: Shape =
    Shape { name: "swarm.ReplicatedService", fields: &[Field::new("Replicas", Kind::Pointer(&Kind::Int)).omit()] };
static GLOBAL: Shape = Shape { name: "swarm.GlobalService", fields: &[] };
static REPLICATED_JOB: Shape = Shape {
    name: "swarm.ReplicatedJob",
    fields: &[
        Field::new("MaxConcurrent", Kind::Pointer(&Kind::Int)).omit(),
        Field::new("TotalCompletions", Kind::Pointer(&Kind::Int)).omit(),
    ],
};
static GLOBAL_JOB: Shape = Shape { name: "swarm.GlobalJob", fields: &[] };

static UPDATE_CONFIG: Shape = Shape {
    name: "swarm.UpdateConfig",
    fields: &[
        Field::new("Parallelism", Kind::Int),
        Field::new("Delay", Kind::Duration).omit(),
        Field::new("FailureAction", Kind::Text).omit(),
        Field::new("Monitor", Kind::Duration).omit(),
        Field::new("MaxFailureRatio", Kind::Float),
        Field::new("Order", Kind::Text),
    ],
};

static ENDPOINT_SPEC: Shape = Shape {
    name: "swarm.EndpointSpec",
    fields: &[Field::new("Mode", Kind::Text).omit(), Field::new("Ports", Kind::List(&Kind::Struct(&PORT))).omit()],
};

/// One published port.
pub static PORT: Shape = Shape {
    name: "swarm.PortConfig",
    fields: &[
        Field::new("Name", Kind::Text).omit(),
        Field::new("Protocol", Kind::Text).omit(),
        Field::new("TargetPort", Kind::Int).omit(),
        Field::new("PublishedPort", Kind::Int).omit(),
        Field::new("PublishMode", Kind::Text).omit(),
    ],
};

static ENDPOINT: Shape = Shape {
    name: "swarm.Endpoint",
    fields: &[
        Field::new("Spec", Kind::Struct(&ENDPOINT_SPEC)).omit(),
        Field::new("Ports", Kind::List(&Kind::Struct(&PORT))).omit(),
        Field::new("VirtualIPs", Kind::List(&Kind::Struct(&VIRTUAL_IP))).omit(),
    ],
};

static VIRTUAL_IP: Shape = Shape {
    name: "swarm.EndpointVirtualIP",
    fields: &[Field::new("NetworkID", Kind::Text).omit(), Field::new("Addr", Kind::Text).omit()],
};

static UPDATE_STATUS: Shape = Shape {
    name: "swarm.UpdateStatus",
    fields: &[
        Field::new("State", Kind::Text).omit(),
        Field::new("StartedAt", Kind::Pointer(&Kind::Time)).omit(),
        Field::new("CompletedAt", Kind::Pointer(&Kind::Time)).omit(),
        Field::new("Message", Kind::Text).omit(),
    ],
};

static SERVICE_STATUS: Shape = Shape {
    name: "swarm.ServiceStatus",
    fields: &[
        Field::new("RunningTasks", Kind::Int),
        Field::new("DesiredTasks", Kind::Int),
        Field::new("CompletedTasks", Kind::Int),
    ],
};

static JOB_STATUS: Shape = Shape {
    name: "swarm.JobStatus",
    fields: &[Field::new("JobIteration", Kind::Struct(&VERSION)), Field::new("LastExecution", Kind::Time).omit()],
};

/// The answer of `GET /nodes/{id}`.
pub static NODE: Shape = Shape {
    name: "swarm.Node",
    fields: &[
        Field::new("ID", Kind::Text),
        Field::new("Meta", Kind::Struct(&META)).embed(),
        Field::new("Spec", Kind::Struct(&NODE_SPEC)).omit(),
        Field::new("Description", Kind::Struct(&DESCRIPTION)).omit(),
        Field::new("Status", Kind::Struct(&NODE_STATUS)).omit(),
        Field::new("ManagerStatus", Kind::Pointer(&Kind::Struct(&MANAGER_STATUS))).omit(),
    ],
};

static NODE_SPEC: Shape = Shape {
    name: "swarm.NodeSpec",
    fields: &[
        Field::new("Annotations", Kind::Struct(&ANNOTATIONS)).embed(),
        Field::new("Role", Kind::Text).omit(),
        Field::new("Availability", Kind::Text).omit(),
    ],
};

static DESCRIPTION: Shape = Shape {
    name: "swarm.NodeDescription",
    fields: &[
        Field::new("Hostname", Kind::Text).omit(),
        Field::new("Platform", Kind::Struct(&super::task::PLATFORM)).omit(),
        Field::new("Resources", Kind::Struct(&super::task::AMOUNTS)).omit(),
        Field::new("Engine", Kind::Struct(&ENGINE)).omit(),
        Field::new("TLSInfo", Kind::Struct(&TLS_INFO)).omit(),
    ],
};

static ENGINE: Shape = Shape {
    name: "swarm.EngineDescription",
    fields: &[
        Field::new("EngineVersion", Kind::Text).omit(),
        Field::new("Labels", Kind::Map(&Kind::Text)).omit(),
        Field::new("Plugins", Kind::List(&Kind::Struct(&PLUGIN))).omit(),
    ],
};

static PLUGIN: Shape = Shape {
    name: "swarm.PluginDescription",
    fields: &[Field::new("Type", Kind::Text).omit(), Field::new("Name", Kind::Text).omit()],
};

static TLS_INFO: Shape = Shape {
    name: "swarm.TLSInfo",
    fields: &[
        Field::new("TrustRoot", Kind::Text).omit(),
        Field::new("CertIssuerSubject", Kind::Text).omit(),
        Field::new("CertIssuerPublicKey", Kind::Text).omit(),
    ],
};

static NODE_STATUS: Shape = Shape {
    name: "swarm.NodeStatus",
    fields: &[
        Field::new("State", Kind::Text).omit(),
        Field::new("Message", Kind::Text).omit(),
        Field::new("Addr", Kind::Text).omit(),
    ],
};

static MANAGER_STATUS: Shape = Shape {
    name: "swarm.ManagerStatus",
    fields: &[
        Field::new("Leader", Kind::Bool).omit(),
        Field::new("Reachability", Kind::Text).omit(),
        Field::new("Addr", Kind::Text).omit(),
    ],
};

/// The answer of `GET /secrets/{id}`.
pub static SECRET: Shape = Shape {
    name: "swarm.Secret",
    fields: &[
        Field::new("ID", Kind::Text),
        Field::new("Meta", Kind::Struct(&META)).embed(),
        Field::new("Spec", Kind::Struct(&SECRET_SPEC)),
    ],
};

static SECRET_SPEC: Shape = Shape {
    name: "swarm.SecretSpec",
    fields: &[
        Field::new("Annotations", Kind::Struct(&ANNOTATIONS)).embed(),
        Field::new("Data", Kind::Bytes).omit(),
        Field::new("Driver", Kind::Pointer(&Kind::Struct(&super::task::DRIVER))).omit(),
        Field::new("Templating", Kind::Pointer(&Kind::Struct(&super::task::DRIVER))).omit(),
    ],
};

/// The answer of `GET /configs/{id}`.
pub static CONFIG: Shape = Shape {
    name: "swarm.Config",
    fields: &[
        Field::new("ID", Kind::Text),
        Field::new("Meta", Kind::Struct(&META)).embed(),
        Field::new("Spec", Kind::Struct(&CONFIG_SPEC)),
    ],
};

static CONFIG_SPEC: Shape = Shape {
    name: "swarm.ConfigSpec",
    fields: &[
        Field::new("Annotations", Kind::Struct(&ANNOTATIONS)).embed(),
        Field::new("Data", Kind::Bytes).omit(),
        Field::new("Templating", Kind::Pointer(&Kind::Struct(&super::task::DRIVER))).omit(),
    ],
};
