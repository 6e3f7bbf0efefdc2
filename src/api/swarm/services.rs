//! # Services: what is wanted
//!
//! ```text
//!   POST /services/create        a spec ──► {"ID"}                 201
//!   POST /services/{id}/update   ?version= the one that was read   400 `update out of sequence` when somebody was faster
//!   GET  /services               ?status=1: how many run
//! ```
//!
//! * With which password nodes pull the image comes in a header (`X-Registry-Auth`) and is kept beside the spec; an update without the
//!   header keeps the one there was ([`RegistryAuth`]).
//! * Clients pin an image to its digest themselves; for those that speak a version before 1.30, [`pin`] asks the registry.
//!
//! *See:* moby `api/server/router/swarm/cluster_routes.go`, `daemon/cluster/services.go`. *Next room:* [`super::wish`]

use super::{narrow, shown, strict_flag, version, wish};
use crate::{
    answer::{Answer, empty, json, json_with},
    call::Call,
    registry,
};
use http::StatusCode;
use minidock_base::{Error, Result};
use minidock_spec::{
    reference::Reference,
    swarm::service::{Service, ServiceSpec},
};
use minidock_swarm::{
    control::{Wish, find},
    store::{Table, Tables},
};
use serde_json::{Value, json};
use std::sync::Arc;

/// `GET /services?filters=&status=`.
pub async fn list(call: Call) -> Result<Answer> {
    let manager = call.manager()?;
    let filters = call.query.filters()?;
    narrow::check_services(&filters)?;
    let with_status = strict_flag(&call, "status")?;
    let services: Vec<Value> = manager.view(|tables| {
        let wanted = tables.services().filter(|s| narrow::service(&filters, s));
        let shown = wanted.map(|service| match with_status {
            true => shown::with_status(shown::service(service, false), shown::status(service, tables)),
            false => shown::service(service, false),
        });
        shown.collect()
    });
    json(&services)
}

fn known(tables: &Tables, text: &str) -> Result<Arc<Service>> {
    let id = find(tables, Table::Service, text)?;
    tables.service(&id).cloned().ok_or_else(|| Error::not_found(format!("service {text} not found")))
}

/// `GET /services/{id or name}?insertDefaults=`.
pub async fn inspect(call: Call, text: &str) -> Result<Answer> {
    let manager = call.manager()?;
    let defaults = strict_flag(&call, "insertDefaults")?;
    json(&shown::service(&*manager.view(|tables| known(tables, text))?, defaults))
}

/// `POST /services/create`.
pub async fn create(mut call: Call) -> Result<Answer> {
    let sent = call.json::<Value>().await?;
    let manager = call.manager()?;
    let mut spec = wish::read(&sent)?;
    let warning = pin(&call, &mut spec).await;
    set_auth(&mut spec, call.header("x-registry-auth"));
    let mut made = manager.wish(Wish::CreateService { spec: Box::new(spec) }).await?;
    match warning {
        Some(warning) => made["Warnings"] = json!([warning]),
        None if call.minor >= 44 => made["Warnings"] = Value::Null,
        None => {}
    }
    json_with(StatusCode::CREATED, &made)
}

/// `POST /services/{id or name}/update?version=&rollback=previous&registryAuthFrom=spec|previous-spec`.
pub async fn update(mut call: Call, text: &str) -> Result<Answer> {
    let sent = call.json::<Value>().await?;
    let manager = call.manager()?;
    let version = version(&call, "service")?;
    let rollback = match call.query.text("rollback").unwrap_or_default() {
        "" | "none" => false,
        "previous" => true,
        other => return Err(Error::invalid(format!("unrecognized rollback option {other}")).hint("previous")),
    };
    let from = RegistryAuth::read(call.query.text("registryAuthFrom").unwrap_or_default())?;
    let before = manager.view(|tables| known(tables, text))?;
    let (mut spec, warning) = match rollback {
        // the spec of before is taken, whatever was sent
        true => (before.spec.clone(), None),
        false => {
            let mut spec = wish::read(&sent)?;
            let warning = pin(&call, &mut spec).await;
            (spec, warning)
        }
    };
    match call.header("x-registry-auth") {
        "" => set_auth(&mut spec, from.of(&before)),
        given => set_auth(&mut spec, given),
    }
    let mut answer =
        manager.wish(Wish::UpdateService { id: before.id.clone(), version, spec: Box::new(spec), rollback }).await?;
    if let Some(warning) = warning {
        answer["Warnings"] = json!([warning]);
    }
    json(&answer)
}

/// `DELETE /services/{id or name}`.
pub async fn remove(call: Call, text: &str) -> Result<Answer> {
    call.manager()?.wish(Wish::RemoveService { id: text.to_string() }).await?;
    Ok(empty(StatusCode::OK))
}

/// Whose password an update keeps that brings none.
#[derive(Clone, Copy)]
enum RegistryAuth {
    Spec,
    PreviousSpec,
}

impl RegistryAuth {
    fn read(word: &str) -> Result<RegistryAuth> {
        match word {
            "" | "spec" => Ok(RegistryAuth::Spec),
            "previous-spec" => Ok(RegistryAuth::PreviousSpec),
            _ => Err(Error::invalid("unsupported registryAuthFrom value").hint("spec or previous-spec")),
        }
    }

    fn of(self, before: &Service) -> &str {
        let spec = match self {
            RegistryAuth::Spec => Some(&before.spec),
            RegistryAuth::PreviousSpec => before.previous_spec.as_ref(),
        };
        spec.and_then(|s| s.task_template.container_spec.as_ref()).map_or("", |c| &c.registry_auth)
    }
}

fn set_auth(spec: &mut ServiceSpec, auth: &str) {
    if let Some(container) = &mut spec.task_template.container_spec {
        container.registry_auth = auth.to_string();
    }
}

/// For old clients: the digest that stands behind the tag now, so that every node runs the same; a warning when nobody knows.
async fn pin(call: &Call, spec: &mut ServiceSpec) -> Option<String> {
    let container = spec.task_template.container_spec.as_mut()?;
    if call.minor >= 30 || container.image.is_empty() {
        return None;
    }
    let reference = Reference::parse(&container.image).ok().filter(|reference| reference.digest.is_none())?;
    match registry::digest(call, &reference).await {
        Ok(digest) => {
            container.image = format!("{}@{digest}", reference.familiar());
            None
        }
        Err(error) => Some(format!("unable to pin image {} to digest: {}", container.image, error.message())),
    }
}
