//! # The desk: a manager's end of the wire
//!
//! Accepts connections, reads from each caller's certificate who it is, lets it ask what it may, and hands the question to the
//! [`Clerk`], who knows the answers. A caller may ask one thing after another on one connection; one that says nothing for long
//! before it has shown a certificate is hung up on, and so is one without a certificate that sends much.
//!
//! *Next room:* [`super::phone`]

use super::{
    Ask,
    frame::{self, Kind},
    line::{AgentSays, Ear, ManagerSays, Mouth, Stream, line},
};
use crate::{
    agent::logs::{LogsWish, Portion},
    ca::{Subject, identity},
};
use futures_util::future::BoxFuture;
use minidock_base::{Error, Result};
use minidock_spec::swarm::node::Role;
use rustls::ServerConfig;
use serde_json::Value;
use std::{net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
};
use tokio_rustls::TlsAcceptor;

/// A stranger's handshake and question may take so long.
const STRANGER: Duration = Duration::from_secs(10);

/// Who calls.
#[derive(Clone, Debug)]
pub struct Caller {
    /// From its certificate; a newcomer has none.
    pub subject: Option<Subject>,
    pub address: SocketAddr,
}

impl Caller {
    /// The caller is a node of this swarm.
    ///
    /// # Errors
    /// 403: it showed no certificate.
    pub fn node(&self) -> Result<&Subject> {
        self.subject.as_ref().ok_or_else(|| Error::forbidden("who asks this must show a certificate of this swarm"))
    }

    /// The caller is a manager of this swarm.
    ///
    /// # Errors
    /// 403: it is a worker, or nobody.
    pub fn manager(&self) -> Result<&Subject> {
        let subject = self.node()?;
        match subject.role {
            Role::Manager => Ok(subject),
            Role::Worker => Err(Error::forbidden(format!("node {} is a worker: only managers may ask this", subject.node_id))),
        }
    }
}

/// Knows the answers.
pub trait Clerk: Send + Sync + 'static {
    fn answer<'a>(&'a self, caller: &'a Caller, ask: Ask) -> BoxFuture<'a, Result<Value>>;
    /// A message between managers; only asked for managers.
    fn raft<'a>(&'a self, caller: &'a Caller, message: Vec<u8>) -> BoxFuture<'a, Result<Vec<u8>>>;
    /// An agent's session, until it ends.
    fn session<'a>(&'a self, caller: &'a Caller, ear: Ear<AgentSays>, mouth: Mouth<ManagerSays>) -> BoxFuture<'a, Result<()>>;
    /// An agent tells what its tasks say, because it was asked to under this number.
    fn told_logs<'a>(&'a self, caller: &'a Caller, id: u64, ear: Ear<Portion>) -> BoxFuture<'a, Result<()>>;
    /// Another manager wants to hear what tasks say.
    fn tell_logs<'a>(
        &'a self,
        caller: &'a Caller,
        wish: LogsWish,
        ear: Ear<()>,
        mouth: Mouth<Portion>,
    ) -> BoxFuture<'a, Result<()>>;
}

/// Takes calls until `closing` is true. `papers` may change: a node's certificate is renewed now and then.
pub async fn serve(
    listener: TcpListener,
    papers: watch::Receiver<Arc<ServerConfig>>,
    clerk: Arc<dyn Clerk>,
    mut closing: watch::Receiver<bool>,
) {
    let mut calls = tokio::task::JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, address)) => {
                    let acceptor = TlsAcceptor::from(papers.borrow().clone());
                    let clerk = clerk.clone();
                    calls.spawn(async move {
                        if let Err(error) = call(stream, address, acceptor, clerk).await {
                            tracing::debug!(%address, "a call ended: {}", error.message());
                        }
                    });
                }
                Err(error) => {
                    tracing::warn!("nobody can call this manager now: {error}");
                    tokio::time::sleep(Duration::from_millis(100)).await; // out of descriptors, most likely
                }
            },
            Some(_) = calls.join_next() => {}
            () = told_to_stop(&mut closing) => return, // with the set, all calls end
        }
    }
}

async fn told_to_stop(closing: &mut watch::Receiver<bool>) {
    let _ = closing.wait_for(|stop| *stop).await; // whoever could tell us is gone: that is an answer too
}

async fn call(stream: TcpStream, address: SocketAddr, acceptor: TlsAcceptor, clerk: Arc<dyn Clerk>) -> Result<()> {
    let _ = stream.set_nodelay(true);
    let late = |_| Error::unavailable("a caller took too long");
    let stream = tokio::time::timeout(STRANGER, acceptor.accept(stream))
        .await
        .map_err(late)?
        .map_err(|e| Error::forbidden(e.to_string()).during("shake hands with a caller"))?;
    let shown = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
    let subject = shown.map(|certificate| identity::subject(certificate)).transpose()?;
    let caller = Caller { subject, address };
    let mut stream: Box<dyn Stream> = Box::new(stream);
    loop {
        let next = match caller.subject {
            Some(_) => frame::receive(&mut stream, frame::LIMIT).await?,
            None => {
                let next = frame::receive(&mut stream, frame::OF_A_STRANGER);
                tokio::time::timeout(STRANGER, next).await.map_err(late)??
            }
        };
        let Some((kind, payload)) = next else { return Ok(()) };
        let answer = match kind {
            Kind::Ask => asked(&caller, clerk.as_ref(), &payload).await,
            Kind::Raft => match caller.manager() {
                Ok(_) => clerk.raft(&caller, payload).await,
                Err(error) => Err(error),
            },
            Kind::Session => {
                caller.node()?;
                frame::send(&mut stream, Kind::Ok, &[]).await?;
                let (ear, mouth) = line(stream);
                return clerk.session(&caller, ear, mouth).await;
            }
            Kind::Tell => {
                caller.node()?;
                let id = <[u8; 8]>::try_from(payload.as_slice()).map(u64::from_be_bytes);
                let id = id.map_err(|_| Error::invalid("logs of no number"))?;
                frame::send(&mut stream, Kind::Ok, &[]).await?;
                let (ear, _mouth) = line::<_, ()>(stream);
                return clerk.told_logs(&caller, id, ear).await;
            }
            Kind::Hear => {
                caller.manager()?;
                let wish = serde_json::from_slice(&payload).map_err(|e| Error::invalid(e.to_string()))?;
                frame::send(&mut stream, Kind::Ok, &[]).await?;
                let (ear, mouth) = line(stream);
                return clerk.tell_logs(&caller, wish, ear, mouth).await;
            }
            Kind::Ok | Kind::Error => return Err(Error::invalid("an answer came where a question belongs")),
        };
        match answer {
            Ok(bytes) => frame::send(&mut stream, Kind::Ok, &bytes).await?,
            Err(error) => {
                let text = serde_json::to_vec(&error.to_wire()).map_err(|e| Error::system(e.to_string()))?;
                frame::send(&mut stream, Kind::Error, &text).await?;
            }
        }
    }
}

async fn asked(caller: &Caller, clerk: &dyn Clerk, payload: &[u8]) -> Result<Vec<u8>> {
    let ask: Ask = serde_json::from_slice(payload).map_err(|e| Error::invalid(e.to_string()).during("read a question"))?;
    match &ask {
        Ask::Root | Ask::Join { .. } => {}
        Ask::Renew { .. } | Ask::Attach(_) | Ask::Farewell => drop(caller.node()?),
        Ask::Enlist { .. } | Ask::Wish(_) | Ask::Resign | Ask::Relay { .. } => drop(caller.manager()?),
    }
    let answer = clerk.answer(caller, ask).await?;
    serde_json::to_vec(&answer).map_err(|e| Error::system(e.to_string()))
}
