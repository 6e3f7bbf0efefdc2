//! # Facts: what must be known to say whether A reaches B
//!
//! Plain values, gathered by whoever can look (`src/engine/reach/mod.rs`) and judged by [`crate::reach`]. What nothing depends on any
//! more is not gathered: `None`.
//!
//! * [`target`] reads what the user typed for B.
//!
//! Next room: [`crate::listening`]

use crate::{
    model::{Net, Protocol},
    nft::foreign::Finding,
};
use minidock_base::{Error, Result};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// Reads `B`, `B:80`, `B:53/udp`, `192.0.2.9:80`, `[fd00::2]:80`, `fd00::2`: the host, and the port if there is one.
///
/// # Errors
/// 400: no host, or a port that is none.
pub fn target(text: &str) -> Result<(String, Option<(Protocol, u16)>)> {
    let refuse =
        |why: &str| Err(Error::invalid(format!("invalid target {text:?}: {why}")).hint("B, B:80, B:53/udp, [fd00::2]:80"));
    if text.parse::<Ipv6Addr>().is_ok() {
        return Ok((text.to_string(), None));
    }
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, "")) => (host, None),
        Some((host, rest)) => match rest.strip_prefix(':') {
            Some(port) => (host, Some(port)),
            None => return refuse("a port stands behind a colon"),
        },
        None => text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port))),
    };
    if host.is_empty() {
        return refuse("it names nobody");
    }
    let Some(port) = port else { return Ok((host.to_string(), None)) };
    let (number, protocol) = port.split_once('/').unwrap_or((port, "tcp"));
    let protocol = match protocol {
        "tcp" => Protocol::Tcp,
        "udp" => Protocol::Udp,
        _ => return refuse("protocols are tcp and udp"),
    };
    match number.parse::<u16>() {
        Ok(number @ 1..) if number.to_string().len() == port.split('/').next().map_or(0, str::len) => {
            Ok((host.to_string(), Some((protocol, number))))
        }
        _ => refuse("a port is a number from 1 to 65535"),
    }
}

/// One end's place on one network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pub network: String,
    /// Its link inside: `eth0`.
    pub inside: String,
    pub blocks: Vec<Net>,
    pub addresses: Vec<IpAddr>,
    pub internal: bool,
    pub icc: bool,
    pub masquerade: bool,
    /// Whether members find each other by name.
    pub names: bool,
}

/// What kind of network stack an end has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stack {
    /// Its own, with places on networks.
    Bridged,
    /// The host's.
    Host,
    /// Its own, with nothing but loopback.
    None,
}

/// A container at one end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Party {
    pub name: String,
    pub running: bool,
    /// `exited`, `created`, ….
    pub status: String,
    pub stack: Stack,
    pub places: Vec<Place>,
}

/// What the name of B means to A.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Naming {
    /// It is an address.
    Literal(IpAddr),
    /// A's /etc/hosts has it.
    Hosts(IpAddr),
    /// This server says so.
    Answered(IpAddr, IpAddr),
    /// This server knows no such name.
    Unknown(IpAddr),
    /// No server answered: which, and why.
    Silent(Option<IpAddr>, String),
}

/// Whose the address is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owner {
    /// A itself.
    Itself,
    Container(Party),
    /// The host; a published port leads on to a container.
    Host(Option<(SocketAddr, Party)>),
    /// Somewhere in the world.
    Elsewhere,
}

/// The way that A's kernel would send it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Way {
    Local,
    Direct { link: String },
    Via { gateway: IpAddr, link: String },
    None { why: String },
}

/// What came of the attempt to connect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attempt {
    Connected,
    Refused,
    Silence,
    Failed(String),
}

/// Everything that was found out; what was not asked, because nothing depends on it any more, is `None`.
#[derive(Clone, Debug)]
pub struct Facts {
    pub from: Party,
    /// As typed, without the port.
    pub to: String,
    pub port: Option<(Protocol, u16)>,
    /// The container that is called so, whether A can see it or not.
    pub meant: Option<Party>,
    pub naming: Option<Naming>,
    pub owner: Option<Owner>,
    pub way: Option<Way>,
    /// The next one on the way, and its MAC if it answers.
    pub neighbour: Option<(IpAddr, Option<String>)>,
    /// Other people's firewalls that are in the way.
    pub findings: Vec<Finding>,
    /// Whether our own table is there.
    pub table: bool,
    /// The addresses of this host on which the port is published, when the one that was asked for is not among them.
    pub published_on: Vec<IpAddr>,
    /// The sockets that wait in the stack where the packet ends.
    pub waiting: Option<Vec<SocketAddr>>,
    pub attempt: Option<Attempt>,
}
