//! # Offers: what could stand in a command about a swarm
//!
//! For completion: the words that a flag knows, and which names the managers should be asked for.
//!
//! ```text
//!   service scale we<Tab>        web=          service create --constraint <Tab>      node.role==manager …
//!   node update --av<Tab> …      drain         service ps -f <Tab>                    desired-state=running …
//! ```
//!
//! *See:* docker/cli `cli/command/{service,node}/completion.go`. *Next room:* [`crate::completion`]

use minidock_client::{Docker, Route};
use serde_json::Value as Json;

/// What has a name in a swarm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Things {
    Services,
    /// Services with an equals sign, for `scale`.
    Scales,
    Nodes,
    Secrets,
    Configs,
    Stacks,
}

/// What the positional at `at` of a command names.
pub fn named(path: &str, at: usize) -> Option<Things> {
    use Things::{Configs, Nodes, Scales, Secrets, Services, Stacks};
    match (path, at) {
        ("service scale", _) => Some(Scales),
        ("service inspect" | "service ps" | "service rm", _) => Some(Services),
        ("service update" | "service rollback" | "service logs" | "why service", 0) => Some(Services),
        ("node inspect" | "node ps" | "node rm" | "node promote" | "node demote", _) | ("node update", 0) => Some(Nodes),
        ("secret inspect" | "secret rm", _) => Some(Secrets),
        ("config inspect" | "config rm", _) => Some(Configs),
        ("stack rm", _) | ("stack ps" | "stack services", 0) => Some(Stacks),
        _ => None,
    }
}

/// The words that a flag of a command about the swarm knows, and what else could be named.
pub fn values(path: &str, flag: &str) -> Option<(&'static [&'static str], Option<Things>)> {
    let words = |words: &'static [&'static str]| Some((words, None));
    let order: &[&str] = &["start-first", "stop-first"];
    match (path.split(' ').next().unwrap_or_default(), flag) {
        ("service", "mode") => words(&["replicated", "global", "replicated-job", "global-job"]),
        ("service", "restart-condition") => words(&["none", "on-failure", "any"]),
        ("service", "update-order" | "rollback-order") => words(order),
        ("service", "update-failure-action") => words(&["pause", "continue", "rollback"]),
        ("service", "rollback-failure-action") => words(&["pause", "continue"]),
        ("service", "endpoint-mode") => words(&["vip", "dnsrr"]),
        ("service", "constraint" | "constraint-add") => words(&[
            "node.role==manager",
            "node.role==worker",
            "node.hostname==",
            "node.id==",
            "node.labels.",
            "node.platform.os==",
            "node.platform.arch==",
            "engine.labels.",
        ]),
        ("service", "placement-pref" | "placement-pref-add") => words(&["spread=node.labels.", "spread=engine.labels."]),
        ("service", "secret" | "secret-add" | "secret-rm") => Some((&[], Some(Things::Secrets))),
        ("service", "config" | "config-add" | "config-rm") => Some((&[], Some(Things::Configs))),
        ("node" | "swarm", "availability") => words(&["active", "pause", "drain"]),
        ("node", "role") => words(&["worker", "manager"]),
        ("service" | "node" | "stack", "filter") if path.ends_with(" ps") => words(&[
            "desired-state=running",
            "desired-state=shutdown",
            "desired-state=accepted",
            "id=",
            "label=",
            "name=",
            "node=",
        ]),
        ("service", "filter") => words(&["id=", "label=", "mode=replicated", "mode=global", "name="]),
        ("node", "filter") => {
            words(&["id=", "label=", "membership=accepted", "name=", "node.label=", "role=manager", "role=worker"])
        }
        _ => None,
    }
}

/// The names there are, each with what it is.
pub async fn names(docker: &Docker, things: Things) -> Option<Vec<(String, String)>> {
    let path = match things {
        Things::Services | Things::Scales | Things::Stacks => "/services",
        Things::Nodes => "/nodes",
        Things::Secrets => "/secrets",
        Things::Configs => "/configs",
    };
    let all: Vec<Json> = docker.get(&Route::new(path, [])).await.ok()?;
    let mut names: Vec<(String, String)> = all.iter().filter_map(|one| name(one, things)).collect();
    if things == Things::Nodes {
        names.push(("self".into(), "the node that answers".into()));
    }
    names.sort();
    names.dedup();
    Some(names)
}

fn name(one: &Json, things: Things) -> Option<(String, String)> {
    let text = |json: &Json| json.as_str().unwrap_or_default().to_string();
    let spec = &one["Spec"];
    Some(match things {
        Things::Services => (text(&spec["Name"]), text(&spec["TaskTemplate"]["ContainerSpec"]["Image"])),
        Things::Scales if spec["Mode"]["Global"].is_object() || spec["Mode"]["GlobalJob"].is_object() => return None,
        Things::Scales => (format!("{}=", text(&spec["Name"])), "service".into()),
        Things::Stacks => (text(spec["Labels"].get("com.docker.stack.namespace")?), "stack".into()),
        Things::Nodes => (text(&one["Description"]["Hostname"]), text(&spec["Role"])),
        Things::Secrets => (text(&spec["Name"]), "secret".into()),
        Things::Configs => (text(&spec["Name"]), "config".into()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_place_has_its_words_or_its_names() {
        assert_eq!((named("service scale", 3), named("service logs", 0)), (Some(Things::Scales), Some(Things::Services)));
        assert_eq!((named("service logs", 1), named("node ps", 2)), (None, Some(Things::Nodes)));
        assert_eq!(values("node update", "role"), Some((&["worker", "manager"][..], None)));
        assert_eq!(values("service create", "secret"), Some((&[][..], Some(Things::Secrets))));
        assert!(values("service ps", "filter").is_some_and(|(words, _)| words.contains(&"node=")));
        assert_eq!(values("container run", "restart"), None);
    }

    #[test]
    fn names_are_found_in_what_the_managers_say() {
        let service = json!({"Spec": {"Name": "web", "Labels": {"com.docker.stack.namespace": "shop"}, "Mode": {"Replicated": {}},
            "TaskTemplate": {"ContainerSpec": {"Image": "nginx"}}}});
        let pair = |a: &str, b: &str| Some((a.to_string(), b.to_string()));
        assert_eq!(name(&service, Things::Services), pair("web", "nginx"));
        assert_eq!(name(&service, Things::Scales), pair("web=", "service"));
        assert_eq!(name(&service, Things::Stacks), pair("shop", "stack"));
        let global = json!({"Spec": {"Name": "agent", "Labels": {}, "Mode": {"Global": {}}}});
        assert_eq!((name(&global, Things::Scales), name(&global, Things::Stacks)), (None, None));
    }
}
