//! # Door: one connection, from the first byte to the last
//!
//! Between the socket and the web server stands a door-keeper who reads the first line of the first request. Nearly always it
//! hands everything on untouched. Only for `attach` and `exec start` without an `Upgrade` header (curl, old clients) it
//! writes one in, so that the server will give up the connection, and on the way out makes `101` the `200 OK` that such a client
//! expects.
//!
//! ```text
//!   client ── POST /exec/1/start ─────────► Door ── + Upgrade: minidock-raw-stream ──► hyper ──► handler
//!          ◄───────── HTTP/1.1 200 OK ─────      ◄──────── HTTP/1.1 101 UPGRADED ─────
//! ```
//!
//! There is a second duty. Some clients (docker-py is one) read the head of an upgraded answer through a buffer and then
//! throw the buffer away, with whatever of the stream had arrived together with the head. So the first byte of a
//! stream waits until the client has taken the head ([`Peer::unread`]), at most [`PATIENCE`]; a client that reads at once is
//! not slowed down.
//!
//! And a third. Who asks by a pipe (`printf 'GET /info …' | socat - UNIX:…`) has closed its half of the connection before the
//! answer is there. To the server that would look like somebody who has gone, and it would drop the question. So the end of the input is held
//! back while an answer is under way, until the other side has really gone ([`Peer::is_gone`]); for who knows only one kind of end (TCP)
//! it counts at once.
//!
//! Laws: at most [`LONGEST`] bytes are read ahead; a connection that ends early is no error.
//! See: moby `api/server/router/container` postContainersAttach. Next room: [`crate::containers`]

use crate::{
    answer::{Answer, Body},
    hijack::RAW,
};
use http::Request;
use http_body_util::BodyExt;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use std::{
    convert::Infallible,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf},
    time::Sleep,
};
use tokio_util::sync::CancellationToken;

/// How far a first request is read before it is handed on.
const LONGEST: usize = 64 << 10;

/// How long the first byte of a stream waits for the head to be read.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long it waits when nobody can say whether the head was read.
const GUESS: Duration = Duration::from_millis(5);
/// How long it is worth asking without a pause.
const EAGER: Duration = Duration::from_micros(300);

/// How often it is looked whether who has closed one half has closed the other, too.
const GLANCE: Duration = Duration::from_millis(20);

/// A connection that may know of its other side what it has read, and whether it is there.
pub trait Peer {
    /// How many bytes have been written and not yet read; none when nobody can say.
    fn unread(&self) -> Option<u32>;

    /// Whether it will not read any more either, asked of one that has ended what it says; also when nobody can say.
    fn is_gone(&self) -> bool;
}

/// How long an ending daemon lets an answer go on.
const LAST_WORDS: Duration = Duration::from_millis(300);

/// Serves one connection until the client or the daemon ends it.
pub async fn serve<S, H, F>(mut socket: S, closing: CancellationToken, handle: H)
where
    S: AsyncRead + AsyncWrite + Peer + Unpin + Send + 'static,
    H: Fn(Request<Incoming>) -> F + Send + 'static,
    F: Future<Output = Answer> + Send + 'static,
{
    let first = tokio::select! {
        first = first_request(&mut socket) => first,
        () = closing.cancelled() => return,
    };
    let Ok((read, raw)) = first else { return };
    let under_way = Arc::new(());
    let input = Input { under_way: under_way.clone(), ended: false, is_stream: false, glance: None };
    let door = Door { socket, read, given: 0, raw, status: Vec::new(), status_sent: 0, head_sent: None, nap: None, input };
    let service = service_fn(move |request| {
        let (answer, under_way) = (handle(request), under_way.clone());
        async move {
            let answer = answer.await;
            // until the last piece of it was taken
            let held = move |body: Body| {
                body.map_err(move |error| {
                    let _ = &under_way;
                    error
                })
                .boxed_unsync()
            };
            Ok::<_, Infallible>(answer.map(held))
        }
    });
    let connection =
        http1::Builder::new().title_case_headers(true).serve_connection(TokioIo::new(door), service).with_upgrades();
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = &mut connection => ended,
        () = closing.cancelled() => {
            // an answer that is under way may be finished, a stream without an end is cut
            connection.as_mut().graceful_shutdown();
            tokio::time::timeout(LAST_WORDS, connection).await.unwrap_or(Ok(()))
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}

/// Reads enough to know whether this is an old client's attach; gives back what the server shall read first.
async fn first_request(socket: &mut (impl AsyncRead + Unpin)) -> io::Result<(Vec<u8>, bool)> {
    let mut read = Vec::with_capacity(1024);
    loop {
        let ended = socket.read_buf(&mut read).await? == 0 || read.len() >= LONGEST;
        match judge(&read) {
            Verdict::HandOn => return Ok((read, false)),
            Verdict::Mark(at) => {
                read.splice(at..at, format!("Upgrade: {RAW}\r\n").into_bytes());
                return Ok((read, true));
            }
            Verdict::ReadOn if ended => return Ok((read, false)),
            Verdict::ReadOn => {}
        }
    }
}

enum Verdict {
    ReadOn,
    HandOn,
    /// The position behind the request line, where a header can be written in.
    Mark(usize),
}

fn judge(read: &[u8]) -> Verdict {
    let Some(line_end) = read.windows(2).position(|w| w == b"\r\n") else { return Verdict::ReadOn };
    let line = String::from_utf8_lossy(&read[..line_end]);
    let mut words = line.split(' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let path = target.split('?').next().unwrap_or_default();
    let streams = path.ends_with("/attach") || path.ends_with("/start") && path.contains("/exec/");
    if method != "POST" || !streams || words.next() != Some("HTTP/1.1") {
        return Verdict::HandOn;
    }
    let Some(head_end) = read.windows(4).position(|w| w == b"\r\n\r\n") else { return Verdict::ReadOn };
    let headers = String::from_utf8_lossy(&read[line_end..head_end + 2]).to_ascii_lowercase();
    match headers.contains("\r\nupgrade:") {
        true => Verdict::HandOn,
        false => Verdict::Mark(line_end + 2),
    }
}

/// The socket, with what was read ahead in front of it.
struct Door<S> {
    socket: S,
    read: Vec<u8>,
    given: usize,
    /// The client waits for a 200: the first line of the answer must still be looked at.
    raw: bool,
    /// The first bytes of the answer, on their way out.
    status: Vec<u8>,
    status_sent: usize,
    /// When the head of an upgraded answer went out, until it was read.
    head_sent: Option<Instant>,
    nap: Option<Pin<Box<Sleep>>>,
    input: Input,
}

/// What is known of the client's half.
struct Input {
    /// Held by every answer that is under way, and by whoever makes them.
    under_way: Arc<()>,
    ended: bool,
    /// It is a stream now, whose end means something.
    is_stream: bool,
    glance: Option<Pin<Box<Sleep>>>,
}

/// The holders of [`Input::under_way`] that are no answers: the door, and the server.
const OURS: usize = 2;

impl<S: Peer> Door<S> {
    /// Ready when the end of the input may be told.
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let input = &mut self.input;
            let answers = Arc::strong_count(&input.under_way) > OURS;
            if !answers || input.is_stream || self.socket.is_gone() {
                return Poll::Ready(());
            }
            let glance = input.glance.get_or_insert_with(|| Box::pin(tokio::time::sleep(GLANCE)));
            ready!(glance.as_mut().poll(cx));
            input.glance = None;
        }
    }
}

impl<S: AsyncRead + Peer + Unpin> AsyncRead for Door<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let left = &self.read[self.given..];
        if left.is_empty() {
            if !self.input.ended {
                let before = buffer.filled().len();
                ready!(Pin::new(&mut self.socket).poll_read(cx, buffer))?;
                self.input.ended = buffer.filled().len() == before && buffer.remaining() > 0;
            }
            return if self.input.ended { self.poll_end(cx).map(Ok) } else { Poll::Ready(Ok(())) };
        }
        let n = left.len().min(buffer.remaining());
        buffer.put_slice(&left[..n]);
        self.given += n;
        if self.given == self.read.len() {
            (self.read, self.given) = (Vec::new(), 0);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> Door<S> {
    fn send_status(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.status_sent < self.status.len() {
            let n = ready!(Pin::new(&mut self.socket).poll_write(cx, &self.status[self.status_sent..]))?;
            if n == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.status_sent += n;
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: Peer> Door<S> {
    /// Ready when the client has read the head of an upgraded answer, or has had its time.
    fn poll_head_read(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while let Some(sent) = self.head_sent {
            let passed = sent.elapsed();
            let read = match self.socket.unread() {
                Some(bytes) => bytes == 0 || passed > PATIENCE,
                None => passed > GUESS,
            };
            if read {
                (self.head_sent, self.nap) = (None, None);
            } else if passed < EAGER {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            } else {
                let nap = self.nap.get_or_insert_with(|| Box::pin(tokio::time::sleep(Duration::from_millis(1))));
                ready!(nap.as_mut().poll(cx));
                self.nap = None;
            }
        }
        Poll::Ready(())
    }
}

/// The line that begins every upgraded answer of ours.
const UPGRADED: &[u8] = b"HTTP/1.1 101 UPGRADED\r\n";

impl<S: AsyncWrite + Peer + Unpin> AsyncWrite for Door<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.send_status(cx))?;
        ready!(self.poll_head_read(cx));
        // the server writes the head in one piece, status line first
        let upgraded = bytes.strip_prefix(UPGRADED);
        let raw = std::mem::take(&mut self.raw);
        let written = match upgraded.filter(|_| raw) {
            None => ready!(Pin::new(&mut self.socket).poll_write(cx, bytes))?,
            Some(rest) => {
                self.status = [b"HTTP/1.1 200 OK\r\n", rest].concat();
                self.status_sent = 0;
                if let Poll::Ready(Err(error)) = self.send_status(cx) {
                    return Poll::Ready(Err(error));
                }
                bytes.len()
            }
        };
        self.input.is_stream |= upgraded.is_some();
        if upgraded.is_some() && written == bytes.len() {
            self.head_sent = Some(Instant::now());
        }
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.send_status(cx))?;
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.send_status(cx))?;
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(text: &str) -> Option<usize> {
        match judge(text.as_bytes()) {
            Verdict::Mark(at) => Some(at),
            _ => None,
        }
    }

    #[test]
    fn only_an_old_clients_stream_is_marked() {
        let old = "POST /v1.24/exec/1/start HTTP/1.1\r\nHost: d\r\n\r\n{}";
        assert_eq!(mark(old), Some(old.find("Host").expect("there")));
        assert_eq!(mark("POST /containers/x/attach?stream=1 HTTP/1.1\r\nHost: d\r\nupgrade: tcp\r\n\r\n"), None);
        assert_eq!(mark("POST /containers/x/start HTTP/1.1\r\n\r\n"), None);
        assert_eq!(mark("GET /containers/x/attach HTTP/1.1\r\n\r\n"), None);
        assert!(matches!(judge(b"POST /containers/x/attach HTTP/1.1\r\nHost"), Verdict::ReadOn));
    }
}
