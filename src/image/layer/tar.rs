//! # Tar: a stream of headers and bytes, read without belief
//!
//! A layer is a tar archive: for each file a header of 512 bytes, then its content padded to 512. Fifty years have added
//! ways to say what does not fit: GNU's extra entries for long names, POSIX' PAX records, three forms of sparse map. This
//! room turns them into one [`Entry`] after another and hands out the content as slices, never holding more than one
//! header's worth of memory however large the archive claims to be.
//!
//! ```text
//!  ┌ x: PAX ─┐┌ records ┐┌ L: GNU ┐┌ long name ┐┌ header ┐┌ content ───┐ … ┌ 0 0 ┐
//!  └─────────┘└─────────┘└────────┘└───────────┘└────────┘└────────────┘   └─────┘
//!      these only describe the next entry             Entry    Reader::fill      end
//! ```
//!
//! * [`Reader::next`] gives the next entry; [`Reader::fill`] and [`Reader::consume`] its bytes as they lie in the buffer.
//! * Kinds that have no content (links, directories, devices) have none here whatever their header says, as in Go's
//!   reader, so that we and Docker cannot be made to see two different archives in the same bytes.
//!
//! Laws: every number is checked before it is believed; helper records are at most [`MOST_RECORDS`] long; an archive
//! that ends early is an error that says what was promised. See: pax(1), tar(5), GNU tar manual "Storing Sparse Files".
//! Next room: [`super::pax`]

use super::pax::{self, Overrides};
use minidock_base::{Error, Result};
use minidock_linux::files::Moment;
use std::io::{self, BufRead, Read};

/// The most that one PAX or long-name record may hold (Go's limit too).
pub const MOST_RECORDS: u64 = 1 << 20;

/// What an entry makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    File,
    Directory,
    Symlink,
    HardLink,
    CharDevice,
    BlockDevice,
    Fifo,
}

/// One file of the archive, all extensions applied.
#[derive(Clone, Debug)]
pub struct Entry {
    pub name: Vec<u8>,
    pub kind: Kind,
    /// Permission bits with setuid, setgid and sticky.
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    /// Bytes of content in the archive (of a sparse file: without its holes).
    pub size: u64,
    pub modified: Moment,
    pub accessed: Option<Moment>,
    /// Where a link points.
    pub link: Vec<u8>,
    pub device: (u32, u32),
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    pub sparse: Option<Sparse>,
}

/// The data of a file with holes: its whole length, and where each stretch of content belongs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sparse {
    pub real_size: u64,
    pub segments: Vec<(u64, u64)>,
}

/// Reads entries from a stream.
pub struct Reader<R> {
    inner: R,
    /// Content of the current entry not yet consumed, and the padding after it.
    left: u64,
    padding: u64,
    name: Vec<u8>,
    ended: bool,
}

type Block = [u8; 512];

/// The content of the entry that a reader stands at.
pub struct Content<'a, R>(pub &'a mut Reader<R>);

impl<R: BufRead> Read for Content<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let slice = self.0.fill().map_err(|e| io::Error::other(e.message()))?;
        let n = slice.len().min(buffer.len());
        buffer[..n].copy_from_slice(&slice[..n]);
        self.0.consume(n);
        Ok(n)
    }
}

impl<R: BufRead> Reader<R> {
    pub fn new(inner: R) -> Reader<R> {
        Reader { inner, left: 0, padding: 0, name: Vec::new(), ended: false }
    }

    /// The stream behind the last entry read.
    pub fn into_inner(self) -> R {
        self.inner
    }

    /// The next entry; what is left of the one before is skipped. `None` at the end of the archive.
    ///
    /// # Errors
    /// A header that is none (checksum), a number out of range, an archive that ends inside an entry.
    #[allow(clippy::should_implement_trait)] // an iterator could not lend the content
    pub fn next(&mut self) -> Result<Option<Entry>> {
        let (mut overrides, mut long_name, mut long_link) = (Overrides::default(), None, None);
        loop {
            let Some(block) = self.header()? else { return Ok(None) };
            let size =
                pax::number(&block[124..136]).and_then(pax::natural).map_err(|e| e.during("read a tar header's size"))?;
            match block[156] {
                b'x' => {
                    let records = self.record(size)?;
                    overrides.read(&records)?;
                }
                b'g' => drop(self.record(size)?), // speaks of all that follows: nothing we would take from it
                b'L' => long_name = Some(until_nul(&self.record(size)?).to_vec()),
                b'K' => long_link = Some(until_nul(&self.record(size)?).to_vec()),
                b'V' => self.begin(&block, size),
                _ => return self.entry(&block, overrides, long_name, long_link).map(Some),
            }
        }
    }

    /// The next stretch of the current entry's content as it lies in the buffer; empty at its end.
    ///
    /// # Errors
    /// The stream failed or ended before the content did.
    pub fn fill(&mut self) -> Result<&[u8]> {
        if self.left == 0 {
            return Ok(&[]);
        }
        let left = self.left;
        let promised = || format!("{:?} still promises {left} bytes", String::from_utf8_lossy(&self.name));
        let slice = self.inner.fill_buf().map_err(|e| failed(e, &self.name))?;
        if slice.is_empty() {
            return Err(Error::invalid(format!("the archive ends too early: {}", promised())).hint("copy the archive again"));
        }
        Ok(&slice[..slice.len().min(usize::try_from(left).unwrap_or(usize::MAX))])
    }

    /// Marks `n` bytes of what [`Reader::fill`] gave as used.
    pub fn consume(&mut self, n: usize) {
        self.inner.consume(n);
        self.left -= n as u64;
    }

    /// All content of the current entry, if it is at most `most` bytes.
    pub fn read_all(&mut self, most: u64) -> Result<Vec<u8>> {
        if self.left > most {
            let name = String::from_utf8_lossy(&self.name).into_owned();
            return Err(Error::invalid(format!("{name:?} claims {} bytes, more than the {most} it may have", self.left)));
        }
        let mut all = Vec::new();
        loop {
            let slice = self.fill()?;
            if slice.is_empty() {
                return Ok(all);
            }
            let n = slice.len();
            all.extend_from_slice(slice);
            self.consume(n);
        }
    }

    /// Skips to the next header and reads it; `None` at the end mark or where the stream ends between entries.
    fn header(&mut self) -> Result<Option<Block>> {
        if self.ended {
            return Ok(None);
        }
        self.skip()?;
        let mut block = [0u8; 512];
        let mut filled = 0;
        while filled < block.len() {
            let slice = self.inner.fill_buf().map_err(|e| failed(e, b"a header"))?;
            if slice.is_empty() {
                break;
            }
            let n = slice.len().min(block.len() - filled);
            block[filled..filled + n].copy_from_slice(&slice[..n]);
            self.inner.consume(n);
            filled += n;
        }
        if filled == 0 || block[..filled].iter().all(|b| *b == 0) {
            self.ended = true;
            return Ok(None);
        }
        if filled < block.len() {
            return Err(Error::invalid("the archive ends too early: in the middle of a header").hint("copy the archive again"));
        }
        match is_header(&block) {
            true => Ok(Some(block)),
            false => Err(Error::invalid("not a tar header: its checksum is wrong")
                .hint("the archive is damaged, or is no tar archive (plain, or packed with gzip, bzip2, xz or zstd)")),
        }
    }

    fn skip(&mut self) -> Result<()> {
        while self.left > 0 {
            let n = self.fill()?.len();
            self.consume(n);
        }
        // Docker's client leaves out the padding of the last file when it has put a Dockerfile into a context
        while self.padding > 0 {
            let slice = self.inner.fill_buf().map_err(|e| failed(e, &self.name))?;
            let n = slice.len().min(usize::try_from(self.padding).unwrap_or(usize::MAX));
            self.inner.consume(n);
            self.padding = if n == 0 { 0 } else { self.padding - n as u64 };
        }
        Ok(())
    }

    fn begin(&mut self, block: &Block, size: u64) {
        self.name = until_nul(&block[..100]).to_vec();
        self.left = size;
        self.padding = size.wrapping_neg() % 512;
    }

    fn record(&mut self, size: u64) -> Result<Vec<u8>> {
        self.name = b"an extended header".to_vec();
        (self.left, self.padding) = (size, size.wrapping_neg() % 512);
        self.read_all(MOST_RECORDS)
    }

    fn entry(
        &mut self,
        block: &Block,
        overrides: Overrides,
        long_name: Option<Vec<u8>>,
        long_link: Option<Vec<u8>>,
    ) -> Result<Entry> {
        let Overrides { path, linkpath, size, uid, gid, mtime, atime, xattrs, sparse, .. } = overrides;
        let name = path.or(long_name).unwrap_or_else(|| name_of(block));
        let during = |e: Error| e.during(format!("read the tar header of {:?}", String::from_utf8_lossy(&name)));
        let field = |from: usize, to: usize| pax::number(&block[from..to]);
        let id = |over: Option<u64>, from: usize, to: usize| match over {
            Some(id) => pax::id(id),
            None => field(from, to).and_then(pax::natural).and_then(pax::id),
        };
        let kind = kind_of(block[156], &name).map_err(during)?;
        let has_content = kind == Kind::File;
        let size = match size {
            Some(size) => size,
            None => field(124, 136).and_then(pax::natural).map_err(during)?,
        };
        self.begin(block, if has_content { size } else { 0 });
        self.name = name.clone();
        let device = match kind {
            Kind::CharDevice | Kind::BlockDevice => device(block).map_err(during)?,
            _ => (0, 0),
        };
        let mut entry = Entry {
            kind,
            mode: (field(100, 108).map_err(during)? & 0o7777) as u32,
            uid: id(uid, 108, 116).map_err(during)?,
            gid: id(gid, 116, 124).map_err(during)?,
            size: self.left,
            modified: match mtime {
                Some(moment) => moment,
                None => Moment { seconds: field(136, 148).and_then(pax::seconds).map_err(during)?, nanoseconds: 0 },
            },
            accessed: atime,
            link: linkpath.or(long_link).unwrap_or_else(|| until_nul(&block[157..257]).to_vec()),
            device,
            xattrs,
            sparse: None,
            name: Vec::new(),
        };
        let described = match (block[156], sparse) {
            (b'S', _) => Some(self.gnu_sparse(block)),
            (_, Some(claim)) if has_content => Some(self.pax_sparse(claim, &mut entry)),
            _ => None,
        };
        if let Some(sparse) = described {
            let sparse = sparse.and_then(|s| pax::check_sparse(s, self.left)).map_err(during)?;
            entry.sparse = Some(sparse);
            entry.size = self.left;
        }
        if entry.name.is_empty() {
            entry.name = name;
        }
        Ok(entry)
    }

    /// GNU's old form: four segments in the header, then blocks of 21 more.
    fn gnu_sparse(&mut self, block: &Block) -> Result<Sparse> {
        let real_size = pax::number(&block[483..495]).and_then(pax::natural)?;
        let mut sparse = Sparse { real_size, segments: Vec::new() };
        pax::push_segments(&mut sparse.segments, &block[386..482])?;
        let mut more = block[482] != 0;
        while more {
            // these blocks lie between header and content and are not part of its size
            let mut next = [0u8; 512];
            std::io::Read::read_exact(&mut self.inner, &mut next).map_err(|e| failed(e, &self.name))?;
            pax::push_segments(&mut sparse.segments, &next[..504])?;
            more = next[504] != 0;
        }
        Ok(sparse)
    }

    /// PAX forms 0.0 and 0.1 name the segments in records, 1.0 puts a list before the content.
    fn pax_sparse(&mut self, claim: pax::SparseClaim, entry: &mut Entry) -> Result<Sparse> {
        if let Some(name) = claim.name {
            entry.name = name;
        }
        let mut segments = claim.segments;
        if claim.listed_in_content {
            segments = self.sparse_list()?;
        }
        Ok(Sparse { real_size: claim.real_size.unwrap_or(0), segments })
    }

    /// Decimal lines: a count, then offset and length of each; padded to 512 bytes, counted as content.
    fn sparse_list(&mut self) -> Result<Vec<(u64, u64)>> {
        let (mut numbers, mut wanted, mut read, mut current) = (Vec::new(), 1usize, 0u64, None::<u64>);
        while numbers.len() < wanted {
            let byte = match self.fill()?.first() {
                Some(byte) => *byte,
                None => return Err(Error::invalid("its sparse map ends too early")),
            };
            self.consume(1);
            read += 1;
            match byte {
                b'0'..=b'9' => {
                    let digit = u64::from(byte - b'0');
                    let grown = current.unwrap_or(0).checked_mul(10).and_then(|n| n.checked_add(digit));
                    current = Some(grown.ok_or_else(|| Error::invalid("a number in its sparse map is too large"))?);
                }
                b'\n' => numbers.push(current.take().ok_or_else(|| Error::invalid("its sparse map has an empty line"))?),
                _ => return Err(Error::invalid("its sparse map is not made of decimal lines")),
            }
            if numbers.len() == 1 && wanted == 1 {
                let count = numbers[0];
                if count > pax::MOST_SEGMENTS as u64 {
                    return Err(Error::invalid(format!("its sparse map claims {count} segments")));
                }
                wanted = 1 + 2 * count as usize;
            }
        }
        for _ in 0..read.wrapping_neg() % 512 {
            if self.fill()?.is_empty() {
                return Err(Error::invalid("its sparse map ends too early"));
            }
            self.consume(1);
        }
        Ok(numbers[1..].chunks_exact(2).map(|pair| (pair[0], pair[1])).collect())
    }
}

/// Whether these 512 bytes are a tar header: the checksum is that of the bytes, the field itself read as spaces.
pub fn is_header(block: &[u8]) -> bool {
    if block.len() < 512 {
        return false;
    }
    let Ok(claimed) = pax::number(&block[148..156]) else { return false };
    let bytes = || block[..512].iter().enumerate().map(|(at, b)| if (148..156).contains(&at) { b' ' } else { *b });
    let unsigned: i64 = bytes().map(i64::from).sum();
    let signed: i64 = bytes().map(|b| i64::from(b as i8)).sum();
    claimed == unsigned || claimed == signed
}

fn kind_of(flag: u8, name: &[u8]) -> Result<Kind> {
    Ok(match flag {
        b'0' | 0 if name.ends_with(b"/") => Kind::Directory, // archives older than the kind "directory"
        b'0' | 0 | b'7' | b'S' => Kind::File,
        b'1' => Kind::HardLink,
        b'2' => Kind::Symlink,
        b'3' => Kind::CharDevice,
        b'4' => Kind::BlockDevice,
        b'5' => Kind::Directory,
        b'6' => Kind::Fifo,
        other => return Err(Error::invalid(format!("unknown tar entry type {:?}", other as char))),
    })
}

/// The kernel keeps 12 bits of a major and 20 of a minor number; what does not fit would become another device.
fn device(block: &Block) -> Result<(u32, u32)> {
    let (major, minor) = (pax::number(&block[329..337])?, pax::number(&block[337..345])?);
    match ((0..1 << 12).contains(&major), (0..1 << 20).contains(&minor)) {
        (true, true) => Ok((major as u32, minor as u32)),
        _ => Err(Error::invalid(format!("device number {major}:{minor} does not exist on Linux"))),
    }
}

fn name_of(block: &Block) -> Vec<u8> {
    let name = until_nul(&block[..100]);
    let prefix = until_nul(&block[345..500]);
    if &block[257..263] == b"ustar\0" && !prefix.is_empty() {
        return [prefix, b"/", name].concat();
    }
    name.to_vec()
}

fn until_nul(field: &[u8]) -> &[u8] {
    let end = field.iter().position(|b| *b == 0).unwrap_or(field.len());
    &field[..end]
}

fn failed(error: std::io::Error, name: &[u8]) -> Error {
    let kind = match error.kind() {
        std::io::ErrorKind::InvalidData | std::io::ErrorKind::InvalidInput | std::io::ErrorKind::UnexpectedEof => {
            Error::invalid(error.to_string())
        }
        _ => Error::system(error.to_string()),
    };
    kind.during(format!("read {:?} from the archive", String::from_utf8_lossy(name)))
}
