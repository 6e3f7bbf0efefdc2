//! # Converging: what is becomes what shall be
//!
//! ```text
//!   externals ─► images ─► networks ─► volumes ─► plan ─► for each service, in order:   Keep       nothing
//!                                                                          Create     POST create (connect), put files in
//!                                                                          Recreate   create under another name · stop · remove · rename
//!                                                                          Remove     stop · remove
//! ```
//!
//! Nothing is started here: [`super::start`] does that, when everything is there.
//!
//! Laws: the old container goes only when the new one has been created: what cannot be created costs nothing that runs. *See:*
//! docker/compose `pkg/compose/executor.go`. *Next room:* [`super::start`](mod@super::start)

use super::{
    files::Opened,
    graph::{Way, walk},
    images::{self, Ids, Policy},
    needs,
    screen::Screen,
    seen,
};
use crate::{container::security, session::Session, terminal};
use futures_util::future::join_all;
use minidock_base::{Error, Result};
use minidock_client::{Docker, Route, Wish};
use minidock_compose::local::{
    body::{self, Peer, REPLACE, Seat},
    mounts::{self, Injection},
    plan::{self, Deed, How, Seen},
    project::{Project, Service},
};
use minidock_spec::engine::{
    container::{CreateBody, Created},
    network::NetworkConnect,
};
use std::{cell::RefCell, collections::BTreeMap};

/// What is wanted.
pub struct Wanted {
    pub how: How,
    pub policy: Policy,
    pub remove_orphans: bool,
    pub ignore_orphans: bool,
    /// `-V`: volumes without a name begin empty.
    pub renew_volumes: bool,
    /// Seconds to wait for a container that must go.
    pub timeout: Option<i64>,
}

/// Makes the project's containers as the files say.
///
/// # Errors
/// What is missing or refused; what was made before stays, and the next `up` goes on from there.
pub async fn converge(
    session: &mut Session,
    opened: &Opened,
    services: &[&Service],
    wanted: &Wanted,
    screen: &Screen,
) -> Result<()> {
    let docker = session.docker().await?;
    let project = &opened.project;
    let mut used = project.clone();
    used.networks.retain(|outer| services.iter().any(|service| service.networks().contains(&outer.key)));
    used.volumes.retain(|outer| services.iter().any(|service| service.volumes().contains(&outer.key)));
    services.iter().try_for_each(|service| possible(opened, service))?;
    needs::externals(&docker, &used).await?;
    let ids = images::ensure(session, opened, services, &wanted.policy, screen).await?;
    needs::networks(&docker, &used, screen).await?;
    needs::volumes(&docker, &used, screen).await?;
    let there = seen::all(&docker, &project.name).await?;
    orphans(&docker, project, &there, wanted, screen).await?;
    let parts = plan::plan(project, services, &there, &wanted.how, &|image| ids.get(image).cloned())?;
    let maker = Maker { docker: &docker, opened, ids: &ids, wanted, screen, there: RefCell::new(BTreeMap::new()) };
    for one in there.iter().filter(|one| !one.oneoff) {
        maker.there.borrow_mut().entry(one.service.clone()).or_default().push(one.peer());
    }
    let restarted = plan::restarted(project, &parts);
    for name in &restarted {
        for one in there.iter().filter(|one| one.service == *name && one.is_running() && !one.oneoff) {
            stop(&docker, one, wanted.timeout, screen).await?;
        }
    }
    let (maker, parts, restarted) = (&maker, &parts, &restarted);
    walk(services, Way::Up, |name| async move {
        let Some(part) = parts.iter().find(|part| part.service == name) else { return Ok(()) };
        let Some(service) = services.iter().find(|service| service.name == name) else { return Ok(()) };
        let rests = restarted.contains(name.as_str());
        let deeds = join_all(part.deeds.iter().map(|deed| maker.act(service, deed, rests))).await;
        deeds.into_iter().collect::<Result<Vec<()>>>()?;
        maker.rename(service, &part.deeds).await;
        Ok(())
    })
    .await
}

/// Whether a service says only what a container can have; asked before anything is made.
fn possible(opened: &Opened, service: &Service) -> Result<()> {
    let others = |name: &str| vec![Peer { id: name.to_string(), name: name.to_string(), number: 1 }];
    body::body(&opened.project, service, &Seat::first(service.name.clone(), &others))?;
    mounts::injections(&opened.project, service, &|name| opened.variable(name)).map(drop)
}

async fn orphans(docker: &Docker, project: &Project, there: &[Seen], wanted: &Wanted, screen: &Screen) -> Result<()> {
    let orphans = plan::orphans(project, there);
    if orphans.is_empty() || wanted.ignore_orphans {
        return Ok(());
    }
    if wanted.remove_orphans {
        for one in orphans {
            remove(docker, one, wanted.timeout, false, screen).await?;
        }
        return Ok(());
    }
    let names: Vec<&str> = orphans.iter().map(|one| one.name.as_str()).collect();
    terminal::eprint(&format!(
        "WARNING: Found orphan containers ([{}]) for this project. If you removed or renamed this service in your compose file, you can run this command with the --remove-orphans flag to clean it up.\n",
        names.join(" ")
    ));
    Ok(())
}

/// Stops a container and removes it.
///
/// # Errors
/// The daemon's refusal; one that has gone meanwhile is none.
pub async fn remove(docker: &Docker, one: &Seen, timeout: Option<i64>, volumes: bool, screen: &Screen) -> Result<()> {
    if one.is_running() {
        stop(docker, one, timeout, screen).await?;
    }
    let id = format!("Container {}", one.name);
    screen.working(&id, "Removing");
    let route = Route::new("/containers/{}", [&one.id]).flag("force", true).flag("v", volumes);
    gone(docker.delete::<serde::de::IgnoredAny>(&route).await.map(drop))
        .inspect_err(|_| screen.failed(&id, "Error while Removing"))?;
    screen.done(&id, "Removed");
    Ok(())
}

async fn stop(docker: &Docker, one: &Seen, timeout: Option<i64>, screen: &Screen) -> Result<()> {
    let id = format!("Container {}", one.name);
    screen.working(&id, "Stopping");
    gone(docker.poke(&Route::new("/containers/{}/stop", [&one.id]).maybe("t", timeout)).await)?;
    screen.done(&id, "Stopped");
    Ok(())
}

/// What has gone meanwhile is as good as removed.
fn gone(answer: Result<()>) -> Result<()> {
    match answer {
        Err(error) if error.kind() == minidock_base::Kind::NotFound => Ok(()),
        answer => answer,
    }
}

/// Who makes containers.
pub struct Maker<'a> {
    pub docker: &'a Docker,
    pub opened: &'a Opened,
    pub ids: &'a Ids,
    pub wanted: &'a Wanted,
    pub screen: &'a Screen,
    /// The containers of each service, as they come to be.
    pub there: RefCell<BTreeMap<String, Vec<Peer>>>,
}

impl Maker<'_> {
    /// Does one deed; `rests` says that the service has been stopped for now.
    async fn act(&self, service: &Service, deed: &Deed, rests: bool) -> Result<()> {
        match deed {
            Deed::Keep(one) if one.is_running() && !rests => self.screen.done(&format!("Container {}", one.name), "Running"),
            Deed::Keep(_) => {}
            Deed::Remove(one) => {
                remove(self.docker, one, self.wanted.timeout, false, self.screen).await?;
                self.forget(service, &one.id);
            }
            Deed::Create { number } => {
                let name = body::container_name(&self.opened.project.name, service, *number);
                let id = format!("Container {name}");
                self.screen.working(&id, "Creating");
                match self.create(service, &name, &name, *number, None).await {
                    Ok(_) => self.screen.done(&id, "Created"),
                    Err(error) => {
                        self.screen.failed(&id, "Error");
                        return Err(error);
                    }
                }
            }
            Deed::Recreate(old) => self.recreate(service, old).await?,
        }
        Ok(())
    }

    async fn recreate(&self, service: &Service, old: &Seen) -> Result<()> {
        let name = body::container_name(&self.opened.project.name, service, old.number);
        let id = format!("Container {name}");
        self.screen.working(&id, "Recreate");
        let short = &old.id[..old.id.len().min(12)];
        let made = async {
            let new = self.create(service, &name, &format!("{short}_{name}"), old.number, Some(old)).await?;
            if old.is_running() {
                let route = Route::new("/containers/{}/stop", [&old.id]).maybe("t", self.wanted.timeout);
                gone(self.docker.poke(&route).await)?;
            }
            gone(
                self.docker
                    .delete::<serde::de::IgnoredAny>(&Route::new("/containers/{}", [&old.id]).flag("force", true))
                    .await
                    .map(drop),
            )?;
            self.forget(service, &old.id);
            self.docker.poke(&Route::new("/containers/{}/rename", [&new]).pair("name", &name)).await
        };
        match made.await {
            Ok(()) => {
                self.screen.done(&id, "Recreated");
                Ok(())
            }
            Err(error) => {
                self.screen.failed(&id, "Error");
                Err(error)
            }
        }
    }

    /// Creates one container of a service, called `name` in the end and `called` for now; gives its id.
    async fn create(&self, service: &Service, name: &str, called: &str, number: u32, old: Option<&Seen>) -> Result<String> {
        let inherited = match old {
            Some(old) if !self.wanted.renew_volumes => old.mounts.clone(),
            _ => Vec::new(),
        };
        let declared = if inherited.is_empty() { Vec::new() } else { declared(self.docker, &service.image).await? };
        let others = |name: &str| self.there.borrow().get(name).cloned().unwrap_or_default();
        let seat = Seat {
            number,
            name: name.to_string(),
            oneoff: false,
            aliases: true,
            ports: true,
            others: &others,
            inherited: &inherited,
            declared: &declared,
            image_id: self.ids.get(&service.image).map_or("", String::as_str),
        };
        let mut wish = body::body(&self.opened.project, service, &seat)?;
        if old.is_some() {
            wish.config.labels.insert(REPLACE.into(), name.to_string());
        }
        let files = mounts::injections(&self.opened.project, service, &|name| self.opened.variable(name))?;
        let id = make(self.docker, self.opened, service, called, wish, &files).await?;
        let peer = Peer { id: id.clone(), name: name.to_string(), number };
        self.there.borrow_mut().entry(service.name.clone()).or_default().push(peer);
        Ok(id)
    }

    /// One whose maker was killed before it had its own name gets it now, if it is free.
    async fn rename(&self, service: &Service, deeds: &[Deed]) {
        for deed in deeds {
            let Deed::Keep(one) = deed else { continue };
            let own = body::container_name(&self.opened.project.name, service, one.number);
            if one.name.ends_with(&format!("_{own}")) {
                // a name that somebody else has is no reason to fail
                let _ = self.docker.poke(&Route::new("/containers/{}/rename", [&one.id]).pair("name", &own)).await;
            }
        }
    }

    fn forget(&self, service: &Service, id: &str) {
        if let Some(peers) = self.there.borrow_mut().get_mut(&service.name) {
            peers.retain(|peer| peer.id != id);
        }
    }
}

/// The folders that an image calls volumes.
async fn declared(docker: &Docker, image: &str) -> Result<Vec<String>> {
    let image: serde_json::Value = docker.get(&Route::new("/images/{}/json", [image])).await?;
    Ok(image["Config"]["Volumes"].as_object().map(|volumes| volumes.keys().cloned().collect()).unwrap_or_default())
}

/// One container, with all its networks and the files that are put in; gives its id.
///
/// # Errors
/// The daemon's refusal; then nothing of it is left.
pub async fn make(
    docker: &Docker,
    opened: &Opened,
    service: &Service,
    called: &str,
    mut wish: CreateBody,
    files: &[Injection],
) -> Result<String> {
    let options = wish.host_config.security_opt.take().unwrap_or_default();
    let options: Vec<String> = options.iter().map(|option| profile_path(option, opened)).collect();
    let security = security::security(&options)?;
    if security.paths_open {
        (wish.host_config.masked_paths, wish.host_config.readonly_paths) = (Some(Vec::new()), Some(Vec::new()));
    }
    wish.host_config.security_opt = Some(security.options).filter(|options| !options.is_empty());
    let mut later = Vec::new();
    if !docker.speaks("1.44") {
        // older engines take one network at the creation, and the others one by one
        let first = wish.host_config.network_mode.clone();
        let all = std::mem::take(&mut wish.networking_config.endpoints_config);
        for (name, place) in all {
            match name == first {
                true => drop(wish.networking_config.endpoints_config.insert(name, place)),
                false => later.push((name, place)),
            }
        }
    }
    let platform = Some(service.node.text("platform")).filter(|platform| !platform.is_empty());
    let route = Route::new("/containers/create", []).pair("name", called).maybe("platform", platform);
    let created: Created = docker.post(&route, &wish).await?;
    for warning in &created.warnings {
        terminal::eprint(&format!("WARNING: {warning}\n"));
    }
    let rest = async {
        for (name, endpoint_config) in later {
            let body = NetworkConnect { container: created.id.clone(), endpoint_config };
            docker.post::<serde::de::IgnoredAny>(&Route::new("/networks/{}/connect", [&name]), &body).await?;
        }
        if !files.is_empty() {
            let route = Route::new("/containers/{}/archive", [&created.id]).pair("path", "/").pair("copyUIDGID", "true");
            let archive = archive(files).map_err(|error| Error::system(format!("pack the files of {called}: {error}")))?;
            let pieces = futures_util::stream::iter([Ok(bytes::Bytes::from(archive))]);
            docker.send(Wish::put(&route).stream("application/x-tar", pieces)).await?.bytes().await?;
        }
        Ok::<(), Error>(())
    };
    if let Err(error) = rest.await {
        let _ = docker.delete::<serde::de::IgnoredAny>(&Route::new("/containers/{}", [&created.id]).flag("force", true)).await;
        return Err(error);
    }
    Ok(created.id)
}

/// `seccomp=FILE` from the project's folder.
fn profile_path(option: &str, opened: &Opened) -> String {
    let file = option.strip_prefix("seccomp=").or_else(|| option.strip_prefix("seccomp:"));
    match file.filter(|file| !matches!(*file, "unconfined" | "builtin")) {
        Some(file) => format!("seccomp={}", opened.project.folder.join(file).display()),
        None => option.to_string(),
    }
}

fn archive(files: &[Injection]) -> std::io::Result<Vec<u8>> {
    let mut tar = tar::Builder::new(Vec::new());
    for file in files {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Regular);
        header.set_size(file.bytes.len() as u64);
        header.set_mode(file.mode);
        header.set_uid(file.uid);
        header.set_gid(file.gid);
        tar.append_data(&mut header, file.path.trim_start_matches('/'), file.bytes.as_slice())?;
    }
    tar.into_inner()
}
