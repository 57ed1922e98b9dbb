//! How many flows the tables hold.

/// Flows per family when the configuration names no number, at most: half of them confirmed TCP.
pub const MAX_DEFAULT_FLOWS: u32 = 262_144;

/// Confirmed flows are of TCP, or of what proves nothing: a table for each, of half the number.
pub const fn confirmed_entries(flows: u32) -> u32 {
    flows / 2
}

/// Unconfirmed flows, for a number of flows.
pub const fn unconfirmed_entries(flows: u32) -> u32 {
    flows / 4
}

/// Packets in fragments, of both families, whose way is remembered, for a number of flows.
pub const fn fragmented_packets(flows: u32) -> u32 {
    flows / 32
}

/// Before 6.16 a small LRU map evicts while nearly empty (d4adf1c9ee77): never fewer entries
/// than this per possible CPU.
pub const MIN_FLOWS_PER_CPU: u32 = 2048;
