//! # Protocol: what the daemon and the shim say to each other
//!
//! The daemon and the container tower meet only here (and at the OCI command line). Every message is one line of JSON.
//!
//! ```text
//! daemon                                            shim (one per container)
//!   spawn `minidock shim`, fd 0 = one end of a socketpair (the *control* connection)
//!   Launch ───────────────────────────────────────►  bind shim.sock (0600), become subreaper
//!                                   Ready ◄────────
//!   connect shim.sock, Hello::Attach ─────────────►  one connection a client, before Start: nothing is lost
//!   Start ────────────────────────────────────────►  exec `minidock runtime run --detach …`
//!                       Started{pid} or Failed ◄────
//!   Kill, Resize, Exec, CloseStdin, State ────────►  each answered with the same `seq`
//!                         event Exited ◄───────────  the status is on disk (exit.json) before this is sent
//! ```
//!
//! * After its own restart the daemon connects to `shim.sock` and says [`Hello::Control`]: the same requests work there,
//!   and an `Exited` that nobody has heard is sent at once. No shim and no socket: [`Exit`] lies in `exit.json`.
//! * An attached connection becomes a stream after its `{"ok":…}` line: Docker's 8-byte frames without a terminal, raw bytes
//!   with one, towards the client; raw bytes of standard input from it (its half-close closes stdin when `stdin_once`).
//! * A control connection that closes after `Exited` says the rest: what the runtime kept (its state, the cgroup) and
//!   `shim.sock` are gone, and the container may be started again or removed. Before that, neither is safe.
//! * A client that has not read a byte for half a minute, while its buffer of 256 KiB was full, is dropped: until then it
//!   holds the container's output back, as a pipe would, and afterwards no more.
//! * The shim ends when the container and all its execs are gone, the exit is on disk, and every attached client has been
//!   drained (or five seconds have passed).
//!
//! Laws: a line is at most 1 MiB; unknown fields are ignored, so that a newer daemon can drive an older shim.
//! Next room: [`crate::boot`]

use minidock_base::error::Wire;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf};

/// What a shim is told once, before anything else.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Launch {
    /// The container's full id.
    pub id: String,
    /// The folder with `config.json`.
    pub bundle: PathBuf,
    /// The OCI runtime to execute, program first: `["/proc/self/exe", "runtime"]` is ours.
    pub runtime: Vec<String>,
    /// The runtime's `--root`.
    pub runtime_root: PathBuf,
    /// Where to listen.
    pub socket: PathBuf,
    /// Where the exit status goes ([`Exit`] as JSON), before anybody is told.
    pub exit_file: PathBuf,
    /// Where the recorded actions are appended, one JSON object a line; none: they are dropped.
    pub actions_file: Option<PathBuf>,
    /// The container's cgroup as `config.json` names it; none: read it there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cgroup: Option<PathBuf>,
    /// Nothing limits its memory but the machine: then it is not asked at its end whether the kernel killed some of it.
    #[serde(default)]
    pub memory_is_free: bool,
    pub terminal: bool,
    /// Rows and columns at the start; zeros: leave as the kernel makes it.
    #[serde(default)]
    pub console_size: [u16; 2],
    /// Whether standard input is a pipe (or terminal) that clients may write to; otherwise it is /dev/null.
    pub open_stdin: bool,
    /// Close standard input when the first attached client has gone.
    pub stdin_once: bool,
    /// The json-file log, or none.
    pub log: Option<Log>,
}

/// A json-file log and its rotation.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Log {
    pub path: PathBuf,
    /// Bytes before rotation; 0: never.
    #[serde(default)]
    pub max_size: u64,
    /// How many files are kept, the current one included (at least 1).
    #[serde(default)]
    pub max_file: u32,
    /// What `--log-opt labels=…,env=…,tag=…` chose; `logs --details` shows it. Each line carries it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attrs: BTreeMap<String, String>,
    /// Who hears each line besides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub relay: Option<Relay>,
}

/// To whom lines are sent, and how they are written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Relay {
    pub to: Hearer,
    pub form: Form,
}

/// A collector of lines, who takes datagrams.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Hearer {
    Udp(SocketAddr),
    Unix(PathBuf),
}

/// What a line becomes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// Graylog's JSON; `fields` are those of one's own, which begin with an underscore.
    Gelf {
        host: String,
        fields: BTreeMap<String, String>,
    },
    Syslog {
        facility: u8,
        tag: String,
        host: String,
        layout: Layout,
    },
}

/// The ways to write a line of syslog.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Layout {
    /// As programs write to /dev/log: no host.
    Unix,
    Rfc3164,
    Rfc5424,
}

/// The first line on a new connection to `shim.sock`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Hello {
    /// Requests and events, as on the first control connection.
    Control,
    /// Become a stream. Answered by one line: [`Answer`].
    Attach(Attach),
}

/// Which streams of which process a client wants.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Attach {
    /// An exec's id; none: the container's own process.
    pub exec: Option<String>,
    pub stdin: bool,
    pub stdout: bool,
    pub stderr: bool,
}

/// A request with the number its answer will carry.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Numbered {
    pub seq: u64,
    pub request: Request,
}

/// What the daemon may ask.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    Launch(Box<Launch>),
    /// Create and start the container.
    Start,
    /// Send a signal to the container's first process, or to one exec.
    Kill {
        exec: Option<String>,
        signal: i32,
    },
    Resize {
        exec: Option<String>,
        rows: u16,
        cols: u16,
    },
    /// Prepare and (after the clients have attached, [`Request::ExecStart`]) start a second process.
    Exec(Box<Exec>),
    ExecStart {
        exec: String,
    },
    /// Close the write end of standard input.
    CloseStdin {
        exec: Option<String>,
    },
    State,
}

/// A second process: the OCI process document and how its streams are made.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Exec {
    pub exec: String,
    /// `process` of the runtime-spec, as JSON.
    pub process: serde_json::Value,
    pub terminal: bool,
    #[serde(default)]
    pub console_size: [u16; 2],
    pub open_stdin: bool,
}

/// One line from the shim on a control connection.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    Answer { seq: u64, answer: Answer },
    Event(Event),
}

/// What a request came to.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// Done.
    Ok,
    /// The shim listens (to `Launch`).
    Ready { shim_pid: i32 },
    /// The process runs (to `Start` and `ExecStart`).
    Started { pid: i32 },
    /// To `State`: pid 0 before the start; the exit when it is over.
    State { pid: i32, exit: Option<Exit>, execs: Vec<String> },
    /// It did not work, and why; a failed `Start` ends the shim.
    Failed(Wire),
}

/// What happens by itself.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// The container's first process has ended.
    Exited(Exit),
    /// An exec has ended; `code` as Docker counts (128 + signal).
    ExecExited { exec: String, code: i32 },
    /// The memory limit struck.
    OutOfMemory,
}

/// How a container ended; also the contents of `exit.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Exit {
    /// As Docker counts: the exit status, or 128 + signal.
    pub code: i32,
    /// RFC 3339 with nanoseconds.
    pub at: String,
    #[serde(default)]
    pub oom_killed: bool,
}
