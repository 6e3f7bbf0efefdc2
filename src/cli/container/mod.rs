//! # Commands about containers
//!
//! One room per command, or per family of commands that differ by a word. Each has the same shape: `command()` declares its
//! flags, `run()` does it with API calls.
//!
//! ```text
//!   flags ──► body ──► create ──► run           from words to a running program
//!     body reads the small languages: environment · mounts · ports · endpoints · resources · limits · security
//!   run · start · attach · exec  ──► streams · signals     this terminal and that program
//!   lifecycle                    stop restart kill rm pause unpause wait rename
//!   logs · copy · commit · export · update
//!   ps · inspect · stats · top · port · diff · prune       looking on
//! ```
//!
//! *Next room:* [`run`]

pub mod attach;
pub mod body;
pub mod commit;
pub mod copy;
pub mod copy_progress;
pub mod create;
pub mod diff;
pub mod endpoints;
pub mod environment;
pub mod exec;
pub mod export;
pub mod flags;
pub mod inspect;
pub mod lifecycle;
pub mod limits;
pub mod logs;
pub mod mounts;
pub mod names;
pub mod pack;
pub mod port;
pub mod ports;
pub mod prune;
pub mod ps;
pub mod resources;
pub mod run;
pub mod security;
pub mod signals;
pub mod start;
pub mod stats;
pub mod streams;
pub mod top;
pub mod unpack;
pub mod update;

use crate::command::Command;

/// `container …`, each with its short form.
pub const COMMANDS: &[Command] = &[
    Command { path: "container cp", also: &["cp"], build: copy::command, run: |m, s| Box::pin(copy::run(m, s)) },
    Command { path: "container create", also: &["create"], build: create::command, run: |m, s| Box::pin(create::run(m, s)) },
    Command { path: "container run", also: &["run"], build: run::command, run: |m, s| Box::pin(run::run(m, s)) },
    Command { path: "container attach", also: &["attach"], build: attach::command, run: |m, s| Box::pin(attach::run(m, s)) },
    Command { path: "container commit", also: &["commit"], build: commit::command, run: |m, s| Box::pin(commit::run(m, s)) },
    Command { path: "container exec", also: &["exec"], build: exec::command, run: |m, s| Box::pin(exec::run(m, s)) },
    Command { path: "container export", also: &["export"], build: export::command, run: |m, s| Box::pin(export::run(m, s)) },
    Command {
        path: "container kill",
        also: &["kill"],
        build: lifecycle::kill_command,
        run: |m, s| Box::pin(lifecycle::kill(m, s)),
    },
    Command { path: "container logs", also: &["logs"], build: logs::command, run: |m, s| Box::pin(logs::run(m, s)) },
    Command {
        path: "container pause",
        also: &["pause"],
        build: lifecycle::pause_command,
        run: |m, s| Box::pin(lifecycle::pause(m, s)),
    },
    Command {
        path: "container rename",
        also: &["rename"],
        build: lifecycle::rename_command,
        run: |m, s| Box::pin(lifecycle::rename(m, s)),
    },
    Command {
        path: "container restart",
        also: &["restart"],
        build: lifecycle::restart_command,
        run: |m, s| Box::pin(lifecycle::restart(m, s)),
    },
    Command {
        path: "container rm",
        also: &["container remove", "rm"],
        build: lifecycle::rm_command,
        run: |m, s| Box::pin(lifecycle::rm(m, s)),
    },
    Command { path: "container start", also: &["start"], build: start::command, run: |m, s| Box::pin(start::run(m, s)) },
    Command {
        path: "container stop",
        also: &["stop"],
        build: lifecycle::stop_command,
        run: |m, s| Box::pin(lifecycle::stop(m, s)),
    },
    Command {
        path: "container unpause",
        also: &["unpause"],
        build: lifecycle::unpause_command,
        run: |m, s| Box::pin(lifecycle::unpause(m, s)),
    },
    Command { path: "container update", also: &["update"], build: update::command, run: |m, s| Box::pin(update::run(m, s)) },
    Command {
        path: "container wait",
        also: &["wait"],
        build: lifecycle::wait_command,
        run: |m, s| Box::pin(lifecycle::wait(m, s)),
    },
    Command { path: "container diff", also: &["diff"], build: diff::command, run: |m, s| Box::pin(diff::run(m, s)) },
    Command { path: "container inspect", also: &[], build: inspect::command, run: |m, s| Box::pin(inspect::run(m, s)) },
    Command {
        path: "container ls",
        also: &["ps", "container ps", "container list"],
        build: ps::command,
        run: |m, s| Box::pin(ps::run(m, s)),
    },
    Command { path: "container port", also: &["port"], build: port::command, run: |m, s| Box::pin(port::run(m, s)) },
    Command { path: "container prune", also: &[], build: prune::command, run: |m, s| Box::pin(prune::run(m, s)) },
    Command { path: "container stats", also: &["stats"], build: stats::command, run: |m, s| Box::pin(stats::run(m, s)) },
    Command { path: "container top", also: &["top"], build: top::command, run: |m, s| Box::pin(top::run(m, s)) },
];
