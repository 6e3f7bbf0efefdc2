//! # Restore: the daemon was away
//!
//! It may have been killed at any line of any other room, minutes or a reboot ago. Three sources know what happened since:
//! the records on disk, the shims behind their sockets, and the kernel. They are matched here, container by container, and
//! what follows from the match is done by the same functions that run on an ordinary day.
//!
//! ```text
//!   record says        shim                     what is done
//!   ────────────────   ──────────────────────   ────────────────────────────────────────────────────
//!   anything           answers, process runs    adopted: running, listened to, attachable
//!   running, paused    answers, it has ended    listened to: the exit comes by the ordinary road
//!   running, paused    none, exit.json          the true code, then policy or --rm
//!   running, paused    none, nothing            processes left are killed: 137; none left: 255, nobody knows
//!   restarting         none                     started again
//!   created, exited    none, but a bundle       a start that was cut off: cleared
//!   exited             none                     `always`, `unless-stopped`: started; --rm: removed
//!   removing, dead     –                        removed
//!   unreadable         –                        set aside and reported; the others load
//!   (no record)        –                        a create or remove that was cut off: deleted
//! ```
//!
//! Laws: nothing here stops the daemon from starting. It may be run again and again.
//! *See:* design.md sections 2 and 11 · moby `daemon.restore`. *Next room:* [`crate::container`]

use crate::{
    Engine,
    container::{
        bundle, health,
        record::{Phase, Record},
        remove, restart, start,
        store::Container,
    },
    exits, networks, runtime_client,
    shim_client::{Happening, Shim},
};
use futures_util::future::join_all;
use minidock_base::{Doing, Result, clock, id, state_file};
use minidock_linux::proc::Process;
use minidock_shim::protocol::{Answer, Exit, Request};
use std::{
    fs,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{sync::mpsc::UnboundedReceiver, task::spawn_blocking};

/// What is written when nobody can know how a container ended.
const UNKNOWN: i32 = 255;
/// How long a start that is under way may take before we stop waiting for it.
const UNDER_WAY: Duration = Duration::from_secs(30);

/// Empties what holds half-made things; done before anything else is opened. The deleting itself goes on beside us.
///
/// # Errors
/// The folder cannot be read.
pub fn empty_scratch(scratch: &Path) -> Result<()> {
    let entries = fs::read_dir(scratch).doing(|| format!("read {}", scratch.display()))?;
    let old: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    if !old.is_empty() {
        std::thread::spawn(move || {
            for path in old {
                if let Err(error) = minidock_image::layers::remove_folder(&path) {
                    let why = error.message();
                    tracing::warn!(path = %path.display(), "a half-made thing could not be deleted: {why}");
                }
            }
        });
    }
    Ok(())
}

/// Matches records, shims and kernel, and goes on from there.
///
/// # Errors
/// The folder of all records cannot be read.
pub async fn restore(engine: &Arc<Engine>) -> Result<()> {
    let records = load_all(engine)?;
    let containers: Vec<_> = records.into_iter().map(|record| adopt_record(engine, record)).collect();
    clear_strangers(engine).await;
    let shims = join_all(containers.iter().map(|container| shim_of(engine, container))).await;
    let with_a_shim = containers.iter().zip(&shims).filter(|(_, shim)| shim.is_some());
    let (e, running) = (engine.clone(), with_a_shim.map(|(container, _)| container.clone()).collect::<Vec<_>>());
    if spawn_blocking(move || networks::restore::restore(&e, &running)).await.is_err() {
        tracing::error!("the thread that restores networks ended early");
    }
    join_all(containers.iter().zip(shims).map(|(container, shim)| one(engine, container, shim))).await;
    networks::refill(engine);
    tracing::info!(containers = containers.len(), "restored");
    Ok(())
}

/// Every record that can be read; the others are set aside.
fn load_all(engine: &Engine) -> Result<Vec<Record>> {
    let folder = engine.paths.containers();
    let mut records = Vec::new();
    for entry in fs::read_dir(&folder).doing(|| format!("read {}", folder.display()))?.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let files = [engine.paths.container_record(&name), engine.paths.passing_record(&name)];
        match files.iter().filter_map(|file| load(file, &name)).max_by_key(|record| record.revision) {
            Some(record) => records.push(record),
            None if entry.path().is_dir() && !was_set_aside(&entry.path()) => {
                tracing::warn!(id = name, "a container that was never finished: deleted");
                let away = engine.paths.scratch().join(format!("container-{}", id::random_id()));
                let _ = fs::rename(entry.path(), &away).map(|()| minidock_image::layers::remove_folder(&away)); // else next time
            }
            None => {}
        }
    }
    records.sort_by_key(|record| record.created);
    forget_strangers(&engine.paths.passing_records(), &records);
    Ok(records)
}

/// The record in this file, if there is one and it is this container's; any other is set aside.
fn load(file: &Path, name: &str) -> Option<Record> {
    match state_file::load::<Record>(file) {
        Ok(Some(record)) if record.id == name => return Some(record),
        Ok(Some(_)) => report(file, "it is the record of another container"),
        Ok(None) => {}
        Err(error) => report(file, &error.message()),
    }
    None
}

/// Removes what was to be remembered, until the next reboot, of containers that are no more.
fn forget_strangers(passing: &Path, records: &[Record]) {
    for entry in fs::read_dir(passing).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let id = name.split('.').next().unwrap_or_default();
        if !records.iter().any(|record| record.id == id) {
            let _ = fs::remove_file(entry.path()); // else next time
        }
    }
}

/// Sets a record aside and says so.
fn report(file: &Path, why: &str) {
    match state_file::set_aside(file) {
        Ok(aside) => tracing::error!(now = %aside.display(), why, "a container's record cannot be read and was set aside"),
        Err(error) => tracing::error!(why, "a container's record cannot be read: {}", error.message()),
    }
}

fn was_set_aside(folder: &Path) -> bool {
    let broken = |entry: fs::DirEntry| entry.file_name().to_string_lossy().contains(".broken-");
    fs::read_dir(folder).is_ok_and(|entries| entries.flatten().any(broken))
}

/// Shows the container to everybody; of two with one name the younger gets another.
fn adopt_record(engine: &Engine, mut record: Record) -> Arc<Container> {
    if engine.containers.is_taken(&record.name) {
        let other = format!("{}_{}", record.name, id::short(&record.id));
        tracing::warn!(id = record.id, name = record.name, now = other, "two containers of one name");
        record.name = other;
    }
    engine.containers.adopt(record)
}

/// Bundles and runtime states of containers that have no record: whatever runs there has no owner any more.
async fn clear_strangers(engine: &Arc<Engine>) {
    for folder in [engine.paths.bundles(), engine.paths.runtime_root()] {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let id = entry.file_name().to_string_lossy().into_owned();
            if engine.containers.get(&id).is_none() {
                tracing::warn!(id, "a container without a record: cleared");
                if let Ok((shim, _)) = Shim::find(&engine.paths.shim_socket(&id)).await {
                    let _ = shim.kill(None, 9).await; // it may have ended this moment
                }
                clear(engine, &id).await;
            }
        }
    }
}

async fn clear(engine: &Arc<Engine>, id: &str) {
    if let Err(error) = runtime_client::call(engine, &["delete", "--force", id], &[]).await {
        tracing::warn!(id, "{}", error.message());
    }
    if let Err(error) = bundle::clear(engine, id) {
        tracing::warn!(id, "{}", error.message());
    }
}

/// One container, matched with what is really there.
async fn one(engine: &Arc<Engine>, container: &Arc<Container>, shim: Option<Living>) {
    let record = container.record();
    if matches!(record.state.phase, Phase::Removing | Phase::Dead) {
        clear(engine, &record.id).await;
        return remove_later(engine, container);
    }
    match shim {
        Some((shim, happenings, pid)) => adopt_running(engine, container, shim, happenings, pid),
        None => without_shim(engine, container, &record).await,
    }
}

/// A shim that lives, what it reports, and its container's process.
type Living = (Shim, UnboundedReceiver<Happening>, i32);

/// The container's shim, if it lives and has or had a process: with its pid, 0 if that has ended.
async fn shim_of(engine: &Engine, container: &Container) -> Option<Living> {
    let record = container.record();
    if matches!(record.state.phase, Phase::Removing | Phase::Dead) {
        return None;
    }
    let (shim, happenings) = Shim::find(&engine.paths.shim_socket(&record.id)).await.ok()?;
    let began = Instant::now();
    loop {
        match shim.ask(Request::State).await {
            Ok(Answer::State { pid, exit, .. }) if pid > 0 || exit.is_some() => return Some((shim, happenings, pid)),
            Ok(_) if began.elapsed() < UNDER_WAY => tokio::time::sleep(Duration::from_millis(50)).await,
            _ => return None, // it waited for a start that never came, and goes; or it is gone
        }
    }
}

fn adopt_running(
    engine: &Arc<Engine>,
    container: &Arc<Container>,
    shim: Shim,
    happenings: UnboundedReceiver<Happening>,
    pid: i32,
) {
    let adopted = container.change(|r| {
        if !r.state.has_process() {
            // the daemon died between the start and writing it down
            let began = Process::read(pid).map_or(0, |p| p.started);
            r.state.started(pid, began, clock::now())?;
        }
        Ok(())
    });
    if let Err(error) = adopted {
        tracing::error!(id = container.id, "{}", error.message());
    }
    container.set_shim(Some(Arc::new(shim)));
    health::resume(engine, container);
    exits::listen(engine, container, happenings);
}

async fn without_shim(engine: &Arc<Engine>, container: &Arc<Container>, record: &Record) {
    let state = &record.state;
    if state.has_process() {
        let exit = how_it_ended(engine, record).await;
        let restarts = exits::write_down(engine, container, &exit);
        return match restarts {
            Some(wait) => restart::later(engine, container, wait),
            None if record.host_config.auto_remove => remove_later(engine, container),
            None => start_if_wanted(engine, container),
        };
    }
    if engine.paths.bundle(&record.id).exists() {
        clear(engine, &record.id).await;
    }
    match state.phase {
        Phase::Restarting => restart::later(engine, container, Duration::ZERO),
        Phase::Exited if record.host_config.auto_remove => remove_later(engine, container),
        Phase::Exited => start_if_wanted(engine, container),
        _ => {}
    }
}

/// The exit code of a container that was running when we last looked, and whose shim is gone.
async fn how_it_ended(engine: &Arc<Engine>, record: &Record) -> Exit {
    let written = state_file::load::<Exit>(&engine.paths.container_exit(&record.id)).ok().flatten();
    let alive = exits::is_alive(record.state.pid, record.state.pid_began);
    exits::kill_orphans(engine, record).await;
    if let Err(error) = bundle::clear(engine, &record.id) {
        tracing::warn!(id = record.id, "{}", error.message());
    }
    let code = if alive { 137 } else { UNKNOWN };
    written.unwrap_or_else(|| Exit { code, at: clock::rfc3339(clock::now()), oom_killed: record.state.oom_killed })
}

/// `always` and `unless-stopped` bring a container back when the daemon comes back.
fn start_if_wanted(engine: &Arc<Engine>, container: &Arc<Container>) {
    let record = container.record();
    let policy = &record.host_config.restart_policy;
    let by_hand = record.manually_stopped && policy.name != "always";
    if record.state.started_at.is_none() || !restart::wanted(policy, record.state.exit_code, by_hand, record.restart_count) {
        return;
    }
    let (engine, id) = (engine.clone(), container.id.clone());
    tokio::spawn(async move {
        if let Err(error) = start::start(&engine, &id).await {
            tracing::warn!(id, "its restart policy wants it, but: {}", error.message());
        }
    });
}

fn remove_later(engine: &Arc<Engine>, container: &Arc<Container>) {
    let (engine, container) = (engine.clone(), container.clone());
    tokio::spawn(async move { remove::force(&engine, &container).await });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_with_a_broken_record_is_kept() {
        let folder = tempfile::tempdir().expect("a folder");
        assert!(!was_set_aside(folder.path()));
        fs::write(folder.path().join("container.json.broken-0"), "{").expect("room");
        assert!(was_set_aside(folder.path()));
    }

    #[test]
    fn scratch_is_emptied_at_every_start() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::create_dir_all(folder.path().join("half/made")).expect("room");
        empty_scratch(folder.path()).expect("readable");
        let deadline = Instant::now() + Duration::from_secs(5);
        while fs::read_dir(folder.path()).expect("readable").count() > 0 {
            assert!(Instant::now() < deadline, "scratch was not emptied");
            std::thread::yield_now();
        }
    }
}
