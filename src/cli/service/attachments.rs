//! # Attachments: networks, secrets and configs that tasks are given
//!
//! Three flags name things that live in the swarm and say where in the container they appear: a network, with other names for
//! the service on it; a secret or a config, as a file with an owner and a mode. The flags hold names; the API wants IDs, so they
//! are looked up before anything is created: [`networks`], [`secrets`], [`configs`].
//!
//! ```text
//!   --network over          --network name=over,alias=db,driver-opt=a=b
//!   --secret password       --secret source=password,target=/etc/pw,uid=0,gid=0,mode=0400
//! ```
//!
//! Laws: two files never have one target; what does not exist is refused by name. *See:* docker/cli `opts/network.go`,
//! `opts/swarmopts`, `service/parse.go`. *Next room:* [`super::flags`]

use super::ports::is_long;
use crate::{container::mounts::csv, filter::Filters};
use minidock_base::{Error, Result};
use minidock_client::{Docker, Route};
use minidock_spec::swarm::{
    container::{ConfigReference, FileTarget, SecretReference},
    secret::Secret,
    task::NetworkAttachmentConfig,
};
use serde_json::Value as Json;

/// Reads one `--network`; its target is still a name.
///
/// # Errors
/// Docker's words for what is wrong with it.
pub fn network(text: &str) -> Result<NetworkAttachmentConfig, String> {
    if !is_long(text) {
        return Ok(NetworkAttachmentConfig { target: text.into(), ..NetworkAttachmentConfig::default() });
    }
    let mut network = NetworkAttachmentConfig::default();
    for field in csv(text)? {
        let lower = field.to_lowercase();
        let Some((key, value)) = lower.split_once('=').filter(|(key, _)| !key.is_empty()) else {
            return Err(format!("invalid field {field}"));
        };
        let value = value.trim();
        match key.trim() {
            "name" => network.target = value.into(),
            "alias" => network.aliases.push(value.into()),
            "driver-opt" => match value.split_once('=').filter(|(key, _)| !key.is_empty()) {
                Some((key, value)) => network.driver_opts.insert(key.trim().into(), value.trim().into()).map_or((), drop),
                None => return Err("invalid key value pair format in driver options".into()),
            },
            key @ ("ip" | "ip6" | "mac-address" | "link-local-ip" | "gw-priority") => {
                return Err(format!("{key} is for one container: the swarm gives each task its own address"));
            }
            other => return Err(format!("invalid field key {other}")),
        }
    }
    match network.target.is_empty() {
        true => Err("network name/id is not specified".into()),
        false => Ok(network),
    }
}

/// A file as it was asked for: which, and where.
#[derive(Clone, Debug, PartialEq)]
pub struct File {
    pub source: String,
    pub target: FileTarget,
}

/// Reads one `--secret`.
///
/// # Errors
/// Docker's words for what is wrong with it.
pub fn secret(text: &str) -> Result<File, String> {
    file(text, "secret")
}

/// Reads one `--config`.
///
/// # Errors
/// As [`secret`].
pub fn config(text: &str) -> Result<File, String> {
    file(text, "config")
}

fn file(text: &str, what: &str) -> Result<File, String> {
    let target = FileTarget { name: String::new(), uid: "0".into(), gid: "0".into(), mode: 0o444 };
    let mut file = File { source: String::new(), target };
    let fields = csv(text)?;
    if let [name] = fields.as_slice()
        && !name.contains('=')
    {
        file.source = name.clone();
        file.target.name = name.clone();
        return Ok(file);
    }
    for field in fields {
        let Some((key, value)) = field.split_once('=').filter(|(key, _)| !key.is_empty()) else {
            return Err(format!("invalid field '{field}' must be a key=value pair"));
        };
        match key.to_lowercase().as_str() {
            "source" | "src" => file.source = value.into(),
            "target" => file.target.name = value.into(),
            "uid" => file.target.uid = value.into(),
            "gid" => file.target.gid = value.into(),
            "mode" => {
                file.target.mode =
                    super::values::small_number(value).map_err(|why| format!("invalid mode specified: {why}"))?;
            }
            _ => return Err(format!("invalid field in {what} request: {key}")),
        }
    }
    if file.source.is_empty() {
        return Err("source is required".into());
    }
    if file.target.name.is_empty() {
        file.target.name = file.source.clone();
    }
    Ok(file)
}

/// Puts IDs where names are.
///
/// # Errors
/// `network … not found`.
pub async fn networks(docker: &Docker, mut wanted: Vec<NetworkAttachmentConfig>) -> Result<Vec<NetworkAttachmentConfig>> {
    for network in &mut wanted {
        network.target = network_id(docker, &network.target).await?;
    }
    wanted.sort_by(|a, b| a.target.cmp(&b.target));
    Ok(wanted)
}

/// The ID of a swarm's network.
///
/// # Errors
/// `network … not found`.
pub async fn network_id(docker: &Docker, name: &str) -> Result<String> {
    if name.trim_matches(['/', ' ']).is_empty() {
        return Err(Error::invalid("invalid network name or ID: value is empty"));
    }
    let route = Route::new("/networks/{}", [name]).pair("scope", "swarm");
    let found: Json = docker.get(&route).await.map_err(|e| match name {
        "none" => {
            e.hint("there is no service without any network; one that nobody outside can reach is on an internal overlay")
        }
        _ => e,
    })?;
    Ok(found["Id"].as_str().unwrap_or_default().to_string())
}

/// The secrets, by ID.
///
/// # Errors
/// `secret not found: …`, `duplicate secret target for … not allowed`.
pub async fn secrets(docker: &Docker, wanted: Vec<File>) -> Result<Vec<SecretReference>> {
    let found = ids(docker, "secret", wanted).await?;
    let reference =
        |(file, id): (File, String)| SecretReference { file: Some(file.target), secret_id: id, secret_name: file.source };
    Ok(found.into_iter().map(reference).collect())
}

/// The configs, by ID.
///
/// # Errors
/// `config not found: …`, `duplicate config target for … not allowed`.
pub async fn configs(docker: &Docker, wanted: Vec<File>) -> Result<Vec<ConfigReference>> {
    let found = ids(docker, "config", wanted).await?;
    let reference =
        |(file, id): (File, String)| ConfigReference { file: Some(file.target), config_id: id, config_name: file.source };
    Ok(found.into_iter().map(reference).collect())
}

async fn ids(docker: &Docker, what: &str, wanted: Vec<File>) -> Result<Vec<(File, String)>> {
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let mut filters = Filters::default();
    for (at, file) in wanted.iter().enumerate() {
        if wanted[..at].iter().any(|other| other.target.name == file.target.name) {
            return Err(Error::invalid(format!("duplicate {what} target for {} not allowed", file.source)));
        }
        filters.add("name", &file.source);
    }
    let route = Route::new("/{}", [&format!("{what}s")]).maybe("filters", filters.json());
    let here: Vec<Secret> = docker.get(&route).await?;
    let found = |file: File| match here.iter().find(|one| one.spec.name == file.source) {
        Some(one) => Ok((file, one.id.clone())),
        None => Err(Error::not_found(format!("{what} not found: {}", file.source))
            .hint(format!("minidock {what} ls shows those there are; minidock {what} create makes one"))),
    };
    wanted.into_iter().map(found).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_network_may_have_other_names_on_it() {
        assert_eq!(network("over").expect("a network").target, "over");
        let long = network("name=over,alias=db,alias=store,driver-opt=a=b").expect("a network");
        assert_eq!((long.target.as_str(), long.aliases), ("over", vec!["db".to_string(), "store".into()]));
        assert_eq!(long.driver_opts["a"], "b");
        assert_eq!(network("foo=bar").unwrap_err(), "invalid field key foo");
        assert_eq!(network("name=,alias=x").unwrap_err(), "network name/id is not specified");
    }

    #[test]
    fn a_file_has_a_source_and_perhaps_a_place() {
        let short = secret("pw").expect("a secret");
        assert_eq!((short.source.as_str(), short.target.name.as_str(), short.target.mode), ("pw", "pw", 0o444));
        let long = config("source=c,target=/etc/c,uid=1,gid=2,mode=0400").expect("a config").target;
        assert_eq!((long.name.as_str(), long.uid.as_str(), long.gid.as_str(), long.mode), ("/etc/c", "1", "2", 0o400));
        for (typed, why) in [
            ("foo=bar", "invalid field in secret request: foo"),
            ("a,b", "invalid field 'a' must be a key=value pair"),
            ("target=a", "source is required"),
            ("source=a,mode=x", "invalid mode specified: strconv.ParseUint: parsing \"x\": invalid syntax"),
        ] {
            assert_eq!(secret(typed).unwrap_err(), why, "{typed}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_the_readers_panic(text in "(\\PC{0,16}|[0-9a-z=,]{0,24})") {
            let _ = (network(&text), secret(&text), config(&text));
        }
    }
}
