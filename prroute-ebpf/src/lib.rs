//! # prroute-ebpf
//!
//! The pure half of the datapath: bytes to headers ([`parse`]), headers to flow key ([`key`]),
//! facts to verdict ([`verdict`]), openings to words ([`opening`]), questions to answers
//! ([`source`]). No map, no helper; the same code runs in the kernel and in the host's tests. The binary
//! beside it holds what only exists in the kernel.
#![no_std]

pub mod family;
pub mod key;
pub mod opening;
pub mod packet;
pub mod parse;
pub mod source;
pub mod verdict;
