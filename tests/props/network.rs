//! # Network props: servers, visitors, neighbours, and the state of a namespace
//!
//! What a network test needs around the daemon: a page served in a container, somebody who fetches it from here, from another
//! container or from another machine, and a picture of everything the kernel knows of a namespace, to be compared with a later one.
//!
//! ```text
//!   neighbour's namespace          daemon's namespace                     container
//!   192.0.2.2 ── up1 ═══ up0 ── 192.0.2.1 … minidock0 ═══ veth… ═══ eth0 ── 172.17.0.2
//!   (another machine)              ("the host")
//! ```
//!
//! The oracles are programs we did not write: iproute2, nftables, curl, busybox.

#![allow(dead_code)] // each test takes what it needs of the props

use crate::props::{Daemon, Printed, finish, home::Home, wait_for};
use serde_json::Value;
use std::process::{Child, Command, Stdio};

/// What a program printed as JSON inside the daemon's namespace.
#[track_caller]
pub fn json(daemon: &Daemon, words: &[&str]) -> Value {
    let text = daemon.inside(words).ok();
    let text = if text.trim().is_empty() { "[]" } else { &text };
    serde_json::from_str(text).unwrap_or_else(|e| panic!("{words:?} printed no JSON ({e}): {text}"))
}

/// A link of the daemon's namespace, as `ip -j -d addr` shows it.
pub fn link(daemon: &Daemon, name: &str) -> Option<Value> {
    json(daemon, &["ip", "-j", "-d", "addr"]).as_array()?.iter().find(|link| link["ifname"] == name).cloned()
}

/// The links that are ports of a bridge.
pub fn ports_of(daemon: &Daemon, bridge: &str) -> Vec<String> {
    let links = json(daemon, &["ip", "-j", "link", "show", "master", bridge]);
    links.as_array().into_iter().flatten().filter_map(|link| link["ifname"].as_str().map(str::to_string)).collect()
}

/// Whether some link of the daemon's namespace begins with `prefix`.
pub fn links_like(daemon: &Daemon, prefix: &str) -> Vec<String> {
    let links = json(daemon, &["ip", "-j", "link"]);
    let names = links.as_array().into_iter().flatten().filter_map(|link| link["ifname"].as_str().map(str::to_string));
    names.filter(|name| name.starts_with(prefix)).collect()
}

/// Starts a container that serves `page` on port 80.
#[track_caller]
pub fn serve(daemon: &Daemon, name: &str, flags: &[&str], page: &str) -> String {
    serve_at(daemon, name, flags, page, 80)
}

/// The same on another port; comes back when it listens.
#[track_caller]
pub fn serve_at(daemon: &Daemon, name: &str, flags: &[&str], page: &str, port: u16) -> String {
    let script = format!("mkdir -p /www && echo {page} > /www/index.html && exec httpd -f -p {port} -h /www");
    let words = [&["run", "-d", "--name", name], flags, &["alpine", "sh", "-c", &script]].concat();
    let id = daemon.ok(&words);
    await_listener(daemon, name, port);
    id
}

/// Waits until something in a container listens on a TCP port.
#[track_caller]
pub fn await_listener(daemon: &Daemon, container: &str, port: u16) {
    let wanted = format!(":{port:04X} ");
    wait_for(&format!("a listener on port {port} in {container}"), || {
        let tables = daemon.run(&["exec", container, "cat", "/proc/net/tcp", "/proc/net/tcp6"]).out;
        tables.lines().any(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            fields.len() > 3 && fields[3] == "0A" && format!("{} ", fields[1]).ends_with(&wanted)
        })
    });
}

/// Fetches a page from the daemon's namespace; `None` if it cannot be had within two seconds.
pub fn fetch(daemon: &Daemon, url: &str) -> Option<String> {
    page(daemon.inside(&["curl", "-s", "-f", "-g", "--max-time", "2", url]))
}

/// Fetches a page from inside a container.
pub fn fetch_in(daemon: &Daemon, container: &str, url: &str) -> Option<String> {
    // timeout(1) and not wget -T: the latter crashes in Debian's static busybox
    page(daemon.run(&["exec", container, "timeout", "3", "wget", "-q", "-O", "-", url]))
}

fn page(printed: Printed) -> Option<String> {
    (printed.status == 0).then(|| printed.out.trim().to_string())
}

/// A container's address on a network.
#[track_caller]
pub fn address(daemon: &Daemon, container: &str, network: &str) -> String {
    daemon.inspect(container, &format!("{{{{(index .NetworkSettings.Networks {network:?}).IPAddress}}}}"))
}

/// Another machine: a namespace beside the daemon's, joined by a cable.
pub struct Neighbour {
    home: Home,
    keeper: Child,
}

impl Neighbour {
    /// The daemon's end is 192.0.2.1, the neighbour's 192.0.2.2; neither knows a way further.
    pub fn of(daemon: &Daemon) -> Neighbour {
        let home = Home::make();
        let keeper = home.enter(|| Command::new("sleep").arg("infinity").stdin(Stdio::null()).spawn()).expect("sleep(1)");
        let neighbour = Neighbour { home, keeper };
        let there = neighbour.keeper.id().to_string();
        daemon.inside(&["ip", "link", "add", "up0", "type", "veth", "peer", "name", "up1", "netns", &there]).ok();
        daemon.inside(&["ip", "addr", "add", "192.0.2.1/24", "dev", "up0"]).ok();
        daemon.inside(&["ip", "link", "set", "up0", "up"]).ok();
        neighbour.run(&["ip", "addr", "add", "192.0.2.2/24", "dev", "up1"]).ok();
        neighbour.run(&["ip", "link", "set", "up1", "up"]).ok();
        neighbour
    }

    /// Runs a program on the neighbour's machine.
    pub fn run(&self, words: &[&str]) -> Printed {
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).stdin(Stdio::null());
        self.home.enter(|| finish(command))
    }

    /// Starts a program there that goes on.
    pub fn start(&self, words: &[&str]) -> Running {
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Running(self.home.enter(|| command.spawn()).expect("a program"))
    }

    /// Fetches a page from there.
    pub fn fetch(&self, url: &str) -> Option<String> {
        page(self.run(&["curl", "-s", "-f", "-g", "--max-time", "2", url]))
    }
}

impl Drop for Neighbour {
    fn drop(&mut self) {
        let _ = self.keeper.kill();
        let _ = self.keeper.wait();
    }
}

/// A program that goes on until it is let go.
pub struct Running(pub Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts a program in the daemon's namespace that goes on.
pub fn start_inside(daemon: &Daemon, words: &[&str]) -> Running {
    let mut command = Command::new(words[0]);
    command.args(&words[1..]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    Running(daemon.home.enter(|| command.spawn()).expect("a program"))
}

/// Everything the kernel says of the namespace that a daemon could have changed, as lines.
pub fn picture(daemon: &Daemon) -> Vec<String> {
    let mut lines = Vec::new();
    for words in [
        &["ip", "-o", "link"][..],
        &["ip", "-o", "addr"],
        &["ip", "route", "show", "table", "all"],
        &["ip", "-6", "route", "show", "table", "all"],
        &["ip", "rule"],
        &["ip", "neigh"],
        &["nft", "list", "ruleset"],
        &["sysctl", "-a", "--pattern", "^net[.](ipv4[.]ip_forward|ipv4[.]conf|ipv6[.]conf|bridge|netfilter)"],
    ] {
        let printed = daemon.inside(words).out;
        lines.extend(printed.lines().filter(|line| !is_fleeting(line)).map(|line| format!("{}: {line}", words[0])));
    }
    lines
}

/// Counters and times go on by themselves.
fn is_fleeting(line: &str) -> bool {
    line.contains("nf_conntrack_count") || line.contains("stable_secret")
}

/// What is in one picture and not in the other; empty if nothing has changed.
pub fn changes(before: &[String], after: &[String]) -> Vec<String> {
    let gone = before.iter().filter(|line| !after.contains(line)).map(|line| format!("- {line}"));
    gone.chain(after.iter().filter(|line| !before.contains(line)).map(|line| format!("+ {line}"))).collect()
}
