//! # prroute-oracle
//!
//! What must hold for any bytes on their way from packet to decision: nothing panics, what
//! etherparse reads is read the same, what the fast path answers is what the slow path answers, and no
//! decision breaks a rule, whatever is known of the flow. [`check`] is asked by the fuzzer (`prroute-ebpf/fuzz`), by properties over generated
//! packets, and for the corpus that the fuzzer left, which also runs through the programs in the
//! kernel.

pub mod corpus;
mod facts;
mod fast_path;
pub mod frame;
pub mod generate;
mod reference;
mod rules;
pub mod sequence;

use prroute_ebpf::wire::{Ipv4, Ipv6};

pub use facts::{FACTS, Facts};
pub use sequence::check_sequence;

/// Where the network header starts.
pub const ETHERNET: usize = 14;

/// Checks one input: [`FACTS`] bytes of what is known besides the packet, and the frame.
///
/// # Errors
///
/// Says what does not hold.
pub fn check(input: &[u8]) -> Result<(), String> {
    let Some((facts, frame)) = Facts::take(input) else { return Ok(()) };
    // The programs are told the family by the kernel, which has it from the EtherType: whatever
    // follows must do no harm.
    reference::check(frame)?;
    rules::check::<Ipv4>(&facts, frame)?;
    rules::check::<Ipv6>(&facts, frame)
}
