//! # Endpoints: which networks, and under which names and addresses
//!
//! `--network` says where a container lives: `none`, `host`, the default, `container:NAME`, or networks by their names, in a
//! short form and a long one. Aliases, links and fixed addresses belong to the container's place on a network, its endpoint. The flags
//! that are older than the long form (`--ip`, `--network-alias`, `--link`, …) speak of the first network.
//!
//! ```text
//!   --network none                               NetworkMode "none"
//!   --network name=n1,alias=db,ip=10.0.0.5       NetworkMode "n1", EndpointsConfig {"n1": {"Aliases": ["db"], …}}
//!   --network n1 --network n2 --ip 10.0.0.5      NetworkMode "n1", EndpointsConfig {"n1": {…}, "n2": {}}
//!   (nothing)                                    NetworkMode "default"
//! ```
//!
//! * A link is a wish of the container: on the default bridge it becomes a line in `/etc/hosts`. On a network of one's own it is a
//!   name there, and so it is the endpoint's too.
//!
//! Laws: which networks there are is the daemon's to say. *See:* docker/cli `opts/network.go`, `container/opts.go`
//! parseNetworkOpts. *Next room:* [`crate::container::names`]

use crate::container::resources::some_of;
use crate::flag::{list_of, text_of};
use clap::ArgMatches;
use minidock_base::{Error, Result};
use minidock_spec::engine::network::{EndpointIpamConfig, EndpointSettings, NetworkingConfig};
use std::net::IpAddr;

/// What the flags of networks come to.
#[derive(Debug, Default)]
pub struct Places {
    /// The first network given; none given is Docker's "default".
    pub mode: String,
    /// What the container is linked to, whichever network that is about.
    pub links: Vec<String>,
    pub networking: NetworkingConfig,
}

/// Reads `--network` and what belongs to it.
///
/// # Errors
/// A field that `--network` does not have, an address that is none, two flags that contradict each other: in Docker's words.
pub fn places(m: &ArgMatches) -> Result<Places> {
    let links = list_of(m, "link").iter().map(|value| link(value)).collect::<Result<Vec<_>>>()?;
    let given = list_of(m, "network");
    let mut wishes = given.iter().map(|value| Wish::parse(value)).collect::<Result<Vec<_>>>()?;
    if wishes.is_empty() {
        wishes.push(Wish { network: "default".into(), place: EndpointSettings::default() });
    }
    let mut places = Places { mode: wishes[0].network.clone(), ..Places::default() };
    older_flags(&mut wishes[0], m)?;
    if is_own(&places.mode) {
        wishes[0].place.links = some_of(links.clone());
    }
    places.links = links;
    let own = wishes.iter().filter(|wish| is_own(&wish.network)).count();
    if own > 0 && own < wishes.len() {
        return Err(Error::invalid("conflicting options: cannot attach both user-defined and non-user-defined network-modes"));
    }
    let alone = wishes.len() == 1;
    for wish in wishes {
        if wish.place.aliases.is_some() && !is_own(&wish.network) {
            return Err(Error::invalid("network-scoped aliases are only supported for user-defined networks"));
        }
        // one network and nothing special about it: the mode says it all
        if alone && wish.place == EndpointSettings::default() {
            break;
        }
        if places.networking.endpoints_config.insert(wish.network.clone(), Some(wish.place)).is_some() {
            return Err(Error::invalid(format!("network {:?} is specified multiple times", wish.network)));
        }
    }
    Ok(places)
}

/// Whether a network mode is a network that somebody made.
fn is_own(mode: &str) -> bool {
    !matches!(mode, "default" | "bridge" | "host" | "none") && !mode.starts_with("container:") && mode != "container"
}

/// One `--network`.
struct Wish {
    network: String,
    place: EndpointSettings,
}

impl Wish {
    /// `NAME`, or `name=NAME,alias=A,ip=1.2.3.4`.
    fn parse(value: &str) -> Result<Wish> {
        let (mut network, mut place, mut ipam) = (String::new(), EndpointSettings::default(), EndpointIpamConfig::default());
        let wrong =
            |why: String| Error::invalid(format!("invalid argument {value:?} for \"--network\" flag: {why}")).hint(LONG_FORM);
        if !value.contains('=') {
            return match value.trim() {
                "" => Err(Error::invalid("no name set for network")),
                name => Ok(Wish { network: name.to_string(), place }),
            };
        }
        for field in value.split(',') {
            let (key, text) = field.split_once('=').ok_or_else(|| wrong(format!("invalid field {field}")))?;
            let (key, text) = (key.trim().to_ascii_lowercase(), text.trim());
            match key.as_str() {
                "name" => network = text.to_string(),
                "alias" => place.aliases.get_or_insert_default().push(text.to_string()),
                "ip" => ipam.ipv4_address = text.to_string(),
                "ip6" => ipam.ipv6_address = text.to_string(),
                "mac-address" => place.mac_address = mac(text)?,
                "gw-priority" => place.gw_priority = gw_priority(text)?,
                "link-local-ip" => ipam.link_local_ips.push(address("link-local-ip", text)?),
                "driver-opt" => {
                    let (option, set) =
                        text.split_once('=').ok_or_else(|| wrong("invalid key value pair format in driver options".into()))?;
                    place.driver_opts.get_or_insert_default().insert(option.trim().to_string(), set.trim().to_string());
                }
                _ => return Err(wrong(format!("invalid field key {key}"))),
            }
        }
        if network.is_empty() {
            return Err(wrong("network name/id is not specified".into()));
        }
        place.ipam_config = (ipam != EndpointIpamConfig::default()).then_some(ipam);
        Ok(Wish { network, place })
    }
}

/// Which network the way out leads over.
///
/// # Errors
/// What is no number.
pub fn gw_priority(text: &str) -> Result<i64> {
    text.parse()
        .map_err(|_| Error::invalid(format!("invalid gw-priority: {text}")).hint("a whole number; the highest leads out"))
}

const LONG_FORM: &str = "--network name=NAME,alias=NAME,ip=ADDRESS,ip6=ADDRESS,mac-address=MAC,gw-priority=NUMBER";

/// `--network-alias`, `--ip` and their kin: about the first network, and not what its long form says already.
fn older_flags(first: &mut Wish, m: &ArgMatches) -> Result<()> {
    let conflict = |flag: &str, what: &str| {
        Err(Error::invalid(format!("conflicting options: cannot specify both --{flag} and per-network {what}")))
    };
    let place = &mut first.place;
    let aliases = list_of(m, "network-alias");
    if !aliases.is_empty() {
        if place.aliases.is_some() {
            return conflict("network-alias", "alias");
        }
        place.aliases = Some(aliases);
    }
    let mut ipam = place.ipam_config.take().unwrap_or_default();
    for (flag, kept, what) in [("ip", &mut ipam.ipv4_address, "IPv4 address"), ("ip6", &mut ipam.ipv6_address, "IPv6 address")]
    {
        if let Some(text) = text_of(m, flag) {
            if !kept.is_empty() {
                return conflict(flag, what);
            }
            *kept = text.to_string();
        }
    }
    let local = list_of(m, "link-local-ip").iter().map(|text| address("link-local-ip", text)).collect::<Result<Vec<_>>>()?;
    if !local.is_empty() {
        if !ipam.link_local_ips.is_empty() {
            return conflict("link-local-ip", "link-local IP addresses");
        }
        ipam.link_local_ips = local;
    }
    place.ipam_config = (ipam != EndpointIpamConfig::default()).then_some(ipam);
    if let Some(text) = text_of(m, "mac-address").filter(|text| !text.is_empty()) {
        if !place.mac_address.is_empty() {
            return conflict("mac-address", "MAC address");
        }
        place.mac_address = mac(text)?;
    }
    Ok(())
}

fn address(flag: &str, text: &str) -> Result<String> {
    match text.parse::<IpAddr>() {
        Ok(_) => Ok(text.to_string()),
        Err(_) => Err(Error::invalid(format!("invalid argument {text:?} for \"--{flag}\" flag: {text} is not an ip address"))),
    }
}

/// A MAC address in any of the three ways people write one.
///
/// # Errors
/// Docker's `… is not a valid mac address`.
pub fn mac(text: &str) -> Result<String> {
    let bytes: Option<Vec<&str>> = match text.trim() {
        t if t.contains(':') => Some(t.split(':').collect()),
        t if t.contains('-') => Some(t.split('-').collect()),
        t => t
            .split('.')
            .map(|pair| Some([pair.get(..2)?, pair.get(2..)?]))
            .collect::<Option<Vec<_>>>()
            .map(|pairs| pairs.concat()),
    };
    let good = |byte: &str| byte.len() == 2 && byte.bytes().all(|b| b.is_ascii_hexdigit());
    match bytes {
        Some(bytes) if bytes.len() == 6 && bytes.iter().all(|byte| good(byte)) => Ok(text.trim().to_string()),
        _ => Err(Error::invalid(format!("{text} is not a valid mac address")).hint("six bytes, as 92:d0:c6:0a:29:33")),
    }
}

/// A link as typed: `NAME`, or `NAME:ALIAS`.
///
/// # Errors
/// Docker's `bad format for links`.
pub fn link(value: &str) -> Result<String> {
    match value.split(':').collect::<Vec<_>>().as_slice() {
        [name] | [name, _] if !name.is_empty() => Ok(value.to_string()),
        [_] => Err(wrong_link(value, "empty string specified for links".into())),
        _ => Err(wrong_link(value, format!("bad format for links: {value}"))),
    }
}

fn wrong_link(value: &str, why: String) -> Error {
    Error::invalid(format!("invalid argument {value:?} for \"--link\" flag: {why}"))
        .hint("--link CONTAINER or --link CONTAINER:ALIAS")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        container::run,
        words::{self, Read},
    };
    use proptest::prelude::*;

    fn read(line: &str) -> Result<Places> {
        let words: Vec<String> = line.split_whitespace().chain(["image"]).map(str::to_string).collect();
        match words::read(run::command(), "run", &words) {
            Ok(Read::Matches(m)) => places(&m),
            other => panic!("{line}: {other:?}"),
        }
    }

    fn place(line: &str, network: &str) -> EndpointSettings {
        let mut places = read(line).expect("places").networking.endpoints_config;
        places.remove(network).flatten().unwrap_or_else(|| panic!("{line} says nothing about {network}"))
    }

    #[test]
    fn a_plain_network_is_a_mode_and_nothing_else() {
        for (line, mode) in
            [("", "default"), ("--network n1", "n1"), ("--net host", "host"), ("--network container:web", "container:web")]
        {
            let places = read(line).expect("places");
            assert_eq!((places.mode.as_str(), places.networking.endpoints_config.len()), (mode, 0), "{line}");
        }
    }

    #[test]
    fn the_long_form_says_name_alias_and_address() {
        let long = place("--network name=n1,alias=a,alias=b,ip=10.0.0.5,mac-address=02:42:0a:00:00:05,driver-opt=k=v", "n1");
        assert_eq!(long.aliases, Some(vec!["a".into(), "b".into()]));
        assert_eq!(long.ipam_config.expect("given").ipv4_address, "10.0.0.5");
        assert_eq!((long.mac_address.as_str(), long.driver_opts.expect("given")["k"].as_str()), ("02:42:0a:00:00:05", "v"));
    }

    #[test]
    fn the_older_flags_speak_of_the_first_network() {
        let line = "--network n1 --network n2 --ip 10.0.0.5 --network-alias db --link web:w";
        let first = place(line, "n1");
        assert_eq!((first.aliases, first.links), (Some(vec!["db".into()]), Some(vec!["web:w".into()])));
        assert_eq!(first.ipam_config.expect("given").ipv4_address, "10.0.0.5");
        assert_eq!(place(line, "n2"), EndpointSettings::default());
        assert_eq!(place("--ip 10.0.0.5", "default").ipam_config.expect("given").ipv4_address, "10.0.0.5");
        assert_eq!(read("--link web").expect("places").links, ["web"], "on the default bridge a link is the container's");
    }

    #[test]
    fn contradictions_and_nonsense_are_refused_in_dockers_words() {
        let why = |line: &str| read(line).unwrap_err().message();
        assert_eq!(
            why("--network name=n,alias=a --network-alias b"),
            "conflicting options: cannot specify both --network-alias and per-network alias"
        );
        assert_eq!(
            why("--network name=n,ip=1.1.1.1 --ip 2.2.2.2"),
            "conflicting options: cannot specify both --ip and per-network IPv4 address"
        );
        let mixed = "conflicting options: cannot attach both user-defined and non-user-defined network-modes";
        assert_eq!(why("--network host --network n"), mixed);
        assert_eq!(why("--network n --network n"), "network \"n\" is specified multiple times");
        let aliases = "network-scoped aliases are only supported for user-defined networks";
        assert_eq!((why("--network-alias a"), why("--network host --network-alias a")), (aliases.into(), aliases.into()));
        assert_eq!(why("--mac-address foo"), "foo is not a valid mac address");
        assert!(why("--link a:b:c").ends_with("bad format for links: a:b:c"));
        assert!(why("--network name=n,colour=red").ends_with("invalid field key colour"));
        assert!(why("--network alias=n").ends_with("network name/id is not specified"));
    }

    #[test]
    fn a_mac_address_is_written_in_three_ways() {
        for good in ["02:42:ac:11:00:02", "02-42-AC-11-00-02", "0242.ac11.0002"] {
            assert_eq!(mac(good).expect("a MAC address"), good);
        }
        for bad in ["", "02:42:ac:11:00", "02:42:ac:11:00:0g", "0242ac110002", "02:42-ac:11:00:02", "0242.ac11.00ä2"] {
            assert!(mac(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_the_reader_of_networks_panic(text in "(\\PC{0,20}|(name|alias|ip|mac-address)=[^,]{0,8}(,\\PC{0,9}){0,3})") {
            let _ = (Wish::parse(&text), mac(&text), link(&text));
        }
    }
}
