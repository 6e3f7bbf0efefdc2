//! # Contexts: names for daemons
//!
//! A student who has a daemon on this machine, one in a virtual machine and three simulated nodes does not want to type
//! addresses. `context create node2 --docker host=unix:///…` gives an address a name, `context use node2` makes it the one
//! that commands talk to, and `--context` or `$MINIDOCK_CONTEXT` choose it for one command or one shell.
//!
//! ```text
//!   ~/.minidock/contexts/node2.json    {"description": "…", "host": "unix:///run/…"}
//!   ~/.minidock/current-context        node2\n        (absent: the default socket)
//! ```
//!
//! Laws: the name `default` is the default socket, is not stored and cannot be removed or replaced; a name is a valid
//! file name. *See:* docker/cli `cli/command/context`. *Next room:* [`crate::session`]

use crate::command::Command;
use minidock_base::{Error, Result};
use minidock_client::Address;
use std::path::Path;

/// The name that means "the default socket".
pub const DEFAULT: &str = "default";

/// `context …`
pub const COMMANDS: &[Command] = &[];

/// The context chosen by `context use`, if any.
pub fn current(config: &Path) -> Result<Option<String>> {
    match std::fs::read_to_string(config.join("current-context")) {
        Ok(text) => Ok(Some(text.trim().to_string()).filter(|name| !name.is_empty())),
        Err(_) => Ok(None),
    }
}

/// The address that context `name` stands for.
pub fn address(_config: &Path, name: &str) -> Result<Address> {
    Err(Error::not_found(format!("context {name:?} does not exist")))
}
