//! # Why: the routes of what stands in the way
//!
//! `GET /minidock/why/task?id=`, `…/service?id=`, `…/leader`. What they answer is drawn from the tables by
//! [`minidock_swarm::why`]; the bodies are [`minidock_spec::swarm::why`].
//!
//! *See:* design.md section 6. *Next room:* [`crate::system`]

use crate::{
    answer::{Answer, json},
    call::Call,
};
use minidock_base::{Error, Result};
use minidock_swarm::{
    control::find,
    store::{Table, Tables},
    why,
};

fn asked(call: &Call) -> Result<String> {
    let text = call.query.text("id").unwrap_or_default();
    match text.is_empty() {
        true => Err(Error::invalid("id= is missing").hint("an ID, a name, or the beginning of an ID")),
        false => Ok(text.to_string()),
    }
}

/// `GET /minidock/why/task?id=`: a task by ID, or `web.1` for the newest in that place.
pub async fn task(call: Call) -> Result<Answer> {
    let (manager, text) = (call.manager()?, asked(&call)?);
    json(&manager.view(|tables| {
        let id = match find(tables, Table::Task, &text) {
            Ok(id) => id,
            Err(error) => newest(tables, &text).ok_or(error)?,
        };
        let task = tables.task(&id).ok_or_else(|| Error::not_found(format!("task {text} not found")))?;
        Ok::<_, Error>(why::task::why(tables, task, manager.now()))
    })?)
}

/// `web.1`, `web.node1`, `web.1.<beginning of an ID>`: the newest task that is called so.
fn newest(tables: &Tables, text: &str) -> Option<String> {
    let (name, rest) = text.rsplit_once('.')?;
    let of = |service: &str, place: &str| -> Option<String> {
        let id = tables.named(Table::Service, service)?;
        let on = |node: &str| node == place || tables.node(node).is_some_and(|n| n.description.hostname == place);
        let there = tables.tasks_of_service(id).filter(|t| t.slot.to_string() == place || t.slot == 0 && on(&t.node_id));
        there.max_by_key(|t| (t.created_at, t.id.clone())).map(|t| t.id.clone())
    };
    let long = || {
        let (service, _) = name.rsplit_once('.')?;
        let id = tables.named(Table::Service, service)?;
        let found = tables.tasks_of_service(id).find(|t| t.id.starts_with(rest) && t.container_name().starts_with(name));
        found.map(|t| t.id.clone())
    };
    of(name, rest).or_else(long)
}

/// `GET /minidock/why/service?id=`.
pub async fn service(call: Call) -> Result<Answer> {
    let (manager, text) = (call.manager()?, asked(&call)?);
    json(&manager.view(|tables| {
        let id = find(tables, Table::Service, &text)?;
        let service = tables.service(&id).ok_or_else(|| Error::not_found(format!("service {text} not found")))?;
        Ok::<_, Error>(why::service::why(tables, service, manager.now()))
    })?)
}

/// `GET /minidock/why/leader`: as this manager knows it; it answers also when nobody leads.
pub async fn leader(call: Call) -> Result<Answer> {
    json(&why::leader::why(&call.manager()?.leadership()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;
    use minidock_spec::swarm::{service::Service, task::Task};
    use minidock_swarm::store::{Action, Batch};

    #[test]
    fn a_task_is_also_found_by_its_place() {
        let mut tables = Tables::default();
        let mut service = Service { id: "s".into(), ..Service::default() };
        service.spec.name = "my.web".into();
        let task = |id: &str, slot| {
            let mut task = Task { id: id.into(), service_id: "s".into(), slot, ..Task::default() };
            task.service.name = "my.web".into();
            Action::Put(task.into())
        };
        let actions = vec![Action::Put(service.into()), task("aa", 1), task("bb", 2)];
        tables.apply(1, Batch { at: Timestamp::UNIX_EPOCH, actions }).expect("rows that fit");
        assert_eq!(newest(&tables, "my.web.2").as_deref(), Some("bb"));
        assert_eq!(newest(&tables, "my.web.1.a").as_deref(), Some("aa"));
        for nobody in ["my.web.3", "web.1", "my.web", "", ".", "my.web.2.zz"] {
            assert_eq!(newest(&tables, nobody), None, "{nobody}");
        }
    }
}
