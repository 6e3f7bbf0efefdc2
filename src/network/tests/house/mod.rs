//! # A house with a name server, for tests
//!
//! Sandboxes in a scratch folder, a resolver, and a plain client: what each claim about names begins with.

#![allow(dead_code)] // each of the test programs that share this needs another part of it

use hickory_proto::{
    op::{Message, Query, ResponseCode},
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
    net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

pub const SERVER: (Ipv4Addr, u16) = (Ipv4Addr::new(127, 0, 0, 11), 53);

/// A house with a name server, and a folder for pins.
pub struct House {
    pub runtime: tokio::runtime::Runtime,
    pub zones: Arc<Zones>,
    pub resolver: Resolver,
    folder: tempfile::TempDir,
}

impl House {
    pub fn new() -> House {
        let zones = Arc::new(Zones::default());
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
        House { runtime, resolver: Resolver::new(zones.clone()), zones, folder: tempfile::tempdir().expect("room") }
    }

    /// A sandbox of this name; `None` (and a SKIP) without root.
    pub fn sandbox(&self, name: &str) -> Option<Pinned> {
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

    pub fn serve(&self, sandbox: &Sandbox, asker: &str, upstreams: Vec<Upstream>) -> Handle {
        let _inside = self.runtime.enter();
        let service = Service { asker: asker.into(), upstreams, dots_wanted: false, forwarding: true };
        self.resolver.serve(sandbox, service).expect("a name server")
    }

    pub fn member(&self, container: &str, names: &[&str], addresses: &[&str]) {
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

pub struct Pinned {
    sandbox: Option<Sandbox>,
    pub pin: std::path::PathBuf,
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

pub fn question(name: &str, kind: RecordType) -> Message {
    let mut message = Message::query();
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(Name::from_ascii(name).expect("a name"), kind));
    message
}

pub fn bytes(message: &Message) -> Vec<u8> {
    message.to_vec().expect("it encodes")
}

/// Asks by UDP from where the calling thread is.
pub fn ask(message: &Message) -> io::Result<Message> {
    ask_within(message, Duration::from_secs(9))
}

pub fn ask_within(message: &Message, limit: Duration) -> io::Result<Message> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    socket.set_read_timeout(Some(limit))?;
    socket.connect(SERVER)?;
    socket.send(&bytes(message))?;
    let mut room = [0; 65_535];
    let length = socket.recv(&mut room)?;
    let reply = Message::from_vec(&room[..length]).expect("a message");
    assert_eq!(reply.metadata.id, message.metadata.id);
    Ok(reply)
}

/// As a C library does: again, when the packet was lost in the crowd.
pub fn ask_patiently(name: &str) -> Message {
    let question = question(name, RecordType::A);
    (0..20).find_map(|_| ask_within(&question, Duration::from_millis(500)).ok()).expect("one of twenty")
}

pub fn ask_by_tcp(stream: &mut TcpStream, message: &Message) -> io::Result<Message> {
    let packet = bytes(message);
    stream.write_all(&[&(packet.len() as u16).to_be_bytes()[..], &packet].concat())?;
    let mut length = [0; 2];
    stream.read_exact(&mut length)?;
    let mut reply = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut reply)?;
    Ok(Message::from_vec(&reply).expect("a message"))
}

pub fn data(reply: &Message) -> Vec<String> {
    reply.answers.iter().map(|record| record.data.to_string()).collect()
}

/// Asks in a sandbox for addresses of a name.
#[track_caller]
pub fn addresses(sandbox: &Sandbox, name: &str) -> (ResponseCode, Vec<String>) {
    let reply = sandbox.visit(|| ask(&question(name, RecordType::A))).expect("a visit").expect("an answer");
    (reply.metadata.response_code, data(&reply))
}

/// A server outside: what it does with each question is up to `behave`.
pub fn outside(at: &str, behave: impl Fn(&UdpSocket, Message, SocketAddr) + Send + 'static) -> Upstream {
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

pub fn answer(message: &Message, last: u8) -> Message {
    let mut reply = message.clone().into_response();
    let name = message.queries[0].name().clone();
    reply.answers = vec![Record::from_rdata(name, 60, RData::A(rdata::A::new(192, 0, 2, last)))];
    reply
}

pub fn good(records: &[&str]) -> (ResponseCode, Vec<String>) {
    (ResponseCode::NoError, records.iter().map(|record| record.to_string()).collect())
}

#[track_caller]
pub fn until(fact: impl Fn() -> bool) {
    let limit = Instant::now() + Duration::from_secs(10);
    while !fact() {
        assert!(Instant::now() < limit, "waited too long");
        thread::yield_now();
    }
}
