//! # Secrets and configs
//!
//! Made once, never changed but for their labels, removed when no service uses them.
//!
//! *See:* swarmkit `manager/controlapi/{secret,config}.go`. *Next room:* [`super::cluster`]

use super::{Decided, check_name, find, out_of_sequence, refusal};
use crate::{
    orchestrator::Context,
    store::{Action, Row, Table, Tables},
};
use minidock_base::{Error, Kind};
use minidock_spec::swarm::{
    secret::{Secret, SecretSpec},
    service::Service,
};
use serde_json::json;
use std::sync::Arc;

/// The most bytes of each; base64 is a third longer.
fn limit(table: Table) -> usize {
    if table == Table::Secret { 500 * 1024 } else { 1000 * 1024 }
}

fn row(table: Table, file: Secret) -> Row {
    match table {
        Table::Config => Row::Config(Arc::new(file)),
        _ => Row::Secret(Arc::new(file)),
    }
}

/// A new secret or config.
///
/// # Errors
/// 409 when the name is taken, 400 when it is empty or too large.
pub fn create(tables: &Tables, table: Table, spec: &SecretSpec, context: &mut Context) -> Decided {
    check_name(&spec.name)?;
    if tables.named(table, &spec.name).is_some() {
        return Err(refusal(Kind::Conflict, format!("{table} {} already exists", spec.name)));
    }
    let padding = spec.data.bytes().rev().take_while(|b| *b == b'=').count();
    let bytes = (spec.data.len() / 4 * 3).saturating_sub(padding);
    if bytes == 0 || bytes >= limit(table) {
        let text = format!("{table} data must be larger than 0 and less than {} bytes", limit(table));
        return Err(refusal(Kind::InvalidParameter, text));
    }
    if let Some(driver) = &spec.driver {
        return Err(Error::not_implemented(format!("secret driver {} is not there: there are no plug-ins", driver.name)));
    }
    let file = Secret { id: (context.new_id)(), spec: spec.clone(), ..Secret::default() };
    let answer = json!({ "ID": file.id });
    Ok((vec![Action::Put(row(table, file))], answer))
}

/// Other labels.
///
/// # Errors
/// 404; 400 when more than labels would change, or somebody was faster.
pub fn update(tables: &Tables, table: Table, text: &str, version: u64, spec: &SecretSpec) -> Decided {
    let id = find(tables, table, text)?;
    let file = tables.file(table, &id).ok_or_else(|| Error::not_found(format!("{table} {text} not found")))?;
    if file.version.index != version {
        return Err(out_of_sequence());
    }
    if spec.name != file.spec.name || !(spec.data.is_empty() || spec.data == file.spec.data) {
        return Err(refusal(Kind::InvalidParameter, "only updates to Labels are allowed"));
    }
    let mut file = Secret::clone(file);
    file.spec.labels = spec.labels.clone();
    Ok((vec![Action::Put(row(table, file))], json!(null)))
}

/// Removes one that no service uses.
///
/// # Errors
/// 404; 400 while services use it, naming them.
pub fn remove(tables: &Tables, table: Table, text: &str) -> Decided {
    let id = find(tables, table, text)?;
    let name = tables.file(table, &id).map(|f| f.spec.name.clone()).unwrap_or_default();
    let mut users: Vec<&str> = tables.services().filter(|s| uses(s, table, &id)).map(|s| s.spec.name.as_str()).collect();
    users.sort_unstable();
    match users[..] {
        [] => Ok((vec![Action::Delete(table, id)], json!(null))),
        _ => {
            let services = if users.len() == 1 { "service" } else { "services" };
            let text = format!("{table} '{name}' is in use by the following {services}: {}", users.join(", "));
            Err(refusal(Kind::InvalidParameter, text))
        }
    }
}

fn uses(service: &Service, table: Table, id: &str) -> bool {
    service.spec.task_template.container_spec.as_ref().is_some_and(|c| match table {
        Table::Config => c.configs.iter().any(|r| r.config_id == id),
        _ => c.secrets.iter().any(|r| r.secret_id == id),
    })
}
