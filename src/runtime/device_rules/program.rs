//! # Program: device rules as eBPF
//!
//! The kernel calls the program at every open and mknod of a device inside the group, with three words: kind and access,
//! major, minor. It answers 1 or 0. So the program is the list of exceptions, one block each, and the default at its end.
//!
//! ```text
//!   r2 = kind, r3 = access, r4 = major, r5 = minor
//!   if r2 != char   goto next          exception  c 1:3 rwm
//!   if r4 != 1      goto next
//!   if r5 != 3      goto next
//!   return 1
//!   next: …
//!   return 0                           the default
//! ```
//!
//! An exception from "deny" has to cover *all* the access that is wished, one from "allow" need only touch it: so answers
//! the kernel for v1. See: bpf(2), linux/bpf.h (`bpf_cgroup_dev_ctx`). Next room: [`crate::resources`]

use super::{ALL, State};
use minidock_linux::device_filter::Instruction;

// registers: 1 the context, 2 kind, 3 access, 4 major, 5 minor, 0 the answer
const LDX_W: u8 = 0x61;
const MOV32_REG: u8 = 0xbc;
const AND32_IMM: u8 = 0x54;
const RSH32_IMM: u8 = 0x74;
const JNE_IMM: u8 = 0x55;
const JEQ_IMM: u8 = 0x15;
const MOV64_IMM: u8 = 0xb7;
const EXIT: u8 = 0x95;

/// The eBPF program for a state.
pub fn of(state: &State) -> Vec<Instruction> {
    let line = |code: u8, to: u8, from: u8, offset: i16, immediate: i32| Instruction {
        code,
        registers: to | from << 4,
        offset,
        immediate,
    };
    let mut code = vec![
        line(LDX_W, 2, 1, 0, 0),     // r2 = access << 16 | kind
        line(MOV32_REG, 3, 2, 0, 0), // r3 = r2
        line(AND32_IMM, 2, 0, 0, 0xffff),
        line(RSH32_IMM, 3, 0, 0, 16),
        line(LDX_W, 4, 1, 4, 0), // r4 = major
        line(LDX_W, 5, 1, 8, 0), // r5 = minor
    ];
    for (device, access) in &state.exceptions {
        let mut tests = vec![line(JNE_IMM, 2, 0, 0, if device.is_block { 1 } else { 2 })];
        tests.extend(device.major.map(|major| line(JNE_IMM, 4, 0, 0, major as i32)));
        tests.extend(device.minor.map(|minor| line(JNE_IMM, 5, 0, 0, minor as i32)));
        if *access != ALL {
            // an exception from "deny" must cover all that is wished; one from "allow" need only touch it
            let (mask, test) = match state.default_allow {
                false => (i32::from(ALL & !access), JNE_IMM),
                true => (i32::from(*access), JEQ_IMM),
            };
            tests.push(line(MOV32_REG, 1, 3, 0, 0));
            tests.push(line(AND32_IMM, 1, 0, 0, mask));
            tests.push(line(test, 1, 0, 0, 0));
        }
        // every test that fails jumps behind the two lines that answer
        let length = tests.len() as i16;
        for (at, test) in tests.iter_mut().enumerate() {
            if matches!(test.code, JNE_IMM | JEQ_IMM) {
                test.offset = length - at as i16 - 1 + 2;
            }
        }
        code.extend(tests);
        code.extend([line(MOV64_IMM, 0, 0, 0, i32::from(!state.default_allow)), line(EXIT, 0, 0, 0, 0)]);
    }
    code.extend([line(MOV64_IMM, 0, 0, 0, i32::from(state.default_allow)), line(EXIT, 0, 0, 0, 0)]);
    code
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device_rules::tests::{docker, state};

    /// Runs a program by hand, as the kernel would.
    fn run(program: &[Instruction], kind: i32, major: i32, minor: i32, access: i32) -> i32 {
        let mut registers = [0i32; 16];
        let mut at = 0usize;
        loop {
            let line = program[at];
            let (to, from) = ((line.registers & 15) as usize, (line.registers >> 4) as usize);
            at += 1;
            let mut jump = |yes: bool| at += if yes { line.offset as usize } else { 0 };
            match line.code {
                LDX_W => registers[to] = [access << 16 | kind, major, minor][line.offset as usize / 4],
                MOV32_REG => registers[to] = registers[from],
                MOV64_IMM => registers[to] = line.immediate,
                AND32_IMM => registers[to] &= line.immediate,
                RSH32_IMM => registers[to] >>= line.immediate,
                JNE_IMM => jump(registers[to] != line.immediate),
                JEQ_IMM => jump(registers[to] == line.immediate),
                EXIT => return registers[0],
                code => panic!("instruction {code:#x}"),
            }
        }
    }

    #[test]
    fn the_program_of_v2_answers_as_v1_does() {
        let deny = of(&docker());
        let (block, char, make, read, write) = (1, 2, 1, 2, 4);
        assert_eq!(run(&deny, char, 1, 3, read | write | make), 1, "null");
        assert_eq!(run(&deny, char, 136, 42, read | write), 1, "any pts");
        assert_eq!(run(&deny, block, 8, 0, make), 1, "making is allowed");
        assert_eq!(run(&deny, block, 8, 0, read), 0, "opening is not");
        assert_eq!(run(&deny, char, 10, 229, make | read), 0, "both at once must both be allowed");
        let rules = serde_json::json!([{"allow": true, "access": "rwm"},
            {"allow": false, "type": "b", "major": 8, "access": "w"}, {"allow": false, "type": "c", "major": 1, "minor": 1, "access": "rwm"}]);
        let allow = of(&state(rules, false));
        assert_eq!((run(&allow, block, 8, 3, read), run(&allow, block, 8, 3, read | write)), (1, 0));
        assert_eq!((run(&allow, char, 1, 1, read), run(&allow, char, 1, 3, read)), (0, 1));
    }
}
