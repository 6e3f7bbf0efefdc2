//! # The shapes of everything else: volumes, networks, the engine
//!
//! See: moby `api/types/{volume,network,system}`, docker/cli `cli/command/system`. Next room: [`crate::inspect`]

use super::{Field, Kind, Shape};

/// The answer of `GET /volumes/{name}`.
pub static VOLUME: Shape = Shape {
    name: "volume.Volume",
    fields: &[
        Field::new("ClusterVolume", Kind::Any).omit(),
        Field::new("CreatedAt", Kind::Text).omit(),
        Field::new("Driver", Kind::Text),
        Field::new("Labels", Kind::Map(&Kind::Text)),
        Field::new("Mountpoint", Kind::Text),
        Field::new("Name", Kind::Text),
        Field::new("Options", Kind::Map(&Kind::Text)),
        Field::new("Scope", Kind::Text),
        Field::new("Status", Kind::Map(&Kind::Any)).omit(),
        Field::new("UsageData", Kind::Pointer(&Kind::Struct(&USAGE_DATA))).omit(),
    ],
};

/// How much is in it, and who uses it.
pub static USAGE_DATA: Shape =
    Shape { name: "volume.UsageData", fields: &[Field::new("RefCount", Kind::Int), Field::new("Size", Kind::Int)] };

/// The answer of `GET /networks/{id}`.
pub static NETWORK: Shape = Shape {
    name: "network.Inspect",
    fields: &[
        Field::new("Name", Kind::Text),
        Field::new("ID", Kind::Text).key("Id"),
        Field::new("Created", Kind::Time),
        Field::new("Scope", Kind::Text),
        Field::new("Driver", Kind::Text),
        Field::new("EnableIPv4", Kind::Bool),
        Field::new("EnableIPv6", Kind::Bool),
        Field::new("IPAM", Kind::Struct(&IPAM)),
        Field::new("Internal", Kind::Bool),
        Field::new("Attachable", Kind::Bool),
        Field::new("Ingress", Kind::Bool),
        Field::new("ConfigFrom", Kind::Struct(&CONFIG_FROM)),
        Field::new("ConfigOnly", Kind::Bool),
        Field::new("Containers", Kind::Map(&Kind::Struct(&ENDPOINT_RESOURCE))),
        Field::new("Options", Kind::Map(&Kind::Text)),
        Field::new("Labels", Kind::Map(&Kind::Text)),
        Field::new("Peers", Kind::List(&Kind::Any)).omit(),
        Field::new("Services", Kind::Map(&Kind::Any)).omit(),
    ],
};

/// How it gives addresses.
pub static IPAM: Shape = Shape {
    name: "network.IPAM",
    fields: &[
        Field::new("Driver", Kind::Text),
        Field::new("Options", Kind::Map(&Kind::Text)),
        Field::new("Config", Kind::List(&Kind::Struct(&IPAM_CONFIG))),
    ],
};

/// One pool of addresses.
pub static IPAM_CONFIG: Shape = Shape {
    name: "network.IPAMConfig",
    fields: &[
        Field::new("Subnet", Kind::Text).omit(),
        Field::new("IPRange", Kind::Text).omit(),
        Field::new("Gateway", Kind::Text).omit(),
        Field::new("AuxAddress", Kind::Map(&Kind::Text)).key("AuxiliaryAddresses").omit(),
    ],
};

/// Where its settings came from.
pub static CONFIG_FROM: Shape = Shape { name: "network.ConfigReference", fields: &[Field::new("Network", Kind::Text)] };

/// A container on it.
pub static ENDPOINT_RESOURCE: Shape = Shape {
    name: "network.EndpointResource",
    fields: &[
        Field::new("Name", Kind::Text),
        Field::new("EndpointID", Kind::Text),
        Field::new("MacAddress", Kind::Text),
        Field::new("IPv4Address", Kind::Text),
        Field::new("IPv6Address", Kind::Text),
    ],
};

/// `info`: both sides.
pub static INFO: Shape = Shape {
    name: "system.dockerInfo",
    fields: &[
        Field::new("Info", Kind::Pointer(&Kind::Struct(&ENGINE_INFO))).embed(),
        Field::new("ServerErrors", Kind::List(&Kind::Text)).omit(),
        Field::new("ClientInfo", Kind::Pointer(&Kind::Struct(&CLIENT_INFO))).omit(),
        Field::new("ClientErrors", Kind::List(&Kind::Text)).omit(),
    ],
};

/// The client's part of `info`.
pub static CLIENT_INFO: Shape = Shape {
    name: "system.clientInfo",
    fields: &[
        Field::new("Debug", Kind::Bool),
        Field::new("clientVersion", Kind::Struct(&CLIENT_VERSION)).embed(),
        Field::new("Plugins", Kind::List(&Kind::Any)),
        Field::new("Warnings", Kind::List(&Kind::Text)),
    ],
};

/// The daemon's part of `info`.
pub static ENGINE_INFO: Shape = Shape {
    name: "system.Info",
    fields: &[
        Field::new("ID", Kind::Text),
        Field::new("Containers", Kind::Int),
        Field::new("ContainersRunning", Kind::Int),
        Field::new("ContainersPaused", Kind::Int),
        Field::new("ContainersStopped", Kind::Int),
        Field::new("Images", Kind::Int),
        Field::new("Driver", Kind::Text),
        Field::new("DriverStatus", Kind::List(&Kind::List(&Kind::Text))),
        Field::new("SystemStatus", Kind::List(&Kind::List(&Kind::Text))).omit(),
        Field::new("Plugins", Kind::Struct(&PLUGINS)),
        Field::new("MemoryLimit", Kind::Bool),
        Field::new("SwapLimit", Kind::Bool),
        Field::new("KernelMemory", Kind::Bool).omit(),
        Field::new("KernelMemoryTCP", Kind::Bool).omit(),
        Field::new("CPUCfsPeriod", Kind::Bool).key("CpuCfsPeriod"),
        Field::new("CPUCfsQuota", Kind::Bool).key("CpuCfsQuota"),
        Field::new("CPUShares", Kind::Bool),
        Field::new("CPUSet", Kind::Bool),
        Field::new("PidsLimit", Kind::Bool),
        Field::new("IPv4Forwarding", Kind::Bool),
        Field::new("Debug", Kind::Bool),
        Field::new("NFd", Kind::Int),
        Field::new("OomKillDisable", Kind::Bool),
        Field::new("NGoroutines", Kind::Int),
        Field::new("SystemTime", Kind::Text),
        Field::new("LoggingDriver", Kind::Text),
        Field::new("CgroupDriver", Kind::Text),
        Field::new("CgroupVersion", Kind::Text).omit(),
        Field::new("NEventsListener", Kind::Int),
        Field::new("KernelVersion", Kind::Text),
        Field::new("OperatingSystem", Kind::Text),
        Field::new("OSVersion", Kind::Text),
        Field::new("OSType", Kind::Text),
        Field::new("Architecture", Kind::Text),
        Field::new("IndexServerAddress", Kind::Text),
        Field::new("RegistryConfig", Kind::Any),
        Field::new("NCPU", Kind::Int),
        Field::new("MemTotal", Kind::Int),
        Field::new("GenericResources", Kind::List(&Kind::Any)),
        Field::new("DockerRootDir", Kind::Text),
        Field::new("HTTPProxy", Kind::Text).key("HttpProxy"),
        Field::new("HTTPSProxy", Kind::Text).key("HttpsProxy"),
        Field::new("NoProxy", Kind::Text),
        Field::new("Name", Kind::Text),
        Field::new("Labels", Kind::List(&Kind::Text)),
        Field::new("ExperimentalBuild", Kind::Bool),
        Field::new("ServerVersion", Kind::Text),
        Field::new("Runtimes", Kind::Map(&Kind::Any)),
        Field::new("DefaultRuntime", Kind::Text),
        Field::new("Swarm", Kind::Any),
        Field::new("LiveRestoreEnabled", Kind::Bool),
        Field::new("Isolation", Kind::Text),
        Field::new("InitBinary", Kind::Text),
        Field::new("ContainerdCommit", Kind::Struct(&COMMIT)),
        Field::new("RuncCommit", Kind::Struct(&COMMIT)),
        Field::new("InitCommit", Kind::Struct(&COMMIT)),
        Field::new("SecurityOptions", Kind::List(&Kind::Text)),
        Field::new("ProductLicense", Kind::Text).omit(),
        Field::new("DefaultAddressPools", Kind::List(&Kind::Any)).omit(),
        Field::new("FirewallBackend", Kind::Any).omit(),
        Field::new("CDISpecDirs", Kind::List(&Kind::Text)),
        Field::new("DiscoveredDevices", Kind::List(&Kind::Any)).omit(),
        Field::new("Containerd", Kind::Any).omit(),
        Field::new("Warnings", Kind::List(&Kind::Text)),
    ],
};

/// What can be plugged in.
pub static PLUGINS: Shape = Shape {
    name: "system.PluginsInfo",
    fields: &[
        Field::new("Volume", Kind::List(&Kind::Text)),
        Field::new("Network", Kind::List(&Kind::Text)),
        Field::new("Authorization", Kind::List(&Kind::Text)),
        Field::new("Log", Kind::List(&Kind::Text)),
    ],
};

/// Which build of a program.
pub static COMMIT: Shape =
    Shape { name: "system.Commit", fields: &[Field::new("ID", Kind::Text), Field::new("Expected", Kind::Text).omit()] };

/// `version`: both sides.
pub static VERSION: Shape = Shape {
    name: "system.versionInfo",
    fields: &[
        Field::new("Client", Kind::Struct(&CLIENT_VERSION)),
        Field::new("Server", Kind::Pointer(&Kind::Struct(&SERVER_VERSION))),
    ],
};

/// The client's part of `version`.
pub static CLIENT_VERSION: Shape = Shape {
    name: "system.clientVersion",
    fields: &[
        Field::new("Platform", Kind::Pointer(&Kind::Struct(&PLATFORM_INFO))).omit(),
        Field::new("Version", Kind::Text).omit(),
        Field::new("APIVersion", Kind::Text).key("ApiVersion").omit(),
        Field::new("DefaultAPIVersion", Kind::Text).omit(),
        Field::new("GitCommit", Kind::Text).omit(),
        Field::new("GoVersion", Kind::Text).omit(),
        Field::new("Os", Kind::Text).omit(),
        Field::new("Arch", Kind::Text).omit(),
        Field::new("BuildTime", Kind::Text).omit(),
        Field::new("Context", Kind::Text),
    ],
};

/// The product.
pub static PLATFORM_INFO: Shape = Shape { name: "system.platformInfo", fields: &[Field::new("Name", Kind::Text).omit()] };

/// The daemon's part of `version`.
pub static SERVER_VERSION: Shape = Shape {
    name: "types.Version",
    fields: &[
        Field::new("Platform", Kind::Struct(&SERVER_PLATFORM)),
        Field::new("Components", Kind::List(&Kind::Struct(&COMPONENT))).omit(),
        Field::new("Version", Kind::Text),
        Field::new("APIVersion", Kind::Text).key("ApiVersion"),
        Field::new("MinAPIVersion", Kind::Text).omit(),
        Field::new("GitCommit", Kind::Text),
        Field::new("GoVersion", Kind::Text),
        Field::new("Os", Kind::Text),
        Field::new("Arch", Kind::Text),
        Field::new("KernelVersion", Kind::Text).omit(),
        Field::new("Experimental", Kind::Bool).omit(),
        Field::new("BuildTime", Kind::Text).omit(),
    ],
};

/// The product.
pub static SERVER_PLATFORM: Shape = Shape { name: "struct { Name string }", fields: &[Field::new("Name", Kind::Text)] };

/// A program of the engine.
pub static COMPONENT: Shape = Shape {
    name: "types.ComponentVersion",
    fields: &[
        Field::new("Name", Kind::Text),
        Field::new("Version", Kind::Text),
        Field::new("Details", Kind::Map(&Kind::Text)).omit(),
    ],
};
