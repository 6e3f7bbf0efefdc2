//! # Start: the chapter everything leads to
//!
//! From a record to a running program. The steps are few because each is another room:
//!
//! ```text
//!   1  may it start?           paused, running, being removed: no
//!   2  have a shim born        [`crate::nursery`]: the parent that will outlive us; it gets ready beside the next step
//!   3  its place on networks   [`join`]: addresses, ports, a sandbox with its cables, beside the next step
//!      write the bundle        [`bundle`]: image, users, mounts, limits → config.json
//!   4  connect who waits       clients that attached before the start lose no byte
//!   5  go                      the shim runs the runtime; a pid comes back, or the reason why not
//!   6  write it down, say so   record, "start", and [`crate::exits`] listens for the end
//! ```
//!
//! A start that fails leaves what Docker leaves: the container as it was (`Created` if it never ran), with the reason in `State.Error` and
//! 126 (not executable), 127 (not found) or 128 as its exit code. Nothing else: no process, no cgroup, no bundle.
//!
//! Laws: `life` is held from the first step to the last, so nobody removes or starts it meanwhile.
//! *See:* moby `daemon/start.go`, `setExitCodeFromError`. *Next room:* [`crate::exits`]

use crate::{
    Engine,
    container::{
        bundle, health, log_options, log_relay, publish, record::Phase, record::Record, recording::recorded, remove,
        store::Container, to_the_end,
    },
    exits,
    networks::{self, connect, join, overlay::attach},
    runtime_client,
    shim_client::{self, Happening, Shim},
    volumes,
};
use minidock_base::{Error, Kind, Result, clock};
use minidock_linux::proc::Process;
use minidock_shim::protocol::{Answer, Launch, Log, Request};
use std::sync::{Arc, atomic::Ordering};
use tokio::{sync::mpsc::UnboundedReceiver, task::spawn_blocking};

/// Starts a container that is not running.
///
/// # Errors
/// 304 when it runs already; 409 when it is paused or being removed; 400 for a program that cannot be found or executed.
pub async fn start(engine: &Arc<Engine>, text: &str) -> Result<()> {
    let (engine, text) = (engine.clone(), text.to_string());
    to_the_end(async move { steps(&engine, &text).await }).await
}

async fn steps(engine: &Arc<Engine>, text: &str) -> Result<()> {
    let container = engine.containers.find(text)?;
    let life = container.life.lock().await;
    may_start(&container.record())?;
    let started = begin(engine, &container, true).await;
    drop(life);
    if started.is_err() && container.record().host_config.auto_remove {
        remove::force(engine, &container).await;
    }
    started
}

fn may_start(record: &Record) -> Result<()> {
    match record.state.phase {
        Phase::Paused => Err(Error::conflict("cannot start a paused container, try unpause instead")),
        Phase::Running | Phase::Restarting => Err(Error::not_modified("container is already running")),
        Phase::Removing | Phase::Dead => Err(Error::conflict("container is marked for removal and cannot be started")),
        Phase::Created | Phase::Exited => Ok(()),
    }
}

/// The steps 2 to 6, with `life` held by the caller; `afresh` forgets earlier restarts.
pub(crate) async fn begin(engine: &Arc<Engine>, container: &Arc<Container>, afresh: bool) -> Result<()> {
    let record = container.record();
    let outcome = run(engine, container, &record).await;
    match outcome {
        Ok((pid, happenings)) => {
            let began = Process::read(pid).map_or(0, |p| p.started);
            container.stopping.store(false, Ordering::Relaxed);
            container.change(|r| {
                if afresh {
                    (r.restart_count, r.manually_stopped) = (0, false);
                }
                r.state.started(pid, began, clock::now())
            })?;
            volumes_mounted(engine, &record);
            publish(engine, &record, "start", &[]);
            health::begin(engine, container);
            exits::listen(engine, container, happenings);
            networks::refill(engine);
            Ok(())
        }
        Err(error) => Err(failed(engine, container, error).await),
    }
}

/// Tells which volumes are in use from now on.
fn volumes_mounted(engine: &Engine, record: &Record) {
    for point in record.mounts.iter().map(|m| &m.point).filter(|p| p.kind == "volume") {
        let writes = if point.rw { "true" } else { "false" };
        let more = [
            ("container", record.id.as_str()),
            ("destination", &point.destination),
            ("propagation", &point.propagation),
            ("read/write", writes),
        ];
        volumes::publish(engine, &point.name, "mount", &more);
    }
}

/// Shim and runtime: everything that can fail.
async fn run(
    engine: &Arc<Engine>,
    container: &Arc<Container>,
    record: &Arc<Record>,
) -> Result<(i32, UnboundedReceiver<Happening>)> {
    let born = shim_client::spawn(&engine.nursery, &record.id)?;
    let orders = join_networks_and_write_bundle(engine, container, record).await?;
    let (shim, shim_pid, happenings) = Shim::launch(born, orders).await?;
    let shim = Arc::new(shim);
    container.change_in_memory(|r| {
        (r.state.shim_pid, r.state.shim_began) = (shim_pid, Process::read(shim_pid).map_or(0, |p| p.started));
    });
    container.shim_stands(&shim).await;
    match shim.ask(Request::Start).await? {
        Answer::Started { pid } => Ok((pid, happenings)),
        other => Err(Error::system(format!("the shim answered start with {other:?}"))),
    }
}

/// Two things that need each other's plan but not each other's work, side by side; gives back the shim's orders.
async fn join_networks_and_write_bundle(
    engine: &Arc<Engine>,
    container: &Arc<Container>,
    record: &Arc<Record>,
) -> Result<Launch> {
    let given = attach::for_start(engine, record).await?;
    let (networking, standing) = join::plan(engine, record, &given)?;
    let pin = standing.pin.clone();
    let standing = engine.networks.stand(&container.id, standing);
    let placed = Arc::new(Record { networking: networking.clone(), ..Record::clone(record) });
    let (e, r, p) = (engine.clone(), placed.clone(), pin.clone());
    let network = spawn_blocking(move || match p {
        Some(pin) => {
            recorded(&e.paths, &r.id, || join::erect(&e.networks, &r, &mut standing.lock().expect("no holder panics"), &pin))
        }
        None => Ok(()),
    });
    let (e, c) = (engine.clone(), container.clone());
    let bundle = spawn_blocking(move || {
        // written down before its first process runs: should we die, the next daemon knows what it holds
        c.change_until_reboot(|r| {
            r.networking = networking;
            Ok(())
        })?;
        bundle::write(&e, &placed, pin.as_deref())?;
        launch(&e, &placed)
    });
    let (network, bundle) = tokio::join!(network, bundle);
    network.map_err(|_| Error::system("the thread that plugs cables in ended early"))??;
    let orders = bundle.map_err(|_| Error::system("the thread that writes bundles ended early"))??;
    networks::joined(engine, container);
    Ok(orders)
}

/// The shim's orders; a collector of its lines is looked up by name, which may take a while.
fn launch(engine: &Engine, record: &Record) -> Result<Launch> {
    let (paths, id) = (&engine.paths, record.id.as_str());
    let log = match record.host_config.log_config.kind.as_str() {
        "none" => None,
        _ => {
            let (max_size, max_file) = log_options::limits(&record.host_config.log_config)?;
            let (attrs, relay) = (log_options::attributes(record), log_relay::of(record)?);
            Some(Log { path: paths.container_log(id), max_size, max_file, attrs, relay })
        }
    };
    Ok(Launch {
        id: id.to_string(),
        bundle: paths.bundle(id),
        runtime: engine.options.runtime_program.clone(),
        runtime_root: paths.runtime_root(),
        socket: paths.shim_socket(id),
        exit_file: paths.container_exit(id),
        actions_file: Some(paths.container_actions(id)),
        cgroup: Some(bundle::cgroups_path(engine, record).into()),
        memory_is_free: record.host_config.resources.memory == 0 && record.host_config.resources.cgroup_parent.is_empty(),
        terminal: record.config.tty,
        console_size: record.host_config.console_size,
        open_stdin: record.config.open_stdin,
        stdin_once: record.config.stdin_once,
        log,
    })
}

/// Takes back what was made, and writes down why.
async fn failed(engine: &Arc<Engine>, container: &Arc<Container>, error: Error) -> Error {
    let (code, error) = verdict(error);
    container.set_shim(None);
    container.drop_waiting();
    let _ = runtime_client::call(engine, &["delete", "--force", &container.id], &[]).await; // usually the shim did it
    networks::leave(engine, container).await;
    let (e, id) = (engine.clone(), container.id.clone());
    let cleared = spawn_blocking(move || bundle::clear(&e, &id)).await;
    if let Ok(Err(error)) = cleared {
        tracing::warn!(id = container.id, "after a failed start: {}", error.message());
    }
    let saved = container.change(|r| {
        (r.state.shim_pid, r.state.shim_began) = (0, 0);
        (r.state.exit_code, r.state.error) = (code, error.message());
        connect::clean(&mut r.networking);
        Ok(())
    });
    if let Err(error) = saved {
        tracing::warn!(id = container.id, "after a failed start: {}", error.message());
    }
    error.during(format!("start container {}", container.record().name))
}

/// Docker's exit code for a start that failed, and what sort of refusal it is; decided, as there, by the words.
pub(crate) fn verdict(error: Error) -> (i64, Error) {
    let text = error.message().to_lowercase();
    let has = |words: &str| text.contains(words);
    match () {
        () if has("permission denied") => (126, error.with_kind(Kind::InvalidParameter)),
        () if has("is a directory") => {
            // clients tell 126 from 125 by these words, which Go's older errors had
            let both = Error::invalid(format!("{}: permission denied", error.message()));
            (126, both)
        }
        () if has("not a directory") => {
            let hint = "are you trying to mount a directory onto a file (or vice-versa)? check the host path and its type";
            (127, error.with_kind(Kind::InvalidParameter).hint(hint))
        }
        () if has("executable file not found") || has("no such file or directory") => {
            (127, error.with_kind(Kind::InvalidParameter))
        }
        () => (128, error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_is_missing_is_127_and_one_that_may_not_run_126() {
        let code = |text: &str| verdict(Error::system(text));
        let (missing, error) = code("exec: \"nosuch\": executable file not found in $PATH");
        assert_eq!((missing, error.kind()), (127, Kind::InvalidParameter));
        assert_eq!(code("exec: \"/etc/passwd\": permission denied").0, 126);
        assert_eq!(code("exec /: is a directory").1.message(), "exec /: is a directory: permission denied");
        assert_eq!(code("mount said EINVAL").0, 128);
    }
}
