//! # List: `ps`, and what it leaves out
//!
//! One row for each container that runs, or for all of them, narrowed by filters. [`Filter`] reads the filters once and refuses
//! what it does not understand; [`Filter::fits`] then is a plain function of one record, tried in tests without a
//! container.
//!
//! * Values of one filter are alternatives, filters are conditions. `name` and `id` are regular expressions that may match
//!   anywhere, as Docker's are.
//! * A `status` filter or a limit means *all* containers; newest come first.
//! * [`status`] is the sentence in the STATUS column: `Up 3 seconds (healthy)`, `Exited (0) 2 minutes ago`.
//!
//! See: moby `daemon/list.go`, `container/state.go` (String). Next room: [`crate::container::size`]

use crate::{
    Engine,
    container::{
        inspect::{networks, never_ran, state, summary_mounts},
        record::{Phase, Record},
        size,
    },
    networks::ports,
};
use jiff::Timestamp;
use minidock_base::{Error, Result, clock, units::human_duration};
use minidock_spec::{
    digest::Digest,
    engine::{
        container::{Summary, SummaryHostConfig, SummaryNetworks},
        filters::Filters,
        network::Port,
    },
    reference::Reference,
};
use regex::Regex;
use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

/// What `GET /containers/json` asks for.
#[derive(Clone, Debug, Default)]
pub struct ListOptions {
    pub all: bool,
    pub size: bool,
    /// The newest so many, running or not; 0 and less: no limit.
    pub limit: i64,
    pub filters: Filters,
}

const KNOWN: &[&str] = &[
    "ancestor",
    "before",
    "exited",
    "expose",
    "health",
    "id",
    "is-task",
    "isolation",
    "label",
    "name",
    "network",
    "publish",
    "since",
    "status",
    "volume",
];

/// `GET /containers/json`.
///
/// # Errors
/// 400 for filters that make no sense, 404 for a `before` or `since` that is not there.
pub async fn list(engine: &Arc<Engine>, options: ListOptions) -> Result<Vec<Summary>> {
    let filter = Filter::read(engine, &options.filters)?;
    let all = options.all || options.limit > 0 || options.filters.contains("status");
    let limit = if options.limit > 0 { options.limit as usize } else { usize::MAX };
    let records: Vec<Arc<Record>> = engine
        .containers
        .all()
        .iter()
        .map(|c| c.record())
        .filter(|r| (all || r.state.is_running()) && filter.fits(r))
        .take(limit)
        .collect();
    let mut rows = Vec::with_capacity(records.len());
    // names are asked for once, however many containers have them
    let mut meant: HashMap<&str, Option<Digest>> = HashMap::new();
    for record in &records {
        let name = record.config.image.as_str();
        let now = meant.entry(name).or_insert_with(|| engine.images.store.resolve(name).ok().map(|image| image.id));
        let mut row = summary(record);
        if now.as_ref() != Some(&record.image) {
            // the name has moved on to another image, or is gone: the container has not
            row.image = record.image.to_string();
        }
        if options.size {
            let sizes = size::of_container(engine, record).await?;
            (row.size_rw, row.size_root_fs) = (Some(sizes.rw), Some(sizes.root_fs));
        }
        rows.push(row);
    }
    Ok(rows)
}

/// One row.
fn summary(record: &Record) -> Summary {
    Summary {
        id: record.id.clone(),
        names: vec![format!("/{}", record.name)],
        image: record.config.image.clone(),
        image_id: record.image.to_string(),
        command: command(record),
        created: record.created.as_second(),
        labels: record.config.labels.clone(),
        state: state(record).status,
        status: status(record, clock::now()),
        host_config: SummaryHostConfig {
            network_mode: record.host_config.network_mode.clone(),
            annotations: record.host_config.annotations.clone(),
        },
        ports: rows(record),
        network_settings: SummaryNetworks { networks: networks(record) },
        mounts: summary_mounts(record),
        ..Summary::default()
    }
}

/// Its ports; none while it does not run.
fn rows(record: &Record) -> Vec<Port> {
    match record.networking.places.values().any(|place| place.plugged.is_some()) {
        true => ports::rows(&record.config, &record.networking.published),
        false => Vec::new(),
    }
}

/// The program and its arguments; those with a space in quotes.
fn command(record: &Record) -> String {
    let quoted = |arg: &String| if arg.contains(' ') { format!("'{arg}'") } else { arg.clone() };
    std::iter::once(record.path.clone()).chain(record.args.iter().map(quoted)).collect::<Vec<_>>().join(" ")
}

/// The sentence in the STATUS column.
pub fn status(record: &Record, now: Timestamp) -> String {
    let state = &record.state;
    let ago = |at: Option<Timestamp>| {
        let passed = at.map(|at| Duration::try_from(now.duration_since(at)).unwrap_or_default());
        human_duration(passed.unwrap_or_default())
    };
    match state.phase {
        Phase::Paused => format!("Up {} (Paused)", ago(state.started_at)),
        Phase::Restarting => format!("Restarting ({}) {} ago", state.exit_code, ago(state.finished_at)),
        Phase::Running => match record.health.as_ref().map(|h| h.status.as_str()) {
            None => format!("Up {}", ago(state.started_at)),
            Some("starting") => format!("Up {} (health: starting)", ago(state.started_at)),
            Some(health) => format!("Up {} ({health})", ago(state.started_at)),
        },
        Phase::Removing => "Removal In Progress".into(),
        Phase::Dead => "Dead".into(),
        Phase::Created => "Created".into(),
        Phase::Exited if never_ran(record) => "Created".into(),
        Phase::Exited => format!("Exited ({}) {} ago", state.exit_code, ago(state.finished_at)),
    }
}

/// The filters, read once.
struct Filter {
    filters: Filters,
    names: Vec<Regex>,
    ids: Vec<Regex>,
    exited: Vec<i64>,
    before: Option<Timestamp>,
    since: Option<Timestamp>,
    /// The images named by `ancestor`, and all that were made of them.
    ancestors: BTreeSet<Digest>,
}

impl Filter {
    fn read(engine: &Engine, filters: &Filters) -> Result<Filter> {
        filters.accept(KNOWN)?;
        let bad = |key: &str, value: &str| Err(Error::invalid(format!("invalid filter '{key}={value}'")));
        for value in filters.values("status") {
            if !["created", "running", "paused", "restarting", "removing", "exited", "dead"].contains(&value) {
                return bad("status", value);
            }
        }
        for value in filters.values("health") {
            if !["none", "starting", "healthy", "unhealthy"].contains(&value) {
                return bad("health", value);
            }
        }
        filters.boolean("is-task", false)?;
        let exited: Vec<i64> = match filters.values("exited").map(str::parse).collect() {
            Ok(codes) => codes,
            Err(_) => return bad("exited", filters.values("exited").next().unwrap_or_default()),
        };
        for key in ["publish", "expose"] {
            if let Some(value) = filters.values(key).find(|v| port_range(v).is_none()) {
                return bad(key, value);
            }
        }
        let created = |key: &str, newest: bool| -> Result<Option<Timestamp>> {
            let found: Result<Vec<_>> =
                filters.values(key).map(|id| Ok(engine.containers.find(id)?.record().created)).collect();
            let found = found?.into_iter();
            Ok(if newest { found.max() } else { found.min() })
        };
        // a text that is no regular expression matches nothing, as with Docker
        let patterns = |key: &str| filters.values(key).filter_map(|v| Regex::new(v).ok()).collect::<Vec<_>>();
        Ok(Filter {
            names: patterns("name"),
            ids: patterns("id"),
            exited,
            before: created("before", false)?,
            since: created("since", true)?,
            ancestors: family(engine, filters.values("ancestor")),
            filters: filters.clone(),
        })
    }

    /// `publish` and `expose` are alternatives to each other, and look at the ports as they are now, as with Docker.
    fn ports(&self, record: &Record) -> bool {
        let filters = &self.filters;
        if !filters.contains("publish") && !filters.contains("expose") {
            return true;
        }
        let any = |key: &str, port: Option<u16>, kind: &str| {
            port.is_some_and(|port| filters.values(key).any(|v| in_range(v, &format!("{port}/{kind}"))))
        };
        rows(record)
            .iter()
            .any(|row| any("publish", row.public_port, &row.kind) || any("expose", Some(row.private_port), &row.kind))
    }

    /// Whether this container is to be shown.
    fn fits(&self, record: &Record) -> bool {
        let filters = &self.filters;
        let any = |key: &str, is: &dyn Fn(&str) -> bool| !filters.contains(key) || filters.values(key).any(is);
        let health = record.health.as_ref().map_or("none", |h| h.status.as_str());
        any("name", &|_| self.names.iter().any(|p| p.is_match(&record.name) || p.is_match(&format!("/{}", record.name))))
            && any("id", &|_| self.ids.iter().any(|p| p.is_match(&record.id)))
            && filters.exact("status", &state(record).status)
            && filters.exact("health", health)
            && any("exited", &|_| {
                self.exited.contains(&record.state.exit_code) && !record.state.is_running() && !never_ran(record)
            })
            && filters.labels("label", &record.config.labels)
            && self.before.is_none_or(|at| record.created < at)
            && self.since.is_none_or(|at| record.created > at)
            && any("is-task", &|v| matches!(v, "0" | "false" | "False"))
            && any("volume", &|v| record.mounts.iter().any(|m| m.point.name == v || m.point.destination == v))
            && any("network", &|v| networks(record).iter().any(|(name, place)| name == v || place.network_id.starts_with(v)))
            && any("ancestor", &|v| self.ancestors.contains(&record.image) || same_image(v, record))
            && self.ports(record)
    }
}

/// The images of these names, and their children to the last.
fn family<'a>(engine: &Engine, names: impl Iterator<Item = &'a str>) -> BTreeSet<Digest> {
    let mut family: BTreeSet<Digest> = names.filter_map(|name| Some(engine.images.store.resolve(name).ok()?.id)).collect();
    if family.is_empty() {
        return family;
    }
    let all = engine.images.store.list();
    loop {
        let known = family.len();
        let children = all.iter().filter(|image| image.parent.as_ref().is_some_and(|parent| family.contains(parent)));
        let children: Vec<Digest> = children.map(|image| image.id.clone()).collect();
        family.extend(children);
        if family.len() == known {
            return family;
        }
    }
}

/// Whether this text means the image of this container: its name in any spelling, or the beginning of its id.
fn same_image(wanted: &str, record: &Record) -> bool {
    let id = record.image.to_string();
    let hex = wanted.strip_prefix("sha256:").unwrap_or(wanted);
    let by_id = hex.len() >= 4 && id.strip_prefix("sha256:").is_some_and(|whole| whole.starts_with(hex));
    by_id || same_reference(wanted, &record.config.image)
}

fn same_reference(wanted: &str, image: &str) -> bool {
    match (Reference::parse(wanted), Reference::parse(image)) {
        (Ok(wanted), Ok(image)) => wanted == image,
        _ => wanted == image,
    }
}

/// Whether `80/tcp` is among `80`, `80/tcp` or `79-81/tcp`.
fn in_range(wanted: &str, port: &str) -> bool {
    match (port_range(wanted), port_range(port)) {
        (Some((low, high, wanted)), Some((port, _, protocol))) => wanted == protocol && (low..=high).contains(&port),
        _ => false,
    }
}

/// `79-81/tcp`: from, to, protocol.
fn port_range(text: &str) -> Option<(u16, u16, &str)> {
    let (ports, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let (low, high) = ports.split_once('-').unwrap_or((ports, ports));
    Some((low.parse().ok()?, high.parse().ok()?, protocol))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_found_in_ranges() {
        assert!(in_range("80", "80/tcp") && in_range("79-81/tcp", "80/tcp"));
        assert!(!in_range("80/udp", "80/tcp") && !in_range("x", "80/tcp") && !in_range("", ""));
    }

    #[test]
    fn one_image_has_many_spellings() {
        assert!(same_reference("alpine", "docker.io/library/alpine:latest"));
        assert!(!same_reference("alpine:3", "alpine"));
    }
}
