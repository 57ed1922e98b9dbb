//! A program run on one packet, which goes nowhere (BPF_PROG_TEST_RUN).

use std::os::fd::BorrowedFd;

use anyhow::{Context as _, Result};

use super::{bpf, raw};

const BPF_PROG_TEST_RUN: u32 = 10;

/// `attr` of BPF_PROG_TEST_RUN.
#[repr(C)]
#[derive(Default)]
struct TestRun {
    prog_fd: u32,
    retval: u32,
    data_size_in: u32,
    data_size_out: u32,
    data_in: u64,
    data_out: u64,
    repeat: u32,
    duration: u32,
    ctx_size_in: u32,
    ctx_size_out: u32,
    ctx_in: u64,
    ctx_out: u64,
    flags: u32,
    cpu: u32,
    batch_size: u32,
    pad: u32,
}

/// Runs a program `times` times on one frame; what it returned last.
pub fn run(program: BorrowedFd<'_>, frame: &[u8], times: u32) -> Result<i32> {
    let mut attr = TestRun {
        prog_fd: raw(program),
        data_size_in: u32::try_from(frame.len()).context("measure a frame")?,
        data_in: frame.as_ptr() as u64,
        repeat: times,
        ..TestRun::default()
    };
    bpf(BPF_PROG_TEST_RUN, &mut attr).context("BPF_PROG_TEST_RUN")?;
    Ok(attr.retval.cast_signed())
}

/// Likewise, of a packet on the device `ifindex` of this thread's namespace.
pub fn run_on(program: BorrowedFd<'_>, ifindex: u32, frame: &[u8], times: u32) -> Result<i32> {
    // `struct __sk_buff`, of which the rest stays zero.
    let mut context = [0_u32; 48];
    context[10] = ifindex;
    let mut attr = TestRun {
        prog_fd: raw(program),
        data_size_in: u32::try_from(frame.len()).context("measure a frame")?,
        data_in: frame.as_ptr() as u64,
        repeat: times,
        ctx_size_in: size_of_val(&context) as u32,
        ctx_in: context.as_ptr() as u64,
        ..TestRun::default()
    };
    bpf(BPF_PROG_TEST_RUN, &mut attr).context("BPF_PROG_TEST_RUN")?;
    Ok(attr.retval.cast_signed())
}
