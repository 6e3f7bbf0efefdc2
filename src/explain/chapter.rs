//! # Chapters: the eight parts of a container
//!
//! The calls come in the order the kernel needs: a group before a process, a namespace before a mount, a user last. A
//! reader wants them by *meaning*: what gives the container its files, what its limits? So each call is put into one of eight
//! chapters, by what it does and, where that is not enough, by the room that asked for it.
//!
//! ```text
//!   image ─ root filesystem     what it finds          namespaces ─ network   what it sees
//!   limits                      how much it may use    identity ─ privileges  who it is, what it may do
//!                               exec                   the program itself, and who watches over it
//! ```
//!
//! *See:* namespaces(7), cgroups(7), capabilities(7). *Next room:* [`crate::prose`]

use minidock_linux::action::{Action, Actor};

/// A part of a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chapter {
    Image,
    Network,
    Namespaces,
    RootFilesystem,
    Limits,
    Identity,
    Privileges,
    Exec,
}

impl Chapter {
    /// All of them, in the order in which they are told.
    pub const ALL: [Chapter; 8] = [
        Chapter::Image,
        Chapter::Network,
        Chapter::Namespaces,
        Chapter::RootFilesystem,
        Chapter::Limits,
        Chapter::Identity,
        Chapter::Privileges,
        Chapter::Exec,
    ];

    pub fn title(self) -> &'static str {
        match self {
            Chapter::Image => "image",
            Chapter::Network => "network",
            Chapter::Namespaces => "namespaces",
            Chapter::RootFilesystem => "root filesystem",
            Chapter::Limits => "limits",
            Chapter::Identity => "identity",
            Chapter::Privileges => "privileges",
            Chapter::Exec => "exec",
        }
    }

    /// What the chapter is about, in a sentence or two.
    pub fn about(self) -> &'static str {
        match self {
            Chapter::Image => {
                "The layers lie unpacked on the disk and are shared by all containers; each container only needs a folder of its own for what it changes."
            }
            Chapter::Network => {
                "A network namespace begins empty: no address, no route, and even the loopback interface is down. A cable from it to a bridge outside makes it part of a network; what is published leads in by rules of the firewall."
            }
            Chapter::Namespaces => {
                "A namespace gives a process its own copy of something that is usually shared by the whole machine: process numbers, mounts, the host name."
            }
            Chapter::RootFilesystem => {
                "The container gets a tree of its own. It is mounted where nobody else can see it, filled with what every program expects, and then made the only tree there is."
            }
            Chapter::Limits => {
                "Namespaces decide what a process sees; control groups decide how much of the machine it may use."
            }
            Chapter::Identity => "Who the program will be: user, groups, working directory, session.",
            Chapter::Privileges => {
                "Even root inside must not be root outside: most capabilities are given up for good, and the kernel's rarely used doors are locked by a filter."
            }
            Chapter::Exec => {
                "At last the program itself replaces our code; a small parent, the shim, holds its streams and waits for its end."
            }
        }
    }
}

/// The chapter a call belongs to.
pub fn of(action: &Action) -> Chapter {
    let first = action.args.first().map_or("", String::as_str);
    let second = action.args.get(1).map_or("", String::as_str);
    match action.call.as_str() {
        _ if action.actor == Actor::Exec => Chapter::Exec,
        "netlink" | "nft" => Chapter::Network,
        _ if action.room.starts_with("src/network/") => Chapter::Network,
        "clone3" | "unshare" | "setns" | "sethostname" | "setdomainname" => Chapter::Namespaces,
        "open" if action.room.contains("cgroup_mounts") => Chapter::RootFilesystem,
        "write" if first.parse::<i32>().is_ok() && second == "\"0\"" => Chapter::Limits,
        "write" | "mkdir" | "rmdir" | "open" if first.contains("/sys/fs/cgroup") => Chapter::Limits,
        "write" | "open" if first.contains("id_map") || first.contains("setgroups") => Chapter::Identity,
        "write" if first.contains("oom_score_adj") => Chapter::Limits,
        "write" if first.contains("/proc/sys") || first.contains("sys/") => Chapter::Namespaces,
        "prlimit64" | "setrlimit" | "sched_setaffinity" | "sched_setattr" | "set_mempolicy" | "ioprio_set" | "bpf"
        | "eventfd2" => Chapter::Limits,
        "capset" | "seccomp" | "pidfd_getfd" => Chapter::Privileges,
        "prctl" if first.contains("CAP") || first.contains("NO_NEW_PRIVS") || first.contains("KEEPCAPS") => Chapter::Privileges,
        "setresuid" | "setresgid" | "setgroups" | "umask" | "setsid" | "keyctl" | "personality" => Chapter::Identity,
        _ if second.starts_with("SIOC") => Chapter::Network,
        "socket" if first.starts_with("AF_INET") => Chapter::Network,
        "execve" | "execveat" | "memfd_create" | "posix_spawn" | "fork" | "kill" | "pidfd_send_signal" | "wait4"
        | "pidfd_open" => Chapter::Exec,
        _ => by_room(action),
    }
}

fn by_room(action: &Action) -> Chapter {
    let room = action.room.split(':').next().unwrap_or_default();
    let file = room.rsplit('/').next().unwrap_or_default();
    match file {
        _ if room.starts_with("src/shim/") => Chapter::Exec,
        _ if room.contains("cgroup/") || room.contains("resources/") => Chapter::Limits,
        _ if room.starts_with("src/image/") || action.actor == Actor::Daemon => Chapter::Image,
        "namespaces.rs" | "clone.rs" | "birth.rs" => Chapter::Namespaces,
        "rootfs.rs" | "mounts.rs" | "masks.rs" | "devices.rs" | "targets.rs" | "cgroup_mounts.rs" | "copy_up.rs" => {
            Chapter::RootFilesystem
        }
        "loopback.rs" | "network.rs" => Chapter::Network,
        "resources.rs" | "limits.rs" => Chapter::Limits,
        "process.rs" | "userns.rs" => Chapter::Identity,
        "privileges.rs" | "caps.rs" | "seccomp.rs" => Chapter::Privileges,
        _ => match action.call.as_str() {
            "mount" | "fsopen" | "fsconfig" | "fsmount" | "open_tree" | "move_mount" | "mount_setattr" | "pivot_root"
            | "umount2" | "chroot" | "mknodat" | "symlinkat" | "mkdirat" | "openat2" | "fchdir" | "chdir" => {
                Chapter::RootFilesystem
            }
            _ => Chapter::Exec,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chapter(actor: Actor, call: &str, args: &[&str], room: &str) -> Chapter {
        let args = args.iter().map(|arg| (*arg).to_string()).collect();
        of(&Action { at_us: 0, actor, call: call.into(), args, result: 0, errno: None, took_us: 0, room: room.into() })
    }

    #[test]
    fn a_call_is_told_where_its_meaning_is() {
        let init = |call: &str, args: &[&str]| chapter(Actor::Init, call, args, "src/runtime/init.rs:1");
        assert_eq!(init("write", &["\"/sys/fs/cgroup/memory/x/memory.limit_in_bytes\"", "\"1\""]), Chapter::Limits);
        assert_eq!(init("prctl", &["PR_CAPBSET_DROP", "CAP_SYS_ADMIN"]), Chapter::Privileges);
        assert_eq!(init("setresuid", &["0", "0", "0"]), Chapter::Identity);
        assert_eq!(init("pivot_root", &["\".\"", "\".\""]), Chapter::RootFilesystem);
        assert_eq!(chapter(Actor::Shim, "pipe2", &[], "src/shim/stdio.rs:1"), Chapter::Exec);
        assert_eq!(
            chapter(Actor::Daemon, "unshare", &["CLONE_NEWNET"], "src/network/sandbox.rs:1"),
            Chapter::Network,
            "a sandbox is made before the container"
        );
        assert_eq!(
            chapter(Actor::Daemon, "mkdir", &["\"/var/lib/minidock/containers/x\""], "src/engine/container/snapshot.rs:1"),
            Chapter::Image
        );
    }
}
