//! # Export: the whole tree as one tar
//!
//! All layers and the writable one, as the container sees them, without its mounts: a root filesystem that
//! `minidock image import` takes in again. It is read through a stack of our own, so that neither `/proc` nor a volume is in
//! it, whether the container runs or not.
//!
//! Law: the stack is read-only, the writable layer lying in it as one more lower one; a running container may change
//! files while they are read, and each is then as it was at some moment. See: moby `daemon/export.go`.
//! Next room: [`crate::container::copy`]

use crate::{
    Engine,
    byte_stream::{ByteStream, blocking, writing},
    container::root,
};
use minidock_base::Result;
use minidock_image::{
    layer::pack::{Options, Packer},
    snapshot,
};
use std::{collections::BTreeMap, sync::Arc};

/// `GET /containers/{id}/export`.
///
/// # Errors
/// No such container, no such layers: before the first byte. What fails later ends the stream with an error.
pub async fn export(engine: &Arc<Engine>, id: &str) -> Result<ByteStream> {
    let (opening, record) = (engine.clone(), engine.containers.find(id)?.record());
    let name = record.name.clone();
    let attributes = BTreeMap::from([("image".to_string(), record.config.image.clone()), ("name".to_string(), name)]);
    engine.events.publish("container", "export", &record.id, attributes);
    let root = blocking(move || {
        let image = root::image_of(&opening, &record)?;
        snapshot::read_only_view(&opening.paths, &image.lower, Some(&opening.paths.container_diff(&record.id)))
    })
    .await?;
    Ok(writing(move |out| {
        let mut packer = Packer::new(out, Options::default());
        packer.tree(&root, b"")?;
        packer.finish().map(|_| ())
    }))
}
