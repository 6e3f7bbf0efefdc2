//! # Scope: which variables an instruction sees
//!
//! `ARG` declares what may be given from outside, `ENV` sets what stays in the image. An `ARG` in front of the first `FROM` is seen by
//! `FROM` lines only; a stage that wants it says `ARG NAME` again. Proxies may always be given, and leave no trace.
//!
//! ```text
//!   --build-arg V=2      ARG V=1 (global)   FROM alpine:$V          2
//!                        FROM alpine        RUN echo $V             nothing: not declared in this stage
//!                        ARG V              RUN echo $V             2, and the step's key says |1 V=2
//!                        ENV V=3            RUN echo $V             3: what is in the image goes over what was given
//! ```
//!
//! * [`Scope::value`] is one variable; [`Scope::for_run`] what a `RUN` gets beside the image's own; [`Scope::in_key`] what of it makes the
//!   step another step.
//!
//! See: moby `builder/dockerfile/buildargs.go`. Next room: [`crate::stages`]

use minidock_spec::image::host_architecture;
use std::{collections::BTreeMap, sync::Arc};

/// May always be given, and are in no image's history unless declared.
pub const PREDEFINED: &[&str] = &[
    "HTTP_PROXY",
    "http_proxy",
    "HTTPS_PROXY",
    "https_proxy",
    "FTP_PROXY",
    "ftp_proxy",
    "NO_PROXY",
    "no_proxy",
    "ALL_PROXY",
    "all_proxy",
];

/// What `--build-arg` gave; a name without a value is declared and unset.
pub type Given = BTreeMap<String, Option<String>>;

/// The variables of one place in a Dockerfile.
#[derive(Clone, Debug, Default)]
pub struct Scope {
    given: Arc<Given>,
    /// `ARG` in front of the first `FROM`, and the platform.
    global: BTreeMap<String, String>,
    declared: BTreeMap<String, Option<String>>,
}

impl Scope {
    /// In front of the first `FROM`.
    pub fn new(given: Given) -> Scope {
        let (architecture, platform) = (host_architecture().to_string(), format!("linux/{}", host_architecture()));
        let mut global = BTreeMap::new();
        for side in ["TARGET", "BUILD"] {
            let facts =
                [("PLATFORM", &platform), ("OS", &"linux".to_string()), ("ARCH", &architecture), ("VARIANT", &String::new())];
            global.extend(facts.into_iter().map(|(what, value)| (format!("{side}{what}"), value.clone())));
        }
        Scope { given: Arc::new(given), global, declared: BTreeMap::new() }
    }

    /// An `ARG` in front of the first `FROM`.
    pub fn declare_global(&mut self, name: &str, default: Option<String>) {
        let given = self.given.get(name).cloned().flatten();
        if let Some(value) = given.or(default) {
            self.global.insert(name.to_string(), value);
        }
    }

    /// A variable as `FROM` lines see it.
    pub fn global(&self, name: &str) -> Option<String> {
        self.global.get(name).cloned()
    }

    /// The same knowledge at the beginning of a stage, where nothing is declared yet.
    pub fn stage(&self) -> Scope {
        Scope { declared: BTreeMap::new(), ..self.clone() }
    }

    /// An `ARG` of a stage.
    pub fn declare(&mut self, name: &str, default: Option<String>) {
        self.declared.insert(name.to_string(), default);
    }

    /// The value of a variable: the image's own (`env`, `NAME=value`), or what was declared and has one.
    pub fn value(&self, env: &[String], name: &str) -> Option<String> {
        let own = env.iter().find_map(|entry| entry.split_once('=').filter(|(key, _)| *key == name));
        own.map(|(_, value)| value.to_string()).or_else(|| self.argument(name))
    }

    fn argument(&self, name: &str) -> Option<String> {
        let given = self.given.get(name).cloned().flatten();
        match self.declared.get(name) {
            Some(default) => given.or_else(|| default.clone()).or_else(|| self.global.get(name).cloned()),
            None => given.filter(|_| PREDEFINED.contains(&name)),
        }
    }

    /// `NAME=value` for everything that a `RUN` sees and the image does not set, in the order of names.
    pub fn for_run(&self, env: &[String]) -> Vec<String> {
        let given = self.given.keys().filter(|name| PREDEFINED.contains(&name.as_str()));
        self.listed(self.declared.keys().chain(given), env)
    }

    /// The same, without proxies that nobody declared: they do not make a step another step.
    pub fn in_key(&self, env: &[String]) -> Vec<String> {
        self.listed(self.declared.keys(), env)
    }

    fn listed<'a>(&self, names: impl Iterator<Item = &'a String>, env: &[String]) -> Vec<String> {
        let set = |name: &str| env.iter().any(|entry| entry.split('=').next() == Some(name));
        let mut all: Vec<String> = names
            .filter(|name| !set(name))
            .filter_map(|name| self.argument(name).map(|value| format!("{name}={value}")))
            .collect();
        all.sort();
        all.dedup();
        all
    }

    /// What was given and never asked for.
    pub fn unused<'a>(&'a self, declared: &[String]) -> Vec<&'a str> {
        let used = |name: &str| declared.iter().any(|known| known == name) || PREDEFINED.contains(&name);
        self.given.keys().map(String::as_str).filter(|name| !used(name) && !self.is_platform(name)).collect()
    }

    fn is_platform(&self, name: &str) -> bool {
        name.starts_with("TARGET") || name.starts_with("BUILD") || name == "SOURCE_DATE_EPOCH"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stage_sees_what_it_declares_and_env_goes_over_arg() {
        let given = Given::from([
            ("V".into(), Some("2".into())),
            ("http_proxy".into(), Some("p".into())),
            ("X".into(), Some("1".into())),
        ]);
        let mut scope = Scope::new(given);
        scope.declare_global("V", Some("1".into()));
        scope.declare_global("G", Some("g".into()));
        assert_eq!(scope.global("V").as_deref(), Some("2"));
        let mut stage = scope.stage();
        assert_eq!(stage.value(&[], "V"), None);
        stage.declare("V", None);
        stage.declare("G", None);
        stage.declare("D", Some("d".into()));
        stage.declare("N", None);
        assert_eq!(stage.value(&[], "V").as_deref(), Some("2"));
        assert_eq!(stage.value(&["V=3".into()], "V").as_deref(), Some("3"));
        assert_eq!(stage.for_run(&["D=".into()]), ["G=g", "V=2", "http_proxy=p"]);
        assert_eq!(stage.in_key(&[]), ["D=d", "G=g", "V=2"]);
        assert_eq!(stage.unused(&["V".into()]), ["X"]);
        stage.declare("TARGETARCH", None);
        assert_eq!(stage.value(&[], "TARGETARCH").as_deref(), Some(host_architecture()));
    }
}
