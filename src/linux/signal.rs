//! # signal
