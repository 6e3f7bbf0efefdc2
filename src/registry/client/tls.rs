//! # TLS: whom we believe to be a registry
//!
//! A certificate is believed if one of the machine's own authorities has signed it (the bundle that the distribution keeps),
//! or one that somebody laid down for this very host. Some registries also want to see *our* certificate.
//!
//! ```text
//!   /etc/minidock/certs.d/lab.example:5000/     also /etc/docker/certs.d
//!     ca.crt                                    an authority to believe, besides the machine's
//!     client.cert  client.key                   who we are
//! ```
//!
//! * [`config`] makes the TLS settings for one endpoint; [`server`] those of our own registry.
//!
//! Laws: no list of authorities is compiled in: what the machine trusts is the machine's business; a certificate is passed over
//! only at endpoints marked so ([`crate::settings`]). A client without the certificate that is wanted learns so only at the first
//! read (TLS 1.3). See: moby `registry/registry.go` ReadCertsDirectory · RFC 8446. Next room: [`super::wire`]

use minidock_base::{Doing, Error, Result};
use rustls::{
    ClientConfig, DigitallySignedStruct, RootCertStore, ServerConfig, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject},
};
use std::{
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

/// Where distributions keep the authorities they trust.
const BUNDLES: &[&str] = &[
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    PROVIDER.get_or_init(|| Arc::new(ring::default_provider())).clone()
}

/// The machine's authorities; none at all is no error before a certificate is to be believed.
fn roots() -> RootCertStore {
    static ROOTS: OnceLock<RootCertStore> = OnceLock::new();
    let read = || {
        let mut store = RootCertStore::empty();
        let given = std::env::var_os("SSL_CERT_FILE").map(PathBuf::from);
        let found = given.into_iter().chain(BUNDLES.iter().map(PathBuf::from)).find(|path| path.exists());
        if let Some(certificates) = found.and_then(|bundle| CertificateDer::pem_file_iter(bundle).ok()) {
            store.add_parsable_certificates(certificates.flatten()); // one that is odd is only not believed
        }
        store
    };
    ROOTS.get_or_init(read).clone()
}

/// TLS as spoken to one endpoint; `folders` hold what belongs to its host.
///
/// # Errors
/// Files there that are no certificates, or a certificate without its key; each by name.
pub fn config(verify: bool, folders: &[PathBuf]) -> Result<Arc<ClientConfig>> {
    let (mut store, mut identity) = (roots(), None);
    for folder in folders {
        let Ok(entries) = std::fs::read_dir(folder) else { continue };
        let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        files.sort();
        for file in files {
            match file.extension().and_then(|e| e.to_str()) {
                Some("crt") => {
                    for certificate in certificates(&file)? {
                        store.add(certificate).map_err(|e| Error::invalid(format!("{}: {e}", file.display())))?;
                    }
                }
                Some("cert") => {
                    let key = file.with_extension("key");
                    if !key.exists() {
                        let (key, cert) = (key.display(), file.display());
                        return Err(Error::invalid(format!(
                            "missing key {key} for client certificate {cert}. CA certificates must use the extension .crt"
                        )));
                    }
                    identity = Some((certificates(&file)?, private_key(&key)?));
                }
                Some("key") if !file.with_extension("cert").exists() => {
                    return Err(Error::invalid(format!(
                        "missing client certificate {} for its key",
                        file.with_extension("cert").display()
                    )));
                }
                _ => {}
            }
        }
    }
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|e| Error::system(format!("TLS: {e}")))?;
    let builder = match verify {
        true => builder.with_root_certificates(store),
        false => builder.dangerous().with_custom_certificate_verifier(Arc::new(Anybody(provider()))),
    };
    let mut config = match identity {
        Some((chain, key)) => builder
            .with_client_auth_cert(chain, key)
            .map_err(|e| Error::invalid(format!("the client certificate is of no use: {e}")))?,
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// TLS as our own registry speaks it.
///
/// # Errors
/// Files that hold no certificate or no key, or two that do not belong together.
pub fn server(certificate: &Path, key: &Path) -> Result<Arc<ServerConfig>> {
    let builder = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|e| Error::system(format!("TLS: {e}")))?;
    let mut config = builder
        .with_no_client_auth()
        .with_single_cert(certificates(certificate)?, private_key(key)?)
        .map_err(|e| Error::invalid(format!("{} and {}: {e}", certificate.display(), key.display())))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let bad = |e: rustls::pki_types::pem::Error| {
        Error::invalid(format!("{}: {e}", file.display())).hint("certificates are expected as PEM")
    };
    let all = CertificateDer::pem_file_iter(file).map_err(bad).doing(|| "read a certificate")?;
    let all = all.collect::<std::result::Result<Vec<_>, _>>().map_err(bad)?;
    match all.is_empty() {
        true => Err(Error::invalid(format!("{}: there is no certificate in it", file.display()))),
        false => Ok(all),
    }
}

fn private_key(file: &Path) -> Result<PrivateKeyDer<'static>> {
    PrivateKeyDer::from_pem_file(file)
        .map_err(|e| Error::invalid(format!("{}: {e}", file.display())).hint("a private key is expected as PEM"))
}

/// Believes anybody: for endpoints that were named insecure.
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
        signed: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
