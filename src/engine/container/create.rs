//! # Create: check, fill in, write the record
//!
//! A container exists from the moment its record is on disk; nothing runs yet. Creating is therefore mostly asking: does
//! the image exist, do the wishes make sense, is the name free? Then a few folders and files are made, and the record is
//! written last, because the record is the promise.
//!
//! ```text
//!  body ─► image? ─► merge image's defaults ─► checks ─► fill in ─► name ─► volumes ─► folders, copy-up ─► record ─► "create"
//!           404        [`image_defaults`]     [`checks`]            409    [`mounts`]   [`copy_up`]
//! ```
//!
//! Laws: whatever fails takes back what was made before it, in reverse: folders, volumes, the name. A 404 from here means
//! "no such image" and nothing else, for clients answer it with a pull.
//! *See:* moby `daemon/create.go`. *Next room:* [`crate::container::start`]

use crate::{
    Engine,
    container::{
        checks, copy_up, etc_files, image_defaults,
        mounts::{self, Plan},
        publish,
        record::{Record, State},
        recording::recorded,
        snapshot, to_the_end,
    },
    networks::{links, place::Networking, wishes},
    oci_config::security,
};
use minidock_base::{Doing, Error, Result, clock, id};
use minidock_image::layers::remove_folder;
use minidock_linux::files;
use minidock_network::hosts;
use minidock_spec::{
    engine::container::{ContainerConfig, CreateBody, Created, HostConfig},
    image::ImageConfig,
};
use std::{fs, os::fd::AsFd, sync::Arc};
use tokio::task::spawn_blocking;

/// Makes a container, not yet running.
///
/// # Errors
/// 404 `No such image: x`; 409 for a name in use; 400 and 501 as [`checks`] say; what the disk says.
pub async fn create(engine: &Arc<Engine>, name: Option<&str>, body: CreateBody, platform: Option<&str>) -> Result<Created> {
    let (engine, name, platform) = (engine.clone(), name.map(str::to_string), platform.map(str::to_string));
    to_the_end(async move { steps(&engine, name.as_deref(), body, platform.as_deref()).await }).await
}

async fn steps(engine: &Arc<Engine>, name: Option<&str>, body: CreateBody, platform: Option<&str>) -> Result<Created> {
    let CreateBody { mut config, mut host_config, networking_config } = body;
    let image = snapshot::image(engine, &config.image).await?;
    right_platform(&config.image, &image.config, platform)?;
    image_defaults::merge(&mut config, &image.config.config)?;
    hosts::extra(host_config.extra_hosts.as_deref().unwrap_or_default(), &etc_files::gateways(engine))?;
    let warnings = checks::settings(&mut config, &mut host_config, &engine.host)?;
    let places = wishes::settle(&engine.networks, &config, &mut host_config, networking_config)?;
    links::settle(engine, &mut host_config)?;
    let id = id::random_id();
    fill_in(engine, &id, &mut config, &mut host_config)?;
    let reservation = engine.containers.reserve(name, &id)?;
    let (path, args) = image_defaults::program(&config).ok_or_else(|| Error::invalid("no command specified"))?;
    let mut plan = mounts::plan(engine, &config, &host_config).await?;
    mounts::hide(&plan, &mut host_config);
    let record = Record {
        revision: 0,
        id: id.clone(),
        name: reservation.name.clone(),
        created: clock::now(),
        image: image.id.clone(),
        config,
        host_config,
        networking: Networking { places, ..Networking::default() },
        path,
        args,
        mounts: std::mem::take(&mut plan.mounts),
        state: State::default(),
        restart_count: 0,
        manually_stopped: false,
        health: None,
    };
    match make(engine, record, image).await {
        Ok(record) => {
            reservation.keep();
            publish(engine, &record, "create", &[]);
            Ok(Created { id, warnings })
        }
        Err(error) => {
            undo(engine, &id, plan).await;
            Err(error)
        }
    }
}

/// Whether the image is for the machine that was asked for.
fn right_platform(name: &str, image: &ImageConfig, wanted: Option<&str>) -> Result<()> {
    let Some(wanted) = wanted.filter(|p| !p.is_empty()) else { return Ok(()) };
    let mut parts = wanted.split('/');
    let fits = |part: Option<&str>, is: &str| part.is_none_or(|p| p == is || (p == "x86_64" && is == "amd64"));
    if fits(parts.next(), &image.os) && fits(parts.next(), &image.architecture) {
        return Ok(());
    }
    Err(Error::not_found(format!(
        "image with reference {name} was found but its platform ({}/{}) does not match the specified platform ({wanted})",
        image.os, image.architecture
    )))
}

/// What Docker fills in, so that `inspect` tells the whole truth.
fn fill_in(engine: &Engine, id: &str, config: &mut ContainerConfig, wishes: &mut HostConfig) -> Result<()> {
    let shared = wishes.network_mode.strip_prefix("container:").map(str::to_string);
    if config.hostname.is_empty() {
        config.hostname = match (&shared, wishes.network_mode.as_str(), wishes.uts_mode.as_str()) {
            (Some(other), ..) => engine.containers.find(other).map(|c| c.record().config.hostname.clone()).unwrap_or_default(),
            (None, "host", _) | (None, _, "host") => machine_name(),
            _ => id::short(id).to_string(),
        };
    }
    let default = |text: &mut String, value: &str| {
        if text.is_empty() {
            *text = value.to_string();
        }
    };
    default(&mut wishes.log_config.kind, "json-file");
    default(&mut wishes.restart_policy.name, "no");
    default(&mut wishes.ipc_mode, "private");
    default(&mut wishes.cgroupns_mode, if engine.host.cgroup_v2 { "private" } else { "host" });
    default(&mut wishes.runtime, "runc");
    if wishes.shm_size == 0 {
        wishes.shm_size = 64 << 20;
    }
    // another container may be renamed: from now on it is known by its id
    for mode in [&mut wishes.network_mode, &mut wishes.pid_mode, &mut wishes.ipc_mode] {
        if let Some(other) = mode.strip_prefix("container:").and_then(|name| engine.containers.find(name).ok()) {
            *mode = format!("container:{}", other.id);
        }
    }
    security::fill_in_paths(wishes, &engine.host)
}

fn machine_name() -> String {
    fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_string()
}

/// Folders, copies and the record itself.
async fn make(engine: &Arc<Engine>, record: Record, image: snapshot::Image) -> Result<Arc<Record>> {
    let engine = engine.clone();
    let work = move || {
        let id = record.id.clone();
        let steps = || -> Result<()> {
            snapshot::prepare(&engine.paths, &id, &image)?;
            copy_into_volumes(&record, &image)
        };
        snapshot::folder(&engine.paths.container(&id), 0o710)?;
        recorded(&engine.paths, &id, steps)?;
        engine.containers.insert(record).map(|container| container.record())
    };
    spawn_blocking(work).await.map_err(|_| Error::system("the thread that makes containers ended early"))?
}

fn copy_into_volumes(record: &Record, image: &snapshot::Image) -> Result<()> {
    let volumes: Vec<_> =
        record.mounts.iter().filter(|m| m.point.kind == "volume" && !m.no_copy && m.subpath.is_empty()).collect();
    if volumes.is_empty() {
        return Ok(());
    }
    let root = snapshot::read_only_root(&image.lower, None)?;
    for volume in volumes {
        let place = &volume.point.destination;
        let at = files::openat2(&root, place.trim_start_matches('/'), files::Open::Path, files::Resolve::InRoot);
        if let Ok(at) = at
            && files::FileType::from_raw_mode(files::fstat(&at).doing(|| "look at the image")?.st_mode)
                != files::FileType::Directory
            && volume.anonymous
        {
            return Err(Error::invalid(format!("cannot mount volume over existing file, file exists {place}")));
        }
        copy_up::fill(root.as_fd(), place, volume.point.source.as_ref())?;
    }
    Ok(())
}

async fn undo(engine: &Arc<Engine>, id: &str, plan: Plan) {
    let folder = engine.paths.container(id);
    if let Err(error) = spawn_blocking(move || remove_folder(&folder)).await.unwrap_or(Ok(())) {
        tracing::warn!(id, "could not take back a container's folder: {}", error.message());
    }
    let _ = fs::remove_file(engine.paths.passing_record(id)); // most often there is none yet
    plan.undo(engine).await;
}
