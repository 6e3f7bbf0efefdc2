//! # Helpers: programs that keep passwords
//!
//! `docker-credential-pass`, `-secretservice`, `-ecr-login`: a program with four verbs that reads from standard input and answers in
//! JSON. Whatever keeps the passwords of Docker's client keeps ours.
//!
//! ```text
//!   docker-credential-NAME get     < https://index.docker.io/v1/       ─► {"Username": "ann", "Secret": "…"}
//!   docker-credential-NAME store   < {"ServerURL": …, "Username": …, "Secret": …}
//!   docker-credential-NAME erase   < localhost:5000
//! ```
//!
//! Laws: an identity token goes under the user name `<token>`; a helper's name is a word, never a path. *See:*
//! docker-credential-helpers. *Next room:* [`crate::registry::login`]

use crate::registry::accounts::Account;
use minidock_base::{Doing, Error, Result};
use serde_json::{Value, json};
use std::{
    io::Write,
    process::{Command, Stdio},
};

const TOKEN: &str = "<token>";

/// The account a helper has for a registry.
///
/// # Errors
/// The program is not there, or fails with anything but "not found".
pub fn get(program: &str, server: &str) -> Result<Option<Account>> {
    let Some(answer) = ask(program, "get", server)? else { return Ok(None) };
    let answer: Value = serde_json::from_str(&answer).doing(|| format!("read the answer of docker-credential-{program}"))?;
    let text = |name: &str| answer.get(name).and_then(Value::as_str).unwrap_or_default().to_string();
    let (username, secret) = (text("Username"), text("Secret"));
    Ok(match username.as_str() {
        "" => None,
        TOKEN => Some(Account { identity_token: secret, ..Account::default() }),
        _ => Some(Account { username, password: secret, ..Account::default() }),
    })
}

/// Gives an account to a helper.
///
/// # Errors
/// The program fails.
pub fn store(program: &str, server: &str, account: &Account) -> Result<()> {
    let (user, secret) = match account.identity_token.is_empty() {
        true => (account.username.as_str(), account.password.as_str()),
        false => (TOKEN, account.identity_token.as_str()),
    };
    ask(program, "store", &json!({"ServerURL": server, "Username": user, "Secret": secret}).to_string()).map(drop)
}

/// Takes an account from a helper; gives whether it had one.
///
/// # Errors
/// The program fails.
pub fn erase(program: &str, server: &str) -> Result<bool> {
    ask(program, "erase", server).map(|answer| answer.is_some())
}

/// Runs one verb; `None` when it says that it has nothing.
fn ask(program: &str, verb: &str, input: &str) -> Result<Option<String>> {
    let name = format!("docker-credential-{program}");
    if !program.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'.')) {
        return Err(Error::invalid(format!("{program:?} is no name of a credential helper")));
    }
    let what = || format!("ask {name} to {verb}");
    let child = Command::new(&name).arg(verb).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child =
        child.doing(what).map_err(|e| e.hint("config.json names this program: install it, or take the line out"))?;
    if let Some(mut to) = child.stdin.take() {
        // a program that does not read says why by its status
        let _ = to.write_all(input.as_bytes());
    }
    let output = child.wait_with_output().doing(what)?;
    let said = String::from_utf8_lossy(&output.stdout).trim().to_string();
    if output.status.success() {
        return Ok(Some(said));
    }
    let error = String::from_utf8_lossy(&output.stderr).trim().to_string();
    let reason = if said.is_empty() { error } else { said };
    match reason.contains("credentials not found") {
        true => Ok(None),
        false => Err(Error::system(format!("{name} failed: {reason}")).during(format!("{verb} credentials"))),
    }
}
