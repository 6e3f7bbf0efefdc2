//! # Names, tried: the server in real sandboxes, asked by plain sockets
//!
//! Every claim makes sandboxes of its own (network namespaces, pinned in a scratch folder), serves them, and asks as a program
//! in there would: at 127.0.0.11, port 53. Servers outside are plain sockets on a loopback address. Without root: SKIP.

use hickory_proto::{
    op::{Edns, Message, Query, ResponseCode},
    rr::{Name, RData, Record, RecordType, rdata},
};
use minidock_network::{
    dns::{
        server::{Handle, Resolver, Service},
        upstream::{Side, Upstream},
        zone::{Member, Zones},
    },
    sandbox::Sandbox,
};
use std::{
    io::{self, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    path::Path,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

const SERVER: (Ipv4Addr, u16) = (Ipv4Addr::new(127, 0, 0, 11), 53);

/// A house with a name server, and a folder for pins.
struct House {
    runtime: tokio::runtime::Runtime,
    zones: Arc<Zones>,
    resolver: Resolver,
    folder: tempfile::TempDir,
}

impl House {
    fn new() -> House {
        let zones = Arc::new(Zones::default());
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
        House { runtime, resolver: Resolver::new(zones.clone()), zones, folder: tempfile::tempdir().expect("room") }
    }

    /// A sandbox of this name; `None` (and a SKIP) without root.
    fn sandbox(&self, name: &str) -> Option<Pinned> {
        let pin = self.folder.path().join(name);
        match Sandbox::create(&pin) {
            Ok(sandbox) => Some(Pinned { sandbox: Some(sandbox), pin }),
            Err(error) if error.message().contains("EPERM") => {
                println!("SKIP: needs root ({error})");
                None
            }
            Err(error) => panic!("{error}"),
        }
    }

    fn serve(&self, sandbox: &Sandbox, asker: &str, upstreams: Vec<Upstream>) -> Handle {
        let _inside = self.runtime.enter();
        let service = Service { asker: asker.into(), upstreams, dots_wanted: false, forwarding: true };
        self.resolver.serve(sandbox, service).expect("a name server")
    }

    fn member(&self, container: &str, names: &[&str], addresses: &[&str]) {
        self.zones.set(Member {
            network_id: "n1".into(),
            network: "pets".into(),
            container_id: container.into(),
            names: names.iter().map(|name| name.to_string()).collect(),
            links: Vec::new(),
            addresses: addresses.iter().map(|address| address.parse().expect("an address")).collect(),
        });
    }
}

struct Pinned {
    sandbox: Option<Sandbox>,
    pin: std::path::PathBuf,
}

impl std::ops::Deref for Pinned {
    type Target = Sandbox;

    fn deref(&self) -> &Sandbox {
        self.sandbox.as_ref().expect("until it is dropped")
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        drop(self.sandbox.take());
        Sandbox::remove(&self.pin).expect("a pin can be taken away");
    }
}

fn question(name: &str, kind: RecordType) -> Message {
    let mut message = Message::query();
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(Name::from_ascii(name).expect("a name"), kind));
    message
}

fn bytes(message: &Message) -> Vec<u8> {
    message.to_vec().expect("it encodes")
}

/// Asks by UDP from where the calling thread is.
fn ask(message: &Message) -> io::Result<Message> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    socket.set_read_timeout(Some(Duration::from_secs(9)))?;
    socket.connect(SERVER)?;
    socket.send(&bytes(message))?;
    let mut room = [0; 65_535];
    let length = socket.recv(&mut room)?;
    let reply = Message::from_vec(&room[..length]).expect("a message");
    assert_eq!(reply.metadata.id, message.metadata.id);
    Ok(reply)
}

fn ask_by_tcp(stream: &mut TcpStream, message: &Message) -> io::Result<Message> {
    let packet = bytes(message);
    stream.write_all(&[&(packet.len() as u16).to_be_bytes()[..], &packet].concat())?;
    let mut length = [0; 2];
    stream.read_exact(&mut length)?;
    let mut reply = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut reply)?;
    Ok(Message::from_vec(&reply).expect("a message"))
}

fn data(reply: &Message) -> Vec<String> {
    reply.answers.iter().map(|record| record.data.to_string()).collect()
}

/// Asks in a sandbox for addresses of a name.
#[track_caller]
fn addresses(sandbox: &Sandbox, name: &str) -> (ResponseCode, Vec<String>) {
    let reply = sandbox.visit(|| ask(&question(name, RecordType::A))).expect("a visit").expect("an answer");
    (reply.metadata.response_code, data(&reply))
}

/// A server outside: what it does with each question is up to `behave`.
fn outside(at: &str, behave: impl Fn(&UdpSocket, Message, SocketAddr) + Send + 'static) -> Upstream {
    let socket = UdpSocket::bind((at, 0)).expect("a port");
    let address = socket.local_addr().expect("bound");
    thread::spawn(move || {
        let mut room = [0; 4096];
        while let Ok((length, from)) = socket.recv_from(&mut room) {
            match Message::from_vec(&room[..length]) {
                Ok(message) if message.queries.is_empty() => return,
                Ok(message) => behave(&socket, message, from),
                Err(_) => return,
            }
        }
    });
    Upstream { address: address.ip(), link: None, port: address.port(), side: Side::Home }
}

fn answer(message: &Message, last: u8) -> Message {
    let mut reply = message.clone().into_response();
    let name = message.queries[0].name().clone();
    reply.answers = vec![Record::from_rdata(name, 60, RData::A(rdata::A::new(192, 0, 2, last)))];
    reply
}

fn good(records: &[&str]) -> (ResponseCode, Vec<String>) {
    (ResponseCode::NoError, records.iter().map(|record| record.to_string()).collect())
}

#[test]
fn a_program_in_a_sandbox_finds_names_by_packet_and_by_stream() {
    let house = House::new();
    let Some(sandbox) = house.sandbox("dog") else { return };
    house.member("C1", &["dog"], &["172.18.0.2"]);
    house.member("C2", &["cat"], &["172.18.0.3"]);
    let _handle = house.serve(&sandbox, "C1", Vec::new());
    assert_eq!(addresses(&sandbox, "cat."), good(&["172.18.0.3"]));
    assert_eq!(addresses(&sandbox, "cat.pets."), good(&["172.18.0.3"]));
    assert_eq!(addresses(&sandbox, "nosuch."), (ResponseCode::NXDomain, Vec::new()));
    house.member("C2", &["cat"], &["172.18.0.9"]);
    assert_eq!(addresses(&sandbox, "cat."), good(&["172.18.0.9"]), "a name follows at once");
    let by_tcp = sandbox.visit(|| {
        let mut stream = TcpStream::connect(SERVER).expect("a connection");
        let names = ["cat.", "dog.", "cat."].map(|name| question(name, RecordType::A));
        names.map(|question| data(&ask_by_tcp(&mut stream, &question).expect("an answer")))
    });
    assert_eq!(by_tcp.expect("a visit").concat(), ["172.18.0.9", "172.18.0.2", "172.18.0.9"]);
}

#[test]
fn what_does_not_fit_into_a_packet_comes_by_stream() {
    let house = House::new();
    let Some(sandbox) = house.sandbox("dog") else { return };
    house.member("C1", &["dog"], &["172.18.0.2"]);
    let many: Vec<String> = (0..1000).map(|n| format!("10.1.{}.{}", n / 250, n % 250)).collect();
    house.member("C2", &["herd"], &many.iter().map(String::as_str).collect::<Vec<_>>());
    let _handle = house.serve(&sandbox, "C1", Vec::new());
    let asked = |payload: Option<u16>| {
        let mut message = question("herd.", RecordType::A);
        message.edns = payload.map(|payload| {
            let mut edns = Edns::new();
            edns.set_max_payload(payload);
            edns
        });
        let reply = sandbox.visit(move || ask(&message)).expect("a visit").expect("an answer");
        (reply.metadata.truncation, reply.answers.len())
    };
    assert_eq!(asked(None), (true, 30));
    assert_eq!(asked(Some(1232)), (true, 74));
    assert_eq!(asked(Some(65_000)), (false, 1000));
    let by_tcp = sandbox.visit(|| {
        let mut stream = TcpStream::connect(SERVER).expect("a connection");
        ask_by_tcp(&mut stream, &question("herd.", RecordType::A)).expect("an answer")
    });
    let by_tcp = by_tcp.expect("a visit");
    assert_eq!((by_tcp.metadata.truncation, by_tcp.answers.len()), (false, 1000));
}

#[test]
fn a_container_may_have_a_name_server_of_its_own_on_port_53() {
    let house = House::new();
    let Some(sandbox) = house.sandbox("dog") else { return };
    house.member("C1", &["dog"], &["172.18.0.2"]);
    let _handle = house.serve(&sandbox, "C1", Vec::new());
    sandbox
        .visit(|| {
            for own in ["0.0.0.0:53", "[::]:53"] {
                let packets = UdpSocket::bind(own).expect("port 53 is free");
                let streams = TcpListener::bind(own).expect("port 53 is free");
                let client = UdpSocket::bind("127.0.0.1:0").expect("a port");
                client.set_read_timeout(Some(Duration::from_secs(5))).expect("a limit");
                client.send_to(b"hello", "127.0.0.1:53").expect("sent");
                let (length, from) = packets.recv_from(&mut [0; 16]).expect("the container's own server hears");
                packets.send_to(b"theirs", from).expect("sent");
                let mut room = [0; 16];
                let (answer, by) = client.recv_from(&mut room).expect("and is heard");
                assert_eq!((length, &room[..answer], by.port()), (5, &b"theirs"[..], 53));
                let mut stream = TcpStream::connect("127.0.0.1:53").expect("a connection");
                streams.accept().expect("a caller").0.write_all(b"theirs").expect("sent");
                let mut heard = [0; 6];
                stream.read_exact(&mut heard).expect("heard");
                assert_eq!(&heard, b"theirs");
                // and ours is where it was
                assert_eq!(data(&ask(&question("dog.", RecordType::A)).expect("an answer")), ["172.18.0.2"]);
                let mut stream = TcpStream::connect(SERVER).expect("a connection");
                let reply = ask_by_tcp(&mut stream, &question("dog.", RecordType::A)).expect("an answer");
                assert_eq!(data(&reply), ["172.18.0.2"]);
            }
        })
        .expect("a visit");
}

#[test]
fn a_server_that_was_killed_is_followed_by_another() {
    let house = House::new();
    let Some(sandbox) = house.sandbox("dog") else { return };
    house.member("C1", &["dog"], &["172.18.0.2"]);
    let first = house.serve(&sandbox, "C1", Vec::new());
    assert_eq!(addresses(&sandbox, "dog."), good(&["172.18.0.2"]));
    std::mem::forget(first); // a killed daemon tidies nothing up
    let second = house.serve(&sandbox, "C1", Vec::new());
    assert_eq!(addresses(&sandbox, "dog."), good(&["172.18.0.2"]));
    let rules = || {
        let mut list = std::process::Command::new("nsenter");
        list.arg(format!("--net={}", sandbox.place().display())).args(["nft", "list", "ruleset"]);
        String::from_utf8(list.output().expect("nsenter and nft").stdout).expect("text")
    };
    let text = rules();
    assert_eq!((text.matches("table ").count(), text.matches(" set ").count()), (1, 4), "{text}");
    drop(second);
}

#[test]
fn nothing_of_the_server_keeps_a_sandbox_alive() {
    let house = House::new();
    let Some(sandbox) = house.sandbox("dog") else { return };
    let silent = outside("127.0.0.1", |_, _, _| {});
    let handle = house.serve(&sandbox, "C1", vec![Upstream { side: Side::Sandbox, ..silent }]);
    // a question under way, with a socket of its own in there
    sandbox
        .visit(|| {
            let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
            socket.send_to(&bytes(&question("www.example.", RecordType::A)), SERVER).expect("sent");
        })
        .expect("a visit");
    let inode = std::os::unix::fs::MetadataExt::ino(&std::fs::metadata(&sandbox.pin).expect("the pin"));
    let held = || {
        let files = std::fs::read_dir("/proc/self/fd").expect("our descriptors").flatten();
        files.filter(|file| std::fs::read_link(file.path()).is_ok_and(|at| at.to_string_lossy().contains(&format!("net:[{inode}]")))).count()
    };
    assert!(held() >= 2, "the test's own and the server's");
    drop(handle);
    drop(sandbox);
    until(|| held() == 0);
}

#[track_caller]
fn until(fact: impl Fn() -> bool) {
    let limit = Instant::now() + Duration::from_secs(10);
    while !fact() {
        assert!(Instant::now() < limit, "waited too long");
        thread::yield_now();
    }
}

#[test]
fn what_is_not_ours_is_asked_of_the_next_who_can_answer() {
    let house = House::new();
    let Some(sandbox) = house.sandbox("dog") else { return };
    let closed = UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port");
    let closed = Upstream { address: closed.ip(), link: None, port: closed.port(), side: Side::Home };
    let failing = outside("127.0.0.1", |socket, message, from| {
        let mut reply = message.into_response();
        reply.metadata.response_code = ResponseCode::ServFail;
        socket.send_to(&bytes(&reply), from).expect("sent");
    });
    let good_one = outside("127.0.0.1", |socket, message, from| {
        // forgeries first: another id, another question, noise, the question itself
        let mut forged = answer(&message, 66);
        forged.metadata.id = forged.metadata.id.wrapping_add(1);
        socket.send_to(&bytes(&forged), from).expect("sent");
        let mut forged = answer(&message, 67);
        forged.queries[0].name = Name::from_ascii("other.example.").expect("a name");
        socket.send_to(&bytes(&forged), from).expect("sent");
        socket.send_to(b"noise", from).expect("sent");
        socket.send_to(&bytes(&message), from).expect("sent");
        socket.send_to(&bytes(&answer(&message, 1)), from).expect("sent");
    });
    let _handle = house.serve(&sandbox, "C1", vec![closed, failing, good_one]);
    let began = Instant::now();
    assert_eq!(addresses(&sandbox, "www.example."), good(&["192.0.2.1"]));
    assert!(began.elapsed() < Duration::from_secs(2), "who says no is not waited for");
}

#[test]
fn a_lost_packet_is_sent_again_and_a_silent_server_given_up() {
    let house = House::new();
    let Some(sandbox) = house.sandbox("dog") else { return };
    let silent = outside("127.0.0.1", |_, _, _| {});
    let times = std::sync::atomic::AtomicUsize::new(0);
    let forgetful = outside("127.0.0.1", move |socket, message, from| {
        if times.fetch_add(1, std::sync::atomic::Ordering::Relaxed) > 0 {
            socket.send_to(&bytes(&answer(&message, 2)), from).expect("sent");
        }
    });
    let _handle = house.serve(&sandbox, "C1", vec![silent, forgetful]);
    assert_eq!(addresses(&sandbox, "www.example."), good(&["192.0.2.2"]));
}

#[test]
fn with_nobody_to_answer_the_asker_is_told() {
    let house = House::new();
    let Some(sandbox) = house.sandbox("dog") else { return };
    let closed = UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port");
    let closed = Upstream { address: closed.ip(), link: None, port: closed.port(), side: Side::Home };
    let handle = house.serve(&sandbox, "C1", vec![closed]);
    assert_eq!(addresses(&sandbox, "www.example."), (ResponseCode::ServFail, Vec::new()));
    assert_eq!(addresses(&sandbox, "nosuch."), (ResponseCode::ServFail, Vec::new()));
    handle.set_forwarding(false);
    assert_eq!(addresses(&sandbox, "nosuch."), (ResponseCode::NXDomain, Vec::new()), "nobody was asked");
}

#[test]
fn a_server_of_the_containers_choice_is_asked_from_inside() {
    let house = House::new();
    let Some(sandbox) = house.sandbox("dog") else { return };
    // it listens in the sandbox, where the thread that made it is long gone
    let inside = sandbox
        .visit(|| {
            let server = outside("127.0.0.1", |socket, message, from| {
                socket.send_to(&bytes(&answer(&message, 3)), from).expect("sent");
            });
            let streams = TcpListener::bind((server.address, server.port)).expect("the same port");
            thread::spawn(move || {
                for stream in streams.incoming() {
                    let mut stream = stream.expect("a caller");
                    let mut length = [0; 2];
                    stream.read_exact(&mut length).expect("a length");
                    let mut packet = vec![0; usize::from(u16::from_be_bytes(length))];
                    stream.read_exact(&mut packet).expect("a message");
                    let reply = bytes(&answer(&Message::from_vec(&packet).expect("a message"), 4));
                    stream.write_all(&[&(reply.len() as u16).to_be_bytes()[..], &reply].concat()).expect("sent");
                }
            });
            Upstream { side: Side::Sandbox, ..server }
        })
        .expect("a visit");
    let handle = house.serve(&sandbox, "C1", vec![inside.clone()]);
    for _ in 0..40 {
        assert_eq!(addresses(&sandbox, "www.example."), good(&["192.0.2.3"]));
    }
    let by_tcp = sandbox.visit(|| {
        let mut stream = TcpStream::connect(SERVER).expect("a connection");
        data(&ask_by_tcp(&mut stream, &question("www.example.", RecordType::A)).expect("an answer"))
    });
    assert_eq!(by_tcp.expect("a visit"), ["192.0.2.4"]);
    handle.set_forwarding(false);
    assert_eq!(addresses(&sandbox, "www.example."), good(&["192.0.2.3"]), "on an internal network it may still be reached");
    // the same address on the host's side is somebody else
    let _other = house.serve(&sandbox, "C1", vec![Upstream { side: Side::Home, ..inside }]);
    assert_eq!(addresses(&sandbox, "www.example."), (ResponseCode::ServFail, Vec::new()));
}

#[test]
fn garbage_is_refused_and_the_next_question_answered() {
    let house = House::new();
    let Some(sandbox) = house.sandbox("dog") else { return };
    house.member("C1", &["dog"], &["172.18.0.2"]);
    let _handle = house.serve(&sandbox, "C1", Vec::new());
    sandbox
        .visit(|| {
            let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
            let mut state = 1u32;
            for length in 0..2000 {
                let packet: Vec<u8> = (0..length % 700)
                    .map(|_| {
                        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                        (state >> 24) as u8
                    })
                    .collect();
                let _ = socket.send_to(&packet, SERVER);
            }
            let mut stream = TcpStream::connect(SERVER).expect("a connection");
            stream.write_all(&[0xff; 70_000]).expect("sent");
            let mut half = TcpStream::connect(SERVER).expect("a connection");
            half.write_all(&[0]).expect("sent");
            assert_eq!(data(&ask(&question("dog.", RecordType::A)).expect("an answer")), ["172.18.0.2"]);
            let mut stream = TcpStream::connect(SERVER).expect("a connection");
            assert_eq!(data(&ask_by_tcp(&mut stream, &question("dog.", RecordType::A)).expect("an answer")), ["172.18.0.2"]);
        })
        .expect("a visit");
}

#[test]
fn a_flood_costs_no_memory_and_names_are_answered_all_the_while() {
    let house = House::new();
    let Some(sandbox) = house.sandbox("dog") else { return };
    house.member("C1", &["dog"], &["172.18.0.2"]);
    let silent = outside("127.0.0.1", |_, _, _| {});
    let _handle = house.serve(&sandbox, "C1", vec![silent]);
    let refused = sandbox.visit(|| {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
        socket.connect(SERVER).expect("a destination");
        socket.set_nonblocking(true).expect("a socket");
        let flood = |times: usize| {
            let mut refused = 0;
            for n in 0..times {
                let packet = bytes(&question(&format!("x{n}.example."), RecordType::A));
                let _ = socket.send(&packet);
                let mut room = [0; 512];
                while let Ok(length) = socket.recv(&mut room) {
                    let reply = Message::from_vec(&room[..length]).expect("a message");
                    refused += usize::from(reply.metadata.response_code == ResponseCode::Refused);
                }
                if n % 1000 == 0 {
                    assert_eq!(data(&ask(&question("dog.", RecordType::A)).expect("an answer")), ["172.18.0.2"]);
                }
            }
            refused
        };
        let first = flood(4000);
        let before = resident_kib();
        let second = flood(16_000);
        let after = resident_kib();
        assert!(after < before + 4096, "{before} KiB before, {after} KiB after");
        first + second
    });
    assert!(refused.expect("a visit") > 5000, "beyond a thousand under way: REFUSED");
}

fn resident_kib() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("/proc");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

#[test]
fn many_sandboxes_need_no_threads_and_little_memory() {
    let house = House::new();
    let Some(first) = house.sandbox("first") else { return };
    house.member("C1", &["dog"], &["172.18.0.2"]);
    let _first = house.serve(&first, "C1", Vec::new());
    let threads = || std::fs::read_dir("/proc/self/task").expect("/proc").count();
    let (threads_before, before) = (threads(), resident_kib());
    let many: Vec<(Pinned, Handle)> = (0..100)
        .map(|n| {
            let sandbox = house.sandbox(&format!("s{n}")).expect("the first one worked");
            let handle = house.serve(&sandbox, "C1", Vec::new());
            (sandbox, handle)
        })
        .collect();
    let (threads_after, after) = (threads(), resident_kib());
    assert!(threads_after <= threads_before + 40, "other tests have threads, too: {threads_before} before, {threads_after} after");
    assert!(after < before + 100 * 100, "{before} KiB before, {after} KiB after a hundred");
    for (sandbox, _) in &many {
        assert_eq!(addresses(sandbox, "dog."), good(&["172.18.0.2"]));
    }
    assert!(Path::new("/proc/self/task").exists());
}
