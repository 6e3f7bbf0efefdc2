//! # System: what this engine and its machine are
//!
//! `docker info` is what a person looks at first when something is odd, so it must be true: nothing here is assumed, every
//! line is asked of the kernel, of the disk or of a department of the engine, now.
//!
//! * [`version`] is who speaks: our version, the API's two ends, the kernel's.
//! * [`info`] counts containers and images and says what the machine can limit ([`Limits`]), with a warning, in Docker's
//!   words, for each thing it cannot. Where minidock keeps things, and where Docker would, is under `MinidockPaths`.
//! * What all of it takes on disk is the next room's question.
//!
//! See: moby `daemon/info.go`, `pkg/sysinfo` · proc(5), cgroups(7), os-release(5). Next room: [`crate::disk_usage`]

use crate::{Engine, container::record::Phase};
use minidock_base::{
    Result,
    clock::{self, rfc3339_nanos},
    id,
};
use minidock_spec::{
    engine::{
        API_VERSION, MIN_API_VERSION,
        system::{Component, Info, Plugins, Version, VersionPlatform},
    },
    image::host_architecture,
};
use serde_json::{Value, json};
use std::{collections::BTreeMap, fs, path::Path, sync::Arc};
use tokio::task::spawn_blocking;

/// The version of this program.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// `GET /version`.
///
/// # Errors
/// None today; the shape is that of its siblings.
pub async fn version(_engine: &Arc<Engine>) -> Result<Version> {
    let kernel = line("/proc/sys/kernel/osrelease");
    let (commit, built) =
        (option_env!("MINIDOCK_COMMIT").unwrap_or("unknown"), option_env!("MINIDOCK_BUILT").unwrap_or("unknown"));
    let compiler = concat!("none (Rust ", env!("CARGO_PKG_RUST_VERSION"), ")");
    let details = [
        ("ApiVersion", API_VERSION),
        ("Arch", host_architecture()),
        ("BuildTime", built),
        ("Experimental", "false"),
        ("GitCommit", commit),
        ("GoVersion", compiler),
        ("KernelVersion", &kernel),
        ("MinAPIVersion", MIN_API_VERSION),
        ("Os", "linux"),
    ];
    let engine = Component {
        name: "Engine".into(),
        version: VERSION.into(),
        details: details.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect(),
    };
    let runtime = Component {
        name: "minidock runtime".into(),
        version: VERSION.into(),
        details: BTreeMap::from([("GitCommit".to_string(), commit.to_string())]),
    };
    Ok(Version {
        platform: VersionPlatform { name: "minidock: a mini Docker and Swarm".into() },
        components: vec![engine, runtime],
        version: VERSION.into(),
        api_version: API_VERSION.into(),
        min_api_version: MIN_API_VERSION.into(),
        git_commit: commit.into(),
        go_version: compiler.into(),
        os: "linux".into(),
        arch: host_architecture().into(),
        kernel_version: kernel,
        build_time: built.into(),
    })
}

/// `GET /info`.
///
/// # Errors
/// None today; the shape is that of its siblings.
pub async fn info(engine: &Arc<Engine>) -> Result<Info> {
    let phases: Vec<Phase> = engine.containers.all().iter().map(|c| c.record().state.phase).collect();
    let count = |wanted: &dyn Fn(Phase) -> bool| phases.iter().filter(|p| wanted(**p)).count() as i64;
    let limits = Limits::of_this_machine();
    let os = OsRelease::read();
    let mut warnings = limits.warnings();
    warnings.extend(network_warnings(engine).await);
    Ok(Info {
        id: engine_id(engine),
        containers: phases.len() as i64,
        containers_running: count(&|p| matches!(p, Phase::Running | Phase::Restarting)),
        containers_paused: count(&|p| p == Phase::Paused),
        containers_stopped: count(&|p| !matches!(p, Phase::Running | Phase::Restarting | Phase::Paused)),
        images: engine.images.store.list().iter().filter(|image| !image.hidden).count() as i64,
        driver: "overlay2".into(),
        driver_status: driver_status(engine.paths.data_root()),
        docker_root_dir: engine.paths.data_root().to_string_lossy().into_owned(),
        plugins: Plugins {
            volume: vec!["local".into()],
            network: network_drivers(engine),
            authorization: None,
            log: ["gelf", "json-file", "local", "none", "syslog"].map(String::from).into(),
        },
        memory_limit: limits.memory,
        swap_limit: limits.swap,
        cpu_cfs_period: limits.cfs,
        cpu_cfs_quota: limits.cfs,
        cpu_shares: limits.shares,
        cpu_set: limits.cpuset,
        pids_limit: limits.pids,
        ipv4_forwarding: line("/proc/sys/net/ipv4/ip_forward") == "1",
        bridge_nf_iptables: line("/proc/sys/net/bridge/bridge-nf-call-iptables") == "1",
        bridge_nf_ip6tables: line("/proc/sys/net/bridge/bridge-nf-call-ip6tables") == "1",
        debug: tracing::enabled!(tracing::Level::DEBUG),
        nfd: fs::read_dir("/proc/self/fd").map(|all| all.count() as i64).unwrap_or(-1),
        oom_kill_disable: limits.oom_kill_disable,
        n_goroutines: fs::read_dir("/proc/self/task").map(|all| all.count() as i64).unwrap_or(-1),
        system_time: rfc3339_nanos(clock::now()),
        logging_driver: "json-file".into(),
        cgroup_driver: "cgroupfs".into(),
        cgroup_version: limits.version.to_string(),
        n_events_listener: engine.events.listeners() as i64,
        kernel_version: line("/proc/sys/kernel/osrelease"),
        operating_system: os.name,
        os_version: os.version,
        os_type: "linux".into(),
        architecture: std::env::consts::ARCH.into(),
        ncpu: (cores(engine).ceil() as i64).max(1),
        mem_total: memory(engine),
        index_server_address: String::new(),
        registry_config: json!({ "InsecureRegistryCIDRs": [], "IndexConfigs": {}, "Mirrors": [] }),
        http_proxy: String::new(),
        https_proxy: String::new(),
        no_proxy: String::new(),
        name: line("/proc/sys/kernel/hostname"),
        labels: engine.options.labels.clone(),
        experimental_build: false,
        server_version: VERSION.into(),
        // by whatever name it is asked for, it is ours: scripts say `--runtime runc`
        runtimes: ["minidock", "runc", "io.containerd.runc.v2"]
            .map(|name| (name.to_string(), json!({ "path": engine.options.runtime_program.join(" ") })))
            .into(),
        default_runtime: "runc".into(),
        swarm: json!({ "NodeID": "", "NodeAddr": "", "LocalNodeState": "inactive", "ControlAvailable": false, "Error": "", "RemoteManagers": null }),
        live_restore_enabled: true,
        isolation: String::new(),
        init_binary: "minidock".into(),
        security_options: security_options(engine.host.remap.is_some()),
        warnings: (!warnings.is_empty()).then_some(warnings),
        extra: where_things_are(engine),
    })
}

/// What the kernel lets us limit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Limits {
    version: u8,
    memory: bool,
    swap: bool,
    cfs: bool,
    shares: bool,
    cpuset: bool,
    pids: bool,
    blkio: bool,
    oom_kill_disable: bool,
}

impl Limits {
    fn of_this_machine() -> Limits {
        let root = Path::new("/sys/fs/cgroup");
        match fs::read_to_string(root.join("cgroup.controllers")) {
            Ok(controllers) => Limits::v2(&controllers),
            Err(_) => Limits::v1(&|file| root.join(file).exists()),
        }
    }

    /// Version 2: the root lists its controllers.
    fn v2(controllers: &str) -> Limits {
        let has = |name: &str| controllers.split_whitespace().any(|c| c == name);
        let (memory, cpu) = (has("memory"), has("cpu"));
        Limits {
            version: 2,
            memory,
            swap: memory,
            cfs: cpu,
            shares: cpu,
            cpuset: has("cpuset"),
            pids: has("pids"),
            blkio: has("io"),
            oom_kill_disable: false,
        }
    }

    /// Version 1: a knob that is there can be turned. `exists` is asked for files below `/sys/fs/cgroup`.
    fn v1(exists: &dyn Fn(&str) -> bool) -> Limits {
        let memory = exists("memory/cgroup.procs");
        Limits {
            version: 1,
            memory,
            swap: exists("memory/memory.memsw.limit_in_bytes"),
            cfs: exists("cpu/cpu.cfs_quota_us"),
            shares: exists("cpu/cpu.shares"),
            cpuset: exists("cpuset/cpuset.cpus"),
            pids: exists("pids/cgroup.procs"),
            blkio: exists("blkio/cgroup.procs"),
            oom_kill_disable: exists("memory/memory.oom_control"),
        }
    }

    /// One sentence for each thing that cannot be limited.
    fn warnings(&self) -> Vec<String> {
        let mut all = Vec::new();
        let mut missing = |there: bool, what: &str| {
            if !there {
                all.push(format!("WARNING: No {what} support"));
            }
        };
        missing(self.memory, "memory limit");
        missing(self.swap, "swap limit");
        missing(self.cfs, "cpu cfs quota");
        missing(self.cfs, "cpu cfs period");
        missing(self.shares, "cpu shares");
        missing(self.cpuset, "cpuset");
        missing(self.pids, "pids limit");
        missing(self.blkio, "blkio");
        if !self.oom_kill_disable && self.version == 1 {
            all.push("WARNING: No oom kill disable support".into());
        }
        all
    }
}

/// Which file system lies below overlayfs, and what overlayfs does with it.
fn driver_status(data_root: &Path) -> Vec<[String; 2]> {
    let row = |key: &str, value: &str| [key.to_string(), value.to_string()];
    let metacopy = line("/sys/module/overlay/parameters/metacopy") == "Y";
    vec![
        row("Backing Filesystem", &file_system(data_root, &fs::read_to_string("/proc/self/mountinfo").unwrap_or_default())),
        row("Using metacopy", if metacopy { "true" } else { "false" }),
        row("userxattr", "false"),
    ]
}

/// The type of the mount that `path` is on, by the longest mount point in front of it.
fn file_system(path: &Path, mountinfo: &str) -> String {
    let mut best: (usize, &str) = (0, "unknown");
    for mount in mountinfo.lines() {
        let Some((left, right)) = mount.split_once(" - ") else { continue };
        let (Some(point), Some(kind)) = (left.split(' ').nth(4), right.split(' ').next()) else { continue };
        if path.starts_with(point) && point.len() >= best.0 {
            best = (point.len(), kind);
        }
    }
    best.1.to_string()
}

fn security_options(remapped: bool) -> Vec<String> {
    let mut all = vec!["name=seccomp,profile=builtin".to_string()];
    if Path::new("/proc/self/ns/cgroup").exists() {
        all.push("name=cgroupns".into());
    }
    if remapped {
        all.push("name=userns".into());
    }
    all
}

/// Where minidock keeps things, and where Docker would.
fn where_things_are(engine: &Engine) -> BTreeMap<String, Value> {
    let paths = &engine.paths;
    let place = |path: &Path, docker: &str| json!({ "minidock": path, "docker": docker });
    let all = json!({
        "data root": place(paths.data_root(), "/var/lib/docker"),
        "exec root": place(paths.exec_root(), "/run/docker"),
        "images": place(&paths.image_store(), "/var/lib/docker/image/overlay2"),
        "layers": place(&paths.layers(), "/var/lib/docker/overlay2"),
        "containers": place(&paths.containers(), "/var/lib/docker/containers"),
        "volumes": place(&paths.volumes(), "/var/lib/docker/volumes"),
        "bundles": place(&paths.bundles(), "/run/containerd/io.containerd.runtime.v2.task/moby"),
        "networks": place(&paths.networks(), "/var/lib/docker/network/files"),
        "sandboxes": place(&paths.sandboxes(), "/run/docker/netns"),
        "runtime state": place(&paths.runtime_root(), "/run/docker/runtime-runc/moby"),
    });
    let built_in = json!({ "ID": VERSION, "Expected": VERSION });
    BTreeMap::from([
        ("MinidockPaths".to_string(), all),
        ("MinidockHostSettings".to_string(), changed_settings(engine)),
        ("RuncCommit".to_string(), built_in.clone()),
        ("InitCommit".to_string(), built_in),
        ("ContainerdCommit".to_string(), json!({ "ID": "none: each container has a shim of its own", "Expected": "" })),
    ])
}

fn network_drivers(engine: &Engine) -> Vec<String> {
    let all = match engine.networks.ground() {
        Ok(_) => &["bridge", "host", "macvlan", "null", "overlay"][..],
        Err(_) => &["host", "null"],
    };
    all.iter().map(|name| name.to_string()).collect()
}

/// Why there are no networks; and what other firewalls do to ours.
async fn network_warnings(engine: &Arc<Engine>) -> Vec<String> {
    let engine = engine.clone();
    let look = move || match engine.networks.ground() {
        Err(why) => vec![format!("WARNING: {}", why.message())],
        Ok(ground) => {
            let findings = ground.table.findings().unwrap_or_default();
            findings.into_iter().map(|f| format!("WARNING: {}; {}", f.what, f.hint)).collect()
        }
    };
    spawn_blocking(look).await.unwrap_or_default()
}

/// What of the host's network settings had to be changed, and what they were.
fn changed_settings(engine: &Engine) -> Value {
    let changed = engine.networks.ground().map(|ground| ground.settings.changed()).unwrap_or_default();
    changed.into_iter().map(|(name, turned)| (name, json!({ "was": turned.was, "is": turned.now }))).collect()
}

/// Drawn once and kept beside the lock, so that two engines can be told apart.
fn engine_id(engine: &Engine) -> String {
    let file = engine.paths.engine_id();
    let kept = line(&file);
    if !kept.is_empty() {
        return kept;
    }
    let hex = id::random_id();
    let fresh = format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..32]);
    if let Err(error) = fs::write(&file, &fresh) {
        tracing::warn!(%error, "the engine's id cannot be kept");
    }
    fresh
}

/// What the distribution calls itself.
struct OsRelease {
    name: String,
    version: String,
}

impl OsRelease {
    fn read() -> OsRelease {
        let text =
            fs::read_to_string("/etc/os-release").or_else(|_| fs::read_to_string("/usr/lib/os-release")).unwrap_or_default();
        let value = |key: &str| {
            let found = text.lines().find_map(|l| l.strip_prefix(key)?.strip_prefix('='));
            found.map(|v| v.trim_matches(['"', '\'']).to_string())
        };
        OsRelease {
            name: value("PRETTY_NAME").unwrap_or_else(|| "Linux".into()),
            version: value("VERSION_ID").unwrap_or_default(),
        }
    }
}

/// The cores of this machine: those it was given, or all.
pub fn cores(engine: &Engine) -> f64 {
    match engine.options.cpus > 0.0 {
        true => engine.options.cpus,
        false => std::thread::available_parallelism().map_or(1.0, |n| n.get() as f64),
    }
}

/// Its memory, in bytes, likewise.
pub fn memory(engine: &Engine) -> i64 {
    if engine.options.memory > 0 { engine.options.memory } else { memory_total() }
}

fn memory_total() -> i64 {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kib = text.lines().find_map(|l| l.strip_prefix("MemTotal:")?.split_whitespace().next()?.parse::<i64>().ok());
    kib.unwrap_or(0) * 1024
}

/// The contents of a one-line file; nothing when it cannot be read.
fn line(path: impl AsRef<Path>) -> String {
    fs::read_to_string(path).unwrap_or_default().trim().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_limited_is_said() {
        let bare = Limits::v2("cpu io");
        assert!(bare.warnings().contains(&"WARNING: No memory limit support".to_string()), "{:?}", bare.warnings());
        assert!(Limits::v2("cpu io memory pids cpuset").warnings().is_empty());
        let no_swap = Limits::v1(&|file| !file.contains("memsw"));
        assert_eq!(no_swap.warnings(), ["WARNING: No swap limit support"]);
    }

    #[test]
    fn the_innermost_mount_names_the_file_system() {
        let mounts = "1 0 8:1 / / rw - ext4 /dev/sda rw\n2 1 0:9 / /var/lib rw - xfs /dev/sdb rw\n";
        assert_eq!(file_system(Path::new("/var/lib/minidock"), mounts), "xfs");
        assert_eq!(file_system(Path::new("/srv"), mounts), "ext4");
    }
}
