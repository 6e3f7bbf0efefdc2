//! # Props: what every kernel test needs on its stage
//!
//! [`Daemon`] is a real daemon with a data root, an exec root, a socket and a network namespace ([`home`]) of its own, with the
//! base images imported; its [`Daemon::run`] types a command line at it, [`Daemon::inside`] runs a program in its namespace.
//! [`wait_for`] waits for a fact with a deadline, never for a time; a [`Stop`] ends threads that go on until told. When a `Daemon`
//! goes, so does everything it made, its cluster and its part in a swarm too, and it says what it could not remove.
//!
//! Laws: no test touches the default roots, the machine's network or another's; nothing is mocked; what cannot run here is
//! counted ([`skip`]).

#![allow(dead_code)] // each test binary uses its own part of the props

pub mod home;
pub mod sweep;

use home::Home;
use std::{
    fs,
    os::unix::{net::UnixStream, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

/// The binary under test.
pub const MINIDOCK: &str = env!("CARGO_BIN_EXE_minidock");

/// What a command printed and how it ended.
#[derive(Debug, Clone)]
pub struct Printed {
    pub status: i32,
    pub out: String,
    pub err: String,
}

impl Printed {
    /// Standard output of a command that must have succeeded.
    #[track_caller]
    pub fn ok(self) -> String {
        assert_eq!(self.status, 0, "status {}\nstdout: {}\nstderr: {}", self.status, self.out, self.err);
        self.out
    }

    /// Standard error of a command that must have failed with `status`.
    #[track_caller]
    pub fn fails(self, status: i32) -> String {
        assert_eq!(self.status, status, "stdout: {}\nstderr: {}", self.out, self.err);
        self.err
    }
}

/// A daemon of this test's own.
pub struct Daemon {
    pub folder: PathBuf,
    /// Where it lives: survives the daemon, and its restarts come back to it.
    pub home: Home,
    child: Option<Child>,
    extra: Vec<String>,
    /// A program and its words that the daemon is started by, if not by us.
    pub under: Vec<String>,
}

impl Daemon {
    /// Starts one on empty roots and imports alpine, busybox and hello-world.
    pub fn start() -> Daemon {
        let daemon = Daemon::bare(&[]);
        daemon.import_images();
        daemon
    }

    /// Starts one on empty roots, without images, with more flags.
    pub fn bare(extra: &[&str]) -> Daemon {
        let mut daemon = Daemon::asleep(extra);
        daemon.up();
        daemon
    }

    /// One that has not been started yet: its home is as the kernel made it.
    pub fn asleep(extra: &[&str]) -> Daemon {
        let folder = tempfile::Builder::new().prefix("minidock-test-").tempdir().expect("a temporary folder").keep();
        Daemon {
            folder,
            home: Home::make(),
            child: None,
            extra: extra.iter().map(|s| s.to_string()).collect(),
            under: Vec::new(),
        }
    }

    pub fn data_root(&self) -> PathBuf {
        self.folder.join("data")
    }

    pub fn exec_root(&self) -> PathBuf {
        self.folder.join("exec")
    }

    pub fn socket(&self) -> PathBuf {
        self.folder.join("sock")
    }

    pub fn host(&self) -> String {
        format!("unix://{}", self.socket().display())
    }

    pub fn pid(&self) -> i32 {
        self.child.as_ref().expect("the daemon is up").id() as i32
    }

    /// Starts the daemon (again) and waits until it answers.
    pub fn up(&mut self) {
        let log = fs::OpenOptions::new().create(true).append(true).open(self.folder.join("daemon.log")).expect("a log file");
        let words: Vec<&str> = self.under.iter().map(String::as_str).chain([MINIDOCK]).collect();
        let mut command = Command::new(words[0]);
        command
            .args(&words[1..])
            .arg("daemon")
            .args([
                format!("--data-root={}", self.data_root().display()),
                format!("--exec-root={}", self.exec_root().display()),
            ])
            .args(["-H", &self.host()])
            .args(&self.extra)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a descriptor"))
            .stderr(log)
            .process_group(0);
        self.child = Some(self.home.enter(|| command.spawn()).expect("the daemon starts"));
        let socket = self.socket();
        wait_for("the daemon to answer", || ping(&socket));
    }

    /// Kills the daemon, SIGKILL, in the middle of whatever it does.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("our own child");
            child.wait().expect("our own child");
        }
    }

    /// Imports the base images that `images/build` has laid out under target/images.
    pub fn import_images(&self) {
        let built = Command::new("sh")
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("images/build"))
            .env("MINIDOCK", MINIDOCK)
            .env("BY_IMPORT", "1")
            .env("MINIDOCK_HOST", self.host())
            .output()
            .expect("a shell");
        assert!(built.status.success(), "images/build: {}", String::from_utf8_lossy(&built.stderr));
    }

    /// A command line for this daemon, not yet run.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(MINIDOCK);
        command.args(args).env("MINIDOCK_HOST", self.host()).env("MINIDOCK_CONFIG", self.folder.join("config"));
        command.env_remove("DOCKER_HOST").stdin(Stdio::null());
        command
    }

    /// Types a command line at this daemon and waits for its end (at most a minute).
    pub fn run(&self, args: &[&str]) -> Printed {
        finish(self.command(args))
    }

    /// Runs a program beside the daemon, in its network namespace: `["ip", "-j", "addr"]`, `["nft", "-j", "list", "ruleset"]`.
    pub fn inside(&self, words: &[&str]) -> Printed {
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).stdin(Stdio::null()).current_dir(&self.folder);
        self.finish_inside(command)
    }

    /// A prepared command, run to its end in the daemon's network namespace.
    pub fn finish_inside(&self, command: Command) -> Printed {
        self.home.enter(|| finish(command))
    }

    /// `run`, and it must succeed; standard output without the last newline.
    #[track_caller]
    pub fn ok(&self, args: &[&str]) -> String {
        self.run(args).ok().trim_end().to_string()
    }

    /// The same through /bin/sh in the daemon's network namespace, with `minidock` on the PATH.
    pub fn sh(&self, script: &str) -> Printed {
        let mut command = Command::new("/bin/sh");
        let folder = Path::new(MINIDOCK).parent().expect("a folder").display().to_string();
        let path = format!("{folder}:{}", std::env::var("PATH").unwrap_or_default());
        command.args(["-c", script]).env("PATH", path).env("MINIDOCK_HOST", self.host()).stdin(Stdio::null());
        command.env("MINIDOCK_CONFIG", self.folder.join("config")).env_remove("DOCKER_HOST").current_dir(&self.folder);
        self.finish_inside(command)
    }

    /// One field of a container's inspect, by Go template.
    #[track_caller]
    pub fn inspect(&self, container: &str, template: &str) -> String {
        self.ok(&["inspect", "--format", template, container])
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let alive = self.child.is_some() && ping(&self.socket());
        if !alive {
            self.kill();
            if !std::thread::panicking() {
                self.up();
            }
        }
        if self.child.is_some() && self.data_root().join("cluster").exists() {
            let down = self.run(&["cluster", "down"]);
            if down.status != 0 {
                eprintln!("cluster down: {}", down.err);
            }
        }
        // while it is in a swarm, what is removed by hand would be replaced
        let in_swarm = self.child.is_some() && self.data_root().join("swarm/state.json").exists();
        let left = in_swarm.then(|| self.run(&["swarm", "leave", "--force"]));
        if self.child.is_some() {
            let listed = self.run(&["ps", "-aq"]);
            let ids: Vec<&str> = listed.out.split_whitespace().collect();
            if !ids.is_empty() {
                let _ = self.run(&[&["rm", "-f", "-v"], ids.as_slice()].concat());
            }
        }
        let log = fs::read_to_string(self.folder.join("daemon.log")).unwrap_or_default();
        self.kill();
        if std::thread::panicking() {
            eprintln!("--- the daemon's log, last lines ---");
            let lines: Vec<&str> = log.lines().collect();
            lines.iter().rev().take(30).rev().for_each(|line| eprintln!("{line}"));
        }
        sweep::sweep(&self.exec_root());
        let _ = fs::remove_dir_all(&self.folder);
        if let Some(left) = left.filter(|left| left.status != 0) {
            assert!(std::thread::panicking(), "it cannot leave its swarm: {}", left.err);
        }
    }
}

fn ping(socket: &Path) -> bool {
    use std::io::{Read, Write};
    let Ok(mut stream) = UnixStream::connect(socket) else { return false };
    let _ = stream.set_read_timeout(Some(Duration::from_secs(5)));
    let mut answer = [0u8; 15];
    stream.write_all(b"GET /_ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").is_ok()
        && stream.read_exact(&mut answer).is_ok()
        && answer.starts_with(b"HTTP/1.1 200")
}

/// Runs a prepared command to its end, at most a minute.
pub fn finish(mut command: Command) -> Printed {
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("a program");
    let id = child.id() as i32;
    let (done, watch) = std::sync::mpsc::channel::<()>();
    let watchdog = std::thread::spawn(move || {
        if watch.recv_timeout(Duration::from_secs(60)).is_err_and(|e| e == std::sync::mpsc::RecvTimeoutError::Timeout)
            && let Some(pid) = rustix::process::Pid::from_raw(id)
        {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
    });
    let output = child.wait_with_output().expect("our own child");
    drop(done);
    let _ = watchdog.join();
    use std::os::unix::process::ExitStatusExt;
    Printed {
        status: output.status.code().unwrap_or_else(|| 128 + output.status.signal().unwrap_or(0)),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Waits until `fact` holds, at most twenty seconds.
#[track_caller]
pub fn wait_for(what: &str, fact: impl FnMut() -> bool) {
    assert!(comes_true(Duration::from_secs(20), fact), "waited 20 s for {what}");
}

/// Whether `fact` holds before `limit` is over.
pub fn comes_true(limit: Duration, mut fact: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + limit;
    while !fact() {
        if Instant::now() >= deadline {
            return false;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    true
}

/// Raises its flag when it goes: at the end of a block, or when a claim fails in it. The first line of a [`std::thread::scope`]
/// whose threads go on until the flag is up: the scope waits for them, and would wait for ever.
pub struct Stop<'a>(pub &'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Counts this test as skipped, with the reason, in the last lines of `make test`.
pub fn skip(reason: &str) {
    use std::io::Write;
    eprintln!("SKIP {reason}");
    if let Some(path) = std::env::var_os("MINIDOCK_SKIPS")
        && let Ok(mut file) = fs::OpenOptions::new().append(true).open(path)
    {
        let _ = writeln!(file, "{reason}");
    }
}
