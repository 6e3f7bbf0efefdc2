//! # Known words, rooms not built: other engines' tools
//!
//! People type these from habit. "Unknown command" would be wrong and useless; so the words are known and say what to do
//! instead.
//!
//! Laws: none of them appears in help or completion, and each fails.
//!
//! *Next room:* [`crate::container`]

use crate::{flag, session::Session};
use minidock_base::{Error, Result};

/// A word of Docker's plugins and tools.
pub fn tool(word: &'static str) -> clap::Command {
    flag::command(word, "COMMAND", "Tools of other engines").arg(flag::program("ARG")).hide(true)
}

pub const BUILDX: &str = "minidock build is the builder: stages, RUN --mount, heredocs and --secret are understood there, for this machine's platform";
pub const MANIFEST: &str =
    "minidock image inspect IMAGE shows what is here, minidock pull brings one for this machine's platform (or --platform)";
pub const OTHERS: &str = "minidock --help lists what there is";

/// Says that a tool is not there, and what is.
///
/// # Errors
/// Always.
pub async fn instead(what: &str, session: &mut Session) -> Result<i32> {
    Err(Error::not_implemented("this word belongs to a tool that minidock does not have")
        .hint(format!("{what}; Docker's own tools may be pointed here: DOCKER_HOST={}", session.address()?)))
}
