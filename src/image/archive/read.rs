//! # Read: an image archive as it streams by
//!
//! An archive may come through a pipe, so it is read once, front to back, before anybody knows what it holds: `docker save`
//! writes its list of contents *last*. So every file is taken for what it looks like. Small JSON is kept in memory; what
//! begins as a tar archive, packed or not, is a layer: stored as a blob, and unpacked while it arrives, by a few
//! threads. In the end the list tells which parts belong to which image, and what nobody wanted is dropped.
//!
//! ```text
//!   tar stream ──┬─ {…} ───► documents (memory, bounded)
//!   this thread  ├─ layer ─► Ingest ─► disk ─► Tail ─► inflate+hash ─► unpack      one job each, WORKERS at once
//!                └─ links ─► aliases: name → name, never a file of ours
//! ```
//!
//! Laws: memory does not grow with layers; a layer at fault is only a fault of the images that use it; a full disk ends
//! everything at once. Next room: [`super::save`]

use super::Progress;
use crate::{
    compression::{self, Compression},
    content::{Content, Ingest, LARGEST_DOCUMENT, Tail},
    disk,
    layer::{
        tar::{self, Kind, Reader},
        tree,
        unpack::{self, Unpacked},
    },
    layers::{Layers, Making},
};
use minidock_base::{Doing, Error, Result};
use minidock_linux::files;
use minidock_spec::digest::Digest;
use std::{
    collections::HashMap,
    io::{self, BufRead, BufReader, Read},
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, Sender, channel},
    },
};

/// All documents of one archive together.
const MOST_DOCUMENTS: u64 = 64 << 20;

/// A layer as it came, and what became of it.
pub struct Part {
    pub ingest: Ingest,
    pub digest: Digest,
    /// As what it is kept.
    pub media_type: &'static str,
    /// The digest of the uncompressed bytes and the unpacked directory, or why there is none.
    pub layer: Result<Layer>,
}

pub struct Layer {
    pub diff_id: Digest,
    pub making: Option<Making>,
    pub unpacked: Unpacked,
}

/// Everything an archive held, by name.
#[derive(Default)]
pub struct Parts {
    pub documents: HashMap<String, Vec<u8>>,
    pub layers: HashMap<String, Part>,
    aliases: HashMap<String, String>,
}

impl Parts {
    /// The name a file really has: links of the archive followed, at most a few.
    pub fn real_name(&self, name: &str) -> Result<String> {
        let mut name = cleaned(name.as_bytes())?;
        for _ in 0..16 {
            match self.aliases.get(&name) {
                Some(next) => name = next.clone(),
                None => return Ok(name),
            }
        }
        Err(Error::invalid(format!("{name:?}: links in the archive go round in a circle")))
    }
}

fn cleaned(name: &[u8]) -> Result<String> {
    let name = tree::clean(name)?;
    String::from_utf8(name).map_err(|e| Error::invalid(format!("a file name in the archive is not UTF-8: {e}")))
}

struct Job {
    name: String,
    tail: Tail,
}

/// Reads the whole archive.
///
/// # Errors
/// It is no tar archive, is cut short, or the disk fails. Layers at fault are reported with their part.
pub fn read(
    archive: impl Read + Send,
    content: &Content,
    layers: &Layers,
    known: &(dyn Fn(&Digest) -> bool + Sync),
    progress: &mut dyn FnMut(Progress),
) -> Result<Parts> {
    let mut archive = BufReader::with_capacity(128 << 10, archive);
    let first = archive.fill_buf().map_err(|e| disk(&e, "read the archive"))?;
    if first.is_empty() {
        return Err(Error::invalid("the archive is empty").hint("minidock image load -i ARCHIVE, or < ARCHIVE"));
    }
    match Compression::of(first) {
        Compression::Plain => read_tar(archive, content, layers, known, progress),
        _ => {
            let source = compression::inflate(archive)?;
            compression::ahead(source, false, |bytes| read_tar(bytes, content, layers, known, progress))
                .map(|(parts, ..)| parts)
        }
    }
}

fn read_tar(
    archive: impl BufRead + Send,
    content: &Content,
    layers: &Layers,
    known: &(dyn Fn(&Digest) -> bool + Sync),
    progress: &mut dyn FnMut(Progress),
) -> Result<Parts> {
    let (jobs, waiting) = channel::<Job>();
    let waiting = Mutex::new(waiting);
    let (done, results) = channel();
    let hopeless = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let workers = std::thread::available_parallelism().map_or(2, |n| n.get()).clamp(2, 8);
        for _ in 0..workers {
            let (waiting, done, hopeless) = (&waiting, done.clone(), &hopeless);
            scope.spawn(move || work(waiting, &done, layers, known, hopeless));
        }
        drop(done);
        let mut reading =
            Reading { content, jobs, parts: Parts::default(), ingests: HashMap::new(), bytes: 0, hopeless: &hopeless };
        let read = reading.all(archive, progress);
        let Reading { parts, ingests, jobs, .. } = reading;
        if read.is_err() {
            hopeless.store(true, Ordering::Relaxed);
        }
        drop(jobs);
        read.and_then(|()| collect(parts, ingests, &results, progress))
    })
}

/// One unpacking thread.
fn work(
    waiting: &Mutex<Receiver<Job>>,
    done: &Sender<(String, Result<Layer>)>,
    layers: &Layers,
    known: &(dyn Fn(&Digest) -> bool + Sync),
    hopeless: &AtomicBool,
) {
    loop {
        let job = match waiting.lock() {
            Ok(waiting) => waiting.recv(),
            Err(_) => return,
        };
        let Ok(Job { name, tail }) = job else { return };
        if hopeless.load(Ordering::Relaxed) {
            return;
        }
        let layer = one(tail, &name, layers, known);
        // the archive's fault is told when an image asks for this layer; the machine's fault ends it all
        if layer.as_ref().is_err_and(|e| e.kind() == minidock_base::Kind::System) {
            hopeless.store(true, Ordering::Relaxed);
        }
        if done.send((name, layer)).is_err() {
            return;
        }
    }
}

fn one(tail: Tail, name: &str, layers: &Layers, known: &(dyn Fn(&Digest) -> bool + Sync)) -> Result<Layer> {
    // a file named after the diff ID of a layer that is here already need only be hashed
    unpack_stream(tail, named_digest(name).is_some_and(|digest| known(&digest)), layers)
}

/// Unpacks one packed layer while it arrives; one that is `known` is only hashed.
pub(crate) fn unpack_stream(packed: impl Read + Send, known: bool, layers: &Layers) -> Result<Layer> {
    let source = compression::inflate(BufReader::with_capacity(128 << 10, packed))?;
    if known {
        let ((), diff_id, _) = compression::ahead(source, true, |_| Ok(()))?;
        return Ok(Layer { diff_id, making: None, unpacked: Unpacked::default() });
    }
    let making = layers.begin()?;
    let root = files::open_directory(&making.diff()).doing(|| "open a layer")?;
    let (unpacked, diff_id, _) = compression::ahead(source, true, |bytes| unpack::unpack(bytes, root).map(|(done, _)| done))?;
    Ok(Layer { diff_id, making: Some(making), unpacked })
}

/// `blobs/sha256/<hex>`, `<hex>.tar`, `<hex>/layer.tar`: the digest a file name claims.
pub fn named_digest(name: &str) -> Option<Digest> {
    let stem = name.trim_end_matches("/layer.tar").trim_end_matches(".tar");
    let hex = stem.rsplit('/').next()?;
    Digest::parse(&format!("sha256:{hex}")).ok()
}

struct Reading<'a> {
    content: &'a Content,
    jobs: Sender<Job>,
    parts: Parts,
    ingests: HashMap<String, (Ingest, &'static str)>,
    bytes: u64,
    hopeless: &'a AtomicBool,
}

impl Reading<'_> {
    fn all(&mut self, archive: impl BufRead + Send, progress: &mut dyn FnMut(Progress)) -> Result<()> {
        let mut reader = Reader::new(archive);
        while let Some(entry) = reader.next().map_err(|e| e.during("read the archive"))? {
            let name = cleaned(&entry.name)?;
            match entry.kind {
                Kind::File => self.file(name, &mut reader, entry.size, progress)?,
                Kind::HardLink => drop(self.parts.aliases.insert(name, cleaned(&entry.link)?)),
                Kind::Symlink => {
                    let (folder, _) = tree::split(name.as_bytes());
                    let target = match entry.link.first() {
                        Some(b'/') => entry.link.clone(),
                        _ => tree::join(folder, &entry.link),
                    };
                    self.parts.aliases.insert(name.clone(), cleaned(&target)?);
                }
                _ => {}
            }
            if self.hopeless.load(Ordering::Relaxed) {
                break; // `collect` tells why
            }
        }
        Ok(())
    }

    fn file(
        &mut self,
        name: String,
        reader: &mut Reader<impl BufRead + Send>,
        size: u64,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<()> {
        let mut first = Vec::new();
        while first.len() < 512 {
            let slice = reader.fill()?;
            if slice.is_empty() {
                break;
            }
            let n = slice.len().min(512 - first.len());
            first.extend_from_slice(&slice[..n]);
            reader.consume(n);
        }
        match looks_like(&first, size) {
            Look::Document => {
                self.bytes += size;
                if size > LARGEST_DOCUMENT || self.bytes > MOST_DOCUMENTS {
                    return Err(Error::invalid(format!("{name:?} is too large for a document of an image archive"))
                        .hint("a root filesystem is taken in by minidock image import"));
                }
                first.extend(reader.read_all(LARGEST_DOCUMENT)?);
                self.parts.documents.insert(name, first);
                Ok(())
            }
            Look::Layer(compression) => match compression.layer_type() {
                Some(media_type) => self.layer(name, first, media_type, reader, size, progress),
                None => self.inflated_layer(name, first, reader),
            },
            Look::Other => Ok(()),
        }
    }

    fn layer(
        &mut self,
        name: String,
        first: Vec<u8>,
        media_type: &'static str,
        reader: &mut Reader<impl BufRead>,
        size: u64,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<()> {
        let id: String = named_digest(&name).map_or_else(|| name.chars().take(12).collect(), |d| d.short().to_string());
        let mut ingest = self.content.begin()?;
        ingest.write(&first)?;
        let job = Job { name: name.clone(), tail: ingest.tail()? };
        self.jobs.send(job).map_err(|_| Error::system("no thread is left to unpack layers"))?;
        let mut told = 0;
        loop {
            let slice = reader.fill()?;
            if slice.is_empty() || self.hopeless.load(Ordering::Relaxed) {
                break;
            }
            let n = slice.len();
            ingest.write(slice)?;
            reader.consume(n);
            if ingest.size() - told >= 1 << 20 || ingest.size() == size {
                told = ingest.size();
                progress(Progress::Reading { id: id.clone(), current: told, total: size });
            }
        }
        ingest.end();
        self.ingests.insert(name, (ingest, media_type));
        Ok(())
    }

    /// A layer packed as none may be kept: its plain bytes are.
    fn inflated_layer(&mut self, name: String, first: Vec<u8>, reader: &mut Reader<impl BufRead + Send>) -> Result<()> {
        let mut ingest = self.content.begin()?;
        let job = Job { name: name.clone(), tail: ingest.tail()? };
        self.jobs.send(job).map_err(|_| Error::system("no thread is left to unpack layers"))?;
        let rest = BufReader::with_capacity(128 << 10, tar::Content(reader));
        let (mut plain, media_type) = compression::storable(io::Cursor::new(first).chain(rest))?;
        while !self.hopeless.load(Ordering::Relaxed) {
            let slice = plain.fill_buf().map_err(|e| Error::invalid(e.to_string()).during(format!("inflate {name}")))?;
            if slice.is_empty() {
                break;
            }
            ingest.write(slice)?;
            let n = slice.len();
            plain.consume(n);
        }
        drop(plain);
        ingest.end();
        self.ingests.insert(name, (ingest, media_type));
        Ok(())
    }
}

enum Look {
    Document,
    Layer(Compression),
    Other,
}

fn looks_like(first: &[u8], size: u64) -> Look {
    match first.iter().find(|b| !b.is_ascii_whitespace()) {
        Some(b'{' | b'[') if !tar::is_header(first) => return Look::Document,
        Some(b'n') if first.trim_ascii() == b"null" => return Look::Document,
        _ => {}
    }
    match Compression::of(first) {
        Compression::Plain if tar::is_header(first) => Look::Layer(Compression::Plain),
        Compression::Plain if size >= 512 && first.iter().all(|b| *b == 0) => Look::Layer(Compression::Plain),
        Compression::Plain => Look::Other,
        packed => Look::Layer(packed),
    }
}

/// Waits for all jobs and puts their results beside their blobs.
fn collect(
    mut parts: Parts,
    mut ingests: HashMap<String, (Ingest, &'static str)>,
    results: &Receiver<(String, Result<Layer>)>,
    progress: &mut dyn FnMut(Progress),
) -> Result<Parts> {
    while let Ok((name, layer)) = results.recv() {
        if let Err(error) = &layer
            && error.kind() == minidock_base::Kind::System
        {
            return Err(error.clone().during(format!("unpack the layer {name}")));
        }
        let Some((ingest, media_type)) = ingests.remove(&name) else { continue };
        let digest = ingest.digest();
        progress(Progress::Unpacked { id: digest.short().to_string(), left: ingests.len() });
        parts.layers.insert(name, Part { ingest, digest, media_type, layer });
    }
    Ok(parts)
}
