//! # The runtime's claims, asked of the kernel
//!
//! Each test makes a bundle of its own (a busybox and a `config.json`), calls `minidock runtime` as an engine would, and asks
//! a probe inside and `/proc` outside. Nothing is mocked; without root the tests say SKIP.
//!
//! * `kernel/runtime_bundle.rs` is what they share, `kernel/runtime_*.rs` are the chapters.

#[path = "kernel/runtime_attacks.rs"]
mod attacks;
#[path = "kernel/runtime_bundle.rs"]
mod bundle;
#[path = "kernel/runtime_hooks.rs"]
mod hooks;
#[path = "kernel/runtime_life.rs"]
mod life;
#[path = "kernel/runtime_namespaces.rs"]
mod namespaces;
#[path = "kernel/runtime_net_devices.rs"]
mod net_devices;
#[path = "kernel/runtime_rootfs.rs"]
mod rootfs;
