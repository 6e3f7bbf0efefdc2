//! # Each: one word, many names
//!
//! `rm a b c`, `stop a b c`, `inspect --pretty a b c`: the same deed for every name. What goes wrong with one is said, and the others
//! have their turn all the same; who asks a script's question (`$?`) is told in the end that something went wrong.
//!
//! ```text
//!   rm a b c     a ──► a            in_turn: one after the other
//!                b ──► minidock: no such …        at_once: several calls under way, answered in the order typed
//!                c ──► c
//!                exit 1
//! ```
//!
//! * [`named`]: a name that stands in a path must be there, or it would make another route of it.
//!
//! Laws: what is printed stands in the order typed. *Next room:* [`crate::inspect`]

use crate::{complain, terminal};
use futures_util::{Stream, StreamExt, stream};
use minidock_base::{Error, Result};
use std::{future::Future, pin::pin};

/// How many calls may be under way at once.
const AT_ONCE: usize = 50;

/// Does `act` for one name after the other and prints the text it gives.
///
/// # Errors
/// None of its own: failures are printed and make the status 1.
pub async fn in_turn<F: Future<Output = Result<String>>>(names: Vec<String>, act: impl FnMut(String) -> F) -> Result<i32> {
    told(stream::iter(names).map(act).buffered(1)).await
}

/// The same, several at once.
///
/// # Errors
/// As [`in_turn`].
pub async fn at_once<F: Future<Output = Result<String>>>(names: Vec<String>, act: impl FnMut(String) -> F) -> Result<i32> {
    told(stream::iter(names).map(act).buffered(AT_ONCE)).await
}

async fn told(answers: impl Stream<Item = Result<String>>) -> Result<i32> {
    let mut answers = pin!(answers);
    let mut status = 0;
    while let Some(answer) = answers.next().await {
        match answer {
            Ok(text) => terminal::print(&text),
            Err(error) => {
                complain(&error);
                status = 1;
            }
        }
    }
    Ok(status)
}

/// A name or ID of a `kind` of things, if it is one.
///
/// # Errors
/// Docker's `invalid … name or ID: value is empty`.
pub fn named<'a>(kind: &str, name: &'a str) -> Result<&'a str> {
    match name.trim_matches(['/', ' ']).is_empty() {
        true => Err(Error::invalid(format!("invalid {kind} name or ID: value is empty"))),
        false => Ok(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    #[tokio::test]
    async fn what_goes_wrong_with_one_keeps_no_other_from_its_turn() {
        let done = RefCell::new(Vec::new());
        let act = |name: String| {
            done.borrow_mut().push(name.clone());
            async move { if name == "b" { Err(Error::not_found("no b")) } else { Ok(String::new()) } }
        };
        let names = ["a", "b", "c"].map(str::to_string).to_vec();
        assert_eq!(in_turn(names.clone(), act).await.expect("a status"), 1);
        assert_eq!(at_once(names, act).await.expect("a status"), 1);
        assert_eq!(*done.borrow(), ["a", "b", "c", "a", "b", "c"]);
        assert_eq!(in_turn(vec!["a".into()], act).await.expect("a status"), 0);
    }

    #[test]
    fn an_empty_name_is_no_name() {
        assert_eq!(named("node", " / ").unwrap_err().message(), "invalid node name or ID: value is empty");
        assert_eq!(named("node", "a").expect("a name"), "a");
    }
}
