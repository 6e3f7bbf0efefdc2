//! # hello-world: the smallest program that can be a container
//!
//! No library, not even the standard one: this file makes two system calls, write(2) and exit(2), and nothing else. As an
//! image it is one layer with one file, which shows that an image needs no distribution inside: a container is a process,
//! and the image only the files that this process finds.
//!
//! Built by `images/build` with `rustc` alone (see there for the flags).

#![no_std]
#![no_main]

use core::arch::asm;

const TEXT: &[u8] = include_bytes!("hello.txt");

/// The kernel jumps here: with no C runtime in front, this is the first instruction of the program.
#[unsafe(no_mangle)]
pub extern "C" fn _start() -> ! {
    let mut rest = TEXT;
    while !rest.is_empty() {
        let written = call(WRITE, 1, rest.as_ptr() as usize, rest.len());
        match usize::try_from(written) {
            Ok(n) if n > 0 => rest = rest.get(n..).unwrap_or_default(),
            _ => exit(1),
        }
    }
    exit(0)
}

fn exit(status: usize) -> ! {
    loop {
        call(EXIT, status, 0, 0);
    }
}

#[cfg(target_arch = "x86_64")]
const WRITE: usize = 1;
#[cfg(target_arch = "x86_64")]
const EXIT: usize = 60;

#[cfg(target_arch = "x86_64")]
fn call(number: usize, a: usize, b: usize, c: usize) -> isize {
    let answer: isize;
    // SAFETY: write(2) reads `c` bytes at `b`, which `_start` takes from a live slice; exit(2) reads no memory. The
    // kernel clobbers rcx and r11 and keeps the rest, which is what is declared.
    unsafe {
        asm!("syscall", inlateout("rax") number as isize => answer, in("rdi") a, in("rsi") b, in("rdx") c,
             lateout("rcx") _, lateout("r11") _, options(nostack));
    }
    answer
}

#[cfg(target_arch = "aarch64")]
const WRITE: usize = 64;
#[cfg(target_arch = "aarch64")]
const EXIT: usize = 93;

#[cfg(target_arch = "aarch64")]
fn call(number: usize, a: usize, b: usize, c: usize) -> isize {
    let answer: isize;
    // SAFETY: as above; on this architecture only x0 changes.
    unsafe {
        asm!("svc 0", in("x8") number, inlateout("x0") a as isize => answer, in("x1") b, in("x2") c, options(nostack));
    }
    answer
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    exit(101)
}
