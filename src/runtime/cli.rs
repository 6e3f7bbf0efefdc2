//! # CLI: from words to one call
//!
//! The OCI runtime command line as engines use it. Global options, a subcommand, its options; then exactly one function of
//! the rooms behind, and its answer as an exit status:
//!
//! ```text
//!   0      done                         (run and exec in the foreground: the program's own status, 128+n for a signal)
//!   1      it failed                    the reason is one line in the log, in runc's words
//!   255    `exec` failed before its program began: not to be mistaken for the program's own 1
//! ```
//!
//! See: runc(8), conformance.md 1.5 for what engines really send. Next room: [`crate::commands`]

use crate::{
    bundle,
    commands::{self, Command, GLOBAL},
    create::{self, Start},
    events, exec_process, features,
    flags::Given,
    foreground, help, join, lifecycle, log, recording, report,
    seccomp::describe,
    spec_command, update_options,
};
use minidock_base::{Doing, Error, Result};
use minidock_linux::{action::Actor, exec, fds, signal, wait};
use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

/// Runs the command line and gives back the exit status.
pub fn run(args: Vec<OsString>) -> i32 {
    let args: Vec<String> = args.into_iter().map(|arg| arg.to_string_lossy().into_owned()).collect();
    let status = match globals(&args) {
        Ok((given, rest)) => {
            // Init may wait for days with what it inherits. (`exec -p /dev/fd/63` still has to read one of them, and its process
            // does not wait: there close-on-exec is enough.)
            if matches!(rest.first().map(String::as_str), Some("create" | "run"))
                && let Err(failed) = fds::close_from(3 + inherited_on_purpose(rest))
            {
                eprintln!("cannot close what was inherited by mistake: {failed}");
                return 1;
            }
            with_globals(&given, rest)
        }
        Err(failed) => {
            eprintln!("Incorrect Usage. {}\n\n{}", failed.message(), help::overview());
            1
        }
    };
    recording::write();
    status
}

/// How many descriptors from 3 upward our caller wants the container to have; all others are leaks, and a container is the
/// last place for those (CVE-2024-21626). Asked before anything is opened, so before the options are properly read.
fn inherited_on_purpose(args: &[String]) -> u32 {
    let preserved = args.iter().enumerate().find_map(|(n, arg)| {
        let rest = arg.trim_start_matches('-').strip_prefix("preserve-fds")?;
        rest.strip_prefix('=').or(args.get(n + 1).map(String::as_str).filter(|_| rest.is_empty()))?.parse::<u32>().ok()
    });
    let listening = std::env::var("LISTEN_FDS").ok().and_then(|n| n.parse::<u32>().ok());
    preserved.unwrap_or(0).saturating_add(listening.unwrap_or(0)).min(1 << 16)
}

/// Global options stand before the subcommand.
fn globals(args: &[String]) -> Result<(Given, &[String])> {
    let mut n = 0;
    while n < args.len() && args[n].starts_with('-') {
        let name = args[n].trim_start_matches('-');
        let takes = GLOBAL.iter().any(|known| (known.name == name || known.short == name) && !known.value.is_empty());
        n += if takes { 2 } else { 1 };
    }
    let n = n.min(args.len());
    Ok((Given::parse(&args[..n], GLOBAL, None)?, &args[n..]))
}

fn with_globals(given: &Given, rest: &[String]) -> i32 {
    if given.is_on("version") {
        print!("{}", help::version());
        return 0;
    }
    let json = match given.get("log-format").unwrap_or("text") {
        "text" => false,
        "json" => true,
        other => {
            log::error(&format!("invalid log-format: {other}"));
            return 1;
        }
    };
    if let Err(failed) = log::open(given.get("log").map(Path::new), json, given.is_on("debug")) {
        eprintln!("cannot open the log: {failed}");
        return 1;
    }
    let Some((name, args)) = rest.split_first() else {
        print!("{}", help::overview());
        return 0;
    };
    if matches!(name.as_str(), "help" | "h") || (given.is_on("help") && rest.is_empty()) {
        print!("{}", args.first().and_then(|name| commands::find(name)).map_or_else(help::overview, help::of));
        return 0;
    }
    let Some(command) = commands::find(name) else {
        eprintln!("No help topic for '{name}'");
        return 3;
    };
    if matches!(command.name, "create" | "run" | "exec") {
        let tell = |how: &str| log::debug(&format!("runc exeseal: using {how} for sealed /proc/self/exe"));
        if let Err(failed) = exec::protect_self_by_overlay(&tell) {
            log::error(&format!("cannot protect our own program from the container: {failed}"));
            return 1;
        }
        log::debug("runc exeseal: using /proc/self/exe clone");
    }
    if let Some(file) = given.get("actions") {
        recording::start(Path::new(file), if name == "exec" { Actor::Exec } else { Actor::Runtime });
    }
    let call = Call { globals: given, command };
    match call.run(args) {
        Ok(status) => status,
        Err(failed) => {
            call.tell(&failed);
            if command.name == "exec" { 255 } else { 1 }
        }
    }
}

/// One subcommand with the options before it.
struct Call<'a> {
    globals: &'a Given,
    command: &'static Command,
}

impl Call<'_> {
    /// What the kernel says to a program that it cannot begin (its interpreter is missing, say) is told as a shell tells it.
    fn tell(&self, failed: &Error) {
        match self.command.name == "run" && failed.message().starts_with("exec /") {
            true => log::sentence(&failed.message()),
            false => log::error(&self.told(failed)),
        }
    }

    /// runc puts the command's name before these.
    fn told(&self, failed: &Error) -> String {
        match self.command.name {
            "run" | "create" => format!("{} {} failed: {}", help::program(), self.command.name, failed.message()),
            "exec" => format!("exec failed: {}", failed.message()),
            _ => failed.message(),
        }
    }

    fn root(&self) -> PathBuf {
        match self.globals.get("root") {
            Some(root) => root.into(),
            None => match std::env::var_os("XDG_RUNTIME_DIR").filter(|_| !is_root()) {
                Some(folder) => PathBuf::from(folder).join("runc"),
                None => "/run/runc".into(),
            },
        }
    }

    fn run(&self, args: &[String]) -> Result<i32> {
        let given = match Given::parse(args, self.command.options, self.command.command_after) {
            Ok(given) => given,
            Err(failed) => {
                eprintln!("Incorrect Usage: {}\n\n{}", failed.message(), help::of(self.command));
                return Err(failed);
            }
        };
        if given.is_on("help") {
            print!("{}", help::of(self.command));
            return Ok(0);
        }
        log::debug(&format!("{} {}", self.command.name, args.join(" ")));
        let root = self.root();
        match self.command.name {
            "create" => create::create(&root, &self.options(&given)?, Start::Later, None).map(|_| 0),
            "run" => self.start_and_stay(&given),
            "exec" => self.exec(&given),
            "start" => lifecycle::start(&root, self.id(&given)?).map(|()| 0),
            "state" => self.print(report::state(&root, self.id(&given)?)? + "\n"),
            "kill" => self.kill(&given),
            "delete" => lifecycle::delete(&root, self.id(&given)?, given.is_on("force")).map(|()| 0),
            "pause" => lifecycle::pause(&root, self.id(&given)?).map(|()| 0),
            "resume" => lifecycle::resume(&root, self.id(&given)?).map(|()| 0),
            "update" => lifecycle::update(&root, self.id(&given)?, &update_options::read(&given)?).map(|()| 0),
            "ps" => {
                let id = self.first(&given)?;
                self.print(report::ps(&root, id, given.get("format").unwrap_or("table"), &given.words[1..])?)
            }
            "list" => {
                let named = self.globals.get("root").is_some();
                self.print(report::list(&root, named, given.get("format").unwrap_or("table"), given.is_on("quiet"))?)
            }
            "spec" => {
                let bundle = PathBuf::from(given.get("bundle").unwrap_or("."));
                spec_command::write(&bundle, given.is_on("rootless").then(own_ids)).map(|()| 0)
            }
            "features" => {
                let text = serde_json::to_string_pretty(&features::document()).doing(|| "print the features")?;
                self.print(text + "\n")
            }
            "events" => self.events(&given),
            "seccomp" => {
                let bundle = bundle::load(Path::new(given.get("bundle").unwrap_or(".")))?;
                let profile = bundle.spec.linux().as_ref().and_then(|linux| linux.seccomp().as_ref());
                self.print(profile.map_or(Ok("no filter: every system call is allowed\n".into()), describe::describe)?)
            }
            // checkpoint, restore: known words, so that `--help` can say it
            other => Err(Error::not_implemented(format!("{other}: {}", self.command.about))),
        }
    }

    fn print(&self, text: String) -> Result<i32> {
        print!("{text}");
        Ok(0)
    }

    fn wrong_number(&self, wanted: &str) -> Error {
        let program = help::program();
        Error::invalid(format!("{program}: \"{}\" requires {wanted} argument(s)", self.command.name))
    }

    /// The id, and nothing else.
    fn id<'g>(&self, given: &'g Given) -> Result<&'g str> {
        match given.words.as_slice() {
            [id] => Ok(id),
            _ => Err(self.wrong_number("exactly 1")),
        }
    }

    fn first<'g>(&self, given: &'g Given) -> Result<&'g str> {
        given.words.first().map(String::as_str).ok_or_else(|| self.wrong_number("a minimum of 1"))
    }

    fn options(&self, given: &Given) -> Result<create::Options> {
        let path = |name: &str| given.get(name).filter(|path| !path.is_empty()).map(PathBuf::from);
        Ok(create::Options {
            id: self.id(given)?.to_string(),
            bundle: path("bundle").unwrap_or_else(|| ".".into()),
            pid_file: path("pid-file"),
            console_socket: path("console-socket"),
            pidfd_socket: path("pidfd-socket"),
            preserve_fds: given.number("preserve-fds")?.unwrap_or(0),
            no_pivot: given.is_on("no-pivot"),
            no_new_keyring: given.is_on("no-new-keyring"),
            plain_newlines: false,
        })
    }

    fn start_and_stay(&self, given: &Given) -> Result<i32> {
        let mut options = self.options(given)?;
        let root = self.root();
        if given.is_on("detach") {
            return create::create(&root, &options, Start::Now, None).map(|_| 0);
        }
        let terminal = crate::bundle::wants_terminal(&options.bundle)?;
        if !given.is_on("no-subreaper") {
            wait::child_subreaper().doing(|| "become a subreaper")?;
        }
        options.plain_newlines = options.console_socket.is_none() && !foreground::shows_a_terminal();
        let stay = foreground::prepare(terminal && options.console_socket.is_none())?;
        let made = create::create(&root, &options, Start::Now, stay.for_init()?)?;
        let status = stay.stay(made.record.pid)?;
        if !given.is_on("keep") {
            lifecycle::finish(&made.folder, &made.record)?;
        }
        Ok(status)
    }

    fn exec(&self, given: &Given) -> Result<i32> {
        let id = self.first(given)?;
        let root = self.root();
        let path = |name: &str| given.get(name).filter(|path| !path.is_empty()).map(PathBuf::from);
        let process = match given.get("process") {
            Some(file) => exec_process::from_file(Path::new(file))?,
            None if given.words.len() < 2 => return Err(Error::invalid("process args cannot be empty")),
            None => {
                let (folder, _) = lifecycle::load(&root, id)?;
                exec_process::from_options(&folder.spec()?, given, &given.words[1..])?
            }
        };
        let options = join::Options {
            id: id.to_string(),
            pid_file: path("pid-file"),
            console_socket: path("console-socket"),
            pidfd_socket: path("pidfd-socket"),
            preserve_fds: given.number("preserve-fds")?.unwrap_or(0),
            cgroups: given.all("cgroup"),
            ignore_paused: given.is_on("ignore-paused"),
            plain_newlines: !given.is_on("detach") && path("console-socket").is_none() && !foreground::shows_a_terminal(),
        };
        if given.is_on("detach") {
            return join::join(&root, &options, &process, None).map(|_| 0);
        }
        let terminal = process.terminal().unwrap_or(false) && options.console_socket.is_none();
        let stay = foreground::prepare(terminal)?;
        let pid = join::join(&root, &options, &process, stay.for_init()?)?;
        stay.stay(pid)
    }

    fn kill(&self, given: &Given) -> Result<i32> {
        let id = self.first(given)?;
        let word = given.words.get(1).map_or("SIGTERM", String::as_str);
        // 0 sends nothing: it asks whether a signal could be sent.
        let number = if word == "0" { Some(0) } else { signal::parse(word) };
        let number = number.ok_or_else(|| Error::invalid(format!("unknown signal {word:?}")))?;
        lifecycle::kill(&self.root(), id, number, given.is_on("all")).map(|()| 0)
    }

    fn events(&self, given: &Given) -> Result<i32> {
        let interval = given.get("interval").map_or(Ok(events::INTERVAL), minidock_base::units::parse_duration)?;
        let options = events::Options { stats_only: given.is_on("stats"), interval };
        events::events(&self.root(), self.id(given)?, options, &mut std::io::stdout()).map(|()| 0)
    }
}

fn is_root() -> bool {
    own_ids().0 == 0
}

fn own_ids() -> (u32, u32) {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata("/proc/self").map(|facts| (facts.uid(), facts.gid())).unwrap_or((0, 0))
}
