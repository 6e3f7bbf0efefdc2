//! # Network routes: what is true today
//!
//! Two networks need no floor of their own: `none`, a network stack with nothing but loopback, and `host`, the machine's.
//! These are listed and can be inspected. Whatever makes, joins or removes a network answers 501 and says so.
//!
//! See: moby `api/server/router/network`, `daemon/network/filter.go`. Next room: [`crate::system`]

use crate::{
    answer::{Answer, json},
    call::Call,
};
use minidock_base::{Error, Result, clock::ZERO};
use minidock_engine::container::inspect::{network_id, networks};
use serde_json::{Map, Value, json};

const NAMES: [&str; 2] = ["host", "none"];

/// `GET /networks`.
pub async fn list(call: Call) -> Result<Answer> {
    let filters = call.query.filters()?;
    filters.accept(&["dangling", "driver", "id", "label", "name", "scope", "type"])?;
    let fits = |name: &str| {
        let any = |key: &str, is: &dyn Fn(&str) -> bool| !filters.contains(key) || filters.values(key).any(is);
        any("name", &|v| name.contains(v))
            && any("id", &|v| network_id(name).starts_with(v))
            && any("driver", &|v| v == driver(name))
            && any("scope", &|v| v == "local")
            && any("type", &|v| v == "builtin")
            && any("dangling", &|v| matches!(v, "0" | "false"))
            && !filters.contains("label")
    };
    let all: Vec<Value> = NAMES.iter().filter(|name| fits(name)).map(|name| describe(name, Map::new())).collect();
    json(&all)
}

/// `GET /networks/{id or name}`.
pub async fn inspect(call: Call, wanted: &str) -> Result<Answer> {
    let found = NAMES.iter().find(|name| wanted == **name || wanted.len() >= 4 && network_id(name).starts_with(wanted));
    let Some(name) = found else { return Err(Error::not_found(format!("network {wanted} not found"))) };
    let mut members = Map::new();
    for container in call.engine.containers.all() {
        let record = container.record();
        if record.state.is_running() && networks(&record).contains_key(*name) {
            let endpoint =
                json!({ "Name": record.name, "EndpointID": "", "MacAddress": "", "IPv4Address": "", "IPv6Address": "" });
            members.insert(record.id.clone(), endpoint);
        }
    }
    json(&describe(name, members))
}

/// `POST /networks/prune`: there is never anything to remove.
pub async fn prune() -> Result<Answer> {
    json(&json!({ "NetworksDeleted": null }))
}

/// Everything else about networks.
pub fn not_yet() -> Result<Answer> {
    Err(Error::not_implemented("networks other than none and host are not built yet: they come with the network floor")
        .hint("--network none or --network host"))
}

fn driver(name: &str) -> &str {
    if name == "none" { "null" } else { name }
}

fn describe(name: &str, members: Map<String, Value>) -> Value {
    json!({
        "Name": name,
        "Id": network_id(name),
        "Created": ZERO,
        "Scope": "local",
        "Driver": driver(name),
        "EnableIPv6": false,
        "IPAM": { "Driver": "default", "Options": null, "Config": [] },
        "Internal": false,
        "Attachable": false,
        "Ingress": false,
        "ConfigFrom": { "Network": "" },
        "ConfigOnly": false,
        "Containers": members,
        "Options": {},
        "Labels": {},
    })
}
