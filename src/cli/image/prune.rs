//! # image prune: away with images that nobody uses
//!
//! Dangling images (no name left) by default; with `-a` every image without a container.
//!
//! *See:* docker/cli `cli/command/image/prune.go`. *Next room:* [`super::load`]

use crate::{
    filter::{self, Filters},
    flag, prompt,
    session::Session,
    terminal,
};
use clap::ArgMatches;
use minidock_base::{Result, units};
use minidock_client::{Docker, Route};
use minidock_spec::engine::image::{ImageDeleted, ImagesPruned};

const DANGLING: &str = "WARNING! This will remove all dangling images.\nAre you sure you want to continue?";
const ALL: &str = "WARNING! This will remove all images without at least one container associated to them.\nAre you sure you want to continue?";

/// The flags of `image prune`.
pub fn command() -> clap::Command {
    flag::command("prune", "[OPTIONS]", "Remove unused images")
        .arg(flag::switch("all", "Remove all unused images, not just dangling ones").short('a'))
        .arg(filter::flag("Provide filter values (e.g. \"until=<timestamp>\")"))
        .arg(flag::switch("force", "Do not prompt for confirmation").short('f'))
}

/// Removes unused images.
///
/// # Errors
/// The daemon's refusal.
pub async fn run(m: &ArgMatches, session: &mut Session) -> Result<i32> {
    let all = m.get_flag("all");
    if !m.get_flag("force") && !prompt::confirm(if all { ALL } else { DANGLING }) {
        return Ok(0);
    }
    let (text, reclaimed) = prune(&session.docker().await?, all, Filters::of(m)).await?;
    terminal::print(&format!("{text}Total reclaimed space: {}\n", units::human_size(reclaimed as f64)));
    Ok(0)
}

/// Prunes, and gives what to print and how many bytes came free.
///
/// # Errors
/// The daemon's refusal.
pub async fn prune(docker: &Docker, all: bool, mut filters: Filters) -> Result<(String, i64)> {
    filters.add("dangling", if all { "false" } else { "true" });
    let route = Route::new("/images/prune", []).maybe("filters", filters.json());
    let pruned: ImagesPruned = docker.post(&route, &()).await?;
    Ok((lines(pruned.images_deleted.as_deref().unwrap_or_default()), pruned.space_reclaimed))
}

fn lines(done: &[ImageDeleted]) -> String {
    if done.is_empty() {
        return String::new();
    }
    let line = |one: &ImageDeleted| match (&one.untagged, &one.deleted) {
        (Some(untagged), _) => format!("untagged: {untagged}\n"),
        (None, deleted) => format!("deleted: {}\n", deleted.as_deref().unwrap_or_default()),
    };
    format!("Deleted Images:\n{}\n", done.iter().map(line).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_went_is_listed() {
        let untagged = ImageDeleted { untagged: Some("a:latest".into()), deleted: None };
        let deleted = ImageDeleted { untagged: None, deleted: Some("sha256:0".into()) };
        assert_eq!(lines(&[untagged, deleted]), "Deleted Images:\nuntagged: a:latest\ndeleted: sha256:0\n\n");
        assert_eq!(lines(&[]), "");
    }
}
