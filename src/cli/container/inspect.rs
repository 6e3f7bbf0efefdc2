//! # container inspect: everything the daemon knows of a container
//!
//! The same as [`crate::inspect`], but only containers are looked at, so that a volume or an image of the same name is not
//! found by mistake.
//!
//! *See:* docker/cli `cli/command/container/inspect.go`. *Next room:* [`super::stats`]

use crate::{
    flag,
    inspect::{self, Noun},
    session::Session,
};
use clap::ArgMatches;
use minidock_base::Result;

/// The flags of `container inspect`.
pub fn command() -> clap::Command {
    inspect::flags("[OPTIONS] CONTAINER [CONTAINER...]", "Display detailed information on one or more containers")
        .arg(flag::switch("size", "Display total file sizes").short('s'))
}

/// Inspects containers.
///
/// # Errors
/// As [`inspect::inspect`].
pub async fn run(m: &ArgMatches, session: &mut Session) -> Result<i32> {
    inspect::inspect(m, session, &[Noun::Container]).await
}
