//! # Generic resources: things that only some machines have
//!
//! A node has so many CPUs and so much memory, and perhaps two graphics cards, a licence, a scanner. Nobody but their owner knows what these are, so
//! they have a *kind*, a word of the owner's, and are only counted. A node offers either a number of them or each by its name; a task asks
//! for a number, and is given that many, by name where they have names.
//!
//! ```text
//!   daemon --node-generic-resource gpu=2                          service create --generic-resource gpu=1
//!   daemon --node-generic-resource gpu=a --node-generic-resource gpu=b      task on that node: gpu=a, told as $DOCKER_RESOURCE_GPU
//! ```
//!
//! * [`offered`] and [`wanted`] read what was typed; [`variables`] tells a program what it was given.
//!
//! Laws: of one kind a node has a number or names, never both. *See:* swarmkit `design/generic_resources.md`. *Next room:* [`super::node`]

use minidock_base::{Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// So many of a kind, or one that has a name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum GenericResource {
    #[serde(rename = "NamedResourceSpec")]
    Named(Named),
    #[serde(rename = "DiscreteResourceSpec")]
    Discrete(Discrete),
}

/// One of a kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Named {
    pub kind: String,
    pub value: String,
}

/// So many of a kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Discrete {
    pub kind: String,
    pub value: i64,
}

impl GenericResource {
    pub fn named(kind: &str, value: &str) -> GenericResource {
        GenericResource::Named(Named { kind: kind.into(), value: value.into() })
    }

    pub fn discrete(kind: &str, value: i64) -> GenericResource {
        GenericResource::Discrete(Discrete { kind: kind.into(), value })
    }

    pub fn kind(&self) -> &str {
        match self {
            GenericResource::Named(one) => &one.kind,
            GenericResource::Discrete(some) => &some.kind,
        }
    }

    /// The name, or the number in digits.
    pub fn value(&self) -> String {
        match self {
            GenericResource::Named(one) => one.value.clone(),
            GenericResource::Discrete(some) => some.value.to_string(),
        }
    }
}

/// What a node offers: each word is `kind=number` or `kind=name`, or several with commas between.
///
/// # Errors
/// [`minidock_base::Kind::InvalidParameter`], as SwarmKit says it: no `=`, a negative number, numbers and names of one kind.
pub fn offered(words: &[String]) -> Result<Vec<GenericResource>> {
    read(words.iter().flat_map(|word| word.split(',')))
}

/// What each task of a service asks for: numbers only, one kind a word.
///
/// # Errors
/// As for [`offered`]; a name.
pub fn wanted(words: &[String]) -> Result<Vec<GenericResource>> {
    let all = read(words.iter().map(String::as_str)).map_err(|e| e.during("invalid generic resource specification"))?;
    match all.iter().find(|resource| matches!(resource, GenericResource::Named(_))) {
        Some(named) => Err(Error::invalid(format!(
            "invalid generic-resource request `{}={}`, Named Generic Resources is not supported for service create or update",
            named.kind(),
            named.value()
        ))
        .hint("ask for a number of them: gpu=1")),
        None => Ok(all),
    }
}

fn read<'a>(words: impl Iterator<Item = &'a str>) -> Result<Vec<GenericResource>> {
    let wrong = |why: String| {
        Error::invalid(format!("could not parse GenericResource: {why}")).hint("gpu=2, or gpu=name1 and gpu=name2")
    };
    let mut kinds: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for word in words {
        match word.split_once('=') {
            Some((kind, value)) if !kind.trim().is_empty() && !value.contains('=') => {
                kinds.entry(kind.trim()).or_default().push(value.trim());
            }
            _ => return Err(wrong(format!("incorrect term {word}, missing '=' or malformed expression"))),
        }
    }
    let mut all = Vec::new();
    for (kind, mut values) in kinds {
        let number = |value: &str| value.parse::<i64>().ok();
        match (values.as_slice(), values.iter().find_map(|value| number(value))) {
            ([_], Some(value)) if value < 0 => return Err(wrong(format!("cannot ask for negative resource {kind}"))),
            ([_], Some(value)) => all.push(GenericResource::discrete(kind, value)),
            (several, Some(_)) => {
                let shown = several.join(" ");
                return Err(wrong(format!("mixed discrete and named resources in expression '{kind}=[{shown}]'")));
            }
            (_, None) => {
                values.sort_unstable();
                values.dedup();
                all.extend(values.into_iter().map(|value| GenericResource::named(kind, value)));
            }
        }
    }
    Ok(all)
}

/// How many of each kind.
pub fn counts(resources: &[GenericResource]) -> BTreeMap<&str, i64> {
    let mut counts = BTreeMap::new();
    for resource in resources {
        let more = match resource {
            GenericResource::Named(_) => 1,
            GenericResource::Discrete(some) => some.value,
        };
        *counts.entry(resource.kind()).or_default() += more;
    }
    counts
}

/// `DOCKER_RESOURCE_GPU=a,b`: what a task was given, as its program finds it in the environment.
pub fn variables(given: &[GenericResource]) -> Vec<String> {
    let mut kinds: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for resource in given {
        kinds.entry(resource.kind()).or_default().push(resource.value());
    }
    kinds.into_iter().map(|(kind, values)| format!("DOCKER_RESOURCE_{}={}", kind.to_uppercase(), values.join(","))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn words(text: &[&str]) -> Vec<String> {
        text.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_node_offers_numbers_or_names_and_a_task_asks_for_numbers() {
        let all = offered(&words(&["ssd=1", "gpu=b", "gpu=a,fpga=3"])).expect("resources");
        let shown = json!([
            {"DiscreteResourceSpec": {"Kind": "fpga", "Value": 3}},
            {"NamedResourceSpec": {"Kind": "gpu", "Value": "a"}},
            {"NamedResourceSpec": {"Kind": "gpu", "Value": "b"}},
            {"DiscreteResourceSpec": {"Kind": "ssd", "Value": 1}},
        ]);
        assert_eq!(serde_json::to_value(&all).expect("plain data"), shown);
        assert_eq!(serde_json::from_value::<Vec<GenericResource>>(shown).expect("resources"), all);
        assert_eq!(counts(&all), BTreeMap::from([("fpga", 3), ("gpu", 2), ("ssd", 1)]));
        assert_eq!(variables(&all), ["DOCKER_RESOURCE_FPGA=3", "DOCKER_RESOURCE_GPU=a,b", "DOCKER_RESOURCE_SSD=1"]);
        for bad in [&["gpu"][..], &["=1"], &["gpu=-1"], &["gpu=1", "gpu=2"], &["gpu=a", "gpu=1"], &["a=b=c"], &[""]] {
            assert!(offered(&words(bad)).is_err(), "{bad:?}");
        }
        assert!(
            wanted(&words(&["gpu=a"])).unwrap_err().message().contains("`gpu=a`, Named Generic Resources is not supported")
        );
        let mixed = wanted(&words(&["gpu=1", "gpu=2"])).unwrap_err().message();
        assert!(mixed.starts_with("invalid generic resource specification: could not parse GenericResource: mixed"), "{mixed}");
        assert!(wanted(&words(&["gpu=1,ssd=2"])).is_err());
        assert_eq!(wanted(&words(&["gpu=2"])).expect("a number"), [GenericResource::discrete("gpu", 2)]);
    }
}
