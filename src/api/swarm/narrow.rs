//! # Narrow: filters over the tables of a swarm
//!
//! `service ls --filter label=a=b`. The words are the same as for containers, the way of comparing is SwarmKit's: a name or an ID is
//! meant by its *beginning*, a label without a value means any value, and an empty one too.
//!
//! ```text
//!   values of one key: or          keys: and          labels: all of them
//! ```
//!
//! *See:* moby `daemon/cluster/filters.go` · swarmkit `manager/controlapi/common.go`. *Next room:* [`super::shown`]

use minidock_base::{Error, Result};
use minidock_spec::{
    engine::filters::Filters,
    swarm::{
        node::{Node, Role},
        secret::Secret,
        service::{Service, ServiceMode},
        task::{Task, TaskState},
    },
};
use minidock_swarm::{
    control::{find, nodes},
    orchestrator::place::is_current,
    store::{Table, Tables},
};
use std::collections::{BTreeMap, BTreeSet};

/// Labels as SwarmKit compares them: every `k` must be there, every `k=v` have that value.
fn labels(filters: &Filters, key: &str, labels: &BTreeMap<String, String>) -> bool {
    filters.values(key).all(|wanted| {
        let (name, value) = wanted.split_once('=').unwrap_or((wanted, ""));
        labels.get(name).is_some_and(|is| value.is_empty() || is == value)
    })
}

/// `name`, `id`, `label` of anything.
fn common(filters: &Filters, name: &str, id: &str, of: &BTreeMap<String, String>) -> bool {
    filters.prefix("name", name) && filters.prefix("id", id) && labels(filters, "label", of)
}

/// Checks what nodes are asked for.
///
/// # Errors
/// 400: a key or a value that no node knows.
pub fn check_nodes(filters: &Filters) -> Result<()> {
    filters.accept(&["id", "label", "membership", "name", "node.label", "role"])?;
    one_of(filters, "role", &["worker", "manager"])?;
    one_of(filters, "membership", &["accepted", "pending"])
}

fn one_of(filters: &Filters, key: &str, known: &[&str]) -> Result<()> {
    let other = filters.values(key).find(|v| !known.contains(&v.to_ascii_lowercase().as_str()));
    other.map_or(Ok(()), |other| {
        Err(Error::invalid(format!("invalid {key} filter: '{other}'")).hint(format!("one of {}", known.join(", "))))
    })
}

pub fn node(filters: &Filters, node: &Node) -> bool {
    let role = |role: Role| filters.values("role").any(|v| v.eq_ignore_ascii_case(role.name()));
    common(filters, &node.description.hostname, &node.id, &node.description.engine.labels)
        && labels(filters, "node.label", &node.spec.labels)
        && (!filters.contains("role") || role(node.spec.role))
        // nobody waits at the door here: whoever has a certificate is in
        && (!filters.contains("membership") || filters.values("membership").any(|v| v.eq_ignore_ascii_case("accepted")))
}

/// Checks what services are asked for.
///
/// # Errors
/// As [`check_nodes`].
pub fn check_services(filters: &Filters) -> Result<()> {
    filters.accept(&["id", "label", "mode", "name", "runtime"])
}

pub fn service(filters: &Filters, service: &Service) -> bool {
    common(filters, &service.spec.name, &service.id, &service.spec.labels)
        && filters.exact("mode", mode(&service.spec.mode))
        && filters.exact("runtime", "container")
}

/// As a filter spells it.
fn mode(mode: &ServiceMode) -> &'static str {
    match mode.name() {
        "replicated job" => "replicated-job",
        "global job" => "global-job",
        other => other,
    }
}

/// `name`, `id`, `label` of a secret or config; secrets also know `names`, which are meant whole.
///
/// # Errors
/// As [`check_nodes`].
pub fn check_files(filters: &Filters, table: Table) -> Result<()> {
    match table {
        Table::Secret => filters.accept(&["id", "label", "name", "names"]),
        _ => filters.accept(&["id", "label", "name"]),
    }
}

pub fn file(filters: &Filters, file: &Secret) -> bool {
    common(filters, &file.spec.name, &file.id, &file.spec.labels) && filters.exact("names", &file.spec.name)
}

/// Which tasks are asked for; services and nodes by ID.
pub struct Tasks {
    filters: Filters,
    services: BTreeSet<String>,
    nodes: BTreeSet<String>,
    desired: BTreeSet<TaskState>,
    up_to_date: bool,
}

impl Tasks {
    /// Reads the filters; services and nodes may be named or begun.
    ///
    /// # Errors
    /// 400 as [`check_nodes`]; 404 `service x not found`, `node x not found`.
    pub fn read(filters: Filters, tables: &Tables) -> Result<Tasks> {
        filters.accept(&["_up-to-date", "desired-state", "id", "label", "name", "node", "runtime", "service"])?;
        let services = filters.values("service").map(|text| find(tables, Table::Service, text)).collect::<Result<_>>()?;
        let nodes = filters.values("node").map(|text| Ok(nodes::find(tables, text)?.id.clone())).collect::<Result<_>>()?;
        let state = |text: &str| TaskState::ALL.into_iter().find(|s| s.to_string().eq_ignore_ascii_case(text));
        let wrong = |text: &str| {
            Error::invalid(format!("invalid desired-state filter: '{text}'")).hint("running, shutdown or accepted")
        };
        let wanted = filters.values("desired-state").filter(|text| !text.is_empty());
        let desired = wanted.map(|text| state(text).ok_or_else(|| wrong(text))).collect::<Result<_>>()?;
        let up_to_date = filters.boolean("_up-to-date", false)?;
        Ok(Tasks { services, nodes, desired, up_to_date, filters })
    }

    /// In order of ID; those of one service are found without looking at all others.
    pub fn of<'a>(&self, tables: &'a Tables) -> Vec<&'a Task> {
        let all: Box<dyn Iterator<Item = &'a std::sync::Arc<Task>>> = match self.services.len() {
            0 => Box::new(tables.tasks()),
            _ => Box::new(self.services.iter().flat_map(|id| tables.tasks_of_service(id)).collect::<Vec<_>>().into_iter()),
        };
        // places of people's containers on networks are no work that somebody has asked for
        let is_work = |task: &&Task| task.spec.network_attachment_spec.is_none();
        all.map(|task| &**task).filter(is_work).filter(|task| self.fits(task, tables)).collect()
    }

    fn fits(&self, task: &Task, tables: &Tables) -> bool {
        let current = || tables.service(&task.service_id).is_none_or(|s| is_current(task, s));
        let has = |set: &BTreeSet<String>, id: &str| set.is_empty() || set.contains(id);
        // a task is known by its service's labels: so `stack ps` finds it
        common(&self.filters, &task.container_name(), &task.id, &task.service.labels)
            && has(&self.services, &task.service_id)
            && has(&self.nodes, &task.node_id)
            && (self.desired.is_empty() || self.desired.contains(&task.desired_state))
            && self.filters.exact("runtime", "container")
            && (!self.up_to_date || current())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;
    use minidock_spec::swarm::service::Empty;
    use minidock_swarm::store::{Action, Batch};

    fn filters(text: &str) -> Filters {
        Filters::parse(text).expect("well formed")
    }

    #[test]
    fn names_and_ids_are_meant_by_their_beginning_and_labels_all_at_once() {
        let mut web = Service { id: "abc".into(), ..Service::default() };
        web.spec.name = "web-1".into();
        web.spec.labels = BTreeMap::from([("a".to_string(), "b".to_string()), ("c".to_string(), String::new())]);
        web.spec.mode.global_job = Some(Empty {});
        for yes in [
            "",
            r#"{"name":["web"]}"#,
            r#"{"id":["ab","x"]}"#,
            r#"{"label":["a","c"]}"#,
            r#"{"label":["a=b"]}"#,
            r#"{"mode":["global-job"]}"#,
        ] {
            assert!(service(&filters(yes), &web), "{yes}");
        }
        for no in [
            r#"{"name":["eb"]}"#,
            r#"{"id":["b"]}"#,
            r#"{"label":["a","x"]}"#,
            r#"{"label":["a=c"]}"#,
            r#"{"mode":["global"]}"#,
            r#"{"runtime":["plugin"]}"#,
        ] {
            assert!(!service(&filters(no), &web), "{no}");
        }
    }

    #[test]
    fn what_no_node_knows_is_refused() {
        for (text, words) in [
            (r#"{"bad":["x"]}"#, "invalid filter 'bad'"),
            (r#"{"role":["king"]}"#, "invalid role filter: 'king'"),
            (r#"{"membership":["foo"]}"#, "invalid membership filter: 'foo'"),
        ] {
            assert_eq!(check_nodes(&filters(text)).expect_err("no such thing").message(), words);
        }
        let wrong = |text: &str| Tasks::read(filters(text), &Tables::default()).err().expect("no such thing").message();
        assert_eq!(wrong(r#"{"desired-state":["foo"]}"#), "invalid desired-state filter: 'foo'");
        assert_eq!(wrong(r#"{"service":["web"]}"#), "service web not found");
        assert_eq!(wrong(r#"{"node":["n9"]}"#), "node n9 not found");
    }

    #[test]
    fn tasks_are_found_by_service_node_state_and_newness() {
        let mut tables = Tables::default();
        let mut web = Service { id: "s1".into(), ..Service::default() };
        (web.spec.name, web.spec_version.index) = ("web".into(), 2);
        let task = |id: &str, slot, spec, desired| {
            let mut task = Task { id: id.into(), service_id: "s1".into(), slot, desired_state: desired, ..Task::default() };
            (task.spec_version.index, task.service.name) = (spec, "web".into());
            task.spec.force_update = 2 - spec; // an older spec was another one
            task
        };
        let (new, old) = (task("t1", 1, 2, TaskState::Running), task("t2", 1, 1, TaskState::Shutdown));
        let other = Task { id: "t3".into(), service_id: "s2".into(), ..Task::default() };
        let rows = vec![Action::Put(web.into()), Action::Put(new.into()), Action::Put(old.into()), Action::Put(other.into())];
        tables.apply(1, Batch { at: Timestamp::UNIX_EPOCH, actions: rows }).expect("rows that fit");
        let ids = |text: &str| -> Vec<String> {
            Tasks::read(filters(text), &tables).expect("well formed").of(&tables).iter().map(|t| t.id.clone()).collect()
        };
        assert_eq!(ids(""), ["t1", "t2", "t3"]);
        assert_eq!(ids(r#"{"service":["web"]}"#), ["t1", "t2"]);
        assert_eq!(ids(r#"{"service":["web"],"_up-to-date":["true"]}"#), ["t1"]);
        assert_eq!(ids(r#"{"desired-state":["shutdown"]}"#), ["t2"]);
        assert_eq!(ids(r#"{"name":["web.1.t2"]}"#), ["t2"]);
        assert_eq!(ids(r#"{"id":["t3"]}"#), ["t3"]);
    }
}
