//! # Volumes: folders that outlive containers
//!
//! A volume has a name (or a random one), a driver and labels, and lies in the daemon's data root. What is in it stays when
//! the container that filled it is removed.
//!
//! * [`COMMANDS`]: `create`, `inspect`, `ls`, `prune`, `rm`; `update` is of cluster volumes only, and says so. [`VolumeRow`]: a row of a table, used by `system df -v` too.
//!
//! *See:* docker/cli `cli/command/volume`, `formatter/volume.go`. *Next room:* [`crate::system`]

use crate::{
    command::Command,
    container::prune::list,
    each::{in_turn, named},
    filter::{self, Filters},
    flag,
    format::{self, Columns, Own},
    inspect::{self, Noun},
    prompt,
    session::Session,
    template::{Value, value::Row},
    terminal,
};
use clap::ArgMatches;
use minidock_base::{Error, Result, units};
use minidock_client::{Docker, Route};
use minidock_spec::engine::volume::{Volume, VolumeCreate, VolumeList, VolumesPruned};
use std::{collections::BTreeMap, rc::Rc};

/// `volume …`.
pub const COMMANDS: &[Command] = &[
    Command { path: "volume create", also: &[], build: create, run: |m, s| Box::pin(run_create(m, s)) },
    Command {
        path: "volume inspect",
        also: &[],
        build: inspect,
        run: |m, s| Box::pin(inspect::inspect(m, s, &[Noun::Volume])),
    },
    Command { path: "volume ls", also: &["volume list"], build: ls, run: |m, s| Box::pin(run_ls(m, s)) },
    Command { path: "volume prune", also: &[], build: prune_command, run: |m, s| Box::pin(run_prune(m, s)) },
    Command { path: "volume rm", also: &["volume remove"], build: rm, run: |m, s| Box::pin(run_rm(m, s)) },
    Command { path: "volume update", also: &[], build: update, run: |m, s| Box::pin(run_update(m, s)) },
];

/// The headings of the columns.
pub const COLUMNS: Columns = &[
    ("ID", "ID"),
    ("Name", "VOLUME NAME"),
    ("Group", "GROUP"),
    ("Driver", "DRIVER"),
    ("Scope", "SCOPE"),
    ("Availability", "AVAILABILITY"),
    ("Mountpoint", "MOUNTPOINT"),
    ("Labels", "LABELS"),
    ("Links", "LINKS"),
    ("Size", "SIZE"),
    ("Status", "STATUS"),
];

const ANONYMOUS: &str =
    "WARNING! This will remove anonymous local volumes not used by at least one container.\nAre you sure you want to continue?";
const ALL: &str =
    "WARNING! This will remove all local volumes not used by at least one container.\nAre you sure you want to continue?";

fn create() -> clap::Command {
    flag::command("create", "[OPTIONS] [VOLUME]", "Create a volume")
        .arg(flag::text("driver", "string", "Specify volume driver name (default \"local\")").short('d'))
        .arg(flag::list("label", "list", "Set metadata for a volume"))
        .arg(flag::text("name", "string", "Specify volume name").hide(true))
        .arg(flag::list("opt", "map", "Set driver specific options").short('o'))
        .arg(flag::optional("VOLUME"))
}

async fn run_create(m: &ArgMatches, session: &mut Session) -> Result<i32> {
    let name = match (flag::text_of(m, "VOLUME"), flag::text_of(m, "name")) {
        (Some(_), Some(_)) => {
            return Err(Error::invalid(
                "conflicting options: cannot specify a volume-name through both --name and as a positional arg",
            ));
        }
        (name, flagged) => name.or(flagged).unwrap_or_default().to_string(),
    };
    let body = VolumeCreate {
        name,
        driver: flag::text_of(m, "driver").unwrap_or("local").to_string(),
        driver_opts: pairs(&flag::list_of(m, "opt")),
        labels: pairs(&flag::list_of(m, "label")),
    };
    let made: Volume = session.docker().await?.post(&Route::new("/volumes/create", []), &body).await?;
    terminal::print(&format!("{}\n", made.name));
    Ok(0)
}

/// `key=value` texts as a map; a key alone has an empty value.
pub fn pairs(texts: &[String]) -> BTreeMap<String, String> {
    let pair = |text: &String| {
        let (key, value) = text.split_once('=').unwrap_or((text, ""));
        (key.to_string(), value.to_string())
    };
    texts.iter().map(pair).collect()
}

fn inspect() -> clap::Command {
    inspect::flags("[OPTIONS] VOLUME [VOLUME...]", "Display detailed information on one or more volumes")
}

fn ls() -> clap::Command {
    flag::command("ls", "[OPTIONS]", "List volumes")
        .arg(filter::flag("Provide filter values (e.g. \"dangling=true\")").short('f'))
        .arg(format::flag())
        .arg(flag::switch("quiet", "Only display volume names").short('q'))
}

async fn run_ls(m: &ArgMatches, session: &mut Session) -> Result<i32> {
    let route = Route::new("/volumes", []).maybe("filters", Filters::of(m).json());
    let mut list: VolumeList = session.docker().await?.get(&route).await?;
    list.volumes.sort_by_key(|volume| natural(&volume.name));
    let own = Own {
        table: "table {{.Driver}}\t{{.Name}}",
        quiet: "{{.Name}}",
        raw: Some(("name: {{.Name}}\ndriver: {{.Driver}}\n", "name: {{.Name}}")),
    };
    let format = own.or(flag::text_of(m, "format"), m.get_flag("quiet"));
    let rows: Vec<Rc<dyn Row>> = list.volumes.into_iter().map(|volume| Rc::new(VolumeRow(volume)) as Rc<dyn Row>).collect();
    terminal::print(&format::render(format, COLUMNS, &rows)?);
    for warning in list.warnings.unwrap_or_default() {
        terminal::eprint(&format!("WARNING: {warning}\n"));
    }
    Ok(0)
}

/// A key that sorts `vol2` before `vol10`.
pub fn natural(name: &str) -> Vec<(String, Option<u64>)> {
    let mut parts = Vec::new();
    let mut rest = name;
    while !rest.is_empty() {
        let words = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        let after = &rest[words..];
        let digits = after.find(|c: char| !c.is_ascii_digit()).unwrap_or(after.len());
        let number = (digits > 0).then(|| after[..digits].parse().unwrap_or(u64::MAX));
        parts.push((rest[..words].to_string(), number));
        rest = &after[digits..];
    }
    parts
}

fn rm() -> clap::Command {
    flag::command("rm", "[OPTIONS] VOLUME [VOLUME...]", "Remove one or more volumes")
        .long_about("Remove one or more volumes. You cannot remove a volume that is in use by a container.")
        .arg(flag::switch("force", "Force the removal of one or more volumes").short('f'))
        .arg(flag::names("VOLUME"))
}

async fn run_rm(m: &ArgMatches, session: &mut Session) -> Result<i32> {
    let docker = session.docker().await?;
    let force = m.get_flag("force");
    let remove = async |name: String| -> Result<String> {
        let route = Route::new("/volumes/{}", [named("volume", &name)?]).flag("force", force);
        docker.delete::<()>(&route).await.map(|()| name + "\n")
    };
    in_turn(flag::list_of(m, "VOLUME"), remove).await
}

fn prune_command() -> clap::Command {
    flag::command("prune", "[OPTIONS]", "Remove unused local volumes")
        .arg(flag::switch("all", "Remove all unused volumes, not just anonymous ones").short('a'))
        .arg(filter::flag("Provide filter values (e.g. \"label=<label>\")"))
        .arg(flag::switch("force", "Do not prompt for confirmation").short('f'))
}

async fn run_prune(m: &ArgMatches, session: &mut Session) -> Result<i32> {
    let docker = session.docker().await?;
    let (mut filters, all) = (Filters::of(m), m.get_flag("all"));
    // before API 1.42 every unused volume went, named ones too
    let old = !docker.speaks("1.42");
    if all && old {
        let spoken = docker.version();
        return Err(Error::invalid(format!("\"--all\" requires API version 1.42, but the daemon API version is {spoken}")));
    }
    if all {
        if filters.has("all") {
            return Err(Error::invalid("conflicting options: cannot specify both --all and --filter all=1"));
        }
        filters.add("all", "true");
    }
    if !m.get_flag("force") && !prompt::confirm(if all || old { ALL } else { ANONYMOUS }) {
        return Ok(0);
    }
    let (text, reclaimed) = prune(&docker, &filters).await?;
    terminal::print(&format!("{text}Total reclaimed space: {}\n", units::human_size(reclaimed as f64)));
    Ok(0)
}

/// Prunes, and gives what to print and how many bytes came free.
///
/// # Errors
/// The daemon's refusal.
pub async fn prune(docker: &Docker, filters: &Filters) -> Result<(String, i64)> {
    let route = Route::new("/volumes/prune", []).maybe("filters", filters.json());
    let pruned: VolumesPruned = docker.post(&route, &()).await?;
    Ok((list("Deleted Volumes:", pruned.volumes_deleted.as_deref()), pruned.space_reclaimed))
}

fn update() -> clap::Command {
    flag::command("update", "[OPTIONS] VOLUME", "Update a volume (cluster volumes only)")
        .arg(flag::text(
            "availability",
            "string",
            "Cluster Volume availability (\"active\", \"pause\", \"drain\") (default \"active\")",
        ))
        .arg(flag::name("VOLUME"))
}

/// A volume of this machine has nothing that can be changed.
async fn run_update(m: &ArgMatches, session: &mut Session) -> Result<i32> {
    let name = named("volume", flag::text_of(m, "VOLUME").unwrap_or_default())?;
    session.docker().await?.get::<Volume>(&Route::new("/volumes/{}", [name])).await?;
    Err(Error::invalid("can only update cluster volumes").hint("a local volume's options are those it was created with"))
}

/// One volume as a row of a table.
pub struct VolumeRow(pub Volume);

impl Row for VolumeRow {
    fn type_name(&self) -> &'static str {
        "*formatter.volumeContext"
    }

    fn columns(&self) -> &'static [&'static str] {
        &["Availability", "Driver", "Group", "Labels", "Links", "Mountpoint", "Name", "Scope", "Size", "Status"]
    }

    fn column(&self, name: &str) -> Option<Value> {
        let volume = &self.0;
        let usage = volume.usage_data.as_ref();
        Some(Value::text(match name {
            "Name" => volume.name.clone(),
            "Driver" => volume.driver.clone(),
            "Scope" => volume.scope.clone(),
            "Mountpoint" => volume.mountpoint.clone(),
            "Labels" => volume.labels.as_ref().map(|labels| format::labels(labels.iter())).unwrap_or_default(),
            "Links" => usage.map_or("N/A".into(), |usage| usage.ref_count.to_string()),
            "Size" => usage.map_or("N/A".into(), |usage| units::human_size(usage.size as f64)),
            "Group" | "Availability" | "Status" => "N/A".into(),
            _ => return None,
        }))
    }

    fn labelled(&self, name: &str, argument: &str) -> Option<Value> {
        let label = || self.0.labels.as_ref().and_then(|labels| labels.get(argument)).map_or("", String::as_str);
        (name == "Label").then(|| Value::text(label()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_volume_is_a_row() {
        let volume = Volume {
            name: "vol1".into(),
            driver: "local".into(),
            labels: Some(BTreeMap::from([("a".into(), "b".into())])),
            ..Volume::default()
        };
        let show =
            |format: &str| format::render(format, COLUMNS, &[Rc::new(VolumeRow(volume.clone()))]).expect("a good format");
        assert_eq!(show("table {{.Driver}}\t{{.Name}}"), "DRIVER    VOLUME NAME\nlocal     vol1\n");
        assert_eq!(show("{{.Size}} {{.Links}} {{.Label \"a\"}}"), "N/A N/A b\n");
        assert!(VolumeRow(volume.clone()).columns().is_sorted());
    }

    #[test]
    fn names_sort_as_people_count() {
        let mut names = vec!["vol10", "vol2", "vol", "a"];
        names.sort_by_key(|name| natural(name));
        assert_eq!(names, ["a", "vol", "vol2", "vol10"]);
    }

    #[test]
    fn an_option_without_a_value_is_empty() {
        assert_eq!(pairs(&["a=b=c".into(), "d".into()]), BTreeMap::from([("a".into(), "b=c".into()), ("d".into(), "".into())]));
    }
}
