//! # service ls: the services there are
//!
//! ```text
//!   ID             NAME      MODE         REPLICAS               IMAGE           PORTS
//!   4sf1i38db83d   web       replicated   2/3                    alpine:latest   *:8080->80/tcp
//!   9wktkaqz2d8l   count     replicated job   1/2 (3/5 completed)    …
//! ```
//!
//! * [`ServiceRow`] is a row of it, of `stack services` too; [`published`] groups neighbouring ports.
//!
//! *See:* docker/cli `cli/command/service/{list,formatter}.go`. *Next room:* [`super::pretty`]

use super::tasks::familiar;
use crate::{
    filter::Filters,
    flag,
    format::{self, Columns, Own},
    session::Session,
    template::{Value, value::Row},
    terminal,
    volume::natural,
};
use clap::ArgMatches;
use minidock_base::{Result, id};
use minidock_client::Route;
use minidock_spec::swarm::service::{EndpointPort, Service};
use std::rc::Rc;

const COLUMNS: Columns =
    &[("ID", "ID"), ("Name", "NAME"), ("Mode", "MODE"), ("Replicas", "REPLICAS"), ("Image", "IMAGE"), ("Ports", "PORTS")];

const OWN: Own = Own {
    table: "table {{.ID}}\t{{.Name}}\t{{.Mode}}\t{{.Replicas}}\t{{.Image}}\t{{.Ports}}",
    quiet: "{{.ID}}",
    raw: Some((
        "id: {{.ID}}\nname: {{.Name}}\nmode: {{.Mode}}\nreplicas: {{.Replicas}}\nimage: {{.Image}}\nports: {{.Ports}}\n",
        "id: {{.ID}}",
    )),
};

/// The flags of `service ls`.
pub fn command() -> clap::Command {
    format::listing("[OPTIONS]", "List services", "Only display IDs")
}

/// Lists services.
///
/// # Errors
/// A wrong filter or template; the daemon's refusal.
pub async fn run(m: &ArgMatches, session: &mut Session) -> Result<i32> {
    let quiet = m.get_flag("quiet");
    let route = Route::new("/services", []).maybe("filters", Filters::of(m).json());
    let route = if quiet { route } else { route.pair("status", true) };
    let services: Vec<Service> = session.docker().await?.get(&route).await?;
    terminal::print(&render(services, flag::text_of(m, "format"), quiet)?);
    Ok(0)
}

/// The table of services, by name as people count.
///
/// # Errors
/// A template that is wrong.
pub fn render(mut services: Vec<Service>, format: Option<&str>, quiet: bool) -> Result<String> {
    services.sort_by_cached_key(|service| natural(&service.spec.name));
    let rows: Vec<Rc<dyn Row>> = services.into_iter().map(|service| Rc::new(ServiceRow(service)) as Rc<dyn Row>).collect();
    format::render(OWN.or(format, quiet), COLUMNS, &rows)
}

/// A row of the table.
pub struct ServiceRow(pub Service);

impl ServiceRow {
    fn replicas(&self) -> String {
        let status = self.0.service_status.unwrap_or_default();
        let (running, desired, completed) = (status.running_tasks, status.desired_tasks, status.completed_tasks);
        let mode = &self.0.spec.mode;
        let most = self.0.spec.task_template.placement.as_ref().map_or(0, |placement| placement.max_replicas);
        match () {
            () if mode.replicated_job.is_some() => {
                format!("{running}/{desired} ({completed}/{} completed)", mode.wanted())
            }
            () if mode.global_job.is_some() => {
                format!("{running}/{desired} ({completed}/{} completed)", desired + completed)
            }
            () if most > 0 && !mode.is_global() => format!("{running}/{desired} (max {most} per node)"),
            () => format!("{running}/{desired}"),
        }
    }
}

impl Row for ServiceRow {
    fn type_name(&self) -> &'static str {
        "*service.serviceContext"
    }

    fn columns(&self) -> &'static [&'static str] {
        &["ID", "Image", "Mode", "Name", "Ports", "Replicas"]
    }

    fn column(&self, name: &str) -> Option<Value> {
        let service = &self.0;
        Some(Value::text(match name {
            "ID" => id::short(&service.id).to_string(),
            "Name" => service.spec.name.clone(),
            "Mode" => service.spec.mode.name().to_string(),
            "Replicas" => self.replicas(),
            "Image" => service.spec.task_template.container_spec.as_ref().map(|c| familiar(&c.image)).unwrap_or_default(),
            "Ports" => published(&service.endpoint.ports),
            _ => return None,
        }))
    }
}

/// The ports of the mesh, neighbours together: `*:80-81->80-81/tcp`.
pub fn published(ports: &[EndpointPort]) -> String {
    let mut ports: Vec<&EndpointPort> = ports.iter().filter(|port| port.publish_mode == "ingress").collect();
    ports.sort_by(|a, b| (&a.protocol, a.published_port).cmp(&(&b.protocol, b.published_port)));
    let mut runs: Vec<(&EndpointPort, u32, u32)> = Vec::new();
    for port in ports {
        if let Some((first, outside, inside)) = runs.last_mut() {
            let follows = port.published_port.checked_sub(*outside).is_some_and(|gap| gap <= 1)
                && port.target_port.checked_sub(*inside).is_some_and(|gap| gap <= 1);
            let overlaps = *inside != first.target_port && port.target_port <= *inside;
            if first.protocol == port.protocol && follows && !overlaps {
                (*outside, *inside) = (port.published_port, port.target_port);
                continue;
            }
        }
        runs.push((port, port.published_port, port.target_port));
    }
    let range = |first: u32, last: u32| if last > first { format!("{first}-{last}") } else { first.to_string() };
    let shown = |(first, outside, inside): &(&EndpointPort, u32, u32)| {
        format!("*:{}->{}/{}", range(first.published_port, *outside), range(first.target_port, *inside), first.protocol)
    };
    runs.iter().map(shown).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn port(outside: u32, inside: u32) -> EndpointPort {
        EndpointPort { published_port: outside, target_port: inside, ..EndpointPort::default() }
    }

    #[test]
    fn neighbouring_ports_are_written_together() {
        assert_eq!(published(&[port(81, 81), port(80, 80)]), "*:80-81->80-81/tcp");
        assert_eq!(published(&[port(80, 80), port(81, 80)]), "*:80-81->80/tcp");
        assert_eq!(published(&[port(80, 80), port(81, 81), port(82, 80)]), "*:80-81->80-81/tcp, *:82->80/tcp");
        let udp = EndpointPort { protocol: "udp".into(), ..port(53, 53) };
        assert_eq!(published(&[udp, port(53, 53), port(8080, 80)]), "*:53->53/tcp, *:8080->80/tcp, *:53->53/udp");
        let host = EndpointPort { publish_mode: "host".into(), ..port(9, 9) };
        assert_eq!(published(&[host]), "");
    }

    #[test]
    fn a_service_is_a_row() {
        let service = |id: &str, name: &str, mode: serde_json::Value, status: serde_json::Value, most: u64| {
            serde_json::from_value(json!({
                "ID": id, "Spec": {"Name": name, "Mode": mode, "TaskTemplate": {"ContainerSpec": {"Image": "docker.io/library/alpine:latest"}, "Placement": {"MaxReplicas": most}}},
                "ServiceStatus": status
            }))
            .expect("a service")
        };
        let job = json!({"ReplicatedJob": {"MaxConcurrent": 2, "TotalCompletions": 5}});
        let services = vec![
            service(
                "9wktkaqz2d8l0000000000000",
                "web10",
                job,
                json!({"RunningTasks": 1, "DesiredTasks": 2, "CompletedTasks": 3}),
                0,
            ),
            service(
                "4sf1i38db83dnmjvlrnn7mvxs",
                "web2",
                json!({"Replicated": {"Replicas": 3}}),
                json!({"RunningTasks": 2, "DesiredTasks": 3}),
                1,
            ),
            service(
                "aaaaaaaaaaaaaaaaaaaaaaaaa",
                "agent",
                json!({"Global": {}}),
                json!({"RunningTasks": 1, "DesiredTasks": 1}),
                0,
            ),
        ];
        assert_eq!(
            render(services, None, false).expect("a table"),
            "ID             NAME      MODE             REPLICAS               IMAGE           PORTS\n\
             aaaaaaaaaaaa   agent     global           1/1                    alpine:latest   \n\
             4sf1i38db83d   web2      replicated       2/3 (max 1 per node)   alpine:latest   \n\
             9wktkaqz2d8l   web10     replicated job   1/2 (3/5 completed)    alpine:latest   \n"
        );
    }
}
