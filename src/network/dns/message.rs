//! # Message: reading questions, and not trusting answers
//!
//! A DNS message comes from a program in a container, or from a server somewhere outside, and in both cases anything may be
//! in it. This room reads what we need and refuses the rest, so that the other rooms deal with a [`Question`] instead of
//! bytes.
//!
//! ```text
//!   +----+-------+--------+--------+--------+---------+   header: 12 bytes
//!   | id | flags | QD = 1 | AN     | NS     | AR      |   QR, opcode, AA TC RD RA AD CD, rcode
//!   +----+-------+--------+--------+--------+---------+
//!   | question: name, type, class                      |   exactly one
//!   | answer · authority · additional (with EDNS: OPT) |   records: name, type, class, ttl, length, data
//!   +--------------------------------------------------+
//! ```
//!
//! * [`read`] turns a packet into a [`Question`], or into what must be said instead: a response is never answered (two
//!   servers could do so for ever), another operation is NOTIMP, what cannot be read is FORMERR.
//! * [`Question::reply`] builds an answer that fits: by UDP 512 bytes, or what the asker's EDNS record allows; what is cut
//!   off is marked (TC), and the asker comes again by TCP.
//! * [`answers`] says whether bytes that came back from outside are an answer to what was asked there: the same id, the same
//!   question, and sections that hold together.
//!
//! The records of a forwarded answer are not interpreted: they are passed on as they came, also those whose types we have
//! never heard of.
//!
//! *See:* RFC 1035 §4, RFC 6891 (EDNS), RFC 9619 (one question only), RFC 5452 §9 (what to check). *Next room:*
//! [`crate::dns::answer`]

use hickory_proto::{
    op::{Edns, Header, Message, MessageType, Metadata, OpCode, Query, ResponseCode},
    rr::{Name, Record},
    serialize::binary::{BinDecodable, BinDecoder},
};

/// How a question came, and so how long its answer may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    Udp,
    Tcp,
}

/// A question that can be understood.
#[derive(Clone, Debug)]
pub struct Question {
    head: Metadata,
    pub query: Query,
    /// What the asker says it can take by UDP, if it speaks EDNS.
    payload: Option<u16>,
    transport: Transport,
}

/// What a packet turned out to be.
#[derive(Debug)]
pub enum Packet {
    Question(Box<Question>),
    /// Not answerable, but to be answered: FORMERR, NOTIMP, BADVERS.
    Refused(Vec<u8>),
    /// Noise, or an answer: silence is the only safe reply.
    Noise,
}

/// The largest UDP payload we announce: what passes every Ethernet unfragmented.
const OUR_PAYLOAD: u16 = 1232;

/// Reads a packet from an asker.
pub fn read(packet: &[u8], transport: Transport) -> Packet {
    let Ok(header) = Header::read(&mut BinDecoder::new(packet)) else { return Packet::Noise };
    let head = header.metadata;
    if head.message_type == MessageType::Response {
        return Packet::Noise;
    }
    if head.op_code != OpCode::Query {
        return Packet::Refused(refusal(&head, ResponseCode::NotImp));
    }
    let Ok(message) = Message::from_vec(packet) else { return Packet::Refused(refusal(&head, ResponseCode::FormErr)) };
    let (edns, mut queries) = (message.edns, message.queries);
    let (Some(query), true) = (queries.pop(), queries.is_empty()) else {
        return Packet::Refused(refusal(&head, ResponseCode::FormErr));
    };
    let payload = edns.as_ref().map(Edns::max_payload);
    let question = Question { head, query, payload, transport };
    match edns.is_some_and(|edns| edns.version() != 0) {
        true => Packet::Refused(question.reply(ResponseCode::BADVERS, Vec::new())),
        false => Packet::Question(Box::new(question)),
    }
}

/// A reply of a header alone.
fn refusal(head: &Metadata, code: ResponseCode) -> Vec<u8> {
    let mut message = Message::error_msg(head.id, head.op_code, code);
    message.metadata.recursion_desired = head.recursion_desired;
    message.to_vec().unwrap_or_else(|_| bare(head.id, code))
}

/// The same by hand, for the case that cannot be: that a header does not encode.
fn bare(id: u16, code: ResponseCode) -> Vec<u8> {
    let [high, low] = id.to_be_bytes();
    vec![high, low, 0x80, code.low(), 0, 0, 0, 0, 0, 0, 0, 0]
}

impl Question {
    /// The name as text, in lower case and without the last dot; `None` for one whose labels no text can tell apart.
    pub fn name(&self) -> Option<String> {
        text(&self.query.name)
    }

    /// The number under which the asker expects the answer.
    pub fn id(&self) -> u16 {
        self.head.id
    }

    /// The longest answer the asker can take this way.
    fn limit(&self) -> usize {
        match self.transport {
            Transport::Tcp => usize::from(u16::MAX),
            Transport::Udp => usize::from(self.payload.unwrap_or(0).max(512)),
        }
    }

    /// The answer: as many of the records as fit; TC says that there were more.
    pub fn reply(&self, code: ResponseCode, answers: Vec<Record>) -> Vec<u8> {
        let mut message = Message::response(self.head.id, OpCode::Query);
        message.metadata = Metadata::response_from_request(&self.head);
        message.metadata.recursion_available = true;
        message.metadata.response_code = code;
        message.add_query(self.query.clone());
        message.answers = answers;
        if self.payload.is_some() {
            let mut edns = Edns::new();
            edns.set_max_payload(OUR_PAYLOAD);
            message.set_edns(edns);
        }
        self.fitted(message)
    }

    fn fitted(&self, mut message: Message) -> Vec<u8> {
        let encode = |message: &Message| message.to_vec().unwrap_or_else(|_| bare(self.head.id, ResponseCode::ServFail));
        let whole = encode(&message);
        if whole.len() <= self.limit() {
            return whole;
        }
        message.metadata.truncation = true;
        // how many fit grows with the room there is: halve until found
        let (all, mut fits, mut too_many) = (message.answers.clone(), 0, message.answers.len());
        while fits + 1 < too_many {
            let middle = (fits + too_many) / 2;
            message.answers = all[..middle].to_vec();
            match encode(&message).len() <= self.limit() {
                true => fits = middle,
                false => too_many = middle,
            }
        }
        message.answers = all[..fits].to_vec();
        encode(&message)
    }
}

/// Labels joined by dots, in lower case. A label with a dot in it (or bytes that are no text) could be taken for two.
fn text(name: &Name) -> Option<String> {
    let mut text = String::new();
    for label in name.iter() {
        let label = std::str::from_utf8(label).ok().filter(|label| !label.contains('.'))?;
        if !text.is_empty() {
            text.push('.');
        }
        text.push_str(label);
    }
    text.make_ascii_lowercase();
    Some(text)
}

/// The id of a message, which its first two bytes are.
pub fn set_id(packet: &mut [u8], id: u16) {
    if let Some(place) = packet.get_mut(..2) {
        place.copy_from_slice(&id.to_be_bytes());
    }
}

/// Whether `packet` is an answer to `query`, asked under `id`: nobody should be able to slip us another. A server that could
/// not read the question may leave it out when it says so.
pub fn answers(packet: &[u8], id: u16, query: &Query) -> bool {
    let mut decoder = BinDecoder::new(packet);
    let Ok(header) = Header::read(&mut decoder) else { return false };
    let (head, counts) = (header.metadata, header.counts);
    if head.id != id || head.message_type != MessageType::Response || head.op_code != OpCode::Query {
        return false;
    }
    let about = match counts.queries {
        0 => head.response_code != ResponseCode::NoError && counts.answers == 0,
        1 => Query::read(&mut decoder).is_ok_and(|asked| same(&asked, query)),
        _ => false,
    };
    let records = [counts.answers, counts.authorities, counts.additionals].into_iter().map(usize::from).sum();
    about && (head.truncation || holds_together(&mut decoder, records))
}

fn same(one: &Query, other: &Query) -> bool {
    one.query_type == other.query_type && one.query_class == other.query_class && one.name == other.name
}

/// Whether so many records follow, each as long as it says.
fn holds_together(decoder: &mut BinDecoder<'_>, records: usize) -> bool {
    (0..records).all(|_| record(decoder).is_some())
}

/// Steps over one record: its name, type, class, time to live, length and data.
fn record(decoder: &mut BinDecoder<'_>) -> Option<()> {
    Name::read(decoder).ok()?;
    decoder.read_slice(8).ok()?;
    let length = decoder.read_u16().ok()?.unverified(/* the next line fails when it is too large */);
    decoder.read_slice(usize::from(length)).ok()?;
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use hickory_proto::rr::{RData, RecordType, rdata};
    use proptest::prelude::*;

    fn query(name: &str) -> Message {
        let mut message = Message::query();
        message.metadata.recursion_desired = true;
        message.add_query(Query::query(Name::from_ascii(name).expect("a name"), RecordType::A));
        message
    }

    fn question(message: &Message, transport: Transport) -> Question {
        match read(&message.to_vec().expect("it encodes"), transport) {
            Packet::Question(question) => *question,
            other => panic!("{other:?}"),
        }
    }

    fn refused(packet: &[u8]) -> ResponseCode {
        match read(packet, Transport::Udp) {
            Packet::Refused(reply) => Message::from_vec(&reply).expect("a reply").metadata.response_code,
            other => panic!("{other:?}"),
        }
    }

    fn address(last: u8) -> Record {
        Record::from_rdata(Name::from_ascii("web.").expect("a name"), 600, RData::A(rdata::A::new(10, 0, 0, last)))
    }

    #[test]
    fn noise_is_met_with_silence_and_nonsense_with_a_refusal() {
        assert!(matches!(read(b"", Transport::Udp), Packet::Noise));
        assert!(matches!(read(&[0; 11], Transport::Udp), Packet::Noise));
        let mut reply = query("web.").to_vec().expect("it encodes");
        reply[2] |= 0x80;
        assert!(matches!(read(&reply, Transport::Udp), Packet::Noise), "an answer is never answered");
        assert_eq!(refused(&[0; 12]), ResponseCode::FormErr, "no question");
        let whole = query("web.").to_vec().expect("it encodes");
        assert_eq!(refused(&whole[..whole.len() - 1]), ResponseCode::FormErr);
        let mut update = query("web.");
        update.metadata.op_code = OpCode::Update;
        assert_eq!(refused(&update.to_vec().expect("it encodes")), ResponseCode::NotImp);
        let mut two = query("web.");
        two.add_query(Query::query(Name::from_ascii("db.").expect("a name"), RecordType::A));
        assert_eq!(refused(&two.to_vec().expect("it encodes")), ResponseCode::FormErr);
        let mut future = query("web.");
        let mut edns = Edns::new();
        edns.set_version(1);
        future.set_edns(edns);
        // 16 is BADVERS here and BADSIG in TSIG: the library reads it back as the latter
        assert_eq!(u16::from(refused(&future.to_vec().expect("it encodes"))), u16::from(ResponseCode::BADVERS));
    }

    #[test]
    fn an_answer_fits_the_asker_and_says_when_it_was_cut() {
        let many: Vec<Record> = (0..200).map(address).collect();
        for (payload, transport, whole) in [
            (None, Transport::Udp, false),
            (Some(600), Transport::Udp, false),
            (Some(100), Transport::Udp, false),
            (Some(4096), Transport::Udp, true),
            (None, Transport::Tcp, true),
        ] {
            let mut asked = query("web.");
            if let Some(payload) = payload {
                let mut edns = Edns::new();
                edns.set_max_payload(payload);
                asked.set_edns(edns);
            }
            let question = question(&asked, transport);
            let reply = question.reply(ResponseCode::NoError, many.clone());
            let limit = question.limit();
            assert!(reply.len() <= limit && (whole || reply.len() > limit - 16), "{} of {limit}", reply.len());
            let read = Message::from_vec(&reply).expect("a reply");
            assert_eq!((read.metadata.truncation, read.answers.len() == 200), (!whole, whole));
            assert_eq!(read.edns.is_some(), payload.is_some(), "EDNS is answered with EDNS");
            assert!(read.metadata.recursion_available && read.metadata.recursion_desired);
            assert_eq!(read.metadata.id, asked.metadata.id);
        }
    }

    #[test]
    fn a_label_with_a_dot_in_it_is_not_two_labels() {
        let name = Name::from_labels([&b"a.b"[..], &b"c"[..]]).expect("labels");
        assert_eq!(text(&name), None);
        assert_eq!(text(&Name::from_ascii("Web.Net.").expect("a name")).as_deref(), Some("web.net"));
        assert_eq!(text(&Name::root()).as_deref(), Some(""));
    }

    #[test]
    fn only_an_answer_to_what_was_asked_is_taken() {
        let asked = query("www.example.");
        let mut reply = asked.clone();
        reply.metadata.message_type = MessageType::Response;
        reply.answers = vec![address(1), address(2)];
        let (id, query) = (asked.metadata.id, &asked.queries[0]);
        let bytes = reply.to_vec().expect("it encodes");
        assert!(answers(&bytes, id, query));
        assert!(!answers(&bytes, id.wrapping_add(1), query));
        assert!(!answers(&bytes[..bytes.len() - 1], id, query), "cut off without a word");
        let other = Query::query(Name::from_ascii("evil.example.").expect("a name"), RecordType::A);
        assert!(!answers(&bytes, id, &other));
        assert!(!answers(&asked.to_vec().expect("it encodes"), id, query), "a question is no answer");
        assert!(answers(&bare(id, ResponseCode::FormErr), id, query));
        assert!(!answers(&bare(id, ResponseCode::NoError), id, query));
        let upper = Query::query(Name::from_ascii("WWW.example.").expect("a name"), RecordType::A);
        assert!(answers(&bytes, id, &upper));
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic_and_every_refusal_is_a_message(packet in prop::collection::vec(any::<u8>(), 0..600)) {
            if let Packet::Refused(reply) = read(&packet, Transport::Udp) {
                prop_assert!(reply.len() <= 512 && reply[..2] == packet[..2]);
                prop_assert!(Message::from_vec(&reply).is_ok_and(|m| m.metadata.message_type == MessageType::Response));
            }
            answers(&packet, 7, &Query::default());
        }

        /// A good message with a few bytes changed or cut off: nearer to what is dangerous than pure noise.
        #[test]
        fn damaged_messages_are_read_or_refused(at in prop::collection::vec((0usize..80, any::<u8>()), 0..6), cut in 0usize..80) {
            let mut message = query("a.very.long.name.example.");
            message.set_edns(Edns::new());
            message.answers = vec![address(1)];
            let mut bytes = message.to_vec().expect("it encodes");
            let length = bytes.len();
            for (at, byte) in at {
                bytes[at % length] = byte;
            }
            bytes.truncate(length - cut.min(length));
            if let Packet::Question(question) = read(&bytes, Transport::Udp) {
                let reply = question.reply(ResponseCode::NoError, vec![address(1); 100]);
                prop_assert!(reply.len() <= question.limit());
                prop_assert!(Message::from_vec(&reply).is_ok());
            }
            answers(&bytes, message.metadata.id, &message.queries[0]);
        }
    }
}
