//! # Networks of the swarm, among those of this machine
//!
//! `docker network ls` on a manager shows both kinds in one list, and one set of routes serves both. A swarm's network that a task runs on
//! here is also a network of this engine, under the same ID: there it has containers and peers, so `inspect` asks the engine first; lists
//! show it once, as the swarm has it.
//!
//! ```text
//!   create  driver overlay, or scope swarm ──► Wish::CreateNetwork       else ──► engine
//!   list    swarm's, then this machine's without those
//!   inspect this machine's, else the swarm's
//!   rm      the swarm's ──► Wish::RemoveNetwork                          else ──► engine
//! ```
//!
//! Each node has a `bridge` and a `host` of its own, and services may be on those, too: whoever asks for them with the swarm's scope is shown
//! one that stands for all of them, as in Docker.
//!
//! Laws: a name stands for one network: what a manager has under a name no machine-local network can be made under there, and the other
//! way round. *See:* moby `api/server/router/network/network_routes.go`, `daemon/cluster/networks.go`. *Next room:* [`super::nodes`]

use crate::call::Call;
use minidock_base::{Error, Kind, Result};
use minidock_engine::networks::{list, overlay, record};
use minidock_spec::{
    engine::{
        filters::Filters,
        network::{Ipam, IpamConfig, Network as Shown, NetworkCreate},
    },
    swarm::{
        cluster::Cluster,
        network::{IpamConfig as Pool, IpamOptions, Network, NetworkSpec},
        task::Driver,
    },
};
use minidock_swarm::{
    allocator::is_of_the_node,
    control::{Wish, find},
    manager::Manager,
    store::{Table, Tables},
};
use serde_json::Value;
use std::{collections::BTreeSet, sync::Arc};

/// Is this wish the swarm's? Outside a swarm the engine says what stands in the way.
pub fn is_ours(call: &Call, wish: &NetworkCreate) -> bool {
    wants_swarm(wish) && (wish.driver == "overlay" || call.manager().is_ok())
}

fn wants_swarm(wish: &NetworkCreate) -> bool {
    !wish.config_only && (wish.driver == "overlay" || wish.scope == "swarm" || wish.ingress)
}

/// Makes one; the answer is `{"Id", "Warning"}`.
///
/// # Errors
/// 503 on a machine that is no manager; 409 for a name that is taken here or there; 403, 501 for what overlays are not.
pub async fn create(call: &Call, wish: NetworkCreate) -> Result<Value> {
    let manager = call.manager()?;
    if wish.scope == "local" {
        return Err(Error::forbidden("cannot downgrade network scope for overlay networks"));
    }
    if !matches!(wish.scope.as_str(), "" | "swarm" | "global") {
        return Err(Error::invalid(format!("invalid scope: {:?}", wish.scope)));
    }
    if wish.enable_ipv6 {
        return Err(Error::not_implemented("overlays without IPv4 or with IPv6 are not there").hint("leave out --ipv6"));
    }
    if matches!(wish.name.as_str(), "bridge" | "host" | "none" | "default") {
        return Err(Error::forbidden(format!("operation is not permitted on predefined {} network", wish.name)));
    }
    // what a task has brought here is no other network of that name
    let taken = call.engine.networks.all().into_iter().any(|n| n.name == wish.name);
    if taken && manager.view(|tables| tables.named(Table::Network, &wish.name).is_none()) {
        return Err(name_taken(&wish.name));
    }
    manager.wish(Wish::CreateNetwork { spec: Box::new(spec(wish)) }).await
}

fn name_taken(name: &str) -> Error {
    Error::conflict(format!("network with name {name} already exists"))
}

/// A machine-local network cannot have a name that the swarm has.
///
/// # Errors
/// 409.
pub fn check_name(call: &Call, name: &str) -> Result<()> {
    let Ok(manager) = call.manager() else { return Ok(()) };
    match manager.view(|tables| tables.named(Table::Network, name).is_some()) {
        true => Err(name_taken(name)),
        false => Ok(()),
    }
}

fn spec(wish: NetworkCreate) -> NetworkSpec {
    let driver = if wish.driver.is_empty() { "overlay".to_string() } else { wish.driver };
    let ipam = wish.ipam.map(|ipam| IpamOptions {
        driver: Driver { name: ipam.driver, options: ipam.options.unwrap_or_default() },
        configs: ipam
            .config
            .into_iter()
            .flatten()
            .map(|c| Pool { subnet: c.subnet, range: c.ip_range, gateway: c.gateway })
            .collect(),
    });
    NetworkSpec {
        name: wish.name,
        labels: wish.labels,
        driver_configuration: Driver { name: driver, options: wish.options },
        ipv6_enabled: wish.enable_ipv6,
        internal: wish.internal,
        attachable: wish.attachable,
        ingress: wish.ingress,
        ipam_options: ipam,
        scope: "swarm".into(),
    }
}

/// As `GET /networks` shows it.
fn shown(network: &Network) -> Shown {
    let spec = &network.spec;
    let ipam = network.ipam_options.as_ref().or(spec.ipam_options.as_ref());
    let pool = |c: &Pool| IpamConfig {
        subnet: c.subnet.clone(),
        ip_range: c.range.clone(),
        gateway: c.gateway.clone(),
        ..IpamConfig::default()
    };
    let mut options = spec.driver_configuration.options.clone();
    options.extend(network.driver_state.options.clone());
    let driver = ipam.map(|i| i.driver.name.clone()).filter(|name| !name.is_empty());
    Shown {
        name: spec.name.clone(),
        id: network.id.clone(),
        created: network.created_at.map(|at| at.to_string()).unwrap_or_default(),
        scope: "swarm".into(),
        driver: "overlay".into(),
        enable_ipv6: spec.ipv6_enabled,
        ipam: Ipam {
            driver: driver.unwrap_or_else(|| "default".into()),
            options: None,
            config: Some(ipam.map(|i| i.configs.iter().map(pool).collect()).unwrap_or_default()),
        },
        internal: spec.internal,
        attachable: spec.attachable,
        ingress: spec.ingress,
        options,
        labels: spec.labels.clone(),
        ..Shown::default()
    }
}

/// Docker answers `null` where a swarm's network has nothing.
fn with_nulls(network: &Shown) -> Value {
    let mut value = serde_json::to_value(network).unwrap_or_default(); // a plain value: it can be written
    for key in ["Containers", "Labels"] {
        if value[key].as_object().is_some_and(serde_json::Map::is_empty) {
            value[key] = Value::Null;
        }
    }
    value
}

/// `GET /networks?filters=`: both kinds.
///
/// # Errors
/// 400 for filters that make no sense.
pub fn list(call: &Call, filters: &Filters, detailed: bool) -> Result<Vec<Value>> {
    let local = list::list(&call.engine, filters, detailed)?;
    let (mut all, mut ids) = (Vec::new(), BTreeSet::new());
    if let Ok(manager) = call.manager() {
        let matches = list::matches(filters);
        manager.view(|tables| {
            for network in tables.networks() {
                ids.insert(network.id.clone());
                let network_shown = shown(network);
                if matches(&network.spec.name, &network.id) && fits(filters, &network_shown, is_used(tables, &network.id)) {
                    all.push(with_nulls(&network_shown));
                }
            }
        });
    }
    let others = local.into_iter().filter(|n| !ids.contains(&n.id));
    all.extend(others.map(|n| serde_json::to_value(n).unwrap_or_default()));
    Ok(all)
}

fn is_used(tables: &Tables, id: &str) -> bool {
    let by_service = |t: &[minidock_spec::swarm::task::NetworkAttachmentConfig]| t.iter().any(|n| n.target == id);
    tables.services().any(|s| by_service(&s.spec.task_template.networks))
        || tables.tasks().any(|t| !t.status.state.is_over() && t.networks.iter().any(|n| n.network.id == id))
}

fn fits(filters: &Filters, network: &Shown, used: bool) -> bool {
    let dangling = filters.boolean("dangling", false).ok().filter(|_| filters.contains("dangling"));
    filters.exact("driver", &network.driver)
        && filters.exact("scope", "swarm")
        && filters.exact("type", "custom")
        && filters.labels("label", &network.labels)
        && dangling.is_none_or(|wanted| wanted != used)
}

/// `GET /networks/{id or name}?scope=&verbose=`.
///
/// # Errors
/// 404 `network x not found`; 400 when several are meant.
pub fn inspect(call: &Call, text: &str, scope: Option<&str>, verbose: bool) -> Result<Value> {
    let value = |mut network: Shown| {
        if verbose {
            overlay::inspect::add_services(&call.engine, &mut network);
        }
        serde_json::to_value(network).unwrap_or_default()
    };
    let ours = match scope {
        Some("swarm") if is_of_the_node(text) => {
            return call.manager().map(|m| of_the_nodes(text, m.view(|t| t.cluster().cloned())));
        }
        None | Some("swarm" | "global") => called(call, text)?,
        Some(_) => None,
    };
    match ours {
        None => list::inspect(&call.engine, text, scope).map(value),
        // if a task has brought it here it can be seen from the inside
        Some(network) => Ok(match list::inspect(&call.engine, &network.id, None) {
            Ok(here) if here.id == network.id => value(here),
            _ => with_nulls(&shown(&network)),
        }),
    }
}

/// What stands for the network of this name that each node has.
fn of_the_nodes(name: &str, cluster: Option<Arc<Cluster>>) -> Value {
    let mark = ("com.docker.swarm.predefined".to_string(), "true".to_string());
    let mut shown = with_nulls(&Shown {
        name: name.to_string(),
        id: name.to_string(),
        created: cluster.and_then(|c| c.created_at).map(|at| at.to_string()).unwrap_or_default(),
        scope: "swarm".into(),
        driver: name.to_string(),
        ipam: Ipam { config: Some(Vec::new()), ..Ipam::default() },
        labels: [mark].into(),
        ..Shown::default()
    });
    shown["Options"] = Value::Null;
    shown
}

/// The swarm's network that is meant, unless this machine has one that is meant rather: its whole ID or name counts more than a
/// beginning.
fn called(call: &Call, text: &str) -> Result<Option<Arc<Network>>> {
    let Ok(manager) = call.manager() else { return Ok(None) };
    let found = manager.view(|tables| match find(tables, Table::Network, text) {
        Ok(id) => Ok(tables.network(&id).cloned()),
        Err(error) if error.kind() == Kind::NotFound => Ok(None),
        Err(error) => Err(error),
    });
    let local = call.engine.networks.find(text).ok();
    match (found, local) {
        (Ok(Some(network)), Some(local)) if local.id != network.id => {
            let whole = |id: &str, name: &str| id == text || name == text;
            Ok(Some(network).filter(|n| whole(&n.id, &n.spec.name) || !whole(&local.id, &local.name)))
        }
        (Err(_), Some(_)) => Ok(None),
        (found, _) => found,
    }
}

/// `DELETE /networks/{id or name}`; false: it is not the swarm's.
///
/// # Errors
/// What the leader says.
pub async fn remove(call: &Call, text: &str) -> Result<bool> {
    let Some(network) = called(call, text)? else {
        let leaving = call.engine.networks.find(text).is_ok_and(|n| n.driver == record::Driver::Overlay);
        return match leaving && call.manager().is_ok() {
            true => Err(Error::not_found(format!("network {text} not found")).hint(
                "the swarm has removed it; it leaves this node with the last of its containers, which are being stopped",
            )),
            false => Ok(false),
        };
    };
    call.manager()?.wish(Wish::RemoveNetwork { id: network.id.clone() }).await?;
    Ok(true)
}

/// `POST /networks/prune?filters=`: the names of the swarm's networks that nobody used.
///
/// # Errors
/// 400 for filters that make no sense.
pub async fn prune(call: &Call, filters: &Filters) -> Result<Vec<String>> {
    let Ok(manager) = call.manager() else { return Ok(Vec::new()) };
    let until = minidock_engine::container::prune::until(filters)?;
    let goes = |n: &Network| {
        !n.spec.ingress
            && until.is_none_or(|until| n.created_at.is_some_and(|at| at < until))
            && filters.labels("label", &n.spec.labels)
            && filters.without_labels("label!", &n.spec.labels)
    };
    let unused: Vec<Arc<Network>> =
        manager.view(|tables| tables.networks().filter(|n| goes(n) && !is_used(tables, &n.id)).cloned().collect());
    let mut gone = Vec::new();
    for network in unused {
        if remove_unused(&manager, &network).await {
            gone.push(network.spec.name.clone());
        }
    }
    Ok(gone)
}

async fn remove_unused(manager: &Manager, network: &Network) -> bool {
    let removed = manager.wish(Wish::RemoveNetwork { id: network.id.clone() }).await;
    // somebody may have begun to use it just now
    removed.inspect_err(|error| tracing::debug!(network = network.spec.name, "not pruned: {}", error.message())).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_wish_is_the_swarms_by_driver_or_scope() {
        let wish = |driver: &str, scope: &str| NetworkCreate {
            driver: driver.into(),
            scope: scope.into(),
            ..NetworkCreate::default()
        };
        assert!(wants_swarm(&wish("overlay", "")) && wants_swarm(&wish("", "swarm")));
        assert!(!wants_swarm(&wish("bridge", "")) && !wants_swarm(&wish("", "local")) && !wants_swarm(&wish("host", "")));
    }

    #[test]
    fn what_stands_for_each_nodes_own_is_shown_as_docker_shows_it() {
        let expected = json!({
            "Name": "host", "Id": "host", "Created": "", "Scope": "swarm", "Driver": "host", "EnableIPv6": false,
            "IPAM": {"Driver": "", "Options": null, "Config": []}, "Internal": false, "Attachable": false, "Ingress": false,
            "ConfigFrom": {"Network": ""}, "ConfigOnly": false, "Containers": null, "Options": null,
            "Labels": {"com.docker.swarm.predefined": "true"},
        });
        assert_eq!(of_the_nodes("host", None), expected);
    }

    #[test]
    fn an_overlay_is_shown_as_docker_shows_it() {
        let mut network = Network { id: "n".into(), ..Network::default() };
        network.spec = spec(NetworkCreate {
            name: "back".into(),
            driver: "overlay".into(),
            attachable: true,
            options: [("foo".to_string(), "bar".to_string())].into(),
            ipam: Some(Ipam {
                config: Some(vec![IpamConfig { subnet: "10.9.0.0/24".into(), ..IpamConfig::default() }]),
                ..Ipam::default()
            }),
            ..NetworkCreate::default()
        });
        network.driver_state.options =
            [("com.docker.network.driver.overlay.vxlanid_list".to_string(), "4097".to_string())].into();
        let expected = json!({
            "Name": "back", "Id": "n", "Created": "", "Scope": "swarm", "Driver": "overlay", "EnableIPv6": false,
            "IPAM": {"Driver": "default", "Options": null, "Config": [{"Subnet": "10.9.0.0/24"}]},
            "Internal": false, "Attachable": true, "Ingress": false, "ConfigFrom": {"Network": ""}, "ConfigOnly": false,
            "Containers": null, "Options": {"com.docker.network.driver.overlay.vxlanid_list": "4097", "foo": "bar"}, "Labels": null,
        });
        assert_eq!(with_nulls(&shown(&network)), expected);
        let filters = |text: &str| Filters::parse(text).expect("well formed");
        assert!(fits(&filters(r#"{"scope":["swarm"],"dangling":["true"]}"#), &shown(&network), false));
        assert!(list::matches(&filters(r#"{"name":["^ba"],"id":["n"]}"#))("back", "n"));
        assert!(!list::matches(&filters(r#"{"name":["^ck"]}"#))("back", "n"));
        assert!(!fits(&filters(r#"{"scope":["local"]}"#), &shown(&network), false));
        assert!(!fits(&filters(r#"{"dangling":["true"]}"#), &shown(&network), true));
    }
}
