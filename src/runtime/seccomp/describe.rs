//! # Describe: what a profile means, in words
//!
//! A profile of 360 names says little to a reader, and a program of 400 instructions nothing. [`describe`] prints what the
//! plan does in the order in which one would ask: what happens to calls that nobody named, which calls have conditions,
//! and then the others, by what happens to them.
//!
//! ```text
//! every call that is not named: EPERM
//! x86_64: 312 calls named
//!   above 469 (file_setattr): ENOSYS, as a kernel says that does not know the call
//!   clone: allow if (argument 0 & 0x7e020000) == 0x0, else EPERM
//!   ENOSYS: clone3
//!   allow: accept accept4 access …
//! calls of any other architecture: kill the process
//! ```
//!
//! `minidock runtime seccomp` prints it. See: seccomp(2). Next room: `crate::rootfs`

use super::rules::{self, Condition, Operator, Plan, Rule, Section, ret};
use minidock_base::Result;
use oci_spec::runtime::LinuxSeccomp;
use std::{collections::BTreeMap, fmt::Write};

/// The profile in words, one thing a line.
///
/// # Errors
/// As [`rules::plan`].
pub fn describe(seccomp: &LinuxSeccomp) -> Result<String> {
    let plan = rules::plan(seccomp)?;
    let mut text = format!("every call that is not named: {}\n", action(plan.default));
    for section in &plan.sections {
        describe_section(&mut text, section, &plan);
    }
    text.push_str("calls of any other architecture: kill the process\n");
    Ok(text)
}

fn describe_section(text: &mut String, section: &Section, plan: &Plan) {
    let tongue = section.tongue;
    let newest = tongue.newest();
    let _ = writeln!(text, "{}: {} calls named", tongue.name(), section.calls.len());
    if let Some(beyond) = section.beyond {
        let name = tongue.call(newest).unwrap_or("?");
        let _ = writeln!(text, "  above {newest} ({name}): {}, as a kernel says that does not know the call", action(beyond));
    }
    let mut plain: BTreeMap<u32, Vec<&str>> = BTreeMap::new();
    for (number, rules) in &section.calls {
        let name = tongue.call(*number).unwrap_or("?");
        match rules.as_slice() {
            [only] if only.conditions.is_empty() => plain.entry(only.action).or_default().push(name),
            several => {
                let alternatives: Vec<String> = several.iter().map(rule).collect();
                let _ = writeln!(text, "  {name}: {}, else {}", alternatives.join("; "), action(plan.default));
            }
        }
    }
    for (what, mut names) in plain {
        names.sort_unstable();
        let _ = writeln!(text, "  {}: {}", action(what), names.join(" "));
    }
}

fn rule(rule: &Rule) -> String {
    let conditions: Vec<String> = rule.conditions.iter().map(condition).collect();
    format!("{} if {}", action(rule.action), conditions.join(" and "))
}

fn condition(condition: &Condition) -> String {
    let (argument, value) = (format!("argument {}", condition.argument), condition.value);
    let operator = match condition.operator {
        Operator::NotEqual => "!=",
        Operator::Less => "<",
        Operator::LessOrEqual => "<=",
        Operator::Equal => "==",
        Operator::GreaterOrEqual => ">=",
        Operator::Greater => ">",
        Operator::MaskedEqual => return format!("({argument} & {:#x}) == {value:#x}", condition.mask),
    };
    format!("{argument} {operator} {value:#x}")
}

/// An answer in words: `EPERM`, `allow`.
pub fn action(answer: u32) -> String {
    let data = answer & 0xffff;
    match answer & 0xffff_0000 {
        ret::KILL_PROCESS => "kill the process".into(),
        ret::KILL_THREAD => "kill the thread".into(),
        ret::TRAP => "send SIGSYS".into(),
        ret::ERRNO => minidock_linux::errno::name(data as i32),
        ret::NOTIFY => "ask the agent".into(),
        ret::TRACE => format!("ask the tracer (message {data})"),
        ret::LOG => "allow and log".into(),
        ret::ALLOW => "allow".into(),
        _ => format!("{answer:#x}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_is_told_in_words() {
        let profile = serde_json::json!({"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [
            {"names": ["getpid", "close"], "action": "SCMP_ACT_ALLOW"},
            {"names": ["kill"], "action": "SCMP_ACT_ALLOW", "args": [
                {"index": 0, "value": 0x7000, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"},
                {"index": 1, "value": 9, "op": "SCMP_CMP_NE"}]},
        ]});
        let text = describe(&serde_json::from_value(profile).expect("a profile")).expect("a good one");
        assert!(text.starts_with("every call that is not named: EPERM\n"), "{text}");
        assert!(text.contains("\n  kill: allow if (argument 0 & 0x7000) == 0x0 and argument 1 != 0x9, else EPERM\n"), "{text}");
        assert!(text.contains("\n  allow: close getpid\n"), "{text}");
        assert!(text.contains(": ENOSYS, as a kernel says"), "{text}");
    }
}
