//! # A draft: changes in the making
//!
//! One agreement among managers costs a write to disk on most of them, whether it is about one row or about a thousand. So the leader
//! does not have every decision agreed on by itself: it writes it into a draft, lets the next decision read the draft, and so
//! on until nothing is left to decide. What has come of it is agreed on at once.
//!
//! ```text
//!   tables ──► draft ◄──write── a wish, a status, the orchestrator, the allocator, the scheduler …
//!                │  └──read───►
//!                ▼
//!        each row that was touched, as it is in the end          [`Draft::batches`]
//! ```
//!
//! Laws: a row is in a batch once, with the version that the tables have of it; rows that are removed come first, for a name
//! that is given up may be taken again in the same batch. *Next room:* [`super::turn`]

use crate::store::{Action, Batch, Change, Refused, Row, Table, Tables};
use jiff::Timestamp;
use std::collections::BTreeSet;

/// The version that rows have in a draft: nobody outside can have read it.
const IN_DRAFT: u64 = u64::MAX;

/// The tables as they will be.
pub struct Draft<'a> {
    base: &'a Tables,
    /// Made with the first change: most looks at the tables change nothing.
    changed: Option<Tables>,
    touched: BTreeSet<(Table, String)>,
    now: Timestamp,
}

impl<'a> Draft<'a> {
    pub fn new(base: &'a Tables, now: Timestamp) -> Draft<'a> {
        Draft { base, changed: None, touched: BTreeSet::new(), now }
    }

    pub fn tables(&self) -> &Tables {
        self.changed.as_ref().unwrap_or(self.base)
    }

    /// Writes into the draft, whole or not at all.
    ///
    /// # Errors
    /// As for [`Tables::apply`].
    pub fn write(&mut self, actions: Vec<Action>) -> Result<Vec<Change>, Refused> {
        if actions.is_empty() {
            return Ok(Vec::new());
        }
        let touched: Vec<(Table, String)> = actions
            .iter()
            .map(|action| match action {
                Action::Put(row) => (row.table(), row.id().to_string()),
                Action::Delete(table, id) => (*table, id.clone()),
            })
            .collect();
        let tables = self.changed.get_or_insert_with(|| self.base.clone());
        let changes = tables.apply(IN_DRAFT, Batch { at: self.now, actions })?;
        self.touched.extend(touched);
        Ok(changes)
    }

    /// What has changed, in batches of at most so many rows and, but for a row that is larger by itself, so many bytes. Nothing: no
    /// batch.
    pub fn batches(self, most_rows: usize, most_bytes: usize) -> Vec<Vec<Action>> {
        let Some(changed) = &self.changed else { return Vec::new() };
        let (mut gone, mut written) = (Vec::new(), Vec::new());
        for (table, id) in self.touched {
            let before = self.base.row(table, &id);
            match changed.row(table, &id) {
                Some(row) if before.is_some_and(|b| b == row) => {}
                Some(row) => written.push(Action::Put(versioned(row.clone(), before.map_or(0, |b| b.version().index)))),
                None if before.is_some() => gone.push(Action::Delete(table, id)),
                None => {} // made and removed within the draft
            }
        }
        gone.append(&mut written);
        cut(gone, most_rows, most_bytes)
    }
}

fn cut(actions: Vec<Action>, most_rows: usize, most_bytes: usize) -> Vec<Vec<Action>> {
    let (mut batches, mut bytes): (Vec<Vec<Action>>, usize) = (Vec::new(), 0);
    for action in actions {
        let size = serde_json::to_vec(&action).map_or(0, |text| text.len());
        match batches.last_mut().filter(|batch| batch.len() < most_rows && bytes + size <= most_bytes) {
            Some(batch) => {
                batch.push(action);
                bytes += size;
            }
            None => {
                batches.push(vec![action]);
                bytes = size;
            }
        }
    }
    batches
}

fn versioned(mut row: Row, index: u64) -> Row {
    row.set_version(index);
    row
}

#[cfg(test)]
mod tests {
    use super::*;
    use minidock_spec::swarm::service::Service;

    fn service(id: &str, name: &str) -> Row {
        let mut service = Service { id: id.into(), ..Service::default() };
        service.spec.name = name.into();
        service.into()
    }

    fn apply(tables: &mut Tables, index: u64, actions: Vec<Action>) {
        tables.apply(index, Batch { at: Timestamp::UNIX_EPOCH, actions }).expect("a batch that fits");
    }

    #[test]
    fn a_row_that_is_changed_twice_is_written_once_and_fits_the_tables() {
        let mut tables = Tables::default();
        apply(&mut tables, 1, vec![Action::Put(service("a", "web"))]);
        let mut draft = Draft::new(&tables, Timestamp::UNIX_EPOCH);
        for replicas in [2, 3] {
            let mut web = Service::clone(draft.tables().service("a").expect("it is there"));
            web.spec.mode = minidock_spec::swarm::service::ServiceMode::replicas(replicas);
            draft.write(vec![Action::Put(web.into())]).expect("the version that was read");
        }
        draft.write(vec![Action::Put(service("b", "db"))]).expect("a new one");
        draft.write(vec![Action::Delete(Table::Service, "b".into())]).expect("and gone");
        let batches = draft.batches(100, 1 << 20);
        assert_eq!((batches.len(), batches[0].len()), (1, 1));
        apply(&mut tables, 2, batches.into_iter().flatten().collect());
        assert_eq!(tables.service("a").expect("it is there").spec.mode.wanted(), 3);
    }

    #[test]
    fn a_name_that_is_given_up_may_be_taken_in_the_same_batch() {
        let mut tables = Tables::default();
        apply(&mut tables, 1, vec![Action::Put(service("z", "web"))]);
        let mut draft = Draft::new(&tables, Timestamp::UNIX_EPOCH);
        draft.write(vec![Action::Delete(Table::Service, "z".into())]).expect("gone");
        draft.write(vec![Action::Put(service("a", "web"))]).expect("the name is free");
        let batches = draft.batches(100, 1 << 20);
        apply(&mut tables, 2, batches.into_iter().flatten().collect());
        assert_eq!(tables.named(Table::Service, "web"), Some("a"));
    }

    #[test]
    fn whoever_only_looks_writes_nothing() {
        let tables = Tables::default();
        let mut draft = Draft::new(&tables, Timestamp::UNIX_EPOCH);
        draft.write(Vec::new()).expect("nothing");
        assert!(draft.batches(1, 1).is_empty());
    }

    #[test]
    fn a_batch_ends_where_it_would_be_too_long_and_what_is_long_by_itself_goes_alone() {
        let tables = Tables::default();
        let mut draft = Draft::new(&tables, Timestamp::UNIX_EPOCH);
        let rows = [("a", 10_000), ("b", 10_000), ("c", 50_000), ("d", 10_000)];
        draft.write(rows.map(|(id, size)| Action::Put(service(id, &id.repeat(size)))).to_vec()).expect("new ones");
        let batches = draft.batches(100, 25_000);
        assert_eq!(batches.iter().map(Vec::len).collect::<Vec<_>>(), [2, 1, 1]);
    }
}
