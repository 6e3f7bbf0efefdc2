//! # Storage: claims, folders, secrets
//!
//! A swarm's volume is a folder on whichever node a task lands; a claim is storage that follows. A secret is one file in both worlds:
//! there it is a key of a Secret, mounted alone by `subPath`.
//!
//! *See:* Kubernetes API: PersistentVolumeClaim, Secret, ConfigMap, Volume. *Next room:* [`crate::node`]

use super::{Scope, label};
use crate::stack::Stack;
use base64::{Engine, engine::general_purpose::STANDARD};
use minidock_spec::swarm::{
    container::{ContainerSpec, FileTarget},
    secret::SecretSpec,
};
use serde_json::{Value, json};

/// The one key of each Secret and ConfigMap.
const KEY: &str = "file";
/// How much a claim asks for: a swarm's volume has no size.
const SIZE: &str = "1Gi";

/// Secrets and ConfigMaps.
pub fn files(scope: &Scope, stack: &Stack) -> Vec<Value> {
    let secret = |spec: &SecretSpec| json!({"apiVersion": "v1", "kind": "Secret", "metadata": scope.metadata(&scope.inside(&spec.name)), "type": "Opaque", "data": {KEY: spec.data.as_str()}});
    let config = |spec: &SecretSpec| {
        let metadata = scope.metadata(&scope.inside(&spec.name));
        match STANDARD.decode(&spec.data).ok().and_then(|bytes| String::from_utf8(bytes).ok()) {
            Some(text) => json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {KEY: text}}),
            None => {
                json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "binaryData": {KEY: spec.data.as_str()}})
            }
        }
    };
    stack.secrets.iter().map(secret).chain(stack.configs.iter().map(config)).collect()
}

/// A claim for each volume that has a name, once.
pub fn claims(scope: &Scope, stack: &Stack) -> Vec<Value> {
    let mut names: Vec<String> = Vec::new();
    let containers = stack.services.iter().filter_map(|service| service.task_template.container_spec.as_ref());
    for mount in containers.flat_map(|container| &container.mounts) {
        let name = scope.inside(&mount.source);
        if mount.kind == "volume" && !mount.source.is_empty() && !names.contains(&name) {
            names.push(name);
        }
    }
    let claim = |name: &String| {
        json!({
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": scope.metadata(name),
            "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": SIZE}}},
        })
    };
    names.iter().map(claim).collect()
}

/// What is mounted where in a container, and the volumes of its pod.
pub fn mounts(scope: &Scope, container: &ContainerSpec) -> (Vec<Value>, Vec<Value>) {
    let (mut mounts, mut volumes) = (Vec::new(), Vec::new());
    for (n, mount) in container.mounts.iter().enumerate() {
        let name = format!("mount-{n}");
        let memory = || {
            let size = mount.tmpfs_options.as_ref().map_or(0, |options| options.size_bytes);
            if size > 0 { json!({"medium": "Memory", "sizeLimit": size.to_string()}) } else { json!({"medium": "Memory"}) }
        };
        let mut volume = json!({"name": name.as_str()});
        match mount.kind.as_str() {
            "bind" => volume["hostPath"] = json!({"path": mount.source.as_str()}),
            "tmpfs" => volume["emptyDir"] = memory(),
            _ if mount.source.is_empty() => volume["emptyDir"] = json!({}),
            _ => volume["persistentVolumeClaim"] = json!({"claimName": scope.inside(&mount.source)}),
        }
        volumes.push(volume);
        let mut place = json!({"name": name, "mountPath": mount.target.as_str()});
        if mount.read_only {
            place["readOnly"] = true.into();
        }
        mounts.push(place);
    }
    let mut file = |name: &str, kind: &str, key: &str, target: &FileTarget, folder: &str| {
        let inside = scope.inside(name);
        let volume = label(&format!("{kind}-{inside}"));
        let path = if target.name.starts_with('/') { target.name.clone() } else { format!("{folder}{}", target.name) };
        mounts.push(json!({"name": volume.as_str(), "mountPath": path, "subPath": KEY, "readOnly": true}));
        volumes.push(json!({"name": volume, kind: {key: inside, "defaultMode": target.mode}}));
    };
    for secret in &container.secrets {
        file(
            &secret.secret_name,
            "secret",
            "secretName",
            secret.file.as_ref().unwrap_or(&FileTarget::default()),
            "/run/secrets/",
        );
    }
    for config in &container.configs {
        file(&config.config_name, "configMap", "name", config.file.as_ref().unwrap_or(&FileTarget::default()), "/");
    }
    (mounts, volumes)
}
