//! # Run: a step is a container
//!
//! `RUN` needs nothing that `minidock run` does not have: a container of the image so far is made, started and waited for; what it wrote in its
//! writable layer becomes the next layer. It is how the first builder worked, and it teaches more than a second executor.
//!
//! ```text
//!   create ─► " ---> Running in 3c5e…" ─► attach ─► start ─► its output ─► exit code
//!                                                                  0: its upper directory is taken, the container removed
//!                                                                  n: The command '/bin/sh -c …' returned a non-zero code: n
//! ```
//!
//! * [`Step`] is what is run; [`run`] runs it and gives the upper directory.
//!
//! Laws: a build that is cancelled kills the container and removes it. One that fails leaves it, stopped, for a look (`--force-rm` does
//! not): so does Docker's classic builder. See: moby `builder/dockerfile/containerbackend.go`. Next room: [`crate::mounts`]

use crate::{
    job::Job,
    voice::{Failure, Voice},
};
use minidock_base::{Doing, Error, Result, id};
use minidock_engine::container::{
    attach::{self, AttachOptions},
    create,
    remove::{self, Removal},
    start, wait,
};
use minidock_image::step::Upper;
use minidock_spec::engine::{
    container::{ContainerConfig, CreateBody, HealthConfig, HostConfig, Resources, WaitAnswer},
    stream::{Deframer, Stream},
};
use std::{collections::BTreeMap, fs, sync::Arc};
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    task::spawn_blocking,
};

/// What marks the container of a step, so that one is known whose build is gone.
pub const STEP_LABEL: &str = "dev.minidock.build-step";

/// One `RUN`, everything decided.
pub struct Step {
    /// `sha256:…` of the image so far.
    pub image: String,
    /// Program and arguments.
    pub words: Vec<String>,
    pub env: Vec<String>,
    pub user: String,
    pub working_dir: String,
    pub network: Option<String>,
    pub binds: Vec<minidock_spec::engine::container::MountRequest>,
    /// As the message has it: `/bin/sh -c exit 1`.
    pub shown: String,
}

/// Runs a step; gives what it wrote.
///
/// # Errors
/// It could not be started, ended with another code than 0, or the build was cancelled.
pub async fn run(job: &Arc<Job>, step: Step, voice: &Voice) -> Result<Upper, Failure> {
    let shown = step.shown.clone();
    let created = create::create(&job.engine, None, body(job, step), None).await?;
    let container = Container { job: job.clone(), id: created.id };
    voice.say(format!(" ---> Running in {}\n", id::short(&container.id))).await;
    let ended = tokio::select! {
        ended = container.live(voice) => ended,
        () = job.cancel.cancelled() => {
            container.remove().await;
            return Err(Error::system("the build was cancelled").into());
        }
    };
    let answer = match ended {
        Ok(answer) => answer,
        Err(error) => {
            container.failed(voice).await;
            return Err(error.into());
        }
    };
    if answer.status_code != 0 {
        container.failed(voice).await;
        let code = answer.status_code;
        let error = Error::invalid(format!("The command '{shown}' returned a non-zero code: {code}"));
        return Err(Failure { error, code: Some(code) });
    }
    let (store, diff) = (job.engine.images.store.clone(), job.engine.paths.container_diff(&container.id));
    let upper = spawn_blocking(move || store.adopt_upper(&diff))
        .await
        .map_err(|_| Error::system("the thread that took the layer ended early"))??;
    if job.options.keep {
        // what it wrote is the layer now; the container stays a container, with nothing of its own
        let diff = job.engine.paths.container_diff(&container.id);
        fs::create_dir(diff).doing(|| "leave the container a writable layer")?;
        return Ok(upper);
    }
    container.take_away(voice).await;
    Ok(upper)
}

/// The container of a step.
struct Container {
    job: Arc<Job>,
    id: String,
}

impl Container {
    /// From start to end, its output told.
    async fn live(&self, voice: &Voice) -> Result<WaitAnswer> {
        let engine = &self.job.engine;
        let wish = AttachOptions { stdout: true, stderr: true, stream: true, ..AttachOptions::default() };
        let attached = attach::attach(engine, &self.id, wish).await?;
        let (ours, theirs) = tokio::io::duplex(64 << 10);
        let joined = tokio::spawn(attached.join(theirs));
        let ended = wait::wait(engine, &self.id, "next-exit").await?;
        let said = tell(ours, voice);
        let started = async {
            start::start(engine, &self.id).await.inspect_err(|_| joined.abort())?;
            Ok::<_, Error>(ended.await)
        };
        let (answer, ()) = tokio::join!(started, said);
        answer
    }

    /// Removes it, whatever it is doing, with its anonymous volumes.
    async fn remove(&self) {
        let how = Removal { force: true, volumes: true, link: false };
        if let Err(error) = remove::remove(&self.job.engine, &self.id, how).await {
            tracing::warn!(id = self.id, "a container of a build was not removed: {}", error.message());
        }
    }

    /// The same, and says so.
    async fn take_away(&self, voice: &Voice) {
        self.remove().await;
        voice.say(format!("Removing intermediate container {}\n", id::short(&self.id))).await;
    }

    async fn failed(&self, voice: &Voice) {
        if self.job.options.force_remove {
            self.take_away(voice).await;
        }
    }
}

/// Carries a container's output, frame by frame, as text.
async fn tell(mut from: impl AsyncRead + Unpin, voice: &Voice) {
    let (mut frames, mut said, mut piece) = (Deframer::new(), Vec::<(Stream, Vec<u8>)>::new(), vec![0; 32 << 10]);
    let (mut out, mut err) = (Vec::new(), Vec::new());
    while let Ok(n @ 1..) = from.read(&mut piece).await {
        let fed = frames.feed(&piece[..n], |stream, bytes| match said.last_mut() {
            Some((known, text)) if *known == stream => text.extend_from_slice(bytes),
            _ => said.push((stream, bytes.to_vec())),
        });
        if fed.is_err() {
            return;
        }
        for (stream, bytes) in said.drain(..) {
            let kept = if stream == Stream::Stderr { &mut err } else { &mut out };
            kept.extend_from_slice(&bytes);
            let text = whole_characters(kept);
            if !text.is_empty() {
                voice.say(coloured(stream, &text)).await;
            }
        }
    }
    for (stream, kept) in [(Stream::Stdout, out), (Stream::Stderr, err)] {
        if !kept.is_empty() {
            voice.say(coloured(stream, &String::from_utf8_lossy(&kept))).await;
        }
    }
}

/// Standard error is red, as Docker's classic builder has it; clients that are no terminal take the colour off.
fn coloured(stream: Stream, text: &str) -> String {
    match stream {
        Stream::Stderr => format!("\u{1b}[91m{text}\u{1b}[0m"),
        _ => text.to_string(),
    }
}

/// Takes what is complete; a character cut in two waits for its other half.
fn whole_characters(kept: &mut Vec<u8>) -> String {
    let cut = match std::str::from_utf8(kept) {
        Ok(_) => kept.len(),
        Err(error) if error.error_len().is_none() => error.valid_up_to(),
        Err(_) => kept.len(),
    };
    let rest = kept.split_off(cut);
    String::from_utf8_lossy(&std::mem::replace(kept, rest)).into_owned()
}

fn body(job: &Job, step: Step) -> CreateBody {
    let options = &job.options;
    let config = ContainerConfig {
        image: step.image,
        cmd: Some(step.words),
        entrypoint: Some(vec![String::new()]), // none, whatever the image says
        env: step.env,
        user: step.user,
        working_dir: step.working_dir,
        attach_stdout: true,
        attach_stderr: true,
        labels: BTreeMap::from([(STEP_LABEL.to_string(), "1".to_string())]),
        healthcheck: Some(HealthConfig { test: vec!["NONE".into()], ..HealthConfig::default() }),
        ..ContainerConfig::default()
    };
    let host_config = HostConfig {
        network_mode: step.network.unwrap_or_else(|| options.network.clone()),
        extra_hosts: (!options.extra_hosts.is_empty()).then(|| options.extra_hosts.clone()),
        shm_size: options.shm_size,
        security_opt: (!options.security_opt.is_empty()).then(|| options.security_opt.clone()),
        mounts: (!step.binds.is_empty()).then_some(step.binds),
        resources: Resources { ..options.resources.clone() },
        ..HostConfig::default()
    };
    CreateBody { config, host_config, ..CreateBody::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_character_cut_in_two_is_told_whole() {
        let mut kept = "aß".as_bytes()[..2].to_vec();
        assert_eq!((whole_characters(&mut kept).as_str(), kept.len()), ("a", 1));
        kept.push("ß".as_bytes()[1]);
        assert_eq!((whole_characters(&mut kept).as_str(), kept.len()), ("ß", 0));
        let mut wrong = vec![b'x', 0xff, b'y'];
        assert_eq!(whole_characters(&mut wrong), "x\u{fffd}y");
    }

    #[tokio::test]
    async fn standard_error_is_red_and_stays_in_its_place() {
        let mut bytes = Vec::new();
        for (number, text) in [(1, "one\n"), (2, "two "), (2, "three\n"), (1, "four\n")] {
            bytes.extend([number, 0, 0, 0, 0, 0, 0, text.len() as u8]);
            bytes.extend(text.as_bytes());
        }
        let (voice, mut heard) = crate::voice::voice();
        tell(&bytes[..], &voice).await;
        drop(voice);
        let mut all = Vec::new();
        while let Some(line) = heard.recv().await {
            all.push(line.stream.expect("text"));
        }
        assert_eq!(all, ["one\n", "\u{1b}[91mtwo three\n\u{1b}[0m", "four\n"]);
    }
}
