//! # files
