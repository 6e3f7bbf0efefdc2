//! # Memory of the daemon: few arenas, and what a quiet one gives back
//!
//! glibc gives every thread that allocates a heap of its own (an *arena*), up to eight for each CPU. A server with dozens of
//! short-lived threads then keeps dozens of half-empty heaps for ever. The daemon asks for two, and gives back what is free
//! when it has been quiet.
//!
//! Its own code counts, too: a page of the program that was once executed stays mapped, though it may have served the start
//! only. Mapped pages of a file cost nothing but an entry in a table until memory is short, and one fault brings them back.
//!
//! See: mallopt(3), malloc_trim(3), madvise(2), end(3). Next room: [`crate::mount`]

use crate::{action, errno::CallFailed};
use std::ffi::c_void;

unsafe extern "C" {
    // made by the linker: where the program begins in memory, and where its code ends
    static __executable_start: u8;
    static etext: u8;
}

/// At most `arenas` heaps for this process; must be called before the first thread.
pub fn limit_arenas(arenas: i32) {
    #[cfg(target_env = "gnu")]
    // SAFETY: mallopt takes two numbers and may be called at any time; a value it does not like is ignored.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, arenas);
    }
    #[cfg(not(target_env = "gnu"))]
    let _ = arenas;
}

/// Gives free memory at the end of the heaps back to the kernel.
pub fn trim() {
    #[cfg(target_env = "gnu")]
    // SAFETY: malloc_trim takes the number of bytes to keep; it is thread-safe.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Lets the pages of our own code go, which are read again from the program's file when they are needed: what is mapped
/// afterwards is what is used.
///
/// # Errors
/// The kernel's; none is known.
#[track_caller]
pub fn let_code_go() -> Result<(), CallFailed> {
    let first = (&raw const __executable_start).addr();
    let page = rustix::param::page_size();
    let (first, end) = (first & !(page - 1), (&raw const etext).addr() & !(page - 1));
    action::call(
        "madvise",
        || vec!["our own code".into(), format!("{}", end - first), "MADV_DONTNEED".into()],
        // SAFETY: from the program's first byte to the end of its code lie mappings of its file that nobody may write: every
        // page of them comes back from the file as it was.
        || match unsafe { libc::madvise(first as *mut c_void, end - first, libc::MADV_DONTNEED) } {
            0 => Ok(()),
            _ => Err(std::io::Error::last_os_error()),
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_that_was_let_go_comes_back() {
        let mapped = || {
            let text = std::fs::read_to_string("/proc/self/statm").expect("proc");
            text.split(' ').nth(2).expect("the shared pages").parse::<usize>().expect("a number")
        };
        let before = mapped();
        let_code_go().expect("our own memory");
        assert!(mapped() < before, "nothing was let go");
        assert_eq!(format!("{:?}", [1, 2].iter().rev().collect::<Vec<_>>()), "[2, 1]");
    }
}
