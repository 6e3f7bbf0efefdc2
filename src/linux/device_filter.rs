//! # Device filter: may this group open that device?
//!
//! cgroup v1 has a list in a file (`devices.allow`); v2 has no such file. Instead one attaches a small eBPF program to the
//! group, and the kernel runs it at every open and mknod of a device node: it is given the kind of device, its two
//! numbers and the wished access, and answers 1 (yes) or 0 (no).
//!
//! ```text
//!   struct bpf_cgroup_dev_ctx   offset 0  access_type   access << 16 | kind
//!                                      4  major         access: 1 mknod, 2 read, 4 write
//!                                      8  minor         kind:   1 block, 2 char
//! ```
//!
//! Programs of a group and of the groups above it must all say yes. `bpf(2)` takes one union of attributes for all its
//! commands; the two structs below are its prefixes for loading and attaching. What program to load is written by
//! `runtime::device_rules`.
//!
//! See: bpf(2), linux/bpf.h, cgroup-v2.rst ("Device controller"). Next room: [`crate::files`]

use crate::{action, errno::CallFailed};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// One eBPF instruction (`struct bpf_insn`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Instruction {
    pub code: u8,
    /// The destination register in the low four bits, the source above.
    pub registers: u8,
    pub offset: i16,
    pub immediate: i32,
}

const BPF_PROG_LOAD: i64 = 5;
const BPF_PROG_ATTACH: i64 = 8;
const BPF_PROG_DETACH: i64 = 9;
const BPF_PROG_GET_FD_BY_ID: i64 = 13;
const BPF_PROG_QUERY: i64 = 16;
const BPF_PROG_TYPE_CGROUP_DEVICE: u32 = 15;
const BPF_CGROUP_DEVICE: u32 = 6;
const BPF_F_ALLOW_MULTI: u32 = 2;

#[repr(C)]
#[derive(Default)]
struct Load {
    program_type: u32,
    instruction_count: u32,
    instructions: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log: u64,
    kernel_version: u32,
    flags: u32,
    name: [u8; 16],
}

#[repr(C)]
#[derive(Default)]
struct Attach {
    target_fd: u32,
    program_fd: u32,
    attach_type: u32,
    flags: u32,
    replace_fd: u32,
}

#[repr(C)]
#[derive(Default)]
struct Query {
    target_fd: u32,
    attach_type: u32,
    query_flags: u32,
    attach_flags: u32,
    program_ids: u64,
    program_count: u32,
}

/// Checks and loads a program.
///
/// # Errors
/// `EINVAL` or `EACCES` when the verifier does not accept it, `EPERM` without CAP_BPF or CAP_SYS_ADMIN.
#[track_caller]
pub fn load(program: &[Instruction]) -> Result<OwnedFd, CallFailed> {
    let license = c"Apache-2.0";
    let mut attributes = Load {
        program_type: BPF_PROG_TYPE_CGROUP_DEVICE,
        instruction_count: program.len() as u32,
        instructions: program.as_ptr() as u64,
        license: license.as_ptr() as u64,
        ..Load::default()
    };
    attributes.name[..8].copy_from_slice(b"minidock");
    action::call_showing(
        "bpf",
        || vec!["BPF_PROG_LOAD".into(), "BPF_PROG_TYPE_CGROUP_DEVICE".into(), format!("{} instructions", program.len())],
        || {
            // SAFETY: `attributes` is a prefix of `union bpf_attr` for this command; the pointers in it are to `program`,
            // of the length given, and to a NUL-terminated string; all outlive the call, which only reads them.
            let fd = unsafe { bpf(BPF_PROG_LOAD, &raw mut attributes) }?;
            // SAFETY: on success the kernel has just opened this descriptor for us.
            Ok::<_, std::io::Error>(unsafe { OwnedFd::from_raw_fd(fd as i32) })
        },
        |fd| fd.as_raw_fd().into(),
    )
}

/// Attaches a program to the group whose folder is open as `group`, beside those that are there.
///
/// # Errors
/// `EPERM` when a group above forbids more than its own program; `EINVAL` when `group` is no v2 group.
#[track_caller]
pub fn attach(group: BorrowedFd<'_>, program: &OwnedFd) -> Result<(), CallFailed> {
    change(BPF_PROG_ATTACH, "BPF_PROG_ATTACH", group, program, BPF_F_ALLOW_MULTI)
}

/// Takes a program off again.
///
/// # Errors
/// `ENOENT` when it is not attached.
#[track_caller]
pub fn detach(group: BorrowedFd<'_>, program: &OwnedFd) -> Result<(), CallFailed> {
    change(BPF_PROG_DETACH, "BPF_PROG_DETACH", group, program, 0)
}

#[track_caller]
fn change(command: i64, name: &str, group: BorrowedFd<'_>, program: &OwnedFd, flags: u32) -> Result<(), CallFailed> {
    let mut attributes = Attach {
        target_fd: group.as_raw_fd() as u32,
        program_fd: program.as_raw_fd() as u32,
        attach_type: BPF_CGROUP_DEVICE,
        flags,
        replace_fd: 0,
    };
    action::call(
        "bpf",
        || vec![name.into(), "BPF_CGROUP_DEVICE".into(), group.as_raw_fd().to_string(), program.as_raw_fd().to_string()],
        // SAFETY: `attributes` is a prefix of `union bpf_attr` for this command and holds numbers only; both descriptors are
        // borrowed and so stay open during the call.
        || unsafe { bpf(command, &raw mut attributes) }.map(drop),
    )
}

/// The programs attached to the group itself.
///
/// # Errors
/// As bpf(2).
#[track_caller]
pub fn attached(group: BorrowedFd<'_>) -> Result<Vec<OwnedFd>, CallFailed> {
    let mut ids = [0u32; 64];
    let mut attributes = Query {
        target_fd: group.as_raw_fd() as u32,
        attach_type: BPF_CGROUP_DEVICE,
        program_ids: ids.as_mut_ptr() as u64,
        program_count: ids.len() as u32,
        ..Query::default()
    };
    let args = || vec!["BPF_PROG_QUERY".into(), "BPF_CGROUP_DEVICE".into(), group.as_raw_fd().to_string()];
    action::call("bpf", args, || {
        // SAFETY: `attributes` is a prefix of `union bpf_attr` for this command; the kernel writes at most `program_count`
        // numbers to `ids`, which has that many, and the true count into `attributes` itself.
        unsafe { bpf(BPF_PROG_QUERY, &raw mut attributes) }
    })?;
    let count = (attributes.program_count as usize).min(ids.len());
    ids[..count].iter().map(|id| program_by_id(*id)).collect()
}

#[track_caller]
fn program_by_id(id: u32) -> Result<OwnedFd, CallFailed> {
    let mut attributes = [id, 0, 0];
    action::call(
        "bpf",
        || vec!["BPF_PROG_GET_FD_BY_ID".into(), id.to_string()],
        || {
            // SAFETY: three u32 (id, next id, open flags) are a prefix of `union bpf_attr` for this command.
            let fd = unsafe { bpf(BPF_PROG_GET_FD_BY_ID, &raw mut attributes) }?;
            // SAFETY: on success the kernel has just opened this descriptor for us.
            Ok::<_, std::io::Error>(unsafe { OwnedFd::from_raw_fd(fd as i32) })
        },
    )
}

/// bpf(2).
///
/// # Safety
/// `attributes` must be a prefix of `union bpf_attr` for `command`, and every pointer in it valid for what the command does.
unsafe fn bpf<T>(command: i64, attributes: *mut T) -> std::io::Result<i64> {
    // SAFETY: the caller vouches for the attributes; their size is that of the struct.
    match unsafe { libc::syscall(libc::SYS_bpf, command, attributes, size_of::<T>()) } {
        -1 => Err(std::io::Error::last_os_error()),
        answer => Ok(answer),
    }
}
