//! # The stage: an engine of a test's own
//!
//! [`Stage`] is a real engine on roots of its own in a temporary folder, with an image made of the machine's static
//! busybox, and the `minidock` binary that lies beside this test's (shim and runtime). When it goes, so does everything
//! it made; [`Stage::leaks`] says what did not.

#![allow(dead_code)] // each test binary uses its own part

use futures_util::StreamExt;
use minidock_base::{Error, paths::Paths};
use minidock_engine::{
    Engine, Options,
    container::{
        attach::{self, AttachOptions},
        create,
        logs::{self, LogOptions},
        remove::{self, Removal},
        start, wait,
    },
};
use minidock_network::sandbox::Sandbox;
use minidock_spec::engine::{
    container::{ContainerConfig, CreateBody, HostConfig},
    stream::{Deframer, Stream},
};
use std::{
    fs,
    panic::AssertUnwindSafe,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::io::AsyncReadExt;

pub struct Stage {
    pub folder: PathBuf,
    pub engine: Arc<Engine>,
}

/// `target/debug/minidock`, seen from `target/debug/deps/this_test`.
pub fn minidock() -> PathBuf {
    let this = std::env::current_exe().expect("a test has a program");
    let beside = this.parent().and_then(|deps| deps.parent()).expect("target/debug").join("minidock");
    assert!(beside.exists(), "cargo build first: {} is not there", beside.display());
    beside
}

/// Whether this user may make containers.
pub fn may_run() -> bool {
    let root = fs::read_to_string("/proc/self/status").is_ok_and(|s| s.lines().any(|l| l.starts_with("Uid:\t0\t")));
    if !root {
        println!("SKIP: needs root");
    }
    root
}

/// Does the work in a network namespace of its own, which plays the machine: bridges are made there and go with it.
pub fn in_a_namespace<W: Future<Output = ()>>(work: impl FnOnce() -> W + Send) {
    if !may_run() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let pin = folder.path().join("home");
    let home = Sandbox::create(&pin).expect("a namespace");
    let runtime = || tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("threads");
    let done = home.visit(|| std::panic::catch_unwind(AssertUnwindSafe(|| runtime().block_on(work()))));
    Sandbox::remove(&pin).expect("ours to remove");
    if let Err(panic) = done.expect("root may visit") {
        std::panic::resume_unwind(panic);
    }
}

impl Stage {
    /// An engine with networks; only inside of [`in_a_namespace`].
    pub async fn connected() -> Stage {
        let folder = tempfile::Builder::new().prefix("md-").tempdir().expect("a folder").keep();
        let engine = open_with(&folder, true).await;
        import_busybox(&engine);
        Stage { folder, engine }
    }

    /// The same on roots that are there.
    pub async fn connected_at(folder: &std::path::Path) -> Stage {
        let engine = open_with(folder, true).await;
        import_busybox(&engine);
        Stage { folder: folder.to_path_buf(), engine }
    }

    /// The same on roots that another has left.
    pub async fn again_connected(folder: PathBuf) -> Stage {
        let engine = open_with(&folder, true).await;
        Stage { folder, engine }
    }

    pub async fn new() -> Stage {
        Stage::at(&tempfile::Builder::new().prefix("md-").tempdir().expect("a folder").keep()).await
    }

    pub async fn at(folder: &std::path::Path) -> Stage {
        let engine = open(folder).await;
        import_busybox(&engine);
        Stage { folder: folder.to_path_buf(), engine }
    }

    /// A daemon on roots that another has left.
    pub async fn again(folder: PathBuf) -> Stage {
        let engine = open(&folder).await;
        Stage { folder, engine }
    }

    pub fn body(&self, words: &[&str]) -> CreateBody {
        CreateBody {
            config: ContainerConfig {
                image: "box".into(),
                cmd: Some(words.iter().map(|w| w.to_string()).collect()),
                ..ContainerConfig::default()
            },
            host_config: HostConfig { network_mode: "none".into(), ..HostConfig::default() },
            ..CreateBody::default()
        }
    }

    pub async fn create(&self, body: CreateBody) -> Result<String, Error> {
        create::create(&self.engine, None, body, None).await.map(|c| c.id)
    }

    /// Create, attach, wait, start: what it said (stdout, stderr) and its code.
    pub async fn run(&self, body: CreateBody) -> Result<(String, String, i64), Error> {
        let id = self.create(body).await?;
        self.run_created(&id).await
    }

    pub async fn run_created(&self, id: &str) -> Result<(String, String, i64), Error> {
        let options = AttachOptions { stdout: true, stderr: true, stream: true, ..AttachOptions::default() };
        let attached = attach::attach(&self.engine, id, options).await?;
        let (ours, theirs) = tokio::io::duplex(1 << 16);
        let tty = attached.tty;
        let joined = tokio::spawn(attached.join(theirs));
        let ended = wait::wait(&self.engine, id, "next-exit").await?;
        start::start(&self.engine, id).await?;
        let said = read_all(ours, tty).await;
        joined.await.expect("no panic").expect("joined");
        let answer = tokio::time::timeout(Duration::from_secs(20), ended).await.expect("it ends");
        Ok((said.0, said.1, answer.status_code))
    }

    /// Runs a shell script in a plain container and gives back what it printed.
    pub async fn sh(&self, script: &str) -> String {
        let (out, err, code) = self.run(self.body(&["sh", "-c", script])).await.expect("it starts");
        assert_eq!(code, 0, "{out}{err}");
        out
    }

    pub async fn logs(&self, id: &str) -> (String, String) {
        let options = LogOptions { stdout: true, stderr: true, ..LogOptions::default() };
        let log = logs::logs(&self.engine, id, options).await.expect("a log");
        let pieces: Vec<_> = log.stream.collect().await;
        let bytes: Vec<u8> = pieces.into_iter().flat_map(|p| p.expect("readable").to_vec()).collect();
        split(&bytes, log.tty)
    }

    pub async fn remove(&self, id: &str) -> Result<(), Error> {
        remove::remove(&self.engine, id, Removal { force: true, volumes: true, link: false }).await
    }

    /// Removes all containers, then tells what is still there of them.
    pub async fn leaks(&self) -> Vec<String> {
        for container in self.engine.containers.all() {
            let _ = self.remove(&container.id).await;
        }
        // files are deleted beside the answer
        let deadline = Instant::now() + Duration::from_secs(5);
        loop {
            let left = self.left();
            if left.is_empty() || Instant::now() > deadline {
                return left;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn left(&self) -> Vec<String> {
        let mut left = Vec::new();
        for folder in [
            self.engine.paths.containers(),
            self.engine.paths.bundles(),
            self.engine.paths.runtime_root(),
            self.engine.paths.sandboxes(),
            self.engine.paths.scratch(),
        ] {
            left.extend(fs::read_dir(folder).into_iter().flatten().flatten().map(|e| e.path().display().to_string()));
        }
        let mounts = fs::read_to_string("/proc/self/mountinfo").expect("procfs");
        let here = self.folder.display().to_string();
        left.extend(mounts.lines().filter(|l| l.contains(&here)).map(str::to_string));
        left
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        for container in self.engine.containers.all() {
            let pid = container.record().state.pid;
            if pid > 0 {
                let _ = minidock_linux::signal::kill(pid, 9);
            }
        }
        let _ = fs::remove_dir_all(&self.folder);
    }
}

async fn open(folder: &std::path::Path) -> Arc<Engine> {
    open_with(folder, false).await // tests must not make links in the machine's own network
}

async fn open_with(folder: &std::path::Path, bridges: bool) -> Arc<Engine> {
    let mut options = Options::new(Paths::new(folder.join("d"), folder.join("x")));
    options.bridges = bridges;
    let program = minidock().display().to_string();
    options.shim_program = vec![program.clone(), "shim".into()];
    options.runtime_program = match std::env::var("ENGINE_TEST_RUNTIME") {
        Ok(other) => vec![other], // another OCI runtime, for comparing
        Err(_) => vec![program, "runtime".into()],
    };
    Engine::open(options).await.expect("an engine")
}

/// An image called `box`: static busybox, a link for each applet, users and a volume's worth of files.
fn import_busybox(engine: &Engine) {
    let mut tar = tar::Builder::new(Vec::new());
    let mut folder = |name: &str, mode: u32| {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Directory);
        header.set_mode(mode);
        header.set_size(0);
        tar.append_data(&mut header, name, &[][..]).expect("memory");
    };
    for (name, mode) in [("bin", 0o755), ("etc", 0o755), ("root", 0o700), ("tmp", 0o1777), ("home", 0o755), ("srv", 0o750)] {
        folder(name, mode);
    }
    let mut file = |name: &str, bytes: &[u8], mode: u32| {
        let mut header = tar::Header::new_gnu();
        header.set_mode(mode);
        header.set_size(bytes.len() as u64);
        tar.append_data(&mut header, name, bytes).expect("memory");
    };
    file("bin/busybox", &fs::read("/bin/busybox").expect("busybox-static"), 0o755);
    file("etc/passwd", b"root:x:0:0:root:/root:/bin/sh\nwww:x:33:33:www:/home:/bin/sh\n4242:x:0:0::/:\n", 0o644);
    file("etc/group", b"root:x:0:\nwheel:x:10:root\nadm:x:4:www\n", 0o644);
    file("etc/notexec", b"#!/bin/sh\n", 0o644);
    file("srv/file", b"from the image\n", 0o640);
    let applets = std::process::Command::new("/bin/busybox").arg("--list").output().expect("busybox").stdout;
    for applet in String::from_utf8_lossy(&applets).lines().filter(|a| *a != "busybox") {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_size(0);
        header.set_mode(0o777);
        tar.append_link(&mut header, format!("bin/{applet}"), "/bin/busybox").expect("memory");
    }
    let bytes = tar.into_inner().expect("memory");
    let name = minidock_spec::reference::Reference::parse("box").expect("a name");
    engine.images.store.import(&bytes[..], Some(name), &["CMD [\"sh\"]".to_string()], "test").expect("an image");
}

/// Reads a stream to its end.
pub async fn read_all(mut stream: impl tokio::io::AsyncRead + Unpin, tty: bool) -> (String, String) {
    let mut bytes = Vec::new();
    let _ = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut bytes)).await.expect("it ends");
    split(&bytes, tty)
}

fn split(bytes: &[u8], tty: bool) -> (String, String) {
    if tty {
        return (String::from_utf8_lossy(bytes).into_owned(), String::new());
    }
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let mut deframer = Deframer::new();
    let each = |stream: Stream, piece: &[u8]| match stream {
        Stream::Stderr => err.extend_from_slice(piece),
        _ => out.extend_from_slice(piece),
    };
    deframer.feed(bytes, each).expect("frames");
    (String::from_utf8_lossy(&out).into_owned(), String::from_utf8_lossy(&err).into_owned())
}

/// Waits for a fact.
pub async fn wait_for(what: &str, mut fact: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !fact() {
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
