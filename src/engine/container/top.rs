//! # Top: its processes, seen from outside
//!
//! ps, for the processes of one cgroup.
//!
//! *See:* moby `daemon/top_unix.go`. *Next room:* [`crate::container::stats`]
