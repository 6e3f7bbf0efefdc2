//! # Instructions: the words of a Dockerfile as types
//!
//! What the parser has understood, before any variable is replaced: each [`Instruction`] knows its line and its original
//! text (`Step 3/5 : COPY . /app` shows it), and says in [`What`] what it wants.
//!
//! ```text
//!   Dockerfile ─┬─ args: ARG in front of the first FROM
//!               └─ stages ─┬─ from: image, platform, name
//!                          └─ instructions: RUN, COPY, ENV, …
//! ```
//!
//! See: Dockerfile reference. Next room: [`crate::parser`]

use crate::lexer::Heredoc;
use minidock_spec::engine::container::HealthConfig;

/// A parsed Dockerfile.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Dockerfile {
    pub escape: char,
    /// `ARG` in front of the first `FROM`.
    pub args: Vec<Instruction>,
    pub stages: Vec<Stage>,
    pub warnings: Vec<String>,
}

/// From one `FROM` to the next.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stage {
    pub line: usize,
    pub original: String,
    /// `alpine:$VERSION`, an earlier stage's name, `scratch`.
    pub image: String,
    pub platform: Option<String>,
    pub name: Option<String>,
    pub instructions: Vec<Instruction>,
}

/// One instruction and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Instruction {
    pub line: usize,
    pub original: String,
    pub what: What,
}

/// What an instruction wants.
#[derive(Clone, Debug, PartialEq)]
pub enum What {
    Run(Run),
    /// `COPY` and `ADD`.
    Copy(Copy),
    Env(Vec<(String, String)>),
    Arg(Vec<(String, Option<String>)>),
    Label(Vec<(String, String)>),
    Workdir(String),
    User(String),
    Expose(Vec<String>),
    Volume(Vec<String>),
    Cmd(Command),
    Entrypoint(Command),
    Shell(Vec<String>),
    Healthcheck(HealthConfig),
    Stopsignal(String),
    Maintainer(String),
    /// The text of the instruction to come, checked already.
    Onbuild(String),
}

/// `["a", "b"]`, or a line for the shell.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    Exec(Vec<String>),
    Shell(String),
}

#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    pub command: Command,
    pub heredocs: Vec<Heredoc>,
    pub mounts: Vec<Mount>,
    /// `default`, `none`, `host`.
    pub network: Option<String>,
}

/// What `RUN --mount=` puts in place.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Mount {
    pub kind: MountKind,
    pub target: String,
    pub source: Option<String>,
    pub from: Option<String>,
    pub id: Option<String>,
    pub read_only: Option<bool>,
    pub sharing: Option<String>,
    pub required: bool,
    pub mode: Option<u32>,
    pub uid: u32,
    pub gid: u32,
    pub size: Option<i64>,
    /// A secret as a variable.
    pub env: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MountKind {
    #[default]
    Bind,
    Cache,
    Tmpfs,
    Secret,
    Ssh,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Copy {
    /// `ADD`: archives are unpacked, addresses fetched.
    pub add: bool,
    pub sources: Vec<Source>,
    pub destination: String,
    pub from: Option<String>,
    pub chown: Option<String>,
    pub chmod: Option<String>,
    pub checksum: Option<String>,
    pub link: bool,
    pub parents: bool,
    pub exclude: Vec<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    Path(String),
    Document(Heredoc),
}

impl What {
    /// The word it begins with.
    pub fn keyword(&self) -> &'static str {
        match self {
            What::Run(_) => "RUN",
            What::Copy(copy) if copy.add => "ADD",
            What::Copy(_) => "COPY",
            What::Env(_) => "ENV",
            What::Arg(_) => "ARG",
            What::Label(_) => "LABEL",
            What::Workdir(_) => "WORKDIR",
            What::User(_) => "USER",
            What::Expose(_) => "EXPOSE",
            What::Volume(_) => "VOLUME",
            What::Cmd(_) => "CMD",
            What::Entrypoint(_) => "ENTRYPOINT",
            What::Shell(_) => "SHELL",
            What::Healthcheck(_) => "HEALTHCHECK",
            What::Stopsignal(_) => "STOPSIGNAL",
            What::Maintainer(_) => "MAINTAINER",
            What::Onbuild(_) => "ONBUILD",
        }
    }

    /// The stage or image that it copies or mounts from, besides its own.
    pub fn needs(&self) -> Vec<&str> {
        match self {
            What::Copy(copy) => copy.from.iter().map(String::as_str).collect(),
            What::Run(run) => run.mounts.iter().filter_map(|mount| mount.from.as_deref()).collect(),
            _ => Vec::new(),
        }
    }
}
