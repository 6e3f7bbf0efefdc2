//! # Identity: a node's key and certificate, and the doors they open
//!
//! On disk as Docker lays it out (`swarm-node.crt`, `swarm-node.key`, `swarm-root-ca.crt`), the key readable by its owner alone.
//! From these come two TLS configurations: the *listener's*, which accepts callers without a certificate (a newcomer has none
//! yet) but no bad one, and the *caller's*, which takes only a manager of the same swarm at the other end.
//!
//! Laws: who a caller is, is read from its certificate, never from its message. *See:* RFC 8446. *Next room:* [`crate::wire`]

use super::{Subject, role_name};
use minidock_base::{Doing, Error, Result, clock};
use minidock_spec::swarm::node::Role;
use rustls::{
    AlertDescription, CertificateError, ClientConfig, RootCertStore, ServerConfig,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject},
    server::WebPkiClientVerifier,
    time_provider::TimeProvider,
};
use std::{fs, io::Write, os::unix::fs::OpenOptionsExt, path::Path, sync::Arc, time::UNIX_EPOCH};
use x509_parser::prelude::{FromDer, X509Certificate};

/// A node's papers, as PEM text.
#[derive(Clone)]
pub struct Identity {
    pub certificate: String,
    pub key: String,
    pub root: String,
}

fn bad(what: &str, why: impl ToString) -> Error {
    Error::system(why.to_string()).during(what.to_string())
}

impl Identity {
    const FILES: [&'static str; 3] = ["swarm-node.crt", "swarm-node.key", "swarm-root-ca.crt"];

    /// Reads the papers in `folder`.
    ///
    /// # Errors
    /// One is missing or cannot be read: it is named.
    pub fn load(folder: &Path) -> Result<Identity> {
        let read = |name: &str| {
            let path = folder.join(name);
            fs::read_to_string(&path).doing(|| format!("read {}", path.display()))
        };
        let [certificate, key, root] = Self::FILES;
        Ok(Identity { certificate: read(certificate)?, key: read(key)?, root: read(root)? })
    }

    /// Writes them there; the key with mode 0600.
    ///
    /// # Errors
    /// The folder or a file cannot be written.
    pub fn save(&self, folder: &Path) -> Result<()> {
        fs::create_dir_all(folder).doing(|| format!("make the folder {}", folder.display()))?;
        for (name, text, mode) in [
            (Self::FILES[2], &self.root, 0o644),
            (Self::FILES[1], &self.key, 0o600),
            (Self::FILES[0], &self.certificate, 0o644),
        ] {
            let (beside, path) = (folder.join(format!(".{name}.new")), folder.join(name));
            let write = || -> std::io::Result<()> {
                let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(&beside)?;
                file.write_all(text.as_bytes())?;
                file.sync_all()?;
                fs::rename(&beside, &path)
            };
            write().doing(|| format!("write {}", path.display()))?;
        }
        Ok(())
    }

    /// What the certificate says.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn subject(&self) -> Result<Subject> {
        let certificate =
            CertificateDer::from_pem_slice(self.certificate.as_bytes()).map_err(|e| bad("read our certificate", e))?;
        subject(&certificate)
    }

    /// From when to when it is good, in seconds of the epoch.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn validity(&self) -> Result<(i64, i64)> {
        let der = CertificateDer::from_pem_slice(self.certificate.as_bytes()).map_err(|e| bad("read our certificate", e))?;
        let (_, certificate) = X509Certificate::from_der(&der).map_err(|e| bad("read our certificate", e))?;
        let validity = certificate.validity();
        Ok((validity.not_before.timestamp(), validity.not_after.timestamp()))
    }

    fn papers(&self) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)> {
        let chain = CertificateDer::pem_slice_iter(self.certificate.as_bytes()).collect::<std::result::Result<_, _>>();
        let key = PrivateKeyDer::from_pem_slice(self.key.as_bytes());
        Ok((chain.map_err(|e| bad("read our certificate", e))?, key.map_err(|e| bad("read our key", e))?))
    }

    fn roots(&self) -> Result<Arc<RootCertStore>> {
        let mut roots = RootCertStore::empty();
        for root in CertificateDer::pem_slice_iter(self.root.as_bytes()) {
            let root = root.map_err(|e| bad("read the root certificate", e))?;
            roots.add(root).map_err(|e| bad("trust the root certificate", e))?;
        }
        Ok(Arc::new(roots))
    }

    /// For a manager's port: callers show a certificate of this swarm, or none.
    ///
    /// # Errors
    /// The papers cannot be read.
    pub fn listener(&self) -> Result<Arc<ServerConfig>> {
        let (chain, key) = self.papers()?;
        let verifier = WebPkiClientVerifier::builder_with_provider(self.roots()?, provider())
            .allow_unauthenticated()
            .build()
            .map_err(|e| bad("check callers", e))?;
        let config = ServerConfig::builder_with_details(provider(), Arc::new(OurClock))
            .with_safe_default_protocol_versions()
            .map_err(|e| bad("speak TLS", e))?
            .with_client_cert_verifier(verifier)
            .with_single_cert(chain, key)
            .map_err(|e| bad("show our certificate", e))?;
        Ok(Arc::new(config))
    }

    /// For calling a manager of this swarm.
    ///
    /// # Errors
    /// The papers cannot be read.
    pub fn caller(&self) -> Result<Arc<ClientConfig>> {
        let (chain, key) = self.papers()?;
        let config = ClientConfig::builder_with_details(provider(), Arc::new(OurClock))
            .with_safe_default_protocol_versions()
            .map_err(|e| bad("speak TLS", e))?
            .with_root_certificates(self.roots()?)
            .with_client_auth_cert(chain, key)
            .map_err(|e| bad("show our certificate", e))?;
        Ok(Arc::new(config))
    }
}

/// The name that a manager's certificate is checked against.
pub fn manager_name() -> ServerName<'static> {
    ServerName::try_from(role_name(Role::Manager)).expect("a valid name")
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

/// Certificates are judged by this process's clock, as everything is; it may be wrong.
#[derive(Debug)]
struct OurClock;

impl TimeProvider for OurClock {
    fn current_time(&self) -> Option<UnixTime> {
        clock::system().duration_since(UNIX_EPOCH).ok().map(UnixTime::since_unix_epoch)
    }
}

/// A handshake, or a connection, that came to nothing: what was said, and whether a clock may be to blame.
pub fn refused(error: &std::io::Error) -> Error {
    let said = Error::unavailable(error.to_string());
    let Some(why) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) else { return said };
    let (theirs, old) = match why {
        rustls::Error::InvalidCertificate(CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. }) => {
            (true, false)
        }
        rustls::Error::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. }) => (true, true),
        // a caller whose certificate is not good yet is told the same
        rustls::Error::AlertReceived(AlertDescription::CertificateExpired) => (false, true),
        _ => return said,
    };
    let what = match (theirs, old) {
        (true, true) => "the manager's certificate is too old",
        (true, false) => "the manager's certificate is not good yet",
        (false, _) => "the manager says that our certificate is too old, or not good yet",
    };
    Error::unavailable(format!("{what}: {error}")).hint(format!(
        "do the clocks of the two machines agree? This one says {}",
        clock::now().strftime("%Y-%m-%d %H:%M:%S UTC")
    ))
}

/// What a certificate says of its node.
///
/// # Errors
/// It is no certificate of a swarm's node.
pub fn subject(certificate: &CertificateDer<'_>) -> Result<Subject> {
    let (_, parsed) = X509Certificate::from_der(certificate).map_err(|e| bad("read a certificate", e))?;
    let subject = parsed.subject();
    let first =
        |found: Option<&x509_parser::x509::AttributeTypeAndValue>| found.and_then(|a| a.as_str().ok()).map(str::to_string);
    let name = first(subject.iter_common_name().next());
    let role = first(subject.iter_organizational_unit().next());
    let cluster = first(subject.iter_organization().next());
    let role = match role.as_deref() {
        Some("swarm-manager") => Role::Manager,
        Some("swarm-worker") => Role::Worker,
        _ => return Err(Error::forbidden("the certificate names no role in a swarm")),
    };
    match (name, cluster) {
        (Some(node_id), Some(cluster_id)) => Ok(Subject { node_id, role, cluster_id }),
        _ => Err(Error::forbidden("the certificate names no node of a swarm")),
    }
}

/// For the very first call of a newcomer, who has no root to check against yet: anybody may answer, and what is done with the
/// answer depends on the join token's digest.
pub fn newcomer() -> Result<Arc<ClientConfig>> {
    let config = ClientConfig::builder_with_details(provider(), Arc::new(OurClock))
        .with_safe_default_protocol_versions()
        .map_err(|e| bad("speak TLS", e))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody(provider())))
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// For the second call of a newcomer: the root is known by its digest, a certificate of one's own not there yet.
///
/// # Errors
/// The root cannot be read.
pub fn guest(root: &str) -> Result<Arc<ClientConfig>> {
    let nobody = Identity { certificate: String::new(), key: String::new(), root: root.to_string() };
    let config = ClientConfig::builder_with_details(provider(), Arc::new(OurClock))
        .with_safe_default_protocol_versions()
        .map_err(|e| bad("speak TLS", e))?
        .with_root_certificates(nobody.roots()?)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> std::result::Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &rustls::DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &rustls::DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ca::{self, Root};
    use jiff::Timestamp;
    use std::{os::unix::fs::PermissionsExt, time::Duration};

    #[test]
    fn a_certificate_says_what_the_authority_wrote_not_what_was_asked_for() {
        let root = Root::found(Timestamp::now()).expect("a root");
        let (key, request) = ca::request().expect("a request");
        let subject = Subject { node_id: "n1".into(), role: Role::Worker, cluster_id: "c1".into() };
        let day = Duration::from_secs(86_400);
        let certificate = root.issue(&request, &subject, Timestamp::now(), day, [1; 16]).expect("a certificate");
        let identity = Identity { certificate, key, root: root.certificate.clone() };
        assert_eq!(identity.subject().expect("readable"), subject);
        let (from, to) = identity.validity().expect("readable");
        assert_eq!(to - from, 86_400 + 3600);
        identity.listener().expect("usable");
        identity.caller().expect("usable");
        let folder = tempfile::tempdir().expect("a folder");
        identity.save(folder.path()).expect("saved");
        let key = folder.path().join("swarm-node.key");
        assert_eq!(fs::metadata(key).expect("it is there").permissions().mode() & 0o777, 0o600);
        assert_eq!(Identity::load(folder.path()).expect("loaded").certificate, identity.certificate);
        assert!(root.issue("nonsense", &subject, Timestamp::now(), day, [1; 16]).is_err());
    }
}
