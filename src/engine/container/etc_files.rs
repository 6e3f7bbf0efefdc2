//! # Three files in /etc: hostname, hosts, resolv.conf
//!
//! A container's name and its ways to find others are told to programs by three files, which no image can know. The engine
//! writes them beside the record at every start and binds them over whatever the image has there.
//!
//! ```text
//!   hostname       the container's
//!   hosts          localhost and --add-host; with --network host a copy of the machine's
//!   resolv.conf    --dns, --dns-search, --dns-option over the machine's own
//! ```
//!
//! * A container that shares another's network shares its three files too.
//! * A place on which the user has mounted something himself is left to him.
//!
//! *See:* hosts(5), resolv.conf(5) · moby `libnetwork/etchosts`. *Next room:* [`crate::container::start`]

use crate::container::record::Record;
use minidock_base::{Doing, Error, Result, paths::Paths};
use std::{fs, path::PathBuf};

/// File names beside the record, and where they are bound.
pub const FILES: [(&str, &str); 3] =
    [("resolv.conf", "/etc/resolv.conf"), ("hostname", "/etc/hostname"), ("hosts", "/etc/hosts")];

const LOCAL: &str = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\nfe00::\tip6-localnet\n\
                     ff00::\tip6-mcastprefix\nff02::1\tip6-allnodes\nff02::2\tip6-allrouters\n";

/// Writes the three files of a container (unless it shares another's) and says what to bind where.
///
/// # Errors
/// The disk's.
pub fn write(paths: &Paths, record: &Record, sharing: Option<&str>) -> Result<Vec<(PathBuf, &'static str)>> {
    let folder = paths.container(sharing.unwrap_or(&record.id));
    if sharing.is_none() {
        for (name, text) in [("hostname", hostname(record)), ("hosts", hosts(record)), ("resolv.conf", resolv_conf(record))] {
            let path = folder.join(name);
            fs::write(&path, text).doing(|| format!("write {}", path.display()))?;
        }
    }
    let mounted = |place: &str| record.mounts.iter().any(|m| m.point.destination == place);
    Ok(FILES.iter().filter(|(_, place)| !mounted(place)).map(|(name, place)| (folder.join(name), *place)).collect())
}

fn hostname(record: &Record) -> String {
    format!("{}\n", record.config.hostname)
}

fn hosts(record: &Record) -> String {
    let mut text = match record.host_config.network_mode.as_str() {
        "host" => fs::read_to_string("/etc/hosts").unwrap_or_else(|_| LOCAL.into()),
        _ => LOCAL.to_string(),
    };
    for extra in record.host_config.extra_hosts.iter().flatten() {
        if let Some((name, address)) = split_extra_host(extra) {
            text.push_str(&format!("{address}\t{name}\n"));
        }
    }
    text
}

/// `name:address` or `name=address`; an IPv6 address has more colons of its own.
fn split_extra_host(text: &str) -> Option<(&str, &str)> {
    let (name, address) = text.split_once('=').or_else(|| text.split_once(':'))?;
    let address = address.trim_start_matches('[').trim_end_matches(']');
    Some((name, if address == "host-gateway" { "127.0.0.1" } else { address }))
}

/// Whether every `--add-host` names a host and an address.
///
/// # Errors
/// `bad format for add-host: "x"`; `invalid IP address in add-host: "y"`.
pub fn check(extra_hosts: &[String]) -> Result<()> {
    for text in extra_hosts {
        match split_extra_host(text) {
            Some((name, address)) if !name.is_empty() => {
                if address.parse::<std::net::IpAddr>().is_err() {
                    return Err(Error::invalid(format!("invalid IP address in add-host: {address:?}")));
                }
            }
            _ => {
                return Err(
                    Error::invalid(format!("bad format for add-host: {text:?}")).hint("name:address, such as db:10.0.0.5")
                );
            }
        }
    }
    Ok(())
}

fn resolv_conf(record: &Record) -> String {
    let wishes = &record.host_config;
    let hosts = fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    if wishes.dns.is_empty() && wishes.dns_search.is_empty() && wishes.dns_options.is_empty() {
        return hosts;
    }
    let words = |key: &str| -> Vec<String> {
        let lines = hosts.lines().filter_map(|l| l.trim().strip_prefix(key)).filter(|l| l.starts_with([' ', '\t']));
        lines.flat_map(str::split_whitespace).map(str::to_string).collect()
    };
    let choose = |mine: &Vec<String>, key: &str| if mine.is_empty() { words(key) } else { mine.clone() };
    let search = choose(&wishes.dns_search, "search");
    let mut text = String::new();
    for server in choose(&wishes.dns, "nameserver") {
        text.push_str(&format!("nameserver {server}\n"));
    }
    if !search.is_empty() && search != ["."] {
        text.push_str(&format!("search {}\n", search.join(" ")));
    }
    let options = choose(&wishes.dns_options, "options");
    if !options.is_empty() {
        text.push_str(&format!("options {}\n", options.join(" ")));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_extra_host_may_have_an_ipv6_address() {
        assert_eq!(split_extra_host("db:10.0.0.5"), Some(("db", "10.0.0.5")));
        assert_eq!(split_extra_host("db:[::1]"), Some(("db", "::1")));
        assert_eq!(split_extra_host("db=fe80::1"), Some(("db", "fe80::1")));
        check(&["db:::1".into()]).expect("an address");
        assert!(check(&["db".into()]).is_err() && check(&["db:x".into()]).is_err());
    }
}
