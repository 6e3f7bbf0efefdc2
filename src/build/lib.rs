//! # The builder
pub mod archive;
pub mod context;
pub mod copy;
pub mod expand;
pub mod flags;
pub mod instruction;
pub mod lexer;
pub mod origin;
pub mod parser;
pub mod scope;
pub mod settings;
pub mod stages;
