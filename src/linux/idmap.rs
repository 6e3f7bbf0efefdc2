//! # idmap
