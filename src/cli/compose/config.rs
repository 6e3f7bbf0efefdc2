//! # config: what was understood
//!
//! The first thing to look at when a project does not do what its file seems to say. Nothing is asked of a daemon.
//!
//! *See:* docker/compose `cmd/compose/config.go`. *Next room:* [`super::ps`](mod@super::ps)

use super::{files, options};
use crate::{flag, session::Session, terminal};
use clap::ArgMatches;
use minidock_base::{Doing, Error, Result};
use minidock_compose::local::{
    hash,
    project::{Outer, Project},
    render,
};
use std::{collections::BTreeSet, fs};

/// The flags of `compose config`.
pub fn command() -> clap::Command {
    options::with(flag::command(
        "config",
        "[OPTIONS] [SERVICE...]",
        "Parse, resolve and render compose file in canonical format",
    ))
    .arg(flag::switch("environment", "Print environment used for interpolation."))
    .arg(flag::text("format", "string", "Format the output. Values: [yaml | json]"))
    .arg(flag::text("hash", "string", "Print the service config hash, one per line."))
    .arg(flag::switch("images", "Print the image names, one per line."))
    .arg(flag::switch("networks", "Print the network names, one per line."))
    .arg(flag::switch("no-interpolate", "Don't interpolate environment variables"))
    .arg(flag::text("output", "string", "Save to file (default to stdout)").short('o'))
    .arg(flag::switch("profiles", "Print the profile names, one per line."))
    .arg(flag::switch("quiet", "Only validate the configuration, don't print anything").short('q'))
    .arg(flag::switch("services", "Print the service names, one per line."))
    .arg(flag::switch("volumes", "Print the volume names, one per line."))
    .arg(flag::optional_names("SERVICE"))
}

/// Prints the project.
///
/// # Errors
/// Whatever is wrong with the files; no such service; a format that is none.
pub async fn run(m: &ArgMatches, _: &mut Session) -> Result<i32> {
    let names = flag::list_of(m, "SERVICE");
    let opened = files::open_as(m, &names, !m.get_flag("no-interpolate"))?;
    let project = &opened.project;
    let chosen = project.chosen(&names, false)?;
    let lines = |lines: Vec<String>| lines.iter().for_each(|line| terminal::print(&format!("{line}\n")));
    let keys = |outers: &[Outer]| outers.iter().map(|outer| outer.key.clone()).collect::<Vec<_>>();
    if m.get_flag("services") {
        lines(chosen.iter().map(|service| service.name.clone()).collect());
    } else if m.get_flag("volumes") {
        lines(keys(&project.volumes));
    } else if m.get_flag("networks") {
        lines(keys(&project.networks));
    } else if m.get_flag("images") {
        lines(chosen.iter().map(|service| service.image.clone()).collect());
    } else if m.get_flag("profiles") {
        lines(profiles(project));
    } else if m.get_flag("environment") {
        lines(opened.environment().into_iter().map(|(name, value)| format!("{name}={value}")).collect());
    } else if let Some(which) = flag::text_of(m, "hash") {
        let wanted: Vec<&str> = which.split(',').collect();
        for name in wanted.iter().filter(|name| **name != "*") {
            project.named(name)?;
        }
        let meant = chosen.iter().filter(|service| wanted.contains(&"*") || wanted.contains(&service.name.as_str()));
        lines(meant.map(|service| format!("{} {}", service.name, hash::service(service))).collect());
    } else {
        let mut tree = project.tree.clone();
        if let (false, minidock_compose::node::What::Map(map)) = (names.is_empty(), &mut tree.what)
            && let Some(minidock_compose::node::What::Map(services)) = map.get_mut("services").map(|node| &mut node.what)
        {
            services.0.retain(|entry| chosen.iter().any(|service| service.name == entry.key));
        }
        let text = match flag::text_of(m, "format").unwrap_or("yaml") {
            "yaml" | "" => render::yaml(&tree),
            "json" => render::json_text(&tree),
            other => return Err(Error::invalid(format!("unsupported format {other:?}")).hint("yaml or json")),
        };
        match (m.get_flag("quiet"), flag::text_of(m, "output")) {
            (true, _) => {}
            (false, Some(file)) => fs::write(file, text).doing(|| format!("write {file}"))?,
            (false, None) => terminal::print(&text),
        }
    }
    Ok(0)
}

fn profiles(project: &Project) -> Vec<String> {
    let all = project.services.iter().chain(&project.disabled).flat_map(|service| service.profiles.clone());
    all.collect::<BTreeSet<String>>().into_iter().collect()
}
