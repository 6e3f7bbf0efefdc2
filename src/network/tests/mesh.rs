//! # What a port of the mesh promises
//!
//! Open on every machine and from everywhere; each task has its turn; nobody there is refused at once; nothing is left.

mod machines;

use machines::{
    AT_ONCE, Call, Machine, Member, at_home, cable, machines as make, peers, refused_at_once, run, serve, who, who_by_udp,
};
use minidock_network::{
    bridge,
    home::Home,
    mesh::{Door, Mesh},
    model::{Bridge, Protocol, Subnet},
    overlay::Overlay,
    port_map::{Ports, Wish},
    sandbox::Sandbox,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    io::ErrorKind,
    net::{IpAddr, Ipv4Addr, TcpListener, UdpSocket},
    path::Path,
    time::{Duration, Instant},
};

fn at(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 0, 0, last)
}

fn there(all: &[u8]) -> BTreeSet<Ipv4Addr> {
    all.iter().map(|last| at(*last)).collect()
}

fn door(protocol: Protocol, backends: &[u8]) -> Door {
    Door { protocol, published: 8080, target: 80, backends: backends.iter().map(|last| at(*last)).collect() }
}

fn doors(backends: &[u8]) -> [Door; 2] {
    [door(Protocol::Tcp, backends), door(Protocol::Udp, backends)]
}

/// A machine with its part of the ingress network (10.0.0.101, …) and a bridge for the way out.
struct Node {
    machine: Machine,
    ingress: Overlay,
    gateway: Bridge,
    mesh: Mesh,
    ports: Ports,
}

impl Node {
    fn raise(machine: Machine, number: u8) -> Node {
        let ingress = machine.overlay(0, Some(100 + number));
        machine.erect(&ingress);
        let subnet = Subnet {
            subnet: "172.18.0.0/16".parse().expect("a block"),
            gateway: Some(Ipv4Addr::new(172, 18, 0, 1).into()),
            range: None,
            aux: BTreeMap::new(),
        };
        let gateway = Bridge {
            link: "br-gw".into(),
            subnets: vec![subnet],
            internal: false,
            icc: false,
            masquerade: true,
            ..ingress.bridge()
        };
        machine.does(|home| bridge::ensure(home, &gateway)).expect("a bridge");
        machine.table.add_bridge(&gateway).expect("a firewall for it");
        let ports = Ports::default();
        let mesh = machine.does(|_| Mesh::open(ports.clone())).expect("a line");
        Node { machine, ingress, gateway, mesh, ports }
    }

    /// A task: eth0 on ingress, eth1 for the way out.
    fn task(&self, last: u8) -> Member {
        let member = self.machine.member(&self.ingress.bridge(), last);
        self.way_out(&member.sandbox, last, "eth1");
        serve(&member.sandbox, 80, &last.to_string());
        member
    }

    fn way_out(&self, sandbox: &Sandbox, last: u8, inside: &str) {
        let endpoint = cable(Ipv4Addr::new(172, 18, 0, last), 16, inside, &format!("g{last:x}"));
        sandbox.plug(&self.machine.home, &self.gateway, &endpoint).expect("plugged");
        sandbox.set_default_routes(Some(Ipv4Addr::new(172, 18, 0, 1)), None).expect("a way out");
    }

    #[track_caller]
    fn set(&self, doors: &[Door], there: &BTreeSet<Ipv4Addr>) {
        let refused = self.machine.does(|_| self.mesh.set(Some(&self.ingress.bridge_link()), doors, there)).expect("set");
        assert!(refused.is_empty(), "{refused:?}");
    }
}

/// Three machines; tasks 10.0.0.11 on the first, .12 and .13 on the second, none on the third.
struct World {
    nodes: Vec<Node>,
    tasks: Vec<Member>,
}

impl World {
    fn set(&self, doors: &[Door], everybody: &[u8]) {
        let all = there(everybody);
        self.nodes.iter().for_each(|node| node.set(doors, &all));
    }
}

fn in_a_world(claim: impl Fn(&World, &Path) + Send + Sync) {
    for switched in ["0", "1"] {
        at_home(|home: &Home, folder| {
            let machines = make(home, folder.path(), 3);
            for machine in &machines {
                machine.sh(&format!("echo {switched} > /proc/sys/net/bridge/bridge-nf-call-iptables || true"));
            }
            let nodes: Vec<Node> =
                machines.into_iter().zip(1..).map(|(machine, number)| Node::raise(machine, number)).collect();
            let tasks = vec![nodes[0].task(11), nodes[1].task(12), nodes[1].task(13)];
            let own = [at(101), at(102), at(103)];
            let of = |n: usize, members: &[Ipv4Addr]| (n, [members, &own[n..=n]].concat());
            let places = [of(0, &[at(11)]), of(1, &[at(12), at(13)]), of(2, &[])];
            let places: Vec<_> = places.iter().map(|(n, all)| (&nodes[*n].machine, all.as_slice())).collect();
            let told = peers(&places);
            for node in &nodes {
                node.machine.does(|home| node.ingress.peers(home, &told)).expect("told");
            }
            println!("with bridge-nf-call-iptables = {switched}");
            claim(&World { nodes, tasks }, folder.path());
        });
    }
}

const EVERYBODY: [u8; 6] = [11, 12, 13, 101, 102, 103];

/// Who answers `count` calls, by TCP and UDP alike, and as whom we are seen.
#[track_caller]
fn turns(from: Option<&Sandbox>, to: &str, count: usize) -> (Vec<usize>, BTreeSet<String>) {
    let ask = || {
        let (mut tally, mut seen): (BTreeMap<String, usize>, _) = Default::default();
        for _ in 0..count {
            let call = Call::to(to).unwrap_or_else(|e| panic!("{to}: {e}"));
            *tally.entry(call.name).or_default() += 1;
            let _: bool = BTreeSet::insert(&mut seen, call.seen_as);
        }
        (tally.into_values().collect(), seen)
    };
    match from {
        Some(sandbox) => sandbox.visit(ask).expect("root may visit"),
        None => ask(),
    }
}

#[test]
fn a_port_is_open_on_every_machine_and_from_everywhere() {
    in_a_world(|world, folder| {
        world.set(&doors(&[11, 12, 13]), &EVERYBODY);
        let seen = |last: u8| BTreeSet::from([at(last).to_string()]);
        // from outside: by any machine, the one without a task too; seen as the machine that was called
        for n in 1..=3 {
            assert_eq!(turns(None, &format!("192.0.2.{n}:8080"), 9), (vec![3, 3, 3], seen(100 + n)), "machine {n}");
        }
        // from the machines themselves, by any address of theirs, and from one to the other
        let places: Vec<&Sandbox> = world.nodes.iter().map(|node| &node.machine.place).collect();
        for (n, place) in (1..).zip(&places) {
            for to in [
                "127.0.0.1:8080".to_string(),
                format!("192.0.2.{n}:8080"),
                format!("10.0.0.10{n}:8080"),
                "172.18.0.1:8080".into(),
            ] {
                assert_eq!(turns(Some(place), &to, 3), (vec![1, 1, 1], seen(100 + n)), "on machine {n}: {to}");
            }
            assert_eq!(turns(Some(place), "192.0.2.2:8080", 3), (vec![1, 1, 1], seen(102)));
            refused_at_once(|| who(place, "[::1]:8080"));
            assert!(who_by_udp(place, "127.0.0.1:8080").is_ok(), "UDP on machine {n}");
        }
        // from a container beside, and from the tasks, which reach themselves too
        let stranger = Sandbox::create(&folder.join("stranger")).expect("a sandbox");
        world.nodes[0].way_out(&stranger, 50, "eth0");
        for from in [&stranger, &world.tasks[0].sandbox] {
            for (to, as_whom) in
                [("172.18.0.1:8080", 101), ("192.0.2.1:8080", 101), ("192.0.2.2:8080", 102), ("192.0.2.3:8080", 103)]
            {
                assert_eq!(turns(Some(from), to, 6), (vec![2, 2, 2], seen(as_whom)), "{to}");
                assert!(who_by_udp(from, to).is_ok(), "UDP to {to}");
            }
        }
        // what is not published is closed, also to a neighbour who knows the way in
        run("ip", &["route", "add", "10.0.0.0/24", "via", "192.0.2.1"]);
        assert!(Call::to("10.0.0.11:80").is_err(), "not by the back door");
        refused_at_once(|| Call::to("192.0.2.1:80").map(|c| c.name).map_err(|e| e.kind()));
    });
}

#[test]
fn a_task_that_ends_is_called_no_more_and_nobody_is_refused_at_once() {
    in_a_world(|world, _| {
        world.set(&doors(&[11, 12, 13]), &EVERYBODY);
        let mut calls: Vec<Call> = (0..9).map(|_| Call::to("192.0.2.3:8080").expect("somebody")).collect();
        let mut own = world.nodes[0].machine.place.visit(|| [(); 3].map(|()| Call::to("127.0.0.1:8080").expect("somebody")));
        let own = own.as_mut().expect("root may visit");
        world.set(&doors(&[11, 12]), &EVERYBODY);
        assert_eq!(turns(None, "192.0.2.3:8080", 20).0, [10, 10], "the third gets nothing new");
        for call in calls.iter_mut().chain(own.iter_mut()) {
            call.echo("still there").expect("connections outlive the change");
        }
        world.nodes[1].machine.sh(&format!("ip link set {} down", world.tasks[2].endpoint.host_link));
        world.set(&doors(&[11, 12]), &[11, 12, 101, 102, 103]);
        for call in calls.iter_mut().chain(own.iter_mut()) {
            let began = Instant::now();
            match (call.name.clone().as_str(), call.echo("and now?")) {
                ("13", answer) => {
                    assert_eq!(answer.expect_err("nobody is there").kind(), ErrorKind::ConnectionReset);
                    assert!(began.elapsed() < AT_ONCE, "cut off after {:?}", began.elapsed());
                }
                (_, answer) => answer.expect("the others go on"),
            }
        }
        // nobody at all, and somebody again; who kept asking by UDP meanwhile is heard
        world.set(&doors(&[]), &[101, 102, 103]);
        let socket = UdpSocket::bind("0.0.0.0:0").expect("a socket");
        let outside = || Call::to("192.0.2.3:8080").map(|c| c.name).map_err(|e| e.kind());
        refused_at_once(outside);
        refused_at_once(|| machines::ask_by(&socket, "192.0.2.3:8080").map_err(|e| e.kind()));
        refused_at_once(|| who(&world.nodes[2].machine.place, "127.0.0.1:8080"));
        refused_at_once(|| who_by_udp(&world.nodes[2].machine.place, "127.0.0.1:8080"));
        world.set(&doors(&[12]), &EVERYBODY);
        assert_eq!(outside().as_deref(), Ok("12"));
        assert_eq!(machines::ask_by(&socket, "192.0.2.3:8080").expect("heard"), "12");
    });
}

#[test]
fn a_port_is_had_once_and_all_is_given_back() {
    in_a_world(|world, _| {
        let node = &world.nodes[0];
        let link = node.ingress.bridge_link();
        let before = node.machine.inventory();
        node.machine.does(|_| {
            // a program of the machine has it: told in Docker's words, and the other door is open
            let theirs = TcpListener::bind("0.0.0.0:8080").expect("free");
            let set = |doors: &[Door]| node.mesh.set(Some(&link), doors, &there(&EVERYBODY)).expect("set");
            let refused = set(&doors(&[11]));
            assert_eq!(refused.len(), 1);
            assert_eq!((&refused[0].0, refused[0].0.protocol), (&door(Protocol::Tcp, &[11]), Protocol::Tcp));
            let words = refused[0].1.message();
            assert!(words.contains("0.0.0.0:8080") && words.contains("address already in use"), "{words}");
            assert!(who_by_udp(&node.machine.place, "127.0.0.1:8080").is_ok());
            drop(theirs);
            assert!(set(&doors(&[11])).is_empty(), "the next time it is free");
            // and then nobody else gets it
            let any = IpAddr::from([0, 0, 0, 0]);
            let wish = Wish { protocol: Protocol::Tcp, hosts: vec![any], ports: Some((8080, 8080)), target: (any, 80) };
            let refused = node.ports.reserve(std::slice::from_ref(&wish)).expect_err("ours");
            assert_eq!(refused.message(), "Bind for 0.0.0.0:8080 failed: port is already allocated");
            assert!(TcpListener::bind("0.0.0.0:8080").is_err_and(|e| e.kind() == ErrorKind::AddrInUse));
            // a door that closes gives its port back; all of them
            assert!(set(&[door(Protocol::Udp, &[11])]).is_empty());
            node.ports.reserve(std::slice::from_ref(&wish)).expect("free again");
            node.mesh.purge().expect("gone");
            node.mesh.purge().expect("gone already");
            UdpSocket::bind("0.0.0.0:8080").expect("free again");
        });
        assert_eq!(node.machine.inventory(), before, "nothing is left");
        node.machine.does(|home| node.ingress.take_down(home)).expect("gone");
        assert!(!node.machine.inventory().contains("ov-"));
    });
}

#[test]
fn somebody_flushes_the_firewall_and_a_new_daemon_takes_over() {
    in_a_world(|world, _| {
        let node = &world.nodes[0];
        let first = node.machine.does(|_| Mesh::open(Ports::default())).expect("a line");
        let link = node.ingress.bridge_link();
        let set = |mesh: &Mesh, doors: &[Door], there: &BTreeSet<Ipv4Addr>| {
            let refused = node.machine.does(|_| mesh.set(Some(&link), doors, there)).expect("set");
            assert!(refused.is_empty(), "{refused:?}");
        };
        set(&first, &doors(&[11, 12]), &there(&EVERYBODY));
        node.machine.sh("nft delete table inet minidock_mesh");
        set(&first, &doors(&[11, 12]), &there(&EVERYBODY));
        assert_eq!(turns(None, "192.0.2.1:8080", 4).0, [2, 2]);
        let mut calls: Vec<Call> = (0..4).map(|_| Call::to("192.0.2.1:8080").expect("somebody")).collect();
        // SIGKILL: the ports are free, the table stays
        drop(first);
        let after = node.machine.does(|_| Mesh::open(Ports::default())).expect("a line");
        world.nodes[1].machine.sh(&format!("ip link set {} down", world.tasks[1].endpoint.host_link));
        set(&after, &doors(&[11]), &there(&[11, 101, 102, 103]));
        for call in &mut calls {
            match (call.name.clone().as_str(), call.echo("hello")) {
                ("12", answer) => assert!(answer.is_err()),
                (_, answer) => answer.expect("connections outlive the daemon"),
            }
        }
    });
}

#[test]
fn a_thousand_doors_are_set_in_milliseconds() {
    at_home(|home, folder| {
        let machine = make(home, folder.path(), 1).remove(0);
        let mesh = machine.does(|_| Mesh::open(Ports::default())).expect("a line");
        let many: Vec<Door> = (0..500)
            .flat_map(|n| {
                let backends = (0..10).map(|task| Ipv4Addr::from_bits(0x0a00_0000 + n * 16 + task)).collect::<Vec<_>>();
                [Protocol::Tcp, Protocol::Udp].map(|protocol| Door {
                    protocol,
                    published: 20_000 + n as u16,
                    target: 80,
                    backends: backends.clone(),
                })
            })
            .collect();
        let everybody: BTreeSet<Ipv4Addr> = many.iter().flat_map(|d| d.backends.clone()).collect();
        machine.does(|_| {
            let timed = |doors: &[Door]| {
                let began = Instant::now();
                assert!(mesh.set(None, doors, &everybody).expect("set").is_empty());
                began.elapsed()
            };
            let (fresh, same, less) = (timed(&many), timed(&many), timed(&many[1..]));
            println!("1,000 doors of 10 tasks: {fresh:?}; said again {same:?}; one less {less:?}");
            assert!(fresh < Duration::from_secs(4) && less < Duration::from_millis(400), "{fresh:?} {less:?}");
        });
    });
}
