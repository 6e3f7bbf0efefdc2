//! # A line: both sides send when they like
//!
//! An agent's session with the dispatcher. The agent says who it is and what its tasks do, and that it lives; the dispatcher says
//! what has changed for it. Each message is one frame of JSON.
//!
//! *See:* [`crate::dispatcher`]. *Next room:* [`super::phone`]

use super::frame::{self, Kind};
use crate::{agent::logs::LogsWish, dispatcher::Delta};
use minidock_base::{Error, Result};
use minidock_spec::swarm::{local::RemoteManager, node::NodeDescription, task::TaskStatus};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::marker::PhantomData;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadHalf, WriteHalf, split},
    sync::mpsc,
};
use tokio_util::task::AbortOnDropHandle;

/// So many messages may wait to be heeded.
const UNHEEDED: usize = 16;

/// Anything that carries bytes both ways.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// What an agent says.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum AgentSays {
    /// First, and once: what this node is.
    Hello(Box<Hello>),
    /// It lives.
    Beat,
    /// How far its tasks are, by ID.
    Status(Vec<(String, TaskStatus)>),
}

/// What a node tells of itself.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Hello {
    pub description: NodeDescription,
    /// Where the others find it; empty: where it calls from.
    pub address: String,
    /// Where the containers' traffic is to go; empty: as `address`.
    pub data_path_address: String,
}

/// What a manager says.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum ManagerSays {
    /// What is new; the first one holds everything.
    News(Box<Delta>),
    /// Where the managers are, and how often to say that one lives (nanoseconds).
    Terms { managers: Vec<RemoteManager>, period: i64 },
    /// This manager does not lead, so it knows nothing of agents: hang up, and call that one, if one is known.
    Moved { leader: Option<String> },
    /// Somebody wants to read what tasks say: call again with [`super::phone::Phone::tell_logs`] and this number.
    Logs { id: u64, wish: LogsWish },
    /// The node's role has changed: it should ask for a new certificate.
    Renew,
    /// The node is a manager whose voice was taken away, and which shall have one again: it should ask for it.
    Enlist,
    /// The node is no longer of this swarm.
    Removed,
}

/// The receiving half.
pub struct Ear<T> {
    from: ReadHalf<Box<dyn Stream>>,
    says: PhantomData<fn() -> T>,
}

/// The sending half.
pub struct Mouth<T> {
    to: WriteHalf<Box<dyn Stream>>,
    says: PhantomData<fn(T)>,
}

/// A stream as a line: hears `H`, says `S`.
pub fn line<H, S>(stream: Box<dyn Stream>) -> (Ear<H>, Mouth<S>) {
    let (from, to) = split(stream);
    (Ear { from, says: PhantomData }, Mouth { to, says: PhantomData })
}

impl<T: DeserializeOwned> Ear<T> {
    /// The next message; `None` when the other side has hung up. Not to be cancelled half-way: see [`Ear::listen`].
    ///
    /// # Errors
    /// The connection broke, or what came cannot be read.
    pub async fn hear(&mut self) -> Result<Option<T>> {
        match frame::receive(&mut self.from, frame::LIMIT).await? {
            Some((Kind::Session, payload)) => {
                let message = serde_json::from_slice(&payload);
                message.map(Some).map_err(|e| Error::invalid(e.to_string()).during("read what another node says"))
            }
            Some((kind, _)) => Err(Error::invalid(format!("a {kind:?} frame has no place in a session"))),
            None => Ok(None),
        }
    }
}

impl<T: DeserializeOwned + Send + 'static> Ear<T> {
    /// Hears in a task of its own, until the other side hangs up or an error has been passed on, or the handle is dropped.
    pub fn listen(mut self) -> (mpsc::Receiver<Result<T>>, AbortOnDropHandle<()>) {
        let (tx, rx) = mpsc::channel(UNHEEDED);
        let listening = tokio::spawn(async move {
            while let Some(heard) = self.hear().await.transpose() {
                let over = heard.is_err();
                if tx.send(heard).await.is_err() || over {
                    return;
                }
            }
        });
        (rx, AbortOnDropHandle::new(listening))
    }
}

impl<T: Serialize> Mouth<T> {
    /// Says something.
    ///
    /// # Errors
    /// The connection is gone.
    pub async fn say(&mut self, message: &T) -> Result<()> {
        let text = serde_json::to_vec(message).map_err(|e| Error::system(e.to_string()))?;
        frame::send(&mut self.to, Kind::Session, &text).await
    }
}
