//! # Streams: a program in a node and its caller
//!
//! ```text
//!   caller ═══ connection ═══ join ──► pipe 0            caller ═══ connection ═══ join ◄──► the terminal's master
//!                               ◄── frames ── pipes 1, 2
//! ```
//!
//! * With pipes, what the program says travels in Docker's frames, and the end of the caller's input is the end of the program's. A caller that has ended
//!   its input may have gone altogether, and so may one whose input nobody takes, because the program reads nothing and its pipe is full: an empty
//!   frame, once in a while, finds out.
//! * With a terminal there are no frames, and no end of the input (that is a key, Ctrl-D): a caller that sends no more has gone. It takes the
//!   terminal along: when the last master is closed the kernel hangs up, and the program is told (SIGHUP).
//!
//! Laws: the program's last words are passed on before its status is known; a caller that has gone ends a program without a terminal.
//! *See:* Engine API, attach; pty(7). Next room: [`crate::join`]

use crate::shell::Started;
use minidock_base::{Doing, Result};
use minidock_linux::fds;
use minidock_spec::engine::stream::{Stream, header};
use std::{
    os::{fd::OwnedFd, unix::process::ExitStatusExt},
    process::ExitStatus,
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, WriteHalf, split},
    net::unix::pipe,
    process::Child,
    sync::{mpsc, oneshot},
    time::{Instant, Interval, MissedTickBehavior, interval_at},
};

const PIECE: usize = 32 << 10;
/// How often it is asked whether a silent caller is still there.
const ASK: Duration = Duration::from_secs(1);

/// Connects both until the program has ended; `ended` is told its status, as a shell counts, before the caller sees the end of the stream.
///
/// # Errors
/// No descriptors left. A caller that goes is none.
pub async fn join(started: Started, io: impl AsyncRead + AsyncWrite + Send + 'static, ended: impl FnOnce(i32)) -> Result<()> {
    let (status, mut to) = match started {
        Started::Pipes(child) => pipes(child, io).await?,
        Started::Terminal(child, master) => terminal(child, master, io).await?,
    };
    ended(status);
    let _ = to.shutdown().await; // the caller may have gone
    Ok(())
}

fn status(ended: ExitStatus) -> i32 {
    ended.code().unwrap_or_else(|| 128 + ended.signal().unwrap_or(0))
}

async fn pipes<T: AsyncRead + AsyncWrite + Send + 'static>(mut child: Child, io: T) -> Result<(i32, WriteHalf<T>)> {
    let (mut from, mut to) = split(io);
    let (stdin, out, err) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let mut asking = stdin.is_some().then(|| {
        let mut ticks = interval_at(Instant::now() + ASK, ASK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ticks
    });
    let (gone, mut caller_gone) = oneshot::channel::<()>();
    let typed = tokio::spawn(async move {
        match stdin {
            // a program may close its input, a caller may end it and still listen
            Some(mut stdin) => {
                if tokio::io::copy(&mut from, &mut stdin).await.is_err() {
                    let _ = tokio::io::copy(&mut from, &mut tokio::io::sink()).await;
                }
            }
            // who sends nothing and closes has gone
            None => {
                let _ = tokio::io::copy(&mut from, &mut tokio::io::sink()).await;
                let _ = gone.send(()); // the program may have ended first
            }
        }
    });
    let (sender, mut pieces) = mpsc::channel::<(Stream, Vec<u8>)>(4);
    if let Some(out) = out {
        tokio::spawn(read_all(out, Stream::Stdout, sender.clone()));
    }
    if let Some(err) = err {
        tokio::spawn(read_all(err, Stream::Stderr, sender.clone()));
    }
    drop(sender);
    loop {
        let piece = tokio::select! {
            piece = pieces.recv() => piece,
            Ok(()) = &mut caller_gone, if asking.is_none() => {
                let _ = child.start_kill(); // nobody listens any more
                break;
            }
            () = next(&mut asking) => Some((Stream::Stdout, Vec::new())),
        };
        let Some((stream, bytes)) = piece else { break };
        let sent = match to.write_all(&header(stream, bytes.len() as u32)).await {
            Ok(()) => to.write_all(&bytes).await,
            refused => refused,
        };
        if sent.and(to.flush().await).is_err() {
            let _ = child.start_kill(); // nobody listens any more
            break;
        }
    }
    let ended = child.wait().await.doing(|| "wait for the program")?;
    typed.abort();
    Ok((status(ended), to))
}

/// The next time to ask whether a caller is still there; never, if its input tells.
async fn next(asking: &mut Option<Interval>) {
    match asking {
        Some(asking) => drop(asking.tick().await),
        None => std::future::pending().await,
    }
}

async fn read_all(mut from: impl AsyncRead + Unpin, stream: Stream, to: mpsc::Sender<(Stream, Vec<u8>)>) {
    let mut buffer = vec![0; PIECE];
    while let Ok(n @ 1..) = from.read(&mut buffer).await {
        if to.send((stream, buffer[..n].to_vec())).await.is_err() {
            return;
        }
    }
}

async fn terminal<T: AsyncRead + AsyncWrite + Send + 'static>(
    mut child: Child,
    master: OwnedFd,
    io: T,
) -> Result<(i32, WriteHalf<T>)> {
    let doing = || "serve the terminal";
    fds::nonblocking(&master).doing(doing)?;
    // a terminal is read and written as a pipe is, and polled alike
    let mut said = pipe::Receiver::from_owned_fd_unchecked(master.try_clone().doing(doing)?).doing(doing)?;
    let mut keys = pipe::Sender::from_owned_fd_unchecked(master).doing(doing)?;
    let (mut from, mut to) = split(io);
    let (gone, mut caller_gone) = oneshot::channel::<()>();
    let keys = tokio::spawn(async move {
        let _ = tokio::io::copy(&mut from, &mut keys).await; // the program may have ended, the caller may have gone
        let _ = gone.send(()); // nobody may wait for it any more
    });
    let mut buffer = vec![0; PIECE];
    loop {
        let read = tokio::select! {
            biased; // last words first
            read = said.read(&mut buffer) => read,
            Ok(()) = &mut caller_gone => {
                let _ = child.start_kill(); // a silent prompt would never notice
                break;
            }
        };
        let Ok(n @ 1..) = read else { break }; // EIO: nobody has the slave any more
        if to.write_all(&buffer[..n]).await.and(to.flush().await).is_err() {
            let _ = child.start_kill(); // nobody listens any more
            break;
        }
    }
    keys.abort();
    let _ = keys.await; // it held the terminal, too
    // killed is only who waits in the node for the program: that one is hung up on when `ended` lets the last master go
    drop(said);
    let ended = child.wait().await.doing(|| "wait for the program")?;
    Ok((status(ended), to))
}
