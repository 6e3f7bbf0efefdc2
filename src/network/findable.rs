//! # Findable: when an IPv6 address can be reached
//!
//! In IPv6 there is no ARP: who looks for fd00::2 sends his question to a *multicast group* made from the last three bytes of the address,
//! and whoever has the address has joined that group. The kernel adds an address at once but joins the group from a work queue,
//! a moment later; a question asked in that moment is lost, and asked again after a whole second.
//!
//! ```text
//!   fd00::2 on eth0 ──► joins ff02::1:ff00:2        /proc/net/igmp6:  3 eth0 ff0200000000000000000001ff000002 …
//! ```
//!
//! * [`wait`] looks into that table until the group is there; mostly it is at the first look.
//!
//! Laws: `/proc/thread-self/net` shows the namespace of the thread that looks; the wait has a limit, after which the second is lost.
//! See: RFC 4861 §7.2, RFC 4291 §2.7.1. Next room: [`crate::settings`]

use std::{
    fs,
    net::Ipv6Addr,
    thread,
    time::{Duration, Instant},
};

const PATIENCE: Duration = Duration::from_millis(200);

/// Waits until neighbours of this link, in the calling thread's namespace, can find this address.
pub(crate) fn wait(link: &str, address: Ipv6Addr) {
    let began = Instant::now();
    let group = group_of(address);
    while !fs::read_to_string("/proc/thread-self/net/igmp6").is_ok_and(|table| has_joined(&table, link, &group)) {
        if began.elapsed() > PATIENCE {
            return;
        }
        thread::sleep(Duration::from_micros(200));
    }
}

/// The group's address as the table writes it.
fn group_of(address: Ipv6Addr) -> String {
    let [.., a, b, c] = address.octets();
    format!("ff0200000000000000000001ff{a:02x}{b:02x}{c:02x}")
}

fn has_joined(table: &str, link: &str, group: &str) -> bool {
    table.lines().any(|line| {
        let mut words = line.split_ascii_whitespace().skip(1);
        (words.next(), words.next()) == (Some(link), Some(group))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_read_from_the_kernels_table() {
        let table = "1    lo              ff020000000000000000000000000001     1 0000000C 0\n\
                     3    eth0            ff0200000000000000000001ff000002     1 00000004 0\n";
        let group = group_of("fd00:9::2".parse().expect("an address"));
        assert!(has_joined(table, "eth0", &group) && !has_joined(table, "lo", &group) && !has_joined("", "eth0", &group));
    }
}
