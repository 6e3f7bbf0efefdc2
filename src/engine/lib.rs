//! # engine
