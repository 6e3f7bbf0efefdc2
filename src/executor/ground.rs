//! # Ground: the networks of a node, made true
//!
//! *Next room:* [`crate`]

use crate::Machine;
use minidock_base::{Error, Result};
use minidock_swarm::{agent::executor::Here, dispatcher::View};

/// Makes true what the view says of networks and of the mesh.
///
/// # Errors
/// There are networks in it: overlays are not here yet.
pub async fn ground(_: &Machine, _: &Here, view: &View) -> Result<()> {
    match view.networks.values().next() {
        None => Ok(()),
        Some(first) => Err(Error::not_implemented(format!("overlay network {} cannot be made yet", first.network.spec.name))),
    }
}
