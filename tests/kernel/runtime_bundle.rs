//! # A bundle to try things on
//!
//! A temporary folder with a busybox root filesystem, a `config.json` that a test changes as it likes, and a `--root` of its
//! own. When it goes, so does the container, and the test fails if anything of it is left in the cgroups or the mounts.

use serde_json::{Value, json};
use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

/// Whether these tests can run at all; says SKIP if not.
pub fn can_run() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        eprintln!("SKIP: needs root");
    }
    root
}

pub struct Bundle {
    folder: tempfile::TempDir,
    pub config: Value,
    pub id: String,
}

/// What a command printed and how it ended.
#[derive(Debug)]
pub struct Printed {
    pub status: i32,
    pub out: String,
    pub err: String,
}

impl Printed {
    pub fn of(output: Output) -> Printed {
        use std::os::unix::process::ExitStatusExt;
        let status = output.status.code().unwrap_or_else(|| 128 + output.status.signal().unwrap_or(0));
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Printed { status, out: text(output.stdout), err: text(output.stderr) }
    }

    #[track_caller]
    pub fn ok(self) -> String {
        assert_eq!(self.status, 0, "stdout: {}\nstderr: {}", self.out, self.err);
        self.out
    }

    #[track_caller]
    pub fn fails(self, status: i32) -> String {
        assert_eq!(self.status, status, "stdout: {}\nstderr: {}", self.out, self.err);
        self.err
    }
}

impl Bundle {
    /// A container that runs `command` with sh.
    pub fn new(command: &str) -> Bundle {
        static SERIAL: AtomicU32 = AtomicU32::new(0);
        let folder = tempfile::tempdir().expect("room for a bundle");
        let id = format!("rt-{}-{}", std::process::id(), SERIAL.fetch_add(1, Ordering::Relaxed));
        let bundle = Bundle { config: config(command, &id), folder, id };
        bundle.fill_root();
        bundle
    }

    fn fill_root(&self) {
        for name in ["bin", "dev", "etc", "proc", "sys", "tmp", "run", "mnt"] {
            fs::create_dir_all(self.rootfs().join(name)).expect("room");
        }
        fs::copy("/bin/busybox", self.rootfs().join("bin/busybox")).expect("busybox-static is installed");
        let list = Command::new("/bin/busybox").arg("--list").output().expect("it runs");
        for name in String::from_utf8_lossy(&list.stdout).lines().filter(|name| *name != "busybox") {
            symlink("busybox", self.rootfs().join("bin").join(name)).expect("room");
        }
        fs::write(self.rootfs().join("etc/passwd"), "root:x:0:0::/root:/bin/sh\ngo:x:1000:1000::/home/go:/bin/sh\n")
            .expect("room");
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn rootfs(&self) -> PathBuf {
        self.folder.path().join("rootfs")
    }

    pub fn write(&self) {
        fs::write(self.folder.path().join("config.json"), self.config.to_string()).expect("room");
    }

    /// Adds a mount.
    pub fn mount(&mut self, mount: Value) -> &mut Bundle {
        self.config["mounts"].as_array_mut().expect("a list").push(mount);
        self
    }

    /// Adds a namespace.
    pub fn namespace(&mut self, namespace: Value) -> &mut Bundle {
        self.config["linux"]["namespaces"].as_array_mut().expect("a list").push(namespace);
        self
    }

    pub fn without_namespace(&mut self, kind: &str) -> &mut Bundle {
        self.config["linux"]["namespaces"].as_array_mut().expect("a list").retain(|one| one["type"] != kind);
        self
    }

    /// The command, ready for more arguments.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_minidock"));
        command.arg("runtime").arg("--root").arg(self.folder.path().join("state")).args(args);
        command.current_dir(self.folder.path()).stdin(Stdio::null());
        command
    }

    /// `minidock runtime ARGS`, with output to files: a container that goes on living must not keep the test's pipes open.
    pub fn runtime(&self, args: &[&str]) -> Printed {
        // Files of their own: a container goes on writing into those of the command that started it.
        static SERIAL: AtomicU32 = AtomicU32::new(0);
        let n = SERIAL.fetch_add(1, Ordering::Relaxed);
        let (out, err) = (self.path().join(format!("out-{n}")), self.path().join(format!("err-{n}")));
        let file = |path: &Path| fs::File::create(path).expect("room");
        let status = self.command(args).stdout(file(&out)).stderr(file(&err)).status().expect("it runs");
        let read = |path: &Path| fs::read(path).expect("just written");
        Printed::of(Output { status, stdout: read(&out), stderr: read(&err) })
    }

    /// Writes the configuration and runs it in the foreground.
    pub fn run(&self) -> Printed {
        self.write();
        self.runtime(&["run", &self.id])
    }

    /// Writes the configuration and starts it in the background.
    #[track_caller]
    pub fn start(&self) -> &Bundle {
        self.write();
        self.runtime(&["run", "--detach", &self.id]).ok();
        self
    }

    pub fn exec(&self, command: &str) -> Printed {
        self.runtime(&["exec", &self.id, "sh", "-c", command])
    }

    pub fn state(&self) -> Value {
        serde_json::from_str(&self.runtime(&["state", &self.id]).ok()).expect("a document")
    }

    pub fn pid(&self) -> i32 {
        self.state()["pid"].as_i64().expect("a number") as i32
    }

    /// Folders of this container in any cgroup tree.
    pub fn cgroups(&self) -> Vec<PathBuf> {
        let find = Command::new("find").args(["/sys/fs/cgroup", "-name", &self.id]).output().expect("find is there");
        String::from_utf8_lossy(&find.stdout).lines().map(PathBuf::from).collect()
    }
}

impl Drop for Bundle {
    fn drop(&mut self) {
        self.runtime(&["delete", "--force", &self.id]);
        if std::thread::panicking() {
            return;
        }
        assert!(self.cgroups().is_empty(), "left behind: {:?}", self.cgroups());
        let mounts = fs::read_to_string("/proc/self/mountinfo").expect("/proc is mounted");
        let own = self.folder.path().display().to_string();
        assert!(!mounts.contains(&own), "mounts of {own} are left on the host");
    }
}

/// Waits for a fact.
#[track_caller]
pub fn wait_for(what: &str, mut fact: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !fact() {
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn config(command: &str, id: &str) -> Value {
    let caps = json!(["CAP_CHOWN", "CAP_KILL", "CAP_SETUID", "CAP_SETGID", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_MKNOD"]);
    json!({
        "ociVersion": "1.0.2",
        "root": {"path": "rootfs"},
        "hostname": "inside",
        "process": {
            "user": {"uid": 0, "gid": 0}, "args": ["sh", "-c", command], "cwd": "/",
            "env": ["PATH=/bin"],
            "capabilities": {"bounding": caps, "effective": caps, "permitted": caps}
        },
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755", "size=1024k"]},
            {"destination": "/dev/pts", "type": "devpts", "source": "devpts", "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666"]}
        ],
        "linux": {
            "cgroupsPath": format!("/{id}"),
            "namespaces": [{"type": "pid"}, {"type": "mount"}, {"type": "uts"}, {"type": "ipc"}, {"type": "network"}]
        }
    })
}
