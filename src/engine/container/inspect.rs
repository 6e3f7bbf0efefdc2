//! # Inspect: from a record to the API's body
//!
//! List and inspect.
//!
//! *See:* moby `daemon/inspect.go`, `daemon/list.go`. *Next room:* [`crate::container::health`]
