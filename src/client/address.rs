//! # Addresses: where a daemon listens
//!
//! `-H`, `DOCKER_HOST` and contexts all hold the same text: `unix:///run/minidock.sock` or `tcp://127.0.0.1:2375`. It is
//! parsed here, once, into an [`Address`]; from then on nobody looks at the text again.
//!
//! Laws: a form that Docker knows and we do not (`ssh://`, `npipe://`, `fd://`) is refused by name, not misread.
//! *See:* docker/cli `opts/hosts.go`. *Next room:* [`crate::route`]

use minidock_base::{Error, Result};
use std::{fmt, path::PathBuf};

/// Where a daemon listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// A socket in the file system.
    Unix(PathBuf),
    /// `host:port`.
    Tcp(String),
}

impl Address {
    /// Parses `unix:///path`, `tcp://host[:port]` (port 2375 unless given).
    ///
    /// # Errors
    /// `unable to parse docker host …`, with a hint, for everything else.
    pub fn parse(text: &str) -> Result<Address> {
        let bad = || {
            Error::invalid(format!("unable to parse docker host `{text}`"))
                .hint("unix:///run/minidock.sock or tcp://127.0.0.1:2375")
        };
        let (scheme, rest) = text.split_once("://").ok_or_else(bad)?;
        match scheme {
            "unix" if rest.starts_with('/') => Ok(Address::Unix(rest.into())),
            "tcp" | "http" => {
                let authority = rest.trim_end_matches('/');
                let has_port = authority.rsplit_once(':').is_some_and(|(_, port)| !port.contains(']'));
                let host = authority.rsplit_once(':').filter(|_| has_port).map_or(authority, |(host, _)| host);
                let port = authority.rsplit_once(':').filter(|_| has_port).map_or("2375", |(_, port)| port);
                if host.is_empty() || authority.contains('/') || port.parse::<u16>().is_err() {
                    return Err(bad());
                }
                Ok(Address::Tcp(format!("{host}:{port}")))
            }
            "ssh" | "npipe" | "fd" | "https" => {
                Err(Error::invalid(format!("unable to parse docker host `{text}`: {scheme}:// is not spoken here"))
                    .hint("unix:// and tcp:// are; reach a far machine by `ssh -L`"))
            }
            _ => Err(bad()),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Unix(path) => write!(f, "unix://{}", path.display()),
            Address::Tcp(host) => write!(f, "tcp://{host}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sockets_and_ports_are_understood_and_the_rest_is_refused_by_name() {
        assert_eq!(Address::parse("unix:///run/x.sock").expect("a socket"), Address::Unix("/run/x.sock".into()));
        assert_eq!(Address::parse("tcp://127.0.0.1").expect("a host"), Address::Tcp("127.0.0.1:2375".into()));
        assert_eq!(Address::parse("tcp://[::1]:99/").expect("a host"), Address::Tcp("[::1]:99".into()));
        for bad in ["", "x", "unix://relative", "tcp://", "tcp://h:x", "tcp://h:99999", "ssh://me@there", "tcp://a/b"] {
            assert!(Address::parse(bad).is_err(), "{bad:?} should be refused");
        }
        assert!(Address::parse("ssh://me@there").unwrap_err().message().contains("ssh://"));
    }

    proptest! {
        #[test]
        fn a_printed_address_parses_to_itself(text in "(unix:///[a-z/]{1,20}|tcp://[a-z0-9.]{1,12}(:[0-9]{1,5})?)|\\PC{0,20}") {
            if let Ok(address) = Address::parse(&text) {
                prop_assert_eq!(Address::parse(&address.to_string()).expect("printed by us"), address);
            }
        }
    }
}
