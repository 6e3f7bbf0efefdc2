//! # Export: the whole tree as one tar
//!
//! All layers and the writable one, as the container sees them.
//!
//! *See:* moby `daemon/export.go`. *Next room:* [`crate::container::copy`]
