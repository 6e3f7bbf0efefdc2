//! # Upstream: whom we ask when we do not know
//!
//! A name server outside has an address, and *a side from which it is asked*: the host's own resolvers from the daemon's
//! network namespace (127.0.0.53 means the host there), those of `--dns` from inside the container, which may reach
//! servers that the host does not. A socket belongs for ever to the network namespace it was made in, so the side is
//! decided where the socket is made.
//!
//! ```text
//!   host(10.0.0.2)   made here, by any thread of the daemon             socket() ─► connect() ─► …
//!   9.9.9.9          made by a thread that visits the sandbox, many     visit { socket() × 16 } ─► kept, unbound
//!                    at a time, and used one by one from anywhere       connect() from any thread: still in the sandbox
//! ```
//!
//! * [`Upstream::parse`] reads an address as resolv.conf has it, `fe80::1%eth0` included.
//! * [`Sockets`] makes a fresh socket for every question: the kernel gives each a port of its own that nobody can guess,
//!   which together with the random id is what protects against forged answers (RFC 5452).
//!
//! *See:* setns(2), RFC 5452 §4.5, RFC 4007 §11 (zone ids). *Next room:* [`crate::dns::forward`]

use crate::sandbox::Sandbox;
use serde::{Deserialize, Serialize};
use std::{
    fmt, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6, UdpSocket as StdUdpSocket},
    sync::{Mutex, PoisonError},
};
use tokio::net::{TcpSocket, UdpSocket};

/// The namespace from which a server is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// The daemon's own.
    Home,
    /// The container's.
    Sandbox,
}

/// A name server outside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upstream {
    pub address: IpAddr,
    /// For a link-local address: on which link.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
    pub port: u16,
    pub side: Side,
}

impl Upstream {
    /// Reads `9.9.9.9`, `2620:fe::fe`, `fe80::1%eth0`.
    pub fn parse(text: &str, side: Side) -> Option<Upstream> {
        let (address, link) = match text.split_once('%') {
            Some((address, link)) if !link.is_empty() => (IpAddr::V6(address.parse().ok()?), Some(link.to_string())),
            _ => (text.parse().ok()?, None),
        };
        Some(Upstream { address, link, port: 53, side })
    }

    /// Where to send; a link is named by its number, which holds only in this server's side.
    fn socket_address(&self) -> io::Result<SocketAddr> {
        match (self.address, &self.link) {
            (IpAddr::V6(v6), Some(link)) => {
                let scope = match link.parse() {
                    Ok(number) => number,
                    Err(_) => number_of(link)?,
                };
                Ok(SocketAddrV6::new(v6, self.port, 0, scope).into())
            }
            (address, _) => Ok(SocketAddr::new(address, self.port)),
        }
    }
}

/// The number of a link of the daemon's own namespace (/sys shows those of the namespace in which it was mounted).
fn number_of(link: &str) -> io::Result<u32> {
    if link.contains('/') {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let text = std::fs::read_to_string(format!("/sys/class/net/{link}/ifindex"))?;
    text.trim().parse().map_err(|_| io::ErrorKind::InvalidData.into())
}

impl fmt::Display for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let link = self.link.as_ref().map(|link| format!("%{link}")).unwrap_or_default();
        match self.side {
            Side::Home => write!(f, "host({}{link})", self.address),
            Side::Sandbox => write!(f, "{}{link}", self.address),
        }
    }
}

/// How many sockets one visit to a sandbox makes: a visit costs a thread.
const A_VISIT: usize = 16;

/// Makes sockets on either side.
pub struct Sockets {
    sandbox: Sandbox,
    spare_v4: Mutex<Vec<StdUdpSocket>>,
    spare_v6: Mutex<Vec<StdUdpSocket>>,
}

impl Sockets {
    pub fn new(sandbox: Sandbox) -> Sockets {
        Sockets { sandbox, spare_v4: Mutex::default(), spare_v6: Mutex::default() }
    }

    /// A UDP socket that hears this server and nobody else.
    ///
    /// # Errors
    /// No descriptors left; no route to the server.
    pub async fn udp(&self, server: &Upstream) -> io::Result<UdpSocket> {
        let socket = match server.side {
            Side::Home => any_port(server.address)?,
            Side::Sandbox => self.spare(server.address)?,
        };
        let socket = UdpSocket::from_std(socket)?;
        socket.connect(server.socket_address()?).await?;
        Ok(socket)
    }

    /// A TCP socket, not yet connected, and where to connect it to.
    ///
    /// # Errors
    /// As [`Sockets::udp`].
    pub fn tcp(&self, server: &Upstream) -> io::Result<(TcpSocket, SocketAddr)> {
        let v4 = server.address.is_ipv4();
        let make = move || if v4 { TcpSocket::new_v4() } else { TcpSocket::new_v6() };
        let socket = match server.side {
            Side::Home => make()?,
            Side::Sandbox => self.inside(make)?,
        };
        Ok((socket, server.socket_address()?))
    }

    /// Makes something inside. The visit takes some 50 µs, less than it would cost to hand it to another thread.
    fn inside<T: Send>(&self, make: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
        self.sandbox.visit(make).map_err(|error| io::Error::other(error.to_string()))?
    }

    fn spare(&self, server: IpAddr) -> io::Result<StdUdpSocket> {
        let spare = if server.is_ipv4() { &self.spare_v4 } else { &self.spare_v6 };
        // held during the visit: who comes meanwhile would only make sixteen more
        let mut spare = spare.lock().unwrap_or_else(PoisonError::into_inner);
        if spare.is_empty() {
            *spare = self.inside(move || (0..A_VISIT).map(|_| any_port(server)).collect())?;
        }
        spare.pop().ok_or_else(|| io::ErrorKind::AddrNotAvailable.into())
    }
}

/// A UDP socket of the calling thread's namespace, on a port that the kernel draws by lot.
fn any_port(server: IpAddr) -> io::Result<StdUdpSocket> {
    let any: IpAddr = if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = StdUdpSocket::bind((any, 0))?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_reads_and_prints_as_resolv_conf_has_it() {
        for text in ["9.9.9.9", "2620:fe::fe", "fe80::1%eth0"] {
            assert_eq!(Upstream::parse(text, Side::Sandbox).expect("a server").to_string(), text);
        }
        assert_eq!(Upstream::parse("127.0.0.53", Side::Home).expect("a server").to_string(), "host(127.0.0.53)");
        for bad in ["", "dns.example", "9.9.9", "9.9.9.9%eth0", "fe80::1%", "%eth0"] {
            assert!(Upstream::parse(bad, Side::Home).is_none(), "{bad}");
        }
    }

    #[test]
    fn a_link_is_found_by_its_name() {
        let lo = Upstream::parse("fe80::1%lo", Side::Home).expect("a server").socket_address().expect("lo is always there");
        assert!(matches!(lo, SocketAddr::V6(v6) if v6.scope_id() == 1));
        let by_number = Upstream::parse("fe80::1%7", Side::Home).expect("a server").socket_address().expect("a number");
        assert!(matches!(by_number, SocketAddr::V6(v6) if v6.scope_id() == 7));
        assert!(Upstream::parse("fe80::1%../lo", Side::Home).expect("a server").socket_address().is_err());
    }
}
