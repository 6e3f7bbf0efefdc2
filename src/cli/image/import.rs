//! # image import: an image out of a plain tree of files
//!
//! A tar of a root file system (`export` makes one, debootstrap another) becomes an image of one layer; `-c` adds what a
//! tree of files cannot say: `CMD`, `ENV`, `WORKDIR`.
//!
//! Laws: no file is fetched from the network. *See:* docker/cli `cli/command/image/import.go`. *Next room:* [`super::pull`]

use crate::{flag, progress, session::Session, terminal, upload};
use clap::ArgMatches;
use minidock_base::{Doing, Error, Result};
use minidock_client::{Route, Wish};
use minidock_spec::reference::Reference;
use std::io::Read;

/// The flags of `import`.
pub fn command() -> clap::Command {
    flag::command(
        "import",
        "[OPTIONS] file|URL|- [REPOSITORY[:TAG]]",
        "Import the contents from a tarball to create a filesystem image",
    )
    .arg(flag::list("change", "list", "Apply Dockerfile instruction to the created image").short('c'))
    .arg(flag::text("message", "string", "Set commit message for imported image").short('m'))
    .arg(flag::text("platform", "string", "Set platform if server is multi-platform capable"))
    .arg(flag::name("file"))
    .arg(flag::optional("REPOSITORY"))
}

/// Imports an image.
///
/// # Errors
/// A URL; a file that cannot be read; a name or an instruction that is wrong.
pub async fn run(m: &ArgMatches, session: &mut Session) -> Result<i32> {
    let name = flag::text_of(m, "REPOSITORY");
    let reference = name.map(Reference::parse).transpose()?;
    let input = open(flag::text_of(m, "file").unwrap_or_default())?;
    let route = Route::new("/images/create", [])
        .pair("fromSrc", "-")
        .maybe("repo", reference.as_ref().map(Reference::familiar_name))
        .maybe("tag", reference.as_ref().and_then(|r| r.tag.clone()))
        .maybe("message", flag::text_of(m, "message"))
        .maybe("platform", flag::text_of(m, "platform"));
    let route = flag::list_of(m, "change").iter().fold(route, |route, change| route.pair("changes", change));
    let docker = session.docker().await?;
    let answer = docker.send(Wish::post(&route).stream("text/plain", upload::pieces(input))).await?;
    progress::show(answer.objects()).await?;
    Ok(0)
}

fn open(source: &str) -> Result<Box<dyn Read + Send>> {
    match source {
        "-" if terminal::input_is_terminal() => {
            Err(Error::invalid("a terminal is no archive").hint("minidock import - < FILE"))
        }
        "-" => Ok(Box::new(std::io::stdin())),
        url if url.starts_with("http://") || url.starts_with("https://") => Err(Error::not_implemented(format!(
            "minidock does not fetch {url}: an import comes from a file or from standard input"
        ))
        .hint(format!("curl -fL {url} | minidock import -"))),
        path => Ok(Box::new(std::fs::File::open(path).doing(|| format!("open {path}"))?)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_refused_with_the_way_round() {
        let refused = open("https://example.org/root.tar").err().expect("a refusal");
        assert_eq!(refused.hint_text(), Some("curl -fL https://example.org/root.tar | minidock import -"));
    }
}
