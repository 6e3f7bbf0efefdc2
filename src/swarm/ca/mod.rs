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

use base64::Engine as _;
use jiff::Timestamp;
use minidock_base::{Error, Result};
use minidock_spec::swarm::node::Role;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DistinguishedName, DnType, DnValue,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, PublicKeyData, SerialNumber, date_time_ymd,
};
use rustls::pki_types::{CertificateDer, pem::PemObject};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::time::Duration;
use x509_parser::{
    asn1_rs::Tag,
    prelude::{FromDer, X509Certificate},
};

/// How long a root is good for.
const ROOT_DAYS: u64 = 20 * 365;
/// Clocks may differ by so much: a certificate is good from so long before it was signed.
pub const SLACK: Duration = Duration::from_secs(3600);

/// A root certificate with its key, both as PEM text.
#[derive(Clone)]
pub struct Root {
    pub certificate: String,
    pub key: String,
}

/// What a certificate says of its node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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

/// May sign certificates, with so many authorities in between.
fn authority(between: u8) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(between));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

/// A certificate's subject, letter by letter: names are compared as they are encoded.
fn name_of(certificate: &str) -> Result<DistinguishedName> {
    let bad = |why: String| Error::invalid(why).during("read a root certificate's name");
    let der = CertificateDer::from_pem_slice(certificate.as_bytes()).map_err(|e| bad(e.to_string()))?;
    let (_, parsed) = X509Certificate::from_der(&der).map_err(|e| bad(e.to_string()))?;
    let mut name = DistinguishedName::new();
    for part in parsed.subject().iter_attributes() {
        let kind: Vec<u64> = part.attr_type().iter().into_iter().flatten().collect();
        let text = part.as_str().map_err(|e| bad(e.to_string()))?;
        let value = match part.attr_value().tag() {
            Tag::PrintableString => DnValue::PrintableString(text.try_into().map_err(|_| bad(format!("{text:?}")))?),
            Tag::Utf8String => DnValue::Utf8String(text.to_string()),
            other => return Err(bad(format!("{other} is not understood"))),
        };
        name.push(DnType::from_oid(&kind), value);
    }
    Ok(name)
}

impl Root {
    /// Founds an authority.
    ///
    /// # Errors
    /// No randomness.
    pub fn found(now: Timestamp) -> Result<Root> {
        let key = KeyPair::generate().map_err(failed("make a root key"))?;
        let mut params = authority(1);
        params.distinguished_name.push(DnType::CommonName, "swarm-ca");
        valid(&mut params, now, Duration::from_secs(ROOT_DAYS * 86_400));
        let certificate = params.self_signed(&key).map_err(failed("sign a root certificate"))?;
        Ok(Root { certificate: certificate.pem(), key: key.serialize_pem() })
    }

    /// Docker's `TLSInfo` of whoever has a certificate of this root and trusts `trusted` (PEM): these, the root's name and its public
    /// key (base64 of DER).
    ///
    /// # Errors
    /// The certificate cannot be read.
    pub fn tls_info(&self, trusted: &str) -> Result<Value> {
        let der = CertificateDer::from_pem_slice(self.certificate.as_bytes())
            .map_err(|e| Error::invalid(e.to_string()).during("read a root certificate"))?;
        let (_, parsed) =
            X509Certificate::from_der(&der).map_err(|e| Error::invalid(e.to_string()).during("read a root certificate"))?;
        let base64 = |bytes: &[u8]| base64::engine::general_purpose::STANDARD.encode(bytes);
        Ok(json!({
            "TrustRoot": trusted,
            "CertIssuerSubject": base64(parsed.subject().as_raw()),
            "CertIssuerPublicKey": base64(parsed.public_key().raw),
        }))
    }

    /// A root that somebody brought along, if its key fits its certificate.
    ///
    /// # Errors
    /// 400: one of them cannot be read, they do not belong together, or it is no root.
    pub fn brought(certificate: &str, key: &str) -> Result<Root> {
        let bad = |why: String| Error::invalid(why).during("use another root certificate");
        let pair = KeyPair::from_pem(key).map_err(|e| {
            bad(format!("its key: {e}"))
                .hint("a PKCS#8 key is wanted: openssl pkcs8 -topk8 -nocrypt -in KEY makes one of others")
        })?;
        let der = CertificateDer::from_pem_slice(certificate.as_bytes()).map_err(|e| bad(e.to_string()))?;
        let (_, parsed) = X509Certificate::from_der(&der).map_err(|e| bad(e.to_string()))?;
        if parsed.public_key().raw != pair.subject_public_key_info() {
            return Err(bad("the key is not the certificate's".into()));
        }
        if !parsed.is_ca() {
            return Err(bad("it is not a certificate authority's".into()));
        }
        let certificate = format!("{}\n", certificate.trim_end());
        Ok(Root { certificate, key: key.to_string() })
    }

    /// This root's signature under another's name and key: whoever trusts this one can trust the other by it.
    ///
    /// # Errors
    /// One of them cannot be read.
    pub fn vouch_for(&self, other: &Root, now: Timestamp) -> Result<String> {
        let key = KeyPair::from_pem(&self.key).map_err(failed("read the root key"))?;
        let issuer = Issuer::from_ca_cert_pem(&self.certificate, key).map_err(failed("read the root certificate"))?;
        let theirs = KeyPair::from_pem(&other.key).map_err(failed("read the next root key"))?;
        let mut params = authority(0);
        params.distinguished_name = name_of(&other.certificate)?;
        valid(&mut params, now, Duration::from_secs(ROOT_DAYS * 86_400));
        Ok(params.signed_by(&theirs, &issuer).map_err(failed("sign the next root"))?.pem())
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
