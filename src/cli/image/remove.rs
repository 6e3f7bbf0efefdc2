//! # image rm: names go first, then the image
//!
//! Removing a name that is not the last only *untags*; removing the last deletes the image and every layer that nothing else
//! uses. The daemon says what it did, one line each.
//!
//! Laws: with `--force` an image that is not there is a message but no failure. *See:* docker/cli
//! `cli/command/image/remove.go`. *Next room:* [`super::prune`]

use crate::{complain, flag, session::Session, terminal};
use clap::ArgMatches;
use minidock_base::{Error, Kind, Result};
use minidock_client::Route;
use minidock_spec::engine::image::ImageDeleted;

/// The flags of `image rm`.
pub fn command() -> clap::Command {
    flag::command("rm", "[OPTIONS] IMAGE [IMAGE...]", "Remove one or more images")
        .arg(flag::switch("force", "Force removal of the image").short('f'))
        .arg(flag::switch("no-prune", "Do not delete untagged parents"))
        .arg(flag::names("IMAGE"))
}

/// Removes images.
///
/// # Errors
/// A daemon that cannot be asked; what goes wrong with one image is printed, and the status is 1.
pub async fn run(m: &ArgMatches, session: &mut Session) -> Result<i32> {
    let docker = session.docker().await?;
    let force = m.get_flag("force");
    let mut refusals: Vec<Error> = Vec::new();
    for image in flag::list_of(m, "IMAGE") {
        let route = Route::new("/images/{}", [&image]).flag("force", force).flag("noprune", m.get_flag("no-prune"));
        match docker.delete::<Vec<ImageDeleted>>(&route).await {
            Ok(lines) => terminal::print(&lines.iter().map(line).collect::<String>()),
            Err(refusal) => refusals.push(refusal),
        }
    }
    refusals.iter().for_each(complain);
    let fatal = refusals.iter().any(|refusal| !force || refusal.kind() != Kind::NotFound);
    Ok(i32::from(fatal))
}

fn line(done: &ImageDeleted) -> String {
    match (&done.deleted, &done.untagged) {
        (Some(deleted), _) => format!("Deleted: {deleted}\n"),
        (None, untagged) => format!("Untagged: {}\n", untagged.as_deref().unwrap_or_default()),
    }
}
