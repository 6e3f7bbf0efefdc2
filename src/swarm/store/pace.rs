//! # Pace: the time that delays are counted in
//!
//! Restart delays, monitors and windows are differences of times that stand in the tables, and leaders write those by their own clocks. When the next leader's
//! clock is an hour behind, a pause of five seconds would last an hour; when it is an hour ahead, none at all; and a clock may be set while its owner leads.
//! So no leader counts on its wall clock alone: it goes on from the time that the tables have reached.
//!
//! ```text
//!   a batch of the leader's, stamped 10:00:05 ──► heard: it is 10:00:05, and so many seconds later as this process counts
//!   this manager leads ──► it goes on from there, and comes nearer to its own wall clock bit by bit ([`Steady`])
//!   nothing was heard since the start ──► its own clock, but never earlier than anything in the tables
//! ```
//!
//! Laws: no leader's time is earlier than what its tables say, nor goes back; a follower takes the leader's word each time.
//! *Next room:* [`super::replica`]

use jiff::Timestamp;
use minidock_base::clock::{self, Steady};
use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Instant,
};

/// The time of the swarm, as one manager knows it.
#[derive(Default)]
pub struct Pace(Mutex<Known>);

#[derive(Default)]
enum Known {
    #[default]
    Nothing,
    /// By the leader's batches.
    Heard(Steady),
    /// This manager leads.
    Own(Steady),
}

impl Pace {
    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A batch was applied that was stamped with `at`.
    pub fn heard(&self, at: Timestamp) {
        let mut known = self.lock();
        if !matches!(*known, Known::Own(_)) {
            *known = Known::Heard(Steady::from(at, Instant::now()));
        }
    }

    /// What was applied until now is history: how long ago it was, nobody knows.
    pub fn forget(&self) {
        *self.lock() = Known::Nothing;
    }

    /// This manager leads; nothing in its tables is newer than `newest`.
    pub fn lead(&self, newest: Option<Timestamp>) {
        let mut known = self.lock();
        let now = read(&mut known);
        *known = Known::Own(Steady::from(newest.map_or(now, |newest| now.max(newest)), Instant::now()));
    }

    /// It does not lead any more.
    pub fn follow(&self) {
        let mut known = self.lock();
        if let Known::Own(steady) = *known {
            *known = Known::Heard(steady);
        }
    }

    /// What time it is in the swarm.
    pub fn now(&self) -> Timestamp {
        read(&mut self.lock())
    }
}

fn read(known: &mut Known) -> Timestamp {
    match known {
        Known::Nothing => clock::now(),
        Known::Heard(steady) | Known::Own(steady) => steady.read(clock::now(), Instant::now()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::SignedDuration;

    const HOUR: SignedDuration = SignedDuration::from_hours(1);
    const SOON: SignedDuration = SignedDuration::from_secs(1);

    fn near(pace: &Pace, wanted: Timestamp) -> bool {
        pace.now().duration_since(wanted).abs() < SOON
    }

    #[test]
    fn a_new_leader_goes_on_from_the_old_ones_time_whichever_clock_is_wrong() {
        for off in [HOUR, -HOUR] {
            let (pace, theirs) = (Pace::default(), Timestamp::now() + off);
            pace.heard(theirs);
            pace.lead(Some(theirs - SOON));
            assert!(near(&pace, theirs));
            pace.heard(Timestamp::UNIX_EPOCH); // its own batch, or one that was on its way: who leads says what time it is
            assert!(near(&pace, theirs));
            pace.follow();
            assert!(near(&pace, theirs));
        }
    }

    #[test]
    fn who_has_only_read_its_log_takes_its_own_clock_but_nothing_in_the_tables_lies_ahead_of_it() {
        let (pace, now) = (Pace::default(), Timestamp::now());
        pace.heard(now - HOUR);
        pace.forget();
        pace.lead(Some(now - HOUR));
        assert!(near(&pace, now));
        pace.follow();
        pace.forget();
        pace.lead(Some(now + HOUR));
        assert!(near(&pace, now + HOUR));
    }
}
