//! # Linux: everything we ask of the kernel
//!
//! This crate is the dictionary of the house: one file per family of system calls, one wrapper per call, named after its
//! man page. It is the only home of `unsafe`, and every call made on behalf of a user passes through
//! [`action::call`], which writes it down for `minidock explain`.
//!
//! ```text
//!   runtime, shim, image, engine
//!        │  linux::mount::mount(…)             one wrapper, one call, typed arguments
//!        ▼
//!   action::call("mount", args, || …)          timed, recorded, errno named
//!        ▼
//!   rustix / libc::syscall                     the kernel
//! ```
//!
//! Laws: wrappers take and return owned or borrowed descriptors and paths, never raw integers; a failure is a
//! [`errno::CallFailed`] that carries the call and its arguments; a SAFETY note says *which* obligation of the callee is met
//! and by what. Nothing here decides anything.
//!
//! Next room: [`action`]

pub mod action;
pub mod arp;
pub mod bind;
pub mod caps;
pub mod cgroup;
pub mod clone;
pub mod device_filter;
pub mod errno;
pub mod exec;
pub mod fds;
pub mod fifo;
pub mod files;
pub mod idmap;
pub mod inotify;
pub mod limits;
pub mod loopback;
pub mod malloc;
pub mod mount;
pub mod namespaces;
pub mod netfilter;
pub mod netlink;
pub mod overlayfs;
pub mod pivot_root;
pub mod poll;
pub mod proc;
pub mod reaper;
pub mod remove_tree;
pub mod seccomp;
pub mod signal;
pub mod sockets;
pub mod tty;
pub mod userns;
pub mod wait;
pub mod xattr;
