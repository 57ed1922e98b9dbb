//! Uplinks as the datapath sees them.
//!
//! An uplink id is allocated once and never follows an ifindex. The path from a packet to its
//! uplink is two array lookups:
//!
//! ```text
//!   skb->ifindex --> IFINDEX_SLOTS[ifindex hash] --> UPLINK_FACTS[facts index]
//!   Flow.uplink  --> ACTIVE_FACTS[uplink id]     --> UPLINK_FACTS[facts index]
//! ```
//!
//! Each uplink owns two facts entries. The loader fills the one that is not in use and then
//! switches the index, which is a single word: no packet sees half-written facts.

use bytemuck::{Pod, Zeroable};

use crate::address::{Address4, Address6};

/// Uplink ids are `1..MAX_UPLINKS`; 0 means "none".
pub const MAX_UPLINKS: u32 = 256;

/// Facts entries: two per uplink id.
pub const MAX_FACTS: u32 = 2 * MAX_UPLINKS;

/// Slots of the ifindex table, a power of two.
pub const IFINDEX_SLOTS: u32 = 4096;

/// How many slots after the home slot an ifindex may be stored in.
pub const IFINDEX_PROBES: u32 = 4;

/// On-link prefixes per family, over all uplinks.
pub const MAX_ON_LINK: u32 = 4096;

/// Prefixes per family, over all uplinks, that `main` routes over an uplink: on-link ones and more
/// specific ones than a default route.
pub const MAX_MAIN_ROUTES: u32 = 16_384;

/// Addresses per uplink and family that are compared in line.
pub const INLINE_ADDRESSES: usize = 8;

/// On-link prefixes per uplink and family that are compared in line.
pub const INLINE_PREFIXES: usize = 2;

/// Gateways of subnets, beside the preferred one, per uplink and family.
pub const SUBNET_GATEWAYS: usize = 3;

/// A prefix as two words or more of bits. Zeroes hold every address: unused places have
/// [`Prefix::NONE4`] or [`Prefix::NONE6`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Zeroable)]
#[repr(C)]
pub struct Prefix<A> {
    pub address: A,
    pub mask: A,
}

// SAFETY: two words of the same size and alignment, without padding.
unsafe impl Pod for Prefix<Address4> {}
// SAFETY: as above.
unsafe impl Pod for Prefix<Address6> {}

impl Prefix<Address4> {
    /// Holds no address.
    pub const NONE4: Self = Self { address: !0, mask: 0 };

    #[inline(always)]
    pub const fn contains(&self, address: Address4) -> bool {
        address & self.mask == self.address
    }
}

impl Prefix<Address6> {
    /// Holds no address.
    pub const NONE6: Self = Self { address: [!0; 2], mask: [0; 2] };

    #[inline(always)]
    pub const fn contains(&self, address: Address6) -> bool {
        address[0] & self.mask[0] == self.address[0] && address[1] & self.mask[1] == self.address[1]
    }
}

/// The gateway of what has a source in a subnet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Zeroable)]
#[repr(C)]
pub struct SubnetGateway<A> {
    pub subnet: Prefix<A>,
    pub gateway: A,
}

// SAFETY: three words of the same size and alignment, without padding.
unsafe impl Pod for SubnetGateway<Address4> {}
// SAFETY: as above.
unsafe impl Pod for SubnetGateway<Address6> {}

impl SubnetGateway<Address4> {
    /// Of no source.
    pub const NONE4: Self = Self { subnet: Prefix::NONE4, gateway: 0 };
}

impl SubnetGateway<Address6> {
    /// Of no source.
    pub const NONE6: Self = Self { subnet: Prefix::NONE6, gateway: [0; 2] };
}

/// Where an interface's facts are: one word, so that it is read and written whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
#[repr(C, align(8))]
pub struct IfindexSlot {
    /// The interface this slot speaks of, 0 when empty.
    pub ifindex: u32,
    /// Index into the facts array, and [`Self::DISPLACED`].
    pub facts: u32,
}

const _: () = assert!(size_of::<IfindexSlot>() == 8);

impl IfindexSlot {
    /// An interface whose home slot this is has a later one: without the bit nobody has to look there for
    /// interfaces that are no uplinks. It stays when either is gone.
    pub const DISPLACED: u32 = 1 << 31;

    /// Whether it speaks of this interface, and of these facts.
    #[inline(always)]
    pub const fn is(&self, ifindex: u32, facts: u32) -> bool {
        self.ifindex == ifindex && self.facts & !Self::DISPLACED == facts
    }

    /// The slot with another interface in it, 0 for none.
    #[inline(always)]
    #[must_use]
    pub const fn with(self, ifindex: u32, facts: u32) -> Self {
        Self { ifindex, facts: facts | self.facts & Self::DISPLACED }
    }

    /// The slot for `ifindex` at the given probe, below [`IFINDEX_SLOTS`].
    #[inline(always)]
    pub const fn position(ifindex: u32, probe: u32) -> u32 {
        ifindex.wrapping_add(probe) & (IFINDEX_SLOTS - 1)
    }
}

/// [`UplinkFacts::flags`].
pub mod flag {
    /// Administratively up with carrier.
    pub const UP: u32 = 1 << 0;
    /// There is a usable next hop for IPv4.
    pub const GATEWAY4: u32 = 1 << 1;
    /// `gateway6` holds a usable next hop for IPv6.
    pub const GATEWAY6: u32 = 1 << 2;
    /// The next hop of IPv4 is `gateway4_via6`.
    pub const GATEWAY4_IS_V6: u32 = 1 << 3;
    /// IPv4 replies go to the link-layer address their request came from.
    pub const LAST_HOP4: u32 = 1 << 5;
    /// Likewise for IPv6.
    pub const LAST_HOP6: u32 = 1 << 6;
    /// `on-down = "hold"`: replies wait for this uplink rather than leave by another.
    pub const HOLD: u32 = 1 << 7;
    /// Another uplink has a larger MTU.
    pub const SMALLER: u32 = 1 << 8;
    /// On-link prefixes of IPv4 beyond those in the facts are in the trie.
    pub const MORE_ON_LINK4: u32 = 1 << 9;
    /// Likewise for IPv6.
    pub const MORE_ON_LINK6: u32 = 1 << 10;
    /// Prefixes of IPv4 are local by a route: they are in a trie.
    pub const LOCAL_PREFIXES4: u32 = 1 << 15;
    /// Likewise for IPv6.
    pub const LOCAL_PREFIXES6: u32 = 1 << 16;
    /// `subnet_gateways4` has entries.
    pub const SUBNET_GATEWAYS4: u32 = 1 << 11;
    /// Likewise for IPv6.
    pub const SUBNET_GATEWAYS6: u32 = 1 << 12;
    /// There are gateways of subnets: IPv4 replies from shared addresses, which are in none, go to the
    /// link-layer address their request came from.
    pub const SHARED_BY_LAST_HOP4: u32 = 1 << 13;
    /// Likewise for IPv6.
    pub const SHARED_BY_LAST_HOP6: u32 = 1 << 14;
    /// `own-source = "datapath"`: IPv4 packets of this host that have another uplink's address leave by
    /// that one, unless `main` routes their destination over this one more specifically than by default.
    pub const OWN_SOURCE4: u32 = 1 << 17;
    /// Likewise for IPv6.
    pub const OWN_SOURCE6: u32 = 1 << 18;
    /// `main` has IPv4 routes over this uplink that are no default routes, beside the on-link prefixes in
    /// the facts: they are in a trie.
    pub const MAIN_ROUTES4: u32 = 1 << 19;
    /// Likewise for IPv6.
    pub const MAIN_ROUTES6: u32 = 1 << 20;
    /// Somebody asks for reports of packets (`prroute monitor`). Whoever asks sets it, a program takes it away
    /// when nobody asks any more; the loader leaves it as it is.
    pub const TRACED: u32 = 1 << 21;
    /// `reply = "off"`: flows are not recorded on this uplink and not redirected to it.
    pub const REPLY_OFF: u32 = 1 << 4;
}

/// Everything a program needs to know about one uplink. What IPv4 packets need the usual way is in the
/// first line of memory (64 bytes), of IPv6 in that and the next ones: the array is mapped on a page, and
/// the value fills whole lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct UplinkFacts {
    /// Moves everything else: whoever takes one layout for the other reads nonsense.
    #[cfg(feature = "other-version")]
    pub moved: [u32; 16],
    pub ifindex: u32,
    /// The uplink id.
    pub id: u16,
    /// Raised when the id is bound to another device: older flows are stale.
    pub generation: u16,
    /// Bits of [`flag`].
    pub flags: u32,
    /// Largest network-layer packet in bytes.
    pub mtu: u32,
    /// Length of the link-layer header in bytes: 14 for Ethernet, 0 for layer-3 devices.
    pub link_header: u32,
    /// Next hop of IPv4, unless [`flag::GATEWAY4_IS_V6`] says that it is `gateway4_via6`.
    pub gateway4: Address4,
    /// What is reached without a gateway, as far as it fits.
    pub on_link4: [Prefix<Address4>; INLINE_PREFIXES],
    /// Owned IPv4 addresses.
    pub addresses4: [Address4; INLINE_ADDRESSES],
    /// Used entries of `addresses4`.
    pub count4: u32,
    /// Used entries of `addresses6`.
    pub count6: u32,
    /// The link-layer address in the low 48 bits, first octet lowest.
    pub mac: u64,
    pub gateway6: Address6,
    /// Owned IPv6 addresses.
    pub addresses6: [Address6; INLINE_ADDRESSES],
    pub on_link6: [Prefix<Address6>; INLINE_PREFIXES],
    /// Next hop of IPv4 that has an IPv6 address (RFC 5549 `via inet6`).
    pub gateway4_via6: Address6,
    /// Gateways of subnets that are not the preferred gateway's, and have a link-layer address.
    pub subnet_gateways6: [SubnetGateway<Address6>; SUBNET_GATEWAYS],
    pub subnet_gateways4: [SubnetGateway<Address4>; SUBNET_GATEWAYS],
    pub pad: [u32; 5],
}

#[cfg(not(feature = "other-version"))]
const _: () = assert!(size_of::<UplinkFacts>() == 512);

/// Which device an id was given to: flows refer to id and generation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct UplinkIdentity {
    /// 0: to none so far.
    pub ifindex: u32,
    /// As in [`UplinkFacts::generation`].
    pub generation: u16,
    pub pad: u16,
    /// As in [`UplinkFacts::mac`]; 0 for none.
    pub mac: u64,
}

const _: () = assert!(size_of::<UplinkIdentity>() == 16);

/// A link-layer address as [`UplinkFacts::mac`] and flows have it.
#[inline(always)]
pub const fn mac_word(octets: [u8; 6]) -> u64 {
    let [a, b, c, d, e, f] = octets;
    u64::from_le_bytes([a, b, c, d, e, f, 0, 0])
}

/// Whether a link-layer address is one host's: neither a group's (IEEE 802, the first octet's lowest
/// bit) nor none.
#[inline(always)]
pub const fn is_unicast(mac: u64) -> bool {
    mac != 0 && mac & 1 == 0
}

/// The octets of a link-layer address.
#[inline(always)]
pub const fn mac_octets(word: u64) -> [u8; 6] {
    let [a, b, c, d, e, f, _, _] = word.to_le_bytes();
    [a, b, c, d, e, f]
}

/// Key data of the tries of on-link prefixes and of `main`'s routes, behind the prefix length: uplink id, then address.
/// The prefix length counts the id's 32 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct OnLink4 {
    /// Uplink id in network byte order.
    pub uplink: [u8; 4],
    pub address: Address4,
}

const _: () = assert!(size_of::<OnLink4>() == 8);

impl OnLink4 {
    #[inline(always)]
    pub const fn new(uplink: u16, address: Address4) -> Self {
        Self { uplink: (uplink as u32).to_be_bytes(), address }
    }
}

/// See [`OnLink4`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct OnLink6 {
    /// Uplink id in network byte order.
    pub uplink: [u8; 4],
    /// Not [`Address6`]: its alignment would move it.
    pub address: [u32; 4],
}

const _: () = assert!(size_of::<OnLink6>() == 20);

impl OnLink6 {
    #[inline(always)]
    pub fn new(uplink: u16, address: Address6) -> Self {
        Self { uplink: u32::from(uplink).to_be_bytes(), address: bytemuck::cast(address) }
    }
}
