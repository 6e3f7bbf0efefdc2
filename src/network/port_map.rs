//! # Port map: which port of the host is whose
//!
//! `-p 8080:80` wants one port, `-p 8080-8090:80` one of several, `-p 80` any. Two containers that want the same one cannot
//! both have it, nor can a container have what a program of the host has; and who is refused must hear why, in the words that people
//! know from Docker.
//!
//! ```text
//!   Wish { hosts [0.0.0.0, ::], ports 8080..=8080 } ──reserve()──► Held 0.0.0.0:8080, Held [::]:8080       the same number on all
//!
//!   refused by our own list    Bind for 0.0.0.0:8080 failed: port is already allocated
//!   refused by the kernel      failed to bind host port for 0.0.0.0:8080:172.17.0.2:80/tcp: address already in use
//! ```
//!
//! * A [`Held`] port is a socket that is bound and does not listen ([`minidock_linux::bind`]): so the kernel itself keeps others
//!   away, without a proxy process. Dropping it frees the port.
//! * Any port is one of the kernel's ephemeral range, each time the next, so that a port that was just given back is not
//!   given to another at once.
//! * Not every refusal of a number ends a range: the next is tried.
//!
//! Laws: all wishes of one call are fulfilled or none; an address inside is only used for the words of a refusal.
//! *In the real world* Docker starts a `docker-proxy` for each port and lets it listen. *See:* moby `libnetwork/portallocator`,
//! `daemon/libnetwork/drivers/bridge/port_mapping_linux.go`. Next room: [`crate::dns`]

use crate::model::Protocol;
use minidock_base::{Error, Result};
use minidock_linux::{bind, errno, errno::CallFailed};
use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
    os::fd::OwnedFd,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

/// Where the kernel says which ports are nobody's in particular.
const EPHEMERAL: &str = "/proc/sys/net/ipv4/ip_local_port_range";

/// Which port of the host is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wish {
    pub protocol: Protocol,
    /// Each of these addresses, all with the same number.
    pub hosts: Vec<IpAddr>,
    /// The first that is free of these; `None`: any.
    pub ports: Option<(u16, u16)>,
    /// What it will lead to.
    pub target: (IpAddr, u16),
}

/// A port on one address, ours until this is dropped.
#[derive(Debug)]
pub struct Held {
    pub protocol: Protocol,
    pub host: (IpAddr, u16),
    /// As wished.
    pub target: (IpAddr, u16),
    list: Arc<Mutex<List>>,
    /// Bound, not listening; closed before the list lets go of it.
    socket: Option<OwnedFd>,
}

impl Held {
    /// The socket that holds the port, for whoever carries by hand what no rule can ([`crate::proxy`]).
    ///
    /// # Errors
    /// No descriptors left.
    pub fn socket(&self) -> std::io::Result<OwnedFd> {
        let gone = || std::io::Error::other("the port is not held any more");
        self.socket.as_ref().ok_or_else(gone)?.try_clone()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        drop(self.socket.take());
        let mut list = self.list.lock().unwrap_or_else(PoisonError::into_inner);
        list.held.remove(&(self.protocol, self.host.1, self.host.0));
    }
}

/// All ports that this daemon holds.
#[derive(Clone, Debug, Default)]
pub struct Ports {
    list: Arc<Mutex<List>>,
}

#[derive(Debug, Default)]
struct List {
    held: BTreeSet<(Protocol, u16, IpAddr)>,
    /// The ephemeral port that was given last.
    last: u16,
}

/// Why a number cannot be had.
enum Refused {
    Ours(IpAddr),
    Theirs(IpAddr, CallFailed),
}

impl Ports {
    /// Fulfils all wishes, in their order, or none. Binds in the network namespace of the calling thread.
    ///
    /// # Errors
    /// In Docker's words: a port that is ours already, one that another program has, an address that is not this host's.
    pub fn reserve(&self, wishes: &[Wish]) -> Result<Vec<Held>> {
        let mut all = Vec::new();
        for wish in wishes {
            all.extend(self.fulfil(wish)?);
        }
        Ok(all)
    }

    fn fulfil(&self, wish: &Wish) -> Result<Vec<Held>> {
        let Some((first, last)) = wish.ports else { return self.any(wish) };
        let mut refused = None;
        for port in first..=last {
            match self.take(wish, port) {
                Ok(held) => return Ok(held),
                Err(why) => refused = Some((port, why)),
            }
        }
        match refused {
            Some((port, why)) if first == last => Err(words(wish, port, &why)),
            _ => Err(Error::system(format!("Bind for {} failed: all ports are allocated", range(wish, first, last)))
                .hint("choose a wider range, or none: -p 80 takes any port that is free")),
        }
    }

    fn any(&self, wish: &Wish) -> Result<Vec<Held>> {
        let (first, last) = ephemeral(Path::new(EPHEMERAL));
        let count = u32::from(last - first) + 1;
        let given = self.list.lock().unwrap_or_else(PoisonError::into_inner).last;
        let start = if (first..last).contains(&given) { u32::from(given - first) + 1 } else { 0 };
        for step in 0..count {
            let port = first + ((start + step) % count) as u16;
            match self.take(wish, port) {
                Ok(held) => {
                    self.list.lock().unwrap_or_else(PoisonError::into_inner).last = port;
                    return Ok(held);
                }
                // an address that is not ours is no better with another number
                Err(why @ Refused::Theirs(..)) if !why.is_in_use() => return Err(words(wish, port, &why)),
                Err(_) => {}
            }
        }
        Err(Error::system(format!("Bind for {} failed: all ports are allocated", range(wish, first, last))))
    }

    /// This number on all addresses of the wish.
    fn take(&self, wish: &Wish, port: u16) -> Result<Vec<Held>, Refused> {
        wish.hosts.iter().map(|host| self.take_one(wish, *host, port)).collect()
    }

    fn take_one(&self, wish: &Wish, host: IpAddr, port: u16) -> Result<Held, Refused> {
        {
            let mut list = self.list.lock().unwrap_or_else(PoisonError::into_inner);
            let of_port = (wish.protocol, port, IpAddr::from([0, 0, 0, 0]))..;
            let mut same = list.held.range(of_port).take_while(|(p, n, _)| (*p, *n) == (wish.protocol, port));
            if same.any(|(_, _, theirs)| overlap(*theirs, host)) {
                return Err(Refused::Ours(host));
            }
            list.held.insert((wish.protocol, port, host));
        }
        // from here on a failure frees the entry by dropping `held`
        let mut held =
            Held { protocol: wish.protocol, host: (host, port), target: wish.target, list: self.list.clone(), socket: None };
        let address = SocketAddr::new(host, port);
        let bound = match wish.protocol {
            Protocol::Tcp => bind::tcp(address),
            Protocol::Udp => bind::udp(address),
        };
        held.socket = Some(bound.map_err(|failed| Refused::Theirs(host, failed))?);
        Ok(held)
    }
}

impl Refused {
    fn is_in_use(&self) -> bool {
        match self {
            Refused::Ours(_) => true,
            Refused::Theirs(_, failed) => failed.to_io().kind() == std::io::ErrorKind::AddrInUse,
        }
    }
}

/// Whether a port cannot be had on both: the same address, or one of them stands for all of its family.
fn overlap(a: IpAddr, b: IpAddr) -> bool {
    a.is_ipv4() == b.is_ipv4() && (a == b || a.is_unspecified() || b.is_unspecified())
}

/// Docker's words.
fn words(wish: &Wish, port: u16, why: &Refused) -> Error {
    match why {
        Refused::Ours(host) => {
            let address = SocketAddr::new(*host, port);
            Error::system(format!("Bind for {address} failed: port is already allocated"))
                .hint("another container has it: `minidock ps` shows who; choose another port, or stop that one")
        }
        Refused::Theirs(host, failed) => {
            let (address, target) = (SocketAddr::new(*host, port), SocketAddr::from(wish.target));
            let why = errno::words(failed.errno);
            let error = Error::system(format!("failed to bind host port for {address}:{target}/{}: {why}", wish.protocol));
            match why.starts_with("address already in use") {
                true => error.hint(format!("a program of this host has it: `ss -lnp 'sport = :{port}'` shows which")),
                false => error,
            }
        }
    }
}

fn range(wish: &Wish, first: u16, last: u16) -> String {
    let host = wish.hosts.first().map_or(String::new(), |host| match host {
        IpAddr::V4(v4) => format!("{v4}:"),
        IpAddr::V6(v6) => format!("[{v6}]:"),
    });
    format!("{host}{first}-{last}")
}

/// The kernel's range, or its usual one when it cannot be read.
fn ephemeral(file: &Path) -> (u16, u16) {
    let read = || {
        let text = std::fs::read_to_string(file).ok()?;
        let mut words = text.split_whitespace().map(|word| word.parse::<u16>().ok());
        let (first, last) = (words.next()??, words.next()??);
        (first <= last).then_some((first, last))
    };
    read().unwrap_or((32768, 60999))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Ipv4Addr, Ipv6Addr, TcpListener, UdpSocket};

    fn wish(protocol: Protocol, host: &str, ports: Option<(u16, u16)>) -> Wish {
        let hosts = host.split(',').map(|h| h.parse().expect("an address")).collect();
        Wish { protocol, hosts, ports, target: ("172.17.0.2".parse().expect("an address"), 80) }
    }

    fn tcp(host: &str, port: u16) -> Wish {
        wish(Protocol::Tcp, host, Some((port, port)))
    }

    /// Some ports in a row that are free just now, below the ephemeral range.
    fn free_row(count: u16) -> u16 {
        let free = |port: u16| TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok();
        let offset = (std::process::id() % 8_000) as u16;
        (0..1_000)
            .map(|step| 20_000 + offset + step * count)
            .find(|first| (*first..first + count).all(free))
            .expect("a free row of ports")
    }

    #[test]
    fn a_port_is_held_once_and_free_when_dropped() {
        let (ports, port) = (Ports::default(), free_row(1));
        let held = ports.reserve(&[tcp("0.0.0.0,::", port)]).expect("free");
        assert_eq!(
            held.iter().map(|h| h.host).collect::<Vec<_>>(),
            [(Ipv4Addr::UNSPECIFIED.into(), port), (Ipv6Addr::UNSPECIFIED.into(), port)]
        );
        for host in ["0.0.0.0", "127.0.0.1"] {
            let refused = ports.reserve(&[tcp(host, port)]).expect_err("held");
            assert_eq!(refused.message(), format!("Bind for {host}:{port} failed: port is already allocated"));
        }
        let refused = ports.reserve(&[tcp("::1", port)]).expect_err("held");
        assert_eq!(refused.message(), format!("Bind for [::1]:{port} failed: port is already allocated"));
        assert!(TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_err(), "a program of the host is refused by the kernel");
        ports.reserve(&[wish(Protocol::Udp, "0.0.0.0", Some((port, port)))]).expect("UDP is another matter");
        drop(held);
        ports.reserve(&[tcp("127.0.0.1", port)]).expect("free again");
    }

    #[test]
    fn what_another_program_has_is_refused_in_dockers_words() {
        let ports = Ports::default();
        let theirs = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).expect("a port");
        let port = theirs.local_addr().expect("bound").port();
        let refused = ports.reserve(&[tcp("0.0.0.0", port)]).expect_err("theirs");
        let words = format!("failed to bind host port for 0.0.0.0:{port}:172.17.0.2:80/tcp: address already in use");
        assert_eq!(refused.message(), words);
        let theirs = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let port = theirs.local_addr().expect("bound").port();
        let refused = ports.reserve(&[wish(Protocol::Udp, "0.0.0.0", Some((port, port)))]).expect_err("theirs");
        assert!(refused.message().ends_with("/udp: address already in use"), "{refused}");
        let refused = ports.reserve(&[tcp("192.0.2.7", port)]).expect_err("not an address of this host");
        assert!(refused.message().ends_with(":172.17.0.2:80/tcp: cannot assign requested address"), "{refused}");
        let refused = ports.reserve(&[wish(Protocol::Tcp, "192.0.2.7", None)]).expect_err("nor with any other number");
        assert!(refused.message().ends_with("cannot assign requested address"), "{refused}");
        // nothing is left of what was refused
        assert!(ports.list.lock().expect("nobody panicked").held.is_empty());
    }

    #[test]
    fn a_range_gives_the_first_that_is_free_and_says_when_none_is() {
        let (ports, first) = (Ports::default(), free_row(3));
        let range = wish(Protocol::Tcp, "127.0.0.1", Some((first, first + 2)));
        let theirs = TcpListener::bind((Ipv4Addr::LOCALHOST, first)).expect("free");
        let held: Vec<Held> = ports.reserve(&[range.clone(), range.clone()]).expect("two are left");
        assert_eq!(held.iter().map(|h| h.host.1).collect::<Vec<_>>(), [first + 1, first + 2]);
        let refused = ports.reserve(std::slice::from_ref(&range)).expect_err("none is left");
        let words = format!("Bind for 127.0.0.1:{first}-{} failed: all ports are allocated", first + 2);
        assert_eq!(refused.message(), words);
        drop((held, theirs));
        assert_eq!(ports.reserve(&[range]).expect("all are free")[0].host.1, first);
    }

    #[test]
    fn all_or_none() {
        let (ports, port) = (Ports::default(), free_row(2));
        let theirs = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port + 1)).expect("free");
        ports.reserve(&[tcp("0.0.0.0", port), tcp("0.0.0.0", port + 1)]).expect_err("the second is theirs");
        TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).expect("the first was let go");
        drop(theirs);
    }

    #[test]
    fn any_port_is_one_of_the_ephemeral_range_and_the_next_is_another() {
        let ports = Ports::default();
        let any = wish(Protocol::Tcp, "0.0.0.0,::", None);
        let one = ports.reserve(std::slice::from_ref(&any)).expect("some are free");
        assert_eq!(one[0].host.1, one[1].host.1, "one number for both families");
        let number = one[0].host.1;
        drop(one);
        let two = ports.reserve(std::slice::from_ref(&any)).expect("some are free");
        let (first, last) = ephemeral(Path::new(EPHEMERAL));
        assert!((first..=last).contains(&number) && (first..=last).contains(&two[0].host.1));
        assert_ne!(two[0].host.1, number, "what was just given back rests a while");
        assert_eq!(ephemeral(Path::new("/nonexistent")), (32768, 60999));
    }
}
