//! # Netlink: what `ip` says to the kernel
//!
//! Links, addresses, routes and neighbours have no system calls of their own. All of them are asked for, made and removed by
//! messages over one kind of socket. This chapter has the messages that a container's network needs, and nothing else.
//!
//! ```text
//!   veth::add(&mut socket, &Veth { … })          a room per noun, as in ip(8): link, address, route, neighbour
//!        │  Message::new(RTM_NEWLINK …).text(…)  wire: header, struct, attributes
//!        ▼
//!   Socket::request("RTM_NEWLINK", "ip link add …", message)      socket: one request, one answer
//!        ▼
//!   action::call("netlink", ["RTM_NEWLINK", "ip link add …"])     recorded as the command a person would type
//! ```
//!
//! * [`link`]: what links there are; up, down, away. [`veth`]: a cable, its far end straight in another namespace.
//!   [`bridge`]: a switch and its ports. [`vxlan`]: a switch's port that is a tunnel.
//! * [`address`], [`route`], [`neighbour`]: what lies on a link.
//! * A request on a socket changes the namespace *of the socket*, whichever thread sends it.
//!
//! Laws: one function, one message; the record's words can be given to a shell as they are ([`word`]); a reader of the
//! kernel's answers never trusts a length. Synchronous on purpose: the kernel has done the work when `sendto` returns.
//! See: rtnetlink(7), ip(8), bridge(8). Next room: [`wire`]

pub mod address;
pub mod bridge;
pub mod link;
pub mod neighbour;
pub mod route;
pub mod socket;
pub mod veth;
pub mod vxlan;
pub mod wire;

pub use socket::{Family, Request, Socket};

/// A word for a shell: as it is when it is harmless, else in single quotes.
pub fn word(text: &str) -> String {
    let harmless = |c: char| c.is_ascii_alphanumeric() || "_-./:=@%+,".contains(c);
    match !text.is_empty() && text.chars().all(harmless) {
        true => text.to_string(),
        false => format!("'{}'", text.replace('\'', "'\\''")),
    }
}

/// A link-layer address as `ip` prints it.
pub(crate) fn mac(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect::<Vec<_>>().join(":")
}

/// The bytes of an address, in the network's order.
pub(crate) fn octets(address: std::net::IpAddr) -> Vec<u8> {
    match address {
        std::net::IpAddr::V4(v4) => v4.octets().to_vec(),
        std::net::IpAddr::V6(v6) => v6.octets().to_vec(),
    }
}

/// An address from four or sixteen bytes.
pub(crate) fn address_of(bytes: &[u8]) -> Option<std::net::IpAddr> {
    match bytes.len() {
        4 => Some(<[u8; 4]>::try_from(bytes).ok()?.into()),
        16 => Some(<[u8; 16]>::try_from(bytes).ok()?.into()),
        _ => None,
    }
}

/// AF_INET or AF_INET6.
pub(crate) fn family(address: std::net::IpAddr) -> u8 {
    (if address.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 }) as u8
}

#[cfg(test)]
mod tests {
    #[test]
    fn odd_words_are_quoted_for_the_shell() {
        assert_eq!(super::word("br-5f2c"), "br-5f2c");
        assert_eq!(super::word("a; rm -rf /"), "'a; rm -rf /'");
        assert_eq!(super::word("it's"), "'it'\\''s'");
        assert_eq!(super::word(""), "''");
    }
}
