//! # Restart: policies and back-off
//!
//! A policy says whether a container that ended is started again, and the back-off says when: 100 ms, then twice as long
//! each time, up to a minute, so that a program which dies at once does not eat the machine. Who ran for ten seconds begins
//! anew.
//!
//! ```text
//!   policy            exit 0   exit 1   stopped by a person   daemon came back
//!   no                –        –        –                     –
//!   on-failure[:n]    –        again    –                     again, if it failed
//!   always            again    again    –                     again, even then
//!   unless-stopped    again    again    –                     again, unless stopped
//! ```
//!
//! * [`wanted`] is the table as a pure function; [`decide`] adds the back-off; [`later`] waits and starts.
//!
//! Laws: while it waits, the container counts as running (`Restarting`) and `stop` ends the waiting.
//! *See:* moby `restartmanager`. *Next room:* [`crate::container::wait`]

use crate::{
    Engine,
    container::{
        publish,
        record::Phase,
        record::Record,
        start,
        store::{Container, Kept},
    },
    exits,
};
use minidock_base::clock;
use minidock_spec::engine::container::RestartPolicy;
use std::{sync::Arc, time::Duration};

const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(60);
/// Who ran for so long was healthy.
const HEALTHY: Duration = Duration::from_secs(10);

/// Whether the policy wants the container started again.
pub fn wanted(policy: &RestartPolicy, exit_code: i64, stopped_by_hand: bool, restarts: i64) -> bool {
    match policy.name.as_str() {
        _ if stopped_by_hand => false,
        "always" | "unless-stopped" => true,
        "on-failure" => exit_code != 0 && (policy.maximum_retry_count == 0 || restarts < policy.maximum_retry_count),
        _ => false,
    }
}

/// How long to wait before the next start; `None`: there will be none.
pub(crate) fn decide(container: &Container, record: &Record, exit_code: i64, ran: Duration) -> Option<Duration> {
    let policy = &record.host_config.restart_policy;
    if !wanted(policy, exit_code, record.manually_stopped, record.restart_count) {
        return None;
    }
    let mut back_off = container.back_off.lock().expect("no holder panics");
    *back_off = next(*back_off, ran);
    Some(*back_off)
}

fn next(last: Duration, ran: Duration) -> Duration {
    match ran >= HEALTHY || last.is_zero() {
        true => FIRST,
        false => (last * 2).min(LONGEST),
    }
}

/// Waits, then starts it again, unless somebody stopped or removed it meanwhile.
pub(crate) fn later(engine: &Arc<Engine>, container: &Arc<Container>, wait: Duration) {
    let (engine, container) = (engine.clone(), container.clone());
    tokio::spawn(async move {
        let mut turns = container.turns();
        turns.mark_unchanged();
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            _ = turns.changed() => return, // stopped, or gone
        }
        again(&engine, &container).await;
    });
}

/// The start itself; a failure ends the waiting for good.
pub(crate) async fn again(engine: &Arc<Engine>, container: &Arc<Container>) {
    let life = container.life.lock().await;
    if container.record().state.phase != Phase::Restarting {
        return;
    }
    if let Err(error) = start::begin(engine, container, false).await {
        tracing::warn!(id = container.id, "the restart policy could not start it: {}", error.message());
        give_up(engine, container);
        drop(life);
        exits::remove_if_asked(engine, container).await;
    }
}

/// From waiting to ended.
pub(crate) fn give_up(engine: &Engine, container: &Container) {
    let ended = container.change_and_count(Kept::OnDisk, |r| {
        let (code, at) = (r.state.exit_code, r.state.finished_at.unwrap_or_else(clock::now));
        r.state.ended(Phase::Exited, code, r.state.oom_killed, at)
    });
    if let Err(error) = ended {
        tracing::error!(id = container.id, "could not end its restarting: {}", error.message());
    }
    if container.stopping.swap(false, std::sync::atomic::Ordering::Relaxed) {
        publish(engine, &container.record(), "stop", &[]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(name: &str, most: i64) -> RestartPolicy {
        RestartPolicy { name: name.into(), maximum_retry_count: most }
    }

    #[test]
    fn policies_follow_the_table() {
        assert!(wanted(&policy("always", 0), 0, false, 99) && !wanted(&policy("always", 0), 1, true, 0));
        assert!(wanted(&policy("on-failure", 2), 1, false, 1) && !wanted(&policy("on-failure", 2), 1, false, 2));
        assert!(!wanted(&policy("on-failure", 0), 0, false, 0) && !wanted(&policy("no", 0), 1, false, 0));
        assert!(wanted(&policy("unless-stopped", 0), 0, false, 0) && !wanted(&policy("", 0), 1, false, 0));
    }

    #[test]
    fn the_back_off_doubles_to_a_minute_and_begins_anew_after_a_healthy_run() {
        let mut wait = Duration::ZERO;
        let waits: Vec<u128> = (0..12)
            .map(|_| {
                wait = next(wait, Duration::ZERO);
                wait.as_millis()
            })
            .collect();
        assert_eq!(waits[..4], [100, 200, 400, 800]);
        assert_eq!(waits[11], 60_000);
        assert_eq!(next(wait, Duration::from_secs(11)), FIRST);
    }
}
