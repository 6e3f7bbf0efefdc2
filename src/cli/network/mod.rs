//! # Networks: places where containers find each other
//!
//! Every container has a place on a network unless it says otherwise: `bridge` is the default, `host` is the machine's own, `none` has
//! nothing but loopback. On a network that one makes oneself, containers know each other by name.
//!
//! ```text
//!   create ──► ls, inspect ──► connect, disconnect ──► rm, prune
//!                │                   │
//!                │                   └ a container's place on it: an endpoint, with an address and names of its own
//!                └ which there are, what they look like, who is on them
//! ```
//!
//! * [`create`] reads the small language of subnets, [`endpoint`] puts containers on networks and takes them off again.
//! * [`list`] makes the table; [`remove`] and [`prune`] take networks away.
//!
//! Laws: which networks there are, which names and addresses are free, is the daemon's to say; refused here is only what
//! Docker's client refuses. *See:* docker/cli `cli/command/network`. *Next room:* [`create`]

pub mod create;
pub mod endpoint;
pub mod list;
pub mod prune;
pub mod remove;

use crate::{
    command::Command,
    flag,
    inspect::{self, Noun},
};

/// `network …`.
pub const COMMANDS: &[Command] = &[
    Command { path: "network connect", also: &[], build: endpoint::connect, run: |m, s| Box::pin(endpoint::run_connect(m, s)) },
    Command { path: "network create", also: &[], build: create::command, run: |m, s| Box::pin(create::run(m, s)) },
    Command {
        path: "network disconnect",
        also: &[],
        build: endpoint::disconnect,
        run: |m, s| Box::pin(endpoint::run_disconnect(m, s)),
    },
    Command {
        path: "network inspect",
        also: &[],
        build: inspect_command,
        run: |m, s| Box::pin(inspect::inspect(m, s, &[Noun::Network])),
    },
    Command { path: "network ls", also: &["network list"], build: list::command, run: |m, s| Box::pin(list::run(m, s)) },
    Command { path: "network prune", also: &[], build: prune::command, run: |m, s| Box::pin(prune::run(m, s)) },
    Command { path: "network rm", also: &["network remove"], build: remove::command, run: |m, s| Box::pin(remove::run(m, s)) },
];

fn inspect_command() -> clap::Command {
    inspect::flags("[OPTIONS] NETWORK [NETWORK...]", "Display detailed information on one or more networks")
        .arg(flag::switch("verbose", "Verbose output for diagnostics").short('v'))
}
