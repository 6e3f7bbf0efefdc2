//! # Batch: all of it, or nothing
//!
//! A firewall that is half changed is a hole. nf_tables takes a list of changes between two brackets, prepares all of
//! them, and then makes all of them visible to packets in one instant; if one is refused, none has happened.
//!
//! ```text
//!   sendto:  BATCH_BEGIN · add table · delete table · add table · add chain … · add element …  · BATCH_END
//!   recv:    NLMSG_ERROR 0  for the last command (it alone asked for an answer)         applied
//!            NLMSG_ERROR -ENOENT for each that was refused, by its number               nothing happened
//! ```
//!
//! * [`apply`] sends, reads the answers and records the whole as one action `nft`, each command an argument, so that a person
//!   can feed the same lines to `nft -f -`.
//! * [`Refused`] tells *which* commands were refused and why. Who deletes what may be gone already takes those out and asks
//!   again (kernels before 6.3 know no "delete if it is there").
//!
//! Laws: the kernel works inside `sendto`, so when it returns all answers lie in the socket's buffer: we never wait. Nothing is
//! left in that buffer for the next transaction to misread.
//! See: `net/netfilter/nfnetlink.c`, `nfnetlink_rcv_batch`. Next room: [`mod@crate::netfilter::read`]

use super::{NFTABLES, command::Command};
use crate::{
    action,
    errno::CallFailed,
    netlink::{
        socket::{self, Socket},
        wire::{self, ACK, Message},
    },
};
use rustix::net::{RecvFlags, SendFlags, sockopt};
use std::{cell::RefCell, io};

const BATCH_BEGIN: u16 = 16;
const BATCH_END: u16 = 17;
const NLMSG_ERROR: u16 = 2;
/// A longer batch needs more room in the socket than it has by itself.
const ROOMY: usize = 96 * 1024;

/// A transaction that did not happen.
#[derive(Clone, Debug)]
pub struct Refused {
    pub cause: CallFailed,
    /// The commands that were refused, by their index, and the errno of each; empty when it was the transaction as a whole.
    pub commands: Vec<(usize, i32)>,
}

impl Refused {
    /// Whether these were all deletions of what is not there.
    pub fn only_missing(&self) -> bool {
        !self.commands.is_empty() && self.commands.iter().all(|(_, errno)| *errno == libc::ENOENT)
    }
}

/// Applies the commands as one transaction.
///
/// # Errors
/// [`Refused`]: nothing has changed; the first refused command and the kernel's sentence are among its arguments.
#[track_caller]
pub fn apply(socket: &mut Socket, commands: &[Command]) -> Result<(), Refused> {
    if commands.is_empty() {
        return Ok(());
    }
    let answers = RefCell::new(Answers::default());
    let shown = || {
        let answers = answers.borrow();
        match answers.refused.first() {
            Some((index, _)) => {
                let sentence = answers.sentence.iter().map(|words| format!("{words:?}"));
                commands.get(*index).map(Command::to_string).into_iter().chain(sentence).collect()
            }
            None => commands.iter().map(Command::to_string).collect(),
        }
    };
    let done = action::call("nft", shown, || transact(socket, commands, &mut answers.borrow_mut()));
    done.map_err(|cause| Refused { cause, commands: answers.into_inner().refused })
}

/// Applies deletions, leaving out what is gone already.
///
/// # Errors
/// As [`apply`], for any other reason.
#[track_caller]
pub fn apply_deletions(socket: &mut Socket, mut commands: Vec<Command>) -> Result<(), Refused> {
    loop {
        match apply(socket, &commands) {
            Err(refused) if refused.only_missing() => {
                let mut at = 0;
                commands.retain(|_| {
                    at += 1;
                    !refused.commands.iter().any(|(gone, _)| *gone == at - 1)
                });
            }
            other => return other,
        }
    }
}

#[derive(Default)]
struct Answers {
    refused: Vec<(usize, i32)>,
    sentence: Option<String>,
}

fn transact(socket: &mut Socket, commands: &[Command], answers: &mut Answers) -> io::Result<()> {
    let begin = socket.sequence.wrapping_add(1);
    let mut bytes = bracket(BATCH_BEGIN).finish(begin);
    let mut sequence = begin;
    // whose each number is, for the answers
    let mut owners = Vec::new();
    for (index, command) in commands.iter().enumerate() {
        let messages = command.messages(index as u32);
        let count = messages.len();
        for (at, mut message) in messages.into_iter().enumerate() {
            sequence = sequence.wrapping_add(1);
            owners.push(index);
            if index + 1 == commands.len() && at + 1 == count {
                message.add_flags(ACK);
            }
            bytes.extend(message.finish(sequence));
        }
    }
    let last = sequence;
    socket.sequence = sequence.wrapping_add(1);
    bytes.extend(bracket(BATCH_END).finish(socket.sequence));
    make_room(socket, bytes.len());
    socket.sent += 1;
    rustix::net::send(&socket.socket, &bytes, SendFlags::empty())?;
    read_answers(socket, (begin, last), &owners, answers)
}

/// Reads all that the kernel answered.
fn read_answers(socket: &mut Socket, (begin, last): (u32, u32), owners: &[usize], answers: &mut Answers) -> io::Result<()> {
    let (mut whole, mut acknowledged) = (None, false);
    loop {
        let length = match rustix::net::recv(&socket.socket, &mut *socket.room, RecvFlags::DONTWAIT) {
            Ok((length, _)) => length,
            Err(rustix::io::Errno::AGAIN) => break,
            Err(errno) => return Err(errno.into()),
        };
        let datagram = socket.room.get(..length).unwrap_or_default();
        for answer in wire::messages(datagram).filter(|a| a.kind == NLMSG_ERROR) {
            let errno = -(wire::u32_at(answer.body, 0).unwrap_or(0) as i32);
            let number = answer.sequence.wrapping_sub(begin);
            match (number as usize).checked_sub(1).and_then(|at| owners.get(at)) {
                None if number == 0 && errno != 0 => whole = Some(errno),
                None => {}
                Some(_) if errno == 0 => acknowledged |= answer.sequence == last,
                Some(index) => {
                    answers.sentence = answers.sentence.take().or_else(|| socket::words(&answer));
                    answers.refused.push((*index, errno));
                }
            }
        }
    }
    match (answers.refused.first(), whole) {
        (Some((_, errno)), _) => Err(io::Error::from_raw_os_error(*errno)),
        (None, Some(errno)) => Err(io::Error::from_raw_os_error(errno)),
        (None, None) if acknowledged => Ok(()),
        (None, None) => Err(io::Error::from_raw_os_error(libc::EPROTO)),
    }
}

fn bracket(kind: u16) -> Message {
    let mut message = Message::new(kind, 0);
    // the family does not matter; the subsystem, in the network's order, does
    message.raw(&[0, 0, 0, NFTABLES as u8]);
    message
}

/// A thousand ports in one transaction do not fit into the usual 200 KiB. Forced, where we may; else as far as the limit goes.
fn make_room(socket: &Socket, length: usize) {
    if length > ROOMY && sockopt::set_socket_send_buffer_size_force(&socket.socket, length * 2).is_err() {
        let _as_far_as_the_limit_goes = sockopt::set_socket_send_buffer_size(&socket.socket, length * 2);
    }
}
