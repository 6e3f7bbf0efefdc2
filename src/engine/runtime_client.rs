//! # The runtime, called directly
//!
//! While a container lives, its shim calls the OCI runtime for it. Three things the daemon asks of the runtime itself,
//! because no shim is needed for them or none is left: pause and resume, new limits, and clearing up what a dead shim
//! left behind.
//!
//! ```text
//!   call(["pause", id]) ─► exec `minidock runtime --root … --log FILE --log-format json pause <id>` ─► exit status
//!                                                     └─ {"level":"error","msg":"…"} is the reason when it is not 0
//! ```
//!
//! *See:* the OCI runtime command line. *Next room:* [`crate::shim_client`]

use crate::Engine;
use minidock_base::{Doing, Error, Result, clock, id};
use serde::Deserialize;
use std::{process::Stdio, time::Duration};
use tokio::{io::AsyncWriteExt, process::Command, time::timeout};

const LIMIT: Duration = Duration::from_secs(30);

#[derive(Deserialize)]
struct LogLine {
    #[serde(default)]
    level: String,
    #[serde(default)]
    msg: String,
}

/// Executes the runtime with these arguments; `input` is its standard input.
///
/// # Errors
/// The runtime's own sentence; that it did not end in time.
pub async fn call(engine: &Engine, args: &[&str], input: &[u8]) -> Result<()> {
    let what = || format!("ask the runtime for {}", args.first().unwrap_or(&""));
    let log = engine.paths.exec_root().join(format!("runtime-{}.log", id::short(&id::random_id())));
    let (program, first) = engine.options.runtime_program.split_first().ok_or_else(|| Error::system("no runtime program"))?;
    let mut child = Command::new(program)
        .args(first)
        .arg("--root")
        .arg(engine.paths.runtime_root())
        .arg("--log")
        .arg(&log)
        .args(["--log-format", "json"])
        .args(args)
        .env_clear()
        .envs(clock::inherited())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .doing(what)?;
    if let Some(mut stdin) = child.stdin.take() {
        let _ = stdin.write_all(input).await; // a runtime that reads nothing may have ended already
    }
    let status = timeout(LIMIT, child.wait()).await.map_err(|_| Error::unavailable("the runtime did not end in time"));
    let words = std::fs::read_to_string(&log).unwrap_or_default();
    let _ = std::fs::remove_file(&log); // it makes one only when it has something to say
    match status.and_then(|ended| ended.doing(what))? {
        status if status.success() => Ok(()),
        status => {
            Err(Error::system(last_error(&words).unwrap_or_else(|| format!("the runtime ended with {status}"))).during(what()))
        }
    }
}

fn last_error(log: &str) -> Option<String> {
    let lines = log.lines().filter_map(|line| serde_json::from_str::<LogLine>(line).ok());
    lines.filter(|line| line.level == "error").map(|line| line.msg).next_back()
}
