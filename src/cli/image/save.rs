//! # image save: images into an archive
//!
//! The archive is the daemon's: this room only puts it where it should go. To a file it is written beside and renamed when
//! whole, so that a broken connection never leaves half an archive under a good name.
//!
//! Laws: nothing binary goes to a terminal. *See:* docker/cli `cli/command/image/save.go`. *Next room:* [`super::import`]

use crate::{flag, session::Session, terminal};
use clap::ArgMatches;
use minidock_base::{Doing, Error, Result};
use minidock_client::{Answer, Route, Wish};
use std::{
    fs::{File, OpenOptions},
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

/// The flags of `save`.
pub fn command() -> clap::Command {
    flag::command(
        "save",
        "[OPTIONS] IMAGE [IMAGE...]",
        "Save one or more images to a tar archive (streamed to STDOUT by default)",
    )
    .arg(flag::text("output", "string", "Write to a file, instead of STDOUT").short('o'))
    .arg(flag::names("IMAGE"))
}

/// Saves images.
///
/// # Errors
/// No such image; a file that cannot be written.
pub async fn run(m: &ArgMatches, session: &mut Session) -> Result<i32> {
    let output = flag::text_of(m, "output").unwrap_or_default();
    if output.is_empty() && terminal::output_is_terminal() {
        return Err(Error::invalid("cowardly refusing to save to a terminal. Use the -o flag or redirect"));
    }
    let route = flag::list_of(m, "IMAGE").iter().fold(Route::new("/images/get", []), |route, name| route.pair("names", name));
    let docker = session.docker().await?;
    // the answer first: a refusal must not leave an empty file
    let mut answer = docker.send(Wish::get(&route)).await?;
    match output {
        "" => copy(&mut answer, &mut std::io::stdout().lock()).await?,
        path if is_special(path) => {
            let mut file = OpenOptions::new().write(true).open(path).doing(|| format!("open {path}"))?;
            copy(&mut answer, &mut file).await?;
        }
        path => Beside::create(Path::new(path))?.fill(&mut answer).await?,
    }
    Ok(0)
}

async fn copy(answer: &mut Answer, to: &mut impl Write) -> Result<()> {
    while let Some(piece) = answer.chunk().await? {
        to.write_all(&piece).doing(|| "write the archive")?;
    }
    to.flush().doing(|| "write the archive")
}

/// `/dev/stdout`, a pipe: nothing that could be replaced.
fn is_special(path: &str) -> bool {
    std::fs::metadata(path).is_ok_and(|meta| !meta.is_file() && !meta.is_dir())
}

/// A file that gets its name when it is whole.
struct Beside {
    file: Option<File>,
    temporary: PathBuf,
    wanted: PathBuf,
}

impl Beside {
    fn create(wanted: &Path) -> Result<Beside> {
        if wanted.is_dir() {
            return Err(Error::invalid(format!("{} is a directory: give a file's name", wanted.display())));
        }
        let name = wanted.file_name().unwrap_or_default().to_string_lossy();
        let temporary = wanted.with_file_name(format!(".{name}.{}", std::process::id()));
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary);
        let file = file.doing(|| format!("create {}", wanted.display()))?;
        Ok(Beside { file: Some(file), temporary, wanted: wanted.into() })
    }

    async fn fill(mut self, answer: &mut Answer) -> Result<()> {
        if let Some(file) = &mut self.file {
            copy(answer, file).await?;
            std::fs::rename(&self.temporary, &self.wanted).doing(|| format!("create {}", self.wanted.display()))?;
            self.file = None;
        }
        Ok(())
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        if self.file.is_some() {
            // it was never whole; if it cannot be removed, its name says what it is
            let _ = std::fs::remove_file(&self.temporary);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_an_archive_leaves_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let wanted = folder.path().join("a.tar");
        drop(Beside::create(&wanted).expect("a file"));
        assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 0);
        assert!(Beside::create(folder.path()).is_err());
    }
}
