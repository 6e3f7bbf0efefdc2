//! # Config: what `--change` may say about an image
//!
//! `commit` and `import` make an image out of files; how it should be run is said in the Dockerfile's own words:
//! `--change 'CMD ["/bin/sh"]'`. [`apply`] reads one such line into the image's configuration. Only instructions that
//! change *nothing but* the configuration are allowed: `RUN` or `COPY` would need a container.
//!
//! ```text
//!   CMD ["a","b"]  CMD a b → ["/bin/sh","-c","a b"]   ENTRYPOINT likewise   ENV K=V "K2=v v"   LABEL k=v   USER u:g
//!   WORKDIR d      VOLUME /a /b, ["/a"]   EXPOSE 80 53/udp 90-92   ONBUILD RUN …   STOPSIGNAL TERM
//!   HEALTHCHECK --interval=5s CMD curl … | NONE
//! ```
//!
//! Law: variables in a value are those of the image (`ENV PATH=$PATH:/opt`), never of the daemon's own environment.
//! See: Dockerfile reference · moby `builder/dockerfile/dispatchers.go`. Next room: [`crate::commit`]

use minidock_base::{Doing, Error, Result, clean_path::clean_from, units};
use minidock_spec::engine::container::{ContainerConfig, HealthConfig};
use serde_json::{Value, json};

/// Applies one instruction.
///
/// # Errors
/// An instruction that is unknown or not allowed here, or whose words make no sense; the text names it.
pub fn apply(config: &mut ContainerConfig, change: &str) -> Result<()> {
    let change = change.trim();
    let (word, rest) = change.split_once(char::is_whitespace).unwrap_or((change, ""));
    let (word, rest) = (word.to_ascii_uppercase(), rest.trim());
    let needs = |least: usize, words: Vec<String>| match words.len() >= least {
        true => Ok(words),
        false => Err(Error::invalid(format!("{word} requires at least {least} argument{}", if least == 1 { "" } else { "s" }))),
    };
    let one = |config: &ContainerConfig| match needs(1, words(rest, &config.env)?)? {
        words if words.len() == 1 => Ok(words[0].clone()),
        _ => Err(Error::invalid(format!("{word} requires exactly one argument"))),
    };
    let done: Result<()> = (|| {
        match word.as_str() {
            "CMD" => config.cmd = Some(command(config, rest)),
            "ENTRYPOINT" => {
                config.entrypoint = Some(command(config, rest));
                config.cmd = None; // the base image's CMD was meant for its own entrypoint
            }
            "ENV" => {
                pairs(rest, &config.env, "ENV")?.into_iter().for_each(|(key, value)| set_env(&mut config.env, &key, &value))
            }
            "LABEL" => config.labels.extend(pairs(rest, &config.env, "LABEL")?),
            "USER" => config.user = one(config)?,
            "WORKDIR" => config.working_dir = clean_from(&config.working_dir, &one(config)?),
            "STOPSIGNAL" => config.stop_signal = Some(one(config)?),
            "ONBUILD" => {
                let trigger = rest.split_whitespace().next().unwrap_or("").to_ascii_uppercase();
                match trigger.as_str() {
                    "" => return Err(Error::invalid("ONBUILD requires at least one argument")),
                    "ONBUILD" => return Err(Error::invalid("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed")),
                    "FROM" | "MAINTAINER" => {
                        return Err(Error::invalid(format!("{trigger} isn't allowed as an ONBUILD trigger")));
                    }
                    _ => config.on_build.get_or_insert_default().push(rest.to_string()),
                }
            }
            "VOLUME" => {
                let listed = json_words(rest).map_or_else(|| words(rest, &config.env), Ok)?;
                for volume in needs(1, listed)? {
                    if volume.is_empty() {
                        return Err(Error::invalid("VOLUME specified can not be an empty string"));
                    }
                    config.volumes.get_or_insert_default().insert(volume, json!({}));
                }
            }
            "EXPOSE" => {
                for port in needs(1, words(rest, &config.env)?)? {
                    for port in ports(&port)? {
                        config.exposed_ports.get_or_insert_default().insert(port, json!({}));
                    }
                }
            }
            "HEALTHCHECK" => config.healthcheck = Some(healthcheck(rest)?),
            "MAINTAINER" | "FROM" | "RUN" | "COPY" | "ADD" | "ARG" | "SHELL" => {
                return Err(Error::invalid(format!("{} is not a valid change command", word.to_lowercase())));
            }
            _ => return Err(Error::invalid(format!("unknown instruction: {word}"))),
        }
        Ok(())
    })();
    done.doing(|| format!("apply the change {change:?}")).map_err(|e| {
        e.hint("CMD, ENTRYPOINT, ENV, EXPOSE, HEALTHCHECK, LABEL, ONBUILD, STOPSIGNAL, USER, VOLUME and WORKDIR may be changed")
    })
}

/// `["a", "b"]` as it is; anything else is a shell's.
fn command(config: &ContainerConfig, text: &str) -> Vec<String> {
    if let Some(words) = json_words(text) {
        return words;
    }
    let mut shell = config.shell.clone().unwrap_or_else(|| vec!["/bin/sh".into(), "-c".into()]);
    shell.push(text.to_string());
    shell
}

fn json_words(text: &str) -> Option<Vec<String>> {
    if !text.starts_with('[') {
        return None;
    }
    let list: Vec<Value> = serde_json::from_str(text).ok()?;
    list.into_iter().map(|word| word.as_str().map(str::to_string)).collect()
}

/// Replaces or adds `KEY=value` in an environment.
pub fn set_env(env: &mut Vec<String>, key: &str, value: &str) {
    let entry = format!("{key}={value}");
    match env.iter_mut().find(|known| known.split('=').next() == Some(key)) {
        Some(known) => *known = entry,
        None => env.push(entry),
    }
}

/// `k=v k2="v v"`, or the old `k the whole rest`.
fn pairs(text: &str, env: &[String], instruction: &str) -> Result<Vec<(String, String)>> {
    let first = text.split_whitespace().next().unwrap_or("");
    if first.is_empty() {
        return Err(Error::invalid(format!("{instruction} requires at least one argument")));
    }
    if !first.contains('=') {
        let (key, value) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
        if value.is_empty() {
            return Err(Error::invalid(format!("{instruction} must have two arguments")));
        }
        return Ok(vec![(key.into(), words(value.trim(), env)?.join(" "))]);
    }
    words(text, env)?
        .into_iter()
        .map(|word| match word.split_once('=') {
            Some(("", _)) => Err(Error::invalid(format!("{instruction} names can not be blank"))),
            Some((key, value)) => Ok((key.to_string(), value.to_string())),
            None => Err(Error::invalid(format!("Syntax error - can't find = in {word:?}. Must be of the form: name=value"))),
        })
        .collect()
}

/// Splits as a Dockerfile does: quotes group, a backslash takes the next character as it is, `$NAME` and `${NAME}` are
/// the image's variables outside of single quotes.
fn words(text: &str, env: &[String]) -> Result<Vec<String>> {
    let (mut all, mut word, mut quote) = (Vec::new(), None::<String>, None::<char>);
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (None, c) if c.is_whitespace() => all.extend(word.take()),
            (None, '"' | '\'') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (Some(open), c) if c == open => quote = None,
            (None | Some('"'), '\\') => {
                if let Some(next) = chars.next() {
                    let kept = quote.is_some() && !matches!(next, '"' | '\\' | '$');
                    let word = word.get_or_insert_default();
                    word.extend(kept.then_some('\\'));
                    word.push(next);
                }
            }
            (None | Some('"'), '$') => {
                let value = variable(&mut chars, env)?;
                word.get_or_insert_default().push_str(&value);
            }
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    match quote {
        Some(open) => Err(Error::invalid(format!("unexpected end of statement while looking for matching {open}"))),
        None => {
            all.extend(word);
            Ok(all)
        }
    }
}

fn variable(chars: &mut std::iter::Peekable<std::str::Chars<'_>>, env: &[String]) -> Result<String> {
    let value = |name: &str| env.iter().find_map(|e| e.split_once('=').filter(|(k, _)| *k == name)).map(|(_, v)| v.to_string());
    if chars.peek() != Some(&'{') {
        let mut name = String::new();
        while let Some(c) = chars.next_if(|c| c.is_ascii_alphanumeric() || *c == '_') {
            name.push(c);
        }
        return Ok(if name.is_empty() { "$".into() } else { value(&name).unwrap_or_default() });
    }
    let inside: String = chars.by_ref().skip(1).take_while(|c| *c != '}').collect();
    let (name, rest) = inside.split_at(inside.find([':', '-', '+']).unwrap_or(inside.len()));
    let found = value(name);
    let given = found.clone().filter(|v| !v.is_empty());
    match (rest.strip_prefix(":-"), rest.strip_prefix(":+")) {
        (Some(default), _) => Ok(given.unwrap_or_else(|| default.into())),
        (_, Some(instead)) => Ok(given.map(|_| instead.into()).unwrap_or_default()),
        _ if rest.is_empty() => Ok(found.unwrap_or_default()),
        _ => Err(Error::invalid(format!("unsupported modifier in substitution: ${{{inside}}}"))),
    }
}

/// `80`, `53/udp`, `8000-8002/tcp`: each port with its protocol.
fn ports(text: &str) -> Result<Vec<String>> {
    let bad = || Error::invalid(format!("invalid port: {text:?}"));
    let (range, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let protocol = protocol.to_ascii_lowercase();
    if !matches!(protocol.as_str(), "tcp" | "udp" | "sctp") {
        return Err(Error::invalid(format!("invalid proto: {protocol}")));
    }
    let (first, last) = range.split_once('-').unwrap_or((range, range));
    let (first, last): (u16, u16) = (first.parse().map_err(|_| bad())?, last.parse().map_err(|_| bad())?);
    match first <= last {
        true => Ok((first..=last).map(|port| format!("{port}/{protocol}")).collect()),
        false => Err(bad()),
    }
}

fn healthcheck(text: &str) -> Result<HealthConfig> {
    let mut health = HealthConfig::default();
    let mut rest = text;
    while let Some(flag) = rest.strip_prefix("--") {
        let (flag, after) = flag.split_once(char::is_whitespace).unwrap_or((flag, ""));
        let (name, value) = flag.split_once('=').ok_or_else(|| Error::invalid(format!("Missing a value on flag: {flag}")))?;
        let nanoseconds = || units::parse_duration(value).map(|d| d.as_nanos().min(i64::MAX as u128) as i64);
        match name {
            "interval" => health.interval = nanoseconds()?,
            "timeout" => health.timeout = nanoseconds()?,
            "start-period" => health.start_period = nanoseconds()?,
            "start-interval" => health.start_interval = nanoseconds()?,
            "retries" => health.retries = value.parse().doing(|| format!("read the number of retries {value:?}"))?,
            other => return Err(Error::invalid(format!("Unknown flag: {other}"))),
        }
        rest = after.trim_start();
    }
    let (kind, words) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    health.test = match kind.to_ascii_uppercase().as_str() {
        "NONE" if words.trim().is_empty() => vec!["NONE".into()],
        "NONE" => return Err(Error::invalid("HEALTHCHECK NONE takes no arguments")),
        "CMD" => match json_words(words.trim()) {
            Some(words) => std::iter::once("CMD".to_string()).chain(words).collect(),
            None if words.trim().is_empty() => return Err(Error::invalid("Missing command after HEALTHCHECK CMD")),
            None => vec!["CMD-SHELL".into(), words.trim().into()],
        },
        other => return Err(Error::invalid(format!("Unknown type {other:?} in HEALTHCHECK (try CMD)"))),
    };
    Ok(health)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn changed(changes: &[&str]) -> ContainerConfig {
        let mut config = ContainerConfig { env: vec!["PATH=/bin".into()], ..Default::default() };
        changes.iter().for_each(|change| apply(&mut config, change).expect("allowed"));
        config
    }

    #[test]
    fn a_change_says_what_a_dockerfile_would() {
        let config = changed(&[
            r#"CMD ["a", "b c"]"#,
            r#"env A=1 B="two words" PATH=$PATH:/opt"#,
            "ENV OLD the whole ${A:-x} rest",
            "EXPOSE 80 53/udp 90-91",
            "LABEL k=v",
            "USER u:g",
            "WORKDIR /a",
            "WORKDIR ../b",
            "VOLUME /x /y",
            "STOPSIGNAL SIGINT",
            "ONBUILD RUN true",
            "HEALTHCHECK --interval=5s --retries=2 CMD curl x",
        ]);
        assert_eq!(config.cmd.as_deref(), Some(&["a".to_string(), "b c".to_string()][..]));
        assert_eq!(config.env, ["PATH=/bin:/opt", "A=1", "B=two words", "OLD=the whole 1 rest"]);
        let ports: Vec<_> = config.exposed_ports.expect("some").into_keys().collect();
        assert_eq!(ports, ["53/udp", "80/tcp", "90/tcp", "91/tcp"]);
        assert_eq!((config.working_dir.as_str(), config.user.as_str()), ("/b", "u:g"));
        assert_eq!(config.healthcheck.expect("set").test, ["CMD-SHELL", "curl x"]);
        assert_eq!(changed(&["CMD a b"]).cmd.expect("set"), ["/bin/sh", "-c", "a b"]);
        assert!(changed(&["CMD x", r#"ENTRYPOINT ["e"]"#]).cmd.is_none());
    }

    #[test]
    fn what_needs_a_container_is_refused() {
        for bad in
            ["RUN true", "COPY a b", "NOSUCH x", "ENV", "EXPOSE x", "EXPOSE 90-80", "ONBUILD FROM x", "HEALTHCHECK x", ""]
        {
            assert!(apply(&mut ContainerConfig::default(), bad).is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn no_change_makes_it_panic(word in "(CMD|ENV|LABEL|EXPOSE|HEALTHCHECK|VOLUME|WORKDIR)", rest in "[ -~]{0,30}") {
            let _ = apply(&mut ContainerConfig::default(), &format!("{word} {rest}"));
        }
    }
}
