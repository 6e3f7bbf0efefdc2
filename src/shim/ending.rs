//! # Ending: who has died, what it means, who is told
//!
//! A child's end is news of one of four kinds, and only the pid tells them apart: the runtime has finished its work, the
//! container's program has ended, an exec has ended, or an orphan of theirs that nobody waits for. Order matters twice. A
//! short program may end *before* the runtime that started it: its end is kept until the runtime has said whose pid it was.
//! And an end is told only when everything said before it is in the log, and its status on disk.
//!
//! ```text
//!  SIGCHLD ─► reap ─┬ runtime ─► pid file ─► Started ─┐            ┌─ exit.json ─► Exited ─► runtime delete ─► door closed
//!                   ├ program ─► Ended ─► drained ────┴─ conclude ─┤
//!                   ├ exec ────► Ended ─► drained ─────────────────┴─ ExecExited
//!                   └ stranger ► kept while a runtime is at work
//! ```
//!
//! * [`Shim::reap`] asks the kernel who has ended; [`Shim::conclude`] runs at the end of each turn and does what can be done.
//! * After `runtime delete` the socket's name and the control connections go: the container may be started again. Clients get
//!   five seconds more to take what waits for them.
//!
//! Laws: exit.json before Exited; delete before the door closes; a start that failed leaves nothing. *See:* wait(2).
//! *Next room:* [`crate::record`]

use crate::{
    process::{Phase, Process},
    protocol::{Answer, Event, Exit},
    runtime::{self, Call, Wanted},
    supervise::Shim,
};
use jiff::Timestamp;
use minidock_base::{
    Error,
    clock::{self, rfc3339},
    state_file,
};
use minidock_linux::{
    cgroup::{Hierarchy, oom},
    signal,
    wait::{self, Ended},
};
use serde::Deserialize;
use std::{
    fs,
    path::PathBuf,
    time::{Duration, Instant},
};

/// How long clients have, after everything is over, to take what waits for them.
const FAREWELL: Duration = Duration::from_secs(5);
/// How long a container has lived before its memory is watched.
const SOON: Duration = Duration::from_millis(300);
/// The exit code of a program that was killed, as by the kernel for want of memory.
const KILLED: i32 = 137;
/// Strangers remembered at once: more than can end while a runtime works.
const STRANGERS: usize = 1024;

impl Shim {
    /// Somebody has ended: asks the kernel who, until it knows of nobody more.
    pub fn reap(&mut self) {
        while let Some(ended) = wait::wait_any() {
            let at = clock::now();
            let runtime = |process: &Process| matches!(&process.phase, Phase::Starting { call, .. } if call.pid == ended.pid);
            let program = |process: &Process| matches!(process.phase, Phase::Running { pid } if pid == ended.pid);
            if let Some(n) = self.processes.iter().position(runtime) {
                self.runtime_ended(n, ended);
            } else if let Some(process) = self.processes.iter_mut().find(|process| program(process)) {
                process.ended(ended.how.docker_code(), at);
            } else if self.processes.iter().any(|process| matches!(process.phase, Phase::Starting { .. }))
                && self.strangers.len() < STRANGERS
            {
                self.strangers.push((ended, at));
            }
        }
        if !self.processes.iter().any(|process| matches!(process.phase, Phase::Starting { .. })) {
            self.strangers = Vec::new();
        }
    }

    /// A runtime has finished: the program runs now, or never will.
    fn runtime_ended(&mut self, n: usize, ended: Ended) {
        let Phase::Starting { call, control, seq } = std::mem::replace(&mut self.processes[n].phase, Phase::Closed) else {
            return;
        };
        self.processes[n].take_terminal(); // it was sent before the runtime ended, if at all
        match self.outcome(n, call, ended) {
            Ok(pid) => {
                self.processes[n].phase = Phase::Running { pid };
                self.answer(control, seq, Answer::Started { pid });
                if let Some(at) = self.strangers.iter().position(|(stranger, _)| stranger.pid == pid) {
                    let (stranger, at) = self.strangers.swap_remove(at);
                    self.processes[n].ended(stranger.how.docker_code(), at);
                }
                if n == 0 {
                    self.watch_at = Some(Instant::now() + SOON);
                }
            }
            Err(error) => {
                if n == 0 {
                    let _ = runtime::delete(&self.launch, self.own); // it may have failed before there was anything
                    self.close_door();
                }
                self.processes[n].close();
                self.answer(control, seq, Answer::Failed(error.to_wire()));
            }
        }
    }

    fn outcome(&self, n: usize, call: Call, ended: Ended) -> Result<i32, Error> {
        let pid = call.finished(ended.how, Wanted::Pid)?;
        let already = self.strangers.iter().any(|(stranger, _)| stranger.pid == pid);
        if !already && !signal::exists(pid) {
            return Err(Error::system(format!("the runtime named process {pid}, which does not exist")));
        }
        if self.processes[n].terminal && self.processes[n].readable_terminal().is_none() {
            let _ = signal::kill(pid, 9); // a program without its terminal would talk to nobody
            return Err(Error::system("the runtime sent no terminal"));
        }
        Ok(pid)
    }

    /// Begins to watch the container's memory, if it is time.
    pub fn watch_memory(&mut self) {
        if self.watch_at.is_some_and(|at| at <= Instant::now()) {
            self.watch_at = None;
            self.find_group();
            self.oom = self.group.as_ref().and_then(|group| oom::Watch::new(group).ok());
            self.out_of_memory();
        }
    }

    fn find_group(&mut self) {
        if self.group.is_none() {
            let named = self.launch.cgroup.clone().or_else(|| cgroup_in(&self.launch.bundle));
            self.group = named.and_then(|path| Some(Hierarchy::detect().ok()?.cgroup(&path)));
        }
    }

    /// The kernel may have killed something for want of memory. The group is new with each container, so that the counter
    /// also tells what happened before the watch stood.
    pub fn out_of_memory(&mut self) {
        let more = self.oom.as_mut().is_some_and(|watch| matches!(watch.drain(), oom::Oom::Killed(_)));
        let first = !self.oom_killed && self.group.as_ref().is_some_and(|group| group.oom_kills() > 0);
        if more || first {
            self.oom_killed = true;
            self.tell(Event::OutOfMemory);
        }
    }

    /// Does what has become possible at the end of a turn; whether everything is over.
    pub fn conclude(&mut self, room: &mut [u8]) -> bool {
        for n in 0..self.processes.len() {
            let Some((code, at)) = self.processes[n].settle(room) else { continue };
            match self.processes[n].exec.clone() {
                Some(exec) => {
                    self.processes[n].close();
                    self.tell(Event::ExecExited { exec, code });
                }
                None => self.container_ended(code, at),
            }
        }
        let gone = |process: &Process| matches!(process.phase, Phase::Closed) && process.clients.is_empty();
        let mut first = true;
        self.processes.retain(|process| std::mem::take(&mut first) || !gone(process));
        if !matches!(self.processes[0].phase, Phase::Closed) {
            return false;
        }
        let leave_by = *self.leave_by.get_or_insert_with(|| Instant::now() + FAREWELL);
        let execs_over = self.processes.iter().all(|process| matches!(process.phase, Phase::Closed));
        if execs_over {
            self.close_door();
            // the end of the connection is the message: the container may be started again, or removed
            self.controls.retain(|control| !control.drained());
        }
        (execs_over && self.controls.is_empty() && self.processes.iter().all(gone)) || leave_by <= Instant::now()
    }

    /// The container is over: on disk first, then told, then cleaned up.
    fn container_ended(&mut self, code: i32, at: Timestamp) {
        // its last breath may have been an OOM kill that the loop has not seen yet
        self.watch_at = None;
        if code == KILLED || !self.launch.memory_is_free {
            self.find_group();
        }
        self.out_of_memory();
        let exit = Exit { code, at: rfc3339(at), oom_killed: self.oom_killed };
        let saved = state_file::save(&self.launch.exit_file, &exit);
        self.exit = Some(exit.clone());
        self.tell(Event::Exited(exit));
        self.oom = None;
        if let Err(error) = saved {
            eprintln!("minidock: {error}"); // a full disk; whoever listens has been told
        }
        self.record();
        self.processes[0].close();
        // execs that were never started never will be
        for process in self.processes.iter_mut().filter(|process| matches!(process.phase, Phase::Waiting)) {
            process.close();
        }
        if let Err(error) = runtime::delete(&self.launch, self.own) {
            eprintln!("minidock: {error}"); // `restore` looks for what is left
        }
    }

    /// The name of the socket goes, and with it the promise that somebody answers.
    pub fn close_door(&mut self) {
        if self.listener.take().is_some() {
            let _ = fs::remove_file(&self.launch.socket); // the daemon may have removed the whole bundle
        }
    }
}

#[derive(Deserialize)]
struct Config {
    linux: Option<Linux>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Linux {
    cgroups_path: Option<PathBuf>,
}

/// The container's cgroup, as its config.json names it.
fn cgroup_in(bundle: &std::path::Path) -> Option<PathBuf> {
    let text = fs::read(bundle.join("config.json")).ok()?;
    let config: Config = serde_json::from_slice(&text).ok()?;
    config.linux?.cgroups_path
}
