//! # exits
