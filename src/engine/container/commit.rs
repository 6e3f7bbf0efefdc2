//! # Commit: a container becomes an image
//!
//! Its writable layer becomes the top layer of a new image.
//!
//! *See:* moby `daemon/commit.go`. *Next room:* [`crate::container::export`]
