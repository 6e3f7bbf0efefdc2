//! # pivot_root
