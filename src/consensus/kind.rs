//! # Kind: the types that openraft is instantiated with
//!
//! One declaration: commands and answers are bytes, members are numbered and have an address, a snapshot is held in
//! memory whole (a swarm's tables are small: ten thousand tasks are a few megabytes).
//!
//! *See:* openraft `declare_raft_types`. *Next room:* [`crate::log_store`]

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::fmt;

openraft::declare_raft_types!(
    pub Kind:
        D            = Command,
        R            = Answer,
        NodeId       = u64,
        Node         = Member,
        Entry        = openraft::Entry<Kind>,
        SnapshotData = Vec<u8>,
        AsyncRuntime = openraft::TokioRuntime,
);

/// Who takes part: a number for ever, an address for now.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    pub id: u64,
    pub address: String,
}

impl Member {
    pub fn new(id: u64, address: &str) -> Member {
        Member { id, address: address.to_string() }
    }
}

/// What is agreed on.
#[derive(Clone)]
pub struct Command(pub Vec<u8>);

/// What the machine said to it.
#[derive(Clone)]
pub struct Answer(pub Vec<u8>);

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

impl Serialize for Command {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Command {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Command, D::Error> {
        deserializer.deserialize_byte_buf(Bytes).map(Command)
    }
}

impl Serialize for Answer {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Answer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Answer, D::Error> {
        deserializer.deserialize_byte_buf(Bytes).map(Answer)
    }
}

struct Bytes;

impl de::Visitor<'_> for Bytes {
    type Value = Vec<u8>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bytes")
    }

    fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
        Ok(bytes.to_vec())
    }

    fn visit_byte_buf<E: de::Error>(self, bytes: Vec<u8>) -> Result<Vec<u8>, E> {
        Ok(bytes)
    }
}
