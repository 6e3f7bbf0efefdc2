//! # container port: where a container's ports are to be found
//!
//! ```text
//!   80/tcp -> 0.0.0.0:8080
//!   80/tcp -> [::]:8080
//! ```
//!
//! *See:* docker/cli `cli/command/container/port.go`. *Next room:* [`super::diff`]

use super::ps::host_port;
use crate::{flag, session::Session, terminal};
use clap::ArgMatches;
use minidock_base::{Error, Result};
use minidock_client::Route;
use minidock_spec::engine::{container::Inspect, network::PortBinding};
use std::collections::BTreeMap;

/// The arguments of `port`.
pub fn command() -> clap::Command {
    flag::command("port", "CONTAINER [PRIVATE_PORT[/PROTO]]", "List port mappings or a specific mapping for the container")
        .arg(flag::name("CONTAINER"))
        .arg(flag::optional("PRIVATE_PORT"))
}

/// Lists published ports.
///
/// # Errors
/// No such container, or the port that was asked for is not published.
pub async fn run(m: &ArgMatches, session: &mut Session) -> Result<i32> {
    let container = flag::text_of(m, "CONTAINER").unwrap_or_default();
    let inspect: Inspect = session.docker().await?.get(&Route::new("/containers/{}/json", [container])).await?;
    let lines = lines(&inspect.network_settings.ports, container, flag::text_of(m, "PRIVATE_PORT"))?;
    terminal::print(&lines.iter().map(|line| format!("{line}\n")).collect::<String>());
    Ok(0)
}

type Ports = BTreeMap<String, Option<Vec<PortBinding>>>;

fn lines(ports: &Ports, container: &str, wanted: Option<&str>) -> Result<Vec<String>> {
    let outside = |binding: &PortBinding| host_port(&binding.host_ip, &binding.host_port);
    let Some(wanted) = wanted else {
        let of = |(inside, bindings): (&String, &Option<Vec<PortBinding>>)| {
            bindings.iter().flatten().map(|binding| format!("{inside} -> {}", outside(binding))).collect::<Vec<_>>()
        };
        return Ok(sorted(ports.iter().flat_map(of).collect()));
    };
    let (port, protocol) = wanted.split_once('/').unwrap_or((wanted, "tcp"));
    if port.parse::<u16>().is_err() {
        let digits = !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
        let why = if digits { "value out of range" } else { "invalid syntax" };
        return Err(Error::invalid(format!("Error: invalid port ({port}): strconv.ParseUint: parsing {port:?}: {why}"))
            .hint("a number up to 65535, with /udp for a port of UDP"));
    }
    let bindings = ports.get(&format!("{port}/{protocol}")).and_then(Option::as_ref).filter(|list| !list.is_empty());
    match bindings {
        Some(bindings) => Ok(sorted(bindings.iter().map(outside).collect())),
        None => Err(Error::not_found(format!("Error: No public port '{wanted}' published for {container}"))),
    }
}

fn sorted(mut lines: Vec<String>) -> Vec<String> {
    lines.sort_by_key(|line| natural(line));
    lines
}

/// A key that sorts `9/tcp` before `80/tcp`: runs of digits count as numbers.
fn natural(text: &str) -> Vec<(u64, String)> {
    let mut parts = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let after = &rest[digits..];
        let words = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
        parts.push((rest[..digits].parse().unwrap_or(u64::MAX), after[..words].to_string()));
        rest = &after[words..];
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_listed_and_found() {
        let binding = |ip: &str, port: &str| PortBinding { host_ip: ip.into(), host_port: port.into() };
        let ports: Ports = BTreeMap::from([
            ("80/tcp".to_string(), Some(vec![binding("0.0.0.0", "8080"), binding("::", "8080")])),
            ("9/udp".to_string(), Some(vec![binding("127.0.0.1", "9")])),
            ("443/tcp".to_string(), None),
        ]);
        let all = lines(&ports, "web", None).expect("a list");
        assert_eq!(all, ["9/udp -> 127.0.0.1:9", "80/tcp -> 0.0.0.0:8080", "80/tcp -> [::]:8080"]);
        assert_eq!(lines(&ports, "web", Some("80")).expect("published"), ["0.0.0.0:8080", "[::]:8080"]);
        let refused = lines(&ports, "web", Some("443")).unwrap_err();
        assert_eq!(refused.message(), "Error: No public port '443' published for web");
        assert!(lines(&ports, "web", Some("x")).is_err());
    }
}
