//! # The store of contexts: names and addresses on disk
//!
//! ```text
//!   ~/.minidock/contexts/node2.json    {"description": "…", "host": "unix:///run/…"}
//!   ~/.minidock/current-context        node2\n        (absent: the default socket)
//! ```
//!
//! * [`current`] and [`address`] serve the session; [`find`], [`names`], [`save`] the commands.
//!
//! Laws: the name `default` is the default socket and is never stored; a name is a valid file name, so that it can never be a
//! path. A chosen context that is not there is an error and never another daemon. *Next room:* [`crate::session`]

use crate::session;
use minidock_base::{Doing, Error, Result, state_file};
use minidock_client::Address;
use serde::{Deserialize, Serialize};
use std::{
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
};

/// The name that means "the default socket".
pub const DEFAULT: &str = "default";

/// A context as it is stored.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Stored {
    pub description: String,
    pub host: String,
    /// For a simulated node: the daemon that hosts it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub hosted_by: String,
}

fn folder(config: &Path) -> PathBuf {
    config.join("contexts")
}

/// Where a context lies.
pub fn file(config: &Path, name: &str) -> PathBuf {
    folder(config).join(format!("{name}.json"))
}

/// Where the choice lies.
pub fn choice(config: &Path) -> PathBuf {
    config.join("current-context")
}

/// The context chosen by `context use`, if any.
///
/// # Errors
/// The file is there and cannot be read.
pub fn current(config: &Path) -> Result<Option<String>> {
    let path = choice(config);
    match fs::read_to_string(&path) {
        Ok(text) => Ok(Some(text.trim().to_string()).filter(|name| !name.is_empty())),
        Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
        Err(e) => Err(e).doing(|| format!("read {}", path.display())),
    }
}

/// The address that context `name` stands for.
///
/// # Errors
/// `context "…" does not exist`; a broken file; an address that is none.
pub fn address(config: &Path, name: &str) -> Result<Address> {
    match name {
        DEFAULT => Ok(session::default_address()),
        _ => Address::parse(&find(config, name)?.host),
    }
}

/// What is stored under `name`.
///
/// # Errors
/// `context "…" does not exist`; a broken file.
pub fn find(config: &Path, name: &str) -> Result<Stored> {
    if name == DEFAULT {
        let host = session::default_address().to_string();
        return Ok(Stored {
            description: "The daemon of this machine, started when it is needed".into(),
            host,
            ..Stored::default()
        });
    }
    let missing = || Error::not_found(format!("context {name:?} does not exist")).hint("minidock context ls");
    check_name(name).map_err(|_| missing())?;
    state_file::load(&file(config, name))?.ok_or_else(missing)
}

/// `[a-zA-Z0-9][a-zA-Z0-9_.+-]+`, so that it is also a file name.
///
/// # Errors
/// Every other name, in Docker's words.
pub fn check_name(name: &str) -> Result<()> {
    let rest_is_plain = name.chars().skip(1).all(|c| c.is_ascii_alphanumeric() || "_.+-".contains(c));
    match name.len() >= 2 && name.starts_with(|c: char| c.is_ascii_alphanumeric()) && rest_is_plain {
        true => Ok(()),
        false => Err(Error::invalid(format!(
            "context name {name:?} is invalid, names are validated against regexp \"^[a-zA-Z0-9][a-zA-Z0-9_.+-]+$\""
        ))),
    }
}

/// Every context's name, the default's too, as in the alphabet.
///
/// # Errors
/// The folder is there and cannot be read.
pub fn names(config: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    let entries = match fs::read_dir(folder(config)) {
        Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => None,
        entries => Some(entries.doing(|| format!("read {}", folder(config).display()))?),
    };
    for entry in entries.into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        names.extend(name.strip_suffix(".json").filter(|name| check_name(name).is_ok()).map(str::to_string));
    }
    names.push(DEFAULT.into());
    names.sort();
    Ok(names)
}

/// Stores a context.
///
/// # Errors
/// The folder or the file cannot be written.
pub fn save(config: &Path, name: &str, stored: &Stored) -> Result<()> {
    fs::create_dir_all(folder(config)).doing(|| format!("make {}", folder(config).display()))?;
    state_file::save(&file(config, name), stored)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_context_is_found_by_its_name_and_never_by_a_path() {
        let place = tempfile::tempdir().expect("a folder");
        let stored = Stored { description: "two".into(), host: "unix:///n2".into(), ..Stored::default() };
        save(place.path(), "node2", &stored).expect("room");
        assert_eq!(address(place.path(), "node2").expect("there"), Address::Unix("/n2".into()));
        assert_eq!(names(place.path()).expect("a folder"), ["default", "node2"]);
        for bad in ["", "x", "../node2", "a/b", ".node2", "nosuch"] {
            assert!(address(place.path(), bad).is_err(), "{bad:?} should be refused");
        }
        assert_eq!(address(place.path(), DEFAULT).expect("always there"), session::default_address());
        fs::write(file(place.path(), "broken"), "{").expect("room");
        assert!(address(place.path(), "broken").unwrap_err().message().contains("broken.json"));
    }

    #[test]
    fn no_choice_is_the_default() {
        let place = tempfile::tempdir().expect("a folder");
        assert_eq!(current(place.path()).expect("nothing"), None);
        fs::write(choice(place.path()), "node2\n").expect("room");
        assert_eq!(current(place.path()).expect("a choice"), Some("node2".into()));
    }
}
