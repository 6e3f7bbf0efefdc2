//! # Flags: the rules of a swarm, and where a node listens
//!
//! `init` sets the rules of a swarm, `update` changes them: how much history a slot keeps, how often nodes must be heard, how long a
//! certificate is good for. And a node listens somewhere (`--listen-addr`), is found somewhere (`--advertise-addr`), and sends its
//! containers' packets somewhere (`--data-path-addr`).
//!
//! * [`rules`] declares, [`apply`] changes a spec. [`listen`] reads `ip[:port]`.
//!
//! Laws: a rule that was not given stays. *See:* docker/cli `cli/command/swarm/opts.go`. *Next room:* [`super::init`]

use crate::{
    container::mounts::csv,
    flag::{self, number_of, text, text_of},
    service::values::{self, duration, many, number, one},
};
use clap::{Arg, ArgMatches, Command};
use minidock_base::{Error, Result};
use minidock_spec::swarm::{cluster::ClusterSpec, node::Availability};
use serde_json::{Value as Json, json};

/// Where managers listen.
pub const PORT: u16 = 2377;

/// The rules.
pub fn rules(command: Command) -> Command {
    authority(command)
        .arg(one("dispatcher-heartbeat", "duration", "Dispatcher heartbeat period (ns|us|ms|s|m|h) (default 5s)", duration))
        .arg(one("max-snapshots", "uint", "Number of additional Raft snapshots to retain", number))
        .arg(one("snapshot-interval", "uint", "Number of log entries between Raft snapshots (default 10000)", number))
        .arg(flag::number("task-history-limit", "int", "Task history retention limit (default 5)"))
}

/// What is about certificates.
pub fn authority(command: Command) -> Command {
    let expiry = "Validity period for node certificates (ns|us|ms|s|m|h) (default 2160h0m0s)";
    let external = "Specifications of one or more certificate signing endpoints";
    command.arg(one("cert-expiry", "duration", expiry, duration)).arg(many("external-ca", "external-ca", external, external_ca))
}

/// `--autolock` with the help of its command.
pub fn autolock(help: &'static str) -> Arg {
    flag::choice("autolock", help)
}

/// Where a node is.
pub fn addresses(command: Command) -> Command {
    command
        .arg(text("advertise-addr", "string", "Advertised address (format: \"<ip|interface>[:port]\")"))
        .arg(text("availability", "string", "Availability of the node (\"active\", \"pause\", \"drain\") (default \"active\")"))
        .arg(text("data-path-addr", "string", "Address or interface to use for data path traffic (format: \"<ip|interface>\")"))
        .arg(one(
            "listen-addr",
            "node-addr",
            "Listen address (format: \"<ip|interface>[:port]\") (default 0.0.0.0:2377)",
            listen,
        ))
}

/// Changes the rules as the flags say.
pub fn apply(m: &ArgMatches, spec: &mut ClusterSpec) {
    if let Some(limit) = number_of(m, "task-history-limit") {
        spec.orchestration.task_history_retention_limit = limit;
    }
    if let Some(period) = values::of(m, "dispatcher-heartbeat") {
        spec.dispatcher.heartbeat_period = period;
    }
    if let Some(kept) = values::of(m, "max-snapshots") {
        spec.raft.keep_old_snapshots = kept;
    }
    if let Some(entries) = values::of(m, "snapshot-interval") {
        spec.raft.snapshot_interval = entries;
    }
    if let Some(lock) = flag::choice_of(m, "autolock") {
        spec.encryption_config.auto_lock_managers = lock;
    }
    apply_authority(m, spec);
}

/// Changes what is about certificates.
pub fn apply_authority(m: &ArgMatches, spec: &mut ClusterSpec) {
    if let Some(expiry) = values::of(m, "cert-expiry") {
        spec.ca_config.node_cert_expiry = expiry;
    }
    let external: Vec<Json> = values::all(m, "external-ca");
    if !external.is_empty() {
        spec.ca_config.external_cas = external;
    }
}

/// `--availability`, where it was given.
///
/// # Errors
/// `invalid availability …`.
pub fn availability(m: &ArgMatches) -> Result<Availability> {
    match text_of(m, "availability").map(str::to_lowercase).as_deref() {
        None | Some("active") => Ok(Availability::Active),
        Some("pause") => Ok(Availability::Pause),
        Some("drain") => Ok(Availability::Drain),
        Some(_) => Err(Error::invalid(format!(
            "invalid availability {:?}, only active, pause and drain are supported",
            text_of(m, "availability").unwrap_or_default()
        ))),
    }
}

/// `ip`, `interface`, `:port`, `[v6]:port`: always with a host and a port in the end.
fn listen(text: &str) -> std::result::Result<String, String> {
    let bare = text.strip_prefix("tcp://").unwrap_or(text);
    if bare.contains("://") {
        return Err(format!("invalid proto, expected tcp: {text}"));
    }
    let wrong = || format!("invalid bind address format: {text}");
    let (host, port) = match bare.rsplit_once(':') {
        Some((host, port)) if host.starts_with('[') && host.ends_with(']') => (host, port),
        Some((host, _)) if host.contains(':') && !bare.starts_with('[') => {
            return Err(format!("{}: an IPv6 address stands in brackets, [::1]:2377", wrong()));
        }
        Some((host, port)) if !bare.ends_with(']') => (host, port),
        _ => (bare, ""),
    };
    let port = match port {
        "" => PORT,
        digits => digits.parse().map_err(|_| wrong())?,
    };
    Ok(format!("{}:{port}", if host.is_empty() { "0.0.0.0" } else { host }))
}

/// `protocol=cfssl,url=https://…[,cacert=FILE]`
fn external_ca(text: &str) -> std::result::Result<Json, String> {
    let (mut protocol, mut url, mut certificate) = (None, None, String::new());
    let mut options = serde_json::Map::new();
    for field in csv(text)? {
        let Some((key, value)) = field.split_once('=') else {
            return Err(format!("invalid field '{field}' must be a key=value pair"));
        };
        match key.to_lowercase().as_str() {
            "protocol" if value.eq_ignore_ascii_case("cfssl") => protocol = Some("cfssl"),
            "protocol" => return Err(format!("unrecognized external CA protocol {value}")),
            "url" => url = Some(value.to_string()),
            "cacert" => certificate = pem(value).map_err(|why| format!("unable to read CA cert for external CA: {why}"))?,
            _ => drop(options.insert(key.into(), value.into())),
        }
    }
    let protocol = protocol.ok_or("the external-ca option needs a protocol= parameter")?;
    let url = url.ok_or("the external-ca option needs a url= parameter")?;
    Ok(json!({"Protocol": protocol, "URL": url, "Options": options, "CACert": certificate}))
}

/// The text of a file in PEM format.
///
/// # Errors
/// It cannot be read, or is in another format.
pub fn pem(file: &str) -> std::result::Result<String, String> {
    let text = std::fs::read_to_string(file).map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound => format!("open {file}: no such file or directory"),
        _ => format!("open {file}: {e}"),
    })?;
    match text.contains("-----BEGIN ") {
        true => Ok(text),
        false => Err("file contents must be in PEM format".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_address_has_a_host_and_a_port_in_the_end() {
        for (typed, meant) in [
            ("10.0.0.1", "10.0.0.1:2377"),
            ("eth0:2400", "eth0:2400"),
            (":2400", "0.0.0.0:2400"),
            ("", "0.0.0.0:2377"),
            ("tcp://10.0.0.1:1", "10.0.0.1:1"),
            ("[::1]", "[::1]:2377"),
            ("[::1]:9", "[::1]:9"),
        ] {
            assert_eq!(listen(typed).expect("an address"), meant, "{typed}");
        }
        for bad in ["foo:bar:baz", "http://x", "x:99999", "::1", "x:y"] {
            assert!(listen(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_external_authority_is_read_in_dockers_words() {
        assert_eq!(external_ca("x").unwrap_err(), "invalid field 'x' must be a key=value pair");
        assert_eq!(external_ca("url=https://x").unwrap_err(), "the external-ca option needs a protocol= parameter");
        assert_eq!(external_ca("protocol=cfssl").unwrap_err(), "the external-ca option needs a url= parameter");
        assert_eq!(external_ca("protocol=foo").unwrap_err(), "unrecognized external CA protocol foo");
        assert_eq!(external_ca("protocol=cfssl,url=https://x,a=b").expect("a CA")["Options"]["a"], "b");
        assert_eq!(pem("/no/such/file").unwrap_err(), "open /no/such/file: no such file or directory");
    }

    proptest! {
        #[test]
        fn no_text_makes_the_readers_panic(text in "(\\PC{0,16}|[0-9a-z.:\\[\\]/=,]{0,24})") {
            let _ = (listen(&text), external_ca(&text));
        }
    }
}
