//! # explain
