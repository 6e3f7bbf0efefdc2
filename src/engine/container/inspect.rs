//! # Inspect: from a record to the API's body
//!
//! `docker inspect` shows everything that is known of one container. Its shape is a contract older than this program: which
//! field is `null` when empty and which is `[]`, where a zero time stands, which paths exist. This room is a
//! translation from [`Record`] to [`Inspect`] and adds only what a record does not hold: where files lie, which execs run,
//! and, when asked, sizes.
//!
//! * [`inspect`] is the call; [`summary_mounts`] and [`networks`] are shared with the list.
//! * A start that failed leaves a container that never ran: Docker calls that `created`, with an exit code and an error.
//! * There is no network floor yet: `none` and `host` are what they say; a container that asked for the default network has
//!   a network stack of its own with loopback alone, and shows its endpoint without addresses.
//!
//! See: moby `daemon/inspect.go`, `api/types/container`. Next room: [`crate::container::list`]

use crate::{
    Engine,
    container::{
        record::{Phase, Record},
        size,
    },
};
use minidock_base::{Result, clock::rfc3339};
use minidock_spec::engine::{
    container::{GraphDriver, Inspect, MountPoint, State},
    network::{EndpointSettings, NetworkSettings},
};
use std::{collections::BTreeMap, path::Path, sync::Arc};

/// `GET /containers/{id}/json?size=`.
///
/// # Errors
/// `No such container: x`; with `with_size`, what the disk says.
pub async fn inspect(engine: &Arc<Engine>, id: &str, with_size: bool) -> Result<Inspect> {
    let record = engine.containers.find(id)?.record();
    let mut shown = describe(engine, &record);
    if with_size {
        let sizes = size::of_container(engine, &record).await?;
        (shown.size_rw, shown.size_root_fs) = (Some(sizes.rw), Some(sizes.root_fs));
    }
    Ok(shown)
}

fn describe(engine: &Engine, record: &Record) -> Inspect {
    let folder = engine.paths.container(&record.id);
    // what `start` writes is not there before the first one
    let made = |path: &Path| if record.state.phase == Phase::Created { String::new() } else { text(path) };
    let file = |name: &str| made(&folder.join(name));
    let execs = engine.execs.of(&record.id);
    let logs = matches!(record.host_config.log_config.kind.as_str(), "" | "json-file");
    // the command line sends an empty set; Docker shows it as none
    let mut config = record.config.clone();
    config.volumes = config.volumes.filter(|set| !set.is_empty());
    Inspect {
        id: record.id.clone(),
        created: rfc3339(record.created),
        path: record.path.clone(),
        args: record.args.clone(),
        state: state(record),
        image: record.image.to_string(),
        resolv_conf_path: file("resolv.conf"),
        hostname_path: file("hostname"),
        hosts_path: file("hosts"),
        log_path: if logs { made(&engine.paths.container_log(&record.id)) } else { String::new() },
        name: format!("/{}", record.name),
        restart_count: record.restart_count,
        driver: "overlay2".into(),
        platform: "linux".into(),
        mount_label: String::new(),
        process_label: String::new(),
        app_armor_profile: String::new(),
        exec_ids: (!execs.is_empty()).then_some(execs),
        host_config: record.host_config.clone(),
        graph_driver: graph_driver(engine, record),
        size_rw: None,
        size_root_fs: None,
        mounts: summary_mounts(record),
        config,
        network_settings: network_settings(record),
    }
}

/// How it is now, in Docker's words.
pub fn state(record: &Record) -> State {
    let mut state = record.state.to_api(record.health.clone());
    if never_ran(record) {
        state.status = Phase::Created.word().into();
    }
    state
}

/// Whether it was made, and perhaps tried, but never ran.
pub fn never_ran(record: &Record) -> bool {
    matches!(record.state.phase, Phase::Created | Phase::Exited) && record.state.started_at.is_none()
}

/// Its mounts as the API shows them; a tmpfs of `--tmpfs` is listed in the host configuration only.
pub fn summary_mounts(record: &Record) -> Vec<MountPoint> {
    record.mounts.iter().filter(|m| m.point.kind != "tmpfs" || m.by_mount_flag).map(|m| m.point.clone()).collect()
}

fn graph_driver(engine: &Engine, record: &Record) -> GraphDriver {
    let folder = engine.paths.container(&record.id);
    let image = engine.images.store.by_id(&record.image);
    // an image whose layers have got lost is told by `start`, not here
    let lower = image.and_then(|image| engine.images.store.lower_dirs(&image)).unwrap_or_default();
    let data = [
        ("LowerDir", lower.iter().map(|p| text(p)).collect::<Vec<_>>().join(":")),
        ("MergedDir", text(&folder.join("merged"))),
        ("UpperDir", text(&engine.paths.container_diff(&record.id))),
        ("WorkDir", text(&engine.paths.container_work(&record.id))),
    ];
    GraphDriver { name: "overlay2".into(), data: data.into_iter().map(|(key, value)| (key.to_string(), value)).collect() }
}

fn network_settings(record: &Record) -> NetworkSettings {
    NetworkSettings { networks: networks(record), ..NetworkSettings::default() }
}

/// Its places on networks, by the network's name.
pub fn networks(record: &Record) -> BTreeMap<String, EndpointSettings> {
    let name = match record.host_config.network_mode.as_str() {
        mode if mode.starts_with("container:") => return BTreeMap::new(),
        "" | "default" | "bridge" => "bridge",
        named => named,
    };
    let mut endpoint =
        record.endpoints.get(name).or_else(|| record.endpoints.get("default")).cloned().flatten().unwrap_or_default();
    if matches!(name, "none" | "host") {
        endpoint.network_id = network_id(name);
    }
    BTreeMap::from([(name.to_string(), endpoint)])
}

/// The id of a network that is always there: its name in hexadecimal, filled up.
pub fn network_id(name: &str) -> String {
    let hex: String = name.bytes().map(|b| format!("{b:02x}")).collect();
    format!("{hex:0<64}")
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
