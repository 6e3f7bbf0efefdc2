//! # Log options: rotation, and what each line carries
//!
//! `--log-opt max-size=10m --log-opt max-file=3 --log-opt labels=tier` are words for the shim's log file. Read here, once,
//! when a container is checked and again when it starts.
//!
//! *See:* Docker's json-file driver · go-units. *Next room:* [`crate::container::start`]

use crate::container::record::Record;
use minidock_base::{Error, Result};
use minidock_spec::engine::container::LogConfig;
use std::collections::BTreeMap;

/// Rotation of the json-file log: (bytes, files).
///
/// # Errors
/// `invalid size: 'x'`; fewer than one file.
pub fn limits(log: &LogConfig) -> Result<(u64, u32)> {
    // what is sent elsewhere is kept here only for `logs`
    let (size, files, most) = match super::log_relay::options(&log.kind).is_empty() {
        true => ("max-size", "max-file", (0, 1)),
        false => ("cache-max-size", "cache-max-file", (20_000_000, 5)),
    };
    let size = log.config.get(size).map(|text| decimal_bytes(text)).transpose()?.unwrap_or(most.0);
    let files = match log.config.get(files) {
        None => most.1,
        Some(text) => text.parse::<u32>().map_err(|_| Error::invalid(format!("invalid value for max-file: {text:?}")))?,
    };
    match files {
        0 => Err(Error::invalid("max-file cannot be less than 1")),
        files => Ok((size, files)),
    }
}

/// `10m` here is ten *million* bytes: go-units' `FromHumanSize`.
fn decimal_bytes(text: &str) -> Result<u64> {
    let bad = || Error::invalid(format!("invalid size: '{text}'")).hint("such as 10m or 500k");
    let lower = text.trim().to_ascii_lowercase();
    let lower = lower.strip_suffix('b').unwrap_or(&lower);
    let (digits, power) = match lower.chars().last() {
        Some('k') => (&lower[..lower.len() - 1], 1),
        Some('m') => (&lower[..lower.len() - 1], 2),
        Some('g') => (&lower[..lower.len() - 1], 3),
        _ => (lower, 0),
    };
    let number: f64 = digits.trim().parse().map_err(|_| bad())?;
    let bytes = number * 1000f64.powi(power);
    if (0.0..1e18).contains(&bytes) { Ok(bytes as u64) } else { Err(bad()) }
}

/// What `--log-opt labels=…,env=…,tag=…` adds to each line of the log.
pub fn attributes(record: &Record) -> BTreeMap<String, String> {
    let options = &record.host_config.log_config.config;
    let list = |key: &str| options.get(key).map(String::as_str).unwrap_or_default().split(',').map(str::trim);
    let mut attributes = BTreeMap::new();
    for name in list("labels").filter(|n| !n.is_empty()) {
        if let Some(value) = record.config.labels.get(name) {
            attributes.insert(name.to_string(), value.clone());
        }
    }
    for name in list("env").filter(|n| !n.is_empty()) {
        if let Some(value) = record.config.env.iter().find_map(|v| v.strip_prefix(name)?.strip_prefix('=')) {
            attributes.insert(name.to_string(), value.to_string());
        }
    }
    if let Some(tag) = options.get("tag").filter(|t| !t.is_empty()) {
        let tag = tag
            .replace("{{.ID}}", minidock_base::id::short(&record.id))
            .replace("{{.FullID}}", &record.id)
            .replace("{{.Name}}", &record.name)
            .replace("{{.ImageName}}", &record.config.image);
        attributes.insert("tag".into(), tag);
    }
    attributes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_of_logs_are_decimal() {
        assert_eq!(decimal_bytes("10m").expect("a size"), 10_000_000);
        assert_eq!(decimal_bytes("1.5kb").expect("a size"), 1500);
        assert!(decimal_bytes("x").is_err() && decimal_bytes("-1").is_err());
    }
}
