//! # Accounts: what is said to which registry
//!
//! `config.json` in our own folder, in Docker's format, so that tools for the one work for the other: below `auths` an entry for
//! each registry, with name and password in base64 (which hides nothing), or an identity token; below `credsStore` and
//! `credHelpers` the programs that keep them better.
//!
//! ```text
//!   {"auths": {"localhost:5000": {"auth": "YW5uOnNlY3JldA=="}}, "credHelpers": {"lab:5000": "pass"}, "credsStore": "…"}
//! ```
//!
//! * [`Accounts::header`] gives the value of `X-Registry-Auth` for a registry, or none; [`Accounts::keep`] and
//!   [`Accounts::forget`] are login and logout.
//!
//! Laws: the file is ours alone (0600) and replaced whole; what others have put into it stays. *See:* docker/cli
//! `cli/config/configfile`. *Next room:* [`crate::registry::helper`]

use crate::registry::helper;
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE},
};
use minidock_base::{Doing, Error, Result, state_file};
use minidock_spec::reference::HUB;
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};

/// What the Hub is called in this file.
pub const HUB_KEY: &str = "https://index.docker.io/v1/";

/// A name and a password, or an identity token.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Account {
    pub username: String,
    pub password: String,
    pub identity_token: String,
}

/// The file, as read.
pub struct Accounts {
    file: PathBuf,
    content: Map<String, Value>,
}

/// What a registry is called in the file: its address without scheme and path; the Hub has a name of old.
pub fn key(address: &str) -> String {
    let bare = address.trim_start_matches("https://").trim_start_matches("http://");
    match bare.split('/').next().unwrap_or_default() {
        "" | HUB | "index.docker.io" | "registry-1.docker.io" => HUB_KEY.to_string(),
        host => host.to_string(),
    }
}

impl Accounts {
    /// Reads `config.json` in `folder`; none is an empty one.
    ///
    /// # Errors
    /// A file that is no JSON object.
    pub fn open(folder: &Path) -> Result<Accounts> {
        let file = folder.join("config.json");
        let content = state_file::load(&file).doing(|| "read the accounts of registries")?.unwrap_or_default();
        Ok(Accounts { file, content })
    }

    /// The program that keeps the account of this registry, if one does.
    fn helper(&self, key: &str) -> Option<&str> {
        let own = self.content.get("credHelpers").and_then(|all| all.get(key)).and_then(Value::as_str);
        own.or(self.content.get("credsStore").and_then(Value::as_str)).filter(|name| !name.is_empty())
    }

    /// The account for a registry.
    ///
    /// # Errors
    /// A helper program that fails.
    pub fn find(&self, address: &str) -> Result<Option<Account>> {
        let wanted = key(address);
        if let Some(program) = self.helper(&wanted)
            && let Some(account) = helper::get(program, &wanted)?
        {
            return Ok(Some(account));
        }
        let Some(all) = self.content.get("auths").and_then(Value::as_object) else { return Ok(None) };
        // older files have whole addresses as names
        let entry = all.get(&wanted).or_else(|| all.iter().find(|(name, _)| key(name) == wanted).map(|(_, entry)| entry));
        Ok(entry.and_then(read))
    }

    /// The registries that the file names: a build sends what is known about all of them.
    pub fn servers(&self) -> Vec<String> {
        let keys = |field: &str| self.content.get(field).and_then(Value::as_object).into_iter().flat_map(Map::keys).cloned();
        keys("auths").chain(keys("credHelpers")).collect()
    }

    /// `X-Registry-Auth` for a registry; `None` when nothing is known.
    ///
    /// # Errors
    /// As [`Accounts::find`].
    pub fn header(&self, domain: &str) -> Result<Option<String>> {
        Ok(self.find(domain)?.map(|account| header(&account, domain)))
    }

    /// Keeps an account, in the helper program if there is one; gives where.
    ///
    /// # Errors
    /// The program or the disk.
    pub fn keep(&mut self, address: &str, account: &Account) -> Result<Kept> {
        let name = key(address);
        if let Some(program) = self.helper(&name) {
            helper::store(program, &name, account)?;
            let program = program.to_string();
            // an empty entry tells that somebody is logged in there
            self.entry(&name, json!({}))?;
            return Ok(Kept::Helper(program));
        }
        let entry = match account.identity_token.is_empty() {
            true => json!({"auth": STANDARD.encode(format!("{}:{}", account.username, account.password))}),
            false => {
                json!({"auth": STANDARD.encode(format!("{}:", account.username)), "identitytoken": account.identity_token})
            }
        };
        self.entry(&name, entry)?;
        Ok(Kept::File(self.file.clone()))
    }

    fn entry(&mut self, name: &str, entry: Value) -> Result<()> {
        let auths = self.content.entry("auths").or_insert_with(|| json!({}));
        let Some(auths) = auths.as_object_mut() else {
            return Err(Error::invalid(format!("{}: \"auths\" is no object", self.file.display())));
        };
        auths.insert(name.to_string(), entry);
        self.save()
    }

    /// Forgets an account; gives whether there was one.
    ///
    /// # Errors
    /// The helper program or the disk.
    pub fn forget(&mut self, address: &str) -> Result<bool> {
        let name = key(address);
        let mut had = false;
        if let Some(program) = self.helper(&name) {
            had |= helper::erase(program, &name)?;
        }
        if let Some(auths) = self.content.get_mut("auths").and_then(Value::as_object_mut) {
            let before = auths.len();
            auths.retain(|known, _| key(known) != name);
            if auths.len() < before {
                had = true;
                self.save()?;
            }
        }
        Ok(had)
    }

    fn save(&self) -> Result<()> {
        if let Some(folder) = self.file.parent() {
            std::fs::create_dir_all(folder).doing(|| format!("make {}", folder.display()))?;
        }
        state_file::save(&self.file, &self.content)
    }
}

/// Where an account went.
pub enum Kept {
    File(PathBuf),
    Helper(String),
}

/// An account as a header.
pub fn header(account: &Account, server: &str) -> String {
    let mut value = json!({"serveraddress": server});
    for (name, text) in
        [("username", &account.username), ("password", &account.password), ("identitytoken", &account.identity_token)]
    {
        if !text.is_empty() {
            value[name] = text.as_str().into();
        }
    }
    URL_SAFE.encode(value.to_string())
}

fn read(entry: &Value) -> Option<Account> {
    let text = |name: &str| entry.get(name).and_then(Value::as_str).unwrap_or_default().to_string();
    let mut account = Account { username: text("username"), password: text("password"), identity_token: text("identitytoken") };
    let plain = STANDARD.decode(text("auth").trim()).unwrap_or_default();
    if let Some((user, password)) = String::from_utf8_lossy(&plain).trim_end_matches('\0').split_once(':') {
        account.username = user.to_string();
        account.password = password.to_string();
    }
    (!account.username.is_empty() || !account.identity_token.is_empty()).then_some(account)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ann() -> Account {
        Account { username: "ann".into(), password: "s:e cret".into(), identity_token: String::new() }
    }

    #[test]
    fn what_is_kept_is_found_by_any_spelling_and_can_be_forgotten() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("config.json");
        std::fs::write(&file, r#"{"proxies":{"x":1},"auths":{"https://lab:5000/v2/":{"auth":"Ym9iOnB3"}}}"#).expect("room");
        let mut accounts = Accounts::open(folder.path()).expect("a good file");
        assert_eq!(accounts.find("lab:5000").expect("no helper").expect("bob").username, "bob");
        accounts.keep("localhost:5000", &ann()).expect("room");
        accounts.keep("docker.io", &Account { identity_token: "t".into(), ..ann() }).expect("room");
        let again = Accounts::open(folder.path()).expect("a good file");
        assert!(again.find("http://localhost:5000/").expect("no helper").is_some_and(|found| found == ann()));
        assert_eq!(again.find("").expect("no helper").expect("the Hub").identity_token, "t");
        assert_eq!(again.content["proxies"]["x"], 1);
        assert!(accounts.forget("lab:5000").expect("room") && !accounts.forget("lab:5000").expect("room"));
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(std::fs::metadata(&file).expect("there").permissions().mode() & 0o777, 0o600);
    }

    proptest! {
        #[test]
        fn no_entry_makes_the_reader_panic(auth in "\\PC{0,30}", name in "\\PC{0,30}") {
            let _ = (read(&json!({"auth": auth})), read(&json!({"auth": STANDARD.encode(&auth)})), key(&name));
        }
    }
}
