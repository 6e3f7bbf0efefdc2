//! # Byte streams: between async and blocking
//!
//! An archive comes in as an async stream of chunks and is unpacked by a thread that blocks; another goes out the other
//! way. A bounded channel joins the two worlds: whoever is faster waits, and memory stays flat.
//!
//! ```text
//!   client ──BoxStream──► task ──channel of 16──► Reading: io::Read      on a blocking thread
//!   client ◄─BoxStream──────── channel of 16 ◄─── Writing: io::Write     on a blocking thread
//! ```
//!
//! * [`reading`] makes a reader of a stream; [`writing`] runs a writer on a blocking thread and gives the stream it fills.
//!
//! Laws: a client that goes away is a broken pipe to the thread, which ends it; an error on either side arrives on the
//! other as an error, never as an early end; what a reader does not want is passed over for a while, so that the client can hear why. Next room: [`crate::images`]

use bytes::{Bytes, BytesMut};
use futures_util::{
    StreamExt,
    stream::{self, BoxStream},
};
use minidock_base::{Error, Result};
use std::{
    io::{self, Read, Write},
    time::Duration,
};
use tokio::sync::mpsc::{self, Receiver, Sender};

/// Bytes as they cross the API.
pub type ByteStream = BoxStream<'static, Result<Bytes>>;

/// How long a client may go on with what nobody wants to hear any more.
const COURTESY: Duration = Duration::from_secs(10);
const CHUNKS: usize = 16;
const CHUNK: usize = 64 << 10;

/// Reads a stream from a blocking thread.
pub struct Reading {
    chunks: Receiver<Result<Bytes>>,
    chunk: Bytes,
}

/// A reader of everything that `stream` brings.
pub fn reading(mut stream: ByteStream) -> Reading {
    let (to, chunks) = mpsc::channel(CHUNKS);
    tokio::spawn(async move {
        while let Some(chunk) = stream.next().await {
            if to.send(chunk).await.is_err() {
                // the reader has seen enough; but a client that only learns of it by a broken pipe never reads why
                let rest = async { while let Some(Ok(_)) = stream.next().await {} };
                let _ = tokio::time::timeout(COURTESY, rest).await;
                return;
            }
        }
    });
    Reading { chunks, chunk: Bytes::new() }
}

impl Read for Reading {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.chunk.is_empty() {
            match self.chunks.blocking_recv() {
                None => return Ok(0),
                Some(Ok(chunk)) => self.chunk = chunk,
                Some(Err(error)) => return Err(io::Error::other(error.message())),
            }
        }
        let n = self.chunk.len().min(buffer.len());
        buffer[..n].copy_from_slice(&self.chunk.split_to(n));
        Ok(n)
    }
}

/// Writes into a stream from a blocking thread.
pub struct Writing {
    to: Sender<Result<Bytes>>,
    gathered: BytesMut,
}

impl Writing {
    fn send(&mut self) -> io::Result<()> {
        if self.gathered.is_empty() {
            return Ok(());
        }
        let chunk = self.gathered.split().freeze();
        self.to.blocking_send(Ok(chunk)).map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))
    }
}

impl Write for Writing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.gathered.extend_from_slice(bytes);
        if self.gathered.len() >= CHUNK {
            self.send()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.send()
    }
}

/// What `work` writes, as a stream; its failure is the stream's last item.
pub fn writing(work: impl FnOnce(&mut Writing) -> Result<()> + Send + 'static) -> ByteStream {
    let (to, chunks) = mpsc::channel(CHUNKS);
    tokio::task::spawn_blocking(move || {
        let mut writing = Writing { to: to.clone(), gathered: BytesMut::new() };
        let done = work(&mut writing).and_then(|()| writing.flush().map_err(|e| Error::system(e.to_string())));
        if let Err(error) = done {
            let _ = to.blocking_send(Err(error)); // a client that is gone needs no reason
        }
    });
    stream_of(chunks)
}

/// A receiver as a stream.
pub fn stream_of<T: Send + 'static>(receiver: Receiver<T>) -> BoxStream<'static, T> {
    stream::unfold(receiver, |mut receiver| async move { receiver.recv().await.map(|item| (item, receiver)) }).boxed()
}

/// Runs `work` on a thread for blocking work.
///
/// # Errors
/// Those of `work`; it panicked.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(_) => Err(Error::system("the thread that did the work ended early")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_written_on_one_side_is_read_on_the_other_and_errors_too() {
        let stream = writing(|out| {
            out.write_all(&vec![7u8; 300_000]).map_err(|e| Error::system(e.to_string()))?;
            Err(Error::system("the disk broke"))
        });
        let mut reader = reading(stream);
        let (read, error) = tokio::task::spawn_blocking(move || {
            let mut all = Vec::new();
            let error = reader.read_to_end(&mut all).expect_err("no early end");
            (all.len(), error.to_string())
        })
        .await
        .expect("no panic");
        assert_eq!(read % CHUNK.min(1), 0);
        assert!(error.contains("the disk broke"), "{error}");
    }
}
