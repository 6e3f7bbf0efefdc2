//! # Macvlan: members upon the machine's own cable
//!
//! `network create -d macvlan --subnet 192.168.10.0/24 --gateway 192.168.10.1 -o parent=eth0.10` makes no segment: it says that there is one
//! already, outside, and that containers are to be machines on it. There is no bridge, no translation, no published port; the
//! gateway is the office's router, and the addresses are given out here, so nobody else must give them out there.
//!
//! ```text
//!   -o parent=eth0       upon that card                        -o macvlan_mode=bridge | private | vepa | passthru
//!   -o parent=eth0.10    upon segment 10 of that card: the vlan link is made if it is not there, and goes with the network
//!   no parent, --internal   among themselves, upon a cable that leads nowhere; no way out
//! ```
//!
//! * One parent, one network: else two would give out addresses on one segment.
//! * Names are resolved on it as on any network of a user's.
//!
//! *In the real world* Docker's driver is the same, but for the dummy card. *See:* moby `libnetwork/drivers/macvlan` ·
//! docs.docker.com "Macvlan network driver". Next room: [`crate::networks::ground`]

use crate::networks::{
    ground::Ground,
    record::{Driver, Record},
    store::Networks,
};
use minidock_base::{Error, Result};
use minidock_linux::netlink::upon::Mode;
use minidock_network::upon::{ensure_parent, far_end, parent_to_nowhere};
use std::collections::BTreeMap;

/// What the options of the driver say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upon {
    /// Empty: upon nothing.
    pub parent: String,
    pub mode: Mode,
}

impl Upon {
    /// Reads them; keys of other drivers mean nothing here.
    ///
    /// # Errors
    /// In Docker's words: a mode that is none; `lo`.
    pub fn read(options: &BTreeMap<String, String>) -> Result<Upon> {
        let text = |key: &str| options.get(key).map_or("", String::as_str);
        let parent = text("parent").to_string();
        if parent == "lo" {
            return Err(Error::invalid("loopback interface is not a valid macvlan parent link"));
        }
        if parent.len() > 15 || parent.contains(['/', ' ', '%']) {
            return Err(Error::invalid(format!("invalid interface name: {parent:?}"))
                .hint("at most fifteen letters, digits, -, _ and .: the kernel's limit for a link's name"));
        }
        let mode = match text("macvlan_mode") {
            "" | "bridge" => Mode::Bridge,
            "private" => Mode::Private,
            "vepa" => Mode::Vepa,
            "passthru" => Mode::Passthru,
            other => {
                return Err(Error::invalid(format!(
                    "requested macvlan mode '{other}' is not valid, 'bridge' mode is the macvlan driver default"
                )));
            }
        };
        Ok(Upon { parent, mode })
    }
}

/// In which mode members lie upon the parent; `None` for the networks of other drivers.
pub(crate) fn mode(network: &Record) -> Option<Mode> {
    // they were checked when the network was made
    (network.driver == Driver::Macvlan).then(|| Upon::read(&network.options).map_or(Mode::Bridge, |upon| upon.mode))
}

/// Whether the world can be reached by it.
pub(crate) fn leads_out(network: &Record) -> bool {
    !network.internal && !is_upon_nothing(network)
}

fn is_upon_nothing(network: &Record) -> bool {
    network.link == parent_to_nowhere(&network.id)
}

/// The link that a new network's members will lie upon.
///
/// # Errors
/// Another network has it.
pub(crate) fn parent(networks: &Networks, options: &BTreeMap<String, String>, id: &str) -> Result<String> {
    let Upon { parent, .. } = Upon::read(options)?;
    if parent.is_empty() {
        return Ok(parent_to_nowhere(id));
    }
    match networks.all().iter().find(|n| n.driver == Driver::Macvlan && n.link == parent) {
        Some(other) => {
            let short = other.id.get(..12).unwrap_or(&other.id);
            Err(Error::forbidden(format!("network dm-{short} is already using parent interface {parent}")).hint(format!(
                "it is the network {}; another vlan of the same card is another parent: {parent}.20",
                other.name
            )))
        }
        None => Ok(parent),
    }
}

/// Makes the parent if it is not there. Gives back whether it was made.
///
/// # Errors
/// In Docker's words; the kernel's.
pub(crate) fn raise(ground: &Ground, record: &Record) -> Result<bool> {
    ensure_parent(&ground.home, &record.link, is_upon_nothing(record))
}

/// After a restart of the machine: a parent that we made is made again; another's is his affair.
pub(crate) fn raise_again(ground: &Ground, record: &Record) -> Result<()> {
    match record.made_parent {
        true => raise(ground, record).map(drop),
        false => Ok(()),
    }
}

/// Takes the parent away, if we made it.
pub(crate) fn lower(ground: &Ground, record: &Record) {
    if record.made_parent
        && let Err(error) = ground.home.delete_link(&record.link)
    {
        tracing::warn!(network = record.name, "could not take away its parent: {}", error.message());
    }
}

/// The ends of the cable to nowhere that are a network's parent, if it has one.
pub(crate) fn cables_of(network: &Record) -> Vec<String> {
    match network.driver == Driver::Macvlan && is_upon_nothing(network) {
        true => vec![network.link.clone(), far_end(&network.link)],
        false => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(options: &[(&str, &str)]) -> Result<Upon> {
        Upon::read(&options.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect())
    }

    #[test]
    fn options_are_read_and_refused_in_dockers_words() {
        let upon = read(&[("parent", "eth0.10"), ("macvlan_mode", "private"), ("x.y", "z")]).expect("good options");
        assert_eq!(upon, Upon { parent: "eth0.10".into(), mode: Mode::Private });
        assert_eq!(read(&[]).expect("none"), Upon { parent: String::new(), mode: Mode::Bridge });
        let why = |key: &str, value: &str| read(&[(key, value)]).expect_err("nonsense").message();
        assert_eq!(why("parent", "lo"), "loopback interface is not a valid macvlan parent link");
        assert!(why("macvlan_mode", "l2").starts_with("requested macvlan mode 'l2' is not valid"));
        assert!(why("parent", "a-name-that-is-too-long").contains("invalid interface name"));
    }
}
