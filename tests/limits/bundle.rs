//! # A bundle: the smallest container one can ask questions
//!
//! A static busybox as root filesystem and a `config.json` that a test may change, run by our own `minidock runtime` with a
//! root folder of its own, in cgroups of its own (`/minidock-test-<pid>/…`). What is left over at the end is removed.

use serde_json::{Value, json};
use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

/// One bundle with its own runtime root.
pub struct Bundle {
    folder: tempfile::TempDir,
    pub id: String,
    pub config: Value,
}

static COUNT: AtomicU32 = AtomicU32::new(0);

/// Whether this machine lets us; says SKIP when not.
pub fn may_run() -> bool {
    let why = match (rustix::process::geteuid().is_root(), busybox()) {
        (false, _) => "needs root",
        (true, None) => "needs a static busybox",
        (true, Some(_)) => return true,
    };
    eprintln!("SKIP: {why}");
    false
}

fn busybox() -> Option<PathBuf> {
    ["/bin/busybox", "/usr/bin/busybox"].into_iter().map(PathBuf::from).find(|path| path.exists())
}

impl Bundle {
    /// A container that runs `args` with the capabilities and the root filesystem of a plain container.
    pub fn new(args: &[&str]) -> Bundle {
        let folder = tempfile::tempdir().expect("a folder");
        let bin = folder.path().join("rootfs/bin");
        fs::create_dir_all(&bin).expect("ours");
        for below in ["proc", "dev", "sys", "tmp", "etc"] {
            fs::create_dir_all(folder.path().join("rootfs").join(below)).expect("ours");
        }
        fs::copy(busybox().expect("asked before"), bin.join("busybox")).expect("ours");
        for applet in
            ["sh", "sleep", "cat", "dd", "head", "tail", "true", "mknod", "stat", "id", "ls", "mkdir", "grep", "chown", "date"]
        {
            symlink("busybox", bin.join(applet)).expect("ours");
        }
        let id = format!("limits-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let config = config(&id, args);
        Bundle { folder, id, config }
    }

    /// The same with `linux.resources` beside the usual device rule.
    pub fn limited(args: &[&str], resources: Value) -> Bundle {
        let mut bundle = Bundle::new(args);
        for (key, value) in resources.as_object().expect("resources are an object") {
            bundle.config["linux"]["resources"][key] = value.clone();
        }
        bundle
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// A command of our runtime, ready to run.
    pub fn runtime(&self, args: &[&str]) -> Command {
        self.runtime_of(env!("CARGO_BIN_EXE_minidock"), &["runtime"], args)
    }

    /// The same of another runtime.
    pub fn runtime_of(&self, program: &str, first: &[&str], args: &[&str]) -> Command {
        fs::write(self.path().join("config.json"), self.config.to_string()).expect("ours");
        let mut command = Command::new(program);
        command.args(first).arg("--root").arg(self.path().join("state")).args(args).current_dir(self.path());
        command.stdin(Stdio::null());
        command
    }

    /// Runs the container to its end, in the foreground.
    pub fn run(&self) -> Output {
        self.runtime(&["run", &self.id]).output().expect("our own binary")
    }

    /// Starts it in the background.
    pub fn run_detached(&self) {
        let command = &mut self.runtime(&["run", "--detach", &self.id]);
        let status = command.stdout(Stdio::null()).stderr(Stdio::inherit()).status().expect("our own binary");
        assert!(status.success(), "run --detach: {status}");
    }

    /// Runs a runtime command that has to work; gives back what it printed.
    pub fn ok(&self, args: &[&str]) -> String {
        let output = self.runtime(args).output().expect("our own binary");
        assert!(output.status.success(), "{args:?}: {}", text(&output.stderr));
        text(&output.stdout)
    }

    /// Runs one that has to fail; gives back its complaint.
    pub fn refused(&self, args: &[&str]) -> String {
        let output = self.runtime(args).output().expect("our own binary");
        assert!(!output.status.success(), "{args:?} should have been refused: {}", text(&output.stdout));
        text(&output.stderr)
    }

    /// Starts a runtime command that goes on.
    pub fn spawn(&self, args: &[&str]) -> Child {
        self.runtime(args).stdout(Stdio::piped()).spawn().expect("our own binary")
    }

    /// The container's folder in a v1 tree.
    pub fn cgroup(&self, controller: &str) -> PathBuf {
        Path::new("/sys/fs/cgroup").join(controller).join(&cgroup_path(&self.id)[1..])
    }

    /// What a knob says.
    pub fn knob(&self, controller: &str, file: &str) -> String {
        let path = self.cgroup(controller).join(file);
        fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display())).trim().to_string()
    }

    /// Folders of ours that are left below /sys/fs/cgroup.
    pub fn leftovers(&self) -> Vec<PathBuf> {
        let trees = fs::read_dir("/sys/fs/cgroup").into_iter().flatten().filter_map(Result::ok);
        trees.map(|tree| tree.path().join(&cgroup_path(&self.id)[1..])).filter(|path| path.exists()).collect()
    }
}

impl Drop for Bundle {
    fn drop(&mut self) {
        let _ = self.runtime(&["delete", "--force", &self.id]).output();
        // the common parent goes with the last test
        for tree in fs::read_dir("/sys/fs/cgroup").into_iter().flatten().filter_map(Result::ok) {
            let _ = fs::remove_dir(tree.path().join(parent()));
        }
    }
}

fn parent() -> String {
    format!("minidock-test-{}", std::process::id())
}

fn cgroup_path(id: &str) -> String {
    format!("/{}/{id}", parent())
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Waits for a fact.
pub fn until(what: &str, mut fact: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !fact() {
        assert!(Instant::now() < deadline, "not within 20 s: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn config(id: &str, args: &[&str]) -> Value {
    let capabilities = json!(["CAP_MKNOD", "CAP_CHOWN", "CAP_SETUID", "CAP_SETGID", "CAP_DAC_OVERRIDE", "CAP_KILL"]);
    json!({
        "ociVersion": "1.0.2",
        "process": {
            "terminal": false, "user": {"uid": 0, "gid": 0}, "args": args, "cwd": "/", "env": ["PATH=/bin"],
            "capabilities": {"bounding": capabilities, "effective": capabilities, "permitted": capabilities},
        },
        "root": {"path": "rootfs", "readonly": false},
        "hostname": "limits",
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755", "size=65536k"]},
        ],
        "linux": {
            "cgroupsPath": cgroup_path(id),
            "resources": {"devices": [{"allow": false, "access": "rwm"}]},
            "namespaces": [{"type": "pid"}, {"type": "network"}, {"type": "ipc"}, {"type": "uts"}, {"type": "mount"}],
        },
    })
}
