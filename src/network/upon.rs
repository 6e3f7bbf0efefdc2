//! # Upon: containers on the host's own cable
//!
//! A bridge with translation makes a world of its own behind the host. Sometimes a container is to be a machine among the machines of the
//! office instead: with a MAC and an address that the office's switch and router see. No bridge and no rule is needed for that: a
//! *macvlan* link lies upon the host's card and stands in the sandbox.
//!
//! ```text
//!   Sandbox::plug_upon   1  at home  ip link add link eth0 name eth0 address 02:42:… netns PIN type macvlan mode bridge
//!                        2  inside   ip link show eth0
//!                        3  inside   ip link set eth0 up; ip addr add …; ip route replace default via … dev eth0
//! ```
//!
//! * The parent may be a *vlan* link that is not there yet: `eth0.10` is made upon `eth0` ([`ensure_parent`]) and goes with the network.
//! * Without a parent the members have only each other. Docker takes a dummy card; kernels of clouds often have none, so here it is a cable
//!   that leads nowhere: `dm-…`, and its other end `dp-…`.
//! * The host hears its own macvlans as little as they hear it; that is the kernel's way, not ours.
//!
//! Laws: nothing of it stands at home but the parents, so whatever becomes of the daemon, it all goes with the sandboxes; a parent that a person
//! made is never changed and never deleted.
//! See: ip-link(8) macvlan, docs.docker.com "Macvlan network driver", moby `libnetwork/drivers/macvlan`. Next room: [`crate::shelf`]

use crate::{
    home::{GROUP, Home},
    model::Endpoint,
    sandbox::Sandbox,
};
use minidock_base::{Doing, Error, Result};
use minidock_linux::{
    errno::{CallFailed, EEXIST, ENODEV, EOPNOTSUPP},
    netlink::{
        link,
        upon::{self, Mode},
        veth,
    },
};
use std::net::IpAddr;

/// What the parent of a network without one is called: this, and twelve digits of the network's ID.
const NOWHERE: &str = "dm-";
/// And its other end.
const FAR: &str = "dp-";

/// The name of the parent of a network that the user gave none.
pub fn parent_to_nowhere(network_id: &str) -> String {
    format!("{NOWHERE}{}", network_id.get(..12).unwrap_or(network_id))
}

/// The other end of a parent to nowhere.
pub fn far_end(parent: &str) -> String {
    parent.replacen(NOWHERE, FAR, 1)
}

/// `eth0.10` as a card and a number.
///
/// # Errors
/// In Docker's words: a name that is none such, a number that is none.
pub fn parse_vlan(name: &str) -> Result<(&str, u16)> {
    let wanted = "required interface name format is: name.vlan_id, ex. eth0.10 for vlan 10, instead received";
    let (card, id) = match name.split('.').collect::<Vec<_>>()[..] {
        [card, id] if !card.is_empty() => (card, id),
        _ => return Err(Error::invalid(format!("{wanted} {name}"))),
    };
    let number: i64 = id
        .parse()
        .map_err(|_| Error::invalid(format!("unable to parse a valid vlan id from: {id} (ex. eth0.10 for vlan 10)")))?;
    match u16::try_from(number) {
        Ok(number @ 1..=4094) => Ok((card, number)),
        _ => Err(Error::invalid(format!("vlan id must be between 1-4094, received: {number}"))),
    }
}

/// Makes the parent link if it is not there: a vlan link, or, if `nowhere`, a cable without another end. Gives back whether it was made.
///
/// # Errors
/// In Docker's words: a name that says no vlan, a card that is not there; a kernel without vlans.
pub fn ensure_parent(home: &Home, parent: &str, nowhere: bool) -> Result<bool> {
    let found = |name: &str| home.ask(|socket| link::by_name(socket, name)).doing(|| format!("look for {name}"));
    if found(parent)?.is_some() {
        return Ok(false);
    }
    if nowhere {
        let far = far_end(parent);
        let cable =
            veth::Veth { name: parent, master: None, group: GROUP, mtu: 0, peer: &far, peer_mac: None, peer_namespace: None };
        home.ask(|socket| {
            veth::add(socket, &cable)?;
            let index = link::by_name(socket, &far)?.map_or(0, |link| link.index);
            link::set_up(socket, index, &far)
        })
        .doing(|| format!("lay a cable {parent} that leads nowhere"))?;
        return Ok(true);
    }
    if !parent.contains('.') {
        return Err(Error::system(format!("invalid subinterface vlan name {parent}, example formatting is eth0.10"))
            .hint("there is no link of that name on this machine; `ip link` shows those that there are"));
    }
    let (card, id) = parse_vlan(parent)?;
    let missing = || Error::system(format!("failed to find master interface {card} on the Docker host: Link not found"));
    let card_link = found(card)?.ok_or_else(|| missing().hint("`ip link` shows the links of this machine"))?;
    let vlan = upon::Vlan { name: parent, parent: (card_link.index, card), id, group: GROUP };
    match home.ask(|socket| upon::add_vlan(socket, &vlan)) {
        Ok(()) => Ok(true),
        Err(failed) if failed.is(EEXIST) && found(parent)?.is_some() => Ok(false),
        Err(failed) => {
            let has_none = failed.is(EOPNOTSUPP);
            let error = Err::<bool, _>(failed).doing(|| format!("create the vlan link {parent}"));
            error.map_err(|e| match has_none {
                true => {
                    e.hint("this kernel has no 802.1Q (CONFIG_VLAN_8021Q; `modprobe 8021q`): give a parent without a number")
                }
                false => e,
            })
        }
    }
}

impl Sandbox {
    /// Puts an endpoint's link upon `parent`: its name, MAC and addresses in here, and the way out over these gateways. On failure nothing of
    /// it is left.
    ///
    /// # Errors
    /// A parent that is gone, or that a bridge has; a name in use; a kernel without macvlan.
    pub fn plug_upon(
        &self,
        home: &Home,
        parent: &str,
        mode: Mode,
        mtu: u32,
        endpoint: &Endpoint,
        gateways: &[IpAddr],
    ) -> Result<()> {
        let doing = || format!("put {} upon {parent}", endpoint.inside);
        self.lay_upon(home, parent, mode, mtu, endpoint).doing(doing)?;
        let steps = || self.dress(self.index_of(&endpoint.inside)?, endpoint, gateways);
        steps().map_err(|e| e.during(doing())).inspect_err(|_| {
            // what went wrong first is what the user must read
            drop(self.unplug_inside(endpoint));
        })
    }

    fn lay_upon(&self, home: &Home, parent: &str, mode: Mode, mtu: u32, endpoint: &Endpoint) -> Result<(), CallFailed> {
        let place = self.place().to_string_lossy();
        let lay = || {
            let index = home.bridge_index(parent)?;
            let link = upon::Macvlan {
                name: &endpoint.inside,
                parent: (index, parent),
                mode,
                mac: endpoint.mac.0,
                mtu,
                namespace: (self.fd(), &place),
            };
            home.ask(|socket| upon::add_macvlan(socket, &link))
        };
        lay().or_else(|failed| match failed.is(ENODEV) {
            // the number we remember may be that of a link that somebody removed and made anew
            true => {
                home.forget(parent);
                lay()
            }
            false => Err(failed),
        })
    }

    /// Takes an endpoint's link out of a sandbox that lives on; one that is gone is no failure.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn unplug_inside(&self, endpoint: &Endpoint) -> Result<()> {
        self.ask(|socket| forgiving(link::delete(socket, &endpoint.inside)))
    }

    /// Switches an endpoint's link off: its address may be given to others, though the sandbox takes a while to die.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn silence(&self, endpoint: &Endpoint) -> Result<()> {
        self.ask(|socket| forgiving(link::set_down(socket, &endpoint.inside)))
    }
}

fn forgiving(done: Result<(), CallFailed>) -> Result<(), CallFailed> {
    match done {
        Err(failed) if !failed.is(ENODEV) => Err(failed),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vlan_is_read_from_its_links_name_and_refused_in_dockers_words() {
        assert_eq!(parse_vlan("eth0.10").expect("a vlan"), ("eth0", 10));
        let why = |name: &str| parse_vlan(name).expect_err("none").message();
        assert!(why("eth0").ends_with("instead received eth0") && why(".5").ends_with("received .5"));
        assert!(why("eth0.1.2").ends_with("instead received eth0.1.2"));
        assert_eq!(why("eth0.10macvlan10"), "unable to parse a valid vlan id from: 10macvlan10 (ex. eth0.10 for vlan 10)");
        for (name, number) in [("eth0.0", "0"), ("eth0.4095", "4095"), ("eth0.99999", "99999")] {
            assert_eq!(why(name), format!("vlan id must be between 1-4094, received: {number}"));
        }
        assert_eq!(parent_to_nowhere(&"ab".repeat(32)), "dm-abababababab");
    }
}
