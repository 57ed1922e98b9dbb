//! What to do with a packet, from facts alone.

use prroute_common::flow::{
    Binding, Flow, OTHER_IDLE, OTHER_REBIND_IDLE, Origin, Seen, TCP_IDLE, TCP_REBIND_IDLE,
};
use prroute_common::time::{Ticks, since};

use crate::parse::{Kind, protocol};

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

/// One uplink, at one time: its id and generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub uplink: u16,
    pub generation: u16,
}

/// A flow as it was found: an entry that is too old, or that no program wrote, is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    pub binding: Binding,
    pub seen: Seen,
}

impl Found {
    #[inline(always)]
    pub fn from_entry(entry: Flow, protocol: u8, now: Ticks) -> Option<Self> {
        let found =
            Self { binding: Binding::unpack(entry.binding)?, seen: Seen::unpack(entry.seen) };
        let limit = if protocol == protocol::TCP { TCP_IDLE } else { OTHER_IDLE };
        if found.seen.idle(now) > limit {
            return None;
        }
        Some(found)
    }

    /// The uplink that replies of this flow leave by.
    #[inline(always)]
    pub const fn place(&self) -> Place {
        Place { uplink: self.binding.uplink, generation: self.binding.generation }
    }

    /// Whether nothing came in from the recorded uplink for so long that another may have it.
    #[inline(always)]
    fn is_rebindable(&self, protocol: u8, now: Ticks) -> bool {
        let limit = if protocol == protocol::TCP { TCP_REBIND_IDLE } else { OTHER_REBIND_IDLE };
        since(now, self.seen.inbound) >= limit
    }
}

/// For a packet that came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inbound {
    Pass,
    /// Record: opened inbound, here.
    Open,
    /// The flow is known here: note that it lives.
    Refresh,
    /// The flow moves here from another uplink.
    Rebind,
    /// The flow lives on another uplink and stays there.
    RefuseRebind,
}

impl Inbound {
    /// For the decision log.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Open => "record",
            Self::Refresh => "known here",
            Self::Rebind => "rebind here",
            Self::RefuseRebind => "stays on its uplink",
        }
    }
}

/// Whether a packet coming in needs its flow at all.
#[inline(always)]
pub fn inbound_needs_flow(kind: Kind, destination: Locality, exposed: bool) -> bool {
    match (kind, destination) {
        (_, Locality::NotLocal) | (Kind::EchoReply, _) => false,
        (Kind::Tcp, Locality::OwnedHere) => exposed,
        _ => true,
    }
}

/// Decides for a packet that came in at `here`. `recorded_is_up` says whether the uplink of a
/// flow that is bound elsewhere still exists and is up.
#[inline(always)]
pub fn inbound(
    kind: Kind,
    protocol: u8,
    found: Option<Found>,
    here: Place,
    recorded_is_up: bool,
    now: Ticks,
) -> Inbound {
    // The answers to the host's own requests open nothing (R3).
    let opens = matches!(kind, Kind::TcpOpening | Kind::EchoRequest | Kind::Datagram);
    let Some(found) = found else {
        return if opens { Inbound::Open } else { Inbound::Pass };
    };
    if found.binding.origin == Origin::Host {
        // A new connection may take over the ports of a finished one; a datagram proves nothing.
        let reused = kind == Kind::TcpOpening && found.seen.idle(now) >= TCP_REBIND_IDLE;
        return if reused { Inbound::Open } else { Inbound::Refresh };
    }
    if found.place() == here {
        return Inbound::Refresh;
    }
    if !recorded_is_up {
        return Inbound::Rebind;
    }
    // Without its sequence numbers only an opening shows that a TCP flow begins anew.
    if found.is_rebindable(protocol, now) && opens {
        return Inbound::Rebind;
    }
    Inbound::RefuseRebind
}

/// For a packet that is about to leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outbound {
    Pass,
    /// Record: opened by this host; passes.
    OpenByHost,
    /// The flow leaves by the right uplink, or is the host's own: note that it lives; passes.
    Refresh,
    /// A reply: leaves by the uplink its flow came in on.
    Reply(Place),
    /// A forwarded reply without a record: leaves by the owner of its source address.
    ToOwner(u16),
}

impl Outbound {
    /// For the decision log.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::OpenByHost => "record as the host's own",
            Self::Refresh => "right as it is",
            Self::Reply(_) => "reply, to its uplink",
            Self::ToOwner(_) => "reply, to the owner of its source",
        }
    }
}

/// Whether a packet about to leave needs its flow at all.
#[inline(always)]
pub fn outbound_needs_flow(kind: Kind, source: Locality, exposed: bool) -> bool {
    match (kind, source) {
        (_, Locality::NotLocal) | (Kind::EchoRequest, _) => false,
        (Kind::TcpOpening | Kind::Tcp, Locality::OwnedHere) => exposed,
        _ => true,
    }
}

/// Decides for a packet that is about to leave by `here`. `forwarded` says that it came in
/// through another interface.
#[inline(always)]
pub fn outbound(
    kind: Kind,
    source: Locality,
    found: Option<Found>,
    here: Place,
    forwarded: bool,
) -> Outbound {
    if kind == Kind::TcpOpening {
        // Never redirected. The record keeps its answers from being taken for a request.
        return match found {
            Some(Found { binding: Binding { origin: Origin::Host, .. }, .. }) => Outbound::Refresh,
            _ => Outbound::OpenByHost,
        };
    }
    match found {
        Some(found) if found.binding.origin == Origin::Host => Outbound::Refresh,
        Some(found) if found.place() == here => Outbound::Refresh,
        Some(found) => Outbound::Reply(found.place()),
        None => match source {
            Locality::OwnedBy(owner) if forwarded => Outbound::ToOwner(owner),
            _ if kind == Kind::Datagram => Outbound::OpenByHost,
            _ => Outbound::Pass,
        },
    }
}
