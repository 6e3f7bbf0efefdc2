//! # Words: Docker's rules for reading a command line
//!
//! Docker's flags come from Go's `pflag`, and people have its rules in their fingers: `-it`, `-dit`, `-eA=1`, `-e=A=1`,
//! `--rm=false`, a value that begins with a dash, and above all that options after the image belong to the program. `clap`
//! has other rules. So each command's words are read here, against the command's own flags, and handed to `clap` in one
//! plain spelling:
//!
//! ```text
//!   typed      -itv /a:/b --rm=false --name=x alpine ls -l
//!   plain      --interactive --tty --volume=/a:/b --name=x -- alpine ls -l
//! ```
//!
//! * A switch may be set back (`--rm --rm=false`): the last word counts.
//! * If the command runs a program (its last positional is [`crate::flag::program`]), the first positional ends the options.
//! * What is wrong becomes a [`Misuse`] with Docker's message: `unknown flag: --datach`, `flag needs an argument: --name`,
//!   `"minidock run" requires at least 1 argument.`
//!
//! Laws: nothing typed is ever dropped silently; this room never prints. *See:* spf13/pflag `flag.go`; docker/cli
//! `cli/required.go`. *Next room:* [`crate::help`]

use crate::suggest;
use clap::{Arg, ArgAction, builder::ValueRange, parser::ValueSource};
use std::any::TypeId;

/// What the words of a command come to.
#[derive(Debug)]
pub enum Read {
    /// `--help` stood among them.
    Help,
    /// The flags and positionals.
    Matches(clap::ArgMatches),
}

/// A command that cannot be understood.
#[derive(Debug, PartialEq)]
pub struct Misuse {
    /// Docker's message.
    pub said: String,
    /// The nearest thing that exists.
    pub near: Option<String>,
    /// 125 for flags, 1 for arguments.
    pub status: i32,
    /// Whether the usage line and the command's one sentence help here.
    pub about: bool,
}

fn flag_misuse(said: String) -> Misuse {
    Misuse { said, near: None, status: 125, about: false }
}

/// Reads `words` as `command`, called `path` in messages.
///
/// # Errors
/// The first thing that is wrong, from left to right.
pub fn read(command: clap::Command, path: &str, words: &[String]) -> Result<Read, Misuse> {
    let mut reader =
        Reader { command: &command, plain: Vec::new(), switches: Vec::new(), positionals: Vec::new(), help: false };
    reader.all(words)?;
    if reader.help {
        return Ok(Read::Help);
    }
    count(&command, path, reader.positionals.len())?;
    let plain = reader.finish();
    match command.clone().try_get_matches_from(plain) {
        Ok(matches) => Ok(Read::Matches(matches)),
        Err(refused) => Err(refusal(&command, &refused)),
    }
}

/// Whether `id` was given by the user.
pub fn is_given(m: &clap::ArgMatches, id: &str) -> bool {
    m.value_source(id) == Some(ValueSource::CommandLine)
}

struct Reader<'a> {
    command: &'a clap::Command,
    plain: Vec<String>,
    switches: Vec<(&'a str, bool)>,
    positionals: Vec<String>,
    help: bool,
}

impl<'a> Reader<'a> {
    fn all(&mut self, words: &[String]) -> Result<(), Misuse> {
        let program_follows = self.command.get_positionals().any(Arg::is_trailing_var_arg_set);
        // `cluster skew node2 -90s`: no flag begins with a digit
        let negative = self.command.get_positionals().any(|a| a.is_allow_hyphen_values_set() && !a.is_trailing_var_arg_set());
        let mut rest = words.iter();
        while let Some(word) = rest.next() {
            match word.strip_prefix('-') {
                Some("-") => {
                    self.positionals.extend(rest.cloned());
                    break;
                }
                Some("") | None => {
                    self.positionals.push(word.clone());
                    if program_follows {
                        self.positionals.extend(rest.cloned());
                        break;
                    }
                }
                Some(body) if negative && body.starts_with(|first: char| first.is_ascii_digit()) => {
                    self.positionals.push(word.clone());
                }
                Some(body) => match body.strip_prefix('-') {
                    Some(long) => self.long(long, &mut rest)?,
                    None => self.shorts(body, &mut rest)?,
                },
            }
        }
        Ok(())
    }

    fn long(&mut self, body: &str, rest: &mut std::slice::Iter<'_, String>) -> Result<(), Misuse> {
        let (name, value) = match body.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (body, None),
        };
        if name.is_empty() || name.starts_with('-') {
            return Err(flag_misuse(format!("bad flag syntax: --{body}")));
        }
        if name == "help" {
            self.help = true;
            return Ok(());
        }
        let Some(arg) = self.by_long(name) else {
            let known: Vec<&str> = self.longs();
            let near = suggest::closest(name, &known).map(|n| format!("--{n}"));
            return Err(Misuse { near, ..flag_misuse(format!("unknown flag: --{name}")) });
        };
        let value = match value {
            Some(value) => Some(value.to_string()),
            None if needs_none(arg) => None,
            None => match rest.next() {
                Some(word) => Some(word.clone()),
                None => return Err(flag_misuse(format!("flag needs an argument: --{name}"))),
            },
        };
        self.set(arg, value)
    }

    fn shorts(&mut self, body: &str, rest: &mut std::slice::Iter<'_, String>) -> Result<(), Misuse> {
        let mut letters = body.chars();
        while let Some(letter) = letters.next() {
            let Some(arg) = self.by_short(letter) else {
                if letter == 'h' {
                    self.help = true;
                    return Ok(());
                }
                let near = self.longs().contains(&body.split('=').next().unwrap_or(body)).then(|| format!("--{body}"));
                return Err(Misuse { near, ..flag_misuse(format!("unknown shorthand flag: '{letter}' in -{body}")) });
            };
            let after = letters.as_str();
            if let Some(value) = after.strip_prefix('=') {
                return self.set(arg, Some(value.to_string()));
            }
            if needs_none(arg) {
                self.set(arg, None)?;
                continue;
            }
            let value = match after {
                "" => rest.next().cloned(),
                _ => Some(after.to_string()),
            };
            return match value {
                Some(value) => self.set(arg, Some(value)),
                None => Err(flag_misuse(format!("flag needs an argument: '{letter}' in -{body}"))),
            };
        }
        Ok(())
    }

    fn set(&mut self, arg: &'a Arg, value: Option<String>) -> Result<(), Misuse> {
        let long = arg.get_long().unwrap_or_default();
        let value = match value {
            Some(value) if is_bool(arg) => {
                let on = parse_bool(&value)
                    .ok_or_else(|| bad_value(arg, &value, &format!("strconv.ParseBool: parsing {value:?}: invalid syntax")))?;
                Some(on.to_string())
            }
            other => other,
        };
        if matches!(arg.get_action(), ArgAction::SetTrue) {
            self.switches.retain(|(name, _)| *name != long);
            self.switches.push((long, value.as_deref() != Some("false")));
            return Ok(());
        }
        self.plain.push(match value {
            Some(value) => format!("--{long}={value}"),
            None => format!("--{long}"),
        });
        Ok(())
    }

    fn finish(self) -> Vec<String> {
        let on = self.switches.iter().filter(|(_, on)| *on).map(|(name, _)| format!("--{name}"));
        let start = std::iter::once(self.command.get_name().to_string());
        start.chain(on).chain(self.plain.iter().cloned()).chain(["--".to_string()]).chain(self.positionals).collect()
    }

    fn by_long(&self, name: &str) -> Option<&'a Arg> {
        self.command
            .get_arguments()
            .find(|arg| arg.get_long() == Some(name) || arg.get_all_aliases().is_some_and(|others| others.contains(&name)))
    }

    fn by_short(&self, letter: char) -> Option<&'a Arg> {
        self.command.get_arguments().find(|arg| arg.get_short() == Some(letter))
    }

    fn longs(&self) -> Vec<&'a str> {
        self.command.get_arguments().filter(|arg| !arg.is_hide_set()).filter_map(Arg::get_long).collect()
    }
}

fn is_bool(arg: &Arg) -> bool {
    matches!(arg.get_action(), ArgAction::SetTrue) || arg.get_value_parser().type_id() == TypeId::of::<bool>()
}

/// Whether the flag may stand without a value.
fn needs_none(arg: &Arg) -> bool {
    is_bool(arg) || arg.get_num_args().is_some_and(|n| n.min_values() == 0)
}

/// Go's `strconv.ParseBool`.
fn parse_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

fn bad_value(arg: &Arg, value: &str, why: &str) -> Misuse {
    let long = arg.get_long().unwrap_or_default();
    let shown = match arg.get_short() {
        Some(short) => format!("-{short}, --{long}"),
        None => format!("--{long}"),
    };
    flag_misuse(format!("invalid argument {value:?} for {shown:?} flag: {why}"))
}

/// The number of positionals, in Docker's words.
fn count(command: &clap::Command, path: &str, given: usize) -> Result<(), Misuse> {
    let (mut least, mut most) = (0usize, Some(0usize));
    for arg in command.get_positionals() {
        let range = arg.get_num_args().unwrap_or(ValueRange::SINGLE);
        if arg.is_required_set() {
            least += range.min_values().max(1);
        }
        most = most.filter(|_| range.max_values() != usize::MAX).map(|most| most + range.max_values());
    }
    if given >= least && most.is_none_or(|most| given <= most) {
        return Ok(());
    }
    let plural = |n: usize| if n == 1 { "argument" } else { "arguments" };
    let rule = match most {
        Some(0) => "accepts no arguments".to_string(),
        Some(most) if most == least => format!("requires exactly {most} {}", plural(most)),
        Some(most) if least == 0 => format!("requires at most {most} {}", plural(most)),
        Some(most) => format!("requires at least {least} and at most {most} {}", plural(most)),
        None => format!("requires at least {least} {}", plural(least)),
    };
    Err(Misuse { said: format!("\"minidock {path}\" {rule}."), near: None, status: 1, about: true })
}

/// What `clap` refused: only values, for everything else has been settled before.
fn refusal(command: &clap::Command, refused: &clap::Error) -> Misuse {
    use clap::error::{ContextKind, ContextValue};
    use std::error::Error as _;
    let text = |kind| match refused.get(kind) {
        Some(ContextValue::String(text)) => text.clone(),
        _ => String::new(),
    };
    let shown = text(ContextKind::InvalidArg);
    let long = shown.trim_start_matches("--").split([' ', '=', '[']).next().unwrap_or_default();
    let why = refused.source().map_or_else(|| refused.to_string(), |source| source.to_string());
    match command.get_arguments().find(|arg| arg.get_long() == Some(long) || arg.get_id() == long) {
        Some(arg) if arg.get_long().is_some() => bad_value(arg, &text(ContextKind::InvalidValue), &why),
        _ => flag_misuse(why.trim_end().to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flag::*;
    use proptest::prelude::*;

    fn sample() -> clap::Command {
        command("run", "[OPTIONS] IMAGE [COMMAND] [ARG...]", "Runs")
            .arg(switch("interactive", "").short('i'))
            .arg(switch("tty", "").short('t'))
            .arg(switch("detach", "").short('d'))
            .arg(switch("rm", ""))
            .arg(on("sig-proxy", ""))
            .arg(list("env", "list", "").short('e'))
            .arg(text("name", "string", ""))
            .arg(text("hostname", "string", "").short('h'))
            .arg(text("network", "string", "").alias("net"))
            .arg(number("cpu-shares", "int", "").short('c'))
            .arg(name("IMAGE"))
            .arg(program("ARG"))
    }

    fn words(line: &str) -> Vec<String> {
        line.split_whitespace().map(str::to_string).collect()
    }

    fn matches(line: &str) -> clap::ArgMatches {
        match read(sample(), "run", &words(line)).expect("a good line") {
            Read::Matches(m) => m,
            Read::Help => panic!("no help was asked for"),
        }
    }

    fn wrong(line: &str) -> Misuse {
        read(sample(), "run", &words(line)).expect_err("a wrong line")
    }

    #[test]
    fn options_after_the_image_belong_to_the_program() {
        let m = matches("-it --name x alpine ls -l --rm -- -h");
        assert!(m.get_flag("interactive") && m.get_flag("tty") && !m.get_flag("rm"));
        assert_eq!(text_of(&m, "IMAGE"), Some("alpine"));
        assert_eq!(list_of(&m, "ARG"), ["ls", "-l", "--rm", "--", "-h"]);
        assert_eq!(list_of(&matches("-- alpine -d"), "ARG"), ["-d"]);
    }

    #[test]
    fn short_flags_combine_and_take_values_in_every_way() {
        let m = matches("-dite A=1 -eB=2 -e=C=3 -h box -c7 --env D x");
        assert!(m.get_flag("detach") && m.get_flag("interactive") && m.get_flag("tty"));
        assert_eq!(list_of(&m, "env"), ["A=1", "B=2", "C=3", "D"]);
        assert_eq!((text_of(&m, "hostname"), number_of(&m, "cpu-shares")), (Some("box"), Some(7)));
    }

    #[test]
    fn the_last_word_counts_and_a_switch_can_be_set_back() {
        let m = matches("--rm --rm=false --detach=T --sig-proxy=0 --name a --name=b --net none x");
        assert!(!m.get_flag("rm") && m.get_flag("detach") && !is_on(&m, "sig-proxy"));
        assert_eq!((text_of(&m, "name"), text_of(&m, "network")), (Some("b"), Some("none")));
        assert!(is_on(&matches("x"), "sig-proxy") && is_on(&matches("--sig-proxy x"), "sig-proxy"));
        assert!(!matches("-i=false x").get_flag("interactive"));
    }

    #[test]
    fn a_value_may_be_empty_or_begin_with_a_dash() {
        let m = matches("--name= -e --x img step");
        assert_eq!(text_of(&m, "name"), Some(""));
        assert_eq!((list_of(&m, "env"), text_of(&m, "IMAGE")), (vec!["--x".to_string()], Some("img")));
    }

    #[test]
    fn what_is_wrong_is_said_in_dockers_words() {
        assert_eq!(wrong("--datach x").said, "unknown flag: --datach");
        assert_eq!(wrong("--datach x").near.as_deref(), Some("--detach"));
        assert_eq!(wrong("-xyz a").said, "unknown shorthand flag: 'x' in -xyz");
        assert_eq!(wrong("-name a").near.as_deref(), Some("--name"));
        assert_eq!(wrong("--name").said, "flag needs an argument: --name");
        assert_eq!(wrong("-ite").said, "flag needs an argument: 'e' in -ite");
        assert_eq!(wrong("--=x").said, "bad flag syntax: --=x");
        let boolean = "invalid argument \"foo\" for \"--rm\" flag: strconv.ParseBool: parsing \"foo\": invalid syntax";
        assert_eq!(wrong("--rm=foo a").said, boolean);
        let number =
            "invalid argument \"foo\" for \"-c, --cpu-shares\" flag: strconv.ParseInt: parsing \"foo\": invalid syntax";
        assert_eq!(wrong("-c foo a").said, number);
        assert_eq!((wrong("-d").said.as_str(), wrong("-d").status), ("\"minidock run\" requires at least 1 argument.", 1));
        assert_eq!(wrong("--datach x").status, 125);
    }

    #[test]
    fn help_is_asked_for_by_its_long_name_or_by_h_where_h_means_nothing_else() {
        assert!(matches!(read(sample(), "run", &words("--help")), Ok(Read::Help)));
        let plain = || command("info", "", "x");
        assert!(matches!(read(plain(), "info", &words("-h")), Ok(Read::Help)));
        assert_eq!(read(plain(), "info", &words("x")).unwrap_err().said, "\"minidock info\" accepts no arguments.");
    }

    #[test]
    fn numbers_of_arguments_are_told_apart() {
        let two = || command("rename", "A B", "x").arg(name("A")).arg(name("B"));
        assert_eq!(read(two(), "rename", &words("a")).unwrap_err().said, "\"minidock rename\" requires exactly 2 arguments.");
        let range = || command("commit", "A [B]", "x").arg(name("A")).arg(optional("B"));
        let said = read(range(), "commit", &[]).unwrap_err().said;
        assert_eq!(said, "\"minidock commit\" requires at least 1 and at most 2 arguments.");
        let most = || command("images", "[A]", "x").arg(optional("A"));
        assert_eq!(read(most(), "images", &words("a b")).unwrap_err().said, "\"minidock images\" requires at most 1 argument.");
    }

    proptest! {
        #[test]
        fn no_line_makes_the_reader_panic(line in prop::collection::vec("(-{0,3}[a-z=]{0,6}|\\PC{0,6})", 0..8)) {
            let _ = read(sample(), "run", &line);
        }

        #[test]
        fn the_program_gets_exactly_what_was_typed_behind_the_image(args in prop::collection::vec("\\PC{0,8}", 0..6)) {
            let line: Vec<String> = ["-it", "img"].iter().map(|s| s.to_string()).chain(args.clone()).collect();
            match read(sample(), "run", &line) {
                Ok(Read::Matches(m)) => prop_assert_eq!(list_of(&m, "ARG"), args),
                other => prop_assert!(false, "{:?}", other),
            }
        }
    }
}
