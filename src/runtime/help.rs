//! # Help: the table of commands, printed
//!
//! In the layout that people and scripts know from runc: `NAME:`, `USAGE:`, `COMMANDS:`, `OPTIONS:`.
//!
//! Next room: [`crate::flags`]

use crate::{
    commands::{ALL, Command, GLOBAL},
    flags::Known,
};

/// The name by which we were called: `runc` when an engine knows us by that name.
pub fn program() -> String {
    let called = std::env::args_os().next().unwrap_or_default();
    match std::path::Path::new(&called).file_name().is_some_and(|name| name == "runc") {
        true => "runc".into(),
        false => "minidock runtime".into(),
    }
}

/// `--help`.
pub fn overview() -> String {
    let program = program();
    let mut text = format!("NAME:\n   {program} - Open Container Initiative runtime\n\n");
    text += &format!("{program} runs containers from OCI bundles: a root filesystem and a config.json.\n\n");
    text += &format!("USAGE:\n   {program} [global options] command [command options] [arguments...]\n\nCOMMANDS:\n");
    for command in ALL {
        text += &format!("   {:<12}{}\n", command.name, command.about);
    }
    text += "\nGLOBAL OPTIONS:\n";
    text + &options(GLOBAL)
}

/// `COMMAND --help`.
pub fn of(command: &Command) -> String {
    let program = program();
    let (name, arguments) = (command.name, command.arguments);
    let mut text = format!("NAME:\n   {program} {name} - {}\n\n", command.about);
    text += &format!("USAGE:\n   {program} {name} [command options] {arguments}\n\nOPTIONS:\n");
    text + &options(command.options)
}

fn options(known: &[Known]) -> String {
    let mut text = String::new();
    for option in known {
        let short = if option.short.is_empty() { String::new() } else { format!(", -{}", option.short) };
        let value = if option.value.is_empty() { String::new() } else { format!(" {}", option.value) };
        let spelling = format!("--{}{short}{value}", option.name);
        text += &format!("   {spelling:<34}{}\n", option.help);
    }
    text
}

/// `--version`.
pub fn version() -> String {
    let name = program();
    let (own, spec) = (env!("CARGO_PKG_VERSION"), minidock_spec::runtime::OCI_VERSION);
    format!("{name} version {own}\ncommit: minidock-{own}\nspec: {spec}\n")
}
