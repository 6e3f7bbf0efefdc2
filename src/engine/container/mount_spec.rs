//! # Mount specs: what `-v name:/data:ro,z` means
//!
//! Docker has three ways to ask for the same thing, and none of them checks quite like the others:
//!
//! ```text
//!   -v /host:/in[:mode]     bind; a missing /host is created                 HostConfig.Binds
//!   -v name:/in[:mode]      named volume                                     HostConfig.Binds
//!   -v /in, VOLUME          anonymous volume                                 Config.Volumes
//!   --mount type=bind,…     bind; a missing source is refused                HostConfig.Mounts
//!   --tmpfs /in:opts        not here: ../oci_config/mounts.rs reads it
//! ```
//!
//! The mode is a list of at most one word of each sort: `ro rw` · `z Z` (SELinux: accepted, no effect) · `rprivate …` ·
//! `nocopy` · `consistent cached delegated` (for other systems, no effect).
//!
//! * [`bind`] and [`request`] turn one wish into a [`Wish`]; [`crate::container::mounts`] makes it true.
//!
//! Laws: pure, except that a source of `--mount type=bind` is looked for. *See:* moby `daemon/volume/mounts/linux_parser.go`.
//! *Next room:* [`crate::container::mounts`]

use minidock_base::{Error, Result, clean_path::clean};
use minidock_spec::engine::container::MountRequest;
use std::{
    collections::BTreeMap,
    path::{Component, Path},
};

/// One mount that somebody asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wish {
    /// `bind`, `volume`, `tmpfs`.
    pub kind: String,
    /// A host path, a volume's name, or nothing.
    pub source: String,
    pub target: String,
    /// As typed behind the second colon.
    pub mode: String,
    pub read_only: bool,
    pub propagation: String,
    pub no_copy: bool,
    pub subpath: String,
    pub labels: BTreeMap<String, String>,
    pub driver: String,
    pub driver_options: BTreeMap<String, String>,
    /// A missing bind source is made.
    pub create_source: bool,
    pub non_recursive: bool,
    pub read_only_non_recursive: bool,
    pub tmpfs: Vec<String>,
    pub by_mount_flag: bool,
}

const PROPAGATIONS: [&str; 6] = ["private", "rprivate", "slave", "rslave", "shared", "rshared"];

/// Reads one `-v`.
///
/// # Errors
/// `invalid volume specification: '…'`, `invalid mode: …`, and the checks of [`request`].
pub fn bind(text: &str, volume_driver: &str) -> Result<Wish> {
    let bad = || {
        Error::invalid(format!("invalid volume specification: '{text}'"))
            .hint("source:/target or source:/target:mode, such as data:/var/lib/data:ro")
    };
    let parts: Vec<&str> = text.splitn(4, ':').collect();
    let (source, target, mode) = match parts[..] {
        ["", ..] => return Err(bad()),
        [target] => ("", target, ""),
        [_, mode] if is_mode(mode) => return Err(bad()),
        [source, target] => (source, target, ""),
        [source, target, mode] => (source, target, mode),
        _ => return Err(bad()),
    };
    if !is_mode(mode) {
        return Err(
            Error::invalid(format!("invalid mode: {mode}")).hint("ro, rw, z, Z, nocopy, or a propagation such as rshared")
        );
    }
    let has = |word: &str| mode.split(',').any(|m| m == word);
    let propagation = mode.split(',').find(|m| PROPAGATIONS.contains(m)).unwrap_or_default();
    let kind = if source.starts_with('/') { "bind" } else { "volume" };
    if kind == "volume" && !propagation.is_empty() {
        let why = "invalid mount config for type \"volume\": field BindOptions must not be specified";
        return Err(Error::invalid(format!("{}: {why}", bad().message())));
    }
    if kind == "bind" && has("nocopy") {
        let why = "invalid mount config for type \"bind\": field VolumeOptions must not be specified";
        return Err(Error::invalid(format!("{}: {why}", bad().message())));
    }
    check_target(kind, target).map_err(|e| Error::invalid(format!("{}: {}", bad().message(), e.message())))?;
    Ok(Wish {
        kind: kind.into(),
        source: if kind == "bind" { clean(source) } else { source.to_string() },
        target: clean(target),
        mode: mode.into(),
        read_only: has("ro"),
        propagation: if kind == "bind" && propagation.is_empty() { "rprivate".into() } else { propagation.to_string() },
        no_copy: has("nocopy"),
        driver: volume_driver.to_string(),
        create_source: true,
        ..Wish::default()
    })
}

/// Whether a mode has at most one word of each sort and no other.
fn is_mode(mode: &str) -> bool {
    let sorts: [&[&str]; 5] =
        [&["ro", "rw"], &["z", "Z"], &PROPAGATIONS, &["nocopy"], &["consistent", "cached", "delegated", "default"]];
    let words: Vec<&str> = mode.split(',').collect();
    mode.is_empty()
        || (words.iter().all(|w| sorts.iter().any(|s| s.contains(w)))
            && sorts.iter().all(|s| words.iter().filter(|w| s.contains(w)).count() <= 1))
}

/// Reads one `--mount`.
///
/// # Errors
/// Docker's `invalid mount config for type "bind": …`.
pub fn request(request: &MountRequest) -> Result<Wish> {
    let kind = request.kind.as_str();
    let bad = |why: &str| Error::invalid(format!("invalid mount config for type {kind:?}: {why}"));
    let extra = [
        (request.bind_options.is_some() && kind != "bind", "BindOptions"),
        (request.volume_options.is_some() && kind != "volume", "VolumeOptions"),
        (request.tmpfs_options.is_some() && kind != "tmpfs", "TmpfsOptions"),
    ];
    if let Some((_, field)) = extra.into_iter().find(|(there, _)| *there) {
        return Err(bad(&format!("field {field} must not be specified")));
    }
    if request.target.is_empty() {
        return Err(bad("field Target must not be empty"));
    }
    check_target(kind, &request.target)?;
    let mut wish = Wish {
        kind: kind.into(),
        source: request.source.clone(),
        target: clean(&request.target),
        read_only: request.read_only,
        by_mount_flag: true,
        ..Wish::default()
    };
    match kind {
        "bind" => bind_request(request, &mut wish).map_err(|why| bad(&why))?,
        "volume" => volume_request(request, &mut wish).map_err(|why| bad(&why))?,
        "tmpfs" => tmpfs_request(request, &mut wish).map_err(|why| bad(&why))?,
        _ => return Err(bad("mount type unknown").hint("bind, volume or tmpfs")),
    }
    Ok(wish)
}

fn bind_request(request: &MountRequest, wish: &mut Wish) -> Result<(), String> {
    let options = request.bind_options.clone().unwrap_or_default();
    if request.source.is_empty() {
        return Err("field Source must not be empty".into());
    }
    if !options.propagation.is_empty() && !PROPAGATIONS.contains(&options.propagation.as_str()) {
        return Err(format!("invalid propagation mode: {}", options.propagation));
    }
    if !request.source.starts_with('/') {
        return Err(format!("invalid mount path: '{}' mount path must be absolute", request.source));
    }
    if !options.create_mountpoint && !Path::new(&request.source).exists() {
        return Err(format!("bind source path does not exist: {}", request.source));
    }
    wish.source = clean(&request.source);
    wish.propagation = if options.propagation.is_empty() { "rprivate".into() } else { options.propagation };
    wish.create_source = options.create_mountpoint;
    wish.non_recursive = options.non_recursive;
    wish.read_only_non_recursive = options.read_only_non_recursive;
    Ok(())
}

fn volume_request(request: &MountRequest, wish: &mut Wish) -> Result<(), String> {
    let options = request.volume_options.clone().unwrap_or_default();
    if !options.subpath.is_empty() {
        if request.source.is_empty() {
            return Err("must not set Subpath when using anonymous volumes".into());
        }
        let local = Path::new(&options.subpath).components().all(|c| matches!(c, Component::Normal(_) | Component::CurDir));
        if !local {
            return Err("subpath must be a relative path within the volume".into());
        }
    }
    let driver = options.driver_config.unwrap_or_default();
    (wish.driver, wish.driver_options) = (driver.name, driver.options);
    (wish.no_copy, wish.subpath, wish.labels) = (options.no_copy, options.subpath, options.labels);
    Ok(())
}

fn tmpfs_request(request: &MountRequest, wish: &mut Wish) -> Result<(), String> {
    if !request.source.is_empty() {
        return Err("field Source must not be specified".into());
    }
    let options = request.tmpfs_options.clone().unwrap_or_default();
    if let Some(mode) = options.mode.filter(|m| *m != 0) {
        wish.tmpfs.push(format!("mode={mode:o}"));
    }
    if options.size_bytes != 0 {
        wish.tmpfs.push(format!("size={}", options.size_bytes));
    }
    Ok(())
}

/// `id[:mode]` of a `--volumes-from`: whose mounts, and whether they become read-only.
///
/// # Errors
/// `invalid mode: …`: only `ro`, `rw`, `z` and `Z` are allowed here.
pub fn volumes_from(text: &str) -> Result<(&str, bool)> {
    let (id, mode) = text.split_once(':').unwrap_or((text, ""));
    if id.is_empty() {
        return Err(Error::invalid("volumes-from specification cannot be an empty string"));
    }
    let forbidden = |m: &str| PROPAGATIONS.contains(&m) || m == "nocopy";
    if !is_mode(mode) || mode.split(',').any(forbidden) {
        return Err(Error::invalid(format!("invalid mode: {mode}")));
    }
    Ok((id, mode.split(',').any(|m| m == "ro")))
}

/// A target must be absolute and not the root itself.
///
/// # Errors
/// `invalid mount path: 'x' mount path must be absolute`; `invalid specification: destination can't be '/'`.
pub fn check_target(kind: &str, target: &str) -> Result<()> {
    let bad = |why: &str| Err(Error::invalid(format!("invalid mount config for type {kind:?}: {why}")));
    match target {
        _ if !target.starts_with('/') => bad(&format!("invalid mount path: '{target}' mount path must be absolute")),
        _ if clean(target) == "/" => bad("invalid specification: destination can't be '/'"),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_forms_of_v_are_told_apart() {
        let data = bind("data:/var/lib/data/:ro,z", "").expect("a volume");
        assert_eq!((data.kind.as_str(), data.target.as_str(), data.read_only), ("volume", "/var/lib/data", true));
        let host = bind("/a/../srv:/srv", "").expect("a bind");
        assert_eq!((host.kind.as_str(), host.source.as_str(), host.propagation.as_str()), ("bind", "/srv", "rprivate"));
        assert_eq!(bind("/srv:/srv:rshared", "").expect("a bind").propagation, "rshared");
        assert!(bind("x:/y:nocopy", "").expect("a volume").no_copy);
        assert!(bind("/x:/y:nocopy", "").unwrap_err().message().ends_with("field VolumeOptions must not be specified"));
    }

    #[test]
    fn nonsense_is_refused_in_dockers_words() {
        let why = |text: &str| bind(text, "").unwrap_err().message();
        assert_eq!(why("/srv:ro"), "invalid volume specification: '/srv:ro'");
        assert_eq!(why("a:/b:ro,rw"), "invalid mode: ro,rw");
        assert!(why("a:b").ends_with("invalid mount path: 'b' mount path must be absolute"));
        assert!(why("a:/").ends_with("destination can't be '/'"));
        assert!(why("a:/b:rshared").contains("BindOptions"));
        let missing =
            MountRequest { kind: "bind".into(), source: "/no/such".into(), target: "/x".into(), ..Default::default() };
        assert_eq!(
            request(&missing).unwrap_err().message(),
            "invalid mount config for type \"bind\": bind source path does not exist: /no/such"
        );
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in "[a-z/:.,]{0,24}") {
            let _ = (bind(&text, ""), volumes_from(&text), clean(&text));
        }
    }
}
