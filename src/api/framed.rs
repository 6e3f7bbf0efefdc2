//! # Framed: a terminal's bytes for a client that expects frames
//!
//! Whether output is framed is asked twice: `exec create` says whether the process gets a terminal, `exec start` whether the
//! *client* wants raw bytes. Usually both say the same. Where the process has a terminal and the client did not say so, Docker
//! frames what the terminal says as standard output, and clients rely on it.
//!
//! * [`Framed`] is a connection whose every write becomes one frame; reading is untouched.
//!
//! See: moby `api/server/router/container/exec.go`, `pkg/stdcopy`. Next room: [`crate::archive`]

use minidock_spec::engine::stream::{Stream, header};
use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The longest frame made here.
const LONGEST: usize = 32 << 10;

/// A connection whose writes become frames of standard output.
pub struct Framed<C> {
    connection: C,
    frame: Vec<u8>,
    sent: usize,
}

impl<C> Framed<C> {
    pub fn new(connection: C) -> Framed<C> {
        Framed { connection, frame: Vec::new(), sent: 0 }
    }
}

impl<C: AsyncRead + Unpin> AsyncRead for Framed<C> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.connection).poll_read(cx, buffer)
    }
}

impl<C: AsyncWrite + Unpin> Framed<C> {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.sent < self.frame.len() {
            let n = ready!(Pin::new(&mut self.connection).poll_write(cx, &self.frame[self.sent..]))?;
            if n == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.sent += n;
        }
        Poll::Ready(Ok(()))
    }
}

impl<C: AsyncWrite + Unpin> AsyncWrite for Framed<C> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_frame(cx))?;
        let piece = &bytes[..bytes.len().min(LONGEST)];
        self.frame.clear();
        self.frame.extend_from_slice(&header(Stream::Stdout, piece.len() as u32));
        self.frame.extend_from_slice(piece);
        self.sent = 0;
        // what does not go out now goes before the next frame, or at the flush
        match self.poll_frame(cx) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            _ => Poll::Ready(Ok(piece.len())),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_frame(cx))?;
        Pin::new(&mut self.connection).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_frame(cx))?;
        Pin::new(&mut self.connection).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test]
    async fn every_write_is_one_frame_whatever_the_pipe_takes_at_once() {
        let (ours, mut theirs) = tokio::io::duplex(3);
        let writing = tokio::spawn(async move {
            let mut framed = Framed::new(ours);
            framed.write_all(b"hello").await.expect("somebody reads");
            framed.write_all(b"you").await.expect("somebody reads");
            framed.shutdown().await.expect("somebody reads");
        });
        let mut wire = Vec::new();
        theirs.read_to_end(&mut wire).await.expect("a pipe");
        writing.await.expect("no panic");
        assert_eq!(wire, b"\x01\0\0\0\0\0\0\x05hello\x01\0\0\0\0\0\0\x03you");
    }
}
