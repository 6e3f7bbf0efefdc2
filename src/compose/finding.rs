//! # Findings: all that is wrong with a file, said at once
//!
//! A person who corrects one mistake only to be told the next has been told too little. The rooms that look at a file therefore do not
//! stop at the first thing they dislike: they note it, with its place, and go on. *Faults* stop the command, *warnings* do not.
//!
//! ```text
//!   docker-stack.yml:7:13: services.vote.deploy.replicas must be a integer
//!   docker-stack.yml:9:5: services.vote: unknown key "netwroks" is ignored (did you mean "networks"?)
//! ```
//!
//! *Next room:* [`crate::interpolate`]

use crate::node::At;
use minidock_base::{Error, Result};

/// More faults than these say nothing new.
const MOST_SHOWN: usize = 10;

/// What was found in the files so far.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    faults: Vec<String>,
    warnings: Vec<String>,
    hint: Option<String>,
    /// Whether a key that is in no table is a fault (`compose`) or a warning (`stack`).
    pub(crate) strict: bool,
}

impl Findings {
    /// Where a key that is in no table is a fault.
    pub fn strict() -> Findings {
        Findings { strict: true, ..Findings::default() }
    }

    /// Notes what stops the command.
    pub fn fault(&mut self, at: &At, what: impl std::fmt::Display) {
        self.faults.push(format!("{at}: {what}"));
    }

    /// The same, with something to try; the first hint is shown.
    pub fn fault_with(&mut self, at: &At, what: impl std::fmt::Display, hint: impl Into<String>) {
        self.fault(at, what);
        self.hint.get_or_insert(hint.into());
    }

    /// Notes what a person should know.
    pub fn warn(&mut self, at: &At, what: impl std::fmt::Display) {
        self.warnings.push(format!("{at}: {what}"));
    }

    /// Whether nothing stops the command so far.
    ///
    /// # Errors
    /// All faults, each on a line of its own.
    pub fn verdict(&mut self) -> Result<()> {
        if self.faults.is_empty() {
            return Ok(());
        }
        let more = self.faults.len().saturating_sub(MOST_SHOWN);
        let mut text = self.faults.iter().take(MOST_SHOWN).cloned().collect::<Vec<_>>().join("\n");
        if more > 0 {
            text += &format!("\n… and {more} more");
        }
        let error = Error::invalid(text);
        Err(match &self.hint {
            Some(hint) => error.hint(hint.clone()),
            None => error,
        })
    }

    /// The warnings, in the order of the files.
    pub fn into_warnings(self) -> Vec<String> {
        self.warnings
    }
}

/// The word of `known` that is at most two letters away.
pub fn closest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    known.map(|candidate| (distance(word, candidate), candidate)).filter(|(far, _)| *far <= 2).min().map(|(_, word)| word)
}

/// Letters to change, add, remove or swap with their neighbour.
pub fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().take(64).collect(), b.chars().take(64).collect());
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    for (i, row) in rows.iter_mut().enumerate() {
        row[0] = i;
    }
    rows[0] = (0..=b.len()).collect();
    for i in 1..=a.len() {
        for j in 1..=b.len() {
            let same = usize::from(a[i - 1] != b[j - 1]);
            rows[i][j] = (rows[i - 1][j] + 1).min(rows[i][j - 1] + 1).min(rows[i - 1][j - 1] + same);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                rows[i][j] = rows[i][j].min(rows[i - 2][j - 2] + 1);
            }
        }
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_two_letters_is_guessed() {
        let known = ["networks", "image", "deploy"];
        assert_eq!(closest("netwroks", known.into_iter()), Some("networks"));
        assert_eq!(closest("imag", known.into_iter()), Some("image"));
        assert_eq!(closest("foo", known.into_iter()), None);
    }
}
