//! # The record: what a node knows of itself when it starts again
//!
//! ```text
//! swarm/
//! ├ state.json                      who it is there, where it listens, where the managers were last
//! ├ certificates/swarm-node.crt     as Docker lays it out
//! │             /swarm-node.key     sealed with the unlock key, if the swarm wants that
//! │             /swarm-root-ca.crt
//! │             /swarm-log.key      a manager's: what its log is sealed with; sealed likewise
//! └ raft/raft-1.redb                a manager's log
//! ```
//!
//! Laws: the certificates are written before the record: a folder without a record is of no swarm. Both keys are locked or none.
//! *Next room:* [`crate::seal`]

use crate::{
    ca::identity::Identity,
    seal::{LogKey, unlock_key},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use minidock_base::{Doing, Error, Result, state_file};
use minidock_consensus::Seal;
use minidock_spec::swarm::local::RemoteManager;
use serde::{Deserialize, Serialize};
use std::{
    fs,
    io::{ErrorKind, Write},
    net::{IpAddr, SocketAddr},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

/// Who this machine is in its swarm.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    pub node_id: String,
    pub listen: SocketAddr,
    pub advertise: SocketAddr,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_path: Option<IpAddr>,
    /// Its number among the managers; 0: it is none, or not yet.
    #[serde(default)]
    pub raft_id: u64,
    pub managers: Vec<RemoteManager>,
}

/// A node's papers and the key to its log.
#[derive(Clone)]
pub struct Keys {
    pub identity: Identity,
    pub log: LogKey,
}

/// What lies in a node's folder.
pub enum Found {
    Nothing,
    Here(Box<(Record, Keys)>),
    /// Its keys are sealed.
    Locked(Box<Record>),
}

/// A node's folder.
#[derive(Clone, Debug)]
pub struct Folder(pub PathBuf);

const SEALED: &str = "SEALED SWARM KEY";
const LOG_KEY: &str = "SWARM LOG KEY";

impl Folder {
    pub fn raft(&self) -> PathBuf {
        self.0.join("raft")
    }

    pub fn certificates(&self) -> PathBuf {
        self.0.join("certificates")
    }

    fn log_key(&self) -> PathBuf {
        self.certificates().join("swarm-log.key")
    }

    fn record(&self) -> PathBuf {
        self.0.join("state.json")
    }

    /// Reads what is there.
    ///
    /// # Errors
    /// A file is missing or cannot be read: it is named.
    pub fn read(&self) -> Result<Found> {
        let Some(record) = state_file::load::<Record>(&self.record())? else { return Ok(Found::Nothing) };
        let (identity, log) = self.read_keys()?;
        if is_sealed(&identity.key) || is_sealed(&log) {
            return Ok(Found::Locked(Box::new(record)));
        }
        let log = block(LOG_KEY, &log).and_then(|bytes| LogKey::from_bytes(&bytes));
        let log = log.ok_or_else(|| self.unreadable("the key of the log"))?;
        Ok(Found::Here(Box::new((record, Keys { identity, log }))))
    }

    /// The keys of a locked node.
    ///
    /// # Errors
    /// 400: it is not this key.
    pub fn unlock(&self, text: &str) -> Result<Keys> {
        let key = unlock_key(text)?;
        let (mut identity, log) = self.read_keys()?;
        let wrong = || Error::invalid("swarm could not be unlocked: invalid key provided");
        let open = |text: &str| block(SEALED, text).and_then(|bytes| key.open(&bytes).ok());
        let opened = open(&identity.key).and_then(|bytes| String::from_utf8(bytes).ok());
        identity.key = opened.ok_or_else(wrong)?;
        let log = open(&log).and_then(|bytes| LogKey::from_bytes(&bytes)).ok_or_else(wrong)?;
        Ok(Keys { identity, log })
    }

    fn read_keys(&self) -> Result<(Identity, String)> {
        let identity = Identity::load(&self.certificates())?;
        let log = fs::read_to_string(self.log_key()).doing(|| format!("read {}", self.log_key().display()))?;
        Ok((identity, log))
    }

    fn unreadable(&self, what: &str) -> Error {
        Error::system(format!("{what} in {} cannot be read", self.certificates().display()))
            .hint("minidock swarm leave --force gives up what this machine has of the swarm")
    }

    /// Writes the keys; sealed with `unlock` (as people have it), or not if it is empty.
    ///
    /// # Errors
    /// A file cannot be written; `unlock` is no key.
    pub fn write_keys(&self, keys: &Keys, unlock: &str) -> Result<()> {
        self.make()?;
        let mut identity = keys.identity.clone();
        let mut log = text(LOG_KEY, keys.log.bytes());
        if !unlock.is_empty() {
            let key = unlock_key(unlock)?;
            identity.key = text(SEALED, &key.seal(identity.key.as_bytes()));
            log = text(SEALED, &key.seal(keys.log.bytes()));
        }
        identity.save(&self.certificates())?;
        let (path, beside) = (self.log_key(), self.certificates().join(".swarm-log.key.new"));
        let write = || -> std::io::Result<()> {
            let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
            file.write_all(log.as_bytes())?;
            file.sync_all()?;
            fs::rename(&beside, &path)
        };
        write().doing(|| format!("write {}", path.display()))
    }

    /// Writes the record.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write(&self, record: &Record) -> Result<()> {
        self.make()?;
        state_file::save_durably(&self.record(), record)
    }

    fn make(&self) -> Result<()> {
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.0);
        made.doing(|| format!("make the folder {}", self.0.display()))
    }

    /// A manager's log, gone.
    ///
    /// # Errors
    /// It cannot be removed.
    pub fn forget_log(&self) -> Result<()> {
        remove(&self.raft())
    }

    /// Everything, gone: the record first, for without it the rest means nothing.
    ///
    /// # Errors
    /// It cannot be removed.
    pub fn forget(&self) -> Result<()> {
        let record = self.record();
        match fs::remove_file(&record) {
            Err(e) if e.kind() != ErrorKind::NotFound => Err(e).doing(|| format!("remove {}", record.display())),
            _ => remove(&self.0),
        }
    }
}

fn remove(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(e) if e.kind() != ErrorKind::NotFound => Err(e).doing(|| format!("remove {}", folder.display())),
        _ => Ok(()),
    }
}

fn is_sealed(text: &str) -> bool {
    text.contains(SEALED)
}

/// Bytes as text between two lines that say what they are.
fn text(what: &str, bytes: &[u8]) -> String {
    format!("-----BEGIN {what}-----\n{}\n-----END {what}-----\n", STANDARD.encode(bytes))
}

fn block(what: &str, text: &str) -> Option<Vec<u8>> {
    let inner = text.trim().strip_prefix(&format!("-----BEGIN {what}-----"))?.strip_suffix(&format!("-----END {what}-----"))?;
    STANDARD.decode(inner.trim()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ca::{Root, Subject, request},
        seal::new_unlock_key,
    };
    use jiff::Timestamp;
    use minidock_spec::swarm::node::Role;
    use std::time::Duration;

    fn keys() -> Keys {
        let root = Root::found(Timestamp::now()).expect("a root");
        let (key, request) = request().expect("a request");
        let subject = Subject { node_id: "n".into(), role: Role::Manager, cluster_id: "c".into() };
        let hour = Duration::from_secs(3600);
        let certificate = root.issue(&request, &subject, Timestamp::now(), hour, [1; 16]).expect("signed");
        Keys { identity: Identity { certificate, key, root: root.certificate }, log: LogKey::draw() }
    }

    fn record() -> Record {
        let here: SocketAddr = "127.0.0.1:2377".parse().expect("an address");
        Record { node_id: "n".into(), listen: here, advertise: here, data_path: None, raft_id: 7, managers: Vec::new() }
    }

    #[test]
    fn a_node_finds_itself_again_and_a_locked_one_only_with_its_key() {
        let home = tempfile::tempdir().expect("a folder");
        let folder = Folder(home.path().join("swarm"));
        assert!(matches!(folder.read().expect("nothing there"), Found::Nothing));
        let (keys, unlock) = (keys(), new_unlock_key());
        folder.write_keys(&keys, "").expect("written");
        assert!(matches!(folder.read().expect("no record"), Found::Nothing), "keys alone are no node");
        folder.write(&record()).expect("written");
        let Found::Here(found) = folder.read().expect("readable") else { panic!("it is not locked") };
        assert_eq!((&found.0, found.1.log.bytes()), (&record(), keys.log.bytes()));
        folder.write_keys(&keys, &unlock).expect("sealed");
        assert!(matches!(folder.read().expect("readable"), Found::Locked(_)));
        let on_disk = fs::read_to_string(folder.certificates().join("swarm-node.key")).expect("there");
        assert!(!on_disk.contains("PRIVATE"), "{on_disk}");
        let wrong = folder.unlock(&new_unlock_key()).err().expect("another key");
        assert!(wrong.message().contains("invalid key provided"), "{}", wrong.message());
        let opened = folder.unlock(&unlock).expect("the key");
        assert_eq!((opened.identity.key, opened.log.bytes()), (keys.identity.key.clone(), keys.log.bytes()));
        folder.forget().expect("gone");
        assert!(!folder.0.exists() && folder.forget().is_ok());
    }
}
