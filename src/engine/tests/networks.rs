//! # Networks, asked of the engine: places, doors, names, and what is left when they go
//!
//! Each claim lives in a network namespace of its own that plays the machine; `ip` and `nft` are the oracles.

mod stage;

use minidock_base::Kind;
use minidock_engine::{
    container::{create, inspect, list, remove::Removal, rename, start, stop},
    networks::{connect, create as make, list as networks, remove},
};
use minidock_spec::engine::{
    container::{CreateBody, Inspect},
    filters::Filters,
    network::{
        EndpointIpamConfig, EndpointSettings, Ipam, IpamConfig, NetworkConnect, NetworkCreate, NetworkDisconnect, PortBinding,
    },
};
use stage::{Stage, in_a_namespace};
use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    process::Command,
    time::Duration,
};

const FOREVER: &[&str] = &["sleep", "1000"];

fn body(stage: &Stage, mode: &str, words: &[&str]) -> CreateBody {
    let mut body = stage.body(words);
    body.host_config.network_mode = mode.into();
    body
}

fn published(mut body: CreateBody, port: &str, host: &str) -> CreateBody {
    let binding = PortBinding { host_ip: String::new(), host_port: host.into() };
    body.host_config.port_bindings.insert(port.into(), Some(vec![binding]));
    body
}

fn endpoint(body: &mut CreateBody, network: &str, settings: EndpointSettings) {
    body.networking_config.endpoints_config.insert(network.into(), Some(settings));
}

async fn started(stage: &Stage, name: &str, body: CreateBody) -> String {
    let id = create::create(&stage.engine, Some(name), body, None).await.expect("created").id;
    start::start(&stage.engine, &id).await.expect("started");
    id
}

async fn shown(stage: &Stage, id: &str) -> Inspect {
    inspect::inspect(&stage.engine, id, false, 45).await.expect("there")
}

async fn network(stage: &Stage, name: &str, subnet: &str) -> String {
    let pool = IpamConfig { subnet: subnet.into(), ..IpamConfig::default() };
    let ipam = (!subnet.is_empty()).then(|| Ipam { config: Some(vec![pool]), ..Ipam::default() });
    let wish = NetworkCreate { name: name.into(), ipam, ..NetworkCreate::default() };
    make::create(&stage.engine, wish).await.expect("a network").id
}

fn ask(program: &str, args: &[&str]) -> String {
    let done = Command::new(program).args(args).output().expect("iproute2 and nftables");
    String::from_utf8_lossy(&done.stdout).into_owned()
}

/// Says hello to a port of ours and gives back the answer.
fn knock(at: &str) -> std::io::Result<String> {
    let address: SocketAddr = at.parse().expect("an address");
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(2))?;
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    stream.write_all(b"hello\n")?;
    let mut answer = String::new();
    let mut byte = [0; 1];
    while stream.read(&mut byte)? == 1 && byte[0] != b'\n' {
        answer.push(byte[0] as char);
    }
    Ok(answer)
}

/// The same until somebody listens: a container that has started may not yet.
async fn answer(at: &str) -> String {
    for _ in 0..100 {
        match knock(at) {
            Ok(answer) if !answer.is_empty() => return answer,
            _ => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
    panic!("nobody answers at {at}");
}

const ECHO: &[&str] = &["nc", "-ll", "-p", "80", "-e", "cat"];

#[test]
fn a_published_port_is_a_door_that_is_free_again_afterwards() {
    in_a_namespace(|| async {
        let stage = Stage::connected().await;
        let before = ask("nft", &["list", "ruleset"]);
        let web = started(&stage, "web", published(body(&stage, "default", ECHO), "80/tcp", "8080")).await;
        assert_eq!(answer("127.0.0.1:8080").await, "hello");
        assert_eq!(answer("172.17.0.2:80").await, "hello");
        let facts = shown(&stage, &web).await;
        let settings = &facts.network_settings;
        assert_eq!((settings.ip_address.as_str(), settings.mac_address.as_str()), ("172.17.0.2", "02:42:ac:11:00:02"));
        assert_eq!(facts.host_config.network_mode, "bridge");
        assert!(std::path::Path::new(&settings.sandbox_key).exists());
        let rows = list::list(&stage.engine, Default::default()).await.expect("rows");
        assert_eq!((rows[0].ports[0].public_port, rows[0].ports[0].private_port), (Some(8080), 80));

        let second = stage.create(published(body(&stage, "bridge", FOREVER), "80/tcp", "8080")).await.expect("created");
        let error = start::start(&stage.engine, &second).await.expect_err("the port is taken");
        assert!(error.message().contains("Bind for 0.0.0.0:8080 failed: port is already allocated"), "{error}");
        let left = shown(&stage, &second).await;
        assert_eq!(left.state.status, "created");
        assert!(left.network_settings.networks["bridge"].endpoint_id.is_empty(), "nothing is kept of a failed start");
        stop::stop(&stage.engine, &web, Some(0), None).await.expect("stopped");
        start::start(&stage.engine, &second).await.expect("the port is free");
        assert_eq!(shown(&stage, &second).await.network_settings.ip_address, "172.17.0.2", "and so is the address");
        assert_eq!(stage.leaks().await, [String::new(); 0]);
        assert_eq!(ask("nft", &["list", "ruleset"]), before, "the firewall is as it was");

        let foreign = TcpListener::bind("0.0.0.0:8081").expect("a free port");
        let third = stage.create(published(body(&stage, "bridge", FOREVER), "80/tcp", "8081")).await.expect("created");
        let error = start::start(&stage.engine, &third).await.expect_err("somebody listens there");
        assert!(error.message().contains("address already in use"), "{error}");
        drop(foreign);
        assert_eq!(stage.leaks().await, [String::new(); 0]);
    });
}

#[test]
fn who_shares_a_network_finds_and_reaches_each_other_and_nobody_else_does() {
    in_a_namespace(|| async {
        let stage = Stage::connected().await;
        network(&stage, "pets", "").await;
        network(&stage, "staff", "10.55.0.0/24").await;
        started(&stage, "cat", body(&stage, "pets", ECHO)).await;
        started(&stage, "dog", body(&stage, "pets", ECHO)).await;
        let mut wish = body(&stage, "staff", ECHO);
        let ipam = EndpointIpamConfig { ipv4_address: "10.55.0.10".into(), ..EndpointIpamConfig::default() };
        endpoint(&mut wish, "staff", EndpointSettings { ipam_config: Some(ipam), ..EndpointSettings::default() });
        started(&stage, "admin", wish).await;
        let join = NetworkConnect { container: "cat".into(), ..NetworkConnect::default() };
        connect::connect(&stage.engine, "staff", join).await.expect("connected");
        let reaches = async |mode: &str, name: &str| {
            let script = format!("echo x | nc -w 2 {name} 80");
            stage.run(body(&stage, mode, &["sh", "-c", &script])).await.expect("it starts").0 == "x\n"
        };
        for (network, name, wanted) in [
            ("pets", "cat", true),
            ("pets", "dog", true),
            ("pets", "admin", false),
            ("pets", "10.55.0.10", false),
            ("staff", "cat", true),
            ("staff", "admin", true),
            ("staff", "dog", false),
            ("bridge", "cat", false),
        ] {
            assert_eq!(reaches(network, name).await, wanted, "{name} from {network}");
        }
        rename::rename(&stage.engine, "dog", "wolf").await.expect("renamed");
        assert!(reaches("pets", "wolf").await && !reaches("pets", "dog").await);
        stop::restart(&stage.engine, "wolf", Some(0), None).await.expect("restarted");
        assert!(reaches("pets", "wolf").await, "a name follows a restart at once");

        let refused = remove::remove(&stage.engine, "pets").await.expect_err("it is in use");
        assert_eq!(refused.kind(), Kind::Forbidden);
        assert!(refused.message().contains("has active endpoints"), "{refused}");
        let leave = NetworkDisconnect { container: "cat".into(), force: false };
        connect::disconnect(&stage.engine, "pets", leave.clone()).await.expect("disconnected");
        let error = connect::disconnect(&stage.engine, "pets", leave).await.expect_err("it is not there");
        assert!(error.message().contains("is not connected to network pets"), "{error}");
        assert!(reaches("staff", "cat").await && !reaches("pets", "cat").await);
        let staff = networks::inspect(&stage.engine, "staff", None).expect("there");
        let names: Vec<_> = staff.containers.values().map(|c| c.name.as_str()).collect();
        assert!(names.contains(&"cat") && names.contains(&"admin") && names.len() == 2, "{names:?}");
        assert_eq!(stage.leaks().await, [String::new(); 0]);
        let pruned = remove::prune(&stage.engine, &Filters::default()).await.expect("pruned");
        assert_eq!(pruned.networks_deleted, Some(vec!["pets".to_string(), "staff".to_string()]));
        assert!(!ask("ip", &["-br", "link"]).contains("br-"), "no bridge of theirs is left");
    });
}

#[test]
fn wishes_that_cannot_be_fulfilled_are_refused_and_leave_nothing() {
    in_a_namespace(|| async {
        let stage = Stage::connected().await;
        network(&stage, "lab", "10.60.0.0/29").await;
        let with = |mode: &str, ip: &str| {
            let mut wish = body(&stage, mode, FOREVER);
            let ipam = EndpointIpamConfig { ipv4_address: ip.into(), ..EndpointIpamConfig::default() };
            endpoint(&mut wish, mode, EndpointSettings { ipam_config: Some(ipam), ..EndpointSettings::default() });
            wish
        };
        let why = |outcome: Result<String, minidock_base::Error>| outcome.expect_err("refused").message();
        assert!(why(stage.create(with("lab", "10.61.0.2")).await).contains("no configured subnet or ip-range contain the IP"));
        assert!(why(stage.create(with("bridge", "172.17.0.9")).await).contains("supported on user defined networks only"));
        let wish = |subnet: &str| {
            let pool = IpamConfig { subnet: subnet.into(), ..IpamConfig::default() };
            let ipam = Some(Ipam { config: Some(vec![pool]), ..Ipam::default() });
            NetworkCreate { name: "other".into(), ipam, ..NetworkCreate::default() }
        };
        let overlap = make::create(&stage.engine, wish("10.60.0.0/16")).await.expect_err("it overlaps");
        assert!(overlap.message().contains("Pool overlaps with other one on this address space"), "{overlap}");
        let twice = NetworkCreate { name: "lab".into(), ..NetworkCreate::default() };
        assert_eq!(make::create(&stage.engine, twice).await.expect_err("the name is taken").kind(), Kind::Conflict);

        // 10.60.0.0/29: six hosts, one of them the gateway
        for n in 0..5 {
            started(&stage, &format!("c{n}"), body(&stage, "lab", FOREVER)).await;
        }
        let full = stage.create(body(&stage, "lab", FOREVER)).await.expect("created");
        let error = start::start(&stage.engine, &full).await.expect_err("no address is left");
        assert!(error.message().contains("no available IPv4 addresses on this network's address pools: lab ("), "{error}");
        let taken = stage.create(with("lab", "10.60.0.3")).await.expect("created");
        let error = start::start(&stage.engine, &taken).await.expect_err("somebody has it");
        assert!(error.message().contains("Address already in use"), "{error}");
        stage.remove("c2").await.expect("removed");
        start::start(&stage.engine, &full).await.expect("one is free again");
        assert_eq!(stage.leaks().await, [String::new(); 0]);
        remove::remove(&stage.engine, "lab").await.expect("nobody is on it");
        let gone = stage.create(body(&stage, "lab", FOREVER)).await.expect("created: the network may come");
        let error = start::start(&stage.engine, &gone).await.expect_err("it did not");
        assert!(error.message().contains("network lab not found"), "{error}");
        assert_eq!(stage.leaks().await, [String::new(); 0]);
    });
}

#[test]
fn a_container_may_have_several_networks_and_doors_follow_its_way_out() {
    in_a_namespace(|| async {
        let stage = Stage::connected().await;
        network(&stage, "a", "10.71.0.0/24").await;
        network(&stage, "b", "10.72.0.0/24").await;
        let mut wish = published(body(&stage, "b", ECHO), "80/tcp", "8080");
        endpoint(&mut wish, "b", EndpointSettings::default());
        let id = started(&stage, "web", wish).await;
        assert_eq!(answer("127.0.0.1:8080").await, "hello");
        let join = NetworkConnect { container: "web".into(), ..NetworkConnect::default() };
        connect::connect(&stage.engine, "a", join.clone()).await.expect("connected");
        let again = connect::connect(&stage.engine, "a", join).await.expect_err("it is there already");
        assert_eq!(again.message(), "endpoint with name web already exists in network a");
        let pid = shown(&stage, &id).await.state.pid.to_string();
        let inside = |args: &[&str]| ask("nsenter", &[&["-t", &pid, "-n", "ip"], args].concat());
        assert!(inside(&["route"]).contains("default via 10.71.0.1"), "the first network by name leads out");
        assert_eq!(answer("127.0.0.1:8080").await, "hello", "and the doors lead in over it");
        let hosts = std::fs::read_to_string(shown(&stage, &id).await.hosts_path).expect("written");
        assert!(hosts.contains("10.71.0.2\t") && hosts.contains("10.72.0.2\t"), "{hosts}");
        let leave = NetworkDisconnect { container: "web".into(), force: false };
        connect::disconnect(&stage.engine, "a", leave).await.expect("disconnected");
        assert!(inside(&["route"]).contains("default via 10.72.0.1"));
        assert_eq!(answer("127.0.0.1:8080").await, "hello");
        assert!(!inside(&["-br", "link"]).contains("eth1"));
        let hosts = std::fs::read_to_string(shown(&stage, &id).await.hosts_path).expect("written");
        assert!(!hosts.contains("10.71.0.2\t"), "{hosts}");
        assert_eq!(stage.leaks().await, [String::new(); 0]);
    });
}

#[test]
fn sharing_a_network_shares_its_name_and_files() {
    in_a_namespace(|| async {
        let stage = Stage::connected().await;
        started(&stage, "web", body(&stage, "bridge", FOREVER)).await;
        let words = &["sh", "-c", "hostname; ip -o -4 addr show eth0 | awk '{print $4}'; tail -1 /etc/hosts | cut -f1"];
        let (said, ..) = stage.run(body(&stage, "container:web", words)).await.expect("it starts");
        let id = shown(&stage, "web").await.id;
        assert_eq!(said, format!("{}\n172.17.0.2/16\n172.17.0.2\n", &id[..12]));
        let alone = stage.run(body(&stage, "none", &["sh", "-c", "ls /sys/class/net"])).await.expect("it starts").0;
        assert_eq!(alone, "lo\n");
        let join = |container: &str| NetworkConnect { container: container.into(), ..NetworkConnect::default() };
        let lonely = started(&stage, "lonely", body(&stage, "none", FOREVER)).await;
        let error = connect::connect(&stage.engine, "bridge", join("lonely")).await.expect_err("none is none");
        assert!(error.message().contains("in private (none) mode"), "{error}");
        let leave = NetworkDisconnect { container: "lonely".into(), force: false };
        connect::disconnect(&stage.engine, "none", leave).await.expect("it may leave none");
        connect::connect(&stage.engine, "bridge", join("lonely")).await.expect("and then join");
        assert_eq!(shown(&stage, &lonely).await.network_settings.ip_address, "172.17.0.3");
        let how = Removal { force: true, volumes: true, link: false };
        minidock_engine::container::remove::remove(&stage.engine, "web", how).await.expect("removed");
        assert_eq!(stage.leaks().await, [String::new(); 0]);
    });
}

#[test]
fn the_default_network_keeps_away_from_where_the_host_is_already() {
    in_a_namespace(|| async {
        let neighbour = |pool: &str| {
            ask("ip", &["link", "add", "lan", "type", "bridge"]);
            ask("ip", &["addr", "add", pool, "dev", "lan"]);
            ask("ip", &["link", "set", "lan", "up"]);
        };
        neighbour("172.17.5.1/16");
        let stage = Stage::connected().await;
        let pool = |stage: &Stage| stage.engine.networks.find("bridge").expect("there").subnets[0].subnet.to_string();
        assert_eq!(pool(&stage), "172.18.0.0/16");
        let id = started(&stage, "web", body(&stage, "bridge", FOREVER)).await;
        assert_eq!(shown(&stage, &id).await.network_settings.gateway, "172.18.0.1");
        assert_eq!(stage.leaks().await, [String::new(); 0]);
    });
}

#[test]
fn purging_leaves_nothing_of_ours_on_the_machine() {
    in_a_namespace(|| async {
        let stage = Stage::connected().await;
        network(&stage, "lab", "").await;
        let id = started(&stage, "web", body(&stage, "lab", FOREVER)).await;
        let busy = remove::purge(&stage.engine).await.expect_err("somebody is on it");
        assert_eq!(busy.kind(), Kind::Conflict);
        stage.remove(&id).await.expect("removed");
        // as a daemon leaves it that was in a swarm
        ask("nft", &["add", "table", "inet", "minidock_mesh"]);
        remove::purge(&stage.engine).await.expect("purged");
        assert_eq!(ask("nft", &["list", "ruleset"]), "");
        let links = ask("ip", &["-br", "link"]);
        assert!(!links.contains("minidock0") && !links.contains("br-"), "{links}");
        let (said, ..) = stage
            .run(body(&stage, "lab", &["sh", "-c", "ping -c1 -W2 10.0.0.0 >/dev/null 2>&1; ip -o -4 addr | wc -l"]))
            .await
            .expect("bridges come back when they are needed");
        assert_eq!(said, "2\n");
        assert_eq!(stage.leaks().await, [String::new(); 0]);
    });
}

#[test]
fn a_door_on_the_ipv6_loopback_is_carried_by_hand_and_follows_as_the_others_do() {
    in_a_namespace(|| async {
        let stage = Stage::connected().await;
        let at = |ip: &str, port: &str| PortBinding { host_ip: ip.into(), host_port: port.into() };
        let mut wish = body(&stage, "default", ECHO);
        wish.host_config.port_bindings.insert("80/tcp".into(), Some(vec![at("::1", "8080"), at("127.0.0.1", "8080")]));
        let web = started(&stage, "web", wish).await;
        assert_eq!(answer("[::1]:8080").await, "hello");
        assert_eq!(answer("127.0.0.1:8080").await, "hello");
        let rules = ask("nft", &["list", "table", "inet", "minidock"]);
        assert!(rules.contains("127.0.0.1") && !rules.contains("::1 . tcp"), "{rules}");
        let ports = shown(&stage, &web).await.network_settings.ports["80/tcp"].clone().expect("two doors");
        assert_eq!(ports.iter().map(|p| p.host_ip.as_str()).collect::<Vec<_>>(), ["127.0.0.1", "::1"]);
        // the way out moves, and the doors with it
        network(&stage, "a", "10.71.0.0/24").await;
        let join = NetworkConnect { container: "web".into(), ..NetworkConnect::default() };
        connect::connect(&stage.engine, "a", join).await.expect("connected");
        assert_eq!(answer("[::1]:8080").await, "hello");
        let mut other = body(&stage, "default", FOREVER);
        other.host_config.port_bindings.insert("80/tcp".into(), Some(vec![at("::1", "8080")]));
        let other = stage.create(other).await.expect("created");
        let error = start::start(&stage.engine, &other).await.expect_err("the port is taken");
        assert!(error.message().contains("Bind for [::1]:8080 failed: port is already allocated"), "{error}");
        stop::stop(&stage.engine, &web, Some(0), None).await.expect("stopped");
        assert!(knock("[::1]:8080").is_err(), "nobody listens any more");
        start::start(&stage.engine, &other).await.expect("it is free");
        assert_eq!(stage.leaks().await, [String::new(); 0]);
    });
}

#[test]
fn a_link_on_the_default_network_speaks_of_the_other_in_the_environment() {
    in_a_namespace(|| async {
        let stage = Stage::connected().await;
        let mut db = body(&stage, "default", FOREVER);
        db.config.env = vec!["SECRET=x".into()];
        db.config.exposed_ports = Some([("5432/tcp".to_string(), serde_json::json!({}))].into());
        started(&stage, "db", db).await;
        let mut web = body(&stage, "default", &["sh", "-c", "env | grep ^MY_STORE | sort"]);
        web.host_config.links = Some(vec!["db:my-store".into()]);
        web.config.env = vec!["MY_STORE_ENV_SECRET=mine".into()];
        let id = create::create(&stage.engine, Some("web"), web, None).await.expect("created").id;
        start::start(&stage.engine, &id).await.expect("started");
        minidock_engine::container::wait::wait(&stage.engine, &id, "not-running").await.expect("there").await;
        assert_eq!(
            stage.logs(&id).await.0,
            "MY_STORE_ENV_SECRET=mine\nMY_STORE_NAME=/web/my-store\nMY_STORE_PORT=tcp://172.17.0.2:5432\n\
             MY_STORE_PORT_5432_TCP=tcp://172.17.0.2:5432\nMY_STORE_PORT_5432_TCP_ADDR=172.17.0.2\n\
             MY_STORE_PORT_5432_TCP_PORT=5432\nMY_STORE_PORT_5432_TCP_PROTO=tcp\n"
        );
        let link = || Removal { link: true, ..Removal::default() };
        use minidock_engine::container::remove::remove as remove_container;
        remove_container(&stage.engine, "/web/my-store", link()).await.expect("it was there");
        let left = stage.engine.containers.find("web").expect("only the link is gone").record().host_config.links.clone();
        assert_eq!(left, Some(Vec::new()));
        let gone = remove_container(&stage.engine, "web/my-store", link()).await.expect_err("not twice");
        assert!(gone.message().contains("no such link"), "{gone}");
        assert_eq!(stage.leaks().await, [String::new(); 0]);
    });
}
