//! Openings: SYNs that came in on the owner of their address. A word each in an array, see
//! `prroute_ebpf::opening`.

/// Words of openings, a power of two.
pub const SLOTS: u32 = 1 << 16;

/// The array's last element: what the words are hashed with, a number that nobody else knows. The loader
/// keeps it there; 0 for none yet.
pub const SECRET: u32 = SLOTS;

/// Elements of the array.
pub const ELEMENTS: u32 = SLOTS + 1;
