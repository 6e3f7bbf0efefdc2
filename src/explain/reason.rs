//! # Reason: why a call is made at all
//!
//! A sentence tells what happens; the reason tells what would be wrong without it. Reasons are about the kernel, not about
//! our code, so they hold for any container runtime: this table is a small course in itself, and is meant to be read from top
//! to bottom.
//!
//! Laws: a call whose sentence says it all has no reason; the first line that matches counts, so the special ones come
//! first. *See:* namespaces(7), cgroups(7), capabilities(7), seccomp(2). *Next room:* [`crate::json`]

use crate::wiring;
use minidock_linux::action::Action;

/// Why the call is made at all; empty where the sentence says it all.
pub fn why(action: &Action) -> &'static str {
    let joined = action.args.join(" ");
    let has = |text: &str| joined.contains(text);
    match action.call.as_str() {
        "clone3" => {
            "a process cannot change its own process numbers: only a child can be born into a new PID namespace, and the first one is its process 1: when it ends, the kernel ends all the others"
        }
        "unshare" if has("CLONE_NEWCGROUP") => {
            "the cgroup namespace begins where the process is *now*: so this comes after entering the group, and the container sees its own group as the top"
        }
        "netlink" | "nft" => wiring::why(action),
        "unshare" if has("CLONE_NEWNET") && action.room.starts_with("src/network/") => {
            "the network is made before the container, which then joins it: so a failure here costs no process, and the namespace is there between two lives"
        }
        "unshare" if has("CLONE_NEWNET") => {
            "a network namespace takes the kernel longest of all: the container's first process makes it by itself, while the runtime makes the control groups"
        }
        "move_mount" if has("ns/net") => "a namespace lives as long as somebody holds it; a file in a mount does",
        "setns" => "a namespace has no name, only a file in /proc of a process that lives in it",
        "ioctl" if has("SIOCSIFFLAGS") => "programs that talk to themselves over 127.0.0.1 would find no way",
        "sethostname" => "the UTS namespace began as a copy of the host's name",
        "mount" if has("MS_SLAVE") || has("MS_PRIVATE") => {
            "a new mount namespace is a copy, but copies echo each other until told not to"
        }
        "mount" if has("\"proc\"") => {
            "/proc shows the processes of the PID namespace in which it was mounted: without a new mount the container would see the host's"
        }
        "mount" if has("\"sysfs\"") => "programs read the kernel's devices there; read-only, for writing would change the host",
        "mount" if has("\"devpts\"") => "terminals of its own, numbered from 0, invisible to others",
        "mount" if has("\"cgroup\"") || has("\"cgroup2\"") => "programs look here for how much memory they may use",
        "mount" if has("\"mqueue\"") => "message queues of its own IPC namespace have to be visible somewhere",
        "mount" if has("\"tmpfs\"") => "a file system in memory, gone with the container",
        "open_tree" if has("ns/net") => "",
        "write" if has("disable_ipv6") => "a link would give itself an IPv6 address, on a network that has none",
        "fsopen" | "fsmount" => {
            "the new mount interface makes the file system first and hangs it afterwards: a failure leaves nothing mounted, and layers are named one by one, so their number is not limited by a page"
        }
        "open_tree" | "move_mount" => {
            "a mount is copied before the roots are exchanged and hung afterwards by descriptor: no path of the image can lead it astray"
        }
        "mount_setattr" if has("RDONLY") => {
            "read-only is a property of a mount, not of the files: root inside cannot undo it without CAP_SYS_ADMIN"
        }
        "pivot_root" => {
            "chroot(2) only changes where paths begin; the old tree would still be mounted, one open descriptor away"
        }
        "umount2" => "what is not mounted cannot be reached, whatever the program's rights",
        "mknodat" => "programs expect a handful of harmless devices; the rest of the host's are not there",
        "mkdir" if has("/sys/fs/cgroup") => "a control group is a folder; the kernel fills it with its knobs",
        "write" if has("/tasks") || has("cgroup.procs") => {
            "a child moves itself in: the kernel makes a parent wait for a grace period of some milliseconds"
        }
        "write" if has("memory.") => "beyond this the kernel kills something inside, not something of yours",
        "write" if has("pids.") => "a fork bomb ends at its own wall",
        "write" if has("cpu.") => "so many microseconds of processor time in each period, then it waits",
        "write" if has("devices.") || has("device") => {
            "a device node is only a name: the group decides whether opening it works"
        }
        "write" if has("id_map") => "root inside is nobody outside",
        "prctl" if has("PR_CAPBSET_DROP") => {
            "the bounding set is the ceiling: what is not in it comes back with no execve, set-user-ID programs included"
        }
        "prctl" if has("NO_NEW_PRIVS") => "sudo and its like cannot work, and a filter may be loaded without privilege",
        "prctl" if has("SUBREAPER") => {
            "the runtime ends a moment after it made the container; whoever then is the parent learns the exit status"
        }
        "capset" => {
            "root is only a user id to whom the kernel grants all capabilities; take them away and little of root is left"
        }
        "seccomp" => "most of the kernel's calls are never needed by a container, and its past holes were in those",
        "setresuid" | "setresgid" | "setgroups" => {
            "groups first, then the group, the user last: afterwards it may not change the others any more"
        }
        "setsid" => "no signal of a terminal outside reaches it",
        "keyctl" => "keys of the session that started the daemon must not be readable inside",
        "close_range" => "an open descriptor of a host folder is a way out of any namespace (CVE-2024-21626)",
        "execve" | "execveat" => "the process stays, with all it was given; the program in it is replaced",
        "posix_spawn" | "fork" => {
            "the shim does not know how a container is made: it starts a program that does, and stays behind as its parent"
        }
        "recvmsg" | "sendmsg" => {
            "the terminal was opened inside, where its name means something; its other end is needed outside"
        }
        _ => "",
    }
}
