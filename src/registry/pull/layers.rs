//! # Layers: several at once, and unpacked while they come
//!
//! The slow part of a pull. Each missing layer has a task; a few of them download at the same time, each into its own file, and
//! behind each one a thread unpacks what has come so far. When a layer is whole and all those below it are settled, it is
//! settled too: that is what `Pull complete` means.
//!
//! ```text
//!   task n ──seat──permit (3)──► GET blob ──channel──► writer thread: hash, partial/<hex> ──► whole? keep
//!                                                            └ Tail ──► unpack thread ──► Fresh n
//!   Fresh 0, Fresh 1, …  ──in order──► settle ──► Pull complete
//! ```
//!
//! * [`bring`] does it for an [`Arrival`]; the first failure ends everything, and what is half here waits in `partial/`.
//!
//! Laws: memory does not grow with layers: a slow disk slows the network down; bytes are verified before a blob gets its name,
//! and a layer that was unpacked from other bytes is thrown away; what a failed pull had is cleared away after the last blob
//! that was just being named, never before. See: moby `distribution/xfer/download.go`.
//! Next room: [`crate::push`]

use super::Teller;
use crate::{
    client::{blob::unverified, manifest::Repository},
    flights::Flights,
};
use bytes::Bytes;
use minidock_base::{Error, Kind, Result};
use minidock_image::{
    ImageRecord,
    arrival::{Arrival, Fresh, Slot},
    content::Ingest,
};
use minidock_spec::{engine::image::Progress, reference::Reference};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::{
    runtime::Handle,
    sync::{Semaphore, mpsc},
    task::{JoinHandle, spawn_blocking},
};
use tokio_util::task::AbortOnDropHandle;

/// Docker's number.
const DOWNLOADS: usize = 3;
/// More than there are layers.
const NAMINGS: u32 = 1 << 16;
/// Pieces between the network and the disk.
const PIECES: usize = 4;
/// A bar is drawn at most so often.
const BEAT: Duration = Duration::from_millis(100);

/// What a task has to say.
enum Word {
    /// It is unpacking; how far can be looked at.
    Downloaded(usize, Arc<AtomicU64>),
    Done(usize, Result<Option<Fresh>>),
}

/// What all tasks of one image share.
struct Shared {
    repository: Arc<Repository>,
    flights: Flights,
    downloads: Semaphore,
    /// Who gives a blob its name holds a permit; no more are given when the pull is over.
    naming: Arc<Semaphore>,
    tell: Teller,
}

/// Fetches all layers that are missing, and enters the image under `names`.
///
/// # Errors
/// The first failure of any layer.
pub async fn bring(
    arrival: Arrival,
    repository: Arc<Repository>,
    flights: Flights,
    names: Vec<Reference>,
    tell: &Teller,
) -> Result<ImageRecord> {
    let naming = Arc::new(Semaphore::new(NAMINGS as usize));
    let downloads = Semaphore::new(DOWNLOADS);
    let shared = Arc::new(Shared { repository, flights, downloads, naming: naming.clone(), tell: tell.clone() });
    let (words, mut heard) = mpsc::unbounded_channel();
    let count = arrival.layers().len();
    let (mut tasks, mut ready, mut layers) = (Vec::new(), Vec::new(), Vec::new());
    for nth in 0..count {
        let slot = arrival.slot(nth);
        let here = slot.has_blob() && slot.has_directory();
        tell(Progress::of(slot.blob.digest.short(), if here { "Already exists" } else { "Pulling fs layer" }));
        ready.push(here.then_some(None));
        layers.push((slot, here));
    }
    for (nth, (slot, _)) in layers.iter().enumerate().filter(|(_, (_, here))| !here) {
        let (shared, slot, words) = (shared.clone(), slot.clone(), words.clone());
        tasks.push(AbortOnDropHandle::new(tokio::spawn(async move {
            let fetched = fetch(&shared, &slot, |read| drop(words.send(Word::Downloaded(nth, read)))).await;
            let _ = words.send(Word::Done(nth, fetched)); // nobody listens any more: the pull has failed elsewhere
        })));
    }
    drop(words);
    let mut held = Held(Some(arrival), naming);
    let mut unpacking: Vec<Option<Arc<AtomicU64>>> = vec![None; count];
    let mut beat = tokio::time::interval(BEAT);
    for nth in 0..count {
        let (slot, here) = &layers[nth];
        let id = slot.blob.digest.short();
        while ready[nth].is_none() {
            tokio::select! {
                word = heard.recv() => match word {
                    Some(Word::Downloaded(nth, read)) => unpacking[nth] = Some(read),
                    Some(Word::Done(nth, fetched)) => ready[nth] = Some(fetched?),
                    None => return Err(Error::system("a layer's download ended without a word")),
                },
                _ = beat.tick() => if let Some(read) = &unpacking[nth] {
                    tell(Progress::bar(id, "Extracting", read.load(Ordering::Relaxed).min(slot.blob.size), slot.blob.size));
                },
            }
        }
        let fresh = ready[nth].take().flatten();
        if !here {
            tell(Progress::bar(id, "Extracting", slot.blob.size, slot.blob.size));
        }
        held.with(move |arrival| arrival.settle(nth, fresh)).await?;
        if !here {
            tell(Progress::of(id, "Pull complete"));
        }
    }
    let Some(arrival) = held.0.take() else { return Err(Error::system("the image was lost on its way")) };
    blocking(move || arrival.finish(&names)).await
}

/// One layer: its blob into the store, its files unpacked. `None` when there was nothing to unpack any more.
async fn fetch(shared: &Shared, slot: &Slot, downloaded: impl FnOnce(Arc<AtomicU64>)) -> Result<Option<Fresh>> {
    let id = slot.blob.digest.short();
    let seat = shared.flights.join(slot.blob.digest.as_str());
    let (turn, _) = seat.turn(&|line| (shared.tell)(line)).await;
    if slot.has_blob() {
        (shared.tell)(Progress::of(id, "Download complete"));
        return Ok(None);
    }
    let permit = match shared.downloads.try_acquire() {
        Ok(permit) => permit,
        Err(_) => {
            (shared.tell)(Progress::of(id, "Waiting"));
            shared.downloads.acquire().await.map_err(|_| Error::system("downloads were closed"))?
        }
    };
    let (read, unpacking) = match download(shared, slot, &seat).await {
        // what an earlier try left may have been spoilt: once more, from the first byte
        Err(Attempt::Spoilt(_)) => download(shared, slot, &seat).await.map_err(Attempt::error)?,
        tried => tried.map_err(Attempt::error)?,
    };
    (shared.tell)(Progress::of(id, "Download complete"));
    downloaded(read);
    drop((permit, turn));
    unpacking.await.map_err(|_| Error::system("the unpacking thread ended early"))?.map(Some)
}

enum Attempt {
    /// The digest is wrong, and some of the bytes were not of this download.
    Spoilt(Error),
    Failed(Error),
}

impl Attempt {
    fn error(self) -> Error {
        match self {
            Attempt::Spoilt(error) | Attempt::Failed(error) => error,
        }
    }
}

impl From<Error> for Attempt {
    fn from(error: Error) -> Attempt {
        Attempt::Failed(error)
    }
}

type Unpacking = (Arc<AtomicU64>, JoinHandle<Result<Fresh>>);

/// Downloads what is missing of one blob, verifies it and gives it its name; its unpacking goes on.
async fn download(shared: &Shared, slot: &Slot, seat: &crate::flights::Seat) -> Result<Unpacking, Attempt> {
    let (blob, id) = (slot.blob.clone(), slot.blob.digest.short());
    let begin = slot.clone();
    let (ingest, unpacking) = blocking(move || {
        let ingest = begin.resume()?;
        let unpacking = begin.unpacking(&ingest)?;
        Ok((ingest, unpacking))
    })
    .await?;
    let resumed = ingest.size();
    let (read, unpacking) = (unpacking.read(), spawn_blocking(move || unpacking.run()));
    let (pieces, incoming) = mpsc::channel::<Bytes>(PIECES);
    let writer = spawn_blocking(move || write(ingest, incoming));
    let mut bar = Bar { current: resumed, total: blob.size, drawn: None };
    let fetched = shared
        .repository
        .download(&blob, resumed, |piece| {
            bar.current += piece.len() as u64;
            if bar.is_due() {
                let line = Progress::bar(id, "Downloading", bar.current, bar.total);
                seat.say(&line);
                (shared.tell)(line);
            }
            let gone = unpacking.is_finished() && writer.is_finished();
            let pieces = &pieces;
            async move {
                match gone || pieces.send(piece).await.is_err() {
                    true => Err(Error::system("the disk took no more")), // the writer's own error is told instead
                    false => Ok(()),
                }
            }
        })
        .await;
    drop(pieces);
    let written = writer.await.map_err(|_| Error::system("the writing thread ended early"))?;
    let mut ingest: Ingest = written?;
    fetched?;
    (shared.tell)(Progress::of(id, "Verifying Checksum"));
    ingest.end();
    let found = ingest.digest();
    let expected = blob.digest.clone();
    let over = |_| Error::system("the pull has failed elsewhere");
    let permit = shared.naming.clone().acquire_owned().await.map_err(over)?;
    let naming = move || {
        let _permit = permit; // this thread goes on when the task that waits for it is ended
        ingest.commit(&expected)
    };
    if let Err(error) = blocking(naming).await {
        let error = if found == blob.digest { error } else { unverified(&blob.digest, &found) };
        return Err(if resumed > 0 && found != blob.digest { Attempt::Spoilt(error) } else { Attempt::Failed(error) });
    }
    Ok((read, unpacking))
}

/// The writing thread: the disk, and the hash.
fn write(mut ingest: Ingest, mut incoming: mpsc::Receiver<Bytes>) -> Result<Ingest> {
    while let Some(piece) = incoming.blocking_recv() {
        ingest.write(&piece)?;
    }
    Ok(ingest)
}

struct Bar {
    current: u64,
    total: u64,
    drawn: Option<Instant>,
}

impl Bar {
    fn is_due(&mut self) -> bool {
        let due = self.drawn.is_none_or(|at| at.elapsed() >= BEAT);
        if due {
            self.drawn = Some(Instant::now());
        }
        due
    }
}

/// An arrival on its way between threads; wherever it is dropped, it is cleared away on a thread that may block, when nobody gives a blob
/// its name any more.
struct Held(Option<Arrival>, Arc<Semaphore>);

impl Held {
    async fn with(&mut self, work: impl FnOnce(&mut Arrival) -> Result<()> + Send + 'static) -> Result<()> {
        let Some(mut arrival) = self.0.take() else { return Err(Error::system("the image was lost on its way")) };
        let (arrival, done) = spawn_blocking(move || {
            let done = work(&mut arrival);
            (arrival, done)
        })
        .await
        .map_err(|_| Error::new(Kind::System, "the thread that settled a layer ended early"))?;
        self.0 = Some(arrival);
        done
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(arrival) = self.0.take() {
            let naming = self.1.clone();
            drop(spawn_blocking(move || {
                let _ = Handle::current().block_on(naming.acquire_many(NAMINGS)); // the last one
                naming.close();
                drop(arrival);
            }));
        }
    }
}

/// Runs `work` on a thread for blocking work.
///
/// # Errors
/// Those of `work`; it panicked.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    match spawn_blocking(work).await {
        Ok(done) => done,
        Err(_) => Err(Error::system("the thread that did the work ended early")),
    }
}
