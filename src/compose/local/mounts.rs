//! # Mounts of a service: folders, volumes, memory, secrets
//!
//! ```text
//!   ./src:/src:ro              a bind          /home/ann/app/src:/src:ro          made if it is not there
//!   data:/var/lib/data         a bind, too     app_data:/var/lib/data:rw          a volume by its name outside
//!   /cache                     a mount         a volume without a name; the next container inherits it
//!   secrets: [pw]              a mount         ./pw.txt at /run/secrets/pw, read-only
//!   configs: [c]               (content: …)    an [`Injection`]: a file that is put in after the creation
//! ```
//!
//! *See:* docker/compose `pkg/compose/create.go` buildContainerVolumes. *Next room:* [`super::places`]

use super::{
    body::Peer,
    project::{Project, Service},
};
use crate::node::Node;
use minidock_base::Result;
use minidock_spec::engine::container::{BindOptions, MountPoint, MountRequest, TmpfsOptions, VolumeOptions};
use std::collections::{BTreeMap, BTreeSet};

/// What a container finds mounted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Mounts {
    pub binds: Vec<String>,
    pub mounts: Vec<MountRequest>,
    pub tmpfs: BTreeMap<String, String>,
}

/// All mounts of a service's container; `inherited` is what the one before it had, `declared` what the image calls a volume.
///
/// # Errors
/// A secret that is external, which only a swarm keeps.
pub fn mounts(project: &Project, service: &Service, inherited: &[MountPoint], declared: &[String]) -> Result<Mounts> {
    let mut all = Mounts::default();
    let mut targets: BTreeSet<String> = BTreeSet::new();
    for node in service.node.get("volumes").map(Node::items).unwrap_or_default() {
        let target = node.text("target");
        let before = inherited.iter().find(|mount| mount.destination == target && mount.kind == "volume");
        match node.text("type").as_str() {
            "bind" => bind(node, &mut all),
            "volume" => volume(project, node, before, &mut all),
            _ => all.mounts.push(tmpfs(node)),
        }
        targets.insert(target);
    }
    for text in service.node.texts("tmpfs") {
        let (target, options) = text.split_once(':').unwrap_or((&text, ""));
        targets.insert(target.to_string());
        all.tmpfs.insert(target.to_string(), options.to_string());
    }
    let kept = inherited
        .iter()
        .filter(|m| m.kind == "volume" && declared.contains(&m.destination) && !targets.contains(&m.destination));
    all.mounts.extend(kept.map(|mount| MountRequest {
        kind: "volume".into(),
        source: mount.name.clone(),
        target: mount.destination.clone(),
        read_only: !mount.rw,
        ..MountRequest::default()
    }));
    for section in ["secrets", "configs"] {
        files(project, service, section, &mut all)?;
    }
    Ok(all)
}

fn bind(node: &Node, all: &mut Mounts) {
    let options = |key: &str| node.get("bind").map(|bind| bind.text(key)).unwrap_or_default();
    let (source, target, read_only) = (node.text("source"), node.text("target"), node.bool("read_only") == Some(true));
    let made = node.get("bind").and_then(|bind| bind.bool("create_host_path")) != Some(false);
    if made && !source.contains(':') && !target.contains(':') {
        let mut modes = vec![if read_only { "ro" } else { "rw" }.to_string()];
        modes.extend([options("propagation"), options("selinux")].into_iter().filter(|option| !option.is_empty()));
        all.binds.push(format!("{source}:{target}:{}", modes.join(",")));
        return;
    }
    let bind_options = BindOptions { propagation: options("propagation"), create_mountpoint: made, ..BindOptions::default() };
    all.mounts.push(MountRequest {
        kind: "bind".into(),
        source,
        target,
        read_only,
        bind_options: (bind_options != BindOptions::default()).then_some(bind_options),
        ..MountRequest::default()
    });
}

fn volume(project: &Project, node: &Node, before: Option<&MountPoint>, all: &mut Mounts) {
    let (key, target, read_only) = (node.text("source"), node.text("target"), node.bool("read_only") == Some(true));
    let options = node.get("volume");
    let subpath = options.map(|options| options.text("subpath")).unwrap_or_default();
    let no_copy = options.and_then(|options| options.bool("nocopy")) == Some(true);
    let named = project.outer("volumes", &key).map(|outer| outer.name.clone());
    if let (Some(name), true) = (&named, subpath.is_empty()) {
        let modes = format!("{}{}", if read_only { "ro" } else { "rw" }, if no_copy { ",nocopy" } else { "" });
        all.binds.push(format!("{name}:{target}:{modes}"));
        return;
    }
    let volume_options = VolumeOptions { no_copy, subpath, ..VolumeOptions::default() };
    all.mounts.push(MountRequest {
        kind: "volume".into(),
        source: named.or(before.map(|mount| mount.name.clone())).unwrap_or_default(),
        target,
        read_only,
        volume_options: (volume_options != VolumeOptions::default()).then_some(volume_options),
        ..MountRequest::default()
    });
}

fn tmpfs(node: &Node) -> MountRequest {
    let options = node.get("tmpfs").map(|tmpfs| TmpfsOptions {
        size_bytes: tmpfs.int("size").unwrap_or(0),
        mode: tmpfs.int("mode").and_then(|mode| u32::try_from(mode).ok()),
    });
    MountRequest {
        kind: "tmpfs".into(),
        target: node.text("target"),
        read_only: node.bool("read_only") == Some(true),
        tmpfs_options: options,
        ..MountRequest::default()
    }
}

/// A file that is put into a container before it starts: its text is in the Compose file or in a variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Injection {
    pub path: String,
    pub bytes: Vec<u8>,
    pub uid: u64,
    pub gid: u64,
    pub mode: u32,
}

/// Where a secret or config of a service lies.
fn place(section: &str, node: &Node) -> String {
    let (source, target) = (node.text("source"), node.text("target"));
    match (section, target.as_str()) {
        ("secrets", "") => format!("/run/secrets/{source}"),
        ("secrets", target) if !target.starts_with('/') => format!("/run/secrets/{target}"),
        (_, "") => format!("/{source}"),
        (_, target) => target.to_string(),
    }
}

fn files(project: &Project, service: &Service, section: &str, all: &mut Mounts) -> Result<()> {
    for node in service.node.get(section).map(Node::items).unwrap_or_default() {
        let Some(outer) = project.outer(section, &node.text("source")) else { continue };
        if outer.external {
            let one = section.trim_end_matches('s');
            return Err(service
                .wrong(section, format_args!("unsupported external {one} {}", outer.name))
                .hint(format!("a swarm keeps {section} (minidock stack deploy); here: file: PATH")));
        }
        let file = outer.node.text("file");
        if !file.is_empty() {
            all.mounts.push(MountRequest {
                kind: "bind".into(),
                source: file,
                target: place(section, node),
                read_only: true,
                ..MountRequest::default()
            });
        }
    }
    Ok(())
}

/// The files that are put in; `variable` answers for `environment:`.
///
/// # Errors
/// A variable that is not set; a secret that says nowhere where it comes from; a service into which nothing can be written.
pub fn injections(project: &Project, service: &Service, variable: crate::interpolate::Lookup) -> Result<Vec<Injection>> {
    let mut all = Vec::new();
    for section in ["secrets", "configs"] {
        for node in service.node.get(section).map(Node::items).unwrap_or_default() {
            let Some(outer) = project.outer(section, &node.text("source")) else { continue };
            let (content, from) = (outer.node.get("content"), outer.node.text("environment"));
            let bytes = match (content, from.as_str()) {
                _ if !outer.node.text("file").is_empty() => continue,
                (Some(_), _) => outer.node.text("content").into_bytes(),
                (None, "") => {
                    return Err(crate::yaml::refused(
                        &outer.node.at,
                        format_args!("{section}.{}: where does it come from?", outer.key),
                    )
                    .hint("file: PATH or environment: VARIABLE"));
                }
                (None, name) => variable(name)
                    .ok_or_else(|| {
                        service.wrong(
                            section,
                            format_args!("environment variable {name:?} required by {section} {:?} is not set", outer.key),
                        )
                    })?
                    .into_bytes(),
            };
            if service.node.bool("read_only") == Some(true) {
                let (one, name) = (section.trim_end_matches('s'), &service.name);
                return Err(service
                    .wrong(section, format_args!("cannot create {one} {:?} in read-only service {name}", outer.key))
                    .hint("`file` is the sole supported option: file: PATH is mounted, not written"));
            }
            let number = |key: &str| node.text(key).parse().unwrap_or(0);
            let mode = node.int("mode").and_then(|mode| u32::try_from(mode).ok()).unwrap_or(0o444);
            all.push(Injection { path: place(section, node), bytes, uid: number("uid"), gid: number("gid"), mode });
        }
    }
    Ok(all)
}

/// `volumes_from`: services become their first containers.
///
/// # Errors
/// A service that has none.
pub fn volumes_from(service: &Service, others: &dyn Fn(&str) -> Vec<Peer>) -> Result<Option<Vec<String>>> {
    let mut all = Vec::new();
    for text in service.node.texts("volumes_from") {
        if let Some(container) = text.strip_prefix("container:") {
            all.push(container.to_string());
            continue;
        }
        let (name, mode) =
            text.split_once(':').map_or((text.as_str(), String::new()), |(name, mode)| (name, format!(":{mode}")));
        let Some(peer) = others(name).into_iter().next() else {
            return Err(
                service.wrong("volumes_from", format_args!("cannot share volume with service {name}: container missing"))
            );
        };
        all.push(format!("{}{mode}", peer.id));
    }
    Ok((!all.is_empty()).then_some(all))
}
