//! # Explain: the container's kernel calls, told
//!
//! Daemon, shim, runtime and init have written down what they did for a container, into one file beside its record. Here it
//! is handed out: as a story, as JSON, as a script that does the same by hand, or line by line while it happens.
//!
//! ```text
//!   actions.jsonl ─► recording ─► latest life ─► story ─► prose | json
//!   config.json (of the bundle while it runs, made anew afterwards) ─► sh
//! ```
//!
//! * [`explain`] answers `GET /minidock/containers/{id}/explain?format=prose|json|sh`.
//! * [`follow`] is the same with `follow=1`: each action as one JSON line, until the container has ended or nobody listens.
//!
//! Laws: reading changes nothing; what was recorded half is left out. *See:* design.md section 6.
//! *Next room:* [`minidock_explain`]

use crate::{
    Engine,
    container::{
        bundle,
        record::{Phase, Record},
        store::Container,
    },
};
use bytes::Bytes;
use futures_util::stream::{BoxStream, StreamExt};
use minidock_base::{Doing, Error, Result};
use minidock_explain::{json, network, prose, recording, shell, tell};
use minidock_linux::inotify::Watch;
use minidock_network::{
    model,
    nft::{listing::listing, ruleset::Ruleset},
};
use serde_json::Value;
use std::{
    fs::{self, File},
    io::{ErrorKind, Read, Seek, SeekFrom},
    net::IpAddr,
    path::Path,
    sync::Arc,
    time::Duration,
};
use tokio::{sync::mpsc, task::spawn_blocking};
use tokio_stream::wrappers::ReceiverStream;

/// How often a follower that hears nothing looks whether anybody listens.
const TURN: Duration = Duration::from_millis(200);

/// The story of a container's latest life; `format` is `prose`, `json` or `sh`.
///
/// # Errors
/// 404 for a container that does not exist; 400 for another format; 501 for a script of what no script can do.
pub async fn explain(engine: &Arc<Engine>, text: &str, format: &str) -> Result<String> {
    let record = engine.containers.find(text)?.record();
    let (engine, format) = (engine.clone(), format.to_string());
    spawn_blocking(move || told(&engine, &record, &format)).await.map_err(|_| Error::system("the teller fell silent"))?
}

fn told(engine: &Arc<Engine>, record: &Record, format: &str) -> Result<String> {
    let recorded = recording::read(&engine.paths.container_actions(&record.id))?;
    let actions = recording::latest_life(&recorded.actions);
    match format {
        "" | "prose" => Ok(prose::story(&record.name, &tell(actions))),
        "json" => serde_json::to_string_pretty(&json::document(&record.name, &tell(actions))).doing(|| "encode the story"),
        "sh" => {
            let config = config(engine, record)?;
            let scratch = engine.paths.scratch();
            let ground = ground(engine, record)?;
            let wanted = shell::Wanted { name: &record.name, config: &config, actions, ground: &ground, scratch: &scratch };
            shell::script(&wanted)
        }
        other => Err(Error::invalid(format!("no format {other:?}")).hint("prose, json or sh")),
    }
}

/// The bridges of the container's networks, and the firewall around them, as the script has to make them where they are missing.
fn ground(engine: &Arc<Engine>, record: &Record) -> Result<network::Ground> {
    let networks = record.networking.places.keys().filter_map(|name| engine.networks.find(name).ok());
    let bridges: Vec<model::Bridge> = networks.filter_map(|network| network.to_bridge()).collect();
    if bridges.is_empty() {
        return Ok(network::Ground::default());
    }
    let raised = |bridge: &model::Bridge| network::Bridge {
        link: bridge.link.clone(),
        addresses: bridge.own_addresses().into_iter().map(|(address, prefix)| format!("{address}/{prefix}")).collect(),
        mac: bridge.own_addresses().into_iter().find_map(|(address, _)| match address {
            IpAddr::V4(v4) => Some(model::Mac::of(v4).to_string()),
            IpAddr::V6(_) => None,
        }),
        mtu: bridge.mtu,
    };
    let told = bridges.iter().map(raised).collect();
    let rules = Ruleset { bridges, published: Vec::new() };
    Ok(network::Ground { bridges: told, table: listing(&rules.fresh(&[])?) })
}

/// What the container was started with; for one that does not run, what it would be started with now.
fn config(engine: &Arc<Engine>, record: &Record) -> Result<Value> {
    let path = engine.paths.bundle(&record.id).join("config.json");
    match fs::read(&path) {
        Ok(text) => serde_json::from_slice(&text).doing(|| format!("read {}", path.display())),
        Err(error) if error.kind() == ErrorKind::NotFound => bundle::preview(engine, record),
        Err(error) => Err(error).doing(|| format!("read {}", path.display())),
    }
}

/// Each action as one line of JSON, those recorded already first, then as they are recorded.
///
/// # Errors
/// 404 for a container that does not exist.
pub async fn follow(engine: &Arc<Engine>, text: &str) -> Result<BoxStream<'static, Result<Bytes>>> {
    let container = engine.containers.find(text)?;
    let path = engine.paths.container_actions(&container.record().id);
    let (tell, told) = mpsc::channel(16);
    spawn_blocking(move || {
        if let Err(error) = pass_on(&path, &container, &tell) {
            let _ = tell.blocking_send(Err(error)); // nobody may listen any more
        }
    });
    Ok(ReceiverStream::new(told).boxed())
}

fn pass_on(path: &Path, container: &Container, tell: &mpsc::Sender<Result<Bytes>>) -> Result<()> {
    let doing = || format!("follow {}", path.display());
    // the watch first: what is written while we read wakes us afterwards
    let watch = Watch::folder(path.parent().unwrap_or(Path::new("/"))).doing(doing)?;
    let mut sent = 0;
    loop {
        let over = over(container);
        let lines = whole_lines(path, sent).doing(doing)?;
        sent += lines.len() as u64;
        if !lines.is_empty() && tell.blocking_send(Ok(lines.into())).is_err() {
            return Ok(());
        }
        if over || tell.is_closed() || !path.parent().is_some_and(Path::exists) {
            return Ok(());
        }
        watch.wait(TURN).doing(doing)?;
    }
}

fn over(container: &Container) -> bool {
    matches!(container.record().state.phase, Phase::Exited | Phase::Dead | Phase::Removing)
}

/// What is in the file from `offset` on, up to the last line break.
fn whole_lines(path: &Path, offset: u64) -> std::io::Result<Vec<u8>> {
    let mut file = match File::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        opened => opened?,
    };
    file.seek(SeekFrom::Start(offset))?;
    let mut text = Vec::new();
    file.read_to_end(&mut text)?;
    text.truncate(text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1));
    Ok(text)
}
