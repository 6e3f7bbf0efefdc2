//! # inspect: everything that is known of an object
//!
//! `minidock inspect web` looks for a container called web, then an image, a network, a volume, a service, and prints what the
//! daemon says of the first that exists: JSON, indented by four spaces, or whatever `-f` asks for.
//!
//! ```text
//!   names ──▶ fetch (container? image? network? …) ──▶ Found { shape, json }
//!                                                               │ no -f        ▶ [ { … } ]
//!                                                               │ -f json      ▶ [{…}]
//!                                                               └ -f TEMPLATE  ▶ over the struct; if that fails, over the raw JSON
//! ```
//!
//! * [`run`] is the command of its own; `container inspect`, `image inspect` and their like call [`inspect`] with one
//!   [`Noun`].
//! * [`indent`] is Go's `json.Indent`: an empty list stays `[]`.
//!
//! Laws: what was found is printed even if something else was not, and then the status is 1; a template that cannot be parsed
//! is refused before anything is asked (64). *See:* docker/cli `cli/command/inspect`. *Next room:* [`crate::volume`]

use crate::{
    complain, flag, format, node,
    session::Session,
    template::{
        Fault, MissingKey, Template, Value,
        functions::Set,
        shapes::{self, Shape},
    },
    terminal, words,
};
use clap::ArgMatches;
use minidock_base::{Error, Kind, Result};
use minidock_client::{Docker, Route};
use serde_json::Value as Json;

/// The status of a template that cannot be parsed, as Docker has it.
const BAD_TEMPLATE: i32 = 64;

/// What can be inspected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Noun {
    Container,
    Image,
    Network,
    Volume,
    Service,
    Task,
    Node,
    Secret,
    Config,
}

/// The words that `--type` knows, in Docker's order.
const TYPES: [&str; 10] = ["config", "container", "image", "network", "node", "plugin", "secret", "service", "task", "volume"];

impl Noun {
    /// In the order in which a name is looked for.
    const ALL: [Noun; 9] = [
        Noun::Container,
        Noun::Image,
        Noun::Network,
        Noun::Volume,
        Noun::Service,
        Noun::Task,
        Noun::Node,
        Noun::Secret,
        Noun::Config,
    ];

    fn word(self) -> &'static str {
        match self {
            Noun::Container => "container",
            Noun::Image => "image",
            Noun::Network => "network",
            Noun::Volume => "volume",
            Noun::Service => "service",
            Noun::Task => "task",
            Noun::Node => "node",
            Noun::Secret => "secret",
            Noun::Config => "config",
        }
    }

    fn shape(self) -> &'static Shape {
        match self {
            Noun::Container => &shapes::container::CONTAINER,
            Noun::Image => &shapes::image::IMAGE,
            Noun::Network => &shapes::other::NETWORK,
            Noun::Volume => &shapes::other::VOLUME,
            Noun::Service => &shapes::swarm::SERVICE,
            Noun::Task => &shapes::task::TASK,
            Noun::Node => &shapes::swarm::NODE,
            Noun::Secret => &shapes::swarm::SECRET,
            Noun::Config => &shapes::swarm::CONFIG,
        }
    }

    async fn fetch(self, docker: &Docker, name: &str, more: More) -> Result<Json> {
        // such a name would make another route of it
        if name.trim_matches(['/', ' ']).is_empty() {
            return Err(Error::not_found(format!("No such {}: {name}", self.word())));
        }
        let route = match self {
            Noun::Container => Route::new("/containers/{}/json", [name]).flag("size", more.size),
            Noun::Image => Route::new("/images/{}/json", [name]),
            Noun::Network => Route::new("/networks/{}", [name]).flag("verbose", more.verbose),
            Noun::Volume => Route::new("/volumes/{}", [name]),
            Noun::Service => Route::new("/services/{}", [name]).pair("insertDefaults", true),
            Noun::Task => Route::new("/tasks/{}", [name]),
            Noun::Node => Route::new("/nodes/{}", [&node::reference(docker, name).await?]),
            Noun::Secret => Route::new("/secrets/{}", [name]),
            Noun::Config => Route::new("/configs/{}", [name]),
        };
        match docker.get(&route).await {
            Err(e) if self == Noun::Service && e.kind() == Kind::NotFound => {
                Err(Error::not_found(format!("no such service: {name}")))
            }
            answered => answered,
        }
    }
}

/// What is asked for besides.
#[derive(Clone, Copy)]
struct More {
    size: bool,
    verbose: bool,
}

/// What every `inspect` knows: `--format`, and names.
pub fn flags(usage: &'static str, about: &'static str) -> clap::Command {
    flag::command("inspect", usage, about)
        .arg(flag::text("format", "string", format::INSPECT_HELP).short('f'))
        .arg(flag::names("NAME"))
}

/// The flags of `inspect`.
pub fn command() -> clap::Command {
    flags("[OPTIONS] NAME|ID [NAME|ID...]", "Return low-level information on minidock objects")
        .arg(flag::switch("size", "Display total file sizes if the type is container").short('s'))
        .arg(flag::text("type", "string", "Only inspect objects of the given type"))
}

/// Inspects anything.
///
/// # Errors
/// An unknown `--type`, or a daemon that cannot be asked.
pub async fn run(m: &ArgMatches, session: &mut Session) -> Result<i32> {
    let wanted = match flag::text_of(m, "type").unwrap_or_default() {
        "" if words::is_given(m, "type") => return Err(unknown_type("type is empty")),
        "" => None,
        word if !TYPES.contains(&word) => return Err(unknown_type(&format!("unknown type: {word:?}"))),
        word => match Noun::ALL.iter().find(|noun| noun.word() == word) {
            Some(noun) => Some(*noun),
            None => return Err(Error::not_implemented(format!("there are no objects of type {word} here"))),
        },
    };
    let nouns: &[Noun] = wanted.as_slice();
    inspect(m, session, if nouns.is_empty() { &Noun::ALL } else { nouns }).await
}

fn unknown_type(what: &str) -> Error {
    Error::invalid(format!("{what}: must be one of \"{}\"", TYPES.join("\", \"")))
}

/// Inspects the names in `NAME`, each as the first of `nouns` that has it.
///
/// # Errors
/// A daemon that cannot be asked at all; what goes wrong with one name is printed, and the status is 1.
pub async fn inspect(m: &ArgMatches, session: &mut Session, nouns: &[Noun]) -> Result<i32> {
    let shown = match Shown::parse(flag::text_of(m, "format").unwrap_or_default()) {
        Ok(shown) => shown,
        Err(fault) => {
            complain(&format::refused(fault));
            return Ok(BAD_TEMPLATE);
        }
    };
    let given = |name: &str| m.try_get_one::<bool>(name).ok().flatten().copied().unwrap_or(false);
    let more = More { size: given("size"), verbose: given("verbose") };
    let docker = session.docker().await?;
    let (mut found, mut refusals) = (Vec::new(), Vec::new());
    for name in flag::list_of(m, "NAME") {
        match fetch(&docker, &name, nouns, more).await {
            Ok(object) => found.push(object),
            Err(refusal) => refusals.push(refusal),
        }
    }
    let (text, faults) = shown.print(&found);
    terminal::print(&text);
    refusals.extend(faults.into_iter().map(format::refused));
    refusals.iter().for_each(complain);
    Ok(i32::from(!refusals.is_empty()))
}

/// Shows objects that no struct of Docker's describes (contexts, say).
///
/// # Errors
/// A template that is wrong or asks for a key that is not there.
pub fn show(format: &str, objects: Vec<Json>) -> Result<String> {
    let found: Vec<Found> = objects.into_iter().map(|json| Found { shape: None, json }).collect();
    let (text, faults) = Shown::parse(format).map_err(format::refused)?.print(&found);
    match faults.into_iter().next() {
        Some(fault) => Err(format::refused(fault)),
        None => Ok(text),
    }
}

/// An object, and the struct that Docker would make of it.
struct Found {
    shape: Option<&'static Shape>,
    json: Json,
}

async fn fetch(docker: &Docker, name: &str, nouns: &[Noun], more: More) -> Result<Found> {
    for noun in nouns {
        match noun.fetch(docker, name, more).await {
            Ok(json) => {
                if more.size && *noun != Noun::Container {
                    terminal::eprint(&format!("WARNING: --size ignored for {}\n", noun.word()));
                }
                return Ok(Found { shape: Some(noun.shape()), json });
            }
            Err(error) if nouns.len() == 1 || !is_elsewhere(&error) => return Err(error),
            Err(_) => {}
        }
    }
    Err(Error::not_found(format!("Error: No such object: {name}")))
}

/// The refusals that only mean "not this kind of thing".
fn is_elsewhere(error: &Error) -> bool {
    matches!(error.kind(), Kind::NotFound | Kind::NotImplemented)
        || error.message().contains("not supported")
        || error.message().contains("not a swarm manager")
        || error.message().contains("invalid reference format")
}

/// How the objects are shown.
enum Shown {
    Indented,
    Json,
    Template(Template),
}

impl Shown {
    fn parse(format: &str) -> std::result::Result<Shown, Fault> {
        match format {
            "" => Ok(Shown::Indented),
            "json" => Ok(Shown::Json),
            template => Template::parse(template).map(Shown::Template),
        }
    }

    /// The text to print, and what could not be rendered.
    fn print(&self, found: &[Found]) -> (String, Vec<Fault>) {
        match self {
            Shown::Indented if found.is_empty() => ("[]\n".into(), Vec::new()),
            Shown::Indented => {
                let list = Json::Array(found.iter().map(|object| object.json.clone()).collect());
                (indent(&list, 4) + "\n", Vec::new())
            }
            Shown::Json => {
                let objects: Vec<String> = found.iter().map(|object| object.json.to_string()).collect();
                (format!("[{}]\n", objects.join(",")), Vec::new())
            }
            Shown::Template(template) => {
                let (mut text, mut faults) = (String::new(), Vec::new());
                for object in found {
                    match object.render(template) {
                        Ok(line) => text += &(line + "\n"),
                        Err(fault) => faults.push(fault),
                    }
                }
                (if text.is_empty() { "\n".into() } else { text }, faults)
            }
        }
    }
}

impl Found {
    /// Over the struct, as Docker decodes it; if that fails, over what came, where a missing key is an error.
    fn render(&self, template: &Template) -> std::result::Result<String, Fault> {
        if let Some(shape) = self.shape
            && let Ok(text) = template.render(&shapes::object(shape, &self.json))
        {
            return Ok(text);
        }
        template.render_with(&Value::raw(&self.json), MissingKey::Error, Set::Values)
    }
}

/// JSON indented by `by` spaces, as Go's `json.Indent` does it.
pub fn indent(json: &Json, by: usize) -> String {
    let mut out = String::new();
    write(&mut out, json, by, 0);
    out
}

fn write(out: &mut String, json: &Json, by: usize, depth: usize) {
    let line = |out: &mut String, depth: usize| {
        out.push('\n');
        out.extend(std::iter::repeat_n(' ', by * depth));
    };
    match json {
        Json::Array(items) if !items.is_empty() => {
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                out.push_str(if at > 0 { "," } else { "" });
                line(out, depth + 1);
                write(out, item, by, depth + 1);
            }
            line(out, depth);
            out.push(']');
        }
        Json::Object(fields) if !fields.is_empty() => {
            out.push('{');
            for (at, (key, value)) in fields.iter().enumerate() {
                out.push_str(if at > 0 { "," } else { "" });
                line(out, depth + 1);
                out.push_str(&Json::from(key.as_str()).to_string());
                out.push_str(": ");
                write(out, value, by, depth + 1);
            }
            line(out, depth);
            out.push('}');
        }
        other => out.push_str(&other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn shown(format: &str) -> (String, Vec<Fault>) {
        let json = json!({"Name": "v", "Driver": "local", "Labels": null, "Extra": {"Deep": 7}, "Empty": [], "None": {}});
        Shown::parse(format).expect("a good template").print(&[Found { shape: Some(Noun::Volume.shape()), json }])
    }

    #[test]
    fn json_is_indented_as_go_indents() {
        assert_eq!(
            shown("").0,
            "[\n    {\n        \"Name\": \"v\",\n        \"Driver\": \"local\",\n        \"Labels\": null,\n        \"Extra\": {\n            \"Deep\": 7\n        },\n        \"Empty\": [],\n        \"None\": {}\n    }\n]\n"
        );
        assert_eq!(Shown::Indented.print(&[]).0, "[]\n");
    }

    #[test]
    fn what_the_struct_has_not_is_found_in_the_raw_json() {
        assert_eq!(shown("{{.Name}} {{.Labels}} {{.Mountpoint}}|").0, "v map[] |\n");
        assert_eq!(shown("{{.Extra.Deep}}").0, "7\n");
        let (text, faults) = shown("{{.Extra.Foo}}");
        assert_eq!(text, "\n");
        assert_eq!(faults[0].text, "template: :1:8: executing \"\" at <.Extra.Foo>: map has no entry for key \"Foo\"");
        assert!(Shown::parse("{{").is_err());
    }

    #[test]
    fn an_unknown_type_names_the_known_ones() {
        assert_eq!(
            unknown_type("unknown type: \"foo\"").message(),
            "unknown type: \"foo\": must be one of \"config\", \"container\", \"image\", \"network\", \"node\", \"plugin\", \"secret\", \"service\", \"task\", \"volume\""
        );
    }
}
