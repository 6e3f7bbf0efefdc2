//! # Kubernetes: the same stack for those who outgrow a swarm
//!
//! The two systems agree on more than their words suggest. What a swarm calls a service is two things there: something that keeps so many
//! copies running, and a name with an address in front of them.
//!
//! ```text
//!   swarm                                  Kubernetes
//!   stack vote                             Namespace vote
//!   service, replicated / global / job     Deployment / DaemonSet / Job        [`workload`]
//!     its name and VIP                     Service (headless without ports)
//!     published port                       Service of type LoadBalancer
//!     update_config                        strategy.rollingUpdate
//!     constraint node.labels.x == y        nodeSelector
//!   volume                                 PersistentVolumeClaim               [`storage`]
//!   secret, config                         Secret, ConfigMap
//!   network                                NetworkPolicy: only its members talk to each other
//! ```
//!
//! * [`manifests`] gives the documents in the order in which they may be applied, and notes on what has no counterpart: never dropped
//!   without a word.
//!
//! Laws: names inside stay as they are, for programs connect to `redis` and `db`; the same stack gives the same manifests.
//! *See:* kubernetes.io/docs/reference/kubernetes-api. *Next room:* [`workload`]

pub mod storage;
pub mod workload;

use crate::{
    emit,
    node::{At, Entry, Map, Node, What},
    stack::Stack,
};
use minidock_spec::swarm::{service::ServiceSpec, task::NetworkAttachmentConfig};
use serde_json::{Value, json};

/// A stack's manifests as one YAML text, and what could not be said in them.
pub fn render(name: &str, stack: &Stack) -> (String, Vec<String>) {
    let (documents, notes) = manifests(name, stack);
    let texts: Vec<String> = documents.iter().map(|document| emit::write(&node(document))).collect();
    (texts.join("---\n"), notes)
}

/// A stack's manifests, and what could not be said in them.
pub fn manifests(name: &str, stack: &Stack) -> (Vec<Value>, Vec<String>) {
    let mut notes = Vec::new();
    let scope = Scope { stack: name, namespace: label(name) };
    let mut documents = vec![json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": scope.namespace.as_str()}})];
    documents.extend(storage::files(&scope, stack));
    documents.extend(storage::claims(&scope, stack));
    for service in &stack.services {
        documents.push(workload::workload(&scope, service, &mut notes));
        documents.push(front(&scope, service));
    }
    documents.extend(policies(&scope, stack));
    (documents, notes)
}

/// Under which name everything stands.
pub struct Scope<'a> {
    pub stack: &'a str,
    pub namespace: String,
}

impl Scope<'_> {
    /// The name within the stack: `vote_web` is `web`.
    pub fn inside(&self, name: &str) -> String {
        label(name.strip_prefix(self.stack).and_then(|rest| rest.strip_prefix('_')).unwrap_or(name))
    }

    pub fn metadata(&self, name: &str) -> Value {
        json!({
            "name": name,
            "namespace": self.namespace.as_str(),
            "labels": {"app.kubernetes.io/name": name, "app.kubernetes.io/part-of": self.namespace.as_str()},
        })
    }
}

/// A name as RFC 1123 wants it: small letters, digits and dashes, at most 63.
pub fn label(name: &str) -> String {
    let letter = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let whole: String = name.chars().map(letter).take(63).collect();
    match whole.trim_matches('-') {
        "" => "x".into(),
        name => name.into(),
    }
}

/// The name and address in front of a service's copies.
fn front(scope: &Scope, service: &ServiceSpec) -> Value {
    let name = scope.inside(&service.name);
    let ports = service.endpoint_spec.as_ref().map(|endpoint| endpoint.ports.as_slice()).unwrap_or_default();
    let port = |p: &minidock_spec::swarm::service::EndpointPort| {
        let outside = if p.published_port > 0 { p.published_port } else { p.target_port };
        json!({
            "name": format!("{}-{outside}", p.protocol),
            "protocol": p.protocol.to_uppercase(),
            "port": outside,
            "targetPort": p.target_port,
        })
    };
    let mut spec = json!({"selector": {"app.kubernetes.io/name": name.as_str()}});
    match ports.is_empty() {
        // no port is known: the name leads to the copies themselves, on any port
        true => spec["clusterIP"] = "None".into(),
        false => {
            spec["type"] = "LoadBalancer".into();
            spec["ports"] = ports.iter().map(port).collect();
        }
    }
    json!({"apiVersion": "v1", "kind": "Service", "metadata": scope.metadata(&name), "spec": spec})
}

/// The label by which a copy is a member of a network.
pub fn member(scope: &Scope, network: &NetworkAttachmentConfig) -> String {
    format!("network/{}", scope.inside(&network.target))
}

/// Each network as a rule that only its members may speak to each other; published ports are open to everybody.
fn policies(scope: &Scope, stack: &Stack) -> Vec<Value> {
    let mut members: Vec<String> = Vec::new();
    for network in stack.services.iter().flat_map(|service| &service.task_template.networks) {
        let label = member(scope, network);
        if !members.contains(&label) {
            members.push(label);
        }
    }
    // one network for all: nobody to be kept apart
    if members.len() < 2 {
        return Vec::new();
    }
    let policy = |name: &str, selector: Value, ingress: Value| {
        json!({
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": scope.metadata(name),
            "spec": {"podSelector": selector, "ingress": ingress, "policyTypes": ["Ingress"]},
        })
    };
    let mut policies: Vec<Value> = members
        .iter()
        .map(|label| {
            let same = json!({"matchLabels": {label.as_str(): "true"}});
            policy(&label.replace('/', "-"), same.clone(), json!([{"from": [{"podSelector": same}]}]))
        })
        .collect();
    for service in &stack.services {
        let ports = service.endpoint_spec.as_ref().map(|endpoint| endpoint.ports.as_slice()).unwrap_or_default();
        if !ports.is_empty() {
            let name = scope.inside(&service.name);
            let open: Value =
                ports.iter().map(|p| json!({"protocol": p.protocol.to_uppercase(), "port": p.target_port})).collect();
            let selector = json!({"matchLabels": {"app.kubernetes.io/name": name.as_str()}});
            policies.push(policy(&format!("published-{name}"), selector, json!([{"ports": open}])));
        }
    }
    policies
}

/// JSON as a tree that can be written.
fn node(value: &Value) -> Node {
    let at = At { file: "".into(), line: 1, column: 1 };
    let what = match value {
        Value::Null => What::Null,
        Value::Bool(truth) => What::Bool(*truth),
        Value::Number(number) => number.as_i64().map_or_else(|| What::Float(number.as_f64().unwrap_or(0.0)), What::Int),
        Value::String(text) => What::Text(text.clone()),
        Value::Array(items) => What::List(items.iter().map(node).collect()),
        Value::Object(entries) => {
            let entry = |(key, value): (&String, &Value)| Entry { key: key.clone(), at: at.clone(), node: node(value) };
            What::Map(Map(entries.iter().map(entry).collect()))
        }
    };
    Node::new(what, &at)
}
