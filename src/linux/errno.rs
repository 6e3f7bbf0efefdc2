//! # Errno: the kernel's no, by name and in words
//!
//! The kernel refuses with a number. This room gives the number its name and its sentence, and, where a container has a
//! *usual* reason for it, that reason. [`CallFailed`] is what every wrapper of this crate returns: which call, with which
//! arguments, and the errno. It turns into a [`minidock_base::Error`] the moment somebody says what was being done.
//!
//! See: errno(3). Next room: [`crate::clone`]

use minidock_base::error::Cause;
use std::fmt;

/// The numbers by name, for rooms that have to tell one no from another.
pub use libc::{
    EACCES, EAGAIN, EBUSY, EDQUOT, EEXIST, EINVAL, ELOOP, ENODEV, ENOENT, ENOSPC, ENOSYS, ENOTDIR, ENOTEMPTY, ENOTSUP, ENXIO,
    EOPNOTSUPP, EPERM, ERANGE, EROFS, ESRCH, EXFULL,
};

/// A kernel call that failed: its name, its arguments as in the man page, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallFailed {
    pub call: &'static str,
    pub args: Vec<String>,
    pub errno: i32,
}

impl CallFailed {
    pub fn new(call: &'static str, args: Vec<String>, errno: i32) -> CallFailed {
        CallFailed { call, args, errno }
    }

    /// Whether the kernel said exactly this.
    pub fn is(&self, errno: i32) -> bool {
        self.errno == errno
    }

    /// The same as a standard error.
    pub fn to_io(&self) -> std::io::Error {
        std::io::Error::from_raw_os_error(self.errno)
    }
}

impl fmt::Display for CallFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}({}) said {}: {}", self.call, self.args.join(", "), name(self.errno), words(self.errno))
    }
}

impl std::error::Error for CallFailed {}

impl From<CallFailed> for Cause {
    fn from(failed: CallFailed) -> Cause {
        Cause::Raw(Box::new(failed))
    }
}

impl From<CallFailed> for std::io::Error {
    fn from(failed: CallFailed) -> std::io::Error {
        failed.to_io()
    }
}

/// The kernel's own sentence, in lower case: `operation not permitted`.
pub fn words(errno: i32) -> String {
    let text = std::io::Error::from_raw_os_error(errno).to_string();
    let sentence = text.split(" (os error").next().unwrap_or(&text);
    let mut chars = sentence.chars();
    match chars.next() {
        Some(first) => first.to_lowercase().chain(chars).collect(),
        None => String::new(),
    }
}

/// The symbol: `EPERM`; `errno 4242` for one without a name here.
pub fn name(errno: i32) -> String {
    match NAMES.iter().find(|(number, _)| *number == errno) {
        Some((_, name)) => (*name).to_string(),
        None => format!("errno {errno}"),
    }
}

macro_rules! names {
    ($($n:ident)*) => { &[$((libc::$n, stringify!($n))),*] };
}

const NAMES: &[(i32, &str)] = names!(
    EPERM ENOENT ESRCH EINTR EIO ENXIO E2BIG ENOEXEC EBADF ECHILD EAGAIN ENOMEM EACCES EFAULT ENOTBLK EBUSY EEXIST EXDEV ENODEV
    ENOTDIR EISDIR EINVAL ENFILE EMFILE ENOTTY ETXTBSY EFBIG ENOSPC ESPIPE EROFS EMLINK EPIPE EDOM ERANGE EDEADLK ENAMETOOLONG
    ENOLCK ENOSYS ENOTEMPTY ELOOP EPROTO EBADMSG EOVERFLOW EUSERS ENOTSOCK EDESTADDRREQ EMSGSIZE EPROTOTYPE ENOPROTOOPT
    EPROTONOSUPPORT EOPNOTSUPP EAFNOSUPPORT EADDRINUSE EADDRNOTAVAIL ENETDOWN ENETUNREACH ECONNABORTED ECONNRESET ENOBUFS EISCONN
    ENOTCONN ETIMEDOUT ECONNREFUSED EHOSTDOWN EHOSTUNREACH EALREADY EINPROGRESS ESTALE EDQUOT ENODATA ECANCELED ENOKEY EXFULL
);
