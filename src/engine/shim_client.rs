//! # The shim's other end: start one, talk to it, find it again
//!
//! The daemon may die; the container must not. So the daemon is not the container's parent: it has a `minidock shim` born
//! for each container ([`crate::nursery`]) and then only talks to it, one line of JSON at a time. After the daemon's own
//! restart the same shim is found at its socket.
//!
//! ```text
//! spawn ──nursery──► minidock shim            our socketpair; it gets ready while the bundle is written
//!      │  Shim::launch: Launch, Ready        then: Start, Kill, Resize, Exec …, each with a number
//!      ▼
//!  writer ─────────────────►  shim
//!  reader task ◄────────────  answers by number ─► whoever asked
//!       └── Happening ─────►  events, in order   ─► crate::exits
//! Shim::find ──connect shim.sock──►                the same, after our death
//! Shim::attach ──connect shim.sock──►              a connection of its own, which becomes a stream
//! ```
//!
//! * [`Shim::ask`] numbers a request and waits for its answer; a `Failed` answer is an `Err` that carries the shim's own
//!   four sentences.
//! * The channel of [`Happening`]s ends with [`Happening::Gone`]: the connection broke, so the shim is dead.
//!
//! Laws: every wait has a limit. The shim gets no environment of ours.
//! *See:* [`minidock_shim::protocol`]. *Next room:* [`crate::exits`]

use crate::nursery::Nursery;
use minidock_base::{Doing, Error, Result};
use minidock_shim::protocol::{Answer, Attach, Event, Hello, Launch, Numbered, Reply, Request};
use std::{
    collections::HashMap,
    os::unix::net::UnixStream as StdStream,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{
        UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{mpsc, oneshot},
    time::timeout,
};

/// How long a shim may take for what needs no program of the user's.
const PROMPT: Duration = Duration::from_secs(10);
/// How long the runtime may take to bring a container up: hooks, slow disks.
const PATIENT: Duration = Duration::from_secs(120);

/// What a shim reports by itself.
#[derive(Debug)]
pub enum Happening {
    Event(Event),
    /// The connection broke: the shim has ended or was killed.
    Gone,
}

/// The control connection to one shim.
pub struct Shim {
    socket: PathBuf,
    writer: tokio::sync::Mutex<OwnedWriteHalf>,
    serial: AtomicU64,
    waiting: Arc<Mutex<Waiting>>,
}

/// Who waits for which answer; `None` once the connection is gone.
type Waiting = Option<HashMap<u64, oneshot::Sender<Answer>>>;

impl Shim {
    /// Hands a shim its orders. Returns once it listens, with its process id.
    ///
    /// # Errors
    /// It gave up before it was ready; then its own last words are the reason.
    pub async fn launch(born: Born, launch: Launch) -> Result<(Shim, i32, mpsc::UnboundedReceiver<Happening>)> {
        let (shim, happenings) = Shim::over(born.control, launch.socket.clone());
        match shim.ask(Request::Launch(Box::new(launch))).await {
            Ok(Answer::Ready { shim_pid }) => Ok((shim, shim_pid, happenings)),
            Ok(other) => Err(unexpected("launch", &other)),
            Err(error) => Err(match std::fs::read_to_string(&born.words).unwrap_or_default().lines().last() {
                Some(words) => error.hint(format!("the last words in {}: {words}", born.words.display())),
                None => error,
            }
            .during("start the shim")),
        }
    }

    /// Connects to a shim that an earlier daemon started.
    ///
    /// # Errors
    /// Nobody listens there.
    pub async fn find(socket: &Path) -> Result<(Shim, mpsc::UnboundedReceiver<Happening>)> {
        let stream = say_hello(socket, &Hello::Control).await?;
        Ok(Shim::over(stream, socket.to_path_buf()))
    }

    fn over(stream: UnixStream, socket: PathBuf) -> (Shim, mpsc::UnboundedReceiver<Happening>) {
        let (reader, writer) = stream.into_split();
        let waiting = Arc::new(Mutex::new(Some(HashMap::new())));
        let (tell, happenings) = mpsc::unbounded_channel();
        tokio::spawn(listen(reader, waiting.clone(), tell));
        let shim = Shim { socket, writer: tokio::sync::Mutex::new(writer), serial: AtomicU64::new(1), waiting };
        (shim, happenings)
    }

    /// Asks, and waits for the answer.
    ///
    /// # Errors
    /// The shim's own refusal; that it is gone; that it did not answer in time.
    pub async fn ask(&self, request: Request) -> Result<Answer> {
        let limit = match request {
            Request::Start | Request::ExecStart { .. } => PATIENT,
            _ => PROMPT,
        };
        let seq = self.serial.fetch_add(1, Ordering::Relaxed);
        let (answer_to, answer) = oneshot::channel();
        match self.waiting.lock().expect("no holder panics").as_mut() {
            Some(waiting) => waiting.insert(seq, answer_to),
            None => return Err(gone()),
        };
        let mut line = serde_json::to_vec(&Numbered { seq, request }).doing(|| "encode a request to the shim")?;
        line.push(b'\n');
        if self.writer.lock().await.write_all(&line).await.is_err() {
            return Err(gone());
        }
        match timeout(limit, answer).await {
            Ok(Ok(Answer::Failed(wire))) => Err(Error::from_wire(wire)),
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(_)) => Err(gone()),
            Err(_) => Err(Error::unavailable(format!("the shim did not answer within {} s", limit.as_secs()))),
        }
    }

    /// Sends a signal to the container's first process, or to one exec.
    pub async fn kill(&self, exec: Option<&str>, signal: i32) -> Result<()> {
        self.ask(Request::Kill { exec: exec.map(str::to_string), signal }).await.map(drop)
    }

    /// A new connection that has become a stream of the wanted kinds.
    pub async fn attach(&self, attach: Attach) -> Result<UnixStream> {
        let hello = Hello::Attach(attach);
        let mut stream = timeout(PROMPT, say_hello(&self.socket, &hello)).await.map_err(|_| gone())??;
        let line = timeout(PROMPT, first_line(&mut stream)).await.map_err(|_| gone())?.doing(|| "attach to the shim")?;
        match serde_json::from_slice(&line).doing(|| "read the shim's answer")? {
            Answer::Failed(wire) => Err(Error::from_wire(wire)),
            _ => Ok(stream),
        }
    }
}

/// A shim that waits for its orders; dropped without any, it ends.
pub struct Born {
    control: UnixStream,
    words: PathBuf,
}

/// Has a shim born, which gets ready while the caller prepares its orders.
///
/// # Errors
/// The program cannot be executed.
pub fn spawn(nursery: &Nursery, id: &str) -> Result<Born> {
    let (ours, theirs) = StdStream::pair().doing(|| "make a socket for the shim")?;
    ours.set_nonblocking(true).doing(|| "make a socket for the shim")?;
    let control = UnixStream::from_std(ours).doing(|| "make a socket for the shim")?;
    nursery.bear(id, &theirs.into())?;
    Ok(Born { control, words: nursery.words().to_path_buf() })
}

async fn say_hello(socket: &Path, hello: &Hello) -> Result<UnixStream> {
    let doing = || format!("connect to {}", socket.display());
    let stream = minidock_shim::socket::connect(socket).doing(doing)?; // a local socket: at once, or refused
    stream.set_nonblocking(true).doing(doing)?;
    let mut stream = UnixStream::from_std(stream).doing(doing)?;
    let mut line = serde_json::to_vec(hello).doing(|| "encode a greeting to the shim")?;
    line.push(b'\n');
    stream.write_all(&line).await.doing(|| format!("write to {}", socket.display()))?;
    Ok(stream)
}

/// Reads up to the line's end and not a byte further: the rest is the container's.
async fn first_line(stream: &mut UnixStream) -> std::io::Result<Vec<u8>> {
    let mut line = Vec::new();
    loop {
        match stream.read_u8().await? {
            b'\n' => return Ok(line),
            byte if line.len() < 1 << 20 => line.push(byte),
            _ => return Err(std::io::Error::other("a line of more than 1 MiB")),
        }
    }
}

/// Hands answers to whoever asked and events to the exits' room, until the connection ends.
async fn listen(reader: OwnedReadHalf, waiting: Arc<Mutex<Waiting>>, tell: mpsc::UnboundedSender<Happening>) {
    let mut lines = BufReader::with_capacity(1024, reader).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        match serde_json::from_str(&line) {
            Ok(Reply::Answer { seq, answer }) => {
                let asker = waiting.lock().expect("no holder panics").as_mut().and_then(|w| w.remove(&seq));
                if let Some(asker) = asker {
                    let _ = asker.send(answer); // whoever asked may have lost patience
                }
            }
            Ok(Reply::Event(event)) => {
                let _ = tell.send(Happening::Event(event)); // nobody listens only while the engine goes down
            }
            Err(error) => tracing::warn!(%error, line, "a shim said something we do not understand"),
        }
    }
    *waiting.lock().expect("no holder panics") = None;
    let _ = tell.send(Happening::Gone);
}

fn gone() -> Error {
    Error::unavailable("the shim is gone").hint("minidock rm -f removes what is left of the container")
}

fn unexpected(what: &str, answer: &Answer) -> Error {
    Error::system(format!("the shim answered {what} with {answer:?}"))
}
