//! # Commands: the words of the command line, and what each knows
//!
//! One table: names, arguments, options, a sentence. The parser ([`crate::cli`]) and the help ([`crate::help`]) read the same
//! rows, so they cannot disagree.
//!
//! Next room: [`crate::help`]

use crate::flags::{Known, option, switch};

/// One subcommand.
pub struct Command {
    pub name: &'static str,
    pub arguments: &'static str,
    pub about: &'static str,
    pub options: &'static [Known],
    /// After how many plain words the rest belongs to somebody else's program.
    pub command_after: Option<usize>,
}

/// Options before the subcommand.
pub const GLOBAL: &[Known] = &[
    switch("debug", "", "enable debug logging"),
    option("log", "", "FILE", "set the log file to write logs to (default: standard error)"),
    option("log-format", "", "FORMAT", "set the log format ('text' (default), or 'json')"),
    option("root", "", "DIR", "root directory for storage of container state"),
    option("criu", "", "PATH", "accepted and ignored: there is no checkpoint"),
    option("rootless", "", "AUTO", "accepted: what is possible without root is found out, not told"),
    option("actions", "", "FILE", "append every kernel call made to this file, one JSON object a line"),
    switch("systemd-cgroup", "", "accepted: cgroupsPath is read as slice:prefix:name, without asking systemd"),
    switch("help", "h", "show help"),
    switch("version", "v", "print the version"),
];

const HELP: Known = switch("help", "h", "show help");
const BUNDLE: Known =
    option("bundle", "b", "DIR", "path to the root of the bundle directory, defaults to the current directory");
const CONSOLE: Known = option("console-socket", "", "PATH", "unix socket that will receive the terminal's master");
const PIDFD: Known = option("pidfd-socket", "", "PATH", "unix socket that will receive a pidfd of the process");
const PID_FILE: Known = option("pid-file", "", "FILE", "write the process id to this file");
const KEYRING: Known = switch("no-new-keyring", "", "do not create a new session keyring");
const NO_PIVOT: Known = switch("no-pivot", "", "do not use pivot_root, for a root on a ramdisk");
const PRESERVE: Known = option("preserve-fds", "", "N", "pass N additional file descriptors to the container");

/// All subcommands, in the order of the help.
pub const ALL: &[Command] = &[
    Command {
        name: "checkpoint",
        arguments: "<container-id>",
        about: "not in this runtime: a running container cannot be written to disk",
        options: &[HELP],
        command_after: None,
    },
    Command {
        name: "create",
        arguments: "<container-id>",
        about: "create a container",
        options: &[BUNDLE, CONSOLE, PIDFD, PID_FILE, NO_PIVOT, KEYRING, PRESERVE, HELP],
        command_after: None,
    },
    Command {
        name: "delete",
        arguments: "<container-id>",
        about: "delete any resources held by the container",
        options: &[switch("force", "f", "delete even if it runs, or is half made (uses SIGKILL)"), HELP],
        command_after: None,
    },
    Command {
        name: "events",
        arguments: "<container-id>",
        about: "display container events such as OOM notifications, cpu, memory, and IO usage statistics",
        options: &[
            option("interval", "", "TIME", "set the stats collection interval (default: 5s)"),
            switch("stats", "", "display the container's stats then exit"),
            HELP,
        ],
        command_after: None,
    },
    Command {
        name: "exec",
        arguments: "<container-id> <command> [command options]",
        about: "execute new process inside the container",
        options: &[
            CONSOLE,
            PIDFD,
            option("cwd", "", "DIR", "current working directory in the container"),
            option("env", "e", "VAR", "set environment variables"),
            switch("tty", "t", "allocate a pseudo-TTY"),
            option("user", "u", "UID[:GID]", "user of the process"),
            option("additional-gids", "g", "GID", "additional gids"),
            option("process", "p", "FILE", "path to the process.json"),
            switch("detach", "d", "detach from the container's process"),
            PID_FILE,
            option("process-label", "", "LABEL", "accepted and ignored: there is no SELinux support"),
            option("apparmor", "", "PROFILE", "accepted and ignored: there is no AppArmor support"),
            switch("no-new-privs", "", "set the no new privileges value for the process"),
            option("cap", "c", "CAP", "add a capability to the process"),
            PRESERVE,
            option("cgroup", "", "PATH", "run the process in an (existing) sub-cgroup"),
            switch("ignore-paused", "", "allow exec in a paused container"),
            HELP,
        ],
        command_after: Some(1),
    },
    Command { name: "features", arguments: "", about: "show the enabled features", options: &[HELP], command_after: None },
    Command {
        name: "kill",
        arguments: "<container-id> [signal]",
        about: "kill sends the specified signal (default: SIGTERM) to the container's init process",
        options: &[switch("all", "a", "send the signal to all processes inside the container"), HELP],
        command_after: None,
    },
    Command {
        name: "list",
        arguments: "",
        about: "list containers started by runc with the given root",
        options: &[
            option("format", "f", "FORMAT", "select one of: table or json (default: table)"),
            switch("quiet", "q", "display only container IDs"),
            HELP,
        ],
        command_after: None,
    },
    Command {
        name: "pause",
        arguments: "<container-id>",
        about: "pause suspends all processes inside the container",
        options: &[HELP],
        command_after: None,
    },
    Command {
        name: "ps",
        arguments: "<container-id> [ps options]",
        about: "ps displays the processes running inside a container",
        options: &[option("format", "f", "FORMAT", "select one of: table or json (default: table)"), HELP],
        command_after: Some(1),
    },
    Command {
        name: "restore",
        arguments: "<container-id>",
        about: "not in this runtime: see checkpoint",
        options: &[HELP],
        command_after: None,
    },
    Command {
        name: "resume",
        arguments: "<container-id>",
        about: "resumes all processes that have been previously paused",
        options: &[HELP],
        command_after: None,
    },
    Command {
        name: "run",
        arguments: "<container-id>",
        about: "create and run a container",
        options: &[
            BUNDLE,
            CONSOLE,
            PIDFD,
            switch("detach", "d", "detach from the container's process"),
            switch("keep", "", "do not delete the container after it exits"),
            PID_FILE,
            switch("no-subreaper", "", "disable the use of the subreaper used to reap reparented processes"),
            NO_PIVOT,
            KEYRING,
            PRESERVE,
            HELP,
        ],
        command_after: None,
    },
    Command {
        name: "seccomp",
        arguments: "",
        about: "tell in words what the bundle's seccomp filter does (an addition of minidock's)",
        options: &[option("bundle", "b", "DIR", "path to the root of the bundle directory"), HELP],
        command_after: None,
    },
    Command {
        name: "spec",
        arguments: "",
        about: "create a new specification file",
        options: &[BUNDLE, switch("rootless", "", "generate a configuration for a rootless container"), HELP],
        command_after: None,
    },
    Command {
        name: "start",
        arguments: "<container-id>",
        about: "executes the user defined process in a created container",
        options: &[HELP],
        command_after: None,
    },
    Command {
        name: "state",
        arguments: "<container-id>",
        about: "output the state of a container",
        options: &[HELP],
        command_after: None,
    },
    Command {
        name: "update",
        arguments: "<container-id>",
        about: "update container resource constraints",
        options: &[
            option(
                "resources",
                "r",
                "FILE",
                "path to the file containing the resources to update or '-' to read from the standard input",
            ),
            option("blkio-weight", "", "N", "specifies per cgroup weight"),
            option("cpu-period", "", "N", "CPU CFS period to be used for hardcapping (in usecs)"),
            option("cpu-quota", "", "N", "CPU CFS hardcap limit (in usecs)"),
            option("cpu-burst", "", "N", "CPU CFS hardcap burst limit (in usecs)"),
            option("cpu-share", "", "N", "CPU shares (relative weight vs. other containers)"),
            option("cpu-rt-period", "", "N", "CPU realtime period (in usecs)"),
            option("cpu-rt-runtime", "", "N", "CPU realtime hardcap limit (in usecs)"),
            option("cpuset-cpus", "", "LIST", "CPU(s) to use"),
            option("cpuset-mems", "", "LIST", "memory node(s) to use"),
            option("cpu-idle", "", "N", "set cgroup SCHED_IDLE or not, 0: default, 1: SCHED_IDLE"),
            option("memory", "", "BYTES", "memory limit (in bytes)"),
            option("memory-reservation", "", "BYTES", "memory reservation or soft limit (in bytes)"),
            option("memory-swap", "", "BYTES", "total memory usage (memory + swap); set '-1' to enable unlimited swap"),
            option("kernel-memory", "", "BYTES", "accepted and ignored: the kernel removed it"),
            option("kernel-memory-tcp", "", "BYTES", "kernel memory limit (in bytes) for tcp buffer"),
            option("pids-limit", "", "N", "maximum number of pids allowed in the container"),
            HELP,
        ],
        command_after: None,
    },
];

/// The row of a subcommand.
pub fn find(name: &str) -> Option<&'static Command> {
    ALL.iter().find(|command| command.name == name)
}
