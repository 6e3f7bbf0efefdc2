//! # Images: the image calls of the API
//!
//! *See:* moby `daemon/images`. *Next room:* [`crate::volumes`]

use minidock_base::{Result, paths::Paths};
use minidock_image::Store;
use std::sync::Arc;

/// The image department.
pub struct Images {
    paths: Paths,
    /// What is on disk; its calls block.
    pub store: Arc<Store>,
}

impl Images {
    /// Opens the store.
    pub fn open(paths: &Paths) -> Result<Images> {
        Ok(Images { paths: paths.clone(), store: Arc::new(Store::open(paths)?) })
    }

    /// Where it lies.
    pub fn paths(&self) -> &Paths {
        &self.paths
    }
}
