//! # Manual pages: the help, as man(1) wants it
//!
//! `minidock man FOLDER` writes one page for each command, from the same descriptions that `--help` prints, so that they
//! cannot disagree. `make install` calls it.
//!
//! *See:* man-pages(7), clap_mangen. *Next room:* [`crate::lib`](crate)

use crate::{command, flag, session::Session, terminal};
use clap::ArgMatches;
use minidock_base::{Doing, Result};
use std::path::Path;

/// The arguments of `man`.
pub fn command() -> clap::Command {
    flag::command("man", "FOLDER", "Write the manual pages into a folder").arg(flag::name("FOLDER")).hide(true)
}

/// Writes the pages.
///
/// # Errors
/// A folder that cannot be made or written to.
pub async fn run(m: &ArgMatches, _: &mut Session) -> Result<i32> {
    let folder = Path::new(flag::text_of(m, "FOLDER").unwrap_or_default());
    std::fs::create_dir_all(folder).doing(|| format!("make the folder {}", folder.display()))?;
    let pages = pages()?;
    for (name, text) in &pages {
        let path = folder.join(name);
        std::fs::write(&path, text).doing(|| format!("write {}", path.display()))?;
    }
    terminal::print(&format!("{} pages in {}\n", pages.len(), folder.display()));
    Ok(0)
}

/// Every page: its file name and its text.
fn pages() -> Result<Vec<(String, Vec<u8>)>> {
    let mut program = crate::root().name("minidock").long_about(
        "minidock is a small container engine: it runs programs in containers made of the kernel's namespaces, control groups and \
         overlay file systems, speaks the Docker Engine API, and shows what it does.",
    );
    for group in command::GROUPS {
        program = program.subcommand(clap::Command::new(group.name).about(group.about));
    }
    let mut pages = vec![("minidock.1".to_string(), page(program)?)];
    for command in command::all() {
        let built = (command.build)();
        if built.is_hide_set() {
            continue;
        }
        let name = format!("minidock-{}", command.path.replace(' ', "-"));
        let usage =
            format!("minidock {} {}", command.path, built.clone().render_usage().to_string().trim_start_matches("Usage: "));
        let built = built.name(name.clone()).override_usage(usage);
        pages.push((format!("{name}.1"), page(built)?));
    }
    Ok(pages)
}

fn page(command: clap::Command) -> Result<Vec<u8>> {
    let mut text = Vec::new();
    let man = clap_mangen::Man::new(command).source(concat!("minidock ", env!("CARGO_PKG_VERSION"))).manual("minidock");
    man.render(&mut text).doing(|| "write a manual page")?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_a_page() {
        let pages = pages().expect("pages");
        let ps = pages.iter().find(|(name, _)| name == "minidock-container-ls.1").expect("the page of container ls");
        let text = String::from_utf8_lossy(&ps.1);
        assert!(text.contains(".TH minidock-container-ls 1") && text.contains("no\\-trunc"), "{text}");
        assert!(!pages.iter().any(|(name, _)| name.contains("__complete")));
        assert!(pages.len() > 40, "{}", pages.len());
    }
}
