//! # Proxy: the doors that no rule can open
//!
//! A published port is a rule of the firewall, and the daemon never sees a byte. Two doors cannot be made so. What is sent to
//! `::1` stays on `lo`: for IPv4 there is a knob that lets an answer from elsewhere come back to 127.0.0.1 (`route_localnet`), for IPv6
//! there is none. And no rule turns IPv6 into IPv4, so an address like `[2001:db8::7]:8080` cannot lead to a container that has no
//! IPv6. For these, and only for these, the daemon listens itself and carries the bytes.
//!
//! ```text
//!   client ─► [::1]:8080   listening: the socket that holds the port ([`crate::port_map`])
//!                └─ a connection of ours ─► 172.17.0.2:80      in both directions until both have ended
//! ```
//!
//! * UDP: each client has a socket of ours towards the container, by which the answers find back; after a silence it is closed.
//! * With the daemon it ends: connections that go through it do not survive a restart as the others do, new ones find the next
//!   daemon listening. The container sees the host as its client.
//!
//! Laws: dropped, it listens no more and carries no more: its sockets are closed when the drop returns, so the port is free for the next.
//! *In the real world* Docker starts a `docker-proxy` for every published port, also
//! for those that a rule carries. *See:* ipv6(7), `Documentation/networking/ip-sysctl.rst`. Next room: [`crate::nft`]

use crate::{model::Protocol, port_map::Held};
use minidock_base::{Doing, Result};
use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream as Raw, UdpSocket as RawUdp},
    os::fd::OwnedFd,
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, RecvTimeoutError, sync_channel},
    },
    time::Duration,
};
use tokio::{
    io,
    net::{TcpListener, TcpSocket, TcpStream, UdpSocket},
    sync::mpsc,
    task::{JoinHandle, JoinSet},
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

/// How many may wait to be let in.
const BACKLOG: u32 = 1024;
/// A UDP client that says nothing for so long, and is told nothing, is forgotten; as with Docker.
const SILENCE: Duration = Duration::from_secs(90);
/// Connections, or UDP clients, at a time; who comes then must wait until another has ended, or been forgotten.
const MOST: usize = 1024;
/// A container that says nothing for so long, not even no, is not there.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long the end of the work is waited for.
const END: Duration = Duration::from_secs(1);
/// When there are no descriptors left to let anybody in.
const BREATH: Duration = Duration::from_millis(100);

/// Whether a door from `host` to `target` needs carrying.
pub fn is_needed(host: IpAddr, target: IpAddr) -> bool {
    host == IpAddr::V6(Ipv6Addr::LOCALHOST) || host.is_ipv6() != target.is_ipv6()
}

/// Carries what comes to one port; until it is dropped, which waits for the end: not to be done on a thread of the runtime.
#[derive(Debug)]
pub struct Proxy {
    end: CancellationToken,
    /// Nothing is ever sent: it is closed when the work is over, or dropped with its runtime.
    over: Mutex<Receiver<()>>,
    work: JoinHandle<()>,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.end.cancel();
        let over = self.over.get_mut().unwrap_or_else(PoisonError::into_inner);
        if over.recv_timeout(END) == Err(RecvTimeoutError::Timeout) {
            tracing::warn!("a door that is carried by hand has not closed within {END:?}");
        }
        self.work.abort();
    }
}

impl Proxy {
    /// Begins to listen on a port that is held. A runtime must be around, whose threads live in the namespace of the port.
    ///
    /// # Errors
    /// The kernel's.
    pub fn open(held: &Held, target: SocketAddr) -> Result<Proxy> {
        let words = format!("listen on {}/{}", SocketAddr::from(held.host), held.protocol);
        let doing = || words.clone();
        let socket = held.socket().doing(doing)?;
        let (end, (working, over)) = (CancellationToken::new(), sync_channel(0));
        let token = end.clone();
        let work = match held.protocol {
            Protocol::Tcp => {
                let listener = listener(socket).doing(doing)?;
                tokio::spawn(async move {
                    let _working = working; // dropped last
                    carry_tcp(listener, target, token).await;
                })
            }
            Protocol::Udp => {
                let socket = RawUdp::from(socket);
                socket.set_nonblocking(true).doing(doing)?;
                let socket = UdpSocket::from_std(socket).doing(doing)?;
                tokio::spawn(async move {
                    let _working = working;
                    carry_udp(Arc::new(socket), target, token).await;
                })
            }
        };
        Ok(Proxy { end, over: Mutex::new(over), work })
    }
}

/// The socket was bound long ago; now it listens.
fn listener(socket: OwnedFd) -> std::io::Result<TcpListener> {
    let socket = Raw::from(socket);
    socket.set_nonblocking(true)?;
    TcpSocket::from_std_stream(socket).listen(BACKLOG)
}

async fn carry_tcp(listener: TcpListener, target: SocketAddr, end: CancellationToken) {
    let mut carried = JoinSet::new(); // what is under way ends with us
    loop {
        let accepted = tokio::select! {
            () = end.cancelled() => break,
            Some(_) = carried.join_next() => continue,
            accepted = listener.accept(), if carried.len() < MOST => accepted,
        };
        match accepted {
            Ok((client, _)) => drop(carried.spawn(carry(client, target))),
            Err(error) => {
                tracing::debug!(%target, "nobody can be let in: {error}");
                sleep(BREATH).await;
            }
        }
    }
    drop(listener);
    carried.shutdown().await;
}

/// One connection. A container that refuses it, or breaks it off, has its client see just that.
async fn carry(mut client: TcpStream, target: SocketAddr) {
    if let Ok(Ok(mut server)) = timeout(PATIENCE, TcpStream::connect(target)).await {
        let _ = (client.set_nodelay(true), server.set_nodelay(true));
        let _ = io::copy_bidirectional(&mut client, &mut server).await;
    }
}

async fn carry_udp(socket: Arc<UdpSocket>, target: SocketAddr, end: CancellationToken) {
    let (say, mut over) = mpsc::unbounded_channel();
    let mut clients: HashMap<SocketAddr, Arc<UdpSocket>> = HashMap::new();
    let mut answers = JoinSet::new();
    let mut bytes = vec![0; 65_536];
    loop {
        let (count, client) = tokio::select! {
            () = end.cancelled() => break,
            Some(gone) = over.recv() => {
                clients.remove(&gone);
                continue;
            }
            received = socket.recv_from(&mut bytes) => match received {
                Ok(received) => received,
                Err(_) => continue, // an ICMP error about an earlier answer
            },
        };
        while answers.try_join_next().is_some() {}
        if !clients.contains_key(&client) {
            if clients.len() >= MOST {
                continue;
            }
            let Ok(towards) = towards(target).await else { continue };
            let towards = Arc::new(towards);
            clients.insert(client, towards.clone());
            let (socket, say) = (socket.clone(), say.clone());
            answers.spawn(async move {
                answer(&towards, &socket, client).await;
                let _ = say.send(client);
            });
        }
        if let Some(towards) = clients.get(&client) {
            let _ = towards.send(&bytes[..count]).await;
        }
    }
    answers.shutdown().await;
}

async fn towards(target: SocketAddr) -> std::io::Result<UdpSocket> {
    let any: IpAddr = if target.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0)).await?;
    socket.connect(target).await?;
    Ok(socket)
}

/// What the container says to one client, until it has been silent for long.
async fn answer(from: &UdpSocket, to: &UdpSocket, client: SocketAddr) {
    let mut bytes = vec![0; 65_536];
    while let Ok(received) = timeout(SILENCE, from.recv(&mut bytes)).await {
        if let Ok(count) = received {
            let _ = to.send_to(&bytes[..count], client).await;
        } else {
            sleep(BREATH).await; // nobody listens there (yet)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::port_map::{Ports, Wish};
    use std::io::{Read, Write};

    fn held(protocol: Protocol) -> Held {
        let target = (Ipv4Addr::LOCALHOST.into(), 1);
        let wish = Wish { protocol, hosts: vec![Ipv6Addr::LOCALHOST.into()], ports: None, target };
        Ports::default().reserve(&[wish]).expect("some port is free").remove(0)
    }

    #[test]
    fn only_what_no_rule_can_carry_is_carried() {
        let at = |text: &str| text.parse::<IpAddr>().expect("an address");
        for (host, target, wanted) in [
            ("::1", "172.17.0.2", true),
            ("::1", "fd00::2", true),
            ("2001:db8::7", "172.17.0.2", true),
            ("2001:db8::7", "fd00::2", false),
            ("::", "fd00::2", false),
            ("0.0.0.0", "172.17.0.2", false),
            ("127.0.0.1", "172.17.0.2", false),
        ] {
            assert_eq!(is_needed(at(host), at(target)), wanted, "{host} → {target}");
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_connection_is_carried_both_ways_and_ends_with_the_proxy() {
        let server = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback");
        let target = server.local_addr().expect("bound");
        let held = held(Protocol::Tcp);
        let door = SocketAddr::from(held.host);
        assert!(std::net::TcpStream::connect(door).is_err(), "nobody listens yet");
        let proxy = Proxy::open(&held, target).expect("open");
        let talk = move || {
            let mut client = std::net::TcpStream::connect(door).expect("listening");
            let (mut inside, _) = server.accept().expect("carried");
            client.write_all(b"to").expect("open");
            client.shutdown(std::net::Shutdown::Write).expect("open");
            let mut heard = String::new();
            inside.read_to_string(&mut heard).expect("the end of one direction is carried, too");
            inside.write_all(b"fro").expect("the other is open");
            let mut bytes = [0; 3];
            client.read_exact(&mut bytes).expect("carried");
            assert_eq!((heard.as_str(), &bytes), ("to", b"fro"));
            (client, inside)
        };
        let (mut client, inside) = tokio::task::spawn_blocking(talk).await.expect("no panic");
        drop(proxy);
        let end = tokio::task::spawn_blocking(move || client.read(&mut [0; 1])).await.expect("no panic");
        assert!(end.is_err() || end.is_ok_and(|n| n == 0), "what was under way ends");
        drop(inside);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_datagram_finds_back_to_its_own_client() {
        let server = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("loopback");
        let held = held(Protocol::Udp);
        let _proxy = Proxy::open(&held, server.local_addr().expect("bound")).expect("open");
        let mut clients = Vec::new();
        for word in ["one", "two"] {
            let client = UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).await.expect("loopback");
            client.send_to(word.as_bytes(), SocketAddr::from(held.host)).await.expect("sent");
            clients.push((client, word));
        }
        let mut bytes = [0; 16];
        for _ in 0..2 {
            let (count, from) =
                timeout(Duration::from_secs(5), server.recv_from(&mut bytes)).await.expect("carried").expect("open");
            server.send_to(&bytes[..count], from).await.expect("sent");
        }
        for (client, word) in clients {
            let count = timeout(Duration::from_secs(5), client.recv(&mut bytes)).await.expect("carried").expect("open");
            assert_eq!(&bytes[..count], word.as_bytes());
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_door_can_be_opened_again_and_its_port_is_free_when_it_has_closed() {
        let server = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("loopback");
        let target = server.local_addr().expect("bound");
        let held = held(Protocol::Udp);
        let door = SocketAddr::from(held.host);
        let client = UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).await.expect("loopback");
        let mut bytes = [0; 16];
        for word in ["once", "more"] {
            let proxy = Proxy::open(&held, target).expect("the port stays held meanwhile");
            client.send_to(word.as_bytes(), door).await.expect("sent");
            let (count, _) =
                timeout(Duration::from_secs(5), server.recv_from(&mut bytes)).await.expect("carried").expect("open");
            assert_eq!(&bytes[..count], word.as_bytes());
            tokio::task::spawn_blocking(move || drop(proxy)).await.expect("no panic");
        }
        drop(held);
        RawUdp::bind(door).expect("free at once");
    }
}
