//! # Body: JSON as Go reads it
//!
//! Docker's clients were written against Go's decoder, which is generous in two ways that serde is not: keys match without
//! regard to case (`hostconfig`, `tty`), and `null` means "not given". [`decode`] restores both: it reads the text, walks
//! the value, puts known keys into their proper spelling and drops nulls; only then does serde see it.
//!
//! ```text
//!   {"image":"alpine","HOSTCONFIG":{"Memory":null,"Tmpfs":{"/Run":""}}}
//!     └ Image          └ HostConfig    └ gone        └ the user's own keys: left alone
//! ```
//!
//! The walk must know where *names of fields* end and *keys of the user's* begin: below `Labels` nothing may be touched
//! ([`THEIRS`]); below `PortBindings` the keys are the user's, but what they stand for is ours again ([`KEYED`]).
//!
//! Laws: the spelling table [`FIELDS`] holds every field of every request body (a test compares it with the types).
//! See: Go `encoding/json`, Unmarshal · moby `httputils.ReadJSON`. Next room: [`crate::engine::container`]

use minidock_base::{Error, Result};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// Reads a request body; keys without regard to case, `null` as absent.
///
/// # Errors
/// 400 with Docker's words: `invalid JSON: …`, `unexpected content after JSON`.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Err(Error::invalid("invalid JSON: got EOF while reading request body"));
    }
    let mut documents = serde_json::Deserializer::from_slice(bytes).into_iter::<Value>();
    let value = match documents.next() {
        Some(Ok(value)) => value,
        Some(Err(e)) => return Err(Error::invalid(format!("invalid JSON: {e}"))),
        None => return Err(Error::invalid("invalid JSON: got EOF while reading request body")),
    };
    if documents.next().is_some() {
        return Err(Error::invalid("unexpected content after JSON"));
    }
    serde_json::from_value(respell(value)).map_err(|e| Error::invalid(format!("invalid JSON: {e}")))
}

/// As [`decode`], but an empty body is the default: `exec start`, `wait` and others accept none.
///
/// # Errors
/// As [`decode`].
pub fn decode_or_default<T: DeserializeOwned + Default>(bytes: &[u8]) -> Result<T> {
    match bytes.iter().all(u8::is_ascii_whitespace) {
        true => Ok(T::default()),
        false => decode(bytes),
    }
}

/// Objects whose keys are ours: respelt, and nulls dropped; lists element by element.
fn respell(value: Value) -> Value {
    match value {
        Value::Array(list) => Value::Array(list.into_iter().map(respell).collect()),
        Value::Object(fields) => {
            let mut ours = Map::new();
            for (key, value) in fields {
                if value.is_null() {
                    continue;
                }
                let exact = FIELDS.contains(&key.as_str());
                let name = match exact {
                    true => key,
                    false => FIELDS.iter().find(|f| f.eq_ignore_ascii_case(&key)).map_or(key, |f| f.to_string()),
                };
                if exact || !ours.contains_key(&name) {
                    let value = below(&name, value);
                    ours.insert(name, value);
                }
            }
            Value::Object(ours)
        }
        other => other,
    }
}

fn below(name: &str, value: Value) -> Value {
    match value {
        // a list is never theirs: IPAM's Config is one of ours, a log driver's Config an object of the user's
        theirs if THEIRS.contains(&name) && !theirs.is_array() => theirs,
        Value::Object(keyed) if KEYED.contains(&name) => {
            Value::Object(keyed.into_iter().map(|(key, value)| (key, respell(value))).collect())
        }
        other => respell(other),
    }
}

/// Fields whose values are the user's own maps.
const THEIRS: &[&str] = &[
    "Annotations",
    "AuxiliaryAddresses",
    "Config",
    "DriverOpts",
    "ExposedPorts",
    "Labels",
    "Options",
    "StorageOpt",
    "Sysctls",
    "Tmpfs",
    "Volumes",
];

/// Fields whose keys are the user's and whose values have fields of ours.
const KEYED: &[&str] = &["EndpointsConfig", "PortBindings"];

/// Every field of every request body, in its proper spelling.
#[rustfmt::skip]
const FIELDS: &[&str] = &[
    "AdvertiseAddr", "Aliases", "Annotations", "AppArmor", "Architecture", "Args", "ArgsEscaped", "AttachStderr",
    "AttachStdin", "AttachStdout", "Attachable", "AutoLockManagers", "AutoRemove", "AuxiliaryAddresses", "Availability",
    "BindOptions", "Binds", "BlkioDeviceReadBps", "BlkioDeviceReadIOps", "BlkioDeviceWriteBps", "BlkioDeviceWriteIOps",
    "BlkioWeight", "BlkioWeightDevice", "CAConfig", "CapAdd", "CapDrop", "CapabilityAdd", "CapabilityDrop", "Cgroup",
    "CgroupParent", "CgroupPermissions", "CgroupnsMode", "CheckDuplicate", "Cmd", "Command", "Condition", "Config",
    "ConfigFrom", "ConfigID", "ConfigName", "ConfigOnly", "Configs", "Consistency", "ConsoleSize", "Constraints", "Container",
    "ContainerIDFile", "ContainerSpec", "CpuCount", "CpuPercent", "CpuPeriod", "CpuQuota", "CpuRealtimePeriod",
    "CpuRealtimeRuntime", "CpuShares", "CpusetCpus", "CpusetMems", "CreateMountpoint", "CredentialSpec", "DNSConfig",
    "DNSNames", "Data", "DataPathAddr", "DataPathPort", "DefaultAddrPool", "Delay", "Detach", "DetachKeys",
    "DeviceCgroupRules", "DeviceRequests", "Devices", "Dir", "Disable", "DiscreteResourceSpec", "Dispatcher", "Dns", "DnsOptions", "DnsSearch", "Domainname",
    "Driver", "DriverConfig", "DriverOpts", "ElectionTick", "EnableIPv6", "EncryptionConfig", "EndpointConfig", "EndpointID",
    "EndpointSpec", "EndpointsConfig", "Entrypoint", "Env", "ExposedPorts", "ExternalCAs", "ExtraHosts", "FailureAction",
    "File", "Force", "ForceNewCluster", "ForceRotate", "ForceUpdate", "GID", "Gateway", "GenericResources", "Global",
    "GlobalIPv6Address", "GlobalIPv6PrefixLen", "GlobalJob", "GroupAdd", "Groups", "Hard", "Healthcheck", "HeartbeatPeriod",
    "HeartbeatTick", "HostConfig", "HostIp", "HostPort", "Hostname", "Hosts", "IOMaximumBandwidth", "IOMaximumIOps", "IPAM",
    "IPAMConfig", "IPAddress", "IPPrefixLen", "IPRange", "IPv4Address", "IPv6Address", "IPv6Gateway", "Image", "Ingress",
    "Init", "Internal", "Interval", "IpcMode", "Isolation", "JoinToken", "KeepOldSnapshots", "Kind", "KernelMemory", "KernelMemoryTCP",
    "Labels", "Level", "Limits", "LinkLocalIPs", "Links", "ListenAddr", "LogConfig", "LogDriver", "LogEntriesForSlowFollowers",
    "MacAddress", "MaskedPaths", "MaxAttempts", "MaxConcurrent", "MaxFailureRatio", "MaxReplicas", "MaximumRetryCount",
    "Memory", "MemoryBytes", "MemoryReservation", "MemorySwap", "MemorySwappiness", "Mode", "Monitor", "Mounts", "Name",
    "NamedResourceSpec", "Nameservers", "NanoCpus", "Network", "NetworkAttachmentSpec", "NetworkDisabled", "NetworkID", "NetworkMode",
    "NetworkingConfig", "Networks", "NoCopy", "NoNewPrivileges", "NodeCertExpiry", "NonRecursive", "OS", "OnBuild",
    "OomKillDisable", "OomScoreAdj", "OpenStdin", "Options", "Orchestration", "Order", "Parallelism", "Path",
    "PathInContainer", "PathOnHost", "PidMode", "Pids", "PidsLimit", "Placement", "Platforms", "PluginSpec", "PortBindings",
    "Ports", "Preferences", "Privileged", "Privileges", "Profile", "Propagation", "Protocol", "PublishAllPorts", "PublishMode",
    "PublishedPort", "Raft", "Rate", "ReadOnly", "ReadOnlyForceRecursive", "ReadOnlyNonRecursive", "ReadonlyPaths",
    "ReadonlyRootfs", "RemoteAddrs", "Replicas", "Replicated", "ReplicatedJob", "Reservations", "Resources", "RestartPolicy",
    "Retries", "Role", "RollbackConfig", "Runtime", "SELinuxContext", "Scope", "Search", "Seccomp", "SecretID", "SecretName",
    "Secrets", "SecurityOpt", "Shell", "ShmSize", "SigningCACert", "SigningCAKey", "SizeBytes", "SnapshotInterval", "Soft",
    "Source", "Spec", "Spread", "SpreadDescriptor", "StartInterval", "StartPeriod", "StdinOnce", "StopGracePeriod",
    "StopSignal", "StopTimeout", "StorageOpt", "Subnet", "SubnetSize", "Subpath", "Sysctls", "Target", "TargetPort",
    "TaskDefaults", "TaskHistoryRetentionLimit", "TaskTemplate", "Templating", "Test", "Timeout", "Tmpfs", "TmpfsOptions",
    "TotalCompletions", "Tty", "Type", "UID", "UTSMode", "Ulimits", "UnlockKey", "UpdateConfig", "User", "UsernsMode", "Value",
    "VolumeDriver", "VolumeOptions", "Volumes", "VolumesFrom", "Weight", "Window", "WorkingDir",
    // found by their exact spelling alone: another body has the same letters
    "NanoCPUs", "TTY",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{container::*, exec::*, network::*, volume::VolumeCreate};
    use proptest::prelude::*;
    use serde::Serialize;

    #[test]
    fn keys_match_without_regard_to_case_and_null_is_absent() {
        let text = br#"{"image":"alpine","HOSTCONFIG":{"memory":7,"MemorySwap":null,"tmpfs":{"/Image":"x"}},"labels":{"image":"y"},"Env":null}"#;
        let body: CreateBody = decode(text).expect("a body");
        assert_eq!((body.config.image.as_str(), body.host_config.resources.memory), ("alpine", 7));
        assert_eq!(body.host_config.tmpfs["/Image"], "x");
        assert_eq!(body.config.labels["image"], "y", "the user's own keys are left alone");
    }

    #[test]
    fn bad_json_is_refused_in_dockers_words() {
        let message = |text: &[u8]| decode::<CreateBody>(text).unwrap_err().message();
        assert_eq!(message(b" "), "invalid JSON: got EOF while reading request body");
        assert_eq!(message(b"{} {}"), "unexpected content after JSON");
        assert!(message(b"{\"Image\":[1]}").starts_with("invalid JSON: "));
    }

    #[test]
    fn every_field_of_every_request_body_is_in_the_spelling_table() {
        fn check<T: Serialize>(value: &T) {
            let Value::Object(fields) = serde_json::to_value(value).expect("plain data") else { panic!("an object") };
            for key in fields.keys() {
                assert!(FIELDS.contains(&key.as_str()), "{key} is missing in FIELDS");
            }
        }
        let health =
            HealthConfig { test: vec!["a".into()], interval: 1, timeout: 1, start_period: 1, start_interval: 1, retries: 1 };
        check(&health);
        check(&ContainerConfig {
            healthcheck: Some(health),
            exposed_ports: Some(Set::new()),
            args_escaped: Some(true),
            network_disabled: Some(true),
            mac_address: Some(String::new()),
            stop_signal: Some(String::new()),
            stop_timeout: Some(1),
            shell: Some(vec![]),
            ..ContainerConfig::default()
        });
        let one = std::collections::BTreeMap::from([("k".to_string(), "v".to_string())]);
        check(&HostConfig {
            annotations: one.clone(),
            storage_opt: one.clone(),
            tmpfs: one.clone(),
            sysctls: one.clone(),
            mounts: Some(vec![]),
            init: Some(true),
            resources: Resources { kernel_memory: 1, kernel_memory_tcp: 1, ..Resources::default() },
            ..HostConfig::default()
        });
        check(&MountRequest {
            source: "s".into(),
            read_only: true,
            consistency: "c".into(),
            bind_options: Some(BindOptions::default()),
            volume_options: Some(VolumeOptions::default()),
            tmpfs_options: Some(TmpfsOptions::default()),
            ..MountRequest::default()
        });
        check(&BindOptions {
            propagation: "p".into(),
            non_recursive: true,
            create_mountpoint: true,
            read_only_non_recursive: true,
            read_only_force_recursive: true,
        });
        check(&VolumeOptions {
            no_copy: true,
            labels: one.clone(),
            subpath: "s".into(),
            driver_config: Some(DriverConfig::default()),
        });
        check(&TmpfsOptions { size_bytes: 1, mode: Some(1) });
        check(&(DriverConfig::default()));
        check(&CreateBody::default());
        check(&UpdateBody { restart_policy: Some(RestartPolicy::default()), ..UpdateBody::default() });
        check(&(ExecCreate { console_size: Some([1, 1]), ..ExecCreate::default() }));
        check(&(ExecStart { console_size: Some([1, 1]), ..ExecStart::default() }));
        check(&VolumeCreate::default());
        check(&EndpointSettings::default());
        check(&EndpointIpamConfig { ipv4_address: "a".into(), ipv6_address: "b".into(), link_local_ips: vec!["c".into()] });
        check(&NetworkCreate { check_duplicate: true, ..NetworkCreate::default() });
        check(&Ipam::default());
        check(&IpamConfig { subnet: "s".into(), ip_range: "r".into(), gateway: "g".into(), auxiliary_addresses: one.clone() });
        check(&ConfigReference::default());
        check(&NetworkConnect::default());
        check(&NetworkDisconnect::default());
        check(&PortBinding::default());
        check(&(WeightDevice::default()));
        check(&(ThrottleDevice::default()));
        check(&(DeviceMapping::default()));
        check(&(Ulimit::default()));
        check(&(LogConfig::default()));
        check(&(RestartPolicy::default()));
    }

    proptest! {
        #[test]
        fn no_body_makes_the_decoder_panic(text in "\\PC{0,80}") {
            let _ = decode::<CreateBody>(text.as_bytes());
        }
    }
}
