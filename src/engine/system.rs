//! # System: info, disk usage, prune
//!
//! What the whole engine is and holds.
//!
//! *See:* moby `daemon/info.go`, `daemon/disk_usage.go`. *Next room:* [`crate::images`]
