//! # Session: which daemon a command talks to
//!
//! A command is given a [`Session`] and asks it for [`Session::docker`] when it first needs the daemon: help and wrong
//! spellings never touch a socket. The session knows where the daemon is and, if that is the default place and nobody
//! answers, starts one.
//!
//! ```text
//!   -H/--host  >  --context  >  $MINIDOCK_HOST  >  $MINIDOCK_CONTEXT  >  `context use`  >  the default socket
//!                    │                                   │                     │                 │
//!                    └──── ~/.minidock/contexts/<name>.json ───────────────────┘      start on demand, only here
//! ```
//!
//! Laws: a daemon is started only for the default socket, never for an address that somebody chose; a choice that does not
//! exist is an error and never falls back to another. The version is negotiated except with our own daemon, which speaks
//! the same as this very program: that saves each command a round trip.
//! *See:* docker/cli `cli/command/cli.go`, `cli/context`. *Next room:* [`crate::daemon_control`]

use crate::{context::store, daemon_control, terminal};
use minidock_base::{Error, Result, paths};
use minidock_client::{Address, Docker, Route};
use minidock_spec::{cluster::Node, engine::API_VERSION};
use std::path::{Path, PathBuf};

/// The global options as typed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Globals {
    pub config: Option<PathBuf>,
    pub context: Option<String>,
    pub hosts: Vec<String>,
    /// A simulated node of that daemon.
    pub node: Option<String>,
    pub debug: bool,
}

/// Who we talk to.
pub struct Session {
    config: PathBuf,
    context: String,
    address: Result<Address>,
    /// The daemon that hosts the simulated node whose context is chosen.
    hosted_by: Option<Address>,
    node: Option<String>,
    /// The simulated node in whose shell the command was typed, if it is for that node's daemon.
    inside: Option<String>,
    debug: bool,
    docker: Option<Docker>,
    host: Option<Docker>,
}

impl Session {
    /// Decides whom to talk to; opens nothing yet.
    ///
    /// # Errors
    /// Both `--host` and `--context`, or two hosts.
    pub fn new(globals: &Globals) -> Result<Session> {
        let config = globals.config.clone().unwrap_or_else(paths::client_config);
        let env = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let inside = env("MINIDOCK_NODE").filter(|_| globals.hosts.is_empty() && globals.context.is_none());
        let choice = choose(globals, env("MINIDOCK_HOST"), env("MINIDOCK_CONTEXT"), || store::current(&config))?;
        let (context, address) = match choice {
            Choice::Host(text) => (store::DEFAULT.to_string(), Address::parse(&text)),
            Choice::Context(name) => {
                let address = store::address(&config, &name);
                (name, address)
            }
            Choice::Default => (store::DEFAULT.to_string(), Ok(default_address())),
        };
        let hosted_by = store::find(&config, &context).ok().map(|stored| stored.hosted_by).filter(|host| !host.is_empty());
        let hosted_by = hosted_by.and_then(|host| Address::parse(&host).ok());
        let node = globals.node.clone();
        Ok(Session { config, context, address, hosted_by, node, inside, debug: globals.debug, docker: None, host: None })
    }

    /// The daemon; the first call connects, and starts a daemon if the default socket is silent.
    ///
    /// # Errors
    /// Nobody answers at a chosen address, the socket is not ours to use, or the daemon we started came to nothing.
    pub async fn docker(&mut self) -> Result<Docker> {
        if let Some(docker) = &self.docker {
            return Ok(docker.clone());
        }
        let docker = match self.node.clone() {
            None => self.connect(self.address()?.clone()).await.map_err(|e| dead_node(e, self.chosen_node()))?,
            Some(name) => {
                let node: Node = self.host().await?.get(&Route::new("/minidock/cluster/nodes/{}", [&name])).await?;
                self.connect(Address::Unix(node.socket.into())).await.map_err(|e| dead_node(e, Some(&name)))?
            }
        };
        self.docker = Some(docker.clone());
        Ok(docker)
    }

    /// The daemon that hosts simulated nodes: the one behind the node whose context is chosen, or the chosen daemon itself.
    ///
    /// # Errors
    /// As [`Session::docker`].
    pub async fn host(&mut self) -> Result<Docker> {
        if let Some(host) = &self.host {
            return Ok(host.clone());
        }
        let address = self.hosted_by.clone().map_or_else(|| self.address().cloned(), Ok)?;
        let host = self.connect(address).await?;
        self.host = Some(host.clone());
        Ok(host)
    }

    async fn connect(&self, address: Address) -> Result<Docker> {
        let ours = address == default_address();
        let version = ours.then_some(API_VERSION);
        let docker = match Docker::connect(address.clone(), version).await {
            Err(e) if ours && e.kind() == minidock_base::Kind::Unavailable => {
                daemon_control::start(&address).await?;
                Docker::connect(address, version).await?
            }
            answered => answered?,
        };
        Ok(if self.debug { docker.telling(tell) } else { docker })
    }

    /// The simulated node behind the context in use; in a node's shell, the node itself.
    fn chosen_node(&self) -> Option<&str> {
        if self.hosted_by.is_some() { Some(&self.context) } else { self.inside.as_deref() }
    }

    /// Where the daemon is said to be.
    ///
    /// # Errors
    /// The address is none, or the context is not there: known from the start, but told only to who needs it, so that
    /// `context use` can put it right.
    pub fn address(&self) -> Result<&Address> {
        self.address.as_ref().map_err(Clone::clone)
    }

    /// The folder of settings and contexts: `~/.minidock`.
    pub fn config_folder(&self) -> &Path {
        &self.config
    }

    /// The context in use.
    pub fn context(&self) -> &str {
        &self.context
    }

    /// `-D`: requests are shown.
    pub fn debug(&self) -> bool {
        self.debug
    }
}

/// Nobody answers for a simulated node: its daemon is started by the one that hosts it.
fn dead_node(error: Error, node: Option<&str>) -> Error {
    match node {
        Some(name) if error.kind() == minidock_base::Kind::Unavailable => {
            error.hint(format!("start the node, on the machine that hosts it: minidock cluster start {name}"))
        }
        _ => error,
    }
}

/// What `-D` shows of a request.
fn tell(line: &str) {
    let end = if terminal::is_raw() { "\r\n" } else { "\n" };
    terminal::eprint(&format!("minidock: {line}{end}"));
}

/// Where our own daemon listens when nobody says otherwise.
pub fn default_address() -> Address {
    Address::Unix(paths::default_socket(rustix::process::geteuid().as_raw()))
}

#[derive(Debug, PartialEq)]
enum Choice {
    Host(String),
    Context(String),
    Default,
}

/// The order of precedence; an empty or "default" context is the default socket.
fn choose(
    globals: &Globals,
    host: Option<String>,
    context: Option<String>,
    stored: impl FnOnce() -> Result<Option<String>>,
) -> Result<Choice> {
    let named = |name: String| if name == store::DEFAULT { Choice::Default } else { Choice::Context(name) };
    match (globals.hosts.as_slice(), &globals.context) {
        ([_, _, ..], _) => Err(Error::invalid("specify only one -H").hint("one command talks to one daemon")),
        ([_], Some(_)) => Err(Error::invalid("conflicting options: cannot specify both --host and --context")),
        ([one], None) => Ok(Choice::Host(one.clone())),
        ([], Some(name)) => Ok(named(name.clone())),
        ([], None) => match (host, context) {
            (Some(host), _) => Ok(Choice::Host(host)),
            (None, Some(name)) => Ok(named(name)),
            (None, None) => Ok(stored()?.map_or(Choice::Default, named)),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_does_not_reach_a_node_is_told_to_start_the_node() {
        let hint = |node, error: Error| dead_node(error.hint("start one: minidock daemon"), node).hint_text().map(String::from);
        let told = hint(Some("node2"), Error::unavailable("nobody answers")).expect("a hint");
        assert!(told.ends_with("minidock cluster start node2"), "{told}");
        assert_eq!(hint(None, Error::unavailable("nobody answers")).as_deref(), Some("start one: minidock daemon"));
        assert_eq!(hint(Some("node2"), Error::forbidden("no")).as_deref(), Some("start one: minidock daemon"));
    }

    #[test]
    fn the_nearest_choice_wins() {
        let typed = Globals { hosts: vec!["unix:///a".into()], ..Globals::default() };
        let text = |s: &str| Some(s.to_string());
        let stored = || Ok(Some("stored".to_string()));
        assert_eq!(choose(&typed, text("unix:///b"), text("c"), stored).expect("a choice"), Choice::Host("unix:///a".into()));
        let none = Globals::default();
        assert_eq!(choose(&none, text("unix:///b"), text("c"), stored).expect("a choice"), Choice::Host("unix:///b".into()));
        assert_eq!(choose(&none, None, text("c"), stored).expect("a choice"), Choice::Context("c".into()));
        assert_eq!(choose(&none, None, None, stored).expect("a choice"), Choice::Context("stored".into()));
        assert_eq!(choose(&none, None, text("default"), stored).expect("a choice"), Choice::Default);
        assert_eq!(choose(&none, None, None, || Ok(None)).expect("a choice"), Choice::Default);
        let both = Globals { context: text("x"), ..typed };
        assert!(choose(&both, None, None, stored).is_err());
    }
}
