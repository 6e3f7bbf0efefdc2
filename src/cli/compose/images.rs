//! # Images: built, fetched, or here already
//!
//! ```text
//!   build:          built if it is not here, or with --build         by the same door as `minidock build`
//!   image:          fetched if it is not here, or with --pull always  by the same door as `minidock pull`
//!   both            fetched never, built as above: the image is the name of what is built
//! ```
//!
//! * [`ensure`] is what `up`, `create` and `run` need; [`build`], [`pull`], [`push`] are the commands' own work.
//!
//! Law: nothing is created before every image is here. *See:* docker/compose `pkg/compose/build.go`, `pull.go`. *Next room:* [`super::needs`]

use super::{files::Opened, screen::Screen};
use crate::{
    command,
    image::{build as image_build, push as image_push},
    progress,
    registry::accounts::Accounts,
    session::Session,
    terminal, words,
};
use minidock_base::{Doing, Error, Kind, Result, id::random_id};
use minidock_client::{Docker, Route, Wish};
use minidock_compose::{
    local::project::{Project, Service},
    node::{Entry, Node},
};
use minidock_spec::reference::Reference;
use std::{collections::BTreeMap, env, fs, io::Write, os::unix::fs::OpenOptionsExt, path::PathBuf};

/// When images are built and fetched.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    /// `--build`
    pub build: bool,
    /// `--no-build`
    pub no_build: bool,
    /// `--pull`: always, missing, never, build; nothing leaves it to the file.
    pub pull: Option<String>,
    pub quiet_pull: bool,
    pub quiet_build: bool,
}

/// The ids of the images that are here, by the names in the files.
pub type Ids = BTreeMap<String, String>;

/// The id of an image, if it is here.
///
/// # Errors
/// The daemon's refusal.
pub async fn id(docker: &Docker, image: &str) -> Result<Option<String>> {
    match docker.get::<serde_json::Value>(&Route::new("/images/{}/json", [image])).await {
        Ok(found) => Ok(found["Id"].as_str().map(str::to_string)),
        Err(error) if error.kind() == Kind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Sees to it that every image of `services` is here.
///
/// # Errors
/// A build that failed, an image that is nowhere, one that is not here and must not be fetched or built.
pub async fn ensure(
    session: &mut Session,
    opened: &Opened,
    services: &[&Service],
    policy: &Policy,
    screen: &Screen,
) -> Result<Ids> {
    let docker = session.docker().await?;
    let mut ids = Ids::new();
    let (mut to_build, mut to_pull): (Vec<&Service>, Vec<&Service>) = (Vec::new(), Vec::new());
    for service in services {
        let found = id(&docker, &service.image).await?;
        let own = service.node.text("pull_policy");
        let wish = policy.pull.clone().filter(|wish| wish != "policy").unwrap_or(own);
        let fetch = match wish.as_str() {
            "always" => !service.is_built() || !service.node.text("image").is_empty() && !policy.build,
            "never" | "build" => false,
            _ => found.is_none() && !service.is_built(),
        };
        let build = service.is_built() && !policy.no_build && (policy.build || wish == "build" || found.is_none() && !fetch);
        match (build, fetch) {
            (true, _) => to_build.push(service),
            (false, true) => {
                if !to_pull.iter().any(|other| other.image == service.image) {
                    to_pull.push(service);
                }
            }
            (false, false) if found.is_none() => {
                let error = Error::not_found(format!("No such image: {}", service.image));
                return Err(match (service.is_built(), policy.no_build) {
                    (true, true) => error.hint("without --no-build it is built"),
                    _ => error.hint(format!("minidock pull {}, or without --pull never", service.image)),
                });
            }
            (false, false) => {}
        }
        if let Some(found) = found {
            ids.insert(service.image.clone(), found);
        }
    }
    pull(session, &to_pull, policy.quiet_pull, false, screen).await?;
    if !to_build.is_empty() {
        screen.leave();
        let how = Build { quiet: policy.quiet_build, ..Build::default() };
        build_all(session, opened, &to_build, &how).await?;
    }
    for service in to_build.iter().chain(&to_pull) {
        if let Some(found) = id(&docker, &service.image).await? {
            ids.insert(service.image.clone(), found);
        }
    }
    Ok(ids)
}

/// How to build.
#[derive(Clone, Debug, Default)]
pub struct Build {
    pub quiet: bool,
    pub no_cache: bool,
    pub pull: bool,
    pub args: Vec<String>,
    pub progress: Option<String>,
    pub memory: Option<String>,
}

/// Builds the images of services, one after the other.
///
/// # Errors
/// The first build that failed; its steps have been shown.
pub async fn build_all(session: &mut Session, opened: &Opened, services: &[&Service], how: &Build) -> Result<()> {
    for service in services {
        // the words that a person would type in the service's place
        let inline = inline(service)?;
        let typed = words_of(opened, service, how, inline.as_ref())?;
        let read = words::read(image_build::command(), "build", &typed).map_err(|misuse| Error::invalid(misuse.said))?;
        let words::Read::Matches(m) = read else { return Err(Error::system("a build that asks for help")) };
        if !how.quiet {
            terminal::eprint(&format!("Building {} ({})\n", service.name, service.image));
        }
        let status = image_build::run(&m, session).await.doing(|| format!("build service {}", service.name))?;
        if status != 0 {
            return Err(Error::invalid(format!("failed to build service {}: exit code {status}", service.name)));
        }
    }
    Ok(())
}

/// A Dockerfile that stands in the Compose file, as a file for the time of the build.
struct Inline(PathBuf);

impl Drop for Inline {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn inline(service: &Service) -> Result<Option<Inline>> {
    let Some(build) = service.node.get("build").filter(|build| build.get("dockerfile_inline").is_some()) else {
        return Ok(None);
    };
    if !build.text("dockerfile").is_empty() {
        return Err(service.wrong("build", "dockerfile and dockerfile_inline exclude each other").hint("keep one of them"));
    }
    let doing = || format!("write the Dockerfile of service {}", service.name);
    let path = env::temp_dir().join(format!("minidock-dockerfile-{}", &random_id()[..20]));
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).doing(doing)?;
    let inline = Inline(path);
    file.write_all(build.text("dockerfile_inline").as_bytes()).doing(doing)?;
    Ok(Some(inline))
}

fn words_of(opened: &Opened, service: &Service, how: &Build, inline: Option<&Inline>) -> Result<Vec<String>> {
    let build = service.node.get("build").ok_or_else(|| Error::system("a service that is not built"))?;
    let mut typed: Vec<String> = vec![format!("--tag={}", service.image)];
    let mut add = |flag: &str, value: &str| typed.push(format!("--{flag}={value}"));
    build.texts("tags").iter().for_each(|tag| add("tag", tag));
    let context = build.text("context");
    for (key, flag) in [("target", "target"), ("network", "network"), ("shm_size", "shm-size")] {
        let value = build.text(key);
        if !value.is_empty() {
            add(flag, &value);
        }
    }
    for (key, flag) in [("cache_from", "cache-from"), ("extra_hosts", "add-host")] {
        build.texts(key).iter().for_each(|value| add(flag, value));
    }
    let platform = build.texts("platforms").first().cloned().unwrap_or_else(|| service.node.text("platform"));
    if !platform.is_empty() {
        add("platform", &platform);
    }
    let pairs = |key: &str| build.get(key).map(Node::entries).unwrap_or_default();
    for Entry { key, node, .. } in pairs("args") {
        match node.as_text().map(str::to_string).or_else(|| opened.variable(key)) {
            Some(value) => add("build-arg", &format!("{key}={value}")),
            None => add("build-arg", key),
        }
    }
    how.args.iter().for_each(|arg| add("build-arg", arg));
    for Entry { key, node, .. } in pairs("labels") {
        add("label", &format!("{key}={}", node.as_text().unwrap_or_default()));
    }
    for Entry { key, node, .. } in pairs("ulimits") {
        let number = |name: &str| node.int(name).map(|n| n.to_string());
        let both = number("single").or_else(|| Some(format!("{}:{}", number("soft")?, number("hard")?)));
        both.iter().for_each(|limit| add("ulimit", &format!("{key}={limit}")));
    }
    for node in build.get("secrets").map(Node::items).unwrap_or_default() {
        let source = node.text("source");
        let id = Some(node.text("target")).filter(|target| !target.is_empty()).unwrap_or_else(|| source.clone());
        let declared = opened.project.tree.get("secrets").and_then(|secrets| secrets.get(&source));
        let Some(declared) = declared else {
            return Err(service.wrong("build", format_args!("refers to undefined build secret {source}")));
        };
        match (declared.text("file").as_str(), declared.text("environment").as_str()) {
            ("", "") => return Err(service.wrong("build", format_args!("build secret {source} needs file: or environment:"))),
            ("", variable) => add("secret", &format!("id={id},env={variable}")),
            (file, _) => add("secret", &format!("id={id},src={file}")),
        }
    }
    if let Some(progress) = &how.progress {
        add("progress", progress);
    }
    if let Some(memory) = &how.memory {
        add("memory", memory);
    }
    let is = |key: &str| build.bool(key) == Some(true);
    for (wanted, flag) in
        [(how.quiet, "--quiet"), (how.no_cache || is("no_cache"), "--no-cache"), (how.pull || is("pull"), "--pull")]
    {
        typed.extend(wanted.then(|| flag.to_string()));
    }
    match inline {
        Some(Inline(file)) => typed.push(format!("--file={}", file.display())),
        None => {
            let file = Some(build.text("dockerfile")).filter(|file| !file.is_empty());
            if let Some(file) = file {
                // relative to the context, not to where we are
                let whole = if file.starts_with('/') { file } else { format!("{}/{file}", context.trim_end_matches('/')) };
                typed.push(format!("--file={whole}"));
            }
        }
    }
    typed.push(context);
    Ok(typed)
}

/// Fetches the images of services.
///
/// # Errors
/// The first that cannot be had, unless failures are to be passed over.
pub async fn pull(session: &mut Session, services: &[&Service], quiet: bool, go_on: bool, screen: &Screen) -> Result<()> {
    let docker = session.docker().await?;
    for service in services {
        let reference = Reference::parse(&service.image).map_err(|error| service.wrong("image", error.message()))?;
        let tag = reference.digest.as_ref().map(ToString::to_string).or(reference.tag.clone());
        let platform = Some(service.node.text("platform")).filter(|platform| !platform.is_empty());
        let route = Route::new("/images/create", [])
            .pair("fromImage", reference.canonical_name())
            .maybe("tag", tag)
            .maybe("platform", platform);
        let auth = Accounts::open(session.config_folder())?.header(&reference.domain)?;
        let wish = auth.into_iter().fold(Wish::post(&route), |wish, auth| wish.header("X-Registry-Auth", auth));
        if !quiet {
            screen.working(&service.name, "Pulling");
        }
        let fetched = async { progress::drain(docker.send(wish).await?.objects()).await };
        match fetched.await {
            Ok(()) if quiet => {}
            Ok(()) => screen.done(&service.name, "Pulled"),
            Err(error) => {
                screen.failed(&service.name, "Error");
                if !go_on {
                    return Err(error.during(format!("pull the image {} of service {}", service.image, service.name)));
                }
                screen.warned(&service.name, &error.message());
            }
        }
    }
    Ok(())
}

/// Sends the images of services to their registries, by the same door as `minidock push`.
///
/// # Errors
/// The first that was refused, unless failures are to be passed over.
pub async fn push(session: &mut Session, project: &Project, services: &[&Service], quiet: bool, go_on: bool) -> Result<()> {
    for service in services.iter().filter(|service| service.is_built()) {
        if service.node.text("image").is_empty() {
            terminal::eprint(&format!(
                "WARNING: service {} has no image: name and is not pushed ({}-{} is no name in a registry)\n",
                service.name, project.name, service.name
            ));
            continue;
        }
        terminal::eprint(&format!("Pushing {} ({})\n", service.name, service.image));
        let mut typed = vec![service.image.clone()];
        typed.extend(quiet.then(|| "--quiet".to_string()));
        let pushed = typed_at(session, image_push::command, |m, s| Box::pin(image_push::run(m, s)), "push", &typed).await;
        match pushed {
            Err(error) if go_on => crate::complain(&error),
            pushed => drop(pushed?),
        }
    }
    Ok(())
}

/// Does another command as if its words had been typed.
///
/// # Errors
/// The command's own.
pub async fn typed_at(
    session: &mut Session,
    build: fn() -> clap::Command,
    run: for<'a> fn(&'a clap::ArgMatches, &'a mut Session) -> command::Doing<'a>,
    path: &str,
    typed: &[String],
) -> Result<i32> {
    match words::read(build(), path, typed).map_err(|misuse| Error::invalid(misuse.said))? {
        words::Read::Matches(m) => run(&m, session).await,
        words::Read::Help => Err(Error::invalid(format!("{path} --help"))),
    }
}
