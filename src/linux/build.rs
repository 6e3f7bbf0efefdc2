//! # Compiles docker-init
//!
//! `docker_init/main.rs` becomes a static program of its own, whose bytes `reaper.rs` carries: the container has no
//! file of ours that it could depend on, and `cargo build` stays the only build command.

use std::{env, path::PathBuf, process::Command};

fn main() {
    println!("cargo::rerun-if-changed=docker_init/main.rs");
    println!("cargo::rerun-if-changed=build.rs");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR")).join("docker-init");
    let target = env::var("TARGET").expect("cargo sets TARGET");
    // built for another kind of machine, it is linked by what links the rest
    let linker = env::var("RUSTC_LINKER").map(|linker| format!("linker={linker}"));
    let status = Command::new(env::var_os("RUSTC").expect("cargo sets RUSTC"))
        .args(linker.iter().flat_map(|linker| ["-C", linker]))
        .args(["--edition", "2024", "--crate-name", "docker_init", "--crate-type", "bin", "--target", &target])
        .args(["-C", "target-feature=+crt-static", "-C", "panic=abort", "-C", "opt-level=s", "-C", "strip=symbols"])
        .args(["-C", "relocation-model=static", "-C", "lto=fat", "-C", "codegen-units=1", "-o"])
        .arg(&out)
        .arg("docker_init/main.rs")
        .status()
        .expect("rustc runs");
    assert!(status.success(), "docker-init does not compile");
}
