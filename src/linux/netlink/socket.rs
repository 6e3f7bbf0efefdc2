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
//! * [`Socket::batch`] puts several requests into one datagram: the kernel does them in order before `sendto` returns.
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

/// One request of a batch.
pub struct Request {
    /// The message's kind in the kernel's words: `RTM_NEWLINK`.
    pub name: &'static str,
    /// What a person would type.
    pub command: String,
    pub message: Message,
}

/// A conversation with the kernel about one network namespace.
#[derive(Debug)]
pub struct Socket {
    pub(crate) socket: OwnedFd,
    pub(crate) sequence: u32,
    pub(crate) room: Vec<u8>,
    /// Datagrams sent.
    pub(crate) sent: u64,
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
        Ok(Socket { socket, sequence: 0, room: vec![0; ROOM], sent: 0, prefix: String::new() })
    }

    /// Says, for the record, how a person gets into this socket's namespace: `nsenter --net=/run/minidock/netns/…`.
    pub fn named(mut self, prefix: impl Into<String>) -> Socket {
        self.prefix = prefix.into();
        self
    }

    /// How many datagrams it has sent: what a conversation costs, for each is a system call, and a wait for the kernel's lock.
    pub fn datagrams(&self) -> u64 {
        self.sent
    }

    /// Sends one request and waits for its end. `command` is what a person would type; `name` the message's kind in the
    /// kernel's words. Gives back what the kernel told meanwhile (with `ECHO`: the object as it is now).
    ///
    /// # Errors
    /// The kernel's errno, with its own sentence among the arguments when it had one.
    #[track_caller]
    pub fn request(
        &mut self,
        name: &'static str,
        command: impl FnOnce() -> String,
        message: Message,
    ) -> Result<Vec<Vec<u8>>, CallFailed> {
        Ok(self.batch(vec![Request { name, command: command(), message }])?.pop().unwrap_or_default())
    }

    /// Sends several requests in one datagram and waits for the end of all; what was told about each. The kernel goes on after
    /// one that it refuses.
    ///
    /// # Errors
    /// The first refusal, as [`Socket::request`].
    #[track_caller]
    pub fn batch(&mut self, requests: Vec<Request>) -> Result<Vec<Vec<Vec<u8>>>, CallFailed> {
        let (mut datagram, mut shown) = (Vec::new(), Vec::new());
        let first = self.sequence.wrapping_add(1);
        for Request { name, command, mut message } in requests {
            self.sequence = self.sequence.wrapping_add(1);
            message.add_flags(wire::ACK);
            datagram.extend(message.finish(self.sequence));
            let space = if self.prefix.is_empty() { "" } else { " " };
            shown.push(vec![name.to_string(), format!("{}{space}{command}", self.prefix)]);
        }
        let count = shown.len();
        let mut open = (0..count).map(|_| Pending::default()).collect::<Vec<_>>();
        let (mut sent, mut refusal, mut told) = (false, None, Vec::new());
        for (n, shown) in shown.into_iter().enumerate() {
            let answer = action::call(
                "netlink",
                || shown,
                || {
                    if !std::mem::replace(&mut sent, true) {
                        self.sent += 1;
                        converse(&self.socket, &mut self.room, &datagram, first, &mut open)?;
                    }
                    match open[n].errno {
                        Some(0) => Ok(std::mem::take(&mut open[n].told)),
                        Some(errno) => Err(std::io::Error::from_raw_os_error(errno)),
                        None => Err(std::io::Error::from_raw_os_error(libc::ETIMEDOUT)),
                    }
                },
            );
            match answer {
                Ok(bodies) => told.push(bodies),
                Err(mut failed) => {
                    failed.args.extend(open[n].sentence.take().map(|words| format!("{words:?}")));
                    refusal.get_or_insert(failed);
                }
            }
        }
        refusal.map_or(Ok(told), Err)
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
        let mut attempt = || -> std::io::Result<Vec<Vec<u8>>> {
            (self.sequence, self.sent) = (self.sequence.wrapping_add(1), self.sent + 1);
            let mut open = [Pending::default()];
            converse(&self.socket, &mut self.room, &message.clone().finish(self.sequence), self.sequence, &mut open)?;
            match open[0].errno {
                Some(0) => Ok(std::mem::take(&mut open[0].told)),
                errno => Err(std::io::Error::from_raw_os_error(errno.unwrap_or(libc::ETIMEDOUT))),
            }
        };
        action::call(
            "netlink",
            || vec![name.to_string(), command()],
            || {
                let patchwork = |answer: &std::io::Result<_>| matches!(answer, Err(e) if e.raw_os_error() == Some(libc::EINTR));
                (1..PATIENCE).map(|_| attempt()).find(|answer| !patchwork(answer)).unwrap_or_else(attempt)
            },
        )
    }
}

/// What is known about one request so far.
#[derive(Default)]
struct Pending {
    told: Vec<Vec<u8>>,
    patchwork: bool,
    /// 0: done; EINTR for a dump: it was a patchwork.
    errno: Option<i32>,
    sentence: Option<String>,
}

/// Sends a datagram of requests numbered from `first` on, and reads until each has its end.
fn converse(socket: &OwnedFd, room: &mut [u8], datagram: &[u8], first: u32, open: &mut [Pending]) -> std::io::Result<()> {
    rustix::net::send(socket, datagram, SendFlags::empty())?;
    while open.iter().any(|request| request.errno.is_none()) {
        let (_, length) = rustix::net::recv(socket, &mut *room, RecvFlags::TRUNC)?;
        let answers = room.get(..length).ok_or(std::io::Error::from_raw_os_error(libc::EMSGSIZE))?;
        for answer in wire::messages(answers) {
            let Some(request) = open.get_mut(answer.sequence.wrapping_sub(first) as usize) else { continue };
            request.patchwork |= answer.flags & wire::INTERRUPTED != 0;
            match answer.kind {
                NLMSG_ERROR | NLMSG_DONE => {
                    let refusal = -(wire::u32_at(answer.body, 0).unwrap_or(0) as i32);
                    request.errno = Some(if refusal == 0 && request.patchwork { libc::EINTR } else { refusal });
                    request.sentence = words(&answer);
                }
                _ => request.told.push(answer.body.to_vec()),
            }
        }
    }
    Ok(())
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
