//! # Wire: a netlink message is a header, a small struct, and attributes
//!
//! Everything that `ip` and `nft` ask of the kernel goes over a socket in one format, twenty years younger than ioctl and
//! able to grow: after a fixed header come *attributes*, each with its length, its number and its value, padded to four
//! bytes; a value may be attributes again.
//!
//! ```text
//!   ┌─ nlmsghdr, 16 bytes ────────────────────────┐┌─ ifinfomsg, … ─┐┌─ attribute ─────────────────────┐
//!   │ length │ kind  │ flags │ sequence │ port = 0 ││ of this family ││ length, kind │ value │ padding 0-3│ …
//!   └─────────────────────────────────────────────┘└────────────────┘└─────────────────────────────────┘
//! ```
//!
//! * [`Message`] writes one, [`messages`] and [`attributes`] read what comes back. Lengths that lie end the reading; they
//!   never index outside.
//! * Numbers are in the *host's* order, except where a field is one of the network's (`be16`, `be32`: ports, most of nftables).
//!
//! We write this ourselves, some two hundred lines, instead of taking a crate of typed messages: they would be ten times as much
//! to read, change their names with each release, and hide what a student should see. Nothing here knows of links or rules.
//!
//! See: netlink(7), `Documentation/userspace-api/netlink/intro.rst`. Next room: [`crate::netlink::socket`]

/// Please acknowledge (NLM_F_ACK).
pub const ACK: u16 = 0x4;
/// Tell me, too, what you tell the world (NLM_F_ECHO).
pub const ECHO: u16 = 0x8;
/// All of them (NLM_F_DUMP).
pub const DUMP: u16 = 0x300;
/// Replace what is there (NLM_F_REPLACE).
pub const REPLACE: u16 = 0x100;
/// Refuse if it is there (NLM_F_EXCL).
pub const EXCL: u16 = 0x200;
/// Make it if it is not there (NLM_F_CREATE).
pub const CREATE: u16 = 0x400;
/// Put it behind what is there (NLM_F_APPEND).
pub const APPEND: u16 = 0x800;

const REQUEST: u16 = 0x1;
/// The answer may be a patchwork: the list changed while it was told (NLM_F_DUMP_INTR).
pub(crate) const INTERRUPTED: u16 = 0x10;
const HEADER: usize = 16;
const NESTED: u16 = 0x8000;
/// The two upper bits of an attribute's kind are flags (NLA_F_NESTED, NLA_F_NET_BYTEORDER).
const KIND: u16 = 0x3fff;

/// A request in the making.
#[derive(Clone, Debug)]
pub struct Message {
    bytes: Vec<u8>,
}

impl Message {
    /// Begins a request of this kind (RTM_NEWLINK, …); `NLM_F_REQUEST` is always among the flags.
    pub fn new(kind: u16, flags: u16) -> Message {
        let mut bytes = Vec::with_capacity(256);
        bytes.extend([0; 4]);
        bytes.extend(kind.to_ne_bytes());
        bytes.extend((flags | REQUEST).to_ne_bytes());
        bytes.extend([0; 8]);
        Message { bytes }
    }

    /// The kind it was begun with.
    pub fn kind(&self) -> u16 {
        u16::from_ne_bytes([self.bytes[4], self.bytes[5]])
    }

    /// Bytes as they are, padded: the family's fixed struct.
    pub fn raw(&mut self, bytes: &[u8]) -> &mut Message {
        self.bytes.extend(bytes);
        self.pad();
        self
    }

    /// One attribute.
    pub fn attr(&mut self, kind: u16, value: &[u8]) -> &mut Message {
        let at = self.begin(kind);
        self.bytes.extend(value);
        self.end(at);
        self
    }

    pub fn u8(&mut self, kind: u16, value: u8) -> &mut Message {
        self.attr(kind, &[value])
    }

    pub fn u16(&mut self, kind: u16, value: u16) -> &mut Message {
        self.attr(kind, &value.to_ne_bytes())
    }

    pub fn u32(&mut self, kind: u16, value: u32) -> &mut Message {
        self.attr(kind, &value.to_ne_bytes())
    }

    pub fn be16(&mut self, kind: u16, value: u16) -> &mut Message {
        self.attr(kind, &value.to_be_bytes())
    }

    pub fn be32(&mut self, kind: u16, value: u32) -> &mut Message {
        self.attr(kind, &value.to_be_bytes())
    }

    /// A text with its closing zero.
    pub fn text(&mut self, kind: u16, value: &str) -> &mut Message {
        let at = self.begin(kind);
        self.bytes.extend(value.as_bytes());
        self.bytes.push(0);
        self.end(at);
        self
    }

    /// An attribute made of attributes (or of a struct and attributes).
    pub fn nest(&mut self, kind: u16, inside: impl FnOnce(&mut Message)) -> &mut Message {
        let at = self.begin(kind | NESTED);
        inside(self);
        self.end(at);
        self
    }

    /// The bytes to send, numbered.
    pub fn finish(mut self, sequence: u32) -> Vec<u8> {
        let length = self.bytes.len() as u32;
        self.bytes[0..4].copy_from_slice(&length.to_ne_bytes());
        self.bytes[8..12].copy_from_slice(&sequence.to_ne_bytes());
        self.bytes
    }

    pub(crate) fn add_flags(&mut self, flags: u16) {
        let now = u16::from_ne_bytes([self.bytes[6], self.bytes[7]]) | flags;
        self.bytes[6..8].copy_from_slice(&now.to_ne_bytes());
    }

    fn begin(&mut self, kind: u16) -> usize {
        let at = self.bytes.len();
        self.bytes.extend([0; 2]);
        self.bytes.extend(kind.to_ne_bytes());
        at
    }

    /// Writes the length, which does not count the padding.
    fn end(&mut self, at: usize) {
        let length = (self.bytes.len() - at) as u16;
        self.bytes[at..at + 2].copy_from_slice(&length.to_ne_bytes());
        self.pad();
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

/// One message of an answer.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a> {
    pub kind: u16,
    pub flags: u16,
    pub sequence: u32,
    /// What follows the header.
    pub body: &'a [u8],
}

/// The messages of one datagram; stops at the first length that lies.
pub fn messages(mut bytes: &[u8]) -> impl Iterator<Item = Answer<'_>> {
    std::iter::from_fn(move || {
        let header = bytes.get(..HEADER)?;
        let length = u32_at(header, 0)? as usize;
        let body = bytes.get(HEADER..length)?;
        let (kind, flags, sequence) = (u16_at(header, 4)?, u16_at(header, 6)?, u32_at(header, 8)?);
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(Answer { kind, flags, sequence, body })
    })
}

/// The attributes in `bytes`: kind (without its flags) and value; stops at the first length that lies.
pub fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = u16_at(bytes, 0)? as usize;
        let kind = u16_at(bytes, 2)? & KIND;
        let value = bytes.get(4..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    })
}

/// The first attribute of this kind.
pub fn attribute(bytes: &[u8], kind: u16) -> Option<&[u8]> {
    attributes(bytes).find(|(its, _)| *its == kind).map(|(_, value)| value)
}

pub fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at.checked_add(2)?)?.try_into().ok()?))
}

pub fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

/// A text up to its closing zero.
pub fn text_of(value: &[u8]) -> String {
    let end = value.iter().position(|b| *b == 0).unwrap_or(value.len());
    String::from_utf8_lossy(&value[..end]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let mut message = Message::new(16, ACK);
        message.raw(&[1; 16]).text(3, "eth0").nest(18, |inside| {
            inside.text(1, "veth").nest(2, |deeper| {
                deeper.u8(1, 7);
            });
        });
        let bytes = message.finish(9);
        assert_eq!(bytes.len() % 4, 0);
        let all: Vec<Answer<'_>> = messages(&bytes).collect();
        assert_eq!((all.len(), all[0].kind, all[0].flags, all[0].sequence), (1, 16, ACK | 1, 9));
        let body = &all[0].body[16..];
        assert_eq!(attribute(body, 3).map(text_of).as_deref(), Some("eth0"));
        let inside = attribute(body, 18).expect("a nest");
        assert_eq!(attribute(inside, 1).map(text_of).as_deref(), Some("veth"));
        assert_eq!(attribute(attribute(inside, 2).expect("deeper"), 1), Some(&[7u8][..]));
    }

    #[test]
    fn lengths_that_lie_end_the_reading() {
        let mut message = Message::new(16, 0);
        message.raw(&[0; 16]).text(3, "eth0").u32(4, 1);
        let whole = message.finish(1);
        for cut in 0..whole.len() {
            for at in 0..cut.min(60) {
                for wrong in [0, 1, 3, 255] {
                    let mut bent = whole[..cut].to_vec();
                    bent[at] = wrong;
                    for answer in messages(&bent).take(100) {
                        assert!(attributes(answer.body).take(100).count() < 100);
                    }
                }
            }
        }
    }
}
