//! # Prose: each call in a sentence, and why it is made
//!
//! strace(1) tells *what*; a teacher would tell *why*. For every call that minidock makes there is a sentence here in the
//! words of the man page, made from the call's own arguments, and a reason that holds whatever the arguments are.
//!
//! ```text
//!   namespaces                                                                      the chapter
//!     7  clone3({flags=CLONE_NEWPID|…}) = 4711                        31 µs  runtime    the call, as strace shows it
//!        Makes a child in new namespaces: process numbers, …                            what
//!        why   a namespace can be left … only by its children …                         why
//!        read  src/runtime/birth.rs                                                     the room
//! ```
//!
//! * [`story`] is the whole text, [`line`] one call for who watches while it happens.
//! * Calls that say little one by one are one step (27 capabilities dropped from one line of code), and the calls that only
//!   look are counted: a story of three hundred lines would not be read.
//!
//! Laws: a reason is about the kernel, not about our code; a call without a sentence is told by its name alone.
//! *Next room:* [`crate::json`]

use crate::{Step, Story, chapter::Chapter};
use minidock_linux::{
    action::{Action, Actor},
    errno,
};
use std::fmt::Write;

/// The call that nobody can write down.
const LAST: &str =
    "And then init calls execve(2), and becomes the program. That call is in no record: whoever makes it is gone.";

/// The whole story as text.
pub fn story(name: &str, story: &Story) -> String {
    let mut text = String::new();
    let (mut told, mut looks) = (0, 0);
    for chapter in Chapter::ALL {
        let steps: Vec<&Step> = story.chapter(chapter).filter(|step| !only_looks(&step.action)).collect();
        looks += story.chapter(chapter).count() - steps.len();
        if steps.is_empty() {
            continue;
        }
        let _ = write!(text, "\n{}\n{}\n", chapter.title().to_uppercase(), wrapped(chapter.about(), "  "));
        let mut reasons = Vec::new();
        for step in folded(&steps) {
            told += 1;
            tell(&mut text, &step, &mut reasons);
        }
    }
    if story.steps.iter().any(|step| step.action.actor == Actor::Init) {
        let _ = write!(text, "\n{}\n", wrapped(LAST, "      "));
    }
    let left_out =
        if looks > 0 { format!("; {looks} calls that only look are left out (--json has them)") } else { String::new() };
    format!("How minidock made container {name}: {} system calls, told in {told} steps{left_out}.\n{text}", story.steps.len())
}

fn tell(text: &mut String, step: &Folded<'_>, reasons: &mut Vec<&'static str>) {
    let action = &step.first.action;
    let _ = writeln!(
        text,
        "\n{:>4}  {}{:>6} µs  {}",
        step.first.number,
        padded(&short(&call(action))),
        action.took_us,
        actor(action.actor)
    );
    let _ = writeln!(text, "{}", wrapped(&short(&sentence(action)), "      "));
    if !step.more.is_empty() {
        let shown: Vec<String> = step.more.iter().take(12).cloned().collect();
        let rest = if step.more.len() > shown.len() { ", …" } else { "" };
        let list = if shown.iter().all(String::is_empty) { String::new() } else { format!(": {}{rest}", shown.join(", ")) };
        let _ = writeln!(text, "{}", wrapped(&short(&format!("And {} more like it{list}.", step.more.len())), "      "));
    }
    // a reason is given once a chapter: the second time it is noise
    let reason = why(action);
    if !reason.is_empty() && !reasons.contains(&reason) {
        reasons.push(reason);
        let _ = writeln!(text, "      why   {}", wrapped(reason, "            ").trim_start());
    }
    let _ = writeln!(text, "      read  {}", action.room);
}

/// Several calls of one kind, told as one.
struct Folded<'a> {
    first: &'a Step,
    /// What the others were about.
    more: Vec<String>,
}

/// Calls of a kind that says little one by one, from the same line of the same room, are one step.
fn folded<'a>(steps: &[&'a Step]) -> Vec<Folded<'a>> {
    const ONE_BY_ONE: [&str; 19] = [
        "prctl",
        "fsconfig",
        "openat2",
        "openat",
        "open",
        "mkdirat",
        "mknodat",
        "symlinkat",
        "dup2",
        "open_tree",
        "move_mount",
        "mount_setattr",
        "mkdir",
        "pipe2",
        "ioctl",
        "prlimit64",
        "write",
        "chmod",
        "fchownat",
    ];
    let mut list: Vec<Folded<'a>> = Vec::new();
    for step in steps {
        let action = &step.action;
        let like = |one: &&mut Folded<'_>| {
            let first = &one.first.action;
            let same = first.call == action.call
                && first.actor == action.actor
                && first.room == action.room
                && first.errno == action.errno;
            same && ONE_BY_ONE.contains(&action.call.as_str()) && (action.call != "write" || folder(first) == folder(action))
        };
        match list.iter_mut().find(like) {
            Some(one) => one.more.push(object(action)),
            None => list.push(Folded { first: step, more: Vec::new() }),
        }
    }
    list
}

/// Where a write goes: the folder of its file.
fn folder(action: &Action) -> &str {
    action.args.first().and_then(|path| path.rsplit_once('/')).map_or("", |(folder, _)| folder)
}

/// What a call was about: the word that differs from one of its kind to the next.
fn object(action: &Action) -> String {
    let arg = |n: usize| action.args.get(n).map_or("", |arg| arg.trim_matches('"'));
    match action.call.as_str() {
        "prctl" => arg(1).to_string(),
        "move_mount" | "mknodat" | "openat2" | "openat" | "mkdirat" => arg(1).to_string(),
        "symlinkat" => arg(2).to_string(),
        "fsconfig" => format!("{}={}", arg(2), arg(3)),
        "write" => format!("{}={}", arg(0).rsplit('/').next().unwrap_or_default(), arg(1)),
        "pipe2" | "ioctl" | "dup2" => String::new(),
        _ => arg(0).to_string(),
    }
}

/// Whether a call changes nothing: it asks what is there, or takes hold of it for the call that follows.
fn only_looks(action: &Action) -> bool {
    let by_name = matches!(
        action.call.as_str(),
        "fstat"
            | "newfstatat"
            | "fstatfs"
            | "getcwd"
            | "readlinkat"
            | "getdents64"
            | "flistxattr"
            | "fgetxattr"
            | "llistxattr"
            | "lgetxattr"
            | "getsockopt"
            | "fcntl"
    );
    let takes_hold =
        action.call.starts_with("open") && action.args.iter().any(|arg| arg.contains("O_PATH") || arg.contains("O_DIRECTORY"));
    by_name || takes_hold
}

/// Ids of 64 digits are cut to the twelve that people use.
fn short(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut run = String::new();
    for letter in text.chars().chain([' ']) {
        if letter.is_ascii_hexdigit() {
            run.push(letter);
            continue;
        }
        match run.len() {
            64 => out.push_str(&run[..12]),
            _ => out.push_str(&run),
        }
        run.clear();
        out.push(letter);
    }
    out.pop();
    out
}

/// One call in one line, for who watches while it happens.
pub fn line(action: &Action) -> String {
    format!(
        "{:<8} {:<16} {}  [{}]",
        actor(action.actor),
        crate::chapter::of(action).title(),
        short(&sentence(action)),
        short(&call(action))
    )
}

/// The call in man-page notation, with what the kernel answered.
pub fn call(action: &Action) -> String {
    let args = action.args.join(", ");
    match action.errno {
        Some(number) => format!("{}({args}) = -1 {}", action.call, errno::name(number)),
        None if action.result != 0 => format!("{}({args}) = {}", action.call, action.result),
        None => format!("{}({args})", action.call),
    }
}

fn sentence(action: &Action) -> String {
    let mut text = what(action);
    if let Some(number) = action.errno {
        let _ = write!(text, " The kernel said no: {}.", errno::words(number));
    }
    text
}

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
        "fsconfig" => format!("Tells it its options: {}.", action.args[1..].join(", ")),
        "fsmount" => format!("Makes the {} a mount that hangs nowhere yet.", bare(0)),
        "open_tree" => format!("Copies the mount of {} without hanging it anywhere.", bare(0)),
        "move_mount" => format!("Hangs {} on {}.", bare(0), bare(1)),
        "mount_setattr" => format!("Changes the flags of the mount {}: {}.", bare(0), arg(2)),
        "pivot_root" => {
            "Makes the container's tree the root of its mount namespace; the old root now lies on top of it.".into()
        }
        "umount2" => format!("Takes the mount at {} away, as soon as nobody uses it.", bare(0)),
        "chroot" => format!("Absolute paths begin at {} from now on.", bare(0)),
        "chdir" | "fchdir" => format!("Changes the working directory to {}.", bare(0)),
        "mknodat" => format!("Makes the device or pipe {}.", action.args.join(", ")),
        "symlinkat" => format!("Makes the link {} to {}.", bare(2), bare(0)),
        "mkdir" if arg(0).contains("/sys/fs/cgroup") => format!("Makes the control group {}.", bare(0)),
        "mkdir" | "mkdirat" => format!("Makes the folder {}.", if action.call == "mkdir" { bare(0) } else { bare(1) }),
        "rmdir" => format!("Removes the folder {}.", bare(0)),
        "write" => written(&bare(0), &bare(1)),
        "prlimit64" | "setrlimit" => format!("Limits one resource of the process: {}.", action.args.join(", ")),
        "setresuid" => format!("Becomes user {}.", bare(0)),
        "setresgid" => format!("Becomes a member of group {} first of all.", bare(0)),
        "setgroups" => format!("Has exactly these further groups: {}.", arg(0)),
        "setsid" => "Begins a session of its own.".into(),
        "keyctl" => "Takes a keyring of its own.".into(),
        "capset" => format!("Keeps exactly these capabilities: {}.", action.args.join(", ")),
        "prctl" => prctl(arg(0), &action.args),
        "seccomp" => format!("Loads a filter that is asked at every system call from now on ({}).", action.args.join(", ")),
        "bpf" => "Loads the program that is asked whenever a device is opened.".into(),
        "execve" | "execveat" => format!("Becomes the program {}: {}.", bare(0), arg(1)),
        "posix_spawn" => format!("Executes {}.", arg(1)),
        "pipe2" => "Makes a pipe.".into(),
        "socketpair" => "Makes two sockets that are connected to each other.".into(),
        "close_range" => format!("Closes (or marks to be closed) every descriptor from {} upward.", bare(0)),
        "kill" | "pidfd_send_signal" => format!("Sends {} to {}.", arg(1), bare(0)),
        "wait4" => format!("Waits for the end of process {}.", bare(0)),
        "sendmsg" => "Sends a descriptor through a socket.".into(),
        "recvmsg" => "Receives a descriptor through a socket.".into(),
        "eventfd2" => "Makes a descriptor through which the kernel can report.".into(),
        "ioctl" => ioctl(arg(1), &action.args),
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

fn prctl(what: &str, args: &[String]) -> String {
    let rest = args.get(1..).unwrap_or_default().join(", ");
    match what {
        "PR_CAPBSET_DROP" => format!("Gives up {rest} for ever, for itself and all its children."),
        "PR_SET_NO_NEW_PRIVS" => "No program it executes can give it more rights, set-user-ID or not.".into(),
        "PR_SET_KEEPCAPS" => "Keeps its capabilities when it stops being root (or not).".into(),
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

/// Why the call is made at all; empty where the sentence says it all.
pub fn why(action: &Action) -> &'static str {
    let joined = action.args.join(" ");
    let has = |text: &str| joined.contains(text);
    match action.call.as_str() {
        "clone3" => {
            "a process cannot change its own process numbers: only a child can be born into a new PID namespace, and the first one is its process 1: when it ends, the kernel ends all the others"
        }
        "unshare" if has("CLONE_NEWCGROUP") => {
            "the cgroup namespace begins where the process is *now*: so this comes after entering the group, and the container sees its own group as the top"
        }
        "setns" => "a namespace has no name, only a file in /proc of a process that lives in it",
        "sethostname" => "the UTS namespace began as a copy of the host's name",
        "mount" if has("MS_SLAVE") || has("MS_PRIVATE") => {
            "a new mount namespace is a copy, but copies echo each other until told not to"
        }
        "mount" if has("\"proc\"") => {
            "/proc shows the processes of the PID namespace in which it was mounted: without a new mount the container would see the host's"
        }
        "mount" if has("\"sysfs\"") => "programs read the kernel's devices there; read-only, for writing would change the host",
        "mount" if has("\"devpts\"") => "terminals of its own, numbered from 0, invisible to others",
        "mount" if has("\"cgroup\"") || has("\"cgroup2\"") => "programs look here for how much memory they may use",
        "mount" if has("\"mqueue\"") => "message queues of its own IPC namespace have to be visible somewhere",
        "mount" if has("\"tmpfs\"") => "a file system in memory, gone with the container",
        "fsopen" | "fsmount" => {
            "the new mount interface makes the file system first and hangs it afterwards: a failure leaves nothing mounted, and layers are named one by one, so their number is not limited by a page"
        }
        "open_tree" | "move_mount" => {
            "a mount is copied before the roots are exchanged and hung afterwards by descriptor: no path of the image can lead it astray"
        }
        "mount_setattr" if has("RDONLY") => {
            "read-only is a property of a mount, not of the files: root inside cannot undo it without CAP_SYS_ADMIN"
        }
        "pivot_root" => {
            "chroot(2) only changes where paths begin; the old tree would still be mounted, one open descriptor away"
        }
        "umount2" => "what is not mounted cannot be reached, whatever the program's rights",
        "mknodat" => "programs expect a handful of harmless devices; the rest of the host's are not there",
        "mkdir" if has("/sys/fs/cgroup") => "a control group is a folder; the kernel fills it with its knobs",
        "write" if has("/tasks") || has("cgroup.procs") => {
            "a child moves itself in: the kernel makes a parent wait for a grace period of some milliseconds"
        }
        "write" if has("memory.") => "beyond this the kernel kills something inside, not something of yours",
        "write" if has("pids.") => "a fork bomb ends at its own wall",
        "write" if has("cpu.") => "so many microseconds of processor time in each period, then it waits",
        "write" if has("devices.") || has("device") => {
            "a device node is only a name: the group decides whether opening it works"
        }
        "write" if has("id_map") => "root inside is nobody outside",
        "prctl" if has("PR_CAPBSET_DROP") => {
            "the bounding set is the ceiling: what is not in it comes back with no execve, set-user-ID programs included"
        }
        "prctl" if has("NO_NEW_PRIVS") => "sudo and its like cannot work, and a filter may be loaded without privilege",
        "prctl" if has("SUBREAPER") => {
            "the runtime ends a moment after it made the container; whoever then is the parent learns the exit status"
        }
        "capset" => {
            "root is only a user id to whom the kernel grants all capabilities; take them away and little of root is left"
        }
        "seccomp" => "most of the kernel's calls are never needed by a container, and its past holes were in those",
        "setresuid" | "setresgid" | "setgroups" => {
            "groups first, then the group, the user last: afterwards it may not change the others any more"
        }
        "setsid" => "no signal of a terminal outside reaches it",
        "keyctl" => "keys of the session that started the daemon must not be readable inside",
        "close_range" => "an open descriptor of a host folder is a way out of any namespace (CVE-2024-21626)",
        "execve" | "execveat" => "the process stays, with all it was given; the program in it is replaced",
        "posix_spawn" => {
            "the shim does not know how a container is made: it executes a program that does, and stays behind as its parent"
        }
        "recvmsg" | "sendmsg" => {
            "the terminal was opened inside, where its name means something; its other end is needed outside"
        }
        _ => "",
    }
}

fn actor(actor: Actor) -> &'static str {
    match actor {
        Actor::Daemon => "daemon",
        Actor::Shim => "shim",
        Actor::Runtime => "runtime",
        Actor::Init => "init",
        Actor::Exec => "exec",
    }
}

fn padded(text: &str) -> String {
    let width = text.chars().count();
    match width {
        0..=88 => format!("{text:<88}"),
        _ => {
            let cut: String = text.chars().take(87).collect();
            format!("{cut}…")
        }
    }
}

/// Lines of at most 96 columns, each after `indent`.
fn wrapped(text: &str, indent: &str) -> String {
    let mut lines = vec![String::from(indent)];
    for word in text.split(' ') {
        let last = lines.last_mut().expect("it begins with one");
        if last.chars().count() + word.chars().count() > 95 {
            lines.push(format!("{indent}{word} "));
        } else {
            last.push_str(word);
            last.push(' ');
        }
    }
    lines.iter().map(|line| line.trim_end()).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn action(call: &str, args: &[&str]) -> Action {
        let args = args.iter().map(|arg| (*arg).to_string()).collect();
        Action {
            at_us: 0,
            actor: Actor::Init,
            call: call.into(),
            args,
            result: 0,
            errno: None,
            took_us: 12,
            room: "src/runtime/init.rs:7".into(),
        }
    }

    #[test]
    fn long_ids_are_cut_and_other_numbers_are_not() {
        let id = "4f".repeat(32);
        assert_eq!(short(&format!("/x/{id}/diff 0xabc {id}")), "/x/4f4f4f4f4f4f/diff 0xabc 4f4f4f4f4f4f");
    }

    #[test]
    fn a_story_has_chapters_sentences_reasons_and_rooms() {
        let drop = |cap: &str| action("prctl", &["PR_CAPBSET_DROP", cap]);
        let mut refused = action("mount", &["\"proc\"", "\"/proc\"", "\"proc\"", "MS_NOSUID", "NULL"]);
        refused.errno = Some(1);
        let told = crate::tell(&[refused, drop("CAP_SYS_ADMIN"), drop("CAP_SYS_BOOT"), drop("CAP_SYSLOG")]);
        assert_eq!(told.steps.len(), 4);
        let text = story("web", &told);
        for want in [
            "ROOT FILESYSTEM",
            "= -1 EPERM",
            "Mounts a proc at /proc.",
            "PRIVILEGES",
            "Gives up CAP_SYS_ADMIN",
            "And 2 more like it: CAP_SYS_BOOT, CAP_SYSLOG.",
            "read  src/runtime/init.rs:7",
        ] {
            assert!(text.contains(want), "{want} in {text}");
        }
    }
}
