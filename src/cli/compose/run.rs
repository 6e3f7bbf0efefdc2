//! # run: once, beside the others
//!
//! `compose run web sh` makes another container of a service, with another program: to look around, to migrate a database. It is on the
//! service's networks and has its volumes and variables, but not its ports (they are taken) nor its name.
//!
//! ```text
//!   what it depends on is started ─► app-web-run-1a2b3c4d5e6f ─► attach · wait · start, as `minidock run`
//! ```
//!
//! *See:* docker/compose `cmd/compose/run.go`, `pkg/compose/run.go`. *Next room:* [`super::building`]

use super::{
    converge::{Wanted, converge, make},
    files::{self, Opened},
    images::{self, Policy},
    needs, options,
    screen::Screen,
    seen, start,
};
use crate::{
    container::{
        body::{Pull, Wish},
        ports,
        run::{self as container_run, Manner},
    },
    detach_keys, flag,
    session::Session,
    terminal,
    words::is_given,
};
use clap::ArgMatches;
use minidock_base::{Error, Result, id};
use minidock_client::Route;
use minidock_compose::{
    local::{
        body::{self, Peer, Seat},
        mounts,
        plan::{How, Recreate},
        project::Service,
    },
    node::{Entry, Map, Node, What},
    words as shell,
};
use std::collections::BTreeMap;

/// The flags of `compose run`.
pub fn command() -> clap::Command {
    options::with(flag::command("run", "[OPTIONS] SERVICE [COMMAND] [ARGS...]", "Run a one-off command on a service"))
        .arg(flag::switch("build", "Build image before starting container"))
        .arg(flag::list("cap-add", "list", "Add Linux capabilities"))
        .arg(flag::list("cap-drop", "list", "Drop Linux capabilities"))
        .arg(flag::switch("detach", "Run container in background and print container ID").short('d'))
        .arg(flag::text("entrypoint", "string", "Override the entrypoint of the image"))
        .arg(flag::list("env", "stringArray", "Set environment variables").short('e'))
        .arg(flag::on("interactive", "Keep STDIN open even if not attached (default true)").short('i'))
        .arg(flag::list("label", "stringArray", "Add or override a label").short('l'))
        .arg(flag::text("name", "string", "Assign a name to the container"))
        .arg(flag::switch("no-TTY", "Disable pseudo-TTY allocation (default: auto-detected)").short('T').alias("no-tty"))
        .arg(flag::switch("no-deps", "Don't start linked services"))
        .arg(flag::list("publish", "stringArray", "Publish a container's port(s) to the host").short('p'))
        .arg(flag::text("pull", "string", "Pull image before running (\"always\"|\"missing\"|\"never\") (default \"policy\")"))
        .arg(flag::switch("quiet", "Don't print anything to STDOUT").short('q'))
        .arg(flag::switch("quiet-pull", "Pull without printing progress information"))
        .arg(flag::switch("remove-orphans", "Remove containers for services not defined in the Compose file"))
        .arg(flag::switch("rm", "Automatically remove the container when it exits"))
        .arg(flag::switch("service-ports", "Run command with all service's ports enabled and mapped to the host").short('P'))
        .arg(flag::switch("tty", "Allocate a pseudo-TTY").short('t').hide(true))
        .arg(flag::switch("use-aliases", "Use the service's network useAliases in the network(s) the container connects to"))
        .arg(flag::text("user", "string", "Run as specified username or uid").short('u'))
        .arg(flag::list("volume", "stringArray", "Bind mount a volume").short('v'))
        .arg(flag::text("workdir", "string", "Working directory inside the container").short('w'))
        .arg(flag::name("SERVICE"))
        .arg(flag::program("COMMAND"))
}

/// Runs a program once; gives its status.
///
/// # Errors
/// No such service; what it depends on cannot be started; the daemon's refusal.
pub async fn run(m: &ArgMatches, session: &mut Session) -> Result<i32> {
    let name = flag::text_of(m, "SERVICE").unwrap_or_default().to_string();
    if m.get_flag("service-ports") && is_given(m, "publish") {
        return Err(Error::invalid("--service-ports and --publish are incompatible"));
    }
    let mut opened = files::open(m, std::slice::from_ref(&name))?;
    let mut service = opened.project.named(&name)?.clone();
    change(m, &mut service)?;
    // what others see of it, too
    if let Some(known) = opened.project.services.iter_mut().find(|known| known.name == name) {
        *known = service.clone();
    }
    let screen = Screen::begin(m, "Creating");
    if !m.get_flag("no-deps") {
        dependencies(m, session, &opened, &name, &screen).await?;
    }
    let policy = Policy {
        build: m.get_flag("build"),
        pull: flag::text_of(m, "pull").map(str::to_string),
        quiet_pull: m.get_flag("quiet-pull"),
        quiet_build: m.get_flag("quiet"),
        ..Policy::default()
    };
    let ids = images::ensure(session, &opened, &[&service], &policy, &screen).await?;
    let docker = session.docker().await?;
    let mut used = opened.project.clone();
    used.networks.retain(|outer| service.networks().contains(&outer.key));
    used.volumes.retain(|outer| service.volumes().contains(&outer.key));
    needs::externals(&docker, &used).await?;
    needs::networks(&docker, &used, &screen).await?;
    needs::volumes(&docker, &used, &screen).await?;
    screen.leave();
    let mut there: BTreeMap<String, Vec<Peer>> = BTreeMap::new();
    for one in seen::all(&docker, &opened.project.name).await?.iter().filter(|one| !one.oneoff) {
        there.entry(one.service.clone()).or_default().push(one.peer());
    }
    let called = match flag::text_of(m, "name") {
        Some(name) => name.to_string(),
        None => format!("{}-{name}-run-{}", opened.project.name, &id::random_id()[..12]),
    };
    let others = |name: &str| there.get(name).cloned().unwrap_or_default();
    let seat = Seat {
        number: 0,
        name: called.clone(),
        oneoff: true,
        aliases: m.get_flag("use-aliases"),
        ports: m.get_flag("service-ports"),
        others: &others,
        inherited: &[],
        declared: &[],
        image_id: ids.get(&service.image).map_or("", String::as_str),
    };
    let mut body = body::body(&opened.project, &service, &seat)?;
    let detached = m.get_flag("detach");
    let input = flag::is_on(m, "interactive") && !detached;
    // a terminal if there is one at both ends, as the file's `tty` or a person at a prompt wants it
    let tty = !m.get_flag("no-TTY") && !detached && terminal::input_is_terminal() && terminal::output_is_terminal();
    let config = &mut body.config;
    (config.tty, config.open_stdin, config.attach_stdin, config.stdin_once) = (tty, input, input, input);
    (config.attach_stdout, config.attach_stderr) = (!detached, !detached);
    let (exposed, bindings) = ports::ports(&flag::list_of(m, "publish"), &[])?;
    config.exposed_ports.get_or_insert_default().extend(exposed);
    body.host_config.port_bindings.extend(bindings);
    body.host_config.auto_remove = m.get_flag("rm");
    body.host_config.binds.get_or_insert_default().extend(binds(&opened, &flag::list_of(m, "volume")));
    if let (true, Some((rows, columns))) = (tty, terminal::size()) {
        body.host_config.console_size = [rows, columns];
    }
    let files = mounts::injections(&opened.project, &service, &|name| opened.variable(name))?;
    let id = make(&docker, &opened, &service, &called, body.clone(), &files).await?;
    if detached {
        docker.poke(&Route::new("/containers/{}/start", [&id])).await?;
        terminal::print(&format!("{called}\n"));
        return Ok(0);
    }
    let wish = Wish { body, name: Some(called), platform: None, pull: Pull::Never, quiet: true, cidfile: None };
    let manner = Manner { detach_keys: detach_keys::DEFAULT.to_vec(), proxy: !tty, explain: false };
    match container_run::in_foreground(&docker, &id, &wish, manner).await {
        Ok(status) => Ok(status),
        Err(error) => {
            crate::complain(&error);
            Ok(container_run::status_of(&error))
        }
    }
}

/// Makes and starts what a service depends on.
async fn dependencies(m: &ArgMatches, session: &mut Session, opened: &Opened, name: &str, screen: &Screen) -> Result<()> {
    let below: Vec<&Service> =
        opened.project.chosen(&[name.to_string()], false)?.into_iter().filter(|service| service.name != name).collect();
    if below.is_empty() {
        return Ok(());
    }
    let wanted = Wanted {
        how: How { recreate: Recreate::Diverged, dependencies: Recreate::Diverged, named: Vec::new() },
        policy: Policy { quiet_pull: m.get_flag("quiet-pull"), ..Policy::default() },
        remove_orphans: m.get_flag("remove-orphans"),
        ignore_orphans: true,
        renew_volumes: false,
        timeout: None,
    };
    converge(session, opened, &below, &wanted, screen).await?;
    let docker = session.docker().await?;
    start::start(&docker, &opened.project.name, &below, screen).await?;
    start::conditions(&docker, &opened.project.name, opened.project.named(name)?, &below, screen).await
}

/// The service as the command line changes it.
fn change(m: &ArgMatches, service: &mut Service) -> Result<()> {
    let at = service.at.clone();
    let What::Map(map) = &mut service.node.what else { return Ok(()) };
    let text = |text: &str| Node::new(What::Text(text.to_string()), &at);
    let list = |words: Vec<String>| Node::new(What::List(words.iter().map(|word| text(word)).collect()), &at);
    let program = flag::list_of(m, "COMMAND");
    if let Some(line) = flag::text_of(m, "entrypoint") {
        let words = shell::split(line).map_err(|why| Error::invalid(format!("--entrypoint {line:?}: {why}")))?;
        map.set("entrypoint", &at, list(words));
        // the image's words were for another program
        map.remove("command");
    }
    if !program.is_empty() {
        map.set("command", &at, list(program));
    }
    for (flag, key) in [("user", "user"), ("workdir", "working_dir")] {
        if let Some(value) = flag::text_of(m, flag) {
            map.set(key, &at, text(value));
        }
    }
    let mut pairs = |flag: &str, key: &str, ours: &dyn Fn(&str) -> Option<String>| {
        let mut all = map.remove(key).map_or(Map::default(), |node| match node.what {
            What::Map(map) => map,
            _ => Map::default(),
        });
        for pair in flag::list_of(m, flag) {
            match pair.split_once('=') {
                Some((name, value)) => all.set(name, &at, text(value)),
                None => {
                    if let Some(value) = ours(&pair) {
                        all.set(&pair, &at, text(&value));
                    }
                }
            }
        }
        map.set(key, &at, Node::new(What::Map(all), &at));
    };
    pairs("env", "environment", &|name| std::env::var(name).ok());
    pairs("label", "labels", &|_| Some(String::new()));
    for (flag, key) in [("cap-add", "cap_add"), ("cap-drop", "cap_drop")] {
        let more = flag::list_of(m, flag);
        if !more.is_empty() {
            let all = service.node.texts(key).into_iter().chain(more).collect();
            if let What::Map(map) = &mut service.node.what {
                map.0.retain(|entry| entry.key != key);
                map.0.push(Entry { key: key.to_string(), at: at.clone(), node: list(all) });
            }
        }
    }
    service.container_name = None;
    Ok(())
}

/// `-v ./src:/src`: relative to where we are.
fn binds(opened: &Opened, typed: &[String]) -> Vec<String> {
    let here = std::env::current_dir().unwrap_or_else(|_| opened.project.folder.clone());
    let whole = |bind: &String| match bind.starts_with('.') {
        true => here.join(bind).display().to_string(),
        false => bind.clone(),
    };
    typed.iter().map(whole).collect()
}
