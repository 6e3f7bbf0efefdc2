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
//! Laws: dropped, it listens no more when the drop returns, and what is under way ends soon; what lingers of it keeps the port from nobody.
//! *In the real world* Docker starts a `docker-proxy` for every published port, also
//! for those that a rule carries. *See:* ipv6(7), `Documentation/networking/ip-sysctl.rst`. Next room: [`crate::nft`]

use crate::{model::Protocol, port_map::Held};
use minidock_base::{Doing, Result};
use minidock_linux::bind;
use std::{
    collections::HashMap,
    future::poll_fn,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener as RawTcp, UdpSocket as RawUdp},
    sync::{Arc, Mutex, PoisonError},
    task::{Poll, ready},
    time::Duration,
};
use tokio::{
    io::{self, ReadBuf},
    net::{TcpListener, TcpStream, UdpSocket},
    sync::mpsc,
    task::{AbortHandle, JoinSet},
    time::{sleep, timeout},
};

/// How many may wait to be let in.
const BACKLOG: i32 = 1024;
/// A UDP client that says nothing for so long, and is told nothing, is forgotten; as with Docker.
const SILENCE: Duration = Duration::from_secs(90);
/// Connections, or UDP clients, at a time; who comes then must wait until another has ended, or been forgotten.
const MOST: usize = 1024;
/// A container that says nothing for so long, not even no, is not there.
const PATIENCE: Duration = Duration::from_secs(10);
/// When there are no descriptors left to let anybody in.
const BREATH: Duration = Duration::from_millis(100);

/// Whether a door from `host` to `target` needs carrying.
pub fn is_needed(host: IpAddr, target: IpAddr) -> bool {
    host == IpAddr::V6(Ipv6Addr::LOCALHOST) || host.is_ipv6() != target.is_ipv6()
}

/// Carries what comes to one port, until it is dropped: that takes the socket away from the work, on whatever thread, and waits for nothing.
#[derive(Debug)]
pub struct Proxy {
    door: Door,
    work: AbortHandle,
}

#[derive(Debug)]
enum Door {
    Tcp(Shared<TcpListener>),
    Udp(Shared<UdpSocket>),
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // the port stays held, by another duplicate of the socket: it must neither listen nor collect any more
        let deaf = match &self.door {
            Door::Tcp(listener) => listener.take().map_or(Ok(()), bind::unlisten),
            Door::Udp(socket) => socket.take().map_or(Ok(()), bind::narrow),
        };
        if let Err(failed) = deaf {
            tracing::warn!("a door that is carried by hand has not closed: {failed}");
        }
        self.work.abort(); // and with it what is under way
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
        let (door, work) = match held.protocol {
            Protocol::Tcp => {
                bind::listen_on(&socket, BACKLOG).doing(doing)?;
                let listener = RawTcp::from(socket);
                listener.set_nonblocking(true).doing(doing)?;
                let listener = Shared::new(TcpListener::from_std(listener).doing(doing)?);
                (Door::Tcp(listener.clone()), tokio::spawn(carry_tcp(listener, target)))
            }
            Protocol::Udp => {
                bind::widen(&socket).doing(doing)?;
                let socket = RawUdp::from(socket);
                socket.set_nonblocking(true).doing(doing)?;
                let socket = Shared::new(UdpSocket::from_std(socket).doing(doing)?);
                (Door::Udp(socket.clone()), tokio::spawn(carry_udp(socket, target)))
            }
        };
        Ok(Proxy { door, work: work.abort_handle() })
    }
}

/// A socket that can be taken away from whoever works with it.
#[derive(Debug)]
struct Shared<S>(Arc<Mutex<Option<S>>>);

impl<S> Clone for Shared<S> {
    fn clone(&self) -> Shared<S> {
        Shared(self.0.clone())
    }
}

impl<S> Shared<S> {
    fn new(socket: S) -> Shared<S> {
        Shared(Arc::new(Mutex::new(Some(socket))))
    }

    fn take(&self) -> Option<S> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Waits for what `poll` waits for; `None` when the socket was taken away.
    async fn wait<T>(&self, mut poll: impl FnMut(&S, &mut std::task::Context<'_>) -> Poll<T>) -> Option<T> {
        poll_fn(|cx| match &*self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(socket) => poll(socket, cx).map(Some),
            None => Poll::Ready(None),
        })
        .await
    }
}

async fn carry_tcp(listener: Shared<TcpListener>, target: SocketAddr) {
    let mut carried = JoinSet::new(); // what is under way ends with us
    loop {
        let accepted = tokio::select! {
            Some(_) = carried.join_next() => continue,
            accepted = listener.wait(|listener, cx| listener.poll_accept(cx)), if carried.len() < MOST => accepted,
        };
        match accepted {
            None => return,
            Some(Ok((client, _))) => drop(carried.spawn(carry(client, target))),
            Some(Err(error)) => {
                tracing::debug!(%target, "nobody can be let in: {error}");
                sleep(BREATH).await;
            }
        }
    }
}

/// One connection. A container that refuses it, or breaks it off, has its client see just that.
async fn carry(mut client: TcpStream, target: SocketAddr) {
    if let Ok(Ok(mut server)) = timeout(PATIENCE, TcpStream::connect(target)).await {
        let _ = (client.set_nodelay(true), server.set_nodelay(true));
        let _ = io::copy_bidirectional(&mut client, &mut server).await;
    }
}

async fn carry_udp(socket: Shared<UdpSocket>, target: SocketAddr) {
    let (say, mut over) = mpsc::unbounded_channel();
    let mut clients: HashMap<SocketAddr, Arc<UdpSocket>> = HashMap::new();
    let mut answers = JoinSet::new();
    let mut bytes = vec![0; 65_536];
    loop {
        let received = tokio::select! {
            Some(gone) = over.recv() => {
                clients.remove(&gone);
                continue;
            }
            received = receive(&socket, &mut bytes) => received,
        };
        let (count, client) = match received {
            None => return,
            Some(Ok(received)) => received,
            Some(Err(_)) => continue, // an ICMP error about an earlier answer
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
}

async fn receive(socket: &Shared<UdpSocket>, bytes: &mut [u8]) -> Option<std::io::Result<(usize, SocketAddr)>> {
    let poll = |socket: &UdpSocket, cx: &mut std::task::Context<'_>| {
        let mut room = ReadBuf::new(bytes);
        let from = ready!(socket.poll_recv_from(cx, &mut room));
        Poll::Ready(from.map(|from| (room.filled().len(), from)))
    };
    socket.wait(poll).await
}

async fn towards(target: SocketAddr) -> std::io::Result<UdpSocket> {
    let any: IpAddr = if target.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0)).await?;
    socket.connect(target).await?;
    Ok(socket)
}

/// What the container says to one client, until it has been silent for long.
async fn answer(from: &UdpSocket, to: &Shared<UdpSocket>, client: SocketAddr) {
    let mut bytes = vec![0; 65_536];
    while let Ok(received) = timeout(SILENCE, from.recv(&mut bytes)).await {
        let Ok(count) = received else {
            sleep(BREATH).await; // nobody listens there (yet)
            continue;
        };
        if to.wait(|to, cx| to.poll_send_to(cx, &bytes[..count], client)).await.is_none() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::port_map::{Ports, Wish};
    use std::io::{Read, Write};
    use tokio::io::AsyncReadExt;

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
            drop(proxy);
            client.send_to(b"nobody reads this", door).await.expect("sent");
        }
        drop(held);
        RawUdp::bind(door).expect("free at once");
    }

    /// On the only thread of a runtime, which is the one that carries.
    #[tokio::test]
    async fn a_door_closes_at_once_wherever_it_is_dropped() {
        let server = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("loopback");
        let target = server.local_addr().expect("bound");
        let mut held = held(Protocol::Tcp);
        let door = SocketAddr::from(held.host);
        for _ in 0..3 {
            let proxy = Proxy::open(&held, target).expect("the port is held");
            let mut client = TcpStream::connect(door).await.expect("listening");
            let (inside, _) = server.accept().await.expect("carried");
            drop(inside); // the container ends it first, so our end of it lingers
            assert_eq!(client.read(&mut [0; 1]).await.expect("the end is carried"), 0);
            let began = std::time::Instant::now();
            drop(proxy);
            assert!(began.elapsed() < Duration::from_millis(100), "nothing was waited for");
            // a duplicate of the socket still holds the port, and must not let anybody in
            assert!(TcpStream::connect(door).await.is_err_and(|e| e.kind() == std::io::ErrorKind::ConnectionRefused));
            drop(held);
            let wish = Wish {
                protocol: Protocol::Tcp,
                hosts: vec![door.ip()],
                ports: Some((door.port(), door.port())),
                target: (target.ip(), target.port()),
            };
            held = Ports::default().reserve(&[wish]).expect("free at once").remove(0);
        }
    }
}
