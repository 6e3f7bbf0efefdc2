//! # Settings: flags, and a file with the same words
//!
//! `minidock daemon` is started by a person, by systemd or by the command line on demand, and each wants to say the same few
//! things: where to keep what, where to listen, how much to tell. Each setting is a flag or a key of the JSON file, by
//! the same name; one that is given in both places is refused, as dockerd does, because nobody could say which one counts.
//!
//! * [`read`] makes [`Settings`] out of both; what is not given has the defaults of [`Paths`].
//! * The file is `/etc/minidock/daemon.json` if there is one, or whatever `--config-file` names.
//!
//! See: dockerd(8), "Daemon configuration file". Next room: `minidock_engine`

use clap::{Arg, ArgAction, ArgMatches, Command};
use minidock_base::{
    Doing, Error, Result,
    paths::{self, Paths},
    state_file,
};
use minidock_registry::settings::RegistryConfig;
use minidock_spec::swarm::generic::{self, GenericResource};
use serde_json::{Map, Value};
use std::{
    ffi::OsString,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};
use tracing::Level;

/// What the daemon is to do, settled.
#[derive(Clone, Debug)]
pub struct Settings {
    pub paths: Paths,
    pub hosts: Vec<String>,
    pub group: Option<String>,
    pub log_level: Level,
    pub pid_file: PathBuf,
    pub registry: RegistryConfig,
    /// Whether networks with bridges are wanted.
    pub bridges: bool,
    /// Another daemon's data root, whose images are shown here, too.
    pub images_from: Option<PathBuf>,
    /// What this machine says it has, if not what the kernel says: a simulated node. Cores, and bytes; 0: as the kernel says.
    pub cpus: f64,
    pub memory: i64,
    /// `key=value`, for `info` and for placement.
    pub labels: Vec<String>,
    /// Whose subordinate ids the users of containers are outside.
    pub userns_remap: Option<String>,
    /// What this machine offers to a swarm besides CPUs and memory.
    pub generic: Vec<GenericResource>,
}

/// What the words asked for.
pub enum Wish {
    Run(Box<Settings>),
    /// Help, or a complaint, and the exit status.
    Print(String, i32),
}

const DEFAULT_FILE: &str = "/etc/minidock/daemon.json";

/// The keys of that file.
const KNOWN: &[&str] = &[
    "data-root",
    "exec-root",
    "hosts",
    "group",
    "debug",
    "log-level",
    "pidfile",
    "bridge",
    "insecure-registries",
    "registry-mirrors",
    "registry-certs",
    "images-from",
    "labels",
    "userns-remap",
    "node-generic-resources",
];

/// The flags of `minidock daemon`.
pub fn command() -> Command {
    let text = |name: &'static str, value: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name(value).help(help).allow_hyphen_values(false)
    };
    Command::new("minidock daemon")
        .about("Keep containers, images and volumes, and answer the Docker Engine API")
        .arg(text("data-root", "DIR", "Where everything that lasts is kept"))
        .arg(text("exec-root", "DIR", "Where everything that ends with the machine's uptime is kept"))
        .arg(text("host", "ADDRESS", "Listen here; may be given several times").short('H').action(ArgAction::Append))
        .arg(text("group", "GROUP", "Who besides root may use the socket").short('G'))
        .arg(Arg::new("debug").long("debug").short('D').action(ArgAction::SetTrue).help("Log every step"))
        .arg(text("log-level", "LEVEL", "debug, info, warn or error").short('l'))
        .arg(text("pidfile", "FILE", "Where to write the process id").short('p'))
        .arg(text("bridge", "NAME", "none: make no bridges; containers have the networks none and host").short('b'))
        .arg(
            text("insecure-registry", "HOST", "Talk to this registry without TLS if need be: host:port or a network")
                .action(ArgAction::Append),
        )
        .arg(text("registry-mirror", "URL", "Ask here first for images of the Hub").action(ArgAction::Append))
        .arg(text(
            "registry-certs",
            "DIR",
            "Where certificates of registries lie (default: /etc/minidock/certs.d, /etc/docker/certs.d)",
        ))
        .arg(text("images-from", "DIR", "Show the images of another daemon's data root, too, without copying them"))
        .arg(text("cpus", "CORES", "Say that the machine has so many (a simulated node)"))
        .arg(text("memory", "BYTES", "Say that the machine has so much (a simulated node)"))
        .arg(text("label", "KEY=VALUE", "A label of this engine, for placement").action(ArgAction::Append))
        .arg(
            text(
                "node-generic-resource",
                "KIND=VALUE",
                "Offer this to the swarm: so many of a kind (gpu=2), or one by its name (gpu=a)",
            )
            .action(ArgAction::Append),
        )
        .arg(text(
            "userns-remap",
            "WHO",
            "Give containers a user namespace with the subordinate ids of: default, user, user:group",
        ))
        .arg(text("config-file", "FILE", "A JSON file with these settings").default_value(DEFAULT_FILE))
}

/// Reads the flags and the file.
///
/// # Errors
/// A setting that is given twice, is unknown, or makes no sense; a file that is no JSON.
pub fn read(args: Vec<OsString>) -> Result<Wish> {
    let words = std::iter::once(OsString::from("minidock daemon")).chain(args);
    match command().try_get_matches_from(words) {
        Ok(flags) => Ok(Wish::Run(Box::new(settle(&flags)?))),
        Err(complaint) => Ok(Wish::Print(complaint.to_string(), complaint.exit_code())),
    }
}

fn settle(flags: &ArgMatches) -> Result<Settings> {
    let named = flags.value_source("config-file") == Some(clap::parser::ValueSource::CommandLine);
    let file = Path::new(flags.get_one::<String>("config-file").map_or(DEFAULT_FILE, String::as_str));
    let kept = match state_file::load::<Map<String, Value>>(file).doing(|| "read the settings")? {
        Some(kept) => kept,
        None if named => {
            return Err(Error::not_found(format!("there is no file {}", file.display())).during("read the settings"));
        }
        None => Map::new(),
    };
    refuse_twice(flags, &kept, file)?;
    let one = |name: &str, key: &str| -> Result<Option<String>> {
        match (flags.get_one::<String>(name), kept.get(key)) {
            (Some(flag), _) => Ok(Some(flag.clone())),
            (None, None) => Ok(None),
            (None, Some(Value::String(text))) => Ok(Some(text.clone())),
            (None, Some(_)) => Err(Error::invalid(format!("{}: {key} must be a text", file.display()))),
        }
    };
    let uid = std::fs::metadata("/proc/self").map_or(0, |facts| facts.uid());
    let default = Paths::default_for(uid);
    let root = |given: Option<String>, default: &Path| -> Result<PathBuf> {
        let path = given.map_or(default.to_path_buf(), PathBuf::from);
        std::path::absolute(&path).doing(|| format!("make {} absolute", path.display()))
    };
    let paths = Paths::new(
        root(one("data-root", "data-root")?, default.data_root())?,
        root(one("exec-root", "exec-root")?, default.exec_root())?,
    );
    let mut hosts: Vec<String> = flags.get_many::<String>("host").into_iter().flatten().cloned().collect();
    for host in kept.get("hosts").and_then(Value::as_array).into_iter().flatten() {
        hosts.push(host.as_str().unwrap_or_default().to_string());
    }
    if hosts.is_empty() {
        hosts.push(format!("unix://{}", paths::default_socket(uid).display()));
    }
    let many = |name: &str, key: &str| -> Vec<String> {
        let given = flags.get_many::<String>(name).into_iter().flatten().cloned();
        let kept = kept.get(key).and_then(Value::as_array).into_iter().flatten();
        given.chain(kept.map(|value| value.as_str().unwrap_or_default().to_string())).collect()
    };
    let mut registry = RegistryConfig {
        insecure: many("insecure-registry", "insecure-registries"),
        mirrors: many("registry-mirror", "registry-mirrors"),
        ..RegistryConfig::default()
    };
    if let Some(folder) = one("registry-certs", "registry-certs")? {
        registry.certs = vec![folder.into()];
    }
    registry.check()?;
    let debug = flags.get_flag("debug") || kept.get("debug").and_then(Value::as_bool).unwrap_or(false);
    let number = |name: &'static str| -> Result<f64> {
        let Some(text) = flags.get_one::<String>(name) else { return Ok(0.0) };
        text.parse().map_err(|_| Error::invalid(format!("--{name} {text}: a number is needed")))
    };
    let level = one("log-level", "log-level")?.unwrap_or_else(|| "info".into());
    let level = level
        .parse()
        .map_err(|_| Error::invalid(format!("there is no log level {level:?}")).hint("debug, info, warn or error"))?;
    Ok(Settings {
        hosts,
        group: one("group", "group")?,
        log_level: if debug { Level::DEBUG } else { level },
        bridges: match one("bridge", "bridge")?.as_deref() {
            None | Some("" | "minidock0") => true,
            Some("none") => false,
            Some(other) => {
                return Err(Error::invalid(format!("the default network's bridge cannot be called {other:?}"))
                    .hint("its name is minidock0; --bridge none makes no bridges at all"));
            }
        },
        registry,
        images_from: one("images-from", "images-from")?.map(PathBuf::from),
        cpus: number("cpus")?,
        memory: number("memory")? as i64,
        labels: many("label", "labels"),
        userns_remap: one("userns-remap", "userns-remap")?,
        generic: generic::offered(&many("node-generic-resource", "node-generic-resources"))?,
        pid_file: one("pidfile", "pidfile")?.map_or_else(|| paths.pid_file(), PathBuf::from),
        paths,
    })
}

/// A setting that is given as a flag and in the file, or that nobody knows.
fn refuse_twice(flags: &ArgMatches, kept: &Map<String, Value>, file: &Path) -> Result<()> {
    for (key, value) in kept {
        let name = match key.as_str() {
            "hosts" => "host",
            "insecure-registries" => "insecure-registry",
            "registry-mirrors" => "registry-mirror",
            "labels" => "label",
            "node-generic-resources" => "node-generic-resource",
            key => key,
        };
        if !KNOWN.contains(&key.as_str()) {
            return Err(Error::invalid(format!("{}: unknown setting {key:?}", file.display())).hint(KNOWN.join(", ")));
        }
        if flags.value_source(name) == Some(clap::parser::ValueSource::CommandLine) {
            return Err(Error::invalid(format!(
                "the following directives are specified both as a flag and in the configuration file: {key}: (from file: {value})"
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settled(words: &[&str]) -> Result<Settings> {
        match read(words.iter().map(OsString::from).collect())? {
            Wish::Run(settings) => Ok(*settings),
            Wish::Print(text, _) => Err(Error::invalid(text)),
        }
    }

    #[test]
    fn flags_say_where_and_hosts_may_be_many() {
        let settings = settled(&["--data-root=/a", "--exec-root", "/b", "-H", "unix:///c", "-H", "tcp://127.0.0.1:1", "-D"])
            .expect("good flags");
        assert_eq!(settings.paths, Paths::new("/a", "/b"));
        assert_eq!((settings.hosts.len(), settings.log_level), (2, Level::DEBUG));
        assert_eq!(settings.pid_file, Path::new("/b/daemon.pid"));
        assert!(settled(&["--nosuch"]).is_err() && settled(&["--log-level=loud"]).is_err());
    }

    #[test]
    fn a_setting_in_both_places_is_refused_and_an_unknown_one_too() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("daemon.json");
        let flag = format!("--config-file={}", file.display());
        assert!(settled(&[&flag]).unwrap_err().message().contains("there is no file"));
        std::fs::write(&file, r#"{"data-root":"/a","hosts":["unix:///x"]}"#).expect("room");
        assert_eq!(settled(&[&flag]).expect("a good file").hosts, ["unix:///x"]);
        assert!(settled(&[&flag, "--data-root=/b"]).unwrap_err().message().contains("both as a flag"));
        std::fs::write(&file, r#"{"data_root":"/a"}"#).expect("room");
        assert!(settled(&[&flag]).unwrap_err().message().contains("unknown setting"));
        std::fs::write(&file, "{").expect("room");
        assert!(settled(&[&flag]).unwrap_err().message().contains("daemon.json:1:1"));
    }
}
