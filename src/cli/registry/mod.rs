//! # Registries: logging in, looking around, and one of one's own
//!
//! Images come from registries and go to them. The daemon does the fetching; what it is told to say of who asks lies with the
//! person, in a file in the format of Docker's `config.json`.
//!
//! ```text
//!   login ──POST /auth──► are they good? ──► ~/.minidock/config.json, or a docker-credential-* program
//!   pull, push, run ──X-Registry-Auth: what lies there for this registry──► daemon ──► registry
//!   registry serve ──► a small registry for a classroom, on 127.0.0.1:5000
//! ```
//!
//! * [`accounts`] keeps names and passwords, [`helper`] asks the programs that keep them better; [`login`] and [`search`] are
//!   commands; [`list`] shows what a registry has, [`serve`] starts one.
//!
//! *See:* docker/cli `cli/config`, `cli/command/registry`. *Next room:* [`accounts`]

pub mod accounts;
pub mod helper;
pub mod list;
pub mod login;
pub mod search;
pub mod serve;

use crate::command::Command;

/// `registry …`.
pub const COMMANDS: &[Command] = &[
    Command { path: "registry catalog", also: &[], build: list::catalog, run: |m, s| Box::pin(list::run_catalog(m, s)) },
    Command { path: "registry serve", also: &[], build: serve::command, run: |m, s| Box::pin(serve::run(m, s)) },
    Command { path: "registry tags", also: &[], build: list::tags, run: |m, s| Box::pin(list::run_tags(m, s)) },
];
