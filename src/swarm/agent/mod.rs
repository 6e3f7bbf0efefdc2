//! # The agent: a node's end of the swarm
//!
//! It holds a session with the leader, hears which tasks this node shall have, and makes each climb its ladder by the hands of an
//! [`executor`]. What it was told stays true for it until it is told otherwise: a node that has lost its managers goes on.
//!
//! *Next room:* [`executor`]

pub mod executor;
pub mod logs;
