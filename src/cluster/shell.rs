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
//! * [`Shells`] remembers them until the daemon ends; the streams belong to whoever called [`Shells::start`].
//!
//! Laws: a program begins in the caller's folder if the node has it; what it is given as environment is the node's ([`crate::machine::orders::Orders::environment`]), the caller's terminal type, and what was asked for;
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
};
use tokio::process::{Child, Command};

/// All programs that were started in nodes.
#[derive(Default)]
pub struct Shells(Mutex<HashMap<String, Shell>>);

struct Shell {
    node: String,
    wish: ExecCreate,
    /// The terminal, while it runs.
    master: Option<OwnedFd>,
    ended: Option<i32>,
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
        self.lock().insert(id.clone(), Shell { node: node.into(), wish, master: None, ended: None });
        Ok(id)
    }

    /// Executes it.
    ///
    /// # Errors
    /// No such number; the node has ended meanwhile.
    pub fn start(&self, cluster: &Cluster, id: &str, size: Option<(u16, u16)>) -> Result<Started> {
        let mut all = self.lock();
        let shell = all.get_mut(id).ok_or_else(|| no_such(id))?;
        let (file, whom) = cluster.entrance(&shell.node)?;
        let orders = Orders::load(&file)?;
        let mut command = Command::new("/proc/self/exe");
        command.args(["machine", "enter"]).arg(&file).arg(whom).args(&shell.wish.cmd).env_clear().envs(orders.environment());
        command.env("TERM", "xterm").env("PS1", prompt(&orders)).env(WORKDIR, &shell.wish.working_dir).current_dir("/");
        command.envs(shell.wish.env.iter().filter_map(|variable| variable.split_once('=')));
        command.kill_on_drop(true);
        let doing = || format!("execute {:?} in {}", shell.wish.cmd[0], orders.name);
        if !shell.wish.tty {
            let stdin = if shell.wish.attach_stdin { Stdio::piped() } else { Stdio::null() };
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
        shell.master = Some(pty.master.try_clone().doing(doing)?);
        Ok(Started::Terminal(child, pty.master))
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

    /// Notes how it ended.
    pub fn end(&self, id: &str, status: i32) {
        if let Some(shell) = self.lock().get_mut(id) {
            (shell.ended, shell.master) = (Some(status), None);
        }
    }

    /// How it ended; none while it runs. Whether it has a terminal.
    ///
    /// # Errors
    /// No such number.
    pub fn ended(&self, id: &str) -> Result<(Option<i32>, bool)> {
        self.lock().get(id).map(|shell| (shell.ended, shell.wish.tty)).ok_or_else(|| no_such(id))
    }
}

fn no_such(id: &str) -> Error {
    Error::not_found(format!("No such exec instance: {id}"))
}

/// As in the classroom that has closed: which node, and its address.
fn prompt(orders: &Orders) -> String {
    format!("[{}] (local) root@{} \\w\n$ ", orders.name, orders.address)
}
