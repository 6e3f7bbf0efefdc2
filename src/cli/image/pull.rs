//! # image pull: an image out of a registry
//!
//! The daemon pulls; this room shows how far it is, a line for each layer, and at the end the whole name.
//!
//! *See:* docker/cli `cli/command/image/pull.go`, api.md 6.5. *Next room:* [`super::push`]

use crate::{flag, progress, registry::accounts::Accounts, session::Session, terminal};
use clap::ArgMatches;
use minidock_base::{Error, Result};
use minidock_client::{Route, Wish};
use minidock_spec::reference::Reference;

/// The flags of `pull`.
pub fn command() -> clap::Command {
    flag::command("pull", "[OPTIONS] NAME[:TAG|@DIGEST]", "Download an image from a registry")
        .arg(flag::switch("all-tags", "Download all tagged images in the repository").short('a'))
        .arg(flag::text("platform", "string", "Set platform if server is multi-platform capable"))
        .arg(flag::switch("quiet", "Suppress verbose output").short('q'))
        .arg(flag::name("NAME"))
}

/// Pulls an image.
///
/// # Errors
/// A name that is none; what the registry or the daemon says.
pub async fn run(m: &ArgMatches, session: &mut Session) -> Result<i32> {
    let (all, quiet) = (m.get_flag("all-tags"), m.get_flag("quiet"));
    let mut reference = Reference::parse_untagged(flag::text_of(m, "NAME").unwrap_or_default())?;
    if all && (reference.tag.is_some() || reference.digest.is_some()) {
        return Err(Error::invalid("tag can't be used with --all-tags/-a"));
    }
    if !all && reference.tag.is_none() && reference.digest.is_none() {
        reference.tag = Some("latest".into());
        if !quiet {
            terminal::print("Using default tag: latest\n");
        }
    }
    let tag = reference.digest.as_ref().map(ToString::to_string).or(reference.tag.clone());
    let route = Route::new("/images/create", [])
        .pair("fromImage", reference.canonical_name())
        .maybe("tag", tag)
        .maybe("platform", flag::text_of(m, "platform"));
    let auth = Accounts::open(session.config_folder())?.header(&reference.domain)?;
    let wish = auth.into_iter().fold(Wish::post(&route), |wish, auth| wish.header("X-Registry-Auth", auth));
    let answer = session.docker().await?.send(wish).await?;
    match quiet {
        true => progress::drain(answer.objects()).await?,
        false => progress::show(answer.objects()).await?,
    }
    terminal::print(&format!("{}\n", reference.canonical()));
    Ok(0)
}
