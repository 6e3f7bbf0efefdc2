//! # Transfer: archives in and out
//!
//! `load`, `save` and `import` move images as tar streams. The client sees what happens as lines of JSON: a bar for each
//! layer while it comes in, and at the end what was loaded; a failure in the middle is the last line, since the status code
//! has long been sent.
//!
//! Laws: nothing of an archive is held in memory; a client that goes away ends the work, and what was half done is removed.
//! See: moby `api/server/router/image/image_routes.go`. Next room: [`crate::volumes`]

use super::publish;
use crate::{
    Engine,
    byte_stream::{ByteStream, blocking, reading, stream_of, writing},
};
use futures_util::stream::BoxStream;
use minidock_base::{Error, Result};
use minidock_image::archive;
use minidock_spec::{
    engine::image::{ErrorDetail, Progress},
    reference::Reference,
};
use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::mpsc::{self, Sender};

/// What a client is told, line by line.
pub type ProgressStream = BoxStream<'static, Result<Progress>>;

/// `POST /images/load`.
///
/// A failure is the last line of the stream: the status code has been sent by then.
pub fn load(engine: &Arc<Engine>, archive: ByteStream, quiet: bool) -> ProgressStream {
    let (engine, reader) = (engine.clone(), reading(archive));
    telling(move |to| {
        let mut bars = Bars { to, quiet, drawn: HashMap::new() };
        let loaded = engine.images.store.load(reader, &mut |step| bars.draw(step))?;
        for image in loaded {
            publish(&engine, "load", &image.image.id, image.image.id.as_str());
            match &image.names[..] {
                [] => say(to, format!("Loaded image ID: {}\n", image.image.id)),
                names => names.iter().for_each(|name| say(to, format!("Loaded image: {}\n", name.familiar()))),
            }
        }
        Ok(())
    })
}

/// `GET /images/get?names=` and `GET /images/{name}/get`.
///
/// # Errors
/// An image that is not there, before the first byte.
pub async fn save(engine: &Arc<Engine>, names: Vec<String>) -> Result<ByteStream> {
    if names.is_empty() {
        return Err(Error::invalid("no image is named").hint("minidock image save IMAGE [IMAGE…]"));
    }
    let (engine, wanted) = (engine.clone(), names.clone());
    let store = engine.images.store.clone();
    let ids = blocking(move || {
        let known = |name: &String| store.resolve(name).or_else(|e| all_tags(&store, name).ok_or(e));
        wanted.iter().map(known).collect::<Result<Vec<_>>>()
    })
    .await?;
    for image in &ids {
        publish(&engine, "save", &image.id, image.id.as_str());
    }
    let store = engine.images.store.clone();
    Ok(writing(move |out| store.save(&names, out)))
}

/// A repository named without a tag may have none called `latest`.
fn all_tags(store: &minidock_image::Store, name: &str) -> Option<minidock_image::ImageRecord> {
    let wanted = Reference::parse_untagged(name).ok().filter(|n| n.tag.is_none() && n.digest.is_none())?;
    store.list().into_iter().find(|i| i.tags.iter().any(|t| t.canonical_name() == wanted.canonical_name()))
}

/// What `POST /images/create?fromSrc=-` says beside the archive.
#[derive(Clone, Debug, Default)]
pub struct ImportOptions {
    pub repository: String,
    pub tag: String,
    pub changes: Vec<String>,
    pub message: String,
}

/// `POST /images/create?fromSrc=-`: a root filesystem becomes an image.
///
/// # Errors
/// A name that may not be, at once; everything else is the last line of the stream.
pub fn import(engine: &Arc<Engine>, archive: ByteStream, options: ImportOptions) -> Result<ProgressStream> {
    let name = match options.repository.is_empty() {
        true => None,
        false => Some(super::target(&options.repository, &options.tag)?),
    };
    let message = if options.message.is_empty() { "Imported from -".to_string() } else { options.message };
    let (engine, reader) = (engine.clone(), reading(archive));
    Ok(telling(move |to| {
        let image = engine.images.store.import(reader, name.clone(), &options.changes, &message)?;
        publish(&engine, "import", &image.id, &name.map_or_else(|| image.id.to_string(), |n| n.familiar()));
        send(to, Progress { status: Some(image.id.to_string()), ..Progress::default() });
        Ok(())
    }))
}

/// Runs `work` on a thread for blocking work; what it says, and how it failed, is the stream.
pub fn telling(work: impl FnOnce(&Sender<Result<Progress>>) -> Result<()> + Send + 'static) -> ProgressStream {
    let (to, lines) = mpsc::channel(64);
    tokio::task::spawn_blocking(move || {
        if let Err(error) = work(&to) {
            let detail = ErrorDetail { code: None, message: error.message(), minidock: Some(error.to_wire()) };
            send(&to, Progress { error_detail: Some(detail), error: Some(error.message()), ..Progress::default() });
        }
    });
    stream_of(lines)
}

/// Sends a line; whether anybody is there to read it is found out by the archive that ends.
fn send(to: &Sender<Result<Progress>>, line: Progress) {
    let _ = to.blocking_send(Ok(line));
}

fn say(to: &Sender<Result<Progress>>, text: String) {
    send(to, Progress { stream: Some(text), ..Progress::default() });
}

/// One bar for each layer, drawn at most ten times a second.
struct Bars<'a> {
    to: &'a Sender<Result<Progress>>,
    quiet: bool,
    drawn: HashMap<String, Instant>,
}

impl Bars<'_> {
    fn draw(&mut self, step: archive::Progress) {
        let archive::Progress::Reading { id, current, total } = step else { return };
        let now = Instant::now();
        let lately = self.drawn.get(&id).is_some_and(|at| now.duration_since(*at) < Duration::from_millis(100));
        if self.quiet || (lately && current < total) {
            return;
        }
        self.drawn.insert(id.clone(), now);
        let line = Progress::bar(&id, "Loading layer", current, total);
        // a slow reader of bars must not hold up the unpacking: bars it has no time for are not drawn
        let _ = self.to.try_send(Ok(line));
    }
}

#[cfg(test)]
mod tests {
    use minidock_spec::engine::image::bar;

    #[test]
    fn a_bar_is_fifty_wide() {
        assert_eq!(bar(0, 100).find(']'), Some(51));
        assert!(bar(100, 100).starts_with(&format!("[{}]", "=".repeat(50))));
        assert!(bar(7, 0).contains("7B/0B"));
    }
}
