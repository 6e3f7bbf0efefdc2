//! # Logs: what the tasks of this node say
//!
//! The containers of the tasks in question are found by their labels; each one's log is read on a thread of its own, and all lines go
//! into one channel, which holds back whoever reads too fast. With `follow`, whatever container of these tasks or services is started
//! later is read too.
//!
//! Laws: nobody who stops listening leaves a reader behind. Only so many logs are followed at once: a reader that waits holds a thread.
//! *See:* [`minidock_swarm::agent::logs`]. *Next room:* [`crate::describe`]

use crate::{Machine, body::TASK_ID};
use futures_util::StreamExt;
use minidock_base::{Error, Result};
use minidock_engine::container::{
    logs::{self, LogOptions, Said},
    store::Container,
};
use minidock_spec::engine::{filters::Filters, stream::Stream};
use minidock_swarm::agent::{
    executor::Here,
    logs::{LogLine, LogStream, LogsWish},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};
use tokio::{
    sync::{Semaphore, mpsc},
    task::JoinSet,
};

/// Lines that may wait for the listener.
const WAITING: usize = 256;
/// So many logs are read at once for one listener.
const READERS: usize = 64;

/// Whose log, and how it is read.
#[derive(Clone)]
struct Reading {
    machine: Machine,
    here: Here,
    wish: Arc<LogsWish>,
    readers: Arc<Semaphore>,
    lines: mpsc::Sender<Result<LogLine>>,
}

/// Tells what the wish asks for.
///
/// # Errors
/// Neither stream is wanted.
pub fn tell(machine: &Machine, here: &Here, wish: LogsWish) -> Result<mpsc::Receiver<Result<LogLine>>> {
    if !wish.stdout && !wish.stderr {
        return Err(Error::invalid("Bad parameters: you must choose at least one stream"));
    }
    let (lines, receiver) = mpsc::channel(WAITING);
    let readers = Arc::new(Semaphore::new(READERS));
    let reading = Reading { machine: machine.clone(), here: here.clone(), wish: Arc::new(wish), readers, lines };
    tokio::spawn(async move {
        let nobody_listens = reading.lines.clone();
        tokio::select! {
            () = all(reading) => {}
            () = nobody_listens.closed() => {}
        }
    });
    Ok(receiver)
}

/// Every container there is, and, with follow, every one that is started later.
async fn all(reading: Reading) {
    let (mut begun, mut readers) = (BTreeSet::new(), JoinSet::new());
    let mut filters = Filters::default();
    filters.add("type", "container");
    filters.add("event", "start");
    let mut started = reading.machine.engine.events.subscribe(None, None, filters);
    for container in reading.machine.engine.containers.all() {
        begin(&reading, container, &mut begun, &mut readers, false);
    }
    if reading.wish.follow {
        loop {
            tokio::select! {
                Some(Ok(event)) = started.next() => {
                    if let Some(container) = reading.machine.engine.containers.get(&event.actor.id) {
                        begin(&reading, container, &mut begun, &mut readers, true);
                    }
                }
                Some(_) = readers.join_next() => {}
                else => break,
            }
        }
    }
    while readers.join_next().await.is_some() {}
}

/// A reader for a container that is meant and not read yet.
fn begin(
    reading: &Reading,
    container: Arc<Container>,
    begun: &mut BTreeSet<String>,
    readers: &mut JoinSet<()>,
    from_the_start: bool,
) {
    let labels = container.record().config.labels.clone();
    if is_meant(&reading.wish, &labels) && begun.insert(container.id.clone()) {
        readers.spawn(read(reading.clone(), container, labels, from_the_start));
    }
}

fn is_meant(wish: &LogsWish, labels: &BTreeMap<String, String>) -> bool {
    let has = |key: &str, wanted: &[String]| labels.get(key).is_some_and(|id| wanted.contains(id));
    has(TASK_ID, &wish.task_ids) || has("com.docker.swarm.service.id", &wish.service_ids)
}

async fn read(reading: Reading, container: Arc<Container>, labels: BTreeMap<String, String>, from_the_start: bool) {
    let Ok(_permit) = reading.readers.acquire().await else { return };
    let wish = &reading.wish;
    let options = LogOptions {
        stdout: wish.stdout,
        stderr: wish.stderr,
        follow: wish.follow && (container.record().state.is_running() || !container.has_ended()),
        tail: wish.tail.filter(|_| !from_the_start),
        since: wish.since,
        until: wish.until,
        ..LogOptions::default()
    };
    let label = |key: &str| labels.get(key).cloned().unwrap_or_default();
    let (task_id, service_id) = (label(TASK_ID), label("com.docker.swarm.service.id"));
    let line = |said: Said| LogLine {
        task_id: task_id.clone(),
        node_id: reading.here.node_id.clone(),
        service_id: service_id.clone(),
        stream: if matches!(said.stream, Stream::Stderr) { LogStream::Stderr } else { LogStream::Stdout },
        time: said.at,
        bytes: said.text.into_bytes(),
        details: if wish.details { said.details } else { String::new() },
    };
    let named = |e: Error| e.during(format!("read the log of {}", container.record().name));
    match logs::entries(&reading.machine.engine, &container, options) {
        Err(error) => drop(reading.lines.send(Err(named(error))).await),
        Ok(mut said) => {
            while let Some(said) = said.recv().await {
                if reading.lines.send(said.map(line).map_err(named)).await.is_err() {
                    return;
                }
            }
        }
    }
}
