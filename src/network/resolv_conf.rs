//! # resolv.conf: whom a container asks for names
//!
//! The C library of a container reads three things from `/etc/resolv.conf`: whom to ask, what to append to short names, and a
//! few options. The host's own file is the model, but it cannot simply be copied: a name server on the *host's* loopback
//! address is out of a container's reach, for the container's loopback is another.
//!
//! ```text
//!                       network host     default bridge                    user network
//!   nameserver          the host's       the host's, less loopback ones    127.0.0.11 (ours; it asks the host's)
//!   search, options     the host's       the host's                        the host's, and ndots:0
//!   --dns …             replaces them    replaces them                     our server asks those, from inside
//! ```
//!
//! * [`host_file`] chooses the model: where systemd-resolved runs, `/etc/resolv.conf` names only its stub 127.0.0.53, and
//!   the real servers stand in a file of its own.
//! * [`make`] is the rest: texts in, text out, with the list of whom our own server is to ask.
//! * `ndots:0` says that a name without a dot is a name: `db` is asked for as `db`, not as `db.lan` first.
//!
//! A default bridge whose host knows no usable server gets Google's 8.8.8.8 and 8.8.4.4, because Docker does so; without the
//! Internet they do not answer, but then nobody else would, and the lesson (the default bridge has no names of its own)
//! is the same. On user networks nobody is made up: our own server simply knows nobody outside, and says so at once.
//!
//! *See:* resolv.conf(5), systemd-resolved(8), moby `libnetwork/internal/resolvconf`. *Next room:* [`crate::hosts`]

use crate::dns::upstream::{Side, Upstream};
use minidock_base::{Error, Result};
use std::{fmt::Write, net::IpAddr};

const USUAL: &str = "/etc/resolv.conf";
const OF_SYSTEMD: &str = "/run/systemd/resolve/resolv.conf";
const STUB_OF_SYSTEMD: &str = "127.0.0.53";
/// Where our own server is found in every sandbox on a user network.
pub const OUR_SERVER: &str = "127.0.0.11";
const OUR_OPTION: &str = "ndots:0";

/// What the user asked for: `--dns`, `--dns-search`, `--dns-option`; an empty list changes nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wishes<'a> {
    pub servers: &'a [String],
    pub search: &'a [String],
    pub options: &'a [String],
}

/// What sort of network the container is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// `--network host`, or no network at all: the host's file is right as it is.
    Host,
    /// The default bridge, where there is no name server of ours.
    DefaultBridge { ipv6: bool },
    /// A network of the user's: our server at 127.0.0.11.
    UserNetwork,
}

/// A file for a container, and what goes with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolvConf {
    pub text: String,
    /// Whom our own server asks, in this order (only on user networks).
    pub upstreams: Vec<Upstream>,
    /// Whether the user or the host chose `ndots` of 1 or more.
    pub dots_wanted: bool,
}

/// Which file of the host is the model, and its text; a host without one has an empty one.
pub fn host_file(read: impl Fn(&str) -> Option<String>) -> (&'static str, String) {
    let text = read(USUAL).unwrap_or_default();
    match Lines::of(&text).servers == [STUB_OF_SYSTEMD] {
        true => (OF_SYSTEMD, read(OF_SYSTEMD).unwrap_or_default()),
        false => (USUAL, text),
    }
}

/// Refuses a `--dns` that is no address.
///
/// # Errors
/// [`minidock_base::Kind::InvalidParameter`].
pub fn check(servers: &[String]) -> Result<()> {
    match servers.iter().find(|server| Upstream::parse(server, Side::Sandbox).is_none()) {
        Some(odd) => Err(Error::invalid(format!("{odd} is not an ip address")).hint("--dns takes an address, such as 9.9.9.9")),
        None => Ok(()),
    }
}

/// The file for a container, from the host's (`model` is its path, for the comment).
pub fn make(model: &str, host: &str, wishes: Wishes<'_>, place: Place) -> ResolvConf {
    let mut lines = Lines::of(host);
    let mut notes = Vec::new();
    lines.take(wishes);
    let dots_wanted = lines.dots().is_some_and(|dots| dots > 0);
    let mut upstreams = Vec::new();
    match place {
        Place::Host => {}
        Place::DefaultBridge { ipv6 } if wishes.servers.is_empty() => {
            lines.servers.retain(|server| reachable_from_a_bridge(server, ipv6));
            if lines.servers.is_empty() {
                lines.servers = ["8.8.8.8", "8.8.4.4"].map(String::from).to_vec();
                notes.push("Used default nameservers.".to_string());
            }
        }
        Place::DefaultBridge { .. } => {}
        Place::UserNetwork => {
            let side = if wishes.servers.is_empty() { Side::Home } else { Side::Sandbox };
            upstreams = lines.servers.iter().filter_map(|server| Upstream::parse(server, side)).collect();
            // our server would ask itself
            upstreams.retain(|upstream| side == Side::Home || upstream.address.to_string() != OUR_SERVER);
            lines.servers = vec![OUR_SERVER.to_string()];
            lines.options.retain(|option| !option.starts_with("ndots") || number_of_dots(option).is_some());
            if lines.dots().is_none() {
                lines.options.push(OUR_OPTION.to_string());
            }
            let asked: Vec<String> = upstreams.iter().map(Upstream::to_string).collect();
            notes.push(match asked.is_empty() {
                true => "NO EXTERNAL NAMESERVERS DEFINED".to_string(),
                false => format!("ExtServers: [{}]", asked.join(" ")),
            });
        }
    }
    ResolvConf { text: lines.text(model, wishes, place, &notes), upstreams, dots_wanted }
}

fn reachable_from_a_bridge(server: &str, ipv6: bool) -> bool {
    match Upstream::parse(server, Side::Sandbox).map(|upstream| upstream.address) {
        Some(IpAddr::V4(v4)) => !v4.is_loopback(),
        Some(IpAddr::V6(v6)) => ipv6 && !v6.is_loopback(),
        None => false,
    }
}

/// What a resolv.conf says.
#[derive(Debug, Default)]
struct Lines {
    servers: Vec<String>,
    search: Vec<String>,
    options: Vec<String>,
    /// Directives we do not know: `sortlist`, `lookup`.
    other: Vec<String>,
}

impl Lines {
    fn of(text: &str) -> Lines {
        let mut lines = Lines::default();
        for line in text.lines().filter(|line| !line.starts_with(['#', ';'])) {
            let mut words = line.split_whitespace().map(str::to_string);
            let Some(directive) = words.next() else { continue };
            let mut words = words.peekable();
            let empty = words.peek().is_none();
            match directive.as_str() {
                "nameserver" => {
                    let server = words.next().filter(|word| Upstream::parse(word, Side::Home).is_some());
                    lines.servers.extend(server);
                }
                // the last one counts; `domain` is its older name
                "search" | "domain" if !empty => lines.search = words.collect(),
                "options" => lines.options.extend(words),
                "search" | "domain" => {}
                _ => lines.other.push(line.to_string()),
            }
        }
        lines
    }

    fn take(&mut self, wishes: Wishes<'_>) {
        let replace = |list: &mut Vec<String>, wish: &[String]| {
            if !wish.is_empty() {
                *list = wish.iter().flat_map(|words| words.split_whitespace()).map(str::to_string).collect();
            }
        };
        replace(&mut self.servers, wishes.servers);
        replace(&mut self.search, wishes.search);
        replace(&mut self.options, wishes.options);
        // `--dns-search .`: no search list at all
        self.search.retain(|domain| !domain.is_empty() && (wishes.search.is_empty() || domain != "."));
    }

    /// The last `ndots` that is a number.
    fn dots(&self) -> Option<u32> {
        self.options.iter().rev().find_map(|option| number_of_dots(option))
    }

    fn text(&self, model: &str, wishes: Wishes<'_>, place: Place, notes: &[String]) -> String {
        let mut text = String::from("# Made by minidock. What you change here stays until the container is started again.\n\n");
        for server in &self.servers {
            let _ = writeln!(text, "nameserver {server}");
        }
        for (directive, words) in [("search", &self.search), ("options", &self.options)] {
            if !words.is_empty() {
                let _ = writeln!(text, "{directive} {}", words.join(" "));
            }
        }
        for line in &self.other {
            let _ = writeln!(text, "{line}");
        }
        let how = match place {
            Place::Host => "",
            Place::DefaultBridge { .. } => " (default bridge)",
            Place::UserNetwork => " (internal resolver)",
        };
        let _ = writeln!(text, "\n# Based on host file: '{model}'{how}");
        for note in notes {
            let _ = writeln!(text, "# {note}");
        }
        let replaced = [("nameservers", wishes.servers), ("search", wishes.search), ("options", wishes.options)].into_iter();
        let replaced: Vec<&str> = replaced.filter(|(_, wish)| !wish.is_empty()).map(|(word, _)| word).collect();
        let _ = writeln!(text, "# Overrides: [{}]", replaced.join(" "));
        text
    }
}

fn number_of_dots(option: &str) -> Option<u32> {
    option.strip_prefix("ndots:")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HOST: &str = "# the host's\nnameserver 127.0.0.1\nnameserver 10.0.0.2\nnameserver fe80::1%eth0\nnameserver 2001:db8::53\n\
                        domain old.example\nsearch lan example.org\noptions edns0 trust-ad\nsortlist 10.0.0.0\n";
    const BRIDGE: Place = Place::DefaultBridge { ipv6: false };

    fn directives(text: &str) -> Vec<&str> {
        text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect()
    }

    fn words(list: &[&str]) -> Vec<String> {
        list.iter().map(|word| word.to_string()).collect()
    }

    fn asked(made: &ResolvConf) -> Vec<String> {
        made.upstreams.iter().map(Upstream::to_string).collect()
    }

    #[test]
    fn on_a_user_network_our_server_is_asked_and_asks_the_hosts_from_the_host() {
        let made = make(USUAL, HOST, Wishes::default(), Place::UserNetwork);
        assert_eq!(
            directives(&made.text),
            ["nameserver 127.0.0.11", "search lan example.org", "options edns0 trust-ad ndots:0", "sortlist 10.0.0.0"]
        );
        assert_eq!(asked(&made), ["host(127.0.0.1)", "host(10.0.0.2)", "host(fe80::1%eth0)", "host(2001:db8::53)"]);
        assert!(!made.dots_wanted);
        assert!(made.text.contains("# ExtServers: [host(127.0.0.1) host(10.0.0.2)"), "{}", made.text);
        let plain = make(USUAL, "nameserver 10.0.0.2\n", Wishes::default(), Place::UserNetwork);
        assert_eq!(directives(&plain.text), ["nameserver 127.0.0.11", "options ndots:0"]);
    }

    #[test]
    fn on_a_user_network_a_wished_server_is_asked_from_inside() {
        let (servers, search, options) = (words(&["9.9.9.9", "127.0.0.11"]), words(&["."]), words(&["ndots:2", "timeout:1"]));
        let wishes = Wishes { servers: &servers, search: &search, options: &options };
        let made = make(USUAL, HOST, wishes, Place::UserNetwork);
        assert_eq!(directives(&made.text), ["nameserver 127.0.0.11", "options ndots:2 timeout:1", "sortlist 10.0.0.0"]);
        assert_eq!((asked(&made), made.dots_wanted), (words(&["9.9.9.9"]), true));
        assert!(made.text.ends_with("# Overrides: [nameservers search options]\n"));
    }

    #[test]
    fn on_the_default_bridge_loopback_servers_are_left_out() {
        let servers = |made: &ResolvConf| -> Vec<String> {
            made.text.lines().filter_map(|line| line.strip_prefix("nameserver ")).map(str::to_string).collect()
        };
        assert_eq!(servers(&make(USUAL, HOST, Wishes::default(), BRIDGE)), ["10.0.0.2"]);
        let both = make(USUAL, HOST, Wishes::default(), Place::DefaultBridge { ipv6: true });
        assert_eq!(servers(&both), ["10.0.0.2", "fe80::1%eth0", "2001:db8::53"]);
        let none = make(USUAL, "nameserver 127.0.0.1\n", Wishes::default(), BRIDGE);
        assert_eq!(servers(&none), ["8.8.8.8", "8.8.4.4"]);
        let wish = words(&["127.0.0.1"]);
        let wished = make(USUAL, HOST, Wishes { servers: &wish, ..Wishes::default() }, BRIDGE);
        assert_eq!(servers(&wished), ["127.0.0.1"], "the user knows best");
        assert!(wished.upstreams.is_empty());
    }

    #[test]
    fn the_hosts_own_network_has_the_hosts_own_servers() {
        let made = make(USUAL, HOST, Wishes::default(), Place::Host);
        assert_eq!(directives(&made.text)[..2], ["nameserver 127.0.0.1", "nameserver 10.0.0.2"]);
        assert_eq!(directives(&make(USUAL, "", Wishes::default(), Place::Host).text), [""; 0]);
    }

    #[test]
    fn an_ndots_that_is_no_number_is_replaced() {
        for odd in ["ndots", "ndots:", "ndots:x", "ndots:-1"] {
            let made = make(USUAL, &format!("options {odd} rotate\n"), Wishes::default(), Place::UserNetwork);
            assert_eq!(directives(&made.text), ["nameserver 127.0.0.11", "options rotate ndots:0"], "{odd}");
        }
        assert!(make(USUAL, "options ndots:1\n", Wishes::default(), Place::UserNetwork).dots_wanted);
    }

    #[test]
    fn where_systemd_resolves_its_own_file_is_the_model() {
        let read = |stub: &'static str| {
            move |path: &str| match path {
                USUAL => Some(stub.to_string()),
                OF_SYSTEMD => Some("nameserver 192.0.2.1\n".into()),
                _ => None,
            }
        };
        assert_eq!(host_file(read("nameserver 127.0.0.53\n")), (OF_SYSTEMD, "nameserver 192.0.2.1\n".into()));
        assert_eq!(host_file(read("nameserver 127.0.0.53\nnameserver 9.9.9.9\n")).0, USUAL);
        assert_eq!(host_file(|_| None), (USUAL, String::new()));
    }

    #[test]
    fn only_an_address_can_be_asked() {
        check(&words(&["9.9.9.9", "::1", "fe80::1%eth0"])).expect("addresses");
        assert_eq!(check(&words(&["dns.example"])).expect_err("a name").message(), "dns.example is not an ip address");
    }

    proptest! {
        /// A wish cannot put a line of its own into the file, and what we write we read back.
        #[test]
        fn a_file_holds_what_was_wished_and_no_more(host in "[ -~\\n]{0,80}", search in prop::collection::vec("[a-z. \\n]{0,12}", 0..3)) {
            let wishes = Wishes { search: &search, ..Wishes::default() };
            let made = make(USUAL, &host, wishes, Place::UserNetwork);
            let read = Lines::of(&made.text);
            prop_assert_eq!(read.servers, [OUR_SERVER]);
            prop_assert!(read.options.iter().any(|option| option.starts_with("ndots:")));
            if !search.is_empty() {
                let words = search.iter().flat_map(|words| words.split_whitespace()).filter(|word| *word != ".");
                prop_assert_eq!(read.search, words.map(str::to_string).collect::<Vec<_>>());
            }
        }
    }
}
