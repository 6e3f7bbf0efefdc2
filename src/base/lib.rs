//! # The ground: what every floor stands on
//!
//! A house of many small crates needs a few words that all of them share: how a failure is told to a person, what an
//! identifier looks like, how `512m` becomes a number, where a file lies on disk. Those words live here and nothing
//! else does. A file is admitted only if it is *one concept* that two floors above need; there is no `util`.
//!
//! * [`error`]: the one [`error::Error`] for people: what was being done, why it failed, what to try, which room to read.
//! * [`id`]: 64-hex ids, their prefixes, and the `adjective_scientist` names.
//! * [`units`]: `512m`, `1.5`, `1m30s`: parse and print, the way Docker does.
//! * [`paths`]: the only file that spells a state path.
//! * [`state_file`]: write beside, rename; load, or say which file is broken.
//! * [`clean_path`]: a path as text, without detours.
//! * [`ignore`]: the patterns of `.dockerignore`.
//! * [`clock`]: the wall clock, which may be wrong, and a steady one for who waits.
//!
//! Next room: [`error`]

pub mod clean_path;
pub mod clock;
pub mod error;
pub mod id;
pub mod ignore;
pub mod paths;
pub mod state_file;
pub mod units;

pub use error::{Doing, Error, Kind, Result};
