//! # Elsewhere: doors that this house does not have yet
//!
//! Clients ask for more than there is: plugins, checkpoints. A bare 404 would make them guess, so each such
//! door says what it is, in the words and with the status that clients already understand from a Docker without it.
//!
//! Next room: [`crate::answer`]

use crate::answer::Answer;
use minidock_base::{Error, Result};

/// Plugins: there are none, and there will be none.
pub fn plugin(what: &[&str]) -> Result<Answer> {
    match what {
        [] | ["privileges" | "pull" | "create"] => {
            Err(Error::not_implemented("minidock has no plugins: drivers for volumes, logs and networks are built in"))
        }
        [name, ..] => Err(Error::not_found(format!("plugin \"{name}\" not found"))),
    }
}

/// `GET /containers/{id}/attach/ws`: no client can use it over a Unix socket.
pub fn websocket() -> Result<Answer> {
    Err(Error::not_implemented("attaching by websocket is not there").hint("POST /containers/{id}/attach with Upgrade: tcp"))
}

/// `/containers/{id}/checkpoints`: experimental in Docker, too.
pub fn checkpoint() -> Result<Answer> {
    Err(Error::not_implemented("checkpoints are not there: a frozen process is `pause`, a frozen file system is `commit`"))
}
