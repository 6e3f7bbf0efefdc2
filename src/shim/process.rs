//! # Process: one program, its streams, and everybody who watches it
//!
//! The container's own program and each `exec` are the same thing to the shim: something that will be started, runs, ends,
//! and has streams that people attach to. This room holds that thing, and the one subtle moment in its life: a process can
//! end *before* everything it said has been read.
//!
//! ```text
//!   Waiting ─► Starting ─► Running ─► Ended ───────► Closed
//!      │          │          │          │ its pipes are read to their end, or for 2 s: a grandchild
//!      │          │          │          │ may hold them open (`sh -c 'sleep 1000 &'`)
//!      └ clients may attach from here on; nothing is lost
//! ```
//!
//! * [`Process::pump`] moves output to the log and to every client, and stops when one of them is full.
//! * [`Process::ended`] notes the end; [`Process::settle`] says when there is nothing more to come.
//!
//! Laws: output is read only when it can be handed on; whatever was said before the end is in the log before anybody hears
//! of the end. *See:* moby `daemon/monitor.go`, for the two seconds. *Next room:* [`crate::stdio`]

use crate::{
    client::Client,
    console::Console,
    log_file::{line::Source, split::Splitter, writer::Writer},
    runtime::Call,
    stdio::{self, Got, Ours, Stdin},
};
use jiff::Timestamp;
use minidock_linux::tty;
use minidock_spec::engine::stream::Stream;
use std::{
    fs::File,
    rc::Rc,
    time::{Duration, Instant},
};

/// How long output may still come after the program's end.
const DRAIN: Duration = Duration::from_secs(2);
/// How long slow clients may put off the news of the end.
const HAND_OVER: Duration = Duration::from_secs(1);
/// One read: half of what a pipe holds.
pub const CHUNK: usize = 32 * 1024;
/// Reads before the others get their turn.
const READS: usize = 8;

/// Where in its life a program is.
pub enum Phase {
    /// It can be started.
    Waiting,
    /// The runtime is at it; the answer goes to this control connection under this number.
    Starting {
        call: Call,
        control: u64,
        seq: u64,
    },
    Running {
        pid: i32,
    },
    /// It is gone; what it said may not all be read.
    Ended {
        code: i32,
        at: Timestamp,
        since: Instant,
    },
    /// Everything is read, and those who must know have been told.
    Closed,
}

/// A program with its streams.
pub struct Process {
    /// The exec's id; none: the container's own.
    pub exec: Option<String>,
    pub terminal: bool,
    pub open_stdin: bool,
    /// Standard input ends with the first client that typed.
    pub stdin_once: bool,
    /// Rows and columns; zeros: as the kernel makes it.
    pub size: [u16; 2],
    pub phase: Phase,
    pub clients: Vec<Client>,
    pub stdin: Stdin,
    /// Standard output (or the master) and standard error, while they are open.
    outputs: [Option<Rc<File>>; 2],
    pub console: Option<Console>,
    log: Option<Logged>,
}

/// The log, and what each stream has said without a newline.
struct Logged {
    writer: Writer,
    splitters: [Splitter; 2],
}

impl Process {
    pub fn new(exec: Option<String>, terminal: bool, open_stdin: bool, stdin_once: bool, size: [u16; 2]) -> Process {
        Process {
            exec,
            terminal,
            open_stdin,
            stdin_once,
            size,
            phase: Phase::Waiting,
            clients: Vec::new(),
            stdin: Stdin::default(),
            outputs: [None, None],
            console: None,
            log: None,
        }
    }

    pub fn log_to(&mut self, writer: Writer) {
        self.log = Some(Logged { writer, splitters: Default::default() });
    }

    /// Takes our ends of the pipes.
    pub fn take_pipes(&mut self, ours: Ours) {
        self.outputs = [Some(Rc::new(ours.stdout)), Some(Rc::new(ours.stderr))];
        match ours.stdin {
            Some(end) => self.stdin.open(Rc::new(end)),
            None => self.stdin.discard(),
        }
    }

    /// Takes the terminal, if it has come; a bad message counts as none, and the runtime will say why.
    pub fn take_terminal(&mut self) {
        let Some(Ok(Some(master))) = self.console.as_ref().map(Console::receive) else { return };
        self.console = None;
        let master = Rc::new(master);
        if self.size != [0, 0] {
            let _ = tty::resize(&*master, self.size[0], self.size[1]); // it may be closed already
        }
        if self.open_stdin {
            self.stdin.open(master.clone());
        }
        self.outputs[0] = Some(master);
    }

    /// Gives the terminal another size, now or when it comes.
    pub fn resize(&mut self, rows: u16, cols: u16) {
        self.size = [rows, cols];
        if let (Some(master), true) = (&self.outputs[0], self.terminal) {
            let _ = tty::resize(&**master, rows, cols); // the program may just have closed it
        }
    }

    /// The stream at `index`, if it shall be read: the program runs, and everybody can take more.
    pub fn readable(&self, index: usize) -> Option<&File> {
        let started = matches!(self.phase, Phase::Running { .. } | Phase::Ended { .. });
        self.outputs[index].as_deref().filter(|_| started && !self.clients.iter().any(Client::full))
    }

    /// Moves output on, as long as there is some and everybody can take it.
    pub fn pump(&mut self, index: usize, room: &mut [u8]) {
        for _ in 0..READS {
            let Some(from) = self.readable(index) else { return };
            match stdio::read(from, room) {
                Got::Nothing => return,
                Got::End => return self.outputs[index] = None,
                Got::Bytes(n) => self.hand_on(index, &room[..n]),
            }
        }
    }

    fn hand_on(&mut self, index: usize, bytes: &[u8]) {
        let (stream, source) = if index == 0 { (Stream::Stdout, Source::Stdout) } else { (Stream::Stderr, Source::Stderr) };
        for client in &mut self.clients {
            client.offer(stream, bytes);
        }
        if let Some(Logged { writer, splitters }) = &mut self.log {
            splitters[index].feed(bytes, |text, newline, at| writer.entry(source, text, newline, at));
            writer.flush();
        }
    }

    /// The program is gone.
    pub fn ended(&mut self, code: i32, at: Timestamp) {
        self.phase = Phase::Ended { code, at, since: Instant::now() };
        self.stdin.discard();
        self.console = None;
    }

    /// When the program has ended and nothing more will come: how it ended. Asked again and again.
    pub fn settle(&mut self, room: &mut [u8]) -> Option<(i32, Timestamp)> {
        let Phase::Ended { code, at, since } = self.phase else { return None };
        if since.elapsed() >= DRAIN {
            self.outputs = [None, None];
        }
        for index in 0..2 {
            self.pump(index, room);
        }
        if self.outputs.iter().any(Option::is_some) {
            return None;
        }
        if let Some(Logged { mut writer, splitters: [mut out, mut err] }) = self.log.take() {
            out.finish(|text, newline, at| writer.entry(Source::Stdout, text, newline, at));
            err.finish(|text, newline, at| writer.entry(Source::Stderr, text, newline, at));
            writer.flush();
        }
        let handed_over = self.clients.iter().all(Client::drained) || since.elapsed() >= DRAIN + HAND_OVER;
        handed_over.then_some((code, at))
    }

    /// When [`Process::settle`] must be asked again even if nothing happens.
    pub fn deadline(&self) -> Option<Instant> {
        let Phase::Ended { since, .. } = self.phase else { return None };
        Some(if self.outputs.iter().any(Option::is_some) { since + DRAIN } else { since + DRAIN + HAND_OVER })
    }

    /// No more is to come: clients are let go as soon as they have taken what waits.
    pub fn close(&mut self) {
        self.phase = Phase::Closed;
        self.outputs = [None, None];
        self.console = None;
        self.stdin.discard();
        self.clients.iter_mut().for_each(Client::end);
        self.clients.retain(|client| !client.dead);
    }

    /// The terminal, if it has come.
    pub fn readable_terminal(&self) -> Option<&File> {
        self.outputs[0].as_deref()
    }

    /// A new client, with what it typed behind its greeting.
    pub fn join(&mut self, mut client: Client, early: &[u8]) {
        if client.stdin {
            let before_start = self.before_start();
            self.stdin.push(early, before_start);
        }
        if matches!(self.phase, Phase::Closed) {
            client.end();
        }
        self.clients.push(client);
    }

    fn before_start(&self) -> bool {
        self.open_stdin && matches!(self.phase, Phase::Waiting | Phase::Starting { .. })
    }

    /// A client typed, or its half of the conversation ended.
    pub fn typed(&mut self, client: usize, room: &mut [u8]) {
        let before_start = self.before_start();
        let client = &mut self.clients[client];
        let n = client.typed(room);
        if !client.stdin {
            return;
        }
        self.stdin.push(&room[..n], before_start);
        if !client.reading {
            self.typist_left();
        }
    }

    /// Standard input ends with its first typist, unless it is a terminal: there one types the end.
    fn typist_left(&mut self) {
        if self.stdin_once && !self.terminal {
            self.stdin.close();
        }
    }

    /// Removes clients that are gone.
    pub fn sweep(&mut self) {
        let now = Instant::now();
        let mut typist = false;
        self.clients.retain_mut(|client| {
            client.dead |= client.deadline().is_some_and(|deadline| deadline <= now);
            typist |= client.dead && client.stdin;
            !client.dead
        });
        if typist {
            self.typist_left();
        }
    }
}
