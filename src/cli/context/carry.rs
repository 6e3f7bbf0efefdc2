//! # export, import: a context carried to another machine
//!
//! A context is a few words, and somebody else may need just these: a teacher exports the address of the class's daemon, students import
//! it. The file is Docker's, so that either program reads what the other has written:
//!
//! ```text
//!   class.dockercontext    a tar archive
//!   ├ meta.json            {"Name": "class", "Metadata": {"Description": "…"}, "Endpoints": {"docker": {"Host": "tcp://…"}}}
//!   └ tls/                 certificates: none, for TLS is not spoken here
//! ```
//!
//! Laws: no file is written over; what an archive says is a stranger's word: one small document is read, and nothing is unpacked.
//! *See:* docker/cli `cli/context/store/store.go`. *Next room:* [`super::store`]

use super::store::{DEFAULT, Stored, check_name, file, find, save};
use crate::{flag, session::Session, terminal};
use clap::ArgMatches;
use minidock_base::{Doing, Error, Result};
use minidock_client::Address;
use serde_json::{Value as Json, json};
use std::{
    fs::File,
    io::{Read, Write},
};

/// The longest `meta.json` that is read, and the most entries of an archive.
const LONGEST: u64 = 1 << 20;
const MOST: usize = 1000;
const STDIO: &str = "-";

/// `minidock context export`.
pub fn export_command() -> clap::Command {
    flag::command("export", "CONTEXT [FILE|-]", "Export a context to a tar archive FILE or a tar stream on STDOUT.")
        .arg(flag::name("CONTEXT"))
        .arg(flag::optional("FILE"))
}

/// Writes a context into a file, or to standard output.
///
/// # Errors
/// No such context; a file that is there already; a terminal.
pub fn export(m: &ArgMatches, session: &Session) -> Result<i32> {
    let name = flag::text_of(m, "CONTEXT").unwrap_or_default();
    let archive = packed(name, &find(session.config_folder(), name)?)?;
    let to = flag::text_of(m, "FILE").map_or_else(|| format!("{name}.dockercontext"), str::to_string);
    if to == STDIO {
        if terminal::output_is_terminal() {
            return Err(Error::invalid("cowardly refusing to export to a terminal, specify a file path"));
        }
        terminal::print_bytes(&archive);
        return Ok(0);
    }
    let mut open = File::create_new(&to).doing(|| format!("make the file {to}"))?;
    open.write_all(&archive).doing(|| format!("write {to}"))?;
    terminal::eprint(&format!("Written file {to:?}\n"));
    Ok(0)
}

fn packed(name: &str, stored: &Stored) -> Result<Vec<u8>> {
    let doing = || "pack the context";
    let meta = json!({
        "Name": name,
        "Metadata": { "Description": stored.description },
        "Endpoints": { "docker": { "Host": stored.host, "SkipTLSVerify": false } },
    });
    let text = meta.to_string();
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_mode(0o644);
    header.set_size(text.len() as u64);
    tar.append_data(&mut header, "meta.json", text.as_bytes()).doing(doing)?;
    let mut folder = tar::Header::new_gnu();
    folder.set_entry_type(tar::EntryType::Directory);
    folder.set_mode(0o700);
    folder.set_size(0);
    tar.append_data(&mut folder, "tls", std::io::empty()).doing(doing)?;
    tar.into_inner().doing(doing)
}

/// `minidock context import`.
pub fn import_command() -> clap::Command {
    flag::command("import", "CONTEXT FILE|-", "Import a context from a tar file")
        .arg(flag::name("CONTEXT"))
        .arg(flag::name("FILE"))
}

/// Reads a context from a file, or from standard input.
///
/// # Errors
/// A name that is taken or is none; a file that is not there or no context; one with certificates.
pub fn import(m: &ArgMatches, session: &Session) -> Result<i32> {
    let text = |id| flag::text_of(m, id).unwrap_or_default();
    let (name, from, config) = (text("CONTEXT"), text("FILE"), session.config_folder());
    if name == DEFAULT {
        return Err(Error::invalid("\"default\" is a reserved context name"));
    }
    check_name(name)?;
    if file(config, name).exists() {
        return Err(Error::conflict(format!("context {name:?} already exists")).hint(format!("minidock context rm {name}")));
    }
    let stored = match from {
        STDIO => unpacked(std::io::stdin().lock()),
        path => unpacked(File::open(path).doing(|| format!("open {path}"))?),
    };
    save(config, name, &stored.doing(|| format!("read the context in {from}"))?)?;
    terminal::print(&format!("{name}\n"));
    terminal::eprint(&format!("Successfully imported context {name:?}\n"));
    Ok(0)
}

fn unpacked(archive: impl Read) -> Result<Stored> {
    let broken = |e: std::io::Error| Error::invalid(format!("it is no tar archive: {e}"));
    let mut stored = None;
    for entry in tar::Archive::new(archive).entries().map_err(broken)?.take(MOST) {
        let entry = entry.map_err(broken)?;
        let path = entry.path().map_err(broken)?.into_owned();
        let is_file = entry.header().entry_type().is_file();
        if path == std::path::Path::new("meta.json") {
            let mut text = Vec::new();
            entry.take(LONGEST).read_to_end(&mut text).map_err(broken)?;
            stored = Some(meaning(&text)?);
        } else if is_file && path.starts_with("tls") {
            return Err(Error::not_implemented("it has certificates, and TLS is not spoken here")
                .hint("a unix socket, or tcp:// through `ssh -L`"));
        }
    }
    stored.ok_or_else(|| Error::invalid("there is no meta.json in it"))
}

fn meaning(text: &[u8]) -> Result<Stored> {
    let meta: Json = serde_json::from_slice(text).map_err(|e| Error::invalid(format!("its meta.json: {e}")))?;
    let word = |value: &Json| value.as_str().unwrap_or_default().to_string();
    let host = word(&meta["Endpoints"]["docker"]["Host"]);
    if host.is_empty() {
        return Err(Error::invalid("its meta.json names no docker endpoint"));
    }
    let host = Address::parse(&host)?.to_string();
    Ok(Stored { description: word(&meta["Metadata"]["Description"]), host, ..Stored::default() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_context_comes_back_as_it_went() {
        let stored = Stored { description: "the class".into(), host: "tcp://127.0.0.1:2375".into(), ..Stored::default() };
        assert_eq!(unpacked(&packed("class", &stored).expect("packed")[..]).expect("a context"), stored);
        let local = Stored { host: "unix:///run/x.sock".into(), ..Stored::default() };
        assert_eq!(unpacked(&packed("x", &local).expect("packed")[..]).expect("a context"), local);
    }

    #[test]
    fn an_archive_that_is_no_context_is_refused() {
        let why = |bytes: &[u8]| unpacked(bytes).expect_err("no context").message();
        assert!(why(b"").contains("no meta.json") && why(&[b'x'; 600]).contains("no tar archive"));
        let nowhere = packed("x", &Stored::default()).expect("packed");
        assert!(why(&nowhere).contains("names no docker endpoint"));
        let mut tar =
            tar::Builder::new(packed("x", &Stored { host: "unix:///x".into(), ..Stored::default() }).expect("packed"));
        tar.get_mut().truncate(1024 + 512); // without the end mark, so that more can follow
        let mut header = tar::Header::new_gnu();
        header.set_size(1);
        tar.append_data(&mut header, "tls/docker/ca.pem", &b"x"[..]).expect("room");
        assert!(why(&tar.into_inner().expect("room")).contains("certificates"));
    }

    proptest! {
        #[test]
        fn no_archive_makes_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..1200)) {
            let _ = unpacked(&bytes[..]);
        }
    }
}
