//! Whether replies can leave by the uplink that their flow is bound to, as the programs decide it.

use std::net::IpAddr;

use prroute_common::address::{address4, address6};
use prroute_common::reason::Reason;
use prroute_common::uplink::{UplinkFacts, flag};
use prroute_ebpf::decide::deliver::{Delivery, Redirect, choose, holds};
use prroute_ebpf::wire::{Ipv4, Ipv6, Wire};

use crate::state::uplink::{Ifindex, UplinkId};

/// An uplink, as the programs know it.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    pub(super) facts: UplinkFacts,
    /// The kernel has its device.
    pub(super) is_there: bool,
}

/// Why replies do not leave by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Obstacle {
    /// Its id has come to another device, or nobody knows it.
    Gone,
    Down,
    NoNextHop,
    /// `reply = "off"`.
    Off,
}

impl Obstacle {
    /// Its name in reports: that of the counter, where there is one.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gone => Reason::UplinkGone.name(),
            Self::Down => Reason::UplinkDown.name(),
            Self::NoNextHop => Reason::NoNextHop.name(),
            Self::Off => "reply_off",
        }
    }
}

impl Target {
    pub const fn id(&self) -> UplinkId {
        UplinkId(self.facts.id)
    }

    pub const fn generation(&self) -> u16 {
        self.facts.generation
    }

    /// Its device, also when that is gone.
    pub const fn ifindex(&self) -> Ifindex {
        Ifindex(self.facts.ifindex)
    }

    /// Whether it seems to be no uplink any more (`facts::retired`): one that is down, with neither gateway nor
    /// address, looks the same.
    pub const fn is_retired(&self) -> bool {
        let UplinkFacts { flags, count4, count6, .. } = self.facts;
        flags & !flag::TRACED == 0 && count4 == 0 && count6 == 0
    }

    /// Whether replies wait for it rather than leave by another one.
    pub fn holds(&self) -> bool {
        holds(&self.facts)
    }

    /// What keeps replies from `local` to `remote` from leaving by it; `None`: nothing does. `router` is the
    /// link-layer address that was noted of the flow; `is_on_link` says whether a destination is on one of
    /// the uplink's prefixes of which its facts do not have all.
    pub fn obstacle(
        &self,
        local: IpAddr,
        remote: IpAddr,
        router: u64,
        is_on_link: impl FnOnce() -> bool,
    ) -> Option<Obstacle> {
        if self.facts.flags & flag::REPLY_OFF != 0 {
            return Some(Obstacle::Off);
        }
        let delivery = match (local, remote) {
            (IpAddr::V4(local), IpAddr::V4(remote)) => {
                let (local, remote) = (address4(local.octets()), address4(remote.octets()));
                self.delivery::<Ipv4>(local, remote, router, is_on_link)
            }
            (IpAddr::V6(local), IpAddr::V6(remote)) => {
                let (local, remote) = (address6(local.octets()), address6(remote.octets()));
                self.delivery::<Ipv6>(local, remote, router, is_on_link)
            }
            _ => return None,
        };
        match delivery {
            Delivery::LeaveOrHold(Reason::UplinkDown) => Some(Obstacle::Down),
            Delivery::LeaveOrHold(_) => Some(Obstacle::NoNextHop),
            _ => None,
        }
    }

    /// Of a small packet that is about to leave by another uplink.
    fn delivery<F: Wire>(
        &self,
        source: F::Address,
        destination: F::Address,
        router: u64,
        is_on_link: impl FnOnce() -> bool,
    ) -> Delivery {
        let target = &self.facts;
        let packet = Redirect::<F> { target, source: &source, router, size: 0, is_there: false };
        let has_more = target.flags & F::MORE_ON_LINK != 0;
        choose(
            &packet,
            || target.flags & flag::UP != 0 && self.is_there,
            || F::is_inline_on_link(target, destination) || (has_more && is_on_link()),
        )
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use bytemuck::Zeroable as _;
    use prroute_common::uplink::{INLINE_PREFIXES, Prefix};

    const CLIENT: &str = "198.51.100.7";

    fn target(flags: u32) -> Target {
        let facts = UplinkFacts {
            id: 1,
            generation: 1,
            flags,
            mtu: 1500,
            link_header: 14,
            on_link4: [Prefix::NONE4; INLINE_PREFIXES],
            on_link6: [Prefix::NONE6; INLINE_PREFIXES],
            ..UplinkFacts::zeroed()
        };
        Target { facts, is_there: true }
    }

    /// Uplink 1 of generation 1, with gateways.
    pub(crate) fn usable() -> Target {
        target(flag::UP | flag::GATEWAY4 | flag::GATEWAY6)
    }

    pub(crate) fn down() -> Target {
        target(flag::GATEWAY4 | flag::GATEWAY6)
    }

    fn obstacle(target: &Target, router: u64) -> Option<Obstacle> {
        let (local, remote) = ("192.0.2.1".parse().unwrap(), CLIENT.parse().unwrap());
        target.obstacle(local, remote, router, || true)
    }

    #[test]
    fn an_uplink_is_usable_that_the_programs_would_send_to() {
        assert_eq!(obstacle(&target(flag::UP | flag::GATEWAY4), 0), None);
        assert_eq!(obstacle(&target(flag::GATEWAY4), 0), Some(Obstacle::Down));
        let deleted = Target { is_there: false, ..target(flag::UP | flag::GATEWAY4) };
        assert_eq!(obstacle(&deleted, 0), Some(Obstacle::Down));
        // A gateway of the other family is none.
        assert_eq!(obstacle(&target(flag::UP | flag::GATEWAY6), 0), Some(Obstacle::NoNextHop));
        let off = target(flag::UP | flag::GATEWAY4 | flag::REPLY_OFF);
        assert_eq!(obstacle(&off, 0), Some(Obstacle::Off));
    }

    #[test]
    fn without_a_gateway_the_router_the_link_or_no_link_layer_will_do() {
        let by_last_hop = target(flag::UP | flag::LAST_HOP4);
        assert_eq!(obstacle(&by_last_hop, 2), None);
        assert_eq!(obstacle(&by_last_hop, 0), Some(Obstacle::NoNextHop), "none was noted");
        let mut tunnel = target(flag::UP);
        tunnel.facts.link_header = 0;
        assert_eq!(obstacle(&tunnel, 0), None);
        let mut neighbour = target(flag::UP);
        let address = address4([198, 51, 100, 0]);
        neighbour.facts.on_link4[0] = Prefix { address, mask: address4([255, 255, 255, 0]) };
        assert_eq!(obstacle(&neighbour, 0), None);
        assert_eq!(obstacle(&target(flag::UP | flag::MORE_ON_LINK4), 0), None);
    }
}
