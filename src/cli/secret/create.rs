//! # secret create, config create: bytes get a name
//!
//! The bytes come from a file or, for `-`, from the standard input: so a password need not stand in a file, nor in the list of
//! processes. A secret may also come from a driver; then there are no bytes.
//!
//! *See:* docker/cli `cli/command/secret/create.go`. *Next room:* [`super::list`]

use super::What;
use crate::{container::environment, flag, session::Session, terminal};
use base64::{Engine, engine::general_purpose::STANDARD};
use clap::ArgMatches;
use minidock_base::{Error, Result};
use minidock_spec::swarm::{secret::SecretSpec, task::Driver};
use serde::Deserialize;
use std::{fs::File, io::Read};

/// Twice what the managers take of a config: enough to let them refuse with their own words.
const MOST_BYTES: u64 = 2 * 1000 * 1024;

/// The flags of `secret create`.
pub fn secret() -> clap::Command {
    flag::command("create", "[OPTIONS] SECRET [file|-]", "Create a secret from a file or STDIN as content")
        .arg(flag::text("driver", "string", "Secret driver").short('d'))
        .arg(flag::list("label", "list", "Secret labels").short('l'))
        .arg(flag::text("template-driver", "string", "Template driver"))
        .arg(flag::name("NAME"))
        .arg(flag::optional("FILE"))
}

/// The flags of `config create`.
pub fn config() -> clap::Command {
    flag::command("create", "[OPTIONS] CONFIG file|-", "Create a config from a file or STDIN")
        .arg(flag::list("label", "list", "Config labels").short('l'))
        .arg(flag::text("template-driver", "string", "Template driver"))
        .arg(flag::name("NAME"))
        .arg(flag::name("FILE"))
}

#[derive(Deserialize)]
struct Created {
    #[serde(rename = "ID")]
    id: String,
}

/// Makes a secret or config and prints its ID.
///
/// # Errors
/// A file that cannot be read or is empty; a driver and a file; the daemon's refusal.
pub async fn run(m: &ArgMatches, session: &mut Session, what: What) -> Result<i32> {
    let text = |id: &str| m.try_get_one::<String>(id).ok().flatten().cloned().unwrap_or_default();
    let driver = |name: String| (!name.is_empty()).then(|| Driver { name, ..Driver::default() });
    let (file, secret_driver) = (text("FILE"), text("driver"));
    let data = match (file.as_str(), secret_driver.as_str()) {
        ("", "") => return Err(Error::invalid("secret file is required").hint("a file, or - for the standard input")),
        ("", _) => String::new(),
        (_, "") => STANDARD.encode(bytes(&file)?),
        _ => return Err(Error::invalid("When using secret driver secret data must be empty")),
    };
    let spec = SecretSpec {
        name: text("NAME"),
        labels: environment::labels(&[], &flag::list_of(m, "label"))?,
        data,
        driver: driver(secret_driver),
        templating: driver(text("template-driver")),
    };
    let made: Created = session.docker().await?.post(&what.all("/create"), &spec).await?;
    terminal::print(&format!("{}\n", made.id));
    Ok(0)
}

/// All of a file, or of the standard input.
fn bytes(file: &str) -> Result<Vec<u8>> {
    let shown = if file == "-" { "STDIN" } else { file };
    let failed = |error: std::io::Error| Error::invalid(format!("error reading from {shown}: {error}"));
    let mut bytes = Vec::new();
    match file {
        "-" => std::io::stdin().lock().take(MOST_BYTES).read_to_end(&mut bytes).map_err(failed)?,
        path => File::open(path).and_then(|file| file.take(MOST_BYTES).read_to_end(&mut bytes)).map_err(failed)?,
    };
    match bytes.is_empty() {
        true => Err(Error::invalid(format!("error reading from {shown}: data is empty"))),
        false => Ok(bytes),
    }
}
