//! # userns
