//! # engine
pub mod events;
