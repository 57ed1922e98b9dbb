//! What to do with a packet, from facts alone.
//!
//! A flow that came in is *unconfirmed* until both ends have shown that they take part in it:
//! TCP by acknowledgement numbers, other protocols by packets in, out, and in again. Unconfirmed
//! flows live in a table of their own, so that a flood of openings evicts nothing that works.

mod beside;
mod inbound;
mod outbound;
mod proof;

use prroute_common::flow::{
    Flow, OTHER_REBIND_IDLE, Origin, SEEN_REFRESH, TCP_REBIND_IDLE, is_over,
};
use prroute_common::time::{Ticks, since};
use prroute_common::uplink::UplinkFacts;

use crate::parse::protocol;

pub use beside::{
    is_answered, is_preferred_in, is_preferred_out, may_be_superseded_in, may_be_superseded_out,
};
pub use inbound::{Arrival, Inbound, inbound, inbound_needs_flow};
pub use outbound::{Departure, Outbound, Write, outbound, outbound_needs_flow};

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

    /// As a word whose every bit is written, which an enum with a payload is not.
    #[inline(always)]
    pub const fn code(self) -> u32 {
        match self {
            Self::OwnedBy(owner) => owner as u32,
            Self::OwnedHere => OWNED_HERE,
            Self::Shared => SHARED,
            Self::NotLocal => NOT_LOCAL,
        }
    }

    /// From [`Locality::code`].
    #[inline(always)]
    pub const fn from_code(code: u32) -> Self {
        match code {
            OWNED_HERE => Self::OwnedHere,
            SHARED => Self::Shared,
            NOT_LOCAL => Self::NotLocal,
            owner => Self::OwnedBy(owner as u16),
        }
    }
}

const OWNED_HERE: u32 = 1 << 16;
const SHARED: u32 = 2 << 16;
const NOT_LOCAL: u32 = 3 << 16;

/// One uplink, at one time: its id and generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub uplink: u16,
    pub generation: u16,
}

impl Place {
    #[inline(always)]
    pub const fn of(uplink: &UplinkFacts) -> Self {
        Self { uplink: uplink.id, generation: uplink.generation }
    }
}

/// A flow that was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    pub flow: Flow,
    pub origin: Origin,
    /// Both ends take part in it.
    pub confirmed: bool,
    /// Nothing was heard of it for so long that it counts as none, but for datagrams: who sends
    /// the next one may be told by who was there before.
    pub is_aged: bool,
}

impl Known {
    /// An entry that no program wrote is none.
    #[inline(always)]
    pub fn from_entry(flow: Flow, confirmed: bool, protocol: u8, now: Ticks) -> Option<Self> {
        let origin = flow.origin()?;
        let is_aged = is_over(&flow, confirmed, protocol, now);
        Some(Self { flow, origin, confirmed, is_aged })
    }

    /// The uplink that replies of this flow leave by.
    #[inline(always)]
    pub const fn place(&self) -> Place {
        Place { uplink: self.flow.uplink(), generation: self.flow.generation() }
    }

    /// What becomes of this entry when it turns out that a SYN with its ports came in on `place` at
    /// that time. A SYN proves nothing: the host's own entry stays, and a confirmed one elsewhere.
    #[inline(always)]
    pub fn at_syn(&self, place: Place, time: Ticks) -> AtSyn {
        let silence = time.wrapping_sub(self.flow.last_in()).cast_signed();
        match self.origin {
            Origin::Host => AtSyn::Stays,
            Origin::Inbound if self.place() == place && silence > 0 => AtSyn::IsReplaced,
            Origin::Inbound if self.place() == place => AtSyn::Stays,
            Origin::Inbound if silence < TCP_REBIND_IDLE.cast_signed() => AtSyn::Stays,
            Origin::Inbound if self.confirmed => AtSyn::GetsAnother,
            Origin::Inbound => AtSyn::IsReplaced,
        }
    }

    /// Whether nothing came in from the recorded uplink for so long that another may have it.
    #[inline(always)]
    pub(crate) fn is_idle(&self, protocol: u8, now: Ticks) -> bool {
        let limit = if protocol == protocol::TCP { TCP_REBIND_IDLE } else { OTHER_REBIND_IDLE };
        since(now, self.flow.last_in()) >= limit
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

/// Whether a datagram that came in says nothing that its flow, as it was found, does not say: most of
/// a conversation's packets need no verdict. `here` must not note routers.
#[inline(always)]
pub fn is_settled_in(flow: &Flow, confirmed: bool, here: Place, now: Ticks) -> bool {
    let is_fresh = flow.last_in() != 0 && since(now, flow.last_in()) < SEEN_REFRESH;
    is_fresh && adds_only_time(flow, confirmed, here)
}

/// What such a datagram makes of its flow after a while, when all that it adds is a later time;
/// `None` where it takes a verdict.
#[inline(always)]
pub fn later_in(flow: &Flow, confirmed: bool, here: Place, now: Ticks) -> Option<Flow> {
    let lives = || !is_over(flow, confirmed, protocol::UDP, now);
    (adds_only_time(flow, confirmed, here) && lives()).then(|| flow.with_last_in(now))
}

/// Not where it confirms the flow: an answer to the host, or the second request. Nor where it answers
/// the host elsewhere than it was asked: that exposes the host's address.
#[inline(always)]
fn adds_only_time(flow: &Flow, confirmed: bool, here: Place) -> bool {
    let confirms = !confirmed && (flow.is_answered() || flow.origin() == Some(Origin::Host));
    let is_first_here = flow.origin() == Some(Origin::Host) && !flow.is_heard_here();
    // The socket of what is for nobody may be there by now.
    !confirms && !flow.is_for_nobody() && !is_first_here && flow.is_at(here.uplink, here.generation)
}

/// A flow that is opened by a packet that came in here.
#[inline(always)]
pub const fn opened_at(here: Place, now: Ticks) -> Flow {
    Flow::inbound(here.uplink, here.generation, now)
}

/// Where a datagram that is about to leave belongs, if it says nothing new of its flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// It takes a verdict.
    No,
    /// It leaves where it should.
    Here,
    /// It is a reply that leaves by another uplink.
    At(Place),
}

/// Likewise for a datagram that is about to leave.
#[inline(always)]
pub fn settled_out(flow: &Flow, confirmed: bool, here: Place, now: Ticks) -> Settled {
    let is_fresh = flow.last_out() != 0 && since(now, flow.last_out()) < SEEN_REFRESH;
    if !flow.is_answered() || !is_fresh || is_confirmed_by_host(flow, confirmed) {
        return Settled::No;
    }
    if flow.is_by_host_or_at(here.uplink, here.generation) {
        return Settled::Here;
    }
    match flow.origin() {
        Some(Origin::Inbound) if flow.router() == 0 => {
            Settled::At(Place { uplink: flow.uplink(), generation: flow.generation() })
        }
        _ => Settled::No,
    }
}

/// Whether the host's next datagram confirms its own flow.
#[inline(always)]
fn is_confirmed_by_host(flow: &Flow, confirmed: bool) -> bool {
    !confirmed && flow.origin() == Some(Origin::Host)
}

/// [`later_in`] for a datagram that is about to leave.
#[inline(always)]
pub fn later_out(flow: &Flow, confirmed: bool, here: Place, now: Ticks) -> Option<Flow> {
    let is_at_home = flow.is_answered() && flow.is_by_host_or_at(here.uplink, here.generation);
    let lives = || !is_over(flow, confirmed, protocol::UDP, now);
    let adds_only_time = is_at_home && !is_confirmed_by_host(flow, confirmed);
    (adds_only_time && lives()).then(|| flow.with_last_out(now))
}

/// Whether `new` says more than a slightly later time of the last packet.
#[inline(always)]
pub fn is_worth_writing(old: &Flow, new: &Flow) -> bool {
    !old.is_same_but_for_time(new)
        || since(new.last_in(), old.last_in()) >= SEEN_REFRESH
        || since(new.last_out(), old.last_out()) >= SEEN_REFRESH
}

/// Whether `number` lies in `first..=last` of TCP's circle.
#[inline(always)]
const fn is_between(number: u32, first: u32, last: u32) -> bool {
    let span = last.wrapping_sub(first);
    span < 1 << 31 && number.wrapping_sub(first) <= span
}
