//! # registry catalog, registry tags: what a registry has
//!
//! Docker's client has no word for this, and everybody who runs a registry of their own asks with `curl`. The daemon asks, with
//! the account of whoever wants to know; one name a line, for eyes and scripts alike.
//!
//! ```text
//!   minidock registry catalog localhost:5000        minidock registry tags localhost:5000/team/app
//! ```
//!
//! *See:* distribution-spec "Listing Tags". *Next room:* [`crate::registry::serve`]

use crate::{flag, registry::accounts::Accounts, session::Session, terminal};
use clap::ArgMatches;
use minidock_base::{Error, Result};
use minidock_client::{Route, Wish};
use minidock_spec::reference::{HUB, Reference};
use serde_json::Value;

/// The arguments of `registry catalog`.
pub fn catalog() -> clap::Command {
    flag::command("catalog", "[REGISTRY]", "List the repositories of a registry (default: localhost:5000)")
        .arg(flag::optional("REGISTRY"))
}

/// The arguments of `registry tags`.
pub fn tags() -> clap::Command {
    flag::command("tags", "REPOSITORY", "List the tags of a repository").arg(flag::name("REPOSITORY"))
}

/// Lists repositories.
///
/// # Errors
/// Nobody answers; a registry that gives no catalogue.
pub async fn run_catalog(m: &ArgMatches, session: &mut Session) -> Result<i32> {
    let registry = flag::text_of(m, "REGISTRY").unwrap_or("localhost:5000");
    let bare = registry.trim_start_matches("https://").trim_start_matches("http://").trim_end_matches('/');
    if bare == HUB {
        return Err(Error::invalid("the Hub has no catalogue").hint("minidock search TERM"));
    }
    print(session, bare, &Route::new("/minidock/registry/catalog", []).pair("registry", bare), "repositories").await
}

/// Lists tags.
///
/// # Errors
/// A name that is none; nobody answers; no such repository.
pub async fn run_tags(m: &ArgMatches, session: &mut Session) -> Result<i32> {
    let reference = Reference::parse_untagged(flag::text_of(m, "REPOSITORY").unwrap_or_default())?;
    let route = Route::new("/minidock/registry/tags", []).pair("name", reference.canonical_name());
    print(session, &reference.domain, &route, "tags").await
}

async fn print(session: &mut Session, domain: &str, route: &Route, key: &str) -> Result<i32> {
    let auth = Accounts::open(session.config_folder())?.header(domain)?;
    let wish = auth.into_iter().fold(Wish::get(route), |wish, auth| wish.header("X-Registry-Auth", auth));
    let answer: Value = session.docker().await?.send(wish).await?.json().await?;
    for name in answer.get(key).and_then(Value::as_array).into_iter().flatten() {
        terminal::print(&format!("{}\n", name.as_str().unwrap_or_default()));
    }
    Ok(0)
}
