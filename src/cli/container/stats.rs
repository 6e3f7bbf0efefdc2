//! # container stats: a table that keeps moving
//!
//! The daemon reads a container's cgroup once a second and sends the numbers; this room turns two readings into a percentage
//! and paints the table again over itself, until Ctrl-C.
//!
//! ```text
//!   CPU %   = (container's CPU time since the last reading) / (machine's) × CPUs
//!   MEM     = usage − inactive file cache, which the kernel would give back at once
//! ```
//!
//! * [`run`] opens one stream per container and, when no names were given, the stream of events, so that containers which
//!   start or end meanwhile come and go. [`Reading`] is one container's numbers, [`StatsRow`] its row.
//!
//! Laws: a container whose numbers have not come for two seconds shows `--`. *See:* docker/cli
//! `cli/command/container/stats_helpers.go`, cgroups(7). *Next room:* [`super::top`]

use crate::{
    flag,
    format::{self, Columns},
    session::Session,
    template::{Value, value::Row},
    terminal,
};
use clap::ArgMatches;
use minidock_base::{Error, Result, id, units};
use minidock_client::{Docker, Route, Wish};
use minidock_spec::engine::{container::Summary, event::Event};
use serde_json::Value as Json;
use std::{
    rc::Rc,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

const COLUMNS: Columns = &[
    ("Container", "CONTAINER"),
    ("Name", "NAME"),
    ("ID", "CONTAINER ID"),
    ("CPUPerc", "CPU %"),
    ("MemUsage", "MEM USAGE / LIMIT"),
    ("MemPerc", "MEM %"),
    ("NetIO", "NET I/O"),
    ("BlockIO", "BLOCK I/O"),
    ("PIDs", "PIDS"),
];

const TABLE: &str = "table {{.ID}}\t{{.Name}}\t{{.CPUPerc}}\t{{.MemUsage}}\t{{.MemPerc}}\t{{.NetIO}}\t{{.BlockIO}}\t{{.PIDs}}";

/// How often the table is painted.
const REFRESH: Duration = Duration::from_millis(500);
/// After this long without numbers a row shows `--`.
const STALE: Duration = Duration::from_secs(2);

/// The flags of `stats`.
pub fn command() -> clap::Command {
    flag::command("stats", "[OPTIONS] [CONTAINER...]", "Display a live stream of container(s) resource usage statistics")
        .arg(flag::switch("all", "Show all containers (default shows just running)").short('a'))
        .arg(format::flag())
        .arg(flag::switch("no-stream", "Disable streaming stats and only pull the first result"))
        .arg(flag::switch("no-trunc", "Do not truncate output"))
        .arg(flag::optional_names("CONTAINER"))
}

/// The containers that are watched, in the order they were added.
type Watched = Arc<Mutex<Vec<Entry>>>;

struct Entry {
    /// As typed, or twelve digits of the id.
    container: String,
    reading: Option<Reading>,
    refused: Option<Error>,
    seen: Instant,
    /// The daemon has closed this container's stream.
    ended: bool,
}

/// Shows statistics.
///
/// # Errors
/// No such container, a wrong template, a daemon that went away.
pub async fn run(m: &ArgMatches, session: &mut Session) -> Result<i32> {
    let docker = session.docker().await?;
    let (once, full, all) = (m.get_flag("no-stream"), m.get_flag("no-trunc"), m.get_flag("all"));
    let format = match flag::text_of(m, "format") {
        None | Some("" | "table") => TABLE,
        Some(custom) => custom,
    };
    // a wrong template is refused now, not after the first second
    format::render(format, COLUMNS, &[Rc::new(StatsRow::default())])?;
    let names = flag::list_of(m, "CONTAINER");
    let watched = Watched::default();
    let mut first = Vec::new();
    let mut follower = None;
    if names.is_empty() {
        if !once {
            follower = Some(tokio::spawn(follow(docker.clone(), watched.clone(), all)));
        }
        let listed: Vec<Summary> = docker.get(&Route::new("/containers/json", []).flag("all", all)).await?;
        for summary in listed {
            first.push(watch(&docker, &watched, id::short(&summary.id).to_string(), once));
        }
    } else {
        first.extend(names.iter().map(|name| watch(&docker, &watched, name.clone(), once)));
    }
    for arrived in first.into_iter().flatten() {
        // the task has told, or ended: both are an answer
        let _ = tokio::time::timeout(STALE * 2, arrived).await;
    }
    if !names.is_empty()
        && let Some(refused) = watched.lock().expect("no holder panics").iter_mut().find_map(|entry| entry.refused.take())
    {
        return Err(refused);
    }
    loop {
        let table = format::render(format, COLUMNS, &rows(&watched, full))?;
        if once {
            terminal::print(&table);
            return Ok(0);
        }
        terminal::print(&painted(&table));
        // the daemon has gone, or nothing that was asked for is left
        let over = match &follower {
            Some(follower) => follower.is_finished(),
            None => watched.lock().expect("no holder panics").iter().all(|entry| entry.ended),
        };
        if over {
            return Ok(0);
        }
        tokio::time::sleep(REFRESH).await;
    }
}

/// Over the old table: home, each line cleared to its end, the rest of the screen cleared.
fn painted(table: &str) -> String {
    let lines: String = table.lines().map(|line| format!("{line}\u{1b}[K\n")).collect();
    format!("\u{1b}[H{lines}\u{1b}[J")
}

/// Starts to read one container's numbers; the receiver hears of the first.
fn watch(docker: &Docker, watched: &Watched, container: String, once: bool) -> Option<tokio::sync::oneshot::Receiver<()>> {
    {
        let mut entries = watched.lock().expect("no holder panics");
        if entries.iter().any(|entry| entry.container == container) {
            return None;
        }
        entries.push(Entry { container: container.clone(), reading: None, refused: None, seen: Instant::now(), ended: false });
    }
    let (tell, told) = tokio::sync::oneshot::channel();
    tokio::spawn(collect(docker.clone(), watched.clone(), container, once, tell));
    Some(told)
}

async fn collect(docker: Docker, watched: Watched, container: String, once: bool, tell: tokio::sync::oneshot::Sender<()>) {
    let mut tell = Some(tell);
    let note = |change: &mut dyn FnMut(&mut Entry)| {
        let mut entries = watched.lock().expect("no holder panics");
        if let Some(entry) = entries.iter_mut().find(|entry| entry.container == container) {
            change(entry);
        }
    };
    let route = Route::new("/containers/{}/stats", [&container]).pair("stream", u8::from(!once));
    match docker.send(Wish::get(&route)).await {
        Err(refused) => note(&mut |entry| entry.refused = Some(refused.clone())),
        Ok(answer) => {
            let mut objects = answer.objects();
            while let Ok(Some(json)) = objects.next::<Json>().await {
                let reading = Reading::of(&json);
                note(&mut |entry| (entry.reading, entry.seen) = (Some(reading.clone()), Instant::now()));
                if let Some(tell) = tell.take() {
                    let _ = tell.send(());
                }
                if once {
                    break;
                }
            }
        }
    }
    note(&mut |entry| entry.ended = true);
}

/// Containers that start are added, containers that end are dropped (with `--all`, only added).
async fn follow(docker: Docker, watched: Watched, all: bool) {
    let route = Route::new("/events", []).pair("filters", r#"{"type":{"container":true}}"#);
    let Ok(answer) = docker.send(Wish::get(&route)).await else { return };
    let mut events = answer.objects();
    while let Ok(Some(event)) = events.next::<Event>().await {
        let container = id::short(&event.actor.id).to_string();
        match event.action.as_str() {
            "start" => drop(watch(&docker, &watched, container, false)),
            "create" if all => drop(watch(&docker, &watched, container, false)),
            "die" if !all => watched.lock().expect("no holder panics").retain(|entry| entry.container != container),
            "destroy" => watched.lock().expect("no holder panics").retain(|entry| entry.container != container),
            _ => {}
        }
    }
}

fn rows(watched: &Watched, full: bool) -> Vec<Rc<dyn Row>> {
    let entries = watched.lock().expect("no holder panics");
    let row = |entry: &Entry| StatsRow {
        container: entry.container.clone(),
        reading: entry.reading.clone().unwrap_or_default(),
        valid: entry.reading.is_some() && entry.seen.elapsed() < STALE.max(REFRESH * 4),
        full,
    };
    entries.iter().map(|entry| Rc::new(row(entry)) as Rc<dyn Row>).collect()
}

/// What one answer of `stats` comes to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reading {
    name: String,
    id: String,
    cpu_percent: f64,
    memory: f64,
    memory_limit: f64,
    received: f64,
    sent: f64,
    read: f64,
    written: f64,
    pids: u64,
}

impl Reading {
    fn of(json: &Json) -> Reading {
        let number = |path: &str| json.pointer(path).and_then(Json::as_f64).unwrap_or(0.0);
        let text = |key: &str| json.get(key).and_then(Json::as_str).unwrap_or_default().to_string();
        let networks = json.get("networks").and_then(Json::as_object);
        let traffic = |key: &str| -> f64 {
            networks.into_iter().flat_map(|map| map.values()).filter_map(|n| n.get(key)?.as_f64()).fold(0.0, |sum, n| sum + n)
        };
        Reading {
            name: text("name"),
            id: text("id"),
            cpu_percent: cpu_percent(json, &number),
            memory: memory(&number),
            memory_limit: number("/memory_stats/limit"),
            received: traffic("rx_bytes"),
            sent: traffic("tx_bytes"),
            read: block_bytes(json, 'r'),
            written: block_bytes(json, 'w'),
            pids: number("/pids_stats/current") as u64,
        }
    }
}

fn cpu_percent(json: &Json, number: &dyn Fn(&str) -> f64) -> f64 {
    let used = number("/cpu_stats/cpu_usage/total_usage") - number("/precpu_stats/cpu_usage/total_usage");
    let whole = number("/cpu_stats/system_cpu_usage") - number("/precpu_stats/system_cpu_usage");
    let per_cpu = json.pointer("/cpu_stats/cpu_usage/percpu_usage").and_then(Json::as_array).map_or(0, Vec::len);
    let online = number("/cpu_stats/online_cpus");
    let cpus = if online == 0.0 { per_cpu as f64 } else { online };
    if used > 0.0 && whole > 0.0 { used / whole * cpus * 100.0 } else { 0.0 }
}

/// Without the file cache that the kernel could drop: `total_inactive_file` in cgroup v1, `inactive_file` in v2.
fn memory(number: &dyn Fn(&str) -> f64) -> f64 {
    let usage = number("/memory_stats/usage");
    let v1 = number("/memory_stats/stats/total_inactive_file");
    let cache = if v1 > 0.0 && v1 < usage { v1 } else { number("/memory_stats/stats/inactive_file") };
    if cache < usage { usage - cache } else { usage }
}

fn block_bytes(json: &Json, direction: char) -> f64 {
    let entries = json.pointer("/blkio_stats/io_service_bytes_recursive").and_then(Json::as_array);
    let is_wanted = |entry: &&Json| {
        let op = entry.get("op").and_then(Json::as_str).unwrap_or_default();
        op.chars().next().is_some_and(|c| c.to_ascii_lowercase() == direction)
    };
    entries.into_iter().flatten().filter(is_wanted).filter_map(|entry| entry.get("value")?.as_f64()).fold(0.0, |sum, n| sum + n)
}

/// One container's row.
#[derive(Default)]
struct StatsRow {
    container: String,
    reading: Reading,
    valid: bool,
    full: bool,
}

impl Row for StatsRow {
    fn type_name(&self) -> &'static str {
        "*container.statsContext"
    }

    fn columns(&self) -> &'static [&'static str] {
        &["BlockIO", "CPUPerc", "Container", "ID", "MemPerc", "MemUsage", "Name", "NetIO", "PIDs"]
    }

    fn column(&self, name: &str) -> Option<Value> {
        let r = &self.reading;
        let pair = |a: f64, b: f64| format!("{} / {}", units::human_size_3(a), units::human_size_3(b));
        let percent = |value: f64| format!("{value:.2}%");
        Some(Value::text(match name {
            "Container" => self.container.clone(),
            "Name" if r.name.len() > 1 => r.name.trim_start_matches('/').to_string(),
            "ID" if self.full => r.id.clone(),
            "ID" => id::short(&r.id).to_string(),
            "MemUsage" if !self.valid => "-- / --".into(),
            "Name" | "CPUPerc" | "MemPerc" | "NetIO" | "BlockIO" | "PIDs" if !self.valid || name == "Name" => "--".into(),
            "CPUPerc" => percent(r.cpu_percent),
            "MemUsage" => format!("{} / {}", units::human_bytes(r.memory), units::human_bytes(r.memory_limit)),
            "MemPerc" if r.memory_limit > 0.0 => percent(r.memory / r.memory_limit * 100.0),
            "MemPerc" => percent(0.0),
            "NetIO" => pair(r.received, r.sent),
            "BlockIO" => pair(r.read, r.written),
            "PIDs" => r.pids.to_string(),
            _ => return None,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn two_readings_become_a_row() {
        let reading = Reading::of(&json!({
            "name": "/web", "id": "16bad8801e63a5254a4603747442bd6ff8a754edec8cc5d5bacb1929380d4bf6",
            "cpu_stats": {"cpu_usage": {"total_usage": 3_000_000}, "system_cpu_usage": 200_000_000, "online_cpus": 2},
            "precpu_stats": {"cpu_usage": {"total_usage": 1_000_000}, "system_cpu_usage": 100_000_000},
            "memory_stats": {"usage": 2_097_152, "limit": 67_108_864, "stats": {"total_inactive_file": 1_048_576}},
            "networks": {"eth0": {"rx_bytes": 1000, "tx_bytes": 10}, "eth1": {"rx_bytes": 500, "tx_bytes": 5}},
            "blkio_stats": {"io_service_bytes_recursive": [{"op": "Read", "value": 4096}, {"op": "write", "value": 1}, {"op": "Total", "value": 9}]},
            "pids_stats": {"current": 3}
        }));
        let row = StatsRow { container: "web".into(), reading, valid: true, full: false };
        let text = format::render(TABLE, COLUMNS, &[Rc::new(row)]).expect("a good format");
        assert_eq!(
            text,
            "CONTAINER ID   NAME      CPU %     MEM USAGE / LIMIT   MEM %     NET I/O       BLOCK I/O    PIDS\n\
             16bad8801e63   web       4.00%     1MiB / 64MiB        1.56%     1.5kB / 15B   4.1kB / 1B   3\n"
        );
    }

    #[test]
    fn without_numbers_a_row_shows_dashes() {
        let text = format::render("{{.Name}} {{.CPUPerc}} {{.MemUsage}} {{.PIDs}}", COLUMNS, &[Rc::new(StatsRow::default())]);
        assert_eq!(text.expect("a good format"), "-- -- -- / -- --\n");
        // Rust's sum of no floats is minus zero
        let row = StatsRow { reading: Reading::of(&json!({})), valid: true, ..StatsRow::default() };
        assert_eq!(format::render("{{.NetIO}}", COLUMNS, &[Rc::new(row)]).expect("a good format"), "0B / 0B\n");
        assert_eq!(painted("a\nb\n"), "\u{1b}[Ha\u{1b}[K\nb\u{1b}[K\n\u{1b}[J");
    }
}
