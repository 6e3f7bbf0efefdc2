//! # Settings: instructions that only change how the image is run
//!
//! `ENV`, `CMD`, `USER` and their like need no container and make no layer: they change the configuration, and the image's history gets
//! a line that says so.
//!
//! ```text
//!   CMD ["nginx", "-g", "daemon off;"]
//!     ├─► config.Cmd
//!     └─► history: /bin/sh -c #(nop)  CMD ["nginx" "-g" "daemon off;"]       Docker's own spelling, compared by caches
//! ```
//!
//! * [`apply`] does one of them and gives the words behind `#(nop) `; [`Running`] is what a stage knows while it goes on.
//!
//! Law: variables are those of the stage ([`crate::scope`]), never of the daemon's own environment; the words are Docker's to the
//! letter. See: moby `builder/dockerfile/dispatchers.go`. Next room: [`crate::cache`]

use crate::{
    expand,
    instruction::{Command, What},
    scope::Scope,
};
use minidock_base::{Error, Result, units};
use minidock_linux::signal;
use minidock_spec::engine::container::{ContainerConfig, HealthConfig};
use serde_json::json;
use std::fmt::Write;

/// The shell when no `SHELL` has set another.
pub const SHELL: [&str; 2] = ["/bin/sh", "-c"];

/// How the image so far is run, and what the stage has said.
#[derive(Clone, Debug, Default)]
pub struct Running {
    pub config: ContainerConfig,
    pub maintainer: String,
    pub scope: Scope,
    /// This stage has said `CMD`: `ENTRYPOINT` leaves it alone.
    pub cmd_set: bool,
    pub escape: char,
}

impl Running {
    /// Replaces variables in a word.
    ///
    /// # Errors
    /// As [`expand::word`].
    pub fn word(&self, text: &str) -> Result<String> {
        expand::word(text, self.escape, &|name| self.scope.value(&self.config.env, name))
    }

    /// The same, giving several words.
    ///
    /// # Errors
    /// As [`expand::words`].
    pub fn words(&self, text: &str) -> Result<Vec<String>> {
        expand::words(text, self.escape, &|name| self.scope.value(&self.config.env, name))
    }

    /// The words that start a shell line.
    pub fn shell(&self) -> Vec<String> {
        match &self.config.shell {
            Some(shell) if !shell.is_empty() => shell.clone(),
            _ => SHELL.iter().map(|word| word.to_string()).collect(),
        }
    }

    /// The words of a command: the shell's own in front of a shell line.
    pub fn command(&self, command: &Command) -> Vec<String> {
        match command {
            Command::Exec(words) => words.clone(),
            Command::Shell(line) => self.shell().into_iter().chain([line.clone()]).collect(),
        }
    }

    /// What history says of a step that ran nothing.
    pub fn noted(&self, words: &str) -> String {
        format!("{} #(nop) {words}", self.shell().join(" "))
    }
}

/// Applies an instruction that only changes the configuration; gives the words for history, a blank in front of those that
/// Docker writes with one. `None`: the instruction is of another kind.
///
/// # Errors
/// A value that makes no sense, a variable that cannot be replaced.
pub fn apply(what: &What, running: &mut Running) -> Result<Option<String>> {
    let words = match what {
        What::Env(pairs) => {
            pairs_of(pairs, running, "ENV", |running, key, value| set_env(&mut running.config.env, &key, &value))?
        }
        What::Label(pairs) => pairs_of(pairs, running, "LABEL", |running, key, value| {
            running.config.labels.insert(key, value);
        })?,
        What::Arg(args) => {
            let mut words = String::from("ARG");
            for (name, default) in args {
                let (name, default) = (running.word(name)?, default.as_ref().map(|value| running.word(value)).transpose()?);
                let shown = default.as_ref().map(|value| format!("={value}")).unwrap_or_default();
                let _ = write!(words, " {name}{shown}");
                running.scope.declare(&name, default);
            }
            words
        }
        What::User(user) => {
            running.config.user = running.word(user)?;
            format!("USER {}", running.config.user)
        }
        What::Expose(all) => expose(all, running)?,
        What::Volume(all) => {
            let all = all.iter().map(|volume| running.word(volume)).collect::<Result<Vec<_>>>()?;
            if all.iter().any(|volume| volume.trim().is_empty()) {
                return Err(Error::invalid("VOLUME specified can not be an empty string"));
            }
            running.config.volumes.get_or_insert_default().extend(all.iter().map(|volume| (volume.clone(), json!({}))));
            format!("VOLUME [{}]", all.join(" "))
        }
        What::Cmd(command) => {
            let words = running.command(command);
            let text = format!("CMD {}", go_list(&words));
            (running.config.cmd, running.cmd_set) = (Some(words), true);
            text
        }
        What::Entrypoint(command) => {
            let words = running.command(command);
            let text = format!("ENTRYPOINT {}", go_list(&words));
            running.config.entrypoint = Some(words);
            if !running.cmd_set {
                running.config.cmd = None; // it was meant for another program
            }
            text
        }
        What::Shell(words) => {
            let text = format!("SHELL [{}]", words.join(" "));
            running.config.shell = Some(words.clone());
            text
        }
        What::Healthcheck(health) => {
            running.config.healthcheck = Some(health.clone());
            format!("HEALTHCHECK {}", go_health(health))
        }
        What::Stopsignal(name) => {
            let name = running.word(name)?;
            signal::parse(&name).ok_or_else(|| Error::invalid(format!("Invalid signal: {name}")))?;
            running.config.stop_signal = Some(name.clone());
            format!("STOPSIGNAL {name}")
        }
        What::Maintainer(name) => {
            running.maintainer = name.clone();
            format!("MAINTAINER {name}")
        }
        What::Onbuild(trigger) => {
            running.config.on_build.get_or_insert_default().push(trigger.clone());
            format!("ONBUILD {trigger}")
        }
        What::Run(_) | What::Copy(_) | What::Workdir(_) => return Ok(None),
    };
    Ok(Some(format!(" {words}")))
}

/// `ENV` and `LABEL`: all values see the variables as they were before the instruction.
fn pairs_of(
    pairs: &[(String, String)],
    running: &mut Running,
    keyword: &str,
    mut set: impl FnMut(&mut Running, String, String),
) -> Result<String> {
    let expanded =
        pairs.iter().map(|(key, value)| Ok((running.word(key)?, running.word(value)?))).collect::<Result<Vec<_>>>()?;
    let mut words = keyword.to_string();
    for (key, value) in expanded {
        if key.is_empty() {
            return Err(Error::invalid(format!("{keyword} names can not be blank")));
        }
        let _ = write!(words, " {key}={value}");
        set(running, key, value);
    }
    Ok(words)
}

/// Replaces or adds `KEY=value`.
pub fn set_env(env: &mut Vec<String>, key: &str, value: &str) {
    let entry = format!("{key}={value}");
    match env.iter_mut().find(|known| known.split('=').next() == Some(key)) {
        Some(known) => *known = entry,
        None => env.push(entry),
    }
}

fn expose(all: &[String], running: &mut Running) -> Result<String> {
    let (mut shown, mut sorted) = (Vec::new(), all.to_vec());
    sorted.sort(); // as they are written, like Docker
    for text in &sorted {
        shown.extend(running.words(text)?);
    }
    for text in &shown {
        for port in ports(text)? {
            running.config.exposed_ports.get_or_insert_default().insert(port, json!({}));
        }
    }
    Ok(format!("EXPOSE {}", shown.join(" ")))
}

/// `80`, `53/udp`, `8000-8002/tcp`: each port with its protocol.
fn ports(text: &str) -> Result<Vec<String>> {
    let bad =
        || Error::invalid(format!("Invalid containerPort: {text}")).hint("EXPOSE 80, 53/udp or 8000-8002/tcp; -p publishes");
    let (range, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let protocol = protocol.to_ascii_lowercase();
    if !matches!(protocol.as_str(), "tcp" | "udp" | "sctp") {
        return Err(Error::invalid(format!("Invalid proto: {protocol}")));
    }
    let (first, last) = range.split_once('-').unwrap_or((range, range));
    let (first, last): (u16, u16) = (first.parse().map_err(|_| bad())?, last.parse().map_err(|_| bad())?);
    match first <= last {
        true => Ok((first..=last).map(|port| format!("{port}/{protocol}")).collect()),
        false => Err(bad()),
    }
}

/// `["a" "b"]`, as Go prints a list with `%q`.
fn go_list(words: &[String]) -> String {
    format!("[{}]", words.iter().map(|word| go_quoted(word)).collect::<Vec<_>>().join(" "))
}

/// A text as Go's `%q` quotes it.
fn go_quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            c if (c as u32) < 0x20 || c == '\u{7f}' => {
                let _ = write!(out, "\\x{:02x}", c as u32);
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// A health check as Go's `%q` prints the pointer to it.
fn go_health(health: &HealthConfig) -> String {
    let duration = |nanoseconds: i64| go_quoted(&units::go_duration(nanoseconds));
    let retries = char::from_u32(u32::try_from(health.retries).unwrap_or(0)).unwrap_or('\0');
    let retries = match retries {
        c if (c as u32) < 0x20 => match c {
            '\x07' => "\\a".to_string(),
            '\x08' => "\\b".to_string(),
            '\t' => "\\t".to_string(),
            '\n' => "\\n".to_string(),
            '\x0b' => "\\v".to_string(),
            '\x0c' => "\\f".to_string(),
            '\r' => "\\r".to_string(),
            c => format!("\\x{:02x}", c as u32),
        },
        '\'' => "\\'".to_string(),
        '\\' => "\\\\".to_string(),
        c => c.to_string(),
    };
    let times = [health.interval, health.timeout, health.start_period].map(duration).join(" ");
    format!("&{{{} {times} '{retries}'}}", go_list(&health.test))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parser;

    fn after(text: &str) -> (Running, Vec<String>) {
        let file = parser::parse("Dockerfile", &format!("FROM x\n{text}")).expect("a Dockerfile");
        let config = ContainerConfig { env: vec!["PATH=/bin".into()], cmd: Some(vec!["old".into()]), ..Default::default() };
        let mut running = Running { config, escape: '\\', scope: Scope::new(Default::default()), ..Running::default() };
        let words = file.stages[0].instructions.iter().map(|i| apply(&i.what, &mut running).expect("fine").expect("a setting"));
        let words = words.collect();
        (running, words)
    }

    #[test]
    fn settings_change_the_configuration_and_history_speaks_dockers_words() {
        let (running, words) = after(
            "ENV A=1 B=\"two $A\" PATH=$PATH:/opt\nARG V=7\nLABEL x=\"y z\"\nEXPOSE 8080 53/udp $V\nVOLUME [\"/a\", \"/b\"]\nUSER u\nSTOPSIGNAL SIGQUIT\n\
             CMD [\"a\", \"b\\\"c\"]\nENTRYPOINT echo hi\nSHELL [\"/bin/bash\", \"-c\"]\nCMD x\nHEALTHCHECK --interval=90s --retries=3 CMD curl x\nONBUILD RUN y\nMAINTAINER me",
        );
        assert_eq!(
            words,
            [
                " ENV A=1 B=two  PATH=/bin:/opt",
                " ARG V=7",
                " LABEL x=y z",
                " EXPOSE 7 53/udp 8080",
                " VOLUME [/a /b]",
                " USER u",
                " STOPSIGNAL SIGQUIT",
                " CMD [\"a\" \"b\\\"c\"]",
                " ENTRYPOINT [\"/bin/sh\" \"-c\" \"echo hi\"]",
                " SHELL [/bin/bash -c]",
                " CMD [\"/bin/bash\" \"-c\" \"x\"]",
                " HEALTHCHECK &{[\"CMD-SHELL\" \"curl x\"] \"1m30s\" \"0s\" \"0s\" '\\x03'}",
                " ONBUILD RUN y",
                " MAINTAINER me",
            ]
        );
        let config = running.config;
        assert_eq!(config.env, ["PATH=/bin:/opt", "A=1", "B=two "]);
        assert_eq!(config.exposed_ports.expect("some").into_keys().collect::<Vec<_>>(), ["53/udp", "7/tcp", "8080/tcp"]);
        assert_eq!(config.cmd.expect("set"), ["/bin/bash", "-c", "x"]);
    }

    #[test]
    fn an_entrypoint_drops_the_bases_command_but_not_the_stages_own() {
        assert!(after("ENTRYPOINT [\"e\"]").0.config.cmd.is_none());
        assert!(after("CMD [\"c\"]\nENTRYPOINT [\"e\"]").0.config.cmd.is_some());
    }

    #[test]
    fn durations_are_told_as_go_tells_them() {
        let told = |ms: i64| units::go_duration(ms * 1_000_000);
        assert_eq!([told(0), told(500), told(1500), told(90_000), told(3_600_000)], ["0s", "500ms", "1.5s", "1m30s", "1h0m0s"]);
    }
}
