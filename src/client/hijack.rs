//! # Hijack: when HTTP steps aside
//!
//! `attach` and `exec` need bytes in both directions for as long as a program runs, and HTTP has no such thing. So the
//! client asks for an upgrade to a protocol called `tcp`, the daemon answers 101, and what remains of the connection is
//! an ordinary pipe: ours to write (the program's input), the daemon's to write (its output, framed unless there is a
//! terminal).
//!
//! ```text
//!   POST /containers/web/attach?stream=1&stdin=1…      Connection: Upgrade, Upgrade: tcp
//!   101 UPGRADED                                       from here on: no HTTP
//!   ◄── 01 00 00 00 00 00 00 06 h e l l o \n           ──► keystrokes; shutting our side down is the input's end
//! ```
//!
//! Laws: the end of our input is a *half* close: the daemon still has output to send. *See:* RFC 9110 §7.8; Engine API,
//! attach. *Next room:* the command rooms, `src/cli/container/run.rs`

use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};

/// A connection that is no longer HTTP.
pub struct Hijacked {
    pub output: Output,
    pub input: Input,
}

/// What the daemon sends.
pub struct Output(ReadHalf<TokioIo<Upgraded>>);

/// What the daemon receives.
pub struct Input(WriteHalf<TokioIo<Upgraded>>);

impl Hijacked {
    pub(crate) fn new(upgraded: Upgraded) -> Hijacked {
        let (output, input) = tokio::io::split(TokioIo::new(upgraded));
        Hijacked { output: Output(output), input: Input(input) }
    }
}

impl Output {
    /// Reads what there is; 0 at the end.
    ///
    /// # Errors
    /// read(2) on the connection.
    pub async fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        self.0.read(into).await
    }

    /// The same as a reader.
    pub fn reader(&mut self) -> &mut (impl AsyncRead + Unpin + use<>) {
        &mut self.0
    }
}

impl Input {
    /// Sends all of `bytes`.
    ///
    /// # Errors
    /// write(2) on the connection: `EPIPE` once the program has gone.
    pub async fn write_all(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.0.write_all(bytes).await?;
        self.0.flush().await
    }

    /// Says that no more input will come; output goes on.
    ///
    /// # Errors
    /// shutdown(2) on the connection.
    pub async fn close(&mut self) -> std::io::Result<()> {
        self.0.shutdown().await
    }

    /// The same as a writer.
    pub fn writer(&mut self) -> &mut (impl AsyncWrite + Unpin + use<>) {
        &mut self.0
    }
}
