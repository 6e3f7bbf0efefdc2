//! # Model: addresses, bridges, endpoints
//!
//! The engine decides who is on which network; this crate makes it so in the kernel, the firewall and the name server.
//! What passes between them are the plain values of this room: they are written into records, compared after a restart,
//! turned into netlink messages and into nft rules, and none of them does anything.
//!
//! ```text
//!   Net       172.17.0.0/16, fd00:1::/64     an address block          Mac   02:42:ac:11:00:02
//!   Subnet    a Net, its gateway, which part is given out              Published   0.0.0.0:8080 → 172.17.0.2:80/tcp
//!   Bridge    a network as the kernel sees it                          Endpoint    one sandbox's place on one Bridge
//! ```
//!
//! * [`Mac::of`]: an endpoint's MAC is `02:42` and its IPv4 address (`02`: locally administered), so two endpoints of one
//!   segment cannot collide, and a neighbour that remembers who had an address remembers the right MAC for its next owner.
//! * Everything reads and prints as the field writes it, and serialises as that text.
//!
//! See: RFC 4632 (CIDR), RFC 7042 §2.1, moby `libnetwork/types`. Next room: [`crate`]

use minidock_base::{Error, Result};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

/// A block of addresses: `172.17.0.0/16`. The bits behind the prefix are zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Net {
    address: IpAddr,
    prefix: u8,
}

impl Net {
    /// The block of this size in which `address` lies; a prefix that is too long is cut to the family's width.
    pub fn around(address: IpAddr, prefix: u8) -> Net {
        let prefix = prefix.min(width(address));
        Net { address: from_bits(bits(address) & mask(address, prefix), address), prefix }
    }

    /// Reads `172.17.0.0/16`; bits behind the prefix are dropped, as `ip` and Docker's default bridge do.
    ///
    /// # Errors
    /// [`minidock_base::Kind::InvalidParameter`]: `invalid CIDR address: …`.
    pub fn parse_loosely(text: &str) -> Result<(IpAddr, Net)> {
        let refuse =
            || Error::invalid(format!("invalid CIDR address: {text}")).hint("write an address and a prefix: 172.28.0.0/16");
        let (address, prefix) = text.split_once('/').ok_or_else(refuse)?;
        let address: IpAddr = address.parse().map_err(|_| refuse())?;
        let plain = !prefix.is_empty() && prefix.bytes().all(|c| c.is_ascii_digit());
        match prefix.parse::<u8>() {
            Ok(prefix) if plain && prefix <= width(address) => Ok((address, Net::around(address, prefix))),
            _ => Err(refuse()),
        }
    }

    /// The first address, which names the block.
    pub fn address(&self) -> IpAddr {
        self.address
    }

    pub fn prefix(&self) -> u8 {
        self.prefix
    }

    pub fn is_v4(&self) -> bool {
        self.address.is_ipv4()
    }

    /// The last address; in IPv4 the one for broadcasts.
    pub fn last(&self) -> IpAddr {
        from_bits(bits(self.address) | !mask(self.address, self.prefix) & whole(self.address), self.address)
    }

    /// How many addresses, less one (the whole of IPv6 has one more than fits).
    pub fn size_less_one(&self) -> u128 {
        bits(self.last()) - bits(self.address)
    }

    /// The address this far behind the first one, if it is still inside.
    pub fn nth(&self, offset: u128) -> Option<IpAddr> {
        (offset <= self.size_less_one()).then(|| from_bits(bits(self.address) + offset, self.address))
    }

    /// How far `address` lies behind the first one, if it is inside.
    pub fn offset_of(&self, address: IpAddr) -> Option<u128> {
        self.contains(address).then(|| bits(address) - bits(self.address))
    }

    pub fn contains(&self, address: IpAddr) -> bool {
        address.is_ipv4() == self.is_v4() && bits(address) & mask(address, self.prefix) == bits(self.address)
    }

    /// Whether all of `other` lies in this block.
    pub fn covers(&self, other: &Net) -> bool {
        self.prefix <= other.prefix && self.contains(other.address)
    }

    /// Whether any address lies in both.
    pub fn overlaps(&self, other: &Net) -> bool {
        self.covers(other) || other.covers(self)
    }

    /// The mask as an address: 255.255.0.0.
    pub fn mask(&self) -> IpAddr {
        from_bits(mask(self.address, self.prefix), self.address)
    }
}

fn width(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

fn whole(address: IpAddr) -> u128 {
    if address.is_ipv4() { u32::MAX as u128 } else { u128::MAX }
}

fn mask(address: IpAddr, prefix: u8) -> u128 {
    let width = width(address) as u32;
    match prefix {
        0 => 0,
        prefix => whole(address) & (u128::MAX << (width - prefix as u32)),
    }
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => v4.to_bits() as u128,
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

/// An address of the same family as `like`.
fn from_bits(bits: u128, like: IpAddr) -> IpAddr {
    match like {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::from_bits(bits as u32)),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::from_bits(bits)),
    }
}

impl FromStr for Net {
    type Err = Error;

    /// Reads `172.17.0.0/16`, and refuses an address that is not the block's first.
    fn from_str(text: &str) -> Result<Net> {
        let (address, net) = Net::parse_loosely(text)?;
        match address == net.address {
            true => Ok(net),
            false => Err(Error::invalid(format!("invalid subnet {text}: it should be {net}"))),
        }
    }
}

impl fmt::Display for Net {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

/// A link-layer address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// The MAC that belongs to an IPv4 address: `02:42:ac:11:00:02` for 172.17.0.2.
    pub fn of(address: Ipv4Addr) -> Mac {
        let [a, b, c, d] = address.octets();
        Mac([0x02, 0x42, a, b, c, d])
    }
}

impl FromStr for Mac {
    type Err = Error;

    /// Reads `02:42:ac:11:00:02`, or the same with dashes.
    fn from_str(text: &str) -> Result<Mac> {
        let refuse = || Error::invalid(format!("invalid MAC address: {text}"));
        let separator = if text.contains('-') { '-' } else { ':' };
        let mut octets = [0; 6];
        let mut words = text.split(separator);
        for octet in &mut octets {
            let word = words.next().filter(|w| w.len() == 2 && w.bytes().all(|c| c.is_ascii_hexdigit())).ok_or_else(refuse)?;
            *octet = u8::from_str_radix(word, 16).map_err(|_| refuse())?;
        }
        if words.next().is_some() {
            return Err(refuse());
        }
        // the lowest bit of the first octet marks a group: no station may have such an address
        if octets[0] & 1 == 1 {
            return Err(refuse().hint("this one is a multicast address"));
        }
        Ok(Mac(octets))
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

/// A type that is its text on disk and on the wire.
macro_rules! as_text {
    ($($t:ty),*) => {$(
        impl Serialize for $t {
            fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.collect_str(self)
            }
        }
        impl<'de> Deserialize<'de> for $t {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<$t, D::Error> {
                String::deserialize(from)?.parse().map_err(|e: Error| serde::de::Error::custom(e.message()))
            }
        }
    )*};
}

as_text!(Net, Mac);

/// One address block of a network, and what of it may be given out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subnet {
    pub subnet: Net,
    /// The bridge's own address; `None` for a network without a way out of our making.
    #[serde(default)]
    pub gateway: Option<IpAddr>,
    /// Addresses are drawn from here only (`--ip-range`); a wish (`--ip`) may lie anywhere in the subnet.
    #[serde(default)]
    pub range: Option<Net>,
    /// Addresses that somebody else has (`--aux-address router=172.28.0.254`).
    #[serde(default)]
    pub aux: BTreeMap<String, IpAddr>,
}

/// A network of the bridge driver, as the kernel and the firewall see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bridge {
    pub network_id: String,
    /// The link's name: `minidock0`, `br-` and twelve digits of the id, or `com.docker.network.bridge.name`.
    pub link: String,
    pub subnets: Vec<Subnet>,
    /// `--internal`: no way out and none in.
    pub internal: bool,
    /// Whether members may talk to one another (`com.docker.network.bridge.enable_icc`).
    pub icc: bool,
    /// Whether what leaves the segment carries the host's address (`com.docker.network.bridge.enable_ip_masquerade`).
    pub masquerade: bool,
    /// 0: the kernel's default.
    pub mtu: u32,
    /// Where `-p 8080:80` listens when no address is given (`com.docker.network.bridge.host_binding_ipv4`).
    pub host_binding: IpAddr,
}

impl Bridge {
    /// The IPv4 blocks, then the IPv6 ones, each with the address the bridge itself has there.
    pub fn own_addresses(&self) -> Vec<(IpAddr, u8)> {
        let of = |v4: bool| self.subnets.iter().filter(move |s| s.subnet.is_v4() == v4);
        of(true).chain(of(false)).filter_map(|s| s.gateway.map(|gateway| (gateway, s.subnet.prefix()))).collect()
    }

    /// Whether the network has IPv6.
    pub fn has_v6(&self) -> bool {
        self.subnets.iter().any(|s| !s.subnet.is_v4())
    }
}

/// One sandbox's place on one network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    pub id: String,
    pub network_id: String,
    /// The end that is plugged into the bridge: `veth` and seven digits.
    pub host_link: String,
    /// The end in the sandbox: `eth0`, `eth1`, ….
    pub inside: String,
    pub mac: Mac,
    /// Address and prefix length.
    #[serde(default)]
    pub v4: Option<(Ipv4Addr, u8)>,
    #[serde(default)]
    pub v6: Option<(Ipv6Addr, u8)>,
    #[serde(default)]
    pub gateway_v4: Option<Ipv4Addr>,
    #[serde(default)]
    pub gateway_v6: Option<Ipv6Addr>,
}

/// What a published port carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    Tcp,
    Udp,
}

impl Protocol {
    /// Its name in `-p 80/tcp` and in nft.
    pub fn name(self) -> &'static str {
        match self {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
        }
    }

    /// Its number in the IP header.
    pub fn number(self) -> u8 {
        match self {
            Protocol::Tcp => 6,
            Protocol::Udp => 17,
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One door: what arrives at `host` goes to `target`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Published {
    pub endpoint_id: String,
    pub protocol: Protocol,
    pub host: (IpAddr, u16),
    pub target: (IpAddr, u16),
    /// The bridge's link, behind which the target is.
    pub bridge: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn net(text: &str) -> Net {
        text.parse().expect("a block")
    }

    #[test]
    fn blocks_read_and_print_as_the_field_writes_them() {
        let block = net("172.17.0.0/16");
        assert_eq!((block.last().to_string(), block.mask().to_string()), ("172.17.255.255".into(), "255.255.0.0".into()));
        assert!(block.contains("172.17.3.4".parse().expect("an address")));
        assert!(!block.contains("172.18.0.0".parse().expect("an address")));
        assert!(
            block.overlaps(&net("172.16.0.0/12")) && !block.overlaps(&net("172.18.0.0/16")) && !block.overlaps(&net("::/0"))
        );
        assert_eq!(net("0.0.0.0/0").size_less_one(), u32::MAX as u128);
        assert_eq!(net("::/0").size_less_one(), u128::MAX);
        assert_eq!(net("fd00::/64").nth(2).map(|a| a.to_string()).as_deref(), Some("fd00::2"));
        for bad in ["172.17.0.0", "172.17.0.0/33", "172.17.0.0/+1", "172.17.0/16", "/16", "::/129", "fd00::/", "a/b"] {
            assert!(bad.parse::<Net>().is_err_and(|e| e.message().starts_with("invalid CIDR address: ")), "{bad}");
        }
        let refused = "10.1.2.3/16".parse::<Net>().expect_err("bits behind the prefix");
        assert_eq!(refused.message(), "invalid subnet 10.1.2.3/16: it should be 10.1.0.0/16");
        assert_eq!(serde_json::to_string(&block).expect("plain data"), "\"172.17.0.0/16\"");
    }

    #[test]
    fn a_mac_follows_its_address() {
        let mac = Mac::of(Ipv4Addr::new(172, 17, 0, 2));
        assert_eq!(mac.to_string(), "02:42:ac:11:00:02");
        assert_eq!("02-42-AC-11-00-02".parse::<Mac>().expect("dashes are fine"), mac);
        for bad in ["", "02:42", "02:42:ac:11:00:02:03", "02:42:ac:11:00:zz", "2:42:ac:11:0:2", "03:42:ac:11:00:02"] {
            assert!(bad.parse::<Mac>().is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn a_block_survives_its_text_and_holds_exactly_its_addresses(v4: bool, bits: u128, prefix in 0u8..=128, other: u128) {
            let (address, other): (IpAddr, IpAddr) = match v4 {
                true => (Ipv4Addr::from_bits(bits as u32).into(), Ipv4Addr::from_bits(other as u32).into()),
                false => (Ipv6Addr::from_bits(bits).into(), Ipv6Addr::from_bits(other).into()),
            };
            let block = Net::around(address, prefix);
            prop_assert_eq!(block.to_string().parse::<Net>().expect("its own text"), block);
            prop_assert!(block.contains(address) && block.contains(block.last()) && block.contains(block.address()));
            let inside = (block.address()..=block.last()).contains(&other);
            prop_assert_eq!(block.contains(other), inside);
            let offset = block.offset_of(address).expect("inside");
            prop_assert_eq!(block.nth(offset), Some(address));
            prop_assert!(block.size_less_one() == u128::MAX || block.nth(block.size_less_one() + 1).is_none());
        }

        #[test]
        fn no_text_makes_the_readers_panic(text in "\\PC{0,40}") {
            drop(text.parse::<Net>());
            drop(text.parse::<Mac>());
        }
    }
}
