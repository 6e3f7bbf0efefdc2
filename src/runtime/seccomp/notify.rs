//! # Notify: letting somebody else judge a call
//!
//! With `SCMP_ACT_NOTIFY` a call neither passes nor fails by itself: the caller is stopped, and a program outside, the
//! *agent*, reads who called what, looks around (it may read the caller's memory), and answers. The kernel gives out the
//! right to judge as a descriptor, the *listener*, at the moment the filter is loaded, to the process that loads it.
//! That is the container's init, which must not keep it; so it goes on a journey:
//!
//! ```text
//!   init (in the container)       runtime (outside)               agent
//!     seccomp(…NEW_LISTENER) = 7
//!     write "7" up the pipe  ───► pidfd_getfd(init, 7)
//!     waits                       connect(listenerPath)    ───►  accept
//!                                 sendmsg(state, SCM_RIGHTS) ──► now it judges
//!     close 7, execve        ◄─── "go on"
//! ```
//!
//! Fetching it from outside has a reason: were init to send it itself, its `connect` and `sendmsg` would already be judged
//! by an agent that does not hold the listener yet. Only `write` is needed, which is why [`super::rules`] refuses NOTIFY for it.
//!
//! See: seccomp_unotify(2), pidfd_getfd(2), runtime-spec config-linux.md#containerprocessstate. Next room: [`super::describe`]

use minidock_base::{Result, error::Doing};
use minidock_linux::{fds, seccomp as kernel, wait};
use minidock_spec::runtime::State;
use oci_spec::runtime::LinuxSeccomp;
use serde::Serialize;
use std::os::unix::net::UnixStream;

/// What the agent reads beside the descriptor.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ContainerProcessState<'a> {
    oci_version: &'a str,
    /// Names of the descriptors sent, in order.
    fds: [&'static str; 1],
    pid: i32,
    #[serde(skip_serializing_if = "str::is_empty")]
    metadata: &'a str,
    state: &'a State,
}

/// Fetches the listener, descriptor `theirs` of process `pid`, and hands it to the agent at `listenerPath`.
///
/// # Errors
/// `failed to connect with seccomp agent` when nobody listens there; the process is gone.
#[track_caller]
pub fn hand_over(seccomp: &LinuxSeccomp, pid: i32, theirs: i32, state: &State) -> Result<()> {
    let pidfd = wait::pidfd_open(pid).doing(|| "fetch the seccomp listener")?;
    let listener = kernel::pidfd_getfd(&pidfd, theirs).doing(|| "fetch the seccomp listener")?;
    let path = seccomp.listener_path().clone().unwrap_or_default();
    let socket = UnixStream::connect(&path)
        .doing(|| format!("failed to connect with seccomp agent specified in the seccomp profile ({})", path.display()))
        .map_err(|e| e.hint("start the agent first; it has to listen on linux.seccomp.listenerPath"))?;
    let message = ContainerProcessState {
        oci_version: &state.oci_version,
        fds: ["seccompFd"],
        pid,
        metadata: seccomp.listener_metadata().as_deref().unwrap_or_default(),
        state,
    };
    let text = serde_json::to_vec(&message).doing(|| "tell the seccomp agent about the container")?;
    fds::send_fd(&socket, &listener, &text).doing(|| format!("cannot send seccomp fd to {}", path.display()))
}
