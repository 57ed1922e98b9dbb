//! What is known of a packet that came in, and what may become of its flow.

use prroute_common::flow::Flow;
use prroute_common::time::Ticks;

use crate::decide::{Locality, UplinkRef};
use crate::wire::parse::{Kind, Numbers};

/// A packet that came in.
#[derive(Clone, Copy, Debug)]
pub struct InboundPacket<L = Locality> {
    pub kind: Kind,
    pub protocol: u8,
    pub tcp: Numbers,
    /// Bytes behind the transport header.
    pub payload: u32,
    pub destination: L,
    pub here: UplinkRef,
    /// The link-layer address it came from, 0 where that is not noted.
    pub router: u64,
    /// It is for a port that the kernel gives to clients.
    pub to_client_port: bool,
    pub now: Ticks,
}

impl<L: Copy> InboundPacket<L> {
    /// With its destination's locality in another form.
    #[inline(always)]
    pub fn map<M>(&self, form: impl Fn(L) -> M) -> InboundPacket<M> {
        InboundPacket {
            kind: self.kind,
            protocol: self.protocol,
            tcp: self.tcp,
            payload: self.payload,
            destination: form(self.destination),
            here: self.here,
            router: self.router,
            to_client_port: self.to_client_port,
            now: self.now,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inbound {
    Pass,
    /// Record as unconfirmed: opened inbound, here.
    Open(Flow),
    /// Record as unconfirmed, in the middle of a TCP connection.
    Adopt(Flow),
    /// The flow is known here: write what is new.
    Refresh(Flow),
    /// Record as confirmed.
    Confirm(Flow),
    /// The flow moves here from another uplink.
    Rebind(Flow),
    /// The flow lives on another uplink and stays there.
    RefuseRebind,
}

/// An [`Inbound`] without its flow, as the programs keep it in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum InboundKind {
    Pass = 0,
    Open = 1,
    Adopt = 2,
    Refresh = 3,
    Confirm = 4,
    Rebind = 5,
    RefuseRebind = 6,
}

impl Inbound {
    #[inline(always)]
    pub const fn kind(&self) -> InboundKind {
        match self {
            Self::Pass => InboundKind::Pass,
            Self::Open(_) => InboundKind::Open,
            Self::Adopt(_) => InboundKind::Adopt,
            Self::Refresh(_) => InboundKind::Refresh,
            Self::Confirm(_) => InboundKind::Confirm,
            Self::Rebind(_) => InboundKind::Rebind,
            Self::RefuseRebind => InboundKind::RefuseRebind,
        }
    }

    /// What is written.
    #[inline(always)]
    pub const fn flow(&self) -> Option<&Flow> {
        match self {
            Self::Open(flow)
            | Self::Adopt(flow)
            | Self::Refresh(flow)
            | Self::Confirm(flow)
            | Self::Rebind(flow) => Some(flow),
            Self::Pass | Self::RefuseRebind => None,
        }
    }
}

impl InboundKind {
    pub const ALL: [Self; 7] = [
        Self::Pass,
        Self::Open,
        Self::Adopt,
        Self::Refresh,
        Self::Confirm,
        Self::Rebind,
        Self::RefuseRebind,
    ];

    /// What the decision log says. No table: an array of strings is one of pointers, which a BPF program
    /// cannot have.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Open => "record",
            Self::Adopt => "adopt",
            Self::Refresh => "known here",
            Self::Confirm => "confirm",
            Self::Rebind => "rebind here",
            Self::RefuseRebind => "stays on its uplink",
        }
    }
}
