//! # Net devices: links that the host gives away
//!
//! A card can be in one network namespace only. Who wants a container to have one whole, not a share of it behind a bridge, names it
//! in `linux.netDevices`, and the runtime moves it in before anything inside runs: by the name it has outside, and if wished with
//! another one inside.
//!
//! ```text
//!   netDevices { "ens4": { "name": "eth0" } }
//!     outside   its addresses are read                              the kernel forgets them on the way
//!               is the name free inside?                            what cannot be done is said before it is begun
//!               RTM_SETLINK ens4, NET_NS_FD, IFNAME eth0            MAC and MTU go with it; it arrives switched off
//!     inside    the lasting addresses of all the world, again       not those lent by DHCP, nor those of the host or the link alone
//!               on
//! ```
//!
//! * What happens to it afterwards is the business of whoever owns the namespace: when it ends, the kernel brings a card back and
//!   destroys a cable's end.
//! * One thread: it goes into the namespace only to open a socket there, and comes back. A socket stays where it was opened.
//!
//! Laws: a list of which one cannot be moved moves none: what has gone already comes home, with its name and its addresses.
//! *See:* runtime-spec config-linux.md#network-devices, RFC 3549 §2.3.3.2. *Next room:* [`crate::attend`]

use crate::{borrowed_network, bundle, log};
use minidock_base::{Doing, Error, Result};
use minidock_linux::{
    errno::ENODEV,
    files,
    namespaces::{self, Namespace},
    netlink::{
        Family, Socket,
        address::{self, OnLink},
        link, word,
    },
};
use oci_spec::runtime::{LinuxNamespaceType, Spec};
use std::{
    os::fd::{AsFd, OwnedFd},
    path::{Path, PathBuf},
};

/// RT_SCOPE_UNIVERSE
const EVERYWHERE: u8 = 0;

/// The devices by their names outside, and what they are to be called inside, in the order of their names.
fn wanted(spec: &Spec) -> Vec<(&str, &str)> {
    let devices = spec.linux().as_ref().and_then(|linux| linux.net_devices().as_ref());
    let mut list: Vec<(&str, &str)> = devices
        .into_iter()
        .flatten()
        .map(|(name, device)| (name.as_str(), device.name().as_deref().filter(|new| !new.is_empty()).unwrap_or(name)))
        .collect();
    list.sort_unstable();
    list
}

/// Whether there is anything to move.
pub fn are_wanted(spec: &Spec) -> bool {
    !wanted(spec).is_empty()
}

/// Whether the list makes sense; asked before anything is made.
///
/// # Errors
/// The container has no network namespace to move them to; a name that no link can have.
pub fn check(spec: &Spec) -> Result<()> {
    let list = wanted(spec);
    if !list.is_empty() && !bundle::has_namespace(spec, LinuxNamespaceType::Network) {
        return Err(Error::invalid("unable to move network devices without a NET namespace"));
    }
    for (name, new) in list {
        // `%d` asks the kernel for a number
        let numbered = new.replacen("%d", "0", 1);
        if let Some(bad) = [(name, name), (new, numbered.as_str())].iter().find(|(_, shape)| !link::is_valid_name(shape)) {
            return Err(Error::invalid(format!("invalid network device name {:?}", bad.0)));
        }
    }
    Ok(())
}

/// Moves the devices into the network namespace of the newborn `pid`, all or none.
///
/// # Errors
/// No such device; its name is taken inside; it cannot leave its namespace.
pub fn give(spec: &Spec, pid: i32) -> Result<()> {
    let list = wanted(spec);
    if list.is_empty() {
        return Ok(());
    }
    let mut way = Way::open(place(spec, pid))?;
    let mut given: Vec<Given> = Vec::new();
    for (name, new_name) in list {
        let shown = way.shown.clone();
        let gone = way.give(name, new_name, &mut given);
        if let Err(failed) = gone.map_err(|e| e.during(format!("move netDevice {name} to namespace {shown}"))) {
            given.iter().rev().for_each(|one| way.bring_back(one));
            return Err(failed);
        }
    }
    Ok(())
}

/// The file of the container's network namespace: the one it joins, or that of the newborn.
fn place(spec: &Spec, pid: i32) -> PathBuf {
    let network = bundle::namespaces(spec).iter().find(|one| one.typ() == LinuxNamespaceType::Network);
    let joined = network.and_then(|one| one.path().clone()).filter(|path| !path.as_os_str().is_empty());
    joined.unwrap_or_else(|| format!("/proc/{pid}/ns/net").into())
}

/// From our namespace into the container's.
struct Way {
    outside: OwnedFd,
    inside: OwnedFd,
    shown: String,
    here: Socket,
    there: Socket,
}

/// A device that has been moved.
struct Given {
    name: String,
    new_name: String,
    index: u32,
    was_up: bool,
    addresses: Vec<OnLink>,
}

impl Way {
    fn open(place: PathBuf) -> Result<Way> {
        let shown = place.display().to_string();
        let doing = || format!("enter the network namespace {shown}");
        let inside = namespaces::open(&place, Namespace::Network).doing(doing)?;
        let outside = namespaces::open(Path::new("/proc/self/ns/net"), Namespace::Network).doing(doing)?;
        let (one, other) = (files::fstat(&inside).doing(doing)?, files::fstat(&outside).doing(doing)?);
        if (one.st_dev, one.st_ino) == (other.st_dev, other.st_ino) {
            return Err(Error::invalid(
                "network devices cannot be moved: the container shares the network namespace of the host",
            ));
        }
        let here = Socket::open(Family::Route).doing(doing)?;
        let there = borrowed_network::visit(&place, || Socket::open(Family::Route).doing(doing))?;
        let there = there.named(format!("nsenter --net={}", word(&shown)));
        Ok(Way { outside, inside, shown, here, there })
    }

    /// Moves one device, and notes in `given` that it has gone as soon as it has.
    fn give(&mut self, name: &str, new_name: &str, given: &mut Vec<Given>) -> Result<()> {
        let found = link::by_name(&mut self.here, name).doing(|| format!("look at {name}"))?;
        let found = found.ok_or_else(|| {
            Error::not_found(format!("link not found for interface {name}: there is no such device here"))
                .hint("`ip link` lists what this network namespace has")
        })?;
        let numbered = new_name.contains('%');
        let before = link::all(&mut self.there).doing(|| "list the links inside")?;
        if !numbered && before.iter().any(|link| link.name == new_name) {
            return Err(Error::conflict(format!("a network device with the name {new_name} exists there already")));
        }
        let addresses = address::all(&mut self.here).doing(|| format!("list the addresses of {name}"))?;
        let addresses: Vec<OnLink> = addresses.into_iter().filter(|one| one.index == found.index && one.permanent).collect();
        link::send(&mut self.here, (found.index, name), new_name, (self.inside.as_fd(), &self.shown))
            .doing(|| format!("send {name} away"))
            .map_err(|e| e.hint("lo, bridges and some tunnels belong to their network namespace for good"))?;
        let after = link::all(&mut self.there).doing(|| "list the links inside")?;
        let is_it = |link: &&link::Link| match numbered {
            true => link.mac == found.mac && !before.iter().any(|old| old.index == link.index),
            false => link.name == new_name,
        };
        let arrived = after.iter().find(is_it).ok_or_else(|| Error::system(format!("{name} has gone, but did not arrive")))?;
        let (new_name, index) = (arrived.name.clone(), arrived.index);
        given.push(Given {
            name: name.into(),
            new_name: new_name.clone(),
            index,
            was_up: found.up,
            addresses: addresses.clone(),
        });
        let lasting = addresses.iter().filter(|one| one.scope == EVERYWHERE);
        let mut requests: Vec<_> = lasting.map(|one| address::adding(index, &new_name, one.address, one.prefix)).collect();
        requests.push(link::up(index, &new_name));
        self.there.batch(requests).map(drop).doing(|| format!("set up {new_name} inside"))
    }

    /// A device comes home, as it was: the container will not be.
    fn bring_back(&mut self, given: &Given) {
        let Given { name, new_name, index, .. } = given;
        let home = (self.outside.as_fd(), "/proc/self/ns/net");
        let brought = link::send(&mut self.there, (*index, new_name), name, home).and_then(|()| {
            let found = link::by_name(&mut self.here, name)?.map_or(*index, |link| link.index);
            let put = |one: &OnLink| address::adding(found, name, one.address, one.prefix);
            let mut requests: Vec<_> = given.addresses.iter().map(put).collect();
            requests.extend(given.was_up.then(|| link::up(found, name)));
            self.here.batch(requests).map(drop)
        });
        match brought {
            // Somebody inside was quicker and took it away; there is nothing to bring.
            Err(failed) if failed.is(ENODEV) => {}
            Err(failed) => log::warn(&format!("network device {name} could not be brought back: {failed}")),
            Ok(()) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(namespaces: &str, devices: serde_json::Value) -> Spec {
        let text = serde_json::json!({"ociVersion": "1.3.0", "root": {"path": "rootfs"},
            "linux": {"namespaces": [{"type": namespaces}], "netDevices": devices}});
        bundle::parse(text.to_string().as_bytes()).expect("a plain document")
    }

    #[test]
    fn what_cannot_be_a_link_or_has_nowhere_to_go_is_refused() {
        let told = |namespace: &str, devices| check(&spec(namespace, devices)).map_err(|e| e.message());
        assert!(told("network", serde_json::json!({"ens4": {"name": "eth0"}, "ens5": {}, "ens6": {"name": "eth%d"}})).is_ok());
        assert!(told("mount", serde_json::json!({})).is_ok());
        let nowhere = told("mount", serde_json::json!({"ens4": {}})).expect_err("no namespace");
        assert_eq!(nowhere, "unable to move network devices without a NET namespace");
        for (name, new) in [("a/b", "eth0"), ("ens4", "e t"), ("ens4", "%d%d"), ("ens%d", ""), ("sixteen-bytes-xx", "eth0")] {
            let refused = told("network", serde_json::json!({name: {"name": new}})).expect_err("no name");
            assert!(refused.starts_with("invalid network device name"), "{refused}");
        }
    }

    #[test]
    fn a_device_keeps_its_name_unless_it_is_given_another() {
        let list = spec("network", serde_json::json!({"b": {"name": ""}, "a": {"name": "eth0"}, "c": {}}));
        assert_eq!(wanted(&list), [("a", "eth0"), ("b", "b"), ("c", "c")]);
    }
}
