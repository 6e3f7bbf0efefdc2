//! # The tables: rows, and the ways to find them
//!
//! Maps from ID to row, and what the loops ask most: the tasks of a service, of a node, on a network, those that wait; the row of a
//! name. Everything is kept in order of ID, so that every manager walks it in the same order.
//!
//! Laws: a task's desired state and state never go back, whatever a writer asks: a late writer's batch is *clamped* to the
//! ladder, for two writers may both be right about different fields. *Next room:* [`crate::orchestrator`]

use super::{Action, Batch, Change, Refused, Row, Table};
use jiff::Timestamp;
use minidock_base::{Doing, Result};
use minidock_spec::swarm::{
    cluster::Cluster,
    network::Network,
    node::Node,
    secret::Secret,
    service::Service,
    task::{Task, TaskState},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// All that the managers agree on.
#[derive(Clone, Debug, Default)]
pub struct Tables {
    rows: BTreeMap<Table, BTreeMap<String, Row>>,
    names: BTreeMap<Table, BTreeMap<String, String>>,
    of_service: BTreeMap<String, BTreeSet<String>>,
    of_node: BTreeMap<String, BTreeSet<String>>,
    of_network: BTreeMap<String, BTreeSet<String>>,
    /// Tasks that have no node, or whose node has not heard of them.
    waiting: BTreeSet<String>,
}

impl Tables {
    /// Applies a batch whole, or refuses it whole.
    ///
    /// # Errors
    /// [`Refused`]: a row was changed since the writer read it, or a name is taken.
    pub fn apply(&mut self, index: u64, batch: Batch) -> Result<Vec<Change>, Refused> {
        let given_up: BTreeSet<(Table, &str)> = batch.actions.iter().filter_map(removed).collect();
        for action in &batch.actions {
            self.check(action, &given_up)?;
        }
        let at = batch.at;
        Ok(batch.actions.into_iter().filter_map(|action| self.act(index, at, action)).collect())
    }

    /// When anything was last changed.
    pub fn newest(&self) -> Option<Timestamp> {
        self.rows.values().flat_map(BTreeMap::values).filter_map(Row::updated_at).max()
    }

    fn check(&self, action: &Action, given_up: &BTreeSet<(Table, &str)>) -> Result<(), Refused> {
        let Action::Put(row) = action else { return Ok(()) };
        let (table, id) = (row.table(), row.id().to_string());
        let current = self.row(table, &id).map_or(0, |r| r.version().index);
        if row.version().index != current {
            return Err(Refused::OutOfSequence { table, id });
        }
        if let Some(name) = row.unique_name()
            && let Some(other) = self.named(table, name)
            && other != id
            && !given_up.contains(&(table, other))
        {
            return Err(Refused::NameTaken { table, name: name.to_string() });
        }
        Ok(())
    }

    fn act(&mut self, index: u64, at: jiff::Timestamp, action: Action) -> Option<Change> {
        match action {
            Action::Delete(table, id) => {
                let before = self.take(table, &id)?;
                Some(Change { before: Some(before), after: None })
            }
            Action::Put(row) => {
                let before = self.take(row.table(), row.id());
                let born = before.as_ref().and_then(Row::created_at);
                let row = climb(before.as_ref(), row, index).stamped(index, at, born);
                self.put(row.clone());
                Some(Change { before, after: Some(row) })
            }
        }
    }

    fn put(&mut self, row: Row) {
        let (table, id) = (row.table(), row.id().to_string());
        if let Some(name) = row.unique_name() {
            self.names.entry(table).or_default().insert(name.to_string(), id.clone());
        }
        if let Row::Task(task) = &row {
            self.of_service.entry(task.service_id.clone()).or_default().insert(id.clone());
            if !task.node_id.is_empty() {
                self.of_node.entry(task.node_id.clone()).or_default().insert(id.clone());
            }
            for attachment in &task.networks {
                self.of_network.entry(attachment.network.id.clone()).or_default().insert(id.clone());
            }
            if task.status.state < TaskState::Assigned {
                self.waiting.insert(id.clone());
            }
        }
        self.rows.entry(table).or_default().insert(id, row);
    }

    fn take(&mut self, table: Table, id: &str) -> Option<Row> {
        let row = self.rows.get_mut(&table)?.remove(id)?;
        if let (Some(name), Some(names)) = (row.unique_name(), self.names.get_mut(&table)) {
            names.remove(name);
        }
        if let Row::Task(task) = &row {
            forget(&mut self.of_service, &task.service_id, id);
            forget(&mut self.of_node, &task.node_id, id);
            task.networks.iter().for_each(|a| forget(&mut self.of_network, &a.network.id, id));
            self.waiting.remove(id);
        }
        Some(row)
    }

    /// Any row.
    pub fn row(&self, table: Table, id: &str) -> Option<&Row> {
        self.rows.get(&table)?.get(id)
    }

    /// All rows of a table, in order of ID.
    pub fn rows(&self, table: Table) -> impl Iterator<Item = &Row> {
        self.rows.get(&table).into_iter().flat_map(BTreeMap::values)
    }

    /// The ID of the row with this name.
    pub fn named(&self, table: Table, name: &str) -> Option<&str> {
        self.names.get(&table)?.get(name).map(String::as_str)
    }

    pub fn cluster(&self) -> Option<&Arc<Cluster>> {
        self.rows(Table::Cluster).find_map(|row| match row {
            Row::Cluster(cluster) => Some(cluster),
            _ => None,
        })
    }

    pub fn service(&self, id: &str) -> Option<&Arc<Service>> {
        match self.row(Table::Service, id)? {
            Row::Service(service) => Some(service),
            _ => None,
        }
    }

    pub fn node(&self, id: &str) -> Option<&Arc<Node>> {
        match self.row(Table::Node, id)? {
            Row::Node(node) => Some(node),
            _ => None,
        }
    }

    pub fn network(&self, id: &str) -> Option<&Arc<Network>> {
        match self.row(Table::Network, id)? {
            Row::Network(network) => Some(network),
            _ => None,
        }
    }

    pub fn task(&self, id: &str) -> Option<&Arc<Task>> {
        match self.row(Table::Task, id)? {
            Row::Task(task) => Some(task),
            _ => None,
        }
    }

    /// A secret or config, by table and ID.
    pub fn file(&self, table: Table, id: &str) -> Option<&Arc<Secret>> {
        match self.row(table, id)? {
            Row::Secret(file) | Row::Config(file) => Some(file),
            _ => None,
        }
    }

    pub fn services(&self) -> impl Iterator<Item = &Arc<Service>> {
        self.rows(Table::Service).filter_map(|row| match row {
            Row::Service(service) => Some(service),
            _ => None,
        })
    }

    pub fn nodes(&self) -> impl Iterator<Item = &Arc<Node>> {
        self.rows(Table::Node).filter_map(|row| match row {
            Row::Node(node) => Some(node),
            _ => None,
        })
    }

    pub fn networks(&self) -> impl Iterator<Item = &Arc<Network>> {
        self.rows(Table::Network).filter_map(|row| match row {
            Row::Network(network) => Some(network),
            _ => None,
        })
    }

    pub fn tasks(&self) -> impl Iterator<Item = &Arc<Task>> {
        self.rows(Table::Task).filter_map(|row| match row {
            Row::Task(task) => Some(task),
            _ => None,
        })
    }

    /// The tasks of a service, living and ended, in order of ID.
    pub fn tasks_of_service<'a>(&'a self, id: &str) -> impl Iterator<Item = &'a Arc<Task>> {
        self.of_service.get(id).into_iter().flatten().filter_map(|task| self.task(task))
    }

    /// The tasks that were given to a node.
    pub fn tasks_of_node<'a>(&'a self, id: &str) -> impl Iterator<Item = &'a Arc<Task>> {
        self.of_node.get(id).into_iter().flatten().filter_map(|task| self.task(task))
    }

    /// The tasks that are on a network, or were.
    pub fn tasks_on_network<'a>(&'a self, id: &str) -> impl Iterator<Item = &'a Arc<Task>> {
        self.of_network.get(id).into_iter().flatten().filter_map(|task| self.task(task))
    }

    /// The tasks that have yet to be assigned, in order of ID: how many others there are costs nothing.
    pub fn tasks_waiting(&self) -> impl Iterator<Item = &Arc<Task>> {
        self.waiting.iter().filter_map(|task| self.task(task))
    }

    /// All rows as bytes, for a snapshot.
    pub fn to_bytes(&self) -> Vec<u8> {
        let rows: Vec<&Row> = self.rows.values().flat_map(BTreeMap::values).collect();
        serde_json::to_vec(&rows).unwrap_or_default() // rows are plain values: they can always be written
    }

    /// The tables of a snapshot.
    ///
    /// # Errors
    /// The bytes are not what [`Tables::to_bytes`] writes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Tables> {
        let rows: Vec<Row> = serde_json::from_slice(bytes).doing(|| "read a snapshot of the swarm's tables".to_string())?;
        let mut tables = Tables::default();
        rows.into_iter().for_each(|row| tables.put(row));
        Ok(tables)
    }
}

fn forget(index: &mut BTreeMap<String, BTreeSet<String>>, key: &str, id: &str) {
    if let Some(set) = index.get_mut(key) {
        set.remove(id);
        if set.is_empty() {
            index.remove(key);
        }
    }
}

fn removed(action: &Action) -> Option<(Table, &str)> {
    match action {
        Action::Delete(table, id) => Some((*table, id)),
        Action::Put(_) => None,
    }
}

/// A task's states never go back; after which version a node's spec was changed is noted here, whoever has changed it.
fn climb(before: Option<&Row>, after: Row, index: u64) -> Row {
    match (before, after) {
        (None, Row::Node(mut new)) => {
            Arc::make_mut(&mut new).spec_after = index.saturating_sub(1);
            Row::Node(new)
        }
        (Some(Row::Node(old)), Row::Node(mut new)) => {
            let spec_after = if old.spec == new.spec { old.spec_after } else { old.version.index };
            if new.spec_after != spec_after {
                Arc::make_mut(&mut new).spec_after = spec_after;
            }
            Row::Node(new)
        }
        (Some(Row::Task(old)), Row::Task(mut new)) => {
            let task = Arc::make_mut(&mut new);
            task.desired_state = task.desired_state.max(old.desired_state);
            if task.status.state < old.status.state {
                task.status = old.status.clone();
            }
            Row::Task(new)
        }
        (_, row) => row,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;
    use minidock_spec::swarm::{Version, task::NetworkAttachment};

    fn batch(actions: Vec<Action>) -> Batch {
        Batch { at: Timestamp::UNIX_EPOCH, actions }
    }

    fn service(id: &str, name: &str, version: u64) -> Row {
        let mut service = Service { id: id.into(), version: Version { index: version }, ..Service::default() };
        service.spec.name = name.into();
        service.into()
    }

    #[test]
    fn a_writer_who_read_an_older_version_is_refused_and_nothing_of_its_batch_is_done() {
        let mut tables = Tables::default();
        tables.apply(1, batch(vec![Action::Put(service("a", "web", 0))])).expect("a new row");
        tables.apply(2, batch(vec![Action::Put(service("a", "web", 1))])).expect("a change");
        let late = batch(vec![Action::Put(service("b", "db", 0)), Action::Put(service("a", "web", 1))]);
        assert_eq!(tables.apply(3, late), Err(Refused::OutOfSequence { table: Table::Service, id: "a".into() }));
        assert!(tables.service("b").is_none());
        assert_eq!(tables.service("a").expect("it is there").version.index, 2);
    }

    #[test]
    fn no_two_services_have_one_name_and_a_name_is_free_after_removal() {
        let mut tables = Tables::default();
        tables.apply(1, batch(vec![Action::Put(service("a", "web", 0))])).expect("a new row");
        let second = || batch(vec![Action::Put(service("b", "web", 0))]);
        assert!(matches!(tables.apply(2, second()), Err(Refused::NameTaken { .. })));
        tables.apply(3, batch(vec![Action::Delete(Table::Service, "a".into())])).expect("removed");
        tables.apply(4, second()).expect("the name is free");
        assert_eq!(tables.named(Table::Service, "web"), Some("b"));
    }

    #[test]
    fn a_task_never_climbs_down() {
        let mut tables = Tables::default();
        let mut task = Task { id: "t".into(), service_id: "s".into(), ..Task::default() };
        (task.desired_state, task.status.state) = (TaskState::Shutdown, TaskState::Running);
        tables.apply(1, batch(vec![Action::Put(task.clone().into())])).expect("a new row");
        (task.version.index, task.desired_state, task.status.state) = (1, TaskState::Running, TaskState::Starting);
        tables.apply(2, batch(vec![Action::Put(task.into())])).expect("a change");
        let task = tables.task("t").expect("it is there");
        assert_eq!((task.desired_state, task.status.state), (TaskState::Shutdown, TaskState::Running));
    }

    #[test]
    fn a_task_waits_until_it_is_assigned_and_is_on_its_networks_until_it_is_removed() {
        let mut tables = Tables::default();
        let network = Network { id: "net".into(), ..Network::default() };
        let mut task = Task { id: "t".into(), service_id: "s".into(), ..Task::default() };
        tables.apply(1, batch(vec![Action::Put(task.clone().into())])).expect("a new row");
        assert_eq!((tables.tasks_waiting().count(), tables.tasks_on_network("net").count()), (1, 0));
        task.networks.push(NetworkAttachment { network, ..NetworkAttachment::default() });
        (task.version.index, task.status.state) = (1, TaskState::Assigned);
        tables.apply(2, batch(vec![Action::Put(task.into())])).expect("a change");
        assert_eq!((tables.tasks_waiting().count(), tables.tasks_on_network("net").count()), (0, 1));
        tables.apply(3, batch(vec![Action::Delete(Table::Task, "t".into())])).expect("removed");
        assert_eq!(tables.tasks_on_network("net").count(), 0);
    }

    #[test]
    fn a_snapshot_holds_everything_and_the_indexes_come_back() {
        let mut tables = Tables::default();
        let task = Task { id: "t".into(), service_id: "s".into(), node_id: "n".into(), ..Task::default() };
        tables.apply(1, batch(vec![Action::Put(task.into()), Action::Put(service("s", "web", 0))])).expect("new rows");
        let back = Tables::from_bytes(&tables.to_bytes()).expect("a snapshot");
        assert_eq!(back.tasks_of_service("s").count(), 1);
        assert_eq!(back.tasks_of_node("n").count(), 1);
        assert_eq!(back.named(Table::Service, "web"), Some("s"));
        assert_eq!(back.rows, tables.rows);
    }
}
