//! # Quiet: what an idle daemon gives back
//!
//! A daemon that has just loaded an image has touched much: heaps that are empty again, code of the start and of the load that
//! nobody will execute soon. When it has been quiet for a while it gives both back, once, and has them again at the first
//! call for some hundred microseconds.
//!
//! ```text
//!   every second: how long did the workers work?   little, and little before, and much since the last time ──► give back
//! ```
//!
//! Laws: who is busy gives nothing back; a quiet daemon does it once and not again.
//! *See:* [`minidock_linux::malloc`]. Next room: [`crate::notify`]

use minidock_linux::malloc;
use std::time::Duration;
use tokio::runtime::Handle;

/// Between two looks.
const LOOK: Duration = Duration::from_secs(1);
/// Work in that time that is no work: timers, heartbeats.
const LITTLE: Duration = Duration::from_millis(10);
/// So many quiet looks in a row.
const LOOKS: u32 = 2;

/// Watches over the daemon's memory for as long as it lives.
pub(crate) async fn watch() {
    let (mut before, mut quiet) = (Duration::ZERO, Quiet::default());
    loop {
        tokio::time::sleep(LOOK).await;
        let worked = worked();
        if quiet.look(worked.saturating_sub(before)) {
            give_back();
        }
        before = worked;
    }
}

/// How long all workers have worked, since the start.
fn worked() -> Duration {
    let metrics = Handle::current().metrics();
    (0..metrics.num_workers()).map(|one| metrics.worker_total_busy_duration(one)).sum()
}

fn give_back() {
    malloc::trim();
    if let Err(failed) = malloc::let_code_go() {
        tracing::debug!("code that is not used stays mapped: {failed}");
    }
}

/// How many looks found little to do; `None`: what there was to give was given.
#[derive(Debug, PartialEq, Eq)]
struct Quiet(Option<u32>);

impl Default for Quiet {
    /// The start itself was work.
    fn default() -> Quiet {
        Quiet(Some(0))
    }
}

impl Quiet {
    /// Whether it is time, after another look that found so much work.
    fn look(&mut self, work: Duration) -> bool {
        self.0 = match (work > LITTLE, self.0) {
            (true, _) => Some(0),
            (false, None) => None,
            (false, Some(looks)) => Some(looks + 1),
        };
        let now = self.0 == Some(LOOKS);
        if now {
            self.0 = None;
        }
        now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_was_busy_and_is_quiet_gives_back_and_only_once() {
        let (much, little) = (LITTLE * 2, LITTLE / 2);
        let mut quiet = Quiet::default();
        let mut looks = |work: &[Duration]| work.iter().map(|one| quiet.look(*one)).collect::<Vec<_>>();
        assert_eq!(looks(&[little, little, little, little]), [false, true, false, false], "after the start");
        assert_eq!(looks(&[much, much, little, much, little]), [false; 5], "a pause is not quiet");
        assert_eq!(looks(&[little, little]), [true, false]);
    }
}
