//! # What passes and what does not, tried with packets
//!
//! A home with bridges, sandboxes on them and a neighbour beside it (192.0.2.9, who reaches it at 192.0.2.1), all of them network
//! namespaces of the test. Servers answer with the address they see their client under. Each claim is made with br_netfilter off
//! and on.

mod world;

use minidock_network::{
    model::{Protocol, Published, Subnet},
    nft::{ruleset::Ruleset, table::Table},
    sandbox::Sandbox,
};
use std::{
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket},
    time::Duration,
};
use world::{PATIENCE, ask_by, greet, in_a_world, seen_as, sees, serve, sh, tcp, there};

#[test]
fn a_published_port_is_reached_from_everywhere() {
    in_a_world(|world| {
        let (one, two) = (world.network("br-one", 30, |_| ()), world.network("br-two", 31, |_| ()));
        let (web, other, far) = (world.member(&one, 2), world.member(&one, 3), world.member(&two, 2));
        serve(Some(&web), 80);
        for protocol in [Protocol::Tcp, Protocol::Udp] {
            world.publish(protocol, "0.0.0.0", 8080, "172.30.0.2:80");
        }
        seen_as(Some(&world.neighbour), "192.0.2.1:8080", "192.0.2.9");
        seen_as(None, "127.0.0.1:8080", "172.30.0.1");
        seen_as(None, "127.9.9.9:8080", "172.30.0.1");
        seen_as(None, "192.0.2.1:8080", "192.0.2.1");
        seen_as(None, "172.30.0.1:8080", "172.30.0.1");
        // hairpin: a neighbour on the same bridge, itself, one of another bridge; by any address of the host
        for host in ["192.0.2.1:8080", "172.30.0.1:8080", "172.31.0.1:8080"] {
            assert!(sees(Some(&other), host).is_some(), "from the same bridge to {host}");
            seen_as(Some(&web), host, "172.30.0.1");
            seen_as(Some(&far), host, "172.30.0.1");
        }
        // the direct way is as it was, and another port is refused, not swallowed
        seen_as(Some(&other), "172.30.0.2:80", "172.30.0.3");
        seen_as(None, "172.30.0.2:80", "172.30.0.1");
        assert_eq!(tcp(Some(&world.neighbour), "192.0.2.1:8081"), None);
    });
}

#[test]
fn segments_are_apart() {
    in_a_world(|world| {
        let (one, two) = (world.network("br-one", 30, |_| ()), world.network("br-two", 31, |_| ()));
        let inner = world.network("br-in", 32, |net| net.internal = true);
        let shy = world.network("br-shy", 33, |net| net.icc = false);
        let (a, b) = (world.member(&one, 2), world.member(&two, 2));
        let (i, j) = (world.member(&inner, 2), world.member(&inner, 3));
        let (s, t) = (world.member(&shy, 2), world.member(&shy, 3));
        let addresses = ["172.30.0.2", "172.31.0.2", "172.32.0.2", "172.32.0.3", "172.33.0.2", "172.33.0.3"];
        let everybody = [&a, &b, &i, &j, &s, &t];
        everybody.iter().for_each(|sandbox| serve(Some(sandbox), 80));
        serve(Some(&world.neighbour), 80);
        world.publish(Protocol::Tcp, "0.0.0.0", 8080, "172.30.0.2:80");
        // even with routes: a neighbour who knows the way, members of the internal network who try the gateway
        for n in 30..=33 {
            there(&world.neighbour, &format!("ip route add 172.{n}.0.0/16 via 192.0.2.1"));
        }
        there(&i, "ip route add default via 172.32.0.1");
        for (from, (sandbox, own)) in everybody.iter().zip(addresses).enumerate() {
            for (to, address) in addresses.iter().enumerate() {
                // alone on one and two; i and j together; s and t have one network but may not talk
                let may = from == to || matches!((from, to), (2, 3) | (3, 2));
                let reached = tcp(Some(sandbox), &format!("{address}:80"));
                assert_eq!(reached.is_some(), may, "{own} → {address}");
            }
            let out = tcp(Some(sandbox), "192.0.2.9:80");
            match from {
                2 | 3 => assert_eq!(out, None, "{own} is internal"),
                _ => assert_eq!(out.as_deref(), Some("192.0.2.1"), "{own} leaves with the host's address"),
            }
        }
        for address in addresses {
            assert_eq!(sees(Some(&world.neighbour), &format!("{address}:80")), None, "the neighbour → {address}");
            assert!(tcp(None, &format!("{address}:80")).is_some(), "the host → {address}");
        }
        // the published port is for those outside, and for members of other networks, but not for the internal one
        assert!(tcp(Some(&world.neighbour), "192.0.2.1:8080").is_some() && tcp(Some(&b), "192.0.2.1:8080").is_some());
        assert_eq!(tcp(Some(&i), "172.32.0.1:8080"), None, "an internal network has no way out, not even this one");
    });
}

#[test]
fn a_port_on_the_hosts_loopback_is_for_the_host_alone() {
    in_a_world(|world| {
        let one = world.network("br-one", 30, |_| ());
        let (web, other) = (world.member(&one, 2), world.member(&one, 3));
        serve(Some(&web), 80);
        world.publish(Protocol::Tcp, "127.0.0.1", 8080, "172.30.0.2:80");
        world.publish(Protocol::Udp, "127.0.0.1", 8080, "172.30.0.2:80");
        let private = std::net::TcpListener::bind("127.0.0.1:7000").expect("a service of the host's loopback");
        std::thread::spawn(move || private.incoming().flatten().for_each(greet));
        seen_as(None, "127.0.0.1:8080", "172.30.0.1");
        for host in ["192.0.2.1", "172.30.0.1"] {
            for from in [Some(&world.neighbour), Some(&other), None] {
                assert_eq!(sees(from, &format!("{host}:8080")), None, "{host} is not 127.0.0.1");
            }
        }
        // a neighbour, and a member, who send packets for 127.0.0.1 by the cable
        let by_cable = |gateway: &str| {
            format!(
                "sysctl -qw net.ipv4.conf.all.route_localnet=1; ip route del local 127.0.0.0/8 dev lo table local; \
                 ip route del local 127.0.0.1 dev lo table local; ip route add 127.0.0.1 via {gateway}"
            )
        };
        there(&world.neighbour, &by_cable("192.0.2.1"));
        there(&other, &by_cable("172.30.0.1"));
        // their own kernels would not believe an answer from 127.0.0.1, so what counts is what reaches the container
        let ear = web.visit(|| UdpSocket::bind("0.0.0.0:81").expect("a socket")).expect("root may visit");
        ear.set_read_timeout(Some(PATIENCE)).expect("a socket");
        world.publish(Protocol::Udp, "127.0.0.1", 8181, "172.30.0.2:81");
        let attack = |attacker: &Sandbox| {
            let shoot = || UdpSocket::bind("0.0.0.0:0").and_then(|s| s.send_to(b"!", "127.0.0.1:8181")).expect("sent");
            attacker.visit(shoot).expect("root may visit");
            ear.recv_from(&mut [0; 8]).is_ok()
        };
        let attackers = [&world.neighbour, &other];
        for attacker in attackers {
            assert!(!attack(attacker));
            assert_eq!(tcp(Some(attacker), "127.0.0.1:7000"), None);
        }
        // and it is the guard that keeps them out: without it they are in
        sh("nft flush chain inet minidock guard");
        assert!(attackers.iter().all(|attacker| attack(attacker)));
    });
}

#[test]
fn a_bound_address_is_that_address_only() {
    in_a_world(|world| {
        let one = world.network("br-one", 30, |_| ());
        let (web, other) = (world.member(&one, 2), world.member(&one, 3));
        serve(Some(&web), 80);
        serve(Some(&other), 80);
        sh("ip addr add 192.0.2.2/24 dev out");
        world.publish(Protocol::Tcp, "192.0.2.2", 8080, "172.30.0.2:80");
        assert!(tcp(Some(&world.neighbour), "192.0.2.2:8080").is_some());
        assert_eq!(tcp(Some(&world.neighbour), "192.0.2.1:8080"), None);
        assert_eq!(tcp(None, "127.0.0.1:8080"), None);
    });
}

#[test]
fn connections_outlive_the_table_and_no_rule_is_left_twice() {
    in_a_world(|world| {
        let one = world.network("br-one", 30, |_| ());
        let web = world.member(&one, 2);
        serve(Some(&web), 80);
        world.publish(Protocol::Tcp, "0.0.0.0", 8080, "172.30.0.2:80");
        let connect = || {
            let stream =
                TcpStream::connect_timeout(&"192.0.2.1:8080".parse().expect("an address"), PATIENCE).expect("published");
            stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
            let mut line = [0; 10];
            (&stream).read_exact(&mut line).expect("the greeting");
            stream
        };
        let mut from_outside = world.neighbour.visit(connect).expect("root may visit");
        let mut from_here = TcpStream::connect("127.0.0.1:8080").expect("published");
        from_here.set_read_timeout(Some(PATIENCE)).expect("a socket");
        from_here.read_exact(&mut [0; 11]).expect("the greeting");
        let mut echo = |text: &[u8]| {
            for stream in [&mut from_outside, &mut from_here] {
                stream.write_all(text).expect("connected");
                let mut back = vec![0; text.len()];
                stream.read_exact(&mut back).expect("an echo");
                assert_eq!(back, text);
            }
        };
        echo(b"before");
        // the daemon was killed: a new one makes the table anew from its records
        let wanted = world.table.wanted();
        let reborn = Table::open().expect("nf_tables");
        reborn.replace(&wanted).expect("replaced");
        echo(b"after");
        reborn.replace(&Ruleset { published: vec![], ..wanted.clone() }).expect("replaced");
        echo(b"let in is let in");
        assert_eq!(tcp(Some(&world.neighbour), "192.0.2.1:8080"), None, "but nobody new");
        reborn.replace(&wanted).expect("replaced");
        assert!(tcp(Some(&world.neighbour), "192.0.2.1:8080").is_some());
    });
}

#[test]
fn a_client_that_never_pauses_follows_a_udp_port_that_comes_moves_and_goes() {
    in_a_world(|world| {
        let one = world.network("br-one", 30, |_| ());
        let (first, second) = (world.member(&one, 2), world.member(&one, 3));
        serve(Some(&first), 53);
        serve(Some(&second), 54);
        let client = world.neighbour.visit(|| UdpSocket::bind("0.0.0.0:0").expect("a socket")).expect("root may visit");
        let to = "192.0.2.1:5353".parse().expect("an address");
        // nobody there yet, but the host has something that swallows: the kernel remembers "for the host itself"
        let swallows = UdpSocket::bind("0.0.0.0:5353").expect("a socket");
        assert_eq!(ask_by(&client, to), None);
        let port = world.publish(Protocol::Udp, "0.0.0.0", 5353, "172.30.0.2:53");
        assert_eq!(ask_by(&client, to).as_deref(), Some("192.0.2.9"));
        // its container is replaced by another
        world.table.unpublish(std::slice::from_ref(&port)).expect("closed");
        assert_eq!(ask_by(&client, to), None);
        let moved = Published { target: ("172.30.0.3".parse().expect("an address"), 54), endpoint_id: "f".into(), ..port };
        world.table.publish(std::slice::from_ref(&moved)).expect("published");
        assert_eq!(ask_by(&client, to).as_deref(), Some("192.0.2.9"));
        // moved while the daemon was away
        let mut wanted = world.table.wanted();
        wanted.published[0].target = ("172.30.0.2".parse().expect("an address"), 53);
        Table::open().and_then(|table| table.replace(&wanted)).expect("replaced");
        drop(second);
        assert_eq!(ask_by(&client, to).as_deref(), Some("192.0.2.9"));
        drop(swallows);
    });
}

#[test]
fn ipv6_is_published_and_masqueraded_where_asked_for() {
    in_a_world(|world| {
        let block6 = Subnet {
            subnet: "fd00:30::/64".parse().expect("a block"),
            gateway: Some("fd00:30::1".parse().expect("an address")),
            range: None,
            aux: Default::default(),
        };
        let one = world.network("br-one", 30, |net| net.subnets.push(block6));
        let (web, other) = (world.member(&one, 2), world.member(&one, 3));
        sh(
            "sysctl -qw net.ipv6.conf.out.disable_ipv6=0 net.ipv6.conf.out.accept_dad=0; ip addr add fd00:9::1/64 dev out nodad",
        );
        let v6 = "sysctl -qw net.ipv6.conf.eth0.disable_ipv6=0; ip addr add fd00:9::9/64 dev eth0 nodad";
        there(&world.neighbour, v6);
        serve(Some(&web), 80);
        serve(Some(&world.neighbour), 80);
        for protocol in [Protocol::Tcp, Protocol::Udp] {
            world.publish(protocol, "::", 8080, "[fd00:30::2]:80");
        }
        seen_as(Some(&world.neighbour), "[fd00:9::1]:8080", "fd00:9::9");
        seen_as(None, "[fd00:9::1]:8080", "fd00:9::1");
        seen_as(Some(&web), "[fd00:9::9]:80", "fd00:9::1");
        seen_as(Some(&other), "[fd00:30::2]:80", "fd00:30::3");
        seen_as(Some(&web), "[fd00:9::1]:8080", "fd00:30::1");
        there(&world.neighbour, "ip route add fd00:30::/64 via fd00:9::1");
        assert_eq!(sees(Some(&world.neighbour), "[fd00:30::2]:80"), None, "not by its own address");
        // not swallowed: a client of `localhost` goes on to 127.0.0.1
        let loopback = TcpStream::connect_timeout(&"[::1]:8080".parse().expect("an address"), PATIENCE);
        assert!(loopback.is_err_and(|e| e.kind() == std::io::ErrorKind::ConnectionRefused));
    });
}

#[test]
fn a_thousand_ports_more_cost_a_packet_nothing() {
    in_a_world(|world| {
        let one = world.network("br-one", 30, |_| ());
        let web = world.member(&one, 2);
        serve(Some(&web), 80);
        world.publish(Protocol::Tcp, "0.0.0.0", 8080, "172.30.0.2:80");
        // the first packet of each connection asks the map; all others do not even meet the chain
        let connect = || {
            let began = std::time::Instant::now();
            TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], 8080))).expect("published");
            began.elapsed()
        };
        let median = || {
            let mut times: Vec<Duration> = (0..101).map(|_| connect()).collect();
            times.sort();
            times[50]
        };
        let best_of_five = || (0..5).map(|_| median()).min().expect("five");
        let alone = best_of_five();
        let many: Vec<Published> = (10_000..11_000)
            .map(|port| Published {
                endpoint_id: "e".into(),
                protocol: Protocol::Tcp,
                host: (Ipv4Addr::UNSPECIFIED.into(), port),
                target: (Ipv4Addr::new(172, 30, 0, 2).into(), 80),
                bridge: "br-one".into(),
            })
            .collect();
        world.table.publish(&many).expect("published");
        let among = best_of_five();
        eprintln!("a connection: {alone:?} with one port, {among:?} with 1,001");
        assert!(among < alone * 3 / 2 + Duration::from_micros(50), "{alone:?} → {among:?}");
    });
}

#[test]
fn a_network_without_masquerade_keeps_its_addresses() {
    in_a_world(|world| {
        let one = world.network("br-one", 30, |net| net.masquerade = false);
        let web = world.member(&one, 2);
        serve(Some(&world.neighbour), 80);
        there(&world.neighbour, "ip route add 172.30.0.0/16 via 192.0.2.1");
        seen_as(Some(&web), "192.0.2.9:80", "172.30.0.2");
    });
}
