//! # fds
