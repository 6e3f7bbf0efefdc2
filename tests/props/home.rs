//! # Home: a network namespace of a test's own
//!
//! A daemon makes bridges, addresses and firewall rules in the network namespace it lives in. Every test daemon gets a fresh one, so
//! that no test touches the machine's network, two tests can publish the same port, and what was left behind can be counted.
//!
//! ```text
//!   the test ──► Home ──► a network namespace: lo, and what the daemon makes: minidock0, veth…, nft tables
//!      │ unix socket        ▲ daemon        ▲ inside(["ip", "-j", "addr"])
//!      └────────────────────┘               └ oracles we did not write
//! ```
//!
//! * The namespace is held by a descriptor: it outlives a killed daemon, and goes when the test has let go of it and its
//!   containers are gone.
//! * A program is started in it by a thread that has entered it; a child inherits the namespaces of the thread that made it.
//!
//! Laws: a thread that has entered a namespace ends there; it is never used for anything else. `/sys` is still the machine's: ask
//! netlink (`ip -j`), not `/sys/class/net`.
//! *See:* network_namespaces(7), setns(2).

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::{
    fs::File,
    io::{BufRead, BufReader},
    os::fd::AsFd,
    process::{Command, Stdio},
};

/// A network namespace with its loopback up.
pub struct Home {
    namespace: File,
}

impl Home {
    /// Makes one. The program that made it ends at once; the descriptor keeps it.
    pub fn make() -> Home {
        let mut maker = Command::new("unshare")
            .args(["--net", "sh", "-c", "ip link set lo up && echo up && read -r _"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("unshare(1)");
        let mut line = String::new();
        BufReader::new(maker.stdout.take().expect("piped")).read_line(&mut line).expect("a line");
        assert_eq!(line, "up\n", "a network namespace needs root");
        let namespace = File::open(format!("/proc/{}/ns/net", maker.id())).expect("its namespace");
        drop(maker.stdin.take());
        maker.wait().expect("our own child");
        Home { namespace }
    }

    /// Does something on a thread that lives in this namespace: processes it starts live there too.
    pub fn enter<T: Send>(&self, what: impl FnOnce() -> T + Send) -> T {
        let visit = || {
            move_into_link_name_space(self.namespace.as_fd(), Some(LinkNameSpaceType::Network)).expect("setns(2)");
            what()
        };
        std::thread::scope(|scope| scope.spawn(visit).join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    }
}
