//! # Images: the image calls of the API
//!
//! *See:* moby `daemon/images`. *Next room:* [`crate::volumes`]

use minidock_base::{Result, paths::Paths};

/// The image department.
pub struct Images {
    paths: Paths,
}

impl Images {
    /// Opens the store.
    pub fn open(paths: &Paths) -> Result<Images> {
        Ok(Images { paths: paths.clone() })
    }

    /// Where it lies.
    pub fn paths(&self) -> &Paths {
        &self.paths
    }
}
