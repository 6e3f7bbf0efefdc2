//! # What a service's one address promises
//!
//! Each task gets its turn; a task that is to end gets nothing new and keeps what it has; one that is gone is no black hole.

mod machines;

use machines::{
    AT_ONCE, Call, Machine, Member, at_home, machines as make, peers, ping, refused_at_once, run, serve, who, who_by_udp,
};
use minidock_network::{
    balance::{Balance, Service},
    home::Home,
    overlay::Overlay,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    io::ErrorKind,
    net::{Ipv4Addr, TcpListener, TcpStream},
    time::{Duration, Instant},
};

fn at(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 0, 1, last)
}

fn service(vip: u8, backends: &[u8]) -> Service {
    Service { vip: at(vip), backends: backends.iter().map(|last| at(*last)).collect() }
}

fn there(all: &[u8]) -> BTreeSet<Ipv4Addr> {
    all.iter().map(|last| at(*last)).collect()
}

/// Two machines, one segment; a client 10.0.1.9 and a server .11 on the first, servers .12 and .13 on the second.
struct World {
    client: Member,
    servers: Vec<Member>,
    machines: Vec<Machine>,
    nets: Vec<Overlay>,
}

fn in_a_world(claim: impl FnOnce(&World) + Send) {
    at_home(|home: &Home, folder| {
        let machines = make(home, folder.path(), 2);
        let nets: Vec<Overlay> = machines.iter().map(|machine| machine.overlay(1, None)).collect();
        machines.iter().zip(&nets).for_each(|(machine, net)| machine.erect(net));
        let near = [9, 11].map(|last| machines[0].member(&nets[0].bridge(), last));
        let far = [12, 13].map(|last| machines[1].member(&nets[1].bridge(), last));
        let told = peers(&[(&machines[0], &[at(9), at(11)]), (&machines[1], &[at(12), at(13)])]);
        for (machine, net) in machines.iter().zip(&nets) {
            machine.does(|home| net.peers(home, &told)).expect("told");
        }
        let [client, first] = near;
        let servers: Vec<Member> = [first].into_iter().chain(far).collect();
        for server in &servers {
            serve(&server.sandbox, 80, &server.address.octets()[3].to_string());
        }
        claim(&World { client, servers, machines, nets });
    });
}

/// Who answered how often.
fn tally(calls: impl Iterator<Item = String>) -> BTreeMap<String, usize> {
    calls.fold(BTreeMap::new(), |mut tally, name| {
        *tally.entry(name).or_default() += 1;
        tally
    })
}

#[test]
fn each_task_has_its_turn() {
    in_a_world(|world| {
        let client = &world.client.sandbox;
        let balance = Balance::open(client).expect("a line");
        let all = there(&[9, 11, 12, 13]);
        balance.set(&[service(2, &[11, 12, 13]), service(3, &[11, 12])], &all).expect("set");
        let calls = tally((0..90).map(|_| who(client, "10.0.1.2:80").expect("somebody")));
        assert_eq!(calls.values().copied().collect::<Vec<_>>(), [30, 30, 30], "{calls:?}");
        // from many threads at once, too
        let at_once = client.visit(|| {
            std::thread::scope(|scope| {
                let caller = || (0..60).map(|_| Call::to("10.0.1.2:80").expect("somebody").name).collect::<Vec<_>>();
                let callers: Vec<_> = (0..4).map(|_| scope.spawn(caller)).collect();
                tally(callers.into_iter().flat_map(|caller| caller.join().expect("no panic")))
            })
        });
        let at_once = at_once.expect("root may visit");
        assert_eq!(at_once.values().copied().collect::<Vec<_>>(), [80, 80, 80], "{at_once:?}");
        // UDP: each socket is a conversation of its own; ping
        let talks = tally((0..30).map(|_| who_by_udp(client, "10.0.1.2:80").expect("somebody")));
        assert_eq!(talks.len(), 3, "{talks:?}");
        assert!(ping(client, "10.0.1.2"));
        // who calls two services by turns reaches all tasks of both: no common counter
        let (mut second, mut third) = (BTreeSet::new(), BTreeSet::new());
        balance.set(&[service(2, &[11, 12]), service(3, &[11, 12])], &all).expect("set");
        for _ in 0..4 {
            second.insert(who(client, "10.0.1.2:80").expect("somebody"));
            third.insert(who(client, "10.0.1.3:80").expect("somebody"));
        }
        assert_eq!((second.len(), third.len()), (2, 2));
        // the server sees who calls; a task that calls its own service reaches the others and itself
        let seen = client.visit(|| Call::to("10.0.1.2:80").expect("somebody").seen_as).expect("root may visit");
        assert_eq!(seen, "10.0.1.9");
        let own = Balance::open(&world.servers[0].sandbox).expect("a line");
        own.set(&[service(2, &[11, 12, 13])], &all).expect("set");
        let calls = tally((0..30).map(|_| who(&world.servers[0].sandbox, "10.0.1.2:80").expect("somebody")));
        assert_eq!(calls.values().copied().collect::<Vec<_>>(), [10, 10, 10], "{calls:?}");
    });
}

#[test]
fn a_task_that_is_to_end_gets_nothing_new_and_one_that_is_gone_is_no_black_hole() {
    in_a_world(|world| {
        let client = &world.client.sandbox;
        let balance = Balance::open(client).expect("a line");
        let all = there(&[9, 11, 12, 13]);
        balance.set(&[service(2, &[11, 12, 13])], &all).expect("set");
        let open = || (0..9).map(|_| Call::to("10.0.1.2:80").expect("somebody")).collect::<Vec<_>>();
        let mut calls = client.visit(open).expect("root may visit");
        // 13 is to end: new calls go elsewhere, the old ones go on
        balance.set(&[service(2, &[11, 12])], &all).expect("set");
        for _ in 0..40 {
            assert_ne!(who(client, "10.0.1.2:80").as_deref(), Ok("13"));
        }
        for call in &mut calls {
            call.echo("still there").expect("connections outlive the change");
        }
        // 13 is gone, and its machine says nothing any more
        world.machines[1].sh(&format!("ip link set {} down", world.servers[2].endpoint.host_link));
        balance.set(&[service(2, &[11, 12])], &there(&[9, 11, 12])).expect("set");
        for call in &mut calls {
            let began = Instant::now();
            match (call.name.clone().as_str(), call.echo("and now?")) {
                ("13", answer) => {
                    let kind = answer.expect_err("nobody is there").kind();
                    assert!(matches!(kind, ErrorKind::ConnectionReset | ErrorKind::ConnectionRefused), "{kind:?}");
                    assert!(began.elapsed() < AT_ONCE, "cut off after {:?}", began.elapsed());
                }
                (_, answer) => answer.expect("the others go on"),
            }
        }
        assert_eq!(calls.iter().filter(|call| call.name == "13").count(), 3);
    });
}

#[test]
fn nobody_there_is_refused_at_once() {
    in_a_world(|world| {
        let client = &world.client.sandbox;
        let balance = Balance::open(client).expect("a line");
        let all = there(&[9, 11, 12, 13]);
        balance.set(&[service(2, &[])], &all).expect("set");
        refused_at_once(|| who(client, "10.0.1.2:80"));
        refused_at_once(|| who_by_udp(client, "10.0.1.2:80"));
        assert!(!ping(client, "10.0.1.2"), "a ping says whether a task answers");
        balance.set(&[service(2, &[12])], &all).expect("set");
        assert_eq!(who(client, "10.0.1.2:80").as_deref(), Ok("12"));
        assert_eq!(who_by_udp(client, "10.0.1.2:80").as_deref(), Ok("12"));
        // a task without a server on that port says so itself
        refused_at_once(|| who(client, "10.0.1.2:81"));
        // the service goes: its address is nobody's
        balance.set(&[], &all).expect("set");
        assert!(matches!(who(client, "10.0.1.2:80"), Err(ErrorKind::HostUnreachable | ErrorKind::TimedOut)));
        // the other tables and addresses of the sandbox are as they were
        let place = format!("--net={}", client.place().display());
        let (_, addresses) = run("nsenter", &[&place, "ip", "-br", "addr"]);
        assert!(!addresses.contains("10.0.1.2/"), "{addresses}");
    });
}

#[test]
fn who_is_called_by_its_own_address_and_has_gone_is_refused_at_once() {
    in_a_world(|world| {
        let client = &world.client.sandbox;
        let balance = Balance::open(client).expect("a line");
        balance.set(&[], &there(&[9, 11, 12, 13])).expect("set");
        world.machines[1].sh(&format!("ip link set {} down", world.servers[2].endpoint.host_link));
        balance.set(&[], &there(&[9, 11, 12])).expect("set");
        refused_at_once(|| who(client, "10.0.1.13:80"));
        // its address is another's: forgotten; also when somebody has thrown the table away meanwhile
        world.machines[1].sh(&format!("ip link set {} up", world.servers[2].endpoint.host_link));
        run("nsenter", &[&format!("--net={}", client.place().display()), "nft", "flush", "ruleset"]);
        balance.set(&[], &there(&[9, 11, 12, 13])).expect("set");
        assert_eq!(who(client, "10.0.1.13:80").as_deref(), Ok("13"));
        // so many come and go that some are forgotten
        let many: BTreeSet<Ipv4Addr> = (0..2000).map(|n| Ipv4Addr::from_bits(0x0a00_8000 + n)).collect();
        balance.set(&[], &many).expect("set");
        balance.set(&[], &there(&[11])).expect("set");
        assert_eq!(who(client, "10.0.1.11:80").as_deref(), Ok("11"));
        let place = format!("--net={}", client.place().display());
        let (fine, set) = run("nsenter", &[&place, "nft", "list", "set", "inet", "minidock_services", "gone"]);
        assert!(fine && set.contains("10.0.135.207") && !set.contains("10.0.128.0,"), "{set}");
    });
}

#[test]
fn a_conversation_by_udp_goes_on_with_another_when_its_task_has_gone() {
    in_a_world(|world| {
        let client = &world.client.sandbox;
        let balance = Balance::open(client).expect("a line");
        balance.set(&[service(2, &[12])], &there(&[9, 11, 12])).expect("set");
        let socket = client.visit(|| std::net::UdpSocket::bind("0.0.0.0:0").expect("a socket")).expect("root may visit");
        let ask = || machines::ask_by(&socket, "10.0.1.2:80").expect("somebody");
        assert_eq!(ask(), "12");
        balance.set(&[service(2, &[11])], &there(&[9, 11, 12])).expect("set");
        assert_eq!(ask(), "12", "to end, but there");
        balance.set(&[service(2, &[11])], &there(&[9, 11])).expect("set");
        assert_eq!(ask(), "11");
    });
}

#[test]
fn a_new_daemon_goes_on_where_the_killed_one_was() {
    in_a_world(|world| {
        let client = &world.client.sandbox;
        let all = there(&[9, 11, 12, 13]);
        let first = Balance::open(client).expect("a line");
        first.set(&[service(2, &[11, 12, 13])], &all).expect("set");
        let mut calls = client.visit(|| [(); 6].map(|()| Call::to("10.0.1.2:80").expect("somebody"))).expect("root may visit");
        drop(first);
        // meanwhile 12 has gone, and nobody was there to know
        world.machines[1].sh(&format!("ip link set {} down", world.servers[1].endpoint.host_link));
        let second = Balance::open(client).expect("a line");
        second.set(&[service(2, &[11, 13])], &there(&[9, 11, 13])).expect("set");
        for call in &mut calls {
            match (call.name.clone().as_str(), call.echo("hello")) {
                ("12", answer) => assert!(answer.is_err()),
                (_, answer) => answer.expect("connections outlive the daemon"),
            }
        }
        let calls = tally((0..20).map(|_| who(client, "10.0.1.2:80").expect("somebody")));
        assert_eq!(calls.values().copied().collect::<Vec<_>>(), [10, 10]);
        // somebody inside throws our table away; it is made again the next time, changed or not
        for services in [[service(2, &[11, 13])], [service(2, &[13])]] {
            world.servers[0].sandbox.visit(|| ()).expect("root may visit");
            run("nsenter", &[&format!("--net={}", client.place().display()), "nft", "flush", "ruleset"]);
            second.set(&services, &there(&[9, 11, 13])).expect("set");
            assert!(who(client, "10.0.1.2:80").is_ok());
        }
    });
}

#[test]
fn a_hundred_services_of_ten_tasks_are_set_in_milliseconds() {
    in_a_world(|world| {
        let client = &world.client.sandbox;
        let balance = Balance::open(client).expect("a line");
        let many = |n: u8| -> Vec<Service> {
            let of = |vip: u8| Service {
                vip: Ipv4Addr::new(10, 0, 2, vip),
                backends: (0..10).map(|task| Ipv4Addr::new(10, 0, 3 + task, vip)).collect(),
            };
            (1..=n).map(of).collect()
        };
        let everybody: BTreeSet<Ipv4Addr> = many(100).iter().flat_map(|s| s.backends.clone()).collect();
        // the best of some: what is measured is our work, not that of our neighbours on this machine
        let best = |work: &mut dyn FnMut()| (0..5).map(|_| timed(work)).min().expect("some");
        let set = |balance: &Balance, services: &[Service]| balance.set(services, &everybody).expect("set");
        let fresh = best(&mut || set(&Balance::open(client).expect("a line"), &many(100)));
        set(&balance, &many(100));
        let same = best(&mut || set(&balance, &many(100)));
        let mut less = many(100);
        let changed = best(&mut || {
            less[50].backends.pop();
            set(&balance, &less);
        });
        let mut count = 99;
        let gone = best(&mut || {
            set(&balance, &less[..count]);
            count -= 1;
        });
        println!(
            "100 services of 10 tasks: {fresh:?}; said again {same:?}; one task less {changed:?}; one service less {gone:?}"
        );
        let small = Duration::from_millis(20);
        assert!(
            fresh < Duration::from_millis(100) && same < small && changed < small && gone < small,
            "{fresh:?} {same:?} {changed:?} {gone:?}"
        );
    });
}

fn timed(work: &mut dyn FnMut()) -> Duration {
    let began = Instant::now();
    work();
    began.elapsed()
}

/// Not a task of ours and not through a service: what the rules cost.
#[test]
fn whoever_is_called_by_its_own_address_is_left_alone() {
    in_a_world(|world| {
        let client = &world.client.sandbox;
        let balance = Balance::open(client).expect("a line");
        balance.set(&[service(2, &[11])], &there(&[9, 11])).expect("set");
        // 12 is not `there`, but who calls it by its own address is not our affair
        let mut call = client.visit(|| Call::to("10.0.1.12:80").expect("12")).expect("root may visit");
        balance.set(&[service(2, &[])], &there(&[9])).expect("set");
        call.echo("still").expect("left alone");
        let listener = client.visit(|| TcpListener::bind("10.0.1.9:7").expect("a port")).expect("root may visit");
        let called = world.servers[0].sandbox.visit(|| TcpStream::connect("10.0.1.9:7").is_ok()).expect("root may visit");
        assert!(called, "calls that come in are not touched");
        drop(listener);
        assert!(world.nets[0].own.is_none());
    });
}
