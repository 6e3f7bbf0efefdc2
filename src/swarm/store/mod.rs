//! # The store: what the swarm wants and knows
//!
//! One set of [`tables`], the same on every manager. Nobody changes it in place: whoever wants a change writes a [`Batch`] of
//! [`Action`]s, each with the version of the row it has read; the batch is agreed on and then applied whole, or not at all
//! when a row has changed meanwhile. So two loops, or two managers in the moment of an election, cannot overwrite each
//! other, and one fsync pays for many changes.
//!
//! ```text
//!   loop reads tables ──decide──► Batch ──consensus──► apply(index, batch) ──► Change, Change … ──► every loop wakes
//! ```
//!
//! Laws: applying is a function of tables, index and batch alone: the time in a batch is its proposer's.
//! *See:* swarmkit `manager/state/store`. *Next room:* [`tables`]

pub mod pace;
pub mod replica;
pub mod row;
pub mod tables;

use jiff::Timestamp;
use minidock_base::Error;
pub use row::{Row, Table};
use serde::{Deserialize, Serialize};
pub use tables::Tables;

/// One change of one row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Action {
    /// Writes a row. Its version is the one that was read; zero makes a new row.
    Put(Row),
    /// Removes a row; one that is gone already is no error.
    Delete(Table, String),
}

/// Changes that are made together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Batch {
    /// The proposer's clock.
    pub at: Timestamp,
    pub actions: Vec<Action>,
}

/// What became of a row.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    pub before: Option<Row>,
    pub after: Option<Row>,
}

impl Change {
    /// The row after the change, or as it last was.
    pub fn row(&self) -> Option<&Row> {
        self.after.as_ref().or(self.before.as_ref())
    }
}

/// Why a batch was not applied.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Refused {
    /// The row has another version than the writer had read.
    OutOfSequence { table: Table, id: String },
    /// Another row has this name.
    NameTaken { table: Table, name: String },
    /// The batch itself could not be read.
    Unreadable(String),
}

impl Refused {
    /// In Docker's words.
    pub fn into_error(self) -> Error {
        match self {
            Refused::OutOfSequence { .. } => Error::invalid("rpc error: code = Unknown desc = update out of sequence")
                .hint("somebody changed it in between: read it again and repeat the change"),
            Refused::NameTaken { table, .. } => {
                Error::conflict("rpc error: code = AlreadyExists desc = name conflicts with an existing object")
                    .during(format!("write a {table}"))
            }
            Refused::Unreadable(why) => Error::system(why).during("read a batch of changes"),
        }
    }
}
