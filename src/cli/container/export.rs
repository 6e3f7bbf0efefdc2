//! # export: a container's files as one tar
//!
//! All layers flattened, as the container sees them, without its history or configuration. The archive goes to standard
//! output, or to a file that appears only when it is complete.
//!
//! *See:* docker/cli `cli/command/container/export.go`. *Next room:* [`crate::container::update`]

use crate::{flag, session::Session, terminal};
use clap::ArgMatches;
use minidock_base::{Doing, Error, Result};
use minidock_client::{Answer, Route, Wish as Request};
use std::{fs::File, io::Write, path::Path};

/// `minidock export`.
pub fn command() -> clap::Command {
    flag::command("export", "[OPTIONS] CONTAINER", "Export a container's filesystem as a tar archive")
        .arg(flag::text("output", "string", "Write to a file, instead of STDOUT").short('o'))
        .arg(flag::name("CONTAINER"))
}

/// Exports a container.
///
/// # Errors
/// Standard output is a terminal; a file that cannot be written; the daemon's refusal.
pub async fn run(m: &ArgMatches, session: &mut Session) -> Result<i32> {
    let target = flag::text_of(m, "output").filter(|path| !path.is_empty());
    if target.is_none() && terminal::output_is_terminal() {
        return Err(Error::invalid("cowardly refusing to save to a terminal. Use the -o flag or redirect"));
    }
    let folder = target.and_then(|path| Path::new(path).parent()).filter(|folder| !folder.as_os_str().is_empty());
    if let Some(folder) = folder.filter(|folder| !folder.is_dir()) {
        let why = format!("invalid output path: directory \"{}\" does not exist", folder.display());
        return Err(Error::invalid(format!("failed to export container: {why}")));
    }
    let route = Route::new("/containers/{}/export", [flag::text_of(m, "CONTAINER").unwrap_or_default()]);
    let archive = session.docker().await?.send(Request::get(&route)).await?;
    match target {
        Some(path) => save(archive, Path::new(path)).await.doing(|| format!("write {path}"))?,
        None => print(archive).await?,
    }
    Ok(0)
}

async fn print(mut archive: Answer) -> Result<()> {
    while let Some(piece) = archive.chunk().await? {
        terminal::print_bytes(&piece);
    }
    Ok(())
}

/// Writes beside the file and renames: half an archive never has its name.
async fn save(mut archive: Answer, path: &Path) -> Result<()> {
    if path.is_dir() {
        return Err(Error::invalid("it is a directory"));
    }
    if path.exists() && !path.is_file() {
        // a device or a pipe cannot be renamed over: it is written to
        let mut file = File::options().write(true).open(path).doing(|| "open it")?;
        while let Some(piece) = archive.chunk().await? {
            file.write_all(&piece).doing(|| "write to it")?;
        }
        return Ok(());
    }
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let beside = path.with_file_name(format!(".{name}-{}.tmp", std::process::id()));
    let written = async {
        let mut file = File::create_new(&beside).doing(|| format!("create {}", beside.display()))?;
        while let Some(piece) = archive.chunk().await? {
            file.write_all(&piece).doing(|| format!("write {}", beside.display()))?;
        }
        std::fs::rename(&beside, path).doing(|| "rename it into place")
    };
    let written = written.await;
    if written.is_err() {
        // what there is of it is of no use; if it was never made there is nothing to remove
        let _ = std::fs::remove_file(&beside);
    }
    written
}
