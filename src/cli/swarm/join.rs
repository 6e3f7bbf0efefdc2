//! # swarm join and join-token: one more
//!
//! A token says two things: which swarm it is (a digest of its authority's certificate, so that the newcomer cannot be fooled), and a
//! secret, one for workers and another for managers. Whoever has it may join; so it can be changed at any time.
//!
//! ```text
//!   SWMTKN-1-<digest of the root certificate, 50 letters>-<secret, 25 letters>
//! ```
//!
//! *See:* docker/cli `cli/command/swarm/{join,join_token}.go`. *Next room:* [`super::update`]

use super::{Rotate, fetch, flags, init::print_join, send};
use crate::{flag, service::values, session::Session, terminal};
use clap::ArgMatches;
use minidock_base::{Error, Result};
use minidock_client::Route;
use minidock_spec::swarm::{local::JoinRequest, node::Role};
use serde_json::Value as Json;

/// The flags of `swarm join`.
pub fn command() -> clap::Command {
    flags::addresses(flag::command("join", "[OPTIONS] HOST:PORT", "Join a swarm as a node and/or manager"))
        .arg(flag::text("token", "string", "Token for entry into the swarm"))
        .arg(flag::name("HOST"))
}

/// The flags of `swarm join-token`.
pub fn token() -> clap::Command {
    flag::command("join-token", "[OPTIONS] (worker|manager)", "Manage join tokens")
        .arg(flag::switch("quiet", "Only display token").short('q'))
        .arg(flag::switch("rotate", "Rotate join token"))
        .arg(flag::name("ROLE"))
}

/// Joins a swarm.
///
/// # Errors
/// No manager answers there; a token of another swarm, or an old one; the node is in a swarm already.
pub async fn run(m: &ArgMatches, session: &mut Session) -> Result<i32> {
    let text = |id: &str| flag::text_of(m, id).unwrap_or_default().to_string();
    let body = JoinRequest {
        listen_addr: values::of(m, "listen-addr").unwrap_or_else(|| format!("0.0.0.0:{}", flags::PORT)),
        advertise_addr: text("advertise-addr"),
        data_path_addr: text("data-path-addr"),
        remote_addrs: vec![text("HOST")],
        join_token: text("token"),
        availability: flags::availability(m)?,
    };
    let docker = session.docker().await?;
    docker.post::<()>(&Route::new("/swarm/join", []), &body).await?;
    let info: Json = docker.get(&Route::new("/info", [])).await?;
    let role = if info["Swarm"]["ControlAvailable"] == true { "manager" } else { "worker" };
    terminal::print(&format!("This node joined a swarm as a {role}.\n"));
    Ok(0)
}

/// Shows a token, or makes a new one.
///
/// # Errors
/// A role there is not; no manager.
pub async fn run_token(m: &ArgMatches, session: &mut Session) -> Result<i32> {
    let role = match flag::text_of(m, "ROLE").unwrap_or_default() {
        "worker" => Role::Worker,
        "manager" => Role::Manager,
        other => return Err(Error::invalid(format!("unknown role {other}")).hint("worker or manager")),
    };
    let quiet = m.get_flag("quiet");
    let docker = session.docker().await?;
    if m.get_flag("rotate") {
        let rotate = Rotate { worker_token: role == Role::Worker, manager_token: role == Role::Manager, ..Rotate::default() };
        send(&docker, &fetch(&docker).await?, rotate).await?;
        if !quiet {
            terminal::print(&format!("Successfully rotated {} join token.\n\n", role.name()));
        }
    }
    if quiet {
        let tokens = fetch(&docker).await?.join_tokens;
        terminal::print(&format!("{}\n", if role == Role::Worker { tokens.worker } else { tokens.manager }));
        return Ok(0);
    }
    let swarm = fetch(&docker).await;
    let info: Json = docker.get(&Route::new("/info", [])).await?;
    swarm?;
    print_join(&docker, info["Swarm"]["NodeID"].as_str().unwrap_or_default(), role).await?;
    Ok(0)
}
