//! # Volumes: `data:/var/lib/data:ro`
//!
//! ```text
//!   [SOURCE:]TARGET[:OPTION,…]
//!   /data              a volume without a name        data:/data      a volume
//!   ./src:/src         a folder beside the file       ~/x:/x, /x:/x   folders of the machine: on *each* node
//!   …:ro,nocopy        read-only; not filled from the image          …:rshared  how mounts spread
//! ```
//!
//! *In the real world* Docker takes a source of one letter for a Windows drive (`a:/b` becomes a target); here it is a volume.
//! *See:* docker/cli `cli/compose/loader/volume.go`. *Next room:* [`crate::merge`]

use crate::{
    finding::Findings,
    node::{Node, What},
};

const PROPAGATIONS: [&str; 6] = ["shared", "slave", "private", "rshared", "rslave", "rprivate"];

/// A short form as a mapping.
pub fn long(node: Node, path: &str, findings: &mut Findings) -> Node {
    let Some(text) = node.as_text() else { return node };
    let parts: Vec<&str> = text.split(':').collect();
    let (source, target, options) = match parts.as_slice() {
        [target] => ("", *target, ""),
        [source, target] => (*source, *target, ""),
        [source, target, options] => (*source, *target, *options),
        _ => ("", "", ""),
    };
    if target.is_empty() || (parts.len() > 1 && source.is_empty()) {
        let hint = "such as data:/var/lib/data, ./src:/src:ro or /var/cache";
        findings.fault_with(&node.at, format_args!("{path} is an invalid volume spec: \"{text}\""), hint);
        return Node::map(&node.at, []);
    }
    let bind = is_path(source);
    let mut mount = vec![("type", What::Text(if bind { "bind" } else { "volume" }.into()))];
    if !source.is_empty() {
        mount.push(("source", What::Text(source.into())));
    }
    mount.push(("target", What::Text(target.into())));
    for option in options.split(',') {
        match option {
            "ro" => mount.push(("read_only", What::Bool(true))),
            "nocopy" => mount.push(("volume", Node::map(&node.at, [("nocopy", What::Bool(true))]).what)),
            spread if PROPAGATIONS.contains(&spread) => {
                mount.push(("bind", Node::map(&node.at, [("propagation", What::Text(spread.into()))]).what));
            }
            "" | "rw" | "z" | "Z" | "cached" | "delegated" | "consistent" => {}
            other => findings.warn(&node.at, format_args!("{path}: unknown option \"{other}\" is ignored")),
        }
    }
    let mut long = Node::map(&node.at, []);
    if let What::Map(map) = &mut long.what {
        for (key, what) in mount {
            map.set(key, &node.at, Node::new(what, &node.at));
        }
    }
    long
}

/// A folder of the machine, and not the name of a volume.
pub fn is_path(source: &str) -> bool {
    source.starts_with(['.', '/', '~'])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml;
    use proptest::prelude::*;

    fn mount(text: &str) -> Node {
        let node = Node::new(What::Text(text.into()), &yaml::read("f", "").expect("nothing").at);
        long(node, "v", &mut Findings::default())
    }

    #[test]
    fn a_volume_has_many_spellings() {
        let same = |short: &str, long: &str| assert_eq!(mount(short), yaml::read("f", long).expect("YAML"), "{short}");
        same("/a", "{type: volume, target: /a}");
        same("d:/a", "{type: volume, source: d, target: /a}");
        same("data:/a:ro,nocopy", "{type: volume, source: data, target: /a, read_only: true, volume: {nocopy: true}}");
        same("~/x:/a:rshared", "{type: bind, source: ~/x, target: /a, bind: {propagation: rshared}}");
        same(
            "/var/run/docker.sock:/var/run/docker.sock",
            "{type: bind, source: /var/run/docker.sock, target: /var/run/docker.sock}",
        );
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[a-z:/.,~]{0,20}") {
            let _ = mount(&text);
        }
    }
}
