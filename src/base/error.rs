//! # The one error: what, why, what to try, what to read
//!
//! A student who meets `EPERM` learns nothing; a student who reads what was being done, why the kernel refused and what
//! to try next learns the chapter. So there is one [`Error`] for people, and it answers four questions:
//!
//! ```text
//! minidock: cannot start container web
//!   while   mounting its root filesystem            doing[1..], one line each, outermost first
//!   because mount(2) said EINVAL: invalid argument  the cause
//!   try     a data root on ext4 or xfs              the hint
//!   read    src/image/snapshot.rs                   where the cause was first named (#[track_caller])
//! ```
//!
//! * A cause becomes an `Error` the first time somebody says what was being done: [`Doing::doing`].
//! * A refusal that *is* the whole message (`No such container: x`) is born by [`Error::not_found`] and its siblings: it
//!   has no `doing` lines, and its text is what Docker's clients match on, so [`Error::message`] gives it back verbatim.
//! * [`Kind`] is Docker's list (`errdefs`); the API turns it into a status code.
//! * The whole error crosses the socket as [`Wire`], beside Docker's own `message`, so the CLI can print all four answers.
//!
//! Laws: never log *and* return; add a `doing` line where the noun changes, not in every function; lower case, no full
//! stop. See: style.md, Errors · moby `errdefs`. Next room: [`crate::id`]

use serde::{Deserialize, Serialize};
use std::{error::Error as StdError, fmt, panic::Location};

/// A result whose failure can be told to a person.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What sort of refusal this is: Docker's `errdefs`, from which the API takes its status code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// 404
    NotFound,
    /// 409
    Conflict,
    /// 400
    InvalidParameter,
    /// 403
    Forbidden,
    /// 503
    Unavailable,
    /// 304: the wish is already fulfilled
    NotModified,
    /// 501
    NotImplemented,
    /// 500: the kernel, the disk or we ourselves failed
    System,
}

/// The one error for people; see the module's essay for its shape when printed.
#[derive(Clone, Debug)]
pub struct Error {
    kind: Kind,
    doing: Vec<String>,
    cause: String,
    hint: Option<String>,
    room: String,
    from_daemon: bool,
}

/// The error as it crosses a socket or a pipe.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Wire {
    pub kind: Kind,
    #[serde(default)]
    pub doing: Vec<String>,
    pub because: String,
    #[serde(default, rename = "try", skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    #[serde(default)]
    pub read: String,
}

impl Error {
    /// An error of a chosen kind whose whole text is `cause`.
    #[track_caller]
    pub fn new(kind: Kind, cause: impl Into<String>) -> Error {
        Error { kind, doing: Vec::new(), cause: cause.into(), hint: None, room: room(Location::caller()), from_daemon: false }
    }

    /// 404: `No such container: x`.
    #[track_caller]
    pub fn not_found(cause: impl Into<String>) -> Error {
        Error::new(Kind::NotFound, cause)
    }

    /// 409: a name in use, a container that is running.
    #[track_caller]
    pub fn conflict(cause: impl Into<String>) -> Error {
        Error::new(Kind::Conflict, cause)
    }

    /// 400: what was asked makes no sense.
    #[track_caller]
    pub fn invalid(cause: impl Into<String>) -> Error {
        Error::new(Kind::InvalidParameter, cause)
    }

    /// 304: already so.
    #[track_caller]
    pub fn not_modified(cause: impl Into<String>) -> Error {
        Error::new(Kind::NotModified, cause)
    }

    /// 501: a door that this house does not have.
    #[track_caller]
    pub fn not_implemented(cause: impl Into<String>) -> Error {
        Error::new(Kind::NotImplemented, cause)
    }

    /// 503: not now, not here.
    #[track_caller]
    pub fn unavailable(cause: impl Into<String>) -> Error {
        Error::new(Kind::Unavailable, cause)
    }

    /// 403: not allowed to you.
    #[track_caller]
    pub fn forbidden(cause: impl Into<String>) -> Error {
        Error::new(Kind::Forbidden, cause)
    }

    /// 500: something below us failed.
    #[track_caller]
    pub fn system(cause: impl Into<String>) -> Error {
        Error::new(Kind::System, cause)
    }

    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The same error with another kind.
    pub fn with_kind(mut self, kind: Kind) -> Error {
        self.kind = kind;
        self
    }

    /// The same error with something to try.
    pub fn hint(mut self, hint: impl Into<String>) -> Error {
        self.hint = Some(hint.into());
        self
    }

    /// Says what was being done when this happened: the new line becomes the outermost.
    pub fn during(mut self, what: impl Into<String>) -> Error {
        self.doing.insert(0, what.into());
        self
    }

    /// The text of the cause alone.
    pub fn cause(&self) -> &str {
        &self.cause
    }

    /// What to try, when somebody knew.
    pub fn hint_text(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// One line for the wire (`{"message": …}`): the steps and the cause joined by colons, as Go programs print.
    pub fn message(&self) -> String {
        let mut line = String::new();
        for step in &self.doing {
            line.push_str(step);
            line.push_str(": ");
        }
        line + &self.cause
    }

    /// The whole error as a value that can be sent.
    pub fn to_wire(&self) -> Wire {
        Wire {
            kind: self.kind,
            doing: self.doing.clone(),
            because: self.cause.clone(),
            hint: self.hint.clone(),
            read: self.room.clone(),
        }
    }

    /// An error that came over a socket or a pipe, with the room where it was first named.
    pub fn from_wire(wire: Wire) -> Error {
        Error { kind: wire.kind, doing: wire.doing, cause: wire.because, hint: wire.hint, room: wire.read, from_daemon: false }
    }

    /// The same error, marked as what a daemon answered: printed, it begins with Docker's `Error response from daemon: `,
    /// which people and scripts know; [`Error::message`] stays as it is.
    pub fn from_daemon(mut self) -> Error {
        self.from_daemon = true;
        self
    }

    /// Whether a daemon answered so (and not this program).
    pub fn is_from_daemon(&self) -> bool {
        self.from_daemon
    }
}

/// `src/…` as written in this repository, whatever folder it was built in.
fn room(location: &Location<'_>) -> String {
    let file = location.file();
    match file.rfind("src/") {
        Some(at) => file[at..].to_string(),
        None => file.to_string(),
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.from_daemon {
            f.write_str("Error response from daemon: ")?;
        }
        match self.doing.split_first() {
            None => write!(f, "{}", self.cause)?,
            Some((first, rest)) => {
                write!(f, "cannot {first}")?;
                for step in rest {
                    write!(f, "\n  while   {step}")?;
                }
                write!(f, "\n  because {}", self.cause)?;
            }
        }
        if let Some(hint) = &self.hint {
            write!(f, "\n  try     {hint}")?;
        }
        if !self.doing.is_empty() && !self.room.is_empty() {
            write!(f, "\n  read    {}", self.room)?;
        }
        Ok(())
    }
}

impl StdError for Error {}

/// What may become an [`Error`]: one already, or any other failure.
pub enum Cause {
    Named(Error),
    Raw(Box<dyn StdError + Send + Sync>),
}

impl From<Error> for Cause {
    fn from(error: Error) -> Cause {
        Cause::Named(error)
    }
}

macro_rules! raw_causes {
    ($($t:ty),* $(,)?) => {$(
        impl From<$t> for Cause {
            fn from(error: $t) -> Cause { Cause::Raw(Box::new(error)) }
        }
    )*};
}

raw_causes!(
    std::io::Error,
    serde_json::Error,
    std::num::ParseIntError,
    std::num::ParseFloatError,
    std::str::Utf8Error,
    std::string::FromUtf8Error,
    std::ffi::NulError,
);

impl From<Box<dyn StdError + Send + Sync>> for Cause {
    fn from(error: Box<dyn StdError + Send + Sync>) -> Cause {
        Cause::Raw(error)
    }
}

impl From<String> for Cause {
    fn from(text: String) -> Cause {
        Cause::Raw(text.into())
    }
}

impl From<&str> for Cause {
    fn from(text: &str) -> Cause {
        Cause::Raw(text.into())
    }
}

/// `result.doing(|| "mount its root filesystem")?`: a cause becomes an [`Error`] the first time someone says what was
/// being done, and gains a line each further time.
pub trait Doing<T> {
    /// Adds what was being done, in the user's nouns, as an infinitive without "to".
    #[track_caller]
    fn doing<S: Into<String>>(self, what: impl FnOnce() -> S) -> Result<T>;
}

impl<T, E: Into<Cause>> Doing<T> for std::result::Result<T, E> {
    #[track_caller]
    fn doing<S: Into<String>>(self, what: impl FnOnce() -> S) -> Result<T> {
        let caller = Location::caller();
        self.map_err(|failure| match failure.into() {
            Cause::Named(error) => error.during(what()),
            Cause::Raw(cause) => Error {
                kind: Kind::System,
                doing: vec![what().into()],
                cause: describe(cause.as_ref()),
                hint: None,
                room: room(caller),
                from_daemon: false,
            },
        })
    }
}

/// A cause with its own causes, joined by colons; errno by name is added by `linux::errno`.
fn describe(cause: &(dyn StdError + 'static)) -> String {
    let mut text = cause.to_string();
    let mut next = cause.source();
    while let Some(inner) = next {
        let line = inner.to_string();
        if !text.contains(&line) {
            text = format!("{text}: {line}");
        }
        next = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_answers_four_questions() {
        let failed: std::result::Result<(), std::io::Error> = Err(std::io::Error::other("mount(2) said EINVAL"));
        let error = failed
            .doing(|| "mount its root filesystem")
            .map_err(|e| e.hint("a data root on ext4"))
            .doing(|| "start container web")
            .unwrap_err();
        let text = error.to_string();
        assert!(text.starts_with("cannot start container web\n  while   mount its root filesystem\n  because mount(2)"));
        assert!(text.contains("\n  try     a data root on ext4\n  read    src/base/error.rs"), "{text}");
        assert_eq!(error.message(), "start container web: mount its root filesystem: mount(2) said EINVAL");
    }

    #[test]
    fn a_refusal_is_its_own_message_and_survives_the_wire() {
        let error = Error::not_found("No such container: x").hint("minidock ps -a");
        let wire = serde_json::to_string(&error.to_wire()).expect("plain data");
        let back = Error::from_wire(serde_json::from_str(&wire).expect("our own text"));
        assert_eq!(back.message(), "No such container: x");
        assert_eq!(back.kind(), Kind::NotFound);
        assert_eq!(back.to_string(), "No such container: x\n  try     minidock ps -a");
    }
}
