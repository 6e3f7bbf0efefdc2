//! # Filters: `--filter label=a=b` as it crosses the wire
//!
//! Every list, prune and event call can be narrowed. What is sent is a JSON object from keys to *sets* of values, and
//! there are two spellings of a set: Go clients write `{"label":{"a=b":true}}`, everybody else `{"label":["a=b"]}`.
//! [`Filters::parse`] reads both. Values of one key are alternatives (or), keys are conditions (and), labels alone must all
//! hold.
//!
//! * [`Filters::accept`] refuses a key that the call does not know, in Docker's words: a misspelt filter must never mean
//!   "everything", above all not to `prune`.
//! * [`Filters::exact`], [`Filters::prefix`] and [`Filters::labels`] are the three ways in which values are compared; an
//!   absent key is no condition. Names are regular expressions, which the engine compares (this floor has no such engine).
//!
//! See: moby `api/types/filters/parse.go`. Next room: [`crate::engine::body`]

use minidock_base::{Error, Result};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// What a list is narrowed by: from keys to sets of values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filters(BTreeMap<String, BTreeSet<String>>);

impl Filters {
    /// Reads the query parameter `filters`; an empty text is no filter.
    ///
    /// # Errors
    /// `invalid filter` for anything but the two forms.
    pub fn parse(text: &str) -> Result<Filters> {
        let bad = || Error::invalid("invalid filter").hint(r#"{"key":{"value":true}} or {"key":["value"]}"#);
        if text.is_empty() {
            return Ok(Filters::default());
        }
        let Value::Object(keys) = serde_json::from_str(text).map_err(|_| bad())? else { return Err(bad()) };
        let mut all = BTreeMap::new();
        for (key, set) in keys {
            let values: Option<BTreeSet<String>> = match set {
                Value::Object(set) => set.into_iter().map(|(value, wanted)| wanted.as_bool().map(|_| value)).collect(),
                Value::Array(list) => list.into_iter().map(|v| v.as_str().map(str::to_string)).collect(),
                Value::Null => Some(BTreeSet::new()),
                _ => None,
            };
            all.insert(key, values.ok_or_else(bad)?);
        }
        Ok(Filters(all))
    }

    /// The same filters as a Go client would send them.
    pub fn to_json(&self) -> String {
        let sets: BTreeMap<&String, BTreeMap<&String, bool>> =
            self.0.iter().map(|(key, set)| (key, set.iter().map(|v| (v, true)).collect())).collect();
        serde_json::to_string(&sets).expect("maps of strings are JSON")
    }

    /// Adds one value to a key.
    pub fn add(&mut self, key: impl Into<String>, value: impl Into<String>) {
        self.0.entry(key.into()).or_default().insert(value.into());
    }

    /// Takes a key out, with its values.
    pub fn take(&mut self, key: &str) -> BTreeSet<String> {
        self.0.remove(key).unwrap_or_default()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether there is a condition on this key.
    pub fn contains(&self, key: &str) -> bool {
        self.0.contains_key(key)
    }

    /// The values of one key; none when it is absent.
    pub fn values(&self, key: &str) -> impl Iterator<Item = &str> {
        self.0.get(key).into_iter().flatten().map(String::as_str)
    }

    /// Refuses keys that the call does not know.
    ///
    /// # Errors
    /// `invalid filter 'key'`.
    pub fn accept(&self, known: &[&str]) -> Result<()> {
        match self.0.keys().find(|key| !known.contains(&key.as_str())) {
            None => Ok(()),
            Some(key) => Err(Error::invalid(format!("invalid filter '{key}'")).hint(format!("one of {}", known.join(", ")))),
        }
    }

    /// A key that says yes or no (`dangling`, `all`); `default` when it is absent.
    ///
    /// # Errors
    /// `invalid filter 'key=[…]'` for other values, or for both at once.
    pub fn boolean(&self, key: &str, default: bool) -> Result<bool> {
        let Some(values) = self.0.get(key) else { return Ok(default) };
        let list: Vec<&str> = values.iter().map(String::as_str).collect();
        let yes = list.iter().any(|v| matches!(*v, "1" | "true" | "True" | "TRUE" | "t" | "T"));
        let no = list.iter().any(|v| matches!(*v, "0" | "false" | "False" | "FALSE" | "f" | "F"));
        match (yes, no) {
            (true, false) => Ok(true),
            (false, true) => Ok(false),
            _ => Err(Error::invalid(format!("invalid filter '{key}=[{}]'", list.join(" "))).hint("true or false")),
        }
    }

    /// Whether one of the key's values is exactly `text`; true when there is no condition.
    pub fn exact(&self, key: &str, text: &str) -> bool {
        self.0.get(key).is_none_or(|values| values.is_empty() || values.contains(text))
    }

    /// Whether `text` begins with one of the key's values; true when there is no condition.
    pub fn prefix(&self, key: &str, text: &str) -> bool {
        self.0.get(key).is_none_or(|values| values.is_empty() || values.iter().any(|v| text.starts_with(v.as_str())))
    }

    /// Whether every `k` and `k=v` of the key (usually `label`) holds for these labels.
    pub fn labels(&self, key: &str, labels: &BTreeMap<String, String>) -> bool {
        self.values(key).all(|wanted| match wanted.split_once('=') {
            None => labels.contains_key(wanted),
            Some((name, value)) => labels.get(name).is_some_and(|is| is == value),
        })
    }

    /// Whether none of the `k` and `k=v` of the key (`label!`) holds; true when there is no condition.
    pub fn without_labels(&self, key: &str, labels: &BTreeMap<String, String>) -> bool {
        !self.contains(key) || !self.labels(key, labels)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn both_spellings_mean_the_same() {
        let go = Filters::parse(r#"{"label":{"a=b":true},"name":{"x":true,"y":true}}"#).expect("Go's form");
        let list = Filters::parse(r#"{"label":["a=b"],"name":["x","y"]}"#).expect("a list");
        assert_eq!(go, list);
        assert_eq!(Filters::parse(&go.to_json()).expect("our own"), go);
        assert!(Filters::parse("").expect("nothing").is_empty());
    }

    #[test]
    fn a_misspelt_filter_is_refused_in_dockers_words() {
        let filters = Filters::parse(r#"{"nmae":["x"]}"#).expect("well formed");
        assert_eq!(filters.accept(&["name"]).unwrap_err().message(), "invalid filter 'nmae'");
        for bad in ["x", "[]", "1", r#"{"a":1}"#, r#"{"a":[1]}"#, r#"{"a":{"b":"c"}}"#] {
            assert_eq!(Filters::parse(bad).unwrap_err().message(), "invalid filter", "{bad}");
        }
    }

    #[test]
    fn labels_must_all_hold_and_yes_and_no_is_a_refusal() {
        let labels = BTreeMap::from([("a".to_string(), "b".to_string()), ("c".to_string(), String::new())]);
        let filters = |text| Filters::parse(text).expect("well formed");
        assert!(filters(r#"{"label":["a=b","c"]}"#).labels("label", &labels));
        assert!(!filters(r#"{"label":["a=b","d"]}"#).labels("label", &labels));
        assert!(!filters(r#"{"label!":["a"]}"#).without_labels("label!", &labels));
        assert!(filters(r#"{"dangling":["true","false"]}"#).boolean("dangling", false).is_err());
        assert!(filters(r#"{"dangling":["1"]}"#).boolean("dangling", false).expect("a yes"));
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in "\\PC{0,60}") {
            let _ = Filters::parse(&text);
        }
    }
}
