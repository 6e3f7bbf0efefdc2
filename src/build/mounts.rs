//! # Mounts: what a `RUN` sees and the image does not keep
//!
//! `RUN --mount=…` puts something into the step's container for its time: a folder that survives between builds, files of
//! another stage, a file system in memory, a secret. None of it is in the layer; not even the empty folder it was mounted on.
//!
//! ```text
//!   type=cache,target=/root/.cache        build-cache/<id>/        shared by all builds, `builder prune` empties it
//!   type=bind,from=build,target=/src      a copy of its files, thrown away afterwards (the step may write to it with rw)
//!   type=tmpfs,target=/tmp                memory
//!   type=secret,id=token                  /run/secrets/token, 0400, from `build --secret`
//!   RUN <<EOF  #!/usr/bin/python3         the script as a file: it names its own interpreter
//! ```
//!
//! * [`plan`] finds and hashes what is bound, for the cache's key; [`make`] puts it on the disk; [`Mounted::take_stubs_away`] removes the mount points that
//!   were made for it.
//!
//! Laws: a bound file lies in our scratch folder, never a path of a Dockerfile's; secrets are in no key, no history and no layer. See: buildkit
//! `docs/reference.md` RUN --mount, CVE-2024-23651…3. Next room: [`crate::voice`]

use crate::{
    copying,
    instruction::{Command, Mount, MountKind, Run},
    origin::{Found, Origin},
    settings::Running,
    stage::Stage,
    voice::Failure,
};
use minidock_base::{Doing, Error, Result, clean_path::clean_from, id, ignore::Patterns};
use minidock_engine::byte_stream::blocking;
use minidock_image::{
    layer::{
        owners,
        tree::{self, Missing, Tree},
        unpack::{self, Policy},
    },
    layers::remove_folder,
    snapshot,
    step::Upper,
};
use minidock_linux::files;
use minidock_spec::{
    digest::Digest,
    engine::container::{MountRequest, TmpfsOptions},
};
use std::{
    ffi::OsStr,
    fs,
    io::BufReader,
    os::unix::{ffi::OsStrExt, fs::PermissionsExt},
    path::{Path, PathBuf},
    sync::Arc,
};

/// Where a script with its own interpreter is seen. `/dev` is in memory, so nothing of it stays.
const SCRIPT: &str = "/dev/minidock-script";

/// The words that are executed, and the script that must be a file, if there is one.
pub fn script(run: &Run, running: &Running) -> (Vec<String>, Option<String>) {
    let Command::Shell(line) = &run.command else { return (running.command(&run.command), None) };
    let [only] = &run.heredocs[..] else {
        return (running.command(&Command::Shell(with_documents(line, run))), None);
    };
    match crate::lexer::announced(line.trim()) {
        Some(_) if only.content.starts_with("#!") => (vec![SCRIPT.into()], Some(only.content.clone())),
        Some(_) => (running.command(&Command::Shell(only.content.clone())), None),
        None => (running.command(&Command::Shell(with_documents(line, run))), None),
    }
}

/// `cat <<EOF > x` is the shell's own business: it gets the documents behind the line.
fn with_documents(line: &str, run: &Run) -> String {
    let documents = run.heredocs.iter().map(|doc| format!("\n{}{}", doc.content, doc.name));
    std::iter::once(line.to_string()).chain(documents).collect()
}

/// A mount with everything looked up.
struct Planned {
    mount: Mount,
    target: String,
    bound: Option<(Arc<Origin>, Found)>,
    /// Its source does not exist (a cache's seed may be missing).
    hash: Option<Digest>,
}

/// All mounts of a step.
pub struct Plan(Vec<Planned>);

impl Plan {
    /// What of them makes the step another step.
    pub fn in_key(&self) -> Vec<String> {
        let told = |planned: &Planned| {
            let Mount { kind, id, read_only, .. } = &planned.mount;
            format!(
                "mount {kind:?} {} {:?} {read_only:?} {}",
                planned.target,
                id,
                planned.hash.as_ref().map_or("", Digest::as_str)
            )
        };
        self.0.iter().map(told).collect()
    }
}

/// Looks everything up that the step's mounts name.
///
/// # Errors
/// A stage, image, file or secret that is not there.
pub async fn plan(stage: &Stage, run: &Run) -> Result<Plan, Failure> {
    let mut all = Vec::new();
    for mount in &run.mounts {
        let mut mount = mount.clone();
        for field in [&mut mount.source, &mut mount.id, &mut mount.from] {
            *field = field.as_ref().map(|text| stage.running.word(text)).transpose()?;
        }
        let mut target = stage.running.word(&mount.target)?;
        let (mut bound, mut hash) = (None, None);
        match mount.kind {
            MountKind::Bind => {
                let origin = Arc::new(copying::origin(stage, mount.from.as_deref()).await?);
                let (o, source, job) = (origin.clone(), mount.source.clone().unwrap_or_else(|| "/".into()), stage.job.clone());
                let (found, digest) = blocking(move || {
                    let found = o.find(&source)?.into_iter().next().ok_or_else(|| Error::invalid("nothing to mount"))?;
                    let digest = o.hash(&found, &Patterns::default(), &job.cancel)?;
                    Ok((found, digest))
                })
                .await?;
                (bound, hash) = (Some((origin, found)), Some(digest));
            }
            MountKind::Secret => {
                let id =
                    mount.id.clone().or_else(|| target.rsplit('/').next().filter(|name| !name.is_empty()).map(str::to_string));
                let id = id.ok_or_else(|| Error::invalid("--mount=type=secret needs an id or a target"))?;
                if target.is_empty() && mount.env.is_none() {
                    target = format!("/run/secrets/{id}");
                }
                if !stage.job.options.secrets.contains_key(&id) && mount.required {
                    return Err(Error::invalid(format!("secret {id}: not found"))
                        .hint(format!(
                            "minidock build --secret id={id},src=FILE; other clients cannot send secrets to this builder"
                        ))
                        .into());
                }
                mount.id = Some(id);
            }
            MountKind::Ssh => {
                return Err(Error::not_implemented("RUN --mount=type=ssh is not there: agents are not forwarded into builds")
                    .hint("--mount=type=secret carries a key")
                    .into());
            }
            MountKind::Cache | MountKind::Tmpfs => {}
        }
        let target = if target.is_empty() { target } else { clean_from(&stage.running.config.working_dir, &target) };
        all.push(Planned { mount, target, bound, hash });
    }
    Ok(Plan(all))
}

/// Mounts that are ready, and what must go when the step is over.
pub struct Mounted {
    pub requests: Vec<MountRequest>,
    /// Secrets that are variables.
    pub env: Vec<String>,
    /// Mount points that the image does not have, deepest first.
    stubs: Vec<String>,
    /// Deleted with this.
    folder: Option<PathBuf>,
    /// Caches that only one step may have at a time.
    _locks: Vec<tokio::sync::OwnedMutexGuard<()>>,
    script: bool,
}

impl Mounted {
    /// The script stands where the words say; anything else is as it was.
    pub fn words(&self, words: Vec<String>) -> Vec<String> {
        debug_assert!(self.script == (words == [SCRIPT]));
        words
    }

    /// Takes mount points out of what the step wrote, unless it put something there.
    ///
    /// # Errors
    /// The upper directory cannot be read.
    pub async fn take_stubs_away(self, upper: Upper) -> Result<Upper> {
        let stubs = self.stubs.clone();
        blocking(move || {
            let root = files::open_directory(&upper.diff()).doing(|| "open what the step wrote")?;
            let mut tree = Tree::new(root);
            for stub in stubs {
                let path = tree::clean(stub.as_bytes())?;
                let (above, name) = tree::split(&path);
                if let Ok(Some(folder)) = tree.directory(above, Missing::Fail) {
                    let name = OsStr::from_bytes(name);
                    let empty = files::lstatat(&*folder, name).is_ok_and(|stat| stat.st_size == 0);
                    // a folder with something in it stays, and so does a file
                    if files::rmdirat(&*folder, name).is_err() && empty {
                        let _ = files::unlinkat(&*folder, name);
                    }
                    tree.forget();
                }
            }
            Ok(upper)
        })
        .await
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        if let Some(folder) = self.folder.take()
            && let Err(error) = remove_folder(&folder)
        {
            tracing::warn!("files of a build's mounts were not removed: {}", error.message());
        }
    }
}

/// Puts everything on the disk that is to be mounted.
///
/// # Errors
/// What the disk says; the build was cancelled.
pub async fn make(stage: &Stage, plan: Plan, script: Option<String>) -> Result<Mounted, Failure> {
    let mut mounted = Mounted {
        requests: Vec::new(),
        env: Vec::new(),
        stubs: Vec::new(),
        folder: None,
        _locks: Vec::new(),
        script: script.is_some(),
    };
    if plan.0.is_empty() && script.is_none() {
        return Ok(mounted);
    }
    let job = stage.job.clone();
    let caches: Vec<String> = plan.0.iter().filter(|p| p.mount.kind == MountKind::Cache).map(cache_id).collect();
    for (nth, planned) in plan.0.iter().filter(|p| p.mount.kind == MountKind::Cache).enumerate() {
        if planned.mount.sharing.as_deref() == Some("locked") {
            mounted._locks.push(crate::lock_cache(&caches[nth]).await);
        }
    }
    let lower = stage.lower().await?.lower;
    Ok(blocking(move || {
        let folder = job.engine.paths.scratch().join(format!("mounts-{}", id::random_id()));
        fs::create_dir(&folder).doing(|| "make a folder for mounts")?;
        mounted.folder = Some(folder.clone());
        let mut targets = Vec::new();
        for (nth, planned) in plan.0.iter().enumerate() {
            one(&job, &folder, nth, planned, &mut mounted)?;
            targets.push(planned.target.clone());
        }
        if let Some(script) = script {
            let file = folder.join("script");
            fs::write(&file, script).doing(|| "write the script of a RUN")?;
            fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).doing(|| "write the script of a RUN")?;
            mounted.requests.push(bind(&file, SCRIPT, true));
        }
        mounted.stubs = stubs(&job.engine.paths, &lower, &targets)?;
        Ok(mounted)
    })
    .await?)
}

fn cache_id(planned: &Planned) -> String {
    let id = planned.mount.id.clone().unwrap_or_else(|| planned.target.clone());
    Digest::of(id.as_bytes()).hex()[..32].to_string()
}

fn bind(source: &Path, target: &str, read_only: bool) -> MountRequest {
    MountRequest {
        kind: "bind".into(),
        source: source.display().to_string(),
        target: target.to_string(),
        read_only,
        ..MountRequest::default()
    }
}

fn one(job: &crate::job::Job, folder: &Path, nth: usize, planned: &Planned, mounted: &mut Mounted) -> Result<()> {
    let (mount, target) = (&planned.mount, planned.target.as_str());
    match mount.kind {
        MountKind::Cache => {
            let home = match mount.sharing.as_deref() {
                Some("private") => folder.join(format!("private-{nth}")),
                _ => job.engine.paths.build_cache(&cache_id(planned)),
            };
            if !home.exists() {
                fs::create_dir_all(&home).doing(|| "make a folder for a cache")?;
                let open = files::open_directory(&home).doing(|| "make a folder for a cache")?;
                let (uid, gid) = owners::on_disk((mount.uid, mount.gid))?;
                files::fchown(&open, uid, gid).doing(|| "make a folder for a cache")?;
                files::fchmod(&open, mount.mode.unwrap_or(0o755)).doing(|| "make a folder for a cache")?;
            }
            mounted.requests.push(bind(&home, target, mount.read_only == Some(true)));
        }
        MountKind::Bind => {
            let Some((origin, found)) = &planned.bound else { return Ok(()) };
            let home = folder.join(format!("bind-{nth}"));
            fs::create_dir(&home).doing(|| "make a folder for a mount")?;
            let name: &[u8] = if found.is_folder { b"" } else { b"file" };
            origin.piped(found, name, &Patterns::default(), &job.cancel, |archive| {
                let tree = Tree::new(files::open_directory(&home).doing(|| "open a folder for a mount")?);
                let policy = Policy { base: Vec::new(), whiteouts: false, keep_kinds: false, owner: None };
                unpack::unpack_into(BufReader::with_capacity(128 << 10, archive), tree, policy).map(drop)
            })?;
            let source = if found.is_folder { home } else { home.join("file") };
            mounted.requests.push(bind(&source, target, mount.read_only != Some(false)));
        }
        MountKind::Tmpfs => mounted.requests.push(MountRequest {
            kind: "tmpfs".into(),
            target: target.to_string(),
            tmpfs_options: Some(TmpfsOptions { size_bytes: mount.size.unwrap_or(0), mode: mount.mode }),
            ..MountRequest::default()
        }),
        MountKind::Secret => {
            let id = mount.id.clone().unwrap_or_default();
            let Some(secret) = job.options.secrets.get(&id) else { return Ok(()) };
            if let Some(name) = &mount.env {
                let text = String::from_utf8(secret.clone())
                    .map_err(|_| Error::invalid(format!("secret {id} is no text, so it cannot be a variable")))?;
                mounted.env.push(format!("{name}={text}"));
            }
            if !target.is_empty() {
                let file = folder.join(format!("secret-{nth}"));
                fs::write(&file, secret).doing(|| "write a secret")?;
                let open = fs::File::open(&file).doing(|| "write a secret")?;
                let (uid, gid) = owners::on_disk((mount.uid, mount.gid))?;
                files::fchown(&open, uid, gid).doing(|| "write a secret")?;
                files::fchmod(&open, mount.mode.unwrap_or(0o400)).doing(|| "write a secret")?;
                mounted.requests.push(bind(&file, target, true));
            }
        }
        MountKind::Ssh => {}
    }
    Ok(())
}

/// The parts of the targets' paths that the image does not have, deepest first.
fn stubs(paths: &minidock_base::paths::Paths, lower: &[PathBuf], targets: &[String]) -> Result<Vec<String>> {
    let mut tree = Tree::new(snapshot::read_only_view(paths, lower, None)?);
    let mut all = Vec::new();
    for target in targets.iter().filter(|target| !target.is_empty()) {
        let mut at = String::new();
        for part in target.split('/').filter(|part| !part.is_empty()) {
            at = format!("{at}/{part}");
            let there = match tree.locate(&tree::clean(at.as_bytes())?, true) {
                Ok(Some((folder, name))) => name.is_empty() || files::lstatat(&*folder, OsStr::from_bytes(&name)).is_ok(),
                _ => false,
            };
            if !there {
                all.push(at.clone());
            }
        }
    }
    all.sort_by_key(|path| std::cmp::Reverse(path.len()));
    all.dedup();
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{instruction::What, parser};

    fn words(text: &str) -> (Vec<String>, Option<String>) {
        let file = parser::parse("Dockerfile", &format!("FROM x\n{text}")).expect("a Dockerfile");
        let What::Run(run) = &file.stages[0].instructions[0].what else { panic!("no RUN") };
        script(run, &Running::default())
    }

    #[test]
    fn documents_are_scripts_or_the_shells_own() {
        assert_eq!(words("RUN <<EOF\na\nb\nEOF\n").0, ["/bin/sh", "-c", "a\nb\n"]);
        assert_eq!(words("RUN cat <<EOF > /x\na $y\nEOF\n").0, ["/bin/sh", "-c", "cat <<EOF > /x\na $y\nEOF"]);
        assert_eq!(
            words("RUN <<EOF\n#!/usr/bin/env python3\nprint(1)\nEOF\n").1.as_deref(),
            Some("#!/usr/bin/env python3\nprint(1)\n")
        );
        assert_eq!(words("RUN [\"a\", \"b\"]").0, ["a", "b"]);
    }
}
