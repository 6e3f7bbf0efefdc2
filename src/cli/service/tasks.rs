//! # Tasks: what became of each slot
//!
//! `service ps`, `node ps` and `stack ps` print one table. A task is never started again: when it has ended, another takes its slot. So a slot has a
//! history, newest first, and the older ones hang below it:
//!
//! ```text
//!   ID             NAME        IMAGE           NODE      DESIRED STATE   CURRENT STATE            ERROR                       PORTS
//!   hf53i3nuf1vp   web.1       alpine:latest   node1     Running         Running 2 seconds ago
//!   pqr2yw9kfo4o    \_ web.1   alpine:latest   node2     Shutdown        Failed 3 seconds ago     "task: non-zero exit (1)"
//! ```
//!
//! * [`Names`]: what services and nodes are called, asked for once. [`render`]: the table.
//!
//! Laws: a name that is not known any more is its ID; the tree is for tables only. *See:* docker/cli `cli/command/task`.
//! *Next room:* [`super::ps`]

use crate::{
    format::{self, Columns, Own},
    page::capital,
    table,
    template::{Value, value::Row},
    volume::natural,
};
use jiff::Timestamp;
use minidock_base::{Result, id, units};
use minidock_client::{Docker, Route};
use minidock_spec::{
    reference::Reference,
    swarm::{node::Node, service::Service, task::Task},
};
use std::{collections::BTreeMap, rc::Rc, time::Duration};

const COLUMNS: Columns = &[
    ("ID", "ID"),
    ("Name", "NAME"),
    ("Image", "IMAGE"),
    ("Node", "NODE"),
    ("DesiredState", "DESIRED STATE"),
    ("CurrentState", "CURRENT STATE"),
    ("Error", "ERROR"),
    ("Ports", "PORTS"),
];

const OWN: Own = Own {
    table: "table {{.ID}}\t{{.Name}}\t{{.Image}}\t{{.Node}}\t{{.DesiredState}}\t{{.CurrentState}}\t{{.Error}}\t{{.Ports}}",
    quiet: "{{.ID}}",
    raw: Some((
        "id: {{.ID}}\nname: {{.Name}}\nimage: {{.Image}}\nnode: {{.Node}}\ndesired_state: {{.DesiredState}}\ncurrent_state: {{.CurrentState}}\nerror: {{.Error}}\nports: {{.Ports}}\n",
        "id: {{.ID}}",
    )),
};

/// How many columns a reason may take.
const ERROR_WIDTH: usize = 30;

/// What services and nodes are called, by ID.
#[derive(Debug, Default)]
pub struct Names {
    pub services: BTreeMap<String, String>,
    pub nodes: BTreeMap<String, String>,
}

impl Names {
    /// Asks for all names, unless IDs are wanted.
    ///
    /// # Errors
    /// The daemon's refusal.
    pub async fn ask(docker: &Docker, resolve: bool) -> Result<Names> {
        if !resolve {
            return Ok(Names::default());
        }
        let services: Vec<Service> = docker.get(&Route::new("/services", [])).await?;
        let nodes: Vec<Node> = docker.get(&Route::new("/nodes", [])).await?;
        let name_of = |node: &Node| match node.spec.name.as_str() {
            "" => node.description.hostname.clone(),
            name => name.to_string(),
        };
        Ok(Names {
            services: services.into_iter().map(|service| (service.id, service.spec.name)).collect(),
            nodes: nodes.into_iter().map(|node| (node.id.clone(), name_of(&node))).collect(),
        })
    }

    /// A service's name, or its ID.
    pub fn service<'a>(&'a self, id: &'a str) -> &'a str {
        self.services.get(id).map_or(id, String::as_str)
    }

    /// A node's name, or its ID.
    pub fn node<'a>(&'a self, id: &'a str) -> &'a str {
        self.nodes.get(id).filter(|name| !name.is_empty()).map_or(id, String::as_str)
    }
}

/// How the table is wanted.
#[derive(Clone, Copy, Debug)]
pub struct Look<'a> {
    pub format: Option<&'a str>,
    /// Nothing is shortened.
    pub full: bool,
    pub quiet: bool,
}

/// The table of `tasks`, each slot's history together.
///
/// # Errors
/// A template that is wrong.
pub fn render(tasks: Vec<Task>, names: &Names, look: Look<'_>, now: Timestamp) -> Result<String> {
    let format = OWN.or(look.format, look.quiet);
    let mut named: Vec<(String, Task)> = tasks.into_iter().map(|task| (name(&task, names), task)).collect();
    named.sort_by_cached_key(|(name, task)| (natural(name), std::cmp::Reverse(task.created_at)));
    let indent = if format.starts_with("table") { " \\_ " } else { "" };
    let mut rows: Vec<Rc<dyn Row>> = Vec::new();
    let mut before = String::new();
    for (name, task) in named {
        let shown = if name == before { format!("{indent}{name}") } else { name.clone() };
        let node = names.node(&task.node_id).to_string();
        rows.push(Rc::new(TaskRow { task, name: shown, node, full: look.full, now }));
        before = name;
    }
    format::render(format, COLUMNS, &rows)
}

/// `web.1`, or `web.NODE` of a global service.
fn name(task: &Task, names: &Names) -> String {
    let service = names.service(&task.service_id);
    match task.slot {
        0 => format!("{service}.{}", task.node_id),
        slot => format!("{service}.{slot}"),
    }
}

/// The image as people write it: without the digest, if it has a tag.
pub fn familiar(image: &str) -> String {
    match Reference::parse_untagged(image) {
        Ok(reference) if reference.tag.is_some() => Reference { digest: None, ..reference }.familiar(),
        _ => image.to_string(),
    }
}

struct TaskRow {
    task: Task,
    name: String,
    node: String,
    full: bool,
    now: Timestamp,
}

impl Row for TaskRow {
    fn type_name(&self) -> &'static str {
        "*task.taskContext"
    }

    fn columns(&self) -> &'static [&'static str] {
        &["CurrentState", "DesiredState", "Error", "ID", "Image", "Name", "Node", "Ports"]
    }

    fn column(&self, name: &str) -> Option<Value> {
        let (task, status) = (&self.task, &self.task.status);
        let image = || task.spec.container_spec.as_ref().map(|spec| spec.image.as_str()).unwrap_or_default();
        Some(Value::text(match name {
            "ID" if self.full => task.id.clone(),
            "ID" => id::short(&task.id).to_string(),
            "Name" => self.name.clone(),
            "Image" if self.full => image().to_string(),
            "Image" => familiar(image()),
            "Node" => self.node.clone(),
            "DesiredState" => capital(&task.desired_state.to_string()),
            "CurrentState" => {
                let since = status
                    .timestamp
                    .map_or(Duration::ZERO, |at| Duration::try_from(self.now.duration_since(at)).unwrap_or_default());
                format!("{} {} ago", capital(&status.state.to_string()), units::human_duration(since).to_lowercase())
            }
            "Error" if status.err.is_empty() => String::new(),
            "Error" if self.full => format!("\"{}\"", status.err),
            "Error" => format!("\"{}\"", table::ellipsis(&status.err, ERROR_WIDTH)),
            "Ports" => {
                let port = |p: &minidock_spec::swarm::service::EndpointPort| {
                    format!("*:{}->{}/{}", p.published_port, p.target_port, p.protocol)
                };
                status.port_status.ports.iter().map(port).collect::<Vec<_>>().join(",")
            }
            _ => return None,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn tasks() -> Vec<Task> {
        let task = |id: &str, slot: u64, at: &str, state: &str, desired: &str, err: &str| {
            serde_json::from_value(json!({
                "ID": id, "ServiceID": "s1", "NodeID": "n1", "Slot": slot, "CreatedAt": at, "DesiredState": desired,
                "Spec": {"ContainerSpec": {"Image": "alpine:latest@sha256:0000000000000000000000000000000000000000000000000000000000000000"}},
                "Status": {"State": state, "Timestamp": at, "Err": err, "PortStatus": {"Ports": if slot == 10 { json!([{"TargetPort": 80, "PublishedPort": 8080, "Protocol": "tcp", "PublishMode": "host"}]) } else { json!([]) }}}
            }))
            .expect("a task")
        };
        vec![
            task(
                "pqr2yw9kfo4ocxq0u0qo9599b",
                2,
                "2026-11-27T10:00:00Z",
                "failed",
                "shutdown",
                "task: non-zero exit (1): and a good deal more",
            ),
            task("26kc2wfvx9us0000000000000", 10, "2026-11-27T10:00:57Z", "running", "running", ""),
            task("hf53i3nuf1vp5zl4qxzyoze86", 2, "2026-11-27T10:00:55Z", "running", "running", ""),
        ]
    }

    fn names() -> Names {
        let pair = |a: &str, b: &str| BTreeMap::from([(a.to_string(), b.to_string())]);
        Names { services: pair("s1", "web"), nodes: pair("n1", "node1") }
    }

    fn show(format: Option<&str>, full: bool, quiet: bool, names: &Names) -> String {
        let now = "2026-11-27T10:01:00Z".parse().expect("a moment");
        let text = render(tasks(), names, Look { format, full, quiet }, now).expect("a table");
        text.lines().map(|line| format!("{}\n", line.trim_end())).collect()
    }

    #[test]
    fn a_slots_history_hangs_below_it() {
        assert_eq!(
            show(None, false, false, &names()),
            "ID             NAME        IMAGE           NODE      DESIRED STATE   CURRENT STATE               ERROR                              PORTS\n\
             hf53i3nuf1vp   web.2       alpine:latest   node1     Running         Running 5 seconds ago\n\
             pqr2yw9kfo4o    \\_ web.2   alpine:latest   node1     Shutdown        Failed about a minute ago   \"task: non-zero exit (1): and …\"\n\
             26kc2wfvx9us   web.10      alpine:latest   node1     Running         Running 3 seconds ago                                          *:8080->80/tcp\n"
        );
    }

    #[test]
    fn ids_stay_ids_if_names_are_not_wanted_and_nothing_is_cut_if_all_is() {
        assert_eq!(show(Some("{{.Name}} {{.Node}}"), false, false, &Names::default()), "s1.2 n1\ns1.2 n1\ns1.10 n1\n");
        assert_eq!(show(None, true, true, &names()).lines().next(), Some("hf53i3nuf1vp5zl4qxzyoze86"));
        assert!(show(Some("{{.Image}} {{.Error}}"), true, false, &names()).contains("@sha256:0000"));
        let json = show(Some("json"), false, false, &names());
        assert_eq!(
            json.lines().next(),
            Some(
                "{\"CurrentState\":\"Running 5 seconds ago\",\"DesiredState\":\"Running\",\"Error\":\"\",\"ID\":\"hf53i3nuf1vp\",\"Image\":\"alpine:latest\",\"Name\":\"web.2\",\"Node\":\"node1\",\"Ports\":\"\"}"
            )
        );
    }
}
