//! # Report: state, list, ps
//!
//! Three questions that change nothing. The answers have runc's fields and columns, because engines and scripts read them.
//!
//! See: runc-state(8), runc-list(8), runc-ps(8). Next room: [`crate::spec_command`]

use crate::{
    lifecycle,
    state::{self, Folder, Record},
};
use minidock_base::{Doing, Error, Result};
use minidock_spec::runtime::Status;
use serde_json::{Value, json};
use std::{path::Path, process::Command};

/// The state document of one container, as `state` prints it.
///
/// # Errors
/// `container does not exist`.
pub fn state(root: &Path, id: &str) -> Result<String> {
    let (folder, record) = lifecycle::load(root, id)?;
    serde_json::to_string_pretty(&document(&folder, &record)).doing(|| "print the state")
}

fn document(folder: &Folder, record: &Record) -> Value {
    let status = record.status(folder);
    let mut document = json!({
        "ociVersion": record.oci_version,
        "id": record.id,
        "pid": if status == Status::Stopped { 0 } else { record.pid },
        "status": status,
        "bundle": record.bundle,
        "rootfs": record.rootfs,
        "created": record.created,
        "owner": owner(folder),
    });
    if !record.annotations.is_empty() {
        document["annotations"] = json!(record.annotations);
    }
    document
}

/// The owner's name by the host's own passwd; empty when it has none.
fn owner(folder: &Folder) -> String {
    let uid = Record::owner(folder).to_string();
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let line = passwd.lines().find(|line| line.split(':').nth(2) == Some(&uid));
    line.and_then(|line| line.split(':').next()).unwrap_or_default().to_string()
}

/// All containers: a table, JSON, or ids only. What cannot be read is passed over with a warning.
///
/// # Errors
/// There is no such root, or the format is unknown.
pub fn list(root: &Path, root_was_given: bool, format: &str, quiet: bool) -> Result<String> {
    if !root.exists() && !root_was_given {
        return list_of(&[], format, quiet);
    }
    let mut documents = Vec::new();
    for folder in state::all(root)? {
        match folder.load() {
            Ok(record) => documents.push(document(&folder, &record)),
            Err(failed) => crate::log::warn(&format!("{}: {}", folder.path().display(), failed.message())),
        }
    }
    list_of(&documents, format, quiet)
}

fn list_of(documents: &[Value], format: &str, quiet: bool) -> Result<String> {
    let text = |document: &Value, field: &str| document[field].as_str().unwrap_or_default().to_string();
    if quiet {
        return Ok(documents.iter().map(|document| text(document, "id") + "\n").collect());
    }
    match format {
        "json" if documents.is_empty() => Ok("null\n".into()),
        "json" => serde_json::to_string(documents).map(|text| text + "\n").doing(|| "print the list"),
        "table" => {
            let head = ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"].map(String::from).to_vec();
            let row = |document: &Value| {
                let field = |name: &str| text(document, name);
                vec![
                    field("id"),
                    document["pid"].to_string(),
                    field("status"),
                    field("bundle"),
                    field("created"),
                    field("owner"),
                ]
            };
            Ok(table(std::iter::once(head).chain(documents.iter().map(row)).collect()))
        }
        _ => Err(Error::invalid("invalid format option")),
    }
}

fn table(rows: Vec<Vec<String>>) -> String {
    let columns = rows.first().map_or(0, Vec::len);
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0).max(9) + 3;
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in &rows {
        for (column, cell) in row.iter().enumerate() {
            match column + 1 == columns {
                true => text += cell,
                false => text += &format!("{cell:<width$}", width = widths[column]),
            }
        }
        text.push('\n');
    }
    text
}

/// The processes in a container's cgroup: pids as JSON, or those lines of ps(1) that are about them.
///
/// # Errors
/// The container does not exist, or ps cannot be run.
pub fn ps(root: &Path, id: &str, format: &str, arguments: &[String]) -> Result<String> {
    let (_, record) = lifecycle::load(root, id)?;
    let pids = match &record.cgroup {
        Some(cgroup) => cgroup.procs().doing(|| "list the container's processes")?,
        None => Vec::new(),
    };
    match format {
        "json" => return serde_json::to_string(&pids).map(|text| text + "\n").doing(|| "print the pids"),
        "table" => {}
        _ => return Err(Error::invalid("invalid format option")),
    }
    let arguments = if arguments.is_empty() { vec!["-ef".to_string()] } else { arguments.to_vec() };
    let output = Command::new("ps").args(&arguments).output().doing(|| "run ps")?;
    if !output.status.success() {
        return Err(Error::system(format!("ps: {}", String::from_utf8_lossy(&output.stderr).trim_end())));
    }
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let head = text.lines().next().unwrap_or_default();
    let column = head.split_whitespace().position(|word| word == "PID");
    let column = column.ok_or_else(|| Error::invalid("couldn't find PID field in ps output"))?;
    let about = |line: &&str| {
        line.split_whitespace().nth(column).and_then(|pid| pid.parse().ok()).is_some_and(|pid: i32| pids.contains(&pid))
    };
    let lines = std::iter::once(head).chain(text.lines().skip(1).filter(about));
    Ok(lines.map(|line| format!("{line}\n")).collect())
}
