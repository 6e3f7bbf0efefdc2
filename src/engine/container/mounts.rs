//! # Mounts: from wishes to what is mounted
//!
//! Five sources say what a container has mounted, and where two name the same place the later one wins:
//!
//! ```text
//!   1. --volumes-from X     X's mounts
//!   2. -v                   binds and named volumes          (two of these for one place are an error)
//!   3. --mount              the same, spelled out
//!   4. the image's VOLUMEs and -v /x                         only where nothing stands yet
//! ```
//!
//! [`plan`] joins them, makes the volumes that are missing and holds them ([`Held`]) until the record is written, so that
//! no `volume prune` takes them away in between. [`Plan::undo`] removes what was made for nothing.
//!
//! Laws: a volume made here is announced here; one that was there before is never removed by a failure.
//! *See:* moby `registerMountPoints`. *Next room:* [`crate::container::copy_up`]

use crate::{
    Engine,
    container::{
        mount_spec::{self, Wish},
        record::Mount,
    },
    volumes::{self, Held},
};
use minidock_base::{Error, Result, clean_path::clean};
use minidock_spec::engine::{
    container::{ContainerConfig, HostConfig, MountPoint},
    volume::VolumeCreate,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Arc,
};

/// What will be mounted, and the volumes that are held meanwhile.
#[derive(Default)]
pub struct Plan {
    pub mounts: Vec<Mount>,
    held: Vec<Held>,
}

impl Plan {
    /// Removes the volumes that this plan made.
    pub async fn undo(self, engine: &Arc<Engine>) {
        let made: Vec<String> = self.held.iter().filter(|h| h.fresh).map(|h| h.record.name.clone()).collect();
        drop(self.held);
        for name in made {
            if let Err(error) = volumes::remove(engine, &name, true).await {
                tracing::warn!(volume = name, "could not take back a volume: {}", error.message());
            }
        }
    }
}

/// Everything a new container has mounted.
///
/// # Errors
/// Wishes that make no sense, in Docker's words; volumes that cannot be made. Whatever was made is taken back.
pub async fn plan(engine: &Arc<Engine>, config: &ContainerConfig, wishes: &HostConfig) -> Result<Plan> {
    let mut plan = Plan::default();
    match fill(engine, &mut plan, config, wishes) {
        Ok(mounts) => {
            plan.mounts = mounts.into_values().collect();
            Ok(plan)
        }
        Err(error) => {
            plan.undo(engine).await;
            Err(error)
        }
    }
}

fn fill(
    engine: &Arc<Engine>,
    plan: &mut Plan,
    config: &ContainerConfig,
    wishes: &HostConfig,
) -> Result<BTreeMap<String, Mount>> {
    let mut mounts = BTreeMap::new();
    for text in wishes.volumes_from.iter().flatten() {
        inherit(engine, plan, text, &mut mounts)?;
    }
    let mut taken: BTreeSet<String> = wishes.tmpfs.keys().map(|t| clean(t)).collect();
    for wish in asked_for(wishes)? {
        if !taken.insert(wish.target.clone()) {
            return Err(Error::invalid(format!("Duplicate mount point: {}", wish.target)));
        }
        let mount = realise(engine, plan, wish, false)?;
        mounts.insert(mount.point.destination.clone(), mount);
    }
    for target in config.volumes.iter().flatten().map(|(target, _)| target) {
        mount_spec::check_target("volume", target)?;
        let target = clean(target);
        if !mounts.contains_key(&target) && !taken.contains(&target) {
            let wish = Wish { kind: "volume".into(), target, driver: wishes.volume_driver.clone(), ..Wish::default() };
            let mount = realise(engine, plan, wish, true)?;
            mounts.insert(mount.point.destination.clone(), mount);
        }
    }
    Ok(mounts)
}

/// `-v` and `--mount`, read.
fn asked_for(wishes: &HostConfig) -> Result<Vec<Wish>> {
    let binds = wishes.binds.iter().flatten().map(|text| mount_spec::bind(text, &wishes.volume_driver));
    binds.chain(wishes.mounts.iter().flatten().map(mount_spec::request)).collect()
}

/// Checks the wishes without making anything.
///
/// # Errors
/// As [`mount_spec`] says.
pub fn check(wishes: &HostConfig) -> Result<()> {
    for target in wishes.tmpfs.keys() {
        mount_spec::check_target("tmpfs", target)?;
    }
    asked_for(wishes).map(drop)
}

/// The mounts of another container.
fn inherit(engine: &Arc<Engine>, plan: &mut Plan, text: &str, mounts: &mut BTreeMap<String, Mount>) -> Result<()> {
    let (id, read_only) = mount_spec::volumes_from(text)?;
    let other = engine.containers.find(id).map_err(|e| e.with_kind(minidock_base::Kind::InvalidParameter))?.record();
    for mount in &other.mounts {
        let mut mount = mount.clone();
        mount.point.rw &= !read_only;
        mount.no_copy = true;
        mount.anonymous = false;
        if mount.point.kind == "volume" {
            let wish = VolumeCreate { name: mount.point.name.clone(), ..VolumeCreate::default() };
            plan.held.push(engine.volumes.ensure(&wish)?);
        }
        mounts.insert(mount.point.destination.clone(), mount);
    }
    Ok(())
}

/// Takes out of the wishes what nobody is to be shown: the plan has it.
pub fn hide(plan: &Plan, wishes: &mut HostConfig) {
    let hidden = |target: &str| plan.mounts.iter().any(|m| m.hidden && m.point.destination == clean(target));
    if let Some(mounts) = &mut wishes.mounts {
        mounts.retain(|wish| !hidden(&wish.target));
    }
    wishes.mounts.take_if(|mounts| mounts.is_empty());
}

/// One wish made true.
fn realise(engine: &Arc<Engine>, plan: &mut Plan, wish: Wish, from_image: bool) -> Result<Mount> {
    let mut mount = Mount {
        point: MountPoint {
            kind: wish.kind.clone(),
            source: wish.source.clone(),
            destination: wish.target,
            mode: wish.mode,
            rw: !wish.read_only,
            propagation: wish.propagation,
            ..MountPoint::default()
        },
        subpath: wish.subpath,
        non_recursive: wish.non_recursive,
        read_only_non_recursive: wish.read_only_non_recursive,
        tmpfs: wish.tmpfs,
        no_copy: wish.no_copy,
        by_mount_flag: wish.by_mount_flag,
        create_source: wish.create_source,
        anonymous: false,
        hidden: wish.kind == "bind" && Path::new(&wish.source).starts_with(engine.paths.tasks()),
    };
    if wish.kind != "volume" {
        return Ok(mount);
    }
    mount.anonymous = wish.source.is_empty();
    let held = engine.volumes.ensure(&VolumeCreate {
        name: wish.source,
        driver: wish.driver,
        driver_opts: wish.driver_options,
        labels: wish.labels,
    })?;
    if held.fresh {
        volumes::publish(engine, &held.record.name, "create", &[]);
    }
    mount.point.name.clone_from(&held.record.name);
    mount.point.source = engine.paths.volume_data(&held.record.name).to_string_lossy().into_owned();
    mount.point.driver = "local".into();
    if mount.point.mode.is_empty() && !from_image {
        mount.point.mode = "z".into(); // what Docker shows for a local volume
    }
    plan.held.push(held);
    Ok(mount)
}
