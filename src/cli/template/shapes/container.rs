//! # The shapes of a container
//!
//! `docker inspect CONTAINER` answers with a tree of structs; this room lists their fields in the order of the declaration, which
//! is the order in which `{{.State}}` or `{{.HostConfig}}` prints them.
//!
//! * [`CONTAINER`] is the root: [`BASE`] embedded, then mounts, [`CONFIG`] (shared with images) and [`NETWORK_SETTINGS`].
//! * [`HOST_CONFIG`] has a room of its own.
//!
//! See: moby `api/types/container/{container,hostconfig,config}.go`. Next room: [`super::host_config`]

use super::{Field, Kind, Shape, host_config::HOST_CONFIG};

/// The answer of `GET /containers/{id}/json`.
pub static CONTAINER: Shape = Shape {
    name: "container.InspectResponse",
    fields: &[
        Field::new("ContainerJSONBase", Kind::Pointer(&Kind::Struct(&BASE))).embed(),
        Field::new("Mounts", Kind::List(&Kind::Struct(&MOUNT_POINT))),
        Field::new("Config", Kind::Pointer(&Kind::Struct(&CONFIG))),
        Field::new("NetworkSettings", Kind::Pointer(&Kind::Struct(&NETWORK_SETTINGS))),
        Field::new("ImageManifestDescriptor", Kind::Pointer(&Kind::Struct(&DESCRIPTOR))).omit(),
    ],
};

/// What every container has.
pub static BASE: Shape = Shape {
    name: "container.ContainerJSONBase",
    fields: &[
        Field::new("ID", Kind::Text).key("Id"),
        Field::new("Created", Kind::Text),
        Field::new("Path", Kind::Text),
        Field::new("Args", Kind::List(&Kind::Text)),
        Field::new("State", Kind::Pointer(&Kind::Struct(&STATE))),
        Field::new("Image", Kind::Text),
        Field::new("ResolvConfPath", Kind::Text),
        Field::new("HostnamePath", Kind::Text),
        Field::new("HostsPath", Kind::Text),
        Field::new("LogPath", Kind::Text),
        Field::new("Name", Kind::Text),
        Field::new("RestartCount", Kind::Int),
        Field::new("Driver", Kind::Text),
        Field::new("Platform", Kind::Text),
        Field::new("MountLabel", Kind::Text),
        Field::new("ProcessLabel", Kind::Text),
        Field::new("AppArmorProfile", Kind::Text),
        Field::new("ExecIDs", Kind::List(&Kind::Text)),
        Field::new("HostConfig", Kind::Pointer(&Kind::Struct(&HOST_CONFIG))),
        Field::new("GraphDriver", Kind::Struct(&DRIVER_DATA)),
        Field::new("SizeRw", Kind::Pointer(&Kind::Int)).omit(),
        Field::new("SizeRootFs", Kind::Pointer(&Kind::Int)).omit(),
    ],
};

/// How a container is.
pub static STATE: Shape = Shape {
    name: "container.State",
    fields: &[
        Field::new("Status", Kind::Text),
        Field::new("Running", Kind::Bool),
        Field::new("Paused", Kind::Bool),
        Field::new("Restarting", Kind::Bool),
        Field::new("OOMKilled", Kind::Bool),
        Field::new("Dead", Kind::Bool),
        Field::new("Pid", Kind::Int),
        Field::new("ExitCode", Kind::Int),
        Field::new("Error", Kind::Text),
        Field::new("StartedAt", Kind::Text),
        Field::new("FinishedAt", Kind::Text),
        Field::new("Health", Kind::Pointer(&Kind::Struct(&HEALTH))).omit(),
    ],
};

/// Its health.
pub static HEALTH: Shape = Shape {
    name: "container.Health",
    fields: &[
        Field::new("Status", Kind::Text),
        Field::new("FailingStreak", Kind::Int),
        Field::new("Log", Kind::List(&Kind::Pointer(&Kind::Struct(&HEALTH_RESULT)))),
    ],
};

/// One check.
pub static HEALTH_RESULT: Shape = Shape {
    name: "container.HealthcheckResult",
    fields: &[
        Field::new("Start", Kind::Time),
        Field::new("End", Kind::Time),
        Field::new("ExitCode", Kind::Int),
        Field::new("Output", Kind::Text),
    ],
};

/// Where a snapshot is.
pub static DRIVER_DATA: Shape =
    Shape { name: "storage.DriverData", fields: &[Field::new("Data", Kind::Map(&Kind::Text)), Field::new("Name", Kind::Text)] };

/// A mount as it is.
pub static MOUNT_POINT: Shape = Shape {
    name: "container.MountPoint",
    fields: &[
        Field::new("Type", Kind::Text).omit(),
        Field::new("Name", Kind::Text).omit(),
        Field::new("Source", Kind::Text),
        Field::new("Destination", Kind::Text),
        Field::new("Driver", Kind::Text).omit(),
        Field::new("Mode", Kind::Text),
        Field::new("RW", Kind::Bool),
        Field::new("Propagation", Kind::Text),
    ],
};

/// The portable half of a container.
pub static CONFIG: Shape = Shape {
    name: "container.Config",
    fields: &[
        Field::new("Hostname", Kind::Text),
        Field::new("Domainname", Kind::Text),
        Field::new("User", Kind::Text),
        Field::new("AttachStdin", Kind::Bool),
        Field::new("AttachStdout", Kind::Bool),
        Field::new("AttachStderr", Kind::Bool),
        Field::new("ExposedPorts", Kind::NamedMap("nat.PortSet", &Kind::Unit)).omit(),
        Field::new("Tty", Kind::Bool),
        Field::new("OpenStdin", Kind::Bool),
        Field::new("StdinOnce", Kind::Bool),
        Field::new("Env", Kind::List(&Kind::Text)),
        Field::new("Cmd", Kind::List(&Kind::Text)),
        Field::new("Healthcheck", Kind::Pointer(&Kind::Struct(&HEALTH_CONFIG))).omit(),
        Field::new("ArgsEscaped", Kind::Bool).omit(),
        Field::new("Image", Kind::Text),
        Field::new("Volumes", Kind::Map(&Kind::Unit)),
        Field::new("WorkingDir", Kind::Text),
        Field::new("Entrypoint", Kind::List(&Kind::Text)),
        Field::new("NetworkDisabled", Kind::Bool).omit(),
        Field::new("MacAddress", Kind::Text).omit(),
        Field::new("OnBuild", Kind::List(&Kind::Text)),
        Field::new("Labels", Kind::Map(&Kind::Text)),
        Field::new("StopSignal", Kind::Text).omit(),
        Field::new("StopTimeout", Kind::Pointer(&Kind::Int)).omit(),
        Field::new("Shell", Kind::List(&Kind::Text)).omit(),
    ],
};

/// A health check.
pub static HEALTH_CONFIG: Shape = Shape {
    name: "v1.HealthcheckConfig",
    fields: &[
        Field::new("Test", Kind::List(&Kind::Text)).omit(),
        Field::new("Interval", Kind::Duration).omit(),
        Field::new("Timeout", Kind::Duration).omit(),
        Field::new("StartPeriod", Kind::Duration).omit(),
        Field::new("StartInterval", Kind::Duration).omit(),
        Field::new("Retries", Kind::Int).omit(),
    ],
};

/// A container's network, as inspected.
pub static NETWORK_SETTINGS: Shape = Shape {
    name: "container.NetworkSettings",
    fields: &[
        Field::new("NetworkSettingsBase", Kind::Struct(&SETTINGS_BASE)).embed(),
        Field::new("DefaultNetworkSettings", Kind::Struct(&SETTINGS_DEFAULT)).embed(),
        Field::new("Networks", Kind::Map(&Kind::Pointer(&Kind::Struct(&ENDPOINT)))),
    ],
};

/// Its sandbox.
pub static SETTINGS_BASE: Shape = Shape {
    name: "container.NetworkSettingsBase",
    fields: &[
        Field::new("Bridge", Kind::Text),
        Field::new("SandboxID", Kind::Text),
        Field::new("SandboxKey", Kind::Text),
        Field::new("Ports", Kind::NamedMap("nat.PortMap", &Kind::List(&Kind::Struct(&PORT_BINDING)))),
        Field::new("HairpinMode", Kind::Bool),
        Field::new("LinkLocalIPv6Address", Kind::Text),
        Field::new("LinkLocalIPv6PrefixLen", Kind::Int),
        Field::new("SecondaryIPAddresses", Kind::List(&Kind::Struct(&ADDRESS))),
        Field::new("SecondaryIPv6Addresses", Kind::List(&Kind::Struct(&ADDRESS))),
    ],
};

/// Its place on the default bridge.
pub static SETTINGS_DEFAULT: Shape = Shape {
    name: "container.DefaultNetworkSettings",
    fields: &[
        Field::new("EndpointID", Kind::Text),
        Field::new("Gateway", Kind::Text),
        Field::new("GlobalIPv6Address", Kind::Text),
        Field::new("GlobalIPv6PrefixLen", Kind::Int),
        Field::new("IPAddress", Kind::Text),
        Field::new("IPPrefixLen", Kind::Int),
        Field::new("IPv6Gateway", Kind::Text),
        Field::new("MacAddress", Kind::Text),
    ],
};

/// Where a port is published.
pub static PORT_BINDING: Shape = Shape {
    name: "nat.PortBinding",
    fields: &[Field::new("HostIP", Kind::Text).key("HostIp"), Field::new("HostPort", Kind::Text)],
};

/// An address with its prefix.
pub static ADDRESS: Shape =
    Shape { name: "network.Address", fields: &[Field::new("Addr", Kind::Text), Field::new("PrefixLen", Kind::Int)] };

/// A place on a network.
pub static ENDPOINT: Shape = Shape {
    name: "network.EndpointSettings",
    fields: &[
        Field::new("IPAMConfig", Kind::Pointer(&Kind::Struct(&ENDPOINT_IPAM))),
        Field::new("Links", Kind::List(&Kind::Text)),
        Field::new("Aliases", Kind::List(&Kind::Text)),
        Field::new("MacAddress", Kind::Text),
        Field::new("DriverOpts", Kind::Map(&Kind::Text)),
        Field::new("GwPriority", Kind::Int),
        Field::new("NetworkID", Kind::Text),
        Field::new("EndpointID", Kind::Text),
        Field::new("Gateway", Kind::Text),
        Field::new("IPAddress", Kind::Text),
        Field::new("IPPrefixLen", Kind::Int),
        Field::new("IPv6Gateway", Kind::Text),
        Field::new("GlobalIPv6Address", Kind::Text),
        Field::new("GlobalIPv6PrefixLen", Kind::Int),
        Field::new("DNSNames", Kind::List(&Kind::Text)),
    ],
};

/// The addresses that were asked for.
pub static ENDPOINT_IPAM: Shape = Shape {
    name: "network.EndpointIPAMConfig",
    fields: &[
        Field::new("IPv4Address", Kind::Text).omit(),
        Field::new("IPv6Address", Kind::Text).omit(),
        Field::new("LinkLocalIPs", Kind::List(&Kind::Text)).omit(),
    ],
};

/// An OCI descriptor.
pub static DESCRIPTOR: Shape = Shape {
    name: "v1.Descriptor",
    fields: &[
        Field::new("MediaType", Kind::Text).key("mediaType"),
        Field::new("Digest", Kind::Text).key("digest"),
        Field::new("Size", Kind::Int).key("size"),
        Field::new("URLs", Kind::List(&Kind::Text)).key("urls").omit(),
        Field::new("Annotations", Kind::Map(&Kind::Text)).key("annotations").omit(),
        Field::new("Data", Kind::List(&Kind::Text)).key("data").omit(),
        Field::new("Platform", Kind::Pointer(&Kind::Struct(&PLATFORM))).key("platform").omit(),
        Field::new("ArtifactType", Kind::Text).key("artifactType").omit(),
    ],
};

/// What a manifest is for.
pub static PLATFORM: Shape = Shape {
    name: "v1.Platform",
    fields: &[
        Field::new("Architecture", Kind::Text).key("architecture"),
        Field::new("OS", Kind::Text).key("os"),
        Field::new("OSVersion", Kind::Text).key("os.version").omit(),
        Field::new("OSFeatures", Kind::List(&Kind::Text)).key("os.features").omit(),
        Field::new("Variant", Kind::Text).key("variant").omit(),
    ],
};
