//! # The world of a firewall's claims
//!
//! ```text
//!   neighbour 192.0.2.9 ── out 192.0.2.1 [ home: bridges, our table ] br-one 172.30.0.1 ── sandboxes 172.30.0.2, …
//! ```
//!
//! All of them are network namespaces of the test. Servers answer with the address they see their client under.

#[path = "../bridges/mod.rs"]
mod bridges;

pub use bridges::network;
use minidock_network::{
    bridge,
    home::Home,
    model::{Bridge, Endpoint, Mac, Protocol, Published},
    nft::{ruleset::Ruleset, table::Table},
    sandbox::{self, Sandbox},
};
use std::{
    io::{Read, Write},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    path::PathBuf,
    process::Command,
    time::Duration,
};

/// How long a dropped packet is waited for.
pub const PATIENCE: Duration = Duration::from_millis(700);

/// The stage of a claim.
pub struct World {
    pub home: Home,
    pub table: Table,
    pub folder: PathBuf,
    pub neighbour: Sandbox,
}

/// Runs a claim on its own stage, once without and once with br_netfilter; says SKIP without root.
pub fn in_a_world(claim: impl Fn(&World) + Send + Sync) {
    for switched in ["0", "1"] {
        let folder = tempfile::tempdir().expect("a folder");
        let pins = folder.path().to_path_buf();
        let stage = match Sandbox::create(&pins.join("home")) {
            Err(e) if e.message().contains("EPERM") => return println!("SKIP: needs root ({e})"),
            other => other.expect("a namespace"),
        };
        let play = || {
            for knob in ["iptables", "ip6tables"] {
                let _no_module = std::fs::write(format!("/proc/sys/net/bridge/bridge-nf-call-{knob}"), switched);
            }
            for knob in ["net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding"] {
                std::fs::write(format!("/proc/sys/{knob}"), "1").expect("our own namespace");
            }
            let neighbour = Sandbox::create(&pins.join("neighbour")).expect("a namespace");
            sh("ip link add out type veth peer name eth0");
            sh("ip link set out up; ip addr add 192.0.2.1/24 dev out");
            sh(&format!("ip link set eth0 netns {}", neighbour.place().display()));
            there(&neighbour, "ip link set eth0 up; ip addr add 192.0.2.9/24 dev eth0");
            let (home, table) = (Home::open().expect("a socket"), Table::open().expect("nf_tables"));
            table.replace(&Ruleset::default()).expect("a table");
            claim(&World { home, table, folder: pins.clone(), neighbour });
        };
        let done = stage.visit(|| std::panic::catch_unwind(std::panic::AssertUnwindSafe(play)));
        for pin in std::fs::read_dir(&pins).expect("our folder").flatten() {
            Sandbox::remove(&pin.path()).expect("ours to remove");
        }
        if let Err(panic) = done.expect("root may visit") {
            eprintln!("with bridge-nf-call-iptables = {switched}");
            std::panic::resume_unwind(panic);
        }
    }
}

#[track_caller]
pub fn sh(line: &str) {
    let done = Command::new("sh").args(["-ec", line]).output().expect("a shell");
    assert!(done.status.success(), "{line}: {}", String::from_utf8_lossy(&done.stderr));
}

#[track_caller]
pub fn there(sandbox: &Sandbox, line: &str) {
    sh(&format!("nsenter --net={} sh -ec '{line}'", sandbox.place().display()));
}

impl World {
    /// A network 172.N.0.0/16.
    pub fn network(&self, link: &str, n: u8, change: impl FnOnce(&mut Bridge)) -> Bridge {
        let mut net = network(link, &[(&format!("172.{n}.0.0/16"), &format!("172.{n}.0.1"))]);
        change(&mut net);
        bridge::ensure(&self.home, &net).expect("a bridge");
        self.table.add_bridge(&net).expect("a firewall for it");
        net
    }

    /// A sandbox on it, whose last octet is `m`, with a way out.
    pub fn member(&self, net: &Bridge, m: u8) -> Sandbox {
        let IpAddr::V4(gateway) = net.subnets[0].gateway.expect("a gateway") else { panic!("IPv4 comes first") };
        let [a, b, ..] = gateway.octets();
        let v4 = Ipv4Addr::new(a, b, 0, m);
        let v6 = net.subnets.get(1).map(|s| match s.subnet.nth(m.into()) {
            Some(IpAddr::V6(v6)) => (v6, s.subnet.prefix()),
            _ => panic!("IPv6 comes second"),
        });
        let gateway_v6 = net.subnets.get(1).and_then(|s| match s.gateway {
            Some(IpAddr::V6(v6)) => Some(v6),
            _ => None,
        });
        let endpoint = Endpoint {
            id: format!("{b:032x}{m:032x}"),
            network_id: net.network_id.clone(),
            host_link: format!("veth{b:x}x{m:x}"),
            inside: "eth0".into(),
            mac: Mac::of(v4),
            v4: Some((v4, 16)),
            v6,
            gateway_v4: Some(gateway),
            gateway_v6,
        };
        let sandbox = Sandbox::create(&self.folder.join(&endpoint.host_link)).expect("a sandbox");
        sandbox.plug(&self.home, net, &endpoint).expect("plugged");
        sandbox::allow_hairpin(&self.home, &endpoint).expect("may call itself");
        let gateways = if net.internal { (None, None) } else { (Some(gateway), gateway_v6) };
        sandbox.set_default_routes(gateways.0, gateways.1).expect("a way out");
        sandbox
    }

    pub fn publish(&self, protocol: Protocol, host: &str, port: u16, target: &str) -> Published {
        let (host, target): (IpAddr, SocketAddr) = (host.parse().expect("an address"), target.parse().expect("an address"));
        let published = Published {
            endpoint_id: "e".into(),
            protocol,
            host: (host, port),
            target: (target.ip(), target.port()),
            bridge: "br-one".into(),
        };
        self.table.publish(std::slice::from_ref(&published)).expect("published");
        published
    }
}

/// A server, TCP and UDP, that answers with the address of whoever asks; it lives as long as the test's process.
pub fn serve(at: Option<&Sandbox>, port: u16) {
    let bind = || {
        let any = SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), port);
        let v4 = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port);
        let tcp = TcpListener::bind(any).or_else(|_| TcpListener::bind(v4)).expect("a listener");
        let udp = UdpSocket::bind(any).or_else(|_| UdpSocket::bind(v4)).expect("a socket");
        (tcp, udp)
    };
    let (tcp, udp) = match at {
        Some(sandbox) => sandbox.visit(bind).expect("root may visit"),
        None => bind(),
    };
    std::thread::spawn(move || {
        for client in tcp.incoming().flatten() {
            std::thread::spawn(move || greet(client));
        }
    });
    std::thread::spawn(move || {
        let mut room = [0; 64];
        while let Ok((_, client)) = udp.recv_from(&mut room) {
            let _ = udp.send_to(plain(client.ip()).to_string().as_bytes(), client);
        }
    });
}

/// An IPv4 address, though it came to a socket for both families.
fn plain(address: IpAddr) -> IpAddr {
    address.to_canonical()
}

/// Says the client's address, then echoes.
pub fn greet(mut client: TcpStream) {
    let Ok(peer) = client.peer_addr() else { return };
    let _ = writeln!(client, "{}", plain(peer.ip()));
    let mut room = [0; 64];
    while let Ok(length @ 1..) = client.read(&mut room) {
        let _ = client.write_all(&room[..length]);
    }
}

/// Under which address the server sees us; nothing if it cannot be reached.
pub fn tcp(from: Option<&Sandbox>, to: &str) -> Option<String> {
    let to: SocketAddr = to.parse().expect("an address");
    let ask = || {
        let stream = TcpStream::connect_timeout(&to, PATIENCE).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        let mut line = String::new();
        std::io::BufRead::read_line(&mut std::io::BufReader::new(stream), &mut line).ok()?;
        Some(line.trim().to_string())
    };
    match from {
        Some(sandbox) => sandbox.visit(ask).expect("root may visit"),
        None => ask(),
    }
}

pub fn udp(from: Option<&Sandbox>, to: &str) -> Option<String> {
    let to: SocketAddr = to.parse().expect("an address");
    let ask = || {
        let socket = UdpSocket::bind(if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" }).expect("a socket");
        ask_by(&socket, to)
    };
    match from {
        Some(sandbox) => sandbox.visit(ask).expect("root may visit"),
        None => ask(),
    }
}

pub fn ask_by(socket: &UdpSocket, to: SocketAddr) -> Option<String> {
    socket.set_read_timeout(Some(PATIENCE)).expect("a socket");
    let mut room = [0; 64];
    socket.send_to(b"?", to).ok()?;
    let (length, _) = socket.recv_from(&mut room).ok()?;
    Some(String::from_utf8_lossy(&room[..length]).into_owned())
}

/// Both protocols must agree.
#[track_caller]
pub fn sees(from: Option<&Sandbox>, to: &str) -> Option<String> {
    let (over_tcp, over_udp) = (tcp(from, to), udp(from, to));
    assert_eq!(over_tcp, over_udp, "TCP and UDP to {to}");
    over_tcp
}

#[track_caller]
pub fn seen_as(from: Option<&Sandbox>, to: &str, as_whom: &str) {
    assert_eq!(sees(from, to).as_deref(), Some(as_whom), "who asks {to}");
}
