//! # Tables: columns that line up
//!
//! `ps` writes cells with tabs between them and lets the columns find their own width: as wide as the widest cell plus
//! three spaces, and at least ten. That is Go's `tabwriter` with Docker's numbers, and since scripts cut these columns out
//! with `awk`, the numbers matter.
//!
//! ```text
//!   CONTAINER ID\tIMAGE\tNAMES            CONTAINER ID   IMAGE     NAMES
//!   1a1d8fea47e2\talpine\tlim       ──▶   1a1d8fea47e2   alpine    lim
//! ```
//!
//! * [`align`] does it: a cell is what a tab *ends*; what follows the last tab of a line belongs to no column. A column
//!   reaches over as many neighbouring lines as have it, so two paragraphs may have different widths.
//! * [`width`] counts columns on the screen: East Asian wide characters take two. [`ellipsis`] shortens a text to a width.
//! * [`Headings`] is the row that the heading of a table is rendered from.
//!
//! *See:* Go `text/tabwriter` · docker/cli `cli/command/formatter/{tabwriter,displayutils}`. *Next room:* [`crate::format`]

use crate::template::value::{Row, Value};

/// The numbers of Docker's tables: cells at least this wide …
pub const MIN_WIDTH: usize = 10;
/// … and this many spaces behind the widest.
pub const PADDING: usize = 3;

/// Lines the tab-ended cells of `text` up.
pub fn align(text: &str, min_width: usize, padding: usize) -> String {
    let lines: Vec<Vec<&str>> = text.split('\n').map(|line| line.split('\t').collect()).collect();
    let widths = widths(&lines, min_width, padding);
    let mut out = String::with_capacity(text.len() * 2);
    for (at, (line, widths)) in lines.iter().zip(&widths).enumerate() {
        if at > 0 {
            out.push('\n');
        }
        for (column, cell) in line.iter().enumerate() {
            out.push_str(cell);
            if let Some(wanted) = widths.get(column) {
                out.extend(std::iter::repeat_n(' ', wanted.saturating_sub(width(cell))));
            }
        }
    }
    out
}

/// The width of each tab-ended cell of each line.
fn widths(lines: &[Vec<&str>], min_width: usize, padding: usize) -> Vec<Vec<usize>> {
    let mut widths: Vec<Vec<usize>> = lines.iter().map(|line| vec![0; line.len() - 1]).collect();
    let most = widths.iter().map(Vec::len).max().unwrap_or(0);
    for column in 0..most {
        let mut line = 0;
        while line < lines.len() {
            let block = widths[line..].iter().take_while(|w| w.len() > column).count();
            let widest = lines[line..line + block].iter().map(|l| width(l[column]) + padding).max().unwrap_or(0);
            for cells in &mut widths[line..line + block] {
                cells[column] = widest.max(min_width);
            }
            line += block.max(1);
        }
    }
    widths
}

/// How many columns a text takes on the screen.
pub fn width(text: &str) -> usize {
    if text.is_ascii() { text.len() } else { text.chars().map(|c| if is_wide(c) { 2 } else { 1 }).sum() }
}

/// East Asian wide and full-width characters.
fn is_wide(c: char) -> bool {
    matches!(c as u32,
        0x1100..=0x115f | 0x2e80..=0x303e | 0x3041..=0xa4cf | 0xa960..=0xa97f | 0xac00..=0xd7a3 | 0xf900..=0xfaff
        | 0xfe30..=0xfe6f | 0xff01..=0xff60 | 0xffe0..=0xffe6 | 0x1f300..=0x1f64f | 0x1f900..=0x1f9ff | 0x20000..=0x3fffd)
}

/// The text, or its beginning and `…` so that it takes at most `limit` columns.
pub fn ellipsis(text: &str, limit: usize) -> String {
    if width(text) <= limit {
        return text.to_string();
    }
    let mut taken = 0;
    let mut out = String::new();
    for c in text.chars() {
        taken += if is_wide(c) { 2 } else { 1 };
        if taken > limit.saturating_sub(1) {
            break;
        }
        out.push(c);
    }
    out + "…"
}

/// The heading of each column: `("ID", "CONTAINER ID")`.
pub struct Headings(pub &'static [(&'static str, &'static str)]);

impl Row for Headings {
    fn type_name(&self) -> &'static str {
        "formatter.SubHeaderContext"
    }

    fn columns(&self) -> &'static [&'static str] {
        &[]
    }

    fn column(&self, name: &str) -> Option<Value> {
        let heading = self.0.iter().find(|(column, _)| *column == name);
        Some(heading.map_or(Value::Missing, |(_, heading)| Value::text(heading)))
    }

    /// `Label "com.example.my-team"` is headed `my team`.
    fn labelled(&self, name: &str, argument: &str) -> Option<Value> {
        (name == "Label").then(|| {
            let last = argument.rsplit('.').next().unwrap_or(argument);
            Value::text(last.replace(['-', '_'], " "))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn columns_are_as_dockers() {
        let text = "CONTAINER ID\tIMAGE\tCOMMAND\tNAMES\n1a1d8fea47e2\talpine\t\"sh -c 'sleep 123456…\"\tlim\n";
        assert_eq!(
            align(text, MIN_WIDTH, PADDING),
            "CONTAINER ID   IMAGE     COMMAND                  NAMES\n1a1d8fea47e2   alpine    \"sh -c 'sleep 123456…\"   lim\n"
        );
    }

    #[test]
    fn a_column_ends_where_a_line_does_not_have_it() {
        assert_eq!(align("aaaa\tb\nc\n\nd\te\n", 0, 1), "aaaa b\nc\n\nd e\n");
        assert_eq!(align("日本\tb\nabcde\tc\n", 0, 1), "日本  b\nabcde c\n");
    }

    #[test]
    fn a_long_text_is_shortened_to_its_width() {
        assert_eq!(ellipsis("sh -c 'sleep 12345678901234567890; exit 3'", 20), "sh -c 'sleep 123456…");
        assert_eq!(ellipsis("short", 20), "short");
        assert_eq!(ellipsis("日本語日本語", 5), "日本…");
    }

    proptest! {
        #[test]
        fn aligning_loses_nothing(text in "[a-z\t\n é日]{0,80}") {
            let squeezed = |t: &str| t.chars().filter(|c| !matches!(c, ' ' | '\t')).collect::<String>();
            prop_assert_eq!(squeezed(&align(&text, 10, 3)), squeezed(&text));
        }

        #[test]
        fn a_shortened_text_fits(text in "\\PC{0,40}", limit in 1usize..30) {
            prop_assert!(width(&ellipsis(&text, limit)) <= limit.max(1));
        }
    }
}
