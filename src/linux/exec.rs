//! # Exec: the last call a runtime makes
//!
//! `execve` throws away everything a process was (memory, handlers, descriptors marked close-on-exec) and keeps who it is:
//! pid, namespaces, cgroup, limits, capabilities as the rules say. A container's program starts in the room that `init` has
//! built, and our code is gone from it.
//!
//! ```text
//!   find_in_path("ls", PATH)  →  /bin/ls           what the shell would run, by the container's own PATH and rights
//!   execve("/bin/ls", argv, envp)                  returns only if it failed
//! ```
//!
//! * [`protect_self`]: while a process is still *our* program inside the container, `/proc/PID/exe` is a door to our
//!   binary on the host: whoever holds it open could overwrite the file later (CVE-2019-5736). So the runtime first runs
//!   itself again from a read-only clone of the mount its file lies on: a write through that door answers EROFS for ever.
//!   A parent that was itself protected passes the protection on by executing `/proc/self/exe`.
//! * [`protect_self_by_overlay`] does it by an overlay without an upper layer, as runc does: for who is executed by others' engines.
//!
//! Laws: strings must not hold a NUL; `argv` has at least one word.
//! See: execve(2), open_tree(2), CVE-2019-5736. Next room: [`crate::wait`]

use crate::{
    action,
    errno::CallFailed,
    mount::{MOUNT_ATTR_NODEV, MOUNT_ATTR_NOSUID, MOUNT_ATTR_RDONLY},
};
use std::{
    ffi::{CStr, CString, OsStr, OsString},
    fs::File,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
    os::unix::{
        ffi::{OsStrExt, OsStringExt},
        fs::MetadataExt,
    },
};

/// Becomes another program; returns only on failure.
///
/// # Errors
/// ENOENT (also for a missing interpreter), EACCES (not executable), ENOEXEC (not a program), E2BIG.
#[track_caller]
pub fn execve(path: &CStr, argv: &[CString], envp: &[CString]) -> CallFailed {
    let (argv_pointers, envp_pointers) = (pointers(argv), pointers(envp));
    let answer: Result<(), CallFailed> = action::call(
        "execve",
        || vec![action::quoted(OsStr::from_bytes(path.to_bytes())), shown_argv(argv), format!("/* {} vars */", envp.len())],
        || {
            // SAFETY: path, argv and envp are NUL-terminated strings that live until the call returns, and both arrays
            // end with a null pointer.
            unsafe { libc::execve(path.as_ptr(), argv_pointers.as_ptr(), envp_pointers.as_ptr()) };
            Err(std::io::Error::last_os_error())
        },
    );
    answer.expect_err("execve returns only when it failed")
}

fn pointers(words: &[CString]) -> Vec<*const libc::c_char> {
    words.iter().map(|word| word.as_ptr()).chain(std::iter::once(std::ptr::null())).collect()
}

fn shown_argv(argv: &[CString]) -> String {
    let words: Vec<String> = argv.iter().map(|word| action::quoted(OsStr::from_bytes(word.to_bytes()))).collect();
    format!("[{}]", words.join(", "))
}

/// Why a program was not found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotFound {
    /// No folder of PATH has it.
    NotInPath,
    /// It was named by a path, and looking there failed.
    AtPath(i32),
    /// There is a file, but it may not be executed.
    NotExecutable,
    /// There is a folder of that name.
    IsFolder,
}

/// Looks for a program as the shell does: a name with a slash is a path, another is looked for in the folders of `path`,
/// with the rights of the caller as it is now.
///
/// # Errors
/// [`NotFound`] says which of the four ways it failed.
pub fn find_in_path(name: &str, path: &str) -> Result<CString, NotFound> {
    let candidate = |text: String| CString::new(text).map_err(|_| NotFound::AtPath(libc::EINVAL));
    if name.contains('/') {
        let file = candidate(name.to_string())?;
        return executable(&file).map(|()| file);
    }
    let mut best = NotFound::NotInPath;
    for folder in path.split(':') {
        let folder = if folder.is_empty() { "." } else { folder };
        let file = candidate(format!("{folder}/{name}"))?;
        match executable(&file) {
            Ok(()) if name.is_empty() => {}
            Ok(()) => return Ok(file),
            Err(NotFound::NotExecutable) => best = NotFound::NotExecutable,
            Err(_) => {}
        }
    }
    Err(match best {
        NotFound::NotExecutable => NotFound::NotExecutable,
        _ => NotFound::NotInPath,
    })
}

fn executable(file: &CStr) -> Result<(), NotFound> {
    let found = rustix::fs::stat(file).map_err(|errno| NotFound::AtPath(errno.raw_os_error()))?;
    if found.st_mode & libc::S_IFMT == libc::S_IFDIR {
        return Err(NotFound::IsFolder);
    }
    let rights = rustix::fs::accessat(rustix::fs::CWD, file, rustix::fs::Access::EXEC_OK, rustix::fs::AtFlags::EACCESS);
    match rights {
        Ok(()) => Ok(()),
        // A filter or an old kernel without faccessat2: the mode bits must do.
        Err(rustix::io::Errno::NOSYS | rustix::io::Errno::PERM) if found.st_mode & 0o111 != 0 => Ok(()),
        Err(_) => Err(NotFound::NotExecutable),
    }
}

/// Makes sure that nobody can write to our program's file through `/proc/PID/exe`: runs the program again, with the same
/// arguments, in a form that cannot be written to. Returns when that is so; costs one `execve` the first time only, for
/// those that a protected process starts as `/proc/self/exe` are protected, too.
///
/// # Errors
/// Neither a read-only clone of the mount nor a sealed copy in memory could be made.
#[track_caller]
pub fn protect_self() -> Result<(), CallFailed> {
    if is_protected() {
        return Ok(());
    }
    run_again(read_only_self().or_else(|_| sealed_self())?)
}

/// As [`protect_self`], but from an overlay where that can be had. Before the program is run again, `tell` hears how it is sealed.
///
/// # Errors
/// As [`protect_self`].
#[track_caller]
pub fn protect_self_by_overlay(tell: &dyn Fn(&'static str)) -> Result<(), CallFailed> {
    if is_protected() {
        return Ok(());
    }
    let (program, how) = overlay_self()
        .map(|program| (program, "overlayfs"))
        .or_else(|_| read_only_self().map(|program| (program, "a read-only mount")))
        .or_else(|_| sealed_self().map(|program| (program, "a copy in memory")))?;
    tell(how);
    run_again(program)
}

#[track_caller]
fn run_again(program: OwnedFd) -> Result<(), CallFailed> {
    let word = |text: OsString| CString::new(text.into_vec()).ok();
    let argv: Vec<CString> = std::env::args_os().filter_map(word).collect();
    let variable = |(mut name, value): (OsString, OsString)| {
        name.push("=");
        name.push(value);
        word(name)
    };
    let envp: Vec<CString> = std::env::vars_os().filter_map(variable).collect();
    Err(execveat(program.as_fd(), &argv, &envp))
}

/// Whether this process already runs from a read-only mount or a sealed file.
pub fn is_protected() -> bool {
    use rustix::fs::{SealFlags, StatVfsMountFlags};
    let Ok(program) = File::open("/proc/self/exe") else { return false };
    let sealed = rustix::fs::fcntl_get_seals(&program).is_ok_and(|seals| seals.contains(SealFlags::WRITE));
    sealed || rustix::fs::fstatvfs(&program).is_ok_and(|facts| facts.f_flag.contains(StatVfsMountFlags::RDONLY))
}

/// A descriptor of this program's file on a read-only clone of its mount: execute this instead of the file, and the new
/// process (and all that execute *its* `/proc/self/exe`) is protected.
///
/// # Errors
/// EPERM without CAP_SYS_ADMIN, ENOSYS or EINVAL on a kernel without `open_tree` or `mount_setattr` (before 5.12).
#[track_caller]
pub fn read_only_self() -> Result<OwnedFd, CallFailed> {
    let program = action::call("open", || vec!["\"/proc/self/exe\"".into(), "O_PATH".into()], || open_path("/proc/self/exe"))?;
    let tree = crate::mount::open_tree(program.as_fd(), "/proc/self/exe", false)?;
    let read_only = crate::mount::Attributes { set: crate::mount::MOUNT_ATTR_RDONLY, ..Default::default() };
    crate::mount::mount_setattr(tree.as_fd(), "/proc/self/exe", &read_only, false)?;
    Ok(tree)
}

/// A descriptor of this program's file in an overlay that has lower layers only, which belongs to no place in any tree: there is no
/// layer to write to, and no flag to take away. (An overlay wants two layers; the second is never looked into.)
///
/// # Errors
/// EPERM without CAP_SYS_ADMIN; EINVAL when the program lies on an overlay of overlays itself; ENOENT when its file has been replaced.
#[track_caller]
pub fn overlay_self() -> Result<OwnedFd, CallFailed> {
    let gone = || CallFailed::new("readlink", vec!["\"/proc/self/exe\"".into()], libc::ENOENT);
    let file = std::fs::read_link("/proc/self/exe").map_err(|_| gone())?;
    let (folder, name) = file.parent().and_then(|folder| folder.to_str()).zip(file.file_name()).ok_or_else(gone)?;
    let overlay = crate::mount::FileSystem::open("overlay")?;
    // one list of both: a kernel before 6.8 would note in its log that it knows no other way
    overlay.string("lowerdir", &format!("{}:/sys", folder.replace('\\', "\\\\").replace(':', "\\:")))?;
    let tree = overlay.mount(MOUNT_ATTR_RDONLY | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSUID)?;
    let program = crate::files::openat2(&tree, name, crate::files::Open::PathNoFollow, crate::files::Resolve::Beneath)?;
    // The folder may have changed under our feet: what is executed must be what we are, at least in size and age.
    let same = |a: std::fs::Metadata, b: crate::files::Stat| a.len() == b.st_size as u64 && a.mtime() == b.st_mtime;
    let ours = std::fs::metadata("/proc/self/exe").map_err(|_| gone())?;
    match same(ours, crate::files::fstat(&program)?) {
        true => Ok(program),
        false => Err(gone()),
    }
}

fn open_path(path: &str) -> std::io::Result<OwnedFd> {
    Ok(rustix::fs::open(path, rustix::fs::OFlags::PATH | rustix::fs::OFlags::CLOEXEC, rustix::fs::Mode::empty())?)
}

/// A copy of this program in sealed memory: slower, but needs no privilege.
///
/// # Errors
/// ENOSYS without `memfd_create`, ENOMEM, EIO.
#[track_caller]
pub fn sealed_self() -> Result<OwnedFd, CallFailed> {
    action::call(
        "memfd_create",
        || vec!["\"minidock\"".into(), "MFD_CLOEXEC|MFD_ALLOW_SEALING".into()],
        || {
            use rustix::fs::{MemfdFlags, SealFlags};
            let memory = rustix::fs::memfd_create("minidock", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
            let mut copy = File::from(memory);
            std::io::copy(&mut File::open("/proc/self/exe")?, &mut copy)?;
            let seals = SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE;
            rustix::fs::fcntl_add_seals(&copy, seals)?;
            // Execute through a descriptor that cannot write, or the kernel says ETXTBSY.
            Ok::<_, std::io::Error>(OwnedFd::from(File::open(format!("/proc/self/fd/{}", copy.as_raw_fd()))?))
        },
    )
}

/// Executes a descriptor (from [`read_only_self`] or [`sealed_self`]); returns only on failure.
#[track_caller]
pub fn execveat(program: BorrowedFd<'_>, argv: &[CString], envp: &[CString]) -> CallFailed {
    let (argv_pointers, envp_pointers) = (pointers(argv), pointers(envp));
    let answer: Result<(), CallFailed> = action::call(
        "execveat",
        || vec!["itself, read-only".into(), "\"\"".into(), shown_argv(argv), "AT_EMPTY_PATH".into()],
        || {
            // SAFETY: as in `execve`; the descriptor is borrowed for the call and the path is the empty string.
            unsafe {
                libc::syscall(
                    libc::SYS_execveat,
                    program.as_raw_fd(),
                    c"".as_ptr(),
                    argv_pointers.as_ptr(),
                    envp_pointers.as_ptr(),
                    libc::AT_EMPTY_PATH,
                )
            };
            Err(std::io::Error::last_os_error())
        },
    );
    answer.expect_err("execveat returns only when it failed")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_found_as_the_shell_finds_it() {
        assert_eq!(find_in_path("sh", "/nowhere:/bin").expect("there is a shell").to_str(), Ok("/bin/sh"));
        assert_eq!(find_in_path("nosuch", "/bin"), Err(NotFound::NotInPath));
        assert_eq!(find_in_path("/bin", "/bin"), Err(NotFound::IsFolder));
        assert_eq!(find_in_path("/etc/passwd", ""), Err(NotFound::NotExecutable));
        assert_eq!(find_in_path("/no/such", ""), Err(NotFound::AtPath(libc::ENOENT)));
    }
}
