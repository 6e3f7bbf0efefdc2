//! # Attach: join the streams of a container
//!
//! *Next room:* [`crate::container::logs`]

/// A client that attached before the start.
pub(crate) struct Waiting {}
