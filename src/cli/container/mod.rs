//! # Commands about containers
//!
//! *Next room:* [`run`]

use crate::command::Command;

/// `container …`, each with its short form.
pub const COMMANDS: &[Command] = &[];
