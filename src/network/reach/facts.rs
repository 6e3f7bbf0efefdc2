//! # Facts: what must be known to say whether A reaches B
//!
//! Plain values, gathered by whoever can look (`src/engine/reach.rs`) and judged by [`crate::reach`]. What nothing depends on any
//! more is not gathered: `None`.
//!
//! Next room: [`crate::listening`]

use crate::{
    model::{Net, Protocol},
    nft::foreign::Finding,
};
use std::net::{IpAddr, SocketAddr};

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
    /// The sockets that wait in the stack where the packet ends.
    pub waiting: Option<Vec<SocketAddr>>,
    pub attempt: Option<Attempt>,
}
