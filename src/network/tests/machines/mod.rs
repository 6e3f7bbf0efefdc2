//! # Several machines, for claims about a swarm's data plane
//!
//! ```text
//!   home 192.0.2.254 ── br-under ──┬── machine 1  192.0.2.1   its own links, bridges and firewall; containers behind them
//!                                  ├── machine 2  192.0.2.2
//!                                  └── machine 3  192.0.2.3
//! ```
//!
//! All of them are network namespaces of the test. Servers say their own name, then echo. What went through the tunnels is counted by
//! nft, not by us.

#![allow(dead_code)] // each test binary uses its own part

#[path = "../rig/mod.rs"]
mod rig;

pub use rig::{ask, at_home, run};

use minidock_network::{
    bridge,
    home::Home,
    model::{Bridge, Endpoint, Mac, Net},
    nft::{ruleset::Ruleset, table::Table},
    overlay::{Overlay, Peer},
    sandbox::Sandbox,
};
use std::{
    io::{BufRead, BufReader, ErrorKind, Write},
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// How long an answer is waited for.
pub const PATIENCE: Duration = Duration::from_secs(3);
/// What is done *at once* takes less, on a busy machine too.
pub const AT_ONCE: Duration = Duration::from_millis(400);

pub struct Machine {
    pub place: Sandbox,
    pub home: Home,
    pub table: Table,
    pub address: Ipv4Addr,
    folder: PathBuf,
    number: u8,
}

/// A container: one cable, on one network.
pub struct Member {
    pub sandbox: Sandbox,
    pub address: Ipv4Addr,
    pub endpoint: Endpoint,
}

/// Makes the network below and as many machines.
pub fn machines(home: &Home, folder: &Path, count: u8) -> Vec<Machine> {
    let under = rig::network("br-under", &[("192.0.2.0/24", "192.0.2.254")]);
    bridge::ensure(home, &under).expect("a bridge");
    (1..=count).map(|number| machine(home, folder, &under, number)).collect()
}

fn machine(home: &Home, folder: &Path, under: &Bridge, number: u8) -> Machine {
    let address = Ipv4Addr::new(192, 0, 2, number);
    let mut cable = cable(address, 24, "uplink", &format!("vethm{number}"));
    cable.gateway_v4 = under.subnets[0].gateway.and_then(|g| g.to_string().parse().ok());
    let place = Sandbox::create(&folder.join(&cable.host_link)).expect("a sandbox");
    place.plug(home, under, &cable).expect("plugged");
    let opened = place.visit(|| {
        std::fs::write("/proc/sys/net/ipv4/ip_forward", "1").expect("our own namespace");
        let table = Table::open().expect("nf_tables");
        table.replace(&Ruleset::default()).expect("a table");
        (Home::open().expect("a socket"), table)
    });
    let (home, table) = opened.expect("root may visit");
    let machine = Machine { place, home, table, address, folder: folder.to_path_buf(), number };
    machine.sh("nft 'add table inet tally
              add counter inet tally each
              add counter inet tally questions
              add chain inet tally c { type filter hook prerouting priority -310; }
              add rule inet tally c udp dport 4789 counter name each
              add rule inet tally c udp dport 4789 @th,224,16 0x0806 counter name questions'");
    machine
}

pub fn cable(address: Ipv4Addr, prefix: u8, inside: &str, host_link: &str) -> Endpoint {
    Endpoint {
        id: "e".repeat(64),
        network_id: "n".repeat(64),
        host_link: host_link.into(),
        inside: inside.into(),
        mac: Mac::of(address),
        v4: Some((address, prefix)),
        v6: None,
        gateway_v4: None,
        gateway_v6: None,
    }
}

impl Machine {
    #[track_caller]
    pub fn sh(&self, line: &str) -> String {
        let net = format!("--net={}", self.place.place().display());
        let (fine, text) = run("nsenter", &[&net, "sh", "-ec", line]);
        assert!(fine, "{line}: {text}");
        text
    }

    /// Does something as this machine's daemon would.
    #[track_caller]
    pub fn does<T: Send>(&self, f: impl FnOnce(&Home) -> T + Send) -> T {
        self.place.visit(|| f(&self.home)).expect("root may visit")
    }

    /// An overlay network 10.0.N.0/24, as this machine has it.
    pub fn overlay(&self, n: u8, own: Option<u8>) -> Overlay {
        Overlay {
            network_id: format!("{n:025}"),
            vni: 4096 + u32::from(n),
            subnet: Net::around(Ipv4Addr::new(10, 0, n, 0).into(), 24),
            mtu: 1450,
            local: self.address.into(),
            port: 4789,
            own: own.map(|last| Ipv4Addr::new(10, 0, n, last)),
        }
    }

    /// Erects it, with its place in the firewall.
    #[track_caller]
    pub fn erect(&self, overlay: &Overlay) {
        self.does(|home| overlay.erect(home)).expect("erected");
        self.table.add_bridge(&overlay.bridge()).expect("a firewall for it");
    }

    /// A container on a network (overlay or not), with this last octet.
    #[track_caller]
    pub fn member(&self, bridge: &Bridge, last: u8) -> Member {
        let IpAddr::V4(first) = bridge.subnets[0].subnet.address() else { panic!("IPv4") };
        let [a, b, c, _] = first.octets();
        let address = Ipv4Addr::new(a, b, c, last);
        let endpoint = cable(address, bridge.subnets[0].subnet.prefix(), "eth0", &format!("v{}x{c:x}x{last:x}", self.number));
        let pin = self.folder.join(&endpoint.host_link);
        let sandbox = Sandbox::create(&pin).expect("a sandbox");
        sandbox.plug(&self.home, bridge, &endpoint).expect("plugged");
        Member { sandbox, address, endpoint }
    }

    /// UDP packets of tunnels that arrived here so far: all, and those with a question of ARP inside.
    pub fn arrived(&self) -> (u64, u64) {
        let net = format!("--net={}", self.place.place().display());
        let told = ask("nsenter", &[&net, "nft", "-j", "list", "counters", "table", "inet", "tally"]);
        let of = |name: &str| {
            let list = told["nftables"].as_array().expect("a list");
            let found = list.iter().find(|o| o["counter"]["name"] == name).expect("a counter");
            found["counter"]["packets"].as_u64().expect("a number")
        };
        (of("each"), of("questions"))
    }

    /// What is there: links and tables, by their names.
    pub fn inventory(&self) -> String {
        self.sh("ip -br link | cut -d' ' -f1 | sort; nft list tables; ip neigh show nud permanent; bridge fdb show | grep -c static || true")
    }
}

/// Who is where, for everybody: each machine is told of all members, its own among them.
pub fn peers(places: &[(&Machine, &[Ipv4Addr])]) -> Vec<Peer> {
    let of = |(machine, members): &(&Machine, &[Ipv4Addr])| {
        let vtep = machine.address.into();
        members.iter().map(move |address| Peer { address: *address, vtep }).collect::<Vec<_>>()
    };
    places.iter().flat_map(of).collect()
}

/// A server, TCP and UDP, that says `name`, then echoes. It lives as long as the test's process, or until its end of a
/// connection is dropped.
pub fn serve(at: &Sandbox, port: u16, name: &str) {
    let any = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port);
    let bind = || (TcpListener::bind(any).expect("a listener"), UdpSocket::bind(any).expect("a socket"));
    let (tcp, udp) = at.visit(bind).expect("root may visit");
    let (for_tcp, for_udp) = (name.to_string(), name.to_string());
    std::thread::spawn(move || {
        for client in tcp.incoming().flatten() {
            let name = for_tcp.clone();
            std::thread::spawn(move || greet(client, &name));
        }
    });
    std::thread::spawn(move || {
        let mut room = [0; 2048];
        while let Ok((_, client)) = udp.recv_from(&mut room) {
            let _gone = udp.send_to(for_udp.as_bytes(), client);
        }
    });
}

fn greet(mut client: TcpStream, name: &str) -> Option<()> {
    let peer = client.peer_addr().ok()?;
    writeln!(client, "{name} {}", peer.ip()).ok()?;
    let mut lines = BufReader::new(client.try_clone().ok()?);
    loop {
        let mut line = String::new();
        if lines.read_line(&mut line).ok()? == 0 {
            return None;
        }
        client.write_all(line.as_bytes()).ok()?;
    }
}

/// A connection, and what it said first: the server's name, and under which address it sees us.
pub struct Call {
    stream: BufReader<TcpStream>,
    pub name: String,
    pub seen_as: String,
}

impl Call {
    pub fn to(address: &str) -> std::io::Result<Call> {
        let to: SocketAddr = address.parse().expect("an address");
        let stream = TcpStream::connect_timeout(&to, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut stream = BufReader::new(stream);
        let mut line = String::new();
        stream.read_line(&mut line)?;
        let (name, seen_as) = line.trim().split_once(' ').ok_or(ErrorKind::UnexpectedEof)?;
        Ok(Call { name: name.into(), seen_as: seen_as.into(), stream })
    }

    /// Says something and hears it back.
    pub fn echo(&mut self, word: &str) -> std::io::Result<()> {
        writeln!(self.stream.get_mut(), "{word}")?;
        let mut line = String::new();
        match self.stream.read_line(&mut line)? {
            0 => Err(ErrorKind::UnexpectedEof.into()),
            _ => {
                assert_eq!(line.trim(), word);
                Ok(())
            }
        }
    }
}

/// Who answers, asked from in there; why not, in the kernel's word.
pub fn who(from: &Sandbox, to: &str) -> Result<String, ErrorKind> {
    from.visit(|| Call::to(to).map(|call| call.name).map_err(|e| e.kind())).expect("root may visit")
}

/// The same by UDP.
pub fn who_by_udp(from: &Sandbox, to: &str) -> Result<String, ErrorKind> {
    let ask = || {
        let socket = UdpSocket::bind("0.0.0.0:0")?;
        ask_by(&socket, to)
    };
    from.visit(ask).expect("root may visit").map_err(|e| e.kind())
}

pub fn ask_by(socket: &UdpSocket, to: &str) -> std::io::Result<String> {
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.connect(to)?;
    socket.send(b"?")?;
    let mut room = [0; 2048];
    let length = socket.recv(&mut room)?;
    Ok(String::from_utf8_lossy(&room[..length]).into_owned())
}

/// Refused, and at once: nobody waits for a silence to end.
#[track_caller]
pub fn refused_at_once(ask: impl FnOnce() -> Result<String, ErrorKind>) {
    let began = Instant::now();
    let answer = ask();
    assert!(
        matches!(answer, Err(ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe)),
        "{answer:?}"
    );
    assert!(began.elapsed() < AT_ONCE, "refused after {:?}", began.elapsed());
}

/// Sends a datagram of so many bytes that may not be cut, and tells who answers, or the errno.
pub fn uncut(from: &Sandbox, to: &str, bytes: u32) -> String {
    const SCRIPT: &str = "import errno, socket, sys
to, size = sys.argv[1].split(':'), int(sys.argv[2])
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.IPPROTO_IP, 10, 2)
s.settimeout(3)
try:
    s.connect((to[0], int(to[1])))
    s.send(b'x' * size)
    print(s.recv(100).decode())
except OSError as e:
    print(errno.errorcode.get(e.errno, str(e)))";
    let net = format!("--net={}", from.place().display());
    let (_, text) = run("nsenter", &[&net, "python3", "-c", SCRIPT, to, &bytes.to_string()]);
    text.trim().to_string()
}

/// Whether a ping is answered.
pub fn ping(from: &Sandbox, to: &str) -> bool {
    let net = format!("--net={}", from.place().display());
    run("nsenter", &[&net, "busybox", "ping", "-c1", "-W2", to]).0
}
