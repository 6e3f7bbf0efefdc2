//! # why: what is in the way
//!
//! "It does not work" is the beginning of a lesson. `why reach` asks the daemon to walk the chain on which a connection hangs, link by
//! link, and prints it up to the first that does not hold, with what to try.
//!
//! ```text
//!   $ minidock why reach web db:5432
//!   web cannot reach db:5432/tcp
//!     yes  name       db is 172.18.0.3, says 127.0.0.11
//!     …
//!     NO   listener   db listens at port 5432 on 127.0.0.1 only, not on 172.18.0.3
//!          try        let the program listen on 0.0.0.0
//! ```
//!
//! * The status is 0 when B can be reached, 1 when it cannot: so a script can ask, too.
//!
//! *See:* `src/network/reach/mod.rs`, `src/engine/reach/mod.rs`. *Next room:* [`crate::explain`]

use crate::{command::Command, flag, session::Session, terminal};
use clap::ArgMatches;
use minidock_base::{Doing, Error, Kind, Result};
use minidock_client::Route;
use minidock_spec::engine::reach::{Holds, Reach};
use std::fmt::Write;

/// `why …`.
pub const COMMANDS: &[Command] = &[Command { path: "why reach", also: &[], build: command, run: |m, s| Box::pin(run(m, s)) }];

/// The arguments of `why reach`.
fn command() -> clap::Command {
    flag::command(
        "reach",
        "[OPTIONS] CONTAINER TARGET[:PORT[/PROTOCOL]]",
        "Say whether one container reaches another, and if not, why",
    )
    .arg(flag::switch("json", "As JSON, for other tools"))
    .arg(flag::name("CONTAINER"))
    .arg(flag::name("TARGET"))
}

/// Walks the chain.
///
/// # Errors
/// No such container; a target that cannot be read; a daemon that cannot say.
async fn run(m: &ArgMatches, session: &mut Session) -> Result<i32> {
    let word = |name: &str| flag::text_of(m, name).unwrap_or_default().to_string();
    let route = Route::new("/minidock/why/reach", []).pair("from", word("CONTAINER")).pair("to", word("TARGET"));
    let reach: Reach = session.docker().await?.get(&route).await.map_err(cannot_say)?;
    match m.get_flag("json") {
        true => terminal::print(&(serde_json::to_string_pretty(&reach).doing(|| "encode the answer")? + "\n")),
        false => terminal::print(&told(&reach)),
    }
    Ok(i32::from(!reach.reachable))
}

fn told(reach: &Reach) -> String {
    let can = if reach.reachable { "can" } else { "cannot" };
    let mut text = format!("{} {can} reach {}\n", reach.from, reach.to);
    for link in &reach.links {
        let holds = match link.holds {
            Holds::Yes => "yes",
            Holds::No => "NO",
            Holds::Unknown => "?",
        };
        let _ = writeln!(text, "  {holds:<4} {:<10} {}", link.step, link.says);
        if let Some(hint) = &link.hint {
            let _ = writeln!(text, "       {:<10} {hint}", "try");
        }
    }
    text
}

fn cannot_say(error: Error) -> Error {
    match error.kind() == Kind::NotFound && error.message().contains("page not found") {
        true => Error::not_implemented("this daemon cannot say why").hint("ask a minidock daemon"),
        false => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use minidock_spec::engine::reach::{Link, Step};

    #[test]
    fn the_chain_is_told_up_to_the_link_that_breaks() {
        let link = |step, holds, says: &str, hint: Option<&str>| Link {
            step,
            holds,
            says: says.into(),
            hint: hint.map(str::to_string),
        };
        let reach = Reach {
            from: "web".into(),
            to: "db:5432/tcp".into(),
            reachable: false,
            links: vec![
                link(Step::Name, Holds::Yes, "db is 172.18.0.3", None),
                link(Step::Listener, Holds::No, "nothing in db listens", Some("start the program")),
            ],
        };
        let text = "web cannot reach db:5432/tcp\n  yes  name       db is 172.18.0.3\n  NO   listener   nothing in db listens\n       try        start the program\n";
        assert_eq!(told(&reach), text);
    }
}
