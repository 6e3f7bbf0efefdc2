//! # logs: what the project's containers have said
//!
//! All logs at once, each line with whose it is; with `-f` on and on, containers that start meanwhile among them.
//!
//! *See:* docker/compose `cmd/compose/logs.go`. *Next room:* [`super::down`](mod@super::down)

use super::{
    events::Watch,
    files,
    lines::{Printer, Which},
    options, seen,
};
use crate::{flag, moment, session::Session};
use clap::ArgMatches;
use futures_util::{StreamExt, stream::FuturesUnordered};
use minidock_base::Result;
use minidock_compose::local::plan::Seen;
use std::collections::BTreeMap;

/// The flags of `compose logs`.
pub fn command() -> clap::Command {
    options::with(flag::command("logs", "[OPTIONS] [SERVICE...]", "View output from containers"))
        .arg(flag::switch("follow", "Follow log output").short('f'))
        .arg(flag::number("index", "int", "index of the container if service has multiple replicas"))
        .arg(flag::switch("no-color", "Produce monochrome output"))
        .arg(flag::switch("no-log-prefix", "Don't print prefix in logs"))
        .arg(flag::text(
            "since",
            "string",
            "Show logs since timestamp (e.g. 2013-01-02T13:23:37Z) or relative (e.g. 42m for 42 minutes)",
        ))
        .arg(
            flag::text(
                "tail",
                "string",
                "Number of lines to show from the end of the logs for each container (default \"all\")",
            )
            .short('n'),
        )
        .arg(flag::switch("timestamps", "Show timestamps").short('t'))
        .arg(flag::text(
            "until",
            "string",
            "Show logs before a timestamp (e.g. 2013-01-02T13:23:37Z) or relative (e.g. 42m for 42 minutes)",
        ))
        .arg(flag::optional_names("SERVICE"))
}

/// How a container is called in front of its lines: without the project's name.
pub fn short_name(project: &str, one: &Seen) -> String {
    one.name.strip_prefix(&format!("{project}-")).unwrap_or(&one.name).to_string()
}

/// Shows the logs.
///
/// # Errors
/// No such service; a time that is none; the daemon's refusal.
pub async fn run(m: &ArgMatches, session: &mut Session) -> Result<i32> {
    let names = flag::list_of(m, "SERVICE");
    let (opened, project) = files::project_or_name(m, &names)?;
    let time = |id: &str| flag::text_of(m, id).filter(|text| !text.is_empty()).map(moment::from_now).transpose();
    let which = Which {
        follow: m.get_flag("follow"),
        timestamps: m.get_flag("timestamps"),
        tail: flag::text_of(m, "tail").map(str::to_string),
        since: time("since")?,
        until: time("until")?,
    };
    let docker = session.docker().await?;
    let mut there = seen::of_services(&docker, opened.as_ref(), &project, &names).await?;
    if let Some(index) = flag::number_of(m, "index") {
        there.retain(|one| i64::from(one.number) == index);
    }
    let printer = Printer::new(
        !m.get_flag("no-log-prefix"),
        !m.get_flag("no-color") && flag::text_of(m, "project.ansi") != Some("never"),
    );
    there.iter().for_each(|one| printer.know(&short_name(&project, one)));
    let mut following = FuturesUnordered::new();
    let follow = |id: String, name: String, which: Which| {
        let (docker, printer) = (docker.clone(), printer.clone());
        async move { printer.follow(&docker, &id, &name, &which).await }
    };
    if !which.follow {
        // one after the other: what has been said has an order only within a container
        for one in &there {
            follow(one.id.clone(), short_name(&project, one), which.clone()).await?;
        }
        return Ok(0);
    }
    let mut watch = Watch::begin(&docker, &project).await?;
    // where each log was left: the next start goes on from there
    let mut left: BTreeMap<String, String> = BTreeMap::new();
    for one in &there {
        let began = if one.is_running() { None } else { Some(moment::from_now("0s")?) };
        left.extend(began.map(|began| (one.id.clone(), began)));
        following.push(follow(one.id.clone(), short_name(&project, one), which.clone()));
    }
    loop {
        tokio::select! {
            Some(ended) = following.next(), if !following.is_empty() => ended?,
            event = watch.next() => {
                let Some(event) = event? else { return Ok(0) };
                let meant = names.is_empty() || names.contains(&event.service);
                if event.action == "die" {
                    left.insert(event.id.clone(), event.after());
                }
                if event.action == "start" && meant && !event.oneoff {
                    let name = event.name.strip_prefix(&format!("{project}-")).unwrap_or(&event.name).to_string();
                    printer.know(&name);
                    let which = Which { since: left.get(&event.id).cloned(), tail: None, ..which.clone() };
                    following.push(follow(event.id.clone(), name, which));
                }
            }
            else => return Ok(0),
        }
        if following.is_empty()
            && seen::of_services(&docker, opened.as_ref(), &project, &names).await?.iter().all(|one| !one.is_running())
        {
            return Ok(0);
        }
    }
}
