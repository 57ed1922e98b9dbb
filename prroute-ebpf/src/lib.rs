//! # prroute-ebpf
//!
//! The pure half of the datapath: bytes to headers and flow keys ([`wire`]), facts to decisions
//! ([`decide`]). No map, no helper; the same code runs in the kernel and in the host's tests. The binary
//! beside it fetches the facts from the kernel, and carries out what is decided.
#![no_std]

pub mod decide;
pub mod wire;
