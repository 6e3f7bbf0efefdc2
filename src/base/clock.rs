//! # The clock: now, and who says so
//!
//! Three questions about time, and only one of them is asked of the wall clock.
//!
//! | question | answer |
//! |---|---|
//! | what time is it? (a date in a record, a certificate's validity, "5 minutes ago") | [`now`] |
//! | how long has it been, in this process? (a limit, a pause) | `Instant`: nobody can set it |
//! | what time is it *for a decision*? | whoever decides is handed it: a decision that reads a clock cannot be replayed |
//!
//! [`now`] is the machine's time plus an offset. Linux has no namespace for the real-time clock, so a simulated node whose clock shall be wrong cannot be
//! given one by the kernel: instead, the file that `$MINIDOCK_CLOCK` names says how wrong it is, and every process of ours reads it, each time. A clock
//! may be set while programs run; so may this one. Without the variable there is no file, and no offset.
//!
//! ```text
//!   machine's clock ──► + offset ──► now()          /run/minidock/clock   "+0000003600000000000\n"   nanoseconds, always as long:
//!                          ▲                                               it is overwritten in place, never seen half-written
//!                          └── $MINIDOCK_CLOCK, handed on by [`inherited`]
//! ```
//!
//! * [`Steady`] is for who must count on when the clock is set, or is another one: it never jumps, and comes nearer bit by bit.
//! * Times cross the API as RFC 3339 with nanoseconds ([`rfc3339`]); Docker's zero time is year one ([`ZERO`]).
//!
//! Laws: nobody but this room asks for the machine's time, but for the records of kernel calls (`linux::action`), which are made in a container's root, too. See: RFC 3339 · clock_gettime(2), time_namespaces(7), adjtime(3). Next room: [`crate::state_file`]

use jiff::{SignedDuration, Timestamp};
use std::{
    fs,
    io::{self, ErrorKind, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::OnceLock,
    time::{Instant, SystemTime},
};

/// What Docker prints for "never": the zero value of Go's `time.Time`.
pub const ZERO: &str = "0001-01-01T00:00:00Z";

/// Names the file that says how wrong this process's clock is.
pub const VARIABLE: &str = "MINIDOCK_CLOCK";

/// What the wall clock of this process says.
pub fn now() -> Timestamp {
    static FILE: OnceLock<Option<PathBuf>> = OnceLock::new();
    let machine = Timestamp::now();
    match FILE.get_or_init(|| std::env::var_os(VARIABLE).map(PathBuf::from)) {
        None => machine,
        Some(file) => machine.checked_add(offset(file)).unwrap_or(machine),
    }
}

/// The same as the standard library counts.
pub fn system() -> SystemTime {
    SystemTime::from(now())
}

/// For a program of ours that is executed with an environment of its own: the variable, if there is one.
pub fn inherited() -> Option<(&'static str, std::ffi::OsString)> {
    std::env::var_os(VARIABLE).map(|file| (VARIABLE, file))
}

/// How far a clock is set off; a file that is not there, or says nothing, is a clock that is right.
pub fn offset(file: &Path) -> SignedDuration {
    let text = fs::read_to_string(file).unwrap_or_default();
    SignedDuration::from_nanos(text.trim().parse().unwrap_or(0))
}

/// Sets a clock off, by less than 292 years; whoever reads it at the same time finds the old offset, or the new one.
///
/// # Errors
/// The disk's.
pub fn set(file: &Path, offset: SignedDuration) -> io::Result<()> {
    let mut open = fs::OpenOptions::new().write(true).create(true).truncate(false).mode(0o644).open(file)?;
    let nanoseconds = i64::try_from(offset.as_nanos()).map_err(|_| ErrorKind::InvalidInput)?;
    match open.write(format!("{nanoseconds:+020}\n").as_bytes())? {
        21 => Ok(()),
        _ => Err(ErrorKind::WriteZero.into()),
    }
}

/// A time that is counted on, for who waits: made of a wall clock that somebody may set, or that is another machine's since a moment ago.
///
/// It goes a tenth faster or slower until it agrees with the wall, as adjtime(3) does. So a second that is waited for is a second, by 10 %.
#[derive(Clone, Copy, Debug)]
pub struct Steady {
    last: Timestamp,
    at: Instant,
}

impl Steady {
    /// It was `last` at the moment `at`.
    pub fn from(last: Timestamp, at: Instant) -> Steady {
        Steady { last, at }
    }

    /// What time it is at the moment `at`, when the wall clock says `wall`; never earlier than it was.
    pub fn read(&mut self, wall: Timestamp, at: Instant) -> Timestamp {
        let passed = SignedDuration::try_from(at.saturating_duration_since(self.at)).unwrap_or(SignedDuration::ZERO);
        let after = |tenths: i32| self.last.checked_add(passed / 10 * tenths).unwrap_or(self.last);
        *self = Steady { last: wall.clamp(after(9), after(11)), at: at.max(self.at) };
        self.last
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::Duration;

    #[test]
    fn a_clock_that_nobody_has_set_off_is_right() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("clock");
        assert_eq!(offset(&file), SignedDuration::ZERO);
        fs::write(&file, "soon").expect("room");
        assert_eq!(offset(&file), SignedDuration::ZERO);
    }

    #[test]
    fn a_second_that_is_waited_for_is_a_second_whoever_sets_the_clock() {
        let (began, second) = (Instant::now(), Duration::from_secs(1));
        let wall = Timestamp::UNIX_EPOCH + SignedDuration::from_hours(1000);
        let mut steady = Steady::from(wall, began);
        let mut read = |wall, passed| steady.read(wall, began + second * passed);
        assert_eq!(read(wall + second, 1), wall + second);
        // set an hour on, and then two hours back
        assert_eq!(read(wall + SignedDuration::from_hours(1), 2), wall + Duration::from_millis(2100));
        assert_eq!(read(wall - SignedDuration::from_hours(1), 3), wall + Duration::from_millis(3000));
        // an hour off is made good in ten
        assert_eq!(read(wall + SignedDuration::from_hours(11), 36_003), wall + SignedDuration::from_hours(11));
    }

    proptest! {
        #[test]
        fn what_is_set_is_read_and_is_always_as_long(offsets in proptest::collection::vec(any::<i64>(), 1..5)) {
            let folder = tempfile::tempdir().expect("a folder");
            let file = folder.path().join("clock");
            for nanoseconds in offsets {
                set(&file, SignedDuration::from_nanos(nanoseconds)).expect("room");
                prop_assert_eq!(offset(&file).as_nanos(), i128::from(nanoseconds));
                prop_assert_eq!(fs::metadata(&file).expect("written").len(), 21);
            }
        }

        #[test]
        fn steady_time_never_goes_back_nor_jumps(steps in proptest::collection::vec((-7200i64..7200, 0u64..5000), 1..50)) {
            let began = Instant::now();
            let wall = Timestamp::UNIX_EPOCH + SignedDuration::from_hours(1000);
            let (mut steady, mut at, mut last) = (Steady::from(wall, began), began, wall);
            for (off, passed) in steps {
                let passed = Duration::from_millis(passed);
                at += passed;
                let read = steady.read(wall + SignedDuration::from_secs(off), at);
                prop_assert!(read >= last && read.duration_since(last) <= SignedDuration::try_from(passed).expect("short") * 11 / 10);
                last = read;
            }
        }
    }
}
