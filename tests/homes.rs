//! # A daemon without root, in namespaces of its own
//!
//! Networks need CAP_NET_ADMIN over a network namespace, not root on the machine: a daemon that is root of a user namespace has
//! it over its own. Outside, this one is uid 231072, who may make no cgroup, no device and no link; inside, bridges, cables,
//! published ports, names and restarts work as ever.

#[path = "props/mod.rs"]
mod props;

use minidock_linux::userns::{self, Range};
use props::{MINIDOCK, Printed, finish, skip, sweep::sweep, wait_for};
use std::{
    fs,
    os::unix::fs::chown,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

/// Who the daemon is outside.
const OUTSIDE: u32 = 231_072;

/// A daemon that is root of a user namespace, and the namespaces it lives in.
struct Rootless {
    folder: PathBuf,
    /// Holds the namespaces while no daemon runs in them: a program that waits for the end of its input.
    holder: Child,
    daemon: Option<Child>,
}

impl Rootless {
    /// With so many ids; `None`, said as SKIP, where user namespaces cannot be made.
    fn start(size: u32) -> Option<Rootless> {
        let folder = tempfile::Builder::new().prefix("minidock-test-").tempdir().expect("a temporary folder").keep();
        chown(&folder, Some(OUTSIDE), Some(OUTSIDE)).expect("root");
        let outside = OUTSIDE.to_string();
        // nobody yet: it holds the namespaces, and the table of ids is written for it from outside
        let holder = Command::new("setpriv")
            .args(["--reuid", &outside, "--regid", &outside, "--clear-groups", "unshare", "--user", "--net", "--mount", "cat"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("setpriv(1)");
        let mut rootless = Rootless { folder, holder, daemon: None }; // from here on whatever happens is tidied up
        let holder = rootless.holder.id();
        let name = |what: &str| fs::read_to_string(format!("/proc/{holder}/{what}")).unwrap_or_default();
        wait_for("the namespaces", || name("comm") == "cat\n" || !Path::new(&format!("/proc/{holder}/exe")).exists());
        let ids = [Range { inside: 0, outside: OUTSIDE, size }];
        if let Err(failed) = userns::write_maps(holder as i32, &ids, &ids) {
            skip(&format!("no user namespaces here: {failed}"));
            return None;
        }
        finish(rootless.enter(&["ip", "link", "set", "lo", "up"].map(str::to_string))).ok();
        rootless.up();
        Some(rootless)
    }

    fn up(&mut self) {
        let path = |name: &str| self.folder.join(name).display().to_string();
        let words = [MINIDOCK, "daemon", "--data-root", &path("data"), "--exec-root", &path("exec"), "-H", &self.host()]
            .map(str::to_string);
        let log = fs::File::create(self.folder.join("daemon.log")).expect("our folder");
        let mut command = self.enter(&words);
        self.daemon = Some(command.env("HOME", &self.folder).stderr(log).stdin(Stdio::null()).spawn().expect("nsenter(1)"));
        wait_for("the daemon", || self.run(&["version"]).status == 0);
    }

    fn host(&self) -> String {
        format!("unix://{}", self.folder.join("sock").display())
    }

    /// A program as root of the namespaces; it takes the place of `nsenter`, so its pid is known.
    fn enter(&self, words: &[String]) -> Command {
        let mut command = Command::new("nsenter");
        command.arg("--target").arg(self.holder.id().to_string());
        command.args(["--user", "--net", "--mount", "--setuid", "0", "--setgid", "0", "--"]).args(words);
        command
    }

    fn run(&self, args: &[&str]) -> Printed {
        let mut command = Command::new(MINIDOCK);
        command.args(args).env("MINIDOCK_HOST", self.host()).env("MINIDOCK_CONFIG", self.folder.join("config"));
        finish({
            command.env_remove("DOCKER_HOST").stdin(Stdio::null());
            command
        })
    }

    /// What the published port 8080 of the loopback says in there.
    fn knock(&self) -> String {
        let script = "exec 3<>/dev/tcp/127.0.0.1/8080 && cat <&3";
        finish(self.enter(&["bash", "-c", script].map(str::to_string))).out
    }
}

impl Drop for Rootless {
    fn drop(&mut self) {
        if self.folder.join("data/cluster").exists() {
            self.run(&["cluster", "down"]);
        }
        let ids = self.run(&["ps", "-aq"]).out;
        for id in ids.split_whitespace() {
            self.run(&["rm", "-f", id]);
        }
        for child in self.daemon.iter_mut().chain([&mut self.holder]) {
            drop(child.stdin.take());
            let _ = (child.kill(), child.wait());
        }
        sweep(&self.folder.join("exec"));
        let _ = fs::remove_dir_all(&self.folder);
    }
}

#[test]
fn a_single_id_is_enough_for_containers_and_their_networks() {
    let Some(daemon) = Rootless::start(1) else { return };
    let images = Path::new(env!("CARGO_MANIFEST_DIR")).join("images/build");
    let mut build = Command::new("sh");
    build.arg(images).arg("alpine").env("MINIDOCK", MINIDOCK).env("MINIDOCK_HOST", daemon.host()).env("BY_IMPORT", "1");
    let built = build.output().expect("a shell");
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    assert_eq!(daemon.run(&["run", "--rm", "alpine", "id", "-u"]).ok(), "0\n");
    let serve = "while true; do echo hello | nc -l -p 80; done";
    daemon.run(&["run", "-d", "--name", "web", "-p", "8080:80", "alpine", "sh", "-c", serve]).ok();
    wait_for("an answer", || daemon.knock() == "hello\n");
    assert_eq!(daemon.run(&["exec", "web", "stat", "-c", "%U", "/etc/passwd"]).ok(), "root\n");
    let top = daemon.run(&["top", "web"]).ok();
    assert!(top.contains("sh -c while true"), "its processes are found, cgroup or not: {top}");
}

#[test]
fn networks_ports_names_and_restarts_work_without_root() {
    let Some(mut daemon) = Rootless::start(65_536) else { return };
    let images = Path::new(env!("CARGO_MANIFEST_DIR")).join("images/build");
    let built =
        Command::new("sh").arg(images).arg("alpine").env("MINIDOCK", MINIDOCK).env("MINIDOCK_HOST", daemon.host()).output();
    assert!(built.expect("a shell").status.success());
    let serve = "while true; do echo hello | nc -l -p 80; done";
    daemon.run(&["run", "-d", "--name", "web", "-p", "8080:80", "alpine", "sh", "-c", serve]).ok();
    wait_for("an answer", || daemon.knock() == "hello\n");
    daemon.run(&["network", "create", "--ipv6", "--subnet", "fd00:9::/64", "six"]).ok();
    daemon.run(&["network", "connect", "six", "web"]).ok();
    let ping = daemon.run(&["run", "--rm", "--network", "six", "alpine", "ping", "-c1", "-W2", "web"]);
    assert!(ping.ok().contains("1 packets received"));
    daemon.run(&["exec", "web", "ip", "addr", "show", "eth1"]).ok();
    let limited = daemon.run(&["run", "--rm", "-m", "64m", "alpine", "true"]);
    assert!(limited.status != 0 && limited.err.contains("memory"), "{}", limited.err);
    let mut killed = daemon.daemon.take().expect("up");
    killed.kill().expect("our own child");
    killed.wait().expect("our own child");
    assert_eq!(daemon.knock(), "hello\n", "the kernel needs no daemon");
    daemon.up();
    let listed = daemon.run(&["ps", "--format", "{{.Names}} {{.Ports}}"]).ok();
    assert_eq!(listed.trim(), "web 0.0.0.0:8080->80/tcp, [::]:8080->80/tcp");
    assert_eq!(daemon.knock(), "hello\n");
    daemon.run(&["rm", "-f", "web"]).ok();
    daemon.run(&["network", "rm", "six"]).ok();
    let links = finish(daemon.enter(&["ip", "-br", "link"].map(str::to_string))).out;
    assert!(!links.contains("br-"), "{links}");
}

/// What a cluster could leave in the namespaces: links, firewall, processes, files.
fn traces(daemon: &Rootless) -> String {
    let script = format!(
        "ip -br link | cut -d' ' -f1 | grep -v minidock0; nft list tables | grep cluster; ls {0}/data/cluster {0}/exec/cluster 2>/dev/null; true",
        daemon.folder.display()
    );
    let seen = finish(daemon.enter(&["sh", "-c", &script].map(str::to_string))).ok();
    let ours = daemon.folder.display().to_string();
    let machines = fs::read_dir("/proc").expect("/proc").flatten().filter(|entry| {
        let line = fs::read_to_string(entry.path().join("cmdline")).unwrap_or_default();
        line.contains(&ours) && line.contains("machine")
    });
    format!("{seen}{} machines", machines.count())
}

#[test]
fn three_nodes_stand_without_root_serve_and_go() {
    let Some(daemon) = Rootless::start(65_536) else { return };
    let images = Path::new(env!("CARGO_MANIFEST_DIR")).join("images/build");
    let mut build = Command::new("sh");
    build.arg(images).arg("alpine").env("MINIDOCK", MINIDOCK).env("MINIDOCK_HOST", daemon.host()).env("BY_IMPORT", "1");
    assert!(build.output().expect("a shell").status.success());
    let before = traces(&daemon);
    let up = daemon.run(&["cluster", "up", "--nodes", "3", "--memory", "256m"]);
    assert!(up.err.contains("may make no cgroup for memory"), "{up:?}");
    assert_eq!(up.ok(), "node1\nnode2\nnode3\n");
    assert!(daemon.run(&["cluster", "pause", "node3"]).fails(1).contains("node3 cannot be frozen"));
    assert_eq!(daemon.run(&["cluster", "exec", "node2", "hostname"]).ok(), "node2\n");
    let serve = "while true; do printf 'HTTP/1.0 200 OK\\r\\n\\r\\n%s\\n' $(hostname) | nc -l -p 80; done";
    let words = [
        "service",
        "create",
        "-d",
        "--no-resolve-image",
        "--name",
        "web",
        "--replicas",
        "2",
        "-p",
        "8080:80",
        "alpine",
        "sh",
        "-c",
        serve,
    ];
    daemon.run(&[&["--node", "node1"], &words[..]].concat()).ok();
    wait_for("two that run", || {
        let rows = daemon.run(&["--node", "node1", "service", "ps", "web", "--format", "{{.CurrentState}}"]);
        rows.out.lines().filter(|state| state.starts_with("Running")).count() == 2
    });
    let mut answered = std::collections::BTreeSet::new();
    for node in ["node1", "node2", "node3"] {
        let address = daemon.run(&["cluster", "inspect", "--format", "{{.Address}}", node]).ok();
        let script = format!("exec 3<>/dev/tcp/{}/8080 && echo GET / >&3 && cat <&3", address.trim());
        wait_for(&format!("an answer at {node}, and both in the end"), || {
            let page = finish(daemon.enter(&["timeout", "2", "bash", "-c", &script].map(str::to_string))).out;
            answered.extend(page.lines().last().filter(|_| page.starts_with("HTTP/1.0 200")).map(String::from));
            answered.len() == 2
        });
    }
    daemon.run(&["cluster", "kill", "--daemon", "node2"]).ok();
    daemon.run(&["cluster", "start", "node2"]).ok();
    daemon.run(&["cluster", "kill", "node3"]).ok();
    daemon.run(&["cluster", "start", "node3"]).ok();
    daemon.run(&["cluster", "down"]).ok();
    assert_eq!(traces(&daemon), before);
}
