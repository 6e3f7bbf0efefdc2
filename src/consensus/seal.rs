//! # Seal: who may read the log on disk
//!
//! The log holds the cluster's secrets, so what is written to disk passes through a [`Seal`] that the caller hands down. A
//! swarm seals with a key of its own (and with autolock that key is itself locked away); a test need not.
//!
//! *See:* swarmkit `manager/encryption`. *Next room:* [`crate::log_store`]

use minidock_base::Result;

/// Turns bytes into what may lie on disk, and back.
pub trait Seal: Send + Sync + 'static {
    fn seal(&self, plain: &[u8]) -> Vec<u8>;
    /// # Errors
    /// The bytes were not sealed with this key, or were changed.
    fn open(&self, sealed: &[u8]) -> Result<Vec<u8>>;
}

/// No seal: bytes as they are.
pub struct Plain;

impl Seal for Plain {
    fn seal(&self, plain: &[u8]) -> Vec<u8> {
        plain.to_vec()
    }

    fn open(&self, sealed: &[u8]) -> Result<Vec<u8>> {
        Ok(sealed.to_vec())
    }
}
