//! # Device rules: which devices a container may open
//!
//! With CAP_MKNOD a container can make a node for any device, the host's disk included; what stops it is the device
//! cgroup. `linux.resources.devices` is a list of rules, each widening or narrowing what the ones before it said, and
//! always closes with the handful of devices that every container has (`null`, `zero`, `tty`, …).
//!
//! ```text
//!   rules in order ──► State: a default and exceptions ──┬─ v1: the lines that lead from what
//!   deny  a                deny, except                  │      devices.list says now to it
//!   allow c 1:3 rwm          c 1:3 rwm                   └─ v2: an eBPF program that says 1 or 0
//!   allow c *:* m            c *:* m
//! ```
//!
//! [`State`] follows the kernel's own arithmetic (security/device_cgroup.c), for v2's program must answer as v1 would, and
//! an update must not, even for a moment, forbid what is allowed before *and* after it: so v1 gets only the difference.
//!
//! [`program`] writes the eBPF.
//!
//! Laws: a container starts from *deny all*, whatever the first rule says; the wildcard rule (`a`) resets everything; a
//! user namespace cannot make device nodes at all, so there rules are left out.
//! See: cgroup-v1/devices.rst, cgroup-v2.rst ("Device controller"). Next room: [`crate::events`]

mod program;

use crate::ahead;
use minidock_base::{Error, Result, error::Doing};
use minidock_linux::{
    cgroup::{Cgroup, Version},
    device_filter,
};
use oci_spec::runtime::{LinuxDeviceCgroup, LinuxDeviceType};
use std::{collections::BTreeMap, fmt, os::fd::AsFd};

/// A kind of device with its numbers; `None` stands for all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Device {
    pub is_block: bool,
    pub major: Option<u32>,
    pub minor: Option<u32>,
}

/// What may be done: mknod 1, read 2, write 4, as the kernel numbers them.
pub type Access = u8;

const ALL: Access = 7;

/// A default, and the exceptions from it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    pub default_allow: bool,
    pub exceptions: BTreeMap<Device, Access>,
}

/// What every container may use: making any node (opening it is another matter), and the usual character devices.
const DEFAULTS: [(Option<u32>, Option<u32>, Access); 9] = [
    (Some(1), Some(3), ALL),    // null
    (Some(1), Some(5), ALL),    // zero
    (Some(1), Some(7), ALL),    // full
    (Some(1), Some(8), ALL),    // random
    (Some(1), Some(9), ALL),    // urandom
    (Some(5), Some(0), ALL),    // tty
    (Some(5), Some(2), ALL),    // ptmx
    (Some(10), Some(200), ALL), // net/tun
    (Some(136), None, ALL),     // pts
];

/// Applies the rules to a group; `with_defaults` at creation, not at an update.
///
/// # Errors
/// `EPERM` when a group above does not allow what a rule wants to; a rule that makes no sense.
#[track_caller]
pub fn apply(cgroup: &Cgroup, rules: &[LinuxDeviceCgroup], with_defaults: bool) -> Result<()> {
    // there mknod is impossible anyway, and the device cgroup closed to us
    if ahead::in_user_namespace() {
        return Ok(());
    }
    let mut wanted = State::default();
    for rule in rules {
        wanted.add(rule)?;
    }
    if with_defaults {
        wanted.add_defaults();
    }
    match cgroup.version() {
        Version::V1 => write_list(cgroup, &wanted, rules),
        Version::V2 => replace_program(cgroup, &wanted),
    }
    .doing(|| "set the device rules")
}

impl State {
    /// One more rule.
    fn add(&mut self, rule: &LinuxDeviceCgroup) -> Result<()> {
        let access = parse_access(rule.access().as_deref().unwrap_or_default())?;
        let kinds: &[bool] = match rule.typ().unwrap_or_default() {
            LinuxDeviceType::A => {
                *self = State { default_allow: rule.allow(), exceptions: BTreeMap::new() };
                return Ok(());
            }
            LinuxDeviceType::B => &[true],
            LinuxDeviceType::C | LinuxDeviceType::U => &[false],
            LinuxDeviceType::P => return Err(Error::invalid("a device rule for a pipe makes no sense: it has no numbers")),
        };
        let number = |value: Option<i64>| match value {
            None | Some(-1) => Ok(None),
            Some(value) => u32::try_from(value).map(Some).map_err(|_| Error::invalid(format!("device number {value}"))),
        };
        for is_block in kinds {
            let device = Device { is_block: *is_block, major: number(rule.major())?, minor: number(rule.minor())? };
            self.add_one(rule.allow(), device, access);
        }
        Ok(())
    }

    fn add_defaults(&mut self) {
        for is_block in [true, false] {
            self.add_one(true, Device { is_block, major: None, minor: None }, 1);
        }
        for (major, minor, access) in DEFAULTS {
            self.add_one(true, Device { is_block: false, major, minor }, access);
        }
    }

    /// The kernel's arithmetic: what agrees with the default removes an exception, what differs adds one.
    fn add_one(&mut self, allow: bool, device: Device, access: Access) {
        if allow == self.default_allow {
            if let Some(known) = self.exceptions.get_mut(&device) {
                *known &= !access;
                if *known == 0 {
                    self.exceptions.remove(&device);
                }
            }
        } else {
            *self.exceptions.entry(device).or_default() |= access;
        }
    }

    /// The state that v1's `devices.list` shows. The kernel shows a default of "allow" as one line and hides the
    /// exceptions from it.
    fn parse(list: &str) -> State {
        let mut state = State::default();
        for line in list.lines() {
            let mut words = line.split_whitespace();
            let (Some(kind), Some(numbers), Some(access)) = (words.next(), words.next(), words.next()) else { continue };
            if kind == "a" {
                return State { default_allow: true, exceptions: BTreeMap::new() };
            }
            let number = |text: &str| text.parse().ok();
            let (major, minor) = numbers.split_once(':').unwrap_or(("*", "*"));
            let device = Device { is_block: kind == "b", major: number(major), minor: number(minor) };
            state.add_one(true, device, parse_access(access).unwrap_or(0));
        }
        state
    }

    /// The lines that lead from this state to `wanted`: (file, line), widening before narrowing.
    fn steps_to(&self, wanted: &State) -> Vec<(&'static str, String)> {
        let (with, against) = match wanted.default_allow {
            true => ("devices.deny", "devices.allow"),
            false => ("devices.allow", "devices.deny"),
        };
        let mut steps = Vec::new();
        // Exceptions from "allow" are hidden, so a state that allows by default is never known whole: start over. So when
        // the default changes.
        let from = match self.default_allow || wanted.default_allow {
            true => {
                steps.push((if wanted.default_allow { "devices.allow" } else { "devices.deny" }, "a".to_string()));
                &BTreeMap::new()
            }
            false => &self.exceptions,
        };
        let line = |device: &Device, access: Access| format!("{device} {}", show_access(access));
        for (device, access) in &wanted.exceptions {
            let more = access & !from.get(device).copied().unwrap_or(0);
            if more != 0 {
                steps.push((with, line(device, more)));
            }
        }
        for (device, access) in from {
            let less = access & !wanted.exceptions.get(device).copied().unwrap_or(0);
            if less != 0 {
                steps.push((against, line(device, less)));
            }
        }
        steps
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = |n: Option<u32>| n.map_or("*".to_string(), |n| n.to_string());
        write!(f, "{} {}:{}", if self.is_block { 'b' } else { 'c' }, number(self.major), number(self.minor))
    }
}

fn parse_access(text: &str) -> Result<Access> {
    text.chars().try_fold(0, |access, letter| match letter {
        'm' => Ok(access | 1),
        'r' => Ok(access | 2),
        'w' => Ok(access | 4),
        // not in the specification, but in configurations of old: all of them
        'a' => Ok(access | 7),
        _ => Err(Error::invalid(format!("device access '{text}': letters are r, w and m"))),
    })
}

fn show_access(access: Access) -> String {
    [(2, 'r'), (4, 'w'), (1, 'm')].into_iter().filter(|(bit, _)| access & bit != 0).map(|(_, letter)| letter).collect()
}

#[track_caller]
fn write_list(cgroup: &Cgroup, wanted: &State, rules: &[LinuxDeviceCgroup]) -> Result<()> {
    let now = match cgroup.read("devices", "devices.list") {
        Ok(list) => State::parse(&list),
        Err(failed) => {
            return Err(failed).doing(|| "read devices.list").map_err(|e| e.hint("is the devices controller mounted?"));
        }
    };
    // The kernel lists the exceptions in the order they came: first what the user asked for, in the user's order.
    let place = |line: &str| rules.iter().position(|rule| is_about(rule, line)).unwrap_or(rules.len());
    let mut steps = now.steps_to(wanted);
    // "a" forgets all exceptions, so it comes before any of them
    steps.sort_by_key(|(file, line)| match (line.as_str(), *file) {
        ("a", _) => (0, 0),
        (_, "devices.deny") => (1, 0),
        _ => (2, place(line)),
    });
    for run in steps.chunk_by(|(one, _), (next, _)| one == next) {
        let file = run[0].0;
        let lines: Vec<String> = run.iter().map(|(_, line)| line.clone()).collect();
        let mut last = lines[0].clone();
        let written = cgroup.write_each("devices", file, &lines, &mut |line, answer| match answer {
            // Inside another container the group above may not have what we add for everybody. What the user asked for is
            // checked below.
            Err(failed) if failed.is(minidock_linux::errno::EPERM) && is_default(line) => Ok(()),
            answer => {
                last = line.to_string();
                answer
            }
        });
        written.doing(|| format!("write \"{last}\" into {file}"))?;
    }
    Ok(())
}

/// Whether a line of the kernel's files is about the device (not all devices) of a rule.
fn is_about(rule: &LinuxDeviceCgroup, line: &str) -> bool {
    let is_block = match rule.typ() {
        Some(LinuxDeviceType::B) => true,
        Some(LinuxDeviceType::C | LinuxDeviceType::U) => false,
        _ => return false,
    };
    let number = |value: Option<i64>| value.and_then(|value| u32::try_from(value).ok());
    line.starts_with(&format!("{} ", Device { is_block, major: number(rule.major()), minor: number(rule.minor()) }))
}

fn is_default(line: &str) -> bool {
    let mut defaults = State::default();
    defaults.add_defaults();
    defaults.exceptions.iter().any(|(device, access)| line == format!("{device} {}", show_access(*access)))
}

/// v2: puts the new program beside the old ones, then takes those off: in between both have to agree, so that nothing is
/// allowed that either forbids.
#[track_caller]
fn replace_program(cgroup: &Cgroup, wanted: &State) -> Result<()> {
    let Some(group) = cgroup.clone_into_fd().doing(|| "open the cgroup")? else { return Ok(()) };
    let program = device_filter::load(&program::of(wanted)).doing(|| "load the device program")?;
    let old = device_filter::attached(group.as_fd()).doing(|| "look for older device programs")?;
    device_filter::attach(group.as_fd(), &program).doing(|| "attach the device program")?;
    for program in &old {
        device_filter::detach(group.as_fd(), program).doing(|| "detach the older device program")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use minidock_linux::cgroup::Hierarchy;
    use std::{io::Read, path::Path};

    pub(super) fn state(rules: serde_json::Value, with_defaults: bool) -> State {
        let rules: Vec<LinuxDeviceCgroup> = serde_json::from_value(rules).expect("rules of ours");
        let mut state = State::default();
        rules.iter().for_each(|rule| state.add(rule).expect("good rules"));
        if with_defaults {
            state.add_defaults();
        }
        state
    }

    pub(super) fn docker() -> State {
        state(serde_json::json!([{"allow": false, "access": "rwm"}]), true)
    }

    #[test]
    fn a_fresh_group_is_narrowed_and_then_opened() {
        let steps = State::parse("a *:* rwm").steps_to(&docker());
        assert_eq!(steps[0], ("devices.deny", "a".into()));
        assert!(steps[1..].iter().all(|(file, _)| *file == "devices.allow"));
        assert!(steps.contains(&("devices.allow", "c 1:3 rwm".into())) && steps.contains(&("devices.allow", "b *:* m".into())));
        assert_eq!(steps.len(), 12);
    }

    #[test]
    fn an_update_writes_only_the_difference() {
        let list = "c 1:3 rwm\nb *:* m\nc 10:200 rwm\n";
        let rules = serde_json::json!([{"allow": true, "type": "c", "major": 1, "minor": 3, "access": "rwm"},
            {"allow": true, "type": "b", "access": "m"}, {"allow": true, "type": "c", "major": 10, "minor": 200, "access": "r"},
            {"allow": true, "type": "c", "major": 1, "minor": 8, "access": "r"}]);
        let steps = State::parse(list).steps_to(&state(rules, false));
        assert_eq!(steps, [("devices.allow", "c 1:8 r".into()), ("devices.deny", "c 10:200 wm".into())]);
        assert!(State::parse(list).steps_to(&State::parse(list)).is_empty());
        let open = state(serde_json::json!([{"allow": true, "type": "a", "access": "rwm"}]), true);
        assert_eq!(State::parse(list).steps_to(&open), [("devices.allow", "a".into())]);
    }

    #[test]
    fn nonsense_is_refused() {
        let add = |rule: serde_json::Value| State::default().add(&serde_json::from_value(rule).expect("a rule"));
        assert!(add(serde_json::json!({"allow": true, "type": "p", "access": "r"})).is_err());
        assert!(add(serde_json::json!({"allow": true, "type": "c", "access": "rx"})).is_err());
        assert!(add(serde_json::json!({"allow": true, "type": "c", "major": -7, "access": "r"})).is_err());
    }

    /// What a thread of a group finds when it opens a device for reading.
    fn open_in(cgroup: &Cgroup, device: &str) -> std::io::Result<usize> {
        let mut child = std::process::Command::new("sh");
        child.args(["-c", &format!("read go; head -c 1 {device}")]).stdin(std::process::Stdio::piped());
        let mut child = child.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::null()).spawn()?;
        cgroup.add(child.id() as i32).map_err(|failed| failed.to_io())?;
        drop(child.stdin.take());
        let mut bytes = Vec::new();
        child.stdout.take().expect("piped").read_to_end(&mut bytes)?;
        child.wait()?;
        Ok(bytes.len())
    }

    #[test]
    fn the_kernel_enforces_it_in_both_versions() {
        let hierarchies = [
            Hierarchy::detect().ok(),
            Path::new("/sys/fs/cgroup/unified/cgroup.procs")
                .exists()
                .then(|| Hierarchy::v2_at("/sys/fs/cgroup/unified".as_ref())),
        ];
        for hierarchy in hierarchies.into_iter().flatten() {
            let version = hierarchy.version();
            let parent = format!("/minidock-test-{}-devices", std::process::id());
            let cgroup = hierarchy.cgroup(Path::new(&parent));
            if let Err(failed) = cgroup.create() {
                eprintln!("SKIP: {failed}");
                continue;
            }
            let rules = serde_json::json!([{"allow": false, "access": "rwm"}]);
            let rules: Vec<LinuxDeviceCgroup> = serde_json::from_value(rules).expect("rules of ours");
            let applied = apply(&cgroup, &rules, true).and_then(|()| apply(&cgroup, &rules, true));
            let seen = applied.map(|()| (open_in(&cgroup, "/dev/zero"), open_in(&cgroup, "/dev/kmsg")));
            let open: Vec<LinuxDeviceCgroup> =
                serde_json::from_value(serde_json::json!([{"allow": true, "access": "rwm"}])).expect("rules of ours");
            let opened = apply(&cgroup, &open, false).map(|()| open_in(&cgroup, "/dev/zero"));
            let all_but = serde_json::json!([{"allow": true, "access": "rwm"},
                {"allow": false, "type": "c", "major": 1, "minor": 5, "access": "r"}]);
            let all_but: Vec<LinuxDeviceCgroup> = serde_json::from_value(all_but).expect("rules of ours");
            let zero_denied = apply(&cgroup, &all_but, false).map(|()| open_in(&cgroup, "/dev/zero"));
            let _ = (cgroup.kill(), cgroup.remove());
            let (zero, kmsg) = seen.unwrap_or_else(|e| panic!("{version:?}: {e}"));
            assert_eq!((zero.expect("runs"), kmsg.expect("runs")), (1, 0), "{version:?}");
            assert_eq!(opened.expect("widened").expect("runs"), 1, "{version:?}");
            assert_eq!(zero_denied.expect("narrowed").expect("runs"), 0, "{version:?}: all but one");
        }
    }
}
