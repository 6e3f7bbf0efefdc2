//! # Published ports: from here, from a container, from another machine
//!
//! Whoever asks, a published port answers as Docker's would: on the addresses it was published on and on no other. The oracles are
//! curl here and on a neighbour's machine, busybox wget in containers, and the sockets the kernel lists.

#[path = "props/network.rs"]
mod network;
#[path = "props/mod.rs"]
mod props;

use network::{Neighbour, address, fetch, fetch_in, serve, start_inside};
use props::{Daemon, wait_for};

/// The PORTS column of a container.
fn ports(daemon: &Daemon, name: &str) -> String {
    daemon.ok(&["ps", "-a", "-f", &format!("name=^{name}$"), "--format", "{{.Ports}}"])
}

#[test]
fn a_published_port_is_reached_from_everywhere() {
    let daemon = Daemon::start();
    let neighbour = Neighbour::of(&daemon);
    serve(&daemon, "web", &["-p", "8080:80"], "hello");
    daemon.ok(&["network", "create", "n1"]);
    daemon.ok(&["run", "-d", "--name", "same", "alpine", "sleep", "1000"]);
    daemon.ok(&["run", "-d", "--name", "other", "--network", "n1", "alpine", "sleep", "1000"]);
    assert_eq!(ports(&daemon, "web"), "0.0.0.0:8080->80/tcp, [::]:8080->80/tcp", "everywhere is both families");
    assert_eq!(daemon.ok(&["port", "web"]), "80/tcp -> 0.0.0.0:8080\n80/tcp -> [::]:8080");
    assert_eq!(daemon.ok(&["port", "web", "80"]), "0.0.0.0:8080\n[::]:8080");
    assert_eq!(daemon.ok(&["port", "web", "80/tcp"]), "0.0.0.0:8080\n[::]:8080");
    assert_eq!(daemon.run(&["port", "web", "81"]).fails(1), "minidock: Error: No public port '81' published for web\n");
    for host in ["127.0.0.1", "172.17.0.1", "192.0.2.1", "[::1]", "localhost"] {
        assert_eq!(fetch(&daemon, &format!("http://{host}:8080/")).as_deref(), Some("hello"), "from here by {host}");
    }
    assert_eq!(neighbour.fetch("http://192.0.2.1:8080/").as_deref(), Some("hello"), "from another machine");
    assert_eq!(fetch_in(&daemon, "same", "http://172.17.0.1:8080/").as_deref(), Some("hello"), "from its own bridge");
    assert_eq!(
        fetch_in(&daemon, "same", "http://192.0.2.1:8080/").as_deref(),
        Some("hello"),
        "from its own bridge, outside address"
    );
    assert_eq!(fetch_in(&daemon, "other", "http://192.0.2.1:8080/").as_deref(), Some("hello"), "from another bridge");
    assert_eq!(
        fetch_in(&daemon, "web", "http://192.0.2.1:8080/").as_deref(),
        Some("hello"),
        "a container reaches itself: hairpin"
    );
    assert_eq!(fetch_in(&daemon, "web", "http://172.17.0.1:8080/").as_deref(), Some("hello"), "hairpin by the gateway");
    assert_eq!(fetch(&daemon, "http://127.0.0.1:8081/"), None, "another port is refused");
    assert_eq!(neighbour.fetch("http://192.0.2.1:80/"), None, "it is a translation, not a hole");
    daemon.ok(&["stop", "-t", "0", "web"]);
    assert_eq!(ports(&daemon, "web"), "", "a stopped container publishes nothing");
    assert_eq!(fetch(&daemon, "http://127.0.0.1:8080/"), None);
    daemon.ok(&["start", "web"]);
    network::await_listener(&daemon, "web", 80);
    assert_eq!(fetch(&daemon, "http://127.0.0.1:8080/").as_deref(), Some("hello"), "published again after a restart");
}

#[test]
fn a_port_on_one_address_is_closed_on_the_others() {
    let daemon = Daemon::start();
    let neighbour = Neighbour::of(&daemon);
    serve(&daemon, "web", &["-p", "127.0.0.1:8080:80", "-p", "192.0.2.1:8081:80"], "local");
    assert_eq!(ports(&daemon, "web"), "127.0.0.1:8080->80/tcp, 192.0.2.1:8081->80/tcp");
    assert_eq!(fetch(&daemon, "http://127.0.0.1:8080/").as_deref(), Some("local"));
    assert_eq!(fetch(&daemon, "http://192.0.2.1:8080/"), None);
    assert_eq!(neighbour.fetch("http://192.0.2.1:8080/"), None);
    assert_eq!(neighbour.fetch("http://192.0.2.1:8081/").as_deref(), Some("local"));
    assert_eq!(fetch(&daemon, "http://127.0.0.1:8081/"), None);
    // a neighbour on the same cable may try to route to our loopback or straight to the container (CVE-2020-15257's kin)
    neighbour.run(&["sysctl", "-q", "-w", "net.ipv4.conf.all.route_localnet=1"]);
    neighbour.run(&["ip", "route", "add", "172.17.0.0/16", "via", "192.0.2.1"]).ok();
    neighbour.run(&["ip", "addr", "del", "127.0.0.1/8", "dev", "lo"]).ok();
    neighbour.run(&["ip", "route", "add", "127.0.0.0/8", "via", "192.0.2.1", "dev", "up1"]).ok();
    assert_eq!(neighbour.fetch("http://127.0.0.1:8080/"), None, "our loopback is ours");
}

#[test]
fn a_container_reaches_other_machines_and_looks_like_us() {
    let daemon = Daemon::start();
    let neighbour = Neighbour::of(&daemon);
    let script =
        "import socket;s=socket.create_server(('0.0.0.0',9000));\nwhile 1:\n c,a=s.accept();c.sendall(a[0].encode());c.close()";
    let _server = neighbour.start(&["python3", "-c", script]);
    let asked = || daemon.run(&["run", "--rm", "alpine", "sh", "-c", "nc -w 2 192.0.2.2 9000 < /dev/null"]);
    wait_for("the neighbour's server", || asked().status == 0);
    assert_eq!(asked().ok(), "192.0.2.1", "masqueraded: the neighbour knows no way to 172.17.0.0/16");
}

#[test]
fn ranges_protocols_and_free_ports_are_published() {
    let daemon = Daemon::start();
    serve(&daemon, "range", &["-p", "8080-8082:80-82", "-p", "9000-9002:9000-9002/udp"], "range");
    let shown = ports(&daemon, "range");
    for part in ["0.0.0.0:8080->80/tcp", "0.0.0.0:8081->81/tcp", "0.0.0.0:8082->82/tcp", "0.0.0.0:9000-9002->9000-9002/udp"] {
        assert!(shown.contains(part), "{shown}");
    }
    assert_eq!(daemon.ok(&["port", "range", "9001/udp"]).lines().next(), Some("0.0.0.0:9001"));
    assert_eq!(fetch(&daemon, "http://127.0.0.1:8080/").as_deref(), Some("range"));
    serve(&daemon, "free", &["-p", "80", "--expose", "81"], "free");
    let port: u16 =
        daemon.ok(&["port", "free", "80"]).lines().next().and_then(|l| l.rsplit(':').next()?.parse().ok()).expect("a port");
    assert!(port >= 32768, "{port} is in the ephemeral range");
    assert_eq!(fetch(&daemon, &format!("http://127.0.0.1:{port}/")).as_deref(), Some("free"));
    assert!(ports(&daemon, "free").contains("81/tcp"), "exposed and not published: {}", ports(&daemon, "free"));
    serve(&daemon, "all", &["-P", "--expose", "80", "--expose", "90/udp"], "all");
    let all = daemon.ok(&["port", "all"]);
    assert!(all.contains("80/tcp -> 0.0.0.0:") && all.contains("90/udp -> 0.0.0.0:"), "{all}");
    serve(&daemon, "one-of", &["-p", "8080-8083:80"], "one-of");
    assert_eq!(daemon.ok(&["port", "one-of", "80"]).lines().next(), Some("0.0.0.0:8083"), "the first that is free");
    let sctp = daemon.run(&["run", "--rm", "-p", "80:80/sctp", "alpine", "true"]).fails(125);
    assert!(sctp.contains("sctp"), "{sctp}");
    let reversed = daemon.run(&["run", "--rm", "-p", "8000-8002:80-81", "alpine", "true"]).fails(125);
    assert!(reversed.contains("invalid ranges"), "{reversed}");
}

#[test]
fn datagrams_are_translated_both_ways() {
    let daemon = Daemon::start();
    let neighbour = Neighbour::of(&daemon);
    daemon.ok(&["run", "-d", "--name", "echo", "-p", "5000:5000/udp", "alpine", "sleep", "1000"]);
    // busybox has no server for datagrams: one of ours moves into the container's network stack
    let echo = "import socket\ns=socket.socket(type=socket.SOCK_DGRAM);s.bind(('',5000))\nwhile 1:\n d,a=s.recvfrom(99);s.sendto(d+a[0].encode(),a)";
    let server =
        || start_inside(&daemon, &["nsenter", "--net", "-t", &daemon.inspect("echo", "{{.State.Pid}}"), "python3", "-c", echo]);
    let ask = "import socket,sys\ns=socket.socket(type=socket.SOCK_DGRAM);s.settimeout(0.5);s.sendto(b'ping',(sys.argv[1],5000))\nprint(s.recvfrom(99)[0].decode())";
    let first = server();
    let heard = |host: &str| daemon.inside(&["python3", "-c", ask, host]).out.trim().to_string();
    wait_for("an echo here", || heard("127.0.0.1") == "ping172.17.0.1");
    assert_eq!(heard("172.17.0.1"), "ping172.17.0.1");
    drop(first);
    daemon.ok(&["restart", "-t", "0", "echo"]);
    let _second = server();
    let there = || neighbour.run(&["python3", "-c", ask, "192.0.2.1"]).out.trim().to_string();
    wait_for("an echo at the neighbour's, after a restart", || there() == "ping192.0.2.2");
}

#[test]
fn a_port_in_use_fails_in_dockers_words_and_is_free_after_rm() {
    let daemon = Daemon::start();
    serve(&daemon, "first", &["-p", "80:80"], "first");
    let second = daemon.run(&["run", "-d", "--name", "second", "-p", "80:80", "alpine", "sleep", "1000"]).fails(125);
    assert!(second.contains("Bind for 0.0.0.0:80 failed: port is already allocated"), "B28: {second}");
    assert_eq!(daemon.inspect("second", "{{.State.Status}}"), "created", "B28: it is left in Created");
    assert_eq!(ports(&daemon, "second"), "");
    let third = daemon.run(&["run", "-d", "--name", "third", "-p", "127.0.0.1:80:80", "alpine", "sleep", "1000"]).fails(125);
    assert!(third.contains("port is already allocated"), "{third}");
    assert_eq!(fetch(&daemon, "http://127.0.0.1/").as_deref(), Some("first"), "the first goes on");
    daemon.ok(&["rm", "-f", "first"]);
    daemon.ok(&["start", "second"]);
    daemon.ok(&["rm", "-f", "second", "third"]);
    // a foreign process
    let _foreign = start_inside(&daemon, &["python3", "-m", "http.server", "80", "--bind", "127.0.0.1"]);
    wait_for("the foreign server", || daemon.inside(&["curl", "-s", "http://127.0.0.1/"]).status == 0);
    let refused = daemon.run(&["run", "-d", "--name", "fourth", "-p", "80:80", "alpine", "sleep", "1000"]).fails(125);
    assert!(refused.contains("address already in use"), "{refused}");
    assert_eq!(daemon.inspect("fourth", "{{.State.Status}}"), "created");
    daemon.ok(&["run", "-d", "--name", "fifth", "-p", "127.0.0.2:80:80", "alpine", "sleep", "1000"]);
}

#[test]
fn a_half_free_range_takes_nothing_and_two_wishes_for_one_port_fail() {
    let daemon = Daemon::start();
    daemon.ok(&["run", "-d", "--name", "mid", "-p", "8001:80", "alpine", "sleep", "1000"]);
    daemon.run(&["run", "-d", "--name", "all", "-p", "8000-8002:80-82", "alpine", "sleep", "1000"]).fails(125);
    daemon.ok(&["run", "-d", "--name", "edges", "-p", "8000:80", "-p", "8002:80", "alpine", "sleep", "1000"]);
    let twice = daemon.run(&["run", "-d", "-p", "8005:80", "-p", "8005:81", "alpine", "sleep", "1000"]).fails(125);
    assert!(twice.contains("port is already allocated"), "{twice}");
    // a race for one port has one winner
    let tries: Vec<i32> = std::thread::scope(|scope| {
        let one = |_| scope.spawn(|| daemon.run(&["run", "-d", "-p", "8010:80", "alpine", "sleep", "1000"]).status);
        (0..6).map(one).collect::<Vec<_>>().into_iter().map(|t| t.join().expect("a status")).collect()
    });
    assert_eq!(tries.iter().filter(|status| **status == 0).count(), 1, "{tries:?}");
}

#[test]
fn a_published_port_follows_its_container_to_another_network() {
    let daemon = Daemon::start();
    daemon.ok(&["network", "create", "n1"]);
    daemon.ok(&["network", "create", "n2"]);
    serve(&daemon, "web", &["--network", "n1", "--network", "n2", "-p", "8080:80"], "both");
    assert_eq!(fetch(&daemon, "http://127.0.0.1:8080/").as_deref(), Some("both"));
    daemon.ok(&["network", "disconnect", "n1", "web"]);
    assert_eq!(fetch(&daemon, "http://127.0.0.1:8080/").as_deref(), Some("both"), "the other network carries it now");
    assert!(!address(&daemon, "web", "n2").is_empty());
    daemon.ok(&["network", "disconnect", "n2", "web"]);
    assert_eq!(fetch(&daemon, "http://127.0.0.1:8080/"), None);
    daemon.ok(&["network", "connect", "n1", "web"]);
    assert_eq!(fetch(&daemon, "http://127.0.0.1:8080/").as_deref(), Some("both"));
}

/// While its way out is a network without IPv6 the daemon carries by hand what comes to `[::]`; before and after, a rule does.
#[test]
fn a_door_in_six_outlives_every_change_of_the_way_out() {
    let daemon = Daemon::start();
    daemon.ok(&["network", "create", "--ipv6", "--subnet", "fd00:9::/64", "--subnet", "10.6.0.0/24", "six"]);
    daemon.ok(&["network", "create", "first"]);
    serve(&daemon, "web", &["--network", "six", "-p", "8080:80", "-p", "5000:5000/udp"], "six");
    let echo = "import socket\ns=socket.socket(socket.AF_INET6,socket.SOCK_DGRAM);s.bind(('::',5000))\nwhile 1:\n d,a=s.recvfrom(99);s.sendto(d,a)";
    let pid = daemon.inspect("web", "{{.State.Pid}}");
    let _server = start_inside(&daemon, &["nsenter", "--net", "-t", &pid, "python3", "-c", echo]);
    let ask = "import socket\ns=socket.socket(socket.AF_INET6,socket.SOCK_DGRAM);s.settimeout(0.5);s.sendto(b'ping',('fd00:9::1',5000))\nprint(s.recvfrom(99)[0].decode())";
    let heard = || daemon.inside(&["python3", "-c", ask]).out.trim() == "ping";
    let page = || fetch(&daemon, "http://[fd00:9::1]:8080/");
    for _ in 0..2 {
        assert_eq!(page().as_deref(), Some("six"), "by a rule");
        wait_for("an echo by a rule", heard);
        daemon.ok(&["network", "connect", "first", "web"]);
        assert_eq!(page().as_deref(), Some("six"), "by hand");
        wait_for("an echo by hand", heard);
        daemon.ok(&["network", "disconnect", "first", "web"]);
        assert_eq!(fetch(&daemon, "http://[::1]:8080/").as_deref(), Some("six"), "what is sent to ::1 no rule carries");
    }
    daemon.ok(&["rm", "-f", "web"]);
    let knock = daemon.inside(&["curl", "-s", "-g", "--max-time", "2", "http://[::1]:8080/"]);
    assert_eq!(knock.status, 7, "nobody listens here any more: refused, not left waiting");
    daemon.inside(&["python3", "-c", "import socket\nfor k in (socket.SOCK_STREAM,socket.SOCK_DGRAM):\n s=socket.socket(socket.AF_INET6,k);s.setsockopt(socket.SOL_SOCKET,socket.SO_REUSEADDR,1);s.bind(('::',8080 if k==socket.SOCK_STREAM else 5000))"]).ok();
}
