//! # image build: a folder and a Dockerfile become an image
//!
//! The client packs the folder (without what `.dockerignore` leaves out), the daemon builds, and what it says is shown as it comes.
//!
//! ```text
//!   minidock build -t app:1.0 .             the folder's Dockerfile
//!   minidock build -f other/Dockerfile .    another one, in the folder or not
//!   minidock build - < Dockerfile           no files at all, or a whole context as a tar
//!   minidock build http://host/app.tar.gz   the same, fetched by the daemon
//!   minidock build https://host/app.git#v1  a repository, fetched by git
//! ```
//!
//! * The context is packed by [`super::context`], shown by [`super::build_view`].
//! * `--reproducible` (or SOURCE_DATE_EPOCH in our environment) makes the same context give the same digests.
//!
//! Laws: a step that fails gives its own exit code. `--ssh` is refused clearly: agents are not forwarded into builds.
//! *See:* docker/cli `cli/command/image/build.go`. *Next room:* [`super::context`]

use super::{build_view, context};
use crate::{
    complain,
    container::{create::WRONG_FLAGS, environment, limits, resources},
    flag,
    registry::accounts::Accounts,
    session::Session,
    words,
};
use base64::{Engine as _, prelude::BASE64_STANDARD, prelude::BASE64_URL_SAFE};
use clap::ArgMatches;
use minidock_base::{Doing, Error, Result};
use minidock_client::{Route, Wish};
use minidock_spec::reference::Reference;
use serde_json::{Map, Value, json};
use std::{collections::BTreeMap, fs};

/// The flags of `build`.
pub fn command() -> clap::Command {
    let kinds = "Set type of progress output (\"auto\", \"plain\", \"tty\", \"quiet\", \"rawjson\")";
    flag::command("build", "[OPTIONS] PATH | URL | -", "Build an image from a Dockerfile")
        .arg(flag::list("add-host", "list", "Add a custom host-to-IP mapping (\"host:ip\")"))
        .arg(flag::list("build-arg", "list", "Set build-time variables"))
        .arg(flag::list("cache-from", "strings", "Images to consider as cache sources"))
        .arg(flag::text("cgroup-parent", "string", "Set the parent cgroup for the \"RUN\" instructions during build"))
        .arg(flag::number("cpu-period", "int", "Limit the CPU CFS (Completely Fair Scheduler) period"))
        .arg(flag::number("cpu-quota", "int", "Limit the CPU CFS (Completely Fair Scheduler) quota"))
        .arg(flag::number("cpu-shares", "int", "CPU shares (relative weight)").short('c'))
        .arg(flag::text("cpuset-cpus", "string", "CPUs in which to allow execution (0-3, 0,1)"))
        .arg(flag::text("cpuset-mems", "string", "MEMs in which to allow execution (0-3, 0,1)"))
        .arg(flag::text("file", "string", "Name of the Dockerfile (default: \"PATH/Dockerfile\")").short('f'))
        .arg(flag::switch("force-rm", "Always remove intermediate containers"))
        .arg(flag::text("iidfile", "string", "Write the image ID to the file"))
        .arg(flag::list("label", "list", "Set metadata for an image"))
        .arg(flag::text("memory", "bytes", "Memory limit").short('m'))
        .arg(flag::text("memory-swap", "bytes", "Swap limit equal to memory plus swap: -1 to enable unlimited swap"))
        .arg(flag::text(
            "network",
            "string",
            "Set the networking mode for the \"RUN\" instructions during build (default \"default\")",
        ))
        .arg(flag::switch("no-cache", "Do not use cache when building the image"))
        .arg(flag::text("platform", "string", "Set target platform for build"))
        .arg(flag::text("progress", "string", kinds))
        .arg(flag::switch("pull", "Always attempt to pull a newer version of the image"))
        .arg(flag::switch("compress", "Compress the build context using gzip").hide(true))
        .arg(flag::text("isolation", "string", "Container isolation technology").hide(true))
        .arg(flag::switch("quiet", "Suppress the build output and print image ID on success").short('q'))
        .arg(flag::switch(
            "reproducible",
            "Give everything in the image the same time, so that the same files give the same image",
        ))
        .arg(flag::on("rm", "Remove intermediate containers after a successful build"))
        .arg(flag::list("secret", "stringArray", "Secret to expose to the build (\"id=mysecret[,src=/local/secret]\")"))
        .arg(flag::list("security-opt", "strings", "Security options"))
        .arg(flag::text("shm-size", "bytes", "Size of \"/dev/shm\""))
        .arg(flag::switch("squash", "Squash newly built layers into a single new layer (not supported)"))
        .arg(flag::list("ssh", "stringArray", "SSH agent socket or keys to expose to the build (not supported)"))
        .arg(flag::list("tag", "list", "Name and optionally a tag (format: \"name:tag\")").short('t'))
        .arg(flag::text("target", "string", "Set the target build stage to build"))
        .arg(flag::list("ulimit", "ulimit", "Ulimit options"))
        .arg(flag::optional_names("PATH"))
}

/// Builds an image.
///
/// # Errors
/// A context that cannot be read, a flag that makes no sense, what the daemon says.
pub async fn run(m: &ArgMatches, session: &mut Session) -> Result<i32> {
    let paths = flag::list_of(m, "PATH");
    let [path] = &paths[..] else {
        return Err(Error::invalid("\"minidock image build\" requires exactly 1 argument.").hint(
            "the argument is the folder with the Dockerfile, the name goes behind -t: minidock image build -t NAME:TAG .",
        ));
    };
    for tag in flag::list_of(m, "tag") {
        if let Err(error) = Reference::parse(&tag) {
            complain(&Error::invalid(format!("invalid argument {tag:?} for \"-t, --tag\" flag: {}", error.message())));
            return Ok(WRONG_FLAGS);
        }
    }
    if words::is_given(m, "ssh") {
        return Err(Error::not_implemented("--ssh is not supported: agents are not forwarded into builds")
            .hint("--secret id=key,src=FILE carries a key to RUN --mount=type=secret"));
    }
    let quiet = m.get_flag("quiet") || flag::text_of(m, "progress") == Some("quiet");
    let packed = context::pack(path, flag::text_of(m, "file"), quiet)?;
    let route = route(m, &packed.dockerfile, quiet)?.maybe("remote", packed.remote.as_deref());
    let mut wish = Wish::post(&route).stream("application/x-tar", packed.pieces);
    if let Some(config) = registries(&Accounts::open(session.config_folder())?)? {
        wish = wish.header("X-Registry-Config", config);
    }
    if let Some(secrets) = secrets(&flag::list_of(m, "secret"))? {
        wish = wish.header("X-Minidock-Secrets", secrets);
    }
    let answer = session.docker().await?.send(wish).await;
    // a folder that could not be read is why the daemon had nothing to build
    if let Some(error) = packed.failure.take() {
        return Err(error);
    }
    let built = build_view::show(answer?.objects(), build_view::Look::of(flag::text_of(m, "progress"), quiet)?).await?;
    if let (0, Some(file)) = (built.status, flag::text_of(m, "iidfile")) {
        fs::write(file, &built.id).doing(|| format!("write {file}"))?;
    }
    Ok(built.status)
}

fn route(m: &ArgMatches, dockerfile: &str, quiet: bool) -> Result<Route> {
    let text = |id: &str| flag::text_of(m, id);
    let bytes = |id: &str| resources::bytes(m, id).map(|n| (n != 0).then_some(n));
    let mut route = Route::new("/build", [])
        .pair("version", 1)
        .pair("dockerfile", dockerfile)
        .pair("rm", u8::from(flag::is_on(m, "rm")))
        .flag("forcerm", m.get_flag("force-rm"))
        .flag("nocache", m.get_flag("no-cache"))
        .flag("pull", m.get_flag("pull"))
        .flag("q", quiet)
        .flag("squash", m.get_flag("squash"))
        .maybe("target", text("target"))
        .maybe("networkmode", text("network"))
        .maybe("platform", text("platform"))
        .maybe("cgroupparent", text("cgroup-parent"))
        .maybe("cpusetcpus", text("cpuset-cpus"))
        .maybe("cpusetmems", text("cpuset-mems"))
        .maybe("cpuperiod", flag::number_of(m, "cpu-period"))
        .maybe("cpuquota", flag::number_of(m, "cpu-quota"))
        .maybe("cpushares", flag::number_of(m, "cpu-shares"))
        .maybe("memory", bytes("memory")?)
        .maybe("memswap", bytes("memory-swap")?)
        .maybe("shmsize", bytes("shm-size")?);
    for name in flag::list_of(m, "tag") {
        route = route.pair("t", Reference::parse(&name)?.familiar());
    }
    for host in flag::list_of(m, "add-host") {
        route = route.pair("extrahosts", host.replacen('=', ":", 1));
    }
    let args = arguments(&flag::list_of(m, "build-arg"), m.get_flag("reproducible"), |name| std::env::var(name).ok());
    let labels = environment::labels(&[], &flag::list_of(m, "label"))?;
    let ulimits = flag::list_of(m, "ulimit").iter().map(|text| limits::ulimit(text)).collect::<Result<Vec<_>>>()?;
    let split = |id: &str| {
        let all = flag::list_of(m, id);
        all.iter().flat_map(|text| text.split(',')).filter(|text| !text.is_empty()).map(str::to_string).collect::<Vec<_>>()
    };
    let mut lists = vec![("buildargs", json!(args), args.is_empty()), ("labels", json!(labels), labels.is_empty())];
    lists.push(("ulimits", json!(ulimits), ulimits.is_empty()));
    for (key, id) in [("cachefrom", "cache-from"), ("securityopt", "security-opt")] {
        let all = split(id);
        lists.push((key, json!(all), all.is_empty()));
    }
    let route = lists.into_iter().filter(|(_, _, empty)| !empty).fold(route, |route, (key, value, _)| route.pair(key, value));
    Ok(route)
}

/// `--build-arg`, a bare name taking our own value; and the epoch of a reproducible build.
fn arguments(flags: &[String], reproducible: bool, ours: impl Fn(&str) -> Option<String>) -> BTreeMap<String, Option<String>> {
    let one = |text: &String| match text.split_once('=') {
        Some((name, value)) => (name.to_string(), Some(value.to_string())),
        None => (text.clone(), ours(text)),
    };
    let mut all: BTreeMap<String, Option<String>> = flags.iter().map(one).collect();
    let epoch = ours("SOURCE_DATE_EPOCH").filter(|text| !text.is_empty());
    if let Some(epoch) = epoch.or_else(|| reproducible.then(|| "0".to_string())) {
        all.entry("SOURCE_DATE_EPOCH".into()).or_insert(Some(epoch));
    }
    all
}

/// `X-Registry-Config`: what we know about registries.
fn registries(accounts: &Accounts) -> Result<Option<String>> {
    let mut all = Map::new();
    for server in accounts.servers() {
        if let Some(account) = accounts.find(&server)? {
            let value = json!({
                "username": account.username, "password": account.password, "identitytoken": account.identity_token,
                "serveraddress": server,
            });
            all.insert(server, value);
        }
    }
    Ok((!all.is_empty()).then(|| BASE64_URL_SAFE.encode(Value::Object(all).to_string())))
}

/// `--secret id=x,src=FILE` and `id=x,env=NAME`, as the header has them.
fn secrets(flags: &[String]) -> Result<Option<String>> {
    const MOST: usize = 128 << 10;
    let mut all = Map::new();
    for text in flags {
        let (mut id, mut source, mut variable) = (None, None, None);
        for field in text.split(',') {
            match field.split_once('=') {
                Some(("id", value)) => id = Some(value),
                Some(("src" | "source", value)) => source = Some(value),
                Some(("env", value)) => variable = Some(value),
                Some(("type", "file" | "env")) => {}
                _ => {
                    return Err(Error::invalid(format!("unexpected field {field:?} in --secret {text}"))
                        .hint("--secret id=NAME,src=FILE or id=NAME,env=VARIABLE"));
                }
            }
        }
        let id = id.ok_or_else(|| Error::invalid(format!("--secret {text} has no id")).hint("--secret id=NAME,src=FILE"))?;
        let content = match (source, variable, std::env::var(id)) {
            (Some(file), _, _) => fs::read(file).doing(|| format!("read the secret {file}"))?,
            (None, Some(name), _) => std::env::var(name)
                .map_err(|_| Error::invalid(format!("the secret's variable {name} is not set")))?
                .into_bytes(),
            (None, None, Ok(value)) => value.into_bytes(),
            (None, None, Err(_)) => fs::read(id).doing(|| format!("read the secret {id}"))?,
        };
        all.insert(id.to_string(), Value::String(BASE64_STANDARD.encode(content)));
    }
    let header = BASE64_STANDARD.encode(Value::Object(all.clone()).to_string());
    match (all.is_empty(), header.len() > MOST) {
        (true, _) => Ok(None),
        (_, true) => Err(Error::invalid(format!("secrets may have {} KiB together", MOST >> 10))),
        _ => Ok(Some(header)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_build_arg_takes_our_own_value_and_an_epoch_is_one_too() {
        let ours = |name: &str| (name == "HOME").then(|| "/root".to_string());
        let all = arguments(&["A=1=2".into(), "HOME".into(), "NONE".into()], true, ours);
        let told: Vec<(&str, Option<&str>)> = all.iter().map(|(k, v)| (k.as_str(), v.as_deref())).collect();
        assert_eq!(told, [("A", Some("1=2")), ("HOME", Some("/root")), ("NONE", None), ("SOURCE_DATE_EPOCH", Some("0"))]);
    }

    #[test]
    fn a_secret_has_an_id_and_a_source() {
        let folder = tempfile::tempdir().expect("room");
        let file = folder.path().join("t");
        fs::write(&file, "s3cret").expect("room");
        assert!(secrets(&[format!("id=t,src={}", file.display())]).expect("fine").is_some());
        assert!(secrets(&[]).expect("none").is_none());
        assert!(secrets(&["src=x".into()]).is_err() && secrets(&["id=x,nonsense".into()]).is_err());
    }
}
