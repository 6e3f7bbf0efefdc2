//! # The shim: the parent that stays
//!
//! In Unix the one who learns how a process ended is its parent, and nobody else; and what a process says goes to whoever
//! holds the other end of its pipe. If the daemon were parent and reader of all containers, then with the daemon's death
//! (an upgrade, a bug, `kill -9`) every exit status would be lost and every container would die at its next `write`, of
//! SIGPIPE. So each container has a small parent of its own, which needs no daemon.
//!
//! ```text
//!   daemon ─nursery─► shim ──fork───► runtime run --detach ──clone──► init ─► your program
//!     ▲                │ ▲               (exits after 10 ms)            │  its parent is gone,
//!     │ control        │ └───────── subreaper: orphans fall to me ◄─────┘  so it falls to the shim
//!     │                │
//!     └─ shim.sock ◄───┤  poll(2):  signals · shim.sock · control · clients
//!        attach ◄──────┤            stdout · stderr (or a terminal) · stdin · out of memory
//!                      ├──► <id>-json.log      every line, as Docker writes it
//!                      └──► exit.json          how it ended, before anybody is told
//! ```
//!
//! * [`nursery`] has one process be the model of all; [`boot`] cuts every tie to the daemon, takes its orders, listens.
//! * [`supervise`] is the loop: one list of descriptors, one sleep, then each is served without waiting.
//! * [`requests`] is what the daemon may ask; [`ending`] is what happens when a program ends.
//! * [`process`] is one program with its streams: the container's own, or an exec. [`stdio`] makes its pipes, [`console`]
//!   fetches its terminal, [`client`] is one who watches.
//! * [`runtime`] calls the OCI runtime by its command line; [`record`] keeps the kernel calls, [`log_file`] what was said; [`control`] carries
//!   lines; [`socket`] is the door.
//!
//! Every container costs one such process, so it must be small: one thread, no async runtime, buffers only while something
//! waits in them. `/proc/<pid>/smaps_rollup` shows what it comes to.
//!
//! Laws: nothing in the loop waits for anybody; the exit status is written down before it is told; output is in the log before the
//! exit is told; SIGTERM and SIGHUP do not end a shim, only its container's end does.
//!
//! *In the real world:* containerd's shim and podman's conmon are the same idea. conmon also forwards signals and serves
//! several log formats; containerd's shim may serve a whole pod. *Next room:* [`protocol`]

mod boot;
mod client;
mod console;
mod control;
mod ending;
pub mod log_file;
pub mod nursery;
mod process;
pub mod protocol;
mod record;
mod requests;
mod runtime;
pub mod socket;
mod stdio;
mod supervise;

use std::ffi::OsString;

pub use runtime::Own;

/// The shim's costume: never returns an error to a caller, its exit status is the process's.
///
/// Its argument is for the reader of `ps` (`minidock shim <id>`) and may say that this is to be a [`nursery`]; orders come through
/// descriptor 0. `own` is the OCI runtime that lies in the same program, if there is one.
pub fn main(args: Vec<OsString>, own: Option<Own>) -> i32 {
    let nursery = args.first().is_some_and(|word| word.as_encoded_bytes().starts_with(nursery::WORD.as_bytes()));
    let shim = match nursery {
        true => nursery::live(own),
        false => nursery::alone(own).map(Some),
    };
    match shim {
        Ok(Some(mut shim)) => {
            shim.supervise();
            0
        }
        Ok(None) => 0,
        Err(error) => {
            eprintln!("minidock: {error}");
            1
        }
    }
}
