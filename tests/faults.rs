//! # Faults: what a swarm keeps when machines and cables fail
//!
//! Three managers on three simulated nodes; something breaks while services are created and removed; afterwards every manager shows everything that was
//! acknowledged ([`history`]), and what should run runs, as often as it should. Each fault takes some seconds; heartbeats are short.

#[path = "props/history.rs"]
mod history;
#[path = "props/nodes.rs"]
mod nodes;
#[path = "props/mod.rs"]
mod props;

use history::History;
use nodes::Nodes;
use props::{comes_true, wait_for};
use std::time::{Duration, Instant};

const MANAGERS: [&str; 3] = ["node1", "node2", "node3"];

/// Three managers with short heartbeats.
fn three() -> Nodes {
    let nodes = Nodes::up(&["--nodes", "3", "--managers", "3"]);
    nodes.eventually("node1", &["swarm", "update", "--dispatcher-heartbeat", "1s"]);
    nodes
}

/// Who leads, as one of these managers sees it.
fn leader(nodes: &Nodes, ask: &[&str]) -> Option<String> {
    let seen = |manager: &&str| {
        let rows = nodes.on(manager, &["node", "ls", "--format", "{{.Hostname}} {{.Status}} {{.ManagerStatus}}"]);
        rows.out.lines().find_map(|row| row.strip_suffix(" Ready Leader").map(String::from))
    };
    ask.iter().find_map(seen)
}

#[track_caller]
fn await_leader(nodes: &Nodes, ask: &[&str]) -> String {
    let mut found = None;
    wait_for("a leader", || {
        found = leader(nodes, ask).filter(|name| ask.contains(&name.as_str()));
        found.is_some()
    });
    found.expect("waited for")
}

fn others<'a>(name: &str) -> Vec<&'a str> {
    MANAGERS.iter().copied().filter(|manager| *manager != name).collect()
}

/// Tasks that run, by the word of a manager.
fn running(nodes: &Nodes, via: &str, service: &str) -> usize {
    let rows = nodes.on(via, &["service", "ps", service, "--filter", "desired-state=running", "--format", "{{.CurrentState}}"]);
    rows.out.lines().filter(|state| state.starts_with("Running")).count()
}

/// Containers of a service that really run, on these nodes.
fn containers(nodes: &Nodes, on: &[&str], service: &str) -> usize {
    let count = |node: &&str| {
        let filter = format!("label=com.docker.swarm.service.name={service}");
        nodes.on(node, &["ps", "-q", "--filter", &filter]).out.lines().count()
    };
    on.iter().map(count).sum()
}

#[track_caller]
fn converges(nodes: &Nodes, via: &str, service: &str, replicas: usize, on: &[&str]) {
    wait_for(&format!("{replicas} of {service} to run"), || {
        running(nodes, via, service) == replicas && containers(nodes, on, service) == replicas
    });
}

#[test]
fn a_leader_that_dies_in_the_middle_of_creates_takes_nothing_along() {
    let nodes = three();
    let history = History::default();
    let first = await_leader(&nodes, &MANAGERS);
    let survivors = others(&first);
    std::thread::scope(|scope| {
        let _stop = history.until_dropped();
        // some by everybody in turn, and some by each of the two that will be left
        scope.spawn(|| history.load(&nodes, &MANAGERS));
        survivors.iter().for_each(|via| drop(scope.spawn(|| history.load(&nodes, &[via]))));
        wait_for("some services", || history.count() >= 10);
        nodes.cluster(&["kill", &first]);
        let before = history.count();
        let began = Instant::now();
        wait_for("services by the next leader", || history.count() >= before + 5);
        println!("five services by the next leader {:?} after the kill", began.elapsed());
        assert!(began.elapsed() < Duration::from_secs(15), "writes went on after {:?}", began.elapsed());
        wait_for("some more", || history.count() >= before + 10);
        nodes.cluster(&["start", &first]);
    });
    // who was there all the time knows it now; who was killed, when it has caught up
    survivors.iter().for_each(|at| assert_eq!(history.wrong(&nodes, at), None, "{at}"));
    history.check(&nodes, &MANAGERS);
}

#[test]
fn the_tasks_of_a_leader_that_died_run_elsewhere_as_soon_as_those_of_any_node() {
    let nodes = three();
    nodes.eventually("node1", &["swarm", "update", "--dispatcher-heartbeat", "2s"]);
    nodes.eventually(
        "node1",
        &["service", "create", "-d", "--no-resolve-image", "--name", "web", "--replicas", "6", "alpine", "sleep", "1000"],
    );
    converges(&nodes, "node1", "web", 6, &MANAGERS);
    let first = await_leader(&nodes, &MANAGERS);
    let rest = others(&first);
    nodes.cluster(&["kill", &first]);
    let began = Instant::now();
    wait_for("all to run elsewhere", || containers(&nodes, &rest, "web") == 6);
    let took = began.elapsed();
    println!("the tasks of a dead leader run elsewhere after {took:?}, with heartbeats of 2 s");
    // three periods of silence, counted from its last word and not from the election; a busy machine is forgiven
    assert!(took >= Duration::from_secs(5) && took < Duration::from_secs(10), "{took:?}");
    nodes.cluster(&["start", &first]);
    converges(&nodes, rest[0], "web", 6, &MANAGERS);
}

#[test]
fn ten_leaders_in_a_row_die_while_services_are_created() {
    let nodes = three();
    let history = History::default();
    let mut alive = MANAGERS.to_vec();
    for round in 0..10 {
        let first = await_leader(&nodes, &alive);
        nodes.cluster(&["kill", &first]);
        alive = others(&first);
        wait_for(&format!("a service in round {round}"), || history.create(&nodes, alive[round % 2]));
        nodes.cluster(&["start", &first]);
        wait_for("the killed manager to come back", || nodes.on(&first, &["service", "ls", "-q"]).status == 0);
        alive = MANAGERS.to_vec();
    }
    assert!(history.count() >= 10);
    history.check(&nodes, &MANAGERS);
}

#[test]
fn a_manager_that_is_cut_off_refuses_and_the_majority_goes_on() {
    let nodes = three();
    let history = History::default();
    nodes.eventually(
        "node1",
        &["service", "create", "-d", "--no-resolve-image", "--name", "web", "--replicas", "3", "alpine", "sleep", "1000"],
    );
    converges(&nodes, "node1", "web", 3, &MANAGERS);
    let first = await_leader(&nodes, &MANAGERS);
    // the leader itself is cut off
    nodes.cluster(&["partition", &first]);
    let majority = others(&first);
    wait_for("the majority's leader", || history.create(&nodes, majority[0]));
    let refused = nodes.on(&first, &["service", "create", "-d", "--no-resolve-image", "--name", "lost", "alpine", "true"]);
    assert_ne!(refused.status, 0, "a minority must not promise anything: {}", refused.out);
    nodes.cluster(&["heal"]);
    wait_for("the old leader to follow", || history.create(&nodes, &first));
    history.check(&nodes, &MANAGERS);
    // nobody has a majority: reads and running tasks go on, writes are refused with what is missing
    nodes.cluster(&["partition", "node1", "node2", "node3"]);
    wait_for("a refusal", || {
        // what is refused after it has been proposed may still be agreed on later: it must be nothing that the rest looks at
        let refused = nodes.on("node2", &["service", "update", "-d", "--label-add", "asked=yes", "web"]);
        refused.status != 0 && refused.err.contains("does not have a leader")
    });
    assert!(nodes.ok("node2", &["service", "ls", "--format", "{{.Name}}"]).contains("web"));
    assert!(containers(&nodes, &MANAGERS, "web") >= 3);
    nodes.cluster(&["heal"]);
    wait_for("writes after the cable is whole", || history.create(&nodes, "node3"));
    converges(&nodes, "node1", "web", 3, &MANAGERS);
    history.check(&nodes, &MANAGERS);
}

#[test]
fn an_asymmetric_cut_loses_nothing() {
    let nodes = three();
    let history = History::default();
    let first = await_leader(&nodes, &MANAGERS);
    let other = others(&first);
    std::thread::scope(|scope| {
        let _stop = history.until_dropped();
        scope.spawn(|| history.load(&nodes, &MANAGERS));
        wait_for("some services", || history.count() >= 5);
        // the leader hears one of them no longer, but is heard
        nodes.cluster(&["cut", "--one-way", other[0], &first]);
        let before = history.count();
        wait_for("services in spite of it", || history.count() >= before + 5);
        nodes.cluster(&["heal"]);
        // and the other way round
        nodes.cluster(&["cut", "--one-way", &first, other[1]]);
        let before = history.count();
        wait_for("services in spite of it", || history.count() >= before + 5);
        nodes.cluster(&["heal"]);
    });
    history.check(&nodes, &MANAGERS);
}

#[test]
fn a_frozen_node_is_replaced_and_gives_up_its_tasks_when_it_is_back() {
    let nodes = three();
    nodes.eventually(
        "node1",
        &["service", "create", "-d", "--no-resolve-image", "--name", "web", "--replicas", "6", "alpine", "sleep", "1000"],
    );
    converges(&nodes, "node1", "web", 6, &MANAGERS);
    let first = await_leader(&nodes, &MANAGERS);
    let other = others(&first);
    nodes.cluster(&["pause", other[0]]);
    let rest = [first.as_str(), other[1]];
    converges(&nodes, &first, "web", 6, &rest);
    nodes.cluster(&["unpause", other[0]]);
    // what it still ran is stale now
    converges(&nodes, &first, "web", 6, &MANAGERS);
    wait_for("the node to be ready", || {
        nodes.on(&first, &["node", "ls", "--format", "{{.Status}}"]).out.matches("Ready").count() == 3
    });
}

#[test]
fn a_leader_whose_daemon_stands_still_for_thirty_seconds_follows_when_it_goes_on() {
    let nodes = three();
    let history = History::default();
    nodes.eventually(
        "node1",
        &["service", "create", "-d", "--no-resolve-image", "--name", "web", "--replicas", "6", "alpine", "sleep", "1000"],
    );
    converges(&nodes, "node1", "web", 6, &MANAGERS);
    let first = await_leader(&nodes, &MANAGERS);
    let rest = others(&first);
    let began = Instant::now();
    // the daemon alone: its containers go on
    nodes.inside(&first, "kill -STOP $(pgrep -P 1 -f 'daemon --data-root')");
    assert!(nodes.inside(&first, "pgrep -c -f 'sleep 100[0]'").parse::<u32>().expect("a number") >= 2);
    std::thread::scope(|scope| {
        let _stop = history.until_dropped();
        scope.spawn(|| history.load(&nodes, &rest));
        wait_for("services by the next leader", || history.count() >= 5);
        wait_for("the others to run all", || running(&nodes, rest[0], "web") == 6 && containers(&nodes, &rest, "web") == 6);
        assert!(comes_true(Duration::from_secs(31), || began.elapsed() >= Duration::from_secs(30)));
        let before = history.count();
        nodes.inside(&first, "kill -CONT $(pgrep -P 1 -f 'daemon --data-root')");
        wait_for("it to follow", || history.create(&nodes, &first));
        wait_for("services all the time", || history.count() >= before + 5);
    });
    history.check(&nodes, &MANAGERS);
    converges(&nodes, &first, "web", 6, &MANAGERS);
}

#[test]
fn random_deaths_under_load_heal() {
    let nodes = three();
    let history = History::default();
    nodes.eventually(
        "node1",
        &[
            "service",
            "create",
            "-d",
            "--no-resolve-image",
            "--name",
            "web",
            "--replicas",
            "6",
            "--restart-delay",
            "100ms",
            "alpine",
            "sleep",
            "1000",
        ],
    );
    converges(&nodes, "node1", "web", 6, &MANAGERS);
    std::thread::scope(|scope| {
        let _stop = history.until_dropped();
        scope.spawn(|| history.load(&nodes, &MANAGERS));
        let until = Instant::now() + Duration::from_secs(60);
        let mut nth: usize = std::process::id() as usize; // another order in each run
        while Instant::now() < until {
            let node = MANAGERS[nth % 3];
            match nth % 4 {
                0 => {
                    nodes.cluster(&["kill", "--daemon", node]);
                    nodes.cluster(&["start", node]);
                }
                _ => {
                    nodes.sh(node, "for id in $(minidock ps -q | head -2); do minidock kill $id; done");
                }
            }
            nth = nth.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407) >> 1;
        }
    });
    history.check(&nodes, &MANAGERS);
    converges(&nodes, "node2", "web", 6, &MANAGERS);
}

#[test]
fn a_manager_with_a_full_disk_stops_no_other() {
    let nodes = Nodes::up(&["--nodes", "3", "--no-swarm"]);
    // the third one's daemon gets a small disk
    nodes.cluster(&["kill", "--daemon", "node3"]);
    nodes.inside("node3", "mount -t tmpfs -o size=32m tmpfs /var/lib/minidock");
    nodes.cluster(&["start", "node3"]);
    nodes.inside("node1", "minidock swarm init --advertise-addr $(hostname -i)");
    let token = nodes.inside("node1", "minidock swarm join-token -q manager");
    for node in ["node2", "node3"] {
        nodes.inside(
            node,
            &format!("minidock swarm join --advertise-addr $(hostname -i) --token {token} {}:2377", nodes.address("node1")),
        );
    }
    let history = History::default();
    assert!(history.create(&nodes, "node3"));
    nodes.sh("node3", "dd if=/dev/zero of=/var/lib/minidock/filler bs=64k 2>/dev/null; true");
    wait_for("ten more services", || {
        history.create(&nodes, "node1");
        history.create(&nodes, "node2");
        history.count() >= 11
    });
    history.check(&nodes, &["node1", "node2"]);
    let pid = nodes.inside("node3", "pgrep -P 1 -f 'daemon --data-root'");
    nodes.inside("node3", "rm /var/lib/minidock/filler");
    // it mends itself: nobody starts it again
    wait_for("a service by the third", || history.create(&nodes, "node3"));
    history.check(&nodes, &MANAGERS);
    assert_eq!(nodes.inside("node3", "pgrep -P 1 -f 'daemon --data-root'"), pid, "the daemon that was there all the time");
}

#[test]
fn a_torn_log_costs_one_manager_nothing_that_was_acknowledged() {
    let nodes = three();
    let history = History::default();
    for manager in MANAGERS {
        wait_for("a service", || history.create(&nodes, manager));
    }
    let first = await_leader(&nodes, &MANAGERS);
    let victim = others(&first)[0];
    // the last record is in what its last change has written: the pages that differ from before
    let file = nodes.host.data_root().join("cluster").join(victim).join("swarm/raft/raft-1.redb");
    let file = file.display();
    nodes.cluster(&["kill", victim]);
    nodes.host.sh(&format!("cp {file} before.redb")).ok();
    nodes.cluster(&["start", victim]);
    wait_for("one more service", || history.create(&nodes, &first));
    wait_for("the victim to know it", || history.wrong(&nodes, victim).is_none());
    nodes.cluster(&["kill", victim]);
    let tear = format!(
        "pages=$(cmp -l before.redb {file} | awk '{{ print int(($1 - 1) / 4096) }}' | uniq | sort -un | grep -v '^0$'); \
         for page in $pages; do dd if=/dev/urandom of={file} bs=4096 seek=$page count=1 conv=notrunc 2>/dev/null; done; echo $pages"
    );
    let torn = nodes.host.sh(&tear).ok();
    println!("pages torn: {torn}");
    assert_ne!(torn.trim(), "");
    assert!(history.create(&nodes, &first), "two of three go on");
    nodes.cluster(&["start", victim]);
    // either it reads what is whole and catches up, or it says what is wrong; it never serves something else
    let answers = || nodes.on(victim, &["service", "ls", "-q"]).status == 0;
    if comes_true(Duration::from_secs(5), answers) {
        history.check(&nodes, &MANAGERS);
    } else {
        let said = nodes.on(victim, &["service", "ls"]).fails(1);
        assert!(said.contains("this node cannot take part in its swarm: ") && said.contains("raft-1.redb"), "{said}");
        let log = nodes.host.data_root().join("cluster").join(victim).join("daemon.log");
        let log = std::fs::read_to_string(log).expect("a log");
        assert!(log.contains("this machine's part in its swarm cannot be taken up: "), "{log}");
    }
    history.check(&nodes, &[&first]);
}

#[test]
fn a_token_that_was_rotated_opens_no_door() {
    let nodes = Nodes::up(&["--nodes", "2", "--no-swarm"]);
    nodes.inside("node1", "minidock swarm init --advertise-addr $(hostname -i)");
    let old = nodes.inside("node1", "minidock swarm join-token -q worker");
    let new = nodes.inside("node1", "minidock swarm join-token -q --rotate worker");
    assert_ne!(old, new);
    let join = |token: &str| nodes.sh("node2", &format!("minidock swarm join --token {token} {}:2377", nodes.address("node1")));
    let refused = join(&old);
    assert!(refused.status == 1 && refused.err.contains("token"), "{refused:?}");
    assert!(nodes.ok("node2", &["info", "--format", "{{.Swarm.LocalNodeState}}"]) == "inactive", "nothing half-made");
    let nowhere = nodes.sh("node2", &format!("minidock swarm join --token {new} 192.168.66.250:2377"));
    assert_eq!(nowhere.status, 1, "{nowhere:?}");
    assert!(join(&new).ok().contains("This node joined a swarm as a worker."));
    assert!(nodes.on("node2", &["node", "ls"]).fails(1).contains("This node is not a swarm manager."));
}

#[test]
fn a_node_that_left_by_force_joins_again_as_another() {
    let nodes = three();
    nodes.eventually(
        "node1",
        &["service", "create", "-d", "--no-resolve-image", "--name", "web", "--replicas", "3", "alpine", "sleep", "1000"],
    );
    converges(&nodes, "node1", "web", 3, &MANAGERS);
    let left = nodes.on("node3", &["swarm", "leave"]);
    assert!(left.status == 1 && left.err.contains("--force"), "{left:?}");
    nodes.eventually("node1", &["node", "demote", "node3"]);
    wait_for("a worker", || nodes.on("node3", &["info", "--format", "{{.Swarm.ControlAvailable}}"]).out.trim() == "false");
    nodes.ok("node3", &["swarm", "leave", "--force"]);
    converges(&nodes, "node1", "web", 3, &["node1", "node2"]);
    assert_eq!(containers(&nodes, &["node3"], "web"), 0);
    let token = nodes.inside("node1", "minidock swarm join-token -q manager");
    nodes.inside(
        "node3",
        &format!("minidock swarm join --token {token} --advertise-addr $(hostname -i) {}:2377", nodes.address("node1")),
    );
    wait_for("two rows for one name", || {
        nodes.on("node1", &["node", "ls", "--format", "{{.Hostname}}"]).out.matches("node3").count() == 2
    });
    nodes.eventually("node1", &["service", "scale", "-d", "web=6"]);
    converges(&nodes, "node1", "web", 6, &MANAGERS);
    assert!(containers(&nodes, &["node3"], "web") > 0);
}

/// Makes a manager the leader: others that are elected lose their daemon, containers go on.
#[track_caller]
fn make_leader(nodes: &Nodes, wanted: &str) {
    for _ in 0..20 {
        let first = await_leader(nodes, &MANAGERS);
        if first == wanted {
            return;
        }
        nodes.cluster(&["kill", "--daemon", &first]);
        await_leader(nodes, &others(&first));
        nodes.cluster(&["start", &first]);
        wait_for("the manager to come back", || nodes.on(&first, &["service", "ls", "-q"]).status == 0);
    }
    panic!("{wanted} was never elected");
}

/// One container of a service is killed, wherever it runs.
#[track_caller]
fn kill_one(nodes: &Nodes, service: &str) {
    let script = format!(
        "id=$(minidock ps -q --filter label=com.docker.swarm.service.name={service} | head -1); [ -n \"$id\" ] && minidock kill $id"
    );
    assert!(MANAGERS.iter().any(|node| nodes.sh(node, &script).status == 0), "nothing of {service} runs");
}

/// How far a node's daemon is ahead of this machine, in seconds; asked by date(1), which reads the machine's clock.
#[track_caller]
fn ahead(nodes: &Nodes, node: &str) -> i64 {
    let script = "echo $(( $(date -d $(minidock info --format '{{.SystemTime}}') +%s) - $(date +%s) ))";
    nodes.inside(node, script).parse().expect("seconds")
}

/// node2's clock is off, and it leads, and it does not lead any more, and it leads again.
fn a_clock_that_is_off(offset: &str, seconds: i64) {
    let nodes = three();
    let history = History::default();
    assert_eq!(nodes.cluster(&["skew", "node2", offset]), "node2");
    assert!((ahead(&nodes, "node2") - seconds).abs() < 20 && ahead(&nodes, "node1").abs() < 20);
    assert!(nodes.cluster(&["ls"]).contains(&format!("clock: node2 {offset}0m0s")), "{}", nodes.cluster(&["ls"]));
    make_leader(&nodes, "node2");
    let web = ["service", "create", "-d", "--no-resolve-image", "--name", "web", "--replicas", "3", "--restart-delay", "3s"];
    nodes.eventually(
        "node1",
        &[&web[..], &["--update-delay", "1s", "--update-monitor", "4s", "alpine", "sleep", "1000"]].concat(),
    );
    converges(&nodes, "node1", "web", 3, &MANAGERS);
    MANAGERS.iter().for_each(|via| assert!(history.create(&nodes, via), "{via}"));
    // three seconds are three seconds by the leader's own clock
    let took = |began: Instant, least: f32, what: &str| {
        let took = began.elapsed();
        println!("{what}: {took:?}");
        assert!(took >= Duration::from_secs_f32(least) && took < Duration::from_secs(25), "{what} took {took:?}");
    };
    let began = Instant::now();
    kill_one(&nodes, "web");
    wait_for("the death to be known", || running(&nodes, "node1", "web") == 2);
    converges(&nodes, "node1", "web", 3, &MANAGERS);
    took(began, 2.6, "restart");
    // and by the next leader's, who is to end what this one has begun
    let began = Instant::now();
    kill_one(&nodes, "web");
    wait_for("the death to be known", || running(&nodes, "node1", "web") == 2);
    nodes.cluster(&["kill", "--daemon", "node2"]);
    await_leader(&nodes, &["node1", "node3"]);
    assert!(history.create(&nodes, "node1") || history.create(&nodes, "node3"));
    wait_for("a restart by the next leader", || running(&nodes, "node1", "web") == 3);
    took(began, 2.6, "restart by the next leader");
    nodes.cluster(&["start", "node2"]);
    assert!((ahead(&nodes, "node2") - seconds).abs() < 20, "a clock stays as it was set");
    wait_for("node2 to come back", || nodes.on("node2", &["service", "ls", "-q"]).status == 0);
    // an update that one leader begins and the other ends: its monitor is no hour, and not nothing
    let began = Instant::now();
    nodes.eventually("node3", &["service", "update", "-d", "--env-add", "A=1", "web"]);
    let state = || nodes.on("node3", &["service", "inspect", "web", "--format", "{{.UpdateStatus.State}}"]).out;
    wait_for("the update to be under way", || state() == "updating\n");
    make_leader(&nodes, "node2");
    let completed = || state() == "completed\n";
    assert!(comes_true(Duration::from_secs(40), completed), "{}", state());
    println!("update: {:?}", began.elapsed());
    assert!(began.elapsed() >= Duration::from_secs(5), "completed after {:?}", began.elapsed());
    converges(&nodes, "node1", "web", 3, &MANAGERS);
    // papers that it signs are good elsewhere
    nodes.cluster(&["add"]);
    wait_for("a fourth node", || nodes.on("node2", &["node", "ls"]).out.matches("Ready").count() == 4);
    // its clock is set while it leads
    nodes.cluster(&["skew", "node2", "0"]);
    let began = Instant::now();
    kill_one(&nodes, "web");
    wait_for("the death to be known", || running(&nodes, "node1", "web") == 2);
    wait_for("a restart by a leader whose clock was set", || running(&nodes, "node1", "web") == 3);
    took(began, 2.6, "restart by a leader whose clock was set");
    MANAGERS.iter().for_each(|via| assert!(history.create(&nodes, via), "{via}"));
    history.check(&nodes, &MANAGERS);
}

#[test]
fn a_clock_an_hour_ahead_loses_nothing_and_delays_stay_what_they_are() {
    a_clock_that_is_off("+1h", 3600);
}

#[test]
fn a_clock_an_hour_behind_loses_nothing_and_delays_stay_what_they_are() {
    a_clock_that_is_off("-1h", -3600);
}

#[test]
fn a_newcomer_whose_clock_is_an_hour_off_joins_and_one_that_is_years_off_is_told_why_not() {
    let nodes = Nodes::up(&["--nodes", "2", "--no-swarm"]);
    nodes.inside("node1", "minidock swarm init --advertise-addr $(hostname -i)");
    let token = nodes.inside("node1", "minidock swarm join-token -q worker");
    let join = || nodes.sh("node2", &format!("minidock swarm join --token {token} {}:2377", nodes.address("node1")));
    for (offset, why) in [("-3h", "not good yet"), ("+43800h", "too old")] {
        nodes.cluster(&["skew", "node2", offset]);
        let refused = join().fails(1);
        assert!(refused.contains(why) && refused.contains("do the clocks of the two machines agree?"), "{refused}");
        assert_eq!(nodes.ok("node2", &["info", "--format", "{{.Swarm.LocalNodeState}}"]), "inactive", "nothing half-made");
    }
    for offset in ["-1h", "+1h"] {
        nodes.cluster(&["skew", "node2", offset]);
        join().ok();
        wait_for("a node that is ready", || {
            nodes.ok("node1", &["node", "ls", "--format", "{{.Hostname}} {{.Status}}"]).contains("node2 Ready")
        });
        nodes.ok("node2", &["swarm", "leave"]);
        wait_for("it to be gone", || nodes.sh("node1", "minidock node rm node2").status == 0);
    }
    for words in
        [&["skew", "node2", "an hour"][..], &["skew", "node9", "+1h"], &["skew", "node2", "+1000000h"], &["skew", "node2"]]
    {
        let said = nodes.host.run(&[&["cluster"], words].concat());
        assert!(said.status != 0 && !said.err.is_empty(), "{words:?}: {said:?}");
    }
}
