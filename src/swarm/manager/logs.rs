//! # Logs: what tasks say, gathered from every node
//!
//! The lines lie on the nodes; only the leader has agents on the line. So any manager that is asked asks the leader, the leader asks
//! the nodes concerned, and each of them calls back on a connection of its own, so that a node that talks much holds up
//! nobody's heartbeat and is itself held up by a reader who does not read.
//!
//! ```text
//!   reader ◄── manager ◄── Hear ── leader ── Logs { id } ──► agent (its session)
//!                                    ▲                         │
//!                                    └──────── Tell(id) ◄──────┘   portions, the last one says so
//! ```
//!
//! Nodes that are not on the line are named at the end: what is missing is said, as Docker does.
//!
//! Laws: when the reader goes, every connection made for it goes; a node speaks for itself only, and whatever becomes of its
//! connection, it is waited for no longer. *See:* swarmkit `manager/logbroker`.
//! *Next room:* [`crate::agent::logs`]

use super::Manager;
use crate::{
    agent::logs::{LogLine, LogsWish, Portion},
    dispatcher::sessions::Order,
    store::Tables,
    wire::{
        desk::Caller,
        line::{Ear, Mouth},
    },
};
use minidock_base::{Error, Result};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::sync::mpsc;

/// Portions and lines that may wait for a reader.
const WAITING: usize = 16;
/// Lines that go together between managers.
const TOGETHER: usize = 256;
/// A node that was asked calls back within this time.
const CALL_BACK: Duration = Duration::from_secs(10);

/// Who waits for which lines.
#[derive(Default)]
pub struct Exchange {
    /// By a number drawn at random: only who was asked knows it.
    waiting: Mutex<HashMap<u64, mpsc::Sender<Told>>>,
}

/// What a node tells, or that it has begun (`None`).
type Told = (String, Option<Portion>);

impl Exchange {
    fn open(&self) -> (u64, mpsc::Receiver<Told>) {
        let id = rand::random();
        let (tx, rx) = mpsc::channel(WAITING);
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).insert(id, tx);
        (id, rx)
    }

    fn close(&self, id: u64) {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
    }

    /// A node tells; until it has told all, or nobody listens. A connection that breaks ends what it tells, and the reader is told why.
    ///
    /// # Errors
    /// 403: the caller is no node.
    pub async fn hear(&self, caller: &Caller, id: u64, mut ear: Ear<Portion>) -> Result<()> {
        let node = caller.node()?.node_id.clone();
        let known = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).get(&id).cloned();
        let Some(listener) = known else { return Ok(()) };
        if listener.send((node.clone(), None)).await.is_err() {
            return Ok(());
        }
        loop {
            let portion = tokio::select! {
                portion = ear.hear() => portion,
                () = listener.closed() => return Ok(()),
            };
            let end = |error| Portion { error, last: true, ..Portion::default() };
            let mut portion = match portion {
                Ok(portion) => portion.unwrap_or_else(|| end(None)),
                Err(error) => end(Some(error.to_wire())),
            };
            portion.lines.retain(|line| line.node_id == node);
            let last = portion.last;
            if listener.send((node.clone(), Some(portion))).await.is_err() || last {
                return Ok(());
            }
        }
    }
}

impl Manager {
    /// Lines of tasks wherever they run or ran, as they come: in order within a task. Dropping the receiver ends it.
    ///
    /// # Errors
    /// 503: no leader.
    pub async fn logs(self: &Arc<Self>, wish: LogsWish) -> Result<mpsc::Receiver<Result<LogLine>>> {
        if self.ledger().is_some() {
            return Ok(self.gather(wish));
        }
        let leader = self.leader_address().ok_or_else(|| self.nobody_leads())?;
        let (mut ear, mouth) = self.phone.hear_logs(&leader, &wish).await?;
        let (lines, read) = mpsc::channel(WAITING);
        tokio::spawn(async move {
            let _open = mouth;
            loop {
                let heard = tokio::select! {
                    heard = ear.hear() => heard,
                    () = lines.closed() => return,
                };
                let portion = match heard {
                    Ok(Some(portion)) => portion,
                    Ok(None) => return,
                    Err(error) => return drop(lines.send(Err(error)).await),
                };
                if pass(&lines, &portion).await.is_err() || portion.last {
                    return;
                }
            }
        });
        Ok(read)
    }

    /// As leader: asks the nodes.
    fn gather(self: &Arc<Self>, wish: LogsWish) -> mpsc::Receiver<Result<LogLine>> {
        let concerned = self.view(|tables| nodes_of(tables, &wish));
        let names: BTreeMap<String, String> = self.view(|tables| {
            let named = tables.nodes().map(|n| (n.id.clone(), n.description.hostname.clone()));
            named.collect()
        });
        let mut asked: BTreeSet<String> = concerned.clone();
        if wish.follow {
            asked.extend(self.sessions.nodes()); // tasks that are still to come may come anywhere
        }
        let (id, told) = self.exchange.open();
        let (there, absent): (Vec<String>, Vec<String>) =
            asked.into_iter().partition(|node| self.sessions.order(node, Order::Logs { id, wish: wish.clone() }));
        let absent = absent.into_iter().filter(|node| concerned.contains(node));
        let absent = absent.map(|node| names.get(&node).cloned().unwrap_or(node)).collect();
        let (lines, read) = mpsc::channel(WAITING);
        let manager = self.clone();
        tokio::spawn(async move {
            collect(there.into_iter().collect(), absent, told, lines).await;
            manager.exchange.close(id);
        });
        read
    }
}

/// Nodes on which the tasks in question run, or have run.
fn nodes_of(tables: &Tables, wish: &LogsWish) -> BTreeSet<String> {
    let of_services = wish.service_ids.iter().flat_map(|id| tables.tasks_of_service(id));
    let tasks = wish.task_ids.iter().filter_map(|id| tables.task(id)).chain(of_services);
    tasks.filter(|t| !t.node_id.is_empty()).map(|t| t.node_id.clone()).collect()
}

/// Passes on what nodes tell, until all have told all.
async fn collect(
    mut expected: BTreeSet<String>,
    mut absent: Vec<String>,
    mut told: mpsc::Receiver<Told>,
    lines: mpsc::Sender<Result<LogLine>>,
) {
    let mut begun = BTreeSet::new();
    let deadline = tokio::time::sleep(CALL_BACK);
    tokio::pin!(deadline);
    while !expected.is_empty() {
        tokio::select! {
            portion = told.recv() => match portion {
                Some((node, None)) => drop(begun.insert(node)),
                Some((node, Some(portion))) => {
                    if pass(&lines, &portion).await.is_err() {
                        return;
                    }
                    if portion.last {
                        expected.remove(&node);
                    }
                }
                None => break,
            },
            () = &mut deadline, if !expected.is_subset(&begun) => {
                let silent: Vec<String> = expected.difference(&begun).cloned().collect();
                expected.retain(|node| begun.contains(node));
                absent.extend(silent);
            }
            () = lines.closed() => return,
        }
    }
    if !absent.is_empty() {
        let reasons = absent.iter().map(|node| format!("node {node} is not available")).collect::<Vec<_>>().join(", ");
        let text = "warning: incomplete log stream. some logs could not be retrieved for the following reasons";
        let _ = lines.send(Err(Error::unavailable(format!("{text}: {reasons}")))).await;
    }
}

async fn pass(lines: &mpsc::Sender<Result<LogLine>>, portion: &Portion) -> Result<(), mpsc::error::SendError<Result<LogLine>>> {
    for line in &portion.lines {
        lines.send(Ok(line.clone())).await?;
    }
    match &portion.error {
        Some(error) => lines.send(Err(Error::from_wire(error.clone()))).await,
        None => Ok(()),
    }
}

/// Another manager's reader listens here.
pub async fn tell(manager: &Arc<Manager>, wish: LogsWish, mut ear: Ear<()>, mut mouth: Mouth<Portion>) -> Result<()> {
    let mut lines = match manager.ledger() {
        Some(_) => manager.gather(wish),
        None => return Err(Error::unavailable("this manager is not the leader")),
    };
    let hung_up = async { while let Ok(Some(())) = ear.hear().await {} };
    tokio::pin!(hung_up);
    loop {
        let first = tokio::select! {
            line = lines.recv() => line,
            () = &mut hung_up => return Ok(()),
        };
        let mut portion = Portion { last: first.is_none(), ..Portion::default() };
        let mut next = first;
        while let Some(line) = next {
            match line {
                Ok(line) => portion.lines.push(line),
                Err(error) => portion.error = Some(error.to_wire()),
            }
            next = if portion.lines.len() < TOGETHER { lines.try_recv().ok() } else { None };
        }
        mouth.say(&portion).await?;
        if portion.last {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        agent::logs::LogStream,
        ca::Subject,
        wire::line::{Stream, line},
    };
    use jiff::Timestamp;
    use minidock_spec::swarm::node::Role;
    use std::net::SocketAddr;

    fn caller(node: &str) -> Caller {
        let subject = Subject { node_id: node.into(), role: Role::Worker, cluster_id: "c".into() };
        Caller { subject: Some(subject), address: SocketAddr::from(([127, 0, 0, 1], 1)) }
    }

    fn said_by(node: &str) -> LogLine {
        LogLine {
            task_id: "t".into(),
            node_id: node.into(),
            service_id: String::new(),
            stream: LogStream::Stdout,
            time: Timestamp::UNIX_EPOCH,
            bytes: b"hello\n".to_vec(),
            details: String::new(),
        }
    }

    fn cable() -> (Ear<Portion>, Mouth<Portion>) {
        let (here, there) = tokio::io::duplex(1 << 16);
        let (here, there): (Box<dyn Stream>, Box<dyn Stream>) = (Box::new(here), Box::new(there));
        (line::<_, ()>(here).0, line::<(), _>(there).1)
    }

    #[tokio::test(start_paused = true)]
    async fn a_node_that_never_calls_back_is_named_though_others_are_through() {
        let (tell, told) = mpsc::channel(WAITING);
        let (lines, mut read) = mpsc::channel(WAITING);
        let expected = ["quick".to_string(), "dead".to_string()].into();
        tokio::spawn(collect(expected, Vec::new(), told, lines));
        tell.send(("quick".into(), None)).await.expect("it is listened to");
        tell.send(("quick".into(), Some(Portion { last: true, ..Portion::default() }))).await.expect("it is listened to");
        let missing = tokio::time::timeout(CALL_BACK * 2, read.recv()).await.expect("no longer than it may take");
        let missing = missing.expect("a warning").expect_err("one is missing");
        assert!(missing.message().contains("node dead is not available"), "{}", missing.message());
        assert!(read.recv().await.is_none(), "and that is all");
    }

    #[tokio::test]
    async fn a_connection_that_breaks_ends_what_its_node_tells() {
        let exchange = Exchange::default();
        let (id, mut told) = exchange.open();
        let (here, mut there) = tokio::io::duplex(64);
        let here: Box<dyn Stream> = Box::new(here);
        tokio::io::AsyncWriteExt::write_all(&mut there, b"\0\0\x10\0Shalf").await.expect("half a frame");
        drop(there);
        exchange.hear(&caller("w1"), id, line::<_, ()>(here).0).await.expect("the reader is told, nobody else");
        assert!(matches!(told.recv().await, Some((_, None))));
        let Some((node, Some(portion))) = told.recv().await else { panic!("nothing is told") };
        assert_eq!((node.as_str(), portion.last, portion.error.is_some()), ("w1", true, true));
    }

    #[tokio::test]
    async fn a_node_tells_its_own_lines_only_and_only_under_a_number_it_was_given() {
        let exchange = Exchange::default();
        let (id, mut told) = exchange.open();
        let (next, _) = exchange.open();
        assert_ne!(next, id.wrapping_add(1), "numbers cannot be counted up to");
        let (ear, mut mouth) = cable();
        let portion = Portion { lines: vec![said_by("w1"), said_by("w2")], last: true, ..Portion::default() };
        mouth.say(&portion).await.expect("said");
        exchange.hear(&caller("w1"), id, ear).await.expect("heard");
        assert!(matches!(told.recv().await, Some((_, None))));
        let Some((_, Some(portion))) = told.recv().await else { panic!("nothing is told") };
        assert_eq!(portion.lines, [said_by("w1")]);
    }
}
