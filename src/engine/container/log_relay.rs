//! # Log relays: to whom a container's lines are sent
//!
//! `--log-driver gelf --log-opt gelf-address=udp://collector:12201`, `--log-driver syslog`: read here, once when a container is made, to refuse what
//! makes no sense, and again when it starts, to find the collector. The shim then sends ([`minidock_shim::log_file::relay`]).
//!
//! ```text
//!   gelf     gelf-address=udp://HOST:PORT      tag, labels, env: fields of each message
//!   syslog   syslog-address=udp://HOST[:514] | unix:///PATH | unixgram:///PATH      without: /dev/log
//!            syslog-facility=daemon   syslog-format=rfc3164 | rfc5424   tag
//! ```
//!
//! Laws: what cannot be sent (TCP, TLS, packed messages) is refused by name when the container is made. *See:* Docker's gelf and syslog drivers.
//! *Next room:* [`crate::container::start`]

use crate::container::{log_options, record::Record};
use minidock_base::{Error, Result, clock::rfc3339, id};
use minidock_shim::protocol::{Form, Hearer, Layout, Relay};
use minidock_spec::engine::container::LogConfig;
use std::{fs, net::ToSocketAddrs, path::Path};

const FACILITIES: [&str; 24] = [
    "kern",
    "user",
    "mail",
    "daemon",
    "auth",
    "syslog",
    "lpr",
    "news",
    "uucp",
    "cron",
    "authpriv",
    "ftp",
    "ntp",
    "security",
    "console",
    "solaris-cron",
    "local0",
    "local1",
    "local2",
    "local3",
    "local4",
    "local5",
    "local6",
    "local7",
];

/// The options that a driver knows; nothing: it is no relay.
pub fn options(driver: &str) -> &'static [&'static str] {
    match driver {
        "gelf" => &["gelf-address", "gelf-compression-type", "labels", "env", "tag", "cache-max-size", "cache-max-file"],
        "syslog" => {
            &["syslog-address", "syslog-facility", "syslog-format", "labels", "env", "tag", "cache-max-size", "cache-max-file"]
        }
        _ => &[],
    }
}

/// Refuses options that make no sense; nobody is looked up.
///
/// # Errors
/// 400 in Docker's words.
pub fn check(log: &LogConfig) -> Result<()> {
    match log.kind.as_str() {
        "gelf" => {
            let packed = option(log, "gelf-compression-type");
            if !matches!(packed, "" | "none") {
                return Err(Error::invalid(format!("gelf: messages are not packed here (gelf-compression-type {packed:?})"))
                    .hint("leave it out, or say none: collectors take both"));
            }
            where_to(log).map(drop)
        }
        "syslog" => where_to(log).and(facility(log)).and(layout(log)).map(drop),
        _ => Ok(()),
    }
}

/// What the shim shall send, and to whom.
///
/// # Errors
/// A collector that cannot be found.
pub fn of(record: &Record) -> Result<Option<Relay>> {
    let log = &record.host_config.log_config;
    if options(&log.kind).is_empty() {
        return Ok(None);
    }
    let failed = |why: &str| Error::invalid(format!("failed to initialize logging driver: {}: {why}", log.kind));
    let to = match where_to(log)? {
        Place::Host(host, port) => {
            let found = (host.as_str(), port).to_socket_addrs().map_err(|error| failed(&format!("lookup {host}: {error}")))?;
            Hearer::Udp(found.into_iter().next().ok_or_else(|| failed(&format!("lookup {host}: no such host")))?)
        }
        Place::Socket(path) if Path::new(&path).exists() => Hearer::Unix(path.into()),
        Place::Socket(path) => {
            let hint = "start a syslog daemon, or name one: --log-opt syslog-address=udp://HOST:514";
            return Err(failed(&format!("Unix syslog delivery error: no socket at {path}")).hint(hint));
        }
    };
    let attributes = log_options::attributes(record);
    let short = id::short(&record.id).to_string();
    let tag = attributes.get("tag").cloned().unwrap_or(short);
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_string();
    let form = match log.kind.as_str() {
        "gelf" => {
            let command = std::iter::once(&record.path).chain(&record.args).cloned().collect::<Vec<_>>().join(" ");
            let own = [
                ("container_id", record.id.clone()),
                ("container_name", record.name.clone()),
                ("image_id", record.image.to_string()),
                ("image_name", record.config.image.clone()),
                ("command", command),
                ("created", rfc3339(record.created)),
                ("tag", tag),
            ];
            let own = own.map(|(name, value)| (name.to_string(), value));
            let all = attributes.into_iter().filter(|(name, _)| name != "tag").chain(own);
            Form::Gelf { host, fields: all.map(|(name, value)| (format!("_{name}"), value)).collect() }
        }
        _ => Form::Syslog { facility: facility(log)?, tag, host, layout: layout(log)? },
    };
    Ok(Some(Relay { to, form }))
}

enum Place {
    Host(String, u16),
    Socket(String),
}

fn option<'a>(log: &'a LogConfig, key: &str) -> &'a str {
    log.config.get(key).map(String::as_str).unwrap_or_default()
}

fn where_to(log: &LogConfig) -> Result<Place> {
    let (key, port) = if log.kind == "gelf" { ("gelf-address", None) } else { ("syslog-address", Some(514)) };
    let text = option(log, key);
    if text.is_empty() {
        return match log.kind.as_str() {
            "gelf" => {
                Err(Error::invalid("gelf-address is a required parameter").hint("--log-opt gelf-address=udp://127.0.0.1:12201"))
            }
            _ => Ok(Place::Socket("/dev/log".into())),
        };
    }
    let bad =
        || Error::invalid(format!("{key} should be in form proto://address, got {text}")).hint("such as udp://127.0.0.1:12201");
    let (scheme, rest) = text.split_once("://").ok_or_else(bad)?;
    match scheme {
        "udp" => {
            let (host, said) = match rest.rsplit_once(':') {
                Some((host, said)) if !said.contains(']') => (host, Some(said.parse::<u16>().map_err(|_| bad())?)),
                _ => (rest, None),
            };
            let port = said
                .or(port)
                .ok_or_else(|| Error::invalid(format!("{}: please provide {key} as proto://host:port", log.kind)))?;
            let host = host.trim_start_matches('[').trim_end_matches(']');
            if host.is_empty() { Err(bad()) } else { Ok(Place::Host(host.to_string(), port)) }
        }
        "unix" | "unixgram" if log.kind == "syslog" && rest.starts_with('/') => Ok(Place::Socket(rest.to_string())),
        "tcp" | "tcp+tls" => {
            Err(Error::not_implemented(format!("{}: {scheme}:// is not there, lines are sent as datagrams", log.kind))
                .hint("udp://HOST:PORT"))
        }
        _ => Err(bad()),
    }
}

fn facility(log: &LogConfig) -> Result<u8> {
    let text = option(log, "syslog-facility");
    let by_name = FACILITIES.iter().position(|name| *name == text).map(|n| n as u8);
    match (text, by_name, text.parse::<u8>()) {
        ("", ..) => Ok(3),
        (_, Some(n), _) | (_, _, Ok(n @ 0..=23)) => Ok(n),
        _ => Err(Error::invalid("invalid syslog facility").hint("daemon, user, local0 to local7, …")),
    }
}

fn layout(log: &LogConfig) -> Result<Layout> {
    match option(log, "syslog-format") {
        "" => Ok(Layout::Unix),
        "rfc3164" => Ok(Layout::Rfc3164),
        "rfc5424" | "rfc5424micro" => Ok(Layout::Rfc5424),
        _ => Err(Error::invalid("Invalid syslog format").hint("rfc3164, rfc5424 or rfc5424micro")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_sent_is_refused_before_anything_is_made() {
        let why = |kind: &str, options: &[(&str, &str)]| {
            let config = options.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect();
            check(&LogConfig { kind: kind.into(), config }).err().map(|error| error.message())
        };
        let address = ("gelf-address", "udp://127.0.0.1:12201");
        assert_eq!(why("gelf", &[address]), None);
        assert_eq!(why("gelf", &[]).as_deref(), Some("gelf-address is a required parameter"));
        for bad in ["127.0.0.1:1", "udp://h", "udp://h:x", "tcp://h:1", "unix:///x", "http://h:1", "udp://:1"] {
            assert!(why("gelf", &[("gelf-address", bad)]).is_some(), "{bad}");
        }
        assert!(why("gelf", &[address, ("gelf-compression-type", "gzip")]).is_some());
        assert_eq!(why("syslog", &[]), None);
        assert_eq!(
            why("syslog", &[("syslog-address", "udp://h"), ("syslog-facility", "local7"), ("syslog-format", "rfc5424")]),
            None
        );
        assert_eq!(why("syslog", &[("syslog-facility", "nope")]).as_deref(), Some("invalid syslog facility"));
        assert_eq!(why("syslog", &[("syslog-format", "nope")]).as_deref(), Some("Invalid syslog format"));
    }
}
