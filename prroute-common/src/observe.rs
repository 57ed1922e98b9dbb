//! What is counted where packets are only observed (`mode = "observe"`).

use bytemuck::{Pod, Zeroable};

use crate::address::Address6;

/// Which service's replies left by the wrong uplink, and which ones that were. The value is a number of
/// packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Pod, Zeroable)]
#[repr(C)]
pub struct WrongUplinkKey {
    /// The host's address; one of IPv4 is the first word.
    pub address: Address6,
    /// Its port; 0 for ICMP, and for fragments that have none.
    pub port: [u8; 2],
    pub protocol: u8,
    /// 4 or 6.
    pub version: u8,
    /// Ids of the uplinks.
    pub left_by: u16,
    pub belongs_on: u16,
}

const _: () = assert!(size_of::<WrongUplinkKey>() == 24);

/// Entries, on a machine with so many processors: the kernel hands them to each in lots of 128.
pub const fn wrong_uplinks(cpus: u32) -> u32 {
    const FEWEST: u32 = 4096;
    let entries = if cpus > FEWEST / 256 { cpus.saturating_mul(256) } else { FEWEST };
    match entries.checked_next_power_of_two() {
        Some(entries) => entries,
        None => FEWEST,
    }
}
