//! # Copying: what a `COPY` means before anything is copied
//!
//! Sources are found and hashed, the destination is made absolute, owners are looked up in the image; then the cache is asked, and only if it has
//! nothing is a layer made.
//!
//! ```text
//!   COPY --chown=www-data *.js /app/
//!     │            │        │
//!     │            │        └─ find, hash ──► COPY multi:5d41… in /app/     what history says, and with it the key
//!     │            └─ /etc/passwd of the image: 33:33
//!     └─ into the merged tree: [`crate::copy`]
//! ```
//!
//! See: moby `builder/dockerfile/{copy,internals}.go`. Next room: [`crate::copy`]

use crate::{
    copy::{Copying, Item},
    expand, fetch,
    instruction::{Copy, Source},
    job::Job,
    origin::Origin,
    remote,
    stage::Stage,
    stages::stage_called,
    voice::Failure,
};
use minidock_base::{Doing, Error, Result, clean_path::clean_from, ignore::Patterns};
use minidock_engine::{byte_stream::blocking, users::Databases};
use minidock_linux::files;
use minidock_spec::digest::{Digest, Hasher};
use std::{
    os::fd::{AsFd, OwnedFd},
    sync::Arc,
};

/// Does a `COPY` or `ADD`.
///
/// # Errors
/// A source that is not there, a destination that cannot be, an owner that the image does not know.
pub async fn copy(stage: &mut Stage, copy: &Copy) -> Result<(), Failure> {
    let keyword = if copy.add { "ADD" } else { "COPY" };
    let failed = |failure: Failure| {
        let Failure { error, code } = failure;
        let named = Error::new(error.kind(), format!("{keyword} failed: {}", error.message()));
        Failure { error: error.hint_text().map_or(named.clone(), |hint| named.hint(hint)), code }
    };
    steps(stage, copy, keyword).await.map_err(failed)
}

async fn steps(stage: &mut Stage, copy: &Copy, keyword: &'static str) -> Result<(), Failure> {
    let destination = stage.running.word(&copy.destination)?;
    let slash = destination.ends_with('/') || destination.ends_with("/.") || destination == ".";
    let mut to = clean_from(&stage.running.config.working_dir, &destination);
    if slash && !to.ends_with('/') {
        to.push('/');
    }
    let origin = Arc::new(origin(stage, copy.from.as_deref()).await?);
    let exclude = copy.exclude.iter().map(|pattern| stage.running.word(pattern)).collect::<Result<Vec<_>>>()?;
    let sources = sources(stage, copy, &to)?;
    let exclude = Patterns::of(exclude.iter().map(String::as_str))?;
    let (job, o, excluded) = (stage.job.clone(), origin.clone(), exclude.clone());
    let (items, hash) = gather(&job, o, sources, excluded).await?;
    let chown = copy.chown.as_ref().map(|text| stage.running.word(text)).transpose()?;
    let chmod = copy.chmod.as_ref().map(|text| stage.running.word(text)).transpose()?;
    let mode = chmod.as_deref().map(octal).transpose()?;
    let owned = chown.as_ref().map(|text| format!("--chown={text}")).unwrap_or_default();
    let created_by = stage.running.noted(&format!("{keyword} {owned}{hash} in {destination} "));
    let more: Vec<String> = [("chmod", chmod.as_deref().unwrap_or_default()), ("parents", if copy.parents { "1" } else { "" })]
        .into_iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    let key = stage.key(&created_by, &more);
    if stage.cached(&key, &created_by).await? {
        return Ok(());
    }
    let keeps_owners = copy.from.is_some();
    let (parents, unpack) = (copy.parents, copy.add);
    let upper = stage
        .write(move |root, job| {
            let owner = match chown {
                Some(text) => Some(owner(root, &text)?),
                None if keeps_owners => None,
                None => Some((0, 0)),
            };
            Copying {
                keyword,
                origin: &origin,
                items,
                destination: &to,
                owner,
                mode,
                unpack,
                parents,
                exclude: &exclude,
                cancel: &job.cancel,
            }
            .into_tree(root)
        })
        .await?;
    stage.advance(&created_by, &key, Some(upper)).await
}

/// Where the files come from.
pub async fn origin(stage: &Stage, from: Option<&str>) -> Result<Origin, Failure> {
    let job = &stage.job;
    let image = match from {
        None => return Ok(Origin::Context(job.context.clone())),
        Some(word) => match stage_called(&job.file, word, stage.planned.index) {
            Some(index) => job.stage(index).await?,
            None => Some(job.image(word, &job.options.platform, &stage.voice).await?),
        },
    };
    of_image(job, image).await.map_err(Failure::from)
}

/// The tree of an image as a place that files come from.
///
/// # Errors
/// A layer that is missing, or what overlayfs says.
pub async fn of_image(job: &Arc<Job>, image: crate::job::Outcome) -> Result<Origin> {
    let lower = job.layers(image).await?.lower;
    let engine = job.engine.clone();
    blocking(move || Origin::of_image(&engine.paths, &lower)).await
}

/// A source with its variables replaced.
enum Wanted {
    Path(String),
    Document { name: String, content: String },
    Address { address: String, name: String, checksum: Option<Digest> },
}

fn sources(stage: &Stage, copy: &Copy, to: &str) -> Result<Vec<Wanted>> {
    let checksum =
        copy.checksum.as_ref().map(|text| stage.running.word(text).and_then(|text| Digest::parse(&text))).transpose()?;
    let one = |source: &Source| match source {
        Source::Document(document) => {
            let content = match document.expand {
                true => expand_document(stage, &document.content)?,
                false => document.content.clone(),
            };
            Ok(Wanted::Document { name: document.name.clone(), content })
        }
        Source::Path(path) => {
            let path = stage.running.word(path)?;
            if copy.add && remote::is_repository(&path) && !path.starts_with("github.com/") {
                return Err(remote::refusal(&path));
            }
            match copy.add && (path.starts_with("http://") || path.starts_with("https://")) {
                true => Ok(Wanted::Address { name: fetch::file_name(&path, to)?, address: path, checksum: checksum.clone() }),
                false => Ok(Wanted::Path(path)),
            }
        }
    };
    let all = copy.sources.iter().map(one).collect::<Result<Vec<_>>>()?;
    if checksum.is_some() && !matches!(all[..], [Wanted::Address { .. }]) {
        return Err(Error::invalid("checksum can't be specified for multiple or non-HTTP(S) sources"));
    }
    Ok(all)
}

/// In a document quotes are only characters.
fn expand_document(stage: &Stage, content: &str) -> Result<String> {
    let lookup = |name: &str| stage.running.scope.value(&stage.running.config.env, name);
    expand::document(content, stage.running.escape, &lookup)
}

/// Finds, fetches and hashes everything; gives `file:…`, `dir:…` or `multi:…`.
async fn gather(job: &Arc<Job>, origin: Arc<Origin>, sources: Vec<Wanted>, exclude: Patterns) -> Result<(Vec<Item>, String)> {
    let (mut items, mut hashes) = (Vec::new(), Vec::new());
    for source in sources {
        match source {
            Wanted::Path(path) => {
                let (origin, exclude, job) = (origin.clone(), exclude.clone(), job.clone());
                let found = blocking(move || {
                    let found = origin.find(&path)?;
                    let hashed = found.into_iter().map(|found| {
                        let mut hasher = Hasher::new();
                        hasher.update(&found.named);
                        hasher.update(origin.hash(&found, &exclude, &job.cancel)?.as_str().as_bytes());
                        Ok((found, hasher.finish()))
                    });
                    hashed.collect::<Result<Vec<_>>>()
                })
                .await?;
                for (found, hash) in found {
                    hashes.push(format!("{}:{}", if found.is_folder { "dir" } else { "file" }, hash.hex()));
                    items.push(Item::Found(found));
                }
            }
            Wanted::Document { name, content } => {
                hashes.push(format!("file:{}", Digest::of(format!("{name}\0{content}").as_bytes()).hex()));
                items.push(Item::Document { name, content: content.into_bytes() });
            }
            Wanted::Address { address, name, checksum } => {
                let (item, hash) = fetch::fetch(job, &address, name, checksum).await?;
                hashes.push(format!("file:{}", hash.hex()));
                items.push(item);
            }
        }
    }
    let hash = match &hashes[..] {
        [] => return Err(Error::invalid("no source files were specified")),
        [one] => one.clone(),
        several => format!("multi:{}", Digest::of(several.join(",").as_bytes()).hex()),
    };
    Ok((items, hash))
}

/// Whom `--chown` means, by the image's own lists; a user alone is his group, too.
fn owner(root: &OwnedFd, text: &str) -> Result<(u32, u32)> {
    let wanted = match text.split_once(':') {
        Some((user, "")) => format!("{user}:{user}"),
        Some(_) => text.to_string(),
        None => format!("{text}:{text}"),
    };
    files::fstat(root).doing(|| "look at the image")?;
    let user =
        Databases::read(root.as_fd())?.find(&wanted, &[]).map_err(|e| e.during(format!("find out who --chown={text} is")))?;
    Ok((user.uid, user.gid))
}

fn octal(text: &str) -> Result<u32> {
    u32::from_str_radix(text, 8).ok().filter(|mode| *mode <= 0o7777).ok_or_else(|| {
        Error::invalid(format!("invalid chmod parameter: '{text}'. it should be octal string and between 0 and 07777"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mode_is_octal() {
        assert_eq!((octal("755").expect("fine"), octal("0644").expect("fine")), (0o755, 0o644));
        assert!(octal("u+x").is_err() && octal("17777").is_err());
    }
}
