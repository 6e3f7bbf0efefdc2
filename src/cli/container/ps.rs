//! # container ls: which containers are there
//!
//! The most typed command of all. The daemon lists and filters; this room makes the columns: ids cut to twelve digits,
//! commands to twenty columns in quotes, ports folded into ranges, times told as people tell them.
//!
//! ```text
//!   CONTAINER ID   IMAGE     COMMAND                  CREATED          STATUS         PORTS     NAMES
//!   1a1d8fea47e2   alpine    "sh -c 'sleep 123456…"   2 minutes ago    Up 2 minutes             lim
//! ```
//!
//! * [`run`]: the command. [`ContainerRow`]: one row, used by `system df -v` too. [`ports`]: the PORTS column.
//!
//! Laws: a size is computed by the daemon by walking files, so it is asked for only with `-s` or when the template uses it.
//! *See:* docker/cli `cli/command/container/list.go`, `formatter/container.go`. *Next room:* [`super::inspect`]

use crate::{
    filter::{self, Filters},
    flag,
    format::{self, Columns},
    session::Session,
    table,
    template::{Value, shapes::Kind, value::Row},
    terminal, words,
};
use clap::ArgMatches;
use jiff::Timestamp;
use minidock_base::{Error, Result, clock, id, units};
use minidock_client::Route;
use minidock_spec::{engine::container::Summary, engine::network::Port, reference::Reference};
use std::{cell::Cell, rc::Rc};

/// The headings of the columns.
pub const COLUMNS: Columns = &[
    ("ID", "CONTAINER ID"),
    ("Names", "NAMES"),
    ("Image", "IMAGE"),
    ("Command", "COMMAND"),
    ("CreatedAt", "CREATED AT"),
    ("RunningFor", "CREATED"),
    ("Ports", "PORTS"),
    ("State", "STATE"),
    ("Status", "STATUS"),
    ("Size", "SIZE"),
    ("Labels", "LABELS"),
    ("Mounts", "MOUNTS"),
    ("LocalVolumes", "LOCAL VOLUMES"),
    ("Networks", "NETWORKS"),
    ("Platform", "PLATFORM"),
];

const TABLE: &str = "table {{.ID}}\t{{.Image}}\t{{.Command}}\t{{.RunningFor}}\t{{.Status}}\t{{.Ports}}\t{{.Names}}";

/// The long form of a row: `--format raw`.
pub const RAW: &str = "container_id: {{.ID}}
image: {{.Image}}
command: {{.Command}}
created_at: {{.CreatedAt}}
state: {{- pad .State 1 0}}
status: {{- pad .Status 1 0}}
names: {{.Names}}
labels: {{- pad .Labels 1 0}}
ports: {{- pad .Ports 1 0}}
";

/// The flags of `container ls`.
pub fn command() -> clap::Command {
    flag::command("ls", "[OPTIONS]", "List containers")
        .arg(flag::switch("all", "Show all containers (default shows just running)").short('a'))
        .arg(filter::flag("Filter output based on conditions provided").short('f'))
        .arg(format::flag())
        .arg(flag::number("last", "int", "Show n last created containers (includes all states) (default -1)").short('n'))
        .arg(flag::switch("latest", "Show the latest created container (includes all states)").short('l'))
        .arg(flag::switch("no-trunc", "Don't truncate output"))
        .arg(flag::switch("quiet", "Only display container IDs").short('q'))
        .arg(flag::switch("size", "Display total file sizes").short('s'))
}

/// Lists containers.
///
/// # Errors
/// A template or a filter that is wrong; the daemon's refusal.
pub async fn run(m: &ArgMatches, session: &mut Session) -> Result<i32> {
    let quiet = m.get_flag("quiet");
    let typed = flag::text_of(m, "format").filter(|text| !text.is_empty());
    if quiet && typed.is_some() {
        terminal::eprint("WARNING: Ignoring custom format, because both --format and --quiet are set.\n");
    }
    let size = m.get_flag("size") || (!quiet && !words::is_given(m, "size") && uses_size(typed)?);
    let last = match flag::number_of(m, "last") {
        Some(n) if n > 0 => Some(n),
        _ => m.get_flag("latest").then_some(1),
    };
    let route = Route::new("/containers/json", [])
        .flag("all", m.get_flag("all") || last.is_some())
        .maybe("limit", last)
        .flag("size", size)
        .maybe("filters", Filters::of(m).json());
    let containers: Vec<Summary> = session.docker().await?.get(&route).await?;
    let format = match typed {
        None | Some("table") if quiet => "{{.ID}}".to_string(),
        None | Some("table") => format!("{TABLE}{}", if m.get_flag("size") { "\t{{.Size}}" } else { "" }),
        Some("raw") if quiet => "container_id: {{.ID}}".into(),
        Some("raw") => format!("{RAW}{}", if m.get_flag("size") { "size: {{.Size}}\n" } else { "" }),
        Some(_) if quiet => "{{.ID}}".into(),
        Some(custom) => custom.to_string(),
    };
    let (now, full) = (clock::now(), m.get_flag("no-trunc"));
    let rows: Vec<Rc<dyn Row>> =
        containers.into_iter().map(|summary| Rc::new(ContainerRow::new(summary, full, now)) as Rc<dyn Row>).collect();
    terminal::print(&format::render(&format, COLUMNS, &rows)?);
    Ok(0)
}

/// Runs the template over a row of nothing: does it ask for the size, or for what no container has?
fn uses_size(typed: Option<&str>) -> Result<bool> {
    let Some(template) = typed.filter(|text| !matches!(*text, "table" | "raw" | "json")) else { return Ok(false) };
    let failed = |what: &str, fault: crate::template::Fault| Error::invalid(format!("failed to {what} template: {fault}"));
    let parsed = crate::template::Template::parse(template).map_err(|fault| failed("parse", fault))?;
    let probe = Rc::new(ContainerRow::new(Summary::default(), false, Timestamp::UNIX_EPOCH));
    match parsed.render(&Value::Row(probe.clone())) {
        Err(fault) if fault.no_such_field => Err(failed("execute", fault)),
        // a fault that depends on the content of a row will show when there is one
        _ => Ok(probe.size_asked.get()),
    }
}

/// One container as a row of a table.
pub struct ContainerRow {
    pub summary: Summary,
    full: bool,
    now: Timestamp,
    size_asked: Cell<bool>,
}

impl ContainerRow {
    /// A row; `full` means nothing is shortened.
    pub fn new(summary: Summary, full: bool, now: Timestamp) -> ContainerRow {
        ContainerRow { summary, full, now, size_asked: Cell::new(false) }
    }

    fn names(&self) -> String {
        let names: Vec<&str> = self.summary.names.iter().map(|name| name.strip_prefix('/').unwrap_or(name)).collect();
        match names.iter().find(|name| !name.contains('/')) {
            Some(own) if !self.full => (*own).to_string(),
            _ => names.join(","),
        }
    }

    fn image(&self) -> String {
        let image = self.summary.image.as_str();
        if image.is_empty() {
            return "<no image>".into();
        }
        if self.full {
            return image.to_string();
        }
        let short = id::short(&self.summary.image_id);
        if short == id::short(image) {
            return short.to_string();
        }
        match Reference::parse_untagged(image) {
            Ok(mut reference) => {
                reference.digest = None;
                reference.familiar()
            }
            Err(_) => image.to_string(),
        }
    }

    fn command(&self) -> String {
        match self.full {
            true => format::quoted(&self.summary.command),
            false => format::quoted(&table::ellipsis(&self.summary.command, 20)),
        }
    }

    fn size(&self) -> String {
        self.size_asked.set(true);
        let own = units::human_size_3(self.summary.size_rw.unwrap_or(0) as f64);
        match self.summary.size_root_fs {
            Some(whole) if whole > 0 => format!("{own} (virtual {})", units::human_size_3(whole as f64)),
            _ => own,
        }
    }

    fn mounts(&self) -> String {
        let shown = |mount: &minidock_spec::engine::container::MountPoint| {
            let name = if mount.name.is_empty() { &mount.source } else { &mount.name };
            if self.full { name.clone() } else { table::ellipsis(name, 15) }
        };
        self.summary.mounts.iter().map(shown).collect::<Vec<_>>().join(",")
    }
}

impl Row for ContainerRow {
    fn type_name(&self) -> &'static str {
        "*formatter.ContainerContext"
    }

    fn columns(&self) -> &'static [&'static str] {
        &[
            "Command",
            "CreatedAt",
            "ID",
            "Image",
            "Labels",
            "LocalVolumes",
            "Mounts",
            "Names",
            "Networks",
            "Platform",
            "Ports",
            "RunningFor",
            "Size",
            "State",
            "Status",
        ]
    }

    fn column(&self, name: &str) -> Option<Value> {
        let c = &self.summary;
        Some(Value::text(match name {
            "ID" if self.full => c.id.clone(),
            "ID" => id::short(&c.id).to_string(),
            "Names" => self.names(),
            "Image" => self.image(),
            "Command" => self.command(),
            "CreatedAt" => format::local_time(c.created),
            "RunningFor" => format::ago(c.created, self.now),
            "Ports" => ports(&c.ports),
            "State" => c.state.clone(),
            "Status" => c.status.clone(),
            "Size" => self.size(),
            "Labels" => format::labels(c.labels.iter()),
            "Mounts" => self.mounts(),
            "LocalVolumes" => c.mounts.iter().filter(|mount| mount.driver == "local").count().to_string(),
            "Networks" => c.network_settings.networks.keys().cloned().collect::<Vec<_>>().join(","),
            "Platform" => return Some(Value::NilPointer(&Kind::Text)),
            _ => return None,
        }))
    }

    fn labelled(&self, name: &str, argument: &str) -> Option<Value> {
        (name == "Label").then(|| Value::text(self.summary.labels.get(argument).map_or("", String::as_str)))
    }
}

/// `0.0.0.0:8080->80/tcp, 443/tcp`: neighbouring ports with the same number on both sides are folded into a range.
pub fn ports(ports: &[Port]) -> String {
    let mut sorted: Vec<&Port> = ports.iter().collect();
    let address = |port: &Port| port.ip.clone().unwrap_or_default();
    sorted.sort_by_key(|port| (port.private_port, address(port), port.public_port, port.kind.clone()));
    let (mut groups, mut mapped): (Vec<Group>, Vec<String>) = (Vec::new(), Vec::new());
    let mut closed = Vec::new();
    for port in sorted {
        let ip = address(port);
        if !ip.is_empty() && port.public_port != Some(port.private_port) {
            let outside = host_port(&ip, &port.public_port.unwrap_or(0).to_string());
            mapped.push(format!("{outside}->{}/{}", port.private_port, port.kind));
            continue;
        }
        match groups.iter_mut().find(|group| group.ip == ip && group.kind == port.kind) {
            Some(group) if group.last.checked_add(1) == Some(port.private_port) => group.last = port.private_port,
            Some(group) => {
                closed.push(group.to_string());
                (group.first, group.last) = (port.private_port, port.private_port);
            }
            None => {
                let first = port.private_port;
                groups.push(Group { ip, kind: port.kind.clone(), first, last: first });
            }
        }
    }
    closed.extend(groups.iter().map(Group::to_string));
    closed.extend(mapped);
    closed.join(", ")
}

struct Group {
    ip: String,
    kind: String,
    first: u16,
    last: u16,
}

impl std::fmt::Display for Group {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let range = if self.first == self.last { self.first.to_string() } else { format!("{}-{}", self.first, self.last) };
        match self.ip.is_empty() {
            true => write!(f, "{range}/{}", self.kind),
            false => write!(f, "{}->{range}/{}", host_port(&self.ip, &range), self.kind),
        }
    }
}

/// `0.0.0.0:80`, `[::]:80`.
pub fn host_port(host: &str, port: &str) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn summary() -> Summary {
        serde_json::from_value(json!({
            "Id": "1a1d8fea47e2a8062cd6f3b33075e247b6e4525e1180393629960ec315c63a3b", "Names": ["/lim", "/other/lim"],
            "Image": "alpine", "ImageID": "sha256:9cbd2e6f7ffe2fae935a70a4c21a9353e2093eb9594942183ca7ed6474a4e84c",
            "Command": "sh -c 'sleep 12345678901234567890; exit 3'", "Created": 1795775184, "Ports": [], "SizeRw": 0,
            "SizeRootFs": 1982377, "Labels": {"c": "d", "a": "b"}, "State": "running", "Status": "Up 15 seconds",
            "HostConfig": {"NetworkMode": "none"}, "NetworkSettings": {"Networks": {"none": {}}},
            "Mounts": [{"Type": "volume", "Name": "vol1", "Driver": "local", "Destination": "/data"}, {"Type": "bind", "Source": "/tmp/a/very/long/path", "Destination": "/x"}]
        }))
        .expect("a summary")
    }

    fn shown(format: &str, full: bool) -> String {
        let now = Timestamp::from_second(1795775200).expect("a time");
        let rows: Vec<Rc<dyn Row>> = vec![Rc::new(ContainerRow::new(summary(), full, now))];
        format::render(format, COLUMNS, &rows).expect("a good format")
    }

    #[test]
    fn a_row_is_as_dockers() {
        assert_eq!(
            shown(TABLE, false),
            "CONTAINER ID   IMAGE     COMMAND                  CREATED          STATUS          PORTS     NAMES\n\
             1a1d8fea47e2   alpine    \"sh -c 'sleep 123456…\"   16 seconds ago   Up 15 seconds             lim\n"
        );
        assert_eq!(
            shown("{{.Size}}|{{.Labels}}|{{.Label \"a\"}}|{{.Mounts}}|{{.LocalVolumes}}|{{.Networks}}", false),
            "0B (virtual 1.98MB)|a=b,c=d|b|vol1,/tmp/a/very/lo…|1|none\n"
        );
        assert!(
            shown("{{.ID}} {{.Names}} {{.Command}}", true)
                .ends_with("ec315c63a3b lim,other/lim \"sh -c 'sleep 12345678901234567890; exit 3'\"\n")
        );
    }

    #[test]
    fn json_has_every_column_in_the_order_of_the_alphabet() {
        let line = shown("json", false);
        assert!(line.starts_with("{\"Command\":\"\\\"sh -c 'sleep 123456…\\\"\",\"CreatedAt\":"), "{line}");
        assert!(line.contains("\"Platform\":null,\"Ports\":\"\""), "{line}");
        let row = ContainerRow::new(summary(), false, Timestamp::UNIX_EPOCH);
        assert!(row.columns().is_sorted() && row.columns().len() == COLUMNS.len());
        assert!(row.columns().iter().all(|name| row.column(name).is_some()));
    }

    #[test]
    fn the_size_is_asked_for_only_when_the_template_uses_it() {
        assert!(uses_size(Some("{{.Size}}")).expect("good") && uses_size(Some("{{json .}}")).expect("good"));
        assert!(!uses_size(Some("{{.ID}}")).expect("good") && !uses_size(Some("json")).expect("good"));
        assert!(!uses_size(Some("{{slice .ID 1 3}}")).expect("a row of nothing is no reason to fail"));
        assert_eq!(
            uses_size(Some("{{.Foo}}")).unwrap_err().message(),
            "failed to execute template: template: :1:2: executing \"\" at <.Foo>: can't evaluate field Foo in type *formatter.ContainerContext"
        );
        assert_eq!(uses_size(Some("{{")).unwrap_err().message(), "failed to parse template: template: :1: unclosed action");
    }

    #[test]
    fn ports_are_folded() {
        let port = |private: u16, public: Option<u16>, ip: &str, kind: &str| Port {
            ip: (!ip.is_empty()).then(|| ip.to_string()),
            private_port: private,
            public_port: public,
            kind: kind.to_string(),
        };
        let all = [
            port(80, Some(8080), "0.0.0.0", "tcp"),
            port(80, Some(8080), "::", "tcp"),
            port(443, None, "", "tcp"),
            port(9000, Some(9000), "0.0.0.0", "tcp"),
            port(9001, Some(9001), "0.0.0.0", "tcp"),
            port(53, None, "", "udp"),
            port(54, None, "", "udp"),
            port(60, None, "", "udp"),
        ];
        assert_eq!(
            ports(&all),
            "53-54/udp, 60/udp, 443/tcp, 0.0.0.0:9000-9001->9000-9001/tcp, 0.0.0.0:8080->80/tcp, [::]:8080->80/tcp"
        );
        assert_eq!(ports(&[]), "");
    }
}
