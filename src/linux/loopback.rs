//! # Loopback: the one interface that is always there, and down
//!
//! A new network namespace has an interface `lo` that is switched off, so not even `127.0.0.1` answers in it. Switching it
//! on is one ioctl; address and route come by themselves.
//!
//! * [`up`] acts on the network namespace of the calling thread.
//!
//! See: netdevice(7), `SIOCSIFFLAGS`. Next room: [`crate::mount`]

use crate::{action, errno::CallFailed};
use std::{
    io,
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
};

/// Switches `lo` of this network namespace on.
///
/// # Errors
/// EPERM without CAP_NET_ADMIN in the user namespace that owns the network namespace.
#[track_caller]
pub fn up() -> Result<(), CallFailed> {
    let socket = action::call(
        "socket",
        || vec!["AF_INET".into(), "SOCK_DGRAM|SOCK_CLOEXEC".into(), "0".into()],
        // SAFETY: three integers, no memory; the descriptor that comes back is nobody else's yet.
        || match unsafe { libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) } {
            -1 => Err(io::Error::last_os_error()),
            // SAFETY: just made, owned by nobody.
            fd => Ok(unsafe { OwnedFd::from_raw_fd(fd) }),
        },
    )?;
    let shown =
        || vec!["socket".into(), "SIOCSIFFLAGS".into(), "{ifr_name=\"lo\", ifr_flags=IFF_UP|IFF_LOOPBACK|IFF_RUNNING}".into()];
    action::call("ioctl", shown, || {
        // SAFETY: an ifreq of zeros is a valid one: an empty name and no flags.
        let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
        (request.ifr_name[0], request.ifr_name[1]) = (b'l' as libc::c_char, b'o' as libc::c_char);
        request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_LOOPBACK | libc::IFF_RUNNING) as libc::c_short;
        // SAFETY: the kernel reads one ifreq, which lives through the call; its name ends in NUL.
        match unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &request) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    })
}
