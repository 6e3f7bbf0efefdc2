//! # Options: what the registry was told
//!
//! `minidock registry serve` has read the flags already and hands them on as `--name=value`, one word each; what is not given has
//! a default that harms nobody: this machine's own address, a folder of its own, no password and no TLS. The variables that the
//! labs set for `registry:2` mean the same here, so that an image of ours may stand in for it.
//!
//! Law: a registry that others can reach and that asks for passwords must speak TLS, or everybody on the way reads them: it is
//! said, and done, for a classroom may know what it does. Next room: [`super::route`]

use minidock_base::{Error, Result};
use std::path::PathBuf;

/// What is set for `registry:2` in the labs, and our word for it.
const VARIABLES: &[(&str, &str)] = &[
    ("REGISTRY_HTTP_ADDR", "--listen"),
    ("REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY", "--root"),
    ("REGISTRY_AUTH_HTPASSWD_PATH", "--htpasswd"),
    ("REGISTRY_HTTP_TLS_CERTIFICATE", "--tls-cert"),
    ("REGISTRY_HTTP_TLS_KEY", "--tls-key"),
];

/// The settings of one registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    pub listen: String,
    pub root: PathBuf,
    pub htpasswd: Option<PathBuf>,
    /// Certificate and key.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// An OCI layout that is handed out as well.
    pub store: Option<PathBuf>,
    pub read_only: bool,
    /// No line for each request.
    pub is_quiet: bool,
}

impl Options {
    /// Reads the words, and the variables that people set for `registry:2`, which the words overrule.
    ///
    /// # Errors
    /// A word that is unknown; a certificate without a key; a kind of authentication that we do not have.
    pub fn of(words: &[String], variable: impl Fn(&str) -> Option<String>) -> Result<Options> {
        let mut all = Vec::new();
        for (name, flag) in VARIABLES {
            all.extend(variable(name).filter(|value| !value.is_empty()).map(|value| format!("{flag}={value}")));
        }
        match variable("REGISTRY_AUTH").as_deref() {
            None | Some("" | "htpasswd") => {}
            Some(other) => return Err(Error::invalid(format!("REGISTRY_AUTH={other}: only htpasswd is known here"))),
        }
        all.extend(words.iter().cloned());
        Options::read(&all)
    }

    /// Reads the words.
    ///
    /// # Errors
    /// One that is unknown; a certificate without a key.
    pub fn read(words: &[String]) -> Result<Options> {
        let mut options = Options {
            listen: "127.0.0.1:5000".into(),
            root: "/var/lib/minidock-registry".into(),
            htpasswd: None,
            tls: None,
            store: None,
            read_only: false,
            is_quiet: false,
        };
        let (mut certificate, mut key) = (None, None);
        for word in words {
            let (name, value) = word.split_once('=').unwrap_or((word, ""));
            match name {
                "--read-only" => options.read_only = true,
                "--quiet" => options.is_quiet = true,
                "--listen" if !value.is_empty() => options.listen = with_port(value),
                "--root" if !value.is_empty() => options.root = value.into(),
                "--htpasswd" if !value.is_empty() => options.htpasswd = Some(value.into()),
                "--store" if !value.is_empty() => options.store = Some(value.into()),
                "--tls-cert" if !value.is_empty() => certificate = Some(PathBuf::from(value)),
                "--tls-key" if !value.is_empty() => key = Some(PathBuf::from(value)),
                _ => {
                    return Err(
                        Error::invalid(format!("unknown flag of the registry: {word}")).hint("minidock registry serve --help")
                    );
                }
            }
        }
        options.tls = match (certificate, key) {
            (Some(certificate), Some(key)) => Some((certificate, key)),
            (None, None) => None,
            _ => return Err(Error::invalid("--tls-cert and --tls-key belong together")),
        };
        Ok(options)
    }
}

/// `:5000` and `5000` mean every address, `host` alone the usual port.
fn with_port(listen: &str) -> String {
    match listen.rsplit_once(':') {
        Some(("", port)) => format!("0.0.0.0:{port}"),
        Some((_, port)) if !port.contains(']') => listen.to_string(),
        _ if listen.bytes().all(|c| c.is_ascii_digit()) => format!("0.0.0.0:{listen}"),
        _ => format!("{listen}:5000"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(words: &[&str]) -> Result<Options> {
        Options::read(&words.iter().map(|word| word.to_string()).collect::<Vec<_>>())
    }

    #[test]
    fn what_is_not_said_harms_nobody() {
        let quiet = read(&[]).expect("defaults");
        assert_eq!((quiet.listen.as_str(), quiet.tls, quiet.read_only), ("127.0.0.1:5000", None, false));
        for (given, meant) in [
            (":5001", "0.0.0.0:5001"),
            ("5001", "0.0.0.0:5001"),
            ("lab", "lab:5000"),
            ("[::1]:1", "[::1]:1"),
            ("[::1]", "[::1]:5000"),
        ] {
            assert_eq!(read(&[&format!("--listen={given}")]).expect("an address").listen, meant);
        }
        let lab = |name: &str| match name {
            "REGISTRY_HTTP_ADDR" => Some(":443".to_string()),
            "REGISTRY_AUTH" => Some("htpasswd".to_string()),
            "REGISTRY_AUTH_HTPASSWD_PATH" => Some("/auth/htpasswd".to_string()),
            _ => None,
        };
        let lab = Options::of(&["--listen=:5000".into()], lab).expect("as in the labs");
        assert_eq!((lab.listen.as_str(), lab.htpasswd), ("0.0.0.0:5000", Some("/auth/htpasswd".into())));
        assert!(Options::of(&[], |name| (name == "REGISTRY_AUTH").then(|| "token".into())).is_err());
        assert!(read(&["--tls-cert=/a"]).is_err() && read(&["--nosuch=1"]).is_err() && read(&["--root="]).is_err());
    }
}
