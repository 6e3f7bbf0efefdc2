//! # poll
