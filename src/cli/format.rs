//! # Formats: one list, many shapes
//!
//! Every list command prints its rows through here. What `--format` holds decides the shape:
//!
//! ```text
//!   (nothing), table            the command's own table
//!   table {{.ID}}\t{{.Names}}   a table of these columns, with its heading
//!   json                        one JSON object a line
//!   raw                         key: value, where the command has such a form
//!   {{.ID}}: {{.Names}}         one line a row, as the template says
//! ```
//!
//! * [`Own`] are the shapes that a list has by itself. [`render`] turns a format, headings and rows into text. [`Row`]s compute a column when the template asks, so a column
//!   that nobody prints costs nothing.
//! * [`local_time`], [`ago`]: the two ways a time is shown. [`quoted`]: a text as `ps` shows a command.
//!
//! Laws: nothing is printed when a row cannot be rendered; `\t` and `\n` typed as two characters are a tab and a new line.
//! *See:* docker/cli `cli/command/formatter/formatter.go`. *Next room:* [`crate::template`]

use crate::{
    filter, flag,
    table::{self, Headings},
    template::{
        Template, print,
        value::{Row, Value},
    },
};
use clap::Arg;
use jiff::{Timestamp, tz::TimeZone};
use minidock_base::{Error, Result, units};
use std::rc::Rc;

/// The headings of a table's columns.
pub type Columns = &'static [(&'static str, &'static str)];

/// The help of every `--format` flag of a list.
pub const HELP: &str = "Format output using a custom template:\n'table':            Print output in table format with column headers (default)\n'table TEMPLATE':   Print output in table format using the given Go template\n'json':             Print in JSON format\n'TEMPLATE':         Print output using the given Go template.\nRefer to https://docs.docker.com/go/formatting/ for more information about formatting output with templates";

/// The help of every `--format` flag of an inspection.
pub const INSPECT_HELP: &str = "Format output using a custom template:\n'json':             Print in JSON format\n'TEMPLATE':         Print output using the given Go template.\nRefer to https://docs.docker.com/go/formatting/ for more information about formatting output with templates";

/// The flags of a list that has filters, a format and, with `-q`, one column only.
pub fn listing(usage: &'static str, about: &'static str, quiet: &'static str) -> clap::Command {
    flag::command("ls", usage, about)
        .arg(filter::flag("Filter output based on conditions provided").short('f'))
        .arg(flag())
        .arg(flag::switch("quiet", quiet).short('q'))
}

/// `--format` of a list.
pub fn flag() -> Arg {
    flag::text("format", "string", HELP)
}

/// The shapes that a list has by itself.
#[derive(Clone, Copy, Debug)]
pub struct Own {
    pub table: &'static str,
    /// With `-q`.
    pub quiet: &'static str,
    /// `--format raw`, and the same with `-q`, where Docker has them.
    pub raw: Option<(&'static str, &'static str)>,
}

impl Own {
    /// What `typed` and `-q` come to: whoever types a template has it, `-q` or not.
    pub fn or<'a>(&self, typed: Option<&'a str>, quiet: bool) -> &'a str {
        match (typed, quiet, self.raw) {
            (None | Some("" | "table"), true, _) => self.quiet,
            (None | Some("" | "table"), false, _) => self.table,
            (Some("raw"), true, Some((_, raw))) => raw,
            (Some("raw"), false, Some((raw, _))) => raw,
            (Some(template), ..) => template,
        }
    }
}

/// Renders `rows` as `format` says.
///
/// # Errors
/// `template parsing error: …` with Go's message.
pub fn render(format: &str, headings: Columns, rows: &[Rc<dyn Row>]) -> Result<String> {
    let is_table = format.starts_with("table");
    let template = if is_table { &format["table".len()..] } else { format };
    let template = if format == "json" { "{{json .}}" } else { template };
    let template = template.trim_matches(' ').replace("\\t", "\t").replace("\\n", "\n");
    let template = parse(&template)?;
    let mut text = String::new();
    for row in rows {
        let line = template.render(&Value::Row(row.clone())).map_err(refused)?;
        text.push_str(&line);
        text.push('\n');
    }
    if !is_table {
        return Ok(text);
    }
    let heading = template.render_heading(&Value::Row(Rc::new(Headings(headings))));
    Ok(table::align(&format!("{heading}\n{text}"), table::MIN_WIDTH, table::PADDING))
}

/// Parses the template of a `--format`.
///
/// # Errors
/// `template parsing error: …`.
pub fn parse(template: &str) -> Result<Template> {
    Template::parse(template).map_err(refused)
}

/// A template's fault as an error.
pub fn refused(fault: crate::template::Fault) -> Error {
    Error::invalid(format!("template parsing error: {fault}"))
}

/// `2 minutes ago`, seen from `now`.
pub fn ago(unix_seconds: i64, now: Timestamp) -> String {
    format!("{} ago", units::human_duration(since(unix_seconds, now)))
}

fn since(unix_seconds: i64, now: Timestamp) -> std::time::Duration {
    let nanos = now.as_nanosecond() - i128::from(unix_seconds) * 1_000_000_000;
    std::time::Duration::from_nanos(u64::try_from(nanos.max(0)).unwrap_or(u64::MAX))
}

/// `2026-11-27 10:26:24 +0000 UTC`, in the zone of this machine.
pub fn local_time(unix_seconds: i64) -> String {
    match Timestamp::from_second(unix_seconds) {
        Ok(at) => at.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S %z %Z").to_string(),
        Err(_) => unix_seconds.to_string(),
    }
}

/// A text in double quotes, escaped as Go escapes.
pub fn quoted(text: &str) -> String {
    print::quote(text)
}

/// `a=b,c=d` of labels, in order.
pub fn labels<'a>(labels: impl Iterator<Item = (&'a String, &'a String)>) -> String {
    let mut pairs: Vec<String> = labels.map(|(key, value)| format!("{key}={value}")).collect();
    pairs.sort();
    pairs.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fruit(&'static str, i64);

    impl Row for Fruit {
        fn type_name(&self) -> &'static str {
            "*formatter.FruitContext"
        }
        fn columns(&self) -> &'static [&'static str] {
            &["Count", "Name"]
        }
        fn column(&self, name: &str) -> Option<Value> {
            match name {
                "Name" => Some(Value::text(self.0)),
                "Count" => Some(Value::text(self.1.to_string())),
                _ => None,
            }
        }
        fn labelled(&self, name: &str, argument: &str) -> Option<Value> {
            (name == "Label").then(|| Value::text(if argument == "a" { "b" } else { "" }))
        }
    }

    fn rows() -> Vec<Rc<dyn Row>> {
        vec![Rc::new(Fruit("apple", 3)), Rc::new(Fruit("fig", 12))]
    }

    const COLUMNS: Columns = &[("Name", "FRUIT"), ("Count", "HOW MANY")];

    #[test]
    fn one_list_has_many_shapes() {
        let show = |format: &str| render(format, COLUMNS, &rows()).expect("a good format");
        assert_eq!(show("table {{.Name}}\\t{{.Count}}"), "FRUIT     HOW MANY\napple     3\nfig       12\n");
        assert_eq!(show("json"), "{\"Count\":\"3\",\"Name\":\"apple\"}\n{\"Count\":\"12\",\"Name\":\"fig\"}\n");
        assert_eq!(show("{{.Name}}={{.Count}}"), "apple=3\nfig=12\n");
        assert_eq!(show("table {{upper .Name}}\t{{json .Count}}"), "FRUIT     HOW MANY\nAPPLE     \"3\"\nFIG       \"12\"\n");
        assert_eq!(show("table {{.Label \"a\"}}\t{{.Name}}"), "a         FRUIT\nb         apple\nb         fig\n");
        assert_eq!(show("{{ len .Name }}\\n-"), "5\n-\n3\n-\n");
    }

    #[test]
    fn a_list_has_shapes_of_its_own_unless_a_template_is_typed() {
        let own = Own { table: "t", quiet: "q", raw: Some(("r", "rq")) };
        let shapes = [None, Some(""), Some("table"), Some("raw"), Some("{{.X}}")]
            .map(|typed| (own.or(typed, false), own.or(typed, true)));
        assert_eq!(shapes, [("t", "q"), ("t", "q"), ("t", "q"), ("r", "rq"), ("{{.X}}", "{{.X}}")]);
        assert_eq!(Own { raw: None, ..own }.or(Some("raw"), true), "raw");
    }

    #[test]
    fn a_wrong_format_is_refused_with_gos_words() {
        let wrong = |format: &str| render(format, COLUMNS, &rows()).expect_err("a wrong format").message();
        assert_eq!(
            wrong("{{.Foo}}"),
            "template parsing error: template: :1:2: executing \"\" at <.Foo>: can't evaluate field Foo in type *formatter.FruitContext"
        );
        assert_eq!(
            wrong("{{.Name.Foo}}"),
            "template parsing error: template: :1:7: executing \"\" at <.Name.Foo>: can't evaluate field Foo in type string"
        );
        assert_eq!(wrong("table {{.Name"), "template parsing error: template: :1: unclosed action");
    }
}
