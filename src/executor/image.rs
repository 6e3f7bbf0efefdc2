//! # Image: what a task runs, here or fetched
//!
//! A service names an image as a person did, often with the digest that a manager found for it, so that all nodes run the same. If it
//! is here already it is not fetched again; else its registry is asked, with the credentials that came with the service.
//!
//! Docker asks the registry for a bare tag at every start; we do not: on an island without network that would only cost time, and
//! with one, the digest says what is meant. *See:* moby `daemon/cluster/executor/container/adapter.go` `pullImage`.
//! *Next room:* [`crate::container`]

use crate::Machine;
use minidock_base::{Error, Kind, Result};
use minidock_registry::{
    credentials::Credentials,
    pull::{self, PullOptions},
};
use minidock_spec::{reference::Reference, swarm::task::ContainerSpec};
use std::sync::Arc;

/// Makes sure that the image is here.
///
/// # Errors
/// `No such image: x`, with the registry's reason if it has another than that.
pub async fn ensure(machine: &Machine, spec: &ContainerSpec) -> Result<()> {
    let store = machine.engine.images.store.clone();
    let missing = match here(machine, &spec.image).await {
        Ok(()) => return Ok(()),
        Err(error) if error.kind() == Kind::NotFound => error,
        Err(error) => return Err(error),
    };
    let Ok(reference) = Reference::parse(&spec.image) else { return Err(missing) }; // an ID cannot be pulled
    let options = PullOptions { platform: None, credentials: Credentials::from_header(&spec.registry_auth)? };
    tracing::info!(image = spec.image, "pulling it for a task");
    match pull::pull(&machine.registry, &store, &reference, &options, &(Arc::new(|_| {}) as pull::Teller)).await {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == Kind::NotFound => Err(missing),
        Err(error) => Err(Error::not_found(format!("{} (pull: {})", missing.message(), error.message()))),
    }
}

async fn here(machine: &Machine, image: &str) -> Result<()> {
    let (store, image) = (machine.engine.images.store.clone(), image.to_string());
    let look = tokio::task::spawn_blocking(move || store.resolve(&image).map(drop));
    look.await.map_err(|_| Error::system("the thread that looks for images ended early"))?
}
