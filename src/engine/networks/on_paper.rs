//! # Networks on paper: a configuration that others are made from
//!
//! `network create --config-only --subnet … paper` makes no network: it writes down what one would be like. `network create --config-from paper
//! n1` then makes one. It is for settings that belong to a machine and not to a network's name: the card that a macvlan lies upon.
//!
//! ```text
//!   paper   driver null, on no kernel, joined by nobody        n1   pools, options, labels of paper; its own driver, --attachable, --internal
//! ```
//!
//! * What a configuration says cannot be said beside it, and what an operator decides (who may join, over which machines) no configuration
//!   says; in Docker's words.
//!
//! Laws: a configuration that a network was made from is not removed before that network. See: moby `libnetwork/network.go`
//! (validateConfiguration, applyConfigurationTo). Next room: [`crate::networks::create`]

use crate::networks::record::Record;
use minidock_base::{Error, Result};
use minidock_spec::engine::network::NetworkCreate;
use std::sync::Arc;

/// Fills a wish in from the configuration that it names, found by `find`. Gives back that one's name; empty: it names none.
///
/// # Errors
/// 403 in Docker's words: what a configuration cannot say, or what may not be said beside one; 404.
pub fn fill_in(wish: &mut NetworkCreate, find: impl FnOnce(&str) -> Result<Arc<Record>>) -> Result<String> {
    let from = wish.config_from.as_ref().map_or("", |from| from.network.as_str());
    if wish.config_only {
        if !from.is_empty() {
            return Err(Error::forbidden("a configuration network cannot depend on another configuration network"));
        }
        if wish.ingress || wish.internal || wish.attachable || !matches!(wish.scope.as_str(), "" | "local") {
            return Err(Error::forbidden(
                "configuration network can only contain network specific fields. Network operator fields like [ ingress | internal \
                 | attachable | scope ] are not supported.",
            ));
        }
        return Ok(String::new());
    }
    if from.is_empty() {
        return Ok(String::new());
    }
    let ipam = wish.ipam.clone().unwrap_or_default();
    let has_pools = ipam.config.is_some_and(|pools| !pools.is_empty());
    if has_pools || ipam.options.is_some_and(|options| !options.is_empty()) || wish.enable_ipv6 || !wish.labels.is_empty() {
        return Err(Error::forbidden(
            "user specified configurations are not supported if the network depends on a configuration network",
        ));
    }
    if !wish.options.is_empty() {
        return Err(Error::forbidden(
            "network driver options are not supported if the network depends on a configuration network",
        ));
    }
    let config = find(from)?;
    if !config.config_only {
        return Err(Error::forbidden(format!("network {:?} is not a configuration network", config.name)));
    }
    (wish.ipam, wish.enable_ipv6) = (Some(config.ipam.clone()), config.enable_ipv6);
    (wish.labels, wish.options) = (config.labels.clone(), config.options.clone());
    Ok(config.name.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::networks::record::default_networks;
    use minidock_spec::engine::network::{ConfigReference, Ipam, IpamConfig};

    fn ipam(subnet: &str) -> Ipam {
        let pool = IpamConfig { subnet: subnet.into(), ..IpamConfig::default() };
        Ipam { config: Some(vec![pool]), ..Ipam::default() }
    }

    #[test]
    fn a_configuration_says_all_or_nothing() {
        let plain = default_networks(None).remove(0);
        let paper = Record {
            name: "paper".into(),
            config_only: true,
            ipam: ipam("10.1.0.0/16"),
            labels: [("a".to_string(), "b".to_string())].into(),
            ..plain.clone()
        };
        let from = |wish: NetworkCreate, config: &Record| {
            let mut wish = NetworkCreate { config_from: Some(ConfigReference { network: "paper".into() }), ..wish };
            fill_in(&mut wish, |_| Ok(Arc::new(config.clone()))).map(|name| (name, wish)).map_err(|e| e.message())
        };
        let bare = || NetworkCreate { name: "n".into(), ..NetworkCreate::default() };
        let (name, made) = from(bare(), &paper).expect("all from there");
        assert_eq!((name.as_str(), &made.labels, made.ipam.as_ref()), ("paper", &paper.labels, Some(&paper.ipam)));
        assert!(from(bare(), &plain).expect_err("no configuration").contains("is not a configuration network"));
        let words = "user specified configurations are not supported if the network depends on a configuration network";
        assert_eq!(from(NetworkCreate { ipam: Some(ipam("10.2.0.0/16")), ..bare() }, &paper).expect_err("its own pool"), words);
        let only = NetworkCreate { config_only: true, ..bare() };
        assert!(from(only.clone(), &paper).expect_err("both").starts_with("a configuration network cannot depend"));
        let mut inner = NetworkCreate { internal: true, ..only };
        let refused = fill_in(&mut inner, |_| unreachable!("it names none")).expect_err("no such field").message();
        assert!(refused.starts_with("configuration network can only contain network specific fields"), "{refused}");
    }
}
