//! # Overlays, asked of two engines on two machines
//!
//! Each machine is a network namespace; `ip`, `nft` and the containers themselves are the oracles.

mod machines;

use machines::{Lab, Machine, Plan, ask, network, placed, port, service, stage::Stage};
use minidock_engine::{
    container::{create, start, stop},
    networks::{connect, list, overlay},
};
use minidock_spec::engine::{
    container::CreateBody,
    network::{NetworkConnect, NetworkDisconnect, PortBinding},
};
use std::{
    net::Ipv4Addr,
    sync::Arc,
    time::{Duration, Instant},
};

const FOREVER: &[&str] = &["sleep", "1000"];
/// Says its host name to whoever knocks.
const WEB: &[&str] = &["nc", "-ll", "-p", "80", "-e", "hostname"];

fn over(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 0, 1, last)
}

fn started(machine: &Machine, stage: &Arc<Stage>, name: &'static str, mut body: CreateBody) {
    body.config.hostname = name.into();
    let stage = stage.clone();
    machine.run(async move {
        create::create(&stage.engine, Some(name), body, None).await.expect("created");
        start::start(&stage.engine, name).await.expect("started");
    });
}

/// What a command inside a container says.
fn inside(machine: &Machine, stage: &Arc<Stage>, name: &str, script: &str) -> String {
    let pid = stage.engine.containers.find(name).expect("there").record().state.pid;
    let place = format!("nsenter -t {pid} -n -m -- /bin/sh -c '{script}' 2>&1");
    machine.ask(&place)
}

/// Asks until the answer is as wanted: who has just been started may not listen yet.
fn until(what: &str, mut asked: impl FnMut() -> String, wanted: impl Fn(&str) -> bool) -> String {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let said = asked();
        if wanted(&said) {
            return said;
        }
        assert!(Instant::now() < deadline, "waited in vain: {what}: {said:?}");
        std::thread::sleep(Duration::from_millis(30));
    }
}

fn removed(machine: &Machine, stage: &Arc<Stage>) {
    let stage = stage.clone();
    assert_eq!(machine.run(async move { stage.leaks().await }), [String::new(); 0]);
}

/// No overlay of ours is left; the bridge that leads out stays, as Docker's does.
fn nothing_is_left(machine: &Machine, stage: &Arc<Stage>) {
    let links = machine.ask("ip -br link");
    assert!(!links.contains("ov-") && !links.contains("vx-"), "{links}");
    assert!(links.contains("docker_gwbridge"), "{links}");
    let names: Vec<String> = stage.engine.networks.all().iter().map(|n| n.name.clone()).collect();
    assert_eq!(names, ["bridge", "docker_gwbridge", "host", "none"]);
}

#[test]
fn containers_of_two_machines_are_neighbours_and_find_each_other() {
    let Some(lab) = Lab::open() else { return };
    let (one, two) = (lab.machine(1), lab.machine(2));
    let (first, second) = (one.engine(), two.engine());
    let net = network("over", 1);
    let mut plan = Plan { networks: vec![net.clone()], ..Plan::default() };
    plan.members = vec![("over", over(4), "web.1.a", 1), ("over", over(5), "web.2.b", 2), ("over", over(6), "cli", 2)];
    plan.services = vec![("over", service("web", Some(over(2)), &[over(4), over(5)]))];
    one.told(&first, &plan);
    two.told(&second, &plan);
    started(&one, &first, "web.1.a", placed(first.body(WEB), &net, over(4)));
    started(&two, &second, "web.2.b", placed(second.body(WEB), &net, over(5)));
    started(&two, &second, "cli", placed(second.body(FOREVER), &net, over(6)));
    let cli = |script: &str| inside(&two, &second, "cli", script);
    for target in ["10.0.1.4", "10.0.1.5", "web", "web.1.a", "web.2.b", "tasks.web"] {
        assert!(cli(&format!("ping -c1 -W2 {target}")).contains(" 0% packet loss"), "{target}: {}", cli("ip addr; ip neigh"));
    }
    assert!(inside(&one, &first, "web.1.a", "ping -c1 -W2 cli").contains(" 0% packet loss"), "and the other way round");
    until("both listen", || cli("nc -w 2 10.0.1.4 80; nc -w 2 10.0.1.5 80"), |said| said == "web.1.a\nweb.2.b\n");
    let said = cli("for i in 1 2 3 4 5 6 7 8 9 10; do nc -w 2 web 80; done");
    assert_eq!(said.matches("web.1.a").count(), 5, "a service's address is shared fairly: {said}");
    assert_eq!(said.matches("web.2.b").count(), 5);

    let links = cli("ip -o link; ip -4 -o addr; ip route");
    assert!(links.contains("eth0@") && links.contains("mtu 1450"), "what the tunnel has room for: {links}");
    assert!(links.contains("eth0    inet 10.0.1.6/24") && links.contains("eth1    inet 172.18.0."), "{links}");
    assert!(links.contains("default via 172.18.0.1 dev eth1"), "{links}");
    let big = cli("ping -c1 -W2 -s 1422 -M do 10.0.1.4 || ping -c1 -W2 -s 1422 10.0.1.4");
    assert!(big.contains(" 0% packet loss"), "a frame of that size passes the tunnel: {big}");

    // a machine lists its own containers, and both machines
    let (s, id) = (second.clone(), net.id.clone());
    let shown = two.run(async move { list::inspect(&s.engine, &id, None).expect("there") });
    let mut names: Vec<String> = shown.containers.values().map(|c| c.name.clone()).collect();
    names.sort();
    assert_eq!(names, ["cli", "web.2.b"]);
    assert_eq!(shown.peers.iter().map(|p| p.ip.as_str()).collect::<Vec<_>>(), ["192.0.2.1", "192.0.2.2"]);
    assert_eq!((shown.scope.as_str(), shown.driver.as_str()), ("swarm", "overlay"));

    // one task less: nobody is sent there any more, and its name is gone
    plan.services = vec![("over", service("web", Some(over(2)), &[over(5)]))];
    plan.members.remove(0);
    two.told(&second, &plan);
    let said = cli("for i in 1 2 3 4; do nc -w 2 web 80; done; nslookup web.1.a");
    assert_eq!(said.matches("web.2.b").count(), 4, "{said}");
    assert!(said.contains("find web.1.a"), "{said}");

    removed(&one, &first);
    removed(&two, &second);
    let links = two.ask("ip -br link");
    assert!(links.contains("ov-"), "it is still wanted: {links}");
    for (machine, stage) in [(&one, &first), (&two, &second)] {
        machine.told(stage, &Plan::default());
    }
    let left = |machine: &Machine, stage: &Arc<Stage>| {
        let links = machine.ask("ip -br link");
        assert!(!links.contains("ov-") && !links.contains("vx-"), "{links}");
        assert_eq!(stage.engine.networks.all().len(), 4);
    };
    left(&one, &first);
    left(&two, &second);
}

#[test]
fn the_way_out_leads_over_a_bridge_whose_members_do_not_meet() {
    let Some(lab) = Lab::open() else { return };
    let one = lab.machine(1);
    let stage = one.engine();
    let net = network("over", 1);
    let plan = Plan { networks: vec![net.clone(), network("inner", 2)], ..Plan::default() };
    let mut inner = plan.clone();
    inner.networks[1].spec.internal = true;
    one.told(&stage, &inner);
    let mut wish = placed(stage.body(WEB), &net, over(4));
    let binding = PortBinding { host_ip: String::new(), host_port: "8080".into() };
    wish.host_config.port_bindings.insert("80/tcp".into(), Some(vec![binding]));
    started(&one, &stage, "web", wish);
    started(&one, &stage, "cli", placed(stage.body(FOREVER), &net, over(5)));
    started(&one, &stage, "shut", placed(stage.body(FOREVER), &inner.networks[1], Ipv4Addr::new(10, 0, 2, 4)));
    let cli = |script: &str| inside(&one, &stage, "cli", script);

    // into the world, with the machine's address
    let heard = std::thread::scope(|scope| {
        let listener =
            lab.home.visit(|| std::net::TcpListener::bind("192.0.2.254:7000").expect("free")).expect("root may visit");
        let server = scope.spawn(move || listener.accept().expect("somebody comes").1.ip());
        cli("echo x | nc -w 2 192.0.2.254 7000");
        server.join().expect("it ends")
    });
    assert_eq!(heard, one.address);
    // from the world: a port of the machine that one task has published there
    until("it listens", || ask(lab.home.place(), "busybox nc -w 2 192.0.2.1 8080 </dev/null"), |said| said == "web\n");
    assert_eq!(one.ask("busybox nc -w 2 127.0.0.1 8080 </dev/null"), "web\n");

    let address = |name: &str| {
        let shown = list::inspect(&stage.engine, "docker_gwbridge", None).expect("there");
        let id = stage.engine.containers.find(name).expect("there").id.clone();
        let place = shown.containers[&id].clone();
        assert!(place.name.starts_with("gateway_"), "{place:?}");
        place.ipv4_address.split('/').next().expect("one").to_string()
    };
    let there = address("web");
    assert!(cli(&format!("ping -c1 -W1 {there}")).contains("100% packet loss"), "members of the gateway bridge do not meet");
    assert!(cli("ping -c1 -W1 10.0.1.4").contains(" 0% packet loss"), "but on their overlay");
    assert!(cli("nslookup web.docker_gwbridge").contains("find web.docker_gwbridge"), "nor do they have names there");
    let shut = inside(&one, &stage, "shut", "ip route; ip -br link");
    assert!(!shut.contains("default") && !shut.contains("eth1"), "an internal overlay does not lead out: {shut}");
    let shown = stage.engine.containers.find("cli").expect("there").record();
    assert_eq!(shown.networking.places.keys().collect::<Vec<_>>(), ["over"], "it is no place of the user's");

    removed(&one, &stage);
    one.told(&stage, &Plan::default());
    let links = one.ask("ip -br link");
    assert!(!links.contains("ov-") && links.contains("docker_gwbridge"), "{links}");
}

#[test]
fn a_port_of_the_mesh_is_answered_by_every_machine() {
    let Some(lab) = Lab::open() else { return };
    let (one, two) = (lab.machine(1), lab.machine(2));
    let (first, second) = (one.engine(), two.engine());
    let net = network("ingress", 0);
    let task = Ipv4Addr::new(10, 0, 0, 5);
    let mut plan = Plan { networks: vec![net.clone()], ..Plan::default() };
    for (machine, stage) in [(&one, &first), (&two, &second)] {
        machine.told(stage, &plan);
        let links = machine.ask("ip -br link");
        assert!(!links.contains("ov-"), "nothing is published yet: {links}");
        assert!(stage.engine.networks.find("ingress").expect("but it is known").ingress);
    }
    plan.members = vec![("ingress", task, "web.1.a", 1)];
    plan.mesh = vec![port(8080, 80, &[task])];
    one.told(&first, &plan);
    two.told(&second, &plan);
    started(&one, &first, "web.1.a", placed(first.body(WEB), &net, task));
    let knock = |at: &str| ask(lab.home.place(), &format!("busybox nc -w 2 {at} 8080 </dev/null"));
    until("it listens", || knock("192.0.2.1"), |said| said == "web.1.a\n");
    assert_eq!(knock("192.0.2.2"), "web.1.a\n", "by a machine without a task");
    assert_eq!(two.ask("busybox nc -w 2 127.0.0.1 8080 </dev/null"), "web.1.a\n");
    assert_eq!(one.ask("busybox nc -w 2 127.0.0.1 8080 </dev/null"), "web.1.a\n");

    // a container of another kind wants the same port
    let s = second.clone();
    let refused = two.run(async move {
        let mut wish = s.body(FOREVER);
        wish.host_config.network_mode = "bridge".into();
        let binding = PortBinding { host_ip: String::new(), host_port: "8080".into() };
        wish.host_config.port_bindings.insert("80/tcp".into(), Some(vec![binding]));
        let id = s.create(wish).await.expect("created");
        start::start(&s.engine, &id).await.expect_err("the mesh has it")
    });
    assert!(refused.message().contains("port is already allocated"), "{refused}");

    plan.mesh = vec![port(8080, 80, &[])];
    two.told(&second, &plan);
    let began = Instant::now();
    assert_ne!(knock("192.0.2.2"), "web.1.a\n");
    assert!(began.elapsed() < Duration::from_secs(1), "nobody is there: refused at once");
    removed(&one, &first);
    for (machine, stage) in [(&one, &first), (&two, &second)] {
        machine.told(stage, &Plan::default());
        let links = machine.ask("ip -br link; nft list ruleset");
        assert!(!links.contains("ov-") && !links.contains("vx-") && !links.contains("8080"), "{links}");
    }
    removed(&two, &second);
}

#[test]
fn a_port_of_the_mesh_that_another_program_has_is_taken_when_it_is_free() {
    let Some(lab) = Lab::open() else { return };
    let (one, two) = (lab.machine(1), lab.machine(2));
    let (first, second) = (one.engine(), two.engine());
    let (net, task) = (network("ingress", 0), Ipv4Addr::new(10, 0, 0, 5));
    let net_of_two = format!("--net={}", two.place.place().display());
    let listen = ["busybox", "nc", "-ll", "-p", "8080", "-e", "echo", "theirs"];
    let mut theirs = std::process::Command::new("nsenter").arg(net_of_two).args(listen).spawn().expect("a program");
    let knock = |at: &str| ask(lab.home.place(), &format!("busybox nc -w 2 {at} 8080 </dev/null"));
    until("their program listens", || knock("192.0.2.2"), |said| said == "theirs\n");
    let plan = Plan {
        networks: vec![net.clone()],
        members: vec![("ingress", task, "web.1.a", 1)],
        mesh: vec![port(8080, 80, &[task])],
        ..Plan::default()
    };
    one.told(&first, &plan);
    two.told(&second, &plan);
    started(&one, &first, "web.1.a", placed(first.body(WEB), &net, task));
    until("it listens", || knock("192.0.2.1"), |said| said == "web.1.a\n");
    assert_eq!(knock("192.0.2.2"), "theirs\n", "it is left to them");
    theirs.kill().expect("ours to end");
    theirs.wait().expect("ended");
    until("the port is free, and nobody said a word", || knock("192.0.2.2"), |said| said == "web.1.a\n");
    removed(&one, &first);
    one.told(&first, &Plan::default());
    two.told(&second, &Plan::default());
    removed(&two, &second);
}

#[test]
fn an_overlay_goes_when_its_last_container_has_left() {
    let Some(lab) = Lab::open() else { return };
    let one = lab.machine(1);
    let stage = one.engine();
    let net = network("over", 1);
    let plan = Plan { networks: vec![net.clone()], ..Plan::default() };
    one.told(&stage, &plan);
    started(&one, &stage, "last", placed(stage.body(FOREVER), &net, over(4)));
    one.told(&stage, &Plan::default());
    assert!(one.ask("ip -br link").contains("ov-"), "somebody is still on it");
    let s = stage.clone();
    one.run(async move { stop::stop(&s.engine, "last", Some(0), None).await.expect("stopped") });
    nothing_is_left(&one, &stage);
    let s = stage.clone();
    let refused = one.run(async move { start::start(&s.engine, "last").await.expect_err("its network is gone") });
    assert!(refused.message().contains("not found"), "{refused}");
    one.told(&stage, &plan);
    let s = stage.clone();
    one.run(async move { start::start(&s.engine, "last").await.expect("it is back") });
    removed(&one, &stage);
    one.told(&stage, &Plan::default());
    nothing_is_left(&one, &stage);
}

#[test]
fn the_way_out_follows_connect_and_disconnect() {
    let Some(lab) = Lab::open() else { return };
    let one = lab.machine(1);
    let stage = one.engine();
    let net = network("over", 1);
    one.told(&stage, &Plan { networks: vec![net.clone()], ..Plan::default() });
    started(&one, &stage, "cli", placed(stage.body(FOREVER), &net, over(4)));
    let routes = || inside(&one, &stage, "cli", "ip route; ip -br link");
    assert!(routes().contains("default via 172.18.0.1"), "{}", routes());
    let s = stage.clone();
    one.run(async move {
        let join = NetworkConnect { container: "cli".into(), ..NetworkConnect::default() };
        connect::connect(&s.engine, "bridge", join).await.expect("connected");
    });
    assert!(routes().contains("default via 172.17.0.1") && !routes().contains("172.18."), "{}", routes());
    let s = stage.clone();
    one.run(async move {
        let leave = NetworkDisconnect { container: "cli".into(), force: false };
        connect::disconnect(&s.engine, "bridge", leave).await.expect("disconnected");
    });
    assert!(routes().contains("default via 172.18.0.1") && !routes().contains("172.17."), "{}", routes());
    removed(&one, &stage);
    let shown = list::inspect(&stage.engine, "docker_gwbridge", None).expect("there");
    assert!(shown.containers.is_empty(), "{shown:?}");
}

/// Is killed in the middle of its life by [`a_daemon_that_was_killed_finds_its_overlays_as_it_left_them`].
#[test]
#[ignore = "half of another claim"]
fn the_old_daemon() {
    let Some(folder) = std::env::var_os("OLD_DAEMON_FOLDER").map(std::path::PathBuf::from) else { return };
    let threads = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("threads");
    threads.block_on(async {
        let stage = Stage::connected_at(&folder).await;
        overlay::realize(&stage.engine, plan_of_two().of_number(1)).await.expect("made true");
        let mut body = placed(stage.body(ECHO), &network("over", 1), over(4));
        body.networking_config
            .endpoints_config
            .extend(placed(stage.body(&[]), &network("ingress", 0), INSIDE).networking_config.endpoints_config);
        create::create(&stage.engine, Some("web.1.a"), body, None).await.expect("created");
        start::start(&stage.engine, "web.1.a").await.expect("started");
        std::fs::write(folder.join("ready"), "").expect("written");
        std::future::pending::<()>().await;
    });
}

const ECHO: &[&str] = &["nc", "-ll", "-p", "80", "-e", "cat"];
const INSIDE: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 5);

fn plan_of_two() -> Plan {
    Plan {
        networks: vec![network("over", 1), network("ingress", 0)],
        members: vec![("over", over(4), "web.1.a", 1), ("ingress", INSIDE, "web.1.a", 1), ("over", over(6), "cli", 2)],
        services: vec![("over", service("web", Some(over(2)), &[over(4)]))],
        mesh: vec![port(8080, 80, &[INSIDE])],
    }
}

#[test]
fn a_daemon_that_was_killed_finds_its_overlays_as_it_left_them() {
    let Some(lab) = Lab::open() else { return };
    let (one, two) = (lab.machine(1), lab.machine(2));
    let folder = tempfile::Builder::new().prefix("md-").tempdir().expect("a folder").keep();
    let this = std::env::current_exe().expect("this test");
    let mut old = std::process::Command::new("nsenter")
        .arg(format!("--net={}", one.place.place().display()))
        .arg(this)
        .args(["--ignored", "--exact", "the_old_daemon"])
        .env("OLD_DAEMON_FOLDER", &folder)
        .stdout(std::process::Stdio::null())
        .spawn()
        .expect("this test runs");
    let second = two.engine();
    let plan = plan_of_two();
    two.told(&second, &plan);
    started(&two, &second, "cli", placed(second.body(FOREVER), &network("over", 1), over(6)));
    until("the old daemon stands", || folder.join("ready").exists().to_string(), |said| said == "true");
    let cli = |script: &str| inside(&two, &second, "cli", script);
    let hello = "echo hello | nc -w 2 web 80";
    until("it listens", || cli(hello), |said| said == "hello\n");
    // a connection that is to outlive the daemon
    let talk =
        "mkfifo /tmp/say; nc web 80 </tmp/say >/tmp/heard 2>&1 & exec 3>/tmp/say; echo first >&3; sleep 15 >/dev/null 2>&1 &";
    cli(&format!("({talk}) >/dev/null 2>&1"));
    let rules = |machine: &Machine| {
        machine.ask("nft list ruleset | grep -v \"^#\"; bridge fdb show | grep -c dst; ip neigh show nud permanent")
    };
    let before = rules(&one);
    old.kill().expect("ours");
    old.wait().expect("ours");
    assert_eq!(cli(hello), "hello\n", "the network goes on without a daemon");
    assert_eq!(two.ask("echo hello | busybox nc -w 2 127.0.0.1 8080"), "hello\n");
    let again = folder.clone();
    let first = one.run(async move { Arc::new(Stage::again_connected(again).await) });
    assert_eq!(rules(&one), before, "and a new one changes nothing");
    assert_eq!(cli(hello), "hello\n");
    assert_eq!(one.ask("echo hello | busybox nc -w 2 127.0.0.1 8080"), "hello\n");
    let names = inside(&one, &first, "web.1.a", "nslookup web; nslookup cli; ping -c1 -W2 cli");
    assert!(names.contains("10.0.1.2") && names.contains("10.0.1.6") && names.contains(" 0% packet loss"), "{names}");
    assert!(cli("cat /tmp/heard").contains("first"), "{}", cli("cat /tmp/heard"));
    cli("echo second >/tmp/say");
    until("the old connection lives", || cli("cat /tmp/heard"), |said| said == "first\nsecond\n");
    let shown = list::inspect(&first.engine, "docker_gwbridge", None).expect("there");
    assert_eq!(shown.containers.len(), 1, "its place on the gateway bridge is known: {shown:?}");
    // and what is wanted next is told by difference
    let mut less = plan.clone();
    (less.mesh, less.services) = (Vec::new(), vec![("over", service("web", Some(over(2)), &[]))]);
    one.told(&first, &less);
    assert!(!one.ask("nft list ruleset").contains("8080"));
    removed(&one, &first);
    removed(&two, &second);
    for (machine, stage) in [(&one, &first), (&two, &second)] {
        machine.told(stage, &Plan::default());
        nothing_is_left(machine, stage);
    }
    assert!(!one.ask("ip -br link").contains("veth"), "{}", one.ask("ip -br link"));
}
