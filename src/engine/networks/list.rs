//! # List and inspect: networks as the API shows them
//!
//! The same object in both; only `inspect` (and clients before 1.28) see who is on a network. Filters are Docker's: values of a
//! key are alternatives, keys are conditions, `name` and `id` match anywhere.
//!
//! See: moby `daemon/network/filter.go`. Next room: [`crate::networks::remove`]

use crate::{
    Engine,
    networks::{
        overlay,
        record::{Record, is_predefined},
    },
};
use minidock_base::{Error, Result, id};
use minidock_spec::engine::{filters::Filters, network::Network};
use regex::Regex;
use std::sync::Arc;

const KNOWN: &[&str] = &["dangling", "driver", "id", "label", "name", "scope", "type"];

/// `GET /networks?filters=`; `detailed` shows who is on them.
///
/// # Errors
/// 400 for filters that make no sense.
pub fn list(engine: &Arc<Engine>, filters: &Filters, detailed: bool) -> Result<Vec<Network>> {
    filters.accept(KNOWN)?;
    let dangling = dangling(filters)?;
    if let Some(other) = filters.values("type").find(|v| !matches!(*v, "builtin" | "custom")) {
        return Err(Error::invalid(format!("invalid filter: 'type'='{other}'")));
    }
    let matches = matches(filters);
    let fits = |network: &Record| {
        let used = is_predefined(&network.name) || !engine.networks.members(&network.id).is_empty();
        let kind = if is_predefined(&network.name) { "builtin" } else { "custom" };
        filters.exact("driver", network.driver.word())
            && matches(&network.name, &network.id)
            && filters.labels("label", &network.labels)
            && filters.exact("scope", network.driver.scope())
            && filters.exact("type", kind)
            && dangling.is_none_or(|wanted| wanted != used)
    };
    let shown = |network: Arc<Record>| if detailed { describe(engine, &network) } else { network.to_api() };
    Ok(engine.networks.all().into_iter().filter(|n| fits(n)).map(shown).collect())
}

/// Whether a network of this name and ID passes the filters `name` and `id`: what is no pattern is a word.
pub fn matches(filters: &Filters) -> impl Fn(&str, &str) -> bool {
    let patterns = |key: &str| filters.values(key).filter_map(|v| Regex::new(v).ok()).collect::<Vec<_>>();
    let (names, ids) = (patterns("name"), patterns("id"));
    let one = |key: &str, patterns: &[Regex], text: &str| {
        !filters.contains(key) || patterns.iter().any(|p| p.is_match(text)) || filters.values(key).any(|v| v == text)
    };
    move |name, id| one("name", &names, name) && one("id", &ids, id)
}

fn dangling(filters: &Filters) -> Result<Option<bool>> {
    let values: Vec<&str> = filters.values("dangling").collect();
    match values[..] {
        [] => Ok(None),
        ["1" | "true"] => Ok(Some(true)),
        ["0" | "false"] => Ok(Some(false)),
        [_] => Err(Error::invalid("invalid value for filter 'dangling', must be \"true\" (or \"1\"), or \"false\" (or \"0\")")),
        _ => Err(Error::invalid("got more than one value for filter key \"dangling\"")),
    }
}

/// `GET /networks/{id}?scope=`.
///
/// # Errors
/// 404 `network x not found`; 400 when several are meant.
pub fn inspect(engine: &Arc<Engine>, text: &str, scope: Option<&str>) -> Result<Network> {
    let network = engine.networks.find(text)?;
    match scope {
        None => Ok(describe(engine, &network)),
        Some(scope) if scope == network.driver.scope() => Ok(describe(engine, &network)),
        Some(_) => Err(Error::not_found(format!("network {text} not found"))),
    }
}

/// A network with everybody who is on it.
fn describe(engine: &Engine, network: &Record) -> Network {
    let mut shown = network.to_api();
    for (container, mut place) in engine.networks.members(&network.id) {
        let Some(member) = engine.containers.get(&container) else { continue };
        if place.endpoint_id.is_empty() {
            continue; // it is being plugged in
        }
        let record = member.record();
        let is_gateway = record.networking.gateway.as_ref().is_some_and(|g| g.id == place.endpoint_id);
        place.name =
            if is_gateway { format!("gateway_{}", id::short(&record.networking.sandbox_id)) } else { record.name.clone() };
        shown.containers.insert(container, place);
    }
    overlay::inspect::add_peers(engine, &mut shown);
    shown
}
