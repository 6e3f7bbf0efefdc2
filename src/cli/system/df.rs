//! # system df: what takes the room
//!
//! Layers are shared between images, so the sizes of images must not simply be added: the daemon says how much all layers
//! take together and how much of each image is shared.
//!
//! ```text
//!   TYPE            TOTAL     ACTIVE    SIZE      RECLAIMABLE
//!   Images          1         1         1.982MB   0B (0%)
//! ```
//!
//! * *Reclaimable* is what `prune` would give back. `-v` lists every object.
//!
//! *See:* docker/cli `cli/command/system/df.go`, `formatter/disk_usage.go`. *Next room:* [`super::prune`]

use crate::{
    container::ps::{self, ContainerRow},
    flag,
    format::{self, Columns},
    image::list::{self, ImageRow},
    session::Session,
    template::{
        Value,
        shapes::{Field, Kind, Shape},
        value::{List, Row, Struct},
    },
    terminal,
    volume::{self, VolumeRow},
};
use clap::ArgMatches;
use minidock_base::{Result, clock, units};
use minidock_client::Route;
use minidock_spec::{
    engine::{container::Summary, image::ImageSummary, system::DiskUsage, volume::Volume},
    reference::Reference,
};
use serde_json::Value as Json;
use std::rc::Rc;

const COLUMNS: Columns =
    &[("Type", "TYPE"), ("TotalCount", "TOTAL"), ("Active", "ACTIVE"), ("Size", "SIZE"), ("Reclaimable", "RECLAIMABLE")];

const TABLE: &str = "table {{.Type}}\t{{.TotalCount}}\t{{.Active}}\t{{.Size}}\t{{.Reclaimable}}";
const RAW: &str =
    "type: {{.Type}}\ntotal: {{.TotalCount}}\nactive: {{.Active}}\nsize: {{.Size}}\nreclaimable: {{.Reclaimable}}\n";
const IMAGES: &str =
    "table {{.Repository}}\t{{.Tag}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}\t{{.SharedSize}}\t{{.UniqueSize}}\t{{.Containers}}";
const CONTAINERS: &str =
    "table {{.ID}}\t{{.Image}}\t{{.Command}}\t{{.LocalVolumes}}\t{{.Size}}\t{{.RunningFor}}\t{{.Status}}\t{{.Names}}";
const VOLUMES: &str = "table {{.Name}}\t{{.Links}}\t{{.Size}}";
const CACHE: &str =
    "table {{.ID}}\t{{.CacheType}}\t{{.Size}}\t{{.CreatedSince}}\t{{.LastUsedSince}}\t{{.UsageCount}}\t{{.Shared}}";
const CACHE_COLUMNS: Columns = &[
    ("ID", "CACHE ID"),
    ("CacheType", "CACHE TYPE"),
    ("Size", "SIZE"),
    ("CreatedSince", "CREATED"),
    ("LastUsedSince", "LAST USED"),
    ("UsageCount", "USAGE"),
    ("Shared", "SHARED"),
];

/// What a template of `df -v` sees.
static EVERYTHING: Shape = Shape {
    name: "formatter.diskUsageContext",
    fields: &[
        Field::new("Images", Kind::List(&Kind::Any)),
        Field::new("Containers", Kind::List(&Kind::Any)),
        Field::new("Volumes", Kind::List(&Kind::Any)),
        Field::new("BuildCache", Kind::List(&Kind::Any)),
    ],
};

/// The flags of `system df`.
pub fn command() -> clap::Command {
    flag::command("df", "[OPTIONS]", "Show minidock disk usage")
        .arg(format::flag())
        .arg(flag::switch("verbose", "Show detailed information on space usage").short('v'))
}

/// Shows disk usage.
///
/// # Errors
/// A wrong template; the daemon's refusal.
pub async fn run(m: &ArgMatches, session: &mut Session) -> Result<i32> {
    let usage: DiskUsage = session.docker().await?.get(&Route::new("/system/df", [])).await?;
    let usage = Usage::of(usage);
    let typed = flag::text_of(m, "format").unwrap_or_default();
    let text = match (m.get_flag("verbose"), typed) {
        (false, "" | "table") => format::render(TABLE, COLUMNS, &usage.summary())?,
        (false, "raw") => format::render(RAW, COLUMNS, &usage.summary())?,
        (false, custom) => format::render(custom, COLUMNS, &usage.summary())?,
        (true, "" | "table") => usage.verbose()?,
        (true, custom) => {
            let raw = raw();
            let template = match custom {
                "json" => "{{json .}}",
                "raw" => &raw,
                custom => custom,
            };
            let template = format::parse(template)?;
            template.render(&usage.as_value()).map_err(format::refused)?
        }
    };
    terminal::print(&text);
    Ok(0)
}

/// `df -v --format raw`: the long forms of all rows, one list after the other.
fn raw() -> String {
    let image = list::format_of("raw", false, true);
    let container = format!("{}size: {{{{.Size}}}}\n", ps::RAW);
    format!(
        "{{{{range .Images}}}}type: Image\n{image}\n{{{{end -}}}}\n{{{{range .Containers}}}}type: Container\n{container}\n{{{{end -}}}}\n\
         {{{{range .Volumes}}}}type: Volume\nname: {{{{.Name}}}}\ndriver: {{{{.Driver}}}}\n\n{{{{end -}}}}\n"
    )
}

/// What the daemon said, with nothing absent.
struct Usage {
    layers: i64,
    images: Vec<ImageSummary>,
    containers: Vec<Summary>,
    volumes: Vec<Volume>,
    cache: Vec<Json>,
}

impl Usage {
    fn of(usage: DiskUsage) -> Usage {
        Usage {
            layers: usage.layers_size,
            images: usage.images.unwrap_or_default(),
            containers: usage.containers.unwrap_or_default(),
            volumes: usage.volumes.unwrap_or_default(),
            cache: usage.build_cache.unwrap_or_default(),
        }
    }

    fn summary(&self) -> Vec<Rc<dyn Row>> {
        vec![Rc::new(self.image_row()), Rc::new(self.container_row()), Rc::new(self.volume_row()), Rc::new(self.cache_row())]
    }

    fn image_row(&self) -> UsageRow {
        let in_use = self.images.iter().filter(|image| image.containers != 0 && image.size != -1 && image.shared_size != -1);
        let used: i64 = in_use.map(|image| image.size - image.shared_size).sum();
        UsageRow {
            kind: "Images",
            total: self.images.len(),
            active: self.images.iter().filter(|image| image.containers > 0).count(),
            size: self.layers,
            reclaimable: self.layers - used,
        }
    }

    fn container_row(&self) -> UsageRow {
        let is_active = |c: &&Summary| matches!(c.state.as_str(), "running" | "paused" | "restarting");
        let size = |c: &Summary| c.size_rw.unwrap_or(0);
        UsageRow {
            kind: "Containers",
            total: self.containers.len(),
            active: self.containers.iter().filter(is_active).count(),
            size: self.containers.iter().map(size).sum(),
            reclaimable: self.containers.iter().filter(|c| !is_active(c)).map(size).sum(),
        }
    }

    fn volume_row(&self) -> UsageRow {
        let known = || self.volumes.iter().filter_map(|v| v.usage_data.as_ref()).filter(|usage| usage.size != -1);
        UsageRow {
            kind: "Local Volumes",
            total: self.volumes.len(),
            active: self.volumes.iter().filter_map(|v| v.usage_data.as_ref()).filter(|usage| usage.ref_count > 0).count(),
            size: known().map(|usage| usage.size).sum(),
            reclaimable: known().filter(|usage| usage.ref_count == 0).map(|usage| usage.size).sum(),
        }
    }

    fn cache_row(&self) -> UsageRow {
        let truth = |record: &Json, key: &str| record[key].as_bool().unwrap_or(false);
        let own = || self.cache.iter().filter(|record| !truth(record, "Shared"));
        let size = |record: &Json| record["Size"].as_i64().unwrap_or(0);
        let total: i64 = own().map(size).sum();
        let in_use: i64 = own().filter(|record| truth(record, "InUse")).map(size).sum();
        UsageRow {
            kind: "Build Cache",
            total: self.cache.len(),
            active: self.cache.iter().filter(|record| truth(record, "InUse")).count(),
            size: total,
            reclaimable: total - in_use,
        }
    }

    fn image_rows(&self, full: bool) -> Vec<Rc<dyn Row>> {
        let now = clock::now();
        let row = |image: &ImageSummary| {
            // an image is counted once, under its first name
            let name = image.repo_tags.first().and_then(|tag| Reference::parse(tag).ok());
            let none = || "<none>".to_string();
            Rc::new(ImageRow {
                image: image.clone(),
                repository: name.as_ref().map_or_else(none, Reference::familiar_name),
                tag: name.and_then(|name| name.tag).unwrap_or_else(none),
                digest: String::new(),
                full,
                now,
            }) as Rc<dyn Row>
        };
        self.images.iter().map(row).collect()
    }

    fn container_rows(&self, full: bool) -> Vec<Rc<dyn Row>> {
        let now = clock::now();
        let row = |summary: &Summary| {
            let summary = Summary { size_root_fs: None, ..summary.clone() };
            Rc::new(ContainerRow::new(summary, full, now)) as Rc<dyn Row>
        };
        self.containers.iter().map(row).collect()
    }

    fn volume_rows(&self) -> Vec<Rc<dyn Row>> {
        self.volumes.iter().map(|volume| Rc::new(VolumeRow(volume.clone())) as Rc<dyn Row>).collect()
    }

    fn verbose(&self) -> Result<String> {
        Ok(format!(
            "Images space usage:\n\n{}\nContainers space usage:\n\n{}\nLocal Volumes space usage:\n\n{}\nBuild cache usage: {}\n\n{}",
            format::render(IMAGES, list::COLUMNS, &self.image_rows(false))?,
            format::render(CONTAINERS, ps::COLUMNS, &self.container_rows(false))?,
            format::render(VOLUMES, volume::COLUMNS, &self.volume_rows())?,
            units::human_size(self.cache_row().size as f64),
            format::render(CACHE, CACHE_COLUMNS, &[])?,
        ))
    }

    /// What a template of `df -v` sees: four lists of rows.
    fn as_value(&self) -> Value {
        let list = |rows: Vec<Rc<dyn Row>>| {
            Value::List(Rc::new(List { of: &Kind::Any, items: rows.into_iter().map(Value::Row).collect(), nil: false }))
        };
        let fields =
            vec![list(self.image_rows(true)), list(self.container_rows(true)), list(self.volume_rows()), list(Vec::new())];
        Value::Struct(Rc::new(Struct { shape: &EVERYTHING, pointer: true, fields }))
    }
}

/// One kind of thing and the room it takes.
struct UsageRow {
    kind: &'static str,
    total: usize,
    active: usize,
    size: i64,
    reclaimable: i64,
}

impl Row for UsageRow {
    fn type_name(&self) -> &'static str {
        match self.kind {
            "Images" => "*formatter.diskUsageImagesContext",
            "Containers" => "*formatter.diskUsageContainersContext",
            "Local Volumes" => "*formatter.diskUsageVolumesContext",
            _ => "*formatter.diskUsageBuilderContext",
        }
    }

    fn columns(&self) -> &'static [&'static str] {
        &["Active", "Reclaimable", "Size", "TotalCount", "Type"]
    }

    fn column(&self, name: &str) -> Option<Value> {
        let reclaimable = units::human_size(self.reclaimable as f64);
        Some(Value::text(match name {
            "Type" => self.kind.to_string(),
            "TotalCount" => self.total.to_string(),
            "Active" => self.active.to_string(),
            "Size" => units::human_size(self.size as f64),
            "Reclaimable" if self.size > 0 && self.kind != "Build Cache" => {
                format!("{reclaimable} ({}%)", self.reclaimable.saturating_mul(100) / self.size)
            }
            "Reclaimable" => reclaimable,
            _ => return None,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn usage() -> Usage {
        Usage::of(
            serde_json::from_value(json!({
                "LayersSize": 1982377,
                "Images": [{"Id": "sha256:9cbd", "RepoTags": ["alpine:latest"], "Size": 1982377, "SharedSize": 0, "Containers": 3}],
                "Containers": [{"Id": "a", "Names": ["/a"], "Image": "alpine", "State": "running", "SizeRw": 10}, {"Id": "b", "Names": ["/b"], "Image": "alpine", "State": "exited", "SizeRw": 30}],
                "Volumes": [{"Name": "v", "UsageData": {"RefCount": 0, "Size": 100}}], "BuildCache": null
            }))
            .expect("a usage"),
        )
    }

    #[test]
    fn the_room_is_told_by_kind() {
        assert_eq!(
            format::render(TABLE, COLUMNS, &usage().summary()).expect("a good format"),
            "TYPE            TOTAL     ACTIVE    SIZE      RECLAIMABLE\n\
             Images          1         1         1.982MB   0B (0%)\n\
             Containers      2         1         40B       30B (75%)\n\
             Local Volumes   1         0         100B      100B (100%)\n\
             Build Cache     0         0         0B        0B\n"
        );
    }

    #[test]
    fn every_object_can_be_listed() {
        let text = usage().verbose().expect("our own formats");
        assert!(text.starts_with("Images space usage:\n\nREPOSITORY   TAG       IMAGE ID   CREATED"), "{text}");
        assert!(
            text.contains("\nLocal Volumes space usage:\n\nVOLUME NAME   LINKS     SIZE\nv             0         100B\n"),
            "{text}"
        );
        assert!(text.contains("\nBuild cache usage: 0B\n\nCACHE ID   CACHE TYPE   SIZE"), "{text}");
        let template = format::parse("{{range .Volumes}}{{.Name}} {{.Size}}{{end}}").expect("a good template");
        assert_eq!(template.render(&usage().as_value()).expect("a line"), "v 100B");
        let json = format::parse("{{json .}}").expect("a good template").render(&usage().as_value()).expect("JSON");
        assert!(json.starts_with("{\"Images\":[{\"Containers\":\"3\"") && json.ends_with("\"BuildCache\":[]}"), "{json}");
    }
}
