//! # The shim's other end
//!
//! *Next room:* [`crate::exits`]

/// The control connection to one shim.
pub struct Shim {}
