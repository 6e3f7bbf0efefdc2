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
//!   [`bridge`]: a switch and its ports. [`vxlan`]: a switch's port that is a tunnel. [`upon`]: links that lie upon another link.
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
pub mod upon;
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
    use super::{wire::Message, *};
    use proptest::prelude::*;

    #[test]
    fn odd_words_are_quoted_for_the_shell() {
        assert_eq!(word("br-5f2c"), "br-5f2c");
        assert_eq!(word("a; rm -rf /"), "'a; rm -rf /'");
        assert_eq!(word("it's"), "'it'\\''s'");
        assert_eq!(word(""), "''");
    }

    /// Every reader, on bytes that may be anything.
    fn read(bytes: &[u8]) {
        let _ = (link::parse(bytes), address::parse(bytes), route::parse(bytes), neighbour::parse(bytes), vxlan::parse(bytes));
        for answer in wire::messages(bytes).take(1000) {
            let _ = wire::attributes(answer.body).take(1000).map(|(_, value)| wire::text_of(value).len()).sum::<usize>();
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_a_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            read(&bytes);
        }

        #[test]
        fn no_bent_answer_makes_a_reader_panic(
            attributes in proptest::collection::vec((0u16..70, proptest::collection::vec(any::<u8>(), 0..40)), 0..12),
            cut in 0usize..400, bend in proptest::collection::vec((0usize..400, any::<u8>()), 0..4),
        ) {
            let mut message = Message::new(16, 0);
            message.raw(&[0; 16]).nest(18, |info| {
                info.text(1, "veth").nest(5, |port| { port.u8(1, 3); });
            });
            for (kind, value) in &attributes {
                message.attr(*kind, value);
            }
            let mut bytes = message.finish(1);
            for (at, value) in bend {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = value;
                }
            }
            bytes.truncate(cut.max(16));
            read(&bytes);
            read(&bytes[16..]);
        }

        #[test]
        fn a_link_is_read_as_it_was_written(name in "[a-z0-9]{1,15}", index in 1u32.., mtu: u32, up: bool, mac: [u8; 6]) {
            let mut message = Message::new(16, 0);
            message.raw(&link::header(0, index, up.into(), 0)).text(3, &name).u32(4, mtu).attr(1, &mac);
            let bytes = message.finish(7);
            let seen = link::parse(wire::messages(&bytes).next().expect("one message").body).expect("a link");
            prop_assert_eq!((seen.name, seen.index, seen.mtu, seen.up, seen.mac), (name, index, mtu, up, Some(mac)));
        }
    }
}
