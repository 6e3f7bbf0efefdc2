//! # Shown: the cluster, as a person is told
//!
//! What is written down says which nodes there shall be; only the machine knows which of them run, and only a node itself what it is in its
//! swarm and how many containers it has. So each is asked, all at the same time, and one that does not answer soon holds nobody up.
//!
//! See: [`crate::state`], [`crate::join`]. Next room: [`crate::streams`]

use crate::{
    Cluster, join, machine,
    node::{self, Ground},
    reach,
    state::Node,
};
use futures_util::future::join_all;
use minidock_base::Result;
use minidock_spec::cluster::{Cluster as Shown, Node as ShownNode, Status};
use std::time::Duration;

/// How long a node may take to say what it is.
pub(crate) const ANSWER: Duration = Duration::from_millis(500);

impl Cluster {
    /// The cluster, each node asked what it is doing.
    ///
    /// # Errors
    /// There is none.
    pub async fn shown(&self) -> Result<Shown> {
        let record = self.record()?;
        let underlay = self.underlay()?;
        let ground = Ground { paths: &self.paths, underlay: &underlay, record: &record };
        let nodes = join_all(record.nodes.iter().map(|node| self.show(&ground, node))).await;
        let most = |of: fn(&Node) -> f64| record.nodes.iter().map(of).fold(0.0, f64::max);
        let (cpus, memory) = (most(|node| node.cpus), most(|node| node.memory as f64));
        Ok(Shown {
            id: record.id.clone(),
            warnings: reach::warnings(&record.cgroup(""), cpus, memory as i64)?,
            created_at: record.created_at.clone(),
            subnet: record.subnet.clone(),
            gateway: record.gateway()?.to_string(),
            bridge: record.bridge(),
            uplink: record.uplink,
            swarm: record.swarm,
            nodes,
            cuts: record.cuts.iter().cloned().collect(),
        })
    }

    /// One node.
    ///
    /// # Errors
    /// There is no such node.
    pub async fn shown_node(&self, name: &str) -> Result<ShownNode> {
        let record = self.record()?;
        let underlay = self.underlay()?;
        Ok(self.show(&Ground { paths: &self.paths, underlay: &underlay, record: &record }, record.node(name)?).await)
    }

    async fn show(&self, ground: &Ground<'_>, node: &Node) -> ShownNode {
        let (status, running) = node::status(ground, node);
        let mut shown = ShownNode {
            name: node.name.clone(),
            address: node.address.to_string(),
            status,
            socket: self.paths.cluster_run(&node.name).join(machine::orders::SOCKET).to_string_lossy().into_owned(),
            data_root: self.paths.cluster_node(&node.name).to_string_lossy().into_owned(),
            pid: running.as_ref().map_or(0, |running| running.pid),
            cpus: node.cpus,
            memory: node.memory,
            labels: node.labels.clone(),
            skew: node.skew,
            started_at: running.map(|running| running.started_at).unwrap_or_default(),
            link: ground.record.link(node.number),
            containers: -1,
            ..ShownNode::default()
        };
        if status == Status::Running
            && let Ok(Ok(said)) = tokio::time::timeout(ANSWER, join::said(&self.paths, &node.name)).await
        {
            (shown.swarm, shown.manager, shown.node_id, shown.containers) = said;
        }
        shown
    }
}
