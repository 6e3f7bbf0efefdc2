//! # users
