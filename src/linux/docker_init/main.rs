//! # docker-init: the PID 1 that buries the dead
//!
//! In a PID namespace the first process has two duties that ordinary programs do not know: the kernel gives it every orphan
//! to wait for, and it ignores every signal for which it has no handler. A program that forgets the first fills the
//! namespace with zombies; the second makes `docker stop` wait ten seconds. With `--init` this small program is PID 1
//! instead: it starts the real one as its child, hands every signal on, waits for everybody, and ends as the child ended.
//!
//! ```text
//!   PID 1  docker-init -- sh -c …      blocks all signals, then sigwaitinfo(2) in a loop
//!   PID 2  └ sh -c …                   a process group of its own, in front of the terminal if there is one
//! ```
//!
//! A program of its own, static, compiled by `build.rs` and carried inside minidock as bytes: it must run in any image, also
//! in one without a C library. It lives in this folder because it speaks to the kernel directly.
//!
//! See: pid_namespaces(7), sigwaitinfo(2), wait(2); tini, whose command line and exit codes it keeps.

use std::{
    ffi::{CString, c_char, c_int, c_void},
    os::unix::ffi::OsStringExt,
    process::exit,
};

const SIG_BLOCK: c_int = 0;
const SIG_SETMASK: c_int = 2;
const SIGCHLD: c_int = 17;
const SIGTTIN: c_int = 21;
const SIGTTOU: c_int = 22;
const SIG_IGN: usize = 1;
const SIG_DFL: usize = 0;
const WNOHANG: c_int = 1;
const ENOENT: i32 = 2;

/// A signal set as the C library lays it out: 1024 bits.
#[repr(C)]
struct SigSet([u64; 16]);

unsafe extern "C" {
    fn sigfillset(set: *mut SigSet) -> c_int;
    fn sigprocmask(how: c_int, set: *const SigSet, old: *mut SigSet) -> c_int;
    fn sigwaitinfo(set: *const SigSet, info: *mut c_void) -> c_int;
    fn signal(signal: c_int, handler: usize) -> usize;
    fn fork() -> c_int;
    fn setpgid(pid: c_int, group: c_int) -> c_int;
    fn tcsetpgrp(fd: c_int, group: c_int) -> c_int;
    fn execvp(file: *const c_char, argv: *const *const c_char) -> c_int;
    fn waitpid(pid: c_int, status: *mut c_int, options: c_int) -> c_int;
    fn kill(pid: c_int, signal: c_int) -> c_int;
}

fn main() {
    let mut words: Vec<CString> = std::env::args_os().skip(1).filter_map(|w| CString::new(w.into_vec()).ok()).collect();
    if words.first().is_some_and(|w| w.as_bytes() == b"--") {
        words.remove(0);
    }
    if words.is_empty() {
        eprintln!("docker-init: no program to start");
        exit(1);
    }
    let (mut all, mut before) = (SigSet([0; 16]), SigSet([0; 16]));
    // SAFETY: both sets are live, aligned, and as large as the C library's sigset_t (128 bytes); with every signal
    // blocked none is lost between here and sigwaitinfo.
    unsafe {
        sigfillset(&mut all);
        sigprocmask(SIG_BLOCK, &all, &mut before);
    }
    // SAFETY: this process has one thread, so its copy may do what it likes.
    match unsafe { fork() } {
        0 => child(&words, &before),
        -1 => {
            eprintln!("docker-init: fork failed: {}", std::io::Error::last_os_error());
            exit(1)
        }
        pid => parent(pid, &all),
    }
}

/// Becomes the real program, with the signals as they were.
fn child(words: &[CString], before: &SigSet) -> ! {
    let mut argv: Vec<*const c_char> = words.iter().map(|w| w.as_ptr()).collect();
    argv.push(std::ptr::null());
    // SAFETY: `argv` is null-terminated and its strings outlive the call; SIGTTOU is ignored while the terminal changes
    // hands, or the kernel would stop this background group.
    unsafe {
        setpgid(0, 0);
        signal(SIGTTOU, SIG_IGN);
        tcsetpgrp(0, std::process::id() as c_int);
        signal(SIGTTOU, SIG_DFL);
        signal(SIGTTIN, SIG_DFL);
        sigprocmask(SIG_SETMASK, before, std::ptr::null_mut());
        execvp(argv[0], argv.as_ptr());
    }
    let error = std::io::Error::last_os_error();
    eprintln!("docker-init: exec {} failed: {error}", words[0].to_string_lossy());
    exit(if error.raw_os_error() == Some(ENOENT) { 127 } else { 126 })
}

/// Hands signals on and buries the dead until the child is among them.
fn parent(child: c_int, all: &SigSet) -> ! {
    loop {
        // SAFETY: the set is live, and no information about the signal is asked for.
        let got = unsafe { sigwaitinfo(all, std::ptr::null_mut()) };
        if got > 0 && got != SIGCHLD {
            // SAFETY: takes two numbers.
            unsafe { kill(child, got) };
            continue;
        }
        let mut ended = None;
        let mut status: c_int = 0;
        // SAFETY: `status` is live for each call.
        while let pid @ 1.. = unsafe { waitpid(-1, &mut status, WNOHANG) } {
            if pid == child {
                ended = Some(status);
            }
        }
        if let Some(status) = ended {
            let killed_by = status & 0x7f;
            exit(if killed_by == 0 { (status >> 8) & 0xff } else { 128 + killed_by });
        }
    }
}
