//! # clone
