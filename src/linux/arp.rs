//! # ARP: telling everybody who one is
//!
//! A stack that wants to send to 172.17.0.2 asks its segment who has that address, and believes the answer for half a minute.
//! If the address moves to a station with another MAC meanwhile, packets go to nobody. The newcomer can help: it *announces* itself, with a
//! question about its own address that nobody needs to answer and everybody hears.
//!
//! ```text
//!   ff:ff:ff:ff:ff:ff ◄── who has 172.17.0.2? tell 172.17.0.2 at 92:d0:c6:0a:29:33
//! ```
//!
//! * [`announce`] sends one such frame over a packet socket, which takes the link layer's payload as it is.
//!
//! See: RFC 826, RFC 5227 §2.3, packet(7). Next room: [`crate::netlink`]

use crate::{action, errno::CallFailed};
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use std::{
    net::Ipv4Addr,
    os::fd::{AsRawFd, OwnedFd},
};

const BROADCAST: [u8; 6] = [0xff; 6];

/// The payload: Ethernet and IPv4, a request, sender and target the same address.
fn announcement(mac: [u8; 6], address: Ipv4Addr) -> [u8; 28] {
    let mut payload = [0; 28];
    payload[..8].copy_from_slice(&[0, 1, 8, 0, 6, 4, 0, 1]);
    payload[8..14].copy_from_slice(&mac);
    payload[14..18].copy_from_slice(&address.octets());
    payload[24..28].copy_from_slice(&address.octets());
    payload
}

/// Says on the link of this number (and name), in the namespace of the calling thread, that `address` is at `mac`.
///
/// # Errors
/// EPERM without CAP_NET_RAW; ENETDOWN or ENXIO when the link is down or gone.
#[track_caller]
pub fn announce(index: u32, name: &str, mac: [u8; 6], address: Ipv4Addr) -> Result<(), CallFailed> {
    let shown = || vec![name.to_string(), format!("ARP who has {address} tell {address} at {}", crate::netlink::mac(&mac))];
    action::call("sendto", shown, || {
        let socket: OwnedFd = rustix::net::socket_with(AddressFamily::PACKET, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
        let payload = announcement(mac, address);
        // SAFETY: sockaddr_ll is plain integers, for which all zeros is a value.
        let mut to: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
        to.sll_family = libc::AF_PACKET as u16;
        to.sll_protocol = (libc::ETH_P_ARP as u16).to_be();
        to.sll_ifindex = index as i32;
        to.sll_halen = 6;
        to.sll_addr[..6].copy_from_slice(&BROADCAST);
        // SAFETY: payload and address are ours, live through the call, and are given with their own lengths.
        let sent = unsafe {
            libc::sendto(
                socket.as_raw_fd(),
                payload.as_ptr().cast(),
                payload.len(),
                0,
                (&raw const to).cast(),
                size_of::<libc::sockaddr_ll>() as libc::socklen_t,
            )
        };
        if sent < 0 { Err(std::io::Error::last_os_error()) } else { Ok(()) }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_announcement_is_a_question_about_oneself() {
        let payload = announcement([2, 0, 0, 0, 0, 7], Ipv4Addr::new(172, 17, 0, 2));
        let words = [0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 7, 172, 17, 0, 2, 0, 0, 0, 0, 0, 0, 172, 17, 0, 2];
        assert_eq!(payload, words);
    }
}
