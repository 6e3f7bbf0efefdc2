//! # The builder: from a Dockerfile to an image
//!
//! A Dockerfile is a list of instructions; an image is a list of layers and a configuration. A build walks the first and makes the
//! second: most instructions change a word of the configuration, `COPY` and `ADD` make a layer of files, `RUN` makes a layer of
//! whatever a program did in a container. A build is create, run, commit in a loop, and a memory of what was done before.
//!
//! ```text
//!   client ── tar of the context ──► context (an index, never unpacked)
//!                                       │
//!                    Dockerfile ──lexer──► parser ──► stages: which are needed, who waits for whom
//!                                                         │
//!               ┌─────────────────────────────────────────┴───────────────┐ one task each
//!               ▼                                                         ▼
//!   stage:  FROM alpine ──► ENV ──► COPY . /app ──► RUN make     stage: FROM node …
//!               │            │         │               │
//!             image       settings   origin, copy     run: a container of the engine, its upper directory
//!               │            │         │               │
//!               └────────────┴─────────┴───────────────┴──► cache: made before? else image::step: layer, image
//!                                                               │
//!   client ◄── {"stream":"Step 2/5 : …"} ── voice ◄─────────────┘           Successfully built, tagged
//! ```
//!
//! * Reading: [`lexer`], [`instruction`], [`parser`], [`flags`], [`expand`], [`scope`], [`stages`]. All pure.
//! * Files: [`context`], [`receive`], [`origin`], [`copying`], [`copy`], [`archive`], [`fetch`], [`remote`].
//! * Doing: [`job`], [`stage`] (the spine), [`settings`], [`run`], [`mounts`], [`cache`], [`pull`], [`voice`].
//! * [`prune`]: what is left behind, and how it goes.
//!
//! Laws: a `RUN` is a container like any other, made by the engine; nothing is tagged before all of it is built; a build whose client goes away
//! is cancelled, its container removed and its half-made layers with it; every step that was finished stays as cache. What a context may take is
//! bounded by the disk's free space.
//!
//! *In the real world* BuildKit turns the Dockerfile into a graph of operations, solves it with its own snapshots and workers, and talks
//! gRPC to its clients. What a student sees (instructions, layers, cache) is the same, and here it can be read in an evening.
//!
//! *See:* Dockerfile reference · moby `builder/dockerfile`. Next room: [`lexer`]

pub mod archive;
pub mod cache;
pub mod context;
pub mod copy;
pub mod copying;
pub mod expand;
pub mod fetch;
pub mod flags;
pub mod instruction;
pub mod job;
pub mod lexer;
pub mod mounts;
pub mod origin;
pub mod parser;
pub mod prune;
pub mod pull;
pub mod receive;
pub mod remote;
pub mod run;
pub mod scope;
pub mod settings;
pub mod stage;
pub mod stages;
pub mod voice;

use context::Context;
use futures_util::{StreamExt, stream::BoxStream};
use instruction::{Dockerfile, Instruction, What};
use job::{Job, Options};
use minidock_base::{Doing, Error, Result, id, ignore::Patterns};
use minidock_engine::{
    Engine,
    byte_stream::{ByteStream, blocking, reading, stream_of},
    images,
};
use minidock_image::ImageRecord;
use minidock_registry::client::Client;
use minidock_spec::engine::image::Progress;
use scope::Scope;
use std::{collections::HashMap, path::Path, sync::Arc};
use tokio::sync::{Mutex, OwnedMutexGuard, watch};
use tokio_util::sync::CancellationToken;
use voice::{Failure, Voice};

/// The largest Dockerfile and `.dockerignore` that are read.
const LARGEST_TEXT: u64 = 4 << 20;

/// Builds an image; the stream is what the client sees, its last line the failure if there is one.
pub fn build(
    engine: &Arc<Engine>,
    registry: &Arc<Client>,
    options: Options,
    archive: ByteStream,
) -> BoxStream<'static, Progress> {
    let (to, heard) = voice::voice();
    let (engine, registry, cancel) = (engine.clone(), registry.clone(), CancellationToken::new());
    tokio::spawn(async move {
        let gone = {
            let (to, cancel) = (to.clone(), cancel.clone());
            tokio::spawn(async move {
                to.closed().await;
                cancel.cancel();
            })
        };
        let quiet = options.quiet;
        let (inner, said) = if quiet { voice::voice() } else { (to.clone(), voice::voice().1) };
        let kept = tokio::spawn(kept(said));
        let done = whole(&engine, &registry, options, archive, &inner, &cancel).await;
        drop(inner);
        let kept = kept.await.unwrap_or_default();
        match done {
            Ok(image) if quiet => to.say(format!("{}\n", image.id)).await,
            Ok(_) => {}
            Err(failure) => {
                for line in kept {
                    to.line(line).await;
                }
                to.line(failure.line()).await;
            }
        }
        gone.abort();
    });
    stream_of(heard).boxed()
}

/// What a quiet build would have said.
async fn kept(mut said: tokio::sync::mpsc::Receiver<Progress>) -> Vec<Progress> {
    let mut all = Vec::new();
    while let Some(line) = said.recv().await {
        all.push(line);
        if all.len() > 100_000 {
            all.drain(..50_000); // the end is what tells why it failed
        }
    }
    all
}

async fn whole(
    engine: &Arc<Engine>,
    registry: &Arc<Client>,
    mut options: Options,
    archive: ByteStream,
    voice: &Voice,
    cancel: &CancellationToken,
) -> Result<ImageRecord, Failure> {
    let context = match options.remote.as_str() {
        "" => context_of(engine, archive).await?,
        address => remote::context(engine, registry, (address, &options.dockerfile), voice, cancel).await?,
    };
    let (file, context) = dockerfile(context, &options).await?;
    options.dockerfile = shown(&options.dockerfile).to_string();
    let job = job(engine, registry, options, file, context, cancel).await?;
    for warning in &job.file.warnings {
        voice.say(warning.clone()).await;
    }
    for (nth, argument) in job.file.args.iter().enumerate() {
        voice.say(format!("Step {}/{} : {}", nth + 1, job.plan.total_steps, argument.original)).await;
        voice.say("\n").await;
    }
    let built = stages_at_once(&job, voice).await;
    // what was finished is cache, whatever became of the rest
    let store = engine.images.store.clone();
    let written = blocking(move || store.write_steps()).await;
    let image = built?.ok_or_else(|| Error::invalid("No image was generated. Is your Dockerfile empty?"))?;
    written?;
    if cancel.is_cancelled() {
        return Err(Error::system("the build was cancelled").into());
    }
    finish(&job, image, voice).await
}

/// Reads the context; what it may take is what the disk has to spare.
async fn context_of(engine: &Arc<Engine>, archive: ByteStream) -> Result<Context> {
    let (paths, archive) = (engine.paths.clone(), reading(archive));
    blocking(move || {
        let scratch = paths.scratch();
        receive::receive(archive, &scratch, room_for_a_context(&scratch)?)
    })
    .await
}

fn room_for_a_context(scratch: &Path) -> Result<u64> {
    let free = minidock_linux::files::free_bytes(scratch).doing(|| "ask how much room the disk has")?;
    Ok(free / 4 * 3)
}

/// The parsed Dockerfile, and the context without what `.dockerignore` keeps out of it.
async fn dockerfile(mut context: Context, options: &Options) -> Result<(Dockerfile, Context)> {
    let name = options.dockerfile.clone();
    blocking(move || {
        let path = name.trim_start_matches("./").to_string();
        let text = context.read(path.as_bytes(), LARGEST_TEXT)?.ok_or_else(|| {
            Error::invalid(format!("Cannot locate specified Dockerfile: {name}"))
                .hint("-f names another file; the last word is the folder it lies in")
        })?;
        let text = String::from_utf8(text).map_err(|_| Error::invalid(format!("{name} is not UTF-8 text")))?;
        let file = parser::parse(shown(&name), &text)?;
        if let Some(ignore) = context.read(b".dockerignore", LARGEST_TEXT)? {
            let patterns = Patterns::read(&String::from_utf8_lossy(&ignore))?;
            for file in [path.as_str(), ".dockerignore"] {
                if patterns.excludes(file) {
                    context.forget(file); // it was sent for the builder, not for COPY
                }
            }
        }
        Ok((file, context))
    })
    .await
}

/// What it is called in messages: clients make up a name for a Dockerfile that does not lie in the context.
fn shown(name: &str) -> &str {
    if name.starts_with(".dockerfile.") { "Dockerfile" } else { name }
}

async fn job(
    engine: &Arc<Engine>,
    registry: &Arc<Client>,
    options: Options,
    file: Dockerfile,
    context: Context,
    cancel: &CancellationToken,
) -> Result<Arc<Job>> {
    let mut scope = Scope::new(options.build_args.clone());
    for argument in &file.args {
        let What::Arg(pairs) = &argument.what else { continue };
        for (name, default) in pairs {
            let lookup = |name: &str| scope.global(name);
            let default = default.as_ref().map(|text| expand::word(text, file.escape, &lookup)).transpose()?;
            scope.declare_global(name, default);
        }
    }
    let plan = stages::plan(&options.dockerfile, &file, &scope, &options.target, options.labels.len())?;
    let (store, names) = (engine.images.store.clone(), options.cache_from.clone());
    // an image that is not here is no cache, and no failure either
    let cache_from: Vec<ImageRecord> =
        blocking(move || Ok(names.iter().filter_map(|name| store.resolve(name).ok()).collect())).await?;
    let results = file.stages.iter().map(|_| watch::Sender::new(None)).collect();
    let (engine, registry, cancel) = (engine.clone(), registry.clone(), cancel.child_token());
    let (context, held) = (Arc::new(context), Default::default());
    Ok(Arc::new(Job { engine, registry, options, file, plan, context, scope, cancel, results, cache_from, held }))
}

/// Starts every needed stage; gives the target's image.
async fn stages_at_once(job: &Arc<Job>, voice: &Voice) -> Result<job::Outcome, Failure> {
    let target = job.plan.stages.last().map(|planned| planned.index).unwrap_or_default();
    let (mut heard, mut tasks) = (Vec::new(), Vec::new());
    for planned in &job.plan.stages {
        let (own, said) = voice::voice();
        heard.push(said);
        let labels = if planned.index == target { labels(job) } else { Vec::new() };
        let (job, planned) = (job.clone(), planned.clone());
        tasks.push(tokio::spawn(async move {
            let outcome = stage::build(&job, &planned, own, labels).await;
            match &outcome {
                Ok(image) => drop(job.results[planned.index].send_replace(Some(image.clone()))),
                Err(_) => job.cancel.cancel(),
            }
            outcome
        }));
    }
    voice::in_order(heard, voice.clone()).await;
    let (mut last, mut first_failure) = (None, None::<Failure>);
    for task in tasks {
        match task.await {
            Ok(Ok(image)) => last = image,
            Ok(Err(failure)) => {
                let told = first_failure.as_ref().is_none_or(|known| known.error.cause() == "the build was cancelled");
                if told {
                    first_failure = Some(failure);
                }
            }
            Err(_) => {
                first_failure = Some(Error::system("a stage's task ended early").hint("the daemon's log says why").into())
            }
        }
    }
    first_failure.map_or(Ok(last), Err)
}

/// Each `--label` is one more instruction of the last stage.
fn labels(job: &Job) -> Vec<Instruction> {
    let line = job.file.stages.last().map_or(0, |stage| stage.line);
    let one = |(key, value): (&String, &String)| Instruction {
        line,
        original: format!("LABEL {key}={value}"),
        what: What::Label(vec![(quoted(key, job.file.escape), quoted(value, job.file.escape))]),
    };
    job.options.labels.iter().map(one).collect()
}

/// A text that variables and quotes leave as it is.
fn quoted(text: &str, escape: char) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        if matches!(c, '"' | '$') || c == escape {
            out.push(escape);
        }
        out.push(c);
    }
    out + "\""
}

/// Says what was built, and gives it its names.
async fn finish(job: &Arc<Job>, image: ImageRecord, voice: &Voice) -> Result<ImageRecord, Failure> {
    let mut declared = Vec::new();
    let needed = job.plan.stages.iter().flat_map(|planned| &job.file.stages[planned.index].instructions);
    for instruction in job.file.args.iter().chain(needed) {
        if let What::Arg(pairs) = &instruction.what {
            declared.extend(pairs.iter().map(|(name, _)| name.clone()));
        }
    }
    let unused = job.scope.unused(&declared);
    if !unused.is_empty() {
        voice.say(format!("[Warning] One or more build-args [{}] were not consumed\n", unused.join(" "))).await;
    }
    let (mut last_words, mut tagged) = (vec![format!("Successfully built {}\n", id::short(image.id.as_str()))], Ok(()));
    for name in &job.options.tags {
        let tag = name.tag.clone().unwrap_or_else(|| "latest".into());
        tagged = images::tag(&job.engine, image.id.as_str(), &name.familiar_name(), &tag).await;
        if tagged.is_err() {
            break;
        }
        last_words.push(format!("Successfully tagged {}:{tag}\n", name.familiar_name()));
    }
    job.let_go(); // before the last words: whoever hears them may prune at once
    for words in last_words {
        voice.say(words).await;
    }
    tagged?;
    Ok(image)
}

/// Waits until no other step has this cache.
async fn lock_cache(id: &str) -> OwnedMutexGuard<()> {
    static LOCKS: std::sync::Mutex<Option<HashMap<String, Arc<Mutex<()>>>>> = std::sync::Mutex::new(None);
    let lock = {
        let mut locks = LOCKS.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        locks.get_or_insert_default().entry(id.to_string()).or_default().clone()
    };
    lock.lock_owned().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_of_the_command_line_is_no_variable() {
        for text in ["$HOME", "a \"b\" c", "back\\slash"] {
            assert_eq!(expand::word(&quoted(text, '\\'), '\\', &|_| Some("!".into())).expect("fine"), text);
        }
    }
}
