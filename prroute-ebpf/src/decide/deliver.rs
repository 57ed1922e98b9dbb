//! How a packet gets to the uplink that was decided.
//!
//! Once a redirect helper has accepted a packet the kernel can only deliver or drop it, so everything
//! that can be wrong is checked here.

use prroute_common::reason::Reason;
use prroute_common::uplink::{UplinkFacts, flag};

use crate::wire::{Wire, gateway_of_source};

/// A packet on its way to an uplink.
#[derive(Clone, Copy, Debug)]
pub struct Redirect<'a, F: Wire> {
    pub target: &'a UplinkFacts,
    pub source: &'a F::Address,
    /// The router that its request came from, 0 when it was not noted.
    pub router: u64,
    /// Of its largest network-layer packet, in bytes.
    pub size: u32,
    /// It is about to leave by the target as it is.
    pub is_there: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// It goes where it should.
    Stay,
    /// The kernel's own way, counted under this reason.
    Leave(Reason),
    /// Likewise, unless the target's configuration says that packets wait for it.
    LeaveOrHold(Reason),
    /// To the destination itself.
    Direct,
    /// To the gateway of its source's subnet.
    SubnetGateway,
    /// To the uplink's gateway.
    Gateway,
    /// Out of a device without link-layer addresses.
    Device,
    /// To the router that its request came from, ...
    Router,
    /// ... on the uplink that it leaves by anyway: only the link-layer address is another.
    Readdress,
}

/// [`Delivery::code`] of what leaves the kernel's own way, and the reason's number.
const LEAVES: u8 = 64;
const LEAVES_OR_HELD: u8 = 128;

impl Delivery {
    /// A number for it, never 0.
    #[inline(always)]
    pub const fn code(self) -> u8 {
        match self {
            Self::Stay => 1,
            Self::Direct => 2,
            Self::SubnetGateway => 3,
            Self::Gateway => 4,
            Self::Device => 5,
            Self::Router => 6,
            Self::Readdress => 7,
            Self::Leave(reason) => LEAVES + reason as u8,
            Self::LeaveOrHold(reason) => LEAVES_OR_HELD + reason as u8,
        }
    }

    pub fn from_code(code: u8) -> Option<Self> {
        let reason = |from: u8| Reason::ALL.get(usize::from(code - from)).copied();
        match code {
            1 => Some(Self::Stay),
            2 => Some(Self::Direct),
            3 => Some(Self::SubnetGateway),
            4 => Some(Self::Gateway),
            5 => Some(Self::Device),
            6 => Some(Self::Router),
            7 => Some(Self::Readdress),
            LEAVES_OR_HELD.. => reason(LEAVES_OR_HELD).map(Self::LeaveOrHold),
            LEAVES.. => reason(LEAVES).map(Self::Leave),
            _ => None,
        }
    }
}

/// Chooses. `is_up` says whether the target's device can carry packets, `is_on_link` whether the
/// destination is on its link.
#[inline(always)]
pub fn choose<F: Wire>(
    redirect: &Redirect<'_, F>,
    is_up: impl FnOnce() -> bool,
    is_on_link: impl FnOnce() -> bool,
) -> Delivery {
    let Redirect { target, is_there, .. } = *redirect;
    if !is_up() {
        return Delivery::LeaveOrHold(Reason::UplinkDown);
    }
    let by_last_hop = target.flags & F::NOTES_ROUTERS != 0 && redirect.router != 0;
    let is_on_link = is_on_link();
    let has_own_gateway = || gateway_of_source::<F>(target, redirect.source).is_some();
    if is_there {
        return match () {
            () if is_on_link => Delivery::Stay,
            () if by_last_hop => Delivery::Readdress,
            () if has_own_gateway() => Delivery::SubnetGateway,
            () => Delivery::Stay,
        };
    }
    if redirect.size > target.mtu {
        return Delivery::Leave(Reason::TooBig);
    }
    match () {
        () if target.link_header == 0 => Delivery::Device,
        () if is_on_link => Delivery::Direct,
        () if by_last_hop => Delivery::Router,
        () if has_own_gateway() => Delivery::SubnetGateway,
        () if target.flags & F::HAS_GATEWAY != 0 => Delivery::Gateway,
        () => Delivery::LeaveOrHold(Reason::NoNextHop),
    }
}

/// Whether a packet that cannot be carried is dropped instead of going another way.
#[inline(always)]
pub fn holds(target: &UplinkFacts) -> bool {
    target.flags & flag::HOLD != 0
}
