//! # The rig: homes, networks and members for claims about the kernel
//!
//! Each claim is made in a network namespace of its own that plays the daemon's home; the oracle is iproute2, not our reader.

#![allow(dead_code, unused_imports)] // each test binary uses its own part

#[path = "../bridges/mod.rs"]
mod bridges;

pub use bridges::network;
use minidock_network::{
    home::Home,
    model::{Bridge, Endpoint, Mac},
    sandbox::Sandbox,
};
use serde_json::Value;
use std::{
    io::ErrorKind,
    net::{Ipv4Addr, SocketAddr, TcpStream},
    path::PathBuf,
    process::Command,
    time::Duration,
};
use tempfile::TempDir;

pub const BLOCK: (&str, &str) = ("172.30.0.0/16", "172.30.0.1");

/// Runs a claim in a fresh network namespace (on its own thread), with a folder for pins; says SKIP without root.
pub fn at_home(claim: impl FnOnce(&Home, &TempDir) + Send) {
    let folder = tempfile::tempdir().expect("a folder");
    let at_home = Sandbox::create(&folder.path().join("home"));
    let stage = match at_home {
        Err(e) if e.message().contains("EPERM") => return println!("SKIP: needs root ({e})"),
        other => other.expect("a namespace"),
    };
    // what was made in here, sandboxes included, must not outlive a claim that failed
    let done = stage
        .visit(|| std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| claim(&Home::open().expect("a socket"), &folder))));
    for entry in std::fs::read_dir(folder.path()).expect("our folder").flatten() {
        Sandbox::remove(&entry.path()).expect("ours to remove");
    }
    if let Err(panic) = done.expect("root may visit") {
        std::panic::resume_unwind(panic);
    }
}

pub fn run(program: &str, args: &[&str]) -> (bool, String) {
    let done = Command::new(program).args(args).output().expect("iproute2 and friends");
    (done.status.success(), String::from_utf8_lossy(&done.stdout).into_owned() + &String::from_utf8_lossy(&done.stderr))
}

pub fn ask(program: &str, args: &[&str]) -> Value {
    let (fine, text) = run(program, args);
    assert!(fine, "{program} {args:?}: {text}");
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{program} {args:?}: {e}: {text}"))
}

pub fn inside(sandbox: &Sandbox, args: &[&str]) -> Value {
    let net = format!("--net={}", sandbox.place().display());
    ask("nsenter", &[&[net.as_str(), "ip", "-j", "-d"], args].concat())
}

pub fn endpoint(number: u8, inside: &str) -> Endpoint {
    let v4 = Ipv4Addr::new(172, 30, 0, number);
    Endpoint {
        id: format!("{number:064x}"),
        network_id: "n".repeat(64),
        host_link: format!("veth{number:07x}"),
        inside: inside.into(),
        mac: Mac::of(v4),
        v4: Some((v4, 16)),
        v6: None,
        gateway_v4: Some(Ipv4Addr::new(172, 30, 0, 1)),
        gateway_v6: None,
    }
}

pub fn member(home: &Home, folder: &TempDir, bridge: &Bridge, endpoint: &Endpoint) -> Sandbox {
    let pin: PathBuf = folder.path().join(&endpoint.host_link);
    let sandbox = Sandbox::create(&pin).expect("a sandbox");
    sandbox.plug(home, bridge, endpoint).expect("plugged");
    sandbox.set_default_routes(endpoint.gateway_v4, endpoint.gateway_v6).expect("a way out");
    sandbox
}

/// Whether the stack that has `address` answers, asked from this sandbox (`None`: from home): a closed port says so as well.
pub fn answers(from: Option<&Sandbox>, address: &str) -> bool {
    let knock = || {
        let to = SocketAddr::new(address.parse().expect("an address"), 9);
        match TcpStream::connect_timeout(&to, Duration::from_secs(1)) {
            Ok(_) => true,
            Err(e) => e.kind() == ErrorKind::ConnectionRefused,
        }
    };
    match from {
        Some(sandbox) => sandbox.visit(knock).expect("root may visit"),
        None => knock(),
    }
}
