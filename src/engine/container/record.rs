//! # The record: what is known of one container, and how it may change
//!
//! Everything that must survive the daemon is in one [`Record`], one JSON file a container. It has what the user asked for
//! (`config`, `host_config`: filled in once, at create), what was made of it (`mounts`, `path`, `args`) and how it is now
//! ([`State`]).
//!
//! ```text
//!            create            start                exit                 rm
//!   (nothing) ───► Created ───────────► Running ───────────► Exited ──────────► Removing ─► (nothing)
//!                     │   start fails    │  ▲ pause/unpause     ▲ │start              │
//!                     └───────► Exited   ▼  │                   │ ▼                   ▼ could not
//!                                       Paused     Restarting ──┘ Running            Dead
//! ```
//!
//! * `Restarting`: the process is gone and the restart policy will start another; Docker counts it as running.
//! * Legal moves are in one function, [`Phase::may_become`]; [`State`] has one method for each move and nobody else writes
//!   the phase.
//! * Times are [`Timestamp`]s here and texts only at the border ([`State::to_api`]).
//!
//! Laws: a record on disk is the old one or the new one, never half ([`minidock_base::state_file`]); `pid` is only
//! believed together with `pid_began`, for the kernel gives numbers away again.
//! See: moby `container/state.go`. Next room: [`crate::container::store`]

use crate::networks::place::Networking;
use jiff::Timestamp;
use minidock_base::{
    Error, Result,
    clock::{ZERO, rfc3339},
};
use minidock_spec::{
    digest::Digest,
    engine::container::{self as api, ContainerConfig, Health, HostConfig, MountPoint},
};
use serde::{Deserialize, Serialize};

/// One container, as it lies on disk.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Record {
    /// How often it was written: of two files with one id the one with the larger number is true.
    #[serde(default)]
    pub revision: u64,
    pub id: String,
    /// Without the slash that the API puts in front.
    pub name: String,
    pub created: Timestamp,
    /// The image's configuration digest: its id.
    pub image: Digest,
    /// With the image's defaults underneath; `config.image` is what the user typed.
    pub config: ContainerConfig,
    pub host_config: HostConfig,
    /// Where it is to be on networks, and where it is.
    #[serde(default)]
    pub networking: Networking,
    /// The program and its arguments: entrypoint and command joined.
    pub path: String,
    pub args: Vec<String>,
    #[serde(default)]
    pub mounts: Vec<Mount>,
    pub state: State,
    #[serde(default)]
    pub restart_count: i64,
    /// Stopped by a person: `always` and `unless-stopped` leave it alone.
    #[serde(default)]
    pub manually_stopped: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<Health>,
}

/// One mount: what `inspect` shows, and what only we need to make it again.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Mount {
    #[serde(flatten)]
    pub point: MountPoint,
    /// A volume without a name of its own: `rm -v` and `--rm` take it along.
    #[serde(default)]
    pub anonymous: bool,
    /// A folder below the volume's root.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub subpath: String,
    /// Bind only the folder itself, not what is mounted below it.
    #[serde(default)]
    pub non_recursive: bool,
    /// Read-only, but mounts below stay writable.
    #[serde(default)]
    pub read_only_non_recursive: bool,
    /// Options of a tmpfs: `size=64m`, `mode=1777`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tmpfs: Vec<String>,
    /// What the image has there is not copied into the fresh volume.
    #[serde(default)]
    pub no_copy: bool,
    /// Asked for by `--mount` (and so listed in `HostConfig.Mounts`).
    #[serde(default)]
    pub by_mount_flag: bool,
    /// A secret of a task: nobody is shown it, as with Docker.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub hidden: bool,
    /// A bind whose source may be made when it is not there (`-v`, not `--mount`).
    #[serde(default)]
    pub create_source: bool,
}

/// Where a container is in its life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    #[default]
    Created,
    Running,
    Paused,
    Restarting,
    Exited,
    Removing,
    Dead,
}

impl Phase {
    /// The legal moves: nothing else may happen to a container.
    pub fn may_become(self, next: Phase) -> bool {
        use Phase::*;
        match (self, next) {
            (Created | Exited | Restarting, Running | Exited) => true,
            (Running, Paused | Exited | Restarting) => true,
            (Paused, Running | Exited | Restarting) => true,
            (Created | Exited | Dead | Removing, Removing) => true,
            (Removing, Dead) => true,
            _ => false,
        }
    }

    /// Docker's word.
    pub fn word(self) -> &'static str {
        match self {
            Phase::Created => "created",
            Phase::Running => "running",
            Phase::Paused => "paused",
            Phase::Restarting => "restarting",
            Phase::Exited => "exited",
            Phase::Removing => "removing",
            Phase::Dead => "dead",
        }
    }
}

/// How a container is now.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct State {
    pub phase: Phase,
    /// The first process as the host numbers it; 0: none.
    pub pid: i32,
    /// When that process began, in clock ticks since boot (`/proc/<pid>/stat`, field 22).
    #[serde(default)]
    pub pid_began: u64,
    /// The shim, in the same way.
    #[serde(default)]
    pub shim_pid: i32,
    #[serde(default)]
    pub shim_began: u64,
    pub exit_code: i64,
    /// Why the last start did not work.
    #[serde(default)]
    pub error: String,
    #[serde(default)]
    pub oom_killed: bool,
    pub started_at: Option<Timestamp>,
    pub finished_at: Option<Timestamp>,
}

impl State {
    /// Docker's `Running`: a process is there, or the restart policy is about to make one.
    pub fn is_running(&self) -> bool {
        matches!(self.phase, Phase::Running | Phase::Paused | Phase::Restarting)
    }

    /// Whether a process is there now, paused or not.
    pub fn has_process(&self) -> bool {
        matches!(self.phase, Phase::Running | Phase::Paused)
    }

    /// Moves to `next`.
    ///
    /// # Errors
    /// A move that [`Phase::may_become`] does not know: a mistake of ours, told rather than hidden.
    pub fn become_phase(&mut self, next: Phase) -> Result<()> {
        if !self.phase.may_become(next) {
            let (from, to) = (self.phase.word(), next.word());
            return Err(Error::system(format!("a container that is {from} cannot become {to}")));
        }
        self.phase = next;
        Ok(())
    }

    /// Its process runs.
    pub fn started(&mut self, pid: i32, pid_began: u64, at: Timestamp) -> Result<()> {
        self.become_phase(Phase::Running)?;
        (self.pid, self.pid_began) = (pid, pid_began);
        (self.exit_code, self.error, self.oom_killed) = (0, String::new(), false);
        self.started_at = Some(at);
        Ok(())
    }

    /// Its process has ended; `next` is [`Phase::Exited`] or [`Phase::Restarting`].
    pub fn ended(&mut self, next: Phase, exit_code: i64, oom_killed: bool, at: Timestamp) -> Result<()> {
        self.become_phase(next)?;
        (self.pid, self.pid_began, self.shim_pid, self.shim_began) = (0, 0, 0, 0);
        (self.exit_code, self.oom_killed) = (exit_code, oom_killed);
        self.finished_at = Some(at);
        Ok(())
    }

    /// The same as `inspect` writes it.
    pub fn to_api(&self, health: Option<Health>) -> api::State {
        let time = |at: Option<Timestamp>| at.map(rfc3339).unwrap_or_else(|| ZERO.to_string());
        api::State {
            status: self.phase.word().to_string(),
            running: self.is_running(),
            paused: self.phase == Phase::Paused,
            restarting: self.phase == Phase::Restarting,
            oom_killed: self.oom_killed,
            dead: self.phase == Phase::Dead,
            pid: self.pid.into(),
            exit_code: self.exit_code,
            error: self.error.clone(),
            started_at: time(self.started_at),
            finished_at: time(self.finished_at),
            health,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_running_container_cannot_be_removed_and_a_removed_one_cannot_run() {
        let mut state = State::default();
        state.started(7, 99, Timestamp::now()).expect("created may run");
        assert!(state.become_phase(Phase::Removing).is_err());
        state.ended(Phase::Exited, 3, false, Timestamp::now()).expect("running may end");
        assert_eq!((state.pid, state.exit_code), (0, 3));
        state.become_phase(Phase::Removing).expect("exited may go");
        assert!(state.started(8, 1, Timestamp::now()).is_err());
    }

    #[test]
    fn a_restarting_container_counts_as_running() {
        let mut state = State::default();
        state.started(7, 99, Timestamp::now()).expect("created may run");
        state.ended(Phase::Restarting, 1, false, Timestamp::now()).expect("running may restart");
        let shown = state.to_api(None);
        assert!(shown.running && shown.restarting && shown.pid == 0 && shown.status == "restarting");
    }
}
