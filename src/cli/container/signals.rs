//! # Signals: what happens to us happens to the program
//!
//! Ctrl-C in a terminal that is not raw, a `kill` from a script, a `timeout`: they hit *this* process, but mean the program in
//! the container. So while we wait in the foreground each signal is caught and sent on through the API. And when the window
//! changes its size, the program's terminal must follow.
//!
//! ```text
//!   SIGINT ──► us ──POST /containers/web/kill?signal=INT──► the program     (and we go on waiting for its end)
//!   SIGWINCH ──► us ──POST …/resize?h=40&w=120──► its terminal
//! ```
//!
//! Laws: a signal that cannot be delivered (the program is not there yet, or no longer) is no error. *See:* signal(7);
//! docker/cli `cli/command/container/signals.go`, `tty.go`. *Next room:* [`crate::container::run`]

use crate::terminal;
use minidock_client::{Docker, Route};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinHandle;

/// Signals that are passed on, by number and name.
const PASSED_ON: [(i32, &str); 9] =
    [(1, "HUP"), (2, "INT"), (3, "QUIT"), (10, "USR1"), (12, "USR2"), (14, "ALRM"), (15, "TERM"), (18, "CONT"), (20, "TSTP")];

/// A task that ends with this value.
pub struct While(Vec<JoinHandle<()>>);

impl Drop for While {
    fn drop(&mut self) {
        self.0.iter().for_each(JoinHandle::abort);
    }
}

/// Passes signals on to container `id` while the result lives.
pub fn pass_on(docker: &Docker, id: &str) -> While {
    let one = |(number, name): (i32, &'static str)| {
        let mut caught = signal(SignalKind::from_raw(number)).ok()?;
        let (docker, route) = (docker.clone(), Route::new("/containers/{}/kill", [id]).pair("signal", name));
        Some(tokio::spawn(async move {
            while caught.recv().await.is_some() {
                let _ = docker.poke(&route).await;
            }
        }))
    };
    While(PASSED_ON.into_iter().filter_map(one).collect())
}

/// Keeps the size of a terminal at `route` (a container's or an exec's `/resize`) like ours while the result lives.
pub fn follow_size(docker: &Docker, route: Route) -> While {
    let (docker, changed) = (docker.clone(), signal(SignalKind::window_change()));
    While(vec![tokio::spawn(async move {
        set_size(&docker, &route).await;
        let Ok(mut changed) = changed else { return };
        while changed.recv().await.is_some() {
            set_size(&docker, &route).await;
        }
    })])
}

/// The terminal exists a little later than the program that was started: the daemon is asked a few times.
async fn set_size(docker: &Docker, route: &Route) {
    for attempt in 0..5u64 {
        let Some((rows, columns)) = terminal::size() else { return };
        if docker.poke(&route.clone().pair("h", rows).pair("w", columns)).await.is_ok() {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10 << attempt)).await;
    }
}

/// Waits for one of the signals that end us, to give the terminal back first; gives its number.
pub async fn ending() -> i32 {
    async fn one(number: i32) -> i32 {
        let caught: Option<Signal> = signal(SignalKind::from_raw(number)).ok();
        match caught {
            Some(mut caught) => drop(caught.recv().await),
            None => std::future::pending().await,
        }
        number
    }
    tokio::select! { n = one(1) => n, n = one(2) => n, n = one(15) => n }
}
