//! # registry serve: a registry of one's own
//!
//! A classroom without network still wants to push and pull. `registry serve` is a registry in one process, in the foreground, on
//! this machine's own address unless told otherwise. This room reads the flags; the registry is another costume of this program
//! (`minidock_registry::server`), and we put it on in place of ourselves.
//!
//! ```text
//!   minidock registry serve                                     http://127.0.0.1:5000, kept in /var/lib/minidock-registry
//!   minidock registry serve --listen 0.0.0.0:5000 --tls-cert domain.crt --tls-key domain.key --htpasswd auth/htpasswd
//!   minidock registry serve --store /var/lib/minidock           hands out this machine's images as well: a mirror for a class
//! ```
//!
//! *See:* distribution `registry serve`. *Next room:* [`crate::registry::accounts`]

use crate::{flag, session::Session};
use clap::ArgMatches;
use minidock_base::{Doing, Result};
use std::os::unix::process::CommandExt;

/// The flags, in the order they are handed on.
const FLAGS: &[(&str, &str, &str)] = &[
    ("htpasswd", "file", "Ask for a name and a password out of this file (bcrypt: htpasswd -B)"),
    ("listen", "address", "Where to listen (default 127.0.0.1:5000)"),
    ("root", "folder", "Where everything is kept (default /var/lib/minidock-registry)"),
    ("store", "folder", "An OCI image layout whose images are handed out as well, such as the daemon's data root"),
    ("tls-cert", "file", "The certificate to show, in PEM"),
    ("tls-key", "file", "Its private key, in PEM"),
];

/// The flags of `registry serve`.
pub fn command() -> clap::Command {
    let command = flag::command("serve", "[OPTIONS]", "Run a registry in the foreground");
    let command = command.arg(flag::switch("read-only", "Take nothing in"));
    let command = command.arg(flag::switch("quiet", "No line for each request").short('q'));
    FLAGS.iter().fold(command, |command, (name, kind, help)| command.arg(flag::text(name, kind, help)))
}

/// Becomes the registry.
///
/// # Errors
/// This program cannot be executed.
pub async fn run(m: &ArgMatches, _: &mut Session) -> Result<i32> {
    let mut command = std::process::Command::new("/proc/self/exe");
    command.arg("registry-server");
    for (name, ..) in FLAGS {
        if let Some(value) = flag::text_of(m, name) {
            command.arg(format!("--{name}={value}"));
        }
    }
    for name in ["read-only", "quiet"] {
        if m.get_flag(name) {
            command.arg(format!("--{name}"));
        }
    }
    Err(command.exec()).doing(|| "become the registry")
}
