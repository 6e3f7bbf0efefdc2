//! # mount
