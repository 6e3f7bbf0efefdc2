//! # Supervise: the loop
//!
//! All that ever happens to a shim is that a descriptor has something: a signal, a connection, output, somebody typing. So
//! the whole program is one loop that asks poll(2) which, and serves each without ever waiting for it.
//!
//! ```text
//!          ┌──────────────── list of (door, what I want of it) ◄───────────────┐
//!          ▼                                                                   │
//!        poll ─► signals (first: who has ended?) ─► connections ─► outputs ─► sweep: who is gone,
//!                                                   typists, clients          which end can be told,
//!                                                                             may I go?
//! ```
//!
//! * [`Shim`] holds everything; [`Door`] names one descriptor for one turn, by position: nothing is removed from a list until
//!   the turn is over ([`Shim::sweep`]).
//! * The sleep ends at the next deadline, and without one it lasts until something happens: an idle shim uses no time.
//!
//! Laws: no call in here blocks, but for the runtime's `delete` at the very end. *See:* poll(2).
//! *Next room:* [`crate::requests`]

use crate::{
    client::Client,
    control::{Control, to_line},
    process::{CHUNK, Phase, Process},
    protocol::{Answer, Attach, Exit, Hello, Launch},
    record,
    runtime::{self, Own},
};
use jiff::Timestamp;
use minidock_base::Error;
use minidock_linux::{
    action,
    cgroup::{Cgroup, oom},
    fds,
    poll::{Poll, Ready, Want},
    signal,
    wait::Ended,
};
use std::{
    collections::BTreeMap,
    os::{
        fd::{AsFd, OwnedFd},
        unix::net::UnixListener,
    },
    time::{Duration, Instant},
};

/// How long a new connection may take to say what it is.
const GREETING: Duration = Duration::from_secs(10);
/// How many may stand at the door at once.
const NEWCOMERS: usize = 64;

/// One container's parent.
pub struct Shim {
    pub launch: Launch,
    /// The OCI runtime that is part of this program, if it is the one to be called.
    pub own: Option<Own>,
    /// The container's own program first, then the execs.
    pub processes: Vec<Process>,
    pub controls: Vec<Control>,
    /// Connections that have not said what they are.
    newcomers: Vec<Option<Control>>,
    pub listener: Option<UnixListener>,
    signals: OwnedFd,
    /// The container's group, and who tells when its memory has run out.
    pub group: Option<Cgroup>,
    pub oom: Option<oom::Watch>,
    /// When the group shall be found and watched: a container that is over before had no time to fill its memory slowly, and
    /// if it did quickly, its exit says so.
    pub watch_at: Option<Instant>,
    /// Children that ended while the runtime had not yet said whose they are.
    pub strangers: Vec<(Ended, Timestamp)>,
    /// What execs shall run, until they are started.
    pub prepared: BTreeMap<String, serde_json::Value>,
    pub exit: Option<Exit>,
    pub oom_killed: bool,
    /// The container is over and cleaned up: when clients are let go at the latest.
    pub leave_by: Option<Instant>,
    serial: u64,
    room: Box<[u8]>,
}

/// One descriptor, for one turn of the loop.
#[derive(Clone, Copy)]
enum Door {
    Signals,
    Listener,
    Oom,
    Control(usize),
    Newcomer(usize),
    Console(usize),
    Output(usize, usize),
    Stdin(usize),
    Client(usize, usize),
}

impl Shim {
    pub fn new(
        launch: Launch,
        own: Option<Own>,
        main: Process,
        control: Control,
        listener: UnixListener,
        signals: OwnedFd,
    ) -> Shim {
        Shim {
            own: own.filter(|_| runtime::is_own(&launch.runtime)),
            launch,
            processes: vec![main],
            controls: vec![control],
            newcomers: Vec::new(),
            listener: Some(listener),
            signals,
            group: None,
            oom: None,
            watch_at: None,
            strangers: Vec::new(),
            prepared: BTreeMap::new(),
            exit: None,
            oom_killed: false,
            leave_by: None,
            serial: 0,
            room: vec![0; CHUNK].into(),
        }
    }

    /// Serves until the container is over.
    pub fn supervise(&mut self) {
        self.requests_of(0); // what came in one piece with the launch
        while !self.sweep() {
            self.watch_memory();
            if !self.is_starting() {
                self.record(); // not while somebody waits for the start
            }
            for (door, ready) in self.sleep() {
                self.serve(door, ready);
            }
        }
        self.record();
        self.close_door();
    }

    /// Waits until something happens or a deadline has come; what has happened.
    fn sleep(&self) -> Vec<(Door, Ready)> {
        let (mut poll, mut doors) = (Poll::with_capacity(8), Vec::with_capacity(8));
        let mut add = |door, fd, want| {
            poll.add(fd, want);
            doors.push(door);
        };
        add(Door::Signals, self.signals.as_fd(), Want::READ);
        if let Some(listener) = self.listener.as_ref().filter(|_| self.newcomers.len() < NEWCOMERS) {
            add(Door::Listener, listener.as_fd(), Want::READ);
        }
        if let Some(oom) = &self.oom {
            add(Door::Oom, oom.as_fd(), Want::READ);
        }
        for (n, control) in self.controls.iter().enumerate() {
            add(Door::Control(n), control.socket().as_fd(), control.want());
        }
        for (n, newcomer) in self.newcomers.iter().enumerate() {
            if let Some(newcomer) = newcomer {
                add(Door::Newcomer(n), newcomer.socket().as_fd(), newcomer.want());
            }
        }
        for (n, process) in self.processes.iter().enumerate() {
            if let Some(console) = &process.console {
                add(Door::Console(n), console.listener().as_fd(), Want::READ);
            }
            for index in 0..2 {
                if let Some(output) = process.readable(index) {
                    add(Door::Output(n, index), output.as_fd(), Want::READ);
                }
            }
            if let Some(stdin) = process.stdin.to_poll() {
                add(Door::Stdin(n), stdin.as_fd(), Want::WRITE);
            }
            for (c, client) in process.clients.iter().enumerate() {
                add(Door::Client(n, c), client.socket().as_fd(), client.want(process.stdin.has_room()));
            }
        }
        let limit = self.deadline().map(|at| at.saturating_duration_since(Instant::now()));
        if poll.wait(limit).is_err() {
            // ENOMEM or a bug; without a pause the loop would burn a processor
            std::thread::sleep(Duration::from_millis(100));
        }
        doors.into_iter().enumerate().map(|(index, door)| (door, poll.ready(index))).filter(|(_, ready)| ready.any()).collect()
    }

    /// The next moment at which something must be done although nothing happens.
    fn deadline(&self) -> Option<Instant> {
        let newcomers = self.newcomers.iter().flatten().map(|newcomer| newcomer.since + GREETING);
        let processes = self.processes.iter().filter_map(Process::deadline);
        let clients = self.processes.iter().flat_map(|process| process.clients.iter().filter_map(Client::deadline));
        newcomers.chain(processes).chain(clients).chain(self.leave_by).chain(self.watch_at).min()
    }

    fn serve(&mut self, door: Door, ready: Ready) {
        match door {
            Door::Signals => {
                while signal::next(&self.signals).is_some() {} // several children may share one SIGCHLD: ask the kernel who
                self.reap();
            }
            Door::Listener => self.welcome(),
            Door::Oom => self.out_of_memory(),
            Door::Control(n) => self.serve_control(n, ready),
            Door::Newcomer(n) => self.serve_newcomer(n),
            Door::Console(n) => self.processes[n].take_terminal(),
            Door::Output(n, index) => self.processes[n].pump(index, &mut self.room),
            Door::Stdin(n) => self.processes[n].stdin.flush(),
            Door::Client(n, c) => {
                let process = &mut self.processes[n];
                if ready.write {
                    process.clients[c].flush();
                }
                if ready.read {
                    process.typed(c, &mut self.room);
                }
                // gone in both directions, and nothing left of what it typed
                process.clients[c].dead |= ready.gone && !process.clients[c].reading;
                process.clients[c].dead |= ready.gone && !ready.read;
            }
        }
    }

    fn serve_control(&mut self, n: usize, ready: Ready) {
        if ready.write {
            self.controls[n].flush();
        }
        if ready.read || ready.gone {
            self.controls[n].receive();
        }
        self.requests_of(n);
    }

    /// Serves the whole lines that have arrived on one control connection.
    pub fn requests_of(&mut self, n: usize) {
        while let Some(line) = self.controls[n].line() {
            let serial = self.controls[n].serial;
            match serde_json::from_slice(&line) {
                Ok(numbered) => self.requested(serial, numbered),
                Err(_) => self.controls[n].dead = true, // whoever speaks another language will not understand an answer
            }
        }
    }

    /// Somebody has connected: only the user we run as, and root, may.
    fn welcome(&mut self) {
        let Some(Ok((socket, _))) = self.listener.as_ref().map(UnixListener::accept) else { return };
        let allowed = fds::peer(&socket).is_ok_and(|peer| peer.uid == 0 || peer.uid == own_uid());
        if allowed && socket.set_nonblocking(true).is_ok() {
            self.serial += 1;
            self.newcomers.push(Some(Control::new(self.serial, socket)));
        }
    }

    /// A connection says what it is: control, or a client of some program.
    fn serve_newcomer(&mut self, n: usize) {
        let Some(mut newcomer) = self.newcomers[n].take() else { return };
        newcomer.receive();
        let Some(line) = newcomer.line() else {
            return self.newcomers[n] = Some(newcomer).filter(|newcomer| !newcomer.dead);
        };
        match serde_json::from_slice(&line) {
            Ok(Hello::Control) => self.adopt(newcomer),
            Ok(Hello::Attach(attach)) => self.attach(newcomer, attach),
            Err(_) => {}
        }
    }

    fn attach(&mut self, newcomer: Control, attach: Attach) {
        let (socket, early) = newcomer.split();
        let found = self.processes.iter_mut().find(|process| process.exec == attach.exec);
        let mut client = Client::new(socket, (attach.stdin, attach.stdout, attach.stderr), true);
        let Some(process) = found else {
            let missing = Error::not_found(format!("No such exec instance: {}", attach.exec.unwrap_or_default()));
            return client.greet(&to_line(&Answer::Failed(missing.to_wire())));
        };
        client = client.framed(!process.terminal);
        client.greet(&to_line(&Answer::Ok));
        process.join(client, &early);
    }

    /// Removes what is gone, tells what can be told; whether everything is over.
    fn sweep(&mut self) -> bool {
        let now = Instant::now();
        self.processes.iter_mut().for_each(Process::sweep);
        self.newcomers.retain(|newcomer| newcomer.as_ref().is_some_and(|newcomer| newcomer.since + GREETING > now));
        let mut room = std::mem::take(&mut self.room);
        let over = self.conclude(&mut room);
        self.room = room;
        self.controls.retain(|control| !control.dead);
        over || self.forsaken()
    }

    /// Never started, and nobody left who could.
    fn forsaken(&self) -> bool {
        let waiting = matches!(self.processes[0].phase, Phase::Waiting);
        waiting && self.exit.is_none() && self.controls.is_empty() && self.newcomers.is_empty()
    }

    fn is_starting(&self) -> bool {
        matches!(self.processes[0].phase, Phase::Waiting | Phase::Starting { .. })
    }

    /// Writes down the kernel calls made since last time, for `minidock explain`.
    pub fn record(&mut self) {
        let lines = action::take_lines();
        if let Some(path) = &self.launch.actions_file {
            record::append(path, &lines);
        }
    }
}

fn own_uid() -> u32 {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata("/proc/self").map_or(0, |own| own.uid())
}
