//! # proc
