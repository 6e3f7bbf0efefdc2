//! # Attached: `up` without `-d`
//!
//! The containers' words appear here, and when the last one has ended, so does the command. Ctrl-C does not end the command but the
//! containers: gently at first, at once when it is typed again.
//!
//! ```text
//!   watch for events ─► start, in order ──► lines of all logs ──► all ended          0
//!                                             │ die: web-1 exited with code 1  ───►  --abort-on-container-exit: stop the rest, its code
//!                                             └ Ctrl-C: Gracefully stopping…    ──►  130         again: kill
//! ```
//!
//! Laws: the watch begins before the first start, so no end is missed; a container that starts again is shown again. *See:*
//! docker/compose `pkg/compose/{up,printer,monitor}.go`. *Next room:* [`super::lines`]

use super::{
    events::Watch,
    lifecycle::stop_all,
    lines::{Printer, Which},
    logs::short_name,
    screen::Screen,
    seen, start,
};
use crate::{moment, terminal};
use clap::ArgMatches;
use futures_util::{StreamExt, stream::FuturesUnordered};
use minidock_base::Result;
use minidock_client::{Docker, Route};
use minidock_compose::local::{
    plan::Seen,
    project::{Project, Service},
};
use std::collections::{BTreeMap, BTreeSet};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The status of a command that Ctrl-C ended.
const INTERRUPTED: i32 = 130;

/// How to stay.
pub struct Attached<'a> {
    pub project: &'a Project,
    pub services: &'a [&'a Service],
    /// The services whose words are shown.
    pub shown: Vec<String>,
    pub timestamps: bool,
    pub prefix: bool,
    pub colour: bool,
    pub abort: bool,
    pub abort_on_failure: bool,
    pub exit_from: Option<String>,
    pub timeout: Option<i64>,
}

/// Starts the containers and stays with them.
///
/// # Errors
/// What could not be started; the daemon's refusal.
pub async fn attach(docker: &Docker, attached: &Attached<'_>, m: &ArgMatches, screen: &Screen) -> Result<i32> {
    let project = &attached.project.name;
    let there = seen::all(docker, project).await?;
    let meant = |service: &str| attached.services.iter().any(|one| one.name == service);
    let there: Vec<Seen> = there.into_iter().filter(|one| !one.oneoff && meant(&one.service)).collect();
    let printer = Printer::new(attached.prefix, attached.colour);
    let is_shown = |service: &str| attached.shown.iter().any(|name| name == service);
    let shown: Vec<&Seen> = there.iter().filter(|one| is_shown(&one.service)).collect();
    shown.iter().for_each(|one| printer.know(&short_name(project, one)));
    let names: Vec<String> = shown.iter().map(|one| short_name(project, one)).collect();
    terminal::eprint(&format!("Attaching to {}\n", names.join(", ")));
    let mut watch = Watch::begin(docker, project).await?;
    let follow = |id: String, name: String, which: Which| {
        let (docker, printer) = (docker.clone(), printer.clone());
        async move { printer.follow(&docker, &id, &name, &which).await }
    };
    let mut following = FuturesUnordered::new();
    let which = Which { follow: true, timestamps: attached.timestamps, ..Which::default() };
    for one in shown.iter().filter(|one| one.is_running()) {
        // what a running one has said before is for `logs`
        let now = Which { tail: Some("0".into()), ..which.clone() };
        following.push(follow(one.id.clone(), short_name(project, one), now));
    }
    // a program may speak before its start is told: what it says this time begins where the last time ended
    let began = moment::from_now("0s")?;
    let mut since: BTreeMap<String, String> =
        there.iter().filter(|one| one.state != "created").map(|one| (one.id.clone(), began.clone())).collect();
    // those whose start has not been told yet
    let mut awaited: BTreeSet<String> = there.iter().filter(|one| !one.is_running()).map(|one| one.id.clone()).collect();
    let mut alive: BTreeSet<String> = there.iter().filter(|one| one.is_running()).map(|one| one.id.clone()).collect();
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt()).ok(), signal(SignalKind::terminate()).ok());
    let starting = start::start(docker, project, attached.services, screen);
    tokio::pin!(starting);
    let (mut started, mut ended): (bool, Option<i32>) = (false, None);
    while ended.is_none() {
        tokio::select! {
            done = &mut starting, if !started => {
                done?;
                started = true;
            }
            event = watch.next() => {
                let Some(event) = event? else { break };
                let name = event.name.strip_prefix(&format!("{project}-")).unwrap_or(&event.name).to_string();
                if event.oneoff || !meant(&event.service) {
                    continue;
                }
                match event.action.as_str() {
                    "start" => {
                        alive.insert(event.id.clone());
                        awaited.remove(&event.id);
                        if is_shown(&event.service) {
                            printer.know(&name);
                            let which = Which { since: since.get(&event.id).cloned(), ..which.clone() };
                            following.push(follow(event.id.clone(), name, which));
                        }
                    }
                    "die" => {
                        since.insert(event.id.clone(), event.after());
                        // its last words first
                        while let Ok(Some(_)) = tokio::time::timeout(LAST_WORDS, following.next()).await {}
                        if is_shown(&event.service) {
                            printer.status(&name, &format!("exited with code {}", event.exit_code));
                        }
                        if !comes_back(docker, &event.id).await {
                            alive.remove(&event.id);
                        }
                        let from = attached.exit_from.as_ref();
                        let counts = from.is_none_or(|service| *service == event.service);
                        if attached.abort || attached.abort_on_failure && event.exit_code != 0 {
                            terminal::eprint("Aborting on container exit...\n");
                            ended = Some(if counts { event.exit_code as i32 } else { -1 });
                        }
                    }
                    _ => {}
                }
            }
            Some(log) = following.next(), if !following.is_empty() => drop(log),
            () = told(&mut interrupt), if interrupt.is_some() => ended = Some(INTERRUPTED),
            () = told(&mut terminate), if terminate.is_some() => ended = Some(INTERRUPTED),
        }
        if started && awaited.is_empty() && alive.is_empty() && ended.is_none() {
            break;
        }
    }
    let drain = async { while following.next().await.is_some() {} };
    let Some(status) = ended else {
        let _ = tokio::time::timeout(LAST_WORDS, drain).await;
        return Ok(0);
    };
    if status == INTERRUPTED && !attached.abort {
        terminal::eprint("Gracefully stopping... (press Ctrl+C again to force)\n");
    }
    let screen = Screen::begin(m, "Stopping");
    let stopping = async {
        let now = seen::all(docker, project).await?;
        let running: Vec<Seen> = now.into_iter().filter(|one| one.is_running() && !one.oneoff && meant(&one.service)).collect();
        stop_all(docker, Some(attached.project), &running, attached.timeout, &screen).await
    };
    tokio::select! {
        stopped = stopping => stopped?,
        () = told(&mut interrupt), if interrupt.is_some() => kill(docker, project, &meant).await,
    }
    screen.leave();
    let _ = tokio::time::timeout(LAST_WORDS, drain).await;
    match (status, &attached.exit_from) {
        (-1, Some(service)) => code_of(docker, project, service).await,
        (status, _) => Ok(status & 0xff),
    }
}

/// How long a log may lag behind the end of its container.
const LAST_WORDS: std::time::Duration = std::time::Duration::from_millis(300);

async fn told(signal: &mut Option<Signal>) {
    match signal {
        Some(signal) => drop(signal.recv().await),
        None => std::future::pending().await,
    }
}

/// Whether a container that ended is started again by its policy.
async fn comes_back(docker: &Docker, id: &str) -> bool {
    let now: Result<serde_json::Value> = docker.get(&Route::new("/containers/{}/json", [id])).await;
    now.is_ok_and(|now| now["State"]["Restarting"] == true || now["State"]["Running"] == true)
}

async fn kill(docker: &Docker, project: &str, meant: &dyn Fn(&str) -> bool) {
    let Ok(all) = seen::all(docker, project).await else { return };
    for one in all.iter().filter(|one| one.is_running() && meant(&one.service)) {
        // one that has ended meanwhile is what was wanted
        let _ = docker.poke(&Route::new("/containers/{}/kill", [&one.id])).await;
    }
}

/// How the first container of a service ended.
async fn code_of(docker: &Docker, project: &str, service: &str) -> Result<i32> {
    let all = seen::all(docker, project).await?;
    let Some(one) = all.iter().find(|one| one.service == service && !one.oneoff) else { return Ok(0) };
    let now: serde_json::Value = docker.get(&Route::new("/containers/{}/json", [&one.id])).await?;
    Ok((now["State"]["ExitCode"].as_i64().unwrap_or(0) & 0xff) as i32)
}
