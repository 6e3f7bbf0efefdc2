//! # Registry routes: pull, push, log in, search, look
//!
//! The daemon talks to registries, the client only says with which credentials (`X-Registry-Auth`). What takes long is told
//! line by line; what fails before the first line is an ordinary refusal, which is how a client learns that an image is nowhere.
//!
//! ```text
//!   POST /images/create?fromImage=alpine&tag=latest&platform=   ─► {"status":"Pulling from library/alpine","id":"latest"} …
//!   POST /images/{name}/push?tag=                                ─► {"status":"The push refers to …"} … {"aux":{"Digest":…}}
//!   POST /auth · GET /distribution/{name}/json · GET /images/search?term=&limit=&filters=
//! ```
//!
//! * [`telling`]: a client that goes away ends the work; one that reads slowly misses bars, never words.
//!
//! See: moby `api/server/router/{image,distribution,system}`. Next room: [`crate::volumes`]

use crate::{
    answer::{Answer, json},
    call::Call,
    images,
};
use futures_util::{StreamExt, stream, stream::BoxStream};
use minidock_base::{Error, Kind, Result};
use minidock_engine::Engine;
use minidock_registry::{
    client::{Client, Purpose, listing},
    credentials::Credentials,
    platform,
    pull::{self, PullOptions, Pulled, Teller},
    push,
};
use minidock_spec::{
    engine::image::Progress,
    image::{ImageConfig, Manifest},
    reference::{HUB, Reference},
};
use serde_json::{Value, json as value};
use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};
use tokio::{sync::mpsc, task::spawn_blocking};
use tokio_util::task::AbortOnDropHandle;

/// Lines that may wait for a slow client before bars are left out.
const WAITING: usize = 256;

/// Who asks: the header `X-Registry-Auth`.
fn credentials(call: &Call) -> Result<Credentials> {
    let header = call.headers.get("x-registry-auth").and_then(|value| value.to_str().ok());
    header.map_or(Ok(Credentials::default()), Credentials::from_header)
}

/// `POST /images/create?fromImage=&tag=&platform=`.
pub async fn pull(call: Call, name: &str) -> Result<Answer> {
    let text = |key: &str| call.query.text(key).unwrap_or_default();
    let (tag, wanted) = (text("tag"), text("platform"));
    let platform = if wanted.is_empty() { None } else { Some(platform::parse(wanted)?) };
    let options = PullOptions { platform, credentials: credentials(&call)? };
    let reference = reference(name, tag)?;
    let (client, engine) = (call.registry.clone(), call.engine.clone());
    let lines = telling(move |tell| async move {
        let store = engine.images.store.clone();
        let all = match reference.tag.is_none() && reference.digest.is_none() {
            true => pull::pull_all(&client, &store, &reference, &options, &tell).await?,
            false => vec![pull::pull(&client, &store, &reference, &options, &tell).await?],
        };
        all.iter().for_each(|pulled| pulled_event(&engine, &reference, pulled));
        Ok(())
    });
    images::progress(lines).await
}

/// The reference out of a name and a tag that may be a digest; with neither, every tag is meant.
fn reference(name: &str, tag: &str) -> Result<Reference> {
    match tag {
        "" => Reference::parse_untagged(name),
        digest if digest.contains(':') => {
            let bare = Reference::parse_untagged(name)?;
            Reference::parse(&format!("{}@{digest}", bare.canonical_name()))
        }
        tag => minidock_engine::images::target(name, tag),
    }
}

fn pulled_event(engine: &Arc<Engine>, reference: &Reference, pulled: &Pulled) {
    let mut attributes: BTreeMap<String, String> = pulled.image.config.config.labels.clone();
    attributes.insert("name".into(), reference.familiar_name());
    engine.events.publish("image", "pull", &reference.familiar(), attributes);
}

/// `POST /images/{name}/push?tag=`; without a tag, every tag of the repository.
pub async fn push(call: Call, name: &str) -> Result<Answer> {
    let credentials = credentials(&call)?;
    let tag = call.query.text("tag").unwrap_or_default().to_string();
    let reference = match tag.as_str() {
        "" => Reference::parse_untagged(name)?,
        tag => minidock_engine::images::target(name, tag)?,
    };
    if reference.digest.is_some() {
        return Err(Error::invalid("cannot push a digest reference").hint("minidock tag IMAGE NAME:TAG, then push that"));
    }
    let (client, engine) = (call.registry.clone(), call.engine.clone());
    let lines = telling(move |tell| async move {
        let store = engine.images.store.clone();
        let all = match reference.tag {
            None => push::push_all(&client, &store, &reference, &credentials, &tell).await?,
            Some(_) => vec![push::push(&client, &store, &reference, &credentials, &tell).await?],
        };
        for pushed in all {
            let name = reference.familiar_name();
            let attributes = BTreeMap::from([("name".to_string(), name.clone())]);
            engine.events.publish("image", "push", &format!("{name}:{}", pushed.tag), attributes);
        }
        Ok(())
    });
    images::progress(lines).await
}

/// Runs `work` in a task of its own that ends with the stream of what it tells.
fn telling<F>(work: impl FnOnce(Teller) -> F + Send + 'static) -> BoxStream<'static, Result<Progress>>
where
    F: Future<Output = Result<()>> + Send + 'static,
{
    let (to, lines) = mpsc::unbounded_channel();
    let waiting = Arc::new(AtomicUsize::new(0));
    let (sender, counted) = (to.clone(), waiting.clone());
    let tell: Teller = Arc::new(move |line: Progress| {
        let is_bar = line.progress.is_some();
        if is_bar && counted.load(Ordering::Relaxed) > WAITING {
            return;
        }
        counted.fetch_add(1, Ordering::Relaxed);
        let _ = sender.send(Ok(line)); // a client that has gone is noticed by the end of this task
    });
    let task = AbortOnDropHandle::new(tokio::spawn(async move {
        if let Err(error) = work(tell).await {
            let _ = to.send(Err(error));
        }
    }));
    stream::unfold((lines, waiting, task), |(mut lines, waiting, task)| async move {
        let line = lines.recv().await?;
        waiting.fetch_sub(usize::from(waiting.load(Ordering::Relaxed) > 0), Ordering::Relaxed);
        Some((line, (lines, waiting, task)))
    })
    .boxed()
}

/// `POST /auth`: are these credentials good?
pub async fn log_in(mut call: Call) -> Result<Answer> {
    let client = call.registry.clone();
    let body: Value = call.json().await?;
    let credentials = Credentials::from_json(body.to_string().as_bytes())?;
    let domain = domain(&credentials.server_address);
    let place = Reference { domain, path: String::new(), tag: None, digest: None };
    let opened = client.repository(&place, &Purpose::LogIn, &credentials).await?;
    let identity = opened.session.log_in().await?;
    json(&value!({"IdentityToken": identity, "Status": "Login Succeeded"}))
}

/// `https://index.docker.io/v1/`, `http://lab:5000/v2/`, `lab:5000`: the registry's name.
fn domain(address: &str) -> String {
    let bare = address.trim_start_matches("https://").trim_start_matches("http://");
    match bare.split('/').next().unwrap_or_default() {
        "" | "index.docker.io" | "docker.io" | "registry-1.docker.io" => HUB.to_string(),
        domain => domain.to_string(),
    }
}

/// `GET /distribution/{name}/json`: what a registry has under this name, without fetching it. Where no registry can be reached, what
/// is here under this name counts: on an island all machines have the same.
pub async fn look(call: Call, name: &str) -> Result<Answer> {
    let reference = Reference::parse(name)?;
    match look_there(&call, &reference).await {
        Ok(found) => json(&found),
        Err(error) if matches!(error.kind(), Kind::System | Kind::Unavailable) => match look_here(&call, &reference).await {
            Some(found) => json(&found),
            None => Err(error),
        },
        Err(error) => Err(error),
    }
}

async fn look_here(call: &Call, reference: &Reference) -> Option<Value> {
    let (store, name) = (call.engine.images.store.clone(), reference.familiar());
    let look = move || {
        let image = store.resolve(&name).ok()?;
        let manifest = store.manifest_of(&image).ok()?;
        let descriptor = value!({"mediaType": manifest.media_type, "digest": manifest.digest, "size": manifest.size});
        let config = &image.config;
        let platform = platform_of(&config.architecture, &config.os, config.variant.as_deref());
        Some(value!({"Descriptor": descriptor, "Platforms": [platform]}))
    };
    spawn_blocking(look).await.ok().flatten()
}

async fn look_there(call: &Call, reference: &Reference) -> Result<Value> {
    let wanted = reference.digest.as_ref().map(ToString::to_string).or(reference.tag.clone()).unwrap_or_default();
    let repository = call.registry.repository(reference, &Purpose::Pull, &credentials(call)?).await?;
    let top = repository.manifest(&wanted).await?;
    let platforms: Vec<Value> = match top.index()? {
        Some(index) => {
            let known = index.manifests.iter().filter_map(|d| d.platform.as_ref());
            known.map(|p| platform_of(&p.architecture, &p.os, p.variant.as_deref())).collect()
        }
        None => {
            let manifest: Manifest =
                serde_json::from_slice(&top.bytes).map_err(|e| Error::invalid(format!("the manifest makes no sense: {e}")))?;
            let config = repository.small_blob(&manifest.config).await?;
            let config: ImageConfig =
                serde_json::from_slice(&config).map_err(|e| Error::invalid(format!("it is no image: {e}")))?;
            vec![platform_of(&config.architecture, &config.os, config.variant.as_deref())]
        }
    };
    let descriptor = value!({"mediaType": top.media_type, "digest": top.digest, "size": top.bytes.len()});
    Ok(value!({"Descriptor": descriptor, "Platforms": platforms}))
}

/// The digest that a registry has under this name now.
///
/// # Errors
/// The registry cannot be reached, or knows no such image.
pub async fn digest(call: &Call, reference: &Reference) -> Result<String> {
    let wanted = reference.tag.clone().unwrap_or_else(|| "latest".into());
    let repository = call.registry.repository(reference, &Purpose::Pull, &credentials(call)?).await?;
    Ok(repository.manifest(&wanted).await?.digest.to_string())
}

fn platform_of(architecture: &str, os: &str, variant: Option<&str>) -> Value {
    let mut platform = value!({"architecture": architecture, "os": os});
    if let Some(variant) = variant {
        platform["variant"] = variant.into();
    }
    platform
}

/// `GET /images/search?term=&limit=&filters=`.
pub async fn search(call: Call) -> Result<Answer> {
    let filters = call.query.filters()?;
    filters.accept(&["is-automated", "is-official", "stars"])?;
    let limit = match call.query.number("limit")? {
        None | Some(0) => 25,
        Some(n @ 1..=100) => n as usize,
        Some(n) => return Err(Error::invalid(format!("limit {n} is outside the range of [1, 100]"))),
    };
    let stars = filters.values("stars").filter_map(|n| n.parse::<i64>().ok()).max().unwrap_or(0);
    let official = filters.contains("is-official").then(|| filters.boolean("is-official", false)).transpose()?;
    let automated = filters.contains("is-automated").then(|| filters.boolean("is-automated", false)).transpose()?;
    let term = call.query.text("term").unwrap_or_default();
    let mut found = listing::search(&call.registry, term, limit, &credentials(&call)?).await?;
    found.retain(|row| {
        row.star_count >= stars
            && official.is_none_or(|o| o == row.is_official)
            && automated.is_none_or(|a| a == row.is_automated)
    });
    json(&found)
}

/// `GET /minidock/registry/catalog?registry=`: every repository of a registry that gives a catalogue.
pub async fn catalogue(call: Call) -> Result<Answer> {
    let domain = domain(call.query.text("registry").unwrap_or_default());
    json(&value!({"repositories": listing::repositories(&call.registry, &domain, &credentials(&call)?).await?}))
}

/// `GET /minidock/registry/tags?name=`: every tag of a repository.
pub async fn tags(call: Call) -> Result<Answer> {
    let reference = Reference::parse_untagged(call.query.text("name").unwrap_or_default())?;
    let repository = call.registry.repository(&reference, &Purpose::Pull, &credentials(&call)?).await?;
    json(&value!({"name": reference.familiar_name(), "tags": repository.tags().await?}))
}

/// What `GET /info` says about registries.
pub fn facts(client: &Client) -> Value {
    let config = client.config();
    let index = |name: &str, mirrors: &[String], secure: bool| value!({"Name": name, "Mirrors": mirrors, "Secure": secure, "Official": name == HUB});
    let mut indexes = BTreeMap::from([(HUB.to_string(), index(HUB, &config.mirrors, true))]);
    let (networks, hosts): (Vec<&String>, Vec<&String>) = config.insecure.iter().partition(|entry| entry.contains('/'));
    indexes.extend(hosts.into_iter().map(|host| (host.clone(), index(host, &[], false))));
    let mut insecure = vec!["::1/128".to_string(), "127.0.0.0/8".to_string()];
    insecure.extend(networks.into_iter().cloned());
    value!({
        "AllowNondistributableArtifactsCIDRs": null,
        "AllowNondistributableArtifactsHostnames": null,
        "InsecureRegistryCIDRs": insecure,
        "IndexConfigs": indexes,
        "Mirrors": config.mirrors,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_may_be_a_digest_and_none_means_all() {
        let digest = format!("sha256:{}", "0".repeat(64));
        assert_eq!(reference("alpine", &digest).expect("a name").familiar(), format!("alpine@{digest}"));
        assert_eq!(reference("docker.io/library/alpine", "3").expect("a name").familiar(), "alpine:3");
        assert_eq!(reference("lab:5000/x", "").expect("a name").tag, None);
        assert!(reference("alpine:1", "2").is_err());
    }

    #[test]
    fn the_hub_has_many_names() {
        for hub in ["https://index.docker.io/v1/", "docker.io", "", "https://registry-1.docker.io"] {
            assert_eq!(domain(hub), "docker.io");
        }
        assert_eq!(domain("http://lab:5000/v2/"), "lab:5000");
    }
}
