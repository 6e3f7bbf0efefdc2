//! # Undoing: what a later file takes back
//!
//! Merging only ever adds: ports are joined to ports, variables to variables. A file that is laid over another one says with a tag that it
//! wants less, or something else altogether:
//!
//! ```text
//!   base:  ports: ["8080:80"]      over:  ports: !override ["9090:80"]      ──►   9090:80 alone
//!          environment: {A: 1}            environment: {A: !reset null}           no A
//!          labels: {x: y}                 labels: !reset {}                       no labels
//! ```
//!
//! * [`Undone::taken`] finds the tagged values of a file, and takes out those that are only there to say "nothing"; [`Undone::from`] removes
//!   their places from what is beneath, before the file is laid over it.
//!
//! Laws: a place is a way of keys; an item of a list has none, so a tag there only takes the item itself out. *See:* compose-spec
//! `13-merge.md`, "Reset value" and "Replace value". *Next room:* [`super::name`]

use crate::node::{Map, Node, Tag, What};

/// Places of a file that are to be empty before it is laid over another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Undone(Vec<Vec<String>>);

impl Undone {
    /// The tagged places of a file, whose `!reset` values are taken out of it.
    pub fn taken(file: &mut Map) -> Undone {
        let mut undone = Undone::default();
        undone.map(file, &mut Vec::new());
        undone
    }

    fn map(&mut self, map: &mut Map, way: &mut Vec<String>) {
        map.0.retain_mut(|entry| {
            way.push(entry.key.clone());
            if entry.node.tag != Tag::None {
                self.0.push(way.clone());
            }
            let kept = self.keeps(&mut entry.node, way);
            way.pop();
            kept
        });
    }

    fn keeps(&mut self, node: &mut Node, way: &mut Vec<String>) -> bool {
        match &mut node.what {
            _ if node.tag == Tag::Reset => return false,
            What::Map(map) => self.map(map, way),
            // what stands in an item has no name in the file beneath
            What::List(items) => items.retain_mut(|item| Undone::default().keeps(item, &mut Vec::new())),
            _ => {}
        }
        true
    }

    /// Takes the places out of what is beneath.
    pub fn from(&self, beneath: &mut Node) {
        self.0.iter().for_each(|way| remove(beneath, way));
    }

    /// The same for one service, which is what `extends` lays a service over.
    pub fn from_service(&self, name: &str, beneath: &mut Node) {
        let own = self.0.iter().filter_map(|way| match way.as_slice() {
            [section, service, rest @ ..] if section == "services" && service == name => Some(rest),
            _ => None,
        });
        own.for_each(|way| remove(beneath, way));
    }
}

fn remove(node: &mut Node, way: &[String]) {
    let What::Map(map) = &mut node.what else { return };
    match way {
        [] => {}
        [key] => drop(map.remove(key)),
        [key, rest @ ..] => map.get_mut(key).into_iter().for_each(|below| remove(below, rest)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml;

    fn map(text: &str) -> Map {
        match yaml::read("f.yml", text).expect("YAML").what {
            What::Map(map) => map,
            _ => panic!("a mapping"),
        }
    }

    #[test]
    fn what_is_reset_or_overridden_is_gone_from_beneath_and_a_reset_leaves_nothing() {
        let over = "services:\n  web:\n    ports: !override [\"9090:80\"]\n    environment: {A: !reset null, C: 3}\n    labels: !reset {}\n    \
                    volumes: [a, !reset b]\n";
        let mut over = map(over);
        let undone = Undone::taken(&mut over);
        assert_eq!(over, map("services: {web: {ports: [\"9090:80\"], environment: {C: 3}, volumes: [a]}}"));
        let base = "{ports: [x], environment: {A: 1, B: 2}, labels: {x: y}, volumes: [v]}";
        let mut beneath = Node::new(What::Map(map(&format!("services: {{web: {base}, db: {base}}}"))), &over.0[0].at);
        let mut service = beneath.get("services").and_then(|all| all.get("web")).cloned().expect("web");
        undone.from(&mut beneath);
        undone.from_service("web", &mut service);
        let left = "{environment: {B: 2}, volumes: [v]}";
        assert_eq!(beneath.what, What::Map(map(&format!("services: {{web: {left}, db: {base}}}"))));
        assert_eq!(service.what, What::Map(map(left)));
    }
}
