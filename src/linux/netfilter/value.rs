//! # Value: what a register holds, and how nft writes it
//!
//! The kernel compares bytes; what they mean is nft's affair. An address is four or sixteen bytes in the network's order, a
//! port two, a protocol one, the name of a link sixteen with zeros behind it. Several in a row make a *concatenation*: each
//! field then begins at a multiple of four, for that is a register's size.
//!
//! ```text
//!   tcp . 8080          06 00 00 00 │ 1f 90 00 00
//!   "br-a" . 10.1.0.0/16 62 72 2d 61 00… (16) │ 0a 01 00 00   up to   … │ 0a 01 ff ff
//! ```
//!
//! * [`Type`]'s numbers are nft's own (`enum datatypes`); the kernel only keeps them, so that `nft list` knows what it prints.
//! * A [`Value::Net`] is a range; only keys of interval sets may hold one.
//!
//! See: nft(8), "DATA TYPES". Next room: [`crate::netfilter::set`]

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

/// The longest name of a link, and its zero (IFNAMSIZ).
const NAME: usize = 16;

/// What kind of value a field holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Type {
    Ifname,
    Ipv4,
    Ipv6,
    /// Layer 4: tcp, udp, ….
    Protocol,
    /// A port.
    Service,
}

impl Type {
    /// The word in `type inet_proto . inet_service`.
    pub fn word(self) -> &'static str {
        match self {
            Type::Ifname => "ifname",
            Type::Ipv4 => "ipv4_addr",
            Type::Ipv6 => "ipv6_addr",
            Type::Protocol => "inet_proto",
            Type::Service => "inet_service",
        }
    }

    /// nft's number for it.
    pub fn number(self) -> u32 {
        match self {
            Type::Ipv4 => 7,
            Type::Ipv6 => 8,
            Type::Protocol => 12,
            Type::Service => 13,
            Type::Ifname => 41,
        }
    }

    /// How many bytes it has.
    pub fn width(self) -> usize {
        match self {
            Type::Ifname => NAME,
            Type::Ipv4 => 4,
            Type::Ipv6 => 16,
            Type::Protocol => 1,
            Type::Service => 2,
        }
    }
}

/// One value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Value {
    Ifname(String),
    Address(IpAddr),
    /// A block: its first address and the length of its prefix.
    Net(IpAddr, u8),
    Protocol(u8),
    Service(u16),
}

impl Value {
    pub fn kind(&self) -> Type {
        match self {
            Value::Ifname(_) => Type::Ifname,
            Value::Address(IpAddr::V4(_)) | Value::Net(IpAddr::V4(_), _) => Type::Ipv4,
            Value::Address(IpAddr::V6(_)) | Value::Net(IpAddr::V6(_), _) => Type::Ipv6,
            Value::Protocol(_) => Type::Protocol,
            Value::Service(_) => Type::Service,
        }
    }

    /// The bytes; of a block, those of its first address.
    pub fn bytes(&self) -> Vec<u8> {
        match self {
            Value::Ifname(name) => {
                // A name that does not fit is no link's name: cut, it matches nothing.
                let mut bytes: Vec<u8> = name.bytes().take(NAME - 1).collect();
                bytes.resize(NAME, 0);
                bytes
            }
            Value::Address(address) => octets(*address),
            Value::Net(address, prefix) => masked(*address, *prefix, |a, mask| a & mask),
            Value::Protocol(number) => vec![*number],
            Value::Service(port) => port.to_be_bytes().to_vec(),
        }
    }

    /// The bytes of the last address of a block; of any other value, its own.
    pub fn last_bytes(&self) -> Vec<u8> {
        match self {
            Value::Net(address, prefix) => masked(*address, *prefix, |a, mask| a | !mask),
            other => other.bytes(),
        }
    }

    /// A value of this type from its bytes (as many as the type has; padding behind them is ignored).
    pub fn read(kind: Type, bytes: &[u8]) -> Option<Value> {
        let bytes = bytes.get(..kind.width())?;
        Some(match kind {
            Type::Ifname => Value::Ifname(crate::netlink::wire::text_of(bytes)),
            Type::Ipv4 => Value::Address(Ipv4Addr::from(<[u8; 4]>::try_from(bytes).ok()?).into()),
            Type::Ipv6 => Value::Address(Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?).into()),
            Type::Protocol => Value::Protocol(bytes[0]),
            Type::Service => Value::Service(u16::from_be_bytes([bytes[0], bytes[1]])),
        })
    }
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    }
}

/// The address's bytes after `f(byte, byte of the mask)`.
fn masked(address: IpAddr, prefix: u8, f: impl Fn(u8, u8) -> u8) -> Vec<u8> {
    let mask_of = |at: usize| {
        let ones = (prefix as usize).saturating_sub(at * 8).min(8);
        (0xff00u16 >> ones) as u8
    };
    octets(address).into_iter().enumerate().map(|(at, byte)| f(byte, mask_of(at))).collect()
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Ifname(name) => write!(f, "\"{name}\""),
            Value::Address(address) => write!(f, "{address}"),
            // a block of one address is printed as that address
            Value::Net(address, 32) if address.is_ipv4() => write!(f, "{address}"),
            Value::Net(address, 128) => write!(f, "{address}"),
            Value::Net(address, prefix) => write!(f, "{address}/{prefix}"),
            Value::Protocol(6) => f.write_str("tcp"),
            Value::Protocol(17) => f.write_str("udp"),
            Value::Protocol(number) => write!(f, "{number}"),
            Value::Service(port) => write!(f, "{port}"),
        }
    }
}

/// Several values as nft writes them: `tcp . 8080`.
pub fn joined(values: &[Value]) -> String {
    values.iter().map(Value::to_string).collect::<Vec<_>>().join(" . ")
}

/// Several values as registers hold them: each field padded to four bytes, a single one not at all.
pub fn register_bytes(values: &[Value], bytes: impl Fn(&Value) -> Vec<u8>) -> Vec<u8> {
    match values {
        [alone] => bytes(alone),
        several => several
            .iter()
            .flat_map(|value| {
                let mut field = bytes(value);
                field.resize(field.len().next_multiple_of(4), 0);
                field
            })
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_a_concatenation_begin_at_multiples_of_four() {
        let key = [Value::Protocol(6), Value::Service(8080)];
        assert_eq!(register_bytes(&key, Value::bytes), [6, 0, 0, 0, 0x1f, 0x90, 0, 0]);
        assert_eq!(joined(&key), "tcp . 8080");
        assert_eq!(register_bytes(&key[1..], Value::bytes), [0x1f, 0x90]);
    }

    #[test]
    fn a_block_is_its_first_and_its_last_address() {
        let net = Value::Net("172.20.160.0".parse().expect("an address"), 19);
        assert_eq!((net.bytes(), net.last_bytes()), (vec![172, 20, 160, 0], vec![172, 20, 191, 255]));
        let all = Value::Net("0.0.0.0".parse().expect("an address"), 0);
        assert_eq!((all.bytes(), all.last_bytes()), (vec![0; 4], vec![255; 4]));
        assert_eq!(Value::read(Type::Ipv4, &net.bytes()), Some(Value::Address("172.20.160.0".parse().expect("an address"))));
        assert_eq!(Value::read(Type::Ipv6, &[1, 2]), None);
    }
}
