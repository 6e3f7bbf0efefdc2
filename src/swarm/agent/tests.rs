//! # The agent against a scripted leader, with hands that only remember
//!
//! The line between them is the real one (TLS on loopback); the containers are not.

use super::{
    executor::{Controller, Executor, Files, Here, Seen},
    logs::{LogLine, LogStream, LogsWish, Portion},
    *,
};
use crate::{
    ca::{self, Root, Subject, identity::Identity},
    dispatcher::Delta,
    wire::{
        Ask,
        desk::{self, Caller, Clerk},
        line::{AgentSays, Ear, ManagerSays, Mouth},
    },
};
use futures_util::future::BoxFuture;
use jiff::Timestamp;
use minidock_base::{Error, Result};
use minidock_spec::swarm::{
    node::Role,
    task::{NetworkAttachment, Task, TaskState, TaskStatus},
};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    sync::Mutex,
    time::{Duration, Instant},
};
use tokio::{net::TcpListener, sync::Notify};

/// What was done, in order: `prepare t1`.
#[derive(Default)]
struct Deeds {
    done: Mutex<Vec<String>>,
    more: Notify,
}

impl Deeds {
    fn note(&self, what: String) {
        self.done.lock().expect("no holder panics").push(what);
        self.more.notify_waiters();
    }

    fn all(&self) -> Vec<String> {
        self.done.lock().expect("no holder panics").clone()
    }

    async fn wait_for(&self, what: &str) {
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            let more = self.more.notified();
            if self.all().iter().any(|done| done == what) {
                return;
            }
            assert!(Instant::now() < deadline, "{what:?} was never done: {:?}", self.all());
            let _ = tokio::time::timeout(Duration::from_millis(200), more).await;
        }
    }
}

/// Hands that remember.
#[derive(Default)]
struct Fake {
    deeds: Arc<Deeds>,
    /// Tasks whose container ends when this is told.
    ends: Arc<Notify>,
    fails: Vec<&'static str>,
    stale: Vec<String>,
}

struct FakeTask {
    id: String,
    deeds: Arc<Deeds>,
    ends: Arc<Notify>,
    fails: Vec<&'static str>,
}

impl FakeTask {
    fn verb(&self, verb: &str) -> BoxFuture<'_, Result<()>> {
        let what = format!("{verb} {}", self.id);
        self.deeds.note(what.clone());
        let failed = self.fails.iter().any(|f| *f == what);
        Box::pin(async move { if failed { Err(Error::system(format!("{what} failed"))) } else { Ok(()) } })
    }
}

impl Controller for FakeTask {
    fn prepare(&self) -> BoxFuture<'_, Result<()>> {
        self.verb("prepare")
    }

    fn start(&self) -> BoxFuture<'_, Result<()>> {
        self.verb("start")
    }

    fn wait(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            self.ends.notified().await;
            self.verb("end of").await
        })
    }

    fn shutdown(&self) -> BoxFuture<'_, Result<()>> {
        self.verb("shutdown")
    }

    fn terminate(&self) -> BoxFuture<'_, Result<()>> {
        self.verb("terminate")
    }

    fn remove(&self) -> BoxFuture<'_, Result<()>> {
        self.verb("remove")
    }

    fn status(&self) -> Option<Seen> {
        None
    }
}

impl Executor for Fake {
    fn describe(&self) -> BoxFuture<'_, Result<NodeDescription>> {
        Box::pin(async { Ok(NodeDescription { hostname: "node1".into(), ..NodeDescription::default() }) })
    }

    fn ground<'a>(&'a self, _: &'a Here, view: &'a View) -> BoxFuture<'a, Result<()>> {
        self.deeds.note(format!("ground {}", view.tasks.len()));
        let failed = self.fails.contains(&"ground");
        Box::pin(async move { if failed { Err(Error::system("no vxlan here")) } else { Ok(()) } })
    }

    fn controller(&self, task: Arc<Task>, _: Here, files: Files) -> Result<Arc<dyn Controller>> {
        self.deeds.note(format!("controller {} with {} secrets", task.id, files.secrets.len()));
        let (deeds, ends) = (self.deeds.clone(), self.ends.clone());
        Ok(Arc::new(FakeTask { id: task.id.clone(), deeds, ends, fails: self.fails.clone() }))
    }

    fn known(&self) -> BoxFuture<'_, Result<Vec<String>>> {
        Box::pin(async { Ok(self.stale.clone()) })
    }

    fn discard<'a>(&'a self, task_id: &'a str) -> BoxFuture<'a, Result<()>> {
        self.deeds.note(format!("discard {task_id}"));
        Box::pin(async { Ok(()) })
    }

    fn logs<'a>(&'a self, here: &'a Here, _: LogsWish) -> BoxFuture<'a, Result<mpsc::Receiver<Result<LogLine>>>> {
        let (tx, rx) = mpsc::channel(4);
        let line = LogLine {
            task_id: "t1".into(),
            node_id: here.node_id.clone(),
            service_id: String::new(),
            stream: LogStream::Stdout,
            time: Timestamp::UNIX_EPOCH,
            bytes: b"hello\n".to_vec(),
            details: String::new(),
        };
        Box::pin(async move {
            tx.send(Ok(line)).await.expect("somebody listens");
            Ok(rx)
        })
    }
}

type Heads = (Ear<AgentSays>, Mouth<ManagerSays>);

/// A leader that hands its sessions to the test.
struct Leader {
    sessions: mpsc::Sender<Heads>,
    portions: mpsc::Sender<Portion>,
    done: Notify,
}

impl Clerk for Leader {
    fn answer<'a>(&'a self, _: &'a Caller, _: Ask) -> BoxFuture<'a, Result<Value>> {
        Box::pin(async { Ok(Value::Null) })
    }

    fn raft<'a>(&'a self, _: &'a Caller, message: Vec<u8>) -> BoxFuture<'a, Result<Vec<u8>>> {
        Box::pin(async move { Ok(message) })
    }

    fn session<'a>(&'a self, _: &'a Caller, ear: Ear<AgentSays>, mouth: Mouth<ManagerSays>) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let _ = self.sessions.send((ear, mouth)).await;
            self.done.notified().await;
            Ok(())
        })
    }

    fn told_logs<'a>(&'a self, _: &'a Caller, id: u64, mut ear: Ear<Portion>) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            assert_eq!(id, 7);
            while let Some(portion) = ear.hear().await? {
                let _ = self.portions.send(portion).await;
            }
            Ok(())
        })
    }

    fn tell_logs<'a>(&'a self, _: &'a Caller, _: LogsWish, _: Ear<()>, _: Mouth<Portion>) -> BoxFuture<'a, Result<()>> {
        Box::pin(async { Ok(()) })
    }
}

struct Scene {
    sessions: mpsc::Receiver<Heads>,
    portions: mpsc::Receiver<Portion>,
    heard: mpsc::Receiver<Heard>,
    closing: CancellationToken,
    deeds: Arc<Deeds>,
    ends: Arc<Notify>,
    agent: tokio::task::JoinHandle<()>,
    leads: watch::Sender<Option<String>>,
    address: String,
    _kept: (watch::Sender<Vec<String>>, watch::Sender<bool>, watch::Sender<Arc<rustls::ServerConfig>>),
}

fn papers(root: &Root, node: &str, role: Role) -> Identity {
    let (key, request) = ca::request().expect("a request");
    let subject = Subject { node_id: node.into(), role, cluster_id: "c".into() };
    let certificate = root.issue(&request, &subject, Timestamp::now(), Duration::from_secs(3600), [3; 16]).expect("signed");
    Identity { certificate, key, root: root.certificate.clone() }
}

/// An address where nobody answers comes first: the agent goes on to the next.
async fn scene(fake: Fake) -> Scene {
    scene_with(fake, |leader| vec!["127.0.0.1:1".to_string(), leader]).await
}

async fn scene_with(fake: Fake, known: impl FnOnce(String) -> Vec<String>) -> Scene {
    let root = Root::found(Timestamp::now()).expect("a root");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound").to_string();
    let (papers_tx, papers_rx) = watch::channel(papers(&root, "m1", Role::Manager).listener().expect("papers"));
    let (closing_tx, closing_rx) = watch::channel(false);
    let (sessions_tx, sessions) = mpsc::channel(4);
    let (portions_tx, portions) = mpsc::channel(4);
    let leader = Arc::new(Leader { sessions: sessions_tx, portions: portions_tx, done: Notify::new() });
    tokio::spawn(desk::serve(listener, papers_rx, leader, closing_rx));
    let (managers_tx, managers) = watch::channel(known(address.clone()));
    let leads = watch::Sender::default();
    let (heard_tx, heard) = mpsc::channel(16);
    let (deeds, ends, closing) = (fake.deeds.clone(), fake.ends.clone(), CancellationToken::new());
    let post = Post {
        phone: Arc::new(Phone::new(papers(&root, "w1", Role::Worker).caller().expect("papers"))),
        managers,
        leads: leads.subscribe(),
        node_id: "w1".into(),
        address: String::new(),
        data_path_address: String::new(),
        executor: Arc::new(fake),
        heard: heard_tx,
        closing: closing.clone(),
    };
    let agent = tokio::spawn(run(post));
    let _kept = (managers_tx, closing_tx, papers_tx);
    Scene { sessions, portions, heard, closing, deeds, ends, agent, leads, address, _kept }
}

fn task(id: &str, state: TaskState, desired: TaskState) -> Task {
    let mut task = Task { id: id.into(), slot: 1, desired_state: desired, ..Task::default() };
    task.status.state = state;
    task
}

fn news(tasks: Vec<Task>) -> ManagerSays {
    let mut delta = Delta::default();
    delta.set.tasks = tasks.into_iter().map(|t| (t.id.clone(), Arc::new(t))).collect();
    ManagerSays::News(Box::new(delta))
}

impl Scene {
    async fn session(&mut self) -> Heads {
        let mut heads = self.sessions.recv().await.expect("a session");
        let Some(AgentSays::Hello(hello)) = heads.0.hear().await.expect("a greeting") else { panic!("no greeting") };
        assert_eq!(hello.description.hostname, "node1");
        heads
    }
}

/// Listens until a task is told to be in `state`; gives everything told on the way.
async fn until(ear: &mut Ear<AgentSays>, id: &str, state: TaskState) -> BTreeMap<String, TaskStatus> {
    let mut newest = BTreeMap::new();
    loop {
        match ear.hear().await.expect("the line holds").expect("the agent speaks") {
            AgentSays::Status(statuses) => newest.extend(statuses),
            other => assert!(matches!(other, AgentSays::Beat), "{other:?}"),
        }
        if newest.get(id).is_some_and(|status| status.state == state) {
            return newest;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_climbs_to_running_and_its_end_is_told() {
    let mut scene = scene(Fake { fails: vec!["end of t1"], ..Fake::default() }).await;
    let (mut ear, mut mouth) = scene.session().await;
    mouth.say(&news(vec![task("t1", TaskState::Assigned, TaskState::Running)])).await.expect("said");
    let told = until(&mut ear, "t1", TaskState::Running).await;
    assert_eq!(told["t1"].message, "started");
    scene.ends.notify_one();
    let told = until(&mut ear, "t1", TaskState::Failed).await;
    assert_eq!((told["t1"].message.as_str(), told["t1"].err.as_str()), ("started", "end of t1 failed"));
    let verbs: Vec<String> = scene.deeds.all().into_iter().filter(|deed| !deed.starts_with("ground")).collect();
    assert_eq!(verbs, ["controller t1 with 0 secrets", "prepare t1", "start t1", "end of t1"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_calls_a_dead_manager_hears_of_an_election_and_does_not_wait_for_its_answer() {
    let dead = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let mut scene = scene_with(Fake::default(), |_| vec![dead.local_addr().expect("bound").to_string()]).await;
    let _line = dead.accept().await.expect("the agent calls"); // and is never answered
    scene.leads.send_replace(Some(scene.address.clone()));
    tokio::time::timeout(Duration::from_secs(3), scene.session()).await.expect("long before the call has come to nothing");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_waits_on_ready_until_it_is_wanted_running_and_ends_when_told() {
    let mut scene = scene(Fake::default()).await;
    let (mut ear, mut mouth) = scene.session().await;
    mouth.say(&news(vec![task("t1", TaskState::Assigned, TaskState::Ready)])).await.expect("said");
    until(&mut ear, "t1", TaskState::Ready).await;
    assert!(!scene.deeds.all().contains(&"start t1".to_string()));
    mouth.say(&news(vec![task("t1", TaskState::Ready, TaskState::Running)])).await.expect("said");
    until(&mut ear, "t1", TaskState::Running).await;
    mouth.say(&news(vec![task("t1", TaskState::Running, TaskState::Shutdown)])).await.expect("said");
    let told = until(&mut ear, "t1", TaskState::Shutdown).await;
    assert_eq!(told["t1"].message, "shutdown");
    assert!(!scene.deeds.all().contains(&"remove t1".to_string()), "its container stays as long as it is remembered");
    mouth.say(&ManagerSays::News(Box::new(Delta { gone_tasks: vec!["t1".into()], ..Delta::default() }))).await.expect("said");
    scene.deeds.wait_for("remove t1").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_prepared_is_rejected_and_what_cannot_start_has_failed() {
    let mut scene = scene(Fake { fails: vec!["prepare t1", "start t2"], ..Fake::default() }).await;
    let (mut ear, mut mouth) = scene.session().await;
    mouth.say(&news(vec![task("t1", TaskState::Assigned, TaskState::Running)])).await.expect("said");
    let told = until(&mut ear, "t1", TaskState::Rejected).await;
    assert_eq!((told["t1"].message.as_str(), told["t1"].err.as_str()), ("preparing", "prepare t1 failed"));
    mouth.say(&news(vec![task("t2", TaskState::Assigned, TaskState::Running)])).await.expect("said");
    let told = until(&mut ear, "t2", TaskState::Failed).await;
    assert_eq!(told["t2"].message, "starting");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn networks_stand_before_a_task_that_needs_them_is_prepared() {
    let on_a_network = |id: &str| {
        let mut task = task(id, TaskState::Assigned, TaskState::Running);
        task.networks.push(NetworkAttachment::default());
        task
    };
    let mut good = scene(Fake::default()).await;
    let (mut ear, mut mouth) = good.session().await;
    mouth.say(&news(vec![on_a_network("t1")])).await.expect("said");
    until(&mut ear, "t1", TaskState::Running).await;
    let deeds = good.deeds.all();
    let at = |what: &str| deeds.iter().position(|deed| deed == what).expect("done");
    assert!(at("ground 1") < at("prepare t1"), "{deeds:?}");

    let mut bad = scene(Fake { fails: vec!["ground"], ..Fake::default() }).await;
    let (mut ear, mut mouth) = bad.session().await;
    mouth.say(&news(vec![on_a_network("t1"), task("t2", TaskState::Assigned, TaskState::Running)])).await.expect("said");
    let mut told = until(&mut ear, "t1", TaskState::Rejected).await;
    assert_eq!(told["t1"].err, "no vxlan here");
    if told.get("t2").is_none_or(|status| status.state != TaskState::Running) {
        told.extend(until(&mut ear, "t2", TaskState::Running).await); // it needs no network
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_session_is_told_everything_again_and_what_is_stale_goes() {
    let mut scene = scene(Fake { stale: vec!["t1".into(), "old".into()], ..Fake::default() }).await;
    let (mut ear, mut mouth) = scene.session().await;
    mouth.say(&news(vec![task("t1", TaskState::Assigned, TaskState::Running)])).await.expect("said");
    until(&mut ear, "t1", TaskState::Running).await;
    scene.deeds.wait_for("discard old").await;
    drop((ear, mouth));
    // the next leader knows less than the last one: it has not heard that the task runs
    let (mut ear, mut mouth) = scene.session().await;
    mouth.say(&news(vec![task("t1", TaskState::Assigned, TaskState::Running)])).await.expect("said");
    until(&mut ear, "t1", TaskState::Running).await;
    let deeds = scene.deeds.all();
    assert_eq!(deeds.iter().filter(|deed| *deed == "start t1").count(), 1, "it was not started again: {deeds:?}");
    assert!(!deeds.contains(&"discard t1".to_string()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_that_ends_leaves_its_tasks_alone() {
    let mut scene = scene(Fake::default()).await;
    let (mut ear, mut mouth) = scene.session().await;
    mouth.say(&news(vec![task("t1", TaskState::Assigned, TaskState::Running)])).await.expect("said");
    until(&mut ear, "t1", TaskState::Running).await;
    scene.closing.cancel();
    scene.agent.await.expect("it ends");
    let ended = ["shutdown t1", "terminate t1", "remove t1"];
    assert!(!scene.deeds.all().iter().any(|deed| ended.contains(&deed.as_str())));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_managers_say_is_over_is_ended_when_its_node_comes_back() {
    let mut scene = scene(Fake::default()).await;
    let (_ear, mut mouth) = scene.session().await;
    mouth.say(&news(vec![task("t1", TaskState::Orphaned, TaskState::Shutdown)])).await.expect("said");
    scene.deeds.wait_for("terminate t1").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removed_node_ends_its_agent_and_others_are_followed_to_the_leader() {
    let mut scene = scene(Fake::default()).await;
    let (ear, mut mouth) = scene.session().await;
    mouth.say(&ManagerSays::Moved { leader: None }).await.expect("said");
    let (_ear, mut mouth) = scene.session().await;
    drop(ear);
    mouth.say(&ManagerSays::Renew).await.expect("said");
    assert!(matches!(scene.heard.recv().await, Some(Heard::Renew)));
    mouth.say(&ManagerSays::Removed).await.expect("said");
    assert!(matches!(scene.heard.recv().await, Some(Heard::Removed)));
    scene.agent.await.expect("it ends");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_says_nothing_for_long_is_left() {
    let mut scene = scene(Fake::default()).await;
    let (mut ear, mut mouth) = scene.session().await;
    mouth.say(&ManagerSays::Terms { managers: Vec::new(), period: 50_000_000 }).await.expect("said");
    assert!(matches!(ear.hear().await.expect("a beat"), Some(AgentSays::Beat)));
    let _again = scene.session().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn logs_are_told_on_a_line_of_their_own() {
    let mut scene = scene(Fake::default()).await;
    let (_ear, mut mouth) = scene.session().await;
    mouth.say(&ManagerSays::Logs { id: 7, wish: LogsWish::default() }).await.expect("said");
    let mut said = Vec::new();
    loop {
        let portion = scene.portions.recv().await.expect("a portion");
        said.extend(portion.lines);
        if portion.last {
            break;
        }
    }
    assert_eq!(said.iter().map(|line| line.bytes.as_slice()).collect::<Vec<_>>(), [b"hello\n"]);
    assert_eq!(said[0].node_id, "w1");
}
