//! # Passwords: who may come in
//!
//! `htpasswd -B` writes a file with a line for each user: a name, a colon, a bcrypt hash. bcrypt is slow on purpose, and a client
//! says its password with every request: so what was found right once is remembered, hashed, for as long as the file is the same.
//!
//! * [`Passwords::read`] reads the file; [`Passwords::admits`] looks at an `Authorization` header.
//!
//! Laws: only bcrypt, as in distribution: the older kinds of htpasswd can be broken in an afternoon; a name that is not there takes
//! as long as a wrong password; an edited file counts at once. See: htpasswd(1), RFC 7617. Next room: [`super::layout`]

use base64::Engine;
use minidock_base::{Doing, Error, Result};
use minidock_spec::digest::Digest;
use std::{
    collections::{HashMap, HashSet},
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::SystemTime,
};

/// A hash that no password has, for names that are not there.
const NOBODY: &str = "$2b$05$......................AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// The file, and what was found right.
pub struct Passwords {
    file: PathBuf,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    written: Option<SystemTime>,
    hashes: HashMap<String, String>,
    right: HashSet<Digest>,
}

impl Passwords {
    /// Reads the file.
    ///
    /// # Errors
    /// It cannot be read, or has a line that is none, by its number.
    pub fn read(file: &Path) -> Result<Passwords> {
        let passwords = Passwords { file: file.to_path_buf(), state: Arc::default() };
        passwords.refresh()?;
        Ok(passwords)
    }

    fn refresh(&self) -> Result<()> {
        let written = fs::metadata(&self.file).and_then(|facts| facts.modified()).ok();
        let mut state = self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if state.written.is_some() && state.written == written {
            return Ok(());
        }
        let text = fs::read_to_string(&self.file).doing(|| format!("read {}", self.file.display()))?;
        *state =
            State { written, hashes: parse(&text).doing(|| format!("read {}", self.file.display()))?, right: HashSet::new() };
        Ok(())
    }

    /// Whether this `Authorization` header is a name and its password.
    pub async fn admits(&self, header: &str) -> bool {
        if let Err(error) = self.refresh() {
            eprintln!("{}", error.message()); // the file as it was goes on counting
        }
        let Some((user, password)) = basic(header) else { return false };
        let mark = Digest::of(format!("{user}:{password}").as_bytes());
        let hash = {
            let state = self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            if state.right.contains(&mark) {
                return true;
            }
            state.hashes.get(&user).cloned()
        };
        let known = hash.is_some();
        let hash = hash.unwrap_or_else(|| NOBODY.to_string());
        let right =
            tokio::task::spawn_blocking(move || bcrypt::verify(password, &hash).unwrap_or(false)).await.unwrap_or(false)
                && known;
        if right {
            self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).right.insert(mark);
        }
        right
    }
}

/// `Basic <base64 of user:password>`.
fn basic(header: &str) -> Option<(String, String)> {
    let (scheme, coded) = header.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let plain = base64::engine::general_purpose::STANDARD.decode(coded.trim()).ok()?;
    let plain = String::from_utf8(plain).ok()?;
    plain.split_once(':').map(|(user, password)| (user.to_string(), password.to_string()))
}

fn parse(text: &str) -> Result<HashMap<String, String>> {
    let mut all = HashMap::new();
    for (number, line) in text.lines().enumerate().map(|(n, line)| (n + 1, line.trim())) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let Some((user, hash)) = line.split_once(':') else {
            return Err(Error::invalid(format!("line {number} is no name with a hash")));
        };
        if !["$2a$", "$2b$", "$2y$"].iter().any(|kind| hash.starts_with(kind)) {
            return Err(
                Error::invalid(format!("line {number}: the password of {user} is not hashed by bcrypt")).hint("htpasswd -B")
            );
        }
        all.insert(user.to_string(), hash.to_string());
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[tokio::test]
    async fn only_the_right_password_of_a_known_name_comes_in() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("htpasswd");
        let hash = bcrypt::hash("secret", 4).expect("a hash");
        fs::write(&file, format!("# users\nann:{}\n", hash.replace("$2b$", "$2y$"))).expect("room");
        let passwords = Passwords::read(&file).expect("a good file");
        let header = |text: &str| format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(text));
        assert!(passwords.admits(&header("ann:secret")).await && passwords.admits(&header("ann:secret")).await);
        for wrong in ["ann:wrong", "bob:secret", "ann:", ":", "ann"] {
            assert!(!passwords.admits(&header(wrong)).await, "{wrong}");
        }
        assert!(!passwords.admits("").await && !passwords.admits("Bearer x").await);
        assert!(parse("ann:{SHA}xyz").is_err() && parse("nonsense").is_err());
    }

    proptest! {
        #[test]
        fn no_header_and_no_file_makes_it_panic(text in "\\PC{0,40}") {
            let _ = (basic(&text), basic(&format!("Basic {text}")), parse(&text));
        }
    }
}
