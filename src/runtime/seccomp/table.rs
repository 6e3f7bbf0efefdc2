//! # Table: names and numbers of the system calls
//!
//! A filter sees numbers, a profile says names, and the number of `execve` is 59, 11 or 221 depending on who asks. One
//! machine speaks several tongues: an x86-64 kernel also runs i386 programs and (if built so) x32 ones, which share the
//! x86-64 architecture tag and mark their numbers with bit 30.
//!
//! ```text
//!   tongue     AUDIT_ARCH     execve
//!   x86_64     c000003e           59
//!   x32        c000003e   40000000 + 520      its own numbers from 512 on, else those of x86_64
//!   i386       40000003           11
//!   aarch64    c00000b7          221
//!   arm        40000028           11
//! ```
//!
//! The tables come from the `syscalls` crate, generated from the kernel's own. x32's few own numbers stand here.
//! See: syscalls(2), arch/x86/entry/syscalls/syscall_64.tbl. Next room: [`super::rules`]

use std::collections::HashSet;
use syscalls::{aarch64, arm, x86, x86_64};

/// A tongue in which programs of this machine may call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Tongue {
    X86_64,
    X32,
    X86,
    Aarch64,
    Arm,
}

/// Marks the numbers of x32.
pub const X32_BIT: u32 = 0x4000_0000;

impl Tongue {
    /// `SCMP_ARCH_X86_64` and its siblings; `None` for one that this kind of machine never runs.
    pub fn from_scmp(name: &str) -> Option<Tongue> {
        match name {
            "SCMP_ARCH_X86_64" => Some(Tongue::X86_64),
            "SCMP_ARCH_X32" => Some(Tongue::X32),
            "SCMP_ARCH_X86" => Some(Tongue::X86),
            "SCMP_ARCH_AARCH64" => Some(Tongue::Aarch64),
            "SCMP_ARCH_ARM" => Some(Tongue::Arm),
            _ => None,
        }
    }

    /// What this program itself speaks.
    pub fn native() -> Tongue {
        match cfg!(target_arch = "aarch64") {
            true => Tongue::Aarch64,
            false => Tongue::X86_64,
        }
    }

    /// Whether a kernel of this machine can run programs of that tongue.
    pub fn is_spoken_here(self) -> bool {
        match Tongue::native() {
            Tongue::Aarch64 => matches!(self, Tongue::Aarch64 | Tongue::Arm),
            _ => matches!(self, Tongue::X86_64 | Tongue::X32 | Tongue::X86),
        }
    }

    /// Whether arguments are 32 bits wide.
    pub fn has_32_bit_words(self) -> bool {
        matches!(self, Tongue::X86 | Tongue::Arm)
    }

    pub fn name(self) -> &'static str {
        match self {
            Tongue::X86_64 => "x86_64",
            Tongue::X32 => "x32",
            Tongue::X86 => "i386",
            Tongue::Aarch64 => "aarch64",
            Tongue::Arm => "arm",
        }
    }

    /// `AUDIT_ARCH_*`: what `seccomp_data.arch` says.
    pub fn audit(self) -> u32 {
        match self {
            Tongue::X86_64 | Tongue::X32 => 0xc000_003e,
            Tongue::X86 => 0x4000_0003,
            Tongue::Aarch64 => 0xc000_00b7,
            Tongue::Arm => 0x4000_0028,
        }
    }

    /// All calls with their numbers: for looking up many at once.
    pub fn all(self) -> Box<dyn Iterator<Item = (&'static str, u32)>> {
        // the crate's iterators end before the last call
        macro_rules! table {
            ($tongue:ident) => {
                Box::new(
                    $tongue::Sysno::iter().chain([$tongue::Sysno::last()]).map(|call| (plain(call.name()), call.id() as u32)),
                )
            };
        }
        match self {
            Tongue::X86_64 => table!(x86_64),
            Tongue::X86 => table!(x86),
            Tongue::Aarch64 => table!(aarch64),
            Tongue::Arm => table!(arm),
            Tongue::X32 => {
                let own: HashSet<&str> = X32_OWN.iter().map(|(name, _)| *name).collect();
                let is_shared = move |(name, _): &(&str, u32)| !own.contains(name);
                let shared = Tongue::X86_64.all().filter(is_shared).map(|(name, number)| (name, X32_BIT + number));
                Box::new(shared.chain(X32_OWN.iter().map(|(name, number)| (*name, X32_BIT + number))))
            }
        }
    }

    /// The number of a call by its name; `None` when this tongue has no such call.
    pub fn number(self, name: &str) -> Option<u32> {
        let id = match self {
            Tongue::X86_64 => name.parse::<x86_64::Sysno>().ok()?.id(),
            Tongue::X32 => return x32_number(name),
            Tongue::X86 => name.parse::<x86::Sysno>().ok()?.id(),
            Tongue::Aarch64 => name.parse::<aarch64::Sysno>().ok()?.id(),
            Tongue::Arm => name.parse::<arm::Sysno>().ok()?.id(),
        };
        u32::try_from(id).ok()
    }

    /// The name of a number, for people.
    pub fn call(self, number: u32) -> Option<&'static str> {
        let at = number as usize;
        match self {
            Tongue::X86_64 => x86_64::Sysno::new(at).map(|call| call.name()),
            Tongue::X32 => x32_call(number),
            Tongue::X86 => x86::Sysno::new(at).map(|call| call.name()),
            Tongue::Aarch64 => aarch64::Sysno::new(at).map(|call| call.name()),
            Tongue::Arm => arm::Sysno::new(at).map(|call| call.name()),
        }
    }

    /// The newest call's number: what lies beyond is not known yet. (arm has private calls far above: they are not newer.)
    pub fn newest(self) -> u32 {
        let last = match self {
            Tongue::X86_64 => x86_64::Sysno::last().id(),
            Tongue::X32 => return X32_BIT + X32_OWN.iter().map(|(_, n)| *n).max().unwrap_or(0).max(Tongue::X86_64.newest()),
            Tongue::X86 => x86::Sysno::last().id(),
            Tongue::Aarch64 => aarch64::Sysno::last().id(),
            Tongue::Arm => arm::Sysno::iter().map(|call| call.id()).filter(|id| *id < 0xf0000).max().unwrap_or(0),
        };
        last as u32
    }
}

/// Calls whose arguments look different in x32 and that therefore have numbers of their own there.
const X32_OWN: [(&str, u32); 36] = [
    ("rt_sigaction", 512),
    ("rt_sigreturn", 513),
    ("ioctl", 514),
    ("readv", 515),
    ("writev", 516),
    ("recvfrom", 517),
    ("sendmsg", 518),
    ("recvmsg", 519),
    ("execve", 520),
    ("ptrace", 521),
    ("rt_sigpending", 522),
    ("rt_sigtimedwait", 523),
    ("rt_sigqueueinfo", 524),
    ("sigaltstack", 525),
    ("timer_create", 526),
    ("mq_notify", 527),
    ("kexec_load", 528),
    ("waitid", 529),
    ("set_robust_list", 530),
    ("get_robust_list", 531),
    ("vmsplice", 532),
    ("move_pages", 533),
    ("preadv", 534),
    ("pwritev", 535),
    ("rt_tgsigqueueinfo", 536),
    ("recvmmsg", 537),
    ("sendmmsg", 538),
    ("process_vm_readv", 539),
    ("process_vm_writev", 540),
    ("setsockopt", 541),
    ("getsockopt", 542),
    ("io_setup", 543),
    ("io_submit", 544),
    ("execveat", 545),
    ("preadv2", 546),
    ("pwritev2", 547),
];

/// The crate spells `break` as Rust has to: `r#break`.
fn plain(name: &'static str) -> &'static str {
    name.strip_prefix("r#").unwrap_or(name)
}

fn x32_number(name: &str) -> Option<u32> {
    match X32_OWN.iter().find(|(own, _)| *own == name) {
        Some((_, number)) => Some(X32_BIT + number),
        None => Tongue::X86_64.number(name).map(|number| X32_BIT + number),
    }
}

fn x32_call(number: u32) -> Option<&'static str> {
    let number = number.checked_sub(X32_BIT)?;
    match X32_OWN.iter().find(|(_, own)| *own == number) {
        Some((name, _)) => Some(name),
        None => Tongue::X86_64.call(number),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_call_has_another_number_in_each_tongue() {
        let of = |tongue: Tongue| tongue.number("execve");
        assert_eq!((of(Tongue::X86_64), of(Tongue::X86), of(Tongue::Aarch64)), (Some(59), Some(11), Some(221)));
        assert_eq!((of(Tongue::X32), of(Tongue::Arm)), (Some(X32_BIT + 520), Some(11)));
        assert_eq!(Tongue::X32.number("read"), Some(X32_BIT));
        assert_eq!(Tongue::X86_64.number("socketcall"), None, "a call of i386 only");
        assert_eq!(Tongue::X86.call(102), Some("socketcall"));
        assert_eq!(Tongue::X32.call(X32_BIT + 520), Some("execve"));
    }

    #[test]
    fn a_table_is_whole_and_says_what_single_look_ups_say() {
        for tongue in [Tongue::X86_64, Tongue::X32, Tongue::X86, Tongue::Aarch64, Tongue::Arm] {
            let all: Vec<(&str, u32)> = tongue.all().collect();
            assert!(all.len() > 300, "{}", tongue.name());
            assert!(all.iter().any(|(name, _)| *name == "file_setattr"), "{}: the last one, too", tongue.name());
            for (name, number) in all.into_iter().filter(|(name, _)| *name != "break") {
                assert_eq!(tongue.number(name), Some(number), "{} {name}", tongue.name());
            }
        }
    }

    #[test]
    fn the_newest_call_is_a_recent_one() {
        for tongue in [Tongue::X86_64, Tongue::X86, Tongue::Aarch64, Tongue::Arm] {
            let newest = tongue.newest();
            assert!((460..1000).contains(&newest), "{} {newest}", tongue.name());
        }
        assert!(Tongue::X32.newest() >= X32_BIT + 547);
    }
}
