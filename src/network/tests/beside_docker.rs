//! # Beside a real Docker
//!
//! dockerd runs in the test's own namespaces, with roots of its own, and does what it does on every machine: FORWARD policy DROP, its
//! chains, its bridge. Our packets must pass, its containers must work, and when we go nothing of ours may be left.

mod bridges;

use minidock_network::{
    bridge,
    home::Home,
    model::{Bridge, Endpoint, Mac, Protocol, Published},
    nft::{foreign::Watch, ruleset::Ruleset, table::Table},
    sandbox::Sandbox,
};
use std::{
    io::Read,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

const PATIENCE: Duration = Duration::from_secs(1);

/// A daemon of Docker's, in the calling thread's network namespace and a mount namespace of its own.
struct Docker {
    child: Child,
    folder: PathBuf,
}

impl Docker {
    fn start(folder: &Path) -> Docker {
        let at = |name: &str| folder.join(name).display().to_string();
        let log = std::fs::OpenOptions::new().create(true).append(true).open(folder.join("log")).expect("a log");
        let child = Command::new("unshare")
            .args(["-m", "dockerd", "--data-root", &at("data"), "--exec-root", &at("exec"), "--pidfile", &at("pid")])
            .args(["-H", &format!("unix://{}", at("sock"))])
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a descriptor"))
            .stderr(log)
            .spawn()
            .expect("dockerd");
        let docker = Docker { child, folder: folder.to_path_buf() };
        let deadline = Instant::now() + Duration::from_secs(40);
        while !docker.ask(&["version"]).status.success() {
            let log = std::fs::read_to_string(folder.join("log")).unwrap_or_default();
            assert!(Instant::now() < deadline, "dockerd does not answer: {log}");
            std::thread::sleep(Duration::from_millis(50));
        }
        docker
    }

    fn ask(&self, words: &[&str]) -> Output {
        let socket = format!("unix://{}", self.folder.join("sock").display());
        Command::new("docker").args(["-H", &socket]).args(words).output().expect("the docker CLI")
    }

    #[track_caller]
    fn ok(&self, words: &[&str]) -> String {
        let done = self.ask(words);
        assert!(done.status.success(), "docker {words:?}: {}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8_lossy(&done.stdout).trim().to_string()
    }
}

impl Drop for Docker {
    fn drop(&mut self) {
        let ids = String::from_utf8_lossy(&self.ask(&["ps", "-aq"]).stdout).into_owned();
        for id in ids.split_whitespace() {
            self.ask(&["rm", "-f", id]);
        }
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let _ = self.child.wait();
    }
}

#[track_caller]
fn sh(line: &str) -> String {
    let done = Command::new("sh").args(["-ec", line]).output().expect("a shell");
    assert!(done.status.success(), "{line}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8_lossy(&done.stdout).into_owned()
}

fn network(link: &str, n: u8) -> Bridge {
    bridges::network(link, &[(&format!("172.{n}.0.0/16"), &format!("172.{n}.0.1"))])
}

fn member(home: &Home, pins: &Path, net: &Bridge) -> Sandbox {
    let Some(std::net::IpAddr::V4(gateway)) = net.subnets[0].gateway else { panic!("an IPv4 gateway") };
    let [a, b, ..] = gateway.octets();
    let v4 = Ipv4Addr::new(a, b, 0, 2);
    let endpoint = Endpoint {
        id: "e".repeat(64),
        network_id: net.network_id.clone(),
        host_link: format!("veth-{}", net.link),
        inside: "eth0".into(),
        mac: Mac::of(v4),
        v4: Some((v4, 16)),
        v6: None,
        gateway_v4: Some(gateway),
        gateway_v6: None,
    };
    let sandbox = Sandbox::create(&pins.join(&net.link)).expect("a sandbox");
    sandbox.plug(home, net, &endpoint).expect("plugged");
    sandbox.set_default_routes(Some(gateway), None).expect("a way out");
    sandbox
}

/// Whether a connection comes about and says something.
fn reaches(from: Option<&Sandbox>, to: &str) -> bool {
    let to: SocketAddr = to.parse().expect("an address");
    let ask = || {
        let Ok(mut stream) = TcpStream::connect_timeout(&to, PATIENCE) else { return false };
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        let _asks_for_a_page = std::io::Write::write_all(&mut stream, b"GET / HTTP/1.0\r\n\r\n");
        stream.read(&mut [0; 16]).is_ok_and(|length| length > 0)
    };
    match from {
        Some(sandbox) => sandbox.visit(ask).expect("root may visit"),
        None => ask(),
    }
}

fn serve(at: &Sandbox) {
    let listener = at.visit(|| TcpListener::bind("0.0.0.0:80").expect("a listener")).expect("root may visit");
    std::thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            let _ = std::io::Write::write_all(&mut client, b"hello");
            std::thread::spawn(move || client.read(&mut [0; 64]));
        }
    });
}

/// A page on port 80 of a container of Docker's; its address.
fn docker_web(docker: &Docker, flags: &[&str]) -> String {
    if !docker.ask(&["image", "inspect", "box"]).status.success() {
        let busybox = ["/bin/busybox", "/usr/bin/busybox"].into_iter().find(|p| Path::new(p).exists()).expect("busybox-static");
        let folder = docker.folder.display();
        sh(&format!(
            "mkdir -p {folder}/box/bin && cp {busybox} {folder}/box/bin/busybox && tar -C {folder}/box -cf {folder}/box.tar ."
        ));
        docker.ok(&["import", &format!("{folder}/box.tar"), "box"]);
    }
    let words = [&["run", "-d"], flags, &["box", "/bin/busybox", "httpd", "-f", "-p", "80", "-h", "/"]].concat();
    let id = docker.ok(&words);
    docker.ok(&["inspect", "-f", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", &id])
}

#[track_caller]
fn wait_for(what: &str, fact: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(15);
    while !fact() {
        assert!(Instant::now() < deadline, "waited for {what}: {}", sh("nft list ruleset"));
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn docker_and_we_do_not_break_each_other() {
    if ["dockerd", "docker", "iptables"].iter().any(|p| Command::new(p).arg("--version").output().is_err()) {
        return println!("SKIP: no dockerd on this machine");
    }
    let folder = tempfile::tempdir().expect("a folder");
    let pins = folder.path().to_path_buf();
    let stage = match Sandbox::create(&pins.join("home")) {
        Err(e) if e.message().contains("EPERM") => return println!("SKIP: needs root ({e})"),
        other => other.expect("a namespace"),
    };
    let done = stage.visit(|| std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| beside(&pins))));
    for pin in ["home", "neighbour", "br-one", "br-two"] {
        Sandbox::remove(&pins.join(pin)).expect("ours to remove");
    }
    if let Err(panic) = done.expect("root may visit") {
        std::panic::resume_unwind(panic);
    }
}

fn beside(pins: &Path) {
    let roots = pins.join("docker");
    std::fs::create_dir(&roots).expect("a folder");
    let neighbour = Sandbox::create(&pins.join("neighbour")).expect("a namespace");
    let there = format!("nsenter --net={}", neighbour.place().display());
    sh("ip link add out type veth peer name eth0; ip link set out up; ip addr add 192.0.2.1/24 dev out");
    sh(&format!("ip link set eth0 netns {}", neighbour.place().display()));
    sh(&format!("{there} ip link set eth0 up; {there} ip addr add 192.0.2.9/24 dev eth0"));
    serve(&neighbour);

    // a fresh namespace inherits the machine's setting
    std::fs::write("/proc/sys/net/ipv4/ip_forward", "0").expect("our own namespace");
    // Docker first: it switches forwarding on, and therefore closes FORWARD
    let docker = Docker::start(&roots);
    assert!(sh("iptables -S FORWARD").contains("-P FORWARD DROP"));
    let (home, table) = (Home::open().expect("a socket"), Arc::new(Table::open().expect("nf_tables")));
    table.replace(&Ruleset::default()).expect("a table");
    let one = network("br-one", 30);
    bridge::ensure(&home, &one).expect("a bridge");
    let web = member(&home, pins, &one);
    serve(&web);
    assert!(!reaches(Some(&web), "192.0.2.9:80"), "this is what we are here for");
    table.add_bridge(&one).expect("a firewall for it");
    let door = |port: u16| Published {
        endpoint_id: "e".into(),
        protocol: Protocol::Tcp,
        host: (Ipv4Addr::UNSPECIFIED.into(), port),
        target: (Ipv4Addr::new(172, 30, 0, 2).into(), 80),
        bridge: "br-one".into(),
    };
    table.publish(&[door(8080)]).expect("published");
    let we_work = || {
        assert!(reaches(Some(&web), "192.0.2.9:80"), "out");
        assert!(reaches(Some(&neighbour), "192.0.2.1:8080") && reaches(None, "127.0.0.1:8080"), "in");
    };
    we_work();
    assert!(table.is_beside_docker().expect("asked"));
    assert_eq!(table.findings().expect("asked"), [], "nothing is left in our way");

    // Docker's containers work, published and not, and ours reach them as anybody from outside would
    let address = docker_web(&docker, &["-p", "9090:80"]);
    let docker_works = || {
        assert!(reaches(Some(&neighbour), "192.0.2.1:9090") && reaches(None, "127.0.0.1:9090"));
        assert!(reaches(Some(&web), "192.0.2.1:9090"), "ours call a port that Docker publishes");
        assert!(!reaches(Some(&web), &format!("{address}:80")), "but not past it: segments are apart");
    };
    docker_works();
    // a network that Docker makes later is foreign ground, too
    let watch = Watch::start(table.clone()).expect("a bell");
    docker.ok(&["network", "create", "later"]);
    let later = docker_web(&docker, &["--network", "later"]);
    wait_for("Docker's new bridge to be known", || sh("nft list set inet minidock foreign").matches('"').count() == 4);
    assert!(reaches(None, &format!("{later}:80")) && !reaches(Some(&web), &format!("{later}:80")));

    // iptables still understands its own table, with ours in it
    let rules = sh("iptables -S");
    for line in ["-A DOCKER-USER -j MINIDOCK", "-A MINIDOCK -i br-one -j ACCEPT", "-A MINIDOCK -o br-one -j ACCEPT"] {
        assert_eq!(rules.matches(line).count(), 1, "{line}: {rules}");
    }
    // thrown away by somebody, it comes back; a second bridge joins, and leaves
    sh("iptables -F DOCKER-USER; iptables -F MINIDOCK; iptables -A DOCKER-USER -j RETURN");
    wait_for("our way to be mended", || sh("iptables -S").contains("-A MINIDOCK -o br-one -j ACCEPT"));
    wait_for("our jump to be mended", || sh("iptables -S").contains("-A DOCKER-USER -j MINIDOCK"));
    we_work();
    let two = network("br-two", 31);
    bridge::ensure(&home, &two).expect("a bridge");
    table.add_bridge(&two).expect("a firewall for it");
    assert!(reaches(Some(&member(&home, pins, &two)), "192.0.2.9:80"));
    table.remove_bridge(&two).expect("gone");
    assert!(!sh("iptables -S").contains("br-two"));

    // Docker is restarted: its rules are made anew, ours stay or come back
    drop(docker);
    we_work();
    let docker = Docker::start(&roots);
    wait_for("our jump to be there", || sh("iptables -S").contains("-A DOCKER-USER -j MINIDOCK"));
    we_work();
    docker_web(&docker, &["-p", "9090:80"]);
    assert!(reaches(Some(&neighbour), "192.0.2.1:9090"));

    // we go, while the watch still listens
    table.purge().expect("purged");
    table.mend().expect("nothing to mend");
    drop(watch);
    let left = sh("iptables -S; nft list tables");
    assert!(!left.contains("MINIDOCK") && !left.contains("minidock"), "{left}");
    assert!(reaches(Some(&neighbour), "192.0.2.1:9090"), "and Docker does not notice");
    assert!(!reaches(Some(&web), "192.0.2.9:80"), "it closes the way again");
}
