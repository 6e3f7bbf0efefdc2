//! # The cluster's own authority
//!
//! Every connection between nodes is mutual TLS, and every certificate is the swarm's own: a root is made when the swarm is
//! founded, and each node gets a certificate that says *who* it is and *what* it may do.
//!
//! ```text
//!   root (20 years, its key only in the managers' tables)
//!     └─ node      CN = node ID · OU = swarm-manager or swarm-worker · O = cluster ID · 90 days, renewed after half of them
//! ```
//!
//! Whoever wants a certificate sends a *request* with its public key; name, role and cluster in it are ours to write, not the
//! asker's. The role in the certificate is what a manager's door checks: a worker's certificate opens no manager's call.
//!
//! *See:* RFC 5280; swarmkit `ca/`, `design/tls.md`. *Next room:* [`token`]

pub mod identity;
pub mod token;

use jiff::Timestamp;
use minidock_base::{Error, Result};
use minidock_spec::swarm::node::Role;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    IsCa, Issuer, KeyPair, KeyUsagePurpose, SerialNumber, date_time_ymd,
};
use std::time::Duration;

/// How long a root is good for.
const ROOT_DAYS: u64 = 20 * 365;
/// Clocks may differ by so much.
const SLACK: Duration = Duration::from_secs(3600);

/// A root certificate with its key, both as PEM text.
#[derive(Clone)]
pub struct Root {
    pub certificate: String,
    pub key: String,
}

/// What a certificate says of its node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    pub node_id: String,
    pub role: Role,
    pub cluster_id: String,
}

/// Docker's names of the roles; also the names that a certificate is checked against.
pub fn role_name(role: Role) -> &'static str {
    match role {
        Role::Worker => "swarm-worker",
        Role::Manager => "swarm-manager",
    }
}

fn failed(what: &str) -> impl Fn(rcgen::Error) -> Error {
    move |e| Error::system(e.to_string()).during(what.to_string())
}

fn valid(params: &mut CertificateParams, now: Timestamp, lifetime: Duration) {
    let at = date_time_ymd(1970, 1, 1) + Duration::from_secs(now.as_second().max(0) as u64);
    params.not_before = at - SLACK;
    params.not_after = at + lifetime;
}

impl Root {
    /// Founds an authority.
    ///
    /// # Errors
    /// No randomness.
    pub fn found(now: Timestamp) -> Result<Root> {
        let key = KeyPair::generate().map_err(failed("make a root key"))?;
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "swarm-ca");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(1));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        valid(&mut params, now, Duration::from_secs(ROOT_DAYS * 86_400));
        let certificate = params.self_signed(&key).map_err(failed("sign a root certificate"))?;
        Ok(Root { certificate: certificate.pem(), key: key.serialize_pem() })
    }

    /// Signs a node's request; only its public key is taken from it. `serial`: 16 random bytes.
    ///
    /// # Errors
    /// 400 when the request cannot be read or its signature is wrong.
    pub fn issue(
        &self,
        request_pem: &str,
        subject: &Subject,
        now: Timestamp,
        lifetime: Duration,
        serial: [u8; 16],
    ) -> Result<String> {
        let key = KeyPair::from_pem(&self.key).map_err(failed("read the root key"))?;
        let issuer = Issuer::from_ca_cert_pem(&self.certificate, key).map_err(failed("read the root certificate"))?;
        let mut request = CertificateSigningRequestParams::from_pem(request_pem)
            .map_err(|e| Error::invalid(e.to_string()).during("read a certificate request"))?;
        let mut params = CertificateParams::new(vec![subject.node_id.clone(), role_name(subject.role).to_string()])
            .map_err(failed("name a node"))?;
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, subject.node_id.as_str());
        params.distinguished_name.push(DnType::OrganizationalUnitName, role_name(subject.role));
        params.distinguished_name.push(DnType::OrganizationName, subject.cluster_id.as_str());
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth];
        params.serial_number = Some(SerialNumber::from_slice(&serial));
        valid(&mut params, now, lifetime);
        request.params = params;
        Ok(request.signed_by(&issuer).map_err(failed("sign a certificate"))?.pem())
    }
}

/// A new key and a request for a certificate to it: (key, request), both PEM.
///
/// # Errors
/// No randomness.
pub fn request() -> Result<(String, String)> {
    let key = KeyPair::generate().map_err(failed("make a key"))?;
    let request = CertificateParams::default().serialize_request(&key).map_err(failed("ask for a certificate"))?;
    Ok((key.serialize_pem(), request.pem().map_err(failed("ask for a certificate"))?))
}
