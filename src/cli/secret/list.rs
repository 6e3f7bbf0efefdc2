//! # secret ls, config ls: which there are
//!
//! ```text
//!   ID                          NAME      DRIVER    CREATED         UPDATED
//!   wcxkm0mykvbkqp2zjwkqhmq2h   pw                  2 minutes ago   2 minutes ago
//! ```
//!
//! *See:* docker/cli `cli/command/{secret,config}/{ls,formatter}.go`. *Next room:* [`super::page`]

use super::What;
use crate::{
    filter::Filters,
    flag,
    format::{self, Columns, Own},
    session::Session,
    template::{Value, value::Row},
    terminal,
    volume::natural,
};
use clap::ArgMatches;
use jiff::Timestamp;
use minidock_base::{Result, clock};
use minidock_spec::swarm::secret::Secret;
use std::rc::Rc;

const COLUMNS: Columns = &[
    ("ID", "ID"),
    ("Name", "NAME"),
    ("Driver", "DRIVER"),
    ("CreatedAt", "CREATED"),
    ("UpdatedAt", "UPDATED"),
    ("Labels", "LABELS"),
];

/// The flags of `secret ls`.
pub fn secrets() -> clap::Command {
    flags("List secrets")
}

/// The flags of `config ls`.
pub fn configs() -> clap::Command {
    flags("List configs")
}

fn flags(about: &'static str) -> clap::Command {
    format::listing("[OPTIONS]", about, "Only display IDs")
}

/// Lists secrets or configs, by name as people count.
///
/// # Errors
/// A wrong filter or template; the daemon's refusal.
pub async fn run(m: &ArgMatches, session: &mut Session, what: What) -> Result<i32> {
    let route = what.all("").maybe("filters", Filters::of(m).json());
    let objects: Vec<Secret> = session.docker().await?.get(&route).await?;
    terminal::print(&render(objects, what, flag::text_of(m, "format"), m.get_flag("quiet"), clock::now())?);
    Ok(0)
}

fn render(mut objects: Vec<Secret>, what: What, format: Option<&str>, quiet: bool, now: Timestamp) -> Result<String> {
    objects.sort_by_cached_key(|object| natural(&object.spec.name));
    let table = match what {
        What::Secret => "table {{.ID}}\t{{.Name}}\t{{.Driver}}\t{{.CreatedAt}}\t{{.UpdatedAt}}",
        What::Config => "table {{.ID}}\t{{.Name}}\t{{.CreatedAt}}\t{{.UpdatedAt}}",
    };
    let format = Own { table, quiet: "{{.ID}}", raw: None }.or(format, quiet);
    let row = |object| Rc::new(ObjectRow { object, what, now }) as Rc<dyn Row>;
    format::render(format, COLUMNS, &objects.into_iter().map(row).collect::<Vec<_>>())
}

struct ObjectRow {
    object: Secret,
    what: What,
    now: Timestamp,
}

impl Row for ObjectRow {
    fn type_name(&self) -> &'static str {
        match self.what {
            What::Secret => "*secret.secretContext",
            What::Config => "*config.configContext",
        }
    }

    fn columns(&self) -> &'static [&'static str] {
        match self.what {
            What::Secret => &["CreatedAt", "Driver", "ID", "Labels", "Name", "UpdatedAt"],
            What::Config => &["CreatedAt", "ID", "Labels", "Name", "UpdatedAt"],
        }
    }

    fn column(&self, name: &str) -> Option<Value> {
        let ago = |at: Option<Timestamp>| format::ago(at.map_or(0, Timestamp::as_second), self.now);
        Some(Value::text(match name {
            "ID" => self.object.id.clone(),
            "Name" => self.object.spec.name.clone(),
            "Driver" if self.what == What::Secret => {
                self.object.spec.driver.as_ref().map(|driver| driver.name.clone()).unwrap_or_default()
            }
            "CreatedAt" => ago(self.object.created_at),
            "UpdatedAt" => ago(self.object.updated_at),
            "Labels" => format::labels(self.object.spec.labels.iter()),
            _ => return None,
        }))
    }

    fn labelled(&self, name: &str, argument: &str) -> Option<Value> {
        let label = || self.object.spec.labels.get(argument).map_or("", String::as_str);
        (name == "Label").then(|| Value::text(label()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_a_row_and_so_is_a_config() {
        let object = |name: &str| -> Secret {
            serde_json::from_value(serde_json::json!({
                "ID": "wcxkm0mykvbkqp2zjwkqhmq2h", "CreatedAt": "2026-11-27T10:00:00Z", "UpdatedAt": "2026-11-27T11:00:00Z",
                "Spec": {"Name": name, "Labels": {"a": "b"}, "Driver": {"Name": "d"}}
            }))
            .expect("a secret")
        };
        let now: Timestamp = "2026-11-27T17:00:00Z".parse().expect("a time");
        let show = |what, format, quiet| render(vec![object("s10"), object("s2")], what, format, quiet, now).expect("a table");
        assert_eq!(
            show(What::Secret, None, false),
            "ID                          NAME      DRIVER    CREATED       UPDATED\n\
             wcxkm0mykvbkqp2zjwkqhmq2h   s2        d         7 hours ago   6 hours ago\n\
             wcxkm0mykvbkqp2zjwkqhmq2h   s10       d         7 hours ago   6 hours ago\n"
        );
        assert!(show(What::Config, None, false).starts_with("ID                          NAME      CREATED       UPDATED\n"));
        assert_eq!(
            show(What::Config, Some("json"), false).lines().next(),
            Some(
                r#"{"CreatedAt":"7 hours ago","ID":"wcxkm0mykvbkqp2zjwkqhmq2h","Labels":"a=b","Name":"s2","UpdatedAt":"6 hours ago"}"#
            )
        );
        assert_eq!(show(What::Secret, Some("{{.Label \"a\"}}"), true), "b\nb\n");
        assert_eq!(show(What::Secret, None, true), "wcxkm0mykvbkqp2zjwkqhmq2h\nwcxkm0mykvbkqp2zjwkqhmq2h\n");
    }
}
