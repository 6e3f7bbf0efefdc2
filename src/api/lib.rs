//! # The Docker Engine API: every route on one page
//!
//! `docker`, Compose, docker-py and our own command line all speak one protocol: HTTP over a socket, JSON bodies, and a few
//! streams. This floor turns requests into calls of the engine, one to one, and decides nothing.
//!
//! ```text
//!   socket ──► door ──► hyper ──► handle ──► route ──► containers, exec, images, volumes, system …
//!              │                  │          │              └ engine::container::start::start(…)
//!              │                  │          └ method and path → function: the page below
//!              │                  └ version checked and cut off, headers put on, errors made JSON
//!              └ old clients' streams
//! ```
//!
//! * **Versions.** `/v1.45/info`, `/v1.24/info` and `/info` are the same route; too new and too old are refused in Docker's
//!   words. Where an answer differs by version, the handler looks at [`Call::minor`].
//! * **Names with slashes.** Image names contain `/`, so a path is a slice of words and a route a slice pattern:
//!   `["images", name @ .., "json"]`. No router library has that as plainly as the language itself.
//! * **A request that changes something is finished** even when its client goes away: it runs in a task of its own. A
//!   request that only looks, waits or streams is dropped with its client.
//! * **What is not here** says so in a way that clients understand: swarm calls answer 503 outside a swarm, plugins are an
//!   empty list, BuildKit's doors say what to set, anything unknown is 404 `page not found`.
//!
//! Rooms: [`call`] and [`answer`] are HTTP taken apart and put together, [`door`], [`hijack`] and [`framed`] the bare connection;
//! [`containers`], [`streams`], [`exec`], [`archive`], [`images`], [`build`], [`volumes`], [`networks`], [`registry`], [`system`], [`cluster`] and [`glass_box`] have the handlers,
//! [`swarm`] is a chapter of its own, [`elsewhere`] has the doors that lead nowhere yet.
//!
//! Laws: no handler keeps state; no request may make the daemon panic, whatever it says (`tests/api_*.rs` try).
//!
//! *In the real world* dockerd has a `backend` interface per router, middlewares for authorisation plugins and a build
//! tag for each platform. *See:* moby `api/server`. Next room: [`call`]

pub mod answer;
pub mod archive;
pub mod build;
pub mod call;
pub mod cluster;
pub mod containers;
pub mod door;
pub mod elsewhere;
pub mod exec;
pub mod framed;
pub mod glass_box;
pub mod hijack;
pub mod images;
pub mod networks;
pub mod registry;
pub mod streams;
pub mod swarm;
pub mod system;
pub mod volumes;

use answer::{Answer, dress, refusal};
use call::Call;
use door::Peer;
use futures_util::{FutureExt, future::BoxFuture};
use http::{Method, Request};
use hyper::body::Incoming;
use minidock_base::{Error, Result};
use minidock_cluster::Cluster;
use minidock_engine::Engine;
use minidock_registry::client::Client;
use minidock_spec::engine::{API_VERSION, MIN_API_VERSION};
use minidock_swarm::node::Swarm;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;

/// The departments that requests are about.
#[derive(Clone)]
pub struct House {
    pub engine: Arc<Engine>,
    /// The way to registries.
    pub registry: Arc<Client>,
    /// The simulated nodes that this daemon hosts.
    pub cluster: Arc<Cluster>,
    /// This machine's part in a swarm, or in none.
    pub swarm: Arc<Swarm>,
}

/// Serves one connection to this house; `closing` ends it, and `POST /minidock/stop` cancels `closing`.
pub async fn serve<S>(house: House, socket: S, closing: CancellationToken)
where
    S: AsyncRead + AsyncWrite + Peer + Unpin + Send + 'static,
{
    let stop = closing.clone();
    door::serve(socket, closing, move |request| handle(house.clone(), request, stop.clone())).await
}

/// Begins the work of a request. What only looks, waits or streams belongs to its client; what changes something is a task of
/// its own from the first moment, before the web server can notice that the client has gone.
fn handle(house: House, request: Request<Incoming>, stop: CancellationToken) -> BoxFuture<'static, Answer> {
    let looks = request.method() == Method::GET || request.method() == Method::HEAD;
    let work = respond(house, request, stop);
    if looks {
        return work.boxed();
    }
    let task = tokio::spawn(work);
    async move {
        let given_up = |e| refusal(&Error::system(format!("the request was given up: {e}")));
        task.await.unwrap_or_else(given_up)
    }
    .boxed()
}

/// From request to answer: version, route, errors, headers.
async fn respond(house: House, request: Request<Incoming>, stop: CancellationToken) -> Answer {
    let line = format!("{} {}", request.method(), request.uri());
    let path = request.uri().path().to_string();
    let answered = match cut_version(&path) {
        Ok((minor, rest)) => route(Call::new(house, request, rest, minor), stop).await,
        Err(error) => Err(error),
    };
    let mut answer = answered.unwrap_or_else(|error| {
        tracing::debug!(request = line, "refused: {}", error.message());
        refusal(&error)
    });
    tracing::debug!(request = line, status = answer.status().as_u16());
    dress(&mut answer);
    answer
}

/// Every route: a method, a path, a function.
async fn route(call: Call, stop: CancellationToken) -> Result<Answer> {
    let path = call.path.clone();
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    match (call.method.as_str(), path.as_slice()) {
        ("GET" | "HEAD", ["_ping"]) => system::ping(call),
        ("GET", ["version"]) => system::version(call).await,
        ("GET", ["info"]) => system::info(call).await,
        ("GET", ["system", "df"]) => system::disk_usage(call).await,
        ("GET", ["events"]) => system::events(call),

        ("GET", ["containers", "json"]) => containers::list(call).await,
        ("POST", ["containers", "create"]) => containers::create(call).await,
        ("POST", ["containers", "prune"]) => containers::prune(call).await,
        ("GET", ["containers", id, "json"]) => containers::inspect(call, id).await,
        ("POST", ["containers", id, "start"]) => containers::start(call, id).await,
        ("POST", ["containers", id, "stop"]) => containers::stop(call, id).await,
        ("POST", ["containers", id, "restart"]) => containers::restart(call, id).await,
        ("POST", ["containers", id, "kill"]) => containers::kill(call, id).await,
        ("POST", ["containers", id, "pause"]) => containers::pause(call, id).await,
        ("POST", ["containers", id, "unpause"]) => containers::unpause(call, id).await,
        ("POST", ["containers", id, "rename"]) => containers::rename(call, id).await,
        ("POST", ["containers", id, "update"]) => containers::update(call, id).await,
        ("POST", ["containers", id, "resize"]) => containers::resize(call, id).await,
        ("DELETE", ["containers", id]) => containers::remove(call, id).await,
        ("DELETE", ["containers", id, alias]) => containers::remove_link(call, &format!("{id}/{alias}")).await,
        (_, ["containers", _, "checkpoints", ..]) => elsewhere::checkpoint(),
        ("POST", ["containers", id, "attach"]) => streams::attach(call, id).await,
        ("GET", ["containers", _, "attach", "ws"]) => elsewhere::websocket(),
        ("POST", ["containers", id, "wait"]) => streams::wait(call, id).await,
        ("GET", ["containers", id, "top"]) => containers::top(call, id).await,
        ("GET", ["containers", id, "stats"]) => streams::stats(call, id).await,
        ("GET", ["containers", id, "logs"]) => streams::logs(call, id).await,

        ("GET", ["containers", id, "changes"]) => containers::changes(call, id).await,
        ("HEAD" | "GET" | "PUT", ["containers", id, "archive"]) => archive::archive(call, id).await,
        ("GET", ["containers", id, "export"]) => archive::export(call, id).await,
        ("POST", ["commit"]) => containers::commit(call).await,

        ("POST", ["containers", id, "exec"]) => exec::create(call, id).await,
        ("POST", ["exec", id, "start"]) => exec::start(call, id).await,
        ("POST", ["exec", id, "resize"]) => exec::resize(call, id).await,
        ("GET", ["exec", id, "json"]) => exec::inspect(call, id).await,

        ("GET", ["images", "json"]) => images::list(call).await,
        ("GET", ["images", "get"]) => images::save(call, None).await,
        ("GET", ["images", "search"]) => registry::search(call).await,
        ("POST", ["images", "create"]) => images::create(call).await,
        ("POST", ["images", "load"]) => images::load(call).await,
        ("POST", ["images", "prune"]) => images::prune(call).await,
        ("GET", ["images", name @ .., "json"]) => images::inspect(call, name).await,
        ("GET", ["images", name @ .., "history"]) => images::history(call, name).await,
        ("GET", ["images", name @ .., "get"]) => images::save(call, Some(images::join(name))).await,
        ("POST", ["images", name @ .., "tag"]) => images::tag(call, name).await,
        ("POST", ["images", name @ .., "push"]) => registry::push(call, &images::join(name)).await,
        ("DELETE", ["images", name @ ..]) => images::remove(call, name).await,

        ("GET", ["volumes"]) => volumes::list(call).await,
        ("POST", ["volumes", "create"]) => volumes::create(call).await,
        ("POST", ["volumes", "prune"]) => volumes::prune(call).await,
        ("GET", ["volumes", name]) => volumes::inspect(call, name).await,
        ("DELETE", ["volumes", name]) => volumes::remove(call, name).await,

        ("GET", ["networks"]) => networks::list(call).await,
        ("GET", ["networks", id]) => networks::inspect(call, id).await,
        ("POST", ["networks", "create"]) => networks::create(call).await,
        ("POST", ["networks", "prune"]) => networks::prune(call).await,
        ("POST", ["networks", id, "connect"]) => networks::connect(call, id).await,
        ("POST", ["networks", id, "disconnect"]) => networks::disconnect(call, id).await,
        ("DELETE", ["networks", id]) => networks::remove(call, id).await,

        ("GET", ["plugins"]) => answer::json(&[(); 0]),
        (_, ["plugins", rest @ ..]) => elsewhere::plugin(rest),

        ("GET", ["swarm"]) => swarm::inspect(call).await,
        ("POST", ["swarm", "init"]) => swarm::init(call).await,
        ("POST", ["swarm", "join"]) => swarm::join(call).await,
        ("POST", ["swarm", "leave"]) => swarm::leave(call).await,
        ("POST", ["swarm", "update"]) => swarm::update(call).await,
        ("POST", ["swarm", "unlock"]) => swarm::unlock(call).await,
        ("GET", ["swarm", "unlockkey"]) => swarm::unlock_key(call).await,

        ("GET", ["nodes"]) => swarm::nodes::list(call).await,
        ("GET", ["nodes", id]) => swarm::nodes::inspect(call, id).await,
        ("POST", ["nodes", id, "update"]) => swarm::nodes::update(call, id).await,
        ("DELETE", ["nodes", id]) => swarm::nodes::remove(call, id).await,

        ("GET", ["services"]) => swarm::services::list(call).await,
        ("POST", ["services", "create"]) => swarm::services::create(call).await,
        ("GET", ["services", id]) => swarm::services::inspect(call, id).await,
        ("POST", ["services", id, "update"]) => swarm::services::update(call, id).await,
        ("DELETE", ["services", id]) => swarm::services::remove(call, id).await,
        ("GET", ["services", id, "logs"]) => swarm::logs::of_service(call, id).await,

        ("GET", ["tasks"]) => swarm::tasks::list(call).await,
        ("GET", ["tasks", id]) => swarm::tasks::inspect(call, id).await,
        ("GET", ["tasks", id, "logs"]) => swarm::logs::of_task(call, id).await,

        ("GET", [what @ ("secrets" | "configs")]) => swarm::files::list(call, swarm::files::table(what)).await,
        ("POST", [what @ ("secrets" | "configs"), "create"]) => swarm::files::create(call, swarm::files::table(what)).await,
        ("GET", [what @ ("secrets" | "configs"), id]) => swarm::files::inspect(call, swarm::files::table(what), id).await,
        ("POST", [what @ ("secrets" | "configs"), id, "update"]) => {
            swarm::files::update(call, swarm::files::table(what), id).await
        }
        ("DELETE", [what @ ("secrets" | "configs"), id]) => swarm::files::remove(call, swarm::files::table(what), id).await,

        ("POST", ["build"]) => build::build(call).await,
        ("POST", ["build", "prune"]) => build::prune(call).await,
        (_, ["grpc" | "session", ..]) => build::buildkit(),
        ("POST", ["auth"]) => registry::log_in(call).await,
        ("GET", ["distribution", name @ .., "json"]) => registry::look(call, &images::join(name)).await,

        ("POST", ["minidock", "network", "purge"]) => networks::purge(call).await,
        ("GET", ["minidock", "registry", "catalog"]) => registry::catalogue(call).await,
        ("GET", ["minidock", "registry", "tags"]) => registry::tags(call).await,
        (_, ["minidock", "cluster", rest @ ..]) => cluster::route(call, rest).await,
        ("POST", ["minidock", "stop"]) => glass_box::stop(call, stop).await,
        ("GET", ["minidock", "why", "task"]) => swarm::why::task(call).await,
        ("GET", ["minidock", "why", "service"]) => swarm::why::service(call).await,
        ("GET", ["minidock", "why", "leader"]) => swarm::why::leader(call).await,
        ("GET", ["minidock", "why", "reach"]) => glass_box::reach(call).await,
        ("GET", ["minidock", "containers", id, "explain"]) => glass_box::explain(call, id).await,
        ("GET", ["minidock", "containers", id, "actions"]) => glass_box::actions(call, id).await,
        _ => Err(Error::not_found("page not found")),
    }
}

/// Splits `/v1.41/info` into 41 and `/info`; without a version the newest is meant.
fn cut_version(path: &str) -> Result<(u16, &str)> {
    let newest = minor_of(API_VERSION).unwrap_or_default();
    let Some((version, rest)) = path.strip_prefix("/v").and_then(|p| p.split_once('/')) else { return Ok((newest, path)) };
    let all_digits = |part: &str| !part.is_empty() && part.bytes().all(|c| c.is_ascii_digit());
    if !version.split('.').all(all_digits) {
        return Ok((newest, path));
    }
    let refused = |how: &str| Err(Error::invalid(format!("client version {version} is too {how}")));
    let (major, minor) = (version.split('.').next().unwrap_or_default(), minor_of(version));
    let oldest = minor_of(MIN_API_VERSION).unwrap_or_default();
    match (major, minor) {
        ("1", Some(minor)) if (oldest..=newest).contains(&minor) => Ok((minor, &path[version.len() + 2..])),
        ("1", Some(minor)) if minor < oldest => refused(&format!(
            "old. Minimum supported API version is {MIN_API_VERSION}, please upgrade your client to a newer version"
        )),
        ("0", _) | ("1", None) => refused(&format!(
            "old. Minimum supported API version is {MIN_API_VERSION}, please upgrade your client to a newer version"
        )),
        _ => {
            let _ = rest;
            refused(&format!("new. Maximum supported API version is {API_VERSION}"))
        }
    }
}

fn minor_of(version: &str) -> Option<u16> {
    version.split('.').nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn versions_are_cut_off_and_checked_in_dockers_words() {
        assert_eq!(cut_version("/v1.41/info").expect("supported"), (41, "/info"));
        assert_eq!(cut_version("/info").expect("none"), (45, "/info"));
        assert_eq!(cut_version("/volumes/x").expect("no version"), (45, "/volumes/x"));
        assert_eq!(
            cut_version("/v1.99/info").unwrap_err().message(),
            "client version 1.99 is too new. Maximum supported API version is 1.45"
        );
        assert_eq!(
            cut_version("/v1.12/info").unwrap_err().message(),
            "client version 1.12 is too old. Minimum supported API version is 1.24, please upgrade your client to a newer version"
        );
    }

    proptest! {
        #[test]
        fn no_path_makes_the_version_reader_panic(path in "/v?[0-9./a-z]{0,20}") {
            let _ = cut_version(&path);
        }
    }
}
