//! # Shell: a program inside of a node, or a prompt
//!
//! Docker's `exec` has three calls: declare, start, ask how it ended. This has the same three, with Docker's own bodies, for a node instead of a
//! container; so the client needs nothing new.
//!
//! ```text
//!   create(node1, {Cmd, Tty}) ──► "9f2c…"        start ──► minidock machine enter … ──stdio──► pipes, or a terminal's master
//!                                 resize ──► TIOCSWINSZ        ended ──► its status
//! ```
//!
//! * [`Shells`] remembers how each ended for [`KEPT`]; the streams belong to whoever called [`Shells::start`].
//!
//! Laws: what was started has an end, whatever becomes of its caller; it is started once; a program begins in the caller's folder if the node has it; what it is given as environment is the node's ([`crate::machine::orders::Orders::environment`]), the caller's terminal type, and what was asked for;
//! when the caller goes, the program gets SIGHUP (by its terminal) or SIGKILL. *See:* Engine API, Exec. Next room: [`crate::streams`]

use crate::{
    Cluster,
    machine::{enter::WORKDIR, orders::Orders},
};
use minidock_base::{Doing, Error, Result, id};
use minidock_linux::tty;
use minidock_spec::engine::exec::ExecCreate;
use std::{
    collections::HashMap,
    os::fd::OwnedFd,
    path::Path,
    process::Stdio,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use tokio::process::{Child, Command};

/// How long a program's status can be asked for.
const KEPT: Duration = Duration::from_secs(60);
/// As a shell has it: the program could not be run.
const NEVER_RAN: i32 = 125;

/// All programs that were started in nodes.
#[derive(Default)]
pub struct Shells(Mutex<HashMap<String, Shell>>);

struct Shell {
    node: String,
    wish: ExecCreate,
    started: bool,
    /// The terminal, while it runs.
    master: Option<OwnedFd>,
    /// Its status, and since when it is known.
    ended: Option<(i32, Instant)>,
}

/// A program that has been started.
pub enum Started {
    /// Both directions of its terminal.
    Terminal(Child, OwnedFd),
    /// Three pipes, in the child.
    Pipes(Child),
}

impl Shells {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Shell>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes what is to be run; its number.
    ///
    /// # Errors
    /// No such node, or it does not run; no program.
    pub fn create(&self, cluster: &Cluster, node: &str, wish: ExecCreate) -> Result<String> {
        cluster.entrance(node)?;
        if wish.cmd.is_empty() {
            return Err(Error::invalid("No exec command specified"));
        }
        let id = id::random_id();
        let mut all = self.lock();
        all.retain(|_, shell| shell.ended.is_none_or(|(_, since)| since.elapsed() < KEPT));
        all.insert(id.clone(), Shell { node: node.into(), wish, started: false, master: None, ended: None });
        Ok(id)
    }

    /// Executes it. Whoever has the streams says how it ended ([`Shells::end`]), or that they were never had.
    ///
    /// # Errors
    /// No such number; it was started already; the node has ended meanwhile.
    pub fn start(&self, cluster: &Cluster, id: &str, size: Option<(u16, u16)>) -> Result<Started> {
        let mut all = self.lock();
        let shell = all.get_mut(id).ok_or_else(|| no_such(id))?;
        match (shell.started, shell.ended) {
            (_, Some(_)) => return Err(Error::conflict(format!("exec command {id} has already run"))),
            (true, None) => return Err(Error::conflict(format!("exec command {id} is already running"))),
            (false, None) => shell.started = true,
        }
        let begun = shell.begin(cluster, size);
        if begun.is_err() {
            shell.end(NEVER_RAN);
        }
        begun
    }

    /// Changes the size of its terminal; a program without one, or one that has ended, is left alone.
    ///
    /// # Errors
    /// No such number.
    pub fn resize(&self, id: &str, rows: u16, columns: u16) -> Result<()> {
        match self.lock().get(id).ok_or_else(|| no_such(id))?.master.as_ref() {
            Some(master) => tty::resize(master, rows, columns).doing(|| "resize the terminal"),
            None => Ok(()),
        }
    }

    /// Notes how it ended, and lets its terminal go; what was noted first counts.
    pub fn end(&self, id: &str, status: i32) {
        if let Some(shell) = self.lock().get_mut(id) {
            shell.end(status);
        }
    }

    /// Nothing of what was to be run will be: its nodes are gone.
    pub(crate) fn forget(&self) {
        self.lock().retain(|_, shell| shell.started);
    }

    /// How it ended; none while it runs. Whether it has a terminal.
    ///
    /// # Errors
    /// No such number.
    pub fn ended(&self, id: &str) -> Result<(Option<i32>, bool)> {
        let all = self.lock();
        let shell = all.get(id).ok_or_else(|| no_such(id))?;
        Ok((shell.ended.map(|(status, _)| status), shell.wish.tty))
    }
}

impl Shell {
    fn begin(&mut self, cluster: &Cluster, size: Option<(u16, u16)>) -> Result<Started> {
        let (file, whom) = cluster.entrance(&self.node)?;
        let orders = Orders::load(&file)?;
        let mut command = Command::new("/proc/self/exe");
        command.args(["machine", "enter"]).arg(&file).arg(whom).args(&self.wish.cmd).env_clear().envs(orders.environment());
        command.env("TERM", "xterm").env("PS1", prompt(&orders)).env(WORKDIR, &self.wish.working_dir).current_dir("/");
        command.envs(self.wish.env.iter().filter_map(|variable| variable.split_once('=')));
        command.kill_on_drop(true);
        let doing = || format!("execute {:?} in {}", self.wish.cmd[0], orders.name);
        if !self.wish.tty {
            let stdin = if self.wish.attach_stdin { Stdio::piped() } else { Stdio::null() };
            return Ok(Started::Pipes(
                command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().doing(doing)?,
            ));
        }
        let pty = tty::open_pty(Path::new("/dev/ptmx")).doing(doing)?;
        if let Some((rows, columns)) = size {
            tty::resize(&pty.master, rows, columns).doing(doing)?;
        }
        let slave = || pty.slave.try_clone().doing(doing);
        let child = command.stdin(slave()?).stdout(slave()?).stderr(slave()?).spawn().doing(doing)?;
        self.master = Some(pty.master.try_clone().doing(doing)?);
        Ok(Started::Terminal(child, pty.master))
    }

    fn end(&mut self, status: i32) {
        self.master = None;
        self.ended.get_or_insert((status, Instant::now()));
    }
}

fn no_such(id: &str) -> Error {
    Error::not_found(format!("No such exec instance: {id}"))
}

/// As in the classroom that has closed: which node, and its address.
fn prompt(orders: &Orders) -> String {
    format!("[{}] (local) root@{} \\w\n$ ", orders.name, orders.address)
}
