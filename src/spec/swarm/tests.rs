//! # What clients send comes back whole
//!
//! The bodies are what `dockerd` 20.10 answered to a service that uses every word there is; keys are also read in whatever case.

use super::service::ServiceSpec;
use crate::engine::body;
use serde_json::{Value, json};

/// A service spec with every field that Docker keeps.
pub fn whole() -> Value {
    let file = json!({"Name": "n", "UID": "0", "GID": "0", "Mode": 292});
    let container = json!({
        "Image": "busybox:latest", "Labels": {"c": "d"}, "Command": ["sleep"], "Args": ["1000"], "Hostname": "h-{{.Task.Slot}}",
        "Env": ["A=1"], "Dir": "/bin", "User": "0", "Groups": ["1"], "Init": true, "StopSignal": "SIGINT", "TTY": true,
        "Privileges": {
            "NoNewPrivileges": true, "Seccomp": {"Mode": "custom", "Profile": "e30="}, "AppArmor": {"Mode": "disabled"},
            "SELinuxContext": {"Disable": true, "User": "u", "Role": "r", "Type": "t", "Level": "l"},
        },
        "OpenStdin": true, "ReadOnly": true, "StopGracePeriod": 100_000_000,
        "Mounts": [
            {"Type": "tmpfs", "Target": "/t", "TmpfsOptions": {"SizeBytes": 1_000_000, "Mode": 448}},
            {"Type": "volume", "Source": "vol", "Target": "/v", "ReadOnly": true, "VolumeOptions": {
                "NoCopy": true, "Labels": {"x": "y"}, "DriverConfig": {"Name": "local", "Options": {"o": "p"}}}},
            {"Type": "bind", "Source": "/tmp", "Target": "/b", "BindOptions": {"Propagation": "rslave", "NonRecursive": true}},
        ],
        "Healthcheck": {"Test": ["CMD", "true"], "Interval": 1_000_000_000, "Timeout": 2, "StartPeriod": 3, "Retries": 4},
        "Hosts": ["10.0.0.1 a"], "DNSConfig": {"Nameservers": ["127.0.0.1"], "Search": ["s"], "Options": ["o"]},
        "Secrets": [{"File": file, "SecretID": "s1", "SecretName": "sx"}],
        "Configs": [{"File": file, "ConfigID": "c1", "ConfigName": "cx"}],
        "Isolation": "default", "Sysctls": {"net.ipv4.ip_forward": "1"}, "CapabilityAdd": ["CAP_SYS_TIME"],
        "CapabilityDrop": ["CAP_KILL"], "Ulimits": [{"Name": "nofile", "Hard": 200, "Soft": 100}], "OomScoreAdj": 7,
    });
    let update = json!({"Parallelism": 2, "Delay": 1, "FailureAction": "rollback", "Monitor": 5, "MaxFailureRatio": 0.4, "Order": "start-first"});
    json!({
        "Name": "full", "Labels": {"image": "b"},
        "TaskTemplate": {
            "ContainerSpec": container,
            "Resources": {
                "Limits": {"NanoCPUs": 500_000_000, "MemoryBytes": 50_000_000, "Pids": 100},
                "Reservations": {"NanoCPUs": 100_000_000, "MemoryBytes": 10_000_000},
            },
            "RestartPolicy": {"Condition": "on-failure", "Delay": 1, "MaxAttempts": 3, "Window": 4},
            "Placement": {
                "Constraints": ["node.role == manager"], "Preferences": [{"Spread": {"SpreadDescriptor": "node.labels.x"}}],
                "MaxReplicas": 2, "Platforms": [{"Architecture": "amd64", "OS": "linux"}],
            },
            "Networks": [{"Target": "n1", "Aliases": ["al"], "DriverOpts": {"q": "r"}}],
            "LogDriver": {"Name": "json-file", "Options": {"max-size": "1m"}}, "ForceUpdate": 2, "Runtime": "container",
        },
        "Mode": {"Replicated": {"Replicas": 2}}, "UpdateConfig": update, "RollbackConfig": update,
        "EndpointSpec": {"Mode": "vip", "Ports": [
            {"Name": "http", "Protocol": "tcp", "TargetPort": 80, "PublishedPort": 8099, "PublishMode": "ingress"},
            {"Protocol": "udp", "TargetPort": 81, "PublishedPort": 8098, "PublishMode": "host"},
        ]},
    })
}

/// The same with all names of fields in small letters; what is the user's own is left alone.
fn small(value: &Value) -> Value {
    match value {
        Value::Array(list) => list.iter().map(small).collect(),
        Value::Object(fields) => {
            let theirs = |key: &str| ["Labels", "Options", "DriverOpts", "Sysctls"].contains(&key);
            let field = |(key, value): (&String, &Value)| {
                (key.to_ascii_lowercase(), if theirs(key) && value.is_object() { value.clone() } else { small(value) })
            };
            Value::Object(fields.iter().map(field).collect())
        }
        other => other.clone(),
    }
}

#[test]
fn every_word_of_a_service_survives_in_whatever_case() {
    for sent in [whole(), small(&whole())] {
        let spec: ServiceSpec = body::decode(sent.to_string().as_bytes()).expect("a service");
        assert_eq!(serde_json::to_value(&spec).expect("plain data"), whole());
    }
}

#[test]
fn nodes_networks_and_clusters_are_read_in_whatever_case() {
    let node: super::node::NodeSpec =
        body::decode(br#"{"role":"manager","AVAILABILITY":"drain","labels":{"Role":"x"}}"#).expect("a node");
    assert_eq!((node.role.name(), node.availability.name(), node.labels["Role"].as_str()), ("manager", "drain", "x"));
    let init: super::local::InitRequest = body::decode(
        br#"{"listenaddr":"a","datapathport":7,"defaultaddrpool":["10.0.0.0/8"],"spec":{"caconfig":{"nodecertexpiry":5},"Labels":null,"Dispatcher":{}}}"#,
    )
    .expect("a wish");
    assert_eq!((init.listen_addr.as_str(), init.data_path_port, init.spec.ca_config.node_cert_expiry), ("a", 7, 5));
    assert_eq!(init.spec.dispatcher.heartbeat_period, 5_000_000_000);
}
