//! # Known words, rooms not built: other engines' tools
//!
//! People type these from habit. "Unknown command" would be wrong and useless; so the words are known and say what to do
//! instead.
//!
//! Laws: none of them appears in help or completion, and each fails.
//!
//! *Next room:* [`crate::container`]

use crate::{flag, session::Session};
use clap::ArgMatches;
use minidock_base::{Error, Result};

/// The words of Docker's plugins and tools.
pub fn tools() -> clap::Command {
    flag::command("buildx", "COMMAND", "Tools of other engines").arg(flag::program("ARG")).hide(true)
}

/// Says that a tool is not there.
///
/// # Errors
/// Always.
pub async fn run_tools(_: &ArgMatches, session: &mut Session) -> Result<i32> {
    Err(Error::not_implemented("this word belongs to a tool that minidock does not have").hint(format!(
        "minidock --help lists what there is; Docker's own tools may be pointed here: DOCKER_HOST={}",
        session.address()?
    )))
}
