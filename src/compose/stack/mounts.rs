//! # Mounts of a stack: volumes, folders, memory
//!
//! A volume's name gets the stack's in front, and its options travel with the mount: the node that first runs such a task makes the
//! volume. A volume lives on one node; a task that moves to another finds an empty one of the same name.
//!
//! *See:* docker/cli `cli/compose/convert/volume.go`. *Next room:* [`super::deploy`]

use super::{Scope, pairs, wrong};
use crate::{
    node::{Entry, Node},
    values,
};
use minidock_base::Result;
use minidock_spec::engine::container::{BindOptions, DriverConfig, MountRequest, TmpfsOptions, VolumeOptions};

/// What a service's containers find mounted: its `volumes`, and `tmpfs`.
///
/// # Errors
/// A volume that is not defined; options of another kind of mount.
pub fn plan(scope: &Scope, service: &Entry) -> Result<Vec<MountRequest>> {
    let volumes = service.node.get("volumes").map(Node::items).unwrap_or_default();
    let mut mounts: Vec<MountRequest> = volumes.iter().map(|node| mount(scope, service, node)).collect::<Result<_>>()?;
    for node in service.node.get("tmpfs").map(Node::items).unwrap_or_default() {
        mounts.push(tmpfs(service, node)?);
    }
    Ok(mounts)
}

fn mount(scope: &Scope, service: &Entry, node: &Node) -> Result<MountRequest> {
    let (kind, source) = (node.text("type"), node.text("source"));
    let refuse = |what: String| Err(wrong(&node.at, &service.key, what));
    let mut mount = MountRequest {
        kind: kind.clone(),
        source: source.clone(),
        target: node.text("target"),
        read_only: node.bool("read_only") == Some(true),
        consistency: node.text("consistency"),
        ..MountRequest::default()
    };
    if mount.target.is_empty() {
        return refuse(format!("a mount of type \"{kind}\" needs a target"));
    }
    for (key, of) in [("bind", "bind"), ("volume", "volume"), ("tmpfs", "tmpfs")] {
        if of != kind && node.get(key).is_some_and(|options| !options.entries().is_empty()) {
            return refuse(format!("{key} options are incompatible with type {kind}"));
        }
    }
    match kind.as_str() {
        "volume" => {
            let options = node.get("volume");
            let no_copy = options.and_then(|o| o.bool("nocopy")) == Some(true);
            let subpath = options.map(|o| o.text("subpath")).unwrap_or_default();
            let mut wish = VolumeOptions { no_copy, subpath, ..VolumeOptions::default() };
            if !source.is_empty() {
                let Some(volume) = scope.find("volumes", &source) else {
                    return Err(wrong(&node.at, &service.key, format_args!("undefined volume \"{source}\""))
                        .hint(format!("add it below volumes: {source}:")));
                };
                mount.source = scope.outside(&source, Some(volume));
                if volume.bool("external") != Some(true) {
                    wish.labels = scope.labels(volume.get("labels"));
                    let (name, driver_opts) = (volume.text("driver"), volume.get("driver_opts").map(pairs).unwrap_or_default());
                    wish.driver_config =
                        (!name.is_empty() || !driver_opts.is_empty()).then_some(DriverConfig { name, options: driver_opts });
                }
            }
            mount.volume_options = (wish != VolumeOptions::default()).then_some(wish);
        }
        "bind" => {
            let propagation = node.get("bind").map(|o| o.text("propagation")).unwrap_or_default();
            mount.bind_options = (!propagation.is_empty()).then(|| BindOptions { propagation, ..BindOptions::default() });
        }
        "tmpfs" if !source.is_empty() => return refuse("invalid tmpfs source, source must be empty".into()),
        "tmpfs" => {
            let size = node.get("tmpfs").and_then(|o| o.int("size")).unwrap_or(0);
            mount.tmpfs_options = (size != 0).then_some(TmpfsOptions { size_bytes: size, mode: None });
        }
        _ => return refuse("volume type must be volume, bind or tmpfs".into()),
    }
    Ok(mount)
}

/// `/run:size=64m,mode=1777`
fn tmpfs(service: &Entry, node: &Node) -> Result<MountRequest> {
    let text = node.as_text().unwrap_or_default();
    let (target, options) = text.split_once(':').unwrap_or((text, ""));
    let mut wish = TmpfsOptions::default();
    for option in options.split(',').filter(|option| !option.is_empty()) {
        let known = match option.split_once('=') {
            Some(("size", size)) => values::bytes(size).map(|bytes| wish.size_bytes = bytes),
            Some(("mode", mode)) => u32::from_str_radix(mode, 8).ok().map(|mode| wish.mode = Some(mode)),
            _ => None,
        };
        if known.is_none() {
            return Err(wrong(&node.at, &service.key, format_args!("tmpfs option \"{option}\" is not known here"))
                .hint("size=64m and mode=1777 are"));
        }
    }
    Ok(MountRequest {
        kind: "tmpfs".into(),
        target: target.to_string(),
        tmpfs_options: (wish != TmpfsOptions::default()).then_some(wish),
        ..MountRequest::default()
    })
}
