//! # swarm unlock and unlock-key: a manager that starts with a key
//!
//! A manager keeps the swarm's log on its disk, sealed with a key that lies beside it. With autolock that key is sealed too, with another
//! one that only people have: a stolen disk says nothing, and a manager that starts again waits for `swarm unlock`.
//!
//! *See:* docker/cli `cli/command/swarm/{unlock,unlock_key}.go`. *Next room:* [`crate::system::info`]

use super::{Rotate, fetch, send};
use crate::{flag, session::Session, terminal};
use clap::ArgMatches;
use minidock_base::{Doing, Error, Result};
use minidock_client::{Docker, Route};
use minidock_spec::swarm::local::UnlockRequest;
use serde_json::Value as Json;
use std::io::BufRead;

/// `swarm unlock`.
pub fn command() -> clap::Command {
    flag::command("unlock", "", "Unlock swarm")
}

/// The flags of `swarm unlock-key`.
pub fn key() -> clap::Command {
    flag::command("unlock-key", "[OPTIONS]", "Manage the unlock key")
        .arg(flag::switch("quiet", "Only display token").short('q'))
        .arg(flag::switch("rotate", "Rotate unlock key"))
}

/// Unlocks the manager that one talks to.
///
/// # Errors
/// It is not locked; a wrong key.
pub async fn run(_: &ArgMatches, session: &mut Session) -> Result<i32> {
    let docker = session.docker().await?;
    let info: Json = docker.get(&Route::new("/info", [])).await?;
    match info["Swarm"]["LocalNodeState"].as_str().unwrap_or_default() {
        "locked" => {}
        "inactive" | "" => return Err(Error::conflict("Error: This node is not part of a swarm")),
        _ => return Err(Error::conflict("Error: swarm is not locked")),
    }
    let body = UnlockRequest { unlock_key: ask()? };
    docker.post::<()>(&Route::new("/swarm/unlock", []), &body).await?;
    Ok(0)
}

/// The key, typed and not shown, or from a pipe.
fn ask() -> Result<String> {
    let mut text = String::new();
    let mut read = || std::io::stdin().lock().read_line(&mut text).doing(|| "read the unlock key");
    if terminal::input_is_terminal() {
        // hidden before it is asked for: who types fast must not see it either
        let hidden = terminal::Hidden::enter()?;
        terminal::print("Enter unlock key: ");
        let read = read();
        drop(hidden);
        terminal::print("\n");
        read?;
    } else {
        read()?;
    }
    Ok(text.trim().to_string())
}

/// Shows the key, or makes a new one.
///
/// # Errors
/// Autolock is off; no manager.
pub async fn run_key(m: &ArgMatches, session: &mut Session) -> Result<i32> {
    let quiet = m.get_flag("quiet");
    let docker = session.docker().await?;
    if m.get_flag("rotate") {
        let swarm = fetch(&docker).await?;
        if !swarm.info.spec.encryption_config.auto_lock_managers {
            return Err(Error::conflict("cannot rotate because autolock is not turned on")
                .hint("minidock swarm update --autolock=true"));
        }
        send(&docker, &swarm, Rotate { unlock_key: true, ..Rotate::default() }).await?;
        if !quiet {
            terminal::print("Successfully rotated manager unlock key.\n");
        }
    }
    let key = ask_key(&docker).await?;
    match (key.is_empty(), quiet) {
        (true, _) => return Err(Error::not_found("no unlock key is set").hint("minidock swarm update --autolock=true")),
        (false, true) => terminal::print(&format!("{key}\n")),
        (false, false) => tell(&key),
    }
    Ok(0)
}

async fn ask_key(docker: &Docker) -> Result<String> {
    let key: UnlockRequest = docker.get(&Route::new("/swarm/unlockkey", [])).await?;
    Ok(key.unlock_key)
}

/// Prints the key and what it is for, if there is one.
///
/// # Errors
/// No manager.
pub async fn print_key(docker: &Docker) -> Result<()> {
    let key = ask_key(docker).await?;
    if !key.is_empty() {
        tell(&key);
    }
    Ok(())
}

fn tell(key: &str) {
    terminal::print(&format!(
        "To unlock a swarm manager after it restarts, run the `minidock swarm unlock`\ncommand and provide the following key:\n\n    {key}\n\nRemember to store this key in a password manager, since without it you\nwill not be able to restart the manager.\n"
    ));
}
