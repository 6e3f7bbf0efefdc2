//! # Prune: remove what is stopped
//!
//! All stopped containers, or those that a filter names.
//!
//! *See:* moby `daemon/prune.go`. *Next room:* [`crate::container::remove`]
