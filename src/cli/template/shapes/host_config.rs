//! # The shape of a host configuration
//!
//! What a container gets of this machine: more than sixty fields, nearly all of them a flag of `docker run`.
//!
//! See: moby `api/types/container/hostconfig.go`, `api/types/mount`. Next room: [`super::container`]

use super::{Field, Kind, Shape, container::PORT_BINDING};

/// What a container gets of this machine.
pub static HOST_CONFIG: Shape = Shape {
    name: "container.HostConfig",
    fields: &[
        Field::new("Binds", Kind::List(&Kind::Text)),
        Field::new("ContainerIDFile", Kind::Text),
        Field::new("LogConfig", Kind::Struct(&LOG_CONFIG)),
        Field::new("NetworkMode", Kind::Text),
        Field::new("PortBindings", Kind::NamedMap("nat.PortMap", &Kind::List(&Kind::Struct(&PORT_BINDING)))),
        Field::new("RestartPolicy", Kind::Struct(&RESTART_POLICY)),
        Field::new("AutoRemove", Kind::Bool),
        Field::new("VolumeDriver", Kind::Text),
        Field::new("VolumesFrom", Kind::List(&Kind::Text)),
        Field::new("ConsoleSize", Kind::List(&Kind::Int)),
        Field::new("Annotations", Kind::Map(&Kind::Text)).omit(),
        Field::new("CapAdd", Kind::List(&Kind::Text)),
        Field::new("CapDrop", Kind::List(&Kind::Text)),
        Field::new("CgroupnsMode", Kind::Text),
        Field::new("DNS", Kind::List(&Kind::Text)).key("Dns"),
        Field::new("DNSOptions", Kind::List(&Kind::Text)).key("DnsOptions"),
        Field::new("DNSSearch", Kind::List(&Kind::Text)).key("DnsSearch"),
        Field::new("ExtraHosts", Kind::List(&Kind::Text)),
        Field::new("GroupAdd", Kind::List(&Kind::Text)),
        Field::new("IpcMode", Kind::Text),
        Field::new("Cgroup", Kind::Text),
        Field::new("Links", Kind::List(&Kind::Text)),
        Field::new("OomScoreAdj", Kind::Int),
        Field::new("PidMode", Kind::Text),
        Field::new("Privileged", Kind::Bool),
        Field::new("PublishAllPorts", Kind::Bool),
        Field::new("ReadonlyRootfs", Kind::Bool),
        Field::new("SecurityOpt", Kind::List(&Kind::Text)),
        Field::new("StorageOpt", Kind::Map(&Kind::Text)).omit(),
        Field::new("Tmpfs", Kind::Map(&Kind::Text)).omit(),
        Field::new("UTSMode", Kind::Text),
        Field::new("UsernsMode", Kind::Text),
        Field::new("ShmSize", Kind::Int),
        Field::new("Sysctls", Kind::Map(&Kind::Text)).omit(),
        Field::new("Runtime", Kind::Text).omit(),
        Field::new("Isolation", Kind::Text),
        Field::new("Resources", Kind::Struct(&RESOURCES)).embed(),
        Field::new("Mounts", Kind::List(&Kind::Struct(&MOUNT))).omit(),
        Field::new("MaskedPaths", Kind::List(&Kind::Text)),
        Field::new("ReadonlyPaths", Kind::List(&Kind::Text)),
        Field::new("Init", Kind::Pointer(&Kind::Bool)).omit(),
    ],
};

/// Its limits.
pub static RESOURCES: Shape = Shape {
    name: "container.Resources",
    fields: &[
        Field::new("CPUShares", Kind::Int).key("CpuShares"),
        Field::new("Memory", Kind::Int),
        Field::new("NanoCPUs", Kind::Int).key("NanoCpus"),
        Field::new("CgroupParent", Kind::Text),
        Field::new("BlkioWeight", Kind::Int),
        Field::new("BlkioWeightDevice", Kind::List(&Kind::Pointer(&Kind::Struct(&WEIGHT)))),
        Field::new("BlkioDeviceReadBps", Kind::List(&Kind::Pointer(&Kind::Struct(&THROTTLE)))),
        Field::new("BlkioDeviceWriteBps", Kind::List(&Kind::Pointer(&Kind::Struct(&THROTTLE)))),
        Field::new("BlkioDeviceReadIOps", Kind::List(&Kind::Pointer(&Kind::Struct(&THROTTLE)))),
        Field::new("BlkioDeviceWriteIOps", Kind::List(&Kind::Pointer(&Kind::Struct(&THROTTLE)))),
        Field::new("CPUPeriod", Kind::Int).key("CpuPeriod"),
        Field::new("CPUQuota", Kind::Int).key("CpuQuota"),
        Field::new("CPURealtimePeriod", Kind::Int).key("CpuRealtimePeriod"),
        Field::new("CPURealtimeRuntime", Kind::Int).key("CpuRealtimeRuntime"),
        Field::new("CpusetCpus", Kind::Text),
        Field::new("CpusetMems", Kind::Text),
        Field::new("Devices", Kind::List(&Kind::Struct(&DEVICE))),
        Field::new("DeviceCgroupRules", Kind::List(&Kind::Text)),
        Field::new("DeviceRequests", Kind::List(&Kind::Struct(&DEVICE_REQUEST))),
        Field::new("KernelMemory", Kind::Int).omit(),
        Field::new("KernelMemoryTCP", Kind::Int).omit(),
        Field::new("MemoryReservation", Kind::Int),
        Field::new("MemorySwap", Kind::Int),
        Field::new("MemorySwappiness", Kind::Pointer(&Kind::Int)),
        Field::new("OomKillDisable", Kind::Pointer(&Kind::Bool)),
        Field::new("PidsLimit", Kind::Pointer(&Kind::Int)),
        Field::new("Ulimits", Kind::List(&Kind::Pointer(&Kind::Struct(&ULIMIT)))),
        Field::new("CPUCount", Kind::Int).key("CpuCount"),
        Field::new("CPUPercent", Kind::Int).key("CpuPercent"),
        Field::new("IOMaximumIOps", Kind::Int),
        Field::new("IOMaximumBandwidth", Kind::Int),
    ],
};

/// Where its output goes.
pub static LOG_CONFIG: Shape = Shape {
    name: "container.LogConfig",
    fields: &[Field::new("Type", Kind::Text), Field::new("Config", Kind::Map(&Kind::Text))],
};

/// When it is started again.
pub static RESTART_POLICY: Shape = Shape {
    name: "container.RestartPolicy",
    fields: &[Field::new("Name", Kind::Text), Field::new("MaximumRetryCount", Kind::Int)],
};

/// A device and its share.
pub static WEIGHT: Shape =
    Shape { name: "blkiodev.WeightDevice", fields: &[Field::new("Path", Kind::Text), Field::new("Weight", Kind::Int)] };

/// A device and its limit.
pub static THROTTLE: Shape =
    Shape { name: "blkiodev.ThrottleDevice", fields: &[Field::new("Path", Kind::Text), Field::new("Rate", Kind::Int)] };

/// A device it may use.
pub static DEVICE: Shape = Shape {
    name: "container.DeviceMapping",
    fields: &[
        Field::new("PathOnHost", Kind::Text),
        Field::new("PathInContainer", Kind::Text),
        Field::new("CgroupPermissions", Kind::Text),
    ],
};

/// Devices a driver should find.
pub static DEVICE_REQUEST: Shape = Shape {
    name: "container.DeviceRequest",
    fields: &[
        Field::new("Driver", Kind::Text),
        Field::new("Count", Kind::Int),
        Field::new("DeviceIDs", Kind::List(&Kind::Text)),
        Field::new("Capabilities", Kind::List(&Kind::List(&Kind::Text))),
        Field::new("Options", Kind::Map(&Kind::Text)),
    ],
};

/// A resource limit.
pub static ULIMIT: Shape = Shape {
    name: "units.Ulimit",
    fields: &[Field::new("Name", Kind::Text), Field::new("Hard", Kind::Int), Field::new("Soft", Kind::Int)],
};

/// One `--mount`.
pub static MOUNT: Shape = Shape {
    name: "mount.Mount",
    fields: &[
        Field::new("Type", Kind::Text).omit(),
        Field::new("Source", Kind::Text).omit(),
        Field::new("Target", Kind::Text).omit(),
        Field::new("ReadOnly", Kind::Bool).omit(),
        Field::new("Consistency", Kind::Text).omit(),
        Field::new("BindOptions", Kind::Pointer(&Kind::Struct(&BIND_OPTIONS))).omit(),
        Field::new("VolumeOptions", Kind::Pointer(&Kind::Struct(&VOLUME_OPTIONS))).omit(),
        Field::new("ImageOptions", Kind::Any).omit(),
        Field::new("TmpfsOptions", Kind::Pointer(&Kind::Struct(&TMPFS_OPTIONS))).omit(),
        Field::new("ClusterOptions", Kind::Any).omit(),
    ],
};

/// How a bind mount is made.
pub static BIND_OPTIONS: Shape = Shape {
    name: "mount.BindOptions",
    fields: &[
        Field::new("Propagation", Kind::Text).omit(),
        Field::new("NonRecursive", Kind::Bool).omit(),
        Field::new("CreateMountpoint", Kind::Bool).omit(),
        Field::new("ReadOnlyNonRecursive", Kind::Bool).omit(),
        Field::new("ReadOnlyForceRecursive", Kind::Bool).omit(),
    ],
};

/// How a volume is mounted.
pub static VOLUME_OPTIONS: Shape = Shape {
    name: "mount.VolumeOptions",
    fields: &[
        Field::new("NoCopy", Kind::Bool).omit(),
        Field::new("Labels", Kind::Map(&Kind::Text)).omit(),
        Field::new("Subpath", Kind::Text).omit(),
        Field::new("DriverConfig", Kind::Pointer(&Kind::Struct(&DRIVER))).omit(),
    ],
};

/// A volume driver.
pub static DRIVER: Shape = Shape {
    name: "mount.Driver",
    fields: &[Field::new("Name", Kind::Text).omit(), Field::new("Options", Kind::Map(&Kind::Text)).omit()],
};

/// How a tmpfs is made.
pub static TMPFS_OPTIONS: Shape = Shape {
    name: "mount.TmpfsOptions",
    fields: &[
        Field::new("SizeBytes", Kind::Int).omit(),
        Field::new("Mode", Kind::Int).omit(),
        Field::new("Options", Kind::List(&Kind::List(&Kind::Text))).omit(),
    ],
};
