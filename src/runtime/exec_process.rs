//! # Exec's process: the container's own, changed where the command line says so
//!
//! `exec ID ls` gives a command and nothing else. Everything that a process document must say besides comes from the
//! container's own `process`: user, environment, working directory, capabilities; options change single parts.
//!
//! Laws: user and group are numbers here (`-u 1` is uid 1, never 0); names are resolved by engines, who know the image.
//! See: runc-exec(8). Next room: [`crate::join`]

use crate::flags::Given;
use minidock_base::{Doing, Error, Result};
use oci_spec::runtime::{Capability, LinuxCapabilities, Process, Spec};
use std::{collections::HashSet, path::Path, str::FromStr};

/// Reads a process document.
///
/// # Errors
/// It is not there, or not one.
pub fn from_file(path: &Path) -> Result<Process> {
    let text = std::fs::read(path).doing(|| format!("read {}", path.display()))?;
    let broken =
        |e: serde_json::Error| Error::invalid(format!("{}: line {} column {}: {e}", path.display(), e.line(), e.column()));
    let mut document: serde_json::Value = serde_json::from_slice(&text).map_err(broken)?;
    crate::written::mend_process(&mut document);
    serde_json::from_value(document).map_err(|e| Error::invalid(format!("{}: {e}", path.display())))
}

/// The container's process with the options of `exec` applied, running `command`.
///
/// # Errors
/// An option that makes no sense.
pub fn from_options(spec: &Spec, given: &Given, command: &[String]) -> Result<Process> {
    let own = spec.process().as_ref().ok_or_else(|| Error::invalid("the container's configuration has no process"))?;
    // As JSON the document can be changed in single places, which its type does not offer everywhere.
    let mut document = serde_json::to_value(own).doing(|| "copy the container's process")?;
    document["args"] = serde_json::json!(command);
    document["terminal"] = serde_json::json!(given.is_on("tty"));
    if let Some(fields) = document.as_object_mut() {
        fields.remove("consoleSize");
    }
    if let Some(cwd) = given.get("cwd") {
        document["cwd"] = serde_json::json!(cwd);
    }
    if given.get("no-new-privs").is_some() {
        document["noNewPrivileges"] = serde_json::json!(given.is_on("no-new-privs"));
    }
    let mut env: Vec<String> = own.env().clone().unwrap_or_default();
    env.extend(given.all("env"));
    document["env"] = serde_json::json!(env);
    if let Some(user) = given.get("user") {
        let (uid, gid) = parse_user(user)?;
        document["user"]["uid"] = serde_json::json!(uid);
        if let Some(gid) = gid {
            document["user"]["gid"] = serde_json::json!(gid);
        }
    }
    let mut groups: Vec<u32> = own.user().additional_gids().clone().unwrap_or_default();
    for group in given.all("additional-gids") {
        groups.push(number(&group)?);
    }
    if !groups.is_empty() {
        document["user"]["additionalGids"] = serde_json::json!(groups);
    }
    let mut process: Process = serde_json::from_value(document).doing(|| "change the container's process")?;
    let more = given.all("cap");
    if !more.is_empty() {
        let lists = with_capabilities(own.capabilities().clone(), &more)?;
        process.set_capabilities(Some(lists));
    }
    Ok(process)
}

/// `uid[:gid]`.
fn parse_user(text: &str) -> Result<(u32, Option<u32>)> {
    match text.split_once(':') {
        Some((uid, gid)) => Ok((number(uid)?, Some(number(gid)?))),
        None => Ok((number(text)?, None)),
    }
}

fn number(text: &str) -> Result<u32> {
    let refused = || Error::invalid(format!("bad user or group id {text:?}")).hint("a number from 0 to 2147483647");
    text.parse::<u32>().ok().filter(|id| *id <= i32::MAX as u32).ok_or_else(refused)
}

/// A capability that is added goes into every list but the inheritable one (CVE-2022-29162).
fn with_capabilities(own: Option<LinuxCapabilities>, more: &[String]) -> Result<LinuxCapabilities> {
    let mut lists = match own {
        Some(lists) => lists,
        None => serde_json::from_value(serde_json::json!({})).doing(|| "begin with no capabilities")?,
    };
    for name in more {
        let short = name.to_uppercase();
        let short = short.strip_prefix("CAP_").unwrap_or(&short).to_string();
        let capability = Capability::from_str(&short).map_err(|_| Error::invalid(format!("unknown capability {name:?}")))?;
        let with = |list: &Option<HashSet<Capability>>| {
            let mut list = list.clone().unwrap_or_default();
            list.insert(capability);
            Some(list)
        };
        let (bounding, effective, permitted) = (with(lists.bounding()), with(lists.effective()), with(lists.permitted()));
        // Ambient ones want inheritable ones, and those are never added here: only a container that has some gets these.
        let ambient = match lists.inheritable().as_ref().is_some_and(|list| !list.is_empty()) {
            true => with(lists.ambient()),
            false => lists.ambient().clone(),
        };
        lists.set_bounding(bounding).set_effective(effective).set_permitted(permitted).set_ambient(ambient);
    }
    Ok(lists)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_a_number_in_range() {
        assert_eq!(parse_user("1").expect("fine"), (1, None));
        assert_eq!(parse_user("1000:7").expect("fine"), (1000, Some(7)));
        for bad in ["root", "-1", "2147483648", "4294967296", "1:2147483648", ""] {
            assert!(parse_user(bad).is_err(), "{bad}");
        }
    }
}
