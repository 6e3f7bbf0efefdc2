//! # node ps: the tasks of some nodes
//!
//! *See:* docker/cli `cli/command/node/ps.go`. *Next room:* [`super::update`]

use super::pretty::fetch;
use crate::{
    complain,
    filter::Filters,
    flag,
    service::ps::{flags, show, tasks_of},
    session::Session,
};
use clap::ArgMatches;
use minidock_base::Result;

/// The flags of `node ps`.
pub fn command() -> clap::Command {
    let about = "List tasks running on one or more nodes, defaults to current node";
    flags(flag::command("ps", "[OPTIONS] [NODE...]", about)).arg(flag::optional_names("NODE"))
}

/// Lists the tasks of nodes; without a name of the one that answers.
///
/// # Errors
/// A wrong filter or template; what is wrong with one node is printed, and the status is 1.
pub async fn run(m: &ArgMatches, session: &mut Session) -> Result<i32> {
    let docker = session.docker().await?;
    let names = flag::list_of(m, "NODE");
    let names = if names.is_empty() { vec!["self".to_string()] } else { names };
    let (mut tasks, mut refusals) = (Vec::new(), Vec::new());
    for name in names {
        match fetch(&docker, &name).await {
            Ok(node) => {
                let mut filters = Filters::default();
                filters.add("node", &node.id);
                tasks.extend(tasks_of(&docker, m, filters).await?);
            }
            Err(refusal) => refusals.push(refusal),
        }
    }
    if refusals.is_empty() || !tasks.is_empty() {
        show(&docker, m, tasks, m.get_flag("no-trunc")).await?;
    }
    refusals.iter().for_each(complain);
    Ok(i32::from(!refusals.is_empty()))
}
