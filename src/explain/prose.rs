//! # Prose: the story, laid out for people
//!
//! strace(1) tells *what*; a teacher would also tell *why*, and would not tell everything. This room puts the calls of a
//! container on a page: chapter by chapter, each with a sentence ([`crate::sentence`]), a reason ([`crate::reason`]) and the
//! room to read.
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
//! Laws: numbers are those of the whole recording, so that order can be seen across chapters; what is left out is counted.
//! *Next room:* [`crate::sentence`]

use crate::{Step, Story, chapter::Chapter, reason, sentence, wiring};
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
    let _ = writeln!(text, "{}", wrapped(&short(&answered(action)), "      "));
    if !step.more.is_empty() {
        let shown: Vec<String> = step.more.iter().take(12).cloned().collect();
        let rest = if step.more.len() > shown.len() { ", …" } else { "" };
        let list = if shown.iter().all(String::is_empty) { String::new() } else { format!(": {}{rest}", shown.join(", ")) };
        let _ = writeln!(text, "{}", wrapped(&short(&format!("And {} more like it{list}.", step.more.len())), "      "));
    }
    // a reason is given once a chapter: the second time it is noise
    let reason = reason::why(action);
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
            same && ONE_BY_ONE.contains(&action.call.as_str())
                && (action.call != "write" || folder(first) == folder(action))
                && (action.call != "prctl" || first.args.first() == action.args.first())
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
        "fsconfig" => sentence::option(action),
        "write" if arg(0).parse::<i32>().is_ok() => String::new(),
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
    let asks_the_network = action.call == "netlink" && action.args.first().is_some_and(|kind| kind.starts_with("RTM_GET"));
    by_name || takes_hold || asks_the_network
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
        short(&answered(action)),
        short(&call(action))
    )
}

/// The call in man-page notation, with what the kernel answered.
pub fn call(action: &Action) -> String {
    let args = action.args.join(", ");
    match action.errno {
        None if matches!(action.call.as_str(), "netlink" | "nft") => wiring::shown(action),
        Some(number) => format!("{}({args}) = -1 {}", action.call, errno::name(number)),
        None if action.result != 0 => format!("{}({args}) = {}", action.call, action.result),
        None => format!("{}({args})", action.call),
    }
}

fn answered(action: &Action) -> String {
    let mut text = sentence::what(action);
    if let Some(number) = action.errno {
        let _ = write!(text, " The kernel said no: {}.", errno::words(number));
    }
    text
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
