//! # Names: whom a container asks, and what it knows by heart
//!
//! `--dns` and `--dns-search` become lines of the container's `/etc/resolv.conf`, `--add-host` lines of its `/etc/hosts`. What could
//! never be such a line is refused before anything is created.
//!
//! ```text
//!   --dns 10.0.0.53                    an address, not a name: who would resolve it?
//!   --dns-search lab.example           a domain that is put behind short names; `.` means none at all
//!   --add-host db:10.0.0.5             db=10.0.0.5, db:[::1] and db:host-gateway are understood too
//! ```
//!
//! *See:* resolv.conf(5), hosts(5) · docker/cli `opts/{opts,hosts}.go`. *Next room:* [`crate::container::environment`]

use minidock_base::{Error, Result};
use std::net::IpAddr;

/// Addresses of name servers.
///
/// # Errors
/// Docker's `IP address is not correctly formatted`.
pub fn servers(values: &[String]) -> Result<Vec<String>> {
    let server = |value: &String| match value.trim().parse::<IpAddr>() {
        Ok(address) => Ok(address.to_string()),
        Err(_) => Err(wrong("dns", value, format!("IP address is not correctly formatted: {value}"))),
    };
    values.iter().map(server).collect()
}

/// Domains to search.
///
/// # Errors
/// Docker's `… is not a valid domain`.
pub fn domains(values: &[String]) -> Result<Vec<String>> {
    let domain = |value: &String| {
        let name = value.trim_matches(' ');
        let bare = name.strip_suffix('.').unwrap_or(name);
        let valid = bare.len() < 255 && bare.contains(|c: char| c.is_ascii_alphabetic()) && bare.split('.').all(is_label);
        match name {
            "." => Ok(name.to_string()),
            _ if valid => Ok(bare.to_string()),
            _ => Err(wrong("dns-search", value, format!("{value} is not a valid domain"))),
        }
    };
    values.iter().map(domain).collect()
}

fn is_label(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
    !text.is_empty() && text.bytes().all(inner) && !text.starts_with('-') && !text.ends_with('-')
}

/// `host:ip`, `host=ip`, each as `host:ip`.
///
/// # Errors
/// Docker's `bad format for add-host`, `invalid IP address in add-host`.
pub fn hosts(values: &[String]) -> Result<Vec<String>> {
    values.iter().map(|value| host(value)).collect()
}

fn host(value: &str) -> Result<String> {
    match value.split_once('=').or_else(|| value.split_once(':')) {
        Some((host, address)) if !host.is_empty() => {
            let address = address.strip_prefix('[').and_then(|a| a.strip_suffix(']')).unwrap_or(address);
            if address != "host-gateway" && address.parse::<IpAddr>().is_err() {
                return Err(wrong("add-host", value, format!("invalid IP address in add-host: {address:?}")));
            }
            Ok(format!("{host}:{address}"))
        }
        _ => Err(wrong("add-host", value, format!("bad format for add-host: {value:?}")).hint("--add-host name:address")),
    }
}

fn wrong(flag: &str, value: &str, why: String) -> Error {
    Error::invalid(format!("invalid argument {value:?} for \"--{flag}\" flag: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_name_server_is_an_address() {
        assert_eq!(servers(&["1.1.1.1".into(), "2001:db8::1".into()]).expect("addresses"), ["1.1.1.1", "2001:db8::1"]);
        assert_eq!(
            servers(&["foo".into()]).unwrap_err().message(),
            "invalid argument \"foo\" for \"--dns\" flag: IP address is not correctly formatted: foo"
        );
    }

    #[test]
    fn a_search_domain_is_a_domain_or_nothing_at_all() {
        assert_eq!(domains(&["a.b".into(), ".".into(), "lab.example.".into()]).expect("domains"), ["a.b", ".", "lab.example"]);
        for bad in ["", "a b", "foo$bar", "-a", "a..b", "1.2"] {
            assert!(domains(&[bad.into()]).unwrap_err().message().ends_with("is not a valid domain"), "{bad}");
        }
    }

    #[test]
    fn a_host_has_a_name_and_an_address() {
        let all = ["a:1.2.3.4", "b=1.2.3.4", "c:::1", "d:[::1]", "e=host-gateway"].map(String::from);
        assert_eq!(hosts(&all).expect("hosts"), ["a:1.2.3.4", "b:1.2.3.4", "c:::1", "d:::1", "e:host-gateway"]);
        for bad in ["a", "a:foo", ":1.2.3.4", "a:", ""] {
            assert!(host(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_them_panic(text in "\\PC{0,20}") {
            let one = [text];
            let _ = (servers(&one), domains(&one), hosts(&one));
        }
    }
}
