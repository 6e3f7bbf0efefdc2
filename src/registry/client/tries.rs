//! # Tries: when to ask again, and how long to wait before
//!
//! Networks break and registries are busy. Asking again at once makes a busy registry busier, so each wait is twice the one before
//! and a little different from everybody else's; a registry that says how long (`Retry-After`) is obeyed, within reason.
//!
//! * [`Tries::next`] gives the wait before the next try, or none when it is enough; [`Tries::progress`] begins to count anew,
//!   for a download that gets on between two breaks is not failing.
//!
//! See: RFC 9110 §10.2.3 · RFC 6585 §4 (429). Next room: [`super::session`]

use http::StatusCode;
use std::{
    collections::hash_map::RandomState,
    hash::{BuildHasher, Hasher},
    time::Duration,
};

/// How often in a row something may fail.
const MOST: u32 = 6;
const FIRST: Duration = Duration::from_millis(200);
const LONGEST: Duration = Duration::from_secs(10);
/// What a registry may ask us to wait.
const OBEYED: Duration = Duration::from_secs(60);

/// Failures in a row.
#[derive(Default)]
pub struct Tries {
    failed: u32,
}

impl Tries {
    /// How long to wait before the next try; `None`: it was the last one.
    pub fn next(&mut self, told: Option<Duration>) -> Option<Duration> {
        self.failed += 1;
        if self.failed >= MOST || told.is_some_and(|told| told > OBEYED) {
            return None;
        }
        let doubled = FIRST.saturating_mul(1 << (self.failed - 1)).min(LONGEST);
        // between half and all of it, so that a class of thirty does not knock in step
        let chance = RandomState::new().build_hasher().finish() % 512;
        let wait = doubled.mul_f64(0.5 + chance as f64 / 1024.0);
        Some(told.map_or(wait, |told| told.max(wait)))
    }

    /// It got on: earlier failures no longer count.
    pub fn progress(&mut self) {
        self.failed = 0;
    }
}

/// Whether this answer is worth asking again.
pub fn is_passing(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 425 | 429 | 500 | 502 | 503 | 504)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_wait_is_longer_and_there_is_an_end() {
        let mut tries = Tries::default();
        let waits: Vec<Duration> = std::iter::from_fn(|| tries.next(None)).collect();
        assert_eq!(waits.len(), 5);
        for (n, wait) in waits.iter().enumerate() {
            let doubled = FIRST * (1 << n);
            assert!((doubled / 2..=doubled).contains(wait), "{n}: {wait:?}");
        }
        tries.progress();
        assert!(tries.next(Some(Duration::from_secs(3))).is_some_and(|wait| wait >= Duration::from_secs(3)));
        assert_eq!(tries.next(Some(Duration::from_secs(3600))), None, "nobody waits an hour");
    }
}
