//! # Filters: `--filter label=a --filter status=exited`
//!
//! A filter is a key and a value; the same key twice means *or*, different keys mean *and*. The daemon does the filtering;
//! the client only packs what was typed into the JSON that the API wants: `{"label":{"a":true},"status":{"exited":true}}`.
//!
//! *See:* moby `api/types/filters` · docker/cli `opts/opts.go` FilterOpt. *Next room:* [`crate::prompt`]

use clap::{Arg, ArgAction, ArgMatches, builder::ValueParser};
use std::collections::{BTreeMap, BTreeSet};

/// Filters as typed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Filters(BTreeMap<String, BTreeSet<String>>);

/// The flag `--filter`.
pub fn flag(help: &'static str) -> Arg {
    Arg::new("filter")
        .long("filter")
        .help(help)
        .value_name("filter")
        .action(ArgAction::Append)
        .value_parser(ValueParser::new(pair))
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) => Ok((key.trim().to_lowercase(), value.trim().to_string())),
        None => Err("bad format of filter (expected name=value)".into()),
    }
}

impl Filters {
    /// The filters that were typed.
    pub fn of(m: &ArgMatches) -> Filters {
        let mut filters = Filters::default();
        for (key, value) in m.get_many::<(String, String)>("filter").into_iter().flatten() {
            filters.add(key, value);
        }
        filters
    }

    pub fn add(&mut self, key: &str, value: &str) {
        self.0.entry(key.to_string()).or_default().insert(value.to_string());
    }

    pub fn has(&self, key: &str) -> bool {
        self.0.contains_key(key)
    }

    /// The values of a key.
    pub fn get(&self, key: &str) -> impl Iterator<Item = &str> {
        self.0.get(key).into_iter().flatten().map(String::as_str)
    }

    /// All keys and values.
    pub fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().flat_map(|(key, values)| values.iter().map(move |value| (key.as_str(), value.as_str())))
    }

    /// What goes into the query, if there is anything.
    pub fn json(&self) -> Option<String> {
        if self.0.is_empty() {
            return None;
        }
        let map: serde_json::Map<String, serde_json::Value> = self
            .0
            .iter()
            .map(|(key, values)| {
                let set = values.iter().map(|v| (v.clone(), serde_json::Value::Bool(true))).collect();
                (key.clone(), serde_json::Value::Object(set))
            })
            .collect();
        Some(serde_json::Value::Object(map).to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_packed_as_the_api_wants_them() {
        let command = crate::flag::command("ps", "", "").arg(flag("").short('f'));
        let words: Vec<String> = "-f label=a=b --filter Status=exited -f label=c".split(' ').map(str::to_string).collect();
        let crate::words::Read::Matches(m) = crate::words::read(command, "ps", &words).expect("a good line") else {
            panic!("no help was asked for")
        };
        assert_eq!(Filters::of(&m).json().as_deref(), Some(r#"{"label":{"a=b":true,"c":true},"status":{"exited":true}}"#));
        assert_eq!(Filters::default().json(), None);
    }

    #[test]
    fn a_filter_without_a_value_is_refused() {
        let command = crate::flag::command("ps", "", "").arg(flag("").short('f'));
        let wrong = crate::words::read(command, "ps", &["-f".into(), "x".into()]).expect_err("a wrong line");
        assert_eq!(wrong.said, "invalid argument \"x\" for \"-f, --filter\" flag: bad format of filter (expected name=value)");
    }
}
