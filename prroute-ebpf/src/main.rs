//! # prroute-bpf
//!
//! The object that the loader embeds: one ingress and one egress classifier.
#![cfg_attr(target_arch = "bpf", no_std, no_main)]

#[cfg(target_arch = "bpf")]
mod bpf;

/// The programs exist for the BPF target only; this keeps host builds of the workspace whole.
#[cfg(not(target_arch = "bpf"))]
fn main() {}
