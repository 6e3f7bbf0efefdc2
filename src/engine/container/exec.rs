//! # Exec: a second process inside
//!
//! *Next room:* [`crate::container::attach`]

/// All execs.
#[derive(Default)]
pub struct Execs {}

impl Execs {
    pub fn new() -> Execs {
        Execs::default()
    }
}
