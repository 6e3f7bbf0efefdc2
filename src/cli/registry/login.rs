//! # login, logout: an account at a registry
//!
//! `login` asks for a name and a password, has the daemon try them at the registry, and keeps them if they are good. `logout`
//! forgets them. Nothing else changes: who is not logged in is simply nobody in particular.
//!
//! Laws: a password is not echoed and does not come from a terminal by accident; one on the command line is used, with a
//! warning, for every user of the machine can read it there. *See:* docker/cli `cli/command/registry/{login,logout}.go`.
//! *Next room:* [`crate::registry::search`]

use crate::{
    flag,
    registry::accounts::{self, Account, Accounts, HUB_KEY, Kept},
    session::Session,
    terminal,
};
use clap::ArgMatches;
use minidock_base::{Doing, Error, Result};
use minidock_client::Route;
use serde::Deserialize;
use serde_json::json;
use std::io::{BufRead, Read};

/// The flags of `login`.
pub fn command() -> clap::Command {
    flag::command("login", "[OPTIONS] [SERVER]", "Authenticate to a registry")
        .arg(flag::text("password", "string", "Password").short('p'))
        .arg(flag::switch("password-stdin", "Take the password from stdin"))
        .arg(flag::text("username", "string", "Username").short('u'))
        .arg(flag::optional("SERVER"))
}

/// The arguments of `logout`.
pub fn logout() -> clap::Command {
    flag::command("logout", "[SERVER]", "Log out from a registry").arg(flag::optional("SERVER"))
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default, rename = "IdentityToken")]
    identity_token: String,
    #[serde(default, rename = "Status")]
    status: String,
}

/// Logs in.
///
/// # Errors
/// No name or password to be had; the registry says no; the account cannot be kept.
pub async fn run(m: &ArgMatches, session: &mut Session) -> Result<i32> {
    let server = flag::text_of(m, "SERVER").unwrap_or_default();
    let mut accounts = Accounts::open(session.config_folder())?;
    let (given, mut password) = (flag::text_of(m, "username"), flag::text_of(m, "password").map(str::to_string));
    if m.get_flag("password-stdin") {
        match (given, &password) {
            (None, _) => return Err(Error::invalid("Must provide --username with --password-stdin")),
            (_, Some(_)) => return Err(Error::invalid("--password and --password-stdin are mutually exclusive")),
            _ => password = Some(from_input()?),
        }
    } else if password.is_some() {
        terminal::eprint("WARNING! Using --password via the CLI is insecure. Use --password-stdin.\n");
    }
    let known = match (given, &password) {
        (None, None) => accounts.find(server)?,
        _ => None,
    };
    let account = match known {
        Some(known) => {
            terminal::print("Authenticating with existing credentials...\n");
            known
        }
        None => ask(given, password)?,
    };
    let address = if server.is_empty() { HUB_KEY } else { server };
    let body = json!({
        "username": account.username, "password": account.password, "identitytoken": account.identity_token, "serveraddress": address,
    });
    let answer: Answer = session.docker().await?.post(&Route::new("/auth", []), &body).await?;
    let mut good = account;
    if !answer.identity_token.is_empty() {
        good = Account { identity_token: answer.identity_token, password: String::new(), ..good };
    }
    if let Kept::File(file) = accounts.keep(server, &good)? {
        terminal::eprint(&format!("WARNING! Your credentials are stored unencrypted in '{}'.\n", file.display()));
    }
    terminal::print(&format!("{}\n", if answer.status.is_empty() { "Login Succeeded" } else { &answer.status }));
    Ok(0)
}

/// The whole of standard input, without its last line's end.
fn from_input() -> Result<String> {
    let mut text = String::new();
    std::io::stdin().take(1 << 20).read_to_string(&mut text).doing(|| "read the password from standard input")?;
    let text = text.strip_suffix('\n').unwrap_or(&text);
    Ok(text.strip_suffix('\r').unwrap_or(text).to_string())
}

/// Asks for what was not given.
fn ask(name: Option<&str>, password: Option<String>) -> Result<Account> {
    let wanted = name.is_none() || password.is_none();
    if wanted && !terminal::input_is_terminal() {
        return Err(Error::invalid("cannot perform an interactive login from a non TTY device")
            .hint("minidock login -u NAME --password-stdin SERVER < FILE"));
    }
    let username = match name {
        Some(name) => name.to_string(),
        None => {
            terminal::print("Username: ");
            line()?
        }
    };
    if username.is_empty() {
        return Err(Error::invalid("username is empty"));
    }
    let password = match password {
        Some(password) => password,
        None => {
            terminal::print("Password: ");
            let hidden = terminal::Hidden::enter()?;
            let read = line();
            drop(hidden);
            terminal::print("\n");
            read?
        }
    };
    match password.is_empty() {
        true => Err(Error::invalid("password is empty")),
        false => Ok(Account { username, password, identity_token: String::new() }),
    }
}

fn line() -> Result<String> {
    let mut text = String::new();
    std::io::stdin().lock().read_line(&mut text).doing(|| "read what is typed")?;
    Ok(text.trim_end_matches(['\n', '\r']).to_string())
}

/// Logs out.
///
/// # Errors
/// The account cannot be taken away.
pub async fn run_logout(m: &ArgMatches, session: &mut Session) -> Result<i32> {
    let server = flag::text_of(m, "SERVER").unwrap_or_default();
    let mut accounts = Accounts::open(session.config_folder())?;
    let shown = accounts::key(server);
    match accounts.forget(server)? {
        true => terminal::print(&format!("Removing login credentials for {shown}\n")),
        false => terminal::print(&format!("Not logged in to {shown}\n")),
    }
    Ok(0)
}
