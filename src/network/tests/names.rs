//! # Names, tried: the server in real sandboxes, asked by plain sockets
//!
//! Every claim makes sandboxes of its own (network namespaces, pinned in a scratch folder), serves them, and asks as a program
//! in there would: at 127.0.0.11, port 53. Servers outside are plain sockets on a loopback address. Without root: SKIP.

mod house;

use hickory_proto::{
    op::{Edns, Message, ResponseCode},
    rr::{Name, RecordType},
};
use house::{House, SERVER, addresses, answer, ask, ask_by_tcp, ask_patiently, bytes, data, good, outside, question, until};
use minidock_network::dns::upstream::{Side, Upstream};
use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream, UdpSocket},
    thread,
    time::{Duration, Instant},
};

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
        files
            .filter(|file| {
                std::fs::read_link(file.path()).is_ok_and(|at| at.to_string_lossy().contains(&format!("net:[{inode}]")))
            })
            .count()
    };
    assert!(held() >= 2, "the test's own and the server's");
    drop(handle);
    drop(sandbox);
    until(|| held() == 0);
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
            assert_eq!(data(&ask_patiently("dog.")), ["172.18.0.2"]);
            let mut stream = TcpStream::connect(SERVER).expect("a connection");
            assert_eq!(data(&ask_by_tcp(&mut stream, &question("dog.", RecordType::A)).expect("an answer")), ["172.18.0.2"]);
        })
        .expect("a visit");
}

#[test]
fn connections_that_say_nothing_are_closed_and_make_room() {
    let house = House::new();
    let Some(sandbox) = house.sandbox("dog") else { return };
    house.member("C1", &["dog"], &["172.18.0.2"]);
    let _handle = house.serve(&sandbox, "C1", Vec::new());
    sandbox
        .visit(|| {
            let silent: Vec<TcpStream> = (0..100).map(|_| TcpStream::connect(SERVER).expect("a connection")).collect();
            assert_eq!(data(&ask(&question("dog.", RecordType::A)).expect("an answer")), ["172.18.0.2"], "packets go on");
            let mut stream = TcpStream::connect(SERVER).expect("a connection");
            stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a limit");
            assert_eq!(data(&ask_by_tcp(&mut stream, &question("dog.", RecordType::A)).expect("an answer")), ["172.18.0.2"]);
            drop(silent);
        })
        .expect("a visit");
}
