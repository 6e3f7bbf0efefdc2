//! # Ports: `-p 8080:80` of a service
//!
//! A container publishes a port on its machine; a service publishes one on *every* machine of the swarm (`mode=ingress`), and
//! whichever is asked passes the call on to a task. Or on the machines of its tasks only (`mode=host`).
//!
//! ```text
//!   8080:80/udp                                      short: always ingress      80          the managers choose the other one
//!   published=8080,target=80,protocol=tcp,mode=host  long                       8000-8002:80-82
//! ```
//!
//! Laws: an address is refused, for there is no single machine to which it could belong. *See:* docker/cli
//! `opts/swarmopts/port.go`. *Next room:* [`super::attachments`]

use crate::container::{mounts::csv, ports};
use minidock_spec::swarm::service::EndpointPort;

/// All ports that one `-p` publishes.
///
/// # Errors
/// Docker's words for what is wrong with it.
pub fn ports(text: &str) -> Result<Vec<EndpointPort>, String> {
    if is_long(text) { long(text).map(|port| vec![port]) } else { short(text) }
}

/// Whether a value is written as `key=value,key=value`.
pub fn is_long(text: &str) -> bool {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices('=').any(|(at, _)| text[..at].ends_with(is_word) && text[at + 1..].starts_with(is_word))
}

fn long(text: &str) -> Result<EndpointPort, String> {
    let mut port = EndpointPort::default();
    for field in csv(text)? {
        let lower = field.to_lowercase();
        let Some((key, value)) = lower.split_once('=').filter(|(key, _)| !key.is_empty()) else {
            return Err(format!("invalid field: {field}"));
        };
        match (key, value) {
            ("protocol", "tcp" | "udp" | "sctp") => port.protocol = value.into(),
            ("protocol", _) => return Err(format!("invalid protocol value '{value}'")),
            ("mode", "ingress" | "host") => port.publish_mode = value.into(),
            ("mode", _) => {
                return Err(format!("invalid publish mode value ({value}): must be either 'ingress' or 'host'"));
            }
            ("target", _) => port.target_port = number("target", value)?,
            ("published", _) => port.published_port = number("published", value)?,
            _ => return Err(format!("invalid field key: {key}")),
        }
    }
    if port.target_port == 0 {
        return Err("missing mandatory field 'target'".into());
    }
    Ok(port)
}

fn number(which: &str, text: &str) -> Result<u32, String> {
    let wrong = |why: &str| format!("invalid {which} port ({text}): value must be an integer: {why}");
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(wrong("invalid syntax"));
    }
    text.parse::<u16>().map(u32::from).map_err(|_| wrong("value out of range"))
}

fn short(text: &str) -> Result<Vec<EndpointPort>, String> {
    let (_, bindings) = ports::ports(&[text.to_string()], &[]).map_err(|e| e.message())?;
    let mut all = Vec::new();
    for (target, outside) in bindings {
        let (number, protocol) = target.split_once('/').unwrap_or((&target, "tcp"));
        let target_port = number.parse().map_err(|_| format!("invalid containerPort: {number}"))?;
        for binding in outside.unwrap_or_default() {
            if !binding.host_ip.is_empty() {
                return Err("hostip is not supported".into());
            }
            let port = EndpointPort { protocol: protocol.into(), target_port, ..EndpointPort::default() };
            let (first, last) = binding.host_port.split_once('-').unwrap_or((&binding.host_port, &binding.host_port));
            let (first, last): (u32, u32) = match binding.host_port.as_str() {
                "" => (0, 0),
                _ => (first.parse().unwrap_or(0), last.parse().unwrap_or(0)),
            };
            all.extend((first..=last).map(|published_port| EndpointPort { published_port, ..port.clone() }));
        }
    }
    all.sort_by_key(|port| (port.target_port, port.published_port));
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> Vec<String> {
        let shown = |p: &EndpointPort| format!("{}:{}/{}/{}", p.published_port, p.target_port, p.protocol, p.publish_mode);
        ports(text).expect("ports").iter().map(shown).collect()
    }

    #[test]
    fn a_port_is_published_in_two_spellings() {
        assert_eq!(read("8080:80"), ["8080:80/tcp/ingress"]);
        assert_eq!(read("80/udp"), ["0:80/udp/ingress"]);
        assert_eq!(read("8000-8001:80-81"), ["8000:80/tcp/ingress", "8001:81/tcp/ingress"]);
        assert_eq!(read("8000-8002:80").len(), 3);
        assert_eq!(read("published=8080,target=80,mode=host"), ["8080:80/tcp/host"]);
        assert_eq!(read("target=53,protocol=UDP"), ["0:53/udp/ingress"]);
    }

    #[test]
    fn a_wrong_port_is_refused_in_dockers_words() {
        for (typed, why) in [
            ("x=1", "invalid field key: x"),
            ("target=x", "invalid target port (x): value must be an integer: invalid syntax"),
            ("target=80,published=70000", "invalid published port (70000): value must be an integer: value out of range"),
            ("1.2.3.4:80:80", "hostip is not supported"),
            ("target=80,mode=foo", "invalid publish mode value (foo): must be either 'ingress' or 'host'"),
            ("target=80,protocol=foo", "invalid protocol value 'foo'"),
            ("published=80", "missing mandatory field 'target'"),
            ("80:x", "invalid containerPort: x"),
            ("target=80,foo", "invalid field: foo"),
        ] {
            assert_eq!(ports(typed).unwrap_err(), why, "{typed}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_the_reader_panic(text in "(\\PC{0,16}|[0-9a-z=,:/-]{0,24})") {
            let _ = ports(&text);
        }
    }
}
