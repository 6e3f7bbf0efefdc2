//! # stack deploy: the wishes of a file, one by one
//!
//! What services need is made before them: networks, then secrets and configs, then the services themselves. What is there already is
//! changed to what the file says, so the command may be repeated; nothing is taken away unless `--prune` asks for it.
//!
//! ```text
//!   files ─► Project ─► Stack (all of it, before anything is made: a file that is wrong leaves nothing behind)
//!              │
//!              ├ needs       what must be there is there
//!              ├ prune       services that the file does not name any more
//!              ├ needs       networks: made; secrets, configs: made, or their labels changed
//!              ├ services    Creating service … / Updating service … (id: …)
//!              └ progress    with --detach=false: until all have converged
//! ```
//!
//! Laws: the order of the file is the order of the work; what goes wrong with one thing is said, and whatever does not need it goes on; an image that has not changed keeps the digest it was given.
//! *See:* docker/cli `cli/command/stack/swarm/deploy_composefile.go`. *Next room:* [`needs`]

pub mod needs;
pub mod services;

use super::{files, members, named, remove};
use crate::{complain, flag, service::progress, session::Session, terminal, words};
use clap::ArgMatches;
use minidock_base::{Error, Result};
use minidock_client::{Docker, Route};
use minidock_compose::stack;
use minidock_spec::swarm::service::Service;
use needs::Needs;
use serde_json::Value as Json;
use services::Wishes;

const NOTICE: &str = "Since --detach=false was not specified, tasks will be created in the background.\nIn a future release, --detach=false will become the default.\n";

/// When a registry is asked what an image's name means.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Resolve {
    Always,
    Changed,
    Never,
}

/// The flags of `stack deploy`.
pub fn command() -> clap::Command {
    flag::command("deploy", "[OPTIONS] STACK", "Deploy a new stack or update an existing stack")
        .arg(files::flag())
        .arg(
            flag::on("detach", "Exit immediately instead of waiting for the stack services to converge (default true)")
                .short('d'),
        )
        .arg(flag::switch("prune", "Prune services that are no longer referenced"))
        .arg(flag::switch("quiet", "Suppress progress output").short('q'))
        .arg(flag::text(
            "resolve-image",
            "string",
            "Query the registry to resolve image digest and supported platforms (\"always\", \"changed\", \"never\") (default \"always\")",
        ))
        .arg(flag::switch("with-registry-auth", "Send registry authentication details to Swarm agents"))
        .arg(flag::name("STACK"))
}

/// Makes a stack what its files say.
///
/// # Errors
/// Anything wrong with the files; a daemon that manages no swarm; what is external and not there. Its other refusals are printed, and the
/// status is 1.
pub async fn run(m: &ArgMatches, session: &mut Session) -> Result<i32> {
    let name = named(flag::text_of(m, "STACK").unwrap_or_default())?;
    let resolve = match flag::text_of(m, "resolve-image").unwrap_or("always") {
        "always" => Resolve::Always,
        "changed" => Resolve::Changed,
        "never" => Resolve::Never,
        other => {
            return Err(
                Error::invalid(format!("Invalid option {other} for flag --resolve-image")).hint("always, changed or never")
            );
        }
    };
    let project = files::project(m, true)?;
    let stack = stack::plan(&project, name, &files::read)?;
    terminal::eprint(&files::set_aside(&project));
    let detach = flag::is_on(m, "detach");
    if detach && !words::is_given(m, "detach") {
        terminal::eprint(NOTICE);
    }
    let config = session.config_folder().to_path_buf();
    let docker = session.docker().await?;
    must_be_manager(&docker).await?;
    let mut needs = Needs::ask(&docker, &project, &stack).await?;
    needs.must_be_there(&docker, &project, &stack).await?;
    let pruned = !m.get_flag("prune") || prune(&docker, name, &stack).await?;
    needs.networks(&docker, name, &stack).await?;
    needs.files(&docker, &stack).await;
    let accounts = m.get_flag("with-registry-auth").then_some(config.as_path());
    let wishes = Wishes { stack: &stack, needs: &needs, resolve, accounts };
    let (ids, mut all_well) = services::deploy(&docker, name, &wishes).await?;
    all_well &= pruned && needs.are_met();
    for id in ids.iter().filter(|_| !detach) {
        if let Err(error) = progress::wait(&docker, id, m.get_flag("quiet")).await {
            complain(&error);
            all_well = false;
        }
    }
    Ok(i32::from(!all_well))
}

async fn must_be_manager(docker: &Docker) -> Result<()> {
    let info: Json = docker.get(&Route::new("/info", [])).await?;
    match info["Swarm"]["ControlAvailable"].as_bool() {
        Some(true) => Ok(()),
        _ => Err(Error::unavailable(
            "this node is not a swarm manager. Use \"minidock swarm init\" or \"minidock swarm join\" to connect this node to swarm and try again",
        )),
    }
}

/// Removes the stack's services that the file does not name; whether all of them are gone.
async fn prune(docker: &Docker, name: &str, stack: &stack::Stack) -> Result<bool> {
    let there: Vec<Service> = members(docker, "services", name).await?;
    let named = |service: &Service| stack.services.iter().any(|spec| spec.name == service.spec.name);
    Ok(remove::services(docker, there.into_iter().filter(|service| !named(service)).collect()).await)
}
