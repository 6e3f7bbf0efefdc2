//! # wait
