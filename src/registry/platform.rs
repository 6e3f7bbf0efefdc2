//! # Platform: which of several images is meant
//!
//! One name may stand for an image for each kind of machine. The index lists them with system, architecture and variant, and
//! somebody has to choose: the machine's own, or what `--platform` says.
//!
//! ```text
//!   linux/arm64/v8      linux      arm64      linux/arm/v7      amd64
//! ```
//!
//! * [`parse`] reads what a person types (`arm64` alone is an architecture, `linux` alone a system); [`choose`] picks from
//!   an index; [`matches`] says whether one image will do.
//!
//! Laws: an attestation is never an image; a newer variant never runs on an older machine, an older one does (`arm/v7`
//! takes `v6`). See: OCI image-index.md · containerd `platforms`. Next room: [`crate::client::manifest`]

use minidock_base::{Error, Result};
use minidock_spec::image::{Descriptor, Index, Platform, host_architecture};

/// This machine.
pub fn host() -> Platform {
    normal("linux", host_architecture(), None)
}

/// Reads `os[/arch[/variant]]` or an architecture.
///
/// # Errors
/// Docker's words: `"x" is an invalid component of "x": platform specifier component must match …`.
pub fn parse(text: &str) -> Result<Platform> {
    let words: Vec<&str> = text.split('/').collect();
    for word in &words {
        if word.is_empty() || !word.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'_' | b'.' | b'-')) {
            return Err(Error::invalid(format!(
                "{word:?} is an invalid component of {text:?}: platform specifier component must match \"^[A-Za-z0-9_.-]+$\": invalid argument"
            ))
            .hint("linux/amd64, linux/arm64, linux/arm/v7"));
        }
    }
    let systems = ["linux", "windows", "darwin", "freebsd"];
    let lower = text.to_ascii_lowercase();
    match words[..] {
        [system] if systems.contains(&system.to_ascii_lowercase().as_str()) => Ok(normal(&lower, host_architecture(), None)),
        [architecture] => Ok(normal("linux", architecture, None)),
        [system, architecture] => Ok(normal(system, architecture, None)),
        [system, architecture, variant] => Ok(normal(system, architecture, Some(variant))),
        _ => Err(Error::invalid(format!("{text:?}: cannot parse platform specifier: invalid argument")).hint("linux/amd64")),
    }
}

/// One spelling for what has several.
fn normal(system: &str, architecture: &str, variant: Option<&str>) -> Platform {
    let lower = architecture.to_ascii_lowercase();
    let variant = variant.map(str::to_ascii_lowercase).filter(|v| !v.is_empty());
    let (architecture, variant) = match (lower.as_str(), variant.as_deref()) {
        ("x86_64" | "x86-64" | "amd64", None | Some("v1")) => ("amd64".to_string(), None),
        ("x86_64" | "x86-64", variant) => ("amd64".to_string(), variant.map(str::to_string)),
        ("i386" | "i686", _) => ("386".to_string(), None),
        ("aarch64" | "arm64", None | Some("8" | "v8")) => ("arm64".to_string(), None),
        ("armhf", _) | ("arm", None | Some("7")) => ("arm".to_string(), Some("v7".to_string())),
        ("armel", _) | ("arm", Some("6")) => ("arm".to_string(), Some("v6".to_string())),
        (other, variant) => (other.to_string(), variant.map(str::to_string)),
    };
    Platform { architecture, os: system.to_ascii_lowercase(), variant, ..Platform::default() }
}

/// `linux/arm/v7`, as people see it.
pub fn shown(platform: &Platform) -> String {
    let variant = platform.variant.as_ref().map(|v| format!("/{v}")).unwrap_or_default();
    format!("{}/{}{variant}", platform.os, platform.architecture)
}

/// Whether an image for `have` runs where `wanted` is wanted.
pub fn matches(have: &Platform, wanted: &Platform) -> bool {
    rank(have, wanted).is_some()
}

/// How well it suits; lower is better.
fn rank(have: &Platform, wanted: &Platform) -> Option<u32> {
    let have = normal(&have.os, &have.architecture, have.variant.as_deref());
    let wanted = normal(&wanted.os, &wanted.architecture, wanted.variant.as_deref());
    if have.os != wanted.os || have.architecture != wanted.architecture {
        return None;
    }
    let number = |variant: &Option<String>, none: u32| match variant {
        None => Some(none),
        Some(v) => v.strip_prefix('v').and_then(|n| n.parse::<u32>().ok()),
    };
    match (have.variant == wanted.variant, number(&have.variant, 1), number(&wanted.variant, 1)) {
        (true, ..) => Some(0),
        (_, Some(have), Some(wanted)) if have < wanted => Some(wanted - have),
        _ => None,
    }
}

/// The entry of an index for `wanted`.
///
/// # Errors
/// Docker's words, and which platforms there are.
pub fn choose(index: &Index, wanted: &Platform) -> Result<Descriptor> {
    let images: Vec<&Descriptor> = index
        .manifests
        .iter()
        .filter(|d| !d.annotations.contains_key("vnd.docker.reference.type"))
        .filter(|d| d.platform.as_ref().is_none_or(|p| p.architecture != "unknown"))
        .collect();
    let best = images
        .iter()
        .filter_map(|d| d.platform.as_ref().and_then(|have| rank(have, wanted)).map(|rank| (rank, *d)))
        .min_by_key(|(rank, _)| *rank);
    if let Some((_, found)) = best {
        return Ok(found.clone());
    }
    if let [only] = images[..]
        && only.platform.is_none()
    {
        return Ok(only.clone());
    }
    let have: Vec<String> = images.iter().filter_map(|d| d.platform.as_ref()).map(shown).collect();
    let error = Error::not_found(format!("no matching manifest for {} in the manifest list entries", shown(wanted)));
    Err(match have.is_empty() {
        true => error,
        false => error.hint(format!("it is there for {}: --platform", have.join(", "))),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn index(platforms: &[&str]) -> Index {
        let entries: Vec<serde_json::Value> = platforms
            .iter()
            .map(|p| {
                let digest = minidock_spec::digest::Digest::of(p.as_bytes());
                let mut words = p.split('/');
                serde_json::json!({"mediaType": "m", "digest": digest, "size": 1, "platform":
                    {"os": words.next(), "architecture": words.next(), "variant": words.next()}})
            })
            .collect();
        serde_json::from_value(serde_json::json!({"schemaVersion": 2, "manifests": entries})).expect("an index")
    }

    fn chosen(platforms: &[&str], wanted: &str) -> Option<String> {
        let wanted = parse(wanted).expect("a platform");
        choose(&index(platforms), &wanted).ok().and_then(|d| d.platform).map(|p| shown(&p))
    }

    #[test]
    fn the_machines_own_kind_is_chosen_and_an_older_variant_will_do() {
        let all = ["linux/amd64", "linux/arm/v6", "linux/arm/v5", "linux/arm64/v8", "unknown/unknown"];
        assert_eq!(chosen(&all, "linux/arm64").as_deref(), Some("linux/arm64/v8"));
        assert_eq!(chosen(&all, "aarch64").as_deref(), Some("linux/arm64/v8"));
        assert_eq!(chosen(&all, "linux/arm/v7").as_deref(), Some("linux/arm/v6"));
        assert_eq!(chosen(&all, "linux/amd64").as_deref(), Some("linux/amd64"));
        assert_eq!(chosen(&all, "linux/s390x"), None);
        assert_eq!(chosen(&["linux/amd64/v3"], "linux/amd64"), None, "a newer variant never runs on an older machine");
        let error = choose(&index(&all), &parse("windows/amd64").expect("a platform")).unwrap_err();
        assert!(error.message().contains("no matching manifest for windows/amd64 in the manifest list entries"));
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic_and_a_platform_suits_itself(text in "[a-zA-Z0-9/._-]{0,20}") {
            if let Ok(platform) = parse(&text) {
                prop_assert!(matches(&platform, &platform));
                prop_assert_eq!(parse(&shown(&platform)).expect("shown"), platform);
            }
        }
    }
}
