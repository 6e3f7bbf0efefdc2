//! # Compile: the plan as one program
//!
//! The program decides in three steps: which tongue (the architecture word, and bit 30 for x32), which call (binary
//! search over the numbers), which answer (comparisons of arguments, where a rule has conditions).
//!
//! ```text
//!        ld arch
//!        jeq x86_64 ──────────► ld nr
//!        jeq i386 ──► …         jge 0x40000000 ──► x32: …, or kill
//!        kill                   jge 257 ──► jge 334 ──► …            about log2(segments) comparisons
//!                               jge 92 ──► …
//!                               56 clone:  ld arg0 high … ld arg0 low; and 0x7e020000; jeq 0 ──► ALLOW, else ERRNO
//! ```
//!
//! Neighbouring numbers with the same answer are one *segment*, so 300 allowed calls are some 60 segments: the search is
//! six or seven comparisons deep. A 64-bit argument takes two loads, high word first.
//!
//! Laws: one program for all tongues and actions; calls from tongues that the profile does not list kill the process.
//! See: seccomp(2), Documentation/userspace-api/seccomp_filter.rst. Next room: [`super::assemble`]

use super::{
    assemble::{Assembler, Label, Test},
    rules::{self, Condition, Operator, Plan, Rule, Section, ret},
    table::{Tongue, X32_BIT},
};
use minidock_base::{Error, Result, error::Doing};
use minidock_linux::seccomp::{Filter, MAX_INSTRUCTIONS};
use oci_spec::runtime::LinuxSeccomp;

const OFFSET_NR: u32 = 0;
const OFFSET_ARCH: u32 = 4;
const OFFSET_ARGS: u32 = 16;

/// The filter for `linux.seccomp`.
///
/// # Errors
/// As [`rules::plan`]; and when the program would be longer than the kernel takes (4096 instructions).
pub fn compile(seccomp: &LinuxSeccomp) -> Result<Filter> {
    let plan = rules::plan(seccomp).doing(|| "compile the seccomp profile")?;
    let program = arrange(&plan);
    if program.len() > MAX_INSTRUCTIONS {
        return Err(Error::invalid(format!(
            "the seccomp profile needs {} instructions, the kernel takes {MAX_INSTRUCTIONS}",
            program.len()
        ))
        .hint("fewer architectures, or fewer rules with arguments"));
    }
    crate::log::debug(&format!("seccomp filter flags: {}", plan.flags));
    Ok(Filter { program, flags: plan.flags })
}

fn arrange(plan: &Plan) -> Vec<minidock_linux::seccomp::Instruction> {
    let mut asm = Assembler::default();
    let section = |tongue: Tongue| plan.sections.iter().find(|section| section.tongue == tongue);
    let mut entries: Vec<(u32, Label)> = Vec::new();
    for own in plan.sections.iter().filter(|section| section.tongue != Tongue::X32) {
        let entry = match own.tongue {
            Tongue::X86_64 => x86_64(&mut asm, own, section(Tongue::X32), plan.default),
            _ => {
                let root = search(&mut asm, own, plan.default);
                asm.continue_at(root);
                asm.load(OFFSET_NR)
            }
        };
        entries.push((own.tongue.audit(), entry));
    }
    let mut otherwise = asm.answer(ret::KILL_PROCESS);
    // written backwards: the native tongue, first in the plan, is asked for first
    for (audit, entry) in entries.iter().rev() {
        otherwise = asm.branch(Test::Equal, *audit, *entry, otherwise);
    }
    asm.load(OFFSET_ARCH);
    asm.finish()
}

/// x86_64 and x32 share an architecture word; bit 30 of the number tells them apart.
fn x86_64(asm: &mut Assembler, own: &Section, x32: Option<&Section>, default: u32) -> Label {
    let x32 = match x32 {
        Some(section) => search(asm, section, default),
        None => asm.answer(ret::KILL_PROCESS),
    };
    let native = search(asm, own, default);
    asm.branch(Test::GreaterOrEqual, X32_BIT, x32, native);
    asm.load(OFFSET_NR)
}

/// Numbers from `first` up to the next segment's share this leaf.
struct Segment<'a> {
    first: u32,
    leaf: Leaf<'a>,
}

#[derive(Clone, Copy, PartialEq)]
enum Leaf<'a> {
    Answer(u32),
    Checks(&'a [Rule]),
}

/// Cuts the numbers of a tongue into segments.
fn segments(section: &Section, default: u32) -> Vec<Segment<'_>> {
    let base = if section.tongue == Tongue::X32 { X32_BIT } else { 0 };
    let mut all = vec![Segment { first: base, leaf: Leaf::Answer(default) }];
    let mut put = |first: u32, leaf| {
        match all.last_mut() {
            // the last one was empty after all
            Some(last) if last.first == first => last.leaf = leaf,
            _ => all.push(Segment { first, leaf }),
        }
        let merge = all.len() >= 2 && all[all.len() - 2].leaf == leaf && !matches!(leaf, Leaf::Checks(_));
        if merge {
            all.pop();
        }
    };
    let newest = section.tongue.newest();
    for (number, rules) in &section.calls {
        let leaf = match rules.as_slice() {
            [only] if only.conditions.is_empty() => Leaf::Answer(only.action),
            checks => Leaf::Checks(checks),
        };
        put(*number, leaf);
        put(number + 1, Leaf::Answer(if *number >= newest { section.beyond.unwrap_or(default) } else { default }));
    }
    if let Some(beyond) = section.beyond
        && section.calls.keys().next_back().is_none_or(|last| *last < newest)
    {
        put(newest + 1, Leaf::Answer(beyond));
    }
    all
}

/// The binary search; the number is in the accumulator.
fn search(asm: &mut Assembler, section: &Section, default: u32) -> Label {
    let segments = segments(section, default);
    halve(asm, &segments, default)
}

fn halve(asm: &mut Assembler, segments: &[Segment<'_>], default: u32) -> Label {
    match segments {
        [] => asm.answer(default),
        [one] => match one.leaf {
            Leaf::Answer(answer) => asm.answer(answer),
            Leaf::Checks(rules) => checks(asm, rules, default),
        },
        _ => {
            let (below, above) = segments.split_at(segments.len() / 2);
            let high = halve(asm, above, default);
            let low = halve(asm, below, default);
            asm.branch(Test::GreaterOrEqual, above[0].first, high, low)
        }
    }
}

/// The rules of one call, tried in order; the default at their end.
fn checks(asm: &mut Assembler, rules: &[Rule], default: u32) -> Label {
    let mut otherwise = asm.answer(default);
    for rule in rules.iter().rev() {
        let mut next = asm.answer(rule.action);
        for condition in rule.conditions.iter().rev() {
            next = compare(asm, condition, next, otherwise);
        }
        otherwise = next;
    }
    otherwise
}

/// One comparison of 64 bits in two steps.
fn compare(asm: &mut Assembler, condition: &Condition, yes: Label, no: Label) -> Label {
    let at = OFFSET_ARGS + 8 * u32::from(condition.argument);
    let (low_at, high_at) = if cfg!(target_endian = "big") { (at + 4, at) } else { (at, at + 4) };
    let (high, low) = ((condition.value >> 32) as u32, condition.value as u32);
    let (mask_high, mask_low) = ((condition.mask >> 32) as u32, condition.mask as u32);
    // (what to ask of the high word when it is not equal, what to ask of the low word when it is)
    let (unequal, last, yes, no) = match condition.operator {
        Operator::Equal | Operator::MaskedEqual => (None, Test::Equal, yes, no),
        Operator::NotEqual => (None, Test::Equal, no, yes),
        Operator::Greater => (Some(Test::Greater), Test::Greater, yes, no),
        Operator::GreaterOrEqual => (Some(Test::Greater), Test::GreaterOrEqual, yes, no),
        // less is "not greater or equal"
        Operator::Less => (Some(Test::Greater), Test::GreaterOrEqual, no, yes),
        Operator::LessOrEqual => (Some(Test::Greater), Test::Greater, no, yes),
    };
    asm.branch(last, low, yes, no);
    if mask_low != u32::MAX {
        asm.and(mask_low);
    }
    let low_word = asm.load(low_at);
    if mask_high == 0 {
        return low_word;
    }
    let high_differs = match unequal {
        None => no,
        Some(test) => asm.branch(test, high, yes, no),
    };
    asm.branch(Test::Equal, high, low_word, high_differs);
    if mask_high != u32::MAX {
        asm.and(mask_high);
    }
    asm.load(high_at)
}
