//! # Row: any object of the tables
//!
//! Seven kinds of objects lie in the tables. A [`Row`] is any one of them, shared rather than copied; what the store must know
//! of each (ID, name, version, times) is asked here, so that the tables need to know nothing else.
//!
//! *Next room:* [`super::tables`]

use jiff::Timestamp;
use minidock_spec::swarm::{
    Version, cluster::Cluster, network::Network, node::Node, secret::Secret, service::Service, task::Task,
};
use serde::{Deserialize, Serialize};
use std::{fmt, sync::Arc};

/// Which table a row lies in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Table {
    Cluster,
    Node,
    Network,
    Service,
    Task,
    Secret,
    Config,
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Table::Cluster => "cluster",
            Table::Node => "node",
            Table::Network => "network",
            Table::Service => "service",
            Table::Task => "task",
            Table::Secret => "secret",
            Table::Config => "config",
        })
    }
}

/// Any object of the tables.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Row {
    Cluster(Arc<Cluster>),
    Node(Arc<Node>),
    Network(Arc<Network>),
    Service(Arc<Service>),
    Task(Arc<Task>),
    Secret(Arc<Secret>),
    Config(Arc<Secret>),
}

/// The same line for each kind of row.
macro_rules! each {
    ($row:expr, $object:ident => $value:expr) => {
        match $row {
            Row::Cluster($object) => $value,
            Row::Node($object) => $value,
            Row::Network($object) => $value,
            Row::Service($object) => $value,
            Row::Task($object) => $value,
            Row::Secret($object) | Row::Config($object) => $value,
        }
    };
}

impl Row {
    pub fn table(&self) -> Table {
        match self {
            Row::Cluster(_) => Table::Cluster,
            Row::Node(_) => Table::Node,
            Row::Network(_) => Table::Network,
            Row::Service(_) => Table::Service,
            Row::Task(_) => Table::Task,
            Row::Secret(_) => Table::Secret,
            Row::Config(_) => Table::Config,
        }
    }

    pub fn id(&self) -> &str {
        each!(self, object => &object.id)
    }

    pub fn version(&self) -> Version {
        each!(self, object => object.version)
    }

    /// The name that no other row of its table may have.
    pub fn unique_name(&self) -> Option<&str> {
        match self {
            Row::Network(n) => Some(&n.spec.name),
            Row::Service(s) => Some(&s.spec.name),
            Row::Secret(s) | Row::Config(s) => Some(&s.spec.name),
            Row::Cluster(_) | Row::Node(_) | Row::Task(_) => None,
        }
    }

    /// As written at this index and time; `born` when the row is new.
    pub(crate) fn stamped(mut self, index: u64, at: Timestamp, born: Option<Timestamp>) -> Row {
        each!(&mut self, object => {
            let object = Arc::make_mut(object);
            object.version = Version { index };
            object.created_at = Some(born.unwrap_or(at));
            object.updated_at = Some(at);
        });
        self
    }

    pub(crate) fn set_version(&mut self, index: u64) {
        each!(self, object => Arc::make_mut(object).version = Version { index });
    }

    pub(crate) fn updated_at(&self) -> Option<Timestamp> {
        each!(self, object => object.updated_at)
    }

    pub(crate) fn created_at(&self) -> Option<Timestamp> {
        each!(self, object => object.created_at)
    }
}

impl From<Service> for Row {
    fn from(service: Service) -> Row {
        Row::Service(Arc::new(service))
    }
}

impl From<Task> for Row {
    fn from(task: Task) -> Row {
        Row::Task(Arc::new(task))
    }
}

impl From<Node> for Row {
    fn from(node: Node) -> Row {
        Row::Node(Arc::new(node))
    }
}

impl From<Network> for Row {
    fn from(network: Network) -> Row {
        Row::Network(Arc::new(network))
    }
}

impl From<Cluster> for Row {
    fn from(cluster: Cluster) -> Row {
        Row::Cluster(Arc::new(cluster))
    }
}
