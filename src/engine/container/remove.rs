//! # Remove: undo create, in reverse
//!
//! What create made is taken away: the record's folder with the writable layer and the log, the name, the anonymous volumes if
//! wished. A running container is refused, or with `force` killed first.
//!
//! ```text
//!   Removing ─► folder renamed into tmp/ ─► forgotten: name free, who waits is told ─► "destroy" ─► tmp/ deleted
//! ```
//!
//! Laws: the renaming is the removal. It is one step, so a crash leaves the container whole or gone, never half; the deleting
//! itself may take long (or fail, then the next start of the daemon does it) and nobody waits for it with a lock in hand.
//! *See:* moby `daemon/delete.go`. *Next room:* [`crate::container::rename`]

use crate::{
    Engine,
    container::{bundle, publish, record::Phase, stop, store::Container, to_the_end},
    images,
    networks::links,
    volumes,
};
use minidock_base::{Doing, Error, Kind, Result, id};
use minidock_image::layers::remove_folder;
use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    sync::Arc,
};
use tokio::task::spawn_blocking;

/// How thoroughly.
#[derive(Clone, Copy, Debug, Default)]
pub struct Removal {
    /// Kill it first, if it runs.
    pub force: bool,
    /// Its anonymous volumes too.
    pub volumes: bool,
    /// Only a link of the default network: `CONTAINER/ALIAS`.
    pub link: bool,
}

/// Removes a container.
///
/// # Errors
/// 409 while it runs (without `force`), or while somebody else removes it.
pub async fn remove(engine: &Arc<Engine>, text: &str, how: Removal) -> Result<()> {
    if how.link {
        return links::cut(engine, text).map_err(|e| e.during(format!("remove link {text}")));
    }
    let container = engine.containers.find(text)?;
    let engine = engine.clone();
    let removing = to_the_end(async move { whole(&engine, &container, how).await });
    removing.await.map_err(|e| e.during(format!("remove container {text}")))
}

/// `--rm`, and what is left of a start that failed: nobody asked, so nobody is told but the log.
pub(crate) async fn force(engine: &Arc<Engine>, container: &Arc<Container>) {
    let how = Removal { force: true, volumes: true, link: false };
    match whole(engine, container, how).await {
        Err(error) if error.kind() != Kind::Conflict => {
            tracing::warn!(id = container.id, "could not remove it: {}", error.message());
        }
        _ => {}
    }
}

async fn whole(engine: &Arc<Engine>, container: &Arc<Container>, how: Removal) -> Result<()> {
    let mut life = container.life.lock().await;
    loop {
        let state = container.record().state.clone();
        if engine.containers.get(&container.id).is_none() {
            return match how.force {
                true => Ok(()),
                false => Err(Error::not_found(format!("No such container: {}", container.id))),
            };
        }
        match state.phase {
            Phase::Removing if !how.force => {
                return Err(Error::conflict(format!("removal of container {} is already in progress", container.id)));
            }
            Phase::Paused if !how.force => {
                return Err(
                    Error::conflict("container is paused and must be unpaused first").hint("minidock unpause, or rm --force")
                );
            }
            _ if state.is_running() && !how.force => {
                let word = state.phase.word();
                return Err(Error::conflict(format!(
                    "container is {word}: stop the container before removing or force remove"
                ))
                .hint("minidock stop, or rm --force"));
            }
            _ if state.is_running() => {
                drop(life);
                stop::at_once(engine, container).await?;
                life = container.life.lock().await;
            }
            _ => break,
        }
    }
    container.change_in_memory(|r| r.state.become_phase(Phase::Removing))?;
    let away = take_away(engine, container).await;
    drop(life);
    let away = away.inspect_err(|_| mark_dead(container))?;
    if how.volumes {
        remove_volumes(engine, container).await;
    }
    engine.execs.forget_container(&container.id);
    if let Err(error) = images::release(engine).await {
        tracing::warn!("an image that only this container kept could not be let go of: {}", error.message());
    }
    match wrote_nothing(&away) {
        true => engine.janitor.later(away),
        false => delete(away).await?,
    }
    Ok(())
}

/// The folder leaves its place in one step; then the container is forgotten.
async fn take_away(engine: &Arc<Engine>, container: &Arc<Container>) -> Result<PathBuf> {
    let (e, c) = (engine.clone(), container.clone());
    let work = move || {
        bundle::clear(&e, &c.id)?;
        for passing in [e.paths.passing_record(&c.id), e.paths.container_exit(&c.id)] {
            let _ = fs::remove_file(passing); // most often one of them is not there
        }
        let away = e.paths.scratch().join(format!("container-{}", id::random_id()));
        match fs::rename(e.paths.container(&c.id), &away) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error).doing(|| "move its folder away"),
            _ => {}
        }
        if !c.record().host_config.auto_remove {
            // whoever said `rm` shall not meet it again after a power cut; what goes by itself would then be gone anyway
            if let Err(error) = File::open(e.paths.containers()).and_then(|folder| folder.sync_all()) {
                tracing::warn!(%error, "a removal has not reached the disk yet");
            }
        }
        Ok(away)
    };
    let away = spawn_blocking(work).await.map_err(|_| Error::system("the thread that removes ended early"))??;
    engine.containers.forget(container);
    publish(engine, &container.record(), "destroy", &[]);
    Ok(away)
}

fn mark_dead(container: &Container) {
    // written to the disk, so that a daemon that comes back tries again
    if let Err(error) = container.change(|r| r.state.become_phase(Phase::Dead)) {
        tracing::warn!(id = container.id, "{}", error.message());
    }
}

/// Anonymous volumes that nobody else uses.
async fn remove_volumes(engine: &Arc<Engine>, container: &Container) {
    for mount in container.record().mounts.iter().filter(|m| m.anonymous) {
        match volumes::remove(engine, &mount.point.name, true).await {
            Err(error) if error.kind() != Kind::Conflict => {
                tracing::warn!(volume = mount.point.name, "could not remove it: {}", error.message());
            }
            _ => {}
        }
    }
}

/// Whether the writable layer that was taken away is empty and the log small: then deleting it frees no space.
fn wrote_nothing(away: &Path) -> bool {
    const SMALL: u64 = 1 << 20;
    let size = |entry: fs::DirEntry| entry.metadata().map_or(0, |facts| facts.len());
    let diff_is_empty = fs::read_dir(away.join("diff")).is_ok_and(|mut entries| entries.next().is_none());
    diff_is_empty && fs::read_dir(away).is_ok_and(|entries| entries.flatten().map(size).sum::<u64>() < SMALL)
}

async fn delete(away: PathBuf) -> Result<()> {
    // not fs::remove_dir_all: a program may have nested folders deeper than descriptors reach
    let work = move || remove_folder(&away).doing(|| format!("delete its files, now in {}", away.display()));
    spawn_blocking(work).await.map_err(|_| Error::system("the thread that deletes ended early"))?
}
