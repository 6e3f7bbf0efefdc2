//! # Socket: one request, one answer
//!
//! A netlink socket looks like a datagram socket whose other end is the kernel. The kernel works on a request *inside*
//! `sendto`; when the call returns, the answer already lies in the socket's buffer. So there is nothing to wait for, and
//! no need for tasks and callbacks: [`Socket::request`] sends, reads until the acknowledgement with its number, and is
//! through after some ten microseconds.
//!
//! ```text
//!   request(RTM_NEWLINK …, ACK)  ──sendto──►  kernel works  ──recv──►  NLMSG_ERROR 0            done
//!                                                                      NLMSG_ERROR -EEXIST "…"  refused, in words
//!   dump(RTM_GETLINK)            ──sendto──►                ──recv──►  RTM_NEWLINK …, …, NLMSG_DONE
//! ```
//!
//! * A socket belongs to the network namespace of the thread that opened it, for good: who holds one can work in that
//!   namespace from any thread. [`Socket::named`] says how to get there by hand, for the record.
//! * Each request is recorded as the `ip` command that would do the same.
//!
//! Laws: an answer with another number belongs to an earlier request that was given up, and is dropped; a dump that the kernel
//! calls inconsistent is asked for again; every wait has a limit.
//! See: netlink(7). Next room: [`crate::netlink::link`]

use super::wire::{self, Message};
use crate::{action, errno::CallFailed};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink,
    sockopt::{Timeout, set_socket_timeout},
};
use std::{
    os::fd::{AsFd, AsRawFd, OwnedFd},
    time::Duration,
};

const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
/// In the flags of an acknowledgement: attributes follow (NLM_F_ACK_TLVS).
const ACK_TLVS: u16 = 0x200;
/// The kernel's own sentence about the refusal (NLMSGERR_ATTR_MSG).
const NLMSGERR_ATTR_MSG: u16 = 1;
/// More than any datagram of a dump.
const ROOM: usize = 64 * 1024;
/// How often a dump is asked for anew while the list keeps changing.
const PATIENCE: usize = 20;
/// The kernel answers at once; this is for the day when it does not.
const LIMIT: Duration = Duration::from_secs(20);

/// Which part of the kernel is at the other end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// Links, addresses, routes, neighbours (NETLINK_ROUTE).
    Route,
    /// nf_tables and its siblings (NETLINK_NETFILTER).
    Netfilter,
    /// Who listens where (NETLINK_SOCK_DIAG).
    SockDiag,
}

/// A conversation with the kernel about one network namespace.
#[derive(Debug)]
pub struct Socket {
    pub(crate) socket: OwnedFd,
    pub(crate) sequence: u32,
    pub(crate) room: Vec<u8>,
    /// What stands before a command in the record: `nsenter --net=/run/…`.
    prefix: String,
}

impl Socket {
    /// Opens one in the network namespace of the calling thread.
    ///
    /// # Errors
    /// EPROTONOSUPPORT when the kernel was built without this family; EMFILE.
    #[track_caller]
    pub fn open(family: Family) -> Result<Socket, CallFailed> {
        let (protocol, name) = match family {
            Family::Route => (None, "NETLINK_ROUTE"),
            Family::Netfilter => (Some(netlink::NETFILTER), "NETLINK_NETFILTER"),
            Family::SockDiag => (Some(netlink::SOCK_DIAG), "NETLINK_SOCK_DIAG"),
        };
        let shown = || vec!["AF_NETLINK".into(), "SOCK_RAW|SOCK_CLOEXEC".into(), name.into()];
        let socket = action::call("socket", shown, || {
            let socket = rustix::net::socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, protocol)?;
            set_socket_timeout(&socket, Timeout::Recv, Some(LIMIT))?;
            Ok::<_, rustix::io::Errno>(socket)
        })?;
        // Both are a courtesy (words instead of numbers, no echo of the request): an old kernel that has them not works too.
        option(&socket, libc::NETLINK_EXT_ACK);
        option(&socket, libc::NETLINK_CAP_ACK);
        Ok(Socket { socket, sequence: 0, room: vec![0; ROOM], prefix: String::new() })
    }

    /// Says, for the record, how a person gets into this socket's namespace: `nsenter --net=/run/minidock/netns/…`.
    pub fn named(mut self, prefix: impl Into<String>) -> Socket {
        self.prefix = prefix.into();
        self
    }

    /// Sends one request and waits for its end. `command` is what a person would type; `name` the message's kind in the
    /// kernel's words. Gives back what the kernel told meanwhile (with `ECHO`: the object as it is now).
    ///
    /// # Errors
    /// The kernel's errno, with its own sentence among the arguments when it had one.
    #[track_caller]
    pub fn request(
        &mut self,
        name: &str,
        command: impl FnOnce() -> String,
        message: Message,
    ) -> Result<Vec<Vec<u8>>, CallFailed> {
        let mut sentence = None;
        let prefix = &self.prefix;
        let shown = || {
            let space = if prefix.is_empty() { "" } else { " " };
            vec![name.to_string(), format!("{prefix}{space}{}", command())]
        };
        let (socket, sequence, room) = (&self.socket, &mut self.sequence, &mut self.room);
        let answer = action::call("netlink", shown, || transact(socket, sequence, room, message, &mut sentence));
        answer.map_err(|mut failed| {
            failed.args.extend(sentence.map(|words| format!("{words:?}")));
            failed
        })
    }

    /// Asks for all of a kind: the bodies of the answers.
    ///
    /// # Errors
    /// As [`Socket::request`]; EINTR when the list changed each time it was told.
    #[track_caller]
    pub fn dump(
        &mut self,
        name: &str,
        command: impl FnOnce() -> String,
        mut message: Message,
    ) -> Result<Vec<Vec<u8>>, CallFailed> {
        message.add_flags(wire::DUMP);
        let (socket, sequence, room) = (&self.socket, &mut self.sequence, &mut self.room);
        action::call(
            "netlink",
            || vec![name.to_string(), command()],
            || {
                for _ in 0..PATIENCE {
                    match transact(socket, sequence, room, message.clone(), &mut None) {
                        Err(e) if e.raw_os_error() == Some(libc::EINTR) => continue,
                        other => return other,
                    }
                }
                Err(std::io::Error::from_raw_os_error(libc::EINTR))
            },
        )
    }
}

fn transact(
    socket: &OwnedFd,
    sequence: &mut u32,
    room: &mut [u8],
    mut message: Message,
    sentence: &mut Option<String>,
) -> std::io::Result<Vec<Vec<u8>>> {
    *sequence = sequence.wrapping_add(1);
    message.add_flags(wire::ACK);
    rustix::net::send(socket, &message.finish(*sequence), SendFlags::empty())?;
    let (mut told, mut patchwork) = (Vec::new(), false);
    loop {
        let (_, length) = rustix::net::recv(socket, &mut *room, RecvFlags::TRUNC)?;
        let datagram = room.get(..length).ok_or(std::io::Error::from_raw_os_error(libc::EMSGSIZE))?;
        for answer in wire::messages(datagram).filter(|a| a.sequence == *sequence) {
            patchwork |= answer.flags & wire::INTERRUPTED != 0;
            match answer.kind {
                NLMSG_ERROR | NLMSG_DONE => match wire::u32_at(answer.body, 0).unwrap_or(0) as i32 {
                    0 if patchwork => return Err(std::io::Error::from_raw_os_error(libc::EINTR)),
                    0 => return Ok(told),
                    refusal => {
                        *sentence = words(&answer);
                        return Err(std::io::Error::from_raw_os_error(-refusal));
                    }
                },
                _ => told.push(answer.body.to_vec()),
            }
        }
    }
}

/// The kernel's own sentence: behind the errno and the header of the request that it answers.
pub(crate) fn words(answer: &wire::Answer<'_>) -> Option<String> {
    let extra = match answer.kind {
        NLMSG_DONE => 4,
        _ => 20,
    };
    let attributes = answer.body.get(extra..).filter(|_| answer.flags & ACK_TLVS != 0)?;
    wire::attribute(attributes, NLMSGERR_ATTR_MSG).map(wire::text_of)
}

fn option(socket: &OwnedFd, option: libc::c_int) {
    let on: libc::c_int = 1;
    // SAFETY: the value is one int that lives for the call, and its length is given as such; the borrow keeps the descriptor open.
    let _old_kernel = unsafe {
        let length = size_of::<libc::c_int>() as libc::socklen_t;
        libc::setsockopt(socket.as_fd().as_raw_fd(), libc::SOL_NETLINK, option, (&raw const on).cast(), length)
    };
}
