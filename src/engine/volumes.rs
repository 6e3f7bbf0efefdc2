//! # Volumes: folders that outlive containers
//!
//! *See:* moby `volume/`. *Next room:* [`crate::events`]

use minidock_base::{Result, paths::Paths};

/// All named volumes.
pub struct Volumes {
    paths: Paths,
}

impl Volumes {
    /// Opens what is on disk.
    pub fn open(paths: &Paths) -> Result<Volumes> {
        Ok(Volumes { paths: paths.clone() })
    }

    /// Where they lie.
    pub fn paths(&self) -> &Paths {
        &self.paths
    }
}
