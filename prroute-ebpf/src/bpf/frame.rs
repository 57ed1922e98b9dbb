//! What is known of the packet at hand: a value per CPU and direction, because headers and key of IPv6
//! would not fit on the 512 bytes of stack that a program and its functions share.
//!
//! The functions of the slow path hand it on. What lies here the verifier does not follow: it walks each
//! function once, and not once for every way through the ones before. Both families use the same
//! form; an IPv4 address is the first word of an IPv6 one.
//!
//! A tc program is not interrupted by another one in the same direction on its CPU: both hooks
//! run with bottom halves off.

use core::ptr;

use aya_ebpf::macros::map;
use aya_ebpf::maps::PerCpuArray;
use prroute_common::flow::Flow;
use prroute_common::reason::Reason;
use prroute_ebpf::decide::{
    FlowEntry, InboundKind, InboundPacket, Locality, LocalityCode, OutboundKind, OutboundPacket,
    UplinkRef,
};
use prroute_ebpf::wire::parse::{LaterFragment, Segment};
use prroute_ebpf::wire::{Address6, Family};

use super::maps::Maps;

#[repr(C)]
pub(super) struct Frame {
    pub(super) family: Family,
    /// The fast path has looked, and no table has the flow.
    pub(super) has_no_flow: bool,
    pub(super) segment: Segment<Address6>,
    pub(super) fragment: LaterFragment<Address6>,
    key: [u64; KEY_WORDS],
    inbound: InboundPacket<LocalityCode>,
    outbound: OutboundPacket<LocalityCode>,
    pub(super) entry: FoundEntry,
    pub(super) write: PendingWrite,
    pub(super) target: RedirectTarget,
    /// On the way out: the target gets the packet if it is no reply.
    pub(super) sends_own: bool,
    /// On the way out: the target, which is this uplink, gets it for another gateway, without a flow.
    pub(super) changes_gateway: bool,
    /// On the way out, while packets are reported: how it gets to the target (`Delivery::code`).
    pub(super) delivery: u8,
    /// What an ICMP error quotes of the packet.
    pub(super) quoted: [u32; QUOTED_WORDS],
    /// Whether the flow was looked up, and then what was decided on its way in or out.
    pub(super) is_decided: bool,
    pub(super) came_in: InboundKind,
    pub(super) leaves: OutboundKind,
}

/// What an ICMP error quotes: IPv4's longest header, or IPv6's with a few extensions, and TCP's without
/// options. A packet whose checksum the device is to fill in cannot be cut before that checksum
/// (`__bpf_skb_min_len`); one that is too big for an uplink is longer than this.
pub(super) const QUOTED_WORDS: usize = 20;

/// An IPv6 key; one of IPv4 is the first two words.
const KEY_WORDS: usize = 5;

/// The entry of the packet's flow, as it was read.
#[repr(C)]
pub(super) struct FoundEntry {
    pub(super) flow: Flow,
    pub(super) table: Table,
    pub(super) is_aged: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub(super) enum Table {
    None = 0,
    Confirmed = 1,
    Unconfirmed = 2,
}

/// What is to be written of the packet's flow.
#[repr(C)]
pub(super) struct PendingWrite {
    pub(super) flow: Flow,
    pub(super) to: WriteTo,
    /// Counted when it is written, on this uplink, if it `is_counted`.
    pub(super) reason: Reason,
    pub(super) is_counted: bool,
    pub(super) uplink: u16,
}

#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub(super) enum WriteTo {
    Nothing = 0,
    /// The entry that was found, but for what is not worth it.
    Entry = 1,
    /// The entry that was found, all of it.
    EntryAnew = 2,
    /// A new unconfirmed entry.
    Unconfirmed = 3,
    /// The confirmed ones.
    Confirmed = 4,
}

/// Where a packet is redirected to.
#[derive(Clone, Copy)]
#[repr(C)]
pub(super) struct RedirectTarget {
    /// The router that its request came from, 0 when it was not noted.
    pub(super) router: u64,
    pub(super) uplink: UplinkRef,
    /// Counted when it is moved there.
    pub(super) reason: Reason,
}

/// Index of a direction.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub(super) enum Direction {
    In = 0,
    Out = 1,
}

#[map]
static FRAMES: PerCpuArray<Frame> = PerCpuArray::with_max_entries(2, 0);

impl Frame {
    #[inline(always)]
    pub(super) fn of(direction: Direction) -> Option<&'static mut Self> {
        // SAFETY: the element is this CPU's own, as said above; it is written before it is read.
        FRAMES.get_ptr_mut(direction as u32).map(|frame| unsafe { &mut *frame })
    }

    #[inline(always)]
    pub(super) fn set_inbound(&mut self, packet: &InboundPacket) {
        self.inbound = packet.map(Locality::code);
    }

    #[inline(always)]
    pub(super) fn inbound(&self) -> InboundPacket {
        self.inbound.map(Locality::from_code)
    }

    #[inline(always)]
    pub(super) fn set_outbound(&mut self, packet: &OutboundPacket) {
        self.outbound = packet.map(Locality::code);
    }

    #[inline(always)]
    pub(super) fn outbound(&self) -> OutboundPacket {
        self.outbound.map(Locality::from_code)
    }

    #[inline(always)]
    pub(super) fn set_key<F: Maps>(&mut self, key: F::Key) {
        const { assert!(size_of::<F::Key>() <= size_of::<[u64; KEY_WORDS]>()) };
        const { assert!(align_of::<F::Key>() <= align_of::<u64>()) };
        // SAFETY: the key fits, and integers may be written over integers.
        unsafe { ptr::from_mut(&mut self.key).cast::<F::Key>().write(key) };
    }

    #[inline(always)]
    pub(super) fn key<F: Maps>(&self) -> &F::Key {
        // SAFETY: as in `set_key`; the kernel reads the words that were written.
        unsafe { &*ptr::from_ref(&self.key).cast::<F::Key>() }
    }
}

impl FoundEntry {
    /// By words: the compiler would call a function to copy it.
    #[inline(always)]
    pub(super) fn set(&mut self, flow: Flow, table: Table, is_aged: bool) {
        (self.flow, self.table, self.is_aged) = (flow, table, is_aged);
    }

    /// As the decisions take it.
    #[inline(always)]
    pub(super) fn get(&self) -> Option<FlowEntry> {
        let (flow, table, is_aged) = (self.flow, self.table, self.is_aged);
        let origin = if table == Table::None { None } else { flow.origin() };
        Some(FlowEntry { flow, origin: origin?, confirmed: table == Table::Confirmed, is_aged })
    }
}

impl PendingWrite {
    /// `flow` is set already.
    #[inline(always)]
    pub(super) fn set(&mut self, to: WriteTo, uplink: u16, reason: Option<Reason>) {
        (self.to, self.uplink) = (to, uplink);
        self.is_counted = reason.is_some();
        if let Some(reason) = reason {
            self.reason = reason;
        }
    }
}
