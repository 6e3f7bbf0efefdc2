//! # swarm init: a swarm of one
//!
//! The machine becomes its own first manager: it makes a certificate authority, a store of its own, and tokens with which others join.
//! What the other machines must be told is printed, ready to be typed there.
//!
//! *See:* docker/cli `cli/command/swarm/init.go`. *Next room:* [`super::join`]

use super::{fetch, flags, unlock};
use crate::{
    flag,
    service::values::{self, many, one, small_number},
    session::Session,
    terminal,
};
use clap::ArgMatches;
use minidock_base::Result;
use minidock_client::{Docker, Route};
use minidock_spec::swarm::{
    cluster::ClusterSpec,
    local::InitRequest,
    node::{Node, Role},
};
use std::net::IpAddr;

/// The flags of `swarm init`.
pub fn command() -> clap::Command {
    let port = "Port number to use for data path traffic (1024 - 49151). If no value is set or is set to 0, the default port (4789) is used.";
    let lock = "Enable manager autolocking (requiring an unlock key to start a stopped manager)";
    let length = "default address pool subnet mask length (default 24)";
    flags::rules(flags::addresses(flag::command("init", "[OPTIONS]", "Initialize a swarm")))
        .arg(flags::autolock(lock))
        .arg(one("data-path-port", "uint32", port, small_number))
        .arg(many("default-addr-pool", "ipNetSlice", "default address pool in CIDR format (default [])", pools))
        .arg(one("default-addr-pool-mask-length", "uint32", length, small_number))
        .arg(flag::switch("force-new-cluster", "Force create a new cluster from current state"))
}

/// Founds a swarm.
///
/// # Errors
/// The node is in one already; an address that is not ours, or one of several that must be chosen.
pub async fn run(m: &ArgMatches, session: &mut Session) -> Result<i32> {
    let body = body(m)?;
    let docker = session.docker().await?;
    let node: String = docker.post(&Route::new("/swarm/init", []), &body).await.map_err(|e| {
        let unclear = ["could not choose an IP address to advertise", "could not find the system's IP address"];
        let unclear = unclear.iter().any(|text| e.message().contains(text));
        if unclear && e.hint_text().is_none() { e.hint("say which one: --advertise-addr ADDRESS or INTERFACE") } else { e }
    })?;
    terminal::print(&format!("Swarm initialized: current node ({node}) is now a manager.\n\n"));
    print_join(&docker, &node, Role::Worker).await?;
    terminal::print("To add a manager to this swarm, run 'minidock swarm join-token manager' and follow the instructions.\n");
    if body.auto_lock_managers {
        unlock::print_key(&docker).await?;
    }
    Ok(0)
}

fn body(m: &ArgMatches) -> Result<InitRequest> {
    let text = |id: &str| flag::text_of(m, id).unwrap_or_default().to_string();
    let mut spec = ClusterSpec::default();
    flags::apply(m, &mut spec);
    Ok(InitRequest {
        listen_addr: values::of(m, "listen-addr").unwrap_or_else(|| format!("0.0.0.0:{}", flags::PORT)),
        advertise_addr: text("advertise-addr"),
        data_path_addr: text("data-path-addr"),
        data_path_port: values::of(m, "data-path-port").unwrap_or(0),
        default_addr_pool: values::all::<Vec<String>>(m, "default-addr-pool").into_iter().flatten().collect(),
        force_new_cluster: m.get_flag("force-new-cluster"),
        spec,
        auto_lock_managers: flag::choice_of(m, "autolock") == Some(true),
        availability: flags::availability(m)?,
        subnet_size: values::of(m, "default-addr-pool-mask-length").unwrap_or(24),
    })
}

/// `10.0.0.0/8,10.1.0.0/16`
fn pools(text: &str) -> std::result::Result<Vec<String>, String> {
    let pool = |text: &str| {
        let wrong = || format!("invalid string being converted to CIDR: {text}");
        let (address, length) = text.trim().split_once('/').ok_or_else(wrong)?;
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let length: u8 = length.parse().map_err(|_| wrong())?;
        match length <= if address.is_ipv4() { 32 } else { 128 } {
            true => Ok(format!("{address}/{length}")),
            false => Err(wrong()),
        }
    };
    text.split(',').map(pool).collect()
}

/// Prints what must be typed on the machine that shall join.
///
/// # Errors
/// The managers cannot be asked.
pub async fn print_join(docker: &Docker, node: &str, role: Role) -> Result<()> {
    let node: Node = docker.get(&Route::new("/nodes/{}", [node])).await?;
    let tokens = fetch(docker).await?.join_tokens;
    let token = match role {
        Role::Worker => tokens.worker,
        Role::Manager => tokens.manager,
    };
    if let Some(manager) = node.manager_status {
        terminal::print(&format!(
            "To add a {} to this swarm, run the following command:\n\n    minidock swarm join --token {token} {}\n\n",
            role.name(),
            manager.addr
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::{self, Read};
    use serde_json::{Value, json};

    fn read(line: &str) -> Result<Value> {
        let words: Vec<String> = line.split_whitespace().map(str::to_string).collect();
        match words::read(command(), "swarm init", &words) {
            Ok(Read::Matches(m)) => Ok(serde_json::to_value(body(&m)?).expect("JSON")),
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn the_rules_are_in_the_body() {
        let plain = read("").expect("a body");
        assert_eq!((&plain["ListenAddr"], &plain["SubnetSize"]), (&json!("0.0.0.0:2377"), &json!(24)));
        assert_eq!((&plain["Availability"], &plain["AutoLockManagers"]), (&json!("active"), &json!(false)));
        let all = read(
            "--advertise-addr eth0 --autolock --cert-expiry 1h --task-history-limit 2 --dispatcher-heartbeat 1s --availability drain \
             --default-addr-pool 10.1.0.0/16,10.2.0.0/16 --default-addr-pool-mask-length 26 --data-path-port 4800 --force-new-cluster",
        )
        .expect("a body");
        assert_eq!((&all["AdvertiseAddr"], &all["DefaultAddrPool"]), (&json!("eth0"), &json!(["10.1.0.0/16", "10.2.0.0/16"])));
        let spec = &all["Spec"];
        assert_eq!(spec["CAConfig"]["NodeCertExpiry"], 3_600_000_000_000i64);
        assert_eq!(
            (&spec["Orchestration"]["TaskHistoryRetentionLimit"], &spec["Dispatcher"]["HeartbeatPeriod"]),
            (&json!(2), &json!(1_000_000_000))
        );
        assert_eq!((&spec["EncryptionConfig"]["AutoLockManagers"], &all["DataPathPort"]), (&json!(true), &json!(4800)));
        let wrong = read("--availability foo").unwrap_err().message();
        assert_eq!(wrong, "invalid availability \"foo\", only active, pause and drain are supported");
        assert_eq!(pools("x").unwrap_err(), "invalid string being converted to CIDR: x");
    }
}
