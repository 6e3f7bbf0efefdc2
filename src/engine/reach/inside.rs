//! # Inside: what is asked from where A is
//!
//! These questions have different answers in each network stack: which server knows a name, which way a packet takes, who is next on
//! it, whether somebody picks up. So whoever asks them stands in A's sandbox ([`minidock_network::sandbox::Sandbox::visit`]); nothing in
//! this room knows of containers.
//!
//! See: resolv.conf(5), hosts(5), ip-route(8), arp(7). Next room: [`crate::events`]

use minidock_base::{Doing, Result};
use minidock_linux::{
    errno,
    netlink::{Family, Socket, link, neighbour, route},
};
use minidock_network::{
    dns::ask::ask,
    listening,
    model::Protocol,
    reach::facts::{Attempt, Naming, Way},
};
use std::{
    fs,
    io::ErrorKind,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket},
    time::{Duration, Instant},
};

/// How long a name server, and whoever is called, may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// ARP asks three times, a second apart.
const NEIGHBOUR_PATIENCE: Duration = Duration::from_millis(3500);
const TURN: Duration = Duration::from_millis(20);
/// NUD_FAILED: it was asked for, and nobody answered.
const FAILED: u16 = 0x20;
/// NUD_REACHABLE, STALE, DELAY, PROBE, PERMANENT: its MAC is known.
const KNOWN: u16 = 0x02 | 0x04 | 0x08 | 0x10 | 0x80;

/// The address that hosts(5) has for a name; IPv4 first.
pub(super) fn in_hosts(text: &str, name: &str) -> Option<IpAddr> {
    let line = |line: &str| {
        let mut words = line.split('#').next()?.split_whitespace();
        let address: IpAddr = words.next()?.parse().ok()?;
        words.any(|word| word.eq_ignore_ascii_case(name)).then_some(address)
    };
    let mut found: Vec<IpAddr> = text.lines().filter_map(line).collect();
    found.sort_by_key(IpAddr::is_ipv6);
    found.first().copied()
}

/// The words of resolv.conf(5) behind a keyword.
pub(super) fn words_after<'a>(text: &'a str, keyword: &'a str) -> impl Iterator<Item = &'a str> {
    let lines = text.lines().filter(move |line| line.split_whitespace().next() == Some(keyword));
    lines.flat_map(|line| line.split_whitespace().skip(1))
}

/// The first of the names that this server knows.
pub(super) fn ask_all(server: IpAddr, names: &[String]) -> Naming {
    for name in names {
        for v6 in [false, true] {
            match ask(SocketAddr::new(server, 53), name, v6, PATIENCE) {
                Ok(addresses) => match addresses.first() {
                    Some(address) => return Naming::Answered(server, *address),
                    None => continue,
                },
                Err(e) => {
                    let why = match e.kind() {
                        ErrorKind::TimedOut => format!("no answer within {} s", PATIENCE.as_secs()),
                        _ => e.to_string(),
                    };
                    return Naming::Silent(Some(server), why);
                }
            }
        }
    }
    Naming::Unknown(server)
}

/// The way of this thread's network namespace to an address, and who is next on it.
pub(super) fn way(to: IpAddr) -> Result<(Way, Option<(IpAddr, Option<String>)>)> {
    let mut socket = Socket::open(Family::Route).doing(|| "open a netlink socket")?;
    let found = match route::towards(&mut socket, to) {
        Ok(found) => found,
        Err(failed) => return Ok((Way::None { why: errno::words(failed.errno) }, None)),
    };
    if found.local {
        return Ok((Way::Local, None));
    }
    let index = found.index.unwrap_or_default();
    let links = link::all(&mut socket).doing(|| "list the links")?;
    let link = links.into_iter().find(|l| l.index == index).map(|l| l.name).unwrap_or_default();
    let next = found.via.unwrap_or(to);
    let mac = knock(&mut socket, index, next)?;
    let way = match found.via {
        Some(gateway) => Way::Via { gateway, link },
        None => Way::Direct { link },
    };
    Ok((way, Some((next, mac))))
}

/// Makes the kernel ask for the next one on the way, and waits until it is known, or known to be silent.
fn knock(socket: &mut Socket, index: u32, next: IpAddr) -> Result<Option<String>> {
    let deadline = Instant::now() + NEIGHBOUR_PATIENCE;
    let any: IpAddr = if next.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    // to the port `discard`: what arrives there is thrown away
    let sent = UdpSocket::bind(SocketAddr::new(any, 0)).and_then(|s| s.send_to(&[], SocketAddr::new(next, 9)));
    if sent.is_err() {
        return Ok(None);
    }
    loop {
        let table = neighbour::all(socket).doing(|| "list the neighbours")?;
        let entry = table.into_iter().find(|n| n.index == index && n.address == Some(next));
        match entry {
            Some(entry) if entry.state & KNOWN != 0 => {
                let mac = entry.mac.map(|mac| mac.map(|byte| format!("{byte:02x}")).join(":"));
                return Ok(Some(mac.unwrap_or_else(|| "its link".into())));
            }
            Some(entry) if entry.state & FAILED != 0 => return Ok(None),
            _ if Instant::now() >= deadline => return Ok(None),
            _ => std::thread::sleep(TURN),
        }
    }
}

/// One connection, closed at once.
pub(super) fn attempt(to: SocketAddr) -> Attempt {
    match TcpStream::connect_timeout(&to, PATIENCE) {
        Ok(_) => Attempt::Connected,
        Err(e) => match e.kind() {
            ErrorKind::ConnectionRefused => Attempt::Refused,
            ErrorKind::TimedOut | ErrorKind::WouldBlock => Attempt::Silence,
            _ => Attempt::Failed(e.to_string().split(" (os error").next().unwrap_or_default().to_lowercase()),
        },
    }
}

/// Who waits in the network stack of this process (`self`: of this thread); nothing if it cannot be read any more.
pub(super) fn waiting(pid: &str, protocol: Protocol) -> Option<Vec<SocketAddr>> {
    let folder = if pid == "self" { "thread-self" } else { pid };
    let mut all = Vec::new();
    for (at, file) in listening::files(protocol).into_iter().enumerate() {
        match fs::read_to_string(format!("/proc/{folder}/net/{file}")) {
            Ok(text) => all.extend(listening::read(&text, protocol)),
            Err(_) if at == 0 => return None,
            Err(_) => {} // no IPv6 here
        }
    }
    Some(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_resolv_conf_are_read_as_the_resolver_reads_them() {
        let hosts = "127.0.0.1\tlocalhost\n# 10.0.0.1 web\n::1 web ip6-web\n10.0.0.2 db Web # cat\n";
        assert_eq!(in_hosts(hosts, "web"), Some(IpAddr::from([10, 0, 0, 2])), "IPv4 first");
        assert_eq!(in_hosts(hosts, "ip6-web"), Some("::1".parse().expect("an address")));
        assert_eq!(in_hosts(hosts, "cat"), None);
        let conf = "# nameserver 1.1.1.1\nnameserver 127.0.0.11\nsearch a.example b.example\noptions ndots:0\n";
        assert_eq!(words_after(conf, "nameserver").collect::<Vec<_>>(), ["127.0.0.11"]);
        assert_eq!(words_after(conf, "search").collect::<Vec<_>>(), ["a.example", "b.example"]);
    }
}
