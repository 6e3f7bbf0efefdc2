//! # limits
