//! # Listening: who waits at which port
//!
//! Each network namespace has a list of its sockets, and a process of the container is enough to read it: `/proc/<pid>/net/tcp` is
//! that of the namespace it lives in. No program inside is needed, which most images do not have (`ss`, `netstat`).
//!
//! ```text
//!   sl  local_address rem_address   st …
//!    0: 0100007F:1F90 00000000:0000 0A …      127.0.0.1:8080, state 0A: LISTEN
//! ```
//!
//! * The address is words of four bytes, each printed as a number of the machine's own order; the port is a plain number.
//! * UDP has no listeners: a socket that is not connected (state 07) takes what comes.
//!
//! See: proc(5), `/proc/net/tcp`. Next room: [`crate::reach`]

use crate::model::Protocol;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The files of both families for a protocol, below `/proc/<pid>/net`.
pub fn files(protocol: Protocol) -> [&'static str; 2] {
    match protocol {
        Protocol::Tcp => ["tcp", "tcp6"],
        Protocol::Udp => ["udp", "udp6"],
    }
}

/// The sockets that wait, of one such file. Lines that cannot be read are passed over.
pub fn read(text: &str, protocol: Protocol) -> Vec<SocketAddr> {
    let waits = match protocol {
        Protocol::Tcp => "0A",
        Protocol::Udp => "07",
    };
    let line = |line: &str| {
        let mut words = line.split_whitespace().skip(1);
        let (local, state) = (words.next()?, words.nth(1)?);
        (state == waits).then(|| address(local))?
    };
    text.lines().skip(1).filter_map(line).collect()
}

fn address(text: &str) -> Option<SocketAddr> {
    let (address, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let word = |at: usize| u32::from_str_radix(address.get(at * 8..at * 8 + 8)?, 16).ok().map(u32::to_ne_bytes);
    let address: IpAddr = match address.len() {
        8 => Ipv4Addr::from(word(0)?).into(),
        32 => {
            let words = [word(0)?, word(1)?, word(2)?, word(3)?];
            let bytes: [u8; 16] = words.concat().try_into().ok()?;
            Ipv6Addr::from(bytes).into()
        }
        _ => return None,
    };
    Some(SocketAddr::new(address, port))
}

/// Whether one of these takes what is sent to `to`.
pub fn takes(waiting: &[SocketAddr], to: SocketAddr) -> bool {
    waiting.iter().any(|at| {
        let same_family = at.is_ipv4() == to.is_ipv4();
        // a socket on :: takes IPv4, too, unless its owner said otherwise, which the list does not tell
        let any = at.ip().is_unspecified() && (same_family || at.is_ipv6());
        at.port() == to.port() && (any || at.ip().to_canonical() == to.ip())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::net::{TcpListener, UdpSocket};

    #[test]
    fn the_kernels_own_list_is_understood() {
        let tcp = TcpListener::bind("127.0.0.1:0").expect("loopback");
        let udp = UdpSocket::bind("0.0.0.0:0").expect("a socket");
        for (protocol, own) in [(Protocol::Tcp, tcp.local_addr()), (Protocol::Udp, udp.local_addr())] {
            let text = std::fs::read_to_string(format!("/proc/self/net/{}", files(protocol)[0])).expect("the list");
            let waiting = read(&text, protocol);
            let own = own.expect("bound");
            assert!(waiting.contains(&own), "{own} is not in {waiting:?}");
            assert!(takes(&waiting, own));
        }
    }

    #[test]
    fn who_listens_on_loopback_does_not_take_what_comes_by_cable() {
        let text = "  sl  local_address rem_address   st\n   0: 0100007F:1F90 00000000:0000 0A x\n   1: 00000000:0050 00000000:0000 01 x\n";
        let six = "  sl  local_address rem_address   st\n   0: 00000000000000000000000000000000:0051 0:0 0A x\n";
        let mut waiting = read(text, Protocol::Tcp);
        assert_eq!(waiting, ["127.0.0.1:8080".parse().expect("an address")]);
        waiting.extend(read(six, Protocol::Tcp));
        let to = |text: &str| takes(&waiting, text.parse().expect("an address"));
        assert!(to("127.0.0.1:8080") && !to("172.17.0.2:8080") && !to("172.17.0.2:80"));
        assert!(to("172.17.0.2:81") && to("[fd00::2]:81"));
    }

    proptest! {
        #[test]
        fn no_text_makes_the_reader_panic(text in "\\PC{0,80}", hex in "( *[0-9A-Fa-f:]{0,40}){0,6}\n( *[0-9A-Fa-f:]{0,40}){0,6}") {
            read(&text, Protocol::Tcp);
            read(&hex, Protocol::Udp);
        }
    }
}
