//! # Copy: tar in and out of a root we do not trust
//!
//! The archive calls: stat, get, put.
//!
//! *See:* moby `daemon/archive.go`; CVE-2018-15664. *Next room:* [`crate::container::changes`]
