//! # The builder
pub mod expand;
pub mod flags;
pub mod instruction;
pub mod lexer;
pub mod parser;
