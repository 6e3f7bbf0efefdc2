//! # image load: images out of an archive
//!
//! An archive made by `save` (ours or Docker's), or by skopeo, buildah and umoci, from a file or standard input. The bytes go
//! to the daemon as they are read; it unpacks while they come and says how far it is, which on a terminal becomes a bar.
//!
//! Laws: a terminal on standard input is no archive, and waiting for one would be a riddle. *See:* docker/cli
//! `cli/command/image/load.go`. *Next room:* [`super::save`]

use crate::{flag, progress, session::Session, terminal, upload};
use clap::ArgMatches;
use minidock_base::{Doing, Error, Result};
use minidock_client::{Route, Wish};
use std::io::Read;

/// The flags of `load`.
pub fn command() -> clap::Command {
    flag::command("load", "[OPTIONS]", "Load an image from a tar archive or STDIN")
        .arg(flag::text("input", "string", "Read from tar archive file, instead of STDIN").short('i'))
        .arg(flag::switch("quiet", "Suppress the load output").short('q'))
}

/// Loads images.
///
/// # Errors
/// A file that cannot be read, an archive that is none, a layer that is not what its digest says.
pub async fn run(m: &ArgMatches, session: &mut Session) -> Result<i32> {
    let input = open(flag::text_of(m, "input").unwrap_or_default())?;
    let quiet = m.get_flag("quiet") || !terminal::output_is_terminal();
    let route = Route::new("/images/load", []).pair("quiet", u8::from(quiet));
    let docker = session.docker().await?;
    let answer = docker.send(Wish::post(&route).stream("application/x-tar", upload::pieces(input))).await?;
    progress::show(answer.objects()).await?;
    Ok(0)
}

fn open(path: &str) -> Result<Box<dyn Read + Send>> {
    match path {
        "" if terminal::input_is_terminal() => Err(Error::invalid("requested load from stdin, but stdin is empty")
            .hint("minidock load -i FILE, or minidock load < FILE")),
        "" => Ok(Box::new(std::io::stdin())),
        path => {
            let file = std::fs::File::open(path).doing(|| format!("open {path}"))?;
            let meta = file.metadata().doing(|| format!("open {path}"))?;
            match meta.is_dir() {
                true => Err(Error::invalid(format!("{path} is a directory, not an archive"))),
                false => Ok(Box::new(file)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_file_is_refused_by_name() {
        assert!(open("/nonexistent.tar").err().expect("a refusal").message().contains("/nonexistent.tar"));
        assert_eq!(open("/").err().expect("a refusal").message(), "/ is a directory, not an archive");
    }
}
