//! # Expand: `{{.Node.Hostname}}` becomes `node2`
//!
//! A service is written once and runs many times; some of what it says must differ from task to task. So hostname, environment and
//! mounts may have placeholders, filled in on the node when the container is made:
//!
//! ```text
//!   .Service.ID .Service.Name .Service.Labels.KEY     .Node.ID .Node.Hostname .Node.Platform.Architecture .Node.Platform.OS
//!   .Task.ID .Task.Name .Task.Slot                    index .Service.Labels "com.example.key"
//!   in a config with a template driver also:          env "NAME"   secret "TARGET"   config "TARGET"
//! ```
//!
//! `{{-` and `-}}` eat the space around them, as everywhere in Go. Anything else between braces is refused by name: a program in a
//! hostname would be a mistake.
//!
//! *See:* docker service create, "Create services using templates"; swarmkit `template/`. *Next room:* [`super::executor`]

use super::executor::Here;
use minidock_base::{Error, Result};
use minidock_spec::swarm::task::{ContainerSpec, Task};
use std::collections::BTreeMap;

/// What placeholders may speak of.
pub struct Words<'a> {
    pub task: &'a Task,
    pub here: &'a Here,
    /// What a config's template may ask for besides; `None` elsewhere.
    pub inside: Option<&'a Inside>,
}

/// What lies in the container already.
#[derive(Clone, Debug, Default)]
pub struct Inside {
    /// `NAME=value`, expanded.
    pub env: Vec<String>,
    /// By the name of their target.
    pub secrets: BTreeMap<String, String>,
    pub configs: BTreeMap<String, String>,
}

/// Refuses placeholders that no node could fill in: what can be known when a service is made is said then, not by each of its tasks.
///
/// # Errors
/// `expanding hostname failed: …`, in Docker's words.
pub fn check(spec: &ContainerSpec) -> Result<()> {
    let (task, here) = (Task::default(), Here::default());
    let words = Words { task: &task, here: &here, inside: None };
    let texts = spec.env.iter().map(|text| ("env", text)).chain([("hostname", &spec.hostname)]);
    let mounts = spec.mounts.iter().flat_map(|mount| [("mounts", &mount.source), ("mounts", &mount.target)]);
    for (what, text) in texts.chain(mounts) {
        words.fill(text).map_err(|why| Error::invalid(format!("expanding {what} failed: template: expansion: {why}")))?;
    }
    Ok(())
}

impl Words<'_> {
    /// Fills in all placeholders of a text.
    ///
    /// # Errors
    /// `expanding … failed`: braces that do not close, a word that is none of the table's.
    pub fn expand(&self, text: &str) -> Result<String> {
        self.fill(text).map_err(|why| Error::invalid(format!("expanding {text:?} failed: {why}")))
    }

    fn fill(&self, text: &str) -> Result<String, String> {
        let (mut filled, mut rest) = (String::with_capacity(text.len()), text);
        while let Some((before, after)) = rest.split_once("{{") {
            let (inside, after) = after.split_once("}}").ok_or("unclosed action")?;
            let (eats_left, inside) = match inside.strip_prefix("- ") {
                Some(inside) => (true, inside),
                None => (false, inside),
            };
            let (eats_right, inside) = match inside.strip_suffix(" -") {
                Some(inside) => (true, inside),
                None => (false, inside),
            };
            filled.push_str(before);
            if eats_left {
                filled.truncate(filled.trim_end().len());
            }
            filled.push_str(&self.value(inside.trim())?);
            rest = if eats_right { after.trim_start() } else { after };
        }
        filled.push_str(rest);
        Ok(filled)
    }

    fn value(&self, words: &str) -> Result<String, String> {
        let (function, argument) = words.split_once(char::is_whitespace).unwrap_or((words, ""));
        let argument = argument.trim();
        match function {
            "" => Err("missing value for command".into()),
            comment if comment.starts_with("/*") => Ok(String::new()),
            "index" => {
                let (map, key) = argument.split_once(char::is_whitespace).ok_or("index needs a map and a key")?;
                match map {
                    ".Service.Labels" => Ok(self.label(&quoted(key.trim())?)),
                    other => Err(format!("can't index {other}: .Service.Labels is the only map")),
                }
            }
            "env" | "secret" | "config" if self.inside.is_some() => self.inside(function, &quoted(argument)?),
            path if path.starts_with('.') && argument.is_empty() => self.field(path),
            path if path.starts_with('.') => Err(format!("unexpected {argument:?} after {path}")),
            other => Err(format!("function {other:?} not defined")),
        }
    }

    fn field(&self, path: &str) -> Result<String, String> {
        let (task, here) = (self.task, self.here);
        Ok(match path {
            ".Service.ID" => task.service_id.clone(),
            ".Service.Name" => task.service.name.clone(),
            ".Node.ID" => here.node_id.clone(),
            ".Node.Hostname" => here.description.hostname.clone(),
            ".Node.Platform.Architecture" => here.description.platform.architecture.clone(),
            ".Node.Platform.OS" => here.description.platform.os.clone(),
            ".Task.ID" => task.id.clone(),
            ".Task.Name" => task.container_name(),
            ".Task.Slot" if task.slot > 0 => task.slot.to_string(),
            ".Task.Slot" => task.node_id.clone(), // what stands in the name of a global service's task
            other => match other.strip_prefix(".Service.Labels.") {
                Some(key) => self.label(key),
                None => return Err(format!("can't evaluate field {other}")),
            },
        })
    }

    fn label(&self, key: &str) -> String {
        self.task.service.labels.get(key).cloned().unwrap_or_default()
    }

    fn inside(&self, what: &str, name: &str) -> Result<String, String> {
        let inside = self.inside.expect("asked only with one");
        let found = match what {
            "env" => {
                let value = inside.env.iter().find_map(|v| v.strip_prefix(name)?.strip_prefix('=')).unwrap_or_default();
                return Ok(value.to_string());
            }
            "secret" => inside.secrets.get(name),
            _ => inside.configs.get(name),
        };
        found.cloned().ok_or_else(|| format!("{what} target {name} not found"))
    }
}

/// `"key"` or `` `key` ``.
fn quoted(text: &str) -> Result<String, String> {
    let inner = |mark: char| text.strip_prefix(mark).and_then(|t| t.strip_suffix(mark)).filter(|t| !t.contains(mark));
    inner('"').or_else(|| inner('`')).map(str::to_string).ok_or_else(|| format!("{text} is no quoted text"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use minidock_spec::swarm::node::NodeDescription;
    use proptest::prelude::*;
    use std::sync::Arc;

    fn task() -> Task {
        let mut task = Task { id: "t1".into(), slot: 3, service_id: "s1".into(), ..Task::default() };
        task.service.name = "web".into();
        task.service.labels.insert("com.example/key".into(), "blue".into());
        task
    }

    fn here() -> Here {
        let description = NodeDescription { hostname: "node2".into(), ..NodeDescription::default() };
        Here { node_id: "n2".into(), description: Arc::new(description) }
    }

    fn expand(text: &str) -> Result<String> {
        Words { task: &task(), here: &here(), inside: None }.expand(text)
    }

    #[test]
    fn placeholders_speak_of_service_node_and_task() {
        let text = "{{.Service.Name}}-{{.Task.Slot}}.{{ .Node.Hostname }} {{index .Service.Labels \"com.example/key\"}}";
        assert_eq!(expand(text).expect("known words"), "web-3.node2 blue");
        assert_eq!(expand("a {{- .Task.Slot -}} b").expect("trimmed"), "a3b");
        assert_eq!(expand("{{.Task.Name}} {{.Task.ID}} {{.Node.ID}}").expect("ids"), "web.3.t1 t1 n2");
        assert_eq!(expand("plain } } {").expect("no placeholder"), "plain } } {");
    }

    #[test]
    fn what_is_unknown_is_refused_by_name() {
        let why = |text: &str| expand(text).expect_err("refused").message();
        assert!(why("{{.Nod.ID}}").contains("can't evaluate field .Nod.ID"));
        assert!(why("{{secret \"x\"}}").contains("function \"secret\" not defined"), "only in configs");
        assert!(why("{{.Node.ID").contains("unclosed action"));
    }

    #[test]
    fn a_spec_that_no_node_could_fill_in_is_refused() {
        let spec = ContainerSpec { hostname: "{{.Nod.ID}}".into(), ..ContainerSpec::default() };
        assert!(check(&spec).expect_err("refused").message().starts_with("expanding hostname failed: template: "));
        let spec = ContainerSpec { env: vec!["A={{.Service.Labels.any}}".into()], ..ContainerSpec::default() };
        assert!(check(&spec).is_ok(), "labels may come later");
    }

    #[test]
    fn a_config_may_ask_for_what_lies_beside_it() {
        let inside =
            Inside { env: vec!["A=b=c".into()], secrets: [("pw".to_string(), "x".to_string())].into(), ..Inside::default() };
        let (task, here) = (task(), here());
        let words = Words { task: &task, here: &here, inside: Some(&inside) };
        assert_eq!(words.expand("{{env \"A\"}}/{{secret \"pw\"}}/{{env \"B\"}}").expect("known"), "b=c/x/");
        assert!(words.expand("{{secret \"other\"}}").is_err());
    }

    proptest! {
        #[test]
        fn no_text_makes_it_fall(text in "[{}. \\-a-zA-Z\"`]{0,40}") {
            let _ = expand(&text);
        }
    }
}
