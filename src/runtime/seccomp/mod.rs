//! # Seccomp: which system calls a container may make
//!
//! Namespaces and capabilities bound what a call may touch; seccomp bounds which calls there are at all. Some 350 of the
//! kernel's calls are the whole attack surface of a container, and a third of them no container needs. `linux.seccomp` in
//! `config.json` lists rules; the kernel wants a program.
//!
//! ```text
//!  config.json                    rules by number             classic BPF, run before every call
//!  ┌──────────────────────┐       ┌─────────────────┐         ┌──────────────────────────────┐
//!  │ defaultAction ERRNO  │ table │ 59 execve ALLOW │ compile │ load arch; is it x86-64?     │
//!  │ names: [execve, …]   │──────►│ 56 clone if     │────────►│ load nr; binary search …     │
//!  │ args: index, op, …   │       │    !(a0 & mask) │         │ compare args; return ACTION  │
//!  └──────────────────────┘       └─────────────────┘         └──────────────────────────────┘
//!      config.json                        rules.rs              compile.rs, assemble.rs
//! ```
//!
//! * [`table`] knows the numbers: every name, on every architecture of this kind of machine.
//! * [`rules`] makes one [`rules::Plan`] out of the configuration: for each architecture, which numbers have which checks.
//! * [`compile`](compile::compile) writes the program: *one* filter, whatever the number of actions. A binary search
//!   over the numbers costs some nine comparisons; a chain through 300 rules would cost 300, at every call.
//! * [`describe`](describe::describe) prints the rules beside their meaning: `minidock runtime seccomp`.
//! * [`notify`] hands the listener of `SCMP_ACT_NOTIFY` to its agent.
//! * `interpret` (tests) runs a program in user space: what we ship is checked number by number against a table of facts.
//!
//! Three decisions for calls that no rule names. A number *beyond the newest call we know* answers `ENOSYS`, never
//! `EPERM`: the C library probes for new calls and falls back only on `ENOSYS`. An unknown *name* in a profile is skipped:
//! profiles are written for all kernels. A *foreign architecture* kills the process: the numbers would mean something else.
//!
//! Laws: one filter (`Seccomp_filters: 1`); the program is a function of the configuration alone. See: seccomp(2), BPF as
//! in Documentation/networking/filter.rst, runtime-spec config-linux.md#seccomp. Next room: [`rules`]

pub mod assemble;
pub mod compile;
pub mod describe;
#[cfg(test)]
mod interpret;
pub mod notify;
pub mod rules;
pub mod table;

pub use compile::compile;
