//! # Flags: how a command says what it understands
//!
//! A command's flags are `clap` arguments, made by the few functions here so that all commands agree on the conventions
//! that Docker's users know: the last value of a flag wins, a *list* flag may be repeated, a *switch* takes `=false`, and
//! the kind of value stands behind the flag in the help (`--cpus decimal`).
//!
//! ```text
//!   switch("detach", …).short('d')              -d, --detach                m.get_flag("detach")
//!   on("sig-proxy", …)                              --sig-proxy (on)        is_on(m, "sig-proxy")
//!   choice("init", …)                               --init[=false]          choice_of(m, "init")
//!   text("name", "string", …)                       --name string           text_of(m, "name")
//!   list("env", "list", …).short('e')           -e, --env list              list_of(m, "env")
//!   number("cpu-shares", "int", …).short('c')   -c, --cpu-shares int        number_of(m, "cpu-shares")
//!   name("IMAGE"), optional("COMMAND"), names("CONTAINER"), optional_names("NAME"), program("ARG")
//! ```
//!
//! * Positional arguments carry the name that the usage line shows; [`program`] takes everything that follows, options
//!   included, because they belong to the program in the container.
//!
//! *See:* spf13/pflag, which Docker's command line is made of. *Next room:* [`crate::words`]

use clap::{Arg, ArgAction, ArgMatches, builder::ValueParser};

/// A command with Docker's conventions; `usage` is what stands behind its name in the usage line.
pub fn command(name: &'static str, usage: &'static str, about: &'static str) -> clap::Command {
    clap::Command::new(name)
        .about(about)
        .override_usage(usage)
        .disable_help_flag(true)
        .disable_version_flag(true)
        .args_override_self(true)
}

/// Off unless given.
pub fn switch(long: &'static str, help: &'static str) -> Arg {
    Arg::new(long).long(long).help(help).action(ArgAction::SetTrue)
}

/// On unless `--flag=false`.
pub fn on(long: &'static str, help: &'static str) -> Arg {
    Arg::new(long)
        .long(long)
        .help(help)
        .action(ArgAction::Set)
        .value_parser(clap::value_parser!(bool))
        .default_value("true")
        .hide_default_value(true)
        .num_args(0..=1)
        .require_equals(true)
        .default_missing_value("true")
}

/// On, off (`--flag=false`), or not said: where leaving it out means "as it is".
pub fn choice(long: &'static str, help: &'static str) -> Arg {
    Arg::new(long)
        .long(long)
        .help(help)
        .action(ArgAction::Set)
        .value_parser(clap::value_parser!(bool))
        .num_args(0..=1)
        .require_equals(true)
        .default_missing_value("true")
}

/// One text; `kind` is shown behind the flag.
pub fn text(long: &'static str, kind: &'static str, help: &'static str) -> Arg {
    Arg::new(long).long(long).help(help).value_name(kind).action(ArgAction::Set).value_parser(ValueParser::string())
}

/// Texts, as often as wanted.
pub fn list(long: &'static str, kind: &'static str, help: &'static str) -> Arg {
    text(long, kind, help).action(ArgAction::Append)
}

/// One whole number.
pub fn number(long: &'static str, kind: &'static str, help: &'static str) -> Arg {
    text(long, kind, help).value_parser(ValueParser::new(whole_number))
}

/// One positional that must be there.
pub fn name(shown: &'static str) -> Arg {
    Arg::new(shown).required(true).value_parser(ValueParser::string())
}

/// One positional that may be there.
pub fn optional(shown: &'static str) -> Arg {
    Arg::new(shown).value_parser(ValueParser::string())
}

/// One or more positionals.
pub fn names(shown: &'static str) -> Arg {
    name(shown).num_args(1..).action(ArgAction::Append)
}

/// Any number of positionals.
pub fn optional_names(shown: &'static str) -> Arg {
    optional(shown).num_args(0..).action(ArgAction::Append)
}

/// Everything that follows, whatever it looks like.
pub fn program(shown: &'static str) -> Arg {
    optional_names(shown).trailing_var_arg(true).allow_hyphen_values(true)
}

/// The value of a text flag or positional, if given.
pub fn text_of<'a>(m: &'a ArgMatches, id: &str) -> Option<&'a str> {
    m.get_one::<String>(id).map(String::as_str)
}

/// The values of a list flag or of several positionals, in the order typed.
pub fn list_of(m: &ArgMatches, id: &str) -> Vec<String> {
    m.get_many::<String>(id).map(|values| values.cloned().collect()).unwrap_or_default()
}

/// The value of a number flag, if given.
pub fn number_of(m: &ArgMatches, id: &str) -> Option<i64> {
    m.get_one::<i64>(id).copied()
}

/// Whether an [`on`] flag is still on.
pub fn is_on(m: &ArgMatches, id: &str) -> bool {
    m.get_one::<bool>(id).copied().unwrap_or(true)
}

/// What a [`choice`] flag says, if anything.
pub fn choice_of(m: &ArgMatches, id: &str) -> Option<bool> {
    m.get_one::<bool>(id).copied()
}

/// Go's `strconv.ParseInt(text, 0, 64)`, with its words for failure.
fn whole_number(text: &str) -> Result<i64, String> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(rest) => (-1i128, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let lower = digits.to_ascii_lowercase();
    let (radix, body) = match lower.get(..2) {
        Some("0x") => (16, &lower[2..]),
        Some("0o") => (8, &lower[2..]),
        Some("0b") => (2, &lower[2..]),
        _ if lower.len() > 1 && lower.starts_with('0') => (8, &lower[1..]),
        _ => (10, lower.as_str()),
    };
    let said = |why| format!("strconv.ParseInt: parsing {text:?}: {why}");
    if body.is_empty() || !body.chars().all(|c| c.is_digit(radix)) {
        return Err(said("invalid syntax"));
    }
    let value = i128::from_str_radix(body, radix).map_err(|_| said("value out of range"))?;
    i64::try_from(sign * value).map_err(|_| said("value out of range"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_are_read_as_go_reads_them() {
        assert_eq!(whole_number("0x10"), Ok(16));
        assert_eq!(whole_number("010"), Ok(8));
        assert_eq!(whole_number("-1"), Ok(-1));
        assert_eq!(whole_number("foo"), Err("strconv.ParseInt: parsing \"foo\": invalid syntax".into()));
        assert!(whole_number("99999999999999999999").unwrap_err().ends_with("value out of range"));
    }

    proptest! {
        #[test]
        fn any_text_is_a_number_or_a_refusal(text in "\\PC{0,12}", n in any::<i64>()) {
            let _ = whole_number(&text);
            prop_assert_eq!(whole_number(&n.to_string()), Ok(n));
        }
    }
}
