//! What to do with a packet, from facts alone: which entry is its flow's, what is written of it, and
//! where the packet goes. [`fast`] gives the same answers from less, or says that it cannot.
//!
//! A flow that came in is *unconfirmed* until both ends have shown that they take part in it:
//! TCP by acknowledgement numbers, other protocols by packets in, out, and in again. Unconfirmed
//! flows live in a table of their own, so that a flood of first packets evicts nothing that works.

mod beside;
mod closing;
mod confirm;
pub mod deliver;
pub mod fast;
mod inbound;
mod outbound;
mod proof;
pub mod syn_cache;
pub mod udp_origin;

use prroute_common::flow::{
    Flow, OTHER_REBIND_IDLE, Origin, SEEN_REFRESH, TCP_REBIND_IDLE, is_over,
};
use prroute_common::time::{Ticks, is_within};
use prroute_common::uplink::UplinkFacts;

use crate::wire::parse::protocol;

pub use beside::{
    is_answered, is_preferred_aged, is_preferred_in, is_preferred_out, may_be_superseded_in,
    may_be_superseded_out,
};
pub use inbound::{Inbound, InboundKind, InboundPacket, inbound, inbound_needs_flow};
pub use outbound::{
    Outbound, OutboundKind, OutboundPacket, Write, outbound, outbound_needs_flow, owner_for_own,
};

/// Whose address it is, seen from the uplink the packet is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Locality {
    /// This uplink's own.
    OwnedHere,
    /// Owned by the uplink with this id.
    OwnedBy(u16),
    /// On several uplinks, or on an interface that is no uplink.
    Shared,
    /// Not an address of this host.
    NotLocal,
}

impl Locality {
    #[inline(always)]
    pub const fn is_owned(self) -> bool {
        matches!(self, Self::OwnedHere | Self::OwnedBy(_))
    }

    /// Of an address of this host, seen from uplink `here`; an owner of 0 is none.
    #[inline(always)]
    pub const fn of_owner(owner: u32, here: u16) -> Self {
        match owner {
            0 => Self::Shared,
            _ if owner == here as u32 => Self::OwnedHere,
            _ => Self::OwnedBy(owner as u16),
        }
    }

    #[inline(always)]
    pub const fn code(self) -> LocalityCode {
        LocalityCode(match self {
            Self::OwnedBy(owner) => owner as u32,
            Self::OwnedHere => OWNED_HERE,
            Self::Shared => SHARED,
            Self::NotLocal => NOT_LOCAL,
        })
    }

    #[inline(always)]
    pub const fn from_code(code: LocalityCode) -> Self {
        match code.0 {
            OWNED_HERE => Self::OwnedHere,
            SHARED => Self::Shared,
            NOT_LOCAL => Self::NotLocal,
            owner => Self::OwnedBy(owner as u16),
        }
    }
}

/// A [`Locality`] as a word whose every bit is written, which an enum with a payload is not: that is
/// what the programs keep in memory and return from functions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub struct LocalityCode(u32);

const OWNED_HERE: u32 = 1 << 16;
const SHARED: u32 = 2 << 16;
const NOT_LOCAL: u32 = 3 << 16;

/// An uplink that a flow is bound to: an id that comes to another device gets another generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UplinkRef {
    pub id: u16,
    pub generation: u16,
}

impl UplinkRef {
    #[inline(always)]
    pub const fn of(uplink: &UplinkFacts) -> Self {
        Self { id: uplink.id, generation: uplink.generation }
    }
}

/// What a table has for a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowEntry {
    pub flow: Flow,
    pub origin: Origin,
    /// Both ends take part in it.
    pub confirmed: bool,
    /// Nothing was heard of it for so long that it counts as none, but for datagrams: who sends
    /// the next one may be told by who was there before.
    pub is_aged: bool,
}

impl FlowEntry {
    /// An entry that no program wrote is none.
    #[inline(always)]
    pub fn new(flow: Flow, confirmed: bool, protocol: u8, now: Ticks) -> Option<Self> {
        let origin = flow.origin()?;
        let is_aged = is_over(&flow, confirmed, protocol, now);
        Some(Self { flow, origin, confirmed, is_aged })
    }

    /// The uplink that replies of this flow leave by.
    #[inline(always)]
    pub const fn uplink(&self) -> UplinkRef {
        UplinkRef { id: self.flow.uplink(), generation: self.flow.generation() }
    }

    /// What becomes of this entry when it turns out that a SYN with its ports came in on `place` at
    /// that time. A SYN proves nothing: the host's own entry stays, and a confirmed one elsewhere.
    #[inline(always)]
    pub fn at_syn(&self, place: UplinkRef, time: Ticks) -> AtSyn {
        let silence = time.wrapping_sub(self.flow.last_in()).cast_signed();
        match self.origin {
            Origin::Host => AtSyn::Stays,
            Origin::Inbound if self.uplink() == place && silence > 0 => AtSyn::IsReplaced,
            Origin::Inbound if self.uplink() == place => AtSyn::Stays,
            Origin::Inbound if silence < TCP_REBIND_IDLE.cast_signed() => AtSyn::Stays,
            Origin::Inbound if self.confirmed => AtSyn::GetsAnother,
            Origin::Inbound => AtSyn::IsReplaced,
        }
    }

    /// Whether nothing came in from the recorded uplink for so long that another may have it.
    #[inline(always)]
    pub(crate) fn is_idle(&self, protocol: u8, now: Ticks) -> bool {
        let limit = if protocol == protocol::TCP { TCP_REBIND_IDLE } else { OTHER_REBIND_IDLE };
        !is_within(now, self.flow.last_in(), limit)
    }
}

/// What a SYN does to the entry of its ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AtSyn {
    /// It is of this SYN or newer, or may not be replaced.
    Stays,
    IsReplaced,
    /// A new one is recorded beside it.
    GetsAnother,
}

/// A flow that is opened by a packet that came in here.
#[inline(always)]
pub const fn opened_at(here: UplinkRef, now: Ticks) -> Flow {
    Flow::inbound(here.id, here.generation, now)
}

/// What is written of `new`, where the table has `old`: a slightly later time alone is not.
#[inline(always)]
pub fn worth_writing(old: &Flow, new: &Flow) -> Flow {
    let is_later = !is_within(new.last_in(), old.last_in(), SEEN_REFRESH)
        || !is_within(new.last_out(), old.last_out(), SEEN_REFRESH);
    if is_later { *new } else { new.with_times_of(old) }
}

/// Whether `number` lies in `first..=last` of TCP's circle.
#[inline(always)]
const fn is_between(number: u32, first: u32, last: u32) -> bool {
    let span = last.wrapping_sub(first);
    span < 1 << 31 && number.wrapping_sub(first) <= span
}
