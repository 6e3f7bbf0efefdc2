//! # The shim alone
//!
//! The shim without the rest of the house: what its own tests execute, and what one may hold against `smaps_rollup` when one
//! wonders how small a container's parent can be. It takes its orders through descriptor 0 like the real one
//! (`minidock shim`), from whoever speaks [`minidock_shim::protocol`].
//!
//! Next room: `src/shim/tests/rig/mod.rs`, a daemon of a hundred lines.

fn main() {
    std::process::exit(minidock_shim::main(std::env::args_os().skip(2).collect(), None));
}
