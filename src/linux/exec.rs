//! # exec
