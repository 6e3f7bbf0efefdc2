//! # Options in front of the verb: which project
//!
//! `minidock compose -f site.yml -p lab up -d`: what stands before `up` says which project is meant, what stands behind it what to do. The
//! same letter may mean different things (`-f FILE` before `logs`, `-f` for "follow" behind it), so the two are read apart; then the first
//! are put behind the verb in a spelling that nobody types, where every command finds them.
//!
//! ```text
//!   compose -f site.yml -p lab logs -f web
//!   compose logs --project.file=site.yml --project.name=lab -f web
//! ```
//!
//! *See:* docker/compose `cmd/compose/compose.go` ProjectOptions. *Next room:* [`super::files`]

use crate::{
    command::GROUPS,
    flag, help,
    words::{self, Misuse, Read},
};
use clap::{Arg, ArgAction};

/// Each option: its name in front of the verb, and behind it.
const TEXTS: [(&str, &str); 5] = [
    ("ansi", "project.ansi"),
    ("progress", "project.progress"),
    ("project-directory", "project.folder"),
    ("project-name", "project.name"),
    ("parallel", "project.parallel"),
];
const LISTS: [(&str, &str); 3] = [("env-file", "project.env-file"), ("file", "project.file"), ("profile", "project.profile")];
const SWITCHES: [(&str, &str); 3] =
    [("all-resources", "project.all"), ("compatibility", "project.compatibility"), ("dry-run", "project.dry-run")];

/// `minidock compose`, up to its verb.
pub fn command() -> clap::Command {
    flag::command("compose", "[OPTIONS] COMMAND", "Define and run multi-container applications with minidock")
        .arg(flag::switch("all-resources", "Include all resources, even those not used by services"))
        .arg(flag::text("ansi", "string", "Control when to print ANSI control characters (\"never\"|\"always\"|\"auto\")"))
        .arg(flag::switch("compatibility", "Run compose in backward compatibility mode (no effect)"))
        .arg(flag::switch("dry-run", "Execute command in dry run mode (not supported)"))
        .arg(flag::list("env-file", "stringArray", "Specify an alternate environment file"))
        .arg(flag::list("file", "stringArray", "Compose configuration files").short('f'))
        .arg(flag::text("parallel", "int", "Control max parallelism, -1 for unlimited (no effect)"))
        .arg(flag::list("profile", "stringArray", "Specify a profile to enable"))
        .arg(flag::text("progress", "string", "Set type of progress output (auto, tty, plain, json, quiet)"))
        .arg(flag::text(
            "project-directory",
            "string",
            "Specify an alternate working directory (default: the path of the, first specified, Compose file)",
        ))
        .arg(flag::text("project-name", "string", "Project name").short('p'))
        .arg(flag::switch("version", "Show the version of minidock compose").short('v'))
        .arg(flag::program("COMMAND"))
}

/// A verb's flags, and those of the project behind them.
pub fn with(command: clap::Command) -> clap::Command {
    let hidden = |name: &'static str, action: ArgAction| {
        Arg::new(name).long(name).hide(true).action(action).value_parser(clap::builder::ValueParser::string())
    };
    let texts = TEXTS.map(|(_, name)| hidden(name, ArgAction::Set));
    let lists = LISTS.map(|(_, name)| hidden(name, ArgAction::Append));
    let switches = SWITCHES.map(|(_, name)| Arg::new(name).long(name).hide(true).action(ArgAction::SetTrue));
    command.args(texts).args(lists).args(switches)
}

/// `words`, which begin with `compose`, with the project's options behind the verb; nothing if help is what is wanted.
///
/// # Errors
/// An option that is none.
pub fn hoisted(words: &[String]) -> Result<Option<Vec<String>>, Misuse> {
    let matches = match words::read(command(), "compose", &words[1..])? {
        Read::Help => return Ok(None),
        Read::Matches(matches) => matches,
    };
    let rest = flag::list_of(&matches, "COMMAND");
    let Some((verb, own)) = rest.split_first() else {
        return Ok(matches.get_flag("version").then(|| vec!["compose".into(), "version".into()]));
    };
    if verb == "help" && own.is_empty() {
        return Ok(None);
    }
    let mut all = vec![words[0].clone()];
    // `compose help up` is `compose up --help`
    match (verb.as_str(), own) {
        ("help", [first, ..]) => all.extend([first.clone(), "--help".into()]),
        _ => all.push(verb.clone()),
    }
    for (front, behind) in TEXTS {
        all.extend(flag::text_of(&matches, front).map(|value| format!("--{behind}={value}")));
    }
    for (front, behind) in LISTS {
        all.extend(flag::list_of(&matches, front).iter().map(|value| format!("--{behind}={value}")));
    }
    all.extend(SWITCHES.iter().filter(|(front, _)| matches.get_flag(front)).map(|(_, behind)| format!("--{behind}")));
    if verb != "help" {
        all.extend(own.iter().cloned());
    }
    Ok(Some(all))
}

/// `minidock compose --help`.
pub fn help(width: usize) -> String {
    let whole = GROUPS.iter().find(|group| group.name == "compose").map(help::of_group).unwrap_or_default();
    let options = help::options(&command(), width);
    whole.replacen("Usage:  minidock compose COMMAND", "Usage:  minidock compose [OPTIONS] COMMAND", 1).replacen(
        "\nCommands:\n",
        &format!("\nOptions:\n{options}\nCommands:\n"),
        1,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hoist(line: &str) -> Option<String> {
        let words: Vec<String> = line.split(' ').map(str::to_string).collect();
        hoisted(&words).expect("a good line").map(|words| words.join(" "))
    }

    #[test]
    fn the_same_letter_means_two_things() {
        assert_eq!(
            hoist("compose -f a.yml -fb.yml -p lab logs -f web").as_deref(),
            Some("compose logs --project.name=lab --project.file=a.yml --project.file=b.yml -f web")
        );
        assert_eq!(hoist("compose up -d").as_deref(), Some("compose up -d"));
        assert_eq!(hoist("compose --profile x help up").as_deref(), Some("compose up --help --project.profile=x"));
        assert_eq!(hoist("compose -v").as_deref(), Some("compose version"));
        assert_eq!(hoist("compose exec web sh -c ls").as_deref(), Some("compose exec web sh -c ls"));
        assert_eq!((hoist("compose"), hoist("compose --help"), hoist("compose help")), (None, None, None));
        assert_eq!(hoisted(&["compose".into(), "--nope".into()]).expect_err("a misuse").said, "unknown flag: --nope");
    }
}
