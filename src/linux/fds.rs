//! # Descriptors: who holds which door open
//!
//! A descriptor is a capability: whoever inherits one can use it, whatever its own rights are. Half of the famous escapes
//! from containers are nothing but a descriptor that was still open at `execve` (CVE-2024-21626, CVE-2016-9962). So
//! everything here is born close-on-exec, and the two processes that start foreign programs also sweep the numbers above
//! the ones they mean to hand down ([`cloexec_from`], [`close_from`]).
//!
//! ```text
//!   shim ── socketpair ── daemon          one byte of data, and beside it (SCM_RIGHTS) a descriptor:
//!   shim ◄── console socket ── runtime      send_fd ──► the kernel makes a new number over there ──► receive_fd
//! ```
//!
//! Laws: nothing here leaves a descriptor inheritable except [`inheritable`], which says so; a received descriptor is
//! close-on-exec before anybody else can fork. See: close_range(2), unix(7) SCM_RIGHTS, SO_PEERCRED, fcntl(2).
//! Next room: [`crate::tty`]

use crate::{
    action::{call, call_showing},
    errno::CallFailed,
};
use rustix::{
    io::{FdFlags, IoSlice, IoSliceMut},
    net::{
        AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
        SendFlags, SocketFlags, SocketType,
    },
};
use std::{
    mem::MaybeUninit,
    os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd},
};

/// A pipe: (read end, write end), both close-on-exec. See: pipe2(2).
#[track_caller]
pub fn pipe() -> Result<(OwnedFd, OwnedFd), CallFailed> {
    call("pipe2", || vec!["fds".into(), "O_CLOEXEC".into()], || rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC))
}

/// Two connected stream sockets, both close-on-exec. See: socketpair(2).
#[track_caller]
pub fn socketpair() -> Result<(OwnedFd, OwnedFd), CallFailed> {
    call(
        "socketpair",
        || vec!["AF_UNIX".into(), "SOCK_STREAM|SOCK_CLOEXEC".into(), "0".into(), "fds".into()],
        || rustix::net::socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None),
    )
}

/// `/dev/null`, for reading and writing. See: null(4).
#[track_caller]
pub fn dev_null() -> Result<OwnedFd, CallFailed> {
    use rustix::fs::{Mode, OFlags};
    call(
        "openat",
        || vec!["AT_FDCWD".into(), "\"/dev/null\"".into(), "O_RDWR|O_CLOEXEC".into()],
        || rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty()),
    )
}

/// The descriptor that this process was started with as number `number`, if there is one; it becomes close-on-exec.
///
/// To be asked once for each number, before anything else is opened: the answer owns the number.
#[track_caller]
pub fn inherited(number: RawFd) -> Option<OwnedFd> {
    // SAFETY: F_GETFD and F_SETFD take a number by value and touch no memory; a number that is not open is EBADF.
    let open = unsafe { libc::fcntl(number, libc::F_GETFD) >= 0 && libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) >= 0 };
    // SAFETY: the number is open (just asked), and the caller promises (see above) that nobody in this process owns it yet.
    open.then(|| unsafe { OwnedFd::from_raw_fd(number) })
}

/// Lets children inherit this descriptor, which is the danger the essay speaks of: the runtime's `--preserve-fds`.
#[track_caller]
pub fn inheritable(fd: impl AsFd) -> Result<(), CallFailed> {
    let fd = fd.as_fd();
    call(
        "fcntl",
        || vec![fd.as_raw_fd().to_string(), "F_SETFD".into(), "0".into()],
        || rustix::io::fcntl_setfd(fd, FdFlags::empty()),
    )
}

/// Closes this descriptor at `execve`.
#[track_caller]
pub fn cloexec(fd: impl AsFd) -> Result<(), CallFailed> {
    let fd = fd.as_fd();
    call(
        "fcntl",
        || vec![fd.as_raw_fd().to_string(), "F_SETFD".into(), "FD_CLOEXEC".into()],
        || rustix::io::fcntl_setfd(fd, FdFlags::CLOEXEC),
    )
}

/// Reads and writes on this descriptor answer EAGAIN instead of waiting. It is a property of the *open file*, so whoever
/// shares it (a terminal of the user's, say) is changed too.
#[track_caller]
pub fn nonblocking(fd: impl AsFd) -> Result<(), CallFailed> {
    let fd = fd.as_fd();
    call("ioctl", || vec![fd.as_raw_fd().to_string(), "FIONBIO".into(), "[1]".into()], || rustix::io::ioctl_fionbio(fd, true))
}

/// Marks every descriptor from `first` upward close-on-exec, whoever owns it. See: close_range(2).
#[track_caller]
pub fn cloexec_from(first: u32) -> Result<(), CallFailed> {
    close_range("CLOSE_RANGE_CLOEXEC", first, libc::CLOSE_RANGE_CLOEXEC)
}

/// Closes every descriptor from `first` upward, whoever owns it. For the first line of a program, before it has opened
/// anything: what is there was inherited by mistake.
#[track_caller]
pub fn close_from(first: u32) -> Result<(), CallFailed> {
    close_range("0", first, 0)
}

#[track_caller]
fn close_range(shown: &str, first: u32, flags: u32) -> Result<(), CallFailed> {
    call(
        "close_range",
        || vec![first.to_string(), "~0U".into(), shown.to_string()],
        // SAFETY: three integers, no memory. That no owner loses its descriptor is the caller's promise, stated above.
        || match unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, flags) } {
            0 => Ok(()),
            _ => Err(std::io::Error::last_os_error()),
        },
    )
}

/// Makes `fd` the process's standard input, output and error, one after the other as given. See: dup2(2).
#[track_caller]
pub fn become_stdio(stdin: impl AsFd, stdout: impl AsFd, stderr: impl AsFd) -> Result<(), CallFailed> {
    let (stdin, stdout, stderr) = (stdin.as_fd(), stdout.as_fd(), stderr.as_fd());
    call("dup2", || vec![stdin.as_raw_fd().to_string(), "0".into()], || rustix::stdio::dup2_stdin(stdin))?;
    call("dup2", || vec![stdout.as_raw_fd().to_string(), "1".into()], || rustix::stdio::dup2_stdout(stdout))?;
    call("dup2", || vec![stderr.as_raw_fd().to_string(), "2".into()], || rustix::stdio::dup2_stderr(stderr))
}

/// Descriptors that travel together, at the most: more than any machine has trees of control groups.
const TOGETHER: usize = 32;

/// Sends `bytes` (at least one) and beside them a copy of `fd`. See: unix(7), SCM_RIGHTS.
#[track_caller]
pub fn send_fd(socket: impl AsFd, fd: impl AsFd, bytes: &[u8]) -> Result<(), CallFailed> {
    send_fds(socket, &[fd.as_fd()], bytes)
}

/// The same with several, in order.
///
/// # Errors
/// ENOBUFS for more than 32 of them; EPIPE when the other end is gone.
#[track_caller]
pub fn send_fds(socket: impl AsFd, fds: &[BorrowedFd<'_>], bytes: &[u8]) -> Result<(), CallFailed> {
    let socket = socket.as_fd();
    let numbers = || fds.iter().map(|fd| fd.as_raw_fd().to_string()).collect::<Vec<_>>().join(", ");
    call(
        "sendmsg",
        || vec![socket.as_raw_fd().to_string(), format!("{{SCM_RIGHTS, [{}]}}", numbers())],
        || {
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(TOGETHER))];
            let mut beside = SendAncillaryBuffer::new(&mut space);
            if fds.len() > TOGETHER || !beside.push(SendAncillaryMessage::ScmRights(fds)) {
                return Err(rustix::io::Errno::NOBUFS);
            }
            rustix::net::sendmsg(socket, &[IoSlice::new(bytes)], &mut beside, SendFlags::NOSIGNAL).map(drop)
        },
    )
}

/// Receives up to `room.len()` bytes and the first descriptor beside them (`None` when there was none); it is
/// close-on-exec. Zero bytes: the other end is gone. Every further descriptor is closed: a peer cannot fill our table.
#[track_caller]
pub fn receive_fd(socket: impl AsFd, room: &mut [u8]) -> Result<(usize, Option<OwnedFd>), CallFailed> {
    receive_fds(socket, room).map(|(bytes, fds)| (bytes, fds.into_iter().next()))
}

/// The same with all descriptors that came together, at most 32.
///
/// # Errors
/// As recvmsg(2).
#[track_caller]
pub fn receive_fds(socket: impl AsFd, room: &mut [u8]) -> Result<(usize, Vec<OwnedFd>), CallFailed> {
    let socket = socket.as_fd();
    call(
        "recvmsg",
        || vec![socket.as_raw_fd().to_string(), "{SCM_RIGHTS}".into(), "MSG_CMSG_CLOEXEC".into()],
        || {
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(TOGETHER))];
            let mut beside = RecvAncillaryBuffer::new(&mut space);
            let got = rustix::net::recvmsg(socket, &mut [IoSliceMut::new(room)], &mut beside, RecvFlags::CMSG_CLOEXEC)?;
            let mut received = Vec::new();
            for message in beside.drain() {
                if let RecvAncillaryMessage::ScmRights(fds) = message {
                    received.extend(fds);
                }
            }
            Ok::<_, rustix::io::Errno>((got.bytes, received))
        },
    )
}

/// Who is at the other end of a unix socket, as the kernel noted at connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    pub pid: i32,
    pub uid: u32,
    pub gid: u32,
}

/// Asks the kernel who connected. See: unix(7), SO_PEERCRED.
#[track_caller]
pub fn peer(socket: impl AsFd) -> Result<Peer, CallFailed> {
    let socket = socket.as_fd();
    let ask = || rustix::net::sockopt::socket_peercred(socket);
    let found = call_showing(
        "getsockopt",
        || vec![socket.as_raw_fd().to_string(), "SOL_SOCKET".into(), "SO_PEERCRED".into()],
        ask,
        |_| 0,
    )?;
    Ok(Peer { pid: found.pid.as_raw_nonzero().get(), uid: found.uid.as_raw(), gid: found.gid.as_raw() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};

    #[test]
    fn a_descriptor_crosses_a_socket_and_arrives_close_on_exec() {
        let (here, there) = socketpair().expect("two descriptors");
        let (read, write) = pipe().expect("two descriptors");
        send_fd(&here, &write, b"x").expect("a connected peer");
        drop(write);
        let mut room = [0; 8];
        let (bytes, arrived) = receive_fd(&there, &mut room).expect("something waits");
        let arrived = arrived.expect("the write end");
        assert_eq!((bytes, room[0]), (1, b'x'));
        assert!(rustix::io::fcntl_getfd(&arrived).expect("open").contains(FdFlags::CLOEXEC));
        std::fs::File::from(arrived).write_all(b"through").expect("the reader is alive");
        let mut text = String::new();
        std::fs::File::from(read).read_to_string(&mut text).expect("our own pipe");
        assert_eq!(text, "through");
    }

    #[test]
    fn several_descriptors_cross_together_in_order_and_none_comes_from_who_is_gone() {
        let (here, there) = socketpair().expect("two descriptors");
        let (mut readers, writers): (Vec<_>, Vec<_>) = (0..3).map(|_| pipe().expect("two descriptors")).unzip();
        let together: Vec<_> = writers.iter().map(AsFd::as_fd).collect();
        send_fds(&here, &together, b"d").expect("a connected peer");
        drop((here, writers));
        let (bytes, arrived) = receive_fds(&there, &mut [0; 8]).expect("something waits");
        assert_eq!((bytes, arrived.len()), (1, 3));
        for (n, fd) in arrived.into_iter().enumerate() {
            assert!(rustix::io::fcntl_getfd(&fd).expect("open").contains(FdFlags::CLOEXEC));
            std::fs::File::from(fd).write_all(&[n as u8]).expect("the reader is alive");
        }
        for (n, reader) in readers.drain(..).enumerate() {
            let mut told = Vec::new();
            std::fs::File::from(reader).read_to_end(&mut told).expect("our own pipe");
            assert_eq!(told, [n as u8]);
        }
        assert_eq!(receive_fds(&there, &mut [0]).expect("the end is no error").0, 0);
    }

    #[test]
    fn the_peer_of_a_socketpair_is_this_process() {
        let (here, _there) = socketpair().expect("two descriptors");
        let peer = peer(&here).expect("a unix socket");
        assert_eq!(peer.pid, std::process::id() as i32);
    }
}
