//! # Elections, deaths and returns, in one process
//!
//! A [`Net`] of members that reach each other through memory and whose cables can be cut; the disk is real. What is checked
//! is what the essay promises: acknowledged means kept, a minority refuses at once, who returns catches up.

use super::*;
use futures_util::future::BoxFuture;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, OnceLock},
    time::Instant,
};
use tempfile::TempDir;

/// A machine that remembers every command.
#[derive(Default)]
struct Diary(Mutex<Vec<String>>);

impl Diary {
    fn lines(&self) -> Vec<String> {
        self.0.lock().expect("no panic").clone()
    }
}

impl Machine for Diary {
    fn apply(&self, _: u64, command: &[u8]) -> Vec<u8> {
        let mut lines = self.0.lock().expect("no panic");
        lines.push(String::from_utf8_lossy(command).into_owned());
        lines.len().to_string().into_bytes()
    }

    fn snapshot(&self) -> Vec<u8> {
        self.lines().join("\n").into_bytes()
    }

    fn restore(&self, snapshot: &[u8]) -> Result<()> {
        let text = String::from_utf8_lossy(snapshot);
        *self.0.lock().expect("no panic") = text.lines().map(str::to_string).collect();
        Ok(())
    }
}

#[derive(Default)]
struct Net {
    members: Mutex<BTreeMap<u64, Arc<Consensus>>>,
    /// Members that nobody reaches and that reach nobody.
    cut: Mutex<BTreeSet<u64>>,
}

struct Plug {
    from: u64,
    net: Arc<Net>,
}

impl Connector for Plug {
    fn call<'a>(&'a self, to: &'a Member, message: Vec<u8>) -> BoxFuture<'a, Result<Vec<u8>>> {
        Box::pin(async move {
            let target = {
                let cut = self.net.cut.lock().expect("no panic");
                let reachable = !cut.contains(&self.from) && !cut.contains(&to.id);
                reachable.then(|| self.net.members.lock().expect("no panic").get(&to.id).cloned()).flatten()
            };
            target.ok_or_else(|| Error::unavailable("nobody answers"))?.receive(&message).await
        })
    }
}

struct Group {
    net: Arc<Net>,
    home: TempDir,
    diaries: BTreeMap<u64, Arc<Diary>>,
}

const LIMIT: Duration = Duration::from_secs(20);

impl Group {
    fn options(&mut self, id: u64) -> Options {
        let diary = Arc::new(Diary::default());
        self.diaries.insert(id, diary.clone());
        let plug = Arc::new(Plug { from: id, net: self.net.clone() });
        let mut options = Options::new(id, self.home.path().join(id.to_string()), plug, diary);
        options.heartbeat = Duration::from_millis(50);
        options.snapshot_every = 40;
        options
    }

    async fn open(&mut self, id: u64) -> Arc<Consensus> {
        let options = self.options(id);
        let member = Arc::new(Consensus::open(options).await.expect("a member"));
        self.net.members.lock().expect("no panic").insert(id, member.clone());
        member
    }

    async fn of(size: u64) -> Group {
        let mut group = Group { net: Arc::default(), home: tempfile::tempdir().expect("a folder"), diaries: BTreeMap::new() };
        let first = group.open(1).await;
        first.found("one").await.expect("a group of one");
        group.leader().await;
        for id in 2..=size {
            group.open(id).await;
            first.add(&Member::new(id, &format!("m{id}")), LIMIT).await.expect("a newcomer");
        }
        group
    }

    fn member(&self, id: u64) -> Arc<Consensus> {
        self.net.members.lock().expect("no panic")[&id].clone()
    }

    /// Waits until somebody that is not cut off leads and takes a proposal.
    async fn leader(&self) -> Arc<Consensus> {
        let deadline = Instant::now() + LIMIT;
        loop {
            let cut = self.net.cut.lock().expect("no panic").clone();
            let all: Vec<_> = self.net.members.lock().expect("no panic").clone().into_iter().collect();
            for (_, member) in all.into_iter().filter(|(id, _)| !cut.contains(id)) {
                if member.barrier(Duration::from_secs(1)).await.is_ok() {
                    return member;
                }
            }
            assert!(Instant::now() < deadline, "no leader in {LIMIT:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn write(&self, text: &str) -> Vec<u8> {
        let leader = self.leader().await;
        leader.propose(text.into(), LIMIT).await.expect("a committed command")
    }

    async fn kill(&self, id: u64) {
        let member = self.net.members.lock().expect("no panic").remove(&id).expect("it is there");
        member.stop().await;
    }

    async fn wait_for(&self, id: u64, lines: &[String]) {
        let deadline = Instant::now() + LIMIT;
        while self.diaries[&id].lines() != lines {
            assert!(Instant::now() < deadline, "member {id} has {:?}", self.diaries[&id].lines());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

fn lines(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("line {n}")).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_three_agree_on_all_have_in_the_same_order() {
    let group = Group::of(3).await;
    for line in lines(10) {
        group.write(&line).await;
    }
    for id in 1..=3 {
        group.wait_for(id, &lines(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_death_of_a_leader_loses_nothing_that_was_acknowledged() {
    let mut group = Group::of(3).await;
    for line in lines(5) {
        group.write(&line).await;
    }
    let dead = group.leader().await.standing().id;
    group.kill(dead).await;
    assert_eq!(group.write("line 5").await, b"6");
    group.open(dead).await; // from its own disk
    group.wait_for(dead, &lines(6)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_majority_a_write_fails_at_once_and_says_who_is_alive() {
    let group = Group::of(3).await;
    group.write("line 0").await;
    let leader = group.leader().await;
    let id = leader.standing().id;
    for other in (1..=3).filter(|o| *o != id) {
        group.net.cut.lock().expect("no panic").insert(other);
    }
    let deadline = Instant::now() + LIMIT;
    let refusal = loop {
        let began = Instant::now();
        match leader.propose(b"lost".to_vec(), Duration::from_secs(1)).await {
            Err(Refusal::Unknown(_)) => assert!(Instant::now() < deadline, "it never notices"), // in flight when the cable was cut
            Err(refusal) => {
                assert!(began.elapsed() < Duration::from_millis(500), "it took {:?}", began.elapsed());
                break refusal;
            }
            Ok(_) => panic!("a minority committed"),
        }
    };
    assert!(matches!(refusal, Refusal::NoQuorum(_) | Refusal::NotLeader(_)));
    let error = Error::from(refusal);
    assert!(error.message().contains("too few managers are online"), "{}", error.message());
    let hint = error.hint_text().expect("a way out");
    assert!(hint.contains("2 of 3 managers are needed") && hint.contains("--force-new-cluster"), "{hint}");
    assert!(group.diaries[&id].lines().contains(&"line 0".to_string()), "reading goes on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_far_behind_gets_the_whole_state_and_the_log_stays_short() {
    let mut group = Group::of(3).await;
    let leader = group.leader().await.standing().id;
    let behind = (1..=3).find(|id| *id != leader).expect("a follower");
    group.kill(behind).await;
    for line in lines(150) {
        group.write(&line).await;
    }
    group.open(behind).await;
    group.wait_for(behind, &lines(150)).await;
    group.kill(leader).await;
    let store = LogStore::open(&group.home.path().join(leader.to_string()), Arc::new(Plain)).expect("a log");
    let kept = store.len().expect("a readable log");
    assert!(kept < 120, "{kept} entries are kept");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_is_left_can_go_on_alone_with_all_it_had() {
    let mut group = Group::of(3).await;
    for line in lines(8) {
        group.write(&line).await;
    }
    for id in 1..=3 {
        group.wait_for(id, &lines(8)).await;
        group.kill(id).await;
    }
    let options = group.options(2);
    let alone = Arc::new(Consensus::open_alone(options, "two").await.expect("it stands alone"));
    group.net.members.lock().expect("no panic").insert(2, alone);
    assert_eq!(group.write("line 8").await, b"9");
    let standing = group.member(2).standing();
    assert_eq!((standing.voters(), standing.leader), (1, Some(2)));
    group.kill(2).await;
    group.open(2).await; // and it stays so
    group.wait_for(2, &lines(9)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_is_removed_no_longer_counts() {
    let group = Group::of(3).await;
    let leader = group.leader().await;
    let gone = (1..=3).find(|id| *id != leader.standing().id).expect("a follower");
    leader.remove(gone, LIMIT).await.expect("removed");
    assert_eq!(leader.standing().voters(), 2);
    assert!(leader.standing().members.iter().all(|m| m.member.id != gone));
    group.write("line 0").await;
}

/// A seal that inverts every byte and shows what was never sealed.
struct Inverted;

impl Seal for Inverted {
    fn seal(&self, plain: &[u8]) -> Vec<u8> {
        plain.iter().map(|b| !b).collect()
    }

    fn open(&self, sealed: &[u8]) -> Result<Vec<u8>> {
        Ok(self.seal(sealed))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_of_a_command_lies_on_disk_unsealed() {
    let mut group = Group { net: Arc::default(), home: tempfile::tempdir().expect("a folder"), diaries: BTreeMap::new() };
    let mut options = group.options(1);
    options.seal = Arc::new(Inverted);
    let member = Consensus::open(options).await.expect("a member");
    member.found("one").await.expect("a group of one");
    while member.propose(b"the launch code is 0000".to_vec(), LIMIT).await.is_err() {}
    member.snapshot().await.expect("a snapshot");
    member.stop().await;
    let bytes = std::fs::read(group.home.path().join("1/raft-1.redb")).expect("a log");
    assert!(!bytes.windows(6).any(|w| w == b"launch"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_log_is_refused_by_name_and_index() {
    static FLAW: OnceLock<()> = OnceLock::new();
    /// Opens everything but the last command.
    struct Flawed;
    impl Seal for Flawed {
        fn seal(&self, plain: &[u8]) -> Vec<u8> {
            plain.to_vec()
        }
        fn open(&self, sealed: &[u8]) -> Result<Vec<u8>> {
            match FLAW.get().is_some() && sealed.windows(4).any(|w| w == b"last") {
                true => Err(Error::system("the bytes were changed")),
                false => Ok(sealed.to_vec()),
            }
        }
    }
    let mut group = Group { net: Arc::default(), home: tempfile::tempdir().expect("a folder"), diaries: BTreeMap::new() };
    let mut options = group.options(1);
    options.seal = Arc::new(Flawed);
    let member = Consensus::open(options).await.expect("a member");
    member.found("one").await.expect("a group of one");
    while member.propose(b"last".to_vec(), LIMIT).await.is_err() {}
    member.stop().await;
    drop(member);
    FLAW.set(()).expect("once");
    let error = LogStore::open(&group.home.path().join("1"), Arc::new(Flawed)).err().expect("it is refused");
    assert!(error.message().contains("read entry") && error.message().contains("raft-1.redb"), "{}", error.message());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_goes_to_another_member_together_is_bounded_and_never_nothing() {
    let group = Group::of(1).await;
    for text in ["a".repeat(3 << 20), "b".repeat(3 << 20), "c".to_string(), "d".to_string()] {
        group.write(&text).await;
    }
    group.kill(1).await;
    let mut store = LogStore::open(&group.home.path().join("1"), Arc::new(Plain)).expect("a log");
    let (first, end) = (store.entries(.., 0).expect("one")[0].log_id.index, 1 + store.len().expect("a log"));
    let all = store.entries(.., usize::MAX).expect("all").len();
    let indices = |entries: Vec<openraft::Entry<Kind>>| entries.iter().map(|e| e.log_id.index).collect::<Vec<_>>();
    let mut reached = Vec::new();
    while reached.len() < all {
        let from = first + reached.len() as u64;
        let together = openraft::RaftLogReader::limited_get_log_entries(&mut store, from, end + first).await.expect("some");
        assert!(!together.is_empty() && together.len() < all, "{together:?}");
        reached.extend(indices(together));
    }
    assert_eq!(reached, (first..first + all as u64).collect::<Vec<_>>());
}
