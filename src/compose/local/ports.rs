//! # Ports of one machine: `127.0.0.1:8080:80`
//!
//! What a swarm sets aside is the point here: a port may be open on one address only. And a single port may be published on the first
//! number of a range that is free.
//!
//! ```text
//!   "8080:80"              {mode: ingress, target: 80, published: "8080", protocol: tcp}
//!   "127.0.0.1:8080:80"    {…, host_ip: 127.0.0.1}
//!   "8000-8010:80"         {…, published: 8000-8010}     whichever is free
//!   "8000-8001:80-81"      two ports
//! ```
//!
//! *See:* compose-spec `05-services.md` ports. *Next room:* [`super::dotenv`]

use crate::{
    finding::Findings,
    node::{Node, What},
    ports,
};

/// A list of ports with every short form as a mapping, or several.
pub fn long(node: Node, path: &str, findings: &mut Findings) -> Node {
    let What::List(items) = node.what else { return node };
    let mut all: Vec<Node> = Vec::new();
    for (n, item) in items.into_iter().enumerate() {
        let text = match &item.what {
            What::Text(text) => text.clone(),
            What::Int(number) => number.to_string(),
            _ => {
                all.push(usual(item));
                continue;
            }
        };
        let Some(spec) = read(&text) else {
            let hint = "such as 8080:80, 127.0.0.1:8080:80, 53:53/udp or 8000-8002:8000-8002";
            findings.fault_with(&item.at, format_args!("{path}.{n}: invalid containerPort or hostPort: {text}"), hint);
            continue;
        };
        for (target, published) in spec.pairs {
            let mut port = Node::map(
                &item.at,
                [
                    ("mode", What::Text("ingress".into())),
                    ("target", What::Int(target.into())),
                    ("protocol", What::Text(spec.protocol.clone())),
                ],
            );
            if let What::Map(map) = &mut port.what {
                if let Some(published) = published {
                    map.set("published", &item.at, Node::new(What::Text(published), &item.at));
                }
                if !spec.address.is_empty() {
                    map.set("host_ip", &item.at, Node::new(What::Text(spec.address.clone()), &item.at));
                }
            }
            all.push(port);
        }
    }
    // a file and its override may say the same
    let mut each: Vec<Node> = Vec::new();
    for port in all {
        if !each.contains(&port) {
            each.push(port);
        }
    }
    Node::new(What::List(each), &node.at)
}

/// A long form with what goes without saying.
fn usual(mut port: Node) -> Node {
    let at = port.at.clone();
    if let What::Map(map) = &mut port.what {
        for (key, value) in [("mode", "ingress"), ("protocol", "tcp")] {
            if map.get(key).is_none() {
                map.set(key, &at, Node::new(What::Text(value.into()), &at));
            }
        }
    }
    port
}

#[derive(Debug, PartialEq)]
struct Spec {
    address: String,
    /// Target, published (a number or a range).
    pairs: Vec<(u16, Option<String>)>,
    protocol: String,
}

fn read(text: &str) -> Option<Spec> {
    if let Some(ports::Spec { address, pairs, protocol }) = ports::read(text) {
        let pairs = pairs.into_iter().map(|(target, published)| (target, published.map(|n| n.to_string()))).collect();
        return Some(Spec { address: bare(&address), pairs, protocol });
    }
    // one target, a range to choose from: with one of the range's ends the rest must be a port as well
    let (whole, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let (rest, target) = whole.rsplit_once(':')?;
    let (address, range) = rest.rsplit_once(':').map_or(("", rest), |(address, range)| (address, range));
    let (first, last) = range.split_once('-')?;
    let single = |port: &str| {
        let before = if address.is_empty() { String::new() } else { format!("{address}:") };
        ports::read(&format!("{before}{port}:{target}/{protocol}")).filter(|spec| spec.pairs.len() == 1)
    };
    let (low, high) = (single(first)?, single(last)?);
    let (number, published) = low.pairs[0];
    (published < high.pairs[0].1).then(|| Spec {
        address: bare(address),
        pairs: vec![(number, Some(range.to_string()))],
        protocol: low.protocol,
    })
}

/// An address without the brackets that set its colons apart.
fn bare(address: &str) -> String {
    address.trim_start_matches('[').trim_end_matches(']').to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_port_may_have_an_address_and_a_range_to_choose_from() {
        let spec = |text: &str| {
            let spec = read(text).unwrap_or_else(|| panic!("{text}"));
            let pairs: Vec<String> = spec
                .pairs
                .iter()
                .map(|(target, published)| format!("{}>{target}", published.as_deref().unwrap_or("")))
                .collect();
            format!("{} {} {}", spec.address, pairs.join(" "), spec.protocol)
        };
        assert_eq!(spec("5000:80"), " 5000>80 tcp");
        assert_eq!(spec("127.0.0.1:8080:80/udp"), "127.0.0.1 8080>80 udp");
        assert_eq!(spec("[::1]:8080:80"), "::1 8080>80 tcp");
        assert_eq!(spec("8000-8010:80"), " 8000-8010>80 tcp");
        assert_eq!(spec("8000-8001:80-81"), " 8000>80 8001>81 tcp");
        assert_eq!(spec("80"), " >80 tcp");
        for wrong in ["", "a:80", "8010-8000:80", "1-2:3-5", "80-:80", "x:1-2:80"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[0-9:/\\-\\[\\].tcpu]{0,24}") {
            let _ = read(&text);
        }
    }
}
