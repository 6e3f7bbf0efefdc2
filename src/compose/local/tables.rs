//! # Tables: everything a service on one machine can say
//!
//! The Compose specification has no versions and knows more than a swarm does: how an image is built, who waits for whom, which devices
//! and namespaces a container gets. So `compose` has tables of its own, beside those of `stack`, applied by the same [`crate::shape`].
//!
//! * What the specification has and this machine cannot do is in [`LEFT_OUT`]: set aside with a word, never silently.
//! * A key in no table is a fault here, as `docker compose` has it (for `stack` it is a warning).
//!
//! *See:* compose-spec `05-services.md`, `build.md`, `deploy.md`. *Next room:* [`super::short`]

use super::short as here;
use crate::{
    shape::{Field, Kind, Shape},
    short,
};

/// The top level; `version` and `include` are read by hand.
pub static PROJECT: Shape = Shape(&[
    Field::new("name", Kind::Text),
    Field::new("services", Kind::Names(&Kind::Struct(&SERVICE))),
    Field::new("networks", Kind::Names(&Kind::Short(short::outer, &Kind::Struct(&NETWORK)))),
    Field::new("volumes", Kind::Names(&Kind::Short(short::outer, &Kind::Struct(&VOLUME)))),
    Field::new("configs", Kind::Names(&Kind::Short(short::outer, &Kind::Struct(&FILE)))),
    Field::new("secrets", Kind::Names(&Kind::Short(short::outer, &Kind::Struct(&FILE)))),
]);

const PAIRS: Kind = Kind::Short(here::truths, &Kind::Pairs);
/// A text; a number stands for its own.
const WORD: Kind = Kind::Short(short::shown, &Kind::Text);
const MEMORY: Kind = Kind::Short(short::shown, &Kind::Memory);

pub static SERVICE: Shape = Shape(&[
    Field::new("annotations", PAIRS),
    Field::new("attach", Kind::Bool).kept(),
    Field::new("build", Kind::Short(short::build, &Kind::Struct(&BUILD))),
    Field::new("cap_add", Kind::Texts),
    Field::new("cap_drop", Kind::Texts),
    Field::new("cgroup", Kind::Text),
    Field::new("cgroup_parent", Kind::Text),
    Field::new("command", Kind::Command).replaced(),
    Field::new("configs", Kind::List(&Kind::Short(short::source, &Kind::Struct(&FILE_PLACE)))).by(&["source"]),
    Field::new("container_name", Kind::Text),
    Field::new("cpu_count", Kind::Any),
    Field::new("cpu_period", Kind::Int),
    Field::new("cpu_quota", Kind::Int),
    Field::new("cpu_shares", Kind::Int),
    Field::new("cpus", WORD),
    Field::new("cpuset", WORD),
    Field::new("depends_on", Kind::Short(here::depends_on, &Kind::Names(&Kind::Struct(&DEPENDENCY)))),
    Field::new("deploy", Kind::Struct(&DEPLOY)),
    Field::new("develop", Kind::Any),
    Field::new("device_cgroup_rules", Kind::Texts),
    Field::new("devices", Kind::List(&Kind::Short(here::device, &Kind::Struct(&DEVICE)))).by(&["target"]),
    Field::new("dns", Kind::TextOrTexts),
    Field::new("dns_opt", Kind::TextOrTexts),
    Field::new("dns_search", Kind::TextOrTexts),
    Field::new("domainname", Kind::Text),
    Field::new("entrypoint", Kind::Command).replaced(),
    Field::new("env_file", Kind::Short(here::env_files, &Kind::List(&Kind::Struct(&ENV_FILE)))),
    Field::new("environment", Kind::Short(here::truths, &Kind::Variables)),
    Field::new("expose", Kind::Texts),
    Field::new("extends", Kind::Short(here::extends, &Kind::Struct(&EXTENDS))),
    Field::new("external_links", Kind::Texts),
    Field::new("extra_hosts", Kind::Short(short::hosts, &Kind::Texts)),
    Field::new("group_add", Kind::Texts),
    Field::new("healthcheck", Kind::Struct(&HEALTH)),
    Field::new("hostname", Kind::Text),
    Field::new("image", Kind::Text),
    Field::new("init", Kind::Bool).kept(),
    Field::new("ipc", Kind::Text),
    Field::new("isolation", Kind::Text),
    Field::new("labels", PAIRS),
    Field::new("links", Kind::Texts),
    Field::new("logging", Kind::Struct(&LOGGING)),
    Field::new("mac_address", Kind::Text),
    Field::new("mem_limit", MEMORY),
    Field::new("mem_reservation", MEMORY),
    Field::new("mem_swappiness", Kind::Int).kept(),
    Field::new("memswap_limit", Kind::Short(here::swap, &Kind::Text)),
    Field::new("network_mode", Kind::Text),
    Field::new("networks", Kind::Short(short::networks, &Kind::Names(&Kind::Maybe(&Kind::Struct(&PLACE))))),
    Field::new("oom_kill_disable", Kind::Bool),
    Field::new("oom_score_adj", Kind::Int),
    Field::new("pid", Kind::Text),
    Field::new("pids_limit", Kind::Int),
    Field::new("platform", Kind::Text),
    Field::new("ports", Kind::Short(super::ports::long, &Kind::List(&Kind::Struct(&PORT)))),
    Field::new("privileged", Kind::Bool),
    Field::new("profiles", Kind::Texts),
    Field::new("pull_policy", Kind::Text),
    Field::new("read_only", Kind::Bool),
    Field::new("restart", Kind::Short(here::restart, &Kind::Text)),
    Field::new("runtime", Kind::Text),
    Field::new("scale", Kind::Count).kept(),
    Field::new("secrets", Kind::List(&Kind::Short(short::source, &Kind::Struct(&FILE_PLACE)))).by(&["source"]),
    Field::new("security_opt", Kind::Texts),
    Field::new("shm_size", MEMORY),
    Field::new("stdin_open", Kind::Bool),
    Field::new("stop_grace_period", Kind::Duration),
    Field::new("stop_signal", Kind::Text),
    Field::new("storage_opt", PAIRS),
    Field::new("sysctls", PAIRS),
    Field::new("tmpfs", Kind::TextOrTexts),
    Field::new("tty", Kind::Bool),
    Field::new("ulimits", Kind::Names(&Kind::Short(short::ulimit, &Kind::Struct(&ULIMIT)))),
    Field::new("user", WORD),
    Field::new("userns_mode", Kind::Text),
    Field::new("uts", Kind::Text),
    Field::new("volumes", Kind::List(&Kind::Short(here::volume, &Kind::Struct(&MOUNT)))).by(&["target"]),
    Field::new("volumes_from", Kind::Texts),
    Field::new("working_dir", Kind::Text),
    Field::new("blkio_config", Kind::Any),
    Field::new("cpu_percent", Kind::Any),
    Field::new("cpu_rt_period", Kind::Any),
    Field::new("cpu_rt_runtime", Kind::Any),
    Field::new("credential_spec", Kind::Any),
    Field::new("gpus", Kind::Any),
    Field::new("label_file", Kind::Any),
    Field::new("models", Kind::Any),
    Field::new("post_start", Kind::Any),
    Field::new("pre_stop", Kind::Any),
    Field::new("provider", Kind::Any),
    Field::new("use_api_socket", Kind::Any),
    Field::new("volume_driver", Kind::Text),
]);

/// Keys of a service that this machine does without.
pub const LEFT_OUT: [&str; 15] = [
    "blkio_config",
    "cpu_count",
    "cpu_percent",
    "cpu_rt_period",
    "cpu_rt_runtime",
    "credential_spec",
    "develop",
    "gpus",
    "isolation",
    "label_file",
    "models",
    "post_start",
    "pre_stop",
    "provider",
    "use_api_socket",
];

static BUILD: Shape = Shape(&[
    Field::new("context", Kind::Text),
    Field::new("dockerfile", Kind::Text),
    Field::new("dockerfile_inline", Kind::Text),
    Field::new("args", Kind::Short(here::truths, &Kind::Variables)),
    Field::new("additional_contexts", Kind::Any),
    Field::new("cache_from", Kind::Texts),
    Field::new("cache_to", Kind::Any),
    Field::new("extra_hosts", Kind::Short(short::hosts, &Kind::Texts)),
    Field::new("labels", PAIRS),
    Field::new("network", Kind::Text),
    Field::new("no_cache", Kind::Bool),
    Field::new("platforms", Kind::Texts),
    Field::new("privileged", Kind::Any),
    Field::new("pull", Kind::Bool),
    Field::new("secrets", Kind::List(&Kind::Short(short::source, &Kind::Struct(&FILE_PLACE)))),
    Field::new("shm_size", MEMORY),
    Field::new("ssh", Kind::Any),
    Field::new("tags", Kind::Texts),
    Field::new("target", Kind::Text),
    Field::new("ulimits", Kind::Names(&Kind::Short(short::ulimit, &Kind::Struct(&ULIMIT)))),
]);

static DEPENDENCY: Shape =
    Shape(&[Field::new("condition", Kind::Text), Field::new("restart", Kind::Bool), Field::new("required", Kind::Bool).kept()]);

static EXTENDS: Shape = Shape(&[Field::new("file", Kind::Text), Field::new("service", Kind::Text)]);

static ENV_FILE: Shape =
    Shape(&[Field::new("path", Kind::Text), Field::new("required", Kind::Bool).kept(), Field::new("format", Kind::Text)]);

/// A secret or config as a service has it.
static FILE_PLACE: Shape = Shape(&[
    Field::new("source", Kind::Text),
    Field::new("target", Kind::Text),
    Field::new("uid", WORD),
    Field::new("gid", WORD),
    Field::new("mode", Kind::Short(here::mode, &Kind::Int)).kept(),
]);

static HEALTH: Shape = Shape(&[
    Field::new("disable", Kind::Bool),
    Field::new("interval", Kind::Duration),
    Field::new("retries", Kind::Short(here::whole, &Kind::Int)).kept(),
    Field::new("start_interval", Kind::Duration),
    Field::new("start_period", Kind::Duration),
    Field::new("test", Kind::Short(short::test, &Kind::TextOrTexts)).replaced(),
    Field::new("timeout", Kind::Duration),
]);

static LOGGING: Shape = Shape(&[Field::new("driver", Kind::Text), Field::new("options", PAIRS)]);

/// A service's place on a network.
static PLACE: Shape = Shape(&[
    Field::new("aliases", Kind::Texts),
    Field::new("driver_opts", PAIRS),
    Field::new("gw_priority", Kind::Number),
    Field::new("interface_name", Kind::Text),
    Field::new("ipv4_address", Kind::Text),
    Field::new("ipv6_address", Kind::Text),
    Field::new("link_local_ips", Kind::Texts),
    Field::new("mac_address", Kind::Text),
    Field::new("priority", Kind::Number),
]);

pub static PORT: Shape = Shape(&[
    Field::new("name", Kind::Text),
    Field::new("mode", Kind::Text),
    Field::new("host_ip", Kind::Text),
    Field::new("target", Kind::Short(here::whole, &Kind::Int)),
    Field::new("published", WORD),
    Field::new("protocol", Kind::Text),
    Field::new("app_protocol", Kind::Text),
]);

static DEVICE: Shape =
    Shape(&[Field::new("source", Kind::Text), Field::new("target", Kind::Text), Field::new("permissions", Kind::Text)]);

static ULIMIT: Shape = Shape(&[Field::new("single", Kind::Int), Field::new("soft", Kind::Int), Field::new("hard", Kind::Int)]);

static MOUNT: Shape = Shape(&[
    Field::new("type", Kind::Text),
    Field::new("source", Kind::Text),
    Field::new("target", Kind::Text),
    Field::new("read_only", Kind::Bool),
    Field::new("consistency", Kind::Text),
    Field::new(
        "bind",
        Kind::Struct(&Shape(&[
            Field::new("propagation", Kind::Text),
            Field::new("create_host_path", Kind::Bool).kept(),
            Field::new("recursive", Kind::Any),
            Field::new("selinux", Kind::Text),
        ])),
    ),
    Field::new(
        "volume",
        Kind::Struct(&Shape(&[
            Field::new("nocopy", Kind::Bool),
            Field::new("subpath", Kind::Text),
            Field::new("labels", PAIRS),
        ])),
    ),
    Field::new(
        "tmpfs",
        Kind::Struct(&Shape(&[Field::new("size", Kind::Size), Field::new("mode", Kind::Short(here::mode, &Kind::Int))])),
    ),
]);

/// What `compose up` reads of it: how many, and with how much.
static DEPLOY: Shape = Shape(&[
    Field::new("mode", Kind::Text),
    Field::new("replicas", Kind::Count).kept(),
    Field::new("labels", PAIRS),
    Field::new("endpoint_mode", Kind::Text),
    Field::new("placement", Kind::Any),
    Field::new(
        "resources",
        Kind::Struct(&Shape(&[
            Field::new("limits", Kind::Struct(&AMOUNTS)),
            Field::new("reservations", Kind::Struct(&AMOUNTS)),
        ])),
    ),
    Field::new("restart_policy", Kind::Struct(&RESTART)),
    Field::new("rollback_config", Kind::Any),
    Field::new("update_config", Kind::Any),
]);

static RESTART: Shape = Shape(&[
    Field::new("condition", Kind::Text),
    Field::new("delay", Kind::Duration),
    Field::new("max_attempts", Kind::Count),
    Field::new("window", Kind::Duration),
]);

static AMOUNTS: Shape = Shape(&[
    Field::new("cpus", WORD),
    Field::new("memory", MEMORY),
    Field::new("pids", Kind::Int),
    Field::new("devices", Kind::Any),
    Field::new("generic_resources", Kind::Any),
]);

pub static NETWORK: Shape = Shape(&[
    Field::new("name", Kind::Text),
    Field::new("attachable", Kind::Bool),
    Field::new("driver", Kind::Text),
    Field::new("driver_opts", PAIRS),
    Field::new("enable_ipv4", Kind::Bool).kept(),
    Field::new("enable_ipv6", Kind::Bool),
    Field::new("external", Kind::Bool),
    Field::new("internal", Kind::Bool),
    Field::new(
        "ipam",
        Kind::Struct(&Shape(&[
            Field::new("driver", Kind::Text),
            Field::new("config", Kind::List(&Kind::Struct(&POOL))).replaced(),
            Field::new("options", PAIRS),
        ])),
    ),
    Field::new("labels", PAIRS),
]);

static POOL: Shape = Shape(&[
    Field::new("subnet", Kind::Text),
    Field::new("ip_range", Kind::Text),
    Field::new("gateway", Kind::Text),
    Field::new("aux_addresses", Kind::Pairs),
]);

pub static VOLUME: Shape = Shape(&[
    Field::new("name", Kind::Text),
    Field::new("driver", Kind::Text),
    Field::new("driver_opts", PAIRS),
    Field::new("external", Kind::Bool),
    Field::new("labels", PAIRS),
]);

/// A secret or a config: a file, a variable, or (configs) the text itself.
pub static FILE: Shape = Shape(&[
    Field::new("name", Kind::Text),
    Field::new("content", Kind::Text),
    Field::new("driver", Kind::Any),
    Field::new("driver_opts", Kind::Any),
    Field::new("environment", Kind::Text),
    Field::new("external", Kind::Bool),
    Field::new("file", Kind::Text),
    Field::new("labels", PAIRS),
    Field::new("template_driver", Kind::Any),
]);
