//! # The ground: networks first
//!
//! A task's container can be made only when its networks stand, and who is on a network changes with every task anywhere. So one
//! loop makes the newest view true, again and again, each time whole; views that came while it was busy are skipped. A climber that
//! needs networks waits until the view that brought its task, or a later one, has been made true.
//!
//! ```text
//!   worker ── want(view 7) ─► · ─► ground(view 7) ─► made: 7 ──► climbers of tasks that came with 7 or before
//! ```
//!
//! A ground that cannot be made is an error of the tasks that wait for it; it is tried again with the next view, and after a while.
//! *Next room:* [`super::worker`]

use super::executor::{Executor, Here};
use crate::dispatcher::View;
use minidock_base::{Error, Result};
use std::{sync::Arc, time::Duration};
use tokio::sync::watch;

/// After a failure it is tried again so much later.
const AGAIN: Duration = Duration::from_secs(2);

/// The wish, and how far it is.
pub struct Ground {
    wanted: watch::Sender<(u64, Arc<View>)>,
    made: watch::Sender<Made>,
}

/// The newest view that was tried.
#[derive(Clone, Debug, Default)]
struct Made {
    number: u64,
    failed: Option<Error>,
}

impl Default for Ground {
    fn default() -> Ground {
        Ground { wanted: watch::Sender::new((0, Arc::default())), made: watch::Sender::new(Made::default()) }
    }
}

impl Ground {
    /// Another view holds from now on; gives back its number.
    pub fn want(&self, view: &View) -> u64 {
        let mut given = 0;
        self.wanted.send_modify(|(number, wanted)| {
            *number += 1;
            given = *number;
            *wanted = Arc::new(view.clone());
        });
        given
    }

    /// Whether new connections to a service go to somebody: then what one of its tasks has begun may be finished before it ends.
    pub fn goes_on(&self, service: &str) -> bool {
        let (_, view) = &*self.wanted.borrow();
        let mut services = view.networks.values().flat_map(|network| &network.services);
        services.any(|seen| seen.id == service && !seen.backends.is_empty())
    }

    /// Returns when the view of this number, or a later one, is true.
    ///
    /// # Errors
    /// Why it could not be made true.
    pub async fn stands(&self, number: u64) -> Result<()> {
        let mut made = self.made.subscribe();
        let made = made.wait_for(|made| made.number >= number).await;
        match made.map(|made| made.failed.clone()) {
            Ok(None) => Ok(()),
            Ok(Some(error)) => Err(error),
            Err(_) => Err(Error::unavailable("the agent ends")),
        }
    }

    /// Makes the newest view true, for ever.
    pub async fn keep(&self, executor: &dyn Executor, here: &Here) {
        let mut wanted = self.wanted.subscribe();
        let mut failed = false;
        loop {
            tokio::select! {
                changed = wanted.changed() => if changed.is_err() { return },
                () = tokio::time::sleep(AGAIN), if failed => {}
            }
            let (number, view) = wanted.borrow_and_update().clone();
            let made = executor.ground(here, &view).await.err();
            failed = made.is_some();
            if let Some(error) = &made {
                tracing::warn!("the networks of this node are not as they should be: {}", error.message());
            }
            self.made.send_replace(Made { number, failed: made });
        }
    }
}
