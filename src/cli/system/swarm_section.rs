//! # The swarm in `info`
//!
//! Behind `Swarm: active` stands what this node is in it: its ID and address, and, on a manager, the rules of the swarm.
//!
//! *See:* docker/cli `cli/command/system/info.go` printSwarmInfo. *Next room:* [`super::events`]

use jiff::SignedDuration;
use minidock_base::units;
use serde_json::Value as Json;
use std::time::Duration;

/// The lines below `Swarm:`.
pub fn lines(swarm: &Json) -> Vec<String> {
    let text = |json: &Json| match json {
        Json::Null => String::new(),
        Json::String(text) => text.clone(),
        other => other.to_string(),
    };
    let state = text(&swarm["LocalNodeState"]);
    if matches!(state.as_str(), "" | "inactive" | "locked") {
        return Vec::new();
    }
    let error = text(&swarm["Error"]);
    let is_manager = swarm["ControlAvailable"] == true;
    let mut lines = vec![format!("NodeID: {}", text(&swarm["NodeID"]))];
    if !error.is_empty() {
        lines.push(format!("Error: {error}"));
    }
    lines.push(format!("Is Manager: {is_manager}"));
    if is_manager && error.is_empty() && state != "error" && swarm["Cluster"].is_object() {
        lines.extend(rules(swarm, &text));
    }
    lines.push(format!("Node Address: {}", text(&swarm["NodeAddr"])));
    let managers = swarm["RemoteManagers"].as_array().into_iter().flatten();
    let mut addresses: Vec<String> = managers.map(|manager| text(&manager["Addr"])).collect();
    addresses.sort();
    if !addresses.is_empty() {
        lines.push("Manager Addresses:".into());
        lines.extend(addresses.into_iter().map(|address| format!(" {address}")));
    }
    lines
}

fn rules(swarm: &Json, text: &dyn Fn(&Json) -> String) -> Vec<String> {
    let cluster = &swarm["Cluster"];
    let spec = &cluster["Spec"];
    let number = |json: &Json| json.as_i64().unwrap_or(0);
    let length =
        |json: &Json| units::human_duration(Duration::try_from(SignedDuration::from_nanos(number(json))).unwrap_or_default());
    let mut lines = vec![
        format!("ClusterID: {}", text(&cluster["ID"])),
        format!("Managers: {}", number(&swarm["Managers"])),
        format!("Nodes: {}", number(&swarm["Nodes"])),
    ];
    let pools: String = cluster["DefaultAddrPool"].as_array().into_iter().flatten().map(|p| text(p) + "  ").collect();
    if !pools.is_empty() {
        lines.push(format!("Default Address Pool: {pools}"));
        lines.push(format!("SubnetSize: {}", number(&cluster["SubnetSize"])));
    }
    if number(&cluster["DataPathPort"]) > 0 {
        lines.push(format!("Data Path Port: {}", number(&cluster["DataPathPort"])));
    }
    let (raft, authority) = (&spec["Raft"], &spec["CAConfig"]);
    lines.extend([
        "Orchestration:".into(),
        format!(" Task History Retention Limit: {}", number(&spec["Orchestration"]["TaskHistoryRetentionLimit"])),
        "Raft:".into(),
        format!(" Snapshot Interval: {}", number(&raft["SnapshotInterval"])),
        format!(" Number of Old Snapshots to Retain: {}", number(&raft["KeepOldSnapshots"])),
        format!(" Heartbeat Tick: {}", number(&raft["HeartbeatTick"])),
        format!(" Election Tick: {}", number(&raft["ElectionTick"])),
        "Dispatcher:".into(),
        format!(" Heartbeat Period: {}", length(&spec["Dispatcher"]["HeartbeatPeriod"])),
        "CA Configuration:".into(),
        format!(" Expiry Duration: {}", length(&authority["NodeCertExpiry"])),
        format!(" Force Rotate: {}", number(&authority["ForceRotate"])),
        format!("Autolock Managers: {}", spec["EncryptionConfig"]["AutoLockManagers"] == true),
        format!("Root Rotation In Progress: {}", cluster["RootRotationInProgress"] == true),
    ]);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// What `docker info` of 28.2 says of the same swarm.
    #[test]
    fn the_section_reads_as_dockers() {
        let swarm = json!({
            "NodeID": "opm8fkba1wrode9po6jvxwncc", "NodeAddr": "10.99.0.1", "LocalNodeState": "active", "ControlAvailable": true, "Error": "",
            "RemoteManagers": [{"NodeID": "opm8fkba1wrode9po6jvxwncc", "Addr": "10.99.0.1:2377"}], "Nodes": 1, "Managers": 1,
            "Cluster": {"ID": "z83t7gvy3chydlejqxx69l916", "DataPathPort": 4789, "DefaultAddrPool": null, "RootRotationInProgress": false,
                "Spec": {"Orchestration": {"TaskHistoryRetentionLimit": 5}, "Raft": {"SnapshotInterval": 10000, "KeepOldSnapshots": 0, "ElectionTick": 10, "HeartbeatTick": 1},
                    "Dispatcher": {"HeartbeatPeriod": 5_000_000_000i64}, "CAConfig": {"NodeCertExpiry": 7_776_000_000_000_000i64}, "EncryptionConfig": {"AutoLockManagers": false}}}
        });
        let wanted = "\
NodeID: opm8fkba1wrode9po6jvxwncc
Is Manager: true
ClusterID: z83t7gvy3chydlejqxx69l916
Managers: 1
Nodes: 1
Data Path Port: 4789
Orchestration:
 Task History Retention Limit: 5
Raft:
 Snapshot Interval: 10000
 Number of Old Snapshots to Retain: 0
 Heartbeat Tick: 1
 Election Tick: 10
Dispatcher:
 Heartbeat Period: 5 seconds
CA Configuration:
 Expiry Duration: 3 months
 Force Rotate: 0
Autolock Managers: false
Root Rotation In Progress: false
Node Address: 10.99.0.1
Manager Addresses:
 10.99.0.1:2377";
        assert_eq!(lines(&swarm).join("\n"), wanted);
        assert!(
            lines(&json!({"LocalNodeState": "inactive"})).is_empty() && lines(&json!({"LocalNodeState": "locked"})).is_empty()
        );
        let worker = json!({"LocalNodeState": "active", "NodeID": "n", "NodeAddr": "10.0.0.2", "ControlAvailable": false, "RemoteManagers": null});
        assert_eq!(lines(&worker), ["NodeID: n", "Is Manager: false", "Node Address: 10.0.0.2"]);
    }
}
