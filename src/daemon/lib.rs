//! # The daemon: the house is built here
//!
//! The long-lived one of the four costumes. It reads its settings, opens its doors, takes the data root for itself, opens the
//! engine (which finds again whatever ran while no daemon was there), and serves until somebody ends it. It is the only place
//! that knows all departments, and it decides nothing.
//!
//! ```text
//!   main ──► settings ──► listeners ──► engine::Engine::open ──► "API listen on …" ──► one task a connection
//!            flags, file   sockets 0660  lock, folders, restore                         api::serve
//!                                                                                        │
//!   SIGTERM, SIGINT, POST /minidock/stop ──► closing ──► answers finished, streams cut ◄─┘
//!                                                        containers go on: their shims are not our children to kill
//! ```
//!
//! * [`settings`]: the flags, and the file with the same words.
//! * [`listen`]: addresses become listeners; who may connect.
//! * [`notify`]: telling systemd, if it asks, that we stand. [`remap`]: who root of a container is outside. `quiet`: memory given back.
//!
//! Laws:
//! * Nothing async and no thread exists before the settings are read; memory and threads are bounded here, once.
//! * Ending is orderly but never waits long ([`PATIENCE`]): what must survive is on disk already, for we may be killed at any line.
//! * SIGHUP does nothing: a terminal that closes must not take the containers' keeper along.
//!
//! *In the real world* dockerd starts containerd, loads plugins and reloads its file on SIGHUP.
//! *See:* daemon(7) · moby `cmd/dockerd/daemon.go`. Next room: [`settings`]

pub mod listen;
pub mod notify;
mod quiet;
pub mod remap;
pub mod settings;
pub mod swarm;

use listen::Listener;
use minidock_api::House;
use minidock_base::{Doing, Result};
use minidock_cluster::Cluster;
use minidock_engine::{Engine, Options};
use minidock_registry::client::Client;
use settings::{Settings, Wish};
use std::{ffi::OsString, fs, time::Duration};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing_subscriber::{filter::Targets, layer::SubscriberExt, util::SubscriberInitExt};

/// How long an ending daemon waits for answers that are under way.
const PATIENCE: Duration = Duration::from_secs(2);

/// The daemon's costume: `args` are the words behind `minidock daemon`. Gives back the exit status.
pub fn main(args: Vec<OsString>) -> i32 {
    let mut settings = match settings::read(args) {
        Ok(Wish::Run(settings)) => settings,
        Ok(Wish::Print(text, status)) => {
            match status {
                0 => print!("{text}"),
                _ => eprint!("{text}"),
            }
            return status;
        }
        Err(error) => return tell(&error),
    };
    // what our caller had open is not ours to hold: its pipe would never end, its mount never be free
    let _ = minidock_linux::fds::close_from(3);
    // run from a read-only clone of our mount: all that we start as /proc/self/exe is protected, too, and need not execute
    // itself once more for each container; where that cannot be had, the runtime sees to it by itself
    let _ = minidock_linux::exec::protect_self();
    let _ = minidock_linux::limits::raise_files(); // containers get the old limit: engine::nursery
    minidock_linux::malloc::limit_arenas(2);
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_target(false).with_ansi(false);
    tracing_subscriber::registry().with(lines).with(volume(settings.log_level)).init();
    if let Err(error) = remap::apply(&mut settings) {
        return tell(&error);
    }
    let threads = std::thread::available_parallelism().map_or(2, |n| n.get().clamp(2, 4));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads)
        .thread_name("minidock")
        .thread_stack_size(1 << 20)
        .thread_keep_alive(Duration::from_secs(3))
        .enable_all()
        .build();
    let ended = runtime.doing(|| "start the daemon's threads").and_then(|runtime| {
        let ended = runtime.block_on(run(&settings));
        runtime.shutdown_timeout(Duration::from_millis(100));
        ended
    });
    match ended {
        Ok(()) => 0,
        Err(error) => tell(&error),
    }
}

/// How much each part says: consensus tells every heartbeat and every vote, which only who looks for its faults wants to read.
fn volume(level: tracing::Level) -> Targets {
    let raft = match level {
        tracing::Level::DEBUG | tracing::Level::TRACE => tracing::Level::INFO,
        _ => tracing::Level::ERROR,
    };
    Targets::new().with_default(level).with_target("openraft", raft)
}

/// From open engine to orderly end.
async fn run(settings: &Settings) -> Result<()> {
    let mut ends = Ends::new()?;
    // the doors first: an address that is refused must not cost anybody's containers a restore; who comes early waits
    let mut listeners = Vec::new();
    for host in &settings.hosts {
        listeners.push(listen::open(host, &settings.group).await.doing(|| "start the daemon")?);
    }
    let options = Options {
        bridges: settings.bridges,
        images_from: settings.images_from.clone(),
        cpus: settings.cpus,
        memory: settings.memory,
        labels: settings.labels.clone(),
        ..Options::new(settings.paths.clone())
    };
    let engine = Engine::open(options).await.doing(|| "start the daemon")?;
    minidock_build::prune::sweep(&engine).await;
    let cluster = Cluster::open(&settings.paths).doing(|| "start the daemon")?;
    fs::write(&settings.pid_file, format!("{}\n", std::process::id()))
        .doing(|| format!("write {}", settings.pid_file.display()))?;
    let (closing, connections) = (CancellationToken::new(), TaskTracker::new());
    let registry = Client::new(settings.registry.clone());
    let swarm = swarm::open(settings, &engine, &registry, &closing).await?;
    let house = House { engine, registry, cluster, swarm: swarm.clone() };
    for listener in listeners {
        tracing::info!("API listen on {}", listener.address());
        tokio::spawn(accept(listener, house.clone(), closing.clone(), connections.clone()));
    }
    notify::systemd("READY=1");
    tokio::spawn(quiet::watch());
    tokio::select! {
        name = ends.next() => tracing::info!("{name}: the daemon ends, containers go on"),
        () = closing.cancelled() => tracing::info!("asked to stop: the daemon ends, containers go on"),
    }
    notify::systemd("STOPPING=1");
    closing.cancel();
    connections.close();
    if tokio::time::timeout(PATIENCE, connections.wait()).await.is_err() {
        tracing::debug!("some streams were cut");
    }
    swarm.stop().await;
    // a pid file that cannot be removed does no harm: the lock counts
    let _ = fs::remove_file(&settings.pid_file);
    Ok(())
}

/// Takes connections until the daemon ends; the listener's socket file goes with it.
async fn accept(listener: Listener, house: House, closing: CancellationToken, connections: TaskTracker) {
    loop {
        let taken = tokio::select! {
            taken = listener.accept() => taken,
            () = closing.cancelled() => return,
        };
        match taken {
            Ok(socket) => {
                connections.spawn(minidock_api::serve(house.clone(), socket, closing.clone()));
            }
            Err(error) => {
                // out of descriptors, mostly: those who are being served will give some back
                tracing::warn!(%error, "a connection could not be taken");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

/// The signals that end a daemon.
struct Ends {
    terminate: Signal,
    interrupt: Signal,
    /// Taken and thrown away.
    hangup: Signal,
}

impl Ends {
    fn new() -> Result<Ends> {
        let on = |kind| signal(kind).doing(|| "listen for signals");
        Ok(Ends {
            terminate: on(SignalKind::terminate())?,
            interrupt: on(SignalKind::interrupt())?,
            hangup: on(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> &'static str {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return "SIGTERM",
                _ = self.interrupt.recv() => return "SIGINT",
                _ = self.hangup.recv() => tracing::debug!("SIGHUP: nothing to do"),
            }
        }
    }
}

fn tell(error: &minidock_base::Error) -> i32 {
    eprintln!("minidock: {error}");
    1
}
