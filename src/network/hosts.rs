//! # hosts: the names that need no server
//!
//! `/etc/hosts` is asked before any name server, so it is where a container finds itself, and what it must find whatever the
//! network: `localhost`, its own hostname with its addresses, what `--add-host` says, and on the default bridge (where there
//! is no name server of ours) the containers it is linked to.
//!
//! ```text
//!   127.0.0.1   localhost                                      always
//!   ::1         localhost ip6-localhost ip6-loopback           and four more, where there is IPv6
//!   10.0.0.5    db                                             --add-host db:10.0.0.5
//!   172.17.0.3  store 4f6d0c1b2a39 redis                       --link redis:store: alias, hostname, name
//!   172.17.0.2  web.example.org web                            its own name, once for each address
//! ```
//!
//! * [`text`] writes the file when a container starts; [`add`], [`remove`] and [`moved`] change a running container's: only the
//!   lines that are ours to change, so that what the container itself wrote stays.
//! * [`extra`] reads `--add-host`; `host-gateway` there means the host, as seen from the container's bridge.
//!
//! Laws: a line is written as `address TAB names`, for it is found again by that.
//! *See:* hosts(5), moby `libnetwork/etchosts`. *Next room:* [`crate::dns`]

use minidock_base::{Error, Result};
use std::{fmt, net::IpAddr};

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    pub address: IpAddr,
    /// Separated by spaces, the canonical one first.
    pub names: String,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\t{}", self.address, self.names)
    }
}

const LOCAL: &str = "127.0.0.1\tlocalhost\n";
const LOCAL_V6: &str = "::1\tlocalhost ip6-localhost ip6-loopback\nfe00::\tip6-localnet\nff00::\tip6-mcastprefix\n\
                        ff02::1\tip6-allnodes\nff02::2\tip6-allrouters\n";

/// The file of a container that starts: extra lines first, in the user's order, its own last.
pub fn text(ipv6: bool, extra: &[Line], own: &[Line]) -> String {
    let lines = extra.iter().chain(own).filter(|line| ipv6 || line.address.is_ipv4());
    let local = if ipv6 { LOCAL_V6 } else { "" };
    lines.fold(format!("{LOCAL}{local}"), |text, line| format!("{text}{line}\n"))
}

/// A container's own lines: `web.example.org web`, once for each address.
pub fn own(hostname: &str, domainname: &str, addresses: &[IpAddr]) -> Vec<Line> {
    let mut names = hostname.to_string();
    if !domainname.is_empty() {
        names = format!("{names}.{domainname}");
    }
    if let Some((short, _)) = names.clone().split_once('.') {
        names = format!("{names} {short}");
    }
    addresses.iter().map(|address| Line { address: *address, names: names.clone() }).collect()
}

/// The line of a linked container: alias, hostname, and its name where that is another word.
pub fn link(alias: &str, hostname: &str, name: &str, address: IpAddr) -> Line {
    let name = name.trim_start_matches('/');
    let more = if alias == name { String::new() } else { format!(" {name}") };
    Line { address, names: format!("{alias} {hostname}{more}") }
}

/// Reads `--add-host`: `name:address` or `name=address`; `host-gateway` becomes each of `gateways`.
///
/// # Errors
/// `bad format for add-host: "x"`, `invalid IP address in add-host: "y"`, and a host-gateway that nobody knows.
pub fn extra(texts: &[String], gateways: &[IpAddr]) -> Result<Vec<Line>> {
    let mut lines = Vec::new();
    for text in texts {
        let refused = || Error::invalid(format!("bad format for add-host: {text:?}")).hint("name:address, such as db:10.0.0.5");
        let (name, address) = split(text).filter(|(name, _)| is_a_word(name)).ok_or_else(refused)?;
        let addresses = match address {
            "host-gateway" if gateways.is_empty() => {
                return Err(Error::invalid("unable to derive the IP value for host-gateway"));
            }
            "host-gateway" => gateways.to_vec(),
            address => vec![address.parse().map_err(|_| invalid(address))?],
        };
        lines.extend(addresses.into_iter().map(|address| Line { address, names: name.to_string() }));
    }
    Ok(lines)
}

fn invalid(address: &str) -> Error {
    Error::invalid(format!("invalid IP address in add-host: {address:?}"))
}

/// An IPv6 address has colons of its own, and may stand in brackets.
fn split(text: &str) -> Option<(&str, &str)> {
    let (name, address) = match (text.find('='), text.find(':')) {
        (Some(equals), colon) if colon.is_none_or(|colon| equals < colon) => text.split_at(equals),
        (_, Some(colon)) => text.split_at(colon),
        _ => return None,
    };
    let address = &address[1..];
    Some((name, address.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')).unwrap_or(address)))
}

/// A name with a space or a line break would be two, or a line of its own.
fn is_a_word(name: &str) -> bool {
    !name.is_empty() && !name.contains(|c: char| c.is_whitespace() || c.is_control() || c == '#')
}

/// The file with more lines at its end.
pub fn add(text: &str, lines: &[Line]) -> String {
    let end = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
    lines.iter().fold(format!("{text}{end}"), |text, line| format!("{text}{line}\n"))
}

/// The file without these lines; comments and lines that somebody changed stay.
pub fn remove(text: &str, lines: &[Line]) -> String {
    let ours = |found: &str| lines.iter().any(|line| is(found, line));
    text.lines().filter(|found| !ours(found)).fold(String::new(), |text, found| format!("{text}{found}\n"))
}

fn is(found: &str, line: &Line) -> bool {
    let parts = found.split_once('\t');
    parts.is_some_and(|(address, names)| names == line.names && address.trim().parse() == Ok(line.address))
}

/// The file after what is called `name` has moved to another address of the same family.
pub fn moved(text: &str, name: &str, address: IpAddr) -> String {
    let change = |found: &str| {
        let (old, names) = found.split_once('\t')?;
        let old: IpAddr = old.trim().parse().ok()?;
        let first = names.split(' ').next()?;
        (first == name && old.is_ipv4() == address.is_ipv4()).then(|| format!("{address}\t{names}"))
    };
    text.lines().map(|found| change(found).unwrap_or_else(|| found.to_string()) + "\n").collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    fn words(list: &[&str]) -> Vec<String> {
        list.iter().map(|word| word.to_string()).collect()
    }

    #[test]
    fn the_file_has_dockers_lines_in_dockers_order() {
        let extra = extra(&words(&["db:10.0.0.5", "six=[fd00::5]"]), &[]).expect("good lines");
        let own = own("web", "example.org", &[address("172.17.0.2"), address("fd00::2")]);
        let made = text(true, &extra, &own);
        assert!(made.starts_with("127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\nfe00::\t"));
        assert!(made.ends_with("10.0.0.5\tdb\nfd00::5\tsix\n172.17.0.2\tweb.example.org web\nfd00::2\tweb.example.org web\n"));
        assert_eq!(text(false, &extra, &own), "127.0.0.1\tlocalhost\n10.0.0.5\tdb\n172.17.0.2\tweb.example.org web\n");
    }

    #[test]
    fn a_container_has_its_hostname_with_and_without_domain() {
        let names = |hostname, domain| own(hostname, domain, &[address("172.17.0.2")])[0].names.clone();
        assert_eq!(names("web", ""), "web");
        assert_eq!(names("web", "a.b"), "web.a.b web");
        assert_eq!(names("web.a.b", ""), "web.a.b web");
    }

    #[test]
    fn a_link_has_alias_hostname_and_name() {
        let line = |alias| link(alias, "4f6d0c1b2a39", "/redis", address("172.17.0.3")).names;
        assert_eq!(line("store"), "store 4f6d0c1b2a39 redis");
        assert_eq!(line("redis"), "redis 4f6d0c1b2a39");
    }

    #[test]
    fn add_host_is_read_or_refused_in_dockers_words() {
        let read = |text: &str| extra(&words(&[text]), &[address("172.17.0.1")]);
        let good = |text: &str| read(text).expect("a good line")[0].to_string();
        for (text, line) in [
            ("db:10.0.0.5", "10.0.0.5\tdb"),
            ("db=10.0.0.5", "10.0.0.5\tdb"),
            ("db:::1", "::1\tdb"),
            ("db:[::1]", "::1\tdb"),
            ("db=fe80::1", "fe80::1\tdb"),
            ("host:host-gateway", "172.17.0.1\thost"),
        ] {
            assert_eq!(good(text), line, "{text}");
        }
        for bad in ["db", "", ":10.0.0.5", "a b:10.0.0.5", "a\n1.2.3.4\tb:10.0.0.5"] {
            assert!(read(bad).is_err_and(|e| e.message().starts_with("bad format for add-host")), "{bad:?}");
        }
        for bad in ["db:", "db:x", "db:10.0.0", "db:10.0.0.5:80", "db:[::1"] {
            assert!(read(bad).is_err_and(|e| e.message().starts_with("invalid IP address in add-host")), "{bad:?}");
        }
        assert!(extra(&words(&["host:host-gateway"]), &[]).is_err());
    }

    #[test]
    fn a_running_containers_file_changes_only_where_it_is_ours() {
        let theirs = "127.0.0.1\tlocalhost\n# mine\n1.2.3.4 spaced web\n172.18.0.2\tweb\n172.18.0.2\tweb extra";
        let lines = own("web", "", &[address("172.18.0.2")]);
        let kept = "127.0.0.1\tlocalhost\n# mine\n1.2.3.4 spaced web\n172.18.0.2\tweb extra\n";
        assert_eq!(remove(theirs, &lines), kept);
        assert_eq!(add(kept, &lines), format!("{kept}172.18.0.2\tweb\n"));
        assert_eq!(add("no end", &lines), "no end\n172.18.0.2\tweb\n");
    }

    #[test]
    fn a_link_follows_who_moved() {
        let before = "172.17.0.3\tstore 4f6d redis\n172.17.0.4\tstorehouse\nfd00::3\tstore 4f6d redis\n";
        let after = "172.17.0.9\tstore 4f6d redis\n172.17.0.4\tstorehouse\nfd00::3\tstore 4f6d redis\n";
        assert_eq!(moved(before, "store", address("172.17.0.9")), after);
    }

    proptest! {
        #[test]
        fn what_was_added_can_be_removed_again(
            before in prop::collection::vec("[a-z0-9 #.\\t]{0,20}", 0..5), names in prop::collection::vec("[A-Z]{1,5}", 0..4),
        ) {
            let before = before.iter().map(|line| format!("{line}\n")).collect::<String>();
            let lines: Vec<Line> = names.into_iter().map(|names| Line { address: address("10.1.2.3"), names }).collect();
            prop_assert_eq!(remove(&add(&before, &lines), &lines), before);
        }

        #[test]
        fn one_add_host_makes_one_line_or_is_refused(text in "\\PC{0,30}") {
            if let Ok(lines) = extra(&[text], &[address("172.17.0.1")]) {
                prop_assert!(lines.iter().all(|line| line.to_string().lines().count() == 1));
            }
        }
    }
}
