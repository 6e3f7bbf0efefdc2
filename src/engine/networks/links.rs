//! # Links: names on the default network, the older way
//!
//! Before there were networks of one's own, `--link db:store` made one container known to another: a line in `/etc/hosts`. The
//! default network still works so, and only so; on any other network a link is an alias that the name server knows for
//! this one container ([`crate::networks::names`]).
//!
//! ```text
//!   create   db:store ─► the container of that name, by its id from now on      HostConfig.Links
//!   start    it must run ─► 172.17.0.3  store 4f6d0c1b2a39 db                   /etc/hosts
//!   db moves to another address ─► the line of whoever is linked to it follows
//! ```
//!
//! * Docker also puts variables of the other container into the environment (`STORE_PORT_5432_TCP=…`). That is left out:
//!   it leaks one container's secrets into another, which is why Docker calls it legacy.
//!
//! See: moby `daemon/daemon_unix.go` (registerLinks), `daemon/links`. Next room: [`crate::networks::resolver`]

use crate::{
    Engine,
    container::{etc_files, record::Record as Container},
    networks::wishes::{BRIDGE, is_user_defined},
};
use minidock_base::{Error, Result};
use minidock_network::hosts::{self, Line};
use minidock_spec::engine::container::HostConfig;
use std::net::IpAddr;

/// Reads `--link`: the other's name, and what it is to be called.
///
/// # Errors
/// `bad format for links: x`.
pub fn parse(text: &str) -> Result<(&str, &str)> {
    let (name, alias) = match text.split(':').collect::<Vec<_>>()[..] {
        [""] => return Err(Error::invalid("empty string specified for links")),
        [name] => (name, name),
        [name, alias] => (name, alias),
        _ => return Err(Error::invalid(format!("bad format for links: {text}")).hint("name:alias")),
    };
    Ok((last_word(name), last_word(alias)))
}

/// Older clients write `/db:/web/store`.
fn last_word(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or_default()
}

/// Checks the links of a new container; on the default network the others are known by their ids from now on.
///
/// # Errors
/// 400 `could not get container for x: …`; links to where nobody can be reached.
pub fn settle(engine: &Engine, wishes: &mut HostConfig) -> Result<()> {
    let texts = wishes.links.clone().unwrap_or_default();
    let together = |what: &str| {
        Error::invalid(format!("conflicting options: {what} can't be used with links. This would result in undefined behavior"))
    };
    let mode = wishes.network_mode.as_str();
    match mode {
        _ if texts.is_empty() => return Ok(()),
        "host" => return Err(together("host type networking")),
        _ if mode.starts_with("container:") => return Err(together("container type network")),
        _ => {}
    }
    let mut settled = Vec::new();
    for text in &texts {
        let (name, alias) = parse(text)?;
        if is_user_defined(mode) {
            continue;
        }
        let other = engine.containers.find(name);
        let other = other.map_err(|e| Error::invalid(format!("could not get container for {name}: {}", e.message())))?;
        if other.record().host_config.network_mode == "host" {
            return Err(together("host type networking"));
        }
        settled.push(format!("{}:{alias}", other.id));
    }
    if !is_user_defined(mode) {
        wishes.links = Some(settled);
    }
    Ok(())
}

/// The links as `inspect` shows them: `/db:/web/store`.
pub fn shown(engine: &Engine, container: &Container) -> Option<Vec<String>> {
    if is_user_defined(&container.host_config.network_mode) {
        return None;
    }
    let one = |text: &String| {
        let (id, alias) = text.split_once(':')?;
        Some(format!("/{}:/{}/{alias}", engine.containers.get(id)?.record().name, container.name))
    };
    let all: Vec<String> = container.host_config.links.iter().flatten().filter_map(one).collect();
    (!all.is_empty()).then_some(all)
}

/// The lines in `/etc/hosts` for a container that starts.
///
/// # Errors
/// 409 `Cannot link to a non running container: …`.
pub(crate) fn lines(engine: &Engine, container: &Container) -> Result<Vec<Line>> {
    let mut lines = Vec::new();
    if is_user_defined(&container.host_config.network_mode) || !container.networking.places.contains_key(BRIDGE) {
        return Ok(lines);
    }
    for text in container.host_config.links.iter().flatten() {
        let Some((id, alias)) = text.split_once(':') else { continue };
        let Some(other) = engine.containers.get(id) else { continue }; // removed since; Docker forgets the link then
        let other = other.record();
        if !other.state.has_process() {
            let (name, me) = (&other.name, &container.name);
            return Err(Error::conflict(format!("Cannot link to a non running container: /{name} AS /{me}/{alias}"))
                .hint(format!("minidock start {name}")));
        }
        let Some(address) = address_of(&other) else {
            return Err(Error::invalid(format!("container {id} not attached to default bridge network")));
        };
        lines.push(hosts::link(alias, &other.config.hostname, &other.name, address));
    }
    Ok(lines)
}

fn address_of(container: &Container) -> Option<IpAddr> {
    container.networking.places.get(BRIDGE)?.settings.ip_address.parse().ok()
}

/// A container has just got its address: whoever is linked to it and runs is told.
pub(crate) fn follow(engine: &Engine, moved: &Container) {
    let Some(address) = address_of(moved) else { return };
    for other in engine.containers.all() {
        let record = other.record();
        if !record.state.has_process() || record.host_config.network_mode != BRIDGE {
            continue;
        }
        for text in record.host_config.links.iter().flatten() {
            if let Some((id, alias)) = text.split_once(':')
                && id == moved.id
            {
                etc_files::change_hosts(&engine.paths, &record, |text| hosts::moved(text, alias, address));
            }
        }
    }
}
