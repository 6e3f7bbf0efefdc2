//! # Update's options: a document, or single limits
//!
//! `update` takes the new limits as `linux.resources` in JSON (`-r FILE`, `-r -` for standard input), or one option for each.
//! Options come on top of the document.
//!
//! See: runc-update(8). Next room: [`crate::resources`]

use crate::flags::Given;
use minidock_base::{Doing, Error, Result};
use oci_spec::runtime::LinuxResources;
use serde_json::{Value, json};
use std::io::Read;

/// Options, the place in the document they go to, and whether the value is a number.
const PLACES: [(&str, &str, bool); 15] = [
    ("blkio-weight", "/blockIO/weight", true),
    ("cpu-period", "/cpu/period", true),
    ("cpu-quota", "/cpu/quota", true),
    ("cpu-burst", "/cpu/burst", true),
    ("cpu-share", "/cpu/shares", true),
    ("cpu-rt-period", "/cpu/realtimePeriod", true),
    ("cpu-rt-runtime", "/cpu/realtimeRuntime", true),
    ("cpuset-cpus", "/cpu/cpus", false),
    ("cpuset-mems", "/cpu/mems", false),
    ("cpu-idle", "/cpu/idle", true),
    ("memory", "/memory/limit", true),
    ("memory-reservation", "/memory/reservation", true),
    ("memory-swap", "/memory/swap", true),
    ("kernel-memory-tcp", "/memory/kernelTCP", true),
    ("pids-limit", "/pids/limit", true),
];

/// The limits that the command line asks for.
///
/// # Errors
/// A document that is none, a number that is none.
pub fn read(given: &Given) -> Result<LinuxResources> {
    let mut document = match given.get("resources") {
        None => json!({}),
        Some(file) => from_file(file)?,
    };
    for (option, place, numeric) in PLACES {
        let Some(text) = given.get(option).filter(|text| !text.is_empty()) else { continue };
        let value = if numeric { json!(number(option, text)?) } else { json!(text) };
        put(&mut document, place, value);
    }
    serde_json::from_value(document).map_err(|e| Error::invalid(format!("resources: {e}")))
}

fn from_file(file: &str) -> Result<Value> {
    let mut text = Vec::new();
    match file {
        "-" => drop(std::io::stdin().read_to_end(&mut text).doing(|| "read the resources from standard input")?),
        file => text = std::fs::read(file).doing(|| format!("read {file}"))?,
    }
    serde_json::from_slice(&text).map_err(|e| Error::invalid(format!("{file}: line {} column {}: {e}", e.line(), e.column())))
}

/// Bytes may carry a unit, as Docker writes them.
fn number(option: &str, text: &str) -> Result<i64> {
    if let Ok(number) = text.parse() {
        return Ok(number);
    }
    let bytes = option.contains("memory").then(|| minidock_base::units::parse_bytes(text).ok()).flatten();
    bytes.ok_or_else(|| Error::invalid(format!("invalid value for {option}: {text:?} is no number")))
}

fn put(document: &mut Value, place: &str, value: Value) {
    let mut at = document;
    for part in place.split('/').filter(|part| !part.is_empty()) {
        at = &mut at[part];
    }
    *at = value;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn single_limits_go_to_their_places() {
        let args: Vec<String> = ["--memory", "64m", "--pids-limit=10", "--cpuset-cpus", "0", "web"].map(String::from).to_vec();
        let known = crate::commands::find("update").expect("a row").options;
        let wanted = read(&Given::parse(&args, known, None).expect("fine")).expect("fine");
        assert_eq!(wanted.memory().as_ref().and_then(|memory| memory.limit()), Some(64 << 20));
        assert_eq!(wanted.pids().as_ref().map(|pids| pids.limit()), Some(10));
        assert_eq!(wanted.cpu().as_ref().and_then(|cpu| cpu.cpus().clone()).as_deref(), Some("0"));
    }
}
