//! # Join: from machines to a swarm
//!
//! The first node says `swarm init`, the others `swarm join` with the token it gives out: the same calls that a person would type in their
//! shells, by each node's own API. No door leads from here into a node's store.
//!
//! ```text
//!   node1  POST /swarm/init {AdvertiseAddr: 192.168.66.11}     GET /swarm ─► JoinTokens {Worker, Manager}
//!   node2… POST /swarm/join {RemoteAddrs: [192.168.66.11:2377], JoinToken, AdvertiseAddr: its own}
//!   node1  POST /nodes/ID/update {Labels}                       for nodes with --label
//! ```
//!
//! * Managers join one after the other, for each changes who must agree; workers beside each other.
//! * [`leave`] is the way back: demote, leave, and `node rm` on a manager that stays.
//!
//! *See:* Engine API, Swarm. Next room: `minidock_api`

use crate::{node, state::Node, state::Record};
use futures_util::future::try_join_all;
use minidock_base::{Doing, Error, Kind, Result, paths::Paths};
use minidock_client::{Docker, Route, Wish};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// The port of managers.
const PORT: u16 = 2377;
/// How long the swarm may take to let a node go.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a node may take to say what it is before others decide without it: it may be frozen.
const HEARD: Duration = Duration::from_secs(2);
/// How often it is asked meanwhile.
const LOOK: Duration = Duration::from_millis(50);
/// How often a node is edited anew when others change it at the same time.
const ATTEMPTS: u32 = 5;

/// Makes the new nodes part of the cluster's swarm; the first manager of a new cluster begins it.
///
/// # Errors
/// What a node answered.
pub async fn join(paths: &Paths, record: &Record, new: &[Node]) -> Result<()> {
    let standing: Vec<&Node> = record.nodes.iter().filter(|node| !new.contains(node)).collect();
    let (at, first) = match manager(paths, &standing).await {
        Some(found) => found,
        // a manager that is silent still is one: a second swarm would be founded beside the first
        None => match new.iter().find(|node| node.manager && standing.is_empty()) {
            Some(first) => (first, begin(paths, first).await.doing(|| format!("begin a swarm on {}", first.name))?),
            None => {
                return Err(Error::unavailable("no manager answers: nobody can let new nodes in").hint("minidock cluster ls"));
            }
        },
    };
    let swarm: Value = first.get(&Route::new("/swarm", [])).await.doing(|| format!("ask {} for the join tokens", at.name))?;
    let token = |role: &str| swarm["JoinTokens"][role].as_str().unwrap_or_default().to_string();
    let others: Vec<&Node> = new.iter().filter(|node| node.name != at.name).collect();
    for node in others.iter().filter(|node| node.manager) {
        enter(paths, node, at, &token("Manager")).await?;
    }
    let worker = token("Worker");
    try_join_all(others.iter().filter(|node| !node.manager).map(|node| enter(paths, node, at, &worker))).await?;
    label(paths, &first, new).await
}

/// A manager of these that answers.
async fn manager<'a>(paths: &Paths, nodes: &[&'a Node]) -> Option<(&'a Node, Docker)> {
    for node in nodes {
        let said = tokio::time::timeout(crate::shown::ANSWER, said(paths, &node.name)).await;
        if let Ok(Ok((swarm, true, ..))) = said
            && swarm == "active"
            && let Ok(docker) = node::docker(paths, &node.name).await
        {
            return Some((node, docker));
        }
    }
    None
}

async fn begin(paths: &Paths, node: &Node) -> Result<Docker> {
    let docker = node::docker(paths, &node.name).await?;
    let address = node.address.to_string();
    let body = json!({ "ListenAddr": format!("0.0.0.0:{PORT}"), "AdvertiseAddr": address, "DataPathAddr": address, "ForceNewCluster": false, "Spec": {} });
    let _id: String = docker.post(&Route::new("/swarm/init", []), &body).await?;
    Ok(docker)
}

async fn enter(paths: &Paths, node: &Node, at: &Node, token: &str) -> Result<()> {
    let docker = node::docker(paths, &node.name).await?;
    let address = node.address.to_string();
    let body = json!({
        "ListenAddr": format!("0.0.0.0:{PORT}"), "AdvertiseAddr": address, "DataPathAddr": address,
        "RemoteAddrs": [format!("{}:{PORT}", at.address)], "JoinToken": token,
    });
    let wish = Wish::post(&Route::new("/swarm/join", [])).json(&body)?;
    docker.send(wish).await.doing(|| format!("let {} join the swarm", node.name))?.bytes().await.map(drop)
}

/// Gives the nodes their labels in the swarm.
async fn label(paths: &Paths, manager: &Docker, new: &[Node]) -> Result<()> {
    for node in new.iter().filter(|node| !node.labels.is_empty()) {
        let (.., id, _) = said(paths, &node.name).await?;
        let pairs = node.labels.iter().filter_map(|label| label.split_once('='));
        let labels: serde_json::Map<_, _> = pairs.map(|(key, value)| (key.to_string(), json!(value))).collect();
        change(manager, &id, |spec| spec["Labels"] = labels.clone().into()).await.doing(|| format!("label {}", node.name))?;
    }
    Ok(())
}

/// Edits what is wished of a node. Somebody may have changed the node in between (it has just become ready, say): then once more.
async fn change(manager: &Docker, id: &str, edit: impl Fn(&mut Value)) -> Result<()> {
    let mut left = ATTEMPTS;
    loop {
        let mut row: Value = manager.get(&Route::new("/nodes/{}", [id])).await?;
        let version = row["Version"]["Index"].as_u64().unwrap_or_default();
        edit(&mut row["Spec"]);
        let update = Route::new("/nodes/{}/update", [id]).pair("version", version);
        let done = match manager.send(Wish::post(&update).json(&row["Spec"])?).await {
            Ok(answer) => answer.bytes().await.map(drop),
            refused => refused.map(drop),
        };
        left -= 1;
        match done {
            Err(error) if left > 0 && error.message().contains("out of sequence") => {}
            done => return done,
        }
    }
}

/// What a node's daemon says of itself: its part in a swarm, whether it is a manager, its node ID, how many containers run.
///
/// # Errors
/// It does not answer.
pub async fn said(paths: &Paths, name: &str) -> Result<(String, bool, String, i64)> {
    let info: Value = node::docker(paths, name).await?.get(&Route::new("/info", [])).await?;
    let swarm = &info["Swarm"];
    let text = |key: &str| swarm[key].as_str().unwrap_or_default().to_string();
    let manager = swarm["ControlAvailable"].as_bool().unwrap_or(false);
    Ok((text("LocalNodeState"), manager, text("NodeID"), info["ContainersRunning"].as_i64().unwrap_or(-1)))
}

/// Takes a node out of the swarm, with every row of its name. What was done already is no hindrance: it may be asked again.
///
/// # Errors
/// What it, or the manager that stays, answered; no manager stays.
pub async fn leave(paths: &Paths, record: &Record, name: &str) -> Result<()> {
    let others: Vec<&Node> = record.nodes.iter().filter(|node| node.name != name).collect();
    let Some((_, stays)) = manager(paths, &others).await else {
        return Err(
            Error::conflict(format!("without {name} nobody manages the swarm")).hint("minidock node promote another one first")
        );
    };
    let doing = || format!("take {name} out of the swarm");
    // one that does not run cannot be asked; one that has left already says so, and its rows are still there
    let said = tokio::time::timeout(HEARD, said(paths, name)).await.ok().and_then(Result::ok);
    let own = said.as_ref().map(|(_, _, id, _)| id.as_str()).unwrap_or_default();
    let rows: Vec<Value> = stays.get(&Route::new("/nodes", [])).await.doing(doing)?;
    let is_meant = |row: &&Value| row["Description"]["Hostname"] == name || row["ID"] == own;
    let meant: Vec<(&str, bool)> =
        rows.iter().filter(is_meant).filter_map(|row| Some((row["ID"].as_str()?, row["Spec"]["Role"] == "manager"))).collect();
    for (id, _) in meant.iter().filter(|(_, manages)| *manages) {
        change(&stays, id, |spec| spec["Role"] = json!("worker")).await.doing(doing)?;
    }
    if let Some((state, is_manager, ..)) = &said
        && state != "inactive"
    {
        // the others must have agreed to do without its voice before it falls silent
        let until = Instant::now() + PATIENCE;
        while *is_manager && self::said(paths, name).await.is_ok_and(|(_, still, ..)| still) && Instant::now() < until {
            sleep(LOOK).await;
        }
        let docker = node::docker(paths, name).await?;
        docker.poke(&Route::new("/swarm/leave", []).pair("force", true)).await.doing(doing)?;
    }
    for (id, _) in meant {
        remove(&stays, id).await.doing(doing)?;
    }
    Ok(())
}

/// `node rm --force`, until it is gone: what it was told may take a moment to be true.
async fn remove(manager: &Docker, id: &str) -> Result<()> {
    let gone = Route::new("/nodes/{}", [id]).pair("force", true);
    let until = Instant::now() + PATIENCE;
    loop {
        match manager.send(Wish::delete(&gone)).await {
            Err(error) if error.kind() == Kind::NotFound => return Ok(()),
            Err(_) if Instant::now() < until => sleep(LOOK).await,
            answered => return answered?.bytes().await.map(drop),
        }
    }
}
