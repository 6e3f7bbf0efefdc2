//! # Health: the check, the streak, the verdict
//!
//! A command run inside, again and again.
//!
//! *See:* moby `daemon/health.go`. *Next room:* [`crate::container::restart`]
