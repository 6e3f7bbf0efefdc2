//! # The runtime: from `config.json` to a process
//!
//! A container is a process that sees little. This floor makes one, from a *bundle* (a folder with a root filesystem and a
//! `config.json`), as the OCI runtime specification says; any engine that knows runc's command line can use it.
//!
//! ```text
//!   minidock runtime create ID                    one process, one thread, some milliseconds
//!     cli → bundle → state → create
//!                              │ clone3(CLONE_NEWPID | CLONE_NEWNS | …)
//!              parent ─────────┴───────── child
//!              create                     init
//!                id maps                    rootfs ─ mounts ─ devices ─ pivot_root
//!                hooks     ◄─ handshake ─►  sysctls, masks
//!                state                      finish: user, capabilities, seccomp
//!              ends                         waits at the door
//!   minidock runtime start ID  ── door ──►  execve: the user's program
//! ```
//!
//! Who is alive: during `create` both; between `create` and `start` only init; then only the program, as a child of whoever
//! called us (the shim). The runtime never stays, but for `run` and `exec` in the foreground.
//!
//! * **The command line**: [`cli`], [`flags`], [`commands`], [`help`], [`log`], [`recording`].
//! * **Documents**: [`bundle`] is read, [`state`] is kept, [`report`], [`spec_command`] and [`features`] are printed.
//! * **The making**, in the order of events: [`ahead`], [`create`], [`birth`], [`attend`], [`handshake`], [`init`], [`outside`], [`rootfs`]
//!   ([`mounts`], [`sources`], [`mount_options`], [`targets`], [`cgroup_mounts`], [`copy_up`], [`devices`], [`masks`]), [`net_devices`], [`console`], [`process`],
//!   [`grants`], [`privileges`], [`seccomp`], [`finish`], [`door`].
//! * **The life after**: [`lifecycle`], [`hooks`], [`join`] ([`exec_process`]), [`foreground`], [`resources`], [`device_rules`].
//!
//! Laws of this floor: one thread, always; nothing on the host is mounted, and what is made (a cgroup, a folder below
//! `--root`) is written down first; a path inside a container is never trusted, only descriptors are; the first failure is
//! told in runc's words, because programs read them.
//!
//! In the real world: runc does the same in Go, with a C program that runs before Go's threads exist; crun in C. What they
//! have and we have not: checkpoints (criu), systemd as keeper of cgroups, SELinux and AppArmor labels, cache allocation.
//!
//! See: OCI runtime-spec, runc(8). Next room: [`cli`]

pub mod ahead;
pub mod attend;
pub mod birth;
pub mod borrowed_network;
pub mod bundle;
pub mod cgroup_mounts;
pub mod cli;
pub mod commands;
pub mod console;
pub mod copy_up;
pub mod create;
pub mod device_rules;
pub mod devices;
pub mod door;
pub mod events;
pub mod exec_process;
pub mod features;
pub mod finish;
pub mod flags;
pub mod foreground;
pub mod grants;
pub mod handshake;
pub mod help;
pub mod hooks;
pub mod init;
pub mod join;
pub mod lifecycle;
pub mod log;
pub mod masks;
pub mod memory_policy;
pub mod mount_options;
pub mod mounts;
pub mod net_devices;
pub mod outside;
pub mod privileges;
pub mod process;
pub mod recording;
pub mod report;
pub mod resources;
pub mod rootfs;
pub mod seccomp;
pub mod sources;
pub mod spec_command;
pub mod state;
pub mod targets;
pub mod update_options;
pub mod written;

/// The runtime's costume: `args` are the words behind `minidock runtime`. Gives back the exit status.
pub fn main(args: Vec<std::ffi::OsString>) -> i32 {
    cli::run(args)
}

/// Works out ahead what every container needs: for a process whose forks will call [`main`].
pub fn warm() {
    ahead::warm();
}

/// `delete --force`, for a process of ours that has nothing else to do: none when the container has hooks to be run, for these
/// deserve a process of their own.
pub fn delete(root: &std::path::Path, id: &str) -> Option<minidock_base::Result<()>> {
    let has_hooks = state::Folder::of(root, id).is_ok_and(|folder| folder.spec_with_hooks().is_some());
    (!has_hooks).then(|| lifecycle::delete(root, id, true))
}
