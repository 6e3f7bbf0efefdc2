//! # system dial-stdio: the daemon at the other end of a pipe
//!
//! `docker -H ssh://me@there ps` has no port of `there` to talk to. It starts `docker system dial-stdio` there by ssh(1), whose standard input and
//! output are then the connection: what comes in goes to the daemon's socket, what the daemon says goes out. So a machine that answers by
//! `minidock` under that name can be driven from afar without listening anywhere.
//!
//! ```text
//!   client ── ssh ──► stdin ──► this ──► /run/minidock.sock      HTTP, of which this understands nothing
//!          ◄─ ssh ─── stdout ◄─      ◄──
//! ```
//!
//! Laws: the end of the input is a *half* close, for the daemon may still have to answer; the end of the daemon's is the end.
//! *See:* docker/cli `cli/command/system/dial_stdio.go`. *Next room:* [`super::events`](mod@super::events)

use crate::{flag, session::Session};
use clap::ArgMatches;
use minidock_base::{Doing, Result};
use minidock_client::Address;
use std::{
    io::{self, Read, Write},
    net::{Shutdown, TcpStream},
    os::unix::net::UnixStream,
    thread,
};

/// The flags of `system dial-stdio`: none.
pub fn command() -> clap::Command {
    flag::command("dial-stdio", "", "Proxy the stdio stream to the daemon connection. Should not be invoked manually.")
        .hide(true)
}

/// Carries bytes both ways until the daemon has said all.
///
/// # Errors
/// No daemon; a connection that breaks.
pub async fn run(_: &ArgMatches, session: &mut Session) -> Result<i32> {
    // the ordinary way in also starts a daemon where one shall be started
    let docker = session.docker().await?;
    let doing = || format!("reach the daemon at {}", docker.address());
    match docker.address() {
        Address::Unix(path) => {
            let socket = UnixStream::connect(path).doing(doing)?;
            let input = socket.try_clone().doing(doing)?;
            between(socket, input, |input| input.shutdown(Shutdown::Write))
        }
        Address::Tcp(host) => {
            let socket = TcpStream::connect(host).doing(doing)?;
            let input = socket.try_clone().doing(doing)?;
            between(socket, input, |input| input.shutdown(Shutdown::Write))
        }
    }
}

/// The input has a thread of its own, which nobody waits for: it may be waiting for somebody who says no more.
fn between<S: Read, I: Write + Send + 'static>(mut output: S, mut input: I, close: fn(&I) -> io::Result<()>) -> Result<i32> {
    thread::spawn(move || {
        let _ = io::copy(&mut io::stdin().lock(), &mut input);
        let _ = close(&input);
    });
    let mut out = io::stdout().lock();
    let mut piece = vec![0; 64 * 1024];
    loop {
        match output.read(&mut piece).doing(|| "read from the daemon")? {
            0 => return Ok(0),
            read => out.write_all(&piece[..read]).and_then(|()| out.flush()).doing(|| "write to standard output")?,
        }
    }
}
