//! # container diff: what a container changed
//!
//! A container writes into a layer of its own; the layer *is* the list of changes: `A` added, `C` changed, `D` deleted.
//!
//! *See:* docker/cli `cli/command/container/diff.go`. *Next room:* [`super::prune`]

use crate::{flag, session::Session, terminal};
use clap::ArgMatches;
use minidock_base::Result;
use minidock_client::Route;
use minidock_spec::engine::container::Change;

/// The arguments of `diff`.
pub fn command() -> clap::Command {
    flag::command("diff", "CONTAINER", "Inspect changes to files or directories on a container's filesystem")
        .arg(flag::name("CONTAINER"))
}

/// Lists changes.
///
/// # Errors
/// No such container.
pub async fn run(m: &ArgMatches, session: &mut Session) -> Result<i32> {
    let container = flag::text_of(m, "CONTAINER").unwrap_or_default();
    let changes: Option<Vec<Change>> = session.docker().await?.get(&Route::new("/containers/{}/changes", [container])).await?;
    terminal::print(&changes.unwrap_or_default().iter().map(line).collect::<String>());
    Ok(0)
}

fn line(change: &Change) -> String {
    let kind = match change.kind {
        0 => 'C',
        1 => 'A',
        2 => 'D',
        _ => '?',
    };
    format!("{kind} {}\n", change.path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_a_letter_and_a_path() {
        let shown = |kind| line(&Change { path: "/etc".into(), kind });
        assert_eq!([shown(0), shown(1), shown(2)], ["C /etc\n", "A /etc\n", "D /etc\n"]);
    }
}
