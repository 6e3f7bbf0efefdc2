//! # image inspect: everything the daemon knows of an image
//!
//! *See:* docker/cli `cli/command/image/inspect.go`. *Next room:* [`crate::inspect`]

use crate::{
    inspect::{self, Noun},
    session::Session,
};
use clap::ArgMatches;
use minidock_base::Result;

/// The flags of `image inspect`.
pub fn command() -> clap::Command {
    inspect::flags("[OPTIONS] IMAGE [IMAGE...]", "Display detailed information on one or more images")
}

/// Inspects images.
///
/// # Errors
/// As [`inspect::inspect`].
pub async fn run(m: &ArgMatches, session: &mut Session) -> Result<i32> {
    inspect::inspect(m, session, &[Noun::Image]).await
}
