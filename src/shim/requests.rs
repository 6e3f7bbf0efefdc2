//! # Requests: what the daemon may ask
//!
//! Each request is one small step, answered under the number it came with. Only two take time, [`Request::Start`] and
//! [`Request::ExecStart`]: the runtime works while the loop goes on, and the answer follows when it has ended
//! ([`crate::ending`]).
//!
//! ```text
//!   Start ─► pipes (or console.sock) ─► spawn runtime ─► Phase::Starting ┄┄► SIGCHLD ─► Started | Failed
//!   Exec  ─► a process that waits, to attach to          ExecStart ─► the same road
//!   Kill, Resize, CloseStdin, State ─► done at once
//! ```
//!
//! Laws: a refusal names what was asked for and changes nothing. *See:* [`crate::protocol`]. *Next room:* [`crate::runtime`]

use crate::{
    console::Console,
    control::Control,
    process::{Phase, Process},
    protocol::{Answer, Event, Exec, Numbered, Reply, Request},
    runtime,
    stdio::{self, Theirs},
    supervise::Shim,
};
use minidock_base::{Doing, Error, Result};
use minidock_linux::signal;
use serde_json::json;
use std::path::PathBuf;

impl Shim {
    /// One request from the control connection `serial`.
    pub fn requested(&mut self, serial: u64, numbered: Numbered) {
        let Numbered { seq, request } = numbered;
        let answer = match request {
            Request::Launch(_) => Err(Error::conflict("this shim was launched already")),
            Request::Start => self.start(0, serial, seq),
            Request::ExecStart { exec } => self.find(Some(&exec)).and_then(|n| self.start(n, serial, seq)),
            Request::Exec(exec) => self.prepare(*exec),
            Request::Kill { exec, signal } => self.kill(exec.as_deref(), signal),
            Request::Resize { exec, rows, cols } => self.find(exec.as_deref()).map(|n| {
                self.processes[n].resize(rows, cols);
                Some(Answer::Ok)
            }),
            Request::CloseStdin { exec } => self.find(exec.as_deref()).map(|n| {
                self.processes[n].stdin.close();
                Some(Answer::Ok)
            }),
            Request::State => Ok(Some(self.state())),
        };
        match answer {
            Ok(None) => {} // later
            Ok(Some(answer)) => self.answer(serial, seq, answer),
            Err(error) => self.answer(serial, seq, Answer::Failed(error.to_wire())),
        }
    }

    /// Says something to the connection that asked, if it is still there.
    pub fn answer(&mut self, serial: u64, seq: u64, answer: Answer) {
        if let Some(control) = self.controls.iter_mut().find(|control| control.serial == serial) {
            control.say(&Reply::Answer { seq, answer });
        }
    }

    /// Says something to everybody who listens.
    pub fn tell(&mut self, event: Event) {
        let reply = Reply::Event(event);
        self.controls.iter_mut().for_each(|control| control.say(&reply));
    }

    /// A daemon that has come back: the same door, and the news it may have missed.
    pub fn adopt(&mut self, mut control: Control) {
        if let Some(exit) = &self.exit {
            control.say(&Reply::Event(Event::Exited(exit.clone())));
        }
        self.controls.push(control);
        self.requests_of(self.controls.len() - 1); // what came in one piece with the greeting
    }

    fn find(&self, exec: Option<&str>) -> Result<usize> {
        let found = self.processes.iter().position(|process| process.exec.as_deref() == exec);
        found.ok_or_else(|| Error::not_found(format!("No such exec instance: {}", exec.unwrap_or_default())))
    }

    /// Executes the runtime for the process at `n`; the answer comes when it has ended.
    fn start(&mut self, n: usize, serial: u64, seq: u64) -> Result<Option<Answer>> {
        if !matches!(self.processes[n].phase, Phase::Waiting) {
            return Err(Error::conflict("it was started already"));
        }
        if n > 0 && !matches!(self.processes[0].phase, Phase::Running { .. }) {
            return Err(Error::conflict(format!("container {} is not running", self.launch.id)));
        }
        let (theirs, console) = self.streams(n)?;
        let call = match &self.processes[n].exec {
            None => runtime::run(&self.launch, self.own, theirs, console)?,
            Some(exec) => {
                let mut process = self.prepared.remove(exec).unwrap_or_default();
                // the terminal has its size before the program can ask for it
                let [rows, cols] = self.processes[n].size;
                if rows > 0 && cols > 0 {
                    process["consoleSize"] = json!({ "height": rows, "width": cols });
                }
                runtime::exec(&self.launch, self.own, exec, &process, theirs, console)?
            }
        };
        self.processes[n].phase = Phase::Starting { call, control: serial, seq };
        Ok(None)
    }

    /// The program's ends of its streams; with a terminal, the name of the socket through which it will come.
    fn streams(&mut self, n: usize) -> Result<(Theirs, Option<PathBuf>)> {
        let process = &mut self.processes[n];
        if process.terminal {
            let name = format!("{}.console", process.exec.as_deref().unwrap_or("init"));
            let console = Console::listen(&self.launch.bundle, &name)?;
            let path = console.name();
            process.console = Some(console);
            return Ok((stdio::nothing()?, Some(path)));
        }
        let (ours, theirs) = stdio::pipes(process.open_stdin)?;
        process.take_pipes(ours);
        Ok((theirs, None))
    }

    fn prepare(&mut self, exec: Exec) -> Result<Option<Answer>> {
        if !matches!(self.processes[0].phase, Phase::Running { .. }) {
            return Err(Error::conflict(format!("container {} is not running", self.launch.id)));
        }
        let plain =
            !exec.exec.is_empty() && exec.exec.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
        if !plain {
            return Err(Error::invalid(format!("an exec id is letters and digits, not {:?}", exec.exec)));
        }
        if self.find(Some(&exec.exec)).is_ok() {
            return Err(Error::conflict(format!("exec {} exists already", exec.exec)));
        }
        self.prepared.insert(exec.exec.clone(), exec.process);
        // an exec has one client: its standard input ends with it
        self.processes.push(Process::new(Some(exec.exec), exec.terminal, exec.open_stdin, true, exec.console_size));
        Ok(Some(Answer::Ok))
    }

    fn kill(&mut self, exec: Option<&str>, number: i32) -> Result<Option<Answer>> {
        let n = self.find(exec)?;
        let pid = match &self.processes[n].phase {
            // not reaped yet, so nobody else can have this pid
            Phase::Running { pid } => *pid,
            // the runtime hangs (a hook, a dead file system): the only way to stop it
            Phase::Starting { call, .. } if number == 9 => call.pid,
            Phase::Waiting | Phase::Starting { .. } => return Err(Error::conflict("it is not running yet")),
            Phase::Ended { .. } | Phase::Closed => return Err(Error::conflict("it has ended already")),
        };
        signal::kill(pid, number).doing(|| format!("send {}", signal::name(number)))?;
        Ok(Some(Answer::Ok))
    }

    fn state(&self) -> Answer {
        let pid = match self.processes[0].phase {
            Phase::Running { pid } => pid,
            _ => 0,
        };
        let live = |process: &&Process| !matches!(process.phase, Phase::Closed);
        let execs = self.processes.iter().filter(live).filter_map(|process| process.exec.clone()).collect();
        Answer::State { pid, exit: self.exit.clone(), execs }
    }
}
