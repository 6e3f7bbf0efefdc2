//! # image push: an image into a registry
//!
//! The daemon pushes; this room says with which account, and shows how far it is.
//!
//! *See:* docker/cli `cli/command/image/push.go`. *Next room:* [`super::later`]

use crate::{flag, progress, registry::accounts::Accounts, session::Session, terminal};
use clap::ArgMatches;
use minidock_base::{Error, Kind, Result};
use minidock_client::{Route, Wish};
use minidock_spec::reference::Reference;

/// The flags of `push`.
pub fn command() -> clap::Command {
    flag::command("push", "[OPTIONS] NAME[:TAG]", "Upload an image to a registry")
        .arg(flag::switch("all-tags", "Push all tags of an image to the repository").short('a'))
        .arg(flag::text("platform", "string", "Push a platform-specific manifest (an image here has one platform only)"))
        .arg(flag::switch("quiet", "Suppress verbose output").short('q'))
        .arg(flag::name("NAME"))
}

/// Pushes an image.
///
/// # Errors
/// A name that is none, or a container's; what the registry or the daemon says.
pub async fn run(m: &ArgMatches, session: &mut Session) -> Result<i32> {
    let (all, quiet) = (m.get_flag("all-tags"), m.get_flag("quiet"));
    let name = flag::text_of(m, "NAME").unwrap_or_default();
    let mut reference = Reference::parse_untagged(name)?;
    if all && (reference.tag.is_some() || reference.digest.is_some()) {
        return Err(Error::invalid("tag can't be used with --all-tags/-a"));
    }
    if !all && reference.tag.is_none() && reference.digest.is_none() {
        reference.tag = Some("latest".into());
        if !quiet {
            terminal::print("Using default tag: latest\n");
        }
    }
    // an empty object: nobody in particular; Docker's daemon wants the header in any case
    let auth = Accounts::open(session.config_folder())?.header(&reference.domain)?.unwrap_or_else(|| "e30=".into());
    let route =
        Route::new("/images/{}/push", [&reference.canonical_name()]).pair("tag", reference.tag.as_deref().unwrap_or_default());
    let sent = async {
        let answer = session.docker().await?.send(Wish::post(&route).header("X-Registry-Auth", auth)).await?;
        match quiet {
            true => progress::drain(answer.objects()).await,
            false => progress::show(answer.objects()).await,
        }
    };
    match sent.await {
        Ok(()) if quiet => terminal::print(&format!("{}\n", reference.canonical())),
        Ok(()) => {}
        Err(error) if error.kind() == Kind::NotFound => return Err(container_instead(session, name).await.unwrap_or(error)),
        Err(error) => return Err(error),
    }
    Ok(0)
}

/// A container where an image belongs: what the notes of many a student have.
async fn container_instead(session: &mut Session, name: &str) -> Option<Error> {
    let last = name.rsplit('/').next().unwrap_or(name);
    let route = Route::new("/containers/{}/json", [last]);
    let _: serde_json::Value = session.docker().await.ok()?.get(&route).await.ok()?;
    Some(
        Error::invalid(format!("{last} is a container, and what is pushed is an image"))
            .hint(format!("make an image of it first: minidock commit {last} REPOSITORY/NAME:TAG")),
    )
}
