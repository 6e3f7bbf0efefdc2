//! # cluster: machines for a swarm, on this one
//!
//! `cluster up --nodes 3` makes three simulated machines, each with a daemon of its own, and joins them to a swarm. After that the ordinary commands are about
//! `node1`, for its context is selected; `--node node2` or `context use node2` turn to another; the commands of this chapter are about the machines
//! themselves and always go to the daemon that hosts them.
//!
//! ```text
//!   up, down, ls, inspect              the cluster                         [`up`], [`ls`]
//!   add, rm, start, stop, kill,        one node                            [`up`], [`power`]
//!   pause, unpause
//!   partition, cut, heal               the cable between nodes             [`faults`]
//!   skew                               a clock that is wrong               [`faults`]
//!   exec, shell                        a program in a node                 [`shell`]
//! ```
//!
//! * [`contexts`]: each node is a context, made by `up` and taken away by `down`.
//!
//! Laws: names are printed on standard output, one a line; everything else goes to standard error. *See:* design.md section 7. *Next room:* [`up`]

pub mod contexts;
pub mod faults;
pub mod ls;
pub mod power;
pub mod shell;
pub mod up;

use crate::command::Command;

/// `cluster …`
pub const COMMANDS: &[Command] = &[
    Command { path: "cluster add", also: &[], build: up::add_command, run: |m, s| Box::pin(up::add(m, s)) },
    Command { path: "cluster cut", also: &[], build: faults::cut_command, run: |m, s| Box::pin(faults::cut(m, s)) },
    Command { path: "cluster down", also: &[], build: up::down_command, run: |m, s| Box::pin(up::down(m, s)) },
    Command { path: "cluster exec", also: &[], build: shell::exec_command, run: |m, s| Box::pin(shell::exec(m, s)) },
    Command { path: "cluster heal", also: &[], build: faults::heal_command, run: |m, s| Box::pin(faults::heal(m, s)) },
    Command { path: "cluster inspect", also: &[], build: ls::inspect_command, run: |m, s| Box::pin(ls::inspect(m, s)) },
    Command { path: "cluster kill", also: &[], build: power::kill_command, run: |m, s| Box::pin(power::kill(m, s)) },
    Command {
        path: "cluster ls",
        also: &["cluster list", "cluster ps"],
        build: ls::ls_command,
        run: |m, s| Box::pin(ls::ls(m, s)),
    },
    Command {
        path: "cluster partition",
        also: &[],
        build: faults::partition_command,
        run: |m, s| Box::pin(faults::partition(m, s)),
    },
    Command { path: "cluster pause", also: &[], build: power::pause_command, run: |m, s| Box::pin(power::pause(m, s)) },
    Command { path: "cluster rm", also: &["cluster remove"], build: up::rm_command, run: |m, s| Box::pin(up::rm(m, s)) },
    Command {
        path: "cluster shell",
        also: &["cluster ssh"],
        build: shell::shell_command,
        run: |m, s| Box::pin(shell::shell(m, s)),
    },
    Command { path: "cluster skew", also: &[], build: faults::skew_command, run: |m, s| Box::pin(faults::skew(m, s)) },
    Command { path: "cluster start", also: &[], build: power::start_command, run: |m, s| Box::pin(power::start(m, s)) },
    Command { path: "cluster stop", also: &[], build: power::stop_command, run: |m, s| Box::pin(power::stop(m, s)) },
    Command { path: "cluster unpause", also: &[], build: power::unpause_command, run: |m, s| Box::pin(power::unpause(m, s)) },
    Command { path: "cluster up", also: &[], build: up::command, run: |m, s| Box::pin(up::run(m, s)) },
];
