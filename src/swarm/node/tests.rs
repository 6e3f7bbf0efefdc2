//! # Whole nodes on loopback: claims

mod stage;

use super::*;
use crate::{agent::logs::LogsWish, control::Wish};
use minidock_spec::swarm::node::{Node, NodeState};
use serde_json::Value;
use stage::{Place, running, service, stop, three, tokens, until};
use std::time::{Duration, Instant};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_swarm_of_one_runs_a_service_and_goes_on_after_a_restart() {
    let place = Place::new();
    let node = place.open().await;
    assert!(node.manager().err().expect("none yet").message().contains("Use \"minidock swarm init\""));
    let id = node.init(place.init()).await.expect("founded");
    assert_eq!((id.len(), node.info().node_id), (25, id.clone()));
    assert!(node.init(place.init()).await.expect_err("twice").message().contains("already part of a swarm"));
    let manager = node.manager().expect("a manager");
    let answer = manager.wish(service("web", 5)).await.expect("created");
    assert_eq!(answer["ID"].as_str().map(str::len), Some(25));
    until(&node, "five tasks", |t| running(t) == 5).await;
    assert_eq!(lock(&place.machine.tasks).len(), 5);
    let info = node.info();
    assert_eq!((info.nodes, info.managers, info.control_available), (1, 1, true));
    drop(manager);
    node.stop().await;
    drop(node);
    let node = place.open().await;
    assert_eq!((node.info().node_id, node.info().error), (id, String::new()));
    until(&node, "five tasks still", |t| running(t) == 5).await;
    let manager = node.manager().expect("a manager again");
    manager.wish(Wish::RemoveService { id: "web".into() }).await.expect("removed");
    until(&node, "no tasks", |t| t.tasks().count() == 0).await;
    drop(manager);
    let refused = node.leave(false).await.expect_err("the last manager");
    assert!(refused.message().contains("Removing the last manager erases all current state"), "{}", refused.message());
    node.leave(true).await.expect("left");
    assert!(node.leave(true).await.is_err() && !place.home.path().join("swarm").exists());
    node.init(place.init()).await.expect("and founded again");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_joins_by_its_token_takes_tasks_and_leaves() {
    let places = [Place::new(), Place::new()];
    let first = places[0].open().await;
    first.init(places[0].init()).await.expect("founded");
    let (worker, _) = tokens(&first);
    let second = places[1].open().await;
    let mut wrong = worker.clone();
    wrong.replace_range(70..75, "aaaaa");
    let refused = second.join(places[1].join(&places[0], &wrong)).await.expect_err("a wrong secret");
    assert!(refused.message().contains("A valid join token is necessary"), "{}", refused.message());
    wrong.replace_range(15..20, "aaaaa");
    let refused = second.join(places[1].join(&places[0], &wrong)).await.expect_err("another swarm's");
    assert!(refused.message().contains("remote CA does not match fingerprint"), "{}", refused.message());
    assert!(second.join(places[1].join(&places[0], "nonsense")).await.is_err());
    assert!(!places[1].home.path().join("swarm").exists(), "nothing half-made");
    second.join(places[1].join(&places[0], &worker)).await.expect("joined");
    assert!(second.manager().err().expect("a worker").message().contains("Worker nodes can't be used"));
    until(&first, "two nodes", |t| t.nodes().filter(|n| n.status.state == NodeState::Ready).count() == 2).await;
    first.manager().expect("a manager").wish(service("web", 4)).await.expect("created");
    until(&first, "four tasks", |t| running(t) == 4).await;
    assert_eq!(lock(&places[1].machine.tasks).len(), 2, "spread");
    second.leave(false).await.expect("a worker may go");
    assert!(lock(&places[1].machine.tasks).is_empty());
    let all_here = |t: &crate::store::Tables| running(t) == 4;
    until(&first, "four tasks again", all_here).await;
    until(&first, "all on the first", |_| lock(&places[0].machine.tasks).len() == 4).await;
    stop(&[first, second]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_manager_answers_and_who_writes_there_reads_it_there() {
    let (_places, nodes) = three().await;
    for (number, node) in nodes.iter().enumerate() {
        let manager = node.manager().expect("a manager");
        manager.wish(service(&format!("s{number}"), 1)).await.expect("created");
        assert!(manager.view(|t| t.services().any(|s| s.spec.name == format!("s{number}"))), "read your own writes");
    }
    let leadership = nodes[2].manager().expect("a manager").leadership();
    assert_eq!((leadership.needed, leadership.managers.len()), (2, 3));
    assert!(leadership.leader.is_some());
    stop(&nodes).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_leader_dies_and_the_others_go_on_and_without_a_majority_writing_fails_at_once() {
    let (_places, nodes) = three().await;
    nodes[1].manager().expect("a manager").wish(service("before", 3)).await.expect("created");
    nodes[0].stop().await;
    let (since, mut tries) = (Instant::now(), 0);
    let manager = nodes[1].manager().expect("a manager");
    while let Err(error) = manager.wish(service(&format!("after{tries}"), 1)).await {
        tries += 1;
        assert!(since.elapsed() < Duration::from_secs(15), "{}", error.message());
    }
    eprintln!("a new leader after {:?}, {tries} refusals", since.elapsed());
    assert!(manager.view(|t| t.named(crate::store::Table::Service, "before").is_some()));
    nodes[2].stop().await;
    // the first may still wait for a majority that is just being lost
    let _ = manager.wish(service("lost", 1)).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let since = Instant::now();
    let refused = manager.wish(service("late", 1)).await.expect_err("nobody to agree with");
    assert!(since.elapsed() < Duration::from_secs(1), "at once: {:?}", since.elapsed());
    assert!(refused.message().contains("The swarm does not have a leader"), "{}", refused.message());
    assert!(refused.hint_text().unwrap_or_default().contains("2 of 3 managers are needed"), "{:?}", refused.hint_text());
    assert!(manager.view(|t| t.services().count()) >= 2, "reading goes on");
    drop(manager);
    nodes[1].stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_is_promoted_and_a_leader_is_demoted() {
    let (places, nodes) = three().await;
    let worker_place = Place::new();
    let worker = worker_place.open().await;
    worker.join(worker_place.join(&places[0], &tokens(&nodes[0]).0)).await.expect("joined");
    let role = |node: &Arc<Swarm>, role: Role| {
        let (manager, id) = (nodes[1].manager().expect("a manager"), node.info().node_id);
        async move {
            loop {
                let (version, mut spec) = manager.view(|t| {
                    let node = t.node(&id).expect("a node");
                    (node.version.index, node.spec.clone())
                });
                spec.role = role;
                match manager.wish(Wish::UpdateNode { id: id.clone(), version, spec }).await {
                    Err(error) if error.message().contains("out of sequence") => {} // it has just said what it is
                    answered => return answered,
                }
            }
        }
    };
    let turned = worker.turned();
    role(&worker, Role::Manager).await.expect("promoted");
    tokio::time::timeout(Duration::from_secs(10), turned).await.expect("whoever waits for a turn is told of a promotion");
    assert!(worker.manager().is_ok(), "it is a manager now");
    until(&worker, "a fourth voice", |t| t.nodes().filter(|n| n.raft_id != 0).count() == 4).await;
    let leader = nodes[1].manager().expect("a manager").leadership().leader.expect("a leader");
    let old = nodes.iter().find(|n| n.info().node_id == leader).expect("one of them");
    if old.info().node_id != nodes[1].info().node_id {
        let turned = old.turned();
        role(old, Role::Worker).await.expect("demoted");
        until(&worker, "its voice is gone", |t| {
            let node = t.node(&leader).expect("it stays a node");
            node.raft_id == 0 && node.certified_role == Role::Worker
        })
        .await;
        tokio::time::timeout(Duration::from_secs(10), turned).await.expect("and of a demotion");
        assert!(old.manager().is_err(), "it is a worker now");
    }
    worker.manager().expect("a manager").wish(service("web", 4)).await.expect("created");
    until(&worker, "four tasks", |t| running(t) == 4).await;
    stop(&nodes).await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_locked_manager_waits_for_its_key() {
    let place = Place::new();
    let node = place.open().await;
    node.init(InitRequest { auto_lock_managers: true, ..place.init() }).await.expect("founded");
    let key = node.manager().expect("a manager").unlock_key();
    assert!(key.starts_with("SWMKEY-1-"), "{key}");
    let sealed = place.home.path().join("swarm/certificates/swarm-node.key");
    let deadline = Instant::now() + Duration::from_secs(5);
    while !std::fs::read_to_string(&sealed).unwrap_or_default().contains("SEALED") {
        assert!(Instant::now() < deadline, "the key is not sealed");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    node.stop().await;
    drop(node);
    let node = place.open().await;
    assert_eq!(node.info().local_node_state, LocalNodeState::Locked);
    assert!(node.manager().err().expect("locked").message().contains("needs to be unlocked"));
    assert!(node.leave(false).await.is_err());
    assert!(node.unlock(&crate::seal::new_unlock_key()).await.is_err());
    node.unlock(&key).await.expect("its key");
    assert!(node.unlock(&key).await.expect_err("it is not locked").message().contains("not locked"));
    until(&node, "it leads again", |t| t.cluster().is_some()).await;
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_is_left_of_three_may_go_on_alone() {
    let (places, nodes) = three().await;
    nodes[0].manager().expect("a manager").wish(service("web", 3)).await.expect("created");
    until(&nodes[2], "three tasks", |t| running(t) == 3).await;
    stop(&nodes[..2]).await;
    nodes[2].init(InitRequest { force_new_cluster: true, ..InitRequest::default() }).await.expect("alone");
    let manager = nodes[2].manager().expect("a manager");
    manager.wish(service("more", 1)).await.expect("it writes again");
    let leadership = manager.leadership();
    assert_eq!((leadership.needed, leadership.managers.len()), (1, 1));
    assert!(manager.view(|t| t.named(crate::store::Table::Service, "web").is_some()), "nothing is lost");
    drop((manager, places));
    nodes[2].stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_root_is_rotated_while_everybody_stays_connected() {
    let (places, nodes) = three().await;
    let worker_place = Place::new();
    let worker = worker_place.open().await;
    let old = tokens(&nodes[0]).0;
    worker.join(worker_place.join(&places[0], &old)).await.expect("joined");
    let manager = nodes[1].manager().expect("a manager");
    let (version, mut spec) = manager.view(|t| {
        let cluster = t.cluster().expect("a cluster");
        (cluster.version.index, cluster.spec.clone())
    });
    spec.ca_config.force_rotate += 1;
    let wanted = spec.ca_config.force_rotate;
    manager.wish(Wish::UpdateCluster { version, spec: Box::new(spec), rotate: Default::default() }).await.expect("begun");
    until(&nodes[2], "the rotation is done", |t| {
        t.cluster().is_some_and(|c| {
            c.spec.ca_config.force_rotate == wanted && !c.root_rotation_in_progress && c.keys.next_key.is_empty()
        })
    })
    .await;
    let (new, _) = tokens(&nodes[2]);
    assert_ne!(new[..60], old[..60], "tokens name another root");
    manager.wish(service("web", 4)).await.expect("created");
    until(&nodes[0], "four tasks", |t| running(t) == 4).await;
    let late_place = Place::new();
    let late = late_place.open().await;
    assert!(late.join(late_place.join(&places[0], &old)).await.is_err(), "the old token");
    late.join(late_place.join(&places[0], &new)).await.expect("the new one");
    until(&nodes[0], "five nodes", |t| t.nodes().filter(|n: &&Arc<Node>| n.status.state == NodeState::Ready).count() == 5)
        .await;
    drop(manager);
    stop(&nodes).await;
    stop(&[worker, late]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn papers_are_renewed_by_themselves_before_they_expire_and_not_again_and_again() {
    let place = Place::new();
    let node = place.open().await;
    node.init(place.init()).await.expect("founded");
    let (manager, State::In(life)) = (node.manager().expect("a manager"), node.state()) else { panic!("it is in a swarm") };
    let ledger = manager.ledger().expect("it leads");
    // people may not ask for less than an hour
    let brief = |tables: &crate::store::Tables, _: &mut crate::orchestrator::Context| {
        let mut cluster = crate::store::Row::Cluster(tables.cluster().expect("a cluster").clone());
        if let crate::store::Row::Cluster(cluster) = &mut cluster {
            Arc::make_mut(cluster).spec.ca_config.node_cert_expiry = 6_000_000_000;
        }
        Ok((vec![crate::store::Action::Put(cluster)], Value::Null))
    };
    ledger.write(Box::new(brief)).await.expect("written");
    life.renew().await.expect("papers that are good for six seconds");
    let on_disk = place.home.path().join("swarm/certificates/swarm-node.crt");
    let read = || std::fs::read_to_string(&on_disk).expect("a certificate");
    let (mut last, mut renewals, since) = (read(), Vec::new(), Instant::now());
    while renewals.len() < 3 {
        assert!(since.elapsed() < Duration::from_secs(30), "{} renewals", renewals.len());
        tokio::time::sleep(Duration::from_millis(20)).await;
        let now = read();
        if last != now && now.contains("END CERTIFICATE") {
            renewals.push(since.elapsed());
            last = now;
        }
    }
    assert!(renewals[2] - renewals[0] > Duration::from_secs(4), "each three seconds: {renewals:?}");
    manager.wish(service("web", 1)).await.expect("created");
    until(&node, "a task, by papers that are new", |t| running(t) == 1).await;
    drop((manager, life, ledger));
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_tasks_say_is_heard_from_any_manager() {
    let (places, nodes) = three().await;
    let answer: Value = nodes[1].manager().expect("a manager").wish(service("web", 6)).await.expect("created");
    let id = answer["ID"].as_str().expect("an id").to_string();
    until(&nodes[2], "six tasks", |t| running(t) == 6).await;
    for node in &nodes {
        let wish = LogsWish { service_ids: vec![id.clone()], stdout: true, stderr: true, ..LogsWish::default() };
        let mut lines = node.manager().expect("a manager").logs(wish).await.expect("a stream");
        let mut count = 0;
        while let Some(line) = lines.recv().await {
            assert!(line.expect("a line").bytes.ends_with(b"says hello\n"));
            count += 1;
        }
        assert_eq!(count, 6);
    }
    drop(places);
    stop(&nodes).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_hundred_tasks_are_few_turns_and_a_fifth_of_them_a_fifth_of_the_time() {
    let (places, nodes) = three().await;
    let manager = nodes[0].manager().expect("a manager");
    let mut took = Vec::new();
    for (name, replicas) in [("small", 100), ("large", 500)] {
        let (since, before) = (Instant::now(), manager.applied());
        manager.wish(service(name, replicas)).await.expect("created");
        let created = since.elapsed();
        until(&nodes[0], "all of them", |t| running(t) as u64 >= if name == "small" { 100 } else { 600 }).await;
        let (turns, all) = (manager.applied() - before, since.elapsed());
        eprintln!("{replicas} tasks: created after {created:?}, running after {all:?}, {turns} batches");
        assert!(turns < 60, "{turns} batches");
        took.push(all);
    }
    let (since, before) = (Instant::now(), manager.applied());
    manager.wish(Wish::RemoveService { id: "large".into() }).await.expect("removed");
    until(&nodes[0], "the small one only", |t| t.tasks().count() == 100).await;
    eprintln!("500 tasks gone after {:?}, {} batches", since.elapsed(), manager.applied() - before);
    assert!(took[1] < took[0] * 15, "{took:?}");
    drop((manager, places));
    stop(&nodes).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removed_node_says_so_keeps_nothing_and_its_papers_open_no_door() {
    let places = [Place::new(), Place::new()];
    let first = places[0].open().await;
    first.init(places[0].init()).await.expect("founded");
    let second = places[1].open().await;
    second.join(places[1].join(&places[0], &tokens(&first).0)).await.expect("joined");
    let manager = first.manager().expect("a manager");
    manager.wish(service("web", 4)).await.expect("created");
    until(&first, "four tasks", |t| running(t) == 4).await;
    let id = second.info().node_id;
    let refused = manager.wish(Wish::RemoveNode { id: id.clone(), force: false }).await.expect_err("it lives");
    assert!(refused.message().contains("is not down and can't be removed"), "{}", refused.message());
    manager.wish(Wish::RemoveNode { id, force: true }).await.expect("by force");
    until(&first, "all on the first", |_| lock(&places[0].machine.tasks).len() == 4).await;
    let deadline = Instant::now() + Duration::from_secs(10);
    while second.info().local_node_state != LocalNodeState::Error || !lock(&places[1].machine.tasks).is_empty() {
        assert!(Instant::now() < deadline, "{:?}", second.info());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let State::In(life) = second.state() else { panic!("it has not left") };
    let refused = life.ask_managers(&crate::wire::Ask::Renew { request: String::new() }).await.expect_err("removed");
    assert!(refused.message().contains("is not a node of this swarm any more"), "{}", refused.message());
    second.leave(false).await.expect("left");
    drop((manager, life));
    stop(&[first, second]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_cannot_be_read_is_said_and_leaving_by_force_is_the_way_out() {
    let place = Place::new();
    let node = place.open().await;
    node.init(place.init()).await.expect("founded");
    node.stop().await;
    drop(node);
    let log = place.home.path().join("swarm/raft/raft-1.redb");
    std::fs::write(&log, b"no database at all").expect("written");
    let node = place.open().await;
    let info = node.info();
    assert_eq!(info.local_node_state, LocalNodeState::Error);
    assert!(info.error.contains("raft-1.redb"), "{}", info.error);
    assert!(node.manager().err().expect("broken").message().contains("cannot take part"));
    node.leave(true).await.expect("left");
    node.init(place.init()).await.expect("a new one");
    node.stop().await;
}
