//! # network connect and disconnect: a container's place on a network
//!
//! A container may live on several networks at once: each gives it an interface of its own, an address, and names under which the others
//! on that network find it. `connect` adds such a place, an *endpoint*, while the container runs or before; `disconnect` takes it away.
//!
//! ```text
//!   network connect --alias db n2 web       POST /networks/n2/connect     {"Container": "web", "EndpointConfig": {"Aliases": ["db"]}}
//!   network disconnect n2 web               POST /networks/n2/disconnect  {"Container": "web", "Force": false}
//! ```
//!
//! *See:* docker/cli `cli/command/network/{connect,disconnect}.go`. *Next room:* [`super::list`]

use crate::{
    container::endpoints::{gw_priority, link},
    each::named,
    flag,
    session::Session,
    volume::pairs,
};
use clap::ArgMatches;
use minidock_base::Result;
use minidock_client::Route;
use minidock_spec::engine::network::{EndpointIpamConfig, EndpointSettings, NetworkConnect, NetworkDisconnect};

/// The flags of `network connect`.
pub fn connect() -> clap::Command {
    flag::command("connect", "[OPTIONS] NETWORK CONTAINER", "Connect a container to a network")
        .arg(flag::list("alias", "strings", "Add network-scoped alias for the container"))
        .arg(flag::list("driver-opt", "strings", "driver options for the network"))
        .arg(flag::text(
            "gw-priority",
            "int",
            "Highest gw-priority provides the default gateway. Accepts positive and negative values.",
        ))
        .arg(flag::text("ip", "string", "IPv4 address (e.g., \"172.30.100.104\")"))
        .arg(flag::text("ip6", "string", "IPv6 address (e.g., \"2001:db8::33\")"))
        .arg(flag::list("link", "list", "Add link to another container"))
        .arg(flag::list("link-local-ip", "strings", "Add a link-local address for the container"))
        .arg(flag::name("NETWORK"))
        .arg(flag::name("CONTAINER"))
}

/// Connects a container to a network.
///
/// # Errors
/// A link that is none; the daemon's refusal.
pub async fn run_connect(m: &ArgMatches, session: &mut Session) -> Result<i32> {
    let (network, container) = both(m)?;
    let body = NetworkConnect { container: container.to_string(), endpoint_config: Some(wish(m)?) };
    session.docker().await?.post::<()>(&Route::new("/networks/{}/connect", [network]), &body).await?;
    Ok(0)
}

fn both(m: &ArgMatches) -> Result<(&str, &str)> {
    let text = |id: &str| flag::text_of(m, id).unwrap_or_default();
    Ok((named("network", text("NETWORK"))?, named("container", text("CONTAINER"))?))
}

/// The endpoint that is wished for.
fn wish(m: &ArgMatches) -> Result<EndpointSettings> {
    let strings = |id: &str| flag::list_of(m, id).iter().flat_map(|v| v.split(',')).map(str::to_string).collect::<Vec<_>>();
    let some = |list: Vec<String>| (!list.is_empty()).then_some(list);
    let text = |id: &str| flag::text_of(m, id).unwrap_or_default().to_string();
    let addresses =
        EndpointIpamConfig { ipv4_address: text("ip"), ipv6_address: text("ip6"), link_local_ips: strings("link-local-ip") };
    let links = flag::list_of(m, "link").iter().map(|value| link(value)).collect::<Result<Vec<_>>>()?;
    let options = pairs(&strings("driver-opt"));
    let priority = match flag::text_of(m, "gw-priority") {
        Some(value) => gw_priority(value)?,
        None => 0,
    };
    Ok(EndpointSettings {
        gw_priority: priority,
        ipam_config: (addresses != EndpointIpamConfig::default()).then_some(addresses),
        links: some(links),
        aliases: some(strings("alias")),
        driver_opts: (!options.is_empty()).then_some(options),
        ..EndpointSettings::default()
    })
}

/// The flags of `network disconnect`.
pub fn disconnect() -> clap::Command {
    flag::command("disconnect", "[OPTIONS] NETWORK CONTAINER", "Disconnect a container from a network")
        .arg(flag::switch("force", "Force the container to disconnect from a network").short('f'))
        .arg(flag::name("NETWORK"))
        .arg(flag::name("CONTAINER"))
}

/// Takes a container off a network.
///
/// # Errors
/// The daemon's refusal.
pub async fn run_disconnect(m: &ArgMatches, session: &mut Session) -> Result<i32> {
    let (network, container) = both(m)?;
    let body = NetworkDisconnect { container: container.to_string(), force: m.get_flag("force") };
    session.docker().await?.post::<()>(&Route::new("/networks/{}/disconnect", [network]), &body).await?;
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::{self, Read};

    fn read(line: &str) -> Result<EndpointSettings> {
        let words: Vec<String> = line.split_whitespace().map(str::to_string).collect();
        match words::read(connect(), "network connect", &words) {
            Ok(Read::Matches(m)) => wish(&m),
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn what_is_wished_of_a_place_is_packed_as_the_api_wants_it() {
        let wish = read("--ip 10.0.0.5 --alias a,b --alias c --link db:data --link x --driver-opt k=v n1 web").expect("a wish");
        assert_eq!(wish.ipam_config.expect("addresses").ipv4_address, "10.0.0.5");
        assert_eq!(wish.aliases, Some(vec!["a".into(), "b".into(), "c".into()]));
        assert_eq!(wish.links, Some(vec!["db:data".into(), "x".into()]));
        assert_eq!(read("n1 web").expect("a wish"), EndpointSettings::default());
        assert_eq!(read("--gw-priority=-5 n1 web").expect("a wish").gw_priority, -5);
        assert!(read("--gw-priority high n1 web").unwrap_err().message().contains("invalid gw-priority: high"));
        assert!(read("--link a:b:c n1 web").unwrap_err().message().ends_with("bad format for links: a:b:c"));
    }
}
