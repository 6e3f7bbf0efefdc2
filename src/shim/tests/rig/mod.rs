//! # Rig: a daemon of a hundred lines
//!
//! Starts the real shim with a real OCI runtime (ours once the binary is built, or what MINIDOCK_TEST_RUNTIME
//! names) on a bundle of busybox, and speaks the protocol to it as the engine does, but blocking, so that a test reads from top to bottom.

use minidock_shim::{protocol::*, socket};
use serde_json::{Value, json};
use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    os::{fd::OwnedFd, unix::net::UnixStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

static SERIAL: AtomicU32 = AtomicU32::new(0);

/// One container, its shim, and this test as its daemon.
pub struct Rig {
    /// Removed with the rig.
    _folder: tempfile::TempDir,
    pub launch: Launch,
    pub shim: Child,
    control: Wire,
    /// Events that came while an answer was waited for.
    pub heard: Vec<Event>,
    seq: u64,
    /// We play dead.
    dead: bool,
}

struct Wire(BufReader<UnixStream>);

/// Whether this machine can run containers; says SKIP when not.
pub fn able() -> bool {
    let root = fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0);
    let able = root && Path::new("/bin/busybox").exists() && Command::new(&runtime()[0]).arg("--version").output().is_ok();
    if !able {
        let reason = "shim: needs root, /bin/busybox and an OCI runtime (runc, or MINIDOCK_TEST_RUNTIME)";
        eprintln!("SKIP {reason}");
        // counted in the last lines of `make test`
        if let Some(path) = std::env::var_os("MINIDOCK_SKIPS")
            && let Ok(mut file) = fs::OpenOptions::new().append(true).open(path)
        {
            let _ = writeln!(file, "{reason}");
        }
    }
    able
}

pub fn runtime() -> Vec<String> {
    let ours = built().join("minidock");
    let usual = if ours.exists() { format!("{} runtime", ours.display()) } else { "runc".into() };
    let named = std::env::var("MINIDOCK_TEST_RUNTIME").unwrap_or(usual);
    named.split_whitespace().map(str::to_string).collect()
}

/// `target/debug`, where cargo puts what it has built.
fn built() -> PathBuf {
    let own = std::env::current_exe().expect("this program");
    own.parent().and_then(Path::parent).expect("target/debug/deps").to_path_buf()
}

impl Rig {
    /// A container that runs `sh -c script`.
    pub fn new(script: &str) -> Rig {
        Rig::with(&["/bin/sh", "-c", script], |_, _| {})
    }

    /// A container of these words, after `change` has had its way with the config and the launch.
    pub fn with(words: &[&str], change: impl FnOnce(&mut Value, &mut Launch)) -> Rig {
        let folder = tempfile::tempdir().expect("a folder");
        let id = format!("shimtest{}x{}", std::process::id(), SERIAL.fetch_add(1, Ordering::Relaxed));
        let bundle = folder.path().join("bundle");
        for sub in ["bin", "proc", "dev", "sys", "tmp"] {
            fs::create_dir_all(bundle.join("rootfs").join(sub)).expect("room");
        }
        fs::copy("/bin/busybox", bundle.join("rootfs/bin/busybox")).expect("room");
        for applet in "sh cat echo sleep seq true stty head wc yes dd id".split(' ') {
            std::os::unix::fs::symlink("busybox", bundle.join("rootfs/bin").join(applet)).expect("room");
        }
        let mut launch = Launch {
            id: id.clone(),
            runtime: runtime(),
            runtime_root: folder.path().join("runtime"),
            socket: bundle.join("shim.sock"),
            exit_file: folder.path().join("exit.json"),
            actions_file: Some(folder.path().join("actions.jsonl")),
            cgroup: None,
            memory_is_free: false,
            terminal: false,
            console_size: [0, 0],
            open_stdin: false,
            stdin_once: false,
            log: Some(Log {
                path: folder.path().join("json.log"),
                max_size: 0,
                max_file: 1,
                attrs: Default::default(),
                relay: None,
            }),
            bundle,
        };
        let mut config = config(words, &id);
        change(&mut config, &mut launch);
        config["process"]["terminal"] = json!(launch.terminal);
        fs::write(launch.bundle.join("config.json"), config.to_string()).expect("room");
        let (shim, control) = boot(&id);
        let mut rig = Rig { _folder: folder, launch: launch.clone(), shim, control, heard: Vec::new(), seq: 0, dead: false };
        match rig.ask(Request::Launch(Box::new(launch))) {
            Answer::Ready { shim_pid } => assert_eq!(shim_pid, rig.shim.id() as i32),
            other => panic!("{other:?}"),
        }
        rig
    }

    /// Asks and waits for the answer.
    pub fn ask(&mut self, request: Request) -> Answer {
        self.seq += 1;
        self.control.send(&Numbered { seq: self.seq, request });
        loop {
            match self.control.reply().expect("the shim is there") {
                Reply::Answer { seq, answer } if seq == self.seq => return answer,
                Reply::Answer { .. } => panic!("an answer to nothing"),
                Reply::Event(event) => self.heard.push(event),
            }
        }
    }

    pub fn start(&mut self) -> i32 {
        match self.ask(Request::Start) {
            Answer::Started { pid } => pid,
            other => panic!("{other:?}"),
        }
    }

    /// Waits for the container's end.
    pub fn exited(&mut self) -> Exit {
        loop {
            let next = if self.heard.is_empty() { None } else { Some(self.heard.remove(0)) };
            match next.or_else(|| self.event()) {
                Some(Event::Exited(exit)) => return exit,
                Some(_) => {}
                None => panic!("the shim is gone without a word"),
            }
        }
    }

    /// The next event; none: the connection has ended.
    pub fn event(&mut self) -> Option<Event> {
        if !self.heard.is_empty() {
            return Some(self.heard.remove(0));
        }
        match self.control.reply()? {
            Reply::Event(event) => Some(event),
            other => panic!("{other:?}"),
        }
    }

    /// Forgets the connection, as a daemon that was killed.
    pub fn die(&mut self) {
        let (nobody, _) = UnixStream::pair().expect("two sockets"); // the other end is closed: reads end at once
        self.control = Wire::new(nobody);
        self.dead = true;
    }

    /// Comes back as a new daemon.
    pub fn come_back(&mut self) {
        let mut wire = Wire::new(socket::connect(&self.launch.socket).expect("the shim listens"));
        wire.send(&Hello::Control);
        self.control = wire;
        self.dead = false;
    }

    /// A new client; its stream.
    pub fn attach(&self, exec: Option<&str>, stdin: bool) -> UnixStream {
        let mut wire = Wire::new(socket::connect(&self.launch.socket).expect("the shim listens"));
        wire.send(&Hello::Attach(Attach { exec: exec.map(str::to_string), stdin, stdout: true, stderr: true }));
        // byte by byte: what follows the line is the stream's
        let mut stream = wire.0.into_inner();
        let (mut line, mut byte) = (Vec::new(), [0]);
        while byte != *b"\n" {
            stream.read_exact(&mut byte).expect("an answer");
            line.push(byte[0]);
        }
        match serde_json::from_slice(&line).expect("an answer") {
            Answer::Ok => stream,
            other => panic!("{other:?}"),
        }
    }

    pub fn log(&self) -> String {
        // there is none as long as nothing was said
        fs::read_to_string(&self.launch.log.as_ref().expect("a log").path).unwrap_or_default()
    }

    /// The texts of the log, joined.
    pub fn said(&self) -> String {
        let text = |line: &str| serde_json::from_str::<Value>(line).expect("JSON")["log"].as_str().expect("text").to_string();
        self.log().lines().map(text).collect()
    }

    /// Waits for the shim's own end, and sees that nothing is left.
    pub fn over(mut self) {
        let connected =
            std::iter::from_fn(|| self.control.reply()).count() < 100 && self.launch.exit_file.exists() && !self.dead;
        assert!(!(connected && self.launch.socket.exists()), "the door is closed before the connection is");
        let deadline = std::time::Instant::now() + Duration::from_secs(10);
        while self.shim.try_wait().expect("our child").is_none() {
            assert!(std::time::Instant::now() < deadline, "the shim ends");
            std::thread::sleep(Duration::from_millis(2));
        }
        assert!(!self.launch.socket.exists());
        let state = runtime_command(&self.launch).args(["state", &self.launch.id]).output().expect("a runtime");
        assert!(!state.status.success(), "the runtime has forgotten it");
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        if self.shim.try_wait().is_ok_and(|ended| ended.is_none()) {
            let _ = self.shim.kill();
            let _ = self.shim.wait();
            let _ = runtime_command(&self.launch).args(["delete", "--force", &self.launch.id]).output();
        }
    }
}

impl Wire {
    fn new(stream: UnixStream) -> Wire {
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a socket");
        Wire(BufReader::new(stream))
    }

    fn send(&mut self, value: &impl serde::Serialize) {
        let line = serde_json::to_string(value).expect("plain data") + "\n";
        self.0.get_mut().write_all(line.as_bytes()).expect("the shim is there");
    }

    fn reply(&mut self) -> Option<Reply> {
        let mut line = String::new();
        match self.0.read_line(&mut line) {
            Ok(0) => None,
            Ok(_) => Some(serde_json::from_str(&line).expect("a reply")),
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => None,
            Err(error) => panic!("{error}"),
        }
    }
}

fn boot(id: &str) -> (Child, Wire) {
    let (ours, theirs) = UnixStream::pair().expect("two sockets");
    let mut command = Command::new(shim_program());
    command.args(["shim", id]).env_clear().stdin(Stdio::from(OwnedFd::from(theirs))).stdout(Stdio::null());
    command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    (command.spawn().expect("the shim's example program"), Wire::new(ours))
}

/// `target/debug/examples/shim`, or what MINIDOCK_TEST_SHIM names.
fn shim_program() -> PathBuf {
    match std::env::var_os("MINIDOCK_TEST_SHIM") {
        Some(named) => named.into(),
        None => built().join("examples/shim"),
    }
}

pub fn runtime_command(launch: &Launch) -> Command {
    let mut command = Command::new(&launch.runtime[0]);
    command.args(&launch.runtime[1..]).arg("--root").arg(&launch.runtime_root);
    command
}

pub fn process(words: &[&str]) -> Value {
    json!({ "user": { "uid": 0, "gid": 0 }, "args": words, "env": ["PATH=/bin"], "cwd": "/",
            "capabilities": { "bounding": ["CAP_KILL"], "effective": ["CAP_KILL"], "permitted": ["CAP_KILL"] } })
}

fn config(words: &[&str], id: &str) -> Value {
    json!({
        "ociVersion": "1.0.2",
        "process": process(words),
        "root": { "path": "rootfs" },
        "hostname": "shimtest",
        "mounts": [
            { "destination": "/proc", "type": "proc", "source": "proc" },
            { "destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"] },
            { "destination": "/dev/pts", "type": "devpts", "source": "devpts", "options": ["newinstance", "ptmxmode=0666", "mode=0620"] }
        ],
        "linux": {
            "cgroupsPath": format!("/{id}"),
            "namespaces": [{ "type": "pid" }, { "type": "mount" }, { "type": "uts" }, { "type": "ipc" }, { "type": "network" }]
        }
    })
}
