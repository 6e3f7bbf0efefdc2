//! # Calls on loopback: who may ask what

use super::{
    desk::{Caller, Clerk},
    line::{AgentSays, Ear, ManagerSays, Mouth},
    phone::Phone,
    *,
};
use crate::{
    agent::logs::{LogsWish, Portion},
    ca::{self, Root, Subject, identity::Identity},
};
use futures_util::future::BoxFuture;
use jiff::Timestamp;
use minidock_base::{Kind, Result};
use minidock_spec::swarm::{local::RemoteManager, node::Role};
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream},
    sync::watch,
};

/// Answers with the name of the question; repeats what managers say; greets agents.
struct Echo;

impl Clerk for Echo {
    fn answer<'a>(&'a self, _: &'a Caller, ask: Ask) -> BoxFuture<'a, Result<Value>> {
        Box::pin(async move { Ok(json!(ask.name())) })
    }

    fn raft<'a>(&'a self, _: &'a Caller, message: Vec<u8>) -> BoxFuture<'a, Result<Vec<u8>>> {
        Box::pin(async move { Ok(message) })
    }

    fn session<'a>(
        &'a self,
        caller: &'a Caller,
        mut ear: Ear<AgentSays>,
        mut mouth: Mouth<ManagerSays>,
    ) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            while let Some(AgentSays::Hello(_)) = ear.hear().await? {
                let managers = vec![RemoteManager { node_id: caller.node()?.node_id.clone(), addr: String::new() }];
                mouth.say(&ManagerSays::Terms { managers, period: 5 }).await?;
            }
            Ok(())
        })
    }

    fn told_logs<'a>(&'a self, _: &'a Caller, _: u64, _: Ear<Portion>) -> BoxFuture<'a, Result<()>> {
        Box::pin(async { Ok(()) })
    }

    fn tell_logs<'a>(&'a self, _: &'a Caller, _: LogsWish, _: Ear<()>, _: Mouth<Portion>) -> BoxFuture<'a, Result<()>> {
        Box::pin(async { Ok(()) })
    }
}

fn papers(root: &Root, node: &str, role: Role) -> Identity {
    let (key, request) = ca::request().expect("a request");
    let subject = Subject { node_id: node.into(), role, cluster_id: "c".into() };
    let certificate = root.issue(&request, &subject, Timestamp::now(), Duration::from_secs(3600), [3; 16]).expect("signed");
    Identity { certificate, key, root: root.certificate.clone() }
}

struct Desk {
    address: String,
    root: Root,
    _closing: watch::Sender<bool>,
    _papers: watch::Sender<Arc<rustls::ServerConfig>>,
}

async fn desk() -> Desk {
    let root = Root::found(Timestamp::now()).expect("a root");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound").to_string();
    let (papers_tx, papers_rx) = watch::channel(papers(&root, "m1", Role::Manager).listener().expect("papers"));
    let (closing_tx, closing_rx) = watch::channel(false);
    tokio::spawn(desk::serve(listener, papers_rx, Arc::new(Echo), closing_rx));
    Desk { address, root, _closing: closing_tx, _papers: papers_tx }
}

impl Desk {
    fn phone(&self, node: &str, role: Role) -> Phone {
        Phone::new(papers(&self.root, node, role).caller().expect("papers"))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn managers_speak_with_managers_and_workers_may_not() {
    let desk = desk().await;
    let manager = desk.phone("m2", Role::Manager);
    for size in [0, 1, 100_000] {
        assert_eq!(manager.raft(&desk.address, &vec![7; size]).await.expect("an echo"), vec![7; size]);
    }
    let worker = desk.phone("w1", Role::Worker);
    let refused = worker.raft(&desk.address, b"vote for me").await.expect_err("a worker");
    assert_eq!(refused.kind(), Kind::Forbidden);
    assert!(refused.message().contains("node w1 is a worker"), "{}", refused.message());
    let renewed = worker.ask(&desk.address, &Ask::Renew { request: String::new() }).await.expect("an answer");
    assert_eq!(renewed, "a new certificate");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_newcomer_may_ask_for_the_root_and_to_join_and_nothing_else() {
    let desk = desk().await;
    let stranger = Phone::new(ca::identity::newcomer().expect("papers"));
    assert_eq!(stranger.ask(&desk.address, &Ask::Root).await.expect("an answer"), "the root certificate");
    let guest = Phone::new(ca::identity::guest(&desk.root.certificate).expect("papers"));
    let join = Ask::Join { token: String::new(), request: String::new(), availability: Availability::Active };
    assert_eq!(guest.ask(&desk.address, &join).await.expect("an answer"), "to join");
    for ask in [Ask::Renew { request: String::new() }, Ask::Enlist { raft_id: 1, address: String::new() }] {
        let refused = guest.ask(&desk.address, &ask).await.expect_err("no certificate");
        assert_eq!(refused.kind(), Kind::Forbidden, "{}", refused.message());
    }
    assert!(guest.session(&desk.address).await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn papers_of_another_swarm_open_nothing() {
    let (desk, other) = (desk().await, Root::found(Timestamp::now()).expect("a root"));
    let foreign = Phone::new(papers(&other, "m9", Role::Manager).caller().expect("papers"));
    assert!(foreign.ask(&desk.address, &Ask::Root).await.is_err(), "it does not trust whom it calls");
    let mut disguised = papers(&other, "m9", Role::Manager);
    disguised.root = desk.root.certificate.clone();
    let disguised = Phone::new(disguised.caller().expect("papers"));
    assert!(disguised.ask(&desk.address, &Ask::Root).await.is_err(), "it is not trusted");
    let worker = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = worker.local_addr().expect("bound").to_string();
    let (_p, papers_rx) = watch::channel(papers(&desk.root, "w1", Role::Worker).listener().expect("papers"));
    let (_c, closing) = watch::channel(false);
    tokio::spawn(desk::serve(worker, papers_rx, Arc::new(Echo), closing));
    let caller = desk.phone("m2", Role::Manager);
    assert!(caller.ask(&address, &Ask::Root).await.is_err(), "a worker's certificate is no manager's");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_knows_who_speaks() {
    let desk = desk().await;
    let (mut ear, mut mouth) = desk.phone("w1", Role::Worker).session(&desk.address).await.expect("a session");
    mouth.say(&AgentSays::Hello(Box::default())).await.expect("said");
    let Some(ManagerSays::Terms { managers, .. }) = ear.hear().await.expect("an answer") else { panic!("no terms") };
    assert_eq!(managers[0].node_id, "w1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nonsense_is_hung_up_on_and_the_desk_stays_open() {
    let desk = desk().await;
    let mut stream = TcpStream::connect(&desk.address).await.expect("a connection");
    let _ = stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await;
    let manager = desk.phone("m2", Role::Manager);
    assert!(manager.raft(&desk.address, b"still here").await.is_ok());
    let too_long = [0xff, 0xff, 0xff, 0xff, b'A'];
    assert!(frame::receive(&mut &too_long[..], frame::LIMIT).await.is_err());
    assert!(frame::receive(&mut &b"\0\0\0\x05Ahalf"[..9], frame::LIMIT).await.is_err());
    assert!(frame::receive(&mut &b"\0\0\0\0?"[..], frame::LIMIT).await.is_err());
    assert_eq!(frame::receive(&mut &b""[..], frame::LIMIT).await.expect("an end"), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stranger_that_sends_much_is_hung_up_on_and_a_node_is_not() {
    let desk = desk().await;
    let long = |request| Ask::Join { token: String::new(), request, availability: Availability::Active };
    let much = long("x".repeat(frame::OF_A_STRANGER));
    let guest = Phone::new(ca::identity::guest(&desk.root.certificate).expect("papers"));
    assert!(guest.ask(&desk.address, &much).await.is_err(), "it is not even read");
    assert_eq!(desk.phone("w1", Role::Worker).ask(&desk.address, &much).await.expect("an answer"), "to join");
}
