//! # ls, images, top, port, version, volumes, stats: looking on
//!
//! *See:* docker/compose `cmd/compose/{list,images,top,port,version,volumes,stats}.go`. *Next room:* [`super::inside`]

use super::{files, images::typed_at, options, seen};
use crate::{container::stats as container_stats, filter::Filters, flag, format, session::Session, table, terminal};
use clap::ArgMatches;
use minidock_base::{Error, Result, id};
use minidock_client::Route;
use minidock_compose::local::body::{FILES, PROJECT};
use minidock_spec::{
    engine::{
        container::{Inspect, Summary, Top},
        volume::VolumeList,
    },
    reference::Reference,
};
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;

fn lined_up(lines: &[Vec<String>]) -> String {
    let text: String = lines.iter().map(|cells| cells.join("\t") + "\n").collect();
    table::align(&text, table::MIN_WIDTH, table::PADDING)
}

/// The flags of `compose ls`.
pub fn ls_command() -> clap::Command {
    options::with(flag::command("ls", "[OPTIONS]", "List running compose projects"))
        .arg(flag::switch("all", "Show all stopped Compose projects").short('a'))
        .arg(crate::filter::flag("Filter output based on conditions provided"))
        .arg(flag::text("format", "string", "Format the output. Values: [table | json] (default \"table\")"))
        .arg(flag::switch("quiet", "Only display project names").short('q'))
}

/// Lists projects.
///
/// # Errors
/// A filter or a format that is none; the daemon's refusal.
pub async fn ls(m: &ArgMatches, session: &mut Session) -> Result<i32> {
    let typed = Filters::of(m);
    if let Some((key, _)) = typed.pairs().find(|(key, _)| *key != "name") {
        return Err(Error::invalid(format!("invalid filter '{key}'")).hint("--filter name=TEXT"));
    }
    let mut filters = Filters::default();
    filters.add("label", PROJECT);
    let route = Route::new("/containers/json", []).flag("all", m.get_flag("all")).maybe("filters", filters.json());
    let all: Vec<Summary> = session.docker().await?.get(&route).await?;
    let mut projects: BTreeMap<String, Vec<Summary>> = BTreeMap::new();
    for summary in all {
        let name = seen::label(&summary, PROJECT).to_string();
        if !name.is_empty() && (!typed.has("name") || typed.get("name").any(|part| name.contains(part))) {
            projects.entry(name).or_default().push(summary);
        }
    }
    if m.get_flag("quiet") {
        projects.keys().for_each(|name| terminal::print(&format!("{name}\n")));
        return Ok(0);
    }
    let status = |containers: &[Summary]| {
        let mut states: BTreeMap<&str, usize> = BTreeMap::new();
        containers.iter().for_each(|summary| *states.entry(summary.state.as_str()).or_default() += 1);
        states.iter().map(|(state, count)| format!("{state}({count})")).collect::<Vec<_>>().join(", ")
    };
    let files = |containers: &[Summary]| {
        containers.iter().map(|summary| seen::label(summary, FILES)).max().unwrap_or_default().to_string()
    };
    match flag::text_of(m, "format").unwrap_or("table") {
        "table" | "" => {
            let mut lines = vec![["NAME", "STATUS", "CONFIG FILES"].map(str::to_string).to_vec()];
            lines.extend(projects.iter().map(|(name, all)| vec![name.clone(), status(all), files(all)]));
            terminal::print(&lined_up(&lines));
        }
        "json" => {
            let list: Vec<Json> = projects
                .iter()
                .map(|(name, all)| json!({"Name": name, "Status": status(all), "ConfigFiles": files(all)}))
                .collect();
            terminal::print(&format!("{}\n", Json::Array(list)));
        }
        other => return Err(Error::invalid(format!("format value {other:?} could not be parsed")).hint("table or json")),
    }
    Ok(0)
}

/// The flags of `compose images`.
pub fn images_command() -> clap::Command {
    options::with(flag::command("images", "[OPTIONS] [SERVICE...]", "List images used by the created containers"))
        .arg(flag::text("format", "string", "Format the output. Values: [table | json] (default \"table\")"))
        .arg(flag::switch("quiet", "Only display IDs").short('q'))
        .arg(flag::optional_names("SERVICE"))
}

/// Lists the images of the project's containers.
///
/// # Errors
/// No such service; the daemon's refusal.
pub async fn images(m: &ArgMatches, session: &mut Session) -> Result<i32> {
    let names = flag::list_of(m, "SERVICE");
    let (opened, project) = files::project_or_name(m, &names)?;
    let docker = session.docker().await?;
    let meant = seen::of_services(&docker, opened.as_ref(), &project, &names).await?;
    let there = seen::summaries(&docker, &project).await?;
    let mut lines = vec![["CONTAINER", "REPOSITORY", "TAG", "IMAGE ID", "SIZE"].map(str::to_string).to_vec()];
    let (mut ids, mut list) = (Vec::new(), Vec::new());
    for summary in there.iter().filter(|summary| meant.iter().any(|one| one.id == summary.id)) {
        let image: Json = docker.get(&Route::new("/images/{}/json", [&summary.image_id])).await?;
        let (repository, tag) = match Reference::parse_untagged(&summary.image) {
            Ok(reference) => (reference.familiar_name(), reference.tag.unwrap_or_else(|| "latest".into())),
            Err(_) => ("<none>".into(), "<none>".into()),
        };
        let size = image["Size"].as_i64().unwrap_or(0);
        let short = id::short(&summary.image_id).to_string();
        list.push(json!({
            "ID": summary.image_id, "ContainerName": seen::name(summary), "Repository": repository, "Tag": tag, "Size": size,
        }));
        ids.push(summary.image_id.trim_start_matches("sha256:").to_string());
        lines.push(vec![seen::name(summary), repository, tag, short, minidock_base::units::human_size_3(size as f64)]);
    }
    match (m.get_flag("quiet"), flag::text_of(m, "format").unwrap_or("table")) {
        (true, _) => {
            ids.sort();
            ids.dedup();
            ids.iter().for_each(|id| terminal::print(&format!("{id}\n")));
        }
        (_, "json") => terminal::print(&format!("{}\n", Json::Array(list))),
        _ => terminal::print(&lined_up(&lines)),
    }
    Ok(0)
}

/// The flags of `compose top`.
pub fn top_command() -> clap::Command {
    options::with(flag::command("top", "[SERVICES...]", "Display the running processes")).arg(flag::optional_names("SERVICE"))
}

/// Shows the processes of all containers.
///
/// # Errors
/// No such service; the daemon's refusal.
pub async fn top(m: &ArgMatches, session: &mut Session) -> Result<i32> {
    let names = flag::list_of(m, "SERVICE");
    let (opened, project) = files::project_or_name(m, &names)?;
    let docker = session.docker().await?;
    let (mut titles, mut lines): (Vec<String>, Vec<Vec<String>>) = (Vec::new(), Vec::new());
    for one in seen::of_services(&docker, opened.as_ref(), &project, &names).await?.iter().filter(|one| one.is_running()) {
        let top: Top = docker.get(&Route::new("/containers/{}/top", [&one.id])).await?;
        if titles.is_empty() {
            titles = [vec!["SERVICE".into(), "#".into()], top.titles].concat();
        }
        let front = [one.service.clone(), one.number.to_string()];
        lines.extend(top.processes.into_iter().map(|process| front.iter().cloned().chain(process).collect::<Vec<_>>()));
    }
    if !lines.is_empty() {
        lines.insert(0, titles);
        let text: String = lines.iter().map(|cells| cells.join("\t") + "\n").collect();
        terminal::print(&table::align(&text, 4, 2));
    }
    Ok(0)
}

/// The flags of `compose port`.
pub fn port_command() -> clap::Command {
    options::with(flag::command("port", "[OPTIONS] SERVICE PRIVATE_PORT", "Print the public port for a port binding"))
        .arg(flag::number("index", "int", "Index of the container if service has multiple replicas"))
        .arg(flag::text("protocol", "string", "tcp or udp (default \"tcp\")"))
        .arg(flag::name("SERVICE"))
        .arg(flag::name("PRIVATE_PORT"))
}

/// Says where a port is published.
///
/// # Errors
/// A service that does not run, a port that is not published.
pub async fn port(m: &ArgMatches, session: &mut Session) -> Result<i32> {
    let service = flag::text_of(m, "SERVICE").unwrap_or_default().to_string();
    let text = flag::text_of(m, "PRIVATE_PORT").unwrap_or_default();
    let port: u16 = text.parse().map_err(|_| Error::invalid(format!("{text:?} is no port")))?;
    let protocol = flag::text_of(m, "protocol").unwrap_or("tcp").to_ascii_lowercase();
    let (opened, project) = files::project_or_name(m, std::slice::from_ref(&service))?;
    let docker = session.docker().await?;
    let one = seen::one(&docker, opened.as_ref(), &project, &service, flag::number_of(m, "index")).await?;
    let now: Inspect = docker.get(&Route::new("/containers/{}/json", [&one.id])).await?;
    let bindings = now.network_settings.ports.get(&format!("{port}/{protocol}")).cloned().flatten().unwrap_or_default();
    let Some(binding) = bindings.first() else {
        return Err(Error::not_found(format!("no port {port}/{protocol} for container {}", one.name)));
    };
    terminal::print(&format!("{}\n", crate::container::ps::host_port(&binding.host_ip, &binding.host_port)));
    Ok(0)
}

/// The flags of `compose volumes`.
pub fn volumes_command() -> clap::Command {
    options::with(flag::command("volumes", "[OPTIONS] [SERVICE...]", "List volumes"))
        .arg(flag::switch("quiet", "Only display volume names").short('q'))
        .arg(flag::optional_names("SERVICE"))
}

/// Lists the project's volumes.
///
/// # Errors
/// The daemon's refusal.
pub async fn volumes(m: &ArgMatches, session: &mut Session) -> Result<i32> {
    let (_, project) = files::project_or_name(m, &flag::list_of(m, "SERVICE"))?;
    let mut filters = Filters::default();
    filters.add("label", &format!("{PROJECT}={project}"));
    let all: VolumeList = session.docker().await?.get(&Route::new("/volumes", []).maybe("filters", filters.json())).await?;
    if m.get_flag("quiet") {
        all.volumes.iter().for_each(|volume| terminal::print(&format!("{}\n", volume.name)));
        return Ok(0);
    }
    let mut lines = vec![["DRIVER", "VOLUME NAME"].map(str::to_string).to_vec()];
    lines.extend(all.volumes.iter().map(|volume| vec![volume.driver.clone(), volume.name.clone()]));
    terminal::print(&lined_up(&lines));
    Ok(0)
}

/// The flags of `compose stats`.
pub fn stats_command() -> clap::Command {
    options::with(flag::command(
        "stats",
        "[OPTIONS] [SERVICE]",
        "Display a live stream of container(s) resource usage statistics",
    ))
    .arg(flag::switch("all", "Show all containers (default shows just running)").short('a'))
    .arg(format::flag())
    .arg(flag::switch("no-stream", "Disable streaming stats and only pull the first result"))
    .arg(flag::switch("no-trunc", "Do not truncate output"))
    .arg(flag::optional_names("SERVICE"))
}

/// Shows what the project's containers use, by the same door as `minidock stats`.
///
/// # Errors
/// No such service; as `minidock stats`.
pub async fn stats(m: &ArgMatches, session: &mut Session) -> Result<i32> {
    let names = flag::list_of(m, "SERVICE");
    let (opened, project) = files::project_or_name(m, &names)?;
    let docker = session.docker().await?;
    let all = m.get_flag("all");
    let meant = seen::of_services(&docker, opened.as_ref(), &project, &names).await?;
    let mut typed: Vec<String> = Vec::new();
    for key in ["all", "no-stream", "no-trunc"] {
        typed.extend(m.get_flag(key).then(|| format!("--{key}")));
    }
    typed.extend(flag::text_of(m, "format").map(|format| format!("--format={format}")));
    let chosen: Vec<String> = meant.into_iter().filter(|one| all || one.is_running()).map(|one| one.name).collect();
    if chosen.is_empty() {
        return Err(Error::not_found(format!("no container of project {project:?} runs")));
    }
    typed.extend(chosen);
    typed_at(session, container_stats::command, |m, s| Box::pin(container_stats::run(m, s)), "stats", &typed).await
}

/// The flags of `compose version`.
pub fn version_command() -> clap::Command {
    options::with(flag::command("version", "[OPTIONS]", "Show the version of minidock compose"))
        .arg(flag::text("format", "string", "Format the output. Values: [pretty | json]. (Default: pretty)").short('f'))
        .arg(flag::switch("short", "Shows only Compose's version number"))
}

/// Says which version this is.
///
/// # Errors
/// None.
pub async fn version(m: &ArgMatches, _: &mut Session) -> Result<i32> {
    let own = minidock_compose::VERSION;
    let text = match (m.get_flag("short"), flag::text_of(m, "format")) {
        (true, _) => format!("{own}\n"),
        (_, Some("json")) => format!("{}\n", json!({"version": own})),
        _ => format!("minidock compose version {own}\n"),
    };
    terminal::print(&text);
    Ok(0)
}
