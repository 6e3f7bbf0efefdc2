//! # The words you type
//!
//! The client's costume. Words become Engine API calls, answers become lines on a terminal, and nothing else happens here:
//! no container is made, no image is unpacked; all that is the daemon's.
//!
//! ```text
//!   minidock -H … run -it alpine sh
//!      │
//!      ├ global options ──────────► session::Globals          words::read(root)
//!      ├ which command? ──────────► command::find             "run" → container run
//!      ├ its own words ───────────► words::read(run)          Docker's rules; a Misuse says what is wrong
//!      ├ whom to talk to ─────────► session::Session          -H, contexts, or the default socket
//!      └ do it ───────────────────► container::run::run       create · attach · wait · start
//!                                         │ one thread, async
//!                                         ▼
//!                                   client::Docker ──HTTP──► daemon
//! ```
//!
//! * [`command`]: the tree. [`flag`], [`words`], [`help`], [`suggest`]: how a command line is declared, read, explained and
//!   forgiven; [`each`]: the same deed for many names. [`session`], [`context`], [`daemon_control`]: which daemon, and starting one when nobody answers.
//! * [`terminal`], [`detach_keys`]: raw mode, sizes, printing.
//! * Rooms of commands: [`container`], [`compose`], [`cluster`], `image`, `volume`, `system`, [`context`]; of a swarm: [`swarm`], [`node`], [`service`], [`stack`], [`secret`].
//! * [`complain`] prints every error alike: `minidock: ` and the four answers of [`minidock_base::Error`]. What a daemon said
//!   keeps Docker's `Error response from daemon: ` in the first line, so that people's habits and scripts still match.
//!
//! Exit statuses: 0; 1 for a failure; 125 for wrong flags; and for `run`, `start -a` and `exec` the program's own status, with
//! 125 (ours), 126 (cannot be executed), 127 (not found), 128+n (signal n).
//!
//! Laws: help and wrong use never open a socket, and completion never starts a daemon. One thread: the program is over in milliseconds. The start-up
//! cost counts, so nothing is compiled, loaded or built that the chosen command does not need.
//! *See:* docker/cli `cmd/docker`. *Next room:* [`command`]

pub mod builder;
pub mod cluster;
pub mod command;
pub mod completion;
pub mod compose;
pub mod container;
pub mod context;
pub mod daemon_control;
pub mod detach_keys;
pub mod each;
pub mod explain;
pub mod filter;
pub mod flag;
pub mod format;
pub mod help;
pub mod image;
pub mod inspect;
pub mod manpages;
pub mod moment;
pub mod network;
pub mod node;
pub mod page;
pub mod plugin;
pub mod progress;
pub mod prompt;
pub mod registry;
pub mod secret;
pub mod service;
pub mod session;
pub mod stack;
pub mod suggest;
pub mod swarm;
pub mod system;
pub mod table;
pub mod template;
pub mod terminal;
pub mod upload;
pub mod volume;
pub mod why;
pub mod words;

use command::{Command, Found, GROUPS};
use minidock_base::{Error, Result};
use session::{Globals, Session};
use std::ffi::OsString;
use words::{Misuse, Read};

/// The client's costume: `args` are all words of the command line, the program's name first; gives the exit status.
pub fn main(args: Vec<OsString>) -> i32 {
    terminal::prepare();
    let words: std::result::Result<Vec<String>, OsString> = args.into_iter().skip(1).map(OsString::into_string).collect();
    let words = match words {
        Ok(words) => words,
        Err(word) => {
            complain(&Error::invalid(format!("{} is not UTF-8 text", word.display())));
            return 1;
        }
    };
    if words.first().is_some_and(|word| word == daemon_control::DETACHED) {
        return daemon_control::become_daemon(&words[1..]);
    }
    let (globals, words) = match global_options(&words) {
        Ok(read) => read,
        Err(status) => return status,
    };
    follow(&globals, &words)
}

/// Prints an error as all errors are printed.
pub fn complain(error: &Error) {
    terminal::eprint(&format!("minidock: {error}\n"));
}

/// The options before the command, or the status of a line that ends here.
fn global_options(words: &[String]) -> std::result::Result<(Globals, Vec<String>), i32> {
    let matches = match words::read(root(), "", words) {
        Ok(Read::Matches(matches)) => matches,
        Ok(Read::Help) => {
            terminal::print(&help::of_program(&root(), terminal::width() - 1));
            return Err(0);
        }
        Err(wrong) => return Err(misuse(&wrong, &mut root(), "")),
    };
    if let Some(level) = flag::text_of(&matches, "log-level").filter(|level| !LEVELS.contains(level)) {
        complain(&Error::invalid(format!("unable to parse logging level: {level}")).hint(LEVELS[..5].join(", ")));
        return Err(1);
    }
    if TLS.iter().any(|name| words::is_given(&matches, name)) {
        complain(&Error::not_implemented("TLS is not spoken").hint("a unix socket, or tcp:// through `ssh -L`"));
        return Err(1);
    }
    if matches.get_flag("version") {
        terminal::print(concat!("minidock version ", env!("CARGO_PKG_VERSION"), "\n"));
        return Err(0);
    }
    let globals = Globals {
        config: flag::text_of(&matches, "config").map(Into::into),
        context: flag::text_of(&matches, "context").map(str::to_string),
        hosts: flag::list_of(&matches, "host"),
        node: flag::text_of(&matches, "node").map(str::to_string),
        debug: matches.get_flag("debug") || flag::text_of(&matches, "log-level") == Some("debug"),
    };
    let mut rest = flag::list_of(&matches, "COMMAND");
    if rest.first().is_some_and(|word| word == "help") {
        rest.remove(0);
        rest.push("--help".into());
    }
    match rest.first().map(String::as_str) {
        None => {
            terminal::eprint(&help::of_program(&root(), terminal::width() - 1));
            Err(0)
        }
        Some("--help") => {
            terminal::print(&help::of_program(&root(), terminal::width() - 1));
            Err(0)
        }
        Some(_) => Ok((globals, rest)),
    }
}

/// What `--log-level` may say: the first five are shown.
const LEVELS: [&str; 8] = ["debug", "info", "warn", "error", "fatal", "trace", "warning", "panic"];

/// Docker's options for connections that are not spoken here.
const TLS: [&str; 5] = ["tls", "tlscacert", "tlscert", "tlskey", "tlsverify"];

/// The options that stand before a command.
pub fn root() -> clap::Command {
    let levels = "Set the logging level (\"debug\", \"info\", \"warn\", \"error\", \"fatal\") (default \"info\")";
    let log_level = flag::text("log-level", "string", levels).short('l');
    flag::command("minidock", "[OPTIONS] COMMAND", "A small and open container engine")
        .arg(flag::text("config", "string", "Folder of the client's settings and contexts (default \"~/.minidock\")"))
        .arg(
            flag::text(
                "context",
                "string",
                "Name of the context to talk to (overrides MINIDOCK_HOST and \"minidock context use\")",
            )
            .short('c'),
        )
        .arg(flag::switch("debug", "Show each request to the daemon and its answer").short('D'))
        .arg(flag::list("host", "list", "Address of the daemon to talk to").short('H'))
        .arg(log_level)
        .args([flag::switch("tls", ""), flag::switch("tlsverify", "")].map(|arg| arg.hide(true)))
        .args(["tlscacert", "tlscert", "tlskey"].map(|name| flag::text(name, "string", "").hide(true)))
        .arg(flag::text("node", "string", "Name of the simulated node to talk to (see \"minidock cluster\")"))
        .arg(flag::switch("version", "Print version information and quit").short('v'))
        .arg(flag::program("COMMAND"))
}

/// Finds the command and does it.
fn follow(globals: &Globals, words: &[String]) -> i32 {
    if words.first().is_some_and(|word| word == "compose") {
        return match compose::options::hoisted(words) {
            Ok(Some(words)) => found(globals, &words),
            Ok(None) => {
                terminal::print(&compose::options::help(terminal::width() - 1));
                0
            }
            Err(wrong) => misuse(&wrong, &mut compose::options::command(), "compose"),
        };
    }
    found(globals, words)
}

fn found(globals: &Globals, words: &[String]) -> i32 {
    match command::find(words) {
        Found::One { command, typed, rest } => one(globals, command, &typed, rest),
        Found::Whole { group, help: true } => {
            terminal::print(&help::of_group(group));
            0
        }
        Found::Whole { group, help: false } => {
            terminal::eprint(&help::of_group(group));
            0
        }
        Found::Unknown { group, word } => unknown(group.map(|group| group.name), &word),
    }
}

fn one(globals: &Globals, command: &'static Command, typed: &str, rest: &[String]) -> i32 {
    let matches = match words::read((command.build)(), typed, rest) {
        Ok(Read::Matches(matches)) => matches,
        Ok(Read::Help) => {
            terminal::print(&help::of_command(command, typed, terminal::width() - 1));
            return 0;
        }
        Err(wrong) => return misuse(&wrong, &mut (command.build)(), typed),
    };
    match perform(globals, command, &matches) {
        Ok(status) => status,
        Err(error) => {
            terminal::give_back();
            complain(&error);
            1
        }
    }
}

fn perform(globals: &Globals, command: &Command, matches: &clap::ArgMatches) -> Result<i32> {
    use minidock_base::Doing;
    let mut session = Session::new(globals)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().doing(|| "start the async runtime")?;
    let status = runtime.block_on((command.run)(matches, &mut session));
    // a thread may still be waiting for a key: nobody waits for it
    runtime.shutdown_background();
    status
}

/// Says what is wrong with a command line; gives the exit status.
fn misuse(wrong: &Misuse, built: &mut clap::Command, typed: &str) -> i32 {
    let mut text = format!("{}\n", wrong.said);
    if let Some(near) = &wrong.near {
        text.push_str(&format!("Did you mean `{near}`?\n"));
    }
    let called = format!("minidock {typed}");
    text.push_str(&format!("See '{} --help'.\n\n{}\n", called.trim_end(), help::usage_line(built, typed)));
    if let (true, Some(about)) = (wrong.about, built.get_about()) {
        text.push_str(&format!("\n{about}\n"));
    }
    terminal::eprint(&text);
    wrong.status
}

fn unknown(group: Option<&str>, word: &str) -> i32 {
    let known: Vec<&str> = match group {
        Some(name) => GROUPS.iter().filter(|g| g.name == name).flat_map(|g| g.commands).map(Command::verb).collect(),
        None => {
            let singles = command::all().flat_map(|c| std::iter::once(c.path).chain(c.also.iter().copied()));
            let costumes = help::COSTUMES.iter().map(|(name, _)| *name);
            singles.filter(|s| !s.contains(' ')).chain(GROUPS.iter().map(|g| g.name)).chain(costumes).collect()
        }
    };
    let above = group.map(|name| format!("minidock {name}")).unwrap_or_else(|| "minidock".into());
    let mut text = format!("minidock: unknown command: {above} {word}\n");
    if let Some(near) = suggest::closest(word, &known) {
        text.push_str(&format!("\nDid you mean `{near}`?\n"));
    }
    terminal::eprint(&format!("{text}\nSee '{above} --help'.\n"));
    1
}
