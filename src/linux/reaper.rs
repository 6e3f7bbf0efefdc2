//! # The reaper: docker-init as bytes
//!
//! `--init` puts a small PID 1 in front of the user's program, which reaps orphans and hands signals on (its essay is in
//! `docker_init/main.rs`). Its bytes travel inside minidock; the daemon writes them into its exec root once and each
//! container that asks for it gets the file as a read-only bind mount at `/sbin/docker-init`.
//!
//! Next room: [`crate::clone`]

/// The static program.
pub const PROGRAM: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/docker-init"));

/// Where it is mounted in the container.
pub const TARGET: &str = "/sbin/docker-init";
