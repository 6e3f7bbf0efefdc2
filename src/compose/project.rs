//! # Project: the tables of a file's top level
//!
//! A Compose file is five mappings of names: services, and what services use. Here are the tables of the four that are used; services
//! have a room of their own.
//!
//! * What has no value at all (`networks: {front: }`) is there, with nothing special about it.
//! * `external: true` means: made by somebody else, only looked for. `external: {name: x}` is the old spelling.
//!
//! *See:* docker/cli `cli/compose/types`. *Next room:* [`crate::service`]

use crate::{
    service::SERVICE,
    shape::{Field, Kind, Shape},
    short,
};

/// The top level, in the order in which it is shown; `version` is read by hand, and stands before all.
pub static PROJECT: Shape = Shape(&[
    Field::new("services", Kind::Names(&Kind::Struct(&SERVICE))).kept(),
    Field::new("networks", Kind::Names(&Kind::Short(short::outer, &Kind::Struct(&NETWORK)))).whole(),
    Field::new("volumes", Kind::Names(&Kind::Short(short::outer, &Kind::Struct(&VOLUME)))).whole(),
    Field::new("secrets", Kind::Names(&Kind::Short(short::outer, &Kind::Struct(&SECRET)))).whole(),
    Field::new("configs", Kind::Names(&Kind::Short(short::outer, &Kind::Struct(&CONFIG)))).whole(),
]);

pub static NETWORK: Shape = Shape(&[
    Field::new("name", Kind::Text),
    Field::new("driver", Kind::Text),
    Field::new("driver_opts", Kind::Pairs),
    Field::new("ipam", Kind::Struct(&IPAM)),
    Field::new("external", Kind::Bool),
    Field::new("internal", Kind::Bool),
    Field::new("attachable", Kind::Bool),
    Field::new("labels", Kind::Pairs),
]);

static IPAM: Shape =
    Shape(&[Field::new("driver", Kind::Text), Field::new("config", Kind::List(&Kind::Struct(&POOL))).replaced()]);

static POOL: Shape = Shape(&[Field::new("subnet", Kind::Text), Field::new("gateway", Kind::Text)]);

pub static VOLUME: Shape = Shape(&[
    Field::new("name", Kind::Text),
    Field::new("driver", Kind::Text),
    Field::new("driver_opts", Kind::Pairs),
    Field::new("external", Kind::Bool),
    Field::new("labels", Kind::Pairs),
]);

pub static SECRET: Shape = Shape(&[
    Field::new("name", Kind::Text),
    Field::new("file", Kind::Text),
    Field::new("external", Kind::Bool),
    Field::new("labels", Kind::Pairs),
    Field::new("driver", Kind::Text),
    Field::new("driver_opts", Kind::Pairs),
    Field::new("template_driver", Kind::Text),
]);

pub static CONFIG: Shape = Shape(&[
    Field::new("name", Kind::Text),
    Field::new("file", Kind::Text),
    Field::new("external", Kind::Bool),
    Field::new("labels", Kind::Pairs),
    Field::new("template_driver", Kind::Text),
]);
