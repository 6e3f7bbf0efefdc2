//! # swarm ca: the swarm's own certificate authority
//!
//! Nodes know each other by certificates that the managers sign. `swarm ca` shows the root of them; `--rotate` makes another one, and then
//! every node gets a new certificate before the old root is forgotten, so that at no moment two nodes cannot speak.
//!
//! ```text
//!   desired root digest: sha256:9f0a…
//!     rotated TLS certificates:  2/3 nodes
//!     rotated CA certificates:   0/3 nodes
//! ```
//!
//! *See:* docker/cli `cli/command/swarm/{ca,progress/root_rotation}.go`. *Next room:* [`super::unlock`]

use super::{Rotate, fetch, flags, send};
use crate::{
    flag,
    progress::Screen,
    service::values::{self, one},
    session::Session,
    terminal,
    words::is_given,
};
use clap::ArgMatches;
use minidock_base::{Doing, Error, Result};
use minidock_client::{Docker, Route};
use minidock_spec::{digest::Digest, swarm::node::Node};
use serde_json::Value as Json;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

const PAUSE: Duration = Duration::from_millis(200);

/// The flags of `swarm ca`.
pub fn command() -> clap::Command {
    let rotate = "Rotate the swarm CA - if no certificate or key are provided, new ones will be generated";
    flags::authority(flag::command("ca", "[OPTIONS]", "Display and rotate the root CA"))
        .arg(one("ca-cert", "pem-file", "Path to the PEM-formatted root CA certificate to use for the new cluster", flags::pem))
        .arg(one("ca-key", "pem-file", "Path to the PEM-formatted root CA key to use for the new cluster", flags::pem))
        .arg(flag::switch("detach", "Exit immediately instead of waiting for the root rotation to converge").short('d'))
        .arg(flag::switch("quiet", "Suppress progress output").short('q'))
        .arg(flag::switch("rotate", rotate))
}

/// Shows the root, or makes another one.
///
/// # Errors
/// Flags that need `--rotate`, or each other; no manager.
pub async fn run(m: &ArgMatches, session: &mut Session) -> Result<i32> {
    let docker = session.docker().await?;
    let mut swarm = fetch(&docker).await?;
    if !m.get_flag("rotate") {
        for flag in ["ca-cert", "ca-key", "cert-expiry", "external-ca"] {
            if is_given(m, flag) {
                return Err(Error::invalid(format!("`--{flag}` flag requires the `--rotate` flag to update the CA")));
            }
        }
        return show(&swarm.info.tls_info);
    }
    if is_given(m, "external-ca") && !is_given(m, "ca-cert") {
        return Err(Error::invalid(
            "rotating to an external CA requires the `--ca-cert` flag to specify the external CA's cert - to add an external CA with the current root CA certificate, use the `update` command instead",
        ));
    }
    if is_given(m, "ca-cert") && !is_given(m, "external-ca") && !is_given(m, "ca-key") {
        return Err(Error::invalid(
            "the --ca-cert flag requires that a --ca-key flag and/or --external-ca flag be provided as well",
        ));
    }
    flags::apply_authority(m, &mut swarm.info.spec);
    let config = &mut swarm.info.spec.ca_config;
    config.signing_ca_cert = values::of(m, "ca-cert").unwrap_or_default();
    config.signing_ca_key = values::of(m, "ca-key").unwrap_or_default();
    if config.signing_ca_cert.is_empty() && config.signing_ca_key.is_empty() {
        config.force_rotate += 1;
    }
    send(&docker, &swarm, Rotate::default()).await?;
    if m.get_flag("detach") || !wait(&docker, m.get_flag("quiet")).await? || m.get_flag("quiet") {
        return Ok(0);
    }
    show(&fetch(&docker).await?.info.tls_info)
}

fn show(tls: &Json) -> Result<i32> {
    match tls["TrustRoot"].as_str().unwrap_or_default().trim() {
        "" => Err(Error::not_found("No CA information available")),
        root => {
            terminal::print(&format!("{root}\n"));
            Ok(0)
        }
    }
}

/// Waits until every node has a certificate of the new root; false if one did not want to wait any longer.
async fn wait(docker: &Docker, quiet: bool) -> Result<bool> {
    let mut screen = Screen::new(terminal::output_is_terminal());
    let mut before = Vec::new();
    let mut interrupt = signal(SignalKind::interrupt()).doing(|| "listen for Ctrl-C")?;
    loop {
        let swarm = fetch(docker).await?.info;
        let nodes: Vec<Node> = docker.get(&Route::new("/nodes", [])).await?;
        let (done, lines) = look(&swarm.tls_info, &nodes, swarm.root_rotation_in_progress);
        for (at, (id, words)) in lines.iter().enumerate() {
            if !quiet && before.get(at) != Some(&(*id, words.clone())) {
                terminal::print(&screen.put(id, words, None));
            }
        }
        before = lines;
        if done {
            return Ok(true);
        }
        tokio::select! {
            () = tokio::time::sleep(PAUSE) => {}
            _ = interrupt.recv() => {
                terminal::print("Operation continuing in background.\nUse `minidock swarm ca` to check progress.\n");
                return Ok(false);
            }
        }
    }
}

/// What there is to see, and whether all is done.
fn look(wanted: &Json, nodes: &[Node], in_progress: bool) -> (bool, Vec<(&'static str, String)>) {
    let same = |node: &Node, key: &str| node.description.tls_info[key] == wanted[key];
    let certificates = nodes.iter().filter(|n| same(n, "CertIssuerPublicKey") && same(n, "CertIssuerSubject")).count();
    let roots = nodes.iter().filter(|node| same(node, "TrustRoot")).count();
    let all = nodes.len();
    let settled = certificates == all && !in_progress;
    let roots = if settled { roots } else { 0 };
    let digest = Digest::of(wanted["TrustRoot"].as_str().unwrap_or_default().as_bytes());
    let lines = vec![
        ("desired root digest", digest.to_string()),
        ("  rotated TLS certificates", format!(" {certificates}/{all} nodes")),
        ("  rotated CA certificates", format!("  {roots}/{all} nodes")),
    ];
    (settled && roots == all, lines)
}

#[cfg(test)]
mod tests {
    use super::*;
    use minidock_spec::swarm::node::NodeDescription;
    use serde_json::json;

    #[test]
    fn a_rotation_is_done_when_every_node_has_the_new_root() {
        let info = |key: &str, root: &str| json!({"TrustRoot": root, "CertIssuerPublicKey": key, "CertIssuerSubject": "s"});
        let node = |key: &str, root: &str| Node {
            description: NodeDescription { tls_info: info(key, root), ..NodeDescription::default() },
            ..Node::default()
        };
        let said = |nodes: &[Node], busy: bool| {
            let (done, lines) = look(&info("new", "r2"), nodes, busy);
            (done, lines[1].1.trim().to_string(), lines[2].1.trim().to_string())
        };
        let words = |a: &str, b: &str| (false, a.to_string(), b.to_string());
        assert_eq!(said(&[node("new", "r1"), node("old", "r1")], true), words("1/2 nodes", "0/2 nodes"));
        assert_eq!(said(&[node("new", "r2"), node("new", "r1")], true), words("2/2 nodes", "0/2 nodes"));
        assert_eq!(said(&[node("new", "r2"), node("new", "r1")], false), words("2/2 nodes", "1/2 nodes"));
        assert!(said(&[node("new", "r2"), node("new", "r2")], false).0);
    }
}
