//! # What one segment across several machines promises
//!
//! Everybody is reached, nothing is flooded, questions are answered at home, packets have the right size, and all of it can be done
//! again or undone.

mod machines;

use machines::{Machine, PATIENCE, at_home, machines as make, peers, run, serve, uncut, who, who_by_udp};
use minidock_base::Kind;
use minidock_linux::action::{self, Actor};
use minidock_network::{
    home::Home,
    overlay::{self, Overlay, Peer},
    sandbox,
};
use std::{
    io::ErrorKind,
    net::{IpAddr, Ipv4Addr, UdpSocket},
    time::{Duration, Instant},
};

const ONE: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 11);
const TWO: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 12);
const THREE: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 13);

fn overlays(all: &[Machine]) -> Vec<Overlay> {
    let of = |machine: &Machine| {
        let overlay = machine.overlay(1, None);
        machine.erect(&overlay);
        overlay
    };
    all.iter().map(of).collect()
}

#[test]
fn everybody_is_reached_and_nothing_goes_to_who_is_not_meant() {
    at_home(|home, folder| {
        let all = make(home, folder.path(), 3);
        let nets = overlays(&all);
        let members: Vec<_> = (0..3).map(|n| all[n].member(&nets[n].bridge(), 11 + n as u8)).collect();
        let told = peers(&[(&all[0], &[ONE]), (&all[1], &[TWO]), (&all[2], &[THREE])]);
        for (machine, net) in all.iter().zip(&nets) {
            machine.does(|home| net.peers(home, &told)).expect("told");
        }
        for (n, member) in members.iter().enumerate() {
            serve(&member.sandbox, 80, &format!("c{n}"));
        }
        let before: Vec<_> = all.iter().map(Machine::arrived).collect();
        // the first two talk, by both protocols, and call whom nobody knows
        for _ in 0..5 {
            assert_eq!(who(&members[0].sandbox, "10.0.1.12:80").as_deref(), Ok("c1"));
            assert_eq!(who_by_udp(&members[1].sandbox, "10.0.1.11:80").as_deref(), Ok("c0"));
        }
        let nobody = who(&members[0].sandbox, "10.0.1.77:80");
        assert!(matches!(nobody, Err(ErrorKind::HostUnreachable | ErrorKind::TimedOut)), "nobody has this address: {nobody:?}");
        let shout = || {
            let socket = UdpSocket::bind("0.0.0.0:0").expect("a socket");
            socket.set_broadcast(true).expect("may");
            for _ in 0..10 {
                socket.send_to(b"anybody?", "10.0.1.255:9").expect("sent");
            }
        };
        members[0].sandbox.visit(shout).expect("root may visit");
        let unknown = "ip neigh add 10.0.1.78 lladdr 02:42:0a:00:01:4e dev eth0 nud permanent; busybox ping -c2 -W1 10.0.1.78";
        let place = format!("--net={}", members[0].sandbox.place().display());
        assert!(!run("nsenter", &[&place, "sh", "-c", unknown]).0, "a MAC that nobody has");
        let after: Vec<_> = all.iter().map(Machine::arrived).collect();
        assert_eq!(after[2], before[2], "the third machine heard nothing of all this");
        assert!(after[1].0 > before[1].0 && after[0].0 > before[0].0, "the first two talked through the tunnel");
        assert!(after.iter().all(|(_, arp)| *arp == 0), "questions of ARP were answered at home: {after:?}");
        // and the third is reached, when it is meant
        for (n, to) in [(0, "10.0.1.13:80"), (1, "10.0.1.13:80")] {
            assert_eq!(who(&members[n].sandbox, to).as_deref(), Ok("c2"));
        }
        assert_eq!(who(&members[2].sandbox, "10.0.1.11:80").as_deref(), Ok("c0"));
        // the machine itself is no citizen, and no way out of the network
        assert!(who(&all[0].place, "10.0.1.11:80").is_err());
    });
}

#[test]
fn packets_have_the_size_that_fits_below() {
    at_home(|home, folder| {
        let all = make(home, folder.path(), 2);
        let below = |machine: &Machine| machine.does(|home| overlay::mtu_over(home, machine.address.into()));
        assert_eq!(below(&all[0]).expect("an address of ours"), 1450);
        assert_eq!(all[0].does(|home| overlay::mtu_over(home, IpAddr::from([127, 0, 0, 1]))).expect("lo"), 65_485);
        let missing = all[0].does(|home| overlay::mtu_over(home, IpAddr::from([192, 0, 2, 77])));
        assert!(missing.is_err_and(|e| e.message().contains("no link of this machine has the address 192.0.2.77")));
        let nets = overlays(&all);
        let (a, b) = (all[0].member(&nets[0].bridge(), 11), all[1].member(&nets[1].bridge(), 12));
        let told = peers(&[(&all[0], &[ONE]), (&all[1], &[TWO])]);
        for (machine, net) in all.iter().zip(&nets) {
            machine.does(|home| net.peers(home, &told)).expect("told");
        }
        serve(&b.sandbox, 80, "b");
        assert_eq!(uncut(&a.sandbox, "10.0.1.12:80", 1400), "b", "1,400 bytes pass");
        assert_eq!(uncut(&a.sandbox, "10.0.1.12:80", 1422), "b", "with 28 of UDP and IP just 1,450");
        assert_eq!(uncut(&a.sandbox, "10.0.1.12:80", 1423), "EMSGSIZE", "and the sender hears that no more does");
        // what may be cut is cut, and put together again
        let long = || {
            let socket = UdpSocket::bind("0.0.0.0:0").expect("a socket");
            socket.set_read_timeout(Some(PATIENCE)).expect("a socket");
            socket.send_to(&[b'x'; 9000], "10.0.1.12:80").expect("sent");
            let mut room = [0; 10];
            socket.recv(&mut room).map(|length| room[..length].to_vec())
        };
        assert_eq!(a.sandbox.visit(long).expect("root may visit").expect("an answer"), b"b");
    });
}

#[test]
fn who_leaves_is_forgotten_and_who_moves_is_found() {
    at_home(|home, folder| {
        let all = make(home, folder.path(), 3);
        let nets = overlays(&all);
        let a = all[0].member(&nets[0].bridge(), 11);
        let b = all[1].member(&nets[1].bridge(), 12);
        serve(&b.sandbox, 80, "before");
        let tell = |told: &[Peer]| {
            for (machine, net) in all.iter().zip(&nets) {
                machine.does(|home| net.peers(home, told)).expect("told");
            }
        };
        tell(&peers(&[(&all[0], &[ONE]), (&all[1], &[TWO])]));
        assert_eq!(who(&a.sandbox, "10.0.1.12:80").as_deref(), Ok("before"));
        // it moves to the third machine: same address, same MAC, nobody's memory is wrong
        sandbox::leave(&all[1].home, std::slice::from_ref(&b.endpoint)).expect("silent");
        let moved = all[2].member(&nets[2].bridge(), 12);
        serve(&moved.sandbox, 80, "after");
        tell(&peers(&[(&all[0], &[ONE]), (&all[2], &[TWO])]));
        assert_eq!(who(&a.sandbox, "10.0.1.12:80").as_deref(), Ok("after"));
        // and then to the first, beside its caller
        sandbox::leave(&all[2].home, std::slice::from_ref(&moved.endpoint)).expect("silent");
        let near = all[0].member(&nets[0].bridge(), 12);
        serve(&near.sandbox, 80, "near");
        let before = (all[1].arrived(), all[2].arrived());
        tell(&peers(&[(&all[0], &[ONE, TWO])]));
        assert_eq!(who(&a.sandbox, "10.0.1.12:80").as_deref(), Ok("near"));
        assert_eq!((all[1].arrived(), all[2].arrived()), before, "what is near stays near");
        tell(&[]);
        for machine in &all {
            let text = machine.sh("ip neigh show nud permanent; bridge fdb show dev vx-001001 | grep -v 'permanent' || true");
            assert_eq!(text.trim(), "", "nobody is left in any table");
        }
    });
}

#[test]
fn saying_it_again_changes_nothing() {
    at_home(|home, folder| {
        let all = make(home, folder.path(), 1);
        let net = all[0].overlay(1, Some(2));
        let told: Vec<Peer> = (10..60)
            .map(|n| Peer { address: Ipv4Addr::new(10, 0, 1, n), vtep: Ipv4Addr::new(192, 0, 2, 200 + n % 5).into() })
            .collect();
        let changes = |told: &[Peer]| {
            all[0].does(|home| {
                action::start(Actor::Daemon);
                net.erect(home).expect("erected");
                net.peers(home, told).expect("told");
                let mut changes = action::stop();
                changes.retain(|a| a.call == "netlink" && !a.args[0].starts_with("RTM_GET") && a.errno.is_none());
                changes.into_iter().map(|a| a.args[1].clone()).collect::<Vec<_>>()
            })
        };
        let first = changes(&told);
        assert!(first.iter().any(|line| line.starts_with("ip link add vx-001001 mtu 1450")), "{first:#?}");
        for line in [
            "bridge fdb replace 02:42:0a:00:01:0a dev vx-001001 dst 192.0.2.200 self permanent",
            "bridge fdb replace 02:42:0a:00:01:0a dev vx-001001 master static",
            "ip neigh replace 10.0.1.10 lladdr 02:42:0a:00:01:0a dev vx-001001 nud permanent",
            "ip link set vx-001001 type bridge_slave learning off",
        ] {
            assert!(first.iter().any(|l| l == line), "{line} is not among {first:#?}");
        }
        assert_eq!(changes(&told), [] as [&str; 0]);
        let mut moved = told.clone();
        moved[0].vtep = Ipv4Addr::new(192, 0, 2, 99).into();
        moved.pop();
        let mut last = changes(&moved);
        // the kernel tells its table in an order of its own
        last.sort();
        assert_eq!(
            last,
            [
                "bridge fdb del 02:42:0a:00:01:3b dev vx-001001 dst 192.0.2.204 self permanent",
                "bridge fdb del 02:42:0a:00:01:3b dev vx-001001 master static",
                "bridge fdb replace 02:42:0a:00:01:0a dev vx-001001 dst 192.0.2.99 self permanent",
                "ip neigh del 10.0.1.59 dev vx-001001",
            ],
            "only what differs"
        );
        // the lines, typed by hand on another machine, do the same
        let shown = all[0].sh("bridge fdb show dev vx-001001 | sort; ip neigh show nud permanent | sort");
        assert!(shown.contains("02:42:0a:00:01:0a dst 192.0.2.99 self permanent"), "{shown}");
    });
}

#[test]
fn a_thousand_peers_are_told_in_milliseconds() {
    at_home(|home, folder| {
        let all = make(home, folder.path(), 1);
        let net = Overlay { subnet: "10.0.0.0/16".parse().expect("a block"), ..all[0].overlay(1, None) };
        let told: Vec<Peer> = (256..1256)
            .map(|n: u32| Peer {
                address: Ipv4Addr::from_bits(0x0a00_0000 + n),
                vtep: Ipv4Addr::new(192, 0, 2, (n % 50) as u8 + 100).into(),
            })
            .collect();
        all[0].does(|home| {
            net.erect(home).expect("erected");
            // the best of some: what is measured is our work, not that of our neighbours on this machine
            let (mut fresh, mut same, mut one) = (Duration::MAX, Duration::MAX, Duration::MAX);
            for _ in 0..5 {
                for (best, told) in [(&mut fresh, &told[..]), (&mut same, &told[..]), (&mut one, &told[1..])] {
                    let began = Instant::now();
                    net.peers(home, told).expect("told");
                    *best = began.elapsed().min(*best);
                }
                net.peers(home, &[]).expect("told");
            }
            println!("1,000 peers: {fresh:?}; said again: {same:?}; one less: {one:?}");
            assert!(fresh.as_millis() < 500 && same.as_millis() < 100 && one.as_millis() < 100, "{fresh:?} {same:?} {one:?}");
        });
    });
}

#[test]
fn what_a_killed_daemon_left_is_taken_over_and_all_of_it_can_go() {
    at_home(|home, folder| {
        let all = make(home, folder.path(), 1);
        let (machine, net) = (&all[0], all[0].overlay(1, Some(2)));
        let nothing = machine.inventory();
        machine.does(|home| net.erect(home)).expect("erected");
        machine.does(|home| net.peers(home, &[Peer { address: TWO, vtep: [192, 0, 2, 2].into() }])).expect("told");
        let member = machine.member(&net.bridge(), 11);
        // a daemon after it has other eyes, and finds the same; with another address of the machine the tunnel is made anew
        let again =
            |net: &Overlay| machine.place.visit(|| net.erect(&Home::open().expect("a socket"))).expect("root may visit");
        let index = || machine.sh("ip -j link show vx-001001");
        let before = index();
        again(&net).expect("there already");
        assert_eq!(index(), before, "the same tunnel");
        again(&Overlay { port: 4790, ..net.clone() }).expect("made anew");
        assert!(machine.sh("ip -d link show vx-001001").contains("dstport 4790"));
        assert!(
            machine
                .place
                .visit(|| overlay::standing(&Home::open().expect("a socket")))
                .expect("a visit")
                .is_ok_and(|l| l == [net.bridge_link()])
        );
        // somebody else's tunnel with the same number is not taken
        let other = Overlay { network_id: "f".repeat(25), ..net.clone() };
        machine.sh("ip link add theirs type vxlan id 4098 dstport 4789 local 192.0.2.1");
        let refused = machine.does(|home| Overlay { vni: 4098, ..other.clone() }.erect(home)).expect_err("taken");
        assert_eq!(refused.kind(), Kind::Conflict, "{refused}");
        assert!(!machine.inventory().contains("ov-ffff"), "nothing half-made");
        machine.sh("ip link del theirs");
        drop(member);
        machine.does(|home| net.take_down(home)).expect("gone");
        machine.does(|home| net.take_down(home)).expect("gone already");
        let left = machine.inventory();
        let without_cable = |text: &str| text.lines().filter(|l| !l.starts_with("v1x")).map(str::to_string).collect::<Vec<_>>();
        assert_eq!(without_cable(&left)[..4], without_cable(&nothing)[..4], "{left}");
        assert!(machine.does(|home| net.peers(home, &[])).is_err_and(|e| e.kind() == Kind::NotFound));
        // known by its name alone, as a daemon that was killed knows it
        machine.does(|home| net.erect(home)).expect("erected");
        machine.does(|home| overlay::remove(home, &net.bridge_link())).expect("gone, with its tunnel");
        assert!(!machine.inventory().contains("vx-"));
    });
}
