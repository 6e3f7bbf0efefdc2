//! # network ls: which networks there are
//!
//! ```text
//!   NETWORK ID     NAME      DRIVER    SCOPE
//!   9d90d01a3870   bridge    bridge    local
//! ```
//!
//! *See:* docker/cli `cli/command/network/list.go`, `formatter.go`. *Next room:* [`super::remove`]

use crate::{
    filter::{self, Filters},
    flag,
    format::{self, Columns, Own},
    session::Session,
    template::{Value, print, value::Row},
    terminal,
    volume::natural,
};
use clap::ArgMatches;
use minidock_base::{Result, id};
use minidock_client::Route;
use serde_json::Value as Json;
use std::rc::Rc;

const COLUMNS: Columns = &[
    ("ID", "NETWORK ID"),
    ("Name", "NAME"),
    ("Driver", "DRIVER"),
    ("Scope", "SCOPE"),
    ("IPv4", "IPV4"),
    ("IPv6", "IPV6"),
    ("Internal", "INTERNAL"),
    ("Labels", "LABELS"),
    ("CreatedAt", "CREATED AT"),
];

/// The flags of `network ls`.
pub fn command() -> clap::Command {
    flag::command("ls", "[OPTIONS]", "List networks")
        .arg(filter::flag("Provide filter values (e.g. \"driver=bridge\")").short('f'))
        .arg(format::flag())
        .arg(flag::switch("no-trunc", "Do not truncate the output"))
        .arg(flag::switch("quiet", "Only display network IDs").short('q'))
}

/// Lists networks, sorted by name as people count.
///
/// # Errors
/// A template that is wrong; the daemon's refusal.
pub async fn run(m: &ArgMatches, session: &mut Session) -> Result<i32> {
    let route = Route::new("/networks", []).maybe("filters", Filters::of(m).json());
    let mut networks: Vec<Json> = session.docker().await?.get(&route).await?;
    networks.sort_by_key(|network| natural(text(network, "Name")));
    let own = Own { table: "table {{.ID}}\t{{.Name}}\t{{.Driver}}\t{{.Scope}}", quiet: "{{.ID}}", raw: None };
    let format = own.or(flag::text_of(m, "format"), m.get_flag("quiet"));
    let full = m.get_flag("no-trunc");
    let rows: Vec<Rc<dyn Row>> =
        networks.into_iter().map(|network| Rc::new(NetworkRow { network, full }) as Rc<dyn Row>).collect();
    terminal::print(&format::render(format, COLUMNS, &rows)?);
    Ok(0)
}

fn text<'a>(json: &'a Json, key: &str) -> &'a str {
    json.get(key).and_then(Json::as_str).unwrap_or_default()
}

struct NetworkRow {
    network: Json,
    full: bool,
}

impl Row for NetworkRow {
    fn type_name(&self) -> &'static str {
        "*network.networkContext"
    }

    fn columns(&self) -> &'static [&'static str] {
        &["CreatedAt", "Driver", "ID", "IPv4", "IPv6", "Internal", "Labels", "Name", "Scope"]
    }

    fn column(&self, name: &str) -> Option<Value> {
        let truth = |key: &str| self.network.get(key).and_then(Json::as_bool).unwrap_or(false).to_string();
        Some(Value::text(match name {
            "ID" if self.full => text(&self.network, "Id").to_string(),
            "ID" => id::short(text(&self.network, "Id")).to_string(),
            "Name" | "Driver" | "Scope" => text(&self.network, name).to_string(),
            "IPv4" => truth("EnableIPv4"),
            "IPv6" => truth("EnableIPv6"),
            "Internal" => truth("Internal"),
            "CreatedAt" => print::time(text(&self.network, "Created")),
            "Labels" => {
                let labels = self.network.get("Labels").and_then(Json::as_object);
                let pairs = labels.into_iter().flatten().map(|(k, v)| format!("{k}={}", v.as_str().unwrap_or_default()));
                pairs.collect::<Vec<_>>().join(",")
            }
            _ => return None,
        }))
    }

    fn labelled(&self, name: &str, argument: &str) -> Option<Value> {
        let label = || self.network.get("Labels").and_then(|labels| labels.get(argument)).and_then(Json::as_str);
        (name == "Label").then(|| Value::text(label().unwrap_or_default()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_is_a_row() {
        let network =
            serde_json::json!({"Id": "9d90d01a3870dbe7cdada506689ac115", "Name": "none", "Driver": "null", "Scope": "local"});
        let row = NetworkRow { network, full: false };
        let text = format::render("table {{.ID}}\t{{.Name}}\t{{.Driver}}\t{{.Scope}}", COLUMNS, &[Rc::new(row)]);
        assert_eq!(
            text.expect("a good format"),
            "NETWORK ID     NAME      DRIVER    SCOPE\n9d90d01a3870   none      null      local\n"
        );
    }
}
