//! # Server: a small registry for a classroom
//!
//! The other end of the protocol, in one process and one folder. It is what `registry:2` is in the labs: `docker push
//! localhost:5000/hello`, `docker pull` on the next machine. Any client of the distribution protocol works with it.
//!
//! ```text
//!   socket ──(TLS)──► HTTP ──► who is it? ──► route ──┬─► blobs      GET, HEAD, DELETE, by ranges
//!                              passwords              ├─► uploads    POST, PATCH, PUT, GET, DELETE, mount
//!                                                     ├─► manifests  GET, HEAD, PUT, DELETE, referrers
//!                                                     └─► listing    tags, catalogue, page by page
//!                                                            │
//!                       shelf: blobs/ once for all, repositories/<name>/_{tags,manifests,blobs}/  ·  layout: another store, read only
//! ```
//!
//! * [`main`] is the costume `minidock registry-server`, put on by `minidock registry serve`; [`options`] are its words.
//! * [`shelf`] is the folder; [`layout`] hands out the images of an OCI layout (the daemon's own store) beside it.
//! * [`route`], [`answer`], [`digest`]: paths, names by hash, and what goes back, with the specification's error codes.
//!
//! Laws: a blob or manifest is visible only whole and checked; a repository hands out only what was pushed to it or mounted
//! into it; nothing is held in memory but a manifest. Tags are files, so two pushes at once leave one of the two, never a mix.
//!
//! In the real world: distribution has storage in the cloud, tokens, notifications, garbage collection. See: distribution-spec v1.1.
//! Next room: [`route`]

pub mod answer;
pub mod blobs;
pub mod digest;
pub mod layout;
pub mod listing;
pub mod manifests;
pub mod options;
pub mod passwords;
pub mod route;
pub mod shelf;
pub mod uploads;

use crate::client::tls;
use answer::{Answer, Refusal};
use hyper::{Request, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use layout::Layout;
use minidock_base::{Doing, Error, Result};
use options::Options;
use passwords::Passwords;
use shelf::Shelf;
use std::{convert::Infallible, ffi::OsString, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    signal::unix::{SignalKind, signal},
};
use tokio_rustls::TlsAcceptor;

/// How long a client may take to say what it wants.
const PATIENCE: Duration = Duration::from_secs(30);

/// The registry, as all its connections see it.
pub struct Server {
    pub shelf: Shelf,
    pub layout: Option<Layout>,
    passwords: Option<Passwords>,
    read_only: bool,
    is_quiet: bool,
}

/// The registry's costume: `args` are the words behind `minidock registry-server`. Gives back the exit status.
pub fn main(args: Vec<OsString>) -> i32 {
    let words: Vec<String> = args.iter().map(|arg| arg.to_string_lossy().into_owned()).collect();
    let run = || -> Result<()> {
        let options = Options::of(&words, |name| std::env::var(name).ok())?;
        let runtime =
            tokio::runtime::Builder::new_multi_thread().enable_all().build().doing(|| "start the registry's threads")?;
        runtime.block_on(serve(&options))
    };
    match run() {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("minidock: {error}");
            1
        }
    }
}

/// Serves until SIGTERM or SIGINT.
///
/// # Errors
/// An address or a folder that cannot be had; certificates that are none.
pub async fn serve(options: &Options) -> Result<()> {
    let bound = Bound::new(options).await?;
    let scheme = if bound.acceptor.is_some() { "https" } else { "http" };
    eprintln!("registry listening on {scheme}://{}, kept in {}", bound.address()?, options.root.display());
    let on = |kind| signal(kind).doing(|| "listen for signals");
    let (mut terminate, mut interrupt) = (on(SignalKind::terminate())?, on(SignalKind::interrupt())?);
    tokio::select! {
        () = bound.run() => {}
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

/// A registry that has its address and its folder.
pub struct Bound {
    listener: TcpListener,
    acceptor: Option<TlsAcceptor>,
    server: Arc<Server>,
}

impl Bound {
    /// Takes the address and opens the folder.
    ///
    /// # Errors
    /// They cannot be had; certificates that are none.
    pub async fn new(options: &Options) -> Result<Bound> {
        let server = Arc::new(Server {
            shelf: Shelf::open(&options.root)?,
            layout: options.store.clone().map(Layout::open).transpose()?,
            passwords: options.htpasswd.as_deref().map(Passwords::read).transpose()?,
            read_only: options.read_only,
            is_quiet: options.is_quiet,
        });
        let acceptor = match &options.tls {
            Some((certificate, key)) => Some(TlsAcceptor::from(tls::server(certificate, key)?)),
            None => None,
        };
        let listener = TcpListener::bind(&options.listen).await.doing(|| format!("listen on {}", options.listen))?;
        Ok(Bound { listener, acceptor, server })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// getsockname(2).
    pub fn address(&self) -> Result<SocketAddr> {
        self.listener.local_addr().doing(|| "look at our address")
    }

    /// Takes connections for ever.
    pub async fn run(self) {
        loop {
            match self.listener.accept().await {
                Ok((socket, peer)) => drop(tokio::spawn(attend(self.server.clone(), self.acceptor.clone(), socket, peer))),
                Err(error) => {
                    // out of descriptors, mostly: those who are being served will give some back
                    eprintln!("a connection could not be taken: {error}");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
    }
}

/// One connection, from handshake to end.
async fn attend(server: Arc<Server>, acceptor: Option<TlsAcceptor>, socket: TcpStream, peer: SocketAddr) {
    let _ = socket.set_nodelay(true); // slower without, but as right
    match acceptor {
        None => talk(server, socket, peer).await,
        Some(acceptor) => match tokio::time::timeout(PATIENCE, acceptor.accept(socket)).await {
            Ok(Ok(secure)) => talk(server, secure, peer).await,
            Ok(Err(error)) => eprintln!("{peer}: no TLS came about: {error}"),
            Err(_) => {}
        },
    }
}

async fn talk(server: Arc<Server>, socket: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, peer: SocketAddr) {
    let service = service_fn(move |request: Request<Incoming>| {
        let server = server.clone();
        async move {
            let line = format!("{peer} {} {}", request.method(), request.uri());
            let answer = server.answer(request).await;
            if !server.is_quiet {
                eprintln!("{line} {}", answer.status().as_u16());
            }
            Ok::<Answer, Infallible>(answer)
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .half_close(true)
        .serve_connection(TokioIo::new(socket), service);
    let _ = connection.await; // a client that broke off knows it
}

impl Server {
    async fn answer(&self, request: Request<Incoming>) -> Answer {
        let head = request.method() == http::Method::HEAD;
        let answered = match self.admitted(&request).await {
            Ok(()) => route::route(self, request).await,
            Err(refusal) => Err(refusal),
        };
        answer::dress(answered.unwrap_or_else(|refusal| refusal.answer(head)))
    }

    /// Whether this client may come in.
    async fn admitted(&self, request: &Request<Incoming>) -> std::result::Result<(), Refusal> {
        let Some(passwords) = &self.passwords else { return Ok(()) };
        let given = request.headers().get(http::header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        match passwords.admits(given.unwrap_or_default()).await {
            true => Ok(()),
            false => Err(Refusal::unauthorized()),
        }
    }

    /// Whether anything may be changed here.
    pub fn writable(&self) -> std::result::Result<(), Refusal> {
        match self.read_only {
            true => Err(Refusal::new(405, "UNSUPPORTED", "this registry takes nothing in")),
            false => Ok(()),
        }
    }
}

/// A failure of the disk, told to the operator; the client learns only that it is ours.
pub fn internal(error: &Error) -> Refusal {
    eprintln!("{}", error.message());
    Refusal::new(500, "UNKNOWN", "the registry failed; its own output says why")
}
