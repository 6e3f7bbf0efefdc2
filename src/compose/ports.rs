//! # Ports: `8080:80/tcp`
//!
//! ```text
//!   [ADDRESS:][PUBLISHED:]TARGET[/PROTOCOL]          each of the two may be a range: 8000-8002:9000-9002
//! ```
//!
//! A service's port is open on every node, on all addresses, so an address is set aside with a word. A number that is not published
//! is chosen by the managers.
//!
//! *See:* docker/go-connections `nat`. *Next room:* [`crate::volumes`]

use crate::{
    finding::Findings,
    node::{Node, What},
};

/// A list of ports with every short form as a mapping, or several.
pub fn long(node: Node, path: &str, findings: &mut Findings) -> Node {
    let What::List(items) = node.what else { return node };
    for (n, item) in items.iter().enumerate() {
        if let Some(first) = items[..n].iter().position(|other| other == item) {
            findings.fault(&item.at, format_args!("{path} array items[{first},{n}] must be unique"));
        }
    }
    let mut ports = Vec::new();
    for (n, item) in items.into_iter().enumerate() {
        let text = match &item.what {
            What::Text(text) => text.clone(),
            What::Int(number) => number.to_string(),
            _ => {
                ports.push(item);
                continue;
            }
        };
        let Some(spec) = read(&text) else {
            let hint = "such as 8080:80, 53:53/udp or 8000-8002:8000-8002";
            findings.fault_with(&item.at, format_args!("{path}.{n} Does not match format 'ports': \"{text}\""), hint);
            continue;
        };
        if !spec.address.is_empty() {
            findings.warn(&item.at, format_args!("ignoring IP-address ({text}) service will listen on '0.0.0.0'"));
        }
        for (target, published) in spec.pairs {
            let mut port = vec![("mode", What::Text("ingress".into())), ("target", What::Int(target.into()))];
            port.extend(published.map(|published| ("published", What::Int(published.into()))));
            port.push(("protocol", What::Text(spec.protocol.clone())));
            let mut node = Node::map(&item.at, []);
            if let What::Map(map) = &mut node.what {
                for (key, what) in port {
                    map.set(key, &item.at, Node::new(what, &item.at));
                }
            }
            ports.push(node);
        }
    }
    Node::new(What::List(ports), &node.at)
}

/// What a short form says.
#[derive(Debug, PartialEq)]
pub struct Spec {
    pub address: String,
    /// Target, published.
    pub pairs: Vec<(u16, Option<u16>)>,
    pub protocol: String,
}

/// Reads a short form; nothing if it is none.
pub fn read(text: &str) -> Option<Spec> {
    let (rest, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let protocol = protocol.to_ascii_lowercase();
    if !matches!(protocol.as_str(), "tcp" | "udp" | "sctp") {
        return None;
    }
    let (rest, target) = rest.rsplit_once(':').map_or(("", rest), |(rest, target)| (rest, target));
    let (address, published) = rest.rsplit_once(':').unwrap_or(("", rest));
    let bare = address.trim_start_matches('[').trim_end_matches(']');
    if !address.is_empty() && bare.parse::<std::net::IpAddr>().is_err() {
        return None;
    }
    let targets = range(target)?;
    let pairs = match published {
        "" => targets.map(|target| (target, None)).collect(),
        published => {
            let published = range(published)?;
            if published.len() != targets.len() {
                return None;
            }
            targets.zip(published.map(Some)).collect()
        }
    };
    Some(Spec { address: address.to_string(), pairs, protocol })
}

fn range(text: &str) -> Option<std::ops::RangeInclusive<u16>> {
    let number = |text: &str| text.parse::<u16>().ok().filter(|n| *n > 0 && text.bytes().all(|b| b.is_ascii_digit()));
    match text.split_once('-') {
        Some((first, last)) => Some(number(first)?..=number(last)?).filter(|range| !range.is_empty()),
        None => number(text).map(|n| n..=n),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_port_has_many_spellings() {
        let spec = |text: &str| {
            let spec = read(text).unwrap_or_else(|| panic!("{text}"));
            (spec.pairs, spec.protocol)
        };
        assert_eq!(spec("5000:80"), (vec![(80, Some(5000))], "tcp".into()));
        assert_eq!(spec("6379"), (vec![(6379, None)], "tcp".into()));
        assert_eq!(spec("127.0.0.1:8000-8001:9000-9001/UDP"), (vec![(9000, Some(8000)), (9001, Some(8001))], "udp".into()));
        assert_eq!(spec("[::1]:80:81/sctp"), (vec![(81, Some(80))], "sctp".into()));
        assert_eq!(spec("1.2.3.4::80"), (vec![(80, None)], "tcp".into()));
    }

    #[test]
    fn what_is_no_port_is_refused() {
        for text in ["", "foo", "80:foo", "70000:1", "80-82:80-81", "0", "80:80/xyz", ":", "a:80:80", "82-80", "+80", "1:2:3:4"]
        {
            assert_eq!(read(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[0-9:/\\-\\[\\].tcpu]{0,24}") {
            let _ = read(&text);
        }
    }
}
