//! # Stats: what it uses, second by second
//!
//! The counters of its cgroup, as the API wants them.
//!
//! *See:* moby `daemon/stats`. *Next room:* [`crate::container::top`]
