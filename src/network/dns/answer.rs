//! # Answer: a question and the zones → what to say
//!
//! The whole behaviour of the name server, as a pure function: a packet, who asks, what the zones hold, and the rules of the
//! asker's sandbox go in; a [`Verdict`] comes out. Nothing is received or sent here, so every case can be tried in a test.
//!
//! ```text
//!   our name?  ─ yes ─ A, AAAA, ANY     its addresses, a different one first each time; none of that family: NOERROR, empty
//!      │               any other type   NOERROR, empty (the name is there, it just has no such record)
//!      no
//!      ├─ a reverse name of an address on a shared network: PTR cat.pets.
//!      ├─ one label, and the user asked for dots (`ndots:1`): NOERROR, empty, so that the resolver tries its search list
//!      ├─ somebody outside may be asked: forward
//!      └─ nobody outside: NXDOMAIN if only we could have known the name, else SERVFAIL
//! ```
//!
//! * NXDOMAIN means that the *name* does not exist, for any type. To say so of a container that merely has no IPv6 address
//!   makes resolvers give up on its IPv4 address too: the commonest mistake of small name servers (RFC 8020).
//! * A name of ours is never asked for outside, whatever the type. (Docker answers A, AAAA, PTR, SRV and MX itself and forwards
//!   the rest; the answer from outside is then an NXDOMAIN about a container that exists.)
//! * On an internal network nobody outside is asked. Docker says SERVFAIL to everything there; we say NXDOMAIN where it is
//!   the truth (single labels, reverse names of private addresses), for to a SERVFAIL musl answers with ten seconds of
//!   waiting: a typo in a name should fail at once, also in a classroom without the Internet.
//!
//! The time to live of 600 s is Docker's: programs that cache names do so for ten minutes; the C libraries cache nothing.
//!
//! *See:* RFC 1034 §4.3.2, RFC 2308 (NODATA), RFC 6303 (private reverse zones), moby `libnetwork/resolver.go`. *Next room:*
//! [`crate::dns::server`]

use crate::dns::{
    message::{self, Packet, Question, Transport},
    zone::Zones,
};
use hickory_proto::{
    op::ResponseCode,
    rr::{
        DNSClass, Name, RData, Record, RecordType,
        rdata::{A, AAAA, PTR},
    },
};
use std::net::IpAddr;

/// How long an answer of ours may be remembered, in seconds.
const TTL: u32 = 600;

/// What the asker's sandbox allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Whether there is somebody outside who may be asked.
    pub outside: bool,
    /// The user chose `ndots` of 1 or more: a name of one label is not meant to be looked up as it stands.
    pub dots_wanted: bool,
}

/// What is to be done with a packet.
#[derive(Debug)]
pub enum Verdict {
    Silence,
    Reply(Vec<u8>),
    /// Ask outside.
    Forward(Box<Question>),
}

/// Decides. `turn` is any number: it says which of several addresses comes first.
pub fn verdict(packet: &[u8], transport: Transport, zones: &Zones, asker: &str, rules: Rules, turn: usize) -> Verdict {
    let question = match message::read(packet, transport) {
        Packet::Noise => return Verdict::Silence,
        Packet::Refused(reply) => return Verdict::Reply(reply),
        Packet::Question(question) => question,
    };
    match ours(&question, zones, asker, turn) {
        Some(records) => Verdict::Reply(question.reply(ResponseCode::NoError, records)),
        None => not_ours(question, rules),
    }
}

/// The records for a name of ours; `None`: it is not.
fn ours(question: &Question, zones: &Zones, asker: &str, turn: usize) -> Option<Vec<Record>> {
    let query = &question.query;
    if !matches!(query.query_class, DNSClass::IN | DNSClass::ANY) {
        return None;
    }
    let record = |data| Record::from_rdata(query.name.clone(), TTL, data);
    if let Some(address) = reversed(&query.name) {
        let name = Name::from_utf8(format!("{}.", zones.name_of(asker, address)?)).ok()?;
        let asked = matches!(query.query_type, RecordType::PTR | RecordType::ANY);
        return Some(asked.then(|| record(RData::PTR(PTR(name)))).into_iter().collect());
    }
    let mut addresses = zones.look_up(asker, &question.name()?)?;
    addresses.retain(|address| match query.query_type {
        RecordType::A => address.is_ipv4(),
        RecordType::AAAA => address.is_ipv6(),
        kind => kind == RecordType::ANY,
    });
    let first = turn.checked_rem(addresses.len()).unwrap_or(0);
    addresses.rotate_left(first);
    Some(addresses.into_iter().map(|address| record(data(address))).collect())
}

fn data(address: IpAddr) -> RData {
    match address {
        IpAddr::V4(v4) => RData::A(A(v4)),
        IpAddr::V6(v6) => RData::AAAA(AAAA(v6)),
    }
}

/// The address whose reverse name this is: `2.0.18.172.in-addr.arpa.`, `….ip6.arpa.`.
fn reversed(name: &Name) -> Option<IpAddr> {
    // most names are none: look at the end before taking them apart
    if !name.iter().next_back()?.eq_ignore_ascii_case(b"arpa") {
        return None;
    }
    let block = name.parse_arpa_name().ok()?;
    (block.prefix_len() == block.max_prefix_len()).then(|| block.addr())
}

fn not_ours(question: Box<Question>, rules: Rules) -> Verdict {
    let single = question.query.name.num_labels() == 1;
    let for_an_address = matches!(question.query.query_type, RecordType::A | RecordType::AAAA);
    if rules.dots_wanted && single && for_an_address {
        return Verdict::Reply(question.reply(ResponseCode::NoError, Vec::new()));
    }
    if rules.outside {
        return Verdict::Forward(question);
    }
    let only_we_could_know = single || reversed(&question.query.name).is_some_and(private);
    let code = if only_we_could_know { ResponseCode::NXDomain } else { ResponseCode::ServFail };
    Verdict::Reply(question.reply(code, Vec::new()))
}

/// Whether an address means something only in this house: no name server of the Internet can have a name for it.
fn private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_private() || v4.is_loopback() || v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unique_local() || v6.is_loopback() || v6.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::zone::Member;
    use hickory_proto::op::{Message, Query};
    use proptest::prelude::*;

    const OPEN: Rules = Rules { outside: true, dots_wanted: false };
    const CLOSED: Rules = Rules { outside: false, dots_wanted: false };

    fn zones() -> Zones {
        let zones = Zones::default();
        let member = |network: &str, container: &str, names: &[&str], addresses: &[&str]| Member {
            network_id: network.into(),
            network: network.into(),
            container_id: container.into(),
            names: names.iter().map(|name| name.to_string()).collect(),
            links: Vec::new(),
            addresses: addresses.iter().map(|address| address.parse().expect("an address")).collect(),
        };
        zones.set(member("pets", "C1", &["dog", "food"], &["172.18.0.2", "fd00::2"]));
        zones.set(member("pets", "C2", &["cat", "food"], &["172.18.0.3"]));
        zones.set(member("pets", "C3", &["food"], &["172.18.0.4"]));
        zones.set(member("staff", "C9", &["admin"], &["172.19.0.2"]));
        zones
    }

    fn packet(name: &str, kind: RecordType) -> Vec<u8> {
        let mut message = Message::query();
        message.add_query(Query::query(Name::from_ascii(name).expect("a name"), kind));
        message.to_vec().expect("it encodes")
    }

    /// The code and the records of a reply; `None`: forwarded.
    fn asked(name: &str, kind: RecordType, rules: Rules, turn: usize) -> Option<(ResponseCode, Vec<String>)> {
        match verdict(&packet(name, kind), Transport::Udp, &zones(), "C1", rules, turn) {
            Verdict::Silence => panic!("a good question was ignored"),
            Verdict::Forward(_) => None,
            Verdict::Reply(reply) => {
                let reply = Message::from_vec(&reply).expect("a reply");
                assert!(reply.answers.iter().all(|r| r.ttl == TTL));
                Some((reply.metadata.response_code, reply.answers.iter().map(|r| r.data.to_string()).collect()))
            }
        }
    }

    fn good(records: &[&str]) -> Option<(ResponseCode, Vec<String>)> {
        Some((ResponseCode::NoError, records.iter().map(|record| record.to_string()).collect()))
    }

    #[test]
    fn a_name_has_addresses_of_the_family_asked_for() {
        assert_eq!(asked("cat.", RecordType::A, OPEN, 0), good(&["172.18.0.3"]));
        assert_eq!(asked("CaT.PETS.", RecordType::A, OPEN, 0), good(&["172.18.0.3"]));
        assert_eq!(asked("dog.", RecordType::AAAA, OPEN, 0), good(&["fd00::2"]));
        assert_eq!(asked("dog.", RecordType::ANY, OPEN, 0), good(&["172.18.0.2", "fd00::2"]));
    }

    #[test]
    fn a_name_without_such_a_record_is_there_all_the_same() {
        for kind in [RecordType::AAAA, RecordType::MX, RecordType::TXT, RecordType::HTTPS, RecordType::SOA, RecordType::PTR] {
            assert_eq!(asked("cat.", kind, OPEN, 0), good(&[]), "{kind}");
        }
    }

    #[test]
    fn each_address_comes_first_in_its_turn() {
        let first = |turn| asked("food.", RecordType::A, OPEN, turn).and_then(|(_, records)| records.into_iter().next());
        let firsts: Vec<_> = (0..6).filter_map(first).collect();
        assert_eq!(firsts[..3], ["172.18.0.2", "172.18.0.3", "172.18.0.4"]);
        assert_eq!(firsts[..3], firsts[3..]);
    }

    #[test]
    fn an_address_on_a_shared_network_has_a_name() {
        assert_eq!(asked("3.0.18.172.in-addr.arpa.", RecordType::PTR, OPEN, 0), good(&["cat.pets."]));
        let v6 = format!("2.{}d.f.IP6.ARPA.", "0.".repeat(29));
        assert_eq!(asked(&v6, RecordType::PTR, OPEN, 0), good(&["dog.pets."]));
        assert_eq!(asked("3.0.18.172.in-addr.arpa.", RecordType::A, OPEN, 0), good(&[]));
        assert_eq!(asked("2.0.19.172.in-addr.arpa.", RecordType::PTR, OPEN, 0), None, "not a shared network");
        assert_eq!(asked("18.172.in-addr.arpa.", RecordType::PTR, OPEN, 0), None, "not an address");
    }

    #[test]
    fn what_is_not_ours_is_asked_outside() {
        for name in ["www.example.org.", "admin.", "admin.staff.", "nosuch.", "."] {
            assert_eq!(asked(name, RecordType::A, OPEN, 0), None, "{name}");
        }
    }

    #[test]
    fn with_nobody_outside_a_typo_fails_at_once() {
        let none = |code| Some((code, Vec::new()));
        assert_eq!(asked("nosuch.", RecordType::A, CLOSED, 0), none(ResponseCode::NXDomain));
        assert_eq!(asked("9.0.18.172.in-addr.arpa.", RecordType::PTR, CLOSED, 0), none(ResponseCode::NXDomain));
        assert_eq!(asked("www.example.org.", RecordType::A, CLOSED, 0), none(ResponseCode::ServFail));
        assert_eq!(asked("8.8.8.8.in-addr.arpa.", RecordType::PTR, CLOSED, 0), none(ResponseCode::ServFail));
        assert_eq!(asked("cat.", RecordType::A, CLOSED, 0), good(&["172.18.0.3"]));
    }

    #[test]
    fn one_label_is_left_to_the_search_list_where_dots_are_wanted() {
        let rules = Rules { outside: true, dots_wanted: true };
        assert_eq!(asked("nosuch.", RecordType::A, rules, 0), good(&[]));
        assert_eq!(asked("nosuch.", RecordType::TXT, rules, 0), None);
        assert_eq!(asked("nosuch.example.", RecordType::A, rules, 0), None);
        assert_eq!(asked("cat.", RecordType::A, rules, 0), good(&["172.18.0.3"]));
    }

    #[test]
    fn classes_other_than_the_internet_are_not_ours() {
        let mut message = Message::query();
        let mut query = Query::query(Name::from_ascii("cat.").expect("a name"), RecordType::TXT);
        query.set_query_class(DNSClass::CH);
        message.add_query(query);
        let packet = message.to_vec().expect("it encodes");
        assert!(matches!(verdict(&packet, Transport::Udp, &zones(), "C1", OPEN, 0), Verdict::Forward(_)));
    }

    proptest! {
        #[test]
        fn no_packet_makes_it_panic_and_no_reply_is_garbage(
            mut packet in prop::collection::vec(any::<u8>(), 0..300), good_head: bool, outside: bool, turn: usize,
        ) {
            if good_head && packet.len() >= 12 {
                packet[2..12].copy_from_slice(&[1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
            }
            let rules = Rules { outside, dots_wanted: false };
            if let Verdict::Reply(reply) = verdict(&packet, Transport::Udp, &zones(), "C1", rules, turn) {
                prop_assert!(reply.len() <= 512);
                prop_assert_eq!(&reply[..2], &packet[..2]);
                prop_assert!(Message::from_vec(&reply).is_ok());
            }
        }
    }
}
