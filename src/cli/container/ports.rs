//! # Ports: `-p 8080:80` and `--expose`
//!
//! A container's port is *exposed* (metadata: the program listens there) and may be *published* (reachable from outside).
//! `-p` says both, in a small language of colons, with ranges and protocols.
//!
//! ```text
//!   80                      any free port outside → 80/tcp
//!   8080:80/udp             8080 outside → 80/udp
//!   127.0.0.1:8080:80       only there        [::1]:8080:80      the same in IPv6
//!   8000-8002:80-82         three ports       8000-8010:80       the first free one of a range
//! ```
//!
//! Laws: ranges on both sides have the same length, unless the container's side is one port. *See:* docker/go-connections
//! `nat`. *Next room:* [`crate::container::limits`]

use minidock_base::{Error, Result};
use minidock_spec::engine::{container::Set, network::PortBinding};
use std::{collections::BTreeMap, net::IpAddr};

/// Published ports: what the API calls PortBindings.
pub type Bindings = BTreeMap<String, Option<Vec<PortBinding>>>;

/// What all `-p` and `--expose` come to.
///
/// # Errors
/// `invalid containerPort`, `invalid hostPort`, `invalid IP address`, ranges of different lengths, a protocol that is none.
pub fn ports(publish: &[String], expose: &[String]) -> Result<(Set, Bindings)> {
    let (mut exposed, mut bindings) = (Set::new(), Bindings::new());
    for value in publish {
        for (port, binding) in published(value)? {
            exposed.insert(port.clone(), serde_json::json!({}));
            bindings.entry(port).or_default().get_or_insert_with(Vec::new).push(binding);
        }
    }
    for value in expose {
        if value.contains(':') {
            return Err(
                Error::invalid(format!("invalid port format for --expose: {value}")).hint("--expose 80 or --expose 80/udp")
            );
        }
        let wrong = |why: String| {
            Error::invalid(format!("invalid range format for --expose: {value}, error: {why}"))
                .hint("--expose PORT or --expose FIRST-LAST, up to 65535")
        };
        if value.is_empty() {
            return Err(wrong("empty string specified for ports".into()));
        }
        let (numbers, protocol) = protocol(value)?;
        let (first, last) = range(numbers).map_err(wrong)?;
        exposed.extend((first..=last).map(|port| (format!("{port}/{protocol}"), serde_json::json!({}))));
    }
    Ok((exposed, bindings))
}

const UP_TO: &str = "a port is a number up to 65535, a range two of them: 8080-8090";

fn published(value: &str) -> Result<Vec<(String, PortBinding)>> {
    if value.split(',').any(|field| field.starts_with("target=") || field.starts_with("published=")) {
        return long_form(value);
    }
    let (address, outside, inside) = parts(value)?;
    let (inside, protocol) = protocol(inside)?;
    if !address.is_empty() && address.parse::<IpAddr>().is_err() {
        return Err(Error::invalid(format!("invalid IP address: {address}")).hint("-p [address:][port:]port"));
    }
    let (first, last) = range(inside).map_err(|_| Error::invalid(format!("invalid containerPort: {inside}")).hint(UP_TO))?;
    let outer = match outside {
        "" => None,
        text => Some(range(text).map_err(|_| Error::invalid(format!("invalid hostPort: {text}")).hint(UP_TO))?),
    };
    let bind = |port: String| PortBinding { host_ip: address.to_string(), host_port: port };
    match outer {
        None => Ok((first..=last).map(|port| (format!("{port}/{protocol}"), bind(String::new()))).collect()),
        Some((low, high)) if high - low == last - first => Ok((first..=last)
            .zip(low..=high)
            .map(|(port, out)| (format!("{port}/{protocol}"), bind(out.to_string())))
            .collect()),
        Some(_) if first == last => Ok(vec![(format!("{first}/{protocol}"), bind(outside.to_string()))]),
        Some(_) => {
            Err(Error::invalid(format!("invalid ranges specified for container and host Ports: {inside} and {outside}")))
        }
    }
}

/// `target=80,published=8080,protocol=tcp`.
fn long_form(value: &str) -> Result<Vec<(String, PortBinding)>> {
    let (mut target, mut outside, mut kind) = ("", "", "tcp");
    for field in value.split(',') {
        match field.split_once('=') {
            Some(("target", text)) => target = text,
            Some(("published", text)) => outside = text,
            Some(("protocol", text)) => kind = text,
            Some(("mode", _)) => {}
            _ => return Err(Error::invalid(format!("invalid field {field} in {value}"))),
        }
    }
    let joined = if outside.is_empty() { format!("{target}/{kind}") } else { format!("{outside}:{target}/{kind}") };
    match target.is_empty() {
        true => Err(Error::invalid(format!("invalid port: {value}: target is required"))),
        false => published(&joined),
    }
}

/// Address, outside, inside; brackets around an IPv6 address are taken off.
fn parts(value: &str) -> Result<(&str, &str, &str)> {
    if let Some(rest) = value.strip_prefix('[') {
        let (address, rest) = rest.split_once("]:").ok_or_else(|| Error::invalid(format!("invalid IP address: {value}")))?;
        let (outside, inside) = rest.rsplit_once(':').unwrap_or(("", rest));
        return Ok((address, outside, inside));
    }
    match value.rsplit_once(':') {
        None => Ok(("", "", value)),
        Some((front, inside)) => match front.rsplit_once(':') {
            None => Ok(("", front, inside)),
            Some((address, outside)) => Ok((address, outside, inside)),
        },
    }
}

/// The numbers and the protocol of `80/udp`.
fn protocol(text: &str) -> Result<(&str, String)> {
    let (numbers, kind) = text.split_once('/').unwrap_or((text, "tcp"));
    let kind = kind.to_ascii_lowercase();
    if numbers.is_empty() {
        return Err(Error::invalid(format!("no port specified: {text}<empty>")));
    }
    match kind.as_str() {
        "tcp" | "udp" | "sctp" => Ok((numbers, kind)),
        _ => Err(Error::invalid(format!("invalid proto: {kind}")).hint("tcp, udp or sctp")),
    }
}

/// `80` or `80-90`; what is wrong otherwise, in the words of Go's numbers.
fn range(text: &str) -> std::result::Result<(u16, u16), String> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let number = |digits: &str| {
        let said = |why: &str| format!("strconv.ParseUint: parsing {digits:?}: {why}");
        match digits.parse::<u64>() {
            _ if !digits.bytes().all(|b| b.is_ascii_digit()) || digits.is_empty() => Err(said("invalid syntax")),
            Ok(n) => u16::try_from(n).map_err(|_| said("value out of range")),
            Err(_) => Err(said("value out of range")),
        }
    };
    let (first, last) = (number(first)?, number(last)?);
    if first > last {
        return Err(format!("invalid range specified for port: {text}"));
    }
    Ok((first, last))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn one(value: &str) -> Vec<(String, String, String)> {
        let (_, bindings) = ports(&[value.into()], &[]).expect("ports");
        let each = |(port, list): (String, Option<Vec<PortBinding>>)| {
            list.unwrap_or_default().into_iter().map(move |b| (port.clone(), b.host_ip, b.host_port)).collect::<Vec<_>>()
        };
        bindings.into_iter().flat_map(each).collect()
    }

    fn row(port: &str, ip: &str, outside: &str) -> (String, String, String) {
        (port.into(), ip.into(), outside.into())
    }

    #[test]
    fn a_published_port_is_written_in_many_ways() {
        assert_eq!(one("80"), [row("80/tcp", "", "")]);
        assert_eq!(one("8080:80/udp"), [row("80/udp", "", "8080")]);
        assert_eq!(one("127.0.0.1:8080:80"), [row("80/tcp", "127.0.0.1", "8080")]);
        assert_eq!(one("127.0.0.1::80"), [row("80/tcp", "127.0.0.1", "")]);
        assert_eq!(one("[::1]:8080:80"), [row("80/tcp", "::1", "8080")]);
        assert_eq!(one("8000-8001:80-81"), [row("80/tcp", "", "8000"), row("81/tcp", "", "8001")]);
        assert_eq!(one("8000-8010:80"), [row("80/tcp", "", "8000-8010")]);
        assert_eq!(one("target=80,published=8080,protocol=udp"), [row("80/udp", "", "8080")]);
    }

    #[test]
    fn a_wrong_port_is_refused_in_dockers_words() {
        let why = |value: &str| ports(&[value.into()], &[]).unwrap_err().message();
        assert_eq!(why("8080:x"), "invalid containerPort: x");
        assert_eq!(why("x:80"), "invalid hostPort: x");
        assert_eq!(why("999.1.1.1:80:80"), "invalid IP address: 999.1.1.1");
        assert_eq!(why("80/foo"), "invalid proto: foo");
        assert_eq!(why("1-3:1-2"), "invalid ranges specified for container and host Ports: 1-2 and 1-3");
        assert!(
            ports(&[], &["1:2".into()]).is_err() && ports(&["99999".into()], &[]).is_err() && ports(&["".into()], &[]).is_err()
        );
    }

    #[test]
    fn exposing_is_not_publishing() {
        let (exposed, bindings) = ports(&["8080:80".into()], &["53/udp".into(), "1-2".into()]).expect("ports");
        assert_eq!(exposed.keys().collect::<Vec<_>>(), ["1/tcp", "2/tcp", "53/udp", "80/tcp"]);
        assert_eq!(bindings.len(), 1);
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in "(\\PC{0,16}|[0-9:/.-]{0,16})") {
            let _ = ports(std::slice::from_ref(&text), std::slice::from_ref(&text));
        }
    }
}
