//! # Wait: until it has ended
//!
//! `docker run` asks for the exit code *before* it starts the container, or a program that ends at once would be missed.
//! So waiting has two halves: *arming* counts how often the container has ended so far, and the answer comes when the
//! count has gone up.
//!
//! ```text
//!   not-running   now, if it does not run; else at its next end
//!   next-exit     at its next end, even if it does not run yet
//!   removed       when its record is gone, with the code of its last end
//! ```
//!
//! Laws: the record and the count are read in one step, so no end slips between them.
//! *See:* moby `container/state.go` `Wait`. *Next room:* [`crate::container::remove`]

use crate::Engine;
use minidock_base::{Error, Result};
use minidock_spec::engine::container::{WaitAnswer, WaitError};
use std::sync::Arc;

/// Arms the waiting, then answers when the condition has come true. Dropping the answer ends the waiting.
///
/// # Errors
/// 404 at once for a container that is not there; 400 for another condition.
pub async fn wait(
    engine: &Arc<Engine>,
    text: &str,
    condition: &str,
) -> Result<impl Future<Output = WaitAnswer> + Send + 'static + use<>> {
    let removed = match condition {
        "" | "not-running" | "next-exit" => false,
        "removed" => true,
        other => return Err(Error::invalid(format!("invalid condition: {other:?}")).hint("not-running, next-exit or removed")),
    };
    let container = engine.containers.find(text)?;
    let (record, mut turns) = container.record_and_turns();
    let before = turns.borrow_and_update().exits;
    let at_once = condition != "next-exit" && !removed && !record.state.is_running();
    drop(container);
    Ok(async move {
        if at_once {
            return answer(record.state.exit_code, &record.state.error);
        }
        let over = turns.wait_for(|turn| turn.removed || (!removed && turn.exits > before)).await;
        match over {
            Ok(turn) if turn.exits > 0 => answer(turn.exit_code, &turn.error),
            _ => answer(record.state.exit_code, &record.state.error),
        }
    })
}

fn answer(status_code: i64, error: &str) -> WaitAnswer {
    let error = (!error.is_empty()).then(|| WaitError { message: error.to_string() });
    WaitAnswer { status_code, error }
}
