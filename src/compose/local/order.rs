//! # Order: who comes before whom
//!
//! A service starts when those it depends on have, and ends before them. That is a graph without circles, read one way up and the other
//! way down; what is not connected goes side by side.
//!
//! ```text
//!   web ──► api ──► db        up    db, cache · api · web
//!              └──► cache     down  web · api · db, cache
//! ```
//!
//! * [`order`] gives one valid order, the file's where nothing else decides, or the circle.
//!
//! *See:* compose-spec depends_on; Kahn's algorithm. *Next room:* [`super::body`]

use super::project::Service;
use minidock_base::{Error, Result};

/// The services' names, each behind those it depends on.
///
/// # Errors
/// `dependency cycle detected: a -> b -> a`.
pub fn order(services: &[Service]) -> Result<Vec<String>> {
    let mut done: Vec<String> = Vec::new();
    while done.len() < services.len() {
        let next = services.iter().find(|service| !done.contains(&service.name) && is_ready(service, services, &done));
        match next {
            Some(service) => done.push(service.name.clone()),
            None => return Err(circle(services, &done)),
        }
    }
    Ok(done)
}

fn is_ready(service: &Service, services: &[Service], done: &[String]) -> bool {
    let waits = |other: &str| services.iter().any(|s| s.name == other) && !done.iter().any(|name| name == other);
    !service.depends_on.iter().any(|dependency| waits(&dependency.service))
}

/// From one that waits to one it waits for, until one comes again.
fn circle(services: &[Service], done: &[String]) -> Error {
    let mut path: Vec<&Service> = Vec::new();
    let mut at = services.iter().find(|service| !done.contains(&service.name));
    while let Some(service) = at {
        if let Some(first) = path.iter().position(|seen| seen.name == service.name) {
            let names: Vec<&str> = path[first..].iter().chain([&service]).map(|service| service.name.as_str()).collect();
            return service.wrong("depends_on", format_args!("dependency cycle detected: {}", names.join(" -> ")));
        }
        path.push(service);
        at = service.depends_on.iter().find_map(|dependency| {
            services.iter().find(|other| other.name == dependency.service && !done.contains(&other.name))
        });
    }
    Error::system("dependency cycle detected")
}
