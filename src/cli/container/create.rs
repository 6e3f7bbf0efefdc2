//! # create: a container that does not run yet
//!
//! One call, `POST /containers/create`, and what belongs around it: an image that is not here is fetched first, the id is
//! written to a file if one is asked for, warnings are shown.
//!
//! ```text
//!   POST /containers/create ── 201 ──► id
//!           └ 404: no such image ──► "Unable to find image 'x:latest' locally"
//!                                    POST /images/create?fromImage=x&tag=latest   (progress on standard error)
//!                                    POST /containers/create once more
//! ```
//!
//! Laws: the id file is claimed before anything is created and removed again if nothing was. *See:* docker/cli
//! `cli/command/container/create.go`. *Next room:* [`crate::container::run`]

use crate::container::{body, body::Pull, flags};
use crate::{complain, flag, progress, registry::accounts::Accounts, session::Session, terminal};
use clap::ArgMatches;
use minidock_base::{Doing, Error, Kind, Result};
use minidock_client::{Docker, Route, Wish as Request};
use minidock_spec::{engine::container::Created, reference::Reference};
use std::{
    fs::File,
    io::Write,
    path::{Path, PathBuf},
};

/// `minidock create`.
pub fn command() -> clap::Command {
    let create = flag::command("create", "[OPTIONS] IMAGE [COMMAND] [ARG...]", "Create a new container");
    flags::add(create.arg(flags::pull("creating")))
}

/// The status of a command line that makes no sense.
pub const WRONG_FLAGS: i32 = 125;

/// Creates a container and prints its id.
///
/// # Errors
/// The daemon's refusal; an image that is nowhere. Flags that make no sense are printed, and the status is 125.
pub async fn run(m: &ArgMatches, session: &mut Session) -> Result<i32> {
    let wish = match body::wish(m) {
        Ok(wish) => wish,
        Err(error) => {
            complain(&error);
            return Ok(WRONG_FLAGS);
        }
    };
    let docker = session.docker().await?;
    let created = create(&docker, &wish, session.config_folder()).await?;
    terminal::print(&format!("{}\n", created.id));
    Ok(0)
}

/// Creates the container; fetches its image first if the wish says so, with the account that lies in the folder `config`.
///
/// # Errors
/// The daemon's refusal; an image that is nowhere; an id file that exists already.
pub async fn create(docker: &Docker, wish: &body::Wish, config: &Path) -> Result<Created> {
    let id_file = wish.cidfile.as_deref().map(IdFile::claim).transpose()?;
    let mut body = wish.body.clone();
    if docker.speaks("1.44") {
        // it is the endpoint's; older engines know it as the container's own
        body.config.mac_address = None;
    }
    let image = &body.config.image;
    if wish.pull == Pull::Always {
        pull(docker, wish, config).await?;
    }
    let route = Route::new("/containers/create", []).maybe("name", wish.name.as_deref());
    let route = route.maybe("platform", wish.platform.as_deref());
    let created: Created = match docker.post(&route, &body).await {
        Err(e) if e.kind() == Kind::NotFound && wish.pull == Pull::Missing && is_about_image(&e) => {
            if !wish.quiet {
                let shown = Reference::parse(image).map(|r| r.familiar()).unwrap_or_else(|_| image.clone());
                terminal::eprint(&format!("Unable to find image '{shown}' locally\n"));
            }
            pull(docker, wish, config).await?;
            docker.post(&route, &body).await?
        }
        answered => answered?,
    };
    for warning in &created.warnings {
        terminal::eprint(&format!("WARNING: {warning}\n"));
    }
    if let Some(file) = id_file {
        file.write(&created.id)?;
    }
    Ok(created)
}

/// A 404 may also be about a network or a volume.
fn is_about_image(error: &Error) -> bool {
    error.message().contains("No such image")
}

/// Fetches the image of a wish; its progress is shown on standard error, where the program's output is not.
async fn pull(docker: &Docker, wish: &body::Wish, config: &Path) -> Result<()> {
    let reference = Reference::parse(&wish.body.config.image)?;
    let tag = reference.digest.as_ref().map(ToString::to_string).or(reference.tag.clone());
    let route = Route::new("/images/create", []).pair("fromImage", reference.canonical_name()).maybe("tag", tag);
    let route = route.maybe("platform", wish.platform.as_deref());
    let auth = Accounts::open(config)?.header(&reference.domain)?;
    let request = auth.into_iter().fold(Request::post(&route), |request, auth| request.header("X-Registry-Auth", auth));
    let fetched = async {
        let lines = docker.send(request).await?.objects();
        match wish.quiet {
            true => progress::show_to(lines, false, &mut |_| {}).await,
            false => progress::show_aside(lines).await,
        }
    };
    fetched.await.map_err(|error| match error.hint_text() {
        Some(_) => error,
        None => error.hint("`make images` builds stand-ins for the base images; `minidock load -i FILE` reads an archive"),
    })
}

/// `--cidfile`: claimed first, written at the end, removed if it stays empty.
struct IdFile {
    path: PathBuf,
    file: File,
    written: bool,
}

impl IdFile {
    fn claim(path: &str) -> Result<IdFile> {
        match File::create_new(path) {
            Ok(file) => Ok(IdFile { path: path.into(), file, written: false }),
            Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => Err(Error::conflict(format!(
                "container ID file found, make sure the other container isn't running or delete {path}"
            ))),
            Err(e) => Err(e).doing(|| format!("create the container ID file {path}")),
        }
    }

    fn write(mut self, id: &str) -> Result<()> {
        self.file.write_all(id.as_bytes()).doing(|| format!("write the container ID file {}", self.path.display()))?;
        self.written = true;
        Ok(())
    }
}

impl Drop for IdFile {
    fn drop(&mut self) {
        if !self.written {
            // nothing was created, so nothing may be left; one that is gone already is as good
            let _ = std::fs::remove_file(&self.path);
        }
    }
}
