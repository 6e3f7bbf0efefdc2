//! # Exits: what follows when a container dies
//!
//! A program ends: by itself, by a signal, by the kernel's memory killer, or because its shim was killed and with it
//! everything. The shim tells us (or its silence does), and what follows is always the same, in this order:
//!
//! ```text
//!   Exited ─► off its networks ─► record: code, time ─► who waits is woken ─► "stop" if somebody asked for it ─► "die"
//!                                                                                                                 │
//!   Gone ───► runtime's leftovers are away ─► bundle removed ─► restart policy? ── yes ─► back-off, start again ◄─┘
//!                                                                     └─ no ──► --rm? ─► remove ─► "destroy"
//! ```
//!
//! * [`listen`] is one task for each running container; it ends with its shim.
//! * A shim that goes without a word leaves `exit.json`, or nothing: then the container's processes are killed, and the
//!   code is 137, for that is how they ended.
//!
//! Laws: ports and addresses are free before anybody is told that it has ended; `life` is held from the exit until the leftovers are away, so that nobody starts or removes a container whose
//! cgroup is still there. *See:* moby `daemon/monitor.go`. *Next room:* [`crate::container::restart`]

use crate::{
    Engine,
    container::{
        bundle, health, publish,
        record::{Phase, Record},
        remove, restart,
        store::{Container, Kept},
    },
    networks::{self, connect},
    runtime_client,
    shim_client::Happening,
    volumes,
};
use minidock_base::{clock, state_file};
use minidock_linux::{proc::Process, signal};
use minidock_shim::protocol::{Event, Exit};
use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};
use tokio::{sync::mpsc::UnboundedReceiver, task::spawn_blocking, time::timeout};

/// How long a shim may take to clear up after the exit.
const LEFTOVERS: Duration = Duration::from_secs(10);

/// Listens to a running container until its end, and sees to what follows.
pub(crate) fn listen(engine: &Arc<Engine>, container: &Arc<Container>, mut happenings: UnboundedReceiver<Happening>) {
    let (engine, container) = (engine.clone(), container.clone());
    tokio::spawn(async move {
        while let Some(happening) = happenings.recv().await {
            match happening {
                Happening::Event(Event::Exited(exit)) => return ended(&engine, &container, Some(exit), happenings).await,
                Happening::Gone => return ended(&engine, &container, None, happenings).await,
                Happening::Event(Event::ExecExited { exec, code }) => engine.execs.ended(&engine, &exec, code),
                Happening::Event(Event::OutOfMemory) => out_of_memory(&engine, &container),
            }
        }
    });
}

fn out_of_memory(engine: &Engine, container: &Container) {
    container.change_in_memory(|record| record.state.oom_killed = true);
    publish(engine, &container.record(), "oom", &[]);
}

/// The end of a container's process, told by its shim or by the shim's silence.
async fn ended(engine: &Arc<Engine>, container: &Arc<Container>, exit: Option<Exit>, rest: UnboundedReceiver<Happening>) {
    let life = container.life.lock().await;
    let record = container.record();
    if !record.state.has_process() {
        return; // told twice: somebody else saw to it
    }
    health::end(container);
    let told = exit.is_some();
    let exit = match exit {
        Some(exit) => exit,
        None => without_a_word(engine, &record).await,
    };
    networks::leave(engine, container).await;
    let restarts = write_down(engine, container, &exit);
    container.set_shim(None);
    clear_up(engine, container, told.then_some(rest)).await;
    engine.execs.container_ended(engine, &container.id);
    drop(life);
    match restarts {
        Some(wait) => restart::later(engine, container, wait),
        None => remove_if_asked(engine, container).await,
    }
}

/// Record, waiters, events. Gives back how long the restart policy wants to wait, if it wants to start it again.
pub(crate) fn write_down(engine: &Engine, container: &Container, exit: &Exit) -> Option<Duration> {
    let record = container.record();
    let at = exit.at.parse().unwrap_or_else(|_| clock::now());
    let ran = record.state.started_at.map_or(Duration::ZERO, |began| at.duration_since(began).try_into().unwrap_or_default());
    let code = i64::from(exit.code);
    let restarts = restart::decide(container, &record, code, ran);
    let next = if restarts.is_some() { Phase::Restarting } else { Phase::Exited };
    let passing = restarts.is_none() && goes_with_its_process(container, &record);
    let kept = if passing { Kept::InMemory } else { Kept::OnDisk };
    let written = container.change_and_count(kept, |r| {
        if restarts.is_some() {
            r.restart_count += 1;
        }
        connect::clean(&mut r.networking);
        r.state.ended(next, code, exit.oom_killed || r.state.oom_killed, at)
    });
    if let Err(error) = written {
        tracing::error!(id = container.id, "an exit could not be written down: {}", error.message());
    }
    for mount in record.mounts.iter().filter(|m| m.point.kind == "volume") {
        volumes::publish(engine, &mount.point.name, "unmount", &[("container", &record.id)]);
    }
    if container.stopping.swap(false, Ordering::Relaxed) {
        publish(engine, &record, "stop", &[]);
    }
    publish(engine, &record, "die", &[("exitCode", code.to_string()), ("execDuration", ran.as_secs().to_string())]);
    restarts
}

/// The shim is gone and told nothing: what it wrote down, or the worst.
async fn without_a_word(engine: &Arc<Engine>, record: &Record) -> Exit {
    tracing::warn!(id = record.id, "the shim is gone");
    let written = state_file::load::<Exit>(&engine.paths.container_exit(&record.id)).ok().flatten();
    kill_orphans(engine, record).await;
    let now = || clock::rfc3339(clock::now());
    written.unwrap_or_else(|| Exit { code: 137, at: now(), oom_killed: record.state.oom_killed })
}

/// Kills a container that has lost its shim: its first process (if the number still means the same), then all the rest by
/// way of the runtime, which knows the cgroup.
pub(crate) async fn kill_orphans(engine: &Engine, record: &Record) {
    if is_alive(record.state.pid, record.state.pid_began) {
        let _ = signal::kill(record.state.pid, 9); // it may have ended this moment
    }
    if is_alive(record.state.shim_pid, record.state.shim_began) {
        let _ = signal::kill(record.state.shim_pid, 9);
    }
    if let Err(error) = runtime_client::call(engine, &["delete", "--force", &record.id], &[]).await {
        tracing::warn!(id = record.id, "clearing up after a lost shim: {}", error.message());
    }
}

/// Whether this number is still the process that had it.
pub(crate) fn is_alive(pid: i32, began: u64) -> bool {
    pid > 0 && Process::read(pid).is_some_and(|process| process.started == began && !process.is_over())
}

/// Waits for the shim's last words, then removes the bundle.
async fn clear_up(engine: &Arc<Engine>, container: &Container, rest: Option<UnboundedReceiver<Happening>>) {
    if let Some(mut rest) = rest {
        let gone = async {
            while let Some(Happening::Event(event)) = rest.recv().await {
                if let Event::ExecExited { exec, code } = event {
                    engine.execs.ended(engine, &exec, code);
                }
            }
        };
        if timeout(LEFTOVERS, gone).await.is_err() {
            kill_orphans(engine, &container.record()).await;
        }
    }
    let (e, id) = (engine.clone(), container.id.clone());
    if let Ok(Err(error)) = spawn_blocking(move || bundle::clear(&e, &id)).await {
        tracing::warn!(id = container.id, "{}", error.message());
    }
}

/// `--rm`: the container goes with its process, unless it is only being restarted.
fn goes_with_its_process(container: &Container, record: &Record) -> bool {
    record.host_config.auto_remove && !container.restarting_by_hand.load(Ordering::Relaxed)
}

/// Removes a container that goes with its process.
pub(crate) async fn remove_if_asked(engine: &Arc<Engine>, container: &Arc<Container>) {
    if goes_with_its_process(container, &container.record()) {
        remove::force(engine, container).await;
    }
}
