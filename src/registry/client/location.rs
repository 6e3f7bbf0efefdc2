//! # Location: where somebody sends us
//!
//! Registries send us on: to a store in the cloud for a blob's bytes, to another address for an upload. A `Location` may be a whole
//! address, one without its scheme, or a path of the same host; and it is a stranger's word.
//!
//! * [`resolve`] makes an endpoint and a target of it. Whether we go there, and what we say there, is [`super::session`]'s to decide.
//!
//! Law: another host's certificate is looked at, unless that host was named insecure, too. See: RFC 9110 §10.2.2.
//! Next room: [`super::manifest`]

use crate::settings::{Endpoint, RegistryConfig};
use minidock_base::Result;

/// Where a `Location` leads, seen from `from`: an endpoint, and a path with its query.
///
/// # Errors
/// It is no address.
pub fn resolve(from: &Endpoint, location: &str, config: &RegistryConfig) -> Result<(Endpoint, String)> {
    let location = location.trim();
    let whole = match location.strip_prefix("//") {
        Some(rest) => format!("{}://{rest}", if from.secure { "https" } else { "http" }),
        None if location.starts_with('/') => {
            return Ok((Endpoint { prefix: String::new(), mirror_of: None, ..from.clone() }, location.to_string()));
        }
        None => location.to_string(),
    };
    let end = whole.find("://").map_or(0, |at| at + 3);
    let path_at = whole[end..].find(['/', '?', '#']).map_or(whole.len(), |at| end + at);
    let (base, path) = whole.split_at(path_at);
    let mut endpoint = Endpoint::parse(base, true)?;
    endpoint.verify = match endpoint.same_origin(from) {
        true => from.verify,
        false => !config.is_insecure(&endpoint.authority()),
    };
    let path = path.split('#').next().unwrap_or_default();
    let path = if path.starts_with('/') { path.to_string() } else { format!("/{path}") };
    Ok((endpoint, path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_location_is_seen_from_where_it_was_given() {
        let from = Endpoint::parse("https://r.example:8443", true).expect("an address");
        let config = RegistryConfig::default();
        let at = |location: &str| resolve(&from, location, &config).map(|(e, target)| format!("{}{target}", e.address()));
        assert_eq!(at("/v2/x?y=1").expect("good"), "https://r.example:8443/v2/x?y=1");
        assert_eq!(at("https://cdn.example/b?sig=%2F#f").expect("good"), "https://cdn.example/b?sig=%2F");
        assert_eq!(at("//cdn.example?x").expect("good"), "https://cdn.example/?x");
        assert_eq!(at("http://r.example:8443/").expect("good"), "http://r.example:8443/");
        assert!(at("ftp://x/").is_err() && at("x/y").is_err());
        assert!(!resolve(&from, "http://r.example:8443/", &config).expect("good").0.same_origin(&from));
    }

    proptest! {
        #[test]
        fn no_location_makes_it_panic(location in "\\PC{0,60}", tail in "\\PC{0,20}") {
            let from = Endpoint::parse("https://r", true).expect("an address");
            let _ = resolve(&from, &location, &RegistryConfig::default());
            let _ = resolve(&from, &format!("https://{tail}"), &RegistryConfig::default());
        }
    }
}
