//! # seccomp
