//! # Bind: to have a port, without listening
//!
//! A published port is only an entry in a firewall's map; nobody listens. But somebody must *have* the port, or a web server
//! of the host could take it, and whose packets go where would be a riddle. The kernel keeps one list of who has a port: its bound
//! sockets.
//!
//! ```text
//!   ours: bind 0.0.0.0:8080, no SO_REUSEADDR, no listen
//!   another's bind on 0.0.0.0:8080, 127.0.0.1:8080, [::]:8080 (both families): EADDRINUSE, whatever it sets
//!   a connection that reaches it all the same: refused at once, as if nobody were there
//! ```
//!
//! * [`tcp`] and [`udp`] give such a socket. An IPv6 one is for IPv6 alone (IPV6_V6ONLY), so that both families can be had.
//! * **What lingers.** The connections of a server that has just ended keep its port against a plain bind for a minute
//!   (TIME_WAIT). SO_REUSEADDR passes them by, but it also passes, and lets pass, anyone else who sets it and does not listen yet. So after
//!   a refusal we bind with it and listen for an instant, which is the kernel's test for real owners; then stop listening (the port stays
//!   ours: it was asked for by number), and take the option back.
//! * A UDP socket that nobody reads would collect what reaches it: its buffer is made as small as can be, until somebody reads ([`widen`]).
//! * Whoever carries by hand what comes to a port listens, or reads, on a duplicate of the socket that has it; listening and collecting are of
//!   the socket, not of the duplicate, and must be ended when he has gone ([`unlisten`], [`narrow`]).
//!
//! See: bind(2), socket(7), tcp(7); `net/ipv4/inet_connection_sock.c`. Next room: [`crate::netlink`]

use crate::{action, errno::CallFailed};
use rustix::{
    io::Errno,
    net::{AddressFamily, RecvFlags, Shutdown, SocketFlags, SocketType, bind, listen, recv, shutdown, socket_with, sockopt},
};
use std::{
    net::SocketAddr,
    os::fd::{AsFd, OwnedFd},
};

/// Bytes that a socket collects if nobody says otherwise (`net.core.rmem_default`).
const USUAL: usize = 212_992;

/// Takes a TCP port.
///
/// # Errors
/// EADDRINUSE: somebody has it; EADDRNOTAVAIL: not an address of this machine; EACCES: below 1024 without the capability.
#[track_caller]
pub fn tcp(address: SocketAddr) -> Result<OwnedFd, CallFailed> {
    action::call("bind", shown("SOCK_STREAM", address), || {
        let socket = fresh(SocketType::STREAM, address)?;
        match bind(&socket, &address) {
            Err(Errno::ADDRINUSE) => past_what_lingers(address),
            other => other.map(|()| socket),
        }
    })
}

/// Takes a UDP port.
///
/// # Errors
/// As [`tcp`].
#[track_caller]
pub fn udp(address: SocketAddr) -> Result<OwnedFd, CallFailed> {
    action::call("bind", shown("SOCK_DGRAM", address), || {
        let socket = fresh(SocketType::DGRAM, address)?;
        sockopt::set_socket_recv_buffer_size(&socket, 1)?;
        bind(&socket, &address)?;
        Ok::<_, Errno>(socket)
    })
}

/// Gives a socket of [`udp`] the usual buffer, for somebody is going to read it; what it has collected for nobody is thrown away.
///
/// # Errors
/// The kernel's.
#[track_caller]
pub fn widen(socket: impl AsFd) -> Result<(), CallFailed> {
    throw_away(&socket);
    let shown = || vec!["SOL_SOCKET".into(), "SO_RCVBUF".into(), USUAL.to_string()];
    action::call("setsockopt", shown, || sockopt::set_socket_recv_buffer_size(socket, USUAL))
}

/// Listens on a socket of [`tcp`], with SO_REUSEADDR: connections of an earlier time that linger are no obstacle then, and the new ones, which
/// inherit it, will be none. Nobody is let pass by it, for whoever listens is passed by nobody.
///
/// # Errors
/// The kernel's.
#[track_caller]
pub fn listen_on(socket: impl AsFd, backlog: i32) -> Result<(), CallFailed> {
    let listening = || {
        sockopt::set_socket_reuseaddr(&socket, true)?;
        listen(&socket, backlog).or_else(|no| sockopt::set_socket_reuseaddr(&socket, false).and(Err(no)))
    };
    action::call("listen", || vec![backlog.to_string()], listening)
}

/// Ends what [`listen_on`] began; whoever waited to be let in is turned away. The port stays had.
///
/// # Errors
/// The kernel's.
#[track_caller]
pub fn unlisten(socket: impl AsFd) -> Result<(), CallFailed> {
    action::call(
        "shutdown",
        || vec!["SHUT_RD".into()],
        || {
            sockopt::set_socket_reuseaddr(&socket, false)?;
            shutdown(&socket, Shutdown::Read)
        },
    )
}

/// A socket of [`udp`] that was widened collects next to nothing again, and what it has collected is thrown away. The port stays had.
///
/// # Errors
/// The kernel's.
#[track_caller]
pub fn narrow(socket: impl AsFd) -> Result<(), CallFailed> {
    let shown = || vec!["SOL_SOCKET".into(), "SO_RCVBUF".into(), "1".into()];
    action::call("setsockopt", shown, || sockopt::set_socket_recv_buffer_size(&socket, 1))?;
    throw_away(&socket);
    Ok(())
}

fn throw_away(socket: impl AsFd) {
    let mut byte = [0; 1];
    while recv(&socket, &mut byte, RecvFlags::DONTWAIT).is_ok() {}
}

fn shown(kind: &'static str, address: SocketAddr) -> impl FnOnce() -> Vec<String> {
    move || vec![kind.into(), address.to_string()]
}

fn fresh(kind: SocketType, address: SocketAddr) -> Result<OwnedFd, Errno> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let socket = socket_with(family, kind, SocketFlags::CLOEXEC, None)?;
    if address.is_ipv6() {
        sockopt::set_ipv6_v6only(&socket, true)?;
    }
    Ok(socket)
}

fn past_what_lingers(address: SocketAddr) -> Result<OwnedFd, Errno> {
    let socket = fresh(SocketType::STREAM, address)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    bind(&socket, &address)?;
    // refused when somebody else listens; the backlog of 0 and the end of listening turn away who knocks meanwhile
    listen(&socket, 0)?;
    shutdown(&socket, Shutdown::Read)?;
    sockopt::set_socket_reuseaddr(&socket, false)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        io::{ErrorKind, Read, Write},
        net::{Ipv4Addr, Ipv6Addr, TcpListener, TcpStream, UdpSocket},
    };

    const LOOPBACK: Ipv4Addr = Ipv4Addr::LOCALHOST;

    /// A port that is free just now. No other test of this crate binds loopback ports.
    fn free_port() -> u16 {
        let listener = TcpListener::bind((LOOPBACK, 0)).expect("loopback");
        listener.local_addr().expect("bound").port()
    }

    fn any(port: u16) -> SocketAddr {
        (Ipv4Addr::UNSPECIFIED, port).into()
    }

    #[test]
    fn a_port_that_is_had_is_had_on_every_address_and_from_both_sides() {
        let port = free_port();
        let ours = tcp(any(port)).expect("free");
        for theirs in ["0.0.0.0", "127.0.0.1"] {
            // std sets SO_REUSEADDR, as most servers do
            let refused = TcpListener::bind((theirs, port)).expect_err("it is had");
            assert_eq!(refused.kind(), ErrorKind::AddrInUse, "{theirs}");
            assert!(tcp(SocketAddr::new(theirs.parse().expect("an address"), port)).is_err_and(|e| e.is(libc::EADDRINUSE)));
        }
        assert!(
            TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)).is_err(),
            "a socket for both families wants the IPv4 one, too"
        );
        let v6 = tcp((Ipv6Addr::UNSPECIFIED, port).into()).expect("the other family is free");
        assert!(TcpStream::connect((LOOPBACK, port)).is_err_and(|e| e.kind() == ErrorKind::ConnectionRefused));
        drop((ours, v6));
        let theirs = TcpListener::bind((LOOPBACK, port)).expect("free again");
        for address in [any(port), (LOOPBACK, port).into()] {
            assert!(tcp(address).is_err_and(|e| e.is(libc::EADDRINUSE)), "a listener has {address}");
        }
        drop(theirs);
        let ours = tcp((LOOPBACK, port).into()).expect("free again");
        assert!(TcpListener::bind(any(port)).is_err(), "one address is had, so not all can be");
        drop(ours);
    }

    #[test]
    fn connections_that_linger_are_no_owners_and_let_nobody_in() {
        let port = free_port();
        let listener = TcpListener::bind(any(port)).expect("free");
        let mut client = TcpStream::connect((LOOPBACK, port)).expect("listening");
        let (server, _) = listener.accept().expect("a client");
        drop((server, listener)); // closed first by the server: its end lingers in TIME_WAIT
        let _ = client.write_all(b"x");
        let _ = client.read(&mut [0; 1]);
        drop(client);
        let ours = tcp(any(port)).expect("lingering connections are no owners");
        assert!(TcpListener::bind(any(port)).is_err_and(|e| e.kind() == ErrorKind::AddrInUse));
        assert!(TcpListener::bind((LOOPBACK, port)).is_err_and(|e| e.kind() == ErrorKind::AddrInUse));
        assert!(TcpStream::connect((LOOPBACK, port)).is_err_and(|e| e.kind() == ErrorKind::ConnectionRefused));
        drop(ours);
        TcpListener::bind(any(port)).expect("free again");
    }

    #[test]
    fn who_listened_on_a_port_leaves_it_had_and_deaf() {
        let port = free_port();
        let ours = tcp(any(port)).expect("free");
        for _ in 0..2 {
            listen_on(&ours, 8).expect("ours");
            let mut client = TcpStream::connect((LOOPBACK, port)).expect("listening");
            let waits = TcpStream::connect((LOOPBACK, port)).expect("listening");
            let (server, _) = TcpListener::from(ours.try_clone().expect("open")).accept().expect("a client");
            drop(server); // its end lingers
            let _ = client.read(&mut [0; 1]);
            unlisten(&ours).expect("listening");
            assert!(
                (&waits).read(&mut [0; 1]).is_err_and(|e| e.kind() == ErrorKind::ConnectionReset),
                "who waited is turned away"
            );
            assert!(TcpStream::connect((LOOPBACK, port)).is_err_and(|e| e.kind() == ErrorKind::ConnectionRefused));
            assert!(TcpListener::bind(any(port)).is_err_and(|e| e.kind() == ErrorKind::AddrInUse), "still had");
        }
        drop(ours);
        drop(tcp(any(port)).expect("what lingers keeps it from nobody"));
    }

    #[test]
    fn udp_ports_are_had_too_and_independently() {
        let port = UdpSocket::bind((LOOPBACK, 0)).and_then(|s| s.local_addr()).expect("loopback").port();
        let ours = udp(any(port)).expect("free");
        assert!(UdpSocket::bind((LOOPBACK, port)).is_err_and(|e| e.kind() == ErrorKind::AddrInUse));
        assert!(udp((LOOPBACK, port).into()).is_err_and(|e| e.is(libc::EADDRINUSE)));
        drop(ours);
        UdpSocket::bind((LOOPBACK, port)).expect("free again");
        let ours = udp(any(port)).expect("free");
        let client = UdpSocket::bind((LOOPBACK, 0)).expect("loopback");
        let datagrams = |count: usize| {
            (0..count).for_each(|_| assert_eq!(client.send_to(&[0; 1000], (LOOPBACK, port)).expect("sent"), 1000))
        };
        let ours = UdpSocket::from(ours);
        ours.set_nonblocking(true).expect("a socket");
        let read = || std::iter::from_fn(|| ours.recv(&mut [0; 1000]).ok()).count();
        datagrams(100);
        assert!(read() < 10, "what nobody reads is not collected");
        widen(&ours).expect("open");
        datagrams(100);
        assert_eq!(read(), 100);
        datagrams(100);
        narrow(&ours).expect("open");
        assert_eq!(read(), 0, "what nobody has read is thrown away");
        datagrams(100);
        assert!(read() < 10, "and no more is collected");
        let nowhere = udp(SocketAddr::new("192.0.2.1".parse().expect("an address"), port)).expect_err("not ours");
        assert!(nowhere.is(libc::EADDRNOTAVAIL) && nowhere.to_string().contains("192.0.2.1"), "{nowhere}");
    }
}
