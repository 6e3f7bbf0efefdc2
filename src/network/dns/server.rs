//! # Server: one task a sandbox, and no thread
//!
//! A socket belongs to the network namespace in which it was made, whoever uses it. So the daemon visits a sandbox once,
//! makes two sockets there, and serves them from its own threads with all the others.
//!
//! ```text
//!   serve(sandbox) ── visit: UDP and TCP sockets at 127.0.0.11, redirect rules ── back ─► task: packets   (here)
//!                                                                                    └──► task: streams   (dns::stream)
//!
//!   packet ─► answer::verdict ─┬─ Reply    sent at once, in the same turn of the loop
//!                              ├─ Forward  a place free?  a task of its own : REFUSED
//!                              └─ Silence
//! ```
//!
//! * [`Resolver::serve`] begins, the [`Handle`]'s end ends: sockets closed, questions under way forgotten, so that nothing of
//!   ours keeps the namespace alive.
//! * What costs memory is bounded: a waiting sandbox holds two sockets and two tasks, its packets lie on the stack while they
//!   are looked at, and questions under way have a limit ([`crate::dns::forward`]).
//! * A loop that always has something to do gives way to the others after [`A_TURN`] packets: a container that floods us
//!   is served with what is left over.
//!
//! Laws: the loops end only with their handle; an error of a socket is the sandbox's affair and never the daemon's.
//! *See:* network_namespaces(7), RFC 1035 §4.2.1. *Next room:* [`crate::dns::stream`]

use crate::{
    dns::{
        answer::{self, Rules, Verdict},
        forward::{self, Forwarder},
        message::Transport,
        redirect, stream,
        upstream::{Sockets, Upstream},
        zone::Zones,
    },
    sandbox::Sandbox,
};
use hickory_proto::op::ResponseCode;
use minidock_base::{Doing, Result};
use minidock_linux::action;
use std::{
    io,
    net::{SocketAddr, TcpListener as StdTcpListener, UdpSocket as StdUdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::{
    net::{TcpListener, UdpSocket},
    sync::Semaphore,
    task::{self, AbortHandle, JoinSet},
    time,
};

/// Packets that one sandbox may have looked at before another has its turn.
const A_TURN: usize = 32;
/// The largest question by UDP: what more there is, is no question.
const LONGEST_QUESTION: usize = 4096;
/// How long a socket is left alone that fails for a reason of its own.
const REST: Duration = Duration::from_millis(100);

/// The name server of the house.
pub struct Resolver {
    zones: Arc<Zones>,
    /// Questions under way, and connections, of all sandboxes.
    questions: Arc<Semaphore>,
    connections: Arc<Semaphore>,
}

/// What one sandbox is to be served.
#[derive(Clone, Debug)]
pub struct Service {
    /// The container that asks.
    pub asker: String,
    /// Whom to ask what is not ours, in this order.
    pub upstreams: Vec<Upstream>,
    /// The user chose `ndots` of 1 or more.
    pub dots_wanted: bool,
    /// Whether the container is on any network that is not internal.
    pub forwarding: bool,
}

/// A sandbox that is being served, until this is dropped.
pub struct Handle {
    client: Arc<Client>,
    tasks: [AbortHandle; 2],
}

/// What both loops of a sandbox know of it.
pub(crate) struct Client {
    zones: Arc<Zones>,
    asker: String,
    dots_wanted: bool,
    forwarding: AtomicBool,
    pub(crate) forwarder: Forwarder,
    pub(crate) connections: Arc<Semaphore>,
}

impl Resolver {
    pub fn new(zones: Arc<Zones>) -> Resolver {
        let places = || Arc::new(Semaphore::new(forward::share()));
        Resolver { zones, questions: places(), connections: places() }
    }

    /// Begins to serve a sandbox. Blocks for as long as a visit takes; to be called with a tokio runtime around.
    ///
    /// # Errors
    /// No lo in there (EADDRNOTAVAIL), no permission, no descriptors left.
    pub fn serve(&self, sandbox: &Sandbox, service: Service) -> Result<Handle> {
        let doing = || format!("serve names to container {}", service.asker);
        let (packets, streams) = sandbox.visit(open)?.doing(doing)?;
        let sockets = Sockets::new(sandbox.duplicate()?);
        let client = Arc::new(Client {
            zones: self.zones.clone(),
            asker: service.asker.clone(),
            dots_wanted: service.dots_wanted,
            forwarding: AtomicBool::new(service.forwarding),
            forwarder: Forwarder::new(service.upstreams.clone(), sockets, self.questions.clone()),
            connections: self.connections.clone(),
        });
        let packets = UdpSocket::from_std(packets).doing(doing)?;
        let streams = TcpListener::from_std(streams).doing(doing)?;
        let tasks = [
            task::spawn(serve_packets(client.clone(), packets)).abort_handle(),
            task::spawn(stream::serve(client.clone(), streams)).abort_handle(),
        ];
        Ok(Handle { client, tasks })
    }
}

/// The sockets, and the rules that lead to them; inside.
fn open() -> io::Result<(StdUdpSocket, StdTcpListener)> {
    let place = || vec![action::quoted(format!("{}:0", redirect::ADDRESS))];
    let packets =
        action::call("bind", || [vec!["SOCK_DGRAM".into()], place()].concat(), || StdUdpSocket::bind((redirect::ADDRESS, 0)))?;
    let streams = action::call(
        "bind",
        || [vec!["SOCK_STREAM".into()], place()].concat(),
        || StdTcpListener::bind((redirect::ADDRESS, 0)),
    )?;
    packets.set_nonblocking(true)?;
    streams.set_nonblocking(true)?;
    redirect::lay(packets.local_addr()?.port(), streams.local_addr()?.port())?;
    Ok((packets, streams))
}

impl Handle {
    /// Says anew whether the container is on any network that is not internal.
    pub fn set_forwarding(&self, forwarding: bool) {
        self.client.forwarding.store(forwarding, Ordering::Relaxed);
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}

impl Client {
    pub(crate) fn way_out(&self) -> bool {
        self.forwarding.load(Ordering::Relaxed)
    }

    pub(crate) fn verdict(&self, packet: &[u8], transport: Transport) -> Verdict {
        let rules = Rules { outside: self.forwarder.has_servers(self.way_out()), dots_wanted: self.dots_wanted };
        answer::verdict(packet, transport, &self.zones, &self.asker, rules, rand::random::<u16>().into())
    }
}

async fn serve_packets(client: Arc<Client>, socket: UdpSocket) {
    let socket = Arc::new(socket);
    // dropped with this task, and with it every question under way
    let mut asking = JoinSet::new();
    loop {
        tokio::select! {
            _ = socket.readable() => {}
            Some(_) = asking.join_next() => continue,
        }
        while asking.try_join_next().is_some() {}
        for _ in 0..A_TURN {
            match one_packet(&client, &socket, &mut asking) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => {
                    tracing::debug!(container = client.asker, %error, "receiving a question failed");
                    time::sleep(REST).await;
                }
            }
        }
        task::yield_now().await;
    }
}

/// Receives one packet and does what is to be done about it, without waiting for anything.
fn one_packet(client: &Arc<Client>, socket: &Arc<UdpSocket>, asking: &mut JoinSet<()>) -> io::Result<()> {
    let mut room = [0; LONGEST_QUESTION];
    let (length, from) = socket.try_recv_from(&mut room)?;
    let packet = &room[..length];
    match client.verdict(packet, Transport::Udp) {
        Verdict::Silence => {}
        Verdict::Reply(reply) => send(socket, &reply, from),
        Verdict::Forward(question) => match client.forwarder.place() {
            None => send(socket, &question.reply(ResponseCode::Refused, Vec::new()), from),
            Some(place) => {
                let (client, socket, packet) = (client.clone(), socket.clone(), packet.to_vec());
                asking.spawn(async move {
                    let reply = client.forwarder.ask(&packet, &question, Transport::Udp, client.way_out()).await;
                    send(&socket, &reply, from);
                    drop(place);
                });
            }
        },
    }
    Ok(())
}

/// By UDP an answer that finds no room is lost, and the asker asks again.
fn send(socket: &UdpSocket, reply: &[u8], to: SocketAddr) {
    if let Err(error) = socket.try_send_to(reply, to) {
        tracing::trace!(%to, %error, "an answer was lost");
    }
}
