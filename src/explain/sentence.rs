//! # Sentence: what a call does, in words
//!
//! One sentence for each call that minidock makes, in the words of its man page, with the call's own arguments in it: not
//! "performs a mount operation" but "Mounts a proc at /proc." Arguments come as strace(1) would print them, so the quotes
//! are taken off where a person would not write them.
//!
//! Laws: a call without a sentence is told by its name and arguments; no sentence claims more than the arguments say.
//! *See:* section 2 of the manual. *Next room:* [`crate::reason`]

use crate::wiring;
use minidock_linux::action::Action;

/// What the call does, with its own arguments.
pub fn what(action: &Action) -> String {
    let arg = |n: usize| action.args.get(n).map_or("", String::as_str);
    let bare = |n: usize| arg(n).trim_matches('"').to_string();
    match action.call.as_str() {
        "clone3" => format!(
            "Makes a child{}.",
            namespaces(&action.args.join(" ")).map_or(String::new(), |list| format!(" in new namespaces: {list}"))
        ),
        "unshare" => format!(
            "Leaves the namespaces it shares with its parent: {}.",
            namespaces(&action.args.join(" ")).unwrap_or("none".into())
        ),
        "setns" => format!("Joins a namespace that exists already ({}).", action.args.join(", ")),
        "sethostname" => format!("Calls this container {}.", bare(0)),
        "setdomainname" => format!("Sets the domain name to {}.", bare(0)),
        "mount" => mount(action),
        "fsopen" => format!("Begins a new {} file system.", bare(0)),
        "fsconfig" if arg(1) == "FSCONFIG_CMD_CREATE" => "Makes it, with the options it was given.".into(),
        "fsconfig" => format!("Gives it an option: {}.", option(action)),
        "fsmount" => format!("Makes the {} a mount that hangs nowhere yet.", bare(0)),
        "open_tree" if arg(0).contains("ns/net") => "Takes hold of the namespace as something that can be mounted.".into(),
        "open_tree" => format!("Copies the mount of {} without hanging it anywhere.", bare(0)),
        "move_mount" if arg(0).contains("cover") => format!("Hides {} behind it.", bare(1)),
        "move_mount" if arg(0).contains("ns/net") => format!("Hangs the namespace on the file {}.", bare(1)),
        "move_mount" if arg(0) == arg(1) => format!("Lays that copy over {}.", bare(1)),
        "move_mount" => format!("Hangs {} on {}.", bare(0), bare(1)),
        "mount_setattr" if arg(2).starts_with("{set=0, propagation=") => {
            format!("Says whom mounts below {} concern: {}.", bare(0), arg(2)[20..].trim_end_matches('}'))
        }
        "mount_setattr" => format!("Changes the flags of the mount {}: {}.", bare(0), arg(2)),
        "pivot_root" => {
            "Makes the container's tree the root of its mount namespace; the old root now lies on top of it.".into()
        }
        "umount2" => format!("Takes the mount at {} away, as soon as nobody uses it.", bare(0)),
        "chroot" => format!("Absolute paths begin at {} from now on.", bare(0)),
        "chdir" | "fchdir" => format!("Changes the working directory to {}.", bare(0)),
        "mknodat" => format!("Makes the device {}: {}.", bare(1), action.args.get(3).map_or("a pipe", String::as_str)),
        "unlinkat" => format!("Removes {}, if it is there.", bare(1)),
        "fchmod" | "fchmodat" => {
            format!("Sets who may read, write and execute it: {}.", action.args.last().map_or("", String::as_str))
        }
        "fchown" | "fchownat" => format!("Sets whose it is: {}.", action.args.join(", ")),
        "symlinkat" => format!("Makes the link {} to {}.", bare(2), bare(0)),
        "mkdir" if arg(0).contains("/sys/fs/cgroup") => format!("Makes the control group {}.", bare(0)),
        "mkdir" | "mkdirat" => format!("Makes the folder {}.", if action.call == "mkdir" { bare(0) } else { bare(1) }),
        "rmdir" => format!("Removes the folder {}.", bare(0)),
        "write" => written(&bare(0), &bare(1)),
        "prlimit64" | "setrlimit" => format!("Limits one resource of the process: {}.", action.args.join(", ")),
        "sched_setaffinity" => "Says on which processors it may run; the control group may allow fewer.".into(),
        "rt_sigaction" => format!("What to do when the signal {} comes: {}.", bare(0), arg(1)),
        "setresuid" => format!("Becomes user {}.", bare(0)),
        "setresgid" => format!("Becomes a member of group {} first of all.", bare(0)),
        "setgroups" => format!("Has exactly these further groups: {}.", arg(0)),
        "setsid" => "Begins a session of its own.".into(),
        "keyctl" => "Takes a keyring of its own.".into(),
        "capset" => format!("Keeps exactly these capabilities: {}.", action.args.join("; ").replace(',', " ")),
        "prctl" => prctl(arg(0), &action.args),
        "seccomp" => format!("Loads a filter that is asked at every system call from now on ({}).", action.args.join(", ")),
        "bpf" => "Loads the program that is asked whenever a device is opened.".into(),
        "execve" | "execveat" => format!("Becomes the program {}: {}.", bare(0), arg(1)),
        "posix_spawn" => format!("Executes {}.", arg(1)),
        "fork" => format!("Splits in two; the other goes on as {}.", arg(0)),
        "pipe2" => "Makes a pipe.".into(),
        "dup2" => format!(
            "Makes its descriptor {} the standard {} too.",
            bare(0),
            ["input", "output", "error"].get(bare(1).parse::<usize>().unwrap_or(9)).unwrap_or(&"stream")
        ),
        "rt_sigprocmask" => "Says which signals may interrupt it.".into(),
        "signalfd4" => "Reads signals from a descriptor from now on.".into(),
        "pidfd_open" => format!("Takes hold of process {}, so that its number cannot come to mean another.", bare(0)),
        "socket" => format!("Makes a socket ({}).", action.args.join(", ")),
        "socketpair" => "Makes two sockets that are connected to each other.".into(),
        "close_range" => format!("Closes (or marks to be closed) every descriptor from {} upward.", bare(0)),
        "kill" | "pidfd_send_signal" => format!("Sends {} to {}.", arg(1), bare(0)),
        "wait4" => format!("Waits for the end of process {}.", bare(0)),
        "sendmsg" => "Sends a descriptor through a socket.".into(),
        "recvmsg" => "Receives a descriptor through a socket.".into(),
        "eventfd2" => "Makes a descriptor through which the kernel can report.".into(),
        "ioctl" => ioctl(arg(1), &action.args),
        "netlink" | "nft" => wiring::what(action),
        "bind" => format!("Makes a socket ({}) at {}; it belongs to the sandbox for good, whoever uses it.", arg(0), bare(1)),
        "open" | "openat" | "openat2" => format!(
            "Opens {}.",
            action.args.iter().find(|arg| arg.starts_with('"')).map_or("a file", |path| path.trim_matches('"'))
        ),
        other => format!("{other}({}).", action.args.join(", ")),
    }
}

fn mount(action: &Action) -> String {
    let arg = |n: usize| action.args.get(n).map_or("", |arg| arg.trim_matches('"'));
    let (source, target, kind, flags) = (arg(0), arg(1), arg(2), arg(3));
    match kind {
        "NULL" if flags.contains("MS_MOVE") => format!("Moves the mount {source} to {target}."),
        "NULL" if flags.contains("MS_BIND") => format!("Shows {source} at {target} too."),
        "NULL" if flags.contains("MS_SLAVE") => {
            format!("From here on mounts below {target} no longer reach the host; the host's still arrive.")
        }
        "NULL" if flags.contains("MS_PRIVATE") => format!("From here on mounts below {target} are seen by nobody else."),
        "NULL" => format!("Changes the mount at {target}: {flags}."),
        kind => format!("Mounts a {kind} at {target}."),
    }
}

fn written(path: &str, value: &str) -> String {
    let file = path.rsplit('/').next().unwrap_or(path);
    match file {
        "tasks" | "cgroup.procs" => format!("Enters the control group {}.", path.trim_end_matches(file).trim_end_matches('/')),
        "uid_map" | "gid_map" => format!("Says which ids inside are which outside ({file}): {value}."),
        _ if path.parse::<i32>().is_ok() && value == "0" => {
            "Enters a control group, through a door its parent opened: 0 means whoever writes.".into()
        }
        _ if path.parse::<i32>().is_ok() => format!("Writes {value} through a descriptor that was opened before."),
        _ => format!("Sets {file} to {value}."),
    }
}

/// `lowerdir+=/layers/…` from the arguments of fsconfig.
pub(crate) fn option(action: &Action) -> String {
    let arg = |n: usize| action.args.get(n).map_or("", |arg| arg.trim_matches('"'));
    match (arg(2), arg(3)) {
        ("", _) => String::new(),
        (flag, "") => flag.to_string(),
        (key, value) => format!("{key}={value}"),
    }
}

fn prctl(what: &str, args: &[String]) -> String {
    let rest = args.get(1..).unwrap_or_default().join(", ");
    match what {
        "PR_CAPBSET_DROP" => format!("Gives up {rest} for ever, for itself and all its children."),
        "PR_SET_NO_NEW_PRIVS" => "No program it executes can give it more rights, set-user-ID or not.".into(),
        "PR_SET_KEEPCAPS" if rest == "1" => "Will keep its capabilities when it stops being root.".into(),
        "PR_SET_KEEPCAPS" => "Would lose its capabilities with the next change of user.".into(),
        "PR_SET_DUMPABLE" => "Nobody may look into this process (ptrace, /proc) before the program runs.".into(),
        "PR_CAP_AMBIENT" => format!("Ambient capabilities: {rest}."),
        "PR_SET_CHILD_SUBREAPER" => "Orphans among its descendants become its children.".into(),
        "PR_SET_PDEATHSIG" => format!("Gets {rest} when its parent dies."),
        other => format!("{other}: {rest}."),
    }
}

fn ioctl(what: &str, args: &[String]) -> String {
    match what {
        "TIOCSWINSZ" => "Tells the terminal its size.".into(),
        "TIOCSCTTY" => "Makes the terminal its controlling terminal: Ctrl-C reaches it now.".into(),
        "TIOCGPTPEER" => "Opens the other end of the terminal.".into(),
        "TIOCSPTLCK" => "Unlocks the terminal's other end.".into(),
        "TIOCGPTN" => "Asks for the terminal's number.".into(),
        "FIONBIO" => "From now on a read or write here never waits.".into(),
        "SIOCSIFFLAGS" => format!("Sets the interface up: {}.", args.get(2).map_or("", String::as_str)),
        what if what.starts_with("SIOC") => format!("Asks the network stack: {}.", args[1..].join(", ")),
        other => format!("{other} on descriptor {}.", args.first().map_or("?", String::as_str)),
    }
}

/// The namespaces among some flags, in words.
fn namespaces(flags: &str) -> Option<String> {
    const WORDS: [(&str, &str); 8] = [
        ("CLONE_NEWUSER", "user ids"),
        ("CLONE_NEWPID", "process numbers"),
        ("CLONE_NEWNS", "mounts"),
        ("CLONE_NEWNET", "network"),
        ("CLONE_NEWUTS", "host name"),
        ("CLONE_NEWIPC", "shared memory and message queues"),
        ("CLONE_NEWCGROUP", "control groups"),
        ("CLONE_NEWTIME", "clocks"),
    ];
    let found: Vec<&str> = WORDS.iter().filter(|(flag, _)| flags.contains(flag)).map(|(_, words)| *words).collect();
    (!found.is_empty()).then(|| found.join(", "))
}
