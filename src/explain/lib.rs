//! # Explain: the glass box
//!
//! A container is made of a few dozen system calls, and they are over in ten milliseconds. Every one of them was written down
//! when it was made (`linux::action`). This floor turns the list into something a person can learn from: a story in
//! chapters, a script that does the same by hand, or JSON for other tools.
//!
//! ```text
//!   actions.jsonl ── recording ──► Vec<Action>
//!                                     │ chapter: which part of a container is this?
//!                                     ▼
//!                                   Story ─┬─ prose ► 12  mount("proc", "/proc", …)   Shows the processes of …
//!   config.json ───────────────────────┐   ├─ json  ► the same, for programs
//!                                      └───┴─ shell ► #!/bin/sh: unshare, mount, echo > cgroup, capsh
//! ```
//!
//! * [`recording`] reads what was written down, and cuts out the container's latest life.
//! * [`chapter`] knows the eight parts of a container, and to which of them a call belongs.
//! * [`prose`] tells the story; [`sentence`] says what each call does, [`reason`] why it is made at all; [`wiring`] does both
//!   for what is asked of the kernel's network.
//! * [`shell`] builds the same isolation from tools that every distribution has; a test runs it and compares.
//! * [`json`] is the story as a document.
//!
//! Laws: nothing here asks the kernel anything: it works on a recording from another machine, or from last year. A call
//! without a sentence is told by its name; what prose leaves out (calls that only look, repetition) it counts.
//!
//! *In the real world* one would reach for strace(1): it shows all calls, those of the language's library too, but not why.
//! *See:* design.md section 6, strace(1), bocker. *Next room:* [`recording`]

pub mod chapter;
pub mod json;
pub mod mounts;
pub mod network;
pub mod prose;
pub mod reason;
pub mod recording;
pub mod script;
pub mod sentence;
pub mod shell;
pub mod wiring;

use chapter::Chapter;
use minidock_linux::action::Action;

/// A container's calls, in chapters, in order.
#[derive(Debug, Default)]
pub struct Story {
    pub steps: Vec<Step>,
}

/// One call.
#[derive(Clone, Debug)]
pub struct Step {
    /// Counted from 1, in the order in which things happened.
    pub number: usize,
    pub chapter: Chapter,
    pub action: Action,
}

/// Tells the story of these actions.
pub fn tell(actions: &[Action]) -> Story {
    let step = |(n, action): (usize, &Action)| Step { number: n + 1, chapter: chapter::of(action), action: action.clone() };
    Story { steps: actions.iter().enumerate().map(step).collect() }
}

impl Story {
    /// The steps of one chapter.
    pub fn chapter(&self, chapter: Chapter) -> impl Iterator<Item = &Step> {
        self.steps.iter().filter(move |step| step.chapter == chapter)
    }
}
