//! # Paths: where everything lies on disk
//!
//! One room spells every state path, so that a reader who wonders "where is it?" looks in one place, and a test can move
//! the whole world into a folder of its own.
//!
//! ```text
//! data root  /var/lib/minidock                 survives a reboot
//! ├ oci-layout, index.json, blobs/sha256/…     the image store: an OCI image layout
//! ├ partial/<hex>                              blobs half downloaded, for the next try
//! ├ layers/<diff id>/diff                      each layer unpacked once, shared
//! ├ init                                       places for mounts, a layer below each container's own
//! ├ containers/<id>/container.json             the record
//! │                /{diff,work}                its writable layer (overlayfs upper and work)
//! │                /<id>-json.log              what it said
//! │                /actions.jsonl              every kernel call made for it
//! │                /{hostname,hosts,resolv.conf}
//! ├ volumes/<name>/{volume.json,_data}
//! ├ networks/<id>.json                         one record for each network
//! ├ cluster/{cluster.json,<node>/…}             simulated nodes; each folder is a node's own data root
//! └ swarm/{state.json,certificates,raft}       this machine's part in a swarm
//! exec root  /run/minidock                     is gone after a reboot
//! ├ containers/<id>/{config.json,rootfs,shim.sock}   the OCI bundle and the shim's door
//! ├ records/<id>.json                          what is true of a container only until then: all of one that is run with --rm
//! │        /<id>.exit.json                     how it ended, for a daemon that was not there
//! ├ overlays.json                              the swarm's networks that this machine has a part in
//! ├ tasks/<task>/                              secrets and configs of tasks, in memory
//! ├ runtime/<id>/state.json                    the OCI runtime's own state
//! ├ cluster/<node>/{machine.json,minidock.sock,…}  a running node: each folder is its exec root
//! └ netns/<sandbox id>                         a container's network namespace, pinned
//! ```
//!
//! Folders are 0710 or tighter: setuid files in layers must not be reachable by other users (CVE-2021-41091).
//! See: hier(7), XDG Base Directory. Next room: [`crate::ignore`]

use std::path::{Path, PathBuf};

/// The two roots and everything below them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paths {
    data_root: PathBuf,
    exec_root: PathBuf,
}

impl Paths {
    /// Roots as given; both should be absolute.
    pub fn new(data_root: impl Into<PathBuf>, exec_root: impl Into<PathBuf>) -> Paths {
        Paths { data_root: data_root.into(), exec_root: exec_root.into() }
    }

    /// `/var/lib/minidock` and `/run/minidock` for root; the XDG folders for anybody else.
    pub fn default_for(uid: u32) -> Paths {
        match uid {
            0 => Paths::new("/var/lib/minidock", "/run/minidock"),
            _ => {
                let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_else(|| "/tmp".into());
                let data = std::env::var_os("XDG_DATA_HOME").map(PathBuf::from).unwrap_or_else(|| home.join(".local/share"));
                Paths::new(data.join("minidock"), runtime_dir(uid).join("minidock"))
            }
        }
    }

    pub fn data_root(&self) -> &Path {
        &self.data_root
    }

    pub fn exec_root(&self) -> &Path {
        &self.exec_root
    }

    /// The image store: an OCI image layout.
    pub fn image_store(&self) -> PathBuf {
        self.data_root.clone()
    }

    /// All unpacked layers.
    pub fn layers(&self) -> PathBuf {
        self.data_root.join("layers")
    }

    /// The layer between an image and what a container writes: places for mounts.
    pub fn init_layer(&self) -> PathBuf {
        self.data_root.join("init")
    }

    /// All container records.
    pub fn containers(&self) -> PathBuf {
        self.data_root.join("containers")
    }

    /// What is kept of one container.
    pub fn container(&self, id: &str) -> PathBuf {
        self.containers().join(id)
    }

    pub fn container_record(&self, id: &str) -> PathBuf {
        self.container(id).join("container.json")
    }

    /// The writable layer: overlayfs' upperdir.
    pub fn container_diff(&self, id: &str) -> PathBuf {
        self.container(id).join("diff")
    }

    /// overlayfs' workdir.
    pub fn container_work(&self, id: &str) -> PathBuf {
        self.container(id).join("work")
    }

    pub fn container_log(&self, id: &str) -> PathBuf {
        self.container(id).join(format!("{id}-json.log"))
    }

    /// What is remembered of containers until the next reboot.
    pub fn passing_records(&self) -> PathBuf {
        self.exec_root.join("records")
    }

    /// A container's record, where it is newer than the one on disk or all there is.
    pub fn passing_record(&self, id: &str) -> PathBuf {
        self.passing_records().join(format!("{id}.json"))
    }

    /// How a container ended. A daemon that comes back looks for it; after a reboot nobody does.
    pub fn container_exit(&self, id: &str) -> PathBuf {
        self.passing_records().join(format!("{id}.exit.json"))
    }

    /// What the swarm last wanted of this machine's networks: who is where, and what is called how.
    pub fn overlays(&self) -> PathBuf {
        self.exec_root.join("overlays.json")
    }

    /// The recorded kernel calls, one JSON object a line.
    pub fn container_actions(&self, id: &str) -> PathBuf {
        self.container(id).join("actions.jsonl")
    }

    /// The OCI bundles of running containers.
    pub fn bundles(&self) -> PathBuf {
        self.exec_root.join("containers")
    }

    pub fn bundle(&self, id: &str) -> PathBuf {
        self.bundles().join(id)
    }

    /// The shim's socket.
    pub fn shim_socket(&self, id: &str) -> PathBuf {
        self.bundle(id).join("shim.sock")
    }

    /// What the OCI runtime is given as `--root`.
    pub fn runtime_root(&self) -> PathBuf {
        self.exec_root.join("runtime")
    }

    pub fn volumes(&self) -> PathBuf {
        self.data_root.join("volumes")
    }

    pub fn volume(&self, name: &str) -> PathBuf {
        self.volumes().join(name)
    }

    /// The files of a volume.
    pub fn volume_data(&self, name: &str) -> PathBuf {
        self.volume(name).join("_data")
    }

    pub fn volume_record(&self, name: &str) -> PathBuf {
        self.volume(name).join("volume.json")
    }

    pub fn networks(&self) -> PathBuf {
        self.data_root.join("networks")
    }

    /// The record of a network.
    pub fn network(&self, id: &str) -> PathBuf {
        self.networks().join(format!("{id}.json"))
    }

    /// Secrets and configs of tasks: a file system in memory, mounted here while there are any.
    pub fn tasks(&self) -> PathBuf {
        self.exec_root.join("tasks")
    }

    /// This machine's part in a swarm: who it is there, its certificates, and a manager's log.
    pub fn swarm(&self) -> PathBuf {
        self.data_root.join("swarm")
    }

    /// What the host's network settings were before we changed them.
    pub fn host_settings(&self) -> PathBuf {
        self.data_root.join("host-settings.json")
    }

    /// All pinned network namespaces.
    pub fn sandboxes(&self) -> PathBuf {
        self.exec_root.join("netns")
    }

    /// The pin of one sandbox: its network namespace, bound to a file.
    pub fn netns(&self, id: &str) -> PathBuf {
        self.sandboxes().join(id)
    }

    /// The simulated nodes that this daemon hosts.
    pub fn cluster(&self) -> PathBuf {
        self.data_root.join("cluster")
    }

    pub fn cluster_record(&self) -> PathBuf {
        self.cluster().join("cluster.json")
    }

    /// The data root of a simulated node.
    pub fn cluster_node(&self, name: &str) -> PathBuf {
        self.cluster().join(name)
    }

    /// What lasts as long as the nodes of a cluster run.
    pub fn cluster_runs(&self) -> PathBuf {
        self.exec_root.join("cluster")
    }

    /// The exec root of a simulated node.
    pub fn cluster_run(&self, name: &str) -> PathBuf {
        self.cluster_runs().join(name)
    }

    /// Where a daemon that a client started writes what it has to say.
    pub fn daemon_log(&self) -> PathBuf {
        self.data_root.join("daemon.log")
    }

    /// Held by the client that starts a daemon, so that two do not start two.
    pub fn start_lock(&self) -> PathBuf {
        self.exec_root.join("start.lock")
    }

    /// Folders that `RUN --mount=type=cache` keeps between builds.
    pub fn build_caches(&self) -> PathBuf {
        self.data_root.join("build-cache")
    }

    pub fn build_cache(&self, id: &str) -> PathBuf {
        self.build_caches().join(id)
    }

    /// Half-made things; emptied at every start of the daemon.
    pub fn scratch(&self) -> PathBuf {
        self.data_root.join("tmp")
    }

    /// One daemon for each data root: who holds the lock on this file.
    pub fn lock(&self) -> PathBuf {
        self.data_root.join("daemon.lock")
    }

    /// What tells this engine from others, drawn once.
    pub fn engine_id(&self) -> PathBuf {
        self.data_root.join("engine-id")
    }

    pub fn pid_file(&self) -> PathBuf {
        self.exec_root.join("daemon.pid")
    }
}

/// Where the daemon listens by default: `/run/minidock.sock`, or below `$XDG_RUNTIME_DIR`.
pub fn default_socket(uid: u32) -> PathBuf {
    match uid {
        0 => "/run/minidock.sock".into(),
        _ => runtime_dir(uid).join("minidock.sock"),
    }
}

/// What the client keeps: contexts and settings, in `$MINIDOCK_CONFIG` or `~/.minidock`.
pub fn client_config() -> PathBuf {
    if let Some(folder) = std::env::var_os("MINIDOCK_CONFIG") {
        return folder.into();
    }
    std::env::var_os("HOME").map(PathBuf::from).unwrap_or_else(|| "/root".into()).join(".minidock")
}

fn runtime_dir(uid: u32) -> PathBuf {
    std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).unwrap_or_else(|| format!("/run/user/{uid}").into())
}
