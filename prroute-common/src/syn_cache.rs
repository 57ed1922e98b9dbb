//! The SYN cache: SYNs that came in on the owner of their address, one word in a slot each; see
//! `prroute_ebpf::decide::syn_cache`. Its layout and size belong to [`crate::LAYOUT_VERSION`].

/// Slots of one word, a power of two.
pub const SLOTS: u32 = 1 << 16;

/// Numbers of 32 bits that nobody else knows, with which keys are hashed: one for each of IPv6's words.
pub const KEYS: usize = 10;

/// What [`KEYS`] are kept in.
pub const SECRET_WORDS: usize = KEYS / 2;

/// Elements of the array: behind the slots the loader keeps the secret. 0 for none yet.
pub const ELEMENTS: u32 = SLOTS + SECRET_WORDS as u32;
