//! # Bundle: read the wish, refuse what cannot be honoured
//!
//! A bundle is a folder with a `config.json` and (usually) a root filesystem. Everything the runtime will do stands in that
//! one file, so this is the border: what passes here is trusted by the rooms behind, and what we could only pretend to do
//! is refused here, with the place in the file.
//!
//! ```text
//!   bundle/config.json ──[`load`]──► Spec ──[`check`]──► [`Bundle`]
//!          rootfs/                                        path and root absolute, version known
//! ```
//!
//! Laws: versions 1.x are read (fields that we do not know are ignored, as the specification asks); a path in the
//! configuration is absolute where the specification says so. See: runtime-spec config.md. Next room: [`crate::state`]

use crate::{memory_policy, net_devices, written};
use minidock_base::{Doing, Error, Result};
use minidock_spec::runtime::SYSCTLS_OF_IPC;
use oci_spec::runtime::{LinuxNamespace, LinuxNamespaceType, Process, Spec};
use std::path::{Path, PathBuf};

/// The newest version of the specification that is understood whole.
pub const NEWEST_VERSION: &str = "1.3.0";

/// A configuration that has passed, and where its bundle lies.
pub struct Bundle {
    pub path: PathBuf,
    pub spec: Spec,
    /// The text of `config.json`, kept with the state for `exec` and `delete`.
    pub text: Vec<u8>,
}

impl Bundle {
    /// The root filesystem's folder, absolute.
    pub fn root(&self) -> PathBuf {
        match self.spec.root() {
            Some(root) => self.path.join(root.path()),
            None => self.path.clone(),
        }
    }
}

/// Reads and checks the bundle at `path`.
///
/// # Errors
/// No such folder or file; JSON that is none, with line and column; a field that makes no sense or cannot be honoured.
pub fn load(path: &Path) -> Result<Bundle> {
    let path = std::fs::canonicalize(path).doing(|| format!("open the bundle {}", path.display()))?;
    let file = path.join("config.json");
    let text = match std::fs::read(&file) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            return Err(Error::not_found(format!(
                "JSON specification file {} not found: no such file or directory",
                file.display()
            ))
            .hint("`minidock runtime spec` writes one"));
        }
        read => read.doing(|| format!("read {}", file.display()))?,
    };
    let spec = parse(&text).map_err(|e| e.during(format!("read {}", file.display())))?;
    let mut bundle = Bundle { path, spec, text };
    let root = bundle.root();
    if root.parent().is_some() {
        inside(&root, &mut bundle.spec);
    }
    check(&bundle)?;
    Ok(bundle)
}

/// Reads the text of a `config.json`.
///
/// # Errors
/// Line, column and what was expected there.
pub fn parse(text: &[u8]) -> Result<Spec> {
    let told = |e: serde_json::Error| Error::invalid(format!("line {} column {}: {e}", e.line(), e.column()));
    serde_json::from_slice(text).or_else(|e| {
        let Ok(mut document) = serde_json::from_slice(text) else { return Err(told(e)) };
        written::mend(&mut document)?;
        serde_json::from_value(document).map_err(|_| told(e))
    })
}

/// A place within the container that was written as the host sees it: engines of old did so, and it is meant.
fn inside(root: &Path, spec: &mut Spec) {
    for entry in spec.mounts_mut().iter_mut().flatten() {
        if let Ok(below) = entry.destination().strip_prefix(root).map(|below| Path::new("/").join(below)) {
            entry.set_destination(below);
        }
    }
}

/// Whether the bundle at `path` wants a terminal; asked before anything is made.
///
/// # Errors
/// As [`load`].
pub fn wants_terminal(path: &Path) -> Result<bool> {
    let bundle = load(path)?;
    Ok(bundle.spec.process().as_ref().and_then(|process| process.terminal()).unwrap_or(false))
}

/// The namespaces a configuration asks for, new and joined.
pub fn namespaces(spec: &Spec) -> &[LinuxNamespace] {
    spec.linux().as_ref().and_then(|linux| linux.namespaces().as_deref()).unwrap_or_default()
}

/// Whether the container has its own (new or joined) namespace of this kind.
pub fn has_namespace(spec: &Spec, kind: LinuxNamespaceType) -> bool {
    namespaces(spec).iter().any(|namespace| namespace.typ() == kind)
}

fn check(bundle: &Bundle) -> Result<()> {
    let spec = &bundle.spec;
    check_version(spec.version())?;
    if spec.root().is_none() {
        return Err(Error::invalid("config.json has no root"));
    }
    check_namespaces(spec)?;
    if let Some(process) = spec.process() {
        check_process(process)?;
    }
    if spec.hostname().as_ref().is_some_and(|name| !name.is_empty()) && !has_namespace(spec, LinuxNamespaceType::Uts) {
        return Err(Error::invalid("unable to set hostname without a private UTS namespace"));
    }
    if spec.domainname().as_ref().is_some_and(|name| !name.is_empty()) && !has_namespace(spec, LinuxNamespaceType::Uts) {
        return Err(Error::invalid("unable to set domainname without a private UTS namespace"));
    }
    check_linux(spec)?;
    let root = bundle.root();
    let found = std::fs::metadata(&root).map_err(|e| {
        let why = e.raw_os_error().map(minidock_linux::errno::words).unwrap_or_else(|| e.to_string());
        Error::not_found(format!("invalid rootfs: {}: {why}", root.display()))
    })?;
    match found.is_dir() {
        true => Ok(()),
        false => Err(Error::invalid(format!("invalid rootfs: {} is not a directory", root.display()))),
    }
}

fn check_version(version: &str) -> Result<()> {
    let major = version.split('.').next().unwrap_or_default();
    match major == "1" {
        true => Ok(()),
        false => Err(Error::invalid(format!("unsupported specification version \"{version}\": this runtime reads 1.x"))),
    }
}

fn check_namespaces(spec: &Spec) -> Result<()> {
    let list = namespaces(spec);
    for (n, namespace) in list.iter().enumerate() {
        let kind = namespace.typ();
        if list[..n].iter().any(|earlier| earlier.typ() == kind) {
            return Err(Error::invalid(format!("malformed spec file: duplicated ns {kind}")));
        }
        if let Some(path) = namespace.path().as_ref().filter(|path| !path.as_os_str().is_empty() && !path.is_absolute()) {
            return Err(Error::invalid(format!("namespace path {} is not absolute", path.display())));
        }
    }
    Ok(())
}

/// What must hold for any process, the first or one that joins.
///
/// # Errors
/// No arguments, a relative working directory, an id that is none.
pub fn check_process(process: &Process) -> Result<()> {
    if process.args().as_ref().is_none_or(|args| args.is_empty()) {
        return Err(Error::invalid("args must not be empty"));
    }
    if process.cwd().as_os_str().is_empty() {
        return Err(Error::invalid("Cwd property must not be empty"));
    }
    if !process.cwd().is_absolute() {
        return Err(Error::invalid("Cwd must be an absolute path"));
    }
    let ids = [process.user().uid(), process.user().gid()];
    let groups = process.user().additional_gids().iter().flatten().copied();
    if let Some(id) = ids.into_iter().chain(groups).find(|id| *id > i32::MAX as u32) {
        return Err(Error::invalid(format!("user or group id {id} is out of range")).hint("ids go up to 2147483647"));
    }
    let words = process.args().iter().flatten().chain(process.env().iter().flatten());
    match words.into_iter().any(|word| word.contains('\0')) {
        true => Err(Error::invalid("an argument or environment variable contains a NUL byte")),
        false => Ok(()),
    }
}

fn check_linux(spec: &Spec) -> Result<()> {
    let Some(linux) = spec.linux() else { return Ok(()) };
    if linux.intel_rdt().is_some() {
        return Err(Error::not_implemented("linux.intelRdt: this runtime does not drive cache allocation"));
    }
    if let Some(policy) = linux.memory_policy() {
        memory_policy::check(policy)?;
    }
    net_devices::check(spec)?;
    let user = has_namespace(spec, LinuxNamespaceType::User);
    let mapped = |maps: &Option<Vec<_>>| maps.as_ref().is_some_and(|maps| !maps.is_empty());
    if !user && (mapped(linux.uid_mappings()) || mapped(linux.gid_mappings())) {
        return Err(Error::invalid("User namespace mappings specified, but user namespace isn't enabled in the config"));
    }
    if linux.time_offsets().as_ref().is_some_and(|offsets| !offsets.is_empty())
        && !has_namespace(spec, LinuxNamespaceType::Time)
    {
        return Err(Error::invalid("time namespace offsets specified, but time namespace isn't enabled in the config"));
    }
    for (name, _) in linux.sysctl().iter().flatten() {
        check_sysctl(spec, name)?;
    }
    let paths = linux.masked_paths().iter().flatten().chain(linux.readonly_paths().iter().flatten());
    match paths.into_iter().find(|path| !path.starts_with('/')) {
        Some(path) => Err(Error::invalid(format!("{path}: a masked or read-only path must be absolute"))),
        None => Ok(()),
    }
}

/// A sysctl that belongs to a namespace the container does not have would change the host.
fn check_sysctl(spec: &Spec, name: &str) -> Result<()> {
    let dotted = name.replace('/', ".");
    let own = |kind| has_namespace(spec, kind);
    if SYSCTLS_OF_IPC.contains(&dotted.as_str()) || dotted.starts_with("fs.mqueue.") {
        return match own(LinuxNamespaceType::Ipc) {
            true => Ok(()),
            false => Err(Error::invalid(format!("sysctl \"{name}\" is not allowed in the hosts ipc namespace"))),
        };
    }
    if dotted.starts_with("net.") {
        let host = namespaces(spec).iter().find(|namespace| namespace.typ() == LinuxNamespaceType::Network);
        return match host {
            Some(_) => Ok(()),
            None => Err(Error::invalid(format!("sysctl \"{name}\" not allowed in host network namespace"))),
        };
    }
    if dotted == "kernel.domainname" && own(LinuxNamespaceType::Uts) {
        return Ok(());
    }
    if dotted == "kernel.hostname" {
        return Err(Error::invalid(format!(
            "sysctl \"{name}\" is not allowed as it conflicts with the OCI \"hostname\" field"
        )));
    }
    if dotted.starts_with("user.") && own(LinuxNamespaceType::User) {
        return Ok(());
    }
    Err(Error::invalid(format!("sysctl \"{name}\" is not in a separate kernel namespace")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(linux: serde_json::Value) -> Spec {
        let text = serde_json::json!({"ociVersion": "1.0.2", "root": {"path": "rootfs"}, "linux": linux});
        parse(text.to_string().as_bytes()).expect("a plain document")
    }

    #[test]
    fn broken_json_is_told_with_its_place() {
        let error = parse(b"{\n  \"ociVersion\": 1\n}").expect_err("a number is no version");
        assert!(error.message().starts_with("line 2 column "), "{error}");
    }

    #[test]
    fn a_destination_written_as_the_host_sees_it_lies_in_the_container() {
        let text = serde_json::json!({"ociVersion": "1.0.2", "root": {"path": "rootfs"}, "mounts": [
            {"destination": "/b/rootfs/mnt"}, {"destination": "/b/rootfs"}, {"destination": "/b/rootfs2"}, {"destination": "/mnt"},
        ]});
        let mut spec = parse(text.to_string().as_bytes()).expect("a plain document");
        inside(Path::new("/b/rootfs"), &mut spec);
        let places: Vec<_> = spec.mounts().iter().flatten().map(|entry| entry.destination().display().to_string()).collect();
        assert_eq!(places, ["/mnt", "/", "/b/rootfs2", "/mnt"]);
    }

    #[test]
    fn a_sysctl_of_the_host_is_refused() {
        let own = spec(serde_json::json!({"namespaces": [{"type": "ipc"}, {"type": "network"}]}));
        assert!(check_sysctl(&own, "kernel.shmmax").is_ok());
        assert!(check_sysctl(&own, "net/ipv4/ip_forward").is_ok());
        assert!(check_sysctl(&own, "kernel.core_pattern").is_err());
        let none = spec(serde_json::json!({"namespaces": []}));
        assert!(check_sysctl(&none, "net.ipv4.ip_forward").is_err());
    }

    #[test]
    fn a_namespace_may_not_be_asked_for_twice() {
        let twice = spec(serde_json::json!({"namespaces": [{"type": "mount"}, {"type": "mount"}]}));
        assert!(check_namespaces(&twice).is_err_and(|e| e.message().contains("duplicated ns")));
    }
}
