//! # Starting: each when those it waits for are ready
//!
//! "Started" is not "ready": a database takes seconds before it answers. So a service may say on what it waits:
//!
//! ```text
//!   service_started                  the other's containers have been started
//!   service_healthy                  … and their health checks say so           failed: "container app-db-1 is unhealthy"
//!   service_completed_successfully   … and have ended with 0                    failed: "service "init" didn't complete successfully: exit 1"
//! ```
//!
//! * [`start`] starts; [`until_ready`] is `--wait`.
//!
//! *See:* docker/compose `pkg/compose/convergence.go` waitDependencies. *Next room:* [`super::up`](mod@super::up)

use super::{
    graph::{Way, walk},
    screen::Screen,
    seen,
};
use crate::terminal;
use minidock_base::{Error, Result};
use minidock_client::{Docker, Route};
use minidock_compose::local::{
    plan::Seen,
    project::{Condition, Dependency, Service},
};
use minidock_spec::engine::container::Inspect;
use std::time::{Duration, Instant};

/// How often a dependency is asked how it is.
const PAUSE: Duration = Duration::from_millis(100);

/// Starts every container of `services` that does not run, in the order of the dependencies.
///
/// # Errors
/// A dependency that failed; the daemon's refusal, such as a port that is taken.
pub async fn start(docker: &Docker, project: &str, services: &[&Service], screen: &Screen) -> Result<()> {
    let there = seen::all(docker, project).await?;
    let there = &there;
    walk(services, Way::Up, |name| async move {
        let Some(service) = services.iter().find(|service| service.name == name) else { return Ok(()) };
        for dependency in &service.depends_on {
            ready(docker, service, dependency, services, there, screen).await?;
        }
        for one in there.iter().filter(|one| one.service == name && !one.oneoff && !one.is_running()) {
            let id = format!("Container {}", one.name);
            screen.working(&id, "Starting");
            if let Err(error) = docker.poke(&Route::new("/containers/{}/start", [&one.id])).await {
                screen.failed(&id, "Error");
                return Err(error);
            }
            screen.done(&id, "Started");
        }
        Ok(())
    })
    .await
}

/// Waits until everything that a service depends on is as it wants it.
///
/// # Errors
/// A dependency that failed.
pub async fn conditions(docker: &Docker, project: &str, service: &Service, below: &[&Service], screen: &Screen) -> Result<()> {
    let there = seen::all(docker, project).await?;
    for dependency in &service.depends_on {
        ready(docker, service, dependency, below, &there, screen).await?;
    }
    Ok(())
}

/// Waits until a dependency is as its condition wants it.
async fn ready(
    docker: &Docker,
    service: &Service,
    dependency: &Dependency,
    services: &[&Service],
    there: &[Seen],
    screen: &Screen,
) -> Result<()> {
    let other = &dependency.service;
    let asleep = services.iter().any(|service| service.name == *other && service.scale == 0);
    if dependency.condition == Condition::Started || asleep || !services.iter().any(|service| service.name == *other) {
        return Ok(());
    }
    let containers: Vec<&Seen> = there.iter().filter(|one| one.service == *other && !one.oneoff).collect();
    let waited = match containers.is_empty() {
        true => Err(Error::not_found(format!("{} is missing dependency {other}", service.name))),
        false => settled(docker, other, dependency.condition, &containers, None, screen).await,
    };
    match waited {
        Err(error) if !dependency.required => {
            terminal::eprint(&format!("WARNING: optional dependency {other:?} failed to start: {}\n", error.message()));
            Ok(())
        }
        waited => waited,
    }
}

/// Waits for one condition of all containers of a service.
async fn settled(
    docker: &Docker,
    name: &str,
    condition: Condition,
    containers: &[&Seen],
    until: Option<Instant>,
    screen: &Screen,
) -> Result<()> {
    let told = |one: &Seen, word: &str| screen.done(&format!("Container {}", one.name), word);
    for one in containers {
        screen.working(&format!("Container {}", one.name), "Waiting");
    }
    for one in containers {
        loop {
            let now: Inspect = docker.get(&Route::new("/containers/{}/json", [&one.id])).await?;
            match judge(&now, &one.name, name, condition) {
                Ok(Some(word)) => {
                    told(one, word);
                    break;
                }
                Ok(None) if until.is_some_and(|until| Instant::now() > until) => {
                    return Err(Error::unavailable(format!(
                        "application not healthy in time: container {} is {}",
                        one.name, now.state.status
                    )));
                }
                Ok(None) => tokio::time::sleep(PAUSE).await,
                Err(error) => {
                    screen.failed(&format!("Container {}", one.name), "Error");
                    return Err(error);
                }
            }
        }
    }
    Ok(())
}

/// The word for what has come true; nothing if it may still; an error if it never will.
fn judge(now: &Inspect, container: &str, service: &str, condition: Condition) -> Result<Option<&'static str>> {
    let state = &now.state;
    let health = state.health.as_ref().map(|health| health.status.as_str());
    let failed = |why: String| Err(Error::unavailable(format!("dependency failed to start: {why}")));
    match condition {
        Condition::Completed => match state.status.as_str() {
            "exited" | "dead" if state.exit_code == 0 => Ok(Some("Exited")),
            "exited" | "dead" => {
                Err(Error::unavailable(format!("service {service:?} didn't complete successfully: exit {}", state.exit_code))
                    .hint(format!("minidock logs {container}")))
            }
            _ => Ok(None),
        },
        Condition::Started => match (state.status.as_str(), health) {
            ("exited" | "dead", _) => Err(Error::unavailable(format!("container {container} exited ({})", state.exit_code))),
            (_, Some("unhealthy")) => Err(Error::unavailable(format!("container {container} is unhealthy"))),
            ("running", None | Some("none" | "healthy")) => Ok(Some("Healthy")),
            _ => Ok(None),
        },
        Condition::Healthy => match (state.status.as_str(), health) {
            ("exited" | "dead", _) => failed(format!("container {container} exited ({})", state.exit_code)),
            (_, None | Some("none")) if state.status != "created" => {
                failed(format!("container {container} has no healthcheck configured"))
            }
            (_, Some("healthy")) => Ok(Some("Healthy")),
            (_, Some("unhealthy")) => failed(format!("container {container} is unhealthy")).map_err(|error| {
                error.hint(format!("minidock inspect -f '{{{{json .State.Health}}}}' {container} shows its last checks"))
            }),
            _ => Ok(None),
        },
    }
}

/// `--wait`: until every container runs, and is healthy where it has a check.
///
/// # Errors
/// One that ended or is unhealthy; the time is over.
pub async fn until_ready(
    docker: &Docker,
    project: &str,
    services: &[&Service],
    limit: Option<Duration>,
    screen: &Screen,
) -> Result<()> {
    let until = limit.map(|limit| Instant::now() + limit);
    let there = seen::all(docker, project).await?;
    for service in services {
        let containers: Vec<&Seen> = there.iter().filter(|one| one.service == service.name && !one.oneoff).collect();
        let completes = services.iter().flat_map(|other| &other.depends_on);
        let completes = completes.filter(|d| d.service == service.name).any(|d| d.condition == Condition::Completed);
        let condition = if completes { Condition::Completed } else { Condition::Started };
        settled(docker, &service.name, condition, &containers, until, screen).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use minidock_spec::engine::container::{Health, State};

    fn now(status: &str, exit_code: i64, health: Option<&str>) -> Inspect {
        let health = health.map(|status| Health { status: status.into(), ..Health::default() });
        Inspect { state: State { status: status.into(), exit_code, health, ..State::default() }, ..Inspect::default() }
    }

    #[test]
    fn a_condition_comes_true_may_still_or_never_will() {
        let judged = |now: Inspect, condition| judge(&now, "app-db-1", "db", condition).map_err(|error| error.message());
        assert_eq!(judged(now("running", 0, Some("starting")), Condition::Healthy), Ok(None));
        assert_eq!(judged(now("running", 0, Some("healthy")), Condition::Healthy), Ok(Some("Healthy")));
        assert_eq!(
            judged(now("running", 0, Some("unhealthy")), Condition::Healthy),
            Err("dependency failed to start: container app-db-1 is unhealthy".into())
        );
        assert_eq!(
            judged(now("exited", 3, None), Condition::Healthy),
            Err("dependency failed to start: container app-db-1 exited (3)".into())
        );
        assert_eq!(
            judged(now("running", 0, None), Condition::Healthy),
            Err("dependency failed to start: container app-db-1 has no healthcheck configured".into())
        );
        assert_eq!(judged(now("running", 0, None), Condition::Completed), Ok(None));
        assert_eq!(judged(now("exited", 0, None), Condition::Completed), Ok(Some("Exited")));
        assert_eq!(
            judged(now("exited", 1, None), Condition::Completed),
            Err("service \"db\" didn't complete successfully: exit 1".into())
        );
        assert_eq!(judged(now("running", 0, None), Condition::Started), Ok(Some("Healthy")));
    }
}
