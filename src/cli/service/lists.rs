//! # Lists: what an update adds and takes away
//!
//! `--env-add A=2 --env-rm B`: each list of a spec has two flags, and each list its own idea of what two entries have in common: a variable
//! its name, a mount its target, a port its number inside, a host its name and perhaps its address.
//!
//! Laws: what is taken away is taken away last, so that adding and removing one thing removes it (ports and labels the other way
//! round, as Docker has it); lists whose order means nothing come out sorted. *See:* docker/cli
//! `cli/command/service/update.go`. *Next room:* [`super::update`]

use super::{
    change::Found,
    spec::{ulimits, variable_name, variables},
    values,
};
use crate::{flag::list_of, words::is_given};
use clap::ArgMatches;
use minidock_base::{Error, Result};
use minidock_spec::{
    engine::container::{MountRequest, Ulimit},
    swarm::{
        container::{ContainerSpec, DnsConfig},
        service::EndpointPort,
        task::NetworkAttachmentConfig,
    },
};
use std::collections::BTreeMap;

fn given(m: &ArgMatches, what: &str) -> bool {
    is_given(m, &format!("{what}-add")) || is_given(m, &format!("{what}-rm"))
}

/// Labels: `--what-rm key`, then `--what-add key=value`.
pub fn pairs(m: &ArgMatches, what: &str, all: &mut BTreeMap<String, String>) {
    for key in list_of(m, &format!("{what}-rm")) {
        all.remove(&key);
    }
    all.extend(values::all::<(String, String)>(m, &format!("{what}-add")));
}

/// Plain texts: added, taken away, sorted, each once.
pub fn texts(m: &ArgMatches, what: &str, all: &mut Vec<String>) {
    all.extend(list_of(m, &format!("{what}-add")));
    without(m, what, all);
}

fn without(m: &ArgMatches, what: &str, all: &mut Vec<String>) {
    let gone = list_of(m, &format!("{what}-rm"));
    all.retain(|text| !gone.contains(text));
    all.sort();
    all.dedup();
}

/// All lists of the container.
///
/// # Errors
/// A variable without a name; two mounts at one place.
pub fn container(m: &ArgMatches, container: &mut ContainerSpec) -> Result<()> {
    pairs(m, "container-label", &mut container.labels);
    environment(m, &mut container.env)?;
    if given(m, "mount") {
        mounts(m, &mut container.mounts)?;
    }
    if given(m, "group") {
        texts(m, "group", &mut container.groups);
    }
    if ["dns", "dns-option", "dns-search"].iter().any(|what| given(m, what)) {
        let dns = container.dns_config.get_or_insert_with(DnsConfig::default);
        dns.nameservers.extend(values::all::<String>(m, "dns-add"));
        without(m, "dns", &mut dns.nameservers);
        dns.search.extend(values::all::<String>(m, "dns-search-add"));
        without(m, "dns-search", &mut dns.search);
        texts(m, "dns-option", &mut dns.options);
    }
    if given(m, "host") {
        hosts(m, &mut container.hosts);
    }
    for key in list_of(m, "sysctl-rm") {
        container.sysctls.remove(variable_name(&key));
    }
    container.sysctls.extend(crate::volume::pairs(&list_of(m, "sysctl-add")));
    if given(m, "ulimit") {
        let gone = list_of(m, "ulimit-rm");
        container.ulimits.retain(|limit| !gone.iter().any(|name| variable_name(name) == limit.name));
        container.ulimits.extend(values::all::<Ulimit>(m, "ulimit-add"));
        container.ulimits = ulimits(std::mem::take(&mut container.ulimits));
    }
    Ok(())
}

/// Variables stay where they are; new ones follow.
fn environment(m: &ArgMatches, all: &mut Vec<String>) -> Result<()> {
    let gone = list_of(m, "env-rm");
    all.retain(|variable| !gone.iter().any(|name| name == variable_name(variable)));
    for variable in variables(&[], &list_of(m, "env-add"))? {
        match all.iter_mut().find(|other| variable_name(other) == variable_name(&variable)) {
            Some(other) => *other = variable,
            None => all.push(variable),
        }
    }
    Ok(())
}

fn mounts(m: &ArgMatches, all: &mut Vec<MountRequest>) -> Result<()> {
    let added: Vec<MountRequest> = values::all(m, "mount-add");
    for (at, mount) in added.iter().enumerate() {
        if added[..at].iter().any(|other| other.target == mount.target) {
            return Err(Error::invalid("duplicate mount target").hint(format!("two --mount-add say target={}", mount.target)));
        }
    }
    let gone = list_of(m, "mount-rm");
    all.retain(|mount| !added.iter().any(|new| new.target == mount.target));
    all.extend(added);
    all.retain(|mount| !gone.contains(&mount.target));
    all.sort_by(|a, b| (&a.source, &a.target).cmp(&(&b.source, &b.target)));
    Ok(())
}

/// `--host-rm name` takes the name from all addresses, `name:address` from that one; an address without names goes.
fn hosts(m: &ArgMatches, all: &mut Vec<String>) {
    let gone = list_of(m, "host-rm");
    let mut kept: Vec<String> = Vec::new();
    for entry in all.drain(..) {
        let Some((address, names)) = entry.split_once(' ') else { continue };
        let is_gone = |name: &str| {
            gone.iter().any(|rule| match rule.split_once(':') {
                Some((host, only)) => host == name && (only.is_empty() || only == address),
                None => rule == name,
            })
        };
        let names: Vec<&str> = names.split_whitespace().filter(|name| !is_gone(name)).collect();
        if !names.is_empty() {
            kept.push(format!("{address} {}", names.join(" ")));
        }
    }
    for entry in values::all::<String>(m, "host-add") {
        if !kept.contains(&entry) {
            kept.push(entry);
        }
    }
    *all = kept;
}

/// A port is removed by its number inside; what is added may have that number again.
pub fn ports(m: &ArgMatches, all: &mut Vec<EndpointPort>) {
    let flat = |id: &str| values::all::<Vec<EndpointPort>>(m, id).into_iter().flatten().collect::<Vec<_>>();
    let gone = flat("publish-rm");
    let is_gone = |port: &EndpointPort| {
        gone.iter().any(|g| {
            (g.target_port, g.protocol.as_str(), g.publish_mode.as_str())
                == (port.target_port, port.protocol.as_str(), port.publish_mode.as_str())
        })
    };
    all.retain(|port| !is_gone(port));
    for port in flat("publish-add") {
        if !all.contains(&port) {
            all.push(port);
        }
    }
    all.sort_by_key(|p| format!("{}:{}/{}/{}", p.published_port, p.target_port, p.protocol, p.publish_mode));
}

/// Networks by ID; the old place for them is emptied into the new one.
///
/// # Errors
/// `service is already attached to network …`.
pub fn networks(all: &mut Vec<NetworkAttachmentConfig>, old: &mut Vec<NetworkAttachmentConfig>, found: &Found) -> Result<()> {
    if found.networks_added.is_empty() && found.networks_removed.is_empty() {
        return Ok(());
    }
    if all.is_empty() {
        all.append(old);
    }
    old.clear();
    all.retain(|network| !found.networks_removed.contains(&network.target));
    for network in &found.networks_added {
        if all.iter().any(|other| other.target == network.target) {
            return Err(Error::conflict(format!("service is already attached to network {}", network.target)));
        }
        all.push(network.clone());
    }
    all.sort_by(|a, b| a.target.cmp(&b.target));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        service::{change, create, spec, update},
        words::{self, Read},
    };
    use serde_json::{Value, json};

    fn matches(command: clap::Command, line: &str) -> ArgMatches {
        let words: Vec<String> = line.split_whitespace().map(str::to_string).collect();
        match words::read(command, "service", &words) {
            Ok(Read::Matches(m)) => m,
            other => panic!("{line}: {other:?}"),
        }
    }

    /// One field of the container after an update.
    fn after(made: &str, line: &str, field: &str) -> Value {
        let mut spec = spec::wish(&matches(create::command(), &format!("{made} img"))).expect("a wish").spec;
        change::change(&matches(update::command(), &format!("{line} web")), &mut spec, Found::default()).expect("a change");
        match field {
            "Constraints" => json!(spec.task_template.placement.expect("given").constraints),
            "Labels" => json!(spec.labels),
            "Ports" => {
                let shown =
                    |p: &EndpointPort| format!("{}:{}/{}/{}", p.published_port, p.target_port, p.protocol, p.publish_mode);
                json!(spec.endpoint_spec.expect("given").ports.iter().map(shown).collect::<Vec<_>>())
            }
            other => json!(spec.task_template.container_spec)[other].clone(),
        }
    }

    #[test]
    fn each_list_knows_what_two_entries_have_in_common() {
        assert_eq!(after("-e A=1 -e B=2", "--env-add A=9 --env-add C=3 --env-rm B", "Env"), json!(["A=9", "C=3"]));
        assert_eq!(after("-l a=1 -l b=2", "--label-rm a --label-add b=3", "Labels"), json!({"b": "3"}));
        assert_eq!(after("--constraint b==1", "--constraint-add a==1 --constraint-rm b==1", "Constraints"), json!(["a==1"]));
        assert_eq!(after("--group 5", "--group-add 1 --group-add 5", "Groups"), json!(["1", "5"]));
        assert_eq!(
            after("--dns 10.0.0.2", "--dns-add 10.0.0.1", "DNSConfig"),
            json!({"Nameservers": ["10.0.0.1", "10.0.0.2"]})
        );
        assert_eq!(
            after("--sysctl a=1 --sysctl b=2", "--sysctl-rm a --sysctl-add c=3", "Sysctls"),
            json!({"b": "2", "c": "3"})
        );
        assert_eq!(
            after("--ulimit nofile=1", "--ulimit-rm nofile --ulimit-add core=0", "Ulimits"),
            json!([{"Name": "core", "Soft": 0, "Hard": 0}])
        );
        let mounts = after("--mount src=v,dst=/a --mount src=w,dst=/b", "--mount-add src=u,dst=/a --mount-rm /b", "Mounts");
        assert_eq!((mounts[0]["Source"].as_str(), mounts.as_array().map(Vec::len)), (Some("u"), Some(1)));
    }

    #[test]
    fn a_port_is_removed_by_its_number_inside() {
        assert_eq!(after("-p 8080:80 -p 53:53/udp", "--publish-rm 80", "Ports"), json!(["53:53/udp/ingress"]));
        assert_eq!(after("-p 8080:80", "--publish-rm 80 --publish-add 9090:80", "Ports"), json!(["9090:80/tcp/ingress"]));
        assert_eq!(after("-p 8080:80", "--publish-rm 81 --publish-add 8080:80", "Ports"), json!(["8080:80/tcp/ingress"]));
    }

    #[test]
    fn a_host_is_removed_by_name_or_by_name_and_address() {
        let made = "--host a:10.0.0.1 --host a:10.0.0.2 --host b:10.0.0.1";
        assert_eq!(after(made, "--host-rm a", "Hosts"), json!(["10.0.0.1 b"]));
        assert_eq!(
            after(made, "--host-rm a:10.0.0.2 --host-add c:10.0.0.3", "Hosts"),
            json!(["10.0.0.1 a", "10.0.0.1 b", "10.0.0.3 c"])
        );
    }

    #[test]
    fn a_network_is_attached_once() {
        let at = |id: &str| NetworkAttachmentConfig { target: id.into(), ..NetworkAttachmentConfig::default() };
        let found = Found { networks_added: vec![at("a")], networks_removed: vec!["b".into()], ..Found::default() };
        let (mut all, mut old) = (vec![], vec![at("b"), at("c")]);
        networks(&mut all, &mut old, &found).expect("a change");
        assert_eq!((all.iter().map(|n| n.target.as_str()).collect::<Vec<_>>(), old.len()), (vec!["a", "c"], 0));
        assert_eq!(networks(&mut all, &mut old, &found).unwrap_err().message(), "service is already attached to network a");
    }
}
