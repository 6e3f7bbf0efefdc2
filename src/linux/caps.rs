//! # caps
