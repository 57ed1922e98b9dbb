//! Gateways that are still in force although others are wanted: they stay so until those are
//! resolved.

use std::net::IpAddr;

use super::observed::{Family, Observed};
use super::uplink::{Uplink, UplinkId, WayOut};
use crate::state::gateways::Health;

/// A gateway that the datapath sends replies to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InForce {
    pub id: UplinkId,
    pub generation: u16,
    /// The family of the packets that it forwards: IPv4 packets may have an IPv6 next hop.
    pub family: Family,
    pub gateway: IpAddr,
}

/// Lets an uplink have the gateway in force until the wanted one is resolved. Where none is wanted
/// any more it is only kept resolved, for flows whose router is not known.
pub fn keep(uplinks: &mut [Uplink], observed: &Observed, health: &Health, in_force: &[InForce]) {
    for uplink in uplinks.iter_mut().filter(|uplink| uplink.device.up) {
        let (id, generation) = (uplink.id, uplink.generation);
        let device = &mut uplink.device;
        let old = in_force.iter().filter(|old| (old.id, old.generation) == (id, generation));
        for InForce { family, gateway, .. } in
            old.filter(|old| health.is_resolved(observed, (device.ifindex, old.gateway)))
        {
            let out = &mut device.way_out[*family];
            if out.gateway.is_some() && out.resolved {
                continue;
            }
            if out.gateway.is_some() {
                let kept = out.gateway != Some(*gateway);
                *out =
                    WayOut { gateway: Some(*gateway), usable: true, resolved: true, kept, ..*out };
            }
            if !device.gateways.contains(gateway) {
                device.gateways.push(*gateway);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{Host, ip, two_networks};
    use super::super::observed::NeighbourState;
    use super::super::uplink::Discovered;
    use super::*;

    const OLD: &str = "192.168.2.9";

    /// The second uplink, whose IPv4 gateway in force is [`OLD`].
    fn after(host: &Host, generation: u16) -> Discovered {
        let mut uplinks = host.uplinks();
        let (id, family, gateway) = (uplinks[1].id, Family::V4, ip(OLD));
        keep(
            &mut uplinks,
            &host.0,
            &Health::default(),
            &[InForce { id, generation, family, gateway }],
        );
        uplinks.swap_remove(1).device
    }

    fn before(host: &Host) -> Discovered {
        host.uplinks().swap_remove(1).device
    }

    #[test]
    fn a_gateway_in_force_is_the_gateway_until_another_is_resolved() {
        let host = two_networks().neighbour("eth1", OLD, NeighbourState::Resolved);
        let device = after(&host, 1);
        assert_eq!(device.way_out.v4.gateway, Some(ip(OLD)));
        assert!(device.way_out.v4.usable && device.way_out.v4.resolved);
        // The wanted one is asked meanwhile, and the one in force is asked whether it is there.
        assert_eq!(device.gateways, [ip("192.168.2.1"), ip("fe80::2"), ip(OLD)]);
        assert_eq!(device.way_out.v6.gateway, before(&host).way_out.v6.gateway);
        assert_eq!(after(&host, 2), before(&host), "that of another device");
        let resolved = host.neighbour("eth1", "192.168.2.1", NeighbourState::Resolved);
        assert_eq!(after(&resolved, 1), before(&resolved));
    }

    #[test]
    fn without_a_wanted_one_the_gateway_in_force_is_kept_resolved() {
        let mut host = two_networks().neighbour("eth1", OLD, NeighbourState::Resolved);
        host.0.routes.retain(|route| !route.is_default() || route.next_hops[0].device == "eth0");
        let device = after(&host, 1);
        assert_eq!((device.way_out.v4.gateway, device.gateways), (None, vec![ip(OLD)]));
    }

    #[test]
    fn a_gateway_in_force_that_fails_is_let_go() {
        let host = two_networks().neighbour("eth1", OLD, NeighbourState::Failed);
        assert_eq!(after(&host, 1), before(&host));
    }
}
