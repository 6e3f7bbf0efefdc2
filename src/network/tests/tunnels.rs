//! # One segment across two machines
//!
//! Two namespaces play the machines; a vxlan link and two tables join what is behind them.

mod rig;

use minidock_linux::netlink::{Family, Socket, link, neighbour, vxlan};
use minidock_network::{bridge, home::Home, model::Mac, sandbox::Sandbox};
use rig::{answers, at_home, endpoint, inside, member, network};
use std::net::Ipv4Addr;

#[test]
fn two_machines_share_a_segment_through_a_tunnel() {
    at_home(|home, folder| {
        // the underlay: a bridge at home, and two machines that are namespaces plugged into it
        let underlay = network("br-under", &[("192.0.2.0/24", "192.0.2.254")]);
        bridge::ensure(home, &underlay).expect("a bridge");
        let machine = |number: u8| {
            let v4 = Ipv4Addr::new(192, 0, 2, number);
            let mut cable = endpoint(number, "uplink");
            (cable.mac, cable.v4, cable.gateway_v4) = (Mac::of(v4), Some((v4, 24)), None);
            cable.host_link = format!("vethm{number}");
            member(home, folder, &underlay, &cable)
        };
        let machines = [machine(1), machine(2)];
        // on each: the overlay's bridge and tunnel in a namespace of their own (as Docker has it), one container behind them
        let containers = [0u8, 1].map(|n| {
            let (own, other) = (n + 1, 2 - n);
            let overlay = Sandbox::create(&folder.path().join(format!("overlay{own}"))).expect("a namespace");
            let port = bridge_in(&overlay);
            let tunnel = machines[n as usize]
                .visit(|| {
                    let place = overlay.place().to_string_lossy();
                    let wanted = vxlan::Vxlan {
                        name: "vx0",
                        id: 4097,
                        port: 4789,
                        local: Some(Ipv4Addr::new(192, 0, 2, own).into()),
                        learning: false,
                        proxy: true,
                        mtu: 1450,
                        group: 0,
                        master: Some((port, "br0")),
                        namespace: Some((overlay.fd(), &place)),
                    };
                    vxlan::add(&mut Socket::open(Family::Route).expect("a socket"), &wanted)
                })
                .expect("root may visit")
                .expect("a tunnel");
            overlay
                .visit(|| {
                    let mut socket = Socket::open(Family::Route).expect("a socket");
                    let index = link::by_name(&mut socket, "vx0").expect("an answer").expect("moved in here").index;
                    assert!(tunnel.is_none_or(|told| told == index));
                    let (there, at) = (Ipv4Addr::new(10, 0, 1, other), Ipv4Addr::new(192, 0, 2, other).into());
                    neighbour::add(&mut socket, index, "vx0", there.into(), Mac::of(there).0).expect("a neighbour");
                    neighbour::add_forwarding(&mut socket, index, "vx0", Mac::of(there).0, at).expect("its machine");
                    neighbour::append_flood(&mut socket, index, "vx0", at).expect("one machine");
                    neighbour::append_flood(&mut socket, index, "vx0", Ipv4Addr::new(192, 0, 2, 77).into())
                        .expect("two machines");
                    let flooded = neighbour::forwarding_table(&mut socket).expect("a table");
                    assert_eq!(flooded.iter().filter(|n| n.index == index && n.mac == Some([0; 6])).count(), 2);
                    neighbour::remove_forwarding(&mut socket, index, "vx0", [0; 6], Ipv4Addr::new(192, 0, 2, 77).into())
                        .expect("one");
                    let mut cable = endpoint(own, "eth0");
                    let v4 = Ipv4Addr::new(10, 0, 1, own);
                    (cable.mac, cable.v4) = (Mac::of(v4), Some((v4, 24)));
                    cable.host_link = format!("vethc{own}");
                    let inner = network("br0", &[]);
                    let container = Sandbox::create(&folder.path().join(format!("container{own}"))).expect("a sandbox");
                    container.plug(&Home::open().expect("a socket"), &inner, &cable).expect("plugged");
                    container
                })
                .expect("root may visit")
        });
        assert!(answers(Some(&containers[0]), "10.0.1.2") && answers(Some(&containers[1]), "10.0.1.1"));
        let overlay = Sandbox::open(&folder.path().join("overlay1")).expect("pinned");
        let shown = inside(&overlay, &["link", "show", "vx0"]);
        let data = &shown[0]["linkinfo"]["info_data"];
        assert_eq!((&data["id"], &data["port"], &data["local"]), (&4097.into(), &4789.into(), &"192.0.2.1".into()));
        assert_eq!((&shown[0]["master"], &data["learning"]), (&"br0".into(), &false.into()), "{shown}");
        overlay
            .visit(|| {
                let mut socket = Socket::open(Family::Route).expect("a socket");
                let index = link::by_name(&mut socket, "vx0").expect("an answer").expect("there").index;
                let (there, at) = (Ipv4Addr::new(10, 0, 1, 2), Ipv4Addr::new(192, 0, 2, 2).into());
                neighbour::remove_forwarding(&mut socket, index, "vx0", Mac::of(there).0, at).expect("forgotten");
                neighbour::remove_forwarding(&mut socket, index, "vx0", [0; 6], at).expect("forgotten");
                neighbour::remove(&mut socket, index, "vx0", there.into()).expect("forgotten");
                assert!(neighbour::remove(&mut socket, index, "vx0", there.into()).is_err_and(|e| e.is(2)));
            })
            .expect("root may visit");
        assert!(!answers(Some(&containers[0]), "10.0.1.2"), "nobody knows the way any more");
    });
}

/// A bridge without an address, in there; its number.
fn bridge_in(place: &Sandbox) -> u32 {
    place
        .visit(|| {
            let home = Home::open().expect("a socket");
            bridge::ensure(&home, &network("br0", &[])).expect("a bridge");
            home.links().expect("a list").iter().find(|l| l.name == "br0").expect("made just now").index
        })
        .expect("root may visit")
}
