//! # A wish for a network: refuse early, in Docker's words
//!
//! `network create` brings a name, a driver and perhaps pools. Whatever can be known to be wrong without asking the kernel is
//! refused here, all faults of the pools at once, as Docker lists them; what remains is a [`Draft`] whose pools are
//! values, not texts.
//!
//! * Which pools are free is the next question, and is asked under the lock that keeps two networks from getting the same
//!   ([`crate::networks::create`]).
//! * What a configuration says ([`crate::networks::on_paper`]) has been filled in before.
//! * Drivers of other engines (`overlay` outside a swarm, `ipvlan`, plugins) are refused by name.
//!
//! See: moby `daemon/network.go`, `api/types/network/ipam.go` (ValidateIPAM). Next room: [`crate::networks::create`]

use crate::networks::{
    macvlan,
    options::BridgeOptions,
    record::{Driver, is_predefined},
};
use minidock_base::{Error, Result};
use minidock_network::model::{Net, Subnet};
use minidock_spec::engine::network::{Ipam, IpamConfig, NetworkCreate};
use std::net::IpAddr;

/// A network that makes sense on paper.
#[derive(Clone, Debug, PartialEq)]
pub struct Draft {
    pub driver: Driver,
    pub options: BridgeOptions,
    /// As the API will show it.
    pub ipam: Ipam,
    /// The pools that were asked for; gateways only where they were given.
    pub pools: Vec<Subnet>,
}

/// Reads a wish.
///
/// # Errors
/// 403 for predefined names, drivers of which there is only one, and what is a swarm's; 400 for pools and options that make
/// no sense; 404 for a driver nobody knows; 501 for what this engine leaves out.
pub fn read(wish: &NetworkCreate) -> Result<Draft> {
    if is_predefined(&wish.name) {
        return Err(Error::forbidden(format!("operation is not permitted on predefined {} network ", wish.name)));
    }
    let driver = driver(wish)?;
    let ipam = wish.ipam.clone().unwrap_or_default();
    let asked = ipam.config.clone().unwrap_or_default();
    let faults: Vec<String> = asked.iter().flat_map(|pool| faults(pool, wish.enable_ipv6)).collect();
    if !faults.is_empty() {
        return Err(Error::invalid(format!("invalid network config:\n{}", join(&faults))));
    }
    if wish.name.trim().is_empty() {
        return Err(Error::invalid(format!("invalid name: {}", wish.name)));
    }
    if !matches!(ipam.driver.as_str(), "" | "default") {
        return Err(Error::not_found(format!("failed to get default address space: unknown ipam type {:?}", ipam.driver))
            .hint("the only IPAM driver here is default"));
    }
    let mut pools = Vec::new();
    for pool in &asked {
        // without --ipv6 Docker lets an IPv6 pool pass and does not use it
        let subnet = pool_of(pool)?;
        if subnet.subnet.is_v4() || wish.enable_ipv6 {
            pools.push(subnet);
        }
    }
    if driver == Driver::Bridge && pools.iter().filter(|p| p.subnet.is_v4()).count() > 1 {
        return Err(Error::forbidden("bridge driver doesn't support multiple subnets"));
    }
    if driver == Driver::Macvlan {
        macvlan::Upon::read(&wish.options)?;
    }
    Ok(Draft {
        driver,
        options: BridgeOptions::read(&wish.options)?,
        ipam: Ipam { driver: "default".into(), options: ipam.options, config: Some(asked) },
        pools,
    })
}

fn driver(wish: &NetworkCreate) -> Result<Driver> {
    if wish.config_only {
        return Ok(Driver::Null);
    }
    match wish.driver.as_str() {
        "" | "bridge" if wish.ingress => Err(Error::forbidden("Ingress network can only be global scope network")),
        "" | "bridge" => match wish.scope.as_str() {
            "" | "local" => Ok(Driver::Bridge),
            "swarm" => Err(Error::forbidden("cannot create a swarm scoped network when swarm is not active")),
            other => Err(Error::invalid(format!("invalid scope: {other:?}"))),
        },
        single @ ("host" | "null") => Err(Error::forbidden(format!("only one instance of {single:?} network is allowed"))),
        "none" => Err(Error::forbidden("only one instance of \"null\" network is allowed")),
        "overlay" => Err(Error::forbidden(
            "This node is not a swarm manager. Use \"docker swarm init\" or \"docker swarm join\" to connect this node to swarm \
             and try again.",
        )),
        "macvlan" => match wish.scope.as_str() {
            "" | "local" => Ok(Driver::Macvlan),
            _ => Err(Error::not_implemented("a macvlan network over many machines is left out of this engine")
                .hint("--driver overlay")),
        },
        "ipvlan" => Err(Error::not_implemented("the ipvlan driver is left out of this engine")
            .hint("--driver macvlan: members upon the same parent, each with a MAC of its own")),
        other => Err(Error::not_found(format!("plugin {other:?} not found"))
            .hint("the drivers here: bridge, macvlan, host, null; overlay in a swarm")),
    }
}

/// Several faults as Docker lists them.
pub fn join(faults: &[String]) -> String {
    match faults {
        [one] => one.trim().to_string(),
        many => format!("* {}", many.iter().map(|f| f.replace('\n', "\n\t")).collect::<Vec<_>>().join("\n* ")),
    }
}

fn faults(pool: &IpamConfig, ipv6: bool) -> Vec<String> {
    let Ok((first, subnet)) = Net::parse_loosely(&pool.subnet) else {
        return vec![format!("invalid subnet {}: invalid CIDR block notation", pool.subnet)];
    };
    if !ipv6 && !subnet.is_v4() {
        return Vec::new();
    }
    let mut all = Vec::new();
    if first != subnet.address() {
        all.push(format!("invalid subnet {}: it should be {subnet}", pool.subnet));
    }
    all.extend(range_faults(&pool.ip_range, &subnet));
    let mut address = |text: &str, what: String| {
        if let Some(why) = address_fault(text, &subnet) {
            all.push(format!("invalid {what}: {why}"));
        }
    };
    address(&pool.gateway, format!("gateway {}", pool.gateway));
    for (name, text) in &pool.auxiliary_addresses {
        address(text, format!("auxiliary address {name}"));
    }
    all
}

fn family(subnet: &Net) -> &'static str {
    if subnet.is_v4() { "IPv4" } else { "IPv6" }
}

fn range_faults(text: &str, subnet: &Net) -> Vec<String> {
    if text.is_empty() {
        return Vec::new();
    }
    let Ok((first, range)) = Net::parse_loosely(text) else {
        return vec![format!("invalid ip-range {text}: invalid CIDR block notation")];
    };
    if range.is_v4() != subnet.is_v4() {
        return vec![format!("invalid ip-range {text}: parent subnet is an {} block", family(subnet))];
    }
    let mut all = Vec::new();
    if range.prefix() < subnet.prefix() {
        all.push(format!("invalid ip-range {text}: CIDR block is bigger than its parent subnet {subnet}"));
    }
    if first != range.address() {
        all.push(format!("invalid ip-range {text}: it should be {range}"));
    }
    if !subnet.overlaps(&range) {
        all.push(format!("invalid ip-range {text}: parent subnet {subnet} doesn't contain ip-range"));
    }
    all
}

fn address_fault(text: &str, subnet: &Net) -> Option<String> {
    if text.is_empty() {
        return None;
    }
    let Ok(address) = text.parse::<IpAddr>() else { return Some("invalid address".into()) };
    if address.is_ipv4() != subnet.is_v4() {
        return Some(format!("parent subnet is an {} block", family(subnet)));
    }
    (!subnet.contains(address)).then(|| format!("parent subnet {subnet} doesn't contain this address"))
}

/// A pool without faults, as a value.
fn pool_of(pool: &IpamConfig) -> Result<Subnet> {
    let subnet = Net::parse_loosely(&pool.subnet)?.1;
    let range = (!pool.ip_range.is_empty()).then(|| Net::parse_loosely(&pool.ip_range)).transpose()?.map(|(_, net)| net);
    // those of an IPv6 pool that is not used were not looked at
    let aux = pool.auxiliary_addresses.iter().filter_map(|(name, text)| Some((name.clone(), text.parse().ok()?))).collect();
    Ok(Subnet { subnet, gateway: pool.gateway.parse().ok(), range, aux })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn wish(subnet: &str, range: &str, gateway: &str) -> NetworkCreate {
        let pool =
            IpamConfig { subnet: subnet.into(), ip_range: range.into(), gateway: gateway.into(), ..IpamConfig::default() };
        let ipam = Some(Ipam { config: Some(vec![pool]), ..Ipam::default() });
        NetworkCreate { name: "n".into(), ipam, ..NetworkCreate::default() }
    }

    fn why(wish: &NetworkCreate) -> String {
        read(wish).expect_err("nonsense").message()
    }

    #[test]
    fn pools_that_make_no_sense_are_refused_in_dockers_words() {
        assert_eq!(
            why(&wish("10.0.0.0", "", "")),
            "invalid network config:\ninvalid subnet 10.0.0.0: invalid CIDR block notation"
        );
        assert_eq!(
            why(&wish("10.1.2.3/16", "10.0.0.0/8", "10.9.0.1")),
            "invalid network config:\n* invalid subnet 10.1.2.3/16: it should be 10.1.0.0/16\n\
             * invalid ip-range 10.0.0.0/8: CIDR block is bigger than its parent subnet 10.1.0.0/16\n\
             * invalid gateway 10.9.0.1: parent subnet 10.1.0.0/16 doesn't contain this address"
        );
        assert!(why(&wish("10.1.0.0/16", "fd00::/64", "")).ends_with("parent subnet is an IPv4 block"));
        let good = read(&wish("10.1.0.0/16", "10.1.5.0/24", "10.1.5.254")).expect("good pools");
        assert_eq!(good.pools[0].gateway, "10.1.5.254".parse().ok());
        let v6 = wish("fd00::1/64", "", "");
        assert!(read(&v6).expect("not used without --ipv6").pools.is_empty());
        assert!(why(&NetworkCreate { enable_ipv6: true, ..v6 }).contains("it should be fd00::/64"));
    }

    #[test]
    fn names_and_drivers_that_are_not_to_be_had_are_refused() {
        let named = |name: &str, driver: &str| NetworkCreate { name: name.into(), driver: driver.into(), ..Default::default() };
        assert_eq!(why(&named("host", "")), "operation is not permitted on predefined host network ");
        assert_eq!(why(&named(" ", "")), "invalid name:  ");
        assert_eq!(why(&named("n", "host")), "only one instance of \"host\" network is allowed");
        assert_eq!(why(&named("n", "weave")), "plugin \"weave\" not found");
        assert!(why(&named("n", "overlay")).starts_with("This node is not a swarm manager."));
        let mut two = wish("10.1.0.0/16", "", "");
        if let Some(pools) = two.ipam.as_mut().and_then(|i| i.config.as_mut()) {
            pools.push(IpamConfig { subnet: "10.2.0.0/16".into(), ..IpamConfig::default() });
        }
        assert_eq!(why(&two), "bridge driver doesn't support multiple subnets");
    }

    proptest! {
        #[test]
        fn no_pool_makes_the_reader_panic(subnet in "\\PC{0,20}", range in "[0-9a-f.:/]{0,20}", gateway in "[0-9a-f.:/]{0,20}", v6: bool) {
            let _ = read(&NetworkCreate { enable_ipv6: v6, ..wish(&subnet, &range, &gateway) });
            let _ = read(&NetworkCreate { enable_ipv6: v6, ..wish("10.0.0.0/8", &range, &gateway) });
        }
    }
}
