//! # Settings: which registries are trusted how, and where they are
//!
//! `localhost:5000/app` names a registry by its address. The Hub is the one that has other names than its address, may
//! have mirrors, and is never spoken to in the clear.
//!
//! ```text
//!   domain            endpoints, tried in this order
//!   docker.io         each mirror, then https://registry-1.docker.io
//!   127.0.0.1:5000    https without looking at the certificate, then http       loopback, or --insecure-registry
//!   quay.io           https
//! ```
//!
//! * [`RegistryConfig`] is what the daemon's flags say; [`RegistryConfig::endpoints`] makes of a domain where to ask.
//!
//! Law: without TLS, or without a look at the certificate, only where somebody said so, or where the wire is this machine.
//! See: moby `registry/config.go`, `registry/service_v2.go`. Next room: [`crate::credentials`]

use minidock_base::{Error, Result};
use minidock_spec::reference::HUB;
use std::{net::IpAddr, path::PathBuf};

/// What the daemon was told about registries.
#[derive(Clone, Debug)]
pub struct RegistryConfig {
    /// `host:port`, `host` or `10.0.0.0/8`: no TLS is needed there, and no certificate looked at.
    pub insecure: Vec<String>,
    /// Base addresses of mirrors of the Hub.
    pub mirrors: Vec<String>,
    /// Where the Hub's images really are.
    pub hub: String,
    /// Folders with a folder for each host, with certificates in it.
    pub certs: Vec<PathBuf>,
}

impl Default for RegistryConfig {
    fn default() -> RegistryConfig {
        let certs = ["/etc/minidock/certs.d", "/etc/docker/certs.d"].map(PathBuf::from).to_vec();
        RegistryConfig { insecure: Vec::new(), mirrors: Vec::new(), hub: "https://registry-1.docker.io".into(), certs }
    }
}

/// One place to ask.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Endpoint {
    pub secure: bool,
    pub host: String,
    pub port: u16,
    /// What stands before `/v2/`: empty, or `/mirror`.
    pub prefix: String,
    /// Whether the certificate is looked at.
    pub verify: bool,
    /// A mirror is told whose content is wanted.
    pub mirror_of: Option<String>,
}

impl Endpoint {
    /// `https://host:port`, the port only where it is not the usual one.
    pub fn address(&self) -> String {
        let scheme = if self.secure { "https" } else { "http" };
        format!("{scheme}://{}{}", self.authority(), self.prefix)
    }

    /// `host:port`, as the `Host` header has it.
    pub fn authority(&self) -> String {
        let usual = if self.secure { 443 } else { 80 };
        match self.port == usual {
            true => self.host.clone(),
            false => format!("{}:{}", self.host, self.port),
        }
    }

    /// Whether both are the same machine and door: what may be told the one may be told the other.
    pub fn same_origin(&self, other: &Endpoint) -> bool {
        (self.secure, &self.host, self.port) == (other.secure, &other.host, other.port)
    }

    /// Reads `http://host:port/path`; `verify` as given.
    ///
    /// # Errors
    /// Another scheme, a user name, a port that is none.
    pub fn parse(address: &str, verify: bool) -> Result<Endpoint> {
        let bad = |why: &str| {
            Error::invalid(format!("{address:?} is no address of a registry: {why}")).hint("http://host:port or https://host")
        };
        let (secure, rest) = match (address.strip_prefix("https://"), address.strip_prefix("http://")) {
            (Some(rest), _) => (true, rest),
            (_, Some(rest)) => (false, rest),
            _ => return Err(bad("it must begin with http:// or https://")),
        };
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        if authority.contains('@') || path.contains(['?', '#', ' ']) {
            return Err(bad("no user, query or fragment may stand in it"));
        }
        let (host, port) = split_port(authority).ok_or_else(|| bad("the port is no number"))?;
        if host.is_empty() || host.bytes().any(|c| c <= b' ' || c == 127) {
            return Err(bad("there is no host in it"));
        }
        let prefix = match path.trim_matches('/') {
            "" => String::new(),
            path => format!("/{path}"),
        };
        let port = port.unwrap_or(if secure { 443 } else { 80 });
        Ok(Endpoint { secure, host: host.to_string(), port, prefix, verify, mirror_of: None })
    }
}

/// `host:port`, `[::1]:port`: the host with its brackets, and the port if one is there.
fn split_port(authority: &str) -> Option<(&str, Option<u16>)> {
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => Some((host, Some(port.parse().ok()?))),
        _ => Some((authority, None)),
    }
}

impl RegistryConfig {
    /// Checks what the flags said.
    ///
    /// # Errors
    /// A mirror that is no address, an insecure registry that is a URL.
    pub fn check(&self) -> Result<()> {
        for mirror in &self.mirrors {
            Endpoint::parse(mirror, true).map_err(|e| e.during("read --registry-mirror"))?;
        }
        for insecure in &self.insecure {
            if insecure.contains("://") || insecure.is_empty() {
                return Err(Error::invalid(format!("insecure registry {insecure} should not contain '://'"))
                    .hint("--insecure-registry HOST:PORT"));
            }
        }
        Ok(())
    }

    /// Where to ask for the images of `domain`, in this order. For pushing, mirrors are left out.
    ///
    /// # Errors
    /// A domain whose port is no number.
    pub fn endpoints(&self, domain: &str, pushing: bool) -> Result<Vec<Endpoint>> {
        let mut all = Vec::new();
        if domain == HUB {
            for mirror in self.mirrors.iter().filter(|_| !pushing) {
                let mut endpoint = Endpoint::parse(mirror, true)?;
                endpoint.verify = !self.is_insecure(&endpoint.authority());
                endpoint.mirror_of = Some(HUB.into());
                all.push(endpoint);
            }
            all.push(Endpoint::parse(&self.hub, true)?);
            return Ok(all);
        }
        let insecure = self.is_insecure(domain) && !self.has_authority(domain);
        all.push(Endpoint::parse(&format!("https://{domain}"), !insecure)?);
        if insecure {
            all.push(Endpoint::parse(&format!("http://{domain}"), false)?);
        }
        Ok(all)
    }

    /// Whether somebody put a CA for this very host where we look: then its certificate is looked at after all, and nothing is said in the clear.
    fn has_authority(&self, domain: &str) -> bool {
        self.folders(domain).iter().any(|folder| {
            std::fs::read_dir(folder)
                .is_ok_and(|entries| entries.flatten().any(|e| e.path().extension().is_some_and(|x| x == "crt")))
        })
    }

    /// The folders with certificates for this host.
    pub fn folders(&self, domain: &str) -> Vec<PathBuf> {
        self.certs.iter().map(|certs| certs.join(domain.replace('/', "_"))).collect()
    }

    /// Loopback, or named by the flags.
    pub fn is_insecure(&self, domain: &str) -> bool {
        let host = split_port(domain).map_or(domain, |(host, _)| host);
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let address: Option<IpAddr> = bare.parse().ok();
        if bare == "localhost" || address.is_some_and(|a| a.is_loopback()) {
            return true;
        }
        self.insecure
            .iter()
            .any(|entry| entry == domain || entry == host || address.is_some_and(|address| within(address, entry)))
    }
}

/// Whether an address lies in `10.0.0.0/8`.
fn within(address: IpAddr, network: &str) -> bool {
    let Some((base, bits)) = network.split_once('/') else { return false };
    let (Ok(base), Ok(bits)) = (base.parse::<IpAddr>(), bits.parse::<u32>()) else { return false };
    let number = |a: IpAddr| match a {
        IpAddr::V4(a) => (u128::from(u32::from(a)) << 96, 32),
        IpAddr::V6(a) => (u128::from(a), 128),
    };
    let ((a, width), (b, other)) = (number(address), number(base));
    width == other && bits <= width && (bits == 0 || (a ^ b) >> (128 - bits) == 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn addresses(config: &RegistryConfig, domain: &str, pushing: bool) -> Vec<String> {
        let all = config.endpoints(domain, pushing).expect("a domain");
        all.iter().map(|e| format!("{}{}", e.address(), if e.verify || !e.secure { "" } else { " unverified" })).collect()
    }

    #[test]
    fn only_this_machine_and_what_was_named_is_spoken_to_in_the_clear() {
        let config = RegistryConfig {
            insecure: vec!["lab:5000".into(), "10.0.0.0/8".into()],
            mirrors: vec!["http://127.0.0.1:5001/hub/".into()],
            ..RegistryConfig { certs: Vec::new(), ..RegistryConfig::default() }
        };
        config.check().expect("good settings");
        assert_eq!(addresses(&config, "quay.io", false), ["https://quay.io"]);
        assert_eq!(addresses(&config, "localhost:5000", false), ["https://localhost:5000 unverified", "http://localhost:5000"]);
        assert_eq!(addresses(&config, "[::1]:5000", false), ["https://[::1]:5000 unverified", "http://[::1]:5000"]);
        assert_eq!(addresses(&config, "10.1.2.3", false).len(), 2);
        assert_eq!((addresses(&config, "11.1.2.3", false).len(), addresses(&config, "lab:5001", false).len()), (1, 1));
        assert_eq!(addresses(&config, "lab:5000", true).len(), 2);
        assert_eq!(addresses(&config, "docker.io", false), ["http://127.0.0.1:5001/hub", "https://registry-1.docker.io"]);
        assert_eq!(addresses(&config, "docker.io", true), ["https://registry-1.docker.io"]);
        for (insecure, mirror) in
            [("http://x", "http://y"), ("x", "y"), ("x", "ftp://y"), ("x", "http://u:p@y"), ("x", "http://")]
        {
            let bad =
                RegistryConfig { insecure: vec![insecure.into()], mirrors: vec![mirror.into()], ..RegistryConfig::default() };
            assert!(bad.check().is_err(), "{insecure} {mirror}");
        }
    }

    proptest! {
        #[test]
        fn no_address_makes_it_panic(text in "\\PC{0,40}", bits in 0u32..200) {
            let _ = Endpoint::parse(&format!("http://{text}"), true);
            let config = RegistryConfig { insecure: vec![text.clone(), format!("10.0.0.0/{bits}"), format!("::/{bits}")], ..RegistryConfig::default() };
            let _ = (config.is_insecure(&text), config.is_insecure("10.2.3.4"), config.is_insecure("[fe80::1]:5"));
        }
    }
}
