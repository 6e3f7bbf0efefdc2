//! # Security options and health checks: what must be read before it is sent
//!
//! `--security-opt seccomp=FILE` names a file on *our* disk, and the daemon may be elsewhere: so the client reads it, checks
//! that it is JSON and sends its text. `systempaths=unconfined` is not an option at all for the daemon, but empty lists of
//! masked and read-only paths. And the `--health-*` flags together make one check.
//!
//! *See:* docker/cli `opts.go` `parseSecurityOpts`, `parseSystemPaths`. *Next room:* [`crate::container::body`]

use minidock_base::{Doing, Error, Result, units};
use minidock_spec::{engine::container::HealthConfig, runtime::SYSCTLS_OF_IPC};
use std::collections::BTreeMap;

/// What `--security-opt` comes to.
#[derive(Debug, Default, PartialEq)]
pub struct Security {
    pub options: Vec<String>,
    /// `systempaths=unconfined`: nothing is masked, nothing read-only.
    pub paths_open: bool,
}

/// Reads all `--security-opt`.
///
/// # Errors
/// `invalid --security-opt: "…"`, a profile that cannot be read or is not JSON (with line and column).
pub fn security(values: &[String]) -> Result<Security> {
    let mut all = Security::default();
    for value in values {
        let (name, text) = match value.split_once('=').or_else(|| value.split_once(':')) {
            None if value == "no-new-privileges" => (value.as_str(), ""),
            None => {
                return Err(Error::invalid(format!("invalid --security-opt: {value:?}"))
                    .hint("no-new-privileges, seccomp=FILE, seccomp=unconfined, apparmor=…, label=…, systempaths=unconfined"));
            }
            Some(parts) => parts,
        };
        match (name, text) {
            ("systempaths", "unconfined") => all.paths_open = true,
            ("seccomp", "unconfined" | "builtin") => all.options.push(format!("seccomp={text}")),
            ("seccomp", file) => all.options.push(format!("seccomp={}", profile(file)?)),
            _ => all.options.push(value.clone()),
        }
    }
    Ok(all)
}

/// The JSON of a seccomp profile, without blanks.
fn profile(file: &str) -> Result<String> {
    let text = std::fs::read_to_string(file).doing(|| format!("open seccomp profile ({file})"))?;
    let value: serde_json::Value = serde_json::from_str(&text).map_err(|e| {
        Error::invalid(format!("{file}:{}:{}: {e}", e.line(), e.column())).during(format!("read seccomp profile ({file})"))
    })?;
    Ok(value.to_string())
}

/// Reads all `--sysctl`.
///
/// # Errors
/// Docker's `sysctl '…' is not allowed`.
pub fn sysctls(values: &[String]) -> Result<BTreeMap<String, String>> {
    let one = |value: &String| match value.split_once('=') {
        Some((name, text)) if SYSCTLS_OF_IPC.contains(&name) || name.starts_with("net.") || name.starts_with("fs.mqueue.") => {
            Ok((name.to_string(), text.to_string()))
        }
        _ => Err(Error::invalid(format!("invalid argument {value:?} for \"--sysctl\" flag: sysctl '{value}' is not allowed"))
            .hint("net.…=…, fs.mqueue.…=…, or one of kernel.msg*, kernel.sem, kernel.shm*: all else is the whole machine's")),
    };
    values.iter().map(one).collect()
}

/// The `--health-*` flags as typed.
#[derive(Debug, Default)]
pub struct Health<'a> {
    pub none: bool,
    pub command: Option<&'a str>,
    pub interval: Option<&'a str>,
    pub timeout: Option<&'a str>,
    pub start_period: Option<&'a str>,
    pub start_interval: Option<&'a str>,
    pub retries: Option<i64>,
}

/// One check from all flags, or nothing if none was given.
///
/// # Errors
/// `--no-healthcheck conflicts with --health-* options`, durations that are none, negative retries.
pub fn health(flags: &Health<'_>) -> Result<Option<HealthConfig>> {
    let times = [flags.interval, flags.timeout, flags.start_period, flags.start_interval];
    let any = flags.command.is_some() || flags.retries.is_some() || times.iter().any(Option::is_some);
    if flags.none {
        return match any {
            true => Err(Error::invalid("--no-healthcheck conflicts with --health-* options")),
            false => Ok(Some(HealthConfig { test: vec!["NONE".into()], ..HealthConfig::default() })),
        };
    }
    if !any {
        return Ok(None);
    }
    let nanos = |name: &str, text: Option<&str>| -> Result<i64> {
        let Some(text) = text else { return Ok(0) };
        if text.starts_with('-') {
            return Err(Error::invalid(format!("--{name} cannot be negative")));
        }
        let duration = units::parse_duration(text)
            .map_err(|e| Error::invalid(format!("invalid argument {text:?} for \"--{name}\" flag: {}", e.message())))?;
        i64::try_from(duration.as_nanos()).map_err(|_| Error::invalid(format!("--{name} is too long")))
    };
    let retries = flags.retries.unwrap_or(0);
    if retries < 0 {
        return Err(Error::invalid("--health-retries cannot be negative"));
    }
    let test = flags.command.filter(|command| !command.is_empty()).map(|command| vec!["CMD-SHELL".into(), command.into()]);
    Ok(Some(HealthConfig {
        test: test.unwrap_or_default(),
        interval: nanos("health-interval", flags.interval)?,
        timeout: nanos("health-timeout", flags.timeout)?,
        start_period: nanos("health-start-period", flags.start_period)?,
        start_interval: nanos("health-start-interval", flags.start_interval)?,
        retries,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_change_the_machine_is_no_option_of_a_container() {
        let good = sysctls(&["net.ipv4.ip_forward=1".into(), "kernel.sem=1 2".into()]).expect("options");
        assert_eq!(good["kernel.sem"], "1 2");
        for bad in ["foo", "kernel.foo=1", "kernel.hostname=x", "=1", ""] {
            assert!(sysctls(&[bad.into()]).unwrap_err().message().contains("is not allowed"), "{bad}");
        }
    }

    #[test]
    fn a_profile_is_read_here_and_sent_as_json() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("deny.json");
        std::fs::write(&file, "{\n  \"defaultAction\": \"SCMP_ACT_ERRNO\"\n}\n").expect("room");
        let value = format!("seccomp={}", file.display());
        let read = security(&[value, "no-new-privileges".into(), "apparmor=unconfined".into()]).expect("options");
        let json = "seccomp={\"defaultAction\":\"SCMP_ACT_ERRNO\"}";
        assert_eq!(read.options, [json, "no-new-privileges", "apparmor=unconfined"]);
        std::fs::write(&file, "{\n  oops").expect("room");
        let broken = security(&[format!("seccomp={}", file.display())]).unwrap_err();
        assert!(broken.message().contains("deny.json:2:3"), "{broken}");
        assert!(security(&["seccomp=/no/such/file".into()]).unwrap_err().message().contains("/no/such/file"));
        assert!(security(&["foo".into()]).is_err());
        assert!(security(&["systempaths=unconfined".into()]).expect("an option").paths_open);
        assert_eq!(security(&["seccomp:unconfined".into()]).expect("the old form").options, ["seccomp=unconfined"]);
    }

    #[test]
    fn health_flags_make_one_check_or_none() {
        assert_eq!(health(&Health::default()).expect("nothing"), None);
        let check = health(&Health { command: Some("true"), interval: Some("1m30s"), retries: Some(2), ..Health::default() });
        let check = check.expect("a check").expect("given");
        assert_eq!((check.test, check.interval, check.retries), (vec!["CMD-SHELL".into(), "true".into()], 90_000_000_000, 2));
        let none = health(&Health { none: true, ..Health::default() }).expect("none").expect("given");
        assert_eq!(none.test, ["NONE"]);
        assert!(health(&Health { none: true, command: Some("x"), ..Health::default() }).is_err());
        assert!(health(&Health { interval: Some("-1s"), ..Health::default() }).is_err());
        assert!(health(&Health { interval: Some("soon"), ..Health::default() }).is_err());
    }
}
