//! # One binary, four costumes
//!
//! `minidock` is four programs in one file. Which one it is must be settled here, in a plain function, before any thread,
//! async runtime or logger exists: the shim and the runtime must stay single-threaded, for between `clone` and `exec` a
//! second thread could hold a lock that nobody will ever release.
//!
//! ```text
//!   minidock daemon …            the daemon: API, records, images; long-lived, many threads
//!   minidock shim                one per container, its parent; one thread
//!   minidock runtime create …    the OCI runtime, milliseconds; one thread
//!                                (also when called by the name `runc`)
//!   minidock machine run …       a simulated node: makes its namespaces and is PID 1 in them; one thread
//!   minidock registry-server     a registry for a classroom (`minidock registry serve` puts it on)
//!   minidock run alpine ls -l    everything else: the command line, a client of the daemon
//! ```
//!
//! Next room: `src/cli/lib.rs` for a command, `src/README.md` for the map.

use std::ffi::{OsStr, OsString};

fn main() {
    let args: Vec<OsString> = std::env::args_os().collect();
    let called = args.first().map(std::path::Path::new).and_then(|p| p.file_name()).unwrap_or_default().to_os_string();
    let word = |n: usize| args.get(n).map(OsString::as_os_str).unwrap_or_default();
    let rest = |n: usize| args.get(n..).map(<[OsString]>::to_vec).unwrap_or_default();
    let status = match (called == "runc", word(1)) {
        (true, _) => minidock_runtime::main(rest(1)),
        (_, costume) if costume == OsStr::new("runtime") => minidock_runtime::main(rest(2)),
        (_, costume) if costume == OsStr::new("shim") => minidock_shim::main(rest(2), Some(OWN_RUNTIME)),
        (_, costume) if costume == OsStr::new("daemon") => minidock_daemon::main(rest(2)),
        (_, costume) if costume == OsStr::new("machine") => minidock_cluster::machine::main(rest(2)),
        (_, costume) if costume == OsStr::new("registry-server") => minidock_registry::server::main(rest(2)),
        _ => minidock_cli::main(args),
    };
    std::process::exit(status);
}

/// What a shim calls instead of executing this program once more.
const OWN_RUNTIME: minidock_shim::Own =
    minidock_shim::Own { main: minidock_runtime::main, warm: minidock_runtime::warm, delete: minidock_runtime::delete };
