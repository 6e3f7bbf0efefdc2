//! # Stage: one instruction after the other
//!
//! The spine of the builder. A stage knows its image so far and how it is run; each instruction asks the cache, does what it says, and
//! leaves a new image behind.
//!
//! ```text
//!   FROM ──► image, configuration ──► ONBUILD triggers of the image
//!    │
//!    ▼ for each instruction: "Step 3/7 : COPY . /app"
//!   setting?  change the configuration                            ┐
//!   WORKDIR   change it, make the folder                          ├──► key ──► cache? " ---> Using cache"
//!   COPY, ADD find, hash                                          │         └─► no: do it, layer, new image
//!   RUN       variables, mounts                                   ┘
//!    │                                                                  " ---> 3f5ef9003cef"
//!    ▼
//!   aux ID
//! ```
//!
//! * [`build`] is a whole stage. [`Stage::advance`] is the only place where an image is made.
//!
//! Laws: what changes the configuration does so before the cache is asked, found or not; an image's history has one line for each
//! instruction. See: moby `builder/dockerfile/{builder,dispatchers,internals}.go`. Next room: [`crate::copying`]

use crate::{
    cache::{Cache, Hit, Key},
    copy, copying,
    instruction::{Instruction, Run, What},
    job::{Job, Layers, Outcome},
    lexer::Statement,
    mounts, parser,
    run::{self, Step},
    settings::{self, Running},
    stages::{Base, Planned},
    voice::{Failure, Voice},
};
use jiff::Timestamp;
use minidock_base::{Error, Result, clean_path::clean_from, clock, id};
use minidock_engine::byte_stream::blocking;
use minidock_image::{ImageRecord, commit, step::Upper};
use minidock_spec::{
    digest::Digest,
    image::{History, ImageConfig, RootFs, host_architecture},
};
use std::sync::Arc;

/// What `PATH` is when no image says otherwise.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A stage while it is built.
pub struct Stage {
    pub job: Arc<Job>,
    pub planned: Planned,
    pub voice: Voice,
    pub image: Outcome,
    pub running: Running,
    cache: Cache,
}

/// Builds one stage; `labels` are those that `--label` adds to the last one.
///
/// # Errors
/// The first step that failed.
pub async fn build(job: &Arc<Job>, planned: &Planned, voice: Voice, labels: Vec<Instruction>) -> Result<Outcome, Failure> {
    let mut stage = Stage {
        job: job.clone(),
        planned: planned.clone(),
        voice,
        image: None,
        running: Running { escape: job.file.escape, scope: job.scope.stage(), ..Running::default() },
        cache: Cache::new(job),
    };
    let text = &job.file.stages[planned.index];
    stage.announce(planned.first_step, &text.original).await;
    stage.from(text.platform.as_deref()).await.map_err(|failure| stage.at(text.line, failure))?;
    let mut step = planned.first_step;
    for instruction in text.instructions.iter().chain(&labels) {
        if job.cancel.is_cancelled() {
            return Err(Error::system("the build was cancelled").into());
        }
        step += 1;
        stage.announce(step, &instruction.original).await;
        stage.instruction(&instruction.what).await.map_err(|failure| stage.at(instruction.line, failure))?;
        stage.say_image().await;
    }
    if let Some(image) = &stage.image {
        stage.voice.image(image.id.as_str()).await;
    }
    Ok(stage.image)
}

impl Stage {
    async fn announce(&self, step: usize, text: &str) {
        self.voice.say(format!("Step {step}/{} : {text}", self.job.plan.total_steps)).await;
        self.voice.say("\n").await;
    }

    async fn say_image(&self) {
        let shown = self.image.as_ref().map(|image| image.id.short()).unwrap_or_default();
        self.voice.say(format!(" ---> {shown}\n")).await;
    }

    /// Says where in the Dockerfile it went wrong, and how to look at it.
    fn at(&self, line: usize, failure: Failure) -> Failure {
        let Failure { error, code } = failure;
        if error.hint_text().is_some() || self.job.cancel.is_cancelled() {
            return Failure { error, code };
        }
        let place = format!("line {line} of {}", self.job.options.dockerfile);
        let mut hint = format!("look at {place}");
        if let (Some(_), Some(image)) = (code, &self.image) {
            hint = format!("{place} failed; look around before it: minidock run --rm -it {} sh", image.id.short());
        }
        Failure { error: error.hint(hint), code }
    }

    /// `FROM`: the image and how it is run, and what it wants done first.
    async fn from(&mut self, platform: Option<&str>) -> Result<(), Failure> {
        let platform = match platform {
            Some(text) => minidock_expand(self, text)?,
            None => self.job.options.platform.clone(),
        };
        self.image = match self.planned.base.clone() {
            Base::Scratch => None,
            Base::Stage(index) => self.job.stage(index).await?,
            Base::Image(name) => Some(self.job.image(&name, &platform, &self.voice).await?),
        };
        if let Some(image) = &self.image {
            self.running.config = image.config.config.clone();
            self.running.config.open_stdin = false;
            self.running.config.stdin_once = false;
        }
        if !self.running.config.env.iter().any(|entry| entry.starts_with("PATH=")) {
            self.running.config.env.push(format!("PATH={PATH}"));
        }
        self.triggers().await?;
        self.say_image().await;
        Ok(())
    }

    /// What the base image's `ONBUILD` left to do.
    async fn triggers(&mut self) -> Result<(), Failure> {
        let triggers = self.running.config.on_build.take().unwrap_or_default();
        if triggers.is_empty() {
            return Ok(());
        }
        let plural = if triggers.len() > 1 { "s" } else { "" };
        self.voice.say(format!("# Executing {} build trigger{plural}\n", triggers.len())).await;
        for trigger in triggers {
            let statement = Statement { line: 0, text: trigger.clone(), heredocs: Vec::new() };
            let what = parser::one(&statement, '\\')
                .map_err(|e| e.during(format!("do what the base image asks for: ONBUILD {trigger}")))?;
            Box::pin(self.instruction(&what)).await?;
        }
        Ok(())
    }

    async fn instruction(&mut self, what: &What) -> Result<(), Failure> {
        if let Some(words) = settings::apply(what, &mut self.running)? {
            let created_by = self.running.noted(&words);
            return self.without_layer(&created_by).await;
        }
        match what {
            What::Workdir(path) => self.workdir(path).await,
            What::Copy(copy) => copying::copy(self, copy).await,
            What::Run(run) => self.run(run).await,
            _ => Ok(()),
        }
    }

    /// A step that changed only the configuration.
    async fn without_layer(&mut self, created_by: &str) -> Result<(), Failure> {
        let key = self.key(created_by, &[]);
        match self.cached(&key, created_by).await? {
            true => Ok(()),
            false => self.advance(created_by, &key, None).await,
        }
    }

    async fn workdir(&mut self, path: &str) -> Result<(), Failure> {
        let path = clean_from(&self.running.config.working_dir, &self.running.word(path)?);
        self.running.config.working_dir = path.clone();
        let created_by = self.running.noted(&format!("WORKDIR {path}"));
        let key = self.key(&created_by, &[]);
        if self.cached(&key, &created_by).await? {
            return Ok(());
        }
        let upper = self.write(move |root, _| copy::make_folder(root, &path, (0, 0))).await?;
        self.advance(&created_by, &key, Some(upper)).await
    }

    async fn run(&mut self, run: &Run) -> Result<(), Failure> {
        let (words, script) = mounts::script(run, &self.running);
        let config = &self.running.config;
        let arguments = self.running.scope.in_key(&config.env);
        let shown = words.join(" ");
        let created_by = match arguments.is_empty() {
            true => shown.clone(),
            false => format!("|{} {} {shown}", arguments.len(), arguments.join(" ")),
        };
        let mut more: Vec<String> = run.network.iter().map(|network| format!("network={network}")).collect();
        more.extend(script.iter().cloned());
        let plan = mounts::plan(self, run).await?;
        more.extend(plan.in_key());
        let key = self.key(&created_by, &more);
        if self.cached(&key, &created_by).await? {
            return Ok(());
        }
        let image = self.some_image().await?;
        let mounted = mounts::make(self, plan, script).await?;
        let config = &self.running.config;
        let mut env = config.env.clone();
        env.extend(self.running.scope.for_run(&config.env));
        env.extend(mounted.env.iter().cloned());
        let step = Step {
            image: image.id.to_string(),
            words: mounted.words(words),
            env,
            user: config.user.clone(),
            working_dir: config.working_dir.clone(),
            network: run.network.clone(),
            binds: mounted.requests.clone(),
            shown,
        };
        let upper = run::run(&self.job, step, &self.voice).await?;
        let upper = mounted.take_stubs_away(upper).await?;
        self.advance(&created_by, &key, Some(upper)).await
    }

    /// The image so far; `FROM scratch` is given an empty one, for a container stands on an image.
    async fn some_image(&self) -> Result<ImageRecord> {
        if let Some(image) = &self.image {
            return Ok(image.clone());
        }
        let job = self.job.clone();
        blocking(move || {
            let config = ImageConfig {
                architecture: host_architecture().into(),
                os: "linux".into(),
                rootfs: no_layers(),
                ..ImageConfig::default()
            };
            job.engine.images.store.enter_step(&config, Vec::new(), None, "scratch")
        })
        .await
    }

    /// The key of a step that history tells as `created_by`.
    pub fn key(&self, created_by: &str, more: &[String]) -> Key {
        Key::new(self.image.as_ref().map(|image| &image.id), created_by, more, self.job.options.epoch)
    }

    /// Goes on with what an earlier build has made, if it has.
    pub async fn cached(&mut self, key: &Key, created_by: &str) -> Result<bool, Failure> {
        let (job, mut cache, parent) = (self.job.clone(), self.cache.clone(), self.image.clone());
        let (asked, text) = (key.clone(), created_by.to_string());
        let (cache, hit) = blocking(move || {
            let hit = cache.probe(&job, &asked, parent.as_ref(), &text);
            Ok((cache, hit))
        })
        .await?;
        self.cache = cache;
        match hit {
            None => return Ok(false),
            Some(Hit::Image(image)) => self.stand_on(*image),
            Some(Hit::Part(source, at)) => self.take_part(*source, at, key).await?,
        }
        self.voice.say(" ---> Using cache\n").await;
        Ok(true)
    }

    /// Makes the image of this step out of a finished one's history.
    async fn take_part(&mut self, source: ImageRecord, at: usize, key: &Key) -> Result<(), Failure> {
        let (store, parent, key) = (self.job.engine.images.store.clone(), self.image.clone(), key.as_str().to_string());
        let mut config = self.next_config();
        let history = source.config.history[at].clone();
        config.created = history.created.clone();
        let mut layers: Vec<_> = parent.iter().flat_map(|image| &image.layers).map(|layer| layer.blob.clone()).collect();
        if !history.empty_layer {
            let layer = &source.layers[layers.len()];
            config.rootfs.diff_ids.push(layer.diff_id.clone());
            layers.push(layer.blob.clone());
        }
        config.history.push(history);
        let made = blocking(move || store.enter_step(&config, layers, parent.as_ref().map(|p| &p.id), &key)).await?;
        self.stand_on(made);
        Ok(())
    }

    /// The directories of the image so far.
    pub async fn lower(&self) -> Result<Layers> {
        self.job.layers(self.image.clone()).await
    }

    /// Writes into the tree of the image so far; gives the upper directory that caught it.
    pub async fn write(&self, work: impl FnOnce(&std::os::fd::OwnedFd, &Job) -> Result<()> + Send + 'static) -> Result<Upper> {
        let (job, lower) = (self.job.clone(), self.lower().await?.lower);
        blocking(move || {
            let upper = job.engine.images.store.begin_upper(&lower)?;
            let root = upper.view(&job.engine.paths, &lower)?;
            work(&root, &job)?;
            Ok(upper)
        })
        .await
    }

    /// The configuration of the next image, without its own layer and history.
    fn next_config(&self) -> ImageConfig {
        let mut config = match &self.image {
            Some(image) => {
                let mut config = (*image.config).clone();
                commit::fill_history(&mut config, image.layers.len());
                config
            }
            None => ImageConfig { rootfs: no_layers(), ..ImageConfig::default() },
        };
        if config.architecture.is_empty() {
            config.architecture = host_architecture().into();
        }
        config.os = "linux".into();
        for old in ["container", "container_config", "docker_version", "comment", "parent", "moby.buildkit.buildinfo.v1"] {
            config.extra.remove(old); // they spoke of the base's making
        }
        config.config = self.running.config.clone();
        config.config.image = self.image.as_ref().map(|image| image.id.to_string()).unwrap_or_default();
        if !self.running.maintainer.is_empty() {
            config.author = Some(self.running.maintainer.clone());
        }
        config
    }

    /// Makes the image of a step that was not found.
    pub async fn advance(&mut self, created_by: &str, key: &Key, upper: Option<Upper>) -> Result<(), Failure> {
        let (job, parent, mut config, below) =
            (self.job.clone(), self.image.clone(), self.next_config(), self.lower().await?.lower);
        let (created_by, key) = (created_by.to_string(), key.as_str().to_string());
        let author = (!self.running.maintainer.is_empty()).then(|| self.running.maintainer.clone());
        let made = blocking(move || {
            let (store, epoch) = (&job.engine.images.store, job.options.epoch);
            let diff_ids: Vec<Digest> = config.rootfs.diff_ids.clone();
            let layer = match upper {
                Some(upper) => store.layer_of_upper(upper, &diff_ids, &below, epoch)?,
                None => None,
            };
            let now = epoch.and_then(|at| Timestamp::from_second(at).ok()).unwrap_or_else(clock::now);
            let now = Some(clock::rfc3339(now));
            config.created = now.clone();
            config.history.push(History {
                created: now,
                created_by: Some(created_by),
                author,
                comment: None,
                empty_layer: layer.is_none(),
            });
            let mut layers: Vec<_> = parent.iter().flat_map(|image| &image.layers).map(|layer| layer.blob.clone()).collect();
            if let Some(layer) = &layer {
                config.rootfs.diff_ids.push(layer.diff_id.clone());
                layers.push(layer.blob.clone());
            }
            store.enter_step(&config, layers, parent.as_ref().map(|p| &p.id), &key)
        })
        .await?;
        tracing::debug!(image = id::short(made.id.as_str()), "a step is done");
        self.stand_on(made);
        Ok(())
    }

    /// The stage goes on from this image, which nobody removes meanwhile.
    fn stand_on(&mut self, image: ImageRecord) {
        self.job.hold(&image);
        self.image = Some(image);
    }
}

fn no_layers() -> RootFs {
    RootFs { kind: "layers".into(), diff_ids: Vec::new() }
}

/// A platform may be a variable of the first lines.
fn minidock_expand(stage: &Stage, text: &str) -> Result<String> {
    crate::expand::word(text, stage.running.escape, &|name| stage.job.scope.global(name))
}
