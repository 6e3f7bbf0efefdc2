//! # The tree of commands: which words lead to which room
//!
//! `minidock container run` and `minidock run` are one command with two spellings. Every command is one [`Command`] value:
//! its long path, its other spellings, a function that describes its flags, and a function that does it. Rooms list
//! theirs in a constant (`container::COMMANDS`, `image::COMMANDS`, …), and [`GROUPS`] and [`ALONE`] gather the lists.
//!
//! ```text
//!   words ──► find ──┬─► One { command, typed, rest }     minidock ps -a   → container ls, "ps", ["-a"]
//!                    ├─► Whole group                       minidock image   → its usage
//!                    └─► Unknown { … }                     minidock imabe   → did you mean …
//! ```
//!
//! How a room plugs in:
//!
//! ```text
//!   pub fn command() -> clap::Command {
//!       flag::command("stop", "[OPTIONS] CONTAINER [CONTAINER...]", "Stop one or more running containers")
//!           .arg(flag::number("timeout", "int", "Seconds to wait before killing the container").short('t'))
//!           .arg(flag::names("CONTAINER"))
//!   }
//!   pub async fn run(m: &clap::ArgMatches, session: &mut Session) -> Result<i32> { … }
//!
//!   Command { path: "container stop", also: &["stop"], build: stop::command, run: |m, s| Box::pin(stop::run(m, s)) }
//! ```
//!
//! * A function pointer per command instead of one great tree: only the chosen command's flags are ever built, which keeps
//!   the start of the program under a millisecond.
//! * Flags are declared through [`crate::flag`], read through [`crate::words`] (which knows Docker's rules about where
//!   options may stand) and printed by [`crate::help`].
//!
//! Laws: `path` is `group verb`, or one word for a command without a group; no spelling is used twice (tested).
//! *See:* docker/cli `cli/command/commands`. *Next room:* [`crate::flag`]

use crate::{
    builder, cluster, completion, compose, container, context, explain,
    image::{self, later},
    inspect, manpages, network, node, plugin, registry, secret, service,
    session::Session,
    stack, swarm, system, volume, why,
};
use clap::ArgMatches;
use minidock_base::Result;
use std::{future::Future, pin::Pin};

/// What doing a command comes to: the exit status.
pub type Doing<'a> = Pin<Box<dyn Future<Output = Result<i32>> + 'a>>;

/// One command.
pub struct Command {
    /// `container run`, `inspect`.
    pub path: &'static str,
    /// Other spellings: `run`, `container list`.
    pub also: &'static [&'static str],
    /// Its flags; built only when it is chosen.
    pub build: fn() -> clap::Command,
    /// Does it; gives the exit status.
    pub run: for<'a> fn(&'a ArgMatches, &'a mut Session) -> Doing<'a>,
}

/// A management command: a noun with verbs.
pub struct Group {
    pub name: &'static str,
    pub about: &'static str,
    pub commands: &'static [Command],
}

/// Every noun.
pub const GROUPS: &[Group] = &[
    Group { name: "builder", about: "Manage builds", commands: builder::COMMANDS },
    Group { name: "config", about: "Manage Swarm configs", commands: secret::CONFIGS },
    Group { name: "cluster", about: "Manage simulated nodes on this machine", commands: cluster::COMMANDS },
    Group { name: "compose", about: "Define and run multi-container applications", commands: compose::COMMANDS },
    Group { name: "container", about: "Manage containers", commands: container::COMMANDS },
    Group { name: "context", about: "Manage contexts", commands: context::COMMANDS },
    Group { name: "image", about: "Manage images", commands: image::COMMANDS },
    Group { name: "network", about: "Manage networks", commands: network::COMMANDS },
    Group { name: "node", about: "Manage Swarm nodes", commands: node::COMMANDS },
    Group { name: "plugin", about: "Manage plugins", commands: plugin::COMMANDS },
    Group { name: "registry", about: "Look into registries, or run one", commands: registry::COMMANDS },
    Group { name: "secret", about: "Manage Swarm secrets", commands: secret::SECRETS },
    Group { name: "service", about: "Manage Swarm services", commands: service::COMMANDS },
    Group { name: "stack", about: "Manage Swarm stacks", commands: stack::COMMANDS },
    Group { name: "swarm", about: "Manage Swarm", commands: swarm::COMMANDS },
    Group { name: "system", about: "Manage minidock", commands: system::COMMANDS },
    Group { name: "volume", about: "Manage volumes", commands: volume::COMMANDS },
    Group { name: "why", about: "Say what is in the way", commands: why::COMMANDS },
];

/// Commands that belong to no noun.
pub const ALONE: &[Command] = &[
    Command { path: "explain", also: &[], build: explain::command, run: |m, s| Box::pin(explain::run(m, s)) },
    Command { path: "__complete", also: &[], build: completion::asked_command, run: |m, s| Box::pin(completion::ask(m, s)) },
    Command { path: "completion", also: &[], build: completion::command, run: |m, s| Box::pin(completion::run(m, s)) },
    Command { path: "man", also: &[], build: manpages::command, run: |m, s| Box::pin(manpages::run(m, s)) },
    Command { path: "inspect", also: &[], build: inspect::command, run: |m, s| Box::pin(inspect::run(m, s)) },
    Command { path: "login", also: &[], build: registry::login::command, run: |m, s| Box::pin(registry::login::run(m, s)) },
    Command {
        path: "logout",
        also: &[],
        build: registry::login::logout,
        run: |m, s| Box::pin(registry::login::run_logout(m, s)),
    },
    Command { path: "search", also: &[], build: registry::search::command, run: |m, s| Box::pin(registry::search::run(m, s)) },
    Command {
        path: "buildx",
        also: &[],
        build: || later::tool("buildx"),
        run: |_, s| Box::pin(later::instead(later::BUILDX, s)),
    },
    Command {
        path: "manifest",
        also: &[],
        build: || later::tool("manifest"),
        run: |_, s| Box::pin(later::instead(later::MANIFEST, s)),
    },
    Command {
        path: "trust",
        also: &["checkpoint"],
        build: || later::tool("trust"),
        run: |_, s| Box::pin(later::instead(later::OTHERS, s)),
    },
    Command { path: "version", also: &[], build: system::version::command, run: |m, s| Box::pin(system::version::run(m, s)) },
];

/// Where words led.
pub enum Found<'a> {
    /// `typed` is the spelling used; `rest` are its own words.
    One { command: &'static Command, typed: String, rest: &'a [String] },
    /// A noun alone, or with `--help`.
    Whole { group: &'static Group, help: bool },
    /// `word` means nothing here; `group` if a noun stood before it.
    Unknown { group: Option<&'static Group>, word: String },
}

/// Every command, with its group's name where it has one.
pub fn all() -> impl Iterator<Item = &'static Command> {
    GROUPS.iter().flat_map(|group| group.commands).chain(ALONE)
}

/// Follows `words` (without global options; at least one) to a command.
pub fn find(words: &[String]) -> Found<'_> {
    let first = words[0].as_str();
    if let Some(group) = GROUPS.iter().find(|group| group.name == first) {
        let Some(verb) = words.get(1) else { return Found::Whole { group, help: false } };
        if matches!(verb.as_str(), "--help" | "-h" | "help") {
            return Found::Whole { group, help: true };
        }
        let typed = format!("{first} {verb}");
        return match all().find(|command| command.is_called(&typed)) {
            Some(command) => Found::One { command, typed, rest: &words[2..] },
            None => Found::Unknown { group: Some(group), word: verb.clone() },
        };
    }
    match all().find(|command| command.is_called(first)) {
        Some(command) => Found::One { command, typed: first.to_string(), rest: &words[1..] },
        None => Found::Unknown { group: None, word: first.to_string() },
    }
}

impl Command {
    fn is_called(&self, spelling: &str) -> bool {
        self.path == spelling || self.also.contains(&spelling)
    }

    /// The verb: the last word of the path.
    pub fn verb(&self) -> &'static str {
        self.path.rsplit(' ').next().unwrap_or(self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn no_spelling_leads_to_two_commands() {
        let mut seen = BTreeSet::new();
        for command in all() {
            for spelling in std::iter::once(&command.path).chain(command.also) {
                assert!(seen.insert(*spelling), "{spelling} is spelled twice");
                assert!(spelling.split(' ').count() <= 2, "{spelling} is too deep");
            }
        }
    }

    #[test]
    fn every_command_can_be_built_and_is_named_after_its_verb() {
        for command in all() {
            let built = (command.build)();
            assert_eq!(built.get_name(), command.verb(), "{}", command.path);
            assert!(built.get_about().is_some(), "{} says nothing about itself", command.path);
            built.debug_assert();
        }
    }
}
