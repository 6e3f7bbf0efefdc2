//! # Attach: join the streams
//!
//! A container's output goes to its shim, and whoever wants to see it asks the shim for a copy. To attach is to get such a
//! connection and to carry bytes between it and the client until one of the two has had enough.
//!
//! ```text
//!  client ══ hijacked HTTP ══ Attached::join ══ shim.sock ══ shim ══ pipes or terminal ══ program
//!             stdin ────────► detach keys? ───────────────►
//!             ◄──────────────────────────── frames, or raw bytes of a terminal ─────────
//! ```
//!
//! * Before the start there is no shim yet: the client is put on the container's list ([`Waiting`]) and connected when the shim
//!   stands, before the program's first byte. This is how `docker run` loses nothing.
//! * The frames are made by the shim, so nothing is copied into another shape here.
//! * With `logs`, what was said before comes first.
//!
//! Laws: detaching ends the connection, never the container. The end of the client's input is passed on as a half-close.
//! *See:* Engine API, attach · moby `container/stream/attach.go`. *Next room:* [`crate::container::logs`]

use crate::{
    Engine,
    container::{
        detach_keys::{self, Watch},
        logs::{self, LogOptions, LogStream},
        publish,
        record::Phase,
    },
    shim_client::Shim,
};
use futures_util::StreamExt;
use minidock_base::{Error, Result};
use minidock_shim::protocol::{Attach, Request};
use std::sync::Arc;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::UnixStream,
    sync::oneshot,
};

/// What a client wants to see and to send.
#[derive(Clone, Debug, Default)]
pub struct AttachOptions {
    pub stdin: bool,
    pub stdout: bool,
    pub stderr: bool,
    /// What comes from now on.
    pub stream: bool,
    /// What was said before.
    pub logs: bool,
    pub detach_keys: Option<String>,
}

/// A client that attached before the start.
pub(crate) struct Waiting {
    wish: Attach,
    give: oneshot::Sender<UnixStream>,
}

impl Waiting {
    pub(crate) async fn connect(self, shim: &Shim) {
        match shim.attach(self.wish).await {
            Ok(stream) => drop(self.give.send(stream)), // the client may have left meanwhile
            Err(error) => tracing::warn!("a waiting client could not be attached: {}", error.message()),
        }
    }
}

/// Where the bytes come from.
enum Source {
    Now(UnixStream),
    AtStart(oneshot::Receiver<UnixStream>),
    /// Only these words: an exec that could not be started.
    Words(Vec<u8>),
    Nothing,
}

/// A connection to a process's streams, not yet joined with a client.
pub struct Attached {
    /// Raw bytes instead of frames.
    pub tty: bool,
    source: Source,
    stdin: bool,
    keys: Vec<u8>,
    before: Option<LogStream>,
    on_detach: Box<dyn FnOnce() + Send + Sync>,
}

/// Attaches to a container, running or not yet.
///
/// # Errors
/// 409 when it is paused, restarting or being removed; 400 for bad detach keys.
pub async fn attach(engine: &Arc<Engine>, text: &str, options: AttachOptions) -> Result<Attached> {
    let container = engine.containers.find(text)?;
    let record = container.record();
    let id = &container.id;
    let keys = detach_keys::parse(options.detach_keys.as_deref().unwrap_or_default())?;
    match record.state.phase {
        Phase::Paused => {
            return Err(Error::conflict(format!("container {id} is paused, unpause the container before attach")));
        }
        Phase::Restarting => {
            return Err(Error::conflict(format!("container {id} is restarting, wait until the container is running")));
        }
        Phase::Removing | Phase::Dead => return Err(Error::conflict(format!("container {id} is marked for removal"))),
        _ => {}
    }
    let before = match options.logs {
        false => None,
        true => {
            let all = LogOptions { stdout: options.stdout, stderr: options.stderr, ..LogOptions::default() };
            Some(logs::logs(engine, id, all).await?)
        }
    };
    let stdin = options.stdin && record.config.open_stdin;
    let wish = Attach { exec: None, stdin, stdout: options.stdout, stderr: options.stderr };
    let source = match options.stream {
        false => Source::Nothing,
        true => source(&container, wish).await?,
    };
    publish(engine, &record, "attach", &[]);
    let (e, c) = (engine.clone(), container.clone());
    let on_detach = move || publish(&e, &c.record(), "detach", &[]);
    Ok(Attached { tty: record.config.tty, source, stdin, keys, before, on_detach: Box::new(on_detach) })
}

async fn source(container: &crate::container::store::Container, wish: Attach) -> Result<Source> {
    let (give, take) = oneshot::channel();
    let Some(shim) = container.shim_or_wait(|| Waiting { wish: wish.clone(), give }) else {
        return Ok(Source::AtStart(take));
    };
    shim.attach(wish).await.map(Source::Now)
}

impl Attached {
    /// A process's streams that are there already.
    pub(crate) fn now(
        tty: bool,
        stream: UnixStream,
        stdin: bool,
        keys: Vec<u8>,
        on_detach: Box<dyn FnOnce() + Send + Sync>,
    ) -> Attached {
        Attached { tty, source: Source::Now(stream), stdin, keys, before: None, on_detach }
    }

    /// No process, only words for the client.
    pub(crate) fn words(tty: bool, words: Vec<u8>) -> Attached {
        let nothing = Box::new(|| {});
        Attached { tty, source: Source::Words(words), stdin: false, keys: Vec::new(), before: None, on_detach: nothing }
    }

    /// Carries bytes both ways until the process has said everything, or the client has detached or gone.
    ///
    /// # Errors
    /// The client's connection broke while something was being sent.
    pub async fn join(mut self, io: impl AsyncRead + AsyncWrite + Unpin + Send) -> Result<()> {
        let (from, mut to) = tokio::io::split(io);
        if let Some(mut logs) = self.before.take() {
            while let Some(Ok(piece)) = logs.stream.next().await {
                if to.write_all(&piece).await.is_err() {
                    return Ok(());
                }
            }
        }
        let stream = match self.source {
            Source::Now(stream) => Some(stream),
            Source::AtStart(stream) => stream.await.ok(),
            Source::Words(words) => {
                let _ = to.write_all(&words).await; // the client may be gone
                None
            }
            Source::Nothing => None,
        };
        let Some(stream) = stream else {
            let _ = to.shutdown().await; // the same
            return Ok(());
        };
        let (mut said, typed) = stream.into_split();
        let out = async {
            let _ = tokio::io::copy(&mut said, &mut to).await; // ends with the process, or with the client
            let _ = to.shutdown().await;
        };
        let watch = self.tty.then(|| Watch::for_keys(self.keys));
        let typing = type_in(from, typed, self.stdin, watch);
        tokio::select! {
            () = out => {}
            () = typing => (self.on_detach)(),
        }
        Ok(())
    }
}

/// Carries what the client types; returns only when the client has typed the detach keys.
async fn type_in(mut from: impl AsyncRead + Unpin, mut typed: impl AsyncWrite + Unpin, stdin: bool, mut watch: Option<Watch>) {
    let mut buffer = vec![0; 8192];
    let mut pass = Vec::new();
    loop {
        let read = from.read(&mut buffer).await.unwrap_or(0);
        if read == 0 {
            let _ = typed.shutdown().await; // the half-close; the program may be gone already
            return std::future::pending().await;
        }
        pass.clear();
        let detached = match &mut watch {
            Some(watch) => watch.feed(&buffer[..read], &mut pass),
            None => {
                pass.extend_from_slice(&buffer[..read]);
                false
            }
        };
        if stdin && typed.write_all(&pass).await.is_err() {
            return std::future::pending().await;
        }
        if detached {
            return;
        }
    }
}

/// Tells a container's terminal how large its window is.
///
/// # Errors
/// 409 when it does not run.
pub async fn resize(engine: &Arc<Engine>, text: &str, rows: u16, cols: u16) -> Result<()> {
    let container = engine.containers.find(text)?;
    container.shim()?.ask(Request::Resize { exec: None, rows, cols }).await?;
    publish(engine, &container.record(), "resize", &[("height", rows.to_string()), ("width", cols.to_string())]);
    Ok(())
}
