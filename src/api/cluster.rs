//! # Cluster routes: the simulated nodes that this daemon hosts
//!
//! All of it is ours, below `/minidock/cluster`. What a client wants of a *node* it asks the node's own daemon, at the socket that these routes tell;
//! here is what only the host can do: make machines, cut their power and their cables, put a program into one.
//!
//! ```text
//!   GET | POST | DELETE  /minidock/cluster                   the cluster: shown, up, down
//!   POST   …/nodes        GET | DELETE …/nodes/node2         more nodes; one node
//!   POST   …/nodes/node2/{start,stop,kill,pause,unpause,skew}   …/{cut,partition,heal}
//!   POST   …/nodes/node2/exec  …/exec/ID/start  …/exec/ID/resize    GET …/exec/ID      as Docker's exec
//! ```
//!
//! See: [`minidock_cluster`]. Next room: [`crate::glass_box`]

use crate::{
    answer::{Answer, done, empty, json, json_with},
    call::Call,
    containers::size,
    hijack::hijack,
};
use http::StatusCode;
use minidock_base::{Error, Result};
use minidock_cluster::{Cluster, shell::Started, streams};
use minidock_spec::engine::exec::{ExecCreated, ExecInspect, ExecStart, ProcessConfig};
use std::sync::Arc;

/// Everything below `/minidock/cluster`.
pub async fn route(mut call: Call, path: &[&str]) -> Result<Answer> {
    let cluster = call.cluster.clone();
    match (call.method.as_str(), path) {
        ("GET", []) => json(&cluster.shown().await?),
        ("POST", []) => json_with(StatusCode::CREATED, &cluster.up(&call.json().await?).await?),
        ("DELETE", []) => {
            cluster.down().await?;
            done()
        }
        ("POST", ["nodes"]) => json_with(StatusCode::CREATED, &cluster.add(&call.json().await?).await?),
        ("GET", ["nodes", name]) => json(&cluster.shown_node(name).await?),
        ("DELETE", ["nodes", name]) => {
            cluster.remove(name, call.query.flag("force")).await?;
            done()
        }
        ("POST", ["nodes", name, "exec"]) => {
            let id = cluster.shells.create(&cluster, name, call.json().await?)?;
            json_with(StatusCode::CREATED, &ExecCreated { id })
        }
        ("POST", ["nodes", name, verb @ ("start" | "stop" | "kill" | "pause" | "unpause")]) => {
            cluster.act(name, verb, &call.json_or_default().await?).await?;
            done()
        }
        ("POST", ["nodes", name, "skew"]) => {
            cluster.skew(name, &call.json().await?).await?;
            done()
        }
        ("POST", ["exec", id, "start"]) => start(call, cluster, id).await,
        ("POST", ["exec", id, "resize"]) => {
            let (rows, columns) = size(&call)?;
            cluster.shells.resize(id, rows, columns)?;
            Ok(empty(StatusCode::OK))
        }
        ("GET", ["exec", id]) => ended(&cluster, id),
        ("POST", ["cut"]) => json(&cluster.cut(&call.json().await?).await?),
        ("POST", ["partition"]) => json(&cluster.partition(&call.json().await?).await?),
        ("POST", ["heal"]) => json(&cluster.heal().await?),
        _ => Err(Error::not_found("page not found")),
    }
}

/// The program is executed only when its caller's connection is there: it would speak to nobody.
async fn start(mut call: Call, cluster: Arc<Cluster>, id: &str) -> Result<Answer> {
    let wish: ExecStart = call.json_or_default().await?;
    let started = cluster.shells.start(&cluster, id, wish.console_size.map(|[rows, columns]| (rows, columns)))?;
    let tty = matches!(started, Started::Terminal(..));
    let seat = Seat { cluster, id: id.to_string() };
    hijack(&mut call, tty, async move |io| {
        let joined = streams::join(started, io, |status| seat.cluster.shells.end(&seat.id, status)).await;
        if let Err(error) = joined {
            tracing::warn!("{error}");
        }
    })
}

/// A caller's place at a program. Whoever loses it, or never gets it, leaves a program that has ended.
struct Seat {
    cluster: Arc<Cluster>,
    id: String,
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.cluster.shells.end(&self.id, 125); // unless it is known how it ended
    }
}

fn ended(cluster: &Cluster, id: &str) -> Result<Answer> {
    let (ended, tty) = cluster.shells.ended(id)?;
    json(&ExecInspect {
        id: id.to_string(),
        running: ended.is_none(),
        exit_code: ended.map(i64::from),
        process_config: ProcessConfig { tty, ..ProcessConfig::default() },
        ..ExecInspect::default()
    })
}
