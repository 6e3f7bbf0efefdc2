//! # Service: the table of everything a service can say
//!
//! In the order in which Docker prints it, which is nearly the alphabet's. Three lists stand beside the table, for what a swarm does not do:
//! keys that stop the command, because leaving them out would change what the file means ([`FORBIDDEN`]); keys that are set aside with a
//! word ([`UNSUPPORTED`], [`DEPRECATED`]), because the same file also serves `compose up`.
//!
//! *See:* docker/cli `cli/compose/types/types.go`. *Next room:* [`crate::deploy`]

use crate::{
    deploy::DEPLOY,
    ports,
    shape::{Field, Kind, Shape},
    short, volumes,
};

pub static SERVICE: Shape = Shape(&[
    Field::new("build", Kind::Short(short::build, &Kind::Struct(&BUILD))),
    Field::new("cap_add", Kind::Texts),
    Field::new("cap_drop", Kind::Texts),
    Field::new("cgroupns_mode", Kind::Text),
    Field::new("cgroup_parent", Kind::Text),
    Field::new("command", Kind::Command).replaced(),
    Field::new("configs", Kind::List(&Kind::Short(short::source, &Kind::Struct(&FILE)))).by(&["source"]),
    Field::new("container_name", Kind::Text),
    Field::new("credential_spec", Kind::Any),
    Field::new("depends_on", Kind::Short(short::depends_on, &Kind::Texts)),
    Field::new("deploy", Kind::Maybe(&Kind::Struct(&DEPLOY))),
    Field::new("devices", Kind::Texts),
    Field::new("dns", Kind::TextOrTexts),
    Field::new("dns_search", Kind::TextOrTexts),
    Field::new("domainname", Kind::Text),
    Field::new("entrypoint", Kind::Command).replaced(),
    Field::new("environment", Kind::Variables),
    Field::new("env_file", Kind::TextOrTexts),
    Field::new("expose", Kind::Texts),
    Field::new("external_links", Kind::Texts),
    Field::new("extra_hosts", Kind::Short(short::hosts, &Kind::Texts)),
    Field::new("hostname", Kind::Text),
    Field::new("healthcheck", Kind::Struct(&HEALTH)).kept(),
    Field::new("image", Kind::Text),
    Field::new("init", Kind::Bool).kept(),
    Field::new("ipc", Kind::Text),
    Field::new("isolation", Kind::Text),
    Field::new("labels", Kind::Pairs),
    Field::new("links", Kind::Texts),
    Field::new("logging", Kind::Struct(&LOGGING)).kept(),
    Field::new("mac_address", Kind::Text),
    Field::new("network_mode", Kind::Text),
    Field::new("networks", Kind::Short(short::networks, &Kind::Names(&Kind::Maybe(&Kind::Struct(&PLACE))))),
    Field::new("pid", Kind::Maybe(&Kind::Text)),
    Field::new("ports", Kind::Short(ports::long, &Kind::List(&Kind::Struct(&PORT)))).by(&["published", "target"]),
    Field::new("privileged", Kind::Bool),
    Field::new("read_only", Kind::Bool),
    Field::new("restart", Kind::Text),
    Field::new("secrets", Kind::List(&Kind::Short(short::source, &Kind::Struct(&FILE)))).by(&["source"]),
    Field::new("security_opt", Kind::Texts),
    Field::new("shm_size", Kind::Short(short::shown, &Kind::Text)),
    Field::new("stdin_open", Kind::Bool),
    Field::new("stop_grace_period", Kind::Duration),
    Field::new("stop_signal", Kind::Text),
    Field::new("sysctls", Kind::Pairs),
    Field::new("tmpfs", Kind::TextOrTexts),
    Field::new("tty", Kind::Bool),
    Field::new("ulimits", Kind::Names(&Kind::Short(short::ulimit, &Kind::Struct(&ULIMIT)))),
    Field::new("user", Kind::Text),
    Field::new("userns_mode", Kind::Text),
    Field::new("volumes", Kind::List(&Kind::Short(volumes::long, &Kind::Struct(&MOUNT)))).by(&["target"]),
    Field::new("working_dir", Kind::Text),
    Field::new("oom_score_adj", Kind::Int),
]);

static BUILD: Shape = Shape(&[
    Field::new("context", Kind::Text),
    Field::new("dockerfile", Kind::Text),
    Field::new("args", Kind::Variables),
    Field::new("labels", Kind::Pairs),
    Field::new("cache_from", Kind::Texts),
    Field::new("extra_hosts", Kind::Short(short::hosts, &Kind::Texts)),
    Field::new("network", Kind::Text),
    Field::new("target", Kind::Text),
]);

/// A secret or config as a service has it.
static FILE: Shape = Shape(&[
    Field::new("source", Kind::Text),
    Field::new("target", Kind::Text),
    Field::new("uid", Kind::Text),
    Field::new("gid", Kind::Text),
    Field::new("mode", Kind::Int).kept(),
]);

static HEALTH: Shape = Shape(&[
    Field::new("test", Kind::Short(short::test, &Kind::TextOrTexts)).replaced(),
    Field::new("timeout", Kind::Duration),
    Field::new("interval", Kind::Duration),
    Field::new("retries", Kind::Int).kept(),
    Field::new("start_period", Kind::Duration),
    Field::new("start_interval", Kind::Duration),
    Field::new("disable", Kind::Bool),
]);

static LOGGING: Shape = Shape(&[Field::new("driver", Kind::Text), Field::new("options", Kind::Pairs)]);

/// A service's place on a network.
static PLACE: Shape = Shape(&[
    Field::new("aliases", Kind::Texts).replaced(),
    Field::new("driver_opts", Kind::Pairs),
    Field::new("ipv4_address", Kind::Short(short::address, &Kind::Text)),
    Field::new("ipv6_address", Kind::Short(short::address, &Kind::Text)),
]);

static PORT: Shape = Shape(&[
    Field::new("mode", Kind::Text),
    Field::new("target", Kind::Int),
    Field::new("published", Kind::Int),
    Field::new("protocol", Kind::Text),
]);

static ULIMIT: Shape = Shape(&[Field::new("single", Kind::Int), Field::new("soft", Kind::Int), Field::new("hard", Kind::Int)]);

static MOUNT: Shape = Shape(&[
    Field::new("type", Kind::Text),
    Field::new("source", Kind::Text),
    Field::new("target", Kind::Text),
    Field::new("read_only", Kind::Bool),
    Field::new("consistency", Kind::Text),
    Field::new("bind", Kind::Struct(&BIND)),
    Field::new("volume", Kind::Struct(&VOLUME_OPTIONS)),
    Field::new("tmpfs", Kind::Struct(&TMPFS)),
]);

static BIND: Shape = Shape(&[Field::new("propagation", Kind::Text)]);
static VOLUME_OPTIONS: Shape = Shape(&[Field::new("nocopy", Kind::Bool), Field::new("subpath", Kind::Text)]);
static TMPFS: Shape = Shape(&[Field::new("size", Kind::Size)]);

/// Keys that a swarm cannot honour and that change too much to be left out.
pub const FORBIDDEN: [(&str, &str); 9] = [
    ("cpu_quota", "Set resource limits using deploy.resources"),
    ("cpu_shares", "Set resource limits using deploy.resources"),
    ("cpuset", "Set resource limits using deploy.resources"),
    ("credential_spec", "It is for Windows containers; minidock runs Linux ones."),
    ("extends", "Support for `extends` is not implemented yet."),
    ("mem_limit", "Set resource limits using deploy.resources"),
    ("memswap_limit", "Set resource limits using deploy.resources"),
    (
        "volume_driver",
        "Instead of setting the volume driver on the service, define a volume using the top-level `volumes` option and specify the driver there.",
    ),
    (
        "volumes_from",
        "To share a volume between services, define it using the top-level `volumes` option and reference it from each service that shares it using the service-level `volumes` option.",
    ),
];

/// Keys that a swarm does without.
pub const UNSUPPORTED: [&str; 16] = [
    "build",
    "cgroup_parent",
    "cgroupns_mode",
    "devices",
    "domainname",
    "external_links",
    "ipc",
    "links",
    "mac_address",
    "network_mode",
    "pid",
    "privileged",
    "restart",
    "security_opt",
    "shm_size",
    "userns_mode",
];

/// Keys that have no use any more.
pub const DEPRECATED: [(&str, &str); 2] = [
    ("container_name", "Setting the container name is not supported."),
    ("expose", "Exposing ports is unnecessary - services on the same network can access each other's containers on any port."),
];
