//! # Seccomp profile: Docker's default, and profiles in Docker's format
//!
//! Docker does not hand a fixed filter to its runtime: it has a *profile*, which knows conditions, and resolves it for each
//! container. With CAP_SYS_ADMIN `mount` is allowed, without it is not; on x86-64 `arch_prctl` exists, elsewhere not. What
//! the runtime sees (`linux.seccomp` in `config.json`) has no conditions any more.
//!
//! ```text
//!   profile: always allowed, allowed with CAP_X, …   ──┐
//!   the container's capabilities                      ─┼──► LinuxSeccomp ──► config.json ──► runtime::seccomp
//!   the machine: architecture, kernel                 ─┘
//! ```
//!
//! * [`default_for`] is the default: everything a program needs, and nothing that touches what is not namespaced (modules,
//!   clocks, swap, keys, io_uring, foreign address families into the kernel) or that only makes new containers.
//! * [`parse`] (or [`parse_for`]) reads a user's profile: the format of today (`archMap`, `includes`, `excludes`, `minKernel`) and the older
//!   one (`architectures`, one `name` a rule).
//!
//! Three rules look at arguments. `clone` may not make namespaces; `clone3` hides its flags behind a pointer that no
//! filter can follow, so it answers `ENOSYS` and the C library falls back to `clone`. `personality` may be the usual five.
//! `socket` may be of any family but AF_ALG (38) and AF_VSOCK (40), and i386's `socketcall`, which hides the family behind
//! a pointer too, is closed.
//!
//! Laws: default action EPERM; names sorted; pure functions. See: moby `profiles/seccomp` (facts only), seccomp(2).
//! Next room: [`crate::engine`]

use minidock_base::{Error, Result};
use oci_spec::runtime::LinuxSeccomp;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Allowed to everybody.
const ALWAYS: &str = "\
    accept accept4 access adjtimex alarm bind brk cachestat capget capset chdir chmod chown clock_adjtime clock_getres \
    clock_gettime clock_nanosleep close close_range connect copy_file_range creat dup dup2 dup3 epoll_create epoll_create1 \
    epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait epoll_wait_old eventfd eventfd2 execve execveat exit \
    exit_group faccessat faccessat2 fadvise64 fallocate fanotify_mark fchdir fchmod fchmodat fchmodat2 fchown fchownat \
    fcntl fdatasync fgetxattr flistxattr flock fork fremovexattr fsetxattr fstat fstatfs fsync ftruncate futex \
    futex_requeue futex_wait futex_waitv futex_wake futimesat get_robust_list get_thread_area getcpu getcwd getdents \
    getdents64 getegid geteuid getgid getgroups getitimer getpeername getpgid getpgrp getpid getppid getpriority getrandom \
    getresgid getresuid getrlimit getrusage getsid getsockname getsockopt gettid gettimeofday getuid getxattr getxattrat \
    inotify_add_watch inotify_init inotify_init1 inotify_rm_watch io_cancel io_destroy io_getevents io_pgetevents io_setup \
    io_submit ioctl ioprio_get ioprio_set kill landlock_add_rule landlock_create_ruleset landlock_restrict_self lchown \
    lgetxattr link linkat listen listmount listxattr listxattrat llistxattr lremovexattr lseek lsetxattr lstat madvise \
    map_shadow_stack membarrier memfd_create memfd_secret mincore mkdir mkdirat mknod mknodat mlock mlock2 mlockall mmap \
    mprotect mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedsend mq_unlink mremap mseal msgctl msgget msgrcv \
    msgsnd msync munlock munlockall munmap name_to_handle_at nanosleep newfstatat open openat openat2 pause pidfd_open \
    pidfd_send_signal pipe pipe2 pkey_alloc pkey_free pkey_mprotect poll ppoll prctl pread64 preadv preadv2 prlimit64 \
    process_mrelease process_vm_readv process_vm_writev pselect6 ptrace pwrite64 pwritev pwritev2 read readahead readlink \
    readlinkat readv recvfrom recvmmsg recvmsg remap_file_pages removexattr removexattrat rename renameat renameat2 \
    restart_syscall rmdir rseq rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend \
    rt_sigtimedwait rt_tgsigqueueinfo sched_get_priority_max sched_get_priority_min sched_getaffinity sched_getattr \
    sched_getparam sched_getscheduler sched_rr_get_interval sched_setaffinity sched_setattr sched_setparam \
    sched_setscheduler sched_yield seccomp select semctl semget semop semtimedop sendfile sendmmsg sendmsg sendto \
    set_robust_list set_thread_area set_tid_address setfsgid setfsuid setgid setgroups setitimer setpgid setpriority \
    setregid setresgid setresuid setreuid setrlimit setsid setsockopt setuid setxattr setxattrat shmat shmctl shmdt shmget \
    shutdown sigaltstack signalfd signalfd4 socketpair splice stat statfs statmount statx symlink symlinkat sync \
    sync_file_range syncfs sysinfo tee tgkill time timer_create timer_delete timer_getoverrun timer_gettime timer_settime \
    timerfd_create timerfd_gettime timerfd_settime times tkill truncate umask uname unlink unlinkat uretprobe utime \
    utimensat utimes vfork vmsplice wait4 waitid write writev";

/// Allowed to everybody, on tongues with 32-bit words: the same calls in their wider or older forms.
const ALWAYS_32_BIT: &str = "\
    chown32 clock_adjtime64 clock_getres_time64 clock_gettime64 clock_nanosleep_time64 fadvise64_64 fchown32 fcntl64 \
    fstat64 fstatat64 fstatfs64 ftruncate64 futex_time64 getegid32 geteuid32 getgid32 getgroups32 getresgid32 getresuid32 \
    getuid32 io_pgetevents_time64 ipc lchown32 _llseek lstat64 mmap2 mq_timedreceive_time64 mq_timedsend_time64 _newselect \
    ppoll_time64 pselect6_time64 recv recvmmsg_time64 rt_sigtimedwait_time64 sched_rr_get_interval_time64 \
    semtimedop_time64 send sendfile64 setfsgid32 setfsuid32 setgid32 setgroups32 setregid32 setresgid32 setresuid32 \
    setreuid32 setuid32 sigprocmask sigreturn stat64 statfs64 timer_gettime64 timer_settime64 timerfd_gettime64 \
    timerfd_settime64 truncate64 ugetrlimit utimensat_time64 waitpid";

/// What a capability reopens.
const WITH_CAPABILITY: [(&str, &str); 14] = [
    ("CAP_DAC_READ_SEARCH", "open_by_handle_at"),
    (
        "CAP_SYS_ADMIN",
        "bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie lsm_get_self_attr lsm_list_modules \
         lsm_set_self_attr mount mount_setattr move_mount open_tree perf_event_open quotactl quotactl_fd setdomainname \
         sethostname setns syslog umount umount2 unshare",
    ),
    ("CAP_SYS_BOOT", "reboot"),
    ("CAP_SYS_CHROOT", "chroot"),
    ("CAP_SYS_MODULE", "delete_module finit_module init_module"),
    ("CAP_SYS_PACCT", "acct"),
    ("CAP_SYS_PTRACE", "kcmp pidfd_getfd process_madvise process_vm_readv process_vm_writev ptrace"),
    ("CAP_SYS_RAWIO", "ioperm iopl"),
    ("CAP_SYS_TIME", "clock_settime clock_settime64 settimeofday stime"),
    ("CAP_SYS_TTY_CONFIG", "vhangup"),
    ("CAP_SYS_NICE", "get_mempolicy mbind set_mempolicy set_mempolicy_home_node"),
    ("CAP_SYSLOG", "syslog"),
    ("CAP_BPF", "bpf"),
    ("CAP_PERFMON", "perf_event_open"),
];

/// Every `CLONE_NEW*` flag but time, which `clone` does not take.
const CLONE_NEW: u64 = 0x7e02_0000;
const ENOSYS: u32 = 38;

/// The fourteen that Docker leaves to a container's root.
pub const DEFAULT_CAPABILITIES: [&str; 14] = [
    "CAP_AUDIT_WRITE",
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_MKNOD",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_RAW",
    "CAP_SETFCAP",
    "CAP_SETGID",
    "CAP_SETPCAP",
    "CAP_SETUID",
    "CAP_SYS_CHROOT",
];

/// Docker's default profile, resolved for a container with these capabilities (`CAP_CHOWN`, …) on `x86_64` or `aarch64`.
pub fn default_for(capabilities: &BTreeSet<String>, arch: &str) -> LinuxSeccomp {
    let may = |name: &str| capabilities.contains(name);
    let allow = |names: &str| json!({"names": names.split_whitespace().collect::<Vec<_>>(), "action": "SCMP_ACT_ALLOW"});
    let allow_if = |name: &str, op: &str, value: u64, two: u64| {
        let argument = json!({"index": 0, "value": value, "valueTwo": two, "op": op});
        json!({"names": [name], "action": "SCMP_ACT_ALLOW", "args": [argument]})
    };
    let mut rules = vec![allow(ALWAYS), allow(ALWAYS_32_BIT)];
    rules.extend([0, 8, 0x20000, 0x20008, 0xffff_ffff].map(|persona| allow_if("personality", "SCMP_CMP_EQ", persona, 0)));
    rules.push(allow_if("socket", "SCMP_CMP_LT", 38, 0));
    rules.push(allow_if("socket", "SCMP_CMP_EQ", 39, 0));
    rules.push(allow_if("socket", "SCMP_CMP_GT", 40, 0));
    match arch {
        "aarch64" => rules.push(allow("arm_fadvise64_64 arm_sync_file_range breakpoint cacheflush set_tls sync_file_range2")),
        _ => rules.push(allow("arch_prctl modify_ldt")),
    }
    rules.extend(WITH_CAPABILITY.iter().filter(|(capability, _)| may(capability)).map(|(_, names)| allow(names)));
    if !may("CAP_SYS_ADMIN") {
        rules.push(allow_if("clone", "SCMP_CMP_MASKED_EQ", CLONE_NEW, 0));
        rules.push(json!({"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": ENOSYS}));
    }
    let profile = json!({
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": 1,
        "architectures": with_sub_architectures(arch),
        "syscalls": rules,
    });
    serde_json::from_value(profile).expect("our own profile is of the right shape")
}

fn with_sub_architectures(arch: &str) -> &'static [&'static str] {
    match arch {
        "aarch64" => &["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"],
        _ => &["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
    }
}

/// The machine a profile is resolved for.
#[derive(Clone, Copy, Debug)]
pub struct Machine<'a> {
    /// `x86_64` or `aarch64`.
    pub arch: &'a str,
    /// What `uname -r` says: `6.18.44-generic`.
    pub kernel: &'a str,
}

/// A profile in Docker's format.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Profile {
    #[serde(default)]
    default_action: String,
    #[serde(default)]
    default_errno_ret: Option<u32>,
    #[serde(default)]
    architectures: Option<Vec<String>>,
    #[serde(default)]
    arch_map: Option<Vec<Architecture>>,
    #[serde(default)]
    flags: Option<Vec<String>>,
    #[serde(default)]
    listener_path: Option<String>,
    #[serde(default)]
    listener_metadata: Option<String>,
    #[serde(default)]
    syscalls: Option<Vec<Rule>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Architecture {
    architecture: String,
    #[serde(default)]
    sub_architectures: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Rule {
    /// The older format: one name a rule.
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    names: Option<Vec<String>>,
    action: String,
    #[serde(default)]
    errno_ret: Option<u32>,
    #[serde(default)]
    args: Option<Vec<Value>>,
    #[serde(default)]
    includes: Option<Condition>,
    #[serde(default)]
    excludes: Option<Condition>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Condition {
    #[serde(default)]
    caps: Option<Vec<String>>,
    #[serde(default)]
    arches: Option<Vec<String>>,
    #[serde(default)]
    min_kernel: Option<String>,
}

/// Reads a profile in Docker's format and resolves its conditions for this machine. (The kernel's version is the one thing
/// this crate ever reads: `minKernel` cannot be resolved without it.)
///
/// # Errors
/// As [`parse_for`].
pub fn parse(text: &str, capabilities: &BTreeSet<String>) -> Result<LinuxSeccomp> {
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    parse_for(text, capabilities, Machine { arch: std::env::consts::ARCH, kernel: kernel.trim() })
}

/// Reads a profile in Docker's format and resolves its conditions for any machine.
///
/// # Errors
/// JSON that is none (with line and column); contradictory keys; an unknown action, architecture or operator.
pub fn parse_for(text: &str, capabilities: &BTreeSet<String>, machine: Machine<'_>) -> Result<LinuxSeccomp> {
    let bad = |why: String| {
        Error::invalid(format!("Decoding seccomp profile failed: {why}")).hint("see Docker's seccomp documentation")
    };
    let profile: Profile = serde_json::from_str(text).map_err(|e| bad(e.to_string()))?;
    if profile.default_action.is_empty() {
        return Err(bad("it has no defaultAction".into()));
    }
    let architectures = architectures(&profile, machine).map_err(bad)?;
    let mut rules = Vec::new();
    for rule in profile.syscalls.iter().flatten() {
        if applies(rule, capabilities, machine).map_err(bad)? {
            rules.push(resolved(rule).map_err(bad)?);
        }
    }
    let mut resolved = json!({"defaultAction": profile.default_action, "architectures": architectures, "syscalls": rules});
    let optional = [
        ("defaultErrnoRet", profile.default_errno_ret.map(Value::from)),
        ("flags", profile.flags.map(Value::from)),
        ("listenerPath", profile.listener_path.map(Value::from)),
        ("listenerMetadata", profile.listener_metadata.map(Value::from)),
    ];
    for (key, value) in optional {
        if let Some(value) = value {
            resolved[key] = value;
        }
    }
    serde_json::from_value(resolved).map_err(|e| bad(e.to_string()))
}

fn architectures(profile: &Profile, machine: Machine<'_>) -> Result<Vec<String>, String> {
    let listed = profile.architectures.as_deref().filter(|list| !list.is_empty());
    let mapped = profile.arch_map.as_deref().filter(|list| !list.is_empty());
    match (listed, mapped) {
        (Some(_), Some(_)) => Err("both architectures and archMap are given: use either".into()),
        (Some(listed), None) => Ok(listed.to_vec()),
        (None, Some(mapped)) => {
            let native = with_sub_architectures(machine.arch)[0];
            let own = mapped.iter().find(|entry| entry.architecture == native);
            let with_subs = |entry: &Architecture| {
                let subs = entry.sub_architectures.iter().flatten().cloned();
                std::iter::once(entry.architecture.clone()).chain(subs).collect()
            };
            Ok(own.map(with_subs).unwrap_or_default())
        }
        (None, None) => Ok(Vec::new()),
    }
}

/// Whether the rule's conditions hold: all of `includes`, none of `excludes`.
fn applies(rule: &Rule, capabilities: &BTreeSet<String>, machine: Machine<'_>) -> Result<bool, String> {
    // Docker's names of architectures are Go's
    let arch = if machine.arch == "aarch64" { "arm64" } else { "amd64" };
    let nothing = Condition::default();
    let (wanted, unwanted) = (rule.includes.as_ref().unwrap_or(&nothing), rule.excludes.as_ref().unwrap_or(&nothing));
    let has =
        |list: &Option<Vec<String>>, arch: &str| list.as_ref().filter(|l| !l.is_empty()).map(|l| l.iter().any(|a| a == arch));
    if has(&wanted.arches, arch) == Some(false) || has(&unwanted.arches, arch) == Some(true) {
        return Ok(false);
    }
    if !wanted.caps.iter().flatten().all(|name| capabilities.contains(name)) {
        return Ok(false);
    }
    if unwanted.caps.iter().flatten().any(|name| capabilities.contains(name)) {
        return Ok(false);
    }
    let reached = |version: &Option<String>| match version {
        Some(text) => Ok(Some(kernel(machine.kernel)? >= kernel(text)?)),
        None => Ok::<_, String>(None),
    };
    Ok(reached(&wanted.min_kernel)? != Some(false) && reached(&unwanted.min_kernel)? != Some(true))
}

/// `4.8` or `6.18.44-generic` as two numbers.
fn kernel(text: &str) -> Result<(u32, u32), String> {
    let mut numbers = text.split(|c: char| !c.is_ascii_digit()).map(|part| part.parse::<u32>().ok());
    match (numbers.next().flatten(), numbers.next().flatten()) {
        (Some(major), Some(minor)) => Ok((major, minor)),
        _ => Err(format!("minKernel \"{text}\" is no kernel version")),
    }
}

fn resolved(rule: &Rule) -> Result<Value, String> {
    let names = match (&rule.name, rule.names.as_deref().unwrap_or_default()) {
        (Some(_), [_, ..]) => return Err("a rule has both name and names: use either".into()),
        (Some(name), []) => std::slice::from_ref(name),
        (None, names) => names,
    };
    let mut value = json!({"names": names, "action": rule.action});
    if let Some(errno) = rule.errno_ret {
        value["errnoRet"] = errno.into();
    }
    if let Some(args) = rule.args.as_ref().filter(|args| !args.is_empty()) {
        value["args"] = args.clone().into();
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MACHINE: Machine<'static> = Machine { arch: "x86_64", kernel: "6.18.44-generic" };

    fn resolve(text: &str, capabilities: &[&str]) -> Result<Value> {
        let set = capabilities.iter().map(|name| name.to_string()).collect();
        parse_for(text, &set, MACHINE).map(|profile| serde_json::to_value(profile).expect("plain data"))
    }

    #[test]
    fn names_are_sorted_and_stand_once() {
        let mut seen = BTreeSet::new();
        for names in [ALWAYS, ALWAYS_32_BIT] {
            let list: Vec<&str> = names.split_whitespace().collect();
            assert!(list.is_sorted_by_key(|name| name.trim_start_matches('_')), "sorted");
            list.iter().for_each(|name| assert!(seen.insert(name.to_string()), "{name} stands twice"));
        }
    }

    #[test]
    fn the_default_depends_on_capabilities_and_machine() {
        let names = |capabilities: &[&str], arch: &str| {
            let set = capabilities.iter().map(|name| name.to_string()).collect();
            let profile = default_for(&set, arch);
            let rules = profile.syscalls().clone().expect("there are rules");
            rules.iter().flat_map(|rule| rule.names().clone()).collect::<BTreeSet<String>>()
        };
        assert!(!names(&[], "x86_64").contains("mount"));
        assert!(names(&["CAP_SYS_ADMIN"], "x86_64").contains("mount"));
        assert!(names(&[], "x86_64").contains("arch_prctl") && !names(&[], "aarch64").contains("arch_prctl"));
    }

    #[test]
    fn conditions_of_a_users_profile_are_resolved() {
        let text = r#"{"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 5,
            "archMap": [{"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86"]}, {"architecture": "SCMP_ARCH_S390X"}],
            "syscalls": [
                {"names": ["read"], "action": "SCMP_ACT_ALLOW", "args": null, "comment": "", "includes": {}, "excludes": {}},
                {"names": ["mount"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_SYS_ADMIN"]}},
                {"names": ["clone"], "action": "SCMP_ACT_ALLOW", "excludes": {"caps": ["CAP_SYS_ADMIN"], "arches": ["s390x"]}},
                {"names": ["s390_runtime_instr"], "action": "SCMP_ACT_ALLOW", "includes": {"arches": ["s390x"]}},
                {"names": ["ptrace"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "4.8"}},
                {"names": ["future"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "99.1"}}
            ]}"#;
        let names = |capabilities: &[&str]| {
            let resolved = resolve(text, capabilities).expect("a good profile");
            assert_eq!(resolved["architectures"], json!(["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"]));
            assert_eq!(resolved["defaultErrnoRet"], 5);
            let rules = resolved["syscalls"].as_array().expect("a list").clone();
            rules.iter().map(|rule| rule["names"][0].as_str().expect("a name").to_string()).collect::<Vec<_>>()
        };
        assert_eq!(names(&[]), ["read", "clone", "ptrace"]);
        assert_eq!(names(&["CAP_SYS_ADMIN"]), ["read", "mount", "ptrace"]);
    }

    #[test]
    fn the_older_format_names_one_call_a_rule() {
        let text = r#"{"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64"],
            "syscalls": [{"name": "chmod", "action": "SCMP_ACT_ERRNO", "args": []}]}"#;
        let resolved = resolve(text, &[]).expect("a good profile");
        assert_eq!(resolved["syscalls"], json!([{"names": ["chmod"], "action": "SCMP_ACT_ERRNO"}]));
    }

    #[test]
    fn a_bad_profile_says_what_is_wrong() {
        let says = |text: &str, what: &str| {
            let refused = resolve(text, &[]).expect_err("a bad profile").message();
            assert!(refused.contains(what), "{refused}");
        };
        says("{\n\"defaultAction\": oops}", "line 2 column");
        says("{}", "no defaultAction");
        says(r#"{"defaultAction": "SCMP_ACT_DANCE"}"#, "SCMP_ACT_DANCE");
        says(r#"{"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["A"], "archMap": [{"architecture": "B"}]}"#, "either");
        let both =
            r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"name": "a", "names": ["b"], "action": "SCMP_ACT_ALLOW"}]}"#;
        says(both, "either");
    }
}
