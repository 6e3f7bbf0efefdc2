//! # Services: programs in a swarm
//!
//! A container runs here; a service runs somewhere, as often as one says, and is found under one name. These commands say what shall be,
//! and show what is.
//!
//! ```text
//!   create ─┐ flags ─► values · ports · attachments ─► spec ─┐
//!   update ─┤ flags ─────────────────► change · lists ───────┼─► the managers ─► tasks on nodes
//!   scale  ─┤                                                │
//!   rm      ┘                                                └─► progress: bars until all run
//!   ls · ps (tasks) · inspect (pretty) · logs                    looking on
//! ```
//!
//! * [`flags`] declares sixty of them once for both commands; [`values`], [`ports`] and [`attachments`] read what stands behind them.
//! * [`spec`] makes a service of them, [`change`] and [`lists`] another one of one that there is; both use [`parts`] and [`capabilities`].
//! * [`image`] pins the image; [`progress`] waits, and [`bars`] and [`job_bars`] say what there is to see.
//! * [`tasks`] is the table of `service ps`, `node ps` and `stack ps`; [`list`] that of `service ls` and `stack services`.
//!
//! *Next room:* [`values`]

pub mod attachments;
pub mod bars;
pub mod capabilities;
pub mod change;
pub mod create;
pub mod flags;
pub mod image;
pub mod inspect;
pub mod job_bars;
pub mod list;
pub mod lists;
pub mod logs;
pub mod parts;
pub mod ports;
pub mod pretty;
pub mod pretty_container;
pub mod progress;
pub mod ps;
pub mod scale;
pub mod spec;
pub mod tasks;
pub mod update;
pub mod values;

use crate::command::Command;

/// `service …`.
pub const COMMANDS: &[Command] = &[
    Command { path: "service create", also: &[], build: create::command, run: |m, s| Box::pin(create::run(m, s)) },
    Command { path: "service inspect", also: &[], build: inspect::command, run: |m, s| Box::pin(inspect::run(m, s)) },
    Command { path: "service logs", also: &[], build: logs::command, run: |m, s| Box::pin(logs::run(m, s)) },
    Command { path: "service ls", also: &["service list"], build: list::command, run: |m, s| Box::pin(list::run(m, s)) },
    Command { path: "service ps", also: &[], build: ps::command, run: |m, s| Box::pin(ps::run(m, s)) },
    Command { path: "service rm", also: &["service remove"], build: scale::rm, run: |m, s| Box::pin(scale::run_rm(m, s)) },
    Command { path: "service rollback", also: &[], build: update::rollback, run: |m, s| Box::pin(update::run_rollback(m, s)) },
    Command { path: "service scale", also: &[], build: scale::command, run: |m, s| Box::pin(scale::run(m, s)) },
    Command { path: "service update", also: &[], build: update::command, run: |m, s| Box::pin(update::run(m, s)) },
];
