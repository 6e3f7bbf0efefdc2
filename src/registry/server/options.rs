//! # Options: what the registry was told
//!
//! `minidock registry serve` has read the flags already and hands them on as `--name=value`, one word each; what is not given has
//! a default that harms nobody: this machine's own address, a folder of its own, no password and no TLS.
//!
//! Law: a registry that others can reach and that asks for passwords must speak TLS, or everybody on the way reads them: it is
//! said, and done, for a classroom may know what it does. Next room: [`super::route`]

use minidock_base::{Error, Result};
use std::path::PathBuf;

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
        assert!(read(&["--tls-cert=/a"]).is_err() && read(&["--nosuch=1"]).is_err() && read(&["--root="]).is_err());
    }
}
