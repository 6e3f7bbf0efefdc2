//! # Stop: ask, wait, insist
//!
//! A program should have a chance to put its affairs in order. So `stop` sends the container's stop signal (SIGTERM unless
//! the image says otherwise), waits, and only then sends SIGKILL, which nobody can refuse. `kill` sends one signal and,
//! if that was SIGKILL, waits for the end.
//!
//! ```text
//!   stop ──► "kill" signal=15 ──► ends within the timeout ──► "stop" "die"
//!                           └───► does not ──► "kill" signal=9 ──► does not even then ──► the runtime, the kernel
//! ```
//!
//! * A container that only waits for its restart policy is stopped by ending the waiting.
//! * A frozen one gets its stop signal thawed: signals do not reach frozen processes.
//! * When the shim is gone, the signal goes to the process directly, if its number still means the same process.
//!
//! Laws: whoever stops it by hand is remembered (`manually_stopped`), so no policy starts it again.
//! *See:* moby `daemon/stop.go`, `daemon/kill.go`. *Next room:* [`crate::container::pause`]

use crate::{
    Engine,
    container::{
        pause, publish,
        record::{Phase, Record},
        restart as policy, start,
        store::Container,
        to_the_end,
    },
    exits,
};
use minidock_base::{Error, Result};
use minidock_linux::signal;
use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};
use tokio::time::timeout;

/// Seconds between the stop signal and SIGKILL, unless somebody says otherwise.
const GRACE: i64 = 10;
/// How long the end may take after SIGKILL.
const AFTER_KILL: Duration = Duration::from_secs(10);
const SIGTERM: i32 = 15;
const SIGKILL: i32 = 9;

/// Stops a container; `timeout` in seconds, negative: for ever.
///
/// # Errors
/// 304 when it does not run; 400 for an unknown signal.
pub async fn stop(engine: &Arc<Engine>, text: &str, timeout: Option<i64>, signal: Option<&str>) -> Result<()> {
    let container = engine.containers.find(text)?;
    if !container.record().state.is_running() {
        return Err(Error::not_modified("container is already stopped"));
    }
    let (engine, signal) = (engine.clone(), signal.map(str::to_string));
    let stopping = to_the_end(async move { gently(&engine, &container, timeout, signal.as_deref()).await });
    stopping.await.map_err(|e| e.during(format!("stop container {text}")))
}

/// The stop itself: returns when it has ended.
async fn gently(engine: &Arc<Engine>, container: &Arc<Container>, wait: Option<i64>, signal: Option<&str>) -> Result<()> {
    let record = container.record();
    let number = match signal.filter(|s| !s.is_empty()) {
        Some(text) => parse(text)?,
        None => stop_signal(&record),
    };
    let seconds = wait.or(record.config.stop_timeout).unwrap_or(GRACE);
    let mut end = End::of(container);
    container.stopping.store(true, Ordering::Relaxed);
    let sent = send(engine, container, number).await;
    let ended = match (sent, u64::try_from(seconds)) {
        (Err(_), _) => end.within(Duration::from_secs(2)).await,
        (Ok(()), Ok(seconds)) => end.within(Duration::from_secs(seconds)).await,
        (Ok(()), Err(_)) => end.whenever().await,
    };
    match ended {
        true => Ok(()),
        false => at_once(engine, container).await,
    }
}

/// Sends a signal; with SIGKILL (the default), returns when it has ended.
///
/// # Errors
/// 409 `container … is not running`; 400 `invalid signal: x`.
pub async fn kill(engine: &Arc<Engine>, text: &str, signal: Option<&str>) -> Result<()> {
    let number = signal.filter(|s| !s.is_empty()).map_or(Ok(SIGKILL), parse)?;
    let container = engine.containers.find(text)?;
    let doing = |e: Error| e.during(format!("kill container {text}"));
    if !container.record().state.is_running() {
        return Err(doing(Error::conflict(format!("container {} is not running", container.id))));
    }
    let engine = engine.clone();
    let killing = to_the_end(async move {
        match number {
            SIGKILL => at_once(&engine, &container).await,
            number => send(&engine, &container, number).await,
        }
    });
    killing.await.map_err(doing)
}

/// SIGKILL, and if that does not help, the runtime and the kernel.
pub(crate) async fn at_once(engine: &Arc<Engine>, container: &Arc<Container>) -> Result<()> {
    let mut end = End::of(container);
    if !container.record().state.is_running() {
        return Ok(());
    }
    let sent = send(engine, container, SIGKILL).await;
    let patience = if sent.is_ok() { AFTER_KILL } else { Duration::from_secs(1) };
    if end.within(patience).await {
        return Ok(());
    }
    exits::kill_orphans(engine, &container.record()).await;
    match end.within(Duration::from_secs(2)).await {
        true => Ok(()),
        false => Err(Error::system("tried to kill container, but did not receive an exit event")
            .hint("a process in uninterruptible sleep (state D in ps) cannot be killed")),
    }
}

/// Stops it if it runs, and starts it.
///
/// # Errors
/// As [`stop`] and [`start::start`].
pub async fn restart(engine: &Arc<Engine>, text: &str, timeout: Option<i64>, signal: Option<&str>) -> Result<()> {
    let (engine, text, signal) = (engine.clone(), text.to_string(), signal.map(str::to_string));
    to_the_end(async move { down_and_up(&engine, &text, timeout, signal.as_deref()).await }).await
}

async fn down_and_up(engine: &Arc<Engine>, text: &str, timeout: Option<i64>, signal: Option<&str>) -> Result<()> {
    let container = engine.containers.find(text)?;
    if container.record().state.is_running() {
        container.restarting_by_hand.store(true, Ordering::Relaxed);
        let stopped = gently(engine, &container, timeout, signal).await;
        let life = container.life.lock().await; // its leftovers are away
        container.restarting_by_hand.store(false, Ordering::Relaxed);
        drop(life);
        stopped.map_err(|e| e.during(format!("restart container {text}")))?;
    }
    start::start(engine, &container.id).await.or_else(|error| match error.kind() {
        minidock_base::Kind::NotModified => Ok(()),
        _ => Err(error),
    })?;
    publish(engine, &container.record(), "restart", &[]);
    Ok(())
}

/// A signal as typed.
fn parse(text: &str) -> Result<i32> {
    signal::parse(text).ok_or_else(|| {
        Error::invalid(format!("invalid signal: {text}")).hint("a name or number such as SIGTERM, TERM or 15; see kill -l")
    })
}

fn stop_signal(record: &Record) -> i32 {
    record.config.stop_signal.as_deref().and_then(signal::parse).unwrap_or(SIGTERM)
}

/// Sends one signal, remembers that a person did if it is one that ends the container, and says so.
async fn send(engine: &Arc<Engine>, container: &Arc<Container>, number: i32) -> Result<()> {
    let record = container.record();
    let ends = number == SIGKILL || number == stop_signal(&record) || record.config.stop_signal.is_none();
    if ends {
        container.change(|r| {
            r.manually_stopped = true;
            Ok(())
        })?;
    }
    if record.state.phase == Phase::Restarting {
        let _life = container.life.lock().await;
        if container.record().state.phase == Phase::Restarting {
            policy::give_up(engine, container);
            return Ok(());
        }
    }
    deliver(container, &record, number).await?;
    publish(engine, &record, "kill", &[("signal", number.to_string())]);
    if ends && record.state.phase == Phase::Paused {
        pause::thaw(engine, container).await?;
    }
    Ok(())
}

/// By way of the shim, or directly when there is none.
async fn deliver(container: &Container, record: &Record, number: i32) -> Result<()> {
    let by_shim = match container.shim() {
        Ok(shim) => shim.kill(None, number).await,
        Err(error) => Err(error),
    };
    match by_shim {
        Err(_) if exits::is_alive(record.state.pid, record.state.pid_began) => {
            signal::kill(record.state.pid, number).map_err(|failed| Error::system(failed.to_string()))
        }
        other => other,
    }
}

/// The next end of a container, counted from now.
struct End {
    turns: tokio::sync::watch::Receiver<crate::container::store::Turn>,
    before: u64,
}

impl End {
    fn of(container: &Container) -> End {
        let turns = container.turns();
        let before = turns.borrow().exits;
        End { turns, before }
    }

    async fn whenever(&mut self) -> bool {
        let before = self.before;
        self.turns.wait_for(|turn| turn.removed || turn.exits > before).await.is_ok()
    }

    async fn within(&mut self, limit: Duration) -> bool {
        timeout(limit, self.whenever()).await.is_ok()
    }
}
