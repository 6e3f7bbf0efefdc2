//! # Forward: asking somebody who knows
//!
//! What is no name of ours is asked outside: of the first server, and if it does not answer, cannot, or will not, of the
//! next. The question goes on as it came, EDNS record and all, only under an id of our own; the answer comes back as it is.
//!
//! ```text
//!   id 4711 www.example.org A?          id 60123                        server 1   no answer: again after 2 s,
//!   ─────────────────────────► Forwarder ────────────────────────────►             given up after 4 s
//!                                        ────────────────────────────►  server 2   SERVFAIL, REFUSED: the next
//!   ◄─────────────────────────  id 4711  ◄────────────────────────────  server 3   an answer: passed on
//!                                                                       nobody     SERVFAIL
//! ```
//!
//! * By UDP if it came by UDP, by TCP if by TCP: an answer that was cut off (TC) makes the asker come again by TCP, and then
//!   all of it has room.
//! * An answer is believed if it comes from the address we asked, to the port we asked from (one for this question alone),
//!   with the id and the question we sent; anything else is dropped, and we go on listening.
//! * [`Forwarder::place`] bounds how many questions may be under way: 1,024 for a sandbox, as in Docker, and for all sandboxes
//!   together what [`share`] says. Who comes when all are taken is told REFUSED at once: a flood costs no memory.
//!
//! Laws: three servers at most, as in the C library; the asker gives up after some five seconds, so the second server gets its
//! chance within that.
//! *See:* RFC 1035 §7.3, RFC 5452 §9, RFC 7766 (TCP), moby `libnetwork/resolver.go` (forwardExtDNS). *Next room:*
//! [`crate::dns::upstream`]

use crate::dns::{
    message::{self, Question, Transport},
    upstream::{Side, Sockets, Upstream},
};
use hickory_proto::op::{Query, ResponseCode};
use std::{io, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, Interest},
    net::UdpSocket,
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

/// Questions of one sandbox that may be under way at a time.
const PLACES: usize = 1024;
/// Questions of all sandboxes: each has a socket open.
const HOUSE: usize = 4096;
/// Servers that are asked, one after the other.
const SERVERS: usize = 3;
/// How long a server has to answer, and after how long it is asked once more.
const LIMIT: Duration = Duration::from_secs(4);
const AGAIN: Duration = Duration::from_secs(2);

/// Asks for one sandbox.
pub struct Forwarder {
    servers: Vec<Upstream>,
    sockets: Sockets,
    here: Arc<Semaphore>,
    house: Arc<Semaphore>,
}

/// The right to have one question under way.
pub struct Place {
    _here: OwnedSemaphorePermit,
    _house: OwnedSemaphorePermit,
}

/// How many sockets the name server may have open at a time for one purpose: 4,096, but no more than a quarter of the
/// descriptors that this process may have. The rest of the daemon needs some, too, whoever floods us.
pub fn share() -> usize {
    quarter(&std::fs::read_to_string("/proc/self/limits").unwrap_or_default())
}

fn quarter(limits: &str) -> usize {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    let soft = line.and_then(|line| line.split_whitespace().next()?.parse::<usize>().ok());
    soft.map_or(HOUSE, |soft| HOUSE.min(soft / 4)).max(1)
}

impl Forwarder {
    pub fn new(mut servers: Vec<Upstream>, sockets: Sockets, house: Arc<Semaphore>) -> Forwarder {
        servers.truncate(SERVERS);
        Forwarder { servers, sockets, here: Arc::new(Semaphore::new(PLACES)), house }
    }

    /// Whether there is anybody to ask. With no way out of the sandbox's networks the host's servers are not asked on its
    /// behalf either; a server of the container's own choice may be on its network.
    pub fn has_servers(&self, way_out: bool) -> bool {
        self.allowed(way_out).next().is_some()
    }

    fn allowed(&self, way_out: bool) -> impl Iterator<Item = &Upstream> {
        self.servers.iter().filter(move |server| way_out || server.side == Side::Sandbox)
    }

    /// A place, if one is free.
    pub fn place(&self) -> Option<Place> {
        let _here = self.here.clone().try_acquire_owned().ok()?;
        let _house = self.house.clone().try_acquire_owned().ok()?;
        Some(Place { _here, _house })
    }

    /// The answer from outside, or SERVFAIL.
    pub async fn ask(&self, packet: &[u8], question: &Question, transport: Transport, way_out: bool) -> Vec<u8> {
        for server in self.allowed(way_out) {
            let answer = match transport {
                Transport::Udp => self.by_udp(server, packet, &question.query).await,
                Transport::Tcp => timeout(LIMIT, self.by_tcp(server, packet, &question.query)).await.unwrap_or_else(|_| late()),
            };
            match answer {
                Ok(mut answer) if is_help(&answer) => {
                    message::set_id(&mut answer, question.id());
                    return answer;
                }
                Ok(_) => tracing::debug!(%server, question = %question.query, "the name server cannot or will not answer"),
                Err(error) => tracing::debug!(%server, question = %question.query, %error, "no answer from the name server"),
            }
        }
        question.reply(ResponseCode::ServFail, Vec::new())
    }

    async fn by_udp(&self, server: &Upstream, packet: &[u8], query: &Query) -> io::Result<Vec<u8>> {
        let socket = self.sockets.udp(server).await?;
        let (packet, id) = under_our_id(packet);
        for patience in [AGAIN, LIMIT - AGAIN] {
            socket.send(&packet).await?;
            match timeout(patience, heard(&socket, id, query)).await {
                Ok(answer) => return answer,
                Err(_) => continue,
            }
        }
        late()
    }

    async fn by_tcp(&self, server: &Upstream, packet: &[u8], query: &Query) -> io::Result<Vec<u8>> {
        let (socket, address) = self.sockets.tcp(server)?;
        let mut stream = socket.connect(address).await?;
        let (packet, id) = under_our_id(packet);
        let length = u16::try_from(packet.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
        stream.write_all(&[&length.to_be_bytes()[..], &packet].concat()).await?;
        let mut answer = vec![0; usize::from(stream.read_u16().await?)];
        stream.read_exact(&mut answer).await?;
        match message::answers(&answer, id, query) {
            true => Ok(answer),
            false => Err(io::ErrorKind::InvalidData.into()),
        }
    }
}

fn late<T>() -> io::Result<T> {
    Err(io::ErrorKind::TimedOut.into())
}

/// The question under an id that nobody outside can guess.
fn under_our_id(packet: &[u8]) -> (Vec<u8>, u16) {
    let (mut packet, id) = (packet.to_vec(), rand::random());
    message::set_id(&mut packet, id);
    (packet, id)
}

/// Waits for the answer to this question, or for the news that nobody listens there (which does not make a socket readable).
async fn heard(socket: &UdpSocket, id: u16, query: &Query) -> io::Result<Vec<u8>> {
    loop {
        let ready = socket.ready(Interest::READABLE | Interest::ERROR).await?;
        match received(socket) {
            Ok(packet) if message::answers(&packet, id, query) => return Ok(packet),
            Ok(_) => tracing::debug!(question = %query, "dropped a packet that is no answer to it"),
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
            Err(_) if ready.is_error() => return Err(socket.take_error()?.unwrap_or(io::ErrorKind::ConnectionRefused.into())),
            Err(_) => {}
        }
    }
}

/// One packet. The room for the largest lies on the stack and is ours only for a moment: a thousand that wait hold none.
fn received(socket: &UdpSocket) -> io::Result<Vec<u8>> {
    let mut room = [0; 65_535];
    let length = socket.try_recv(&mut room)?;
    Ok(room[..length].to_vec())
}

/// Whether an answer settles the question. SERVFAIL and REFUSED say something about the server; another may know better.
fn is_help(answer: &[u8]) -> bool {
    let code = answer.get(3).map_or(0, |flags| flags & 0xf);
    code != ResponseCode::ServFail.low() && code != ResponseCode::Refused.low()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_server_leaves_descriptors_to_the_rest_of_the_daemon() {
        let limits =
            |soft: &str| format!("Limit  Soft Limit  Hard Limit  Units\nMax open files            {soft}   1048576   files\n");
        assert_eq!(quarter(&limits("1024")), 256);
        assert_eq!(quarter(&limits("1048576")), HOUSE);
        assert_eq!(quarter(&limits("unlimited")), HOUSE);
        assert_eq!((quarter(&limits("2")), quarter("")), (1, HOUSE));
        assert!(share() > 0);
    }
}
