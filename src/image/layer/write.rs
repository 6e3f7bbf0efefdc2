//! # Write: entries → tar
//!
//! The way back from files to an archive: a header of 512 bytes for each, and a PAX header before it for whatever does not
//! fit: long or non-ASCII names, large ids and sizes, fractions of a second, extended attributes. Every tool that reads
//! POSIX tar since 2001 reads this; GNU's own forms are not written.
//!
//! * [`Writer::entry`] writes the headers of an [`Entry`], [`Writer::content`] what belongs to it, [`Writer::finish`] the end mark.
//!
//! Law: the same entries give the same bytes, on any machine and any day: no user names, no access times, no order of our own.
//! See: pax(1). Next room: [`super::diff`]

use super::{
    tar::{Entry, Kind},
    tree::lossy,
};
use minidock_base::{Doing, Error, Result};
use minidock_linux::files::Moment;
use std::io::{self, Read, Write};

/// The largest number of seven octal digits, and of eleven.
const SEVEN_DIGITS: u64 = 0o7777777;
const ELEVEN_DIGITS: u64 = 0o77777777777;

/// Bytes of content at once.
const PIECE: usize = 64 << 10;

/// Writes a tar archive.
pub struct Writer<W: Write> {
    out: W,
    /// Content still owed to the entry begun last, and its padding.
    owed: u64,
    padding: u64,
    /// What content goes through, once there is some: one for all files, for most are small.
    buffer: Vec<u8>,
}

impl<W: Write> Writer<W> {
    pub fn new(out: W) -> Writer<W> {
        Writer { out, owed: 0, padding: 0, buffer: Vec::new() }
    }

    /// Writes the headers of `entry`; `entry.size` bytes of content must follow if it is a file.
    ///
    /// # Errors
    /// The stream cannot take them; the content of the entry before is not complete.
    pub fn entry(&mut self, entry: &Entry) -> Result<()> {
        let why = || format!("write {:?} to the archive", lossy(&entry.name));
        if self.owed > 0 {
            return Err(Error::system(format!("{} bytes of content are missing", self.owed)).during(why()));
        }
        let size = if entry.kind == Kind::File { entry.size } else { 0 };
        let records = records(entry, size);
        if !records.is_empty() {
            let header = header(b"PaxHeader", b'x', &Entry { mode: 0o644, ..plain() }, records.len() as u64);
            self.out.write_all(&header).doing(why)?;
            self.out.write_all(&records).doing(why)?;
            self.pad(records.len() as u64).doing(why)?;
        }
        let flag = match entry.kind {
            Kind::File => b'0',
            Kind::HardLink => b'1',
            Kind::Symlink => b'2',
            Kind::CharDevice => b'3',
            Kind::BlockDevice => b'4',
            Kind::Directory => b'5',
            Kind::Fifo => b'6',
        };
        self.out.write_all(&header(&entry.name, flag, entry, size)).doing(why)?;
        self.owed = size;
        self.padding = size;
        Ok(())
    }

    /// Writes content; a stream that is shorter than the entry said is filled up with zeros, a longer one cut: a file that
    /// somebody changes meanwhile must not spoil the archive.
    pub fn content(&mut self, mut content: impl Read) -> Result<()> {
        let why = || "write content to the archive";
        if self.owed > 0 {
            self.buffer.resize(PIECE, 0);
        }
        while self.owed > 0 {
            let room = self.buffer.len().min(usize::try_from(self.owed).unwrap_or(usize::MAX));
            let read = match content.read(&mut self.buffer[..room]) {
                Ok(0) => break,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                read => read.doing(why)?,
            };
            self.out.write_all(&self.buffer[..read]).doing(why)?;
            self.owed -= read as u64;
        }
        io::copy(&mut io::repeat(0).take(self.owed), &mut self.out).doing(why)?;
        self.owed = 0;
        self.pad(self.padding).doing(why)
    }

    /// Writes the end mark and gives the stream back.
    pub fn finish(mut self) -> Result<W> {
        self.out.write_all(&[0; 1024]).doing(|| "write the end of the archive")?;
        self.out.flush().doing(|| "write the end of the archive")?;
        Ok(self.out)
    }

    fn pad(&mut self, size: u64) -> io::Result<()> {
        let padding = (size.wrapping_neg() % 512) as usize;
        self.out.write_all(&[0; 512][..padding])
    }
}

/// An entry with nothing in it, to be filled by a struct literal.
pub fn plain() -> Entry {
    Entry {
        name: Vec::new(),
        kind: Kind::File,
        mode: 0,
        uid: 0,
        gid: 0,
        size: 0,
        modified: Moment::default(),
        accessed: None,
        link: Vec::new(),
        device: (0, 0),
        xattrs: Vec::new(),
        sparse: None,
    }
}

fn header(name: &[u8], flag: u8, entry: &Entry, size: u64) -> [u8; 512] {
    let mut block = [0u8; 512];
    let cut = |text: &[u8]| text[..text.len().min(100)].to_vec();
    let (name, link) = (cut(name), cut(&entry.link));
    block[..name.len()].copy_from_slice(&name);
    octal(&mut block[100..108], u64::from(entry.mode & 0o7777));
    octal(&mut block[108..116], u64::from(entry.uid).min(SEVEN_DIGITS));
    octal(&mut block[116..124], u64::from(entry.gid).min(SEVEN_DIGITS));
    octal(&mut block[124..136], size.min(ELEVEN_DIGITS));
    octal(&mut block[136..148], u64::try_from(entry.modified.seconds).unwrap_or(0).min(ELEVEN_DIGITS));
    block[156] = flag;
    block[157..157 + link.len()].copy_from_slice(&link);
    block[257..265].copy_from_slice(b"ustar\x0000");
    if matches!(entry.kind, Kind::CharDevice | Kind::BlockDevice) {
        octal(&mut block[329..337], u64::from(entry.device.0));
        octal(&mut block[337..345], u64::from(entry.device.1));
    }
    block[148..156].fill(b' ');
    let sum: u64 = block.iter().map(|b| u64::from(*b)).sum();
    octal(&mut block[148..155], sum);
    block
}

/// Octal digits with leading zeros, a NUL behind them.
fn octal(field: &mut [u8], mut value: u64) {
    let last = field.len() - 1;
    field[last] = 0;
    for digit in field[..last].iter_mut().rev() {
        *digit = b'0' + (value & 7) as u8;
        value >>= 3;
    }
}

/// The PAX records that this entry needs, in the order of their keys.
fn records(entry: &Entry, size: u64) -> Vec<u8> {
    let mut records = Vec::new();
    let fits = |text: &[u8]| text.len() <= 100 && text.is_ascii();
    let Moment { seconds, nanoseconds } = entry.modified;
    let mut xattrs: Vec<_> = entry.xattrs.iter().collect();
    xattrs.sort();
    for (key, value) in xattrs {
        record(&mut records, &[b"SCHILY.xattr.", &key[..]].concat(), value);
    }
    if u64::from(entry.gid) > SEVEN_DIGITS {
        record(&mut records, b"gid", entry.gid.to_string().as_bytes());
    }
    if !fits(&entry.link) {
        record(&mut records, b"linkpath", &entry.link);
    }
    if nanoseconds != 0 || !(0..=ELEVEN_DIGITS as i64).contains(&seconds) {
        record(&mut records, b"mtime", time(seconds, nanoseconds).as_bytes());
    }
    if !fits(&entry.name) {
        record(&mut records, b"path", &entry.name);
    }
    if size > ELEVEN_DIGITS {
        record(&mut records, b"size", size.to_string().as_bytes());
    }
    if u64::from(entry.uid) > SEVEN_DIGITS {
        record(&mut records, b"uid", entry.uid.to_string().as_bytes());
    }
    records
}

/// `12.5`, `-1.5`: seconds count down before 1970, and their fraction with them.
fn time(seconds: i64, nanoseconds: u32) -> String {
    let (sign, whole, part) = match (seconds < 0, nanoseconds) {
        (true, 1..) => ("-", seconds.unsigned_abs() - 1, 1_000_000_000 - nanoseconds),
        (true, _) => ("-", seconds.unsigned_abs(), 0),
        (false, _) => ("", seconds.unsigned_abs(), nanoseconds),
    };
    match part {
        0 => format!("{sign}{whole}"),
        _ => format!("{sign}{whole}.{part:09}").trim_end_matches('0').to_string(),
    }
}

/// `<length> <key>=<value>\n`, the length counting itself.
fn record(records: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while length != rest + length.to_string().len() {
        length = rest + length.to_string().len();
    }
    records.extend_from_slice(length.to_string().as_bytes());
    records.push(b' ');
    records.extend_from_slice(key);
    records.push(b'=');
    records.extend_from_slice(value);
    records.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layer::tar::Reader;
    use proptest::prelude::*;

    fn there_and_back(entry: &Entry, content: &[u8]) -> (Entry, Vec<u8>) {
        let mut writer = Writer::new(Vec::new());
        writer.entry(entry).expect("memory");
        writer.content(content).expect("memory");
        let bytes = writer.finish().expect("memory");
        let mut reader = Reader::new(&bytes[..]);
        let entry = reader.next().expect("our own").expect("one entry");
        let content = reader.read_all(1 << 20).expect("our own");
        assert!(reader.next().expect("our own").is_none());
        (entry, content)
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            name in "[a-zäß/]{1,260}", link in "[a-z/]{0,200}", mode in 0u32..0o7777, uid in 0u32..u32::MAX, gid in 0u32..u32::MAX,
            seconds in -100_000_000_000i64..100_000_000_000, nanoseconds in 0u32..1_000_000_000,
            value in proptest::collection::vec(any::<u8>(), 1..50), content in proptest::collection::vec(any::<u8>(), 0..2000),
        ) {
            let entry = Entry {
                name: name.trim_end_matches('/').as_bytes().to_vec(),
                link: link.into_bytes(),
                mode, uid, gid,
                modified: Moment { seconds, nanoseconds },
                size: content.len() as u64,
                xattrs: vec![(b"user.x".to_vec(), value)],
                ..plain()
            };
            prop_assume!(!entry.name.is_empty());
            let (back, read) = there_and_back(&entry, &content);
            prop_assert_eq!((back.name, back.link, back.mode, back.uid, back.gid), (entry.name, entry.link, mode, uid, gid));
            prop_assert_eq!((back.modified, back.xattrs, read), (entry.modified, entry.xattrs, content));
        }
    }

    #[test]
    fn a_file_that_shrank_does_not_spoil_the_archive() {
        let entry = Entry { name: b"log".to_vec(), size: 1000, ..plain() };
        let (_, content) = there_and_back(&entry, b"short");
        assert_eq!(content.len(), 1000);
        assert!(content.starts_with(b"short\0"));
    }
}
