//! # image history: how an image came to be
//!
//! One row for each step of its recipe, the newest first; steps that changed no file take 0 bytes. Steps that were made
//! elsewhere have no image of their own: `<missing>`.
//!
//! *See:* docker/cli `cli/command/image/{history,formatter_history}.go`. *Next room:* [`super::tag`]

use crate::{
    flag,
    format::{self, Columns, Own},
    session::Session,
    table,
    template::{Value, value::Row},
    terminal,
};
use clap::ArgMatches;
use jiff::{Timestamp, tz::TimeZone};
use minidock_base::{Result, clock, id, units};
use minidock_client::Route;
use minidock_spec::engine::image::HistoryItem;
use std::rc::Rc;

const COLUMNS: Columns = &[
    ("ID", "IMAGE"),
    ("CreatedSince", "CREATED"),
    ("CreatedAt", "CREATED AT"),
    ("CreatedBy", "CREATED BY"),
    ("Size", "SIZE"),
    ("Comment", "COMMENT"),
];

const TABLE: &str = "table {{.ID}}\t{{.CreatedSince}}\t{{.CreatedBy}}\t{{.Size}}\t{{.Comment}}";
const TABLE_IN_NUMBERS: &str = "table {{.ID}}\t{{.CreatedAt}}\t{{.CreatedBy}}\t{{.Size}}\t{{.Comment}}";

/// Times before the year 2000 come from reproducible builds and say nothing.
const YEAR_2000: i64 = 946_684_800;

/// The flags of `history`.
pub fn command() -> clap::Command {
    flag::command("history", "[OPTIONS] IMAGE", "Show the history of an image")
        .arg(format::flag())
        .arg(flag::on("human", "Print sizes and dates in human readable format (default true)").short('H'))
        .arg(flag::switch("no-trunc", "Don't truncate output"))
        .arg(flag::switch("quiet", "Only show image IDs").short('q'))
        .arg(flag::name("IMAGE"))
}

/// Shows an image's history.
///
/// # Errors
/// No such image; a wrong template.
pub async fn run(m: &ArgMatches, session: &mut Session) -> Result<i32> {
    let image = flag::text_of(m, "IMAGE").unwrap_or_default();
    let steps: Vec<HistoryItem> = session.docker().await?.get(&Route::new("/images/{}/history", [image])).await?;
    let human = flag::is_on(m, "human");
    let own = Own { table: if human { TABLE } else { TABLE_IN_NUMBERS }, quiet: "{{.ID}}", raw: None };
    let format = own.or(flag::text_of(m, "format"), m.get_flag("quiet"));
    let (full, now) = (m.get_flag("no-trunc"), clock::now());
    let rows: Vec<Rc<dyn Row>> =
        steps.into_iter().map(|step| Rc::new(StepRow { step, human, full, now }) as Rc<dyn Row>).collect();
    terminal::print(&format::render(format, COLUMNS, &rows)?);
    Ok(0)
}

struct StepRow {
    step: HistoryItem,
    human: bool,
    full: bool,
    now: Timestamp,
}

impl StepRow {
    fn created_at(&self) -> String {
        match Timestamp::from_second(self.step.created) {
            Ok(at) => {
                let text = at.to_zoned(TimeZone::system()).strftime("%Y-%m-%dT%H:%M:%S%:z").to_string();
                text.strip_suffix("+00:00").map(|text| format!("{text}Z")).unwrap_or(text)
            }
            Err(_) => self.step.created.to_string(),
        }
    }
}

impl Row for StepRow {
    fn type_name(&self) -> &'static str {
        "*image.historyContext"
    }

    fn columns(&self) -> &'static [&'static str] {
        &["Comment", "CreatedAt", "CreatedBy", "CreatedSince", "ID", "Size"]
    }

    fn column(&self, name: &str) -> Option<Value> {
        let step = &self.step;
        let by = step.created_by.replace('\t', " ");
        Some(Value::text(match name {
            "ID" if self.full => step.id.clone(),
            "ID" => id::short(&step.id).to_string(),
            "CreatedAt" => self.created_at(),
            "CreatedSince" if !self.human => self.created_at(),
            "CreatedSince" if step.created <= YEAR_2000 => "N/A".into(),
            "CreatedSince" => format::ago(step.created, self.now),
            "CreatedBy" if self.full => by,
            "CreatedBy" => table::ellipsis(&by, 45),
            "Size" if self.human => units::human_size_3(step.size as f64),
            "Size" => step.size.to_string(),
            "Comment" => step.comment.clone(),
            _ => return None,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_a_row() {
        let step = HistoryItem {
            id: "<missing>".into(),
            created: 1_795_775_184,
            created_by: "/bin/sh -c #(nop)  CMD [\"/bin/sh\"] and a good deal more than fits".into(),
            size: 1_982_377,
            ..HistoryItem::default()
        };
        let now = Timestamp::from_second(1_795_775_484).expect("a time");
        let show = |format: &str, human: bool| {
            let row = StepRow { step: step.clone(), human, full: false, now };
            format::render(format, COLUMNS, &[Rc::new(row)]).expect("a good format")
        };
        assert_eq!(
            show(TABLE, true),
            "IMAGE       CREATED         CREATED BY                                      SIZE      COMMENT\n\
             <missing>   5 minutes ago   /bin/sh -c #(nop)  CMD [\"/bin/sh\"] and a goo…   1.98MB    \n"
        );
        assert_eq!(show("{{.Size}}", false), "1982377\n");
    }
}
