//! # Flights: what is being pulled at this moment
//!
//! Thirty students pull the same image in the same minute, or one types the command twice. The work is done once: the first pull
//! of an image *flies*, the others read along what it says and find the image there when it has landed. If the first
//! is broken off, the next one takes over, from the byte where it stopped. The same for single blobs, which different
//! images share.
//!
//! * [`Flights::join`] gives a [`Seat`]; [`Seat::turn`] waits until nobody else is at it.
//!
//! Law: whoever waits for an image holds no blob; whoever holds a blob waits for nothing but the network. So nobody waits in a
//! circle. See: moby `distribution/xfer/transfer.go`. Next room: [`crate::pull`]

use minidock_spec::engine::image::Progress;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard},
};
use tokio::sync::{OwnedMutexGuard, broadcast};

/// How many lines may wait for a slow reader; older ones are not shown to it.
const LINES: usize = 256;

type Map = Arc<Mutex<HashMap<String, Arc<Flight>>>>;

/// Everything under way, by digest.
#[derive(Clone, Default)]
pub struct Flights(Map);

struct Flight {
    turn: Arc<tokio::sync::Mutex<()>>,
    lines: broadcast::Sender<Progress>,
}

/// A place in one flight; the last one to leave closes it.
pub struct Seat {
    key: String,
    flight: Option<Arc<Flight>>,
    map: Map,
}

impl Flights {
    /// Takes a seat in the flight called `key`, which begins with the first.
    pub fn join(&self, key: &str) -> Seat {
        let new = || Arc::new(Flight { turn: Arc::default(), lines: broadcast::channel(LINES).0 });
        let flight = held(&self.0).entry(key.to_string()).or_insert_with(new).clone();
        Seat { key: key.to_string(), flight: Some(flight), map: self.0.clone() }
    }
}

impl Seat {
    fn flight(&self) -> &Flight {
        self.flight.as_ref().expect("a seat has its flight until it is dropped")
    }

    /// Waits until it is our turn; meanwhile `tell` hears what the one before us says. Gives back whether there was one.
    pub async fn turn(&self, tell: &(dyn Fn(Progress) + Send + Sync)) -> (OwnedMutexGuard<()>, bool) {
        if let Ok(turn) = self.flight().turn.clone().try_lock_owned() {
            return (turn, false);
        }
        let mut lines = self.flight().lines.subscribe();
        let waiting = self.flight().turn.clone().lock_owned();
        tokio::pin!(waiting);
        loop {
            tokio::select! {
                turn = &mut waiting => return (turn, true),
                line = lines.recv() => match line {
                    Ok(line) => tell(line),
                    Err(broadcast::error::RecvError::Lagged(_)) => {}
                    Err(broadcast::error::RecvError::Closed) => return ((&mut waiting).await, true),
                },
            }
        }
    }

    /// Lets those who wait hear a line.
    pub fn say(&self, line: &Progress) {
        let flight = self.flight();
        if flight.lines.receiver_count() > 0 {
            let _ = flight.lines.send(line.clone()); // they may have left just now
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut map = held(&self.map);
        self.flight = None;
        if map.get(&self.key).is_some_and(|flight| Arc::strong_count(flight) == 1) {
            map.remove(&self.key);
        }
    }
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_second_reads_along_and_the_last_closes_the_door() {
        let flights = Flights::default();
        let first = flights.join("a");
        let (turn, waited) = first.turn(&|_| ()).await;
        assert!(!waited);
        let second = flights.join("a");
        let heard = Arc::new(Mutex::new(Vec::new()));
        let hears = heard.clone();
        let (ready, is_ready) = tokio::sync::oneshot::channel();
        let waiting = tokio::spawn(async move {
            let tell = move |line: Progress| held(&hears).push(line.status.unwrap_or_default());
            let turn = second.turn(&tell);
            let _ = ready.send(());
            turn.await.1
        });
        is_ready.await.expect("it runs");
        while first.flight().lines.receiver_count() == 0 {
            tokio::task::yield_now().await;
        }
        first.say(&Progress::line("half"));
        while held(&heard).is_empty() {
            tokio::task::yield_now().await;
        }
        drop(turn);
        assert!(waiting.await.expect("no panic"));
        assert_eq!(*held(&heard), ["half"]);
        drop(first);
        assert!(held(&flights.0).is_empty());
    }
}
