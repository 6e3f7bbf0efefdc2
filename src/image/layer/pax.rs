//! # Pax: numbers, records and maps inside tar headers
//!
//! Tar says a number in three ways: octal digits, base 256 with a set high bit (sizes over 8 GiB, times before 1970), or
//! as decimal text in a PAX record. Here each is read, and refused when it is out of its range.
//!
//! * [`number`]: a header field. [`Overrides`]: what the PAX records before an entry change in it; those with the prefix
//!   `SCHILY.xattr.` are its extended attributes.
//! * [`check_sparse`]: a map of segments must be ascending, inside the file, and exactly as long as the content.
//!
//! See: pax(1) "pax Header Block", tar(5). Next room: [`super::tree`]

use super::tar::Sparse;
use minidock_base::{Error, Result};
use minidock_linux::files::Moment;

/// More stretches than any honest sparse file has.
pub const MOST_SEGMENTS: usize = 1 << 20;

/// Reads a numeric header field: octal text, or base 256.
pub fn number(field: &[u8]) -> Result<i64> {
    let first = field.first().copied().unwrap_or(0);
    if first & 0x80 != 0 {
        let negative = first & 0x40 != 0;
        let mut value: i128 = if negative { -1 } else { 0 };
        for (at, byte) in field.iter().enumerate() {
            let byte = if at == 0 && !negative { byte & 0x7f } else { *byte };
            value = value << 8 | i128::from(byte);
            if value > i128::from(i64::MAX) || value < i128::from(i64::MIN) {
                return Err(Error::invalid("a number in a tar header is too large"));
            }
        }
        return Ok(value as i64);
    }
    let text = field.iter().copied().skip_while(|b| *b == b' ').take_while(|b| !matches!(b, b' ' | 0));
    let mut value: i64 = 0;
    for digit in text {
        if !(b'0'..=b'7').contains(&digit) {
            return Err(Error::invalid(format!("{:?} is no octal number", String::from_utf8_lossy(field))));
        }
        value = value * 8 + i64::from(digit - b'0'); // at most 12 digits of 3 bits
    }
    Ok(value)
}

/// A number that may not be negative.
pub fn natural(value: i64) -> Result<u64> {
    u64::try_from(value).map_err(|_| Error::invalid(format!("{value} is negative")))
}

/// A user or group id: 32 bits, without the last, which means "leave it as it is" to chown(2).
pub fn id(value: u64) -> Result<u32> {
    match u32::try_from(value) {
        Ok(id) if id != u32::MAX => Ok(id),
        _ => Err(Error::invalid(format!("{value} is no user or group id"))),
    }
}

/// A time in whole seconds, within what any file system can mean.
pub fn seconds(value: i64) -> Result<i64> {
    const CENTURIES: i64 = 1 << 40;
    match (-CENTURIES..CENTURIES).contains(&value) {
        true => Ok(value),
        false => Err(Error::invalid(format!("{value} is no time"))),
    }
}

/// What PAX records say about the next entry.
#[derive(Debug, Default)]
pub struct Overrides {
    pub path: Option<Vec<u8>>,
    pub linkpath: Option<Vec<u8>>,
    pub size: Option<u64>,
    pub uid: Option<u64>,
    pub gid: Option<u64>,
    pub mtime: Option<Moment>,
    pub atime: Option<Moment>,
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    pub sparse: Option<SparseClaim>,
    /// Half a segment of form 0.0: its length comes in the next record.
    pending: Option<u64>,
}

/// What PAX records say about holes.
#[derive(Debug, Default)]
pub struct SparseClaim {
    pub name: Option<Vec<u8>>,
    pub real_size: Option<u64>,
    pub segments: Vec<(u64, u64)>,
    /// Form 1.0: the map is the beginning of the content.
    pub listed_in_content: bool,
}

impl Overrides {
    /// Reads `<length> <key>=<value>\n` records.
    ///
    /// # Errors
    /// A length that does not fit, a record without `=` or newline, a value that is no number where one belongs.
    pub fn read(&mut self, mut records: &[u8]) -> Result<()> {
        let broken = || Error::invalid("a PAX record is malformed");
        while !records.is_empty() {
            let space = records.iter().take(20).position(|b| *b == b' ').ok_or_else(broken)?;
            let length = decimal(&records[..space])? as usize;
            if length <= space + 1 || length > records.len() || records[length - 1] != b'\n' {
                return Err(broken());
            }
            let record = &records[space + 1..length - 1];
            let equals = record.iter().position(|b| *b == b'=').ok_or_else(broken)?;
            self.one(&record[..equals], &record[equals + 1..])?;
            records = &records[length..];
        }
        Ok(())
    }

    fn one(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        // an empty value takes back what an earlier record said
        let given = |value: &[u8]| (!value.is_empty()).then(|| value.to_vec());
        let amount = |value: &[u8]| if value.is_empty() { Ok(None) } else { decimal(value).map(Some) };
        match key {
            b"path" => self.path = text(value)?,
            b"linkpath" => self.linkpath = text(value)?,
            b"size" => self.size = amount(value)?,
            b"uid" => self.uid = amount(value)?,
            b"gid" => self.gid = amount(value)?,
            b"mtime" => self.mtime = given(value).map(|v| moment(&v)).transpose()?,
            b"atime" => self.atime = given(value).map(|v| moment(&v)).transpose()?,
            b"GNU.sparse.major" => self.claim().listed_in_content = value == b"1",
            b"GNU.sparse.name" => self.claim().name = text(value)?,
            b"GNU.sparse.size" | b"GNU.sparse.realsize" => self.claim().real_size = amount(value)?,
            b"GNU.sparse.offset" => self.pending = amount(value)?,
            b"GNU.sparse.numbytes" => {
                let offset = self.pending.take().ok_or_else(|| Error::invalid("a sparse length without its offset"))?;
                let length = decimal(value)?;
                push(&mut self.claim().segments, (offset, length))?;
            }
            b"GNU.sparse.map" => self.map(value)?,
            _ => {
                if let Some(name) = key.strip_prefix(b"SCHILY.xattr.") {
                    self.xattrs.retain(|(known, _)| known != name);
                    self.xattrs.push((name.to_vec(), value.to_vec()));
                }
            }
        }
        Ok(())
    }

    fn claim(&mut self) -> &mut SparseClaim {
        self.sparse.get_or_insert_default()
    }

    /// Form 0.1: `offset,length,offset,length…`
    fn map(&mut self, value: &[u8]) -> Result<()> {
        let claim = self.claim();
        claim.segments.clear();
        let mut offset = None;
        for part in value.split(|b| *b == b',') {
            let number = decimal(part)?;
            match offset.take() {
                None => offset = Some(number),
                Some(offset) => push(&mut claim.segments, (offset, number))?,
            }
        }
        match offset {
            None => Ok(()),
            Some(_) => Err(Error::invalid("a sparse map with an odd count of numbers")),
        }
    }
}

/// A name from a record. A NUL in it would end it for the kernel, but not for us.
fn text(value: &[u8]) -> Result<Option<Vec<u8>>> {
    match value.contains(&0) {
        true => Err(Error::invalid("a name in a PAX record holds a NUL")),
        false => Ok((!value.is_empty()).then(|| value.to_vec())),
    }
}

fn decimal(text: &[u8]) -> Result<u64> {
    let parsed = std::str::from_utf8(text).ok().filter(|t| !t.starts_with('+')).and_then(|t| t.parse::<u64>().ok());
    parsed
        .filter(|n| *n <= i64::MAX as u64)
        .ok_or_else(|| Error::invalid(format!("{:?} is no number of a PAX record", String::from_utf8_lossy(text))))
}

/// `1700000000.123456789`, `-1.5`: a time with any number of digits, of which nine count.
pub fn moment(text: &[u8]) -> Result<Moment> {
    let bad = || Error::invalid(format!("{:?} is no time", String::from_utf8_lossy(text)));
    let text_of = std::str::from_utf8(text).map_err(|_| bad())?;
    let (negative, digits) = match text_of.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text_of),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.is_empty() || !whole.bytes().chain(fraction.bytes()).all(|b| b.is_ascii_digit()) {
        return Err(bad());
    }
    let whole: i64 = whole.parse().map_err(|_| bad())?;
    let nanoseconds = fraction.bytes().chain(std::iter::repeat(b'0')).take(9).fold(0u32, |n, b| n * 10 + u32::from(b - b'0'));
    let moment = match (negative, nanoseconds) {
        (false, _) => Moment { seconds: whole, nanoseconds },
        (true, 0) => Moment { seconds: -whole, nanoseconds: 0 },
        (true, _) => Moment { seconds: -whole - 1, nanoseconds: 1_000_000_000 - nanoseconds },
    };
    seconds(moment.seconds).map(|_| moment)
}

/// Reads pairs of 12-byte fields up to the first empty one: GNU's old sparse map.
pub fn push_segments(segments: &mut Vec<(u64, u64)>, fields: &[u8]) -> Result<()> {
    for pair in fields.chunks_exact(24) {
        if pair[0] == 0 {
            break;
        }
        push(segments, (number(&pair[..12]).and_then(natural)?, number(&pair[12..]).and_then(natural)?))?;
    }
    Ok(())
}

fn push(segments: &mut Vec<(u64, u64)>, segment: (u64, u64)) -> Result<()> {
    if segments.len() >= MOST_SEGMENTS {
        return Err(Error::invalid("its sparse map has too many segments"));
    }
    segments.push(segment);
    Ok(())
}

/// Refuses a map that runs backwards, leaves the file, or does not account for exactly `content` bytes.
pub fn check_sparse(sparse: Sparse, content: u64) -> Result<Sparse> {
    let (mut end, mut sum) = (0u64, 0u64);
    for (offset, length) in &sparse.segments {
        let next = offset.checked_add(*length).filter(|next| *next <= sparse.real_size && *offset >= end);
        end = next.ok_or_else(|| Error::invalid("its sparse map runs backwards or beyond the file"))?;
        sum += length; // each is inside the file, so the sum is at most its length
    }
    match sum == content {
        true => Ok(sparse),
        false => Err(Error::invalid(format!("its sparse map accounts for {sum} bytes, the archive holds {content}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_are_octal_or_base_256() {
        assert_eq!(number(b"0000644\0").expect("octal"), 0o644);
        assert_eq!(number(b"   17 \0\0").expect("octal"), 0o17);
        assert_eq!(number(b"\x80\0\0\0\0\0\0\0\0\0\0\x05").expect("base 256"), 5);
        assert_eq!(number(&[0xff; 12]).expect("base 256"), -1);
        assert!(number(b"9\0\0\0").is_err());
        assert!(number(&[0x80 | 0x3f, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255]).is_err());
    }

    #[test]
    fn times_before_1970_count_backwards() {
        assert_eq!(moment(b"-1.5").expect("a time"), Moment { seconds: -2, nanoseconds: 500_000_000 });
        assert_eq!(moment(b"12.000000001999").expect("a time"), Moment { seconds: 12, nanoseconds: 1 });
        assert!(moment(b"").is_err() && moment(b"1e9").is_err() && moment(b"99999999999999999").is_err());
    }

    #[test]
    fn records_say_what_does_not_fit() {
        let mut over = Overrides::default();
        over.read(b"12 path=a/b\n\n".get(..12).expect("long enough")).expect("one record");
        assert_eq!(over.path.as_deref(), Some(&b"a/b"[..]));
        over.read(b"27 SCHILY.xattr.user.a=\x00\x01z\n").expect("one record");
        assert_eq!(over.xattrs, [(b"user.a".to_vec(), b"\x00\x01z".to_vec())]);
        for bad in [&b"9 path=a\0b"[..], b"99 a=b\n", b"5 ab\n", b"0 a=b\n", b"x a=b\n", b"10 uid=-1x\n"] {
            assert!(Overrides::default().read(bad).is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = Overrides::default().read(&bytes);
            let _ = (number(&bytes), moment(&bytes));
        }
    }
}
