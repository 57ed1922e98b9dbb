//! That no program reads a byte of its stack which some way through it leaves unwritten: the compiler
//! keeps values there that are undefined on a way on which nobody uses them, and verifiers before
//! Linux 6.3 (6715df8d5d24) refuse to read them back.
//!
//! Bytes that are written by way of a pointer count as written from there on, up to 64 of them: that is
//! where helpers get keys and values from and put them.

use std::collections::BTreeMap;

use aya_obj::Object;
use aya_obj::generated::{
    BPF_ADD, BPF_ALU64, BPF_CALL, BPF_EXIT, BPF_JA, BPF_JMP, BPF_JMP32, BPF_LDX, BPF_MOV, BPF_ST,
    BPF_STX, bpf_insn,
};

use super::object::OBJECT;

/// Bytes of a stack frame, and how many of them a helper or another function may write.
const FRAME: i32 = 512;
const LARGEST: i32 = 64;

const REGISTERS: usize = 11;
const FRAME_POINTER: usize = 10;

/// Two slots: of 64 bits, and an immediate value of as many.
const LOAD_IMMEDIATE: u8 = 0x18;

/// What is known before an instruction.
#[derive(Clone, Debug, PartialEq, Eq)]
struct State {
    /// One bit for each byte below the frame pointer.
    written: [bool; FRAME as usize],
    /// Where in the frame each register points; `None`: not into it, as far as is known.
    pointers: [Option<i32>; REGISTERS],
}

impl State {
    fn at_entry() -> Self {
        let mut pointers = [None; REGISTERS];
        pointers[FRAME_POINTER] = Some(0);
        Self { written: [false; FRAME as usize], pointers }
    }

    fn write(&mut self, offset: i32, size: i32) {
        for byte in offset..offset + size {
            if let Some(written) = index(byte).and_then(|byte| self.written.get_mut(byte)) {
                *written = true;
            }
        }
    }

    fn has(&self, offset: i32, size: i32) -> bool {
        let is_written = |byte| index(byte).and_then(|byte| self.written.get(byte)) == Some(&true);
        (offset..offset + size).all(is_written)
    }

    /// What is known where two ways meet.
    fn meet(&self, other: &Self) -> Self {
        let mut met = self.clone();
        for (byte, written) in met.written.iter_mut().enumerate() {
            *written &= other.written[byte];
        }
        for (register, pointer) in met.pointers.iter_mut().enumerate() {
            *pointer = pointer.filter(|pointer| other.pointers[register] == Some(*pointer));
        }
        met
    }

    /// What is known after an instruction.
    fn after(mut self, instruction: &bpf_insn) -> Self {
        let (class, operation) = (class(instruction), u32::from(instruction.code) & 0xf0);
        let destination = usize::from(instruction.dst_reg());
        let source = usize::from(instruction.src_reg());
        let by_register = instruction.code & 0x08 != 0;
        match class {
            BPF_ST | BPF_STX => {
                if let Some(pointer) = self.pointers[destination] {
                    self.write(pointer + i32::from(instruction.off), size(instruction));
                }
            }
            BPF_ALU64 if operation == BPF_MOV && by_register => {
                self.pointers[destination] = self.pointers[source];
            }
            BPF_ALU64 if operation == BPF_ADD && !by_register => {
                self.pointers[destination] =
                    self.pointers[destination].map(|pointer| pointer + instruction.imm);
            }
            BPF_JMP if operation == BPF_CALL => {
                let arguments = self.pointers;
                for pointer in arguments[1..=5].iter().flatten() {
                    self.write(*pointer, LARGEST.min(-pointer));
                }
                self.pointers[..=5].fill(None);
            }
            BPF_JMP | BPF_JMP32 => {}
            _ => self.pointers[destination] = None,
        }
        self
    }
}

/// The place of a byte of the frame in [`State::written`].
fn index(byte: i32) -> Option<usize> {
    usize::try_from(FRAME + byte).ok()
}

fn class(instruction: &bpf_insn) -> u32 {
    u32::from(instruction.code) & 0x07
}

/// How many bytes are read or written.
fn size(instruction: &bpf_insn) -> i32 {
    match instruction.code & 0x18 {
        0x00 => 4,
        0x08 => 2,
        0x10 => 1,
        _ => 8,
    }
}

/// Where it may go on after the instruction at `at`.
fn next(instruction: &bpf_insn, at: usize) -> Vec<usize> {
    let to = |distance: i32| at.wrapping_add(1).wrapping_add_signed(distance as isize);
    let operation = u32::from(instruction.code) & 0xf0;
    match class(instruction) {
        _ if instruction.code == LOAD_IMMEDIATE => vec![at + 2],
        BPF_JMP | BPF_JMP32 if operation == BPF_EXIT => Vec::new(),
        BPF_JMP | BPF_JMP32 if operation == BPF_CALL => vec![at + 1],
        BPF_JMP if operation == BPF_JA => vec![to(i32::from(instruction.off))],
        BPF_JMP32 if operation == BPF_JA => vec![to(instruction.imm)],
        BPF_JMP | BPF_JMP32 => vec![at + 1, to(i32::from(instruction.off))],
        _ => vec![at + 1],
    }
}

/// The instructions that read what is not written on every way to them, with the offset in the frame.
fn unwritten_reads(function: &[bpf_insn]) -> Vec<(usize, i32)> {
    let mut known: BTreeMap<usize, State> = BTreeMap::from([(0, State::at_entry())]);
    let mut changed = vec![0];
    while let Some(at) = changed.pop() {
        let (Some(instruction), Some(state)) = (function.get(at), known.get(&at)) else { continue };
        let after = state.clone().after(instruction);
        for next in next(instruction, at) {
            let met = known.get(&next).map_or_else(|| after.clone(), |there| there.meet(&after));
            if known.get(&next) != Some(&met) {
                known.insert(next, met);
                changed.push(next);
            }
        }
    }
    let reads = known.iter().filter_map(|(at, state)| {
        let instruction = function.get(*at).filter(|it| class(it) == BPF_LDX)?;
        let pointer = state.pointers[usize::from(instruction.src_reg())]?;
        let offset = pointer + i32::from(instruction.off);
        (!state.has(offset, size(instruction))).then_some((*at, offset))
    });
    reads.collect()
}

#[test]
fn no_program_reads_what_it_may_not_have_written() {
    let object = Object::parse(OBJECT).unwrap();
    assert!(!object.functions.is_empty());
    for function in object.functions.values() {
        let reads = unwritten_reads(&function.instructions);
        assert!(reads.is_empty(), "{}: instruction and offset {reads:?}", function.name);
    }
}

#[test]
fn a_value_that_one_way_leaves_unwritten_is_found_where_it_is_read() {
    const STORE: u8 = 0x7b;
    const LOAD: u8 = 0x79;
    let of = |code: u8, (destination, source): (u8, u8), off: i16| {
        // SAFETY: an instruction is eight bytes, each of whose values is valid.
        let mut instruction = bpf_insn { code, off, ..unsafe { std::mem::zeroed() } };
        instruction.set_dst_reg(destination);
        instruction.set_src_reg(source);
        instruction
    };
    // Unless the first argument is 0, it goes to the stack; and back it comes in any case.
    let jump = of(0x15, (1, 0), 1);
    let (store, load, exit) = (of(STORE, (10, 1), -8), of(LOAD, (0, 10), -8), of(0x95, (0, 0), 0));
    assert_eq!(unwritten_reads(&[jump, store, load, exit]), [(2, -8)]);
    assert_eq!(unwritten_reads(&[store, jump, load, load, exit]), []);
    // Half of it.
    let narrow = of(0x63, (10, 1), -8);
    assert_eq!(unwritten_reads(&[narrow, load, exit]), [(1, -8)]);
    // By a pointer that a helper gets.
    let (copy, mut below) = (of(0xbf, (2, 10), 0), of(0x07, (2, 0), 0));
    below.imm = -8;
    let call = of(0x85, (0, 0), 0);
    assert_eq!(unwritten_reads(&[copy, below, call, load, exit]), []);
    assert_eq!(unwritten_reads(&[call, load, exit]), [(1, -8)]);
}
