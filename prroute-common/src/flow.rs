//! Flows: the key on the wire, and what is remembered of it.

use bytemuck::{Pod, Zeroable};

use crate::time::{Ticks, seconds, since};

/// A flow of IPv4, as seen on the wire of the uplinks.
///
/// ICMP echo uses its identifier as `local_port` and 0 as `remote_port`: only flows in which
/// the host is asked have such a key. Protocols without ports use 0 for both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Pod, Zeroable)]
#[repr(C)]
pub struct FlowKey4 {
    pub local: [u8; 4],
    pub remote: [u8; 4],
    pub local_port: [u8; 2],
    pub remote_port: [u8; 2],
    pub protocol: u8,
    pub pad: [u8; 3],
}

const _: () = assert!(size_of::<FlowKey4>() == 16);

/// A flow of IPv6; see [`FlowKey4`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Pod, Zeroable)]
#[repr(C)]
pub struct FlowKey6 {
    pub local: [u8; 16],
    pub remote: [u8; 16],
    pub local_port: [u8; 2],
    pub remote_port: [u8; 2],
    pub protocol: u8,
    pub pad: [u8; 3],
}

const _: () = assert!(size_of::<FlowKey6>() == 40);

/// Who sent the first packet of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The remote end: replies are kept on the uplink.
    Inbound,
    /// This host, or a guest behind it: never moved.
    Host,
}

/// Where a flow belongs. Packed into one word, so that it is read and written whole:
///
/// ```text
///   63       48 47       32 31        8 7      0
///  +-----------+-----------+-----------+--------+
///  | (zero)    | generation|  uplink   | origin |
///  +-----------+-----------+-----------+--------+
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Binding {
    pub origin: Origin,
    /// Uplink id; for [`Origin::Host`] the uplink the first packet left by.
    pub uplink: u16,
    /// Generation of that uplink when the flow was bound.
    pub generation: u16,
}

const ORIGIN_INBOUND: u64 = 1;
const ORIGIN_HOST: u64 = 2;

impl Binding {
    #[inline(always)]
    pub const fn pack(self) -> u64 {
        let origin = match self.origin {
            Origin::Inbound => ORIGIN_INBOUND,
            Origin::Host => ORIGIN_HOST,
        };
        origin | (self.uplink as u64) << 8 | (self.generation as u64) << 32
    }

    /// `None` for a word that no program of this layout wrote.
    #[inline(always)]
    pub const fn unpack(word: u64) -> Option<Self> {
        let origin = match word & 0xff {
            ORIGIN_INBOUND => Origin::Inbound,
            ORIGIN_HOST => Origin::Host,
            _ => return None,
        };
        Some(Self { origin, uplink: (word >> 8) as u16, generation: (word >> 32) as u16 })
    }
}

/// When a flow last had a packet, each way. Packed into one word like [`Binding`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Last packet in, on the recorded uplink.
    pub inbound: Ticks,
    /// Last packet out.
    pub outbound: Ticks,
}

impl Seen {
    #[inline(always)]
    pub const fn pack(self) -> u64 {
        self.inbound as u64 | (self.outbound as u64) << 32
    }

    #[inline(always)]
    pub const fn unpack(word: u64) -> Self {
        Self { inbound: word as u32, outbound: (word >> 32) as u32 }
    }

    /// Ticks since the last packet either way.
    #[inline(always)]
    pub const fn idle(self, now: Ticks) -> Ticks {
        let (inbound, outbound) = (since(now, self.inbound), since(now, self.outbound));
        if self.outbound == 0 || inbound < outbound { inbound } else { outbound }
    }
}

/// Value of the flow maps: two words, each valid on its own, because another CPU may recycle
/// the element between two reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct Flow {
    /// A packed [`Binding`].
    pub binding: u64,
    /// A packed [`Seen`].
    pub seen: u64,
}

const _: () = assert!(size_of::<Flow>() == 16);

/// `seen` is written at most this often: a store dirties the cache line of every CPU.
pub const SEEN_REFRESH: Ticks = seconds(1) / 4;

/// A TCP flow without packets from its uplink for this long may be bound to another one.
pub const TCP_REBIND_IDLE: Ticks = seconds(3);

/// Likewise for every other protocol.
pub const OTHER_REBIND_IDLE: Ticks = seconds(30);

/// An entry without packets for this long is as good as none (TCP).
pub const TCP_IDLE: Ticks = seconds(2 * 3600);

/// Likewise for every other protocol.
pub const OTHER_IDLE: Ticks = seconds(180);

/// Entries per family when the configuration names no other number.
pub const DEFAULT_FLOWS: u32 = 262_144;

/// Before 6.16 a small LRU map evicts while nearly empty (d4adf1c9ee77): never fewer entries
/// than this per possible CPU.
pub const MIN_FLOWS_PER_CPU: u32 = 2048;
