//! # Interpret: a filter run without a kernel
//!
//! To know what a filter does, one would have to make each call with each argument, in a container; or run the program by
//! hand. This room does the latter, for the few instructions that a seccomp filter may use, and the tests then ask it
//! about every number. It checks the compiler, not itself: the same programs are loaded into the kernel by other tests.
//!
//! See: net/core/filter.c (`seccomp_check_filter`). Next room: [`super::compile`]

use super::{
    compile,
    rules::ret,
    table::{Tongue, X32_BIT},
};
use minidock_linux::seccomp::Filter;
use minidock_spec::seccomp_profile;
use oci_spec::runtime::LinuxSeccomp;
use std::collections::BTreeSet;

/// What the kernel hands to a filter.
#[derive(Clone, Copy)]
struct Call {
    nr: u32,
    arch: u32,
    args: [u64; 6],
}

/// Runs the program; panics where the kernel would refuse to load it. Also tells how many instructions it took.
fn run(filter: &Filter, call: Call) -> (u32, usize) {
    let load = |offset: u32| match offset {
        0 => call.nr,
        4 => call.arch,
        16..64 => {
            let argument = call.args[(offset as usize - 16) / 8];
            if offset.is_multiple_of(8) { argument as u32 } else { (argument >> 32) as u32 }
        }
        _ => panic!("load of offset {offset}"),
    };
    let (mut at, mut accumulator, mut steps) = (0usize, 0u32, 0usize);
    loop {
        let line = filter.program[at];
        steps += 1;
        at += 1;
        let mut branch = |yes: bool| at += usize::from(if yes { line.if_true } else { line.if_false });
        match line.code {
            0x20 => accumulator = load(line.operand),
            0x54 => accumulator &= line.operand,
            0x05 => at += line.operand as usize,
            0x15 => branch(accumulator == line.operand),
            0x25 => branch(accumulator > line.operand),
            0x35 => branch(accumulator >= line.operand),
            0x06 => return (line.operand, steps),
            code => panic!("instruction {code:#x}"),
        }
    }
}

fn ask(filter: &Filter, tongue: Tongue, name: &str, args: &[u64]) -> u32 {
    let nr = tongue.number(name).unwrap_or_else(|| panic!("{} has no {name}", tongue.name()));
    ask_number(filter, tongue, nr, args)
}

fn ask_number(filter: &Filter, tongue: Tongue, nr: u32, args: &[u64]) -> u32 {
    let mut all = [0; 6];
    all[..args.len()].copy_from_slice(args);
    run(filter, Call { nr, arch: tongue.audit(), args: all }).0
}

const ALLOW: u32 = ret::ALLOW;
const EPERM: u32 = ret::ERRNO | 1;
const ENOSYS: u32 = ret::ERRNO | 38;

fn filter_of(json: serde_json::Value) -> Filter {
    compile(&serde_json::from_value::<LinuxSeccomp>(json).expect("a profile")).expect("a good profile")
}

fn default_filter(capabilities: &[&str]) -> Filter {
    let set: BTreeSet<String> = capabilities.iter().map(|name| name.to_string()).collect();
    compile(&seccomp_profile::default_for(&set, "x86_64")).expect("our own profile")
}

const DOCKER_CAPABILITIES: [&str; 14] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_RAW",
    "CAP_SYS_CHROOT",
    "CAP_MKNOD",
    "CAP_AUDIT_WRITE",
    "CAP_SETFCAP",
];

/// The calls of x86-64 that Docker's profile of 2026 refuses to a container with the default capabilities.
const REFUSED: &str = "_sysctl acct add_key afs_syscall bpf clock_settime create_module delete_module fanotify_init \
    file_getattr file_setattr finit_module fsconfig fsmount fsopen fspick get_kernel_syms get_mempolicy getpmsg init_module \
    io_uring_enter io_uring_register io_uring_setup ioperm iopl kcmp kexec_file_load kexec_load keyctl lookup_dcookie \
    lsm_get_self_attr lsm_list_modules lsm_set_self_attr mbind migrate_pages mount mount_setattr move_mount move_pages \
    nfsservctl open_by_handle_at open_tree open_tree_attr perf_event_open pidfd_getfd pivot_root process_madvise putpmsg \
    query_module quotactl quotactl_fd reboot request_key security set_mempolicy set_mempolicy_home_node setdomainname \
    sethostname setns settimeofday swapoff swapon sysfs syslog tuxcall umount2 unshare uprobe uselib userfaultfd ustat vhangup vserver";

#[test]
fn the_default_profile_answers_as_the_table_says() {
    let filter = default_filter(&DOCKER_CAPABILITIES);
    let refused: BTreeSet<&str> = REFUSED.split_whitespace().collect();
    let mut wrong = Vec::new();
    for (name, nr) in Tongue::X86_64.all() {
        // socket of no special family, clone without namespaces, personality 0: the harmless arguments are all zero
        let answer = ask_number(&filter, Tongue::X86_64, nr, &[]);
        let wanted = match name {
            "clone3" => ENOSYS,
            _ if refused.contains(name) => EPERM,
            _ => ALLOW,
        };
        if answer != wanted {
            wrong.push(format!("{name} {answer:#x} instead of {wanted:#x}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_default_profile_looks_at_arguments() {
    let filter = default_filter(&DOCKER_CAPABILITIES);
    let x86_64 = |name: &str, args: &[u64]| ask(&filter, Tongue::X86_64, name, args);
    for flag in [0x0002_0000u64, 0x0200_0000, 0x0400_0000, 0x0800_0000, 0x1000_0000, 0x2000_0000, 0x4000_0000] {
        assert_eq!(x86_64("clone", &[flag | 17]), EPERM, "{flag:#x}");
    }
    assert_eq!(x86_64("clone", &[0x0100_0000 | 17]), ALLOW, "CLONE_CHILD_SETTID");
    for family in [38, 40] {
        assert_eq!(x86_64("socket", &[family, 5, 0]), EPERM, "AF_ALG, AF_VSOCK");
        assert_eq!(ask(&filter, Tongue::X86, "socket", &[family, 5, 0]), EPERM);
    }
    for family in [1, 2, 10, 16, 17, 37, 39, 41] {
        assert_eq!(x86_64("socket", &[family, 1, 0]), ALLOW, "{family}");
    }
    for persona in [0, 8, 0x20000, 0x20008, 0xffff_ffff] {
        assert_eq!(x86_64("personality", &[persona]), ALLOW, "{persona:#x}");
    }
    for persona in [1, 0x40000, 0x1_0000_0000, 0xffff_ffff_ffff_ffff] {
        assert_eq!(x86_64("personality", &[persona]), EPERM, "{persona:#x}");
    }
    assert_ne!(ask(&filter, Tongue::X86, "socketcall", &[1]), ALLOW, "the 32-bit way to socket() is closed");
}

#[test]
fn capabilities_reopen_their_calls() {
    let with = |extra: &str, name: &str, args: &[u64]| {
        let mut all = DOCKER_CAPABILITIES.to_vec();
        all.push(extra);
        ask(&default_filter(&all), Tongue::X86_64, name, args)
    };
    for name in ["mount", "umount2", "setns", "unshare", "bpf", "clone3", "fsopen", "open_tree", "mount_setattr", "sethostname"]
    {
        assert_eq!(with("CAP_SYS_ADMIN", name, &[]), ALLOW, "{name}");
    }
    assert_eq!(with("CAP_SYS_ADMIN", "clone", &[0x1000_0000]), ALLOW);
    for (capability, name) in [
        ("CAP_SYS_PTRACE", "kcmp"),
        ("CAP_SYS_PTRACE", "pidfd_getfd"),
        ("CAP_SYS_PTRACE", "process_madvise"),
        ("CAP_SYS_MODULE", "finit_module"),
        ("CAP_SYS_TIME", "clock_settime"),
        ("CAP_SYS_NICE", "mbind"),
        ("CAP_SYS_RAWIO", "iopl"),
        ("CAP_SYS_BOOT", "reboot"),
        ("CAP_SYS_PACCT", "acct"),
        ("CAP_SYS_TTY_CONFIG", "vhangup"),
        ("CAP_SYSLOG", "syslog"),
        ("CAP_BPF", "bpf"),
        ("CAP_PERFMON", "perf_event_open"),
        ("CAP_DAC_READ_SEARCH", "open_by_handle_at"),
    ] {
        assert_eq!(with(capability, name, &[]), ALLOW, "{capability} {name}");
    }
    let without_chroot: Vec<&str> = DOCKER_CAPABILITIES.into_iter().filter(|name| *name != "CAP_SYS_CHROOT").collect();
    assert_eq!(ask(&default_filter(&without_chroot), Tongue::X86_64, "chroot", &[]), EPERM);
}

#[test]
fn new_calls_answer_enosys_and_foreign_architectures_die() {
    let filter = default_filter(&DOCKER_CAPABILITIES);
    for tongue in [Tongue::X86_64, Tongue::X86] {
        for nr in [tongue.newest() + 1, 1000, 0x3fff_ffff] {
            assert_eq!(ask_number(&filter, tongue, nr, &[]), ENOSYS, "{} {nr}", tongue.name());
        }
    }
    assert_eq!(ask_number(&filter, Tongue::X32, X32_BIT + 5000, &[]), ENOSYS);
    assert_eq!(ask(&filter, Tongue::X32, "execve", &[]), ALLOW);
    assert_eq!(ask(&filter, Tongue::X32, "mount", &[]), EPERM);
    assert_eq!(ask(&filter, Tongue::X86, "execve", &[]), ALLOW);
    assert_eq!(ask(&filter, Tongue::X86, "mount", &[]), EPERM);
    let foreign = Call { nr: 0, arch: Tongue::Aarch64.audit(), args: [0; 6] };
    assert_eq!(run(&filter, foreign).0, ret::KILL_PROCESS);
}

#[test]
fn a_profile_for_one_tongue_kills_the_others() {
    let filter = filter_of(serde_json::json!({"defaultAction": "SCMP_ACT_ALLOW"}));
    assert_eq!(ask(&filter, Tongue::X86_64, "read", &[]), ALLOW);
    assert_eq!(ask_number(&filter, Tongue::X86_64, 1000, &[]), ALLOW, "nothing is refused, so nothing is pretended");
    assert_eq!(ask(&filter, Tongue::X32, "read", &[]), ret::KILL_PROCESS);
    assert_eq!(ask(&filter, Tongue::X86, "read", &[]), ret::KILL_PROCESS);
}

#[test]
fn arguments_are_compared_with_all_64_bits() {
    let big = 0x1_0000_0005u64;
    let holds = |op: &str, value: u64, two: u64, argument: u64| {
        let filter = filter_of(serde_json::json!({"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [
            {"names": ["lseek"], "action": "SCMP_ACT_ALLOW",
             "args": [{"index": 1, "value": value, "valueTwo": two, "op": op}]}]}));
        ask(&filter, Tongue::X86_64, "lseek", &[0, argument]) == ALLOW
    };
    let samples =
        [0, 4, 5, 6, u64::from(u32::MAX), 0x1_0000_0000, big - 1, big, big + 1, 0x2_0000_0000, 0x2_0000_0005, u64::MAX];
    for value in samples {
        for argument in samples {
            let case = format!("{argument:#x} with {value:#x}");
            assert_eq!(holds("SCMP_CMP_EQ", value, 0, argument), argument == value, "== {case}");
            assert_eq!(holds("SCMP_CMP_NE", value, 0, argument), argument != value, "!= {case}");
            assert_eq!(holds("SCMP_CMP_LT", value, 0, argument), argument < value, "< {case}");
            assert_eq!(holds("SCMP_CMP_LE", value, 0, argument), argument <= value, "<= {case}");
            assert_eq!(holds("SCMP_CMP_GT", value, 0, argument), argument > value, "> {case}");
            assert_eq!(holds("SCMP_CMP_GE", value, 0, argument), argument >= value, ">= {case}");
            for mask in [0, 5, 0xff_0000_00ff, u64::MAX, 0x1_0000_0000] {
                let wanted = argument & mask == value & mask;
                assert_eq!(holds("SCMP_CMP_MASKED_EQ", mask, value, argument), wanted, "& {mask:#x} {case}");
            }
        }
    }
}

#[test]
fn on_i386_minus_one_is_as_long_as_a_word() {
    let filter =
        filter_of(serde_json::json!({"defaultAction": "SCMP_ACT_ERRNO", "architectures": ["SCMP_ARCH_X86"], "syscalls": [
        {"names": ["lseek"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 1, "value": u64::MAX, "op": "SCMP_CMP_EQ"}]}]}));
    assert_eq!(ask(&filter, Tongue::X86, "lseek", &[0, 0xffff_ffff]), ALLOW);
    assert_eq!(ask(&filter, Tongue::X86, "lseek", &[0, 0xffff_fffe]), EPERM);
    assert_eq!(ask(&filter, Tongue::X86_64, "lseek", &[0, 0xffff_ffff]), EPERM);
}

#[test]
fn every_action_becomes_its_own_answer_in_one_filter() {
    let rule = |name: &str, action: &str| serde_json::json!({"names": [name], "action": action});
    let filter = filter_of(serde_json::json!({
    "defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 13, "listenerPath": "/agent", "flags": ["SECCOMP_FILTER_FLAG_LOG"],
    "syscalls": [
        rule("read", "SCMP_ACT_KILL"), rule("getpid", "SCMP_ACT_KILL_PROCESS"), rule("open", "SCMP_ACT_TRAP"),
        rule("close", "SCMP_ACT_TRACE"), rule("stat", "SCMP_ACT_LOG"), rule("fstat", "SCMP_ACT_NOTIFY"),
        {"names": ["poll"], "action": "SCMP_ACT_ERRNO", "errnoRet": 95}, rule("lseek", "SCMP_ACT_ALLOW"),
    ]}));
    let answer = |name: &str| ask(&filter, Tongue::X86_64, name, &[]);
    assert_eq!((answer("read"), answer("getpid"), answer("open")), (ret::KILL_THREAD, ret::KILL_PROCESS, ret::TRAP));
    assert_eq!((answer("close"), answer("stat"), answer("fstat")), (ret::TRACE | 1, ret::LOG, ret::NOTIFY));
    assert_eq!((answer("poll"), answer("lseek"), answer("mmap")), (ret::ERRNO | 95, ALLOW, ret::ERRNO | 13));
    assert_eq!(filter.flags, 2 | 8);
}

#[test]
fn a_call_costs_a_dozen_instructions_not_hundreds() {
    let filter = default_filter(&DOCKER_CAPABILITIES);
    let cost = |nr| run(&filter, Call { nr, arch: Tongue::X86_64.audit(), args: [0; 6] }).1;
    let worst = Tongue::X86_64.all().map(|(_, nr)| cost(nr)).max().expect("many calls");
    assert!(worst <= 24, "{worst} instructions");
    assert!(filter.program.len() < 1000, "{} instructions", filter.program.len());
}

#[test]
fn rules_by_the_hundred_with_arguments_still_find_their_way() {
    // long distances: every call of the table has its own comparison, so that jumps beyond 255 are needed
    let rules: Vec<serde_json::Value> = Tongue::X86_64
        .all()
        .map(|(name, nr)| {
            serde_json::json!({"names": [name], "action": "SCMP_ACT_ALLOW", "args": [
            {"index": 0, "value": nr, "op": "SCMP_CMP_EQ"}, {"index": 5, "value": u64::from(nr) << 32, "op": "SCMP_CMP_GE"}]})
        })
        .collect();
    let filter = filter_of(serde_json::json!({"defaultAction": "SCMP_ACT_ERRNO", "syscalls": rules}));
    for (name, nr) in Tongue::X86_64.all() {
        let number = u64::from(nr);
        assert_eq!(ask_number(&filter, Tongue::X86_64, nr, &[number, 0, 0, 0, 0, number << 32]), ALLOW, "{name}");
        assert_eq!(ask_number(&filter, Tongue::X86_64, nr, &[number + 1, 0, 0, 0, 0, number << 32]), EPERM, "{name}");
        if nr > 0 {
            assert_eq!(ask_number(&filter, Tongue::X86_64, nr, &[number, 0, 0, 0, 0, (number << 32) - 1]), EPERM, "{name}");
        }
    }
}
