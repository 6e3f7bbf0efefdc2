//! The shim alone, without the rest of the house: what its own tests execute.

fn main() {
    std::process::exit(minidock_shim::main());
}
