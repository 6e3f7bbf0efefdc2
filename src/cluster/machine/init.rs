//! # Init: PID 1 of a node
//!
//! The first process of a PID namespace is not like others: when it ends, all end; orphans become its children; signals that it does not handle
//! do not reach it. So it does little, and that little for ever.
//!
//! ```text
//!   born ─► world ─► "plugged"? ─► eth0 ─► daemon ─► READY=1 ─► "ready" ─┐
//!                                                                        ▼
//!          SIGCHLD: bury        SIGUSR1: start the daemon, if it died    SIGTERM: shut down
//! ```
//!
//! * **Shut down**: the daemon first (its containers go on, and nobody starts them again), then SIGTERM to every program, a while to end
//!   ([`super::orders::GRACE`]), and when only minidock's own processes are left, or time is up, we leave: the kernel kills the rest.
//! * **A power cut** needs no code: SIGKILL from outside works even on PID 1.
//! * Signals are blocked and read from a descriptor: a blocked signal is kept even for PID 1, an unhandled one is dropped.
//!
//! Laws: one thread; a daemon that ends is not started again by itself: a cluster is there to show what then happens.
//! *See:* pid_namespaces(7), signal(7), sd_notify(3). Next room: [`crate::machine::enter`]

use super::{orders::GRACE, orders::Orders, step_aside, world};
use minidock_base::{Doing, Error, Result};
use minidock_linux::{
    fds, namespaces,
    netlink::{
        Family, Socket, address, link,
        route::{self, Route},
    },
    poll::{Poll, Want},
    signal::{self, Mask},
    wait,
};
use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::{IpAddr, Ipv4Addr},
    os::{
        fd::{AsFd, OwnedFd},
        linux::net::SocketAddrExt,
        unix::{
            fs::OpenOptionsExt,
            net::{SocketAddr, UnixDatagram},
        },
    },
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

/// Where the daemon says that it stands: a name in the node's own network namespace.
const NOTIFY: &str = "minidock-init";
/// How long programs may take to end when nobody says how long.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long the daemon may take.
const DAEMON_PATIENCE: Duration = Duration::from_secs(5);
/// How often the list of processes is looked at while the node shuts down.
const LOOK: Duration = Duration::from_millis(20);

const SIGUSR1: i32 = 10;
const SIGTERM: i32 = 15;
const SIGCHLD: i32 = 17;

/// PID 1.
struct Init<'a> {
    orders: &'a Orders,
    daemon: Option<i32>,
    signals: OwnedFd,
    notify: UnixDatagram,
}

/// Lives as PID 1. Gives back the status when the machine has shut down.
///
/// # Errors
/// The node could not be furnished, or its daemon did not come up: told to the hosting daemon as the last line, too.
pub fn live(orders: &Orders) -> Result<i32> {
    let begun = begin(orders);
    let mut init = match begun {
        Ok(init) => init,
        Err(error) => {
            tell(&format!("failed {}", serde_json::to_string(&error.to_wire()).unwrap_or_default()));
            return Err(error);
        }
    };
    tell("ready");
    // whoever started us may end: nobody waits for the other end of these
    if let Ok(null) = fds::dev_null() {
        let _ = fds::become_stdio(&null, &null, std::io::stderr());
    }
    init.watch()
}

/// One line to the hosting daemon; that it has gone is no reason to end.
fn tell(line: &str) {
    let mut out = std::io::stdout();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

fn begin(orders: &Orders) -> Result<Init<'_>> {
    let mask = Mask::of(&[SIGUSR1, SIGTERM, SIGCHLD]);
    signal::block(&mask).doing(|| "block signals")?;
    let signals = signal::descriptor(&mask).doing(|| "read signals from a descriptor")?;
    let _ = fs::write("/proc/self/comm", "minidock-node"); // only for who looks with ps
    namespaces::sethostname(&orders.name).doing(|| "name the node")?;
    world::furnish(orders)?;
    std::env::set_current_dir("/").doing(|| "change to the root directory")?;
    step_aside()?;
    let name = SocketAddr::from_abstract_name(NOTIFY).doing(|| "name a socket")?;
    let notify = UnixDatagram::bind_addr(&name).doing(|| "listen for the daemon's word")?;
    let mut line = String::new();
    BufReader::with_capacity(64, std::io::stdin()).read_line(&mut line).doing(|| "wait for the cable")?;
    if line.trim_end() != "plugged" {
        return Err(Error::system("the hosting daemon has gone").during("wait for the cable"));
    }
    network(orders)?;
    let mut init = Init { orders, daemon: None, signals, notify };
    init.start_daemon()?;
    init.until_ready()?;
    Ok(init)
}

/// Switches the links on and gives `eth0` its address.
fn network(orders: &Orders) -> Result<()> {
    let doing = || "set up the node's network";
    let mut socket = Socket::open(Family::Route).doing(doing)?;
    let eth0 = link::by_name(&mut socket, "eth0").doing(doing)?;
    let eth0 = eth0.ok_or_else(|| Error::system("there is no eth0").during(doing()))?.index;
    const LO: u32 = 1;
    let steps = vec![
        link::up(LO, "lo"),
        link::up(eth0, "eth0"),
        link::look("eth0"),
        address::adding(eth0, "eth0", IpAddr::V4(orders.address), orders.prefix),
    ];
    socket.batch(steps).doing(doing)?;
    if let Some(gateway) = orders.gateway {
        let everywhere = Route { to: (Ipv4Addr::UNSPECIFIED.into(), 0), via: Some(gateway.into()), index: Some(eth0) };
        route::replace(&mut socket, &everywhere, "eth0").doing(doing)?;
    }
    Ok(())
}

impl Init<'_> {
    fn start_daemon(&mut self) -> Result<()> {
        let log = Path::new(super::orders::DATA_ROOT).join("daemon.log");
        let doing = || "start the node's daemon";
        let log = fs::OpenOptions::new().create(true).append(true).mode(0o600).open(log).doing(doing)?;
        let child = Command::new("/proc/self/exe")
            .args(self.orders.daemon_words())
            .env_clear()
            .envs(self.orders.environment())
            .env_remove("MINIDOCK_HOST")
            .env_remove("DOCKER_HOST")
            .env("NOTIFY_SOCKET", format!("@{NOTIFY}"))
            .stdin(Stdio::null())
            .stdout(log.try_clone().doing(doing)?)
            .stderr(log)
            .spawn()
            .doing(doing)?;
        self.daemon = Some(child.id() as i32); // buried by number, with all others
        Ok(())
    }

    /// Until the daemon says that it stands, or ends.
    fn until_ready(&mut self) -> Result<()> {
        loop {
            self.wait(None)?;
            self.bury();
            if self.heard_ready() {
                return Ok(());
            }
            if self.daemon.is_none() {
                return Err(Error::system(last_words()).during("start the node's daemon"));
            }
        }
    }

    fn heard_ready(&self) -> bool {
        let mut said = [0u8; 256];
        let _ = self.notify.set_nonblocking(true);
        let mut ready = false;
        while let Ok(n) = self.notify.recv(&mut said) {
            ready |= said[..n].starts_with(b"READY=1");
        }
        ready
    }

    /// Sleeps until a signal or a word arrives; the signals that did.
    fn wait(&self, limit: Option<Duration>) -> Result<Vec<i32>> {
        let mut poll = Poll::with_capacity(2);
        poll.add(self.signals.as_fd(), Want::READ);
        poll.add(self.notify.as_fd(), Want::READ);
        poll.wait(limit).doing(|| "wait for signals")?;
        let mut signals = Vec::new();
        while let Some(signal) = signal::next(&self.signals) {
            signals.push(signal);
        }
        Ok(signals)
    }

    fn bury(&mut self) {
        while let Some(ended) = wait::wait_any() {
            if self.daemon == Some(ended.pid) {
                self.daemon = None;
            }
        }
    }

    /// For ever, or until SIGTERM.
    fn watch(&mut self) -> Result<i32> {
        loop {
            let signals = self.wait(None)?;
            self.bury();
            self.heard_ready();
            if signals.contains(&SIGTERM) {
                self.shut_down()?;
                return Ok(0);
            }
            if signals.contains(&SIGUSR1)
                && self.daemon.is_none()
                && let Err(error) = self.start_daemon()
            {
                eprintln!("minidock: {error}");
            }
        }
    }

    /// The daemon, then the programs, then nobody.
    fn shut_down(&mut self) -> Result<()> {
        if let Some(daemon) = self.daemon {
            let _ = signal::kill(daemon, SIGTERM); // it may have ended just now
        }
        let until = Instant::now() + DAEMON_PATIENCE;
        while self.daemon.is_some() && Instant::now() < until {
            self.wait(Some(LOOK))?;
            self.bury();
        }
        let grace = fs::read_to_string(Path::new(super::orders::EXEC_ROOT).join(GRACE)).ok();
        let grace = grace.and_then(|text| text.trim().parse().ok()).map_or(PATIENCE, Duration::from_secs);
        for pid in programs() {
            let _ = signal::kill(pid, SIGTERM); // it may have ended just now
        }
        let until = Instant::now() + grace;
        while !programs().is_empty() && Instant::now() < until {
            self.wait(Some(LOOK))?;
            self.bury();
        }
        Ok(())
    }
}

/// All processes of the node that are not minidock's own.
fn programs() -> Vec<i32> {
    let pids = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let own = |pid: &i32| {
        let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        // a zombie waits for its parent, not for us
        name.is_empty()
            || name.starts_with("minidock")
            || fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.is_empty())
    };
    pids.filter(|pid| *pid != 1 && !own(pid)).collect()
}

/// The last lines of the daemon's log.
fn last_words() -> String {
    let log = fs::read_to_string(Path::new(super::orders::DATA_ROOT).join("daemon.log")).unwrap_or_default();
    let lines: Vec<&str> = log.lines().rev().take(4).collect();
    match lines.is_empty() {
        true => "it ended without a word".into(),
        false => format!("it ended, and its log says: {}", lines.into_iter().rev().collect::<Vec<_>>().join(" · ")),
    }
}
