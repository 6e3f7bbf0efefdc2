//! # why reach: which link of the chain does not hold
//!
//! The daemon walks the chain on which a connection hangs, link by link, and the first that breaks is the answer.
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
//! *See:* `src/network/reach/mod.rs`, `src/engine/reach/mod.rs`. *Next room:* [`super::task`]

use super::{cannot_say, print};
use crate::{flag, session::Session};
use clap::ArgMatches;
use minidock_base::Result;
use minidock_client::Route;
use minidock_spec::engine::reach::{Holds, Reach};
use std::fmt::Write;

/// The arguments of `why reach`.
pub fn command() -> clap::Command {
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
pub async fn run(m: &ArgMatches, session: &mut Session) -> Result<i32> {
    let word = |name: &str| flag::text_of(m, name).unwrap_or_default().to_string();
    let route = Route::new("/minidock/why/reach", []).pair("from", word("CONTAINER")).pair("to", word("TARGET"));
    let reach: Reach = session.docker().await?.get(&route).await.map_err(cannot_say)?;
    print(m, &reach, told)?;
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
