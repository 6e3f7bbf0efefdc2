//! # Deploy: the table of what only a swarm understands
//!
//! How many, where, with how much, and what when one ends or all are changed. `compose up` reads little of it, `stack deploy` is made of it.
//!
//! *See:* docker/cli `cli/compose/types/types.go` DeployConfig. *Next room:* [`crate::short`]

use crate::shape::{Field, Kind, Shape};

pub static DEPLOY: Shape = Shape(&[
    Field::new("mode", Kind::Text),
    Field::new("replicas", Kind::Count).kept(),
    Field::new("labels", Kind::Pairs),
    Field::new("update_config", Kind::Struct(&UPDATE)).kept(),
    Field::new("rollback_config", Kind::Struct(&UPDATE)).kept(),
    Field::new("resources", Kind::Struct(&RESOURCES)),
    Field::new("restart_policy", Kind::Struct(&RESTART)).kept(),
    Field::new("placement", Kind::Struct(&PLACEMENT)),
    Field::new("endpoint_mode", Kind::Text),
]);

static UPDATE: Shape = Shape(&[
    Field::new("parallelism", Kind::Count).kept(),
    Field::new("delay", Kind::Duration),
    Field::new("failure_action", Kind::Text),
    Field::new("monitor", Kind::Duration),
    Field::new("max_failure_ratio", Kind::Number),
    Field::new("order", Kind::Text),
]);

static RESOURCES: Shape = Shape(&[
    Field::new("limits", Kind::Struct(&LIMITS)).kept(),
    Field::new("reservations", Kind::Struct(&RESERVATIONS)).kept(),
]);

static LIMITS: Shape =
    Shape(&[Field::new("cpus", Kind::Text), Field::new("memory", Kind::Memory), Field::new("pids", Kind::Int)]);

static RESERVATIONS: Shape = Shape(&[
    Field::new("cpus", Kind::Text),
    Field::new("memory", Kind::Memory),
    Field::new("generic_resources", Kind::List(&Kind::Struct(&GENERIC))),
]);

static GENERIC: Shape = Shape(&[Field::new("discrete_resource_spec", Kind::Struct(&DISCRETE))]);

static DISCRETE: Shape = Shape(&[Field::new("kind", Kind::Text), Field::new("value", Kind::Count).kept()]);

static RESTART: Shape = Shape(&[
    Field::new("condition", Kind::Text),
    Field::new("delay", Kind::Duration),
    Field::new("max_attempts", Kind::Count).kept(),
    Field::new("window", Kind::Duration),
]);

static PLACEMENT: Shape = Shape(&[
    Field::new("constraints", Kind::Texts),
    Field::new("preferences", Kind::List(&Kind::Struct(&PREFERENCE))),
    Field::new("max_replicas_per_node", Kind::Count),
]);

static PREFERENCE: Shape = Shape(&[Field::new("spread", Kind::Text)]);
