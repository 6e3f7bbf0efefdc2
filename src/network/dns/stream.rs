//! # Stream: the same questions by TCP
//!
//! An answer that does not fit into a packet is asked for again over a connection, where each message comes with its length in
//! front. A connection costs more than a packet, so who keeps one without using it loses it.
//!
//! ```text
//!   accept ─► a task for each connection (64 at most; the others wait to be accepted)
//!             ┌─► length, message ── answer::verdict ── length, reply ─┐      10 s of silence: closed
//!             └────────────────────────────────────────────────────────┘
//! ```
//!
//! *See:* RFC 1035 §4.2.2, RFC 7766. *Next room:* [`crate::dns::redirect`]

use crate::dns::{answer::Verdict, message::Transport, server::Client};
use hickory_proto::op::ResponseCode;
use std::{io, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::OwnedSemaphorePermit,
    task::JoinSet,
    time::{self, timeout},
};

/// Connections of one sandbox at a time.
const CONNECTIONS: usize = 64;
/// How long a connection may be silent, or refuse to take its answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// After a failure to accept (no descriptors left, usually).
const REST: Duration = Duration::from_millis(100);

pub(crate) async fn serve(client: Arc<Client>, listener: TcpListener) {
    let mut connections = JoinSet::new();
    loop {
        if connections.len() >= CONNECTIONS {
            connections.join_next().await;
            continue;
        }
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
        };
        match accepted {
            Ok((stream, _)) => match client.connections.clone().try_acquire_owned() {
                Ok(place) => drop(connections.spawn(converse(client.clone(), stream, place))),
                Err(_) => tracing::debug!("too many connections in the whole house: this one is closed"),
            },
            Err(error) => {
                tracing::debug!(%error, "accepting a connection of a name server's failed");
                time::sleep(REST).await;
            }
        }
    }
}

/// Question by question, until the other side has had enough or takes too long.
async fn converse(client: Arc<Client>, mut stream: TcpStream, _place: OwnedSemaphorePermit) {
    let _ = stream.set_nodelay(true); // only a matter of speed
    while let Ok(Ok(packet)) = timeout(PATIENCE, question(&mut stream)).await {
        let Some(reply) = reply(&client, &packet).await else { return };
        let Ok(length) = u16::try_from(reply.len()) else { return };
        let bytes = [&length.to_be_bytes()[..], &reply].concat();
        if !matches!(timeout(PATIENCE, stream.write_all(&bytes)).await, Ok(Ok(()))) {
            return;
        }
    }
}

async fn question(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let length = stream.read_u16().await?;
    let mut packet = vec![0; usize::from(length)];
    stream.read_exact(&mut packet).await?;
    Ok(packet)
}

/// `None`: what came was no question, and who sends such things is not listened to any longer.
async fn reply(client: &Client, packet: &[u8]) -> Option<Vec<u8>> {
    match client.verdict(packet, Transport::Tcp) {
        Verdict::Silence => None,
        Verdict::Reply(reply) => Some(reply),
        Verdict::Forward(question) => match client.forwarder.place() {
            None => Some(question.reply(ResponseCode::Refused, Vec::new())),
            Some(_place) => Some(client.forwarder.ask(packet, &question, Transport::Tcp, client.way_out()).await),
        },
    }
}
