//! # Changes: what the container did to its image
//!
//! Added, changed and deleted paths: the writable layer, read.
//!
//! *See:* moby `daemon/changes.go`. *Next room:* [`crate::container::commit`]
