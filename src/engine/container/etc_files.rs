//! # Three files in /etc: hostname, hosts, resolv.conf
//!
//! A container's name and its ways to find others are told to programs by three files, which no image can know. The engine
//! writes them beside the record at every start and binds them over whatever the image has there.
//!
//! ```text
//!   hostname       the container's
//!   hosts          localhost, --add-host, links, its own addresses; with --network host a copy of the machine's
//!   resolv.conf    --dns, --dns-search, --dns-option over the machine's own; 127.0.0.11 on a network with names
//! ```
//!
//! * The texts are made by [`minidock_network::hosts`] and [`minidock_network::resolv_conf`]; here is when they are written.
//! * A container that shares another's network shares its three files too.
//! * A running container's files [`follow`] its networks, as long as it has not changed them itself: then they are its own.
//! * A place on which the user has mounted something himself is left to him.
//!
//! Laws: a file that is mounted in a container is written in place, never renamed over, or the container would keep the old one.
//! *See:* hosts(5), resolv.conf(5) · moby `libnetwork/etchosts`. *Next room:* [`crate::container::start`]

use crate::{
    Engine,
    container::record::Record,
    networks::{links, resolver::resolv_conf, wishes::BRIDGE},
    oci_config::namespaces,
};
use minidock_base::{Doing, Result, paths::Paths};
use minidock_image::layer::owners;
use minidock_network::hosts::{self, Line};
use std::{collections::BTreeSet, fs, net::IpAddr, path::PathBuf};

/// File names beside the record, and where they are bound.
pub const FILES: [(&str, &str); 3] =
    [("resolv.conf", "/etc/resolv.conf"), ("hostname", "/etc/hostname"), ("hosts", "/etc/hosts")];

/// Writes the three files of a container (unless it shares another's) and says what to bind where.
///
/// # Errors
/// The disk's; a link to a container that does not run.
pub fn write(engine: &Engine, record: &Record, sharing: Option<&str>) -> Result<Vec<(PathBuf, &'static str)>> {
    let folder = engine.paths.container(sharing.unwrap_or(&record.id));
    if sharing.is_none() {
        let texts = [
            ("hostname", format!("{}\n", record.config.hostname)),
            ("hosts", hosts(engine, record)?),
            ("resolv.conf", resolv_conf(record).text),
        ];
        for (name, text) in texts {
            let path = folder.join(name);
            fs::write(&path, text).doing(|| format!("write {}", path.display()))?;
            if namespaces::is_remapped(record, &engine.host) {
                owners::give_path(&path)?;
            }
        }
    }
    let mounted = |place: &str| record.mounts.iter().any(|m| m.point.destination == place);
    Ok(FILES.iter().filter(|(_, place)| !mounted(place)).map(|(name, place)| (folder.join(name), *place)).collect())
}

fn hosts(engine: &Engine, record: &Record) -> Result<String> {
    let wishes = record.host_config.extra_hosts.as_deref().unwrap_or_default();
    let mut extra = hosts::extra(wishes, &gateways(engine))?;
    if record.host_config.network_mode == "host" {
        let machines = fs::read_to_string("/etc/hosts").unwrap_or_else(|_| hosts::text(true, &[], &[]));
        return Ok(hosts::add(&machines, &extra));
    }
    extra.extend(links::lines(engine, record)?);
    Ok(hosts::text(true, &extra, &own(record)))
}

/// Its own lines: one for each address.
fn own(record: &Record) -> Vec<Line> {
    hosts::own(&record.config.hostname, &record.config.domainname, &addresses(record))
}

fn addresses(record: &Record) -> Vec<IpAddr> {
    let plugged = record.networking.places.values().filter_map(|place| place.plugged.as_ref());
    plugged.flat_map(|p| p.v4.map(|(a, _)| a.into()).into_iter().chain(p.v6.map(|(a, _)| a.into()))).collect()
}

/// What `host-gateway` means: the host, as a container on the default network sees it.
pub fn gateways(engine: &Engine) -> Vec<IpAddr> {
    let bridge = engine.networks.find(BRIDGE).ok();
    bridge.iter().flat_map(|n| n.subnets.iter().filter_map(|pool| pool.gateway)).collect()
}

/// A running container has other networks than before: its files follow, as far as they are still ours.
pub fn follow(paths: &Paths, before: &Record, now: &Record) {
    let (old, new): (BTreeSet<IpAddr>, BTreeSet<IpAddr>) =
        (addresses(before).into_iter().collect(), addresses(now).into_iter().collect());
    let lines = |addresses: Vec<IpAddr>| hosts::own(&now.config.hostname, &now.config.domainname, &addresses);
    let (gone, come) = (lines(old.difference(&new).copied().collect()), lines(new.difference(&old).copied().collect()));
    change_hosts(paths, now, |text| hosts::add(&hosts::remove(text, &gone), &come));
    let (was, is) = (resolv_conf(before).text, resolv_conf(now).text);
    change(paths, now, "resolv.conf", |text| if text == was { is.clone() } else { text.to_string() });
}

/// Changes `/etc/hosts` of a running container.
pub fn change_hosts(paths: &Paths, record: &Record, with: impl FnOnce(&str) -> String) {
    change(paths, record, "hosts", with);
}

/// In place: the file is mounted in the container. One that cannot be written is told in the log.
fn change(paths: &Paths, record: &Record, name: &str, with: impl FnOnce(&str) -> String) {
    let path = paths.container(&record.id).join(name);
    let steps = || {
        let before = fs::read_to_string(&path)?;
        let after = with(&before);
        if before == after { Ok(()) } else { fs::write(&path, after) }
    };
    if let Err(error) = steps() {
        tracing::warn!(file = %path.display(), %error, "could not bring it up to date");
    }
}
