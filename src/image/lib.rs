//! # image
