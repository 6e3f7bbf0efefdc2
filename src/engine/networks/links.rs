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
//! * Variables, too, speak of the other container, as they did before there were names ([`variables`]): `STORE_PORT_5432_TCP_ADDR`, and, as
//!   `STORE_ENV_…`, everything from its own environment. That hands one container's secrets to another, which is why Docker
//!   calls it legacy; it is so only on the default network and only for who was linked.
//!
//! See: moby `daemon/daemon_unix.go` (registerLinks), `daemon/links`. Next room: [`crate::networks::resolver`]

use crate::{
    Engine,
    container::{etc_files, record::Record as Container},
    networks::{
        ports,
        wishes::{BRIDGE, is_user_defined},
    },
};
use minidock_base::{Error, Result};
use minidock_network::{
    hosts::{self, Line},
    model::Protocol,
};
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

/// `rm --link web/store`: from its next start on, `web` no longer knows anybody as `store`; both containers stay.
///
/// # Errors
/// No such container, no such link.
pub fn cut(engine: &Engine, path: &str) -> Result<()> {
    let (name, alias) = path.trim_start_matches('/').split_once('/').ok_or_else(|| {
        Error::conflict("cannot remove the default link name of the container").hint("minidock rm --link CONTAINER/ALIAS")
    })?;
    engine.containers.find(name)?.change(|record| {
        let links = record.host_config.links.get_or_insert_default();
        let at = links.iter().position(|text| parse(text).is_ok_and(|(_, known)| known == alias));
        let at = at.ok_or_else(|| {
            Error::not_found(format!("no such link: {path}")).hint("minidock inspect -f '{{.HostConfig.Links}}'")
        })?;
        links.remove(at);
        Ok(())
    })
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

/// The environment that speaks of the containers this one is linked to.
pub(crate) fn variables(engine: &Engine, container: &Container) -> Vec<String> {
    let mut all = Vec::new();
    if is_user_defined(&container.host_config.network_mode) {
        return all;
    }
    for text in container.host_config.links.iter().flatten() {
        let Some((id, alias)) = text.split_once(':') else { continue };
        let Some(other) = engine.containers.get(id).map(|other| other.record()).filter(|o| o.state.has_process()) else {
            continue;
        };
        if let Some(address) = address_of(&other) {
            let exposed = other.config.exposed_ports.iter().flat_map(|ports| ports.keys());
            let ports = exposed.filter_map(|text| ports::target(text).ok()).collect();
            all.extend(speak_of(&format!("/{}/{alias}", container.name), alias, address, ports, &other.config.env));
        }
    }
    all
}

/// Docker's variables for one linked container; TCP ports come first, and ports in a row are told as a range besides.
fn speak_of(path: &str, alias: &str, address: IpAddr, mut ports: Vec<(u16, Protocol)>, its: &[String]) -> Vec<String> {
    let name = alias.to_uppercase().replace('-', "_");
    let mut all = vec![format!("{name}_NAME={path}")];
    ports.sort_by_key(|(number, protocol)| (*protocol != Protocol::Tcp, *number));
    let url = |(number, protocol): (u16, Protocol)| format!("{protocol}://{address}:{number}");
    let prefix = |(number, protocol): (u16, Protocol)| format!("{name}_PORT_{number}_{}", protocol.name().to_uppercase());
    all.extend(ports.first().map(|first| format!("{name}_PORT={}", url(*first))));
    for row in ports.chunk_by(|one, next| one.1 == next.1 && one.0.checked_add(1) == Some(next.0)) {
        for port in row {
            let (own, (number, protocol)) = (prefix(*port), port);
            all.push(format!("{own}={}", url(*port)));
            all.push(format!("{own}_ADDR={address}"));
            all.push(format!("{own}_PORT={number}"));
            all.push(format!("{own}_PROTO={protocol}"));
        }
        if let [first, .., last] = row {
            let own = prefix(*first);
            all.push(format!("{own}_START={}", url(*first)));
            all.push(format!("{own}_PORT_START={}", first.0));
            all.push(format!("{own}_END={}", url(*last)));
            all.push(format!("{own}_PORT_END={}", last.0));
        }
    }
    // what every container has says nothing
    let told = its.iter().filter(|variable| !variable.starts_with("HOME=") && !variable.starts_with("PATH="));
    all.extend(told.filter(|variable| variable.contains('=')).map(|variable| format!("{name}_ENV_{variable}")));
    all
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_speak_of_a_linked_container_as_dockers_do() {
        let ports = vec![(53, Protocol::Udp), (81, Protocol::Tcp), (80, Protocol::Tcp), (9000, Protocol::Tcp)];
        let its = ["A=1", "PATH=/bin", "HOME=/root", "EMPTY=", "NOT"].map(str::to_string);
        let all = speak_of("/web/my-db", "my-db", [172, 17, 0, 2].into(), ports, &its);
        assert_eq!(
            all,
            [
                "MY_DB_NAME=/web/my-db",
                "MY_DB_PORT=tcp://172.17.0.2:80",
                "MY_DB_PORT_80_TCP=tcp://172.17.0.2:80",
                "MY_DB_PORT_80_TCP_ADDR=172.17.0.2",
                "MY_DB_PORT_80_TCP_PORT=80",
                "MY_DB_PORT_80_TCP_PROTO=tcp",
                "MY_DB_PORT_81_TCP=tcp://172.17.0.2:81",
                "MY_DB_PORT_81_TCP_ADDR=172.17.0.2",
                "MY_DB_PORT_81_TCP_PORT=81",
                "MY_DB_PORT_81_TCP_PROTO=tcp",
                "MY_DB_PORT_80_TCP_START=tcp://172.17.0.2:80",
                "MY_DB_PORT_80_TCP_PORT_START=80",
                "MY_DB_PORT_80_TCP_END=tcp://172.17.0.2:81",
                "MY_DB_PORT_80_TCP_PORT_END=81",
                "MY_DB_PORT_9000_TCP=tcp://172.17.0.2:9000",
                "MY_DB_PORT_9000_TCP_ADDR=172.17.0.2",
                "MY_DB_PORT_9000_TCP_PORT=9000",
                "MY_DB_PORT_9000_TCP_PROTO=tcp",
                "MY_DB_PORT_53_UDP=udp://172.17.0.2:53",
                "MY_DB_PORT_53_UDP_ADDR=172.17.0.2",
                "MY_DB_PORT_53_UDP_PORT=53",
                "MY_DB_PORT_53_UDP_PROTO=udp",
                "MY_DB_ENV_A=1",
                "MY_DB_ENV_EMPTY=",
            ]
        );
        let bare = speak_of("/web/db", "db", [172, 17, 0, 2].into(), Vec::new(), &[]);
        assert_eq!(bare, ["DB_NAME=/web/db"]);
    }
}
