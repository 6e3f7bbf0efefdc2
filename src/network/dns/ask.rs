//! # Ask: one question, as a program in the container would put it
//!
//! To find out what a name means *to a container*, one must ask in its place: from its network namespace, the server that its
//! `resolv.conf` names. This room puts one question by UDP and waits for one answer, no more: it is for `minidock why`, not for
//! resolving.
//!
//! * Call it inside the sandbox ([`crate::sandbox::Sandbox::visit`]).
//!
//! See: RFC 1035 §4.1. Next room: [`crate::listening`]

use hickory_proto::{
    op::{Message, Query, ResponseCode},
    rr::{Name, RData, RecordType},
};
use std::{
    io,
    net::{IpAddr, SocketAddr, UdpSocket},
    time::{Duration, Instant},
};

/// The addresses of a name, of one family, as this server has them; none when it knows no such name.
///
/// # Errors
/// No answer within the limit; a port at which nobody listens; a name no question can hold.
pub fn ask(server: SocketAddr, name: &str, v6: bool, limit: Duration) -> io::Result<Vec<IpAddr>> {
    let odd = |e: &dyn std::fmt::Display| io::Error::new(io::ErrorKind::InvalidInput, e.to_string());
    let mut name = Name::from_utf8(name).map_err(|e| odd(&e))?;
    name.set_fqdn(true);
    let kind = if v6 { RecordType::AAAA } else { RecordType::A };
    let mut question = Message::query();
    question.metadata.recursion_desired = true;
    question.add_query(Query::query(name, kind));
    let id = question.metadata.id;
    let packet = question.to_vec().map_err(|e| odd(&e))?;

    let any: SocketAddr = if server.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { ([0u16; 8], 0).into() };
    let socket = UdpSocket::bind(any)?;
    socket.connect(server)?;
    socket.send(&packet)?;
    let deadline = Instant::now() + limit;
    let mut room = [0; 4096];
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        socket.set_read_timeout(Some(left))?;
        let length = match socket.recv(&mut room) {
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Err(io::ErrorKind::TimedOut.into()),
            other => other?,
        };
        let Ok(answer) = Message::from_vec(&room[..length]) else { continue };
        if answer.metadata.id != id {
            continue;
        }
        return match answer.metadata.response_code {
            ResponseCode::NoError | ResponseCode::NXDomain => {
                Ok(answer.answers.iter().filter_map(|r| address(&r.data)).collect())
            }
            other => Err(io::Error::other(format!("it answered {other}"))),
        };
    }
}

fn address(data: &RData) -> Option<IpAddr> {
    match data {
        RData::A(a) => Some(IpAddr::V4(a.0)),
        RData::AAAA(aaaa) => Some(IpAddr::V6(aaaa.0)),
        _ => None,
    }
}
