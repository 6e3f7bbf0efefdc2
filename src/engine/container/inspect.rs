//! # Inspect: from a record to the API's body
//!
//! `docker inspect` shows everything that is known of one container. Its shape is a contract older than this program: which
//! field is `null` when empty and which is `[]`, where a zero time stands, which paths exist. This room is a
//! translation from [`Record`] to [`Inspect`] and adds only what a record does not hold: where files lie, which execs run,
//! and, when asked, sizes.
//!
//! * [`inspect`] is the call; [`summary_mounts`] and [`networks`] are shared with the list.
//! * A start that failed leaves a container that never ran: Docker calls that `created`, with an exit code and an error.
//! * Networks are shown as Docker shows them: what was asked for always, what is only while it runs; the fields beside
//!   `Networks` are those of the default network, for clients older than other networks.
//!
//! See: moby `daemon/inspect.go`, `api/types/container`. Next room: [`crate::container::list`]

use crate::{
    Engine,
    container::{
        record::{Mount, Phase, Record},
        size,
    },
    networks::{
        links, ports,
        wishes::{BRIDGE, is_user_defined},
    },
};
use minidock_base::{Result, clock::rfc3339, id};
use minidock_spec::engine::{
    container::{GraphDriver, HostConfig, Inspect, MountPoint, State},
    network::{EndpointSettings, NetworkSettings},
};
use std::{collections::BTreeMap, path::Path, sync::Arc};

/// `GET /containers/{id}/json?size=`, as the API's version `1.<minor>` has it.
///
/// # Errors
/// `No such container: x`; with `with_size`, what the disk says.
pub async fn inspect(engine: &Arc<Engine>, id: &str, with_size: bool, minor: u16) -> Result<Inspect> {
    let record = engine.containers.find(id)?.record();
    let mut shown = describe(engine, &record);
    if minor < 45 {
        names_among_aliases(&record, &mut shown.network_settings.networks);
    }
    if with_size {
        let sizes = size::of_container(engine, &record).await?;
        (shown.size_rw, shown.size_root_fs) = (Some(sizes.rw), Some(sizes.root_fs));
    }
    Ok(shown)
}

/// Before `DNSNames` were shown, clients looked for them among the aliases.
fn names_among_aliases(record: &Record, networks: &mut BTreeMap<String, EndpointSettings>) {
    for place in networks.iter_mut().filter(|(name, _)| is_user_defined(name)).map(|(_, place)| place) {
        let aliases = place.aliases.get_or_insert_default();
        for name in [id::short(&record.id), record.config.hostname.as_str()] {
            if !aliases.iter().any(|known| known == name) {
                aliases.push(name.to_string());
            }
        }
    }
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
    let main = record.networking.places.get(&record.host_config.network_mode);
    if let Some(mac) = main.map(|place| place.desired_mac.clone()).filter(|mac| !mac.is_empty()) {
        config.mac_address.get_or_insert(mac); // where clients before 1.44 look for it
    }
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
        host_config: HostConfig { links: links::shown(engine, record), ..record.host_config.clone() },
        graph_driver: graph_driver(engine, record),
        size_rw: None,
        size_root_fs: None,
        mounts: summary_mounts(record),
        config,
        network_settings: network_settings(engine, record),
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
    let shown = |m: &&Mount| !m.hidden && (m.point.kind != "tmpfs" || m.by_mount_flag);
    record.mounts.iter().filter(shown).map(|m| m.point.clone()).collect()
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

fn network_settings(engine: &Engine, record: &Record) -> NetworkSettings {
    let networking = &record.networking;
    let networks = networks(record);
    let default = networks.get(BRIDGE).cloned().unwrap_or_default();
    let ports = match networking.places.values().any(|place| place.plugged.is_some()) {
        true => ports::shown(&record.config, &networking.published),
        false => BTreeMap::new(),
    };
    NetworkSettings {
        sandbox_id: networking.sandbox_id.clone(),
        sandbox_key: sandbox_key(engine, record),
        ports,
        endpoint_id: default.endpoint_id,
        gateway: default.gateway,
        global_ipv6_address: default.global_ipv6_address,
        global_ipv6_prefix_len: default.global_ipv6_prefix_len,
        ip_address: default.ip_address,
        ip_prefix_len: default.ip_prefix_len,
        ipv6_gateway: default.ipv6_gateway,
        mac_address: default.mac_address,
        networks,
        ..NetworkSettings::default()
    }
}

/// Where its network namespace can be entered: the pin, or, where none is needed (`none`, `host`), its process.
fn sandbox_key(engine: &Engine, record: &Record) -> String {
    let pin = record.networking.sandbox_id.get(..12).map(|id| engine.paths.netns(id));
    let unpinned = record.networking.places.keys().any(|name| matches!(name.as_str(), "host" | "none"));
    match pin {
        Some(_) if unpinned && record.state.has_process() => format!("/proc/{}/ns/net", record.state.pid),
        Some(pin) if !unpinned => text(&pin),
        _ => String::new(),
    }
}

/// Its places on networks, by the network's name.
pub fn networks(record: &Record) -> BTreeMap<String, EndpointSettings> {
    record.networking.places.iter().map(|(name, place)| (name.clone(), place.settings.clone())).collect()
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
