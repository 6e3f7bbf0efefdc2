//! # Secrets and configs: small files for services
//!
//! A secret is bytes with a name that only the tasks see to which it was granted; a config is the same and may be read back. Their
//! commands are alike, so the rooms here serve both and are told which by a [`What`].
//!
//! ```text
//!   secret create pw -        POST /secrets/create   {"Name": "pw", "Data": base64}      a file, or the standard input
//!   secret ls · inspect · rm  GET /secrets, GET /secrets/{id}, DELETE /secrets/{id}
//!   config …                  the same below /configs
//! ```
//!
//! Laws: what a secret holds is never printed; neither can be changed: a new version is a new name. *See:* docker/cli
//! `cli/command/{secret,config}`. *Next room:* [`create`]

pub mod create;
pub mod list;
pub mod page;

use crate::{
    command::Command,
    each::{in_turn, named},
    flag,
    inspect::Noun,
    session::Session,
};
use clap::ArgMatches;
use minidock_base::Result;
use minidock_client::Route;

/// Which of the two.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum What {
    Secret,
    Config,
}

impl What {
    pub fn word(self) -> &'static str {
        match self {
            What::Secret => "secret",
            What::Config => "config",
        }
    }

    /// The collection: `/secrets`, and what stands behind it.
    pub fn all(self, rest: &str) -> Route {
        Route::new(&format!("/{}s{rest}", self.word()), [])
    }

    /// One object.
    ///
    /// # Errors
    /// An empty name would make the collection of it.
    pub fn one(self, name: &str) -> Result<Route> {
        Ok(Route::new(&format!("/{}s/{{}}", self.word()), [named(self.word(), name)?]))
    }

    fn noun(self) -> Noun {
        match self {
            What::Secret => Noun::Secret,
            What::Config => Noun::Config,
        }
    }
}

/// `secret …`.
pub const SECRETS: &[Command] = &[
    Command { path: "secret create", also: &[], build: create::secret, run: |m, s| Box::pin(create::run(m, s, What::Secret)) },
    Command { path: "secret inspect", also: &[], build: inspect_secret, run: |m, s| Box::pin(inspect(m, s, What::Secret)) },
    Command {
        path: "secret ls",
        also: &["secret list"],
        build: list::secrets,
        run: |m, s| Box::pin(list::run(m, s, What::Secret)),
    },
    Command { path: "secret rm", also: &["secret remove"], build: rm_secret, run: |m, s| Box::pin(remove(m, s, What::Secret)) },
];

/// `config …`.
pub const CONFIGS: &[Command] = &[
    Command { path: "config create", also: &[], build: create::config, run: |m, s| Box::pin(create::run(m, s, What::Config)) },
    Command { path: "config inspect", also: &[], build: inspect_config, run: |m, s| Box::pin(inspect(m, s, What::Config)) },
    Command {
        path: "config ls",
        also: &["config list"],
        build: list::configs,
        run: |m, s| Box::pin(list::run(m, s, What::Config)),
    },
    Command { path: "config rm", also: &["config remove"], build: rm_config, run: |m, s| Box::pin(remove(m, s, What::Config)) },
];

fn inspect_secret() -> clap::Command {
    crate::page::command("[OPTIONS] SECRET [SECRET...]", "Display detailed information on one or more secrets")
}

fn inspect_config() -> clap::Command {
    crate::page::command("[OPTIONS] CONFIG [CONFIG...]", "Display detailed information on one or more configs")
}

async fn inspect(m: &ArgMatches, session: &mut Session, what: What) -> Result<i32> {
    crate::page::inspect(m, session, what.noun(), async |docker, name| page::of(docker, what, name).await).await
}

fn rm_secret() -> clap::Command {
    flag::command("rm", "SECRET [SECRET...]", "Remove one or more secrets").arg(flag::names("NAME"))
}

fn rm_config() -> clap::Command {
    flag::command("rm", "CONFIG [CONFIG...]", "Remove one or more configs").arg(flag::names("NAME"))
}

async fn remove(m: &ArgMatches, session: &mut Session, what: What) -> Result<i32> {
    let docker = session.docker().await?;
    let remove = async |name: String| -> Result<String> { docker.delete::<()>(&what.one(&name)?).await.map(|()| name + "\n") };
    in_turn(flag::list_of(m, "NAME"), remove).await
}
