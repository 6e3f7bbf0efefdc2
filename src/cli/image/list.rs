//! # image ls: which images are here
//!
//! An image has one id and any number of names, so one image may be several rows: one for each repository and tag, and
//! with `--digests` one for each digest as well. An image whose last name went elsewhere is *dangling*: `<none>`.
//!
//! * [`run`]: the command. [`ImageRow`]: one row, used by `system df -v` too. [`rows`]: an image's rows.
//!
//! *See:* docker/cli `cli/command/image/list.go`, `formatter/image.go`. *Next room:* [`super::history`]

use crate::{
    filter::{self, Filters},
    flag,
    format::{self, Columns},
    session::Session,
    template::{Value, value::Row},
    terminal,
};
use clap::ArgMatches;
use jiff::Timestamp;
use minidock_base::{Result, clock, id, units};
use minidock_client::Route;
use minidock_spec::{engine::image::ImageSummary, reference::Reference};
use std::rc::Rc;

/// The headings of the columns.
pub const COLUMNS: Columns = &[
    ("ID", "IMAGE ID"),
    ("Repository", "REPOSITORY"),
    ("Tag", "TAG"),
    ("Digest", "DIGEST"),
    ("CreatedSince", "CREATED"),
    ("CreatedAt", "CREATED AT"),
    ("Size", "SIZE"),
    ("Containers", "CONTAINERS"),
    ("VirtualSize", "SIZE"),
    ("SharedSize", "SHARED SIZE"),
    ("UniqueSize", "UNIQUE SIZE"),
];

const TABLE: &str =
    "table {{.Repository}}\t{{.Tag}}\t{{.ID}}\t{{if .CreatedSince }}{{.CreatedSince}}{{else}}N/A{{end}}\t{{.Size}}";
const TABLE_WITH_DIGEST: &str = "table {{.Repository}}\t{{.Tag}}\t{{.Digest}}\t{{.ID}}\t{{if .CreatedSince }}{{.CreatedSince}}{{else}}N/A{{end}}\t{{.Size}}";

/// The verbs of `image`: `minidock images ls` is most often a slip.
const VERBS: [&str; 13] =
    ["build", "history", "import", "inspect", "list", "load", "ls", "prune", "pull", "push", "rm", "save", "tag"];

/// The flags of `image ls`.
pub fn command() -> clap::Command {
    flag::command("ls", "[OPTIONS] [REPOSITORY[:TAG]]", "List images")
        .arg(flag::switch("all", "Show all images (default hides intermediate images)").short('a'))
        .arg(flag::switch("digests", "Show digests"))
        .arg(filter::flag("Filter output based on conditions provided").short('f'))
        .arg(format::flag())
        .arg(flag::switch("no-trunc", "Don't truncate output"))
        .arg(flag::switch("quiet", "Only show image IDs").short('q'))
        .arg(flag::optional("REPOSITORY"))
}

/// Lists images.
///
/// # Errors
/// A template or a filter that is wrong; the daemon's refusal.
pub async fn run(m: &ArgMatches, session: &mut Session) -> Result<i32> {
    let mut filters = Filters::of(m);
    let wanted = flag::text_of(m, "REPOSITORY");
    if let Some(name) = wanted {
        filters.add("reference", name);
    }
    let digests = m.get_flag("digests");
    let route =
        Route::new("/images/json", []).flag("all", m.get_flag("all")).flag("digests", digests).maybe("filters", filters.json());
    let images: Vec<ImageSummary> = session.docker().await?.get(&route).await?;
    let format = format_of(flag::text_of(m, "format").unwrap_or_default(), m.get_flag("quiet"), digests);
    let show = Show { full: m.get_flag("no-trunc"), digests, digest_column: digests || format.contains("{{.Digest}}") };
    let now = clock::now();
    let found: Vec<Rc<dyn Row>> =
        images.iter().flat_map(|image| rows(image, &show, now)).map(|row| Rc::new(row) as Rc<dyn Row>).collect();
    terminal::print(&format::render(&format, COLUMNS, &found)?);
    if let Some(verb) = wanted.filter(|name| images.is_empty() && VERBS.contains(name)) {
        terminal::eprint(&format!("\nNo images found matching {verb:?}: did you mean \"minidock image {verb}\"?\n"));
    }
    Ok(0)
}

/// The format that the flags come to.
pub fn format_of(typed: &str, quiet: bool, digests: bool) -> String {
    match (typed, quiet) {
        ("" | "table", true) => "{{.ID}}".into(),
        ("" | "table", false) => if digests { TABLE_WITH_DIGEST } else { TABLE }.into(),
        ("raw", true) => "image_id: {{.ID}}".into(),
        ("raw", false) => {
            let digest = if digests { "digest: {{.Digest}}\n" } else { "" };
            format!(
                "repository: {{{{.Repository}}}}\ntag: {{{{.Tag}}}}\n{digest}image_id: {{{{.ID}}}}\ncreated_at: {{{{.CreatedAt}}}}\nvirtual_size: {{{{.Size}}}}\n"
            )
        }
        (custom, _) if custom.starts_with("table") && digests && !custom.contains("{{.Digest}}") => {
            format!("{custom}\t{{{{.Digest}}}}")
        }
        (custom, _) => custom.into(),
    }
}

/// What of an image is shown.
pub struct Show {
    pub full: bool,
    /// One row for each digest.
    pub digests: bool,
    /// Digests are needed, if only as a column.
    pub digest_column: bool,
}

/// One row for each name of an image.
pub fn rows(image: &ImageSummary, show: &Show, now: Timestamp) -> Vec<ImageRow> {
    let row = |repository: &str, tag: &str, digest: &str| ImageRow {
        image: image.clone(),
        repository: repository.into(),
        tag: tag.into(),
        digest: digest.into(),
        full: show.full,
        now,
    };
    let known = |names: &[String]| names.iter().filter_map(|name| Reference::parse_untagged(name).ok()).collect::<Vec<_>>();
    let (tags, digests) = (known(&image.repo_tags), known(&image.repo_digests));
    if tags.is_empty() && digests.is_empty() {
        return vec![row("<none>", "<none>", "<none>")];
    }
    let mut found = Vec::new();
    for name in &tags {
        let (repository, tag) = (name.familiar_name(), name.tag.as_deref().unwrap_or("<none>"));
        let its: Vec<String> = digests
            .iter()
            .filter(|d| show.digest_column && d.familiar_name() == repository)
            .filter_map(|d| d.digest.as_ref().map(ToString::to_string))
            .collect();
        match its.is_empty() {
            true => found.push(row(&repository, tag, "<none>")),
            false => found.extend(its.iter().map(|digest| row(&repository, tag, digest))),
        }
    }
    let tagged = |d: &&Reference| !tags.iter().any(|t| t.familiar_name() == d.familiar_name());
    let mut seen: Vec<String> = Vec::new();
    for name in digests.iter().filter(tagged) {
        let repository = name.familiar_name();
        if show.digests {
            found.push(row(&repository, "<none>", &name.digest.as_ref().map(ToString::to_string).unwrap_or_default()));
        } else if !seen.contains(&repository) {
            found.push(row(&repository, "<none>", ""));
            seen.push(repository);
        }
    }
    found
}

/// One name of an image as a row of a table.
pub struct ImageRow {
    pub image: ImageSummary,
    pub repository: String,
    pub tag: String,
    pub digest: String,
    pub full: bool,
    pub now: Timestamp,
}

impl Row for ImageRow {
    fn type_name(&self) -> &'static str {
        "*formatter.imageContext"
    }

    fn columns(&self) -> &'static [&'static str] {
        &[
            "Containers",
            "CreatedAt",
            "CreatedSince",
            "Digest",
            "ID",
            "Repository",
            "SharedSize",
            "Size",
            "Tag",
            "UniqueSize",
            "VirtualSize",
        ]
    }

    fn column(&self, name: &str) -> Option<Value> {
        let image = &self.image;
        let not_computed = |value: i64, text: String| if value == -1 { "N/A".to_string() } else { text };
        Some(Value::text(match name {
            "ID" if self.full => image.id.clone(),
            "ID" => id::short(&image.id).to_string(),
            "Repository" => self.repository.clone(),
            "Tag" => self.tag.clone(),
            "Digest" => self.digest.clone(),
            "CreatedSince" => format::ago(image.created, self.now),
            "CreatedAt" => format::local_time(image.created),
            "Size" => units::human_size_3(image.size as f64),
            "VirtualSize" => units::human_size(image.size as f64),
            "Containers" => not_computed(image.containers, image.containers.to_string()),
            "SharedSize" => not_computed(image.shared_size, units::human_size(image.shared_size as f64)),
            "UniqueSize" => not_computed(image.shared_size, units::human_size((image.size - image.shared_size) as f64)),
            _ => return None,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(tags: &[&str], digests: &[&str]) -> ImageSummary {
        ImageSummary {
            id: "sha256:9cbd2e6f7ffe2fae935a70a4c21a9353e2093eb9594942183ca7ed6474a4e84c".into(),
            repo_tags: tags.iter().map(|t| t.to_string()).collect(),
            repo_digests: digests.iter().map(|d| d.to_string()).collect(),
            created: 1_795_775_184,
            size: 1_982_377,
            shared_size: -1,
            containers: -1,
            ..ImageSummary::default()
        }
    }

    fn shown(format: &str, images: &[ImageSummary], digests: bool) -> String {
        let show = Show { full: false, digests, digest_column: digests || format.contains("{{.Digest}}") };
        let now = Timestamp::from_second(1_795_775_484).expect("a time");
        let found: Vec<Rc<dyn Row>> =
            images.iter().flat_map(|i| rows(i, &show, now)).map(|r| Rc::new(r) as Rc<dyn Row>).collect();
        format::render(format, COLUMNS, &found).expect("a good format")
    }

    #[test]
    fn an_image_has_a_row_for_each_name() {
        let images = [image(&["alpine:latest", "localhost:5000/team/app:1.0"], &[]), image(&[], &[])];
        assert_eq!(
            shown(TABLE, &images, false),
            "REPOSITORY                TAG       IMAGE ID       CREATED         SIZE\n\
             alpine                    latest    9cbd2e6f7ffe   5 minutes ago   1.98MB\n\
             localhost:5000/team/app   1.0       9cbd2e6f7ffe   5 minutes ago   1.98MB\n\
             <none>                    <none>    9cbd2e6f7ffe   5 minutes ago   1.98MB\n"
        );
    }

    #[test]
    fn digests_are_a_column_when_asked_for() {
        let digest = "sha256:9cbd2e6f7ffe2fae935a70a4c21a9353e2093eb9594942183ca7ed6474a4e84c";
        let images = [image(&["alpine:latest"], &[&format!("alpine@{digest}")]), image(&[], &[&format!("busybox@{digest}")])];
        let lines = |digests| shown("{{.Repository}} {{.Tag}} {{.Digest}}", &images, digests);
        assert_eq!(lines(true), format!("alpine latest {digest}\nbusybox <none> {digest}\n"));
        assert_eq!(lines(false), format!("alpine latest {digest}\nbusybox <none> \n"));
        assert_eq!(shown("{{.Tag}} {{.SharedSize}} {{.Containers}}", &images[..1], false), "latest N/A N/A\n");
    }

    #[test]
    fn the_flags_choose_the_format() {
        assert_eq!(format_of("", true, true), "{{.ID}}");
        assert_eq!(format_of("table {{.ID}}", false, true), "table {{.ID}}\t{{.Digest}}");
        assert_eq!(format_of("{{.Tag}}", true, false), "{{.Tag}}");
    }
}
