//! # Rules: from names to numbers, tongue by tongue
//!
//! `linux.seccomp` lists rules as a person writes them: many names, one action, perhaps conditions on arguments. The
//! program needs them the other way round: for each tongue of this machine, what happens to each number. [`plan`] turns
//! one into the other, and everything that depends on meaning is decided here, so that [`super::compile`] only arranges jumps.
//!
//! ```text
//!  {names: [read, …], ALLOW}                         x86_64:   0 → ALLOW
//!  {names: [clone], ALLOW,                    ───►            56 → ALLOW if (arg0 & 0x7e020000) == 0, else default
//!   args: [0 MASKED_EQ 0x7e020000 0]}                i386:     3 → ALLOW …
//! ```
//!
//! How rules about the same call add up (as in libseccomp, whose behaviour profiles were written for):
//! * conditions within a rule must all hold; but if two of them look at the *same* argument, each counts as a rule of its own;
//! * several rules: the first one that holds;
//! * a rule without conditions covers all others on that call; of two such, the first;
//! * a rule whose action is the default action changes nothing and is dropped.
//!
//! Laws: an unknown name, and one that this tongue lacks, is skipped; an action that cannot work is an error before
//! anything is loaded. See: runtime-spec config-linux.md#seccomp, seccomp_rule_add(3). Next room: [`super::compile`]

use super::table::Tongue;
use minidock_base::{Error, Result};
use oci_spec::runtime::{
    LinuxSeccomp, LinuxSeccompAction as Action, LinuxSeccompArg, LinuxSeccompFilterFlag as Flag, LinuxSeccompOperator,
    LinuxSyscall,
};
use std::{
    collections::{BTreeMap, HashMap},
    hash::{BuildHasherDefault, Hasher},
};

/// What a filter shall do, ready to be arranged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// One for each tongue, the native one first.
    pub sections: Vec<Section>,
    /// The answer (`SECCOMP_RET_*` with its data) to calls that no rule names.
    pub default: u32,
    /// `SECCOMP_FILTER_FLAG_*`.
    pub flags: u64,
}

/// The calls of one tongue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    pub tongue: Tongue,
    /// By number; each list is tried in order, and its end means the default.
    pub calls: BTreeMap<u32, Vec<Rule>>,
    /// The answer to numbers above the newest call we know, where it differs from the default.
    pub beyond: Option<u32>,
}

/// An action, if all conditions hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    pub conditions: Vec<Condition>,
    pub action: u32,
}

/// A comparison of one argument, unsigned and 64 bits wide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Condition {
    /// Which argument, 0 to 5.
    pub argument: u8,
    pub operator: Operator,
    pub value: u64,
    /// Only for [`Operator::MaskedEqual`]: `argument & mask == value`.
    pub mask: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    NotEqual,
    Less,
    LessOrEqual,
    Equal,
    GreaterOrEqual,
    Greater,
    MaskedEqual,
}

/// Makes the plan.
///
/// # Errors
/// An action that cannot work: `SCMP_ACT_NOTIFY` as the default or for `write`, or without a listener; an errno on an action
/// that has none; an argument beyond the sixth.
pub fn plan(seccomp: &LinuxSeccomp) -> Result<Plan> {
    let default = answer(seccomp.default_action(), seccomp.default_errno_ret())?;
    if seccomp.default_action() == Action::ScmpActNotify {
        return Err(Error::invalid("SCMP_ACT_NOTIFY cannot be used as default action"));
    }
    let rules = seccomp.syscalls().as_deref().unwrap_or_default();
    let notifies = rules.iter().any(|rule| rule.action() == Action::ScmpActNotify);
    if notifies && seccomp.listener_path().as_ref().is_none_or(|path| path.as_os_str().is_empty()) {
        return Err(Error::invalid("SCMP_ACT_NOTIFY needs linux.seccomp.listenerPath: the socket of the agent that answers"));
    }
    let translated = rules.iter().map(translate).collect::<Result<Vec<_>>>()?;
    let beyond = is_refusal(default).then_some(libc_errno(ENOSYS)).filter(|answer| *answer != default);
    let names = Names::of(rules);
    let section = |tongue: Tongue| Section { tongue, calls: calls(tongue, &names, &translated, default), beyond };
    let sections = tongues(seccomp)?.into_iter().map(section).collect();
    Ok(Plan { sections, default, flags: flags(seccomp, notifies) })
}

const ENOSYS: u32 = 38;
const EPERM: u32 = 1;

/// `SECCOMP_RET_*`.
pub mod ret {
    pub const KILL_PROCESS: u32 = 0x8000_0000;
    pub const KILL_THREAD: u32 = 0;
    pub const TRAP: u32 = 0x0003_0000;
    pub const ERRNO: u32 = 0x0005_0000;
    pub const NOTIFY: u32 = 0x7fc0_0000;
    pub const TRACE: u32 = 0x7ff0_0000;
    pub const LOG: u32 = 0x7ffc_0000;
    pub const ALLOW: u32 = 0x7fff_0000;
}

fn libc_errno(errno: u32) -> u32 {
    ret::ERRNO | errno
}

/// Whether calls of the answer fail: then a call that did not exist when the profile was written must fail as if the
/// kernel did not know it.
fn is_refusal(answer: u32) -> bool {
    !matches!(answer & 0xffff_0000, ret::ALLOW | ret::LOG | ret::TRACE)
}

/// An action as the number the program returns.
fn answer(action: Action, errno: Option<u32>) -> Result<u32> {
    let plain = |value: u32| match errno {
        None => Ok(value),
        Some(_) => Err(Error::invalid(format!("seccomp: errnoRet makes no sense with {action}"))),
    };
    let with_data = |value: u32| match errno.unwrap_or(EPERM) {
        data if data <= 0xffff => Ok(value | data),
        data => Err(Error::invalid(format!("seccomp: errnoRet {data} is larger than 65535"))),
    };
    match action {
        Action::ScmpActKill | Action::ScmpActKillThread => plain(ret::KILL_THREAD),
        Action::ScmpActKillProcess => plain(ret::KILL_PROCESS),
        Action::ScmpActTrap => plain(ret::TRAP),
        Action::ScmpActErrno => with_data(ret::ERRNO),
        Action::ScmpActNotify => plain(ret::NOTIFY),
        Action::ScmpActTrace => with_data(ret::TRACE),
        Action::ScmpActLog => plain(ret::LOG),
        Action::ScmpActAllow => plain(ret::ALLOW),
    }
}

/// The tongues the profile is for: always ours, and those of the listed ones that this machine can speak.
fn tongues(seccomp: &LinuxSeccomp) -> Result<Vec<Tongue>> {
    let mut found = vec![Tongue::native()];
    for arch in seccomp.architectures().iter().flatten() {
        match Tongue::from_scmp(&arch.to_string()) {
            Some(tongue) if tongue.is_spoken_here() && !found.contains(&tongue) => found.push(tongue),
            _ => {}
        }
    }
    Ok(found)
}

fn flags(seccomp: &LinuxSeccomp, notifies: bool) -> u64 {
    const LOG: u64 = 2;
    const SPEC_ALLOW: u64 = 4;
    const NEW_LISTENER: u64 = 8;
    const WAIT_KILLABLE_RECV: u64 = 32;
    let flag = |flag: &Flag| match flag {
        // we load in a process with one thread: there is nobody to synchronise, and the kernel refuses it beside a listener
        Flag::SeccompFilterFlagTsync => 0,
        Flag::SeccompFilterFlagLog => LOG,
        Flag::SeccompFilterFlagSpecAllow => SPEC_ALLOW,
        Flag::SeccompFilterFlagWaitKillableRecv if !notifies => 0,
        Flag::SeccompFilterFlagWaitKillableRecv => WAIT_KILLABLE_RECV,
    };
    // who says nothing gets what runc gives: the processor may guess ahead, which newer kernels let it do anyway
    let listed = seccomp.flags().as_ref().map_or(SPEC_ALLOW, |flags| flags.iter().map(flag).fold(0, |all, one| all | one));
    if notifies { listed | NEW_LISTENER } else { listed }
}

/// One rule of the profile as the rules it stands for.
fn translate(rule: &LinuxSyscall) -> Result<Vec<Rule>> {
    let action = answer(rule.action(), rule.errno_ret())?;
    if rule.action() == Action::ScmpActNotify && rule.names().iter().any(|name| name == "write") {
        // our own init announces the listener with a write: it would wait for an agent that does not know of it yet
        return Err(Error::invalid("SCMP_ACT_NOTIFY cannot be used for the write syscall"));
    }
    let conditions = rule.args().iter().flatten().map(condition).collect::<Result<Vec<_>>>()?;
    let repeated = |c: &Condition| conditions.iter().filter(|other| other.argument == c.argument).count() > 1;
    if conditions.iter().any(repeated) {
        return Ok(conditions.iter().map(|c| Rule { conditions: vec![*c], action }).collect());
    }
    Ok(vec![Rule { conditions, action }])
}

fn condition(arg: &LinuxSeccompArg) -> Result<Condition> {
    let operator = match arg.op() {
        LinuxSeccompOperator::ScmpCmpNe => Operator::NotEqual,
        LinuxSeccompOperator::ScmpCmpLt => Operator::Less,
        LinuxSeccompOperator::ScmpCmpLe => Operator::LessOrEqual,
        LinuxSeccompOperator::ScmpCmpEq => Operator::Equal,
        LinuxSeccompOperator::ScmpCmpGe => Operator::GreaterOrEqual,
        LinuxSeccompOperator::ScmpCmpGt => Operator::Greater,
        LinuxSeccompOperator::ScmpCmpMaskedEq => Operator::MaskedEqual,
    };
    let argument = u8::try_from(arg.index()).ok().filter(|index| *index < 6);
    let argument = argument.ok_or_else(|| Error::invalid(format!("seccomp: a call has no argument {}", arg.index())))?;
    // for MASKED_EQ the profile's `value` is the mask and `valueTwo` what is compared with
    let (value, mask) = match operator {
        Operator::MaskedEqual => (arg.value_two().unwrap_or(0) & arg.value(), arg.value()),
        _ => (arg.value(), u64::MAX),
    };
    Ok(Condition { argument, operator, value, mask })
}

/// The names of a profile, each with the places of the rules it stands in, in the profile's order.
struct Names<'a>(HashMap<&'a str, Vec<usize>, BuildHasherDefault<Fnv>>);

/// FNV-1a: a handful of bytes are hashed for each of a thousand look-ups, and the profile is not an enemy's.
struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Fnv {
        Fnv(0xcbf2_9ce4_8422_2325)
    }
}

impl Hasher for Fnv {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

impl<'a> Names<'a> {
    fn of(rules: &'a [LinuxSyscall]) -> Names<'a> {
        let mut names: HashMap<&str, Vec<usize>, _> = HashMap::with_capacity_and_hasher(512, BuildHasherDefault::default());
        for (at, rule) in rules.iter().enumerate() {
            for name in rule.names() {
                names.entry(name.as_str()).or_default().push(at);
            }
        }
        Names(names)
    }
}

/// All rules by number, in one tongue.
fn calls(tongue: Tongue, names: &Names<'_>, translated: &[Vec<Rule>], default: u32) -> BTreeMap<u32, Vec<Rule>> {
    // collected first: a map that is built from a list in order costs far less than one that grows
    let mut calls: Vec<(u32, Vec<Rule>)> = Vec::with_capacity(512);
    for (name, number) in tongue.all() {
        let Some(places) = names.0.get(name) else { continue };
        let mut known: Vec<Rule> = Vec::new();
        for parts in places.iter().map(|at| &translated[*at]) {
            if known.iter().any(is_unconditional) || parts.iter().all(|part| part.action == default) {
                continue;
            }
            match parts.iter().find(|part| is_unconditional(part)) {
                Some(all) => known = vec![all.clone()],
                None => known.extend(parts.iter().map(|part| narrowed(part, tongue))),
            }
        }
        if !known.is_empty() {
            calls.push((number, known));
        }
    }
    BTreeMap::from_iter(calls)
}

/// On a tongue with 32-bit words only the low halves are compared: a profile that says 2^64 − 1 means −1, and that is
/// 2^32 − 1 there.
fn narrowed(rule: &Rule, tongue: Tongue) -> Rule {
    if !tongue.has_32_bit_words() {
        return rule.clone();
    }
    const LOW: u64 = u32::MAX as u64;
    let narrow = |c: &Condition| Condition { value: c.value & LOW, mask: c.mask & LOW, ..*c };
    Rule { conditions: rule.conditions.iter().map(narrow).collect(), action: rule.action }
}

fn is_unconditional(rule: &Rule) -> bool {
    rule.conditions.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile(json: serde_json::Value) -> LinuxSeccomp {
        serde_json::from_value(json).expect("a profile of ours")
    }

    fn planned(syscalls: serde_json::Value) -> Result<Plan> {
        plan(&profile(serde_json::json!({"defaultAction": "SCMP_ACT_ERRNO", "syscalls": syscalls})))
    }

    #[test]
    fn a_rule_without_conditions_covers_the_others() {
        let one = planned(serde_json::json!([
            {"names": ["getppid"], "action": "SCMP_ACT_LOG", "args": [{"index": 0, "value": 1, "op": "SCMP_CMP_EQ"}]},
            {"names": ["getppid", "no_such_call"], "action": "SCMP_ACT_ALLOW"},
            {"names": ["getppid"], "action": "SCMP_ACT_KILL"},
            {"names": ["getpid"], "action": "SCMP_ACT_ERRNO"},
        ]));
        let section = &one.expect("a good profile").sections[0];
        assert_eq!(section.calls.len(), 1, "an unknown name and a rule that says the default are dropped");
        let rules = section.calls.values().next().expect("getppid");
        assert_eq!(rules.as_slice(), [Rule { conditions: vec![], action: ret::ALLOW }]);
    }

    #[test]
    fn two_conditions_on_one_argument_are_alternatives() {
        let two = planned(serde_json::json!([
            {"names": ["personality"], "action": "SCMP_ACT_ALLOW", "args": [
                {"index": 0, "value": 0, "op": "SCMP_CMP_EQ"}, {"index": 0, "value": 8, "op": "SCMP_CMP_EQ"}]},
        ]));
        let plan = two.expect("a good profile");
        assert_eq!(plan.sections[0].calls.values().next().map(Vec::len), Some(2));
    }

    #[test]
    fn what_cannot_work_is_refused_with_a_reason() {
        let notify = |name: &str| serde_json::json!([{"names": [name], "action": "SCMP_ACT_NOTIFY"}]);
        let with_listener = |syscalls| {
            let json = serde_json::json!({"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": "/x", "syscalls": syscalls});
            plan(&profile(json))
        };
        let text = |refused: Result<Plan>| refused.expect_err("refused").message();
        assert!(text(planned(notify("mkdir"))).contains("listenerPath"));
        assert_eq!(text(with_listener(notify("write"))), "SCMP_ACT_NOTIFY cannot be used for the write syscall");
        assert_eq!(with_listener(notify("mkdir")).expect("fine").flags, 8 | 4);
        let seven = serde_json::json!([{"names": ["read"], "action": "SCMP_ACT_ALLOW",
            "args": [{"index": 6, "value": 0, "op": "SCMP_CMP_EQ"}]}]);
        assert!(text(planned(seven)).contains("no argument 6"));
        let errno = serde_json::json!([{"names": ["read"], "action": "SCMP_ACT_ALLOW", "errnoRet": 1}]);
        assert!(text(planned(errno)).contains("makes no sense with SCMP_ACT_ALLOW"));
    }
}
