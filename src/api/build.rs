//! # Build routes: a context in, a story out
//!
//! `POST /build` takes the context as a tar archive and everything else as parameters; the answer is a stream of lines, as in `pull`.
//! What fails before the first line is an ordinary refusal, what fails later is a line of its own.
//!
//! * BuildKit's clients speak gRPC over `/grpc` and `/session`. There is no BuildKit here: `/_ping` says `Builder-Version: 1`, so
//!   that `docker build` falls back by itself; who insists is told what to set.
//! * Secrets of `minidock build --secret` come in a header of our own: a classic build has no other way for them.
//!
//! See: moby `api/server/router/build/build_routes.go`. Next room: [`crate::registry`]

use crate::{
    answer::{Answer, json, json_lines},
    call::Call,
};
use base64::{Engine as _, prelude::BASE64_STANDARD, prelude::BASE64_URL_SAFE};
use futures_util::{StreamExt, stream};
use minidock_base::{Error, Result};
use minidock_build::{job::Options, prune};
use minidock_registry::credentials::Credentials;
use minidock_spec::{engine::container::Resources, reference::Reference};
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;

/// `POST /build`.
pub async fn build(call: Call) -> Result<Answer> {
    let options = options(&call)?;
    let (engine, registry) = (call.engine.clone(), call.registry.clone());
    let mut lines = minidock_build::build(&engine, &registry, options, call.stream());
    let first = match lines.next().await {
        Some(line) => match line.error_detail.as_ref().and_then(|detail| detail.minidock.clone()) {
            Some(wire) => return Err(Error::from_wire(wire)),
            None => vec![line],
        },
        None => Vec::new(),
    };
    Ok(json_lines(stream::iter(first).chain(lines).map(Ok).boxed()))
}

/// `POST /build/prune?filters=`.
pub async fn prune(call: Call) -> Result<Answer> {
    json(&prune::prune(&call.engine, &call.query.filters()?).await?)
}

/// `/grpc` and `/session`: BuildKit's doors.
pub fn buildkit() -> Result<Answer> {
    Err(Error::not_found("page not found: there is no BuildKit here, images are built by the classic builder")
        .hint("DOCKER_BUILDKIT=0 docker build …, or minidock build"))
}

fn options(call: &Call) -> Result<Options> {
    let query = &call.query;
    let text = |key: &str| query.text(key).unwrap_or_default().to_string();
    let number = |key: &str| Ok::<_, Error>(query.number(key)?.unwrap_or(0));
    if query.text("version") == Some("2") {
        return buildkit().map(|_| Options::default());
    }
    if query.flag("squash") {
        return Err(Error::not_implemented("squashing is not there: a layer for each step is what makes the cache")
            .hint("a last stage with COPY --from=0 / / has one layer"));
    }
    let mut tags = Vec::new();
    for name in query.all("t").filter(|name| !name.is_empty()) {
        let name = Reference::parse(name)?;
        if name.digest.is_some() {
            return Err(Error::invalid("build tag cannot contain a digest"));
        }
        if !tags.contains(&name) {
            tags.push(name);
        }
    }
    let build_args: BTreeMap<String, Option<String>> = parameter(call, "buildargs")?;
    let epoch = match build_args.get("SOURCE_DATE_EPOCH").cloned().flatten() {
        Some(text) => Some(text.parse::<i64>().map_err(|_| Error::invalid(format!("invalid SOURCE_DATE_EPOCH: {text}")))?),
        None => None,
    };
    let dockerfile = text("dockerfile");
    Ok(Options {
        tags,
        remote: Some(text("remote")).filter(|address| address != "client-session").unwrap_or_default(),
        dockerfile: if dockerfile.is_empty() { "Dockerfile".into() } else { dockerfile },
        target: text("target"),
        build_args,
        labels: parameter(call, "labels")?,
        no_cache: query.flag("nocache"),
        pull: query.flag("pull"),
        quiet: query.flag("q"),
        keep: !query.flag_or("rm", true),
        force_remove: query.flag("forcerm"),
        network: text("networkmode"),
        extra_hosts: query.all("extrahosts").filter(|host| !host.is_empty()).map(str::to_string).collect(),
        security_opt: parameter(call, "securityopt")?,
        shm_size: number("shmsize")?,
        resources: Resources {
            memory: number("memory")?,
            memory_swap: number("memswap")?,
            cpu_shares: number("cpushares")?,
            cpu_period: number("cpuperiod")?,
            cpu_quota: number("cpuquota")?,
            cpuset_cpus: text("cpusetcpus"),
            cpuset_mems: text("cpusetmems"),
            cgroup_parent: text("cgroupparent"),
            ulimits: parameter(call, "ulimits")?,
            ..Resources::default()
        },
        cache_from: parameter(call, "cachefrom")?,
        platform: text("platform"),
        epoch,
        secrets: secrets(call)?,
        credentials: credentials(call)?,
    })
}

/// A parameter that is JSON; nothing and `null` are the default.
fn parameter<T: DeserializeOwned + Default>(call: &Call, key: &str) -> Result<T> {
    let Some(text) = call.query.text(key) else { return Ok(T::default()) };
    let value: Option<T> = serde_json::from_str(text).map_err(|e| Error::invalid(format!("error reading {key}: {e}")))?;
    Ok(value.unwrap_or_default())
}

/// `X-Registry-Config`: what the client knows about registries, by name.
fn credentials(call: &Call) -> Result<BTreeMap<String, Credentials>> {
    let header = call.header("x-registry-config");
    if header.is_empty() {
        return Ok(BTreeMap::new());
    }
    // clients pad, or do not: both alphabets are seen
    let bytes = BASE64_URL_SAFE.decode(header).or_else(|_| BASE64_STANDARD.decode(header));
    let bytes = bytes.map_err(|_| Error::invalid("X-Registry-Config is not base64"))?;
    let all: Option<BTreeMap<String, serde_json::Value>> =
        serde_json::from_slice(&bytes).map_err(|e| Error::invalid(format!("cannot read X-Registry-Config: {e}")))?;
    let one = |(name, value): (String, serde_json::Value)| Ok((name, Credentials::from_json(value.to_string().as_bytes())?));
    all.unwrap_or_default().into_iter().map(one).collect()
}

/// `X-Minidock-Secrets`: base64 of `{"id": "base64 of its content"}`.
fn secrets(call: &Call) -> Result<BTreeMap<String, Vec<u8>>> {
    let header = call.header("x-minidock-secrets");
    if header.is_empty() {
        return Ok(BTreeMap::new());
    }
    let bad = |_| Error::invalid("X-Minidock-Secrets cannot be read");
    let all = BASE64_STANDARD.decode(header).map_err(bad)?;
    let all: BTreeMap<String, String> = serde_json::from_slice(&all).map_err(|e| Error::invalid(e.to_string()))?;
    all.into_iter().map(|(id, text)| Ok((id, BASE64_STANDARD.decode(text).map_err(bad)?))).collect()
}
