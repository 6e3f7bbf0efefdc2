//! # tty
