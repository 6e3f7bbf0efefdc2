//! # Health: the check, the streak, the verdict
//!
//! A process that runs is not yet a service that answers. So an image or a user may name a command that finds out
//! (`HEALTHCHECK`, `--health-cmd`): it is run inside the container again and again, and its exit codes become one word.
//!
//! ```text
//!   start ──► starting ──0──► healthy ◄──0──┐
//!                │               │          │
//!                └─ retries ×≠0 ─┴────► unhealthy
//!                   (not counted during the start period, as long as it never was healthy)
//! ```
//!
//! * [`begin`] is called when a process of the container has begun, by start or by a restart; [`resume`] by restore. The task
//!   they make ends by itself when that process does.
//! * [`verdict`] is the diagram above as a plain function; [`pause_before`] is how long to wait for the next check.
//! * A check is an ordinary exec ([`crate::container::exec`]): the same user, environment and limits. One that takes too
//!   long is killed and counts as failed. Its first 4 KiB of output and the last five results are kept.
//!
//! Laws: a paused container is not asked; only a change of the verdict is written to disk and told as an event.
//! See: moby `daemon/health.go` · Dockerfile reference, HEALTHCHECK. Next room: [`crate::container::restart`]

use crate::{
    Engine,
    container::{
        exec, publish,
        record::{Phase, Record},
        store::Container,
    },
};
use jiff::Timestamp;
use minidock_base::{
    Error, Result,
    clock::{self, rfc3339},
};
use minidock_linux::signal;
use minidock_spec::engine::{
    container::{Health, HealthConfig, HealthResult},
    exec::{ExecCreate, ExecStart},
    stream::Deframer,
};
use std::{sync::Arc, time::Duration};
use tokio::io::AsyncReadExt;

/// How much output of one check is kept.
const OUTPUT: usize = 4096;
/// How many results are kept.
const RESULTS: usize = 5;

/// A process of the container has begun: the verdict is open again, and asking begins.
pub fn begin(engine: &Arc<Engine>, container: &Arc<Container>) {
    let record = container.record();
    let Some(check) = record.config.healthcheck.clone().filter(|c| command(&record, c).is_some()) else { return };
    let opened = container.change(|record| {
        let log = record.health.take().map(|h| h.log).unwrap_or_default();
        record.health = Some(Health { status: "starting".into(), failing_streak: 0, log });
        Ok(())
    });
    if let Err(error) = opened {
        tracing::warn!(container = container.id, "{}", error.message());
    }
    container.judged("starting");
    tokio::spawn(ask_again_and_again(engine.clone(), container.clone(), check));
}

/// The daemon was away and the process is still there: asking goes on where it was.
pub fn resume(engine: &Arc<Engine>, container: &Arc<Container>) {
    let record = container.record();
    if record.health.is_none() {
        return begin(engine, container);
    }
    if let Some(check) = record.config.healthcheck.clone() {
        tokio::spawn(ask_again_and_again(engine.clone(), container.clone(), check));
    }
}

/// The process is about to be gone: what nobody asks any more counts as unhealthy, as with Docker.
pub fn end(container: &Container) {
    container.change_in_memory(|record| {
        if let Some(health) = &mut record.health {
            health.status = "unhealthy".into();
        }
    });
}

/// The loop: until the process that was there at the beginning is gone.
async fn ask_again_and_again(engine: Arc<Engine>, container: Arc<Container>, check: HealthConfig) {
    let (record, mut turns) = container.record_and_turns();
    let Some(began) = record.state.started_at else { return };
    loop {
        let record = container.record();
        if record.state.started_at != Some(began) || !record.state.has_process() {
            return;
        }
        let starting = record.health.as_ref().is_some_and(|h| h.status == "starting");
        tokio::select! {
            _ = turns.changed() => return,
            () = tokio::time::sleep(pause_before(&check, starting, since(began))) => {}
        }
        if container.record().state.phase == Phase::Paused {
            continue;
        }
        let result = tokio::select! {
            _ = turns.changed() => return,
            result = ask(&engine, &container, &check) => result,
        };
        take_in(&engine, &container, &check, result, began);
    }
}

/// How long to wait for the next check.
fn pause_before(check: &HealthConfig, starting: bool, running_for: Duration) -> Duration {
    match starting && running_for < or(check.start_period, Duration::ZERO) {
        true => or(check.start_interval, Duration::from_secs(5)),
        false => or(check.interval, Duration::from_secs(30)),
    }
}

/// Puts a result into the record, and tells when the verdict has changed.
fn take_in(engine: &Engine, container: &Container, check: &HealthConfig, result: HealthResult, began: Timestamp) {
    let in_start_period = since(began) < or(check.start_period, Duration::ZERO);
    let before = container.record().health.clone().unwrap_or_default().status;
    let after = container.change_in_memory(|record| {
        let health = record.health.get_or_insert_default();
        // the process may have ended while the check ran: then `end` has spoken already
        if record.state.has_process() && record.state.started_at == Some(began) {
            verdict(health, result, check.retries, in_start_period);
        }
        health.status.clone()
    });
    if before == after {
        return;
    }
    if let Err(error) = container.change(|_| Ok(())) {
        tracing::warn!(container = container.id, "{}", error.message());
    }
    container.judged(&after);
    publish(engine, &container.record(), &format!("health_status: {after}"), &[]);
}

/// What one more result makes of a container's health.
fn verdict(health: &mut Health, result: HealthResult, retries: i64, in_start_period: bool) {
    let good = result.exit_code == 0;
    health.log.push(result);
    let over = health.log.len().saturating_sub(RESULTS);
    health.log.drain(..over);
    if good {
        health.failing_streak = 0;
        health.status = "healthy".into();
    } else if !(health.status == "starting" && in_start_period) {
        health.failing_streak += 1;
        if health.failing_streak >= if retries > 0 { retries } else { 3 } {
            health.status = "unhealthy".into();
        }
    }
}

/// Runs the check once: an exec, its exit code and the beginning of its output.
async fn ask(engine: &Arc<Engine>, container: &Container, check: &HealthConfig) -> HealthResult {
    let start = rfc3339(clock::now());
    let limit = or(check.timeout, Duration::from_secs(30));
    let (exit_code, output) = match prepare(engine, container, check).await {
        Err(error) => (-1, error.message()),
        Ok(exec) => match tokio::time::timeout(limit, run(engine, &exec)).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => (-1, error.message()),
            Err(_) => {
                kill(engine, &exec).await;
                (-1, format!("Health check exceeded timeout ({limit:?})"))
            }
        },
    };
    HealthResult { start, end: rfc3339(clock::now()), exit_code, output }
}

async fn prepare(engine: &Arc<Engine>, container: &Container, check: &HealthConfig) -> Result<String> {
    let cmd = command(&container.record(), check).ok_or_else(|| Error::invalid("no health check"))?;
    let wish = ExecCreate { attach_stdout: true, attach_stderr: true, cmd, ..ExecCreate::default() };
    Ok(exec::create(engine, &container.id, wish).await?.id)
}

async fn run(engine: &Arc<Engine>, exec: &str) -> Result<(i64, String)> {
    let Some(attached) = exec::start(engine, exec, ExecStart::default()).await? else {
        return Err(Error::system("the health check could not be attached to"));
    };
    let (ours, theirs) = tokio::io::duplex(8192);
    let (pumped, output) = tokio::join!(attached.join(theirs), first_bytes(ours));
    pumped?;
    Ok((exec::inspect(engine, exec).await?.exit_code.unwrap_or(-1), output))
}

/// Ends a check that takes too long; one that has ended by itself meanwhile is fine.
async fn kill(engine: &Arc<Engine>, exec: &str) {
    let pid = exec::inspect(engine, exec).await.map_or(0, |facts| if facts.running { facts.pid } else { 0 });
    if let Ok(pid @ 1..) = i32::try_from(pid) {
        let _ = signal::kill(pid, 9);
    }
}

/// The first 4 KiB of both streams; the rest is read and thrown away.
async fn first_bytes(mut stream: tokio::io::DuplexStream) -> String {
    let (mut frames, mut kept, mut cut) = (Deframer::new(), Vec::new(), false);
    let mut buffer = [0; 4096];
    while let Ok(n @ 1..) = stream.read(&mut buffer).await {
        let fed = frames.feed(&buffer[..n], |_, bytes| {
            let room = (OUTPUT - kept.len()).min(bytes.len());
            kept.extend_from_slice(&bytes[..room]);
            cut |= room < bytes.len();
        });
        if fed.is_err() {
            break;
        }
    }
    let text = String::from_utf8_lossy(&kept);
    if cut { format!("{text}...") } else { text.into_owned() }
}

/// The words of the check; none for `NONE` and for nothing.
fn command(record: &Record, check: &HealthConfig) -> Option<Vec<String>> {
    let (kind, rest) = check.test.split_first()?;
    match kind.as_str() {
        "CMD" if !rest.is_empty() => Some(rest.to_vec()),
        "CMD-SHELL" if !rest.is_empty() => {
            let shell = record.config.shell.clone().filter(|s| !s.is_empty());
            let mut words = shell.unwrap_or_else(|| vec!["/bin/sh".into(), "-c".into()]);
            words.push(rest.join(" "));
            Some(words)
        }
        _ => None,
    }
}

fn since(began: Timestamp) -> Duration {
    Duration::try_from(clock::now().duration_since(began)).unwrap_or_default()
}

/// Nanoseconds, or a default for zero.
fn or(nanos: i64, default: Duration) -> Duration {
    if nanos > 0 { Duration::from_nanos(nanos as u64) } else { default }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(exit_code: i64) -> HealthResult {
        HealthResult { exit_code, ..HealthResult::default() }
    }

    fn after(codes: &[i64], retries: i64, in_start_period: bool) -> Health {
        let mut health = Health { status: "starting".into(), ..Health::default() };
        codes.iter().for_each(|code| verdict(&mut health, result(*code), retries, in_start_period));
        health
    }

    #[test]
    fn three_failures_in_a_row_are_unhealthy_and_one_success_heals() {
        assert_eq!(after(&[1, 1], 0, false).status, "starting");
        assert_eq!(after(&[1, 1, 1], 0, false).status, "unhealthy");
        assert_eq!(after(&[1, 1, 0, 1, 1], 3, false).status, "healthy");
        assert_eq!(after(&[1, 1, 1, 0], 3, false).status, "healthy");
        assert_eq!(after(&[1; 9], 3, false).log.len(), RESULTS);
    }

    #[test]
    fn failures_do_not_count_while_it_starts() {
        assert_eq!(after(&[1; 9], 1, true).status, "starting");
        assert_eq!(after(&[0, 1], 1, true).status, "unhealthy", "once it was healthy they do");
    }

    #[test]
    fn it_is_asked_more_often_while_it_starts() {
        let check = HealthConfig { start_period: 10_000_000_000, start_interval: 1_000_000_000, ..HealthConfig::default() };
        assert_eq!(pause_before(&check, true, Duration::from_secs(3)), Duration::from_secs(1));
        assert_eq!(pause_before(&check, false, Duration::from_secs(3)), Duration::from_secs(30));
        assert_eq!(pause_before(&check, true, Duration::from_secs(11)), Duration::from_secs(30));
    }
}
