//! # Assemble: classic BPF, written from the end
//!
//! A filter program may only jump forward, and a conditional jump has eight bits for each of its two distances. Writing it
//! *backwards* makes both easy: when a jump is written, everything it can jump to is there already, so its distance is known;
//! and if that is more than 255, an unconditional jump (32 bits) is put in between, or, for an answer, the answer is
//! simply written again.
//!
//! ```text
//!   program order          order of writing
//!     jge 257, …   ▲            5
//!     jeq 59, …    │            4
//!     ja  far      │            3   only if needed
//!     ret ALLOW    │            2
//!     ret ERRNO    │            1
//! ```
//!
//! A [`Label`] counts instructions from the end, so it stays true however much is put in front.
//! See: Documentation/networking/filter.rst. Next room: [`super::compile`]

use minidock_linux::seccomp::Instruction;
use std::collections::HashMap;

/// A place in the program, counted from its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Label(usize);

/// How a conditional jump compares the accumulator with its operand, unsigned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Test {
    Equal,
    Greater,
    GreaterOrEqual,
}

// codes of linux/bpf_common.h: class | size or operation | mode or source
const LD_W_ABS: u16 = 0x20;
const ALU_AND_K: u16 = 0x54;
const JMP_JA: u16 = 0x05;
const JMP_JEQ_K: u16 = 0x15;
const JMP_JGT_K: u16 = 0x25;
const JMP_JGE_K: u16 = 0x35;
const RET_K: u16 = 0x06;

/// A program in the making, last instruction first.
#[derive(Default)]
pub struct Assembler {
    reversed: Vec<Instruction>,
    answers: HashMap<u32, Label>,
}

impl Assembler {
    /// Returns `value`; written once for all jumps that can reach it.
    pub fn answer(&mut self, value: u32) -> Label {
        match self.answers.get(&value) {
            // a margin, for the jump that is about to be written may need a second one in front of it
            Some(label) if self.distance(*label) < 250 => *label,
            _ => {
                let label = self.write(RET_K, 0, 0, value);
                self.answers.insert(value, label);
                label
            }
        }
    }

    /// Loads 32 bits of `seccomp_data` at `offset`, then goes on with what was written last.
    pub fn load(&mut self, offset: u32) -> Label {
        self.write(LD_W_ABS, 0, 0, offset)
    }

    /// Keeps the bits of `mask` in the accumulator.
    pub fn and(&mut self, mask: u32) -> Label {
        self.write(ALU_AND_K, 0, 0, mask)
    }

    /// Goes to `target` wherever it is.
    pub fn jump(&mut self, target: Label) -> Label {
        let distance = self.distance(target) as u32;
        self.write(JMP_JA, 0, 0, distance)
    }

    /// Goes on at `next`: nothing to write when that is what was written last.
    pub fn continue_at(&mut self, next: Label) {
        if self.distance(next) != 0 {
            self.jump(next);
        }
    }

    /// Compares and goes one of two ways.
    pub fn branch(&mut self, test: Test, operand: u32, if_true: Label, if_false: Label) -> Label {
        // a jump put in between for one way makes the other way longer by one, hence 254
        let if_true = if self.distance(if_true) > 254 { self.jump(if_true) } else { if_true };
        let if_false = if self.distance(if_false) > 255 { self.jump(if_false) } else { if_false };
        let code = match test {
            Test::Equal => JMP_JEQ_K,
            Test::Greater => JMP_JGT_K,
            Test::GreaterOrEqual => JMP_JGE_K,
        };
        let (yes, no) = (self.distance(if_true) as u8, self.distance(if_false) as u8);
        self.write(code, yes, no, operand)
    }

    /// The program in the order in which it runs.
    pub fn finish(mut self) -> Vec<Instruction> {
        self.reversed.reverse();
        self.reversed
    }

    /// How many instructions lie between the next one to be written and `label`.
    fn distance(&self, label: Label) -> usize {
        self.reversed.len() - label.0
    }

    fn write(&mut self, code: u16, if_true: u8, if_false: u8, operand: u32) -> Label {
        self.reversed.push(Instruction { code, if_true, if_false, operand });
        Label(self.reversed.len())
    }
}
