//! # Names under load: a flood, and a crowd
//!
//! Claims about the memory and the threads of this whole process, so one at a time.

mod house;

use hickory_proto::{
    op::{Message, ResponseCode},
    rr::RecordType,
};
use house::{House, Pinned, SERVER, addresses, ask_patiently, bytes, data, good, outside, question};
use minidock_network::dns::server::Handle;
use std::{net::UdpSocket, sync::Mutex};

static ALONE: Mutex<()> = Mutex::new(());

#[test]
fn a_flood_costs_no_memory_and_names_are_answered_all_the_while() {
    let _alone = ALONE.lock();
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
                    assert_eq!(data(&ask_patiently("dog.")), ["172.18.0.2"]);
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
    let _alone = ALONE.lock();
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
    assert!(
        threads_after <= threads_before + 40,
        "other tests have threads, too: {threads_before} before, {threads_after} after"
    );
    assert!(after < before + 100 * 100, "{before} KiB before, {after} KiB after a hundred");
    for (sandbox, _) in &many {
        assert_eq!(addresses(sandbox, "dog."), good(&["172.18.0.2"]));
    }
}
