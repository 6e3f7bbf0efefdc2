//! # service update: the same service, otherwise
//!
//! The spec is fetched, changed ([`super::change`]) and sent back whole, with the version it had; if somebody else was faster, the managers
//! refuse. What they do then, task by task, is shown as for a new service. `--rollback` and `service rollback` send no change but ask for
//! the spec before this one.
//!
//! *See:* docker/cli `cli/command/service/{update,rollback}.go`. *Next room:* [`super::scale`]

use super::{
    attachments::{self, File},
    change::{self, Found},
    create::{self, Answered},
    flags, image, progress, values,
};
use crate::{each::named, flag, session::Session, terminal, words::is_given};
use clap::ArgMatches;
use minidock_base::{Error, Result};
use minidock_client::{Docker, Route};
use minidock_spec::swarm::{service::Service, task::NetworkAttachmentConfig};

/// The flags of `service update`.
pub fn command() -> clap::Command {
    flags::update(flag::command("update", "[OPTIONS] SERVICE", "Update a service"))
}

/// The flags of `service rollback`.
pub fn rollback() -> clap::Command {
    let about = "Revert changes to a service's configuration";
    flags::waiting(flag::command("rollback", "[OPTIONS] SERVICE", about)).arg(flag::name("SERVICE"))
}

/// Changes a service.
///
/// # Errors
/// No such service; what makes no sense; the managers' refusal; a change that did not work.
pub async fn run(m: &ArgMatches, session: &mut Session) -> Result<i32> {
    let name = flag::text_of(m, "SERVICE").unwrap_or_default();
    let back = m.get_flag("rollback");
    let others = m.ids().map(clap::Id::as_str).filter(|id| !["rollback", "detach", "quiet", "SERVICE"].contains(id));
    if back && others.into_iter().any(|id| is_given(m, id)) {
        return Err(Error::invalid("other flags may not be combined with --rollback"));
    }
    let config = session.config_folder().to_path_buf();
    let docker = session.docker().await?;
    let mut service = fetch(&docker, name).await?;
    let found = found(&docker, m).await?;
    change::change(m, &mut service.spec, found)?;
    let image = service.spec.task_template.container_spec.as_ref().map(|spec| spec.image.clone()).unwrap_or_default();
    let auth = if m.get_flag("with-registry-auth") { image::auth(&config, &image)? } else { None };
    let mut warning = None;
    if is_given(m, "image") && !m.get_flag("no-resolve-image") {
        warning = image::pin(&docker, &mut service.spec.task_template, auth.as_deref()).await?;
    } else if let Some(container) = service.spec.task_template.container_spec.as_mut().filter(|spec| !spec.image.is_empty()) {
        image::tag(&mut container.image)?;
    }
    let more = Post { rollback: back, auth: auth.as_deref() };
    let answered = send(&docker, &service, more).await?;
    warning.iter().for_each(|text| terminal::eprint(&format!("{text}\n")));
    finish(&docker, name, &answered, m).await
}

/// Goes back to the spec before this one.
///
/// # Errors
/// No such service; none before this one; what went wrong on the way back.
pub async fn run_rollback(m: &ArgMatches, session: &mut Session) -> Result<i32> {
    let name = flag::text_of(m, "SERVICE").unwrap_or_default();
    let docker = session.docker().await?;
    let service = fetch(&docker, name).await?;
    let answered = send(&docker, &service, Post { rollback: true, auth: None }).await?;
    finish(&docker, name, &answered, m).await
}

async fn finish(docker: &Docker, name: &str, answered: &Answered, m: &ArgMatches) -> Result<i32> {
    answered.warn();
    terminal::print(&format!("{name}\n"));
    if !m.get_flag("detach") {
        progress::wait(docker, name, m.get_flag("quiet")).await?;
    }
    Ok(0)
}

/// A service as it is.
///
/// # Errors
/// `service … not found`.
pub async fn fetch(docker: &Docker, name: &str) -> Result<Service> {
    docker.get(&Route::new("/services/{}", [named("service", name)?])).await
}

/// What stands beside the spec.
#[derive(Clone, Copy, Debug, Default)]
pub struct Post<'a> {
    pub rollback: bool,
    pub auth: Option<&'a str>,
}

/// Sends a changed service back.
///
/// # Errors
/// The managers' refusal: `update out of sequence` if somebody else was faster.
pub async fn send(docker: &Docker, service: &Service, post: Post<'_>) -> Result<Answered> {
    let from = if post.auth.is_none() { Some("spec") } else { None };
    let route = Route::new("/services/{}/update", [&service.id])
        .pair("version", service.version.index)
        .maybe("registryAuthFrom", from)
        .maybe("rollback", post.rollback.then_some("previous"));
    create::post(docker, &route, &service.spec, post.auth).await
}

/// What the flags name, by ID.
async fn found(docker: &Docker, m: &ArgMatches) -> Result<Found> {
    let mut networks_removed = Vec::new();
    for name in flag::list_of(m, "network-rm") {
        networks_removed.push(attachments::network_id(docker, &name).await?);
    }
    let networks: Vec<NetworkAttachmentConfig> = values::all(m, "network-add");
    Ok(Found {
        networks_added: attachments::networks(docker, networks).await?,
        networks_removed,
        secrets_added: attachments::secrets(docker, values::all::<File>(m, "secret-add")).await?,
        configs_added: attachments::configs(docker, values::all::<File>(m, "config-add")).await?,
    })
}
