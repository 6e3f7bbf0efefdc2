//! # Cluster: machines that are namespaces
//!
//! A swarm of one machine teaches little: nothing can be cut, nobody can be elected. So a daemon can *host* others: real daemons, each with
//! a data root, a network, a hostname of its own, on a machine that consists of namespaces. What is simulated is only who made the machine; what runs
//! on it, how the nodes speak to each other, and what happens when a cable is cut is what happens in the world.
//!
//! ```text
//!   minidock cluster up --nodes 3          minidock --node node2 ps
//!            │ /minidock/cluster                    │ GET /minidock/cluster: where is node2? ─► its socket
//!            ▼                                      ▼
//!   ┌ hosting daemon ────────────────────────────────────────────────────────────────┐
//!   │  Cluster ── state: cluster.json            underlay: bridge mdc-…, a port each │
//!   │     │       faults: cuts in the bridge's firewall                              │
//!   │     └ node: executes `minidock machine` ─┬───────────────┬───────────────┐     │
//!   └──────────────────────────────────────────┼───────────────┼───────────────┼─────┘
//!                                     ┌ node1 ─▼────┐ ┌ node2 ─▼────┐ ┌ node3 ─▼────┐   namespaces: pid, mnt, net,
//!                                     │ PID 1       │ │             │ │             │   uts, cgroup
//!                                     │ daemon      │ │             │ │             │
//!                                     │ shims, …    │ │             │ │             │
//!                                     └─ eth0 ──────┘ └─ eth0 ──────┘ └─ eth0 ──────┘
//! ```
//!
//! * [`reach`]: what a host without root has not to give. [`state`]: the cluster as it is written down; [`underlay`]: the cable; [`faults`]: where it is cut.
//! * [`machine`]: the costume `minidock machine`, which makes the namespaces and is PID 1 in them. [`node`]: its life, seen from the host.
//! * [`shell`], [`streams`]: a program, or a prompt, inside of a node; `shown`: what a person is told. [`join`]: from machines to a swarm, by each node's own API.
//! * [`Cluster`] ties them together: one for each hosting daemon, and at most one cluster in it.
//!
//! Laws: one change at a time (`work`), reading never waits for it; what is wanted is on disk before it is done, so that a hosting daemon that dies in the
//! middle finds it again; nodes outlive their host, and nobody but `down`, `rm`, `kill` and `stop` ends one; the host never reads a node's files while it runs.
//!
//! *In the real world* the machines are somebody's, and the cable is cut by an excavator. *See:* design.md section 7 · kind, footloose, Jepsen.
//! Next room: [`state`]

pub mod faults;
pub mod join;
pub mod machine;
pub mod node;
pub mod reach;
pub mod shell;
mod shown;
pub mod state;
pub mod streams;
pub mod underlay;

use futures_util::future::{join_all, try_join_all};
use minidock_base::{Doing, Error, Result, clock, id, paths::Paths};
use minidock_spec::{
    cluster::{AddRequest, Cluster as Shown, NodeRequest, UpRequest},
    swarm::generic,
};
use node::Ground;
use state::{Node, Record, Wanted};
use std::{
    collections::BTreeSet,
    os::{
        linux::net::SocketAddrExt,
        unix::net::{SocketAddr, UnixListener},
    },
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::{Instant, sleep};
use underlay::Underlay;

/// How long programs may take to end when a node is stopped.
const GRACE: Duration = Duration::from_secs(10);
/// How many nodes may boot at once: each keeps a core busy for some tens of milliseconds.
const AT_ONCE: usize = 8;

/// The cluster that a daemon hosts, if any.
pub struct Cluster {
    paths: Paths,
    /// One change at a time.
    work: tokio::sync::Mutex<()>,
    record: Mutex<Option<Record>>,
    underlay: Mutex<Option<Arc<Underlay>>>,
    pub shells: shell::Shells,
}

impl Cluster {
    /// Takes up the cluster of this data root, if there is one; makes nothing.
    ///
    /// # Errors
    /// A record that cannot be read.
    pub fn open(paths: &Paths) -> Result<Arc<Cluster>> {
        let record = Record::load(paths).doing(|| "read the cluster")?;
        Ok(Arc::new(Cluster {
            paths: paths.clone(),
            work: tokio::sync::Mutex::new(()),
            record: Mutex::new(record),
            underlay: Mutex::default(),
            shells: shell::Shells::default(),
        }))
    }

    fn lock(&self) -> MutexGuard<'_, Option<Record>> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The cluster as it is written down.
    ///
    /// # Errors
    /// [`minidock_base::Kind::NotFound`]: there is none.
    fn record(&self) -> Result<Record> {
        self.lock()
            .clone()
            .ok_or_else(|| Error::not_found("this daemon hosts no cluster").hint("minidock cluster up --nodes 3"))
    }

    /// Writes the record, and believes it.
    fn keep(&self, record: Record) -> Result<()> {
        record.save(&self.paths)?;
        *self.lock() = Some(record);
        Ok(())
    }

    /// The lines to the kernel, opened when first needed.
    fn underlay(&self) -> Result<Arc<Underlay>> {
        let mut open = self.underlay.lock().unwrap_or_else(PoisonError::into_inner);
        match &*open {
            Some(underlay) => Ok(underlay.clone()),
            None => Ok(open.insert(Arc::new(Underlay::open()?)).clone()),
        }
    }

    /// Makes the cluster and its nodes, and of the nodes a swarm.
    ///
    /// # Errors
    /// There is one already; a wish that makes no sense; a node that did not come up: then nothing is left of any.
    pub async fn up(&self, wish: &UpRequest) -> Result<Shown> {
        let _work = self.work.lock().await;
        if self.lock().is_some() {
            return Err(Error::conflict("a cluster is up already")
                .hint("minidock cluster add makes more nodes, minidock cluster down ends it"));
        }
        reach::check()?;
        let underlay = self.underlay()?;
        let done = async {
            let record = self.begin(&underlay, wish).await.doing(|| "make the cluster")?;
            self.populate(&underlay, record, &wish.nodes).await
        };
        if let Err(error) = done.await {
            // what went wrong first is what the user must read
            return Err(match self.take_down().await {
                Ok(()) => error,
                Err(left) => error.hint(format!("something is left of it ({}): minidock cluster down", left.message())),
            });
        }
        self.shown().await
    }

    /// The record and the bridge. Two daemons of one network namespace choose one after the other.
    async fn begin(&self, underlay: &Underlay, wish: &UpRequest) -> Result<Record> {
        check(&wish.nodes, true)?;
        let _turn = turn().await?;
        let net = state::choose_subnet(&wish.subnet, &underlay.routes()?)?;
        let record = Record {
            id: id::random_id()[..8].to_string(),
            created_at: clock::rfc3339_nanos(clock::now()),
            subnet: net.to_string(),
            uplink: wish.uplink,
            swarm: !wish.no_swarm,
            nodes: Vec::new(),
            cuts: BTreeSet::new(),
        };
        for folder in [self.paths.cluster(), self.paths.cluster_runs()] {
            std::fs::create_dir_all(&folder).doing(|| format!("make {}", folder.display()))?;
        }
        self.keep(record.clone())?;
        underlay.erect(&record)?;
        Ok(record)
    }

    /// More nodes, started beside each other and joined to the swarm.
    async fn populate(&self, underlay: &Underlay, mut record: Record, wish: &AddRequest) -> Result<()> {
        let net = record.net()?;
        let mut new = Vec::new();
        let numbers = record.next_numbers(wish.nodes)?;
        state::check_labels(&wish.labels, &numbers)?;
        state::check_labels(&wish.generic_resources, &numbers)?;
        for (nth, number) in numbers.into_iter().enumerate() {
            let name = format!("node{number}");
            new.push(Node {
                labels: state::labels_of(&name, &wish.labels)?,
                generic_resources: state::labels_of(&name, &wish.generic_resources)?,
                address: state::address(&net, number)?,
                manager: (nth as u32) < wish.managers,
                cpus: wish.cpus,
                memory: wish.memory,
                wanted: Wanted::Running,
                skew: 0,
                name,
                number,
            });
        }
        record.nodes.extend(new.iter().cloned());
        record.nodes.sort_by_key(|node| node.number);
        self.keep(record.clone())?;
        self.introduce(&record)?;
        let ground = Ground { paths: &self.paths, underlay, record: &record };
        for some in new.chunks(AT_ONCE) {
            try_join_all(some.iter().map(|node| node::start(&ground, node))).await?;
        }
        match record.swarm {
            true => join::join(&self.paths, &record, &new).await,
            false => Ok(()),
        }
    }

    /// Tells every running node the names of all.
    fn introduce(&self, record: &Record) -> Result<()> {
        let known = record.nodes.iter().filter(|node| self.paths.cluster_run(&node.name).join("etc").exists());
        known.into_iter().try_for_each(|node| node::write_etc(&self.paths, record, node))
    }

    /// Adds nodes.
    ///
    /// # Errors
    /// As [`Cluster::up`]; nodes that did not come up are taken away again.
    pub async fn add(&self, wish: &AddRequest) -> Result<Shown> {
        let work = self.work.lock().await;
        let record = self.record()?;
        check(wish, false)?;
        let before: BTreeSet<String> = record.nodes.iter().map(|node| node.name.clone()).collect();
        let underlay = self.underlay()?;
        underlay.erect(&record)?;
        if let Err(error) = self.populate(&underlay, record, wish).await {
            let now = self.record()?;
            for node in now.nodes.iter().filter(|node| !before.contains(&node.name)) {
                let _ = self.take_away(&underlay, &node.name).await; // what went wrong first is what the user must read
            }
            return Err(error);
        }
        drop(work);
        self.shown().await
    }

    /// Takes a node out of the swarm and away, with its data.
    ///
    /// # Errors
    /// No such node; the last one; a manager that the others cannot do without.
    pub async fn remove(&self, name: &str, force: bool) -> Result<()> {
        let _work = self.work.lock().await;
        let record = self.record()?;
        record.node(name)?;
        if record.nodes.len() == 1 {
            return Err(
                Error::conflict(format!("{name} is the last node")).hint("minidock cluster down takes the cluster away")
            );
        }
        let underlay = self.underlay()?;
        if record.swarm {
            let left = join::leave(&self.paths, &record, name).await;
            if let (Err(error), false) = (left, force) {
                return Err(error.hint(format!("minidock cluster rm --force {name} takes it away all the same")));
            }
        }
        self.take_away(&underlay, name).await
    }

    /// The node, its data, its name and its cuts.
    async fn take_away(&self, underlay: &Underlay, name: &str) -> Result<()> {
        let mut record = self.record()?;
        let node = record.node(name)?.clone();
        node::kill(&Ground { paths: &self.paths, underlay, record: &record }, &node).await?;
        node::forget(&self.paths, name).await?;
        record.nodes.retain(|node| node.name != name);
        record.cuts.retain(|cut| cut.from != name && cut.to != name);
        self.keep(record.clone())?;
        self.introduce(&record)?;
        faults::apply(underlay, &record)
    }

    /// Ends every node and removes all there is of the cluster. None is no failure.
    ///
    /// # Errors
    /// The first thing that would not go; the others are gone, and `down` may be asked again.
    pub async fn down(&self) -> Result<()> {
        let _work = self.work.lock().await;
        self.take_down().await
    }

    /// The same for who has `work`.
    async fn take_down(&self) -> Result<()> {
        let Some(record) = self.lock().clone() else { return Ok(()) };
        let underlay = self.underlay()?;
        let ground = Ground { paths: &self.paths, underlay: &underlay, record: &record };
        let away = async |node: &Node| {
            let killed = node::kill(&ground, node).await;
            killed.and(node::forget(&self.paths, &node.name).await)
        };
        let mut first: Result<()> = join_all(record.nodes.iter().map(away)).await.into_iter().collect();
        first = first.and(underlay.fell(&record));
        let above = record.cgroup("");
        first = first.and(node::blocking(move || remove_group(&above)).await);
        first.doing(|| "take the cluster away")?;
        node::remove(&self.paths.cluster_runs())?;
        node::remove(&self.paths.cluster())?;
        *self.lock() = None; // last: who cannot finish may be asked again
        self.shells.forget();
        Ok(())
    }

    /// `start`, `stop`, `kill`, `pause`, `unpause`.
    ///
    /// # Errors
    /// No such node; a verb that does not fit what it is doing.
    pub async fn act(&self, name: &str, verb: &str, wish: &NodeRequest) -> Result<()> {
        let _work = self.work.lock().await;
        let mut record = self.record()?;
        let node = record.node(name)?.clone();
        let underlay = self.underlay()?;
        let wanted = match verb {
            "start" => Some(Wanted::Running),
            "stop" => Some(Wanted::Stopped),
            "kill" if !wish.daemon => Some(Wanted::Killed),
            _ => None,
        };
        if let Some(wanted) = wanted {
            record.node_mut(name)?.wanted = wanted;
            self.keep(record.clone())?;
        }
        let ground = Ground { paths: &self.paths, underlay: &underlay, record: &record };
        let (status, running) = node::status(&ground, &node);
        let refuse = || Err(Error::conflict(format!("{name} is {status}")));
        use minidock_spec::cluster::Status;
        match (verb, status) {
            ("start", Status::NoDaemon) => node::start_daemon(&self.paths, name).await,
            ("start" | "pause" | "unpause", Status::Running | Status::Paused)
                if (verb == "start") || (verb == "pause") != (status == Status::Running) =>
            {
                refuse()
            }
            ("start", _) => {
                underlay.erect(&record)?;
                faults::apply(&underlay, &record)?;
                node::start(&ground, &node).await
            }
            ("stop", _) => {
                let grace = wish.grace_seconds.map_or(GRACE, Duration::from_secs);
                node::stop(&ground, &node, grace).await
            }
            ("kill", _) if wish.daemon => node::kill_daemon(&ground, &node).await,
            ("kill", _) => node::kill(&ground, &node).await,
            (_, _) if running.is_none() => refuse(),
            ("pause", _) => node::pause(&ground, &node).await,
            ("unpause", _) => node::unpause(&ground, &node).await,
            _ => Err(Error::not_found("page not found")),
        }
    }

    /// The running node of this name, for who wants to enter it: its orders' file, and `pid:start time`.
    ///
    /// # Errors
    /// No such node, or it does not run.
    pub(crate) fn entrance(&self, name: &str) -> Result<(std::path::PathBuf, String)> {
        let record = self.record()?;
        record.node(name)?;
        let running = state::running(&self.paths, name)
            .ok_or_else(|| Error::conflict(format!("{name} does not run")).hint(format!("minidock cluster start {name}")))?;
        Ok((self.paths.cluster_run(name).join(machine::orders::FILE), format!("{}:{}", running.pid, running.started)))
    }
}

/// Whether a wish for nodes makes sense; the first nodes of a cluster need a manager among them.
fn check(wish: &AddRequest, first: bool) -> Result<()> {
    let refuse = |why: String, hint: &'static str| Err(Error::invalid(why).hint(hint));
    if wish.nodes == 0 || wish.nodes > state::MOST {
        let hint = if first { "minidock cluster up --nodes 3" } else { "minidock cluster add --nodes 2" };
        return refuse(format!("{} nodes: there must be 1 to {}", wish.nodes, state::MOST), hint);
    }
    if wish.managers > wish.nodes || (first && wish.managers == 0) {
        return refuse(format!("{} managers of {} nodes", wish.managers, wish.nodes), "--managers 1, or 3 of 3 or more nodes");
    }
    if !(0.0..=1024.0).contains(&wish.cpus) || (wish.cpus > 0.0 && wish.cpus < 0.01) {
        return refuse(format!("{} CPUs", wish.cpus), "--cpus 0.5, --cpus 2");
    }
    if wish.memory != 0 && wish.memory < 32 << 20 {
        return refuse(format!("{} bytes of memory are too few for a node", wish.memory), "at least --memory 32m");
    }
    if let Some(bad) = wish.generic_resources.iter().find(|resource| !resource.contains('=')) {
        return refuse(
            format!("invalid generic resource {bad:?}"),
            "--node-generic-resource gpu=2, or node2:gpu=2 for one node",
        );
    }
    generic::offered(&state::labels_of("", &wish.generic_resources)?)?;
    wish.labels.iter().try_for_each(|label| state::labels_of("", std::slice::from_ref(label)).map(drop))
}

/// The right to choose a block of addresses in this network namespace, for as long as the listener lives: a name that belongs to the namespace.
async fn turn() -> Result<UnixListener> {
    let name = SocketAddr::from_abstract_name("minidock-underlay").doing(|| "name a socket")?;
    let until = Instant::now() + Duration::from_secs(10);
    loop {
        match UnixListener::bind_addr(&name) {
            Ok(turn) => return Ok(turn),
            Err(e) if e.kind() == std::io::ErrorKind::AddrInUse && Instant::now() < until => {
                sleep(Duration::from_millis(2)).await
            }
            Err(e) => return Err(e).doing(|| "wait for another daemon that makes a cluster"),
        }
    }
}

/// The group above all nodes' groups.
fn remove_group(path: &std::path::Path) -> Result<()> {
    reach::group(path)?.remove().doing(|| "remove the cluster's cgroup")
}
