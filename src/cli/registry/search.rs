//! # search: is there an image called so?
//!
//! Without a registry before it, a term is looked for at the Hub, as Docker does; `search localhost:5000/web` looks through the
//! catalogue of that registry, which has names only: no stars, no descriptions.
//!
//! ```text
//!   NAME                     DESCRIPTION   STARS     OFFICIAL
//!   localhost:5000/web                     0
//! ```
//!
//! *See:* docker/cli `cli/command/registry/search.go`. *Next room:* [`crate::registry::list`]

use crate::{
    filter::{self, Filters},
    flag,
    format::{self, Columns},
    registry::accounts::Accounts,
    session::Session,
    table,
    template::value::{Row, Value},
    terminal,
};
use clap::ArgMatches;
use minidock_base::Result;
use minidock_client::{Route, Wish};
use serde_json::Value as Json;
use std::rc::Rc;

const COLUMNS: Columns = &[
    ("Name", "NAME"),
    ("Description", "DESCRIPTION"),
    ("StarCount", "STARS"),
    ("IsOfficial", "OFFICIAL"),
    ("IsAutomated", "AUTOMATED"),
];

/// How much of a description is shown.
const DESCRIPTION: usize = 45;

/// The flags of `search`.
pub fn command() -> clap::Command {
    flag::command("search", "[OPTIONS] TERM", "Search a registry for images")
        .arg(filter::flag("Filter output based on conditions provided").short('f'))
        .arg(format::flag())
        .arg(flag::number("limit", "int", "Max number of search results"))
        .arg(flag::switch("no-trunc", "Don't truncate output"))
        .arg(flag::name("TERM"))
}

/// Searches.
///
/// # Errors
/// Nobody can be asked; a filter or a template that makes no sense.
pub async fn run(m: &ArgMatches, session: &mut Session) -> Result<i32> {
    let term = flag::text_of(m, "TERM").unwrap_or_default();
    let auth = Accounts::open(session.config_folder())?.header(registry(term))?;
    let route = Route::new("/images/search", [])
        .pair("term", term)
        .maybe("limit", flag::number_of(m, "limit"))
        .maybe("filters", Filters::of(m).json());
    let wish = Wish::get(&route);
    let wish = auth.into_iter().fold(wish, |wish, auth| wish.header("X-Registry-Auth", auth));
    let found: Vec<Json> = session.docker().await?.send(wish).await?.json().await?;
    let format = match flag::text_of(m, "format") {
        None | Some("" | "table") => "table {{.Name}}\t{{.Description}}\t{{.StarCount}}\t{{.IsOfficial}}",
        Some(custom) => custom,
    };
    let whole = m.get_flag("no-trunc");
    let rows: Vec<Rc<dyn Row>> = found.into_iter().map(|row| Rc::new(Found { row, whole }) as Rc<dyn Row>).collect();
    terminal::print(&format::render(format, COLUMNS, &rows)?);
    Ok(0)
}

/// The registry in front of a term; nothing is the Hub.
fn registry(term: &str) -> &str {
    match term.split_once('/') {
        Some((first, _)) if first.contains(['.', ':']) || first == "localhost" => first,
        None if term.contains(':') => term,
        _ => "",
    }
}

struct Found {
    row: Json,
    whole: bool,
}

impl Row for Found {
    fn type_name(&self) -> &'static str {
        "*registry.searchContext"
    }

    fn columns(&self) -> &'static [&'static str] {
        &["Description", "IsAutomated", "IsOfficial", "Name", "StarCount"]
    }

    fn column(&self, name: &str) -> Option<Value> {
        let text = |key: &str| self.row.get(key).and_then(Json::as_str).unwrap_or_default().replace(['\n', '\r'], " ");
        let mark = |key: &str| if self.row.get(key).and_then(Json::as_bool) == Some(true) { "[OK]" } else { "" }.to_string();
        Some(Value::text(match name {
            "Name" => text("name"),
            "Description" if self.whole => text("description"),
            "Description" => table::ellipsis(&text("description"), DESCRIPTION),
            "StarCount" => self.row.get("star_count").and_then(Json::as_i64).unwrap_or(0).to_string(),
            "IsOfficial" => mark("is_official"),
            "IsAutomated" => mark("is_automated"),
            _ => return None,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_term_may_begin_with_a_registry() {
        for (term, expected) in [
            ("web", ""),
            ("team/web", ""),
            ("lab:5000/web", "lab:5000"),
            ("localhost/x", "localhost"),
            ("lab:5000", "lab:5000"),
        ] {
            assert_eq!(registry(term), expected, "{term}");
        }
    }
}
