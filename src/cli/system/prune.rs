//! # system prune: away with everything that nobody uses
//!
//! Containers, networks, volumes (only with `--volumes`) and images, in that order, because each sets the next free. It asks
//! first and says exactly what would go.
//!
//! *See:* docker/cli `cli/command/system/prune.go`. *Next room:* [`super::version`]

use crate::{container, filter, filter::Filters, flag, image, network, prompt, session::Session, terminal, volume};
use clap::ArgMatches;
use minidock_base::{Error, Kind, Result, units};
use minidock_client::{Docker, Route};
use serde::Deserialize;

/// The flags of `system prune`.
pub fn command() -> clap::Command {
    flag::command("prune", "[OPTIONS]", "Remove unused data")
        .arg(flag::switch("all", "Remove all unused images not just dangling ones").short('a'))
        .arg(filter::flag("Provide filter values (e.g. \"label=<key>=<value>\")"))
        .arg(flag::switch("force", "Do not prompt for confirmation").short('f'))
        .arg(flag::switch("volumes", "Prune anonymous volumes"))
}

/// Removes unused data.
///
/// # Errors
/// A filter that volumes do not have; the daemon's refusal.
pub async fn run(m: &ArgMatches, session: &mut Session) -> Result<i32> {
    let filters = Filters::of(m);
    let (all, volumes) = (m.get_flag("all"), m.get_flag("volumes"));
    if volumes && filters.has("until") {
        return Err(Error::invalid("ERROR: The \"until\" filter is not supported with \"--volumes\""));
    }
    if !m.get_flag("force") && !prompt::confirm(&warning(all, volumes, &filters)) {
        return Ok(0);
    }
    let docker = session.docker().await?;
    let mut reclaimed = 0;
    let mut tell = |(text, bytes): (String, i64)| {
        reclaimed += bytes;
        terminal::print(&text);
    };
    tell(container::prune::prune(&docker, &filters).await?);
    tell((absent_is_empty(network::prune::prune(&docker, &filters).await)?, 0));
    if volumes {
        tell(volume::prune(&docker, &filters).await?);
    }
    tell(image::prune::prune(&docker, all, filters.clone()).await?);
    tell((String::new(), build_cache(&docker, all, &filters).await?));
    terminal::print(&format!("Total reclaimed space: {}\n", units::human_size(reclaimed as f64)));
    Ok(0)
}

fn warning(all: bool, volumes: bool, filters: &Filters) -> String {
    let mut lines = vec!["all stopped containers", "all networks not used by at least one container"];
    if volumes {
        lines.push("all anonymous volumes not used by at least one container");
    }
    lines.push(if all { "all images without at least one container associated to them" } else { "all dangling images" });
    lines.push(if all { "all build cache" } else { "unused build cache" });
    let mut text = format!("WARNING! This will remove:\n  - {}\n", lines.join("\n  - "));
    let named: Vec<String> = ["label", "label!", "until"]
        .iter()
        .flat_map(|key| filters.get(key).map(move |value| format!("{key}={value}")))
        .collect();
    if !named.is_empty() {
        text += &format!("\n  Items to be pruned will be filtered with:\n  - {}\n", named.join("\n  - "));
    }
    text + "\nAre you sure you want to continue?"
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct CachePruned {
    space_reclaimed: i64,
}

async fn build_cache(docker: &Docker, all: bool, filters: &Filters) -> Result<i64> {
    let route = Route::new("/build/prune", []).flag("all", all).maybe("filters", filters.json());
    let pruned: CachePruned = absent_is_empty(docker.post(&route, &()).await)?;
    Ok(pruned.space_reclaimed)
}

/// A daemon without networks or without a builder has nothing of theirs to remove.
fn absent_is_empty<T: Default>(answer: Result<T>) -> Result<T> {
    match answer {
        Err(error) if matches!(error.kind(), Kind::NotFound | Kind::NotImplemented) => Ok(T::default()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_warning_says_exactly_what_goes() {
        assert_eq!(
            warning(false, false, &Filters::default()),
            "WARNING! This will remove:\n  - all stopped containers\n  - all networks not used by at least one container\n  - all dangling images\n  - unused build cache\n\nAre you sure you want to continue?"
        );
        let mut filters = Filters::default();
        filters.add("label", "a");
        let text = warning(true, true, &filters);
        assert!(text.contains("  - all anonymous volumes not used by at least one container\n"), "{text}");
        assert!(
            text.contains("  - all build cache\n\n  Items to be pruned will be filtered with:\n  - label=a\n\nAre you sure"),
            "{text}"
        );
    }
}
