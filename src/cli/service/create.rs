//! # service create: from a wish to a service
//!
//! What was typed becomes a spec ([`super::spec`]); networks, secrets and configs are looked up; the managers take it; and then one
//! waits until the tasks run, unless `-d` was given.
//!
//! Laws: nothing is created when something it needs is not there. The image is looked up in its registry ([`super::image`]), so that
//! all nodes run the same one; where that fails a warning says so.
//! *See:* docker/cli `cli/command/service/create.go`. *Next room:* [`super::update`]

use super::{attachments, flags, image, progress, spec};
use crate::{flag, session::Session, terminal};
use clap::ArgMatches;
use minidock_base::Result;
use minidock_client::{Docker, Route, Wish};
use minidock_spec::swarm::service::ServiceSpec;
use serde::Deserialize;

/// The flags of `service create`.
pub fn command() -> clap::Command {
    flags::create(flag::command("create", "[OPTIONS] IMAGE [COMMAND] [ARG...]", "Create a new service"))
}

/// The answer to a service that was created or changed.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Answered {
    #[serde(rename = "ID", alias = "Id")]
    pub id: String,
    pub warning: Option<String>,
    pub warnings: Option<Vec<String>>,
}

impl Answered {
    /// Prints what the managers want to be known.
    pub fn warn(&self) {
        let all = self.warning.iter().chain(self.warnings.iter().flatten());
        all.filter(|text| !text.is_empty()).for_each(|text| terminal::eprint(&format!("{text}\n")));
    }
}

/// Creates a service and waits for it.
///
/// # Errors
/// What makes no sense together; a network, secret or config that is not there; the managers' refusal; what went wrong with the
/// first tasks.
pub async fn run(m: &ArgMatches, session: &mut Session) -> Result<i32> {
    let wish = spec::wish(m)?;
    let mut spec = wish.spec;
    let config = session.config_folder().to_path_buf();
    let docker = session.docker().await?;
    let task = &mut spec.task_template;
    task.networks = attachments::networks(&docker, std::mem::take(&mut task.networks)).await?;
    if let Some(container) = &mut task.container_spec {
        image::tag(&mut container.image)?;
        container.secrets = attachments::secrets(&docker, wish.secrets).await?;
        container.configs = attachments::configs(&docker, wish.configs).await?;
    }
    let image = flag::text_of(m, "IMAGE").unwrap_or_default();
    let auth = if m.get_flag("with-registry-auth") { image::auth(&config, image)? } else { None };
    let warning = match m.get_flag("no-resolve-image") {
        true => None,
        false => image::pin(&docker, &mut spec.task_template, auth.as_deref()).await?,
    };
    let made = post(&docker, &Route::new("/services/create", []), &spec, auth.as_deref()).await?;
    warning.iter().for_each(|text| terminal::eprint(&format!("{text}\n")));
    made.warn();
    terminal::print(&format!("{}\n", made.id));
    if !m.get_flag("detach") {
        progress::wait(&docker, &made.id, m.get_flag("quiet")).await?;
    }
    Ok(0)
}

/// Sends a spec where services are made or changed, with the registry's password if it is wanted.
///
/// # Errors
/// The managers' refusal.
pub async fn post(docker: &Docker, route: &Route, spec: &ServiceSpec, auth: Option<&str>) -> Result<Answered> {
    let wish = Wish::post(route).json(spec)?;
    let wish = auth.into_iter().fold(wish, |wish, auth| wish.header("X-Registry-Auth", auth));
    docker.send(wish).await?.json().await
}
