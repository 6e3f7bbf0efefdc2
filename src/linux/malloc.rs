//! # Memory of the daemon: few arenas
//!
//! glibc gives every thread that allocates a heap of its own (an *arena*), up to eight for each CPU. A server with dozens of
//! short-lived threads then keeps dozens of half-empty heaps for ever. The daemon asks for two, and gives back what is free
//! when it has been quiet.
//!
//! See: mallopt(3), malloc_trim(3). Next room: [`crate::mount`]

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
