//! # Transport: messages between members
//!
//! Three questions pass between members: *add these entries* (empty: a heartbeat), *may I lead?*, *here is my whole state*.
//! Each is one message with one answer over the [`Connector`] that the caller hands down: bytes to an address, bytes back.
//! Who may speak is decided there (mutual TLS); here it is only noted who was heard of when, for [`crate::standing`].
//!
//! A member that does not answer is asked again after a pause that grows from 100 ms to 2 s. The connector must give up in
//! time: an answer after the election time-out is worth nothing.
//!
//! *See:* the Raft paper, figure 2 and 13. *Next room:* [`crate::standing`]

use crate::kind::Kind;
pub use crate::kind::Member;
use futures_util::future::BoxFuture;
use minidock_base::{Error, Result};
use openraft::{
    AnyError, RaftNetwork, RaftNetworkFactory, Snapshot, SnapshotMeta, Vote,
    error::{Fatal, NetworkError, RPCError, RaftError, ReplicationClosed, StreamingError, Unreachable},
    network::{Backoff, RPCOption},
    raft::{AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, VoteRequest, VoteResponse},
};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// An answer that is on its way.
pub type Answered<'a> = BoxFuture<'a, Result<Vec<u8>>>;

/// A way to the other members.
pub trait Connector: Send + Sync + 'static {
    /// Carries `message` to `to` and its answer back; the other side hands it to [`crate::Consensus::receive`].
    fn call<'a>(&'a self, to: &'a Member, message: Vec<u8>) -> Answered<'a>;
}

#[derive(Serialize, Deserialize)]
struct Letter {
    from: u64,
    ask: Ask,
}

#[derive(Serialize, Deserialize)]
enum Ask {
    Append(AppendEntriesRequest<Kind>),
    Vote(VoteRequest<u64>),
    State { vote: Vote<u64>, meta: SnapshotMeta<u64, Member>, state: Vec<u8> },
}

#[derive(Serialize, Deserialize)]
enum Reply {
    Append(AppendEntriesResponse<u64>),
    Vote(VoteResponse<u64>),
    State(Vote<u64>),
    /// This member has stopped, and why.
    Stopped(String),
}

/// What this member knows of the others: how to reach them, and when it last heard of each.
pub(crate) struct Wires {
    id: u64,
    connector: Arc<dyn Connector>,
    heard: Mutex<BTreeMap<u64, Instant>>,
}

impl Wires {
    pub fn new(id: u64, connector: Arc<dyn Connector>) -> Wires {
        Wires { id, connector, heard: Mutex::default() }
    }

    fn hear(&self, of: u64) {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).insert(of, Instant::now());
    }

    /// How long ago a member last said anything to us, asked or unasked.
    pub fn silence(&self, of: u64) -> Option<Duration> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).get(&of).map(Instant::elapsed)
    }
}

/// The other end of a call.
pub(crate) async fn receive(raft: &openraft::Raft<Kind>, wires: &Wires, message: &[u8]) -> Result<Vec<u8>> {
    let letter: Letter =
        postcard::from_bytes(message).map_err(|e| Error::invalid(e.to_string()).during("read a message between managers"))?;
    wires.hear(letter.from);
    let reply = match letter.ask {
        Ask::Append(ask) => raft.append_entries(ask).await.map(Reply::Append).map_err(|e| e.to_string()),
        Ask::Vote(ask) => raft.vote(ask).await.map(Reply::Vote).map_err(|e| e.to_string()),
        Ask::State { vote, meta, state } => {
            let snapshot = Snapshot { meta, snapshot: Box::new(state) };
            raft.install_full_snapshot(vote, snapshot).await.map(|r| Reply::State(r.vote)).map_err(|e| e.to_string())
        }
    };
    postcard::to_stdvec(&reply.unwrap_or_else(Reply::Stopped)).map_err(|e| Error::system(e.to_string()))
}

/// The way to one member.
pub(crate) struct Wire {
    wires: Arc<Wires>,
    to: Member,
}

impl RaftNetworkFactory<Kind> for Arc<Wires> {
    type Network = Wire;

    async fn new_client(&mut self, target: u64, node: &Member) -> Wire {
        Wire { wires: self.clone(), to: Member { id: target, ..node.clone() } }
    }
}

impl Wire {
    async fn ask(&self, ask: Ask, limit: Duration) -> Result<Reply, Unreachable> {
        let letter = postcard::to_stdvec(&Letter { from: self.wires.id, ask }).map_err(|e| unreachable(&e.to_string()))?;
        let answer = match tokio::time::timeout(limit, self.wires.connector.call(&self.to, letter)).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => return Err(unreachable(&error.message())),
            Err(_) => return Err(unreachable("no answer in time")),
        };
        self.wires.hear(self.to.id);
        match postcard::from_bytes(&answer) {
            Ok(Reply::Stopped(why)) => Err(unreachable(&why)),
            Ok(reply) => Ok(reply),
            Err(error) => Err(unreachable(&error.to_string())),
        }
    }
}

fn unreachable(why: &str) -> Unreachable {
    Unreachable::new(&io::Error::other(why.to_string()))
}

fn odd() -> NetworkError {
    NetworkError::from(AnyError::error("the answer does not fit the question"))
}

type Asked<T> = Result<T, RPCError<u64, Member, RaftError<u64>>>;

impl RaftNetwork<Kind> for Wire {
    async fn append_entries(
        &mut self,
        ask: AppendEntriesRequest<Kind>,
        option: RPCOption,
    ) -> Asked<AppendEntriesResponse<u64>> {
        match self.ask(Ask::Append(ask), option.hard_ttl()).await? {
            Reply::Append(reply) => Ok(reply),
            _ => Err(odd().into()),
        }
    }

    async fn vote(&mut self, ask: VoteRequest<u64>, option: RPCOption) -> Asked<VoteResponse<u64>> {
        match self.ask(Ask::Vote(ask), option.hard_ttl()).await? {
            Reply::Vote(reply) => Ok(reply),
            _ => Err(odd().into()),
        }
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote<u64>,
        snapshot: Snapshot<Kind>,
        cancel: impl Future<Output = ReplicationClosed> + Send + 'static,
        option: RPCOption,
    ) -> Result<SnapshotResponse<u64>, StreamingError<Kind, Fatal<u64>>> {
        let ask = Ask::State { vote, meta: snapshot.meta, state: *snapshot.snapshot };
        tokio::select! {
            closed = cancel => Err(closed.into()),
            reply = self.ask(ask, option.hard_ttl()) => match reply? {
                Reply::State(vote) => Ok(SnapshotResponse { vote }),
                _ => Err(odd().into()),
            },
        }
    }

    fn backoff(&self) -> Backoff {
        Backoff::new((0..).map(|n: u32| Duration::from_millis(100 << n.min(4)).min(Duration::from_secs(2))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_survives_the_wire() {
        let ask = Ask::Vote(VoteRequest { vote: Vote::new(3, 7), last_log_id: None });
        let bytes = postcard::to_stdvec(&Letter { from: 7, ask }).expect("it can be written");
        let back: Letter = postcard::from_bytes(&bytes).expect("it can be read");
        assert!(matches!(back.ask, Ask::Vote(VoteRequest { vote, .. }) if vote == Vote::new(3, 7)));
    }
}
