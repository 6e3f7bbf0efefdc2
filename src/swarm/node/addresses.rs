//! # Addresses: where this machine listens, and where the others find it
//!
//! Three addresses are asked for, each as an address or the name of an interface, and each has a default: where to *listen* (everywhere,
//! port 2377), what to *advertise* (the only address this machine has, if it has only one: otherwise nobody can know which one the
//! others reach), and where the *data path* is (as advertised). A machine that joins knows more: the address it has towards the
//! manager it joins.
//!
//! Laws: a function of the request and of the interfaces that are handed in; refusals in Docker's words.
//! *See:* moby `daemon/cluster/listen_addr.go`. *Next room:* [`super::record`]

use minidock_base::{Error, Result};
use std::net::{IpAddr, SocketAddr, ToSocketAddrs, UdpSocket};

/// Docker's port for all that managers are asked.
pub const PORT: u16 = 2377;

/// A link of this machine that may be advertised, with its addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    pub name: String,
    pub addresses: Vec<IpAddr>,
}

/// What a node settled on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settled {
    pub listen: SocketAddr,
    pub advertise: SocketAddr,
    pub data_path: Option<IpAddr>,
}

/// What was asked for, as text; empty: the default.
#[derive(Clone, Copy, Debug, Default)]
pub struct Asked<'a> {
    pub listen: &'a str,
    pub advertise: &'a str,
    pub data_path: &'a str,
    /// A manager that is to be joined.
    pub towards: Option<&'a str>,
}

/// Settles all three.
///
/// # Errors
/// 400: one makes no sense, or must be asked for because it cannot be guessed.
pub fn settle(asked: Asked, interfaces: &[Interface]) -> Result<Settled> {
    let listen = match asked.listen {
        "" => SocketAddr::new(IpAddr::from([0, 0, 0, 0]), PORT),
        text => with_port(text, interfaces).ok_or_else(|| {
            Error::invalid("listen address must be an IP address or network interface (with optional port number)")
        })?,
    };
    let advertise = match asked.advertise {
        "" if !listen.ip().is_unspecified() => listen,
        "" => SocketAddr::new(guess(asked.towards, interfaces)?, listen.port()),
        text => with_default_port(text, interfaces, listen.port()).filter(|a| !a.ip().is_unspecified()).ok_or_else(|| {
            Error::invalid("advertise address must be a non-zero IP address or network interface (with optional port number)")
        })?,
    };
    let data_path = match asked.data_path {
        "" => None,
        text => Some(host(text, interfaces).filter(|ip| !ip.is_unspecified()).ok_or_else(|| {
            Error::invalid("data path address must be a non-zero IP address or network interface (without a port number)")
        })?),
    };
    Ok(Settled { listen, advertise, data_path })
}

/// Where managers were said to be: with the usual port when none was named.
///
/// # Errors
/// 400: it is no address.
pub fn remote(text: &str) -> Result<String> {
    let with_port = match text.parse::<IpAddr>() {
        Ok(IpAddr::V6(ip)) => format!("[{ip}]:{PORT}"),
        _ if text.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok()) => text.to_string(),
        _ => format!("{text}:{PORT}"),
    };
    match text.is_empty() || text.contains(char::is_whitespace) {
        false => Ok(with_port),
        true => {
            Err(Error::invalid(format!("invalid remote address {text:?}"))
                .hint("the address of a manager, such as 10.0.0.5:2377"))
        }
    }
}

fn with_port(text: &str, interfaces: &[Interface]) -> Option<SocketAddr> {
    with_default_port(text, interfaces, PORT)
}

/// `10.0.0.1:2377`, `[::1]:2377`, `10.0.0.1`, `eth0`, `eth0:2377`
fn with_default_port(text: &str, interfaces: &[Interface], port: u16) -> Option<SocketAddr> {
    if let Some(ip) = host(text, interfaces) {
        return Some(SocketAddr::new(ip, port));
    }
    let (name, number) = text.rsplit_once(':')?;
    let name = name.trim_start_matches('[').trim_end_matches(']');
    Some(SocketAddr::new(host(name, interfaces)?, number.parse().ok()?))
}

fn host(text: &str, interfaces: &[Interface]) -> Option<IpAddr> {
    let named = || interfaces.iter().find(|i| i.name == text).and_then(preferred);
    text.parse().ok().or_else(named)
}

/// IPv4 if there is one; no address that is good on one link only.
fn preferred(interface: &Interface) -> Option<IpAddr> {
    let good = |ip: &&IpAddr| !matches!(ip, IpAddr::V6(v6) if v6.is_unicast_link_local());
    let v4 = interface.addresses.iter().find(|ip| ip.is_ipv4());
    v4.or_else(|| interface.addresses.iter().find(good)).copied()
}

fn guess(towards: Option<&str>, interfaces: &[Interface]) -> Result<IpAddr> {
    if let Some(ip) = towards.and_then(local_towards) {
        return Ok(ip);
    }
    let apart = |a: &str, b: &str| {
        Error::invalid(format!(
            "could not choose an IP address to advertise since this system has multiple addresses on {a}{b} - specify one with --advertise-addr"
        ))
    };
    let mut found: Option<(&str, IpAddr)> = None;
    for interface in interfaces {
        let v4: Vec<&IpAddr> = interface.addresses.iter().filter(|ip| ip.is_ipv4() && !ip.is_loopback()).collect();
        if let [one, other, ..] = v4[..] {
            return Err(apart(&format!("interface {} ", interface.name), &format!("({one} and {other})")));
        }
        let Some(ip) = preferred(interface).filter(|ip| !ip.is_loopback()) else { continue };
        if let Some((name, before)) = found {
            let text = format!("({before} on {name} and {ip} on {})", interface.name);
            return Err(apart("different interfaces ", &text));
        }
        found = Some((&interface.name, ip));
    }
    let none = || Error::invalid("could not find the system's IP address - specify one with --advertise-addr");
    found.map(|(_, ip)| ip).ok_or_else(none)
}

/// This machine's address towards another: asked of the kernel, without sending anything.
fn local_towards(address: &str) -> Option<IpAddr> {
    let to = address.to_socket_addrs().ok()?.next()?;
    let any: IpAddr = if to.is_ipv4() { [0, 0, 0, 0].into() } else { [0u16; 8].into() };
    let socket = UdpSocket::bind((any, 0)).ok()?;
    socket.connect(to).ok()?;
    Some(socket.local_addr().ok()?.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn links(links: &[(&str, &[&str])]) -> Vec<Interface> {
        let interface = |(name, ips): &(&str, &[&str])| Interface {
            name: name.to_string(),
            addresses: ips.iter().map(|ip| ip.parse().expect("an address")).collect(),
        };
        links.iter().map(interface).collect()
    }

    fn advertised(listen: &str, advertise: &str, interfaces: &[Interface]) -> Result<String> {
        let asked = Asked { listen, advertise, ..Asked::default() };
        settle(asked, interfaces).map(|settled| settled.advertise.to_string())
    }

    #[test]
    fn the_only_address_is_advertised_and_one_of_several_must_be_named() {
        let one = links(&[("lo", &["127.0.0.1"]), ("eth0", &["10.0.0.5", "fe80::1"])]);
        assert_eq!(advertised("", "", &one).expect("the only one"), "10.0.0.5:2377");
        let two = links(&[("eth0", &["10.0.0.5"]), ("eth1", &["10.1.0.5"])]);
        let refused = advertised("", "", &two).expect_err("which one?");
        assert!(refused.message().contains("(10.0.0.5 on eth0 and 10.1.0.5 on eth1) - specify one with --advertise-addr"));
        let refused = advertised("", "", &links(&[("eth0", &["10.0.0.5", "10.0.0.6"])])).expect_err("which one?");
        assert!(refused.message().contains("on interface eth0 (10.0.0.5 and 10.0.0.6)"), "{}", refused.message());
        assert!(advertised("", "", &links(&[("lo", &["127.0.0.1"])])).is_err());
    }

    #[test]
    fn an_interface_may_be_named_instead_of_its_address() {
        let two = links(&[("eth0", &["10.0.0.5"]), ("eth1", &["fe80::1", "fd00::5"])]);
        assert_eq!(advertised("", "eth0", &two).expect("its address"), "10.0.0.5:2377");
        assert_eq!(advertised("", "eth0:2400", &two).expect("its address"), "10.0.0.5:2400");
        assert_eq!(advertised("eth1:2399", "", &two).expect("as it listens"), "[fd00::5]:2399");
        assert_eq!(advertised("127.0.0.1:2399", "", &two).expect("as it listens"), "127.0.0.1:2399");
        for wrong in ["eth7", "0.0.0.0", "10.0.0.5:x", "10.0.0.5:99999", "::"] {
            assert!(advertised("", wrong, &two).is_err(), "{wrong}");
        }
        let asked = Asked { advertise: "eth0", data_path: "eth1:1", ..Asked::default() };
        assert!(settle(asked, &two).is_err(), "the data path has a port of its own");
    }

    #[test]
    fn a_manager_is_found_at_the_usual_port_unless_another_is_named() {
        for (text, address) in
            [("10.0.0.5", "10.0.0.5:2377"), ("10.0.0.5:1", "10.0.0.5:1"), ("fd00::1", "[fd00::1]:2377"), ("m1", "m1:2377")]
        {
            assert_eq!(remote(text).expect("an address"), address);
        }
        assert!(remote("").is_err() && remote("a b").is_err());
        assert_eq!(local_towards("127.0.0.1:1"), Some(IpAddr::from([127, 0, 0, 1])));
    }
}
