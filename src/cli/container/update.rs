//! # update: other limits for a running container
//!
//! The knobs of a cgroup can be turned while the processes in it run. Only what is given changes.
//!
//! *See:* docker/cli `cli/command/container/update.go`. *Next room:* `src/cli/container/ps.rs`

use crate::{
    complain,
    container::{create, limits, resources::resources},
    each::at_once,
    flag,
    session::Session,
    terminal,
    words::is_given,
};
use clap::ArgMatches;
use minidock_base::{Error, Result};
use minidock_client::Route;
use minidock_spec::engine::container::{UpdateAnswer, UpdateBody};

/// `minidock update`.
pub fn command() -> clap::Command {
    flag::command("update", "[OPTIONS] CONTAINER [CONTAINER...]", "Update configuration of one or more containers")
        .arg(flag::number(
            "blkio-weight",
            "uint16",
            "Block IO (relative weight), between 10 and 1000, or 0 to disable (default 0)",
        ))
        .arg(flag::number("cpu-period", "int", "Limit CPU CFS (Completely Fair Scheduler) period"))
        .arg(flag::number("cpu-quota", "int", "Limit CPU CFS (Completely Fair Scheduler) quota"))
        .arg(flag::number("cpu-rt-period", "int", "Limit the CPU real-time period in microseconds"))
        .arg(flag::number("cpu-rt-runtime", "int", "Limit the CPU real-time runtime in microseconds"))
        .arg(flag::number("cpu-shares", "int", "CPU shares (relative weight)").short('c'))
        .arg(flag::text("cpus", "decimal", "Number of CPUs"))
        .arg(flag::text("cpuset-cpus", "string", "CPUs in which to allow execution (0-3, 0,1)"))
        .arg(flag::text("cpuset-mems", "string", "MEMs in which to allow execution (0-3, 0,1)"))
        .arg(flag::text("kernel-memory", "bytes", "Kernel memory limit (deprecated)").hide(true))
        .arg(flag::text("memory", "bytes", "Memory limit").short('m'))
        .arg(flag::text("memory-reservation", "bytes", "Memory soft limit"))
        .arg(flag::text("memory-swap", "bytes", "Swap limit equal to memory plus swap: -1 to enable unlimited swap"))
        .arg(flag::number("pids-limit", "int", "Tune container pids limit (set -1 for unlimited)"))
        .arg(flag::text("restart", "string", "Restart policy to apply when a container exits"))
        .arg(flag::names("CONTAINER"))
}

/// Changes limits and restart policies.
///
/// # Errors
/// No flag at all, a restart policy that is none. Limits that are none are printed, and the status is 125.
pub async fn run(m: &ArgMatches, session: &mut Session) -> Result<i32> {
    if !m.ids().any(|id| id != "CONTAINER" && is_given(m, id.as_str())) {
        return Err(Error::invalid("you must provide one or more flags when using this command").hint("minidock update --help"));
    }
    let restart_policy = flag::text_of(m, "restart").map(limits::restart).transpose()?;
    let body = match resources(m) {
        Ok(resources) => UpdateBody { resources, restart_policy },
        Err(error) => {
            complain(&error);
            return Ok(create::WRONG_FLAGS);
        }
    };
    let docker = session.docker().await?;
    let change = async |name: String| -> Result<String> {
        let answer: UpdateAnswer = docker.post(&Route::new("/containers/{}/update", [&name]), &body).await?;
        for warning in answer.warnings.unwrap_or_default() {
            terminal::eprint(&format!("{warning}\n"));
        }
        Ok(name + "\n")
    };
    at_once(flag::list_of(m, "CONTAINER"), change).await
}
