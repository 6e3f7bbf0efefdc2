//! # network create: a network of one's own
//!
//! Most networks are made by their name alone: the daemon finds a subnet that is free. Who wants to choose gives a subnet, and for
//! each subnet a gateway, a range to take addresses from, and addresses that others have already. The flags are not typed in pairs:
//! what belongs to which subnet is found by looking which subnet holds the address.
//!
//! ```text
//!   --subnet 10.0.0.0/24 --subnet fd00::/64
//!   --gateway 10.0.0.254                        ──► {"Subnet": "10.0.0.0/24", "Gateway": "10.0.0.254"}
//!   --aux-address printer=fd00::9               ──► {"Subnet": "fd00::/64", "AuxiliaryAddresses": {"printer": "fd00::9"}}
//! ```
//!
//! Laws: subnets in the order typed; two of them never overlap; nothing is left over. *See:* docker/cli
//! `cli/command/network/create.go` consolidateIpam. *Next room:* [`super::endpoint`]

use crate::{container::environment, flag, session::Session, terminal, volume::pairs};
use clap::ArgMatches;
use minidock_base::{Error, Result};
use minidock_client::Route;
use minidock_spec::engine::network::{ConfigReference, Ipam, IpamConfig, NetworkCreate, NetworkCreated};
use std::net::IpAddr;

/// The flags of `network create`.
pub fn command() -> clap::Command {
    flag::command("create", "[OPTIONS] NETWORK", "Create a network")
        .arg(flag::switch("attachable", "Enable manual container attachment"))
        .arg(flag::list("aux-address", "map", "Auxiliary IPv4 or IPv6 addresses used by Network driver (default map[])"))
        .arg(flag::text("config-from", "string", "The network from which to copy the configuration"))
        .arg(flag::switch("config-only", "Create a configuration only network"))
        .arg(flag::text("driver", "string", "Driver to manage the Network (default \"bridge\")").short('d'))
        .arg(flag::list("gateway", "strings", "IPv4 or IPv6 Gateway for the master subnet"))
        .arg(flag::switch("ingress", "Create swarm routing-mesh network"))
        .arg(flag::switch("internal", "Restrict external access to the network"))
        .arg(flag::list("ip-range", "strings", "Allocate container ip from a sub-range"))
        .arg(flag::text("ipam-driver", "string", "IP Address Management Driver (default \"default\")"))
        .arg(flag::list("ipam-opt", "map", "Set IPAM driver specific options (default map[])"))
        .arg(flag::on("ipv4", "Enable or disable IPv4 address assignment (default true)"))
        .arg(flag::switch("ipv6", "Enable or disable IPv6 address assignment"))
        .arg(flag::list("label", "list", "Set metadata on a network"))
        .arg(flag::list("opt", "map", "Set driver specific options (default map[])").short('o'))
        .arg(flag::text("scope", "string", "Control the network's scope"))
        .arg(flag::list("subnet", "strings", "Subnet in CIDR format that represents a network segment"))
        .arg(flag::name("NETWORK"))
}

/// Makes a network and prints its id.
///
/// # Errors
/// Addresses that belong to no subnet; the daemon's refusal.
pub async fn run(m: &ArgMatches, session: &mut Session) -> Result<i32> {
    let body = body(m)?;
    let made: NetworkCreated = session.docker().await?.post(&Route::new("/networks/create", []), &body).await?;
    if !made.warning.is_empty() {
        terminal::eprint(&format!("WARNING: {}\n", made.warning));
    }
    terminal::print(&format!("{}\n", made.id));
    Ok(0)
}

/// What `POST /networks/create` is told.
fn body(m: &ArgMatches) -> Result<NetworkCreate> {
    if !flag::is_on(m, "ipv4") {
        return Err(Error::not_implemented("a network without IPv4 is not part of minidock").hint("--ipv6 adds IPv6 to it"));
    }
    let text = |id: &str| flag::text_of(m, id).unwrap_or_default().to_string();
    let or = |id: &str, default: &str| flag::text_of(m, id).unwrap_or(default).to_string();
    let typed = Typed {
        subnets: strings(m, "subnet"),
        gateways: strings(m, "gateway"),
        ranges: strings(m, "ip-range"),
        others: flag::list_of(m, "aux-address"),
    };
    Ok(NetworkCreate {
        name: text("NETWORK"),
        driver: or("driver", "bridge"),
        scope: text("scope"),
        enable_ipv6: m.get_flag("ipv6"),
        ipam: Some(Ipam {
            driver: or("ipam-driver", "default"),
            options: Some(pairs(&flag::list_of(m, "ipam-opt"))),
            config: Some(typed.pools()?),
        }),
        internal: m.get_flag("internal"),
        attachable: m.get_flag("attachable"),
        ingress: m.get_flag("ingress"),
        config_only: m.get_flag("config-only"),
        config_from: flag::text_of(m, "config-from").map(|network| ConfigReference { network: network.into() }),
        options: pairs(&flag::list_of(m, "opt")),
        labels: environment::labels(&[], &flag::list_of(m, "label"))?,
        ..NetworkCreate::default()
    })
}

/// A list flag that may also be written with commas.
fn strings(m: &ArgMatches, id: &str) -> Vec<String> {
    flag::list_of(m, id).iter().flat_map(|value| value.split(',')).map(str::to_string).collect()
}

/// The addresses as typed.
#[derive(Default)]
struct Typed {
    subnets: Vec<String>,
    gateways: Vec<String>,
    ranges: Vec<String>,
    others: Vec<String>,
}

impl Typed {
    /// The API's list of pools: each address with the subnet that holds it.
    fn pools(&self) -> Result<Vec<IpamConfig>> {
        if self.subnets.len() < self.ranges.len() || self.subnets.len() < self.gateways.len() {
            return Err(Error::invalid("every ip-range or gateway must have a corresponding subnet")
                .hint("--subnet 10.10.0.0/24 --gateway 10.10.0.1"));
        }
        let mut pools: Vec<IpamConfig> = Vec::new();
        for subnet in &self.subnets {
            for other in pools.iter().map(|pool| &pool.subnet) {
                if holds(other, subnet)? || holds(subnet, other)? {
                    return Err(Error::invalid("multiple overlapping subnet configuration is not supported"));
                }
            }
            pools.push(IpamConfig { subnet: subnet.clone(), ..IpamConfig::default() });
        }
        for range in &self.ranges {
            let pool = pool_of(&mut pools, range, "range")?;
            let (first, subnet) = (&pool.ip_range, &pool.subnet);
            if !first.is_empty() {
                return Err(Error::invalid(format!(
                    "cannot configure multiple ranges ({range}, {first}) on the same subnet ({subnet})"
                )));
            }
            pool.ip_range = range.clone();
        }
        for gateway in &self.gateways {
            let pool = pool_of(&mut pools, gateway, "gateway")?;
            let (first, subnet) = (&pool.gateway, &pool.subnet);
            if !first.is_empty() {
                return Err(Error::invalid(format!(
                    "cannot configure multiple gateways ({gateway}, {first}) for the same subnet ({subnet})"
                )));
            }
            pool.gateway = gateway.clone();
        }
        for other in &self.others {
            let (name, address) = other.split_once('=').unwrap_or((other, ""));
            let pool = pool_of(&mut pools, address, "aux-address")?;
            pool.auxiliary_addresses.insert(name.to_string(), address.to_string());
        }
        Ok(pools)
    }
}

/// The pool whose subnet holds `address`.
fn pool_of<'a>(pools: &'a mut [IpamConfig], address: &str, what: &str) -> Result<&'a mut IpamConfig> {
    for pool in pools {
        if holds(&pool.subnet, address)? {
            return Ok(pool);
        }
    }
    Err(Error::invalid(format!("no matching subnet for {what} {address}")))
}

/// Whether a subnet holds an address, or the first address of another subnet. What is no address is held by none.
fn holds(subnet: &str, what: &str) -> Result<bool> {
    let (net, length) =
        cidr(subnet).ok_or_else(|| Error::invalid(format!("invalid subnet: invalid CIDR address: {subnet}")))?;
    let address = match what.contains('/') {
        true => cidr(what).ok_or_else(|| Error::invalid(format!("invalid CIDR address: {what}")))?.0,
        false => match what.parse() {
            Ok(address) => address,
            Err(_) => return Ok(false),
        },
    };
    Ok(match (net, address) {
        (IpAddr::V4(net), IpAddr::V4(address)) => {
            let mask = u32::MAX.checked_shl(32 - length).unwrap_or(0);
            u32::from(net) & mask == u32::from(address) & mask
        }
        (IpAddr::V6(net), IpAddr::V6(address)) => {
            let mask = u128::MAX.checked_shl(128 - length).unwrap_or(0);
            u128::from(net) & mask == u128::from(address) & mask
        }
        _ => false,
    })
}

fn cidr(text: &str) -> Option<(IpAddr, u32)> {
    let (address, length) = text.split_once('/')?;
    let address: IpAddr = address.parse().ok()?;
    let most = if address.is_ipv4() { 32 } else { 128 };
    let length: u32 = length.parse().ok().filter(|length| *length <= most && text.is_ascii())?;
    Some((address, length))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::{self, Read};
    use proptest::prelude::*;
    use serde_json::json;

    fn read(line: &str) -> Result<serde_json::Value> {
        let words: Vec<String> = line.split_whitespace().map(str::to_string).collect();
        match words::read(command(), "network create", &words) {
            Ok(Read::Matches(m)) => Ok(serde_json::to_value(body(&m)?).expect("JSON")),
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn a_name_alone_leaves_everything_to_the_daemon() {
        let body = read("n1").expect("a body");
        assert_eq!((body["Name"].as_str(), body["Driver"].as_str()), (Some("n1"), Some("bridge")));
        assert_eq!(body["IPAM"], json!({ "Driver": "default", "Options": {}, "Config": [] }));
        assert_eq!((&body["EnableIPv6"], &body["ConfigFrom"]), (&json!(false), &json!(null)));
    }

    #[test]
    fn every_address_finds_its_subnet() {
        let line = "--subnet 10.0.0.0/24,fd00::/64 --ipv6 --gateway 10.0.0.1 --ip-range 10.0.0.128/25 --aux-address a=10.0.0.5 \
                    --aux-address b=fd00::9 --label x=y --label z -o k=v --internal --attachable -d bridge n";
        let body = read(line).expect("a body");
        assert_eq!(
            body["IPAM"]["Config"],
            json!([
                { "Subnet": "10.0.0.0/24", "IPRange": "10.0.0.128/25", "Gateway": "10.0.0.1", "AuxiliaryAddresses": { "a": "10.0.0.5" } },
                { "Subnet": "fd00::/64", "AuxiliaryAddresses": { "b": "fd00::9" } },
            ])
        );
        assert_eq!((&body["Labels"], &body["Options"]), (&json!({ "x": "y", "z": "" }), &json!({ "k": "v" })));
        assert_eq!((&body["EnableIPv6"], &body["Internal"]), (&json!(true), &json!(true)));
    }

    #[test]
    fn what_fits_nowhere_is_refused_in_dockers_words() {
        let why = |line: &str| read(line).unwrap_err().message();
        assert_eq!(why("--gateway 10.0.0.1 x"), "every ip-range or gateway must have a corresponding subnet");
        assert_eq!(why("--subnet 10.0.0.0/24 --gateway 10.1.0.1 x"), "no matching subnet for gateway 10.1.0.1");
        assert_eq!(why("--subnet 10.0.0.0/24 --gateway foo x"), "no matching subnet for gateway foo");
        assert_eq!(why("--subnet 10.0.0.0/24 --ip-range 10.1.0.0/25 x"), "no matching subnet for range 10.1.0.0/25");
        assert_eq!(why("--subnet 10.0.0.0/24 --ip-range 10.0.0.0/foo x"), "invalid CIDR address: 10.0.0.0/foo");
        assert_eq!(why("--subnet foo --gateway 1.1.1.1 x"), "invalid subnet: invalid CIDR address: foo");
        assert_eq!(why("--aux-address a=10.0.0.1 x"), "no matching subnet for aux-address 10.0.0.1");
        let overlap = "multiple overlapping subnet configuration is not supported";
        assert_eq!(why("--subnet 10.0.0.0/16 --subnet 10.0.1.0/24 x"), overlap);
        assert_eq!(why("--subnet 10.0.1.0/24 --subnet 10.0.0.0/16 x"), overlap);
        assert_eq!(
            why("--subnet 10.0.0.0/24 --subnet 10.0.1.0/24 --gateway 10.0.0.1 --gateway 10.0.0.2 x"),
            "cannot configure multiple gateways (10.0.0.2, 10.0.0.1) for the same subnet (10.0.0.0/24)"
        );
        assert_eq!(
            why("--subnet 10.0.0.0/24 --subnet 10.0.1.0/24 --ip-range 10.0.0.0/26 --ip-range 10.0.0.64/26 x"),
            "cannot configure multiple ranges (10.0.0.64/26, 10.0.0.0/26) on the same subnet (10.0.0.0/24)"
        );
        assert_eq!(why("--label =x x"), "invalid label: =x");
    }

    proptest! {
        #[test]
        fn no_text_makes_the_reader_of_addresses_panic(a in "[0-9a-f./:]{0,20}", b in "\\PC{0,12}") {
            let typed = Typed { subnets: vec![a.clone(), b.clone()], gateways: vec![a], ranges: vec![b], ..Typed::default() };
            let _ = typed.pools();
        }
    }
}
