//! # Help: Docker's layout
//!
//! `--help` at every level looks as Docker's does, because people find things in it by shape: the usage line with two
//! spaces, the one sentence, the aliases, the options sorted by name with their kind behind them.
//!
//! ```text
//!   Usage:  minidock stop [OPTIONS] CONTAINER [CONTAINER...]
//!
//!   Stop one or more running containers
//!
//!   Aliases:
//!     minidock container stop, minidock stop
//!
//!   Options:
//!     -s, --signal string   Signal to send to the container
//! ```
//!
//! * [`of_command`], [`of_group`], [`of_program`]: the three levels; [`usage_line`] alone for wrong use.
//! * Option texts are wrapped to the terminal's width (80 where there is none) and indented below themselves.
//!
//! *See:* docker/cli `cli/cobra.go`; pflag `FlagUsagesWrapped`. *Next room:* [`crate::terminal`]

use crate::command::{self, Command, GROUPS, Group};
use clap::{Arg, ArgAction};

/// The commands that come first in the list, in this order.
const COMMON: [&str; 8] = ["run", "exec", "ps", "images", "logs", "explain", "version", "info"];

/// The other costumes of this program, chosen before this crate is asked (`src/main.rs`).
pub const COSTUMES: [(&str, &str); 2] = [
    ("daemon", "Run the daemon in the foreground"),
    ("runtime", "Run containers from OCI bundles without a daemon, with runc's command line"),
];

/// `Usage:  minidock stop [OPTIONS] CONTAINER [CONTAINER...]`.
pub fn usage_line(built: &mut clap::Command, typed: &str) -> String {
    let tail = built.render_usage().to_string();
    let tail = tail.trim().trim_start_matches("Usage:").trim();
    if tail.is_empty() {
        return format!("Usage:  minidock {typed}");
    }
    let lines: Vec<String> = tail.lines().map(|line| format!("minidock {typed} {}", line.trim())).collect();
    format!("Usage:  {}", lines.join("\n\t").trim_end())
}

/// The whole help of one command, called by the spelling `typed`.
pub fn of_command(command: &Command, typed: &str, width: usize) -> String {
    let mut built = (command.build)();
    let mut text = usage_line(&mut built, typed);
    let about = built.get_long_about().or(built.get_about()).map(|a| a.to_string()).unwrap_or_default();
    text.push_str(&format!("\n\n{}\n", about.trim_end()));
    if !command.also.is_empty() {
        let mut spellings: Vec<&str> = std::iter::once(command.path).chain(command.also.iter().copied()).collect();
        spellings.sort_by_key(|s| (!s.contains(' '), *s != command.path));
        let names: Vec<String> = spellings.iter().map(|s| format!("minidock {s}")).collect();
        text.push_str(&format!("\nAliases:\n  {}\n", names.join(", ")));
    }
    let options = options(&built, width);
    if !options.is_empty() {
        text.push_str(&format!("\nOptions:\n{options}"));
    }
    text
}

/// `minidock image`: what can be done with a noun.
pub fn of_group(group: &Group) -> String {
    let rows = rows(group.commands.iter().map(|command| (command.verb(), command)).collect());
    format!(
        "Usage:  minidock {name} COMMAND\n\n{about}\n\nCommands:\n{rows}\nRun 'minidock {name} COMMAND --help' for more information on a command.\n",
        name = group.name,
        about = group.about
    )
}

/// `minidock`: everything.
pub fn of_program(root: &clap::Command, width: usize) -> String {
    let mut singles: Vec<(&str, &Command)> = Vec::new();
    for command in command::all() {
        let spellings = std::iter::once(command.path).chain(command.also.iter().copied());
        singles.extend(spellings.filter(|s| !s.contains(' ')).map(|s| (s, command)));
    }
    let common = COMMON.iter().filter_map(|name| singles.iter().find(|(s, _)| s == name).copied()).collect();
    singles.retain(|(name, _)| !COMMON.contains(name));
    let mut groups: Vec<&Group> = GROUPS.iter().collect();
    groups.sort_by_key(|group| group.name);
    let nouns: String = groups.iter().map(|group| format!("  {:<11} {}\n", group.name, group.about)).collect();
    let costumes: String = COSTUMES.iter().map(|(name, about)| format!("  {name:<11} {about}\n")).collect();
    format!(
        "Usage:  minidock [OPTIONS] COMMAND\n\nA small and open container engine for people who learn how containers work\n\nCommon Commands:\n{}\nManagement Commands:\n{nouns}\nCommands:\n{}\nOther Costumes:\n{costumes}\nGlobal Options:\n{}\nRun 'minidock COMMAND --help' for more information on a command.\n",
        rows(common),
        rows(singles),
        options(root, width)
    )
}

fn rows(mut commands: Vec<(&str, &Command)>) -> String {
    let common = commands.first().is_some_and(|(name, _)| *name == COMMON[0]);
    if !common {
        commands.sort_by_key(|(name, _)| *name);
    }
    let mut text = String::new();
    for (name, command) in commands {
        let built = (command.build)();
        if !built.is_hide_set() {
            let about = built.get_about().map(|a| a.to_string()).unwrap_or_default();
            text.push_str(&format!("  {name:<11} {about}\n"));
        }
    }
    text
}

/// The options, sorted by name, their texts wrapped.
pub fn options(built: &clap::Command, width: usize) -> String {
    let mut flags: Vec<&Arg> = built.get_opts().chain(built.get_arguments().filter(|a| is_switch(a))).collect();
    flags.retain(|arg| !arg.is_hide_set() && arg.get_long().is_some());
    flags.sort_by_key(|arg| arg.get_long());
    flags.dedup_by_key(|arg| arg.get_long());
    let heads: Vec<String> = flags.iter().map(|arg| head(arg)).collect();
    let column = heads.iter().map(|head| head.chars().count()).max().unwrap_or(0) + 3;
    let mut text = String::new();
    for (arg, head) in flags.iter().zip(&heads) {
        let help = arg.get_help().map(|h| h.to_string()).unwrap_or_default();
        text.push_str(&format!("{head:<column$}{}\n", wrap(&help, column, width)));
    }
    text
}

fn is_switch(arg: &Arg) -> bool {
    matches!(arg.get_action(), ArgAction::SetTrue)
}

/// `  -c, --cpu-shares int`.
fn head(arg: &Arg) -> String {
    let long = arg.get_long().unwrap_or_default();
    let mut head = match arg.get_short() {
        Some(short) => format!("  -{short}, --{long}"),
        None => format!("      --{long}"),
    };
    let is_bool = arg.get_value_parser().type_id() == std::any::TypeId::of::<bool>();
    if let (false, Some([kind, ..])) = (is_bool, arg.get_value_names()) {
        match arg.get_num_args().is_some_and(|n| n.min_values() == 0) {
            true => head.push_str(&format!("[={kind}]")),
            false => head.push_str(&format!(" {kind}")),
        }
    }
    head
}

/// Wraps `text` to `width` columns, all lines but the first indented by `indent`. A line may run over by five columns
/// rather than leave an orphan.
fn wrap(text: &str, indent: usize, width: usize) -> String {
    let room = width.saturating_sub(indent);
    let (indent, room, mut out) = match room < 24 {
        true => (16, width.saturating_sub(16), format!("\n{}", " ".repeat(16))),
        false => (indent, room, String::new()),
    };
    let indentation = format!("\n{}", " ".repeat(indent));
    let (goal, slop) = (room.saturating_sub(5), 5);
    let mut rest = text;
    loop {
        let (line, after) = if room < 24 { (rest, "") } else { cut(rest, goal, slop) };
        out.push_str(&line.replace('\n', &indentation));
        if after.is_empty() {
            return out;
        }
        out.push_str(&indentation);
        rest = after;
    }
}

/// One line of about `goal` bytes, and what is left.
fn cut(text: &str, goal: usize, slop: usize) -> (&str, &str) {
    if goal + slop > text.len() {
        return (text, "");
    }
    let mut end = goal;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let Some(space) = text[..end].rfind([' ', '\t', '\n']).filter(|at| *at > 0) else { return (text, "") };
    let at = text[..end].rfind('\n').filter(|newline| *newline > 0 && *newline < space).unwrap_or(space);
    (&text[..at], &text[at + 1..])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flag;
    use proptest::prelude::*;

    fn stop() -> clap::Command {
        flag::command("stop", "[OPTIONS] CONTAINER [CONTAINER...]", "Stop one or more running containers")
            .arg(flag::text("signal", "string", "Signal to send to the container").short('s'))
            .arg(flag::number("timeout", "int", "Seconds to wait before killing the container").short('t'))
            .arg(flag::switch("a-switch", "Says\nmuch"))
            .arg(flag::names("CONTAINER"))
    }

    #[test]
    fn help_has_dockers_layout() {
        let stop = Command { path: "container stop", also: &["stop"], build: stop, run: |_, _| Box::pin(async { Ok(0) }) };
        let wanted = "\
Usage:  minidock stop [OPTIONS] CONTAINER [CONTAINER...]

Stop one or more running containers

Aliases:
  minidock container stop, minidock stop

Options:
      --a-switch        Says
                        much
  -s, --signal string   Signal to send to the container
  -t, --timeout int     Seconds to wait before killing the container
";
        assert_eq!(of_command(&stop, "stop", 79), wanted);
    }

    #[test]
    fn long_texts_wrap_below_themselves() {
        let text = "Disable any container-specified HEALTHCHECK and more words that go on";
        let wrapped = wrap(text, 30, 79);
        assert!(wrapped.lines().skip(1).all(|line| line.starts_with(&" ".repeat(30))), "{wrapped}");
        assert!(wrapped.lines().count() > 1);
    }

    proptest! {
        #[test]
        fn wrapping_loses_no_word(text in "[a-zé ]{0,120}", indent in 0usize..60, width in 1usize..100) {
            let words = |s: &str| s.split_whitespace().map(str::to_string).collect::<Vec<_>>();
            prop_assert_eq!(words(&wrap(&text, indent, width)), words(&text));
        }
    }
}
