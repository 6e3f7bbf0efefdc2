//! # The shape of an image
//!
//! See: moby `api/types/image/image_inspect.go`, moby/docker-image-spec. Next room: [`super::other`]

use super::{
    Field, Kind, Shape,
    container::{CONFIG, DESCRIPTOR, DRIVER_DATA, HEALTH_CONFIG},
};

/// The answer of `GET /images/{name}/json`.
pub static IMAGE: Shape = Shape {
    name: "image.InspectResponse",
    fields: &[
        Field::new("ID", Kind::Text).key("Id"),
        Field::new("RepoTags", Kind::List(&Kind::Text)),
        Field::new("RepoDigests", Kind::List(&Kind::Text)),
        Field::new("Parent", Kind::Text),
        Field::new("Comment", Kind::Text),
        Field::new("Created", Kind::Text).omit(),
        Field::new("Container", Kind::Text).omit(),
        Field::new("ContainerConfig", Kind::Pointer(&Kind::Struct(&CONFIG))).omit(),
        Field::new("DockerVersion", Kind::Text),
        Field::new("Author", Kind::Text),
        Field::new("Config", Kind::Pointer(&Kind::Struct(&IMAGE_CONFIG))),
        Field::new("Architecture", Kind::Text),
        Field::new("Variant", Kind::Text).omit(),
        Field::new("Os", Kind::Text),
        Field::new("OsVersion", Kind::Text).omit(),
        Field::new("Size", Kind::Int),
        Field::new("VirtualSize", Kind::Int).omit(),
        Field::new("GraphDriver", Kind::Struct(&DRIVER_DATA)),
        Field::new("RootFS", Kind::Struct(&ROOT_FS)),
        Field::new("Metadata", Kind::Struct(&METADATA)),
        Field::new("Descriptor", Kind::Pointer(&Kind::Struct(&DESCRIPTOR))).omit(),
        Field::new("Manifests", Kind::List(&Kind::Any)).omit(),
    ],
};

/// What a container of it starts with.
pub static IMAGE_CONFIG: Shape = Shape {
    name: "v1.DockerOCIImageConfig",
    fields: &[
        Field::new("ImageConfig", Kind::Struct(&OCI_CONFIG)).embed(),
        Field::new("DockerOCIImageConfigExt", Kind::Struct(&DOCKER_CONFIG)).embed(),
    ],
};

/// The part that OCI specifies.
pub static OCI_CONFIG: Shape = Shape {
    name: "v1.ImageConfig",
    fields: &[
        Field::new("User", Kind::Text).omit(),
        Field::new("ExposedPorts", Kind::Map(&Kind::Unit)).omit(),
        Field::new("Env", Kind::List(&Kind::Text)).omit(),
        Field::new("Entrypoint", Kind::List(&Kind::Text)).omit(),
        Field::new("Cmd", Kind::List(&Kind::Text)).omit(),
        Field::new("Volumes", Kind::Map(&Kind::Unit)).omit(),
        Field::new("WorkingDir", Kind::Text).omit(),
        Field::new("Labels", Kind::Map(&Kind::Text)).omit(),
        Field::new("StopSignal", Kind::Text).omit(),
        Field::new("ArgsEscaped", Kind::Bool).omit(),
    ],
};

/// The part that Docker added.
pub static DOCKER_CONFIG: Shape = Shape {
    name: "v1.DockerOCIImageConfigExt",
    fields: &[
        Field::new("Healthcheck", Kind::Pointer(&Kind::Struct(&HEALTH_CONFIG))).omit(),
        Field::new("OnBuild", Kind::List(&Kind::Text)).omit(),
        Field::new("Shell", Kind::List(&Kind::Text)).omit(),
    ],
};

/// Its layers.
pub static ROOT_FS: Shape = Shape {
    name: "image.RootFS",
    fields: &[Field::new("Type", Kind::Text).omit(), Field::new("Layers", Kind::List(&Kind::Text)).omit()],
};

/// What only this store knows.
pub static METADATA: Shape = Shape { name: "image.Metadata", fields: &[Field::new("LastTagTime", Kind::Time).omit()] };
