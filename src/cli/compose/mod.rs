//! # compose: the programs of one application, on this machine
//!
//! A web server, a cache, a database: three `minidock run` with twenty flags, in the right order, on the right network. Written down in a
//! file they are one command: `minidock compose up`.
//!
//! ```text
//!   minidock compose [which project] VERB [what]
//!      │ options        -f, -p, --profile …
//!      ▼
//!    files ─► minidock_compose::local ─► Project          config: and no further
//!                                          │
//!      seen: what is there, by labels ─────┤
//!                                          ▼
//!    up · create · scale · run    images ─► needs (networks, volumes) ─► converge ─► start ─► attach
//!    down · stop · start · …      lifecycle, down: in the order of the graph
//!    ps · logs · top · …          looking on
//!    attach · commit · export     one container, by the doors of the same name
//!    exec · cp                    into one container, by the doors of `minidock exec` and `cp`
//! ```
//!
//! * What is decided stands in `minidock_compose::local`, as values; here it is asked, done and shown. [`graph`] walks the services side by
//!   side, [`screen`] shows how far things are.
//! * Nothing is remembered: a project is what carries its labels. Docker's own `compose` sees it, and we see its.
//!
//! Laws: the files are read, checked and understood before the daemon is asked anything; what was made before a failure stays, and the
//! next `up` goes on from there. Errors are complete: file, line and key for what is wrong in a file, the service's name for the rest.
//!
//! *In the real world* there are also `watch`, `publish`, `bridge` and the like, which are about developing and delivering: refused.
//! *See:* docker/compose `cmd/compose`. *Next room:* [`options`]

pub mod attach;
pub mod building;
pub mod config;
pub mod converge;
pub mod down;
pub mod events;
pub mod files;
pub mod graph;
pub mod images;
pub mod inside;
pub mod lifecycle;
pub mod lines;
pub mod logs;
pub mod looking;
pub mod needs;
pub mod one;
pub mod options;
pub mod ps;
pub mod run;
pub mod screen;
pub mod seen;
pub mod start;
pub mod up;

use crate::{command::Command, flag, session::Session};
use clap::ArgMatches;
use minidock_base::{Error, Result};

/// `compose …`.
pub const COMMANDS: &[Command] = &[
    Command { path: "compose attach", also: &[], build: one::attach_command, run: |m, s| Box::pin(one::attach(m, s)) },
    Command { path: "compose build", also: &[], build: building::build_command, run: |m, s| Box::pin(building::build(m, s)) },
    Command { path: "compose commit", also: &[], build: one::commit_command, run: |m, s| Box::pin(one::commit(m, s)) },
    Command {
        path: "compose config",
        also: &["compose convert"],
        build: config::command,
        run: |m, s| Box::pin(config::run(m, s)),
    },
    Command { path: "compose cp", also: &[], build: inside::cp_command, run: |m, s| Box::pin(inside::cp(m, s)) },
    Command { path: "compose create", also: &[], build: up::create_command, run: |m, s| Box::pin(up::create(m, s)) },
    Command { path: "compose down", also: &[], build: down::command, run: |m, s| Box::pin(down::run(m, s)) },
    Command { path: "compose events", also: &[], build: events::command, run: |m, s| Box::pin(events::run(m, s)) },
    Command { path: "compose exec", also: &[], build: inside::exec_command, run: |m, s| Box::pin(inside::exec(m, s)) },
    Command { path: "compose export", also: &[], build: one::export_command, run: |m, s| Box::pin(one::export(m, s)) },
    Command { path: "compose images", also: &[], build: looking::images_command, run: |m, s| Box::pin(looking::images(m, s)) },
    Command { path: "compose kill", also: &[], build: lifecycle::kill_command, run: |m, s| Box::pin(lifecycle::kill(m, s)) },
    Command { path: "compose logs", also: &[], build: logs::command, run: |m, s| Box::pin(logs::run(m, s)) },
    Command {
        path: "compose ls",
        also: &["compose list"],
        build: looking::ls_command,
        run: |m, s| Box::pin(looking::ls(m, s)),
    },
    Command { path: "compose pause", also: &[], build: lifecycle::pause_command, run: |m, s| Box::pin(lifecycle::pause(m, s)) },
    Command { path: "compose port", also: &[], build: looking::port_command, run: |m, s| Box::pin(looking::port(m, s)) },
    Command { path: "compose ps", also: &[], build: ps::command, run: |m, s| Box::pin(ps::run(m, s)) },
    Command { path: "compose pull", also: &[], build: building::pull_command, run: |m, s| Box::pin(building::pull(m, s)) },
    Command { path: "compose push", also: &[], build: building::push_command, run: |m, s| Box::pin(building::push(m, s)) },
    Command {
        path: "compose restart",
        also: &[],
        build: lifecycle::restart_command,
        run: |m, s| Box::pin(lifecycle::restart(m, s)),
    },
    Command {
        path: "compose rm",
        also: &["compose remove"],
        build: lifecycle::rm_command,
        run: |m, s| Box::pin(lifecycle::rm(m, s)),
    },
    Command { path: "compose run", also: &[], build: run::command, run: |m, s| Box::pin(run::run(m, s)) },
    Command { path: "compose scale", also: &[], build: up::scale_command, run: |m, s| Box::pin(up::run_scale(m, s)) },
    Command { path: "compose start", also: &[], build: lifecycle::start_command, run: |m, s| Box::pin(lifecycle::start(m, s)) },
    Command { path: "compose stats", also: &[], build: looking::stats_command, run: |m, s| Box::pin(looking::stats(m, s)) },
    Command { path: "compose stop", also: &[], build: lifecycle::stop_command, run: |m, s| Box::pin(lifecycle::stop(m, s)) },
    Command { path: "compose top", also: &[], build: looking::top_command, run: |m, s| Box::pin(looking::top(m, s)) },
    Command {
        path: "compose unpause",
        also: &[],
        build: lifecycle::unpause_command,
        run: |m, s| Box::pin(lifecycle::unpause(m, s)),
    },
    Command { path: "compose up", also: &[], build: up::command, run: |m, s| Box::pin(up::run(m, s)) },
    Command {
        path: "compose version",
        also: &[],
        build: looking::version_command,
        run: |m, s| Box::pin(looking::version(m, s)),
    },
    Command {
        path: "compose volumes",
        also: &[],
        build: looking::volumes_command,
        run: |m, s| Box::pin(looking::volumes(m, s)),
    },
    Command { path: "compose wait", also: &[], build: lifecycle::wait_command, run: |m, s| Box::pin(lifecycle::wait(m, s)) },
    Command {
        path: "compose watch",
        also: &["compose bridge", "compose publish", "compose alpha"],
        build: others,
        run: |m, s| Box::pin(refused(m, s)),
    },
];

/// The verbs that are known and not here.
fn others() -> clap::Command {
    let command = flag::command("watch", "[OPTIONS] [SERVICE...]", "What Docker's compose does beyond containers");
    options::with(command).arg(flag::program("ARG")).hide(true)
}

/// Says that a verb is not here.
async fn refused(_: &ArgMatches, _: &mut Session) -> Result<i32> {
    Err(Error::not_implemented("minidock compose has no such verb: it stops at the containers of one machine")
        .hint("compose up --build rebuilds what has changed, compose push sends the images of services"))
}
