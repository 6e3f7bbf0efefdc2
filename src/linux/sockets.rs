//! # Sockets: has the other side read it?
//!
//! A stream socket tells its writer that the bytes are on their way, not that anybody took them. For a Unix socket the kernel
//! knows more: what was written and not yet read by the peer still counts against the writer's buffer, and can be asked for.
//!
//! * [`unread`] is that question. The daemon asks it between the head of an upgraded answer and the first byte of the stream
//!   (`src/api/door.rs` says why).
//!
//! See: ioctl_sockios(2), SIOCOUTQ; unix(7). Next room: [`crate::tty`]

use crate::{action, errno::CallFailed};
use std::os::fd::{AsFd, AsRawFd};

/// How many bytes (kernel's bookkeeping included) the peer of a Unix socket has not read yet; 0: everything was taken.
///
/// # Errors
/// As ioctl(2).
#[track_caller]
pub fn unread(socket: impl AsFd) -> Result<u32, CallFailed> {
    let mut bytes: libc::c_int = 0;
    let descriptor = socket.as_fd().as_raw_fd();
    let shown = || vec![descriptor.to_string(), "SIOCOUTQ".into(), "&bytes".into()];
    action::call("ioctl", shown, || {
        // SAFETY: SIOCOUTQ (the same number as TIOCOUTQ) writes one int through the pointer, which points to one of ours.
        match unsafe { libc::ioctl(descriptor, libc::TIOCOUTQ, &raw mut bytes) } {
            0 => Ok(()),
            _ => Err(std::io::Error::last_os_error()),
        }
    })?;
    Ok(bytes.max(0) as u32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        io::{Read, Write},
        os::unix::net::UnixStream,
    };

    #[test]
    fn what_the_peer_has_taken_is_no_longer_unread() {
        let (mut ours, mut theirs) = UnixStream::pair().expect("sockets");
        assert_eq!(unread(&ours).expect("a socket"), 0);
        ours.write_all(b"head").expect("room");
        assert!(unread(&ours).expect("a socket") > 0);
        theirs.read_exact(&mut [0; 4]).expect("four bytes");
        assert_eq!(unread(&ours).expect("a socket"), 0);
    }
}
