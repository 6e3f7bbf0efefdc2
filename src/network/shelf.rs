//! # Shelf: a namespace or two, made beforehand
//!
//! Half of what a container's network costs is the namespace itself: the kernel sets up every protocol in it anew, a millisecond
//! or more, while a client waits. Nothing in it depends on the container, so it can be done before anybody asks.
//!
//! ```text
//!   refill()   when nobody waits ─► [ blank ][ blank ]
//!   take(pin)  ◄─ one of them, hung on its pin (20 µs); an empty shelf: made on the spot
//! ```
//!
//! * What was done to a blank one is kept beside it and told to whoever takes it: `explain` shows every call, and when it was made.
//! * They hang nowhere: with the daemon they are gone.
//!
//! See: docs of the kernel, `net/core/net_namespace.c` setup_net. Next room: [`crate::settings`]

use crate::sandbox::{self, Blank, Sandbox};
use minidock_base::Result;
use minidock_linux::action::{self, Action, Actor};
use std::{path::Path, sync::Mutex};

/// The place of a namespace that hangs nowhere yet.
const NAMELESS: &str = "SANDBOX";

/// Blank namespaces, with the record of how each was made.
pub struct Shelf {
    size: usize,
    ready: Mutex<Vec<(Blank, Vec<Action>)>>,
}

impl Shelf {
    /// An empty one with room for `size`.
    pub fn new(size: usize) -> Shelf {
        Shelf { size, ready: Mutex::default() }
    }

    /// A sandbox that hangs on `pin`: from the shelf, or made now.
    ///
    /// # Errors
    /// As [`Sandbox::create`].
    pub fn take(&self, pin: &Path) -> Result<Sandbox> {
        let ready = self.ready.lock().expect("no holder panics").pop();
        match ready {
            Some((blank, mut actions)) => {
                // what was done in there is told with the name that the place has now
                for words in actions.iter_mut().flat_map(|action| &mut action.args) {
                    if let Some(command) = words.strip_prefix(&sandbox::prefix(Path::new(NAMELESS))) {
                        *words = format!("{}{command}", sandbox::prefix(pin));
                    }
                }
                action::adopt(actions);
                blank.hang(pin)
            }
            None => Sandbox::create(pin),
        }
    }

    /// Fills the shelf up, on the calling thread, outside of what that thread records.
    ///
    /// # Errors
    /// As [`Sandbox::create`].
    pub fn refill(&self) -> Result<()> {
        while self.ready.lock().expect("no holder panics").len() < self.size {
            let made = std::thread::scope(|scope| {
                let make = || {
                    action::start(Actor::Daemon);
                    let blank = Blank::make(Path::new(NAMELESS));
                    blank.map(|blank| (blank, action::stop()))
                };
                scope.spawn(make).join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            })?;
            self.ready.lock().expect("no holder panics").push(made);
        }
        Ok(())
    }
}
