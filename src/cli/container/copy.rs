//! # cp: files in and out of a container
//!
//! Files cross the socket as a tar. The rules about where they land are those of `cp -a`, and they depend on both ends: is
//! the source a folder, does the destination exist, is it a folder, does its path end in a slash? [`landing`] is that table
//! as a function; the rest is moving bytes.
//!
//! ```text
//!   cp web:/etc/hosts .      HEAD …/archive?path=/etc/hosts    what is it?
//!                            GET  …/archive?path=/etc/hosts    tar ──► unpack, renamed, in ./
//!   cp ./conf web:/etc       HEAD …/archive?path=/etc          a folder, so: /etc/conf
//!                            PUT  …/archive?path=/etc          tar of conf ◄── pack
//!   cp web:/x -  ·  cp - web:/x     the tar itself, to and from the pipe
//! ```
//!
//! * `SRC/.` means the contents of a folder and not the folder.
//! * Without `-a` files belong to whoever receives them: root inside, you outside (and lose set-user-ID bits on the way).
//!
//! Laws: a local path begins with `/` or `.` or has no colon; a name never leaves the destination (see
//! [`crate::container::unpack`]). *See:* docker/cli `cli/command/container/cp.go`; moby `pkg/archive/copy.go`.
//! *Next room:* [`crate::container::copy_progress`]

use crate::container::{copy_progress::Progress, pack, unpack};
use crate::{flag, session::Session, terminal, upload};
use base64::{Engine, engine::general_purpose::STANDARD};
use clap::ArgMatches;
use futures_util::StreamExt;
use minidock_base::{Doing, Error, Result};
use minidock_client::{Docker, Route, Wish as Request};
use minidock_spec::engine::container::PathStat;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

/// `minidock cp`.
pub fn command() -> clap::Command {
    let usage = "[OPTIONS] CONTAINER:SRC_PATH DEST_PATH|-\n[OPTIONS] SRC_PATH|- CONTAINER:DEST_PATH";
    let about = "Copy files/folders between a container and the local filesystem";
    let long = "Copy files/folders between a container and the local filesystem\n\nUse '-' as the source to read a tar archive from stdin\nand extract it to a directory destination in a container.\nUse '-' as the destination to stream a tar archive of a\ncontainer source to stdout.";
    flag::command("cp", usage, about)
        .long_about(long)
        .arg(flag::switch("archive", "Archive mode (copy all uid/gid information)").short('a'))
        .arg(flag::switch("follow-link", "Always follow symbol link in SRC_PATH").short('L'))
        .arg(
            flag::switch(
                "quiet",
                "Suppress progress output during copy. Progress output is automatically suppressed if no terminal is attached",
            )
            .short('q'),
        )
        .arg(flag::name("SRC_PATH"))
        .arg(flag::name("DEST_PATH"))
}

/// Copies.
///
/// # Errors
/// Both ends here or both in containers; what is not there; what does not fit; the daemon's refusal.
pub async fn run(m: &ArgMatches, session: &mut Session) -> Result<i32> {
    let place = |id: &str| Place::parse(flag::text_of(m, id).unwrap_or_default());
    let how = How { archive: m.get_flag("archive"), follow: m.get_flag("follow-link"), quiet: m.get_flag("quiet") };
    let (from, to) = (place("SRC_PATH")?, place("DEST_PATH")?);
    match (&from, &to) {
        (Place::There { .. }, Place::There { .. }) => {
            Err(Error::invalid("copying between containers is not supported")
                .hint("minidock cp A:/path - | minidock cp - B:/path"))
        }
        (Place::Here(_), Place::Here(_)) => {
            Err(Error::invalid("must specify at least one container source").hint("minidock cp CONTAINER:/path ."))
        }
        (Place::There { path, .. }, Place::Here(_)) if path.is_empty() => {
            Err(Error::invalid("bad parameter: 'path' cannot be empty")
                .hint("minidock cp CONTAINER:/ FOLDER copies everything"))
        }
        (Place::There { container, path }, Place::Here(here)) => {
            let docker = session.docker().await?;
            out(&docker, container, path, here, &how).await.map(|()| 0)
        }
        (Place::Here(here), Place::There { container, path }) => {
            let docker = session.docker().await?;
            into(&docker, here, container, path, &how).await.map(|()| 0)
        }
    }
}

struct How {
    archive: bool,
    follow: bool,
    quiet: bool,
}

/// One end of a copy.
#[derive(Debug, PartialEq)]
enum Place {
    Here(String),
    There { container: String, path: String },
}

impl Place {
    fn parse(text: &str) -> Result<Place> {
        if text.is_empty() {
            return Err(Error::invalid("a path to copy may not be empty"));
        }
        match text.split_once(':') {
            Some((container, path)) if !text.starts_with(['/', '.']) && !container.is_empty() => {
                Ok(Place::There { container: container.into(), path: path.into() })
            }
            _ => Ok(Place::Here(text.into())),
        }
    }
}

/// What is at the destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum There {
    Nothing,
    Folder,
    File,
}

/// Where the root of what is copied lands: in `folder`, as `name`; without a name, its contents go into the folder.
#[derive(Debug, PartialEq)]
pub struct Landing {
    pub folder: String,
    pub name: Option<String>,
}

/// The rules of `cp -a`.
///
/// # Errors
/// `cannot copy directory`, `no such directory`, `not a directory`.
pub fn landing(source: &str, source_is_folder: bool, destination: &str, there: There) -> Result<Landing> {
    let wants_folder = destination.ends_with('/') || destination.ends_with("/.");
    let (folder, name) = split(destination);
    match there {
        There::Folder if contents_only(source) => Ok(Landing { folder: destination.into(), name: None }),
        There::Folder => match split(source).1.as_str() {
            "" => Ok(Landing { folder: destination.into(), name: None }),
            name => Ok(Landing { folder: destination.into(), name: Some(name.into()) }),
        },
        There::File if source_is_folder => Err(Error::invalid("cannot copy directory").hint("the destination is a file")),
        There::File if wants_folder => Err(Error::invalid(format!("{destination}: not a directory"))),
        There::Nothing if wants_folder && !source_is_folder => {
            Err(Error::not_found("no such directory").hint(format!("{destination} must exist, or be written without a slash")))
        }
        There::File | There::Nothing => Ok(Landing { folder, name: Some(name) }),
    }
}

/// `/a/.`: what is in it, and not itself.
fn contents_only(path: &str) -> bool {
    path == "." || path.ends_with("/.")
}

/// Folder and last name of a path; slashes and `/.` at the end say nothing about either.
fn split(path: &str) -> (String, String) {
    let mut path = path;
    loop {
        let shorter = path.strip_suffix("/.").unwrap_or(path).trim_end_matches('/');
        if shorter == path {
            break;
        }
        path = shorter;
    }
    match path.rsplit_once('/') {
        _ if matches!(path, "" | "." | "..") || path.ends_with("/..") => (format!("{path}/"), String::new()),
        Some(("", name)) => ("/".into(), name.into()),
        Some((folder, name)) => (folder.into(), name.into()),
        None => (".".into(), path.into()),
    }
}

/// What is at `path` in the container.
async fn stat(docker: &Docker, container: &str, path: &str) -> Result<Option<PathStat>> {
    let answer = docker.send(Request::head(&archive(container, path))).await;
    let answer = match answer {
        // a head has no words: if there is more to say, the next call says it
        Err(e) if e.is_from_daemon() => return Ok(None),
        answered => answered?,
    };
    let header = answer.header("x-docker-container-path-stat").unwrap_or_default();
    let json =
        STANDARD.decode(header).map_err(|e| Error::system(format!("the daemon's description of {path} is not base64: {e}")))?;
    serde_json::from_slice(&json).doing(|| format!("read the daemon's description of {path}")).map(Some)
}

fn archive(container: &str, path: &str) -> Route {
    Route::new("/containers/{}/archive", [container]).pair("path", path)
}

fn is_folder(stat: &PathStat) -> bool {
    stat.mode & (1 << 31) != 0
}

fn is_link(stat: &PathStat) -> bool {
    stat.mode & (1 << 27) != 0
}

/// From a container to here.
async fn out(docker: &Docker, container: &str, path: &str, here: &str, how: &How) -> Result<()> {
    ordinary(here)?;
    let mut path = path.to_string();
    if how.follow
        && let Some(link) = stat(docker, container, &path).await?.filter(is_link)
    {
        path = beside(&path, &link.link_target);
    }
    let mut answer = docker.send(Request::get(&archive(container, &path))).await?;
    if here == "-" {
        while let Some(piece) = answer.chunk().await? {
            terminal::print_bytes(&piece);
        }
        return Ok(());
    }
    let stat_header = answer.header("x-docker-container-path-stat").and_then(|text| STANDARD.decode(text).ok());
    let source: PathStat = stat_header.and_then(|json| serde_json::from_slice(&json).ok()).unwrap_or_default();
    let real = std::fs::canonicalize(here).ok();
    let there = match &real {
        None => There::Nothing,
        Some(real) if real.is_dir() => There::Folder,
        Some(_) => There::File,
    };
    let destination = match (&real, there) {
        (Some(real), There::File) => real.to_string_lossy().into_owned(),
        _ => here.to_string(),
    };
    let landing = landing(&path, is_folder(&source), &destination, there)?;
    if !Path::new(&landing.folder).is_dir() {
        return Err(Error::not_found(format!("invalid output path: directory {:?} does not exist", landing.folder)));
    }
    let (folder, name) = (PathBuf::from(&landing.folder), landing.name.map(PathBuf::from));
    let (sender, reader) = unpack::channel();
    let progress = Progress::begin("Copying from container", how.quiet);
    let moved = progress.counter();
    let keep_owners = how.archive;
    let unpacking = std::thread::spawn(move || unpack::unpack(reader, &folder, name.as_deref(), keep_owners));
    while let Some(piece) = answer.chunk().await? {
        moved.fetch_add(piece.len() as u64, Ordering::Relaxed);
        if sender.send(piece).await.is_err() {
            break;
        }
    }
    drop(sender);
    let unpacked = unpacking.join().map_err(|_| Error::system("the unpacking thread panicked"))?;
    let skipped = unpacked.doing(|| format!("copy {container}:{path} to {here}"))?;
    progress.succeeded(&absolute(here));
    for name in skipped {
        terminal::eprint(&format!("minidock: left out {name}: a device (copy it with -a)\n"));
    }
    Ok(())
}

/// What is here already may be replaced if it is a file, and filled if it is a folder. A device of ours is neither: root could replace
/// `/dev/null` by a file.
fn ordinary(here: &str) -> Result<()> {
    match std::fs::metadata(here) {
        Ok(found) if here != "-" && !found.is_dir() && !found.is_file() => {
            use std::os::unix::fs::FileTypeExt;
            let kind = found.file_type();
            let what = if kind.is_char_device() || kind.is_block_device() { "a device" } else { "an irregular file" };
            Err(Error::invalid(format!("invalid output path: {here:?} must be a directory or a regular file: got {what}"))
                .hint("minidock cp CONTAINER:/path - writes a tar archive to standard output"))
        }
        _ => Ok(()),
    }
}

/// A link's target as a path in the container.
fn beside(link: &str, target: &str) -> String {
    match target.starts_with('/') {
        true => target.to_string(),
        false => format!("{}/{target}", split(link).0.trim_end_matches('/')),
    }
}

fn absolute(here: &str) -> String {
    std::path::absolute(here).map(|path| path.to_string_lossy().into_owned()).unwrap_or_else(|_| here.to_string())
}

/// From here into a container.
async fn into(docker: &Docker, here: &str, container: &str, path: &str, how: &How) -> Result<()> {
    let path = if path.starts_with('/') { path.to_string() } else { format!("/{path}") };
    let (mut target, mut there) = (path.clone(), stat(docker, container, &path).await?);
    if let Some(link) = there.clone().filter(is_link) {
        target = beside(&path, &link.link_target);
        there = stat(docker, container, &target).await?;
    }
    let there = match &there {
        None => There::Nothing,
        Some(stat) if is_folder(stat) => There::Folder,
        Some(_) => There::File,
    };
    if here == "-" {
        if there != There::Folder {
            return Err(Error::invalid(format!("destination \"{container}:{path}\" must be a directory")));
        }
        let body = upload::pieces(std::io::stdin());
        return put(docker, container, &target, how, body).await;
    }
    let source = pack::Source::find(here, how.follow)?;
    let landing = landing(here, source.is_folder(), &target, there)?;
    let (pieces, failure) = pack::pack(source, landing.name);
    let progress = Progress::begin("Copying to container", how.quiet);
    let moved = progress.counter();
    let body = pieces.inspect(move |piece| {
        if let Ok(piece) = piece {
            moved.fetch_add(piece.len() as u64, Ordering::Relaxed);
        }
    });
    let sent = put(docker, container, &landing.folder, how, body).await;
    if let Some(error) = failure.take() {
        return Err(error.during(format!("copy {here} to {container}:{path}")));
    }
    sent?;
    progress.succeeded(&format!("{container}:{path}"));
    Ok(())
}

async fn put(
    docker: &Docker,
    container: &str,
    folder: &str,
    how: &How,
    body: impl futures_util::Stream<Item = std::io::Result<bytes::Bytes>> + Send + 'static,
) -> Result<()> {
    let route = archive(container, folder).pair("noOverwriteDirNonDir", "true");
    let route = if how.archive { route.pair("copyUIDGID", "true") } else { route };
    docker.send(Request::put(&route).stream("application/x-tar", body)).await?.bytes().await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_colon_makes_a_container_unless_the_path_begins_like_one_of_ours() {
        let there = |c: &str, p: &str| Place::There { container: c.into(), path: p.into() };
        assert_eq!(Place::parse("web:/etc").expect("a place"), there("web", "/etc"));
        assert_eq!(Place::parse("web:").expect("a place"), there("web", ""));
        for here in ["/a:b", "./a:b", "plain", "-", ":x", "../x:y"] {
            assert_eq!(Place::parse(here).expect("a place"), Place::Here(here.into()));
        }
    }

    #[test]
    fn a_device_is_no_place_for_a_copy() {
        let why = ordinary("/dev/null").unwrap_err().message();
        assert_eq!(why, "invalid output path: \"/dev/null\" must be a directory or a regular file: got a device");
        assert!(ordinary("/").is_ok() && ordinary("/no/such").is_ok() && ordinary("-").is_ok());
    }

    #[test]
    fn things_land_where_cp_puts_them() {
        let lands = |source: &str, folder: bool, to: &str, there: There| {
            landing(source, folder, to, there).map(|l| (l.folder, l.name.unwrap_or_default()))
        };
        let at = |folder: &str, name: &str| (folder.to_string(), name.to_string());
        assert_eq!(lands("a/f", false, "/d", There::Folder).expect("fits"), at("/d", "f"));
        assert_eq!(lands("a/f", false, "/d/g", There::File).expect("fits"), at("/d", "g"));
        assert_eq!(lands("a/f", false, "/d/new", There::Nothing).expect("fits"), at("/d", "new"));
        assert_eq!(lands("a", true, "/d", There::Folder).expect("fits"), at("/d", "a"));
        assert_eq!(lands("a/", true, "/d/", There::Folder).expect("fits"), at("/d/", "a"));
        assert_eq!(lands("a/.", true, "/d", There::Folder).expect("fits"), at("/d", ""));
        assert_eq!(lands("a/.", true, "/d/new", There::Nothing).expect("fits"), at("/d", "new"));
        assert_eq!(lands("a", true, "/d/new/", There::Nothing).expect("fits"), at("/d", "new"));
        assert_eq!(lands("f", false, "new", There::Nothing).expect("fits"), at(".", "new"));
        assert_eq!(lands("/", true, "/d", There::Folder).expect("fits"), at("/d", ""));
        assert!(lands("a", true, "/d/f", There::File).unwrap_err().message().contains("cannot copy directory"));
        assert!(lands("f", false, "/d/new/", There::Nothing).unwrap_err().message().contains("no such directory"));
        assert!(lands("f", false, "/d/f/", There::File).unwrap_err().message().contains("not a directory"));
    }

    proptest! {
        #[test]
        fn a_landing_name_is_one_plain_name(source in "[a./]{0,8}", to in "[a./]{1,8}", folder in any::<bool>(), n in 0u8..3) {
            let there = [There::Nothing, There::Folder, There::File][n as usize];
            if let Ok(Landing { name: Some(name), .. }) = landing(&source, folder, &to, there) {
                prop_assert!(!name.contains('/') && name != "." && name != "..", "{:?}", name);
            }
        }
    }
}
