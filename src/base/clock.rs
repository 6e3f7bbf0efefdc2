//! # The clock: now, as a value that is handed in
//!
//! A decision that reads the clock cannot be tested and cannot be replayed. So whoever decides is handed a [`Clock`]: the
//! machine's own, or one that a test winds by hand.
//!
//! Times cross the API as RFC 3339 with nanoseconds ([`rfc3339`]); Docker's zero time is year one ([`ZERO`]).
//! See: RFC 3339 · clock_gettime(2). Next room: [`crate::state_file`]

use jiff::Timestamp;
use std::sync::Mutex;

/// What Docker prints for "never": the zero value of Go's `time.Time`.
pub const ZERO: &str = "0001-01-01T00:00:00Z";

/// Where "now" comes from.
pub trait Clock: Send + Sync {
    /// The current wall-clock time.
    fn now(&self) -> Timestamp;
}

/// The machine's clock.
pub struct Wall;

impl Clock for Wall {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

/// A clock that tests wind by hand.
pub struct Wound(Mutex<Timestamp>);

impl Wound {
    /// Starts at `at`.
    pub fn at(at: Timestamp) -> Wound {
        Wound(Mutex::new(at))
    }

    /// Moves on by `by`.
    pub fn advance(&self, by: std::time::Duration) {
        let mut now = self.0.lock().expect("no holder panics");
        *now += by;
    }
}

impl Clock for Wound {
    fn now(&self) -> Timestamp {
        *self.0.lock().expect("no holder panics")
    }
}

/// `2026-11-21T09:36:42.016519904Z`, trailing zeros of the fraction trimmed, as Go prints `time.Time` in JSON.
pub fn rfc3339(at: Timestamp) -> String {
    at.to_string()
}

/// The same with always nine fraction digits: what `logs --timestamps` prints.
pub fn rfc3339_nanos(at: Timestamp) -> String {
    format!("{at:.9}")
}
