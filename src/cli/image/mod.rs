//! # Commands about images
//!
//! One room a command, each with `command()` and `run()`. The daemon owns the store; these rooms send archives up, bring
//! archives down, and make tables of what it says.
//!
//! ```text
//!   archive ──load, import──▶ ┌───────┐ ──save──▶ archive
//!   registry ────pull───────▶ │ store │ ──ls, history, inspect──▶ tables
//!                             └───────┘ ◀─tag, rm, prune── names come and go
//! ```
//!
//! * [`build`], with [`context`], [`repository`] and [`build_view`]: a folder becomes an image. [`later`]: words whose rooms are not built yet.
//!
//! *Next room:* [`list`]

pub mod build;
pub mod build_view;
pub mod context;
pub mod history;
pub mod import;
pub mod inspect;
pub mod later;
pub mod list;
pub mod load;
pub mod prune;
pub mod pull;
pub mod push;
pub mod remove;
pub mod repository;
pub mod save;
pub mod tag;

use crate::command::Command;

/// `image …`, each with its short forms.
pub const COMMANDS: &[Command] = &[
    Command { path: "image build", also: &["build"], build: build::command, run: |m, s| Box::pin(build::run(m, s)) },
    Command { path: "image history", also: &["history"], build: history::command, run: |m, s| Box::pin(history::run(m, s)) },
    Command { path: "image import", also: &["import"], build: import::command, run: |m, s| Box::pin(import::run(m, s)) },
    Command { path: "image inspect", also: &[], build: inspect::command, run: |m, s| Box::pin(inspect::run(m, s)) },
    Command { path: "image load", also: &["load"], build: load::command, run: |m, s| Box::pin(load::run(m, s)) },
    Command { path: "image ls", also: &["images", "image list"], build: list::command, run: |m, s| Box::pin(list::run(m, s)) },
    Command { path: "image prune", also: &[], build: prune::command, run: |m, s| Box::pin(prune::run(m, s)) },
    Command { path: "image pull", also: &["pull"], build: pull::command, run: |m, s| Box::pin(pull::run(m, s)) },
    Command { path: "image push", also: &["push"], build: push::command, run: |m, s| Box::pin(push::run(m, s)) },
    Command {
        path: "image rm",
        also: &["rmi", "image rmi", "image remove"],
        build: remove::command,
        run: |m, s| Box::pin(remove::run(m, s)),
    },
    Command { path: "image save", also: &["save"], build: save::command, run: |m, s| Box::pin(save::run(m, s)) },
    Command { path: "image tag", also: &["tag"], build: tag::command, run: |m, s| Box::pin(tag::run(m, s)) },
];
