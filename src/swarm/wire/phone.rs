//! # The phone: calling a manager
//!
//! Opens a connection, checks that a manager of this swarm answers, asks. Connections are kept for the next call to the same
//! address, because managers speak with each other all the time; one that has died in the meantime is replaced, once, without a word.
//!
//! Laws: no answer is waited for without end. Of a cut cable the kernel tells nothing for many minutes: what is sent goes into its
//! buffers, and reading waits. Who did not answer in time may have understood the question, so it is not put again here.
//!
//! *Next room:* [`super::frame`]

use super::{
    Ask,
    frame::{self, Kind},
    line::{AgentSays, Ear, ManagerSays, Mouth, Stream, line},
};
use crate::{
    agent::logs::{LogsWish, Portion},
    ca::identity,
};
use minidock_base::{Error, Result, error::Wire};
use rustls::ClientConfig;
use serde_json::Value;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::TlsConnector;

/// Connecting and shaking hands may take so long.
const CONNECT: Duration = Duration::from_secs(5);
/// The answer to a question may take so long: the leader may have to count in a manager that is far behind.
const ANSWER: Duration = Duration::from_secs(45);
/// Nothing has to be thought about before a line is opened.
const LINE: Duration = Duration::from_secs(5);
/// Between managers; consensus itself waits less, except for its whole state.
const RAFT: Duration = Duration::from_secs(10);
/// So many unused connections are kept for each address.
const KEPT: usize = 4;

type Connection = Box<dyn Stream>;

/// Calls managers with one set of papers.
pub struct Phone {
    papers: Mutex<Arc<ClientConfig>>,
    idle: Mutex<HashMap<String, Vec<Connection>>>,
}

impl Phone {
    pub fn new(papers: Arc<ClientConfig>) -> Phone {
        Phone { papers: Mutex::new(papers), idle: Mutex::default() }
    }

    /// Calls with new papers from now on.
    pub fn renew(&self, papers: Arc<ClientConfig>) {
        *self.papers.lock().unwrap_or_else(PoisonError::into_inner) = papers;
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Asks the manager at `address` (`10.0.0.1:2377`).
    ///
    /// # Errors
    /// Nobody answers there, it is no manager of this swarm, or what it says: its error as it made it.
    pub async fn ask(&self, address: &str, ask: &Ask) -> Result<Value> {
        let question = serde_json::to_vec(ask).map_err(|e| Error::system(e.to_string()))?;
        read(&self.call(address, Kind::Ask, &question, ANSWER).await?)
    }

    /// Calls, and asks nothing yet: as long as this has not succeeded, giving up and calling elsewhere can do no harm.
    ///
    /// # Errors
    /// Nobody answers there, or it is no manager of this swarm.
    pub async fn reach(&self, address: &str) -> Result<Reached> {
        self.connect(address).await.map(Reached)
    }

    /// Carries a message between managers.
    ///
    /// # Errors
    /// As for [`Phone::ask`].
    pub async fn raft(&self, address: &str, message: &[u8]) -> Result<Vec<u8>> {
        self.call(address, Kind::Raft, message, RAFT).await
    }

    /// Begins a session.
    ///
    /// # Errors
    /// As for [`Phone::ask`].
    pub async fn session(&self, address: &str) -> Result<(Ear<ManagerSays>, Mouth<AgentSays>)> {
        let mut connection = self.connect(address).await?;
        in_time(LINE, exchange(&mut connection, Kind::Session, &[])).await??;
        Ok(line(connection))
    }

    /// Tells what tasks say, in answer to [`ManagerSays::Logs`]. When the other side hangs up, nobody listens any more.
    ///
    /// # Errors
    /// As for [`Phone::ask`].
    pub async fn tell_logs(&self, address: &str, id: u64) -> Result<(Ear<()>, Mouth<Portion>)> {
        let mut connection = self.connect(address).await?;
        in_time(LINE, exchange(&mut connection, Kind::Tell, &id.to_be_bytes())).await??;
        Ok(line(connection))
    }

    /// Listens to what tasks say, by way of the leader.
    ///
    /// # Errors
    /// As for [`Phone::ask`].
    pub async fn hear_logs(&self, address: &str, wish: &LogsWish) -> Result<(Ear<Portion>, Mouth<()>)> {
        let mut connection = self.connect(address).await?;
        let wish = serde_json::to_vec(wish).map_err(|e| Error::system(e.to_string()))?;
        in_time(LINE, exchange(&mut connection, Kind::Hear, &wish)).await??;
        Ok(line(connection))
    }

    async fn call(&self, address: &str, kind: Kind, payload: &[u8], limit: Duration) -> Result<Vec<u8>> {
        if let Some(mut kept) = self.take(address) {
            match timeout(limit, exchange(&mut kept, kind, payload)).await {
                Ok(Ok(answer)) => {
                    self.keep(address, kept);
                    return answer;
                }
                Ok(Err(_)) => {} // it has died in the meantime
                Err(_) => return Err(silent(limit)),
            }
        }
        let mut connection = self.connect(address).await?;
        let answer = in_time(limit, exchange(&mut connection, kind, payload)).await?;
        self.keep(address, connection);
        answer
    }

    fn take(&self, address: &str) -> Option<Connection> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).get_mut(address)?.pop()
    }

    fn keep(&self, address: &str, connection: Connection) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = idle.entry(address.to_string()).or_default();
        if kept.len() < KEPT {
            kept.push(connection);
        }
    }

    async fn connect(&self, address: &str) -> Result<Connection> {
        let papers = self.papers.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let connecting = async {
            let stream = TcpStream::connect(address).await?;
            let _ = stream.set_nodelay(true);
            TlsConnector::from(papers).connect(identity::manager_name(), stream).await
        };
        let why = || format!("call the manager at {address}");
        match timeout(CONNECT, connecting).await {
            Ok(Ok(stream)) => Ok(Box::new(stream)),
            Ok(Err(error)) => Err(identity::refused(&error).during(why())),
            Err(_) => Err(silent(CONNECT).during(why())),
        }
    }
}

/// A manager that was reached and not asked yet.
pub struct Reached(Connection);

impl Reached {
    /// Asks.
    ///
    /// # Errors
    /// As for [`Phone::ask`]; the question may have been understood all the same.
    pub async fn ask(mut self, ask: &Ask) -> Result<Value> {
        let question = serde_json::to_vec(ask).map_err(|e| Error::system(e.to_string()))?;
        let answer = in_time(ANSWER, exchange(&mut self.0, Kind::Ask, &question)).await??;
        read(&answer)
    }
}

fn read(answer: &[u8]) -> Result<Value> {
    serde_json::from_slice(answer).map_err(|e| Error::invalid(e.to_string()).during("read a manager's answer"))
}

fn silent(limit: Duration) -> Error {
    Error::unavailable(format!("no answer within {} s", limit.as_secs()))
}

async fn in_time<T>(limit: Duration, answered: impl Future<Output = Result<T>>) -> Result<T> {
    timeout(limit, answered).await.unwrap_or_else(|_| Err(silent(limit)))
}

/// One question, one answer. The outer error: the connection is of no use any more.
async fn exchange(connection: &mut Connection, kind: Kind, payload: &[u8]) -> Result<Result<Vec<u8>>> {
    frame::send(connection, kind, payload).await?;
    match frame::receive(connection, frame::LIMIT).await? {
        Some((Kind::Ok, answer)) => Ok(Ok(answer)),
        Some((Kind::Error, text)) => {
            let wire: Wire = serde_json::from_slice(&text).map_err(|e| Error::invalid(e.to_string()))?;
            Ok(Err(Error::from_wire(wire)))
        }
        Some((kind, _)) => Err(Error::invalid(format!("a {kind:?} frame came as an answer"))),
        None => Err(Error::unavailable("the manager has hung up").hint("its certificate or ours may not be of the same swarm")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::Instant;

    #[tokio::test(start_paused = true)]
    async fn whoever_takes_a_question_and_is_silent_is_not_waited_for_without_end_nor_asked_again() {
        let phone = Phone::new(identity::newcomer().expect("papers"));
        let nobody = "127.0.0.1:1"; // who calls there hears at once that nobody answers
        let (kept, _cut_cable) = tokio::io::duplex(1 << 16);
        phone.keep(nobody, Box::new(kept));
        let since = Instant::now();
        let error = phone.ask(nobody, &Ask::Root).await.expect_err("no answer");
        assert!(error.message().contains("no answer within 45 s"), "{}", error.message());
        assert_eq!(since.elapsed().as_secs(), ANSWER.as_secs());
        let (dead, gone) = tokio::io::duplex(1 << 16);
        drop(gone);
        phone.keep(nobody, Box::new(dead));
        let error = phone.ask(nobody, &Ask::Root).await.expect_err("nobody is there");
        assert!(error.message().contains("call the manager at"), "it was called anew: {}", error.message());
    }
}
