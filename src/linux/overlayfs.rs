//! # overlayfs
