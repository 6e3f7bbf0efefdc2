//! # container top: the processes inside, seen from outside
//!
//! The daemon runs `ps` on the machine and keeps the lines whose process belongs to the container, so the numbers are the
//! host's: PID 1 of the container has some other number here. What stands behind the container's name goes to `ps`.
//!
//! *See:* docker/cli `cli/command/container/top.go`, ps(1). *Next room:* [`super::port`]

use crate::{flag, session::Session, table, terminal};
use clap::ArgMatches;
use minidock_base::Result;
use minidock_client::Route;
use minidock_spec::engine::container::Top;

/// A column of `top` is at least this wide.
const MIN_WIDTH: usize = 20;

/// The arguments of `top`.
pub fn command() -> clap::Command {
    flag::command("top", "CONTAINER [ps OPTIONS]", "Display the running processes of a container")
        .arg(flag::name("CONTAINER"))
        .arg(flag::program("ARG"))
}

/// Shows the processes of a container.
///
/// # Errors
/// No such container, or one that does not run; `ps` refused its options.
pub async fn run(m: &ArgMatches, session: &mut Session) -> Result<i32> {
    let container = flag::text_of(m, "CONTAINER").unwrap_or_default();
    let options = flag::list_of(m, "ARG");
    let route =
        Route::new("/containers/{}/top", [container]).maybe("ps_args", (!options.is_empty()).then(|| options.join(" ")));
    let top: Top = session.docker().await?.get(&route).await?;
    terminal::print(&page(&top));
    Ok(0)
}

fn page(top: &Top) -> String {
    let lines = std::iter::once(&top.titles).chain(&top.processes);
    let text: String = lines.map(|cells| cells.join("\t") + "\n").collect();
    table::align(&text, MIN_WIDTH, table::PADDING)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_twenty_wide() {
        let words = |line: &str| line.split(' ').map(str::to_string).collect::<Vec<_>>();
        let top = Top { titles: words("UID PID CMD"), processes: vec![words("root 13452 sleep")] };
        assert_eq!(page(&top), "UID                 PID                 CMD\nroot                13452               sleep\n");
    }
}
