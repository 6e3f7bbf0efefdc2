//! # Progress: waiting until a service is what was asked for
//!
//! `service create` comes back when the tasks run, and have run for a while: five times a second it asks for the service, its newest
//! tasks and the nodes, draws what [`super::bars`] makes of them, and when all are there it waits once more for the time in which a new
//! task may still turn out to be a failure (`--update-monitor`, 5 s).
//!
//! ```text
//!   create ──► look ──not there──► look again (200 ms) …
//!               │ all run
//!               ▼
//!   verify: Waiting 5 seconds to verify that tasks are stable...  ──one fails──► verify: Detected task failure ──► look again
//!               │ still all
//!               ▼
//!   verify: Service web converged
//! ```
//!
//! Laws: Ctrl-C ends the waiting and nothing else, whenever it comes; an update that was paused or rolled back because it failed is an error; what is
//! no terminal gets each line once. *See:* docker/cli `cli/command/service/progress`. *Next room:* [`super::create`]

use super::bars::{Bars, Line};
use crate::{filter::Filters, progress::Screen, terminal};
use minidock_base::{Doing, Error, Result};
use minidock_client::{Docker, Route};
use minidock_spec::swarm::{
    node::{Node, NodeState},
    service::Service,
    task::Task,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};
use tokio::signal::unix::{SignalKind, signal};

const PAUSE: Duration = Duration::from_millis(200);
/// How long tasks are watched if the service does not say.
const MONITOR: Duration = Duration::from_secs(5);

/// Waits until the service `name` is as it shall be, and shows how it comes up.
///
/// # Errors
/// The service is gone; its update was paused; the daemon cannot be asked.
pub async fn wait(docker: &Docker, name: &str, quiet: bool) -> Result<()> {
    let mut watch = Watch { name: name.into(), bars: Bars::default(), rollback: false, since: None, epilogue: None };
    let mut display = Display { screen: Screen::new(terminal::output_is_terminal()), said: BTreeMap::new(), quiet };
    // from now on a Ctrl-C is kept for us, whatever we are doing when it comes
    let mut interrupt = signal(SignalKind::interrupt()).doing(|| "listen for Ctrl-C")?;
    let looking = async {
        loop {
            let began = Instant::now();
            if look(docker, &mut watch, &mut display).await? {
                return Ok(true);
            }
            // ten thousand tasks take a while to be told: whoever is asked must have time for other things
            tokio::time::sleep(PAUSE.max(began.elapsed() * 4)).await;
        }
    };
    let over: Result<bool> = tokio::select! {
        over = looking => over,
        _ = interrupt.recv() => Ok(false),
    };
    if !over? && watch.since.is_none() {
        display.say(&format!("Operation continuing in background.\nUse `minidock service ps {name}` to check progress.\n"));
    }
    Ok(())
}

/// One look; true when there is nothing more to wait for.
async fn look(docker: &Docker, watch: &mut Watch, display: &mut Display) -> Result<bool> {
    let service: Service = docker.get(&Route::new("/services/{}", [&watch.name])).await?;
    let now = Instant::now();
    if watch.judge(&service, now, &mut |line| display.show(&line))? {
        return Ok(true);
    }
    let mut filters = Filters::default();
    filters.add("service", &service.id);
    filters.add("_up-to-date", "true");
    let tasks: Vec<Task> = docker.get(&Route::new("/tasks", []).maybe("filters", filters.json())).await?;
    let nodes: Vec<Node> = docker.get(&Route::new("/nodes", [])).await?;
    let alive = nodes.into_iter().filter(|node| node.status.state != NodeState::Down).map(|node| node.id).collect();
    Ok(watch.see(&service, &tasks, &alive, now, &mut |line| display.show(&line)))
}

/// What is known from the looks before.
struct Watch {
    name: String,
    bars: Bars,
    rollback: bool,
    /// Since when all is as it shall be.
    since: Option<Instant>,
    epilogue: Option<Line>,
}

impl Watch {
    /// What the service itself says of its update; true when there is nothing more to wait for.
    fn judge(&mut self, service: &Service, now: Instant, show: &mut dyn FnMut(Line)) -> Result<bool> {
        let broken = |what: &str, why: &str| {
            Err(Error::system(format!("service {what} paused: {why}"))
                .hint(format!("minidock service ps {} shows what the tasks say", self.name)))
        };
        let converged = self.since.is_some();
        if let Some(update) = &service.update_status {
            match update.state.as_str() {
                "updating" => self.rollback = false,
                "completed" if !converged => return Ok(true),
                "paused" => return broken("update", &update.message),
                "rollback_paused" => return broken("rollback", &update.message),
                "rollback_started" => {
                    if !self.rollback && !update.message.is_empty() {
                        show(Line::new("rollback", &update.message));
                    }
                    self.rollback = true;
                }
                "rollback_completed" => {
                    if !converged {
                        self.epilogue = Some(Line::new("rollback", &update.message));
                    }
                    self.rollback = true;
                }
                _ => {}
            }
        }
        if self.since.is_some_and(|since| now.duration_since(since) >= monitor(service)) {
            show(Line::new("verify", format!("Service {} converged", self.name)));
            self.epilogue.take().into_iter().for_each(show);
            return Ok(true);
        }
        Ok(false)
    }

    /// What the tasks say; true when there is nothing more to wait for.
    fn see(
        &mut self,
        service: &Service,
        tasks: &[Task],
        alive: &BTreeSet<String>,
        now: Instant,
        show: &mut dyn FnMut(Line),
    ) -> bool {
        let (converged, lines) = self.bars.look(service, tasks, alive, self.rollback);
        lines.into_iter().for_each(&mut *show);
        if !converged {
            if self.since.take().is_some() {
                show(Line::new("verify", "Detected task failure"));
            }
            return false;
        }
        if service.spec.mode.is_job() {
            show(Line::new("", "job complete"));
            return true;
        }
        let since = *self.since.get_or_insert(now);
        let left = monitor(service).saturating_sub(now.duration_since(since));
        let seconds = left.as_millis().div_ceil(1000).max(1);
        show(Line::new("verify", format!("Waiting {seconds} seconds to verify that tasks are stable...")));
        false
    }
}

/// How long a new task is watched.
fn monitor(service: &Service) -> Duration {
    let nanos = service.spec.update_config.as_ref().map_or(0, |config| config.monitor);
    u64::try_from(nanos).ok().filter(|nanos| *nanos > 0).map_or(MONITOR, Duration::from_nanos)
}

/// Where lines go.
struct Display {
    screen: Screen,
    /// The last words of each line: what is no terminal hears nothing twice.
    said: BTreeMap<String, String>,
    quiet: bool,
}

impl Display {
    fn show(&mut self, line: &Line) {
        if line.id.is_empty() {
            return self.say(&format!("{}\n", line.words));
        }
        if self.said.insert(line.id.clone(), line.words.clone()).as_ref() == Some(&line.words) {
            return;
        }
        let text = self.screen.put(&line.id, &line.words, line.bar);
        self.say(&text);
    }

    fn say(&mut self, text: &str) {
        if !self.quiet {
            terminal::print(text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use minidock_spec::swarm::{
        service::{ServiceMode, ServiceSpec, UpdateStatus},
        task::TaskState,
    };

    fn watch() -> Watch {
        Watch { name: "web".into(), bars: Bars::default(), rollback: false, since: None, epilogue: None }
    }

    fn service(state: &str) -> Service {
        let update = UpdateStatus { state: state.into(), message: "why".into(), ..UpdateStatus::default() };
        Service {
            spec: ServiceSpec { mode: ServiceMode::replicas(1), ..ServiceSpec::default() },
            update_status: (!state.is_empty()).then_some(update),
            ..Service::default()
        }
    }

    fn running() -> Vec<Task> {
        let mut task = Task { slot: 1, desired_state: TaskState::Running, ..Task::default() };
        task.status.state = TaskState::Running;
        vec![task]
    }

    #[test]
    fn what_runs_is_watched_until_it_has_run_for_a_while() {
        let (mut watch, mut said, now) = (watch(), Vec::new(), Instant::now());
        let web = service("");
        assert!(!watch.judge(&web, now, &mut |line| said.push(line.words)).expect("no failure"));
        assert!(!watch.see(&web, &running(), &BTreeSet::new(), now, &mut |line| said.push(line.words)));
        assert_eq!(said.last().map(String::as_str), Some("Waiting 5 seconds to verify that tasks are stable..."));
        let later = now + Duration::from_millis(2100);
        watch.see(&web, &[], &BTreeSet::new(), later, &mut |line| said.push(line.words));
        assert_eq!(said.last().map(String::as_str), Some("Detected task failure"));
        watch.see(&web, &running(), &BTreeSet::new(), later, &mut |line| said.push(line.words));
        assert!(!watch.judge(&web, later + Duration::from_secs(4), &mut |_| {}).expect("no failure"));
        let over = watch.judge(&web, later + Duration::from_secs(5), &mut |line| said.push(line.words)).expect("no failure");
        assert!(over && said.last().map(String::as_str) == Some("Service web converged"));
    }

    #[test]
    fn an_update_that_failed_is_an_error_and_one_that_is_over_is_not_waited_for() {
        let now = Instant::now();
        let why = |state: &str| watch().judge(&service(state), now, &mut |_| {}).unwrap_err().message();
        assert_eq!(why("paused"), "service update paused: why");
        assert_eq!(why("rollback_paused"), "service rollback paused: why");
        assert!(watch().judge(&service("completed"), now, &mut |_| {}).expect("no failure"));
        let (mut one, mut said) = (watch(), Vec::new());
        one.judge(&service("rollback_started"), now, &mut |line| said.push(line)).expect("no failure");
        one.see(&service("rollback_started"), &[], &BTreeSet::new(), now, &mut |line| said.push(line));
        assert_eq!(
            (said[0].clone(), said[1].words.as_str()),
            (Line::new("rollback", "why"), "rolling back update: 0 out of 1 tasks")
        );
    }
}
