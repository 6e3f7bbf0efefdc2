//! # The shapes of a task and of what it is made from
//!
//! See: moby `api/types/swarm/{task,container}.go`. Next room: [`crate::inspect`]

use super::{
    Field, Kind, Shape,
    container::HEALTH_CONFIG,
    host_config::{MOUNT, ULIMIT},
    swarm::{ANNOTATIONS, META, PORT, VERSION},
};

/// The answer of `GET /tasks/{id}`.
pub static TASK: Shape = Shape {
    name: "swarm.Task",
    fields: &[
        Field::new("ID", Kind::Text),
        Field::new("Meta", Kind::Struct(&META)).embed(),
        Field::new("Annotations", Kind::Struct(&ANNOTATIONS)).embed(),
        Field::new("Spec", Kind::Struct(&TASK_SPEC)).omit(),
        Field::new("ServiceID", Kind::Text).omit(),
        Field::new("Slot", Kind::Int).omit(),
        Field::new("NodeID", Kind::Text).omit(),
        Field::new("Status", Kind::Struct(&STATUS)).omit(),
        Field::new("DesiredState", Kind::Text).omit(),
        Field::new("NetworksAttachments", Kind::List(&Kind::Any)).omit(),
        Field::new("GenericResources", Kind::List(&Kind::Any)).omit(),
        Field::new("JobIteration", Kind::Pointer(&Kind::Struct(&VERSION))).omit(),
    ],
};

static STATUS: Shape = Shape {
    name: "swarm.TaskStatus",
    fields: &[
        Field::new("Timestamp", Kind::Time).omit(),
        Field::new("State", Kind::Text).omit(),
        Field::new("Message", Kind::Text).omit(),
        Field::new("Err", Kind::Text).omit(),
        Field::new("ContainerStatus", Kind::Pointer(&Kind::Struct(&CONTAINER_STATUS))).omit(),
        Field::new("PortStatus", Kind::Struct(&PORT_STATUS)).omit(),
    ],
};

static CONTAINER_STATUS: Shape = Shape {
    name: "swarm.ContainerStatus",
    fields: &[Field::new("ContainerID", Kind::Text), Field::new("PID", Kind::Int), Field::new("ExitCode", Kind::Int)],
};

static PORT_STATUS: Shape =
    Shape { name: "swarm.PortStatus", fields: &[Field::new("Ports", Kind::List(&Kind::Struct(&PORT))).omit()] };

/// What to run and under which conditions.
pub static TASK_SPEC: Shape = Shape {
    name: "swarm.TaskSpec",
    fields: &[
        Field::new("ContainerSpec", Kind::Pointer(&Kind::Struct(&CONTAINER_SPEC))).omit(),
        Field::new("PluginSpec", Kind::Any).omit(),
        Field::new("NetworkAttachmentSpec", Kind::Any).omit(),
        Field::new("Resources", Kind::Pointer(&Kind::Struct(&RESOURCES))).omit(),
        Field::new("RestartPolicy", Kind::Pointer(&Kind::Struct(&RESTART))).omit(),
        Field::new("Placement", Kind::Pointer(&Kind::Struct(&PLACEMENT))).omit(),
        Field::new("Networks", Kind::List(&Kind::Struct(&ATTACHMENT_CONFIG))).omit(),
        Field::new("LogDriver", Kind::Pointer(&Kind::Struct(&DRIVER))).omit(),
        Field::new("ForceUpdate", Kind::Int),
        Field::new("Runtime", Kind::Text).omit(),
    ],
};

static CONTAINER_SPEC: Shape = Shape {
    name: "swarm.ContainerSpec",
    fields: &[
        Field::new("Image", Kind::Text).omit(),
        Field::new("Labels", Kind::Map(&Kind::Text)).omit(),
        Field::new("Command", Kind::List(&Kind::Text)).omit(),
        Field::new("Args", Kind::List(&Kind::Text)).omit(),
        Field::new("Hostname", Kind::Text).omit(),
        Field::new("Env", Kind::List(&Kind::Text)).omit(),
        Field::new("Dir", Kind::Text).omit(),
        Field::new("User", Kind::Text).omit(),
        Field::new("Groups", Kind::List(&Kind::Text)).omit(),
        Field::new("Privileges", Kind::Any).omit(),
        Field::new("Init", Kind::Pointer(&Kind::Bool)).omit(),
        Field::new("StopSignal", Kind::Text).omit(),
        Field::new("TTY", Kind::Bool).omit(),
        Field::new("OpenStdin", Kind::Bool).omit(),
        Field::new("ReadOnly", Kind::Bool).omit(),
        Field::new("Mounts", Kind::List(&Kind::Struct(&MOUNT))).omit(),
        Field::new("StopGracePeriod", Kind::Pointer(&Kind::Duration)).omit(),
        Field::new("Healthcheck", Kind::Pointer(&Kind::Struct(&HEALTH_CONFIG))).omit(),
        Field::new("Hosts", Kind::List(&Kind::Text)).omit(),
        Field::new("DNSConfig", Kind::Pointer(&Kind::Struct(&DNS))).omit(),
        Field::new("Secrets", Kind::List(&Kind::Pointer(&Kind::Struct(&SECRET_REFERENCE)))).omit(),
        Field::new("Configs", Kind::List(&Kind::Pointer(&Kind::Struct(&CONFIG_REFERENCE)))).omit(),
        Field::new("Isolation", Kind::Text).omit(),
        Field::new("Sysctls", Kind::Map(&Kind::Text)).omit(),
        Field::new("CapabilityAdd", Kind::List(&Kind::Text)).omit(),
        Field::new("CapabilityDrop", Kind::List(&Kind::Text)).omit(),
        Field::new("Ulimits", Kind::List(&Kind::Pointer(&Kind::Struct(&ULIMIT)))).omit(),
        Field::new("OomScoreAdj", Kind::Int).omit(),
    ],
};

static DNS: Shape = Shape {
    name: "swarm.DNSConfig",
    fields: &[
        Field::new("Nameservers", Kind::List(&Kind::Text)).omit(),
        Field::new("Search", Kind::List(&Kind::Text)).omit(),
        Field::new("Options", Kind::List(&Kind::Text)).omit(),
    ],
};

static SECRET_REFERENCE: Shape = Shape {
    name: "swarm.SecretReference",
    fields: &[
        Field::new("File", Kind::Pointer(&Kind::Struct(&FILE))),
        Field::new("SecretID", Kind::Text),
        Field::new("SecretName", Kind::Text),
    ],
};

static CONFIG_REFERENCE: Shape = Shape {
    name: "swarm.ConfigReference",
    fields: &[
        Field::new("File", Kind::Pointer(&Kind::Struct(&FILE))).omit(),
        Field::new("Runtime", Kind::Any).omit(),
        Field::new("ConfigID", Kind::Text),
        Field::new("ConfigName", Kind::Text),
    ],
};

static FILE: Shape = Shape {
    name: "swarm.SecretReferenceFileTarget",
    fields: &[
        Field::new("Name", Kind::Text),
        Field::new("UID", Kind::Text),
        Field::new("GID", Kind::Text),
        Field::new("Mode", Kind::Int),
    ],
};

static RESOURCES: Shape = Shape {
    name: "swarm.ResourceRequirements",
    fields: &[
        Field::new("Limits", Kind::Pointer(&Kind::Struct(&LIMIT))).omit(),
        Field::new("Reservations", Kind::Pointer(&Kind::Struct(&AMOUNTS))).omit(),
    ],
};

static LIMIT: Shape = Shape {
    name: "swarm.Limit",
    fields: &[
        Field::new("NanoCPUs", Kind::Int).omit(),
        Field::new("MemoryBytes", Kind::Int).omit(),
        Field::new("Pids", Kind::Int).omit(),
    ],
};

/// What a node has, or a task reserves.
pub static AMOUNTS: Shape = Shape {
    name: "swarm.Resources",
    fields: &[
        Field::new("NanoCPUs", Kind::Int).omit(),
        Field::new("MemoryBytes", Kind::Int).omit(),
        Field::new("GenericResources", Kind::List(&Kind::Any)).omit(),
    ],
};

static RESTART: Shape = Shape {
    name: "swarm.RestartPolicy",
    fields: &[
        Field::new("Condition", Kind::Text).omit(),
        Field::new("Delay", Kind::Pointer(&Kind::Duration)).omit(),
        Field::new("MaxAttempts", Kind::Pointer(&Kind::Int)).omit(),
        Field::new("Window", Kind::Pointer(&Kind::Duration)).omit(),
    ],
};

static PLACEMENT: Shape = Shape {
    name: "swarm.Placement",
    fields: &[
        Field::new("Constraints", Kind::List(&Kind::Text)).omit(),
        Field::new("Preferences", Kind::List(&Kind::Struct(&PREFERENCE))).omit(),
        Field::new("MaxReplicas", Kind::Int).omit(),
        Field::new("Platforms", Kind::List(&Kind::Struct(&PLATFORM))).omit(),
    ],
};

static PREFERENCE: Shape =
    Shape { name: "swarm.PlacementPreference", fields: &[Field::new("Spread", Kind::Pointer(&Kind::Struct(&SPREAD)))] };
static SPREAD: Shape = Shape { name: "swarm.SpreadOver", fields: &[Field::new("SpreadDescriptor", Kind::Text)] };

/// What a program runs on.
pub static PLATFORM: Shape = Shape {
    name: "swarm.Platform",
    fields: &[Field::new("Architecture", Kind::Text).omit(), Field::new("OS", Kind::Text).omit()],
};

/// A wish for a network.
pub static ATTACHMENT_CONFIG: Shape = Shape {
    name: "swarm.NetworkAttachmentConfig",
    fields: &[
        Field::new("Target", Kind::Text).omit(),
        Field::new("Aliases", Kind::List(&Kind::Text)).omit(),
        Field::new("DriverOpts", Kind::Map(&Kind::Text)).omit(),
    ],
};

/// A driver and its options.
pub static DRIVER: Shape = Shape {
    name: "swarm.Driver",
    fields: &[Field::new("Name", Kind::Text).omit(), Field::new("Options", Kind::Map(&Kind::Text)).omit()],
};
