//! From one next hop to another: the old way of an uplink until the new one has a link-layer
//! address. The facts in force say what the old way was, also to a daemon that has just started.
//!
//! ```text
//!   gateway resolved                         that one
//!   gateway known, not resolved (yet)        the one before, while it is resolved; last hop, where
//!                                            it was last hop or nothing before
//!   none known                               last hop, else the one before, while it is resolved
//! ```

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use prroute_common::address::{octets4, octets6};
use prroute_common::uplink::{UplinkFacts, flag};

use crate::config::Reply;
use crate::state::observed::Family;

/// The flags of a family.
struct Side {
    gateway: u32,
    last_hop: u32,
}

const V4: Side = Side { gateway: flag::GATEWAY4, last_hop: flag::LAST_HOP4 };
const V6: Side = Side { gateway: flag::GATEWAY6, last_hop: flag::LAST_HOP6 };

/// The facts to write where `old` ones are in force and `new` ones are what was found.
/// `is_resolved` says it of a gateway.
pub(super) fn succeed(
    old: Option<&UplinkFacts>,
    new: UplinkFacts,
    reply: Reply,
    is_resolved: impl Fn(IpAddr) -> bool,
) -> UplinkFacts {
    let mut facts = new;
    let old = old.filter(|old| (old.id, old.generation) == (new.id, new.generation));
    for side in [V4, V6] {
        if new.flags & side.gateway != 0 {
            continue;
        }
        // `auto` without this flag: a gateway is known.
        let awaits = reply == Reply::Auto && new.flags & side.last_hop == 0;
        if awaits && old.is_none_or(|old| old.flags & side.last_hop != 0) {
            facts.flags |= side.last_hop;
        }
        let before = old.and_then(|old| Some((old, gateway(old, side.gateway)?)));
        if let Some((old, _)) = before.filter(|(_, gateway)| is_resolved(*gateway)) {
            keep_gateway(&mut facts, old, side.gateway);
        }
    }
    facts
}

fn keep_gateway(facts: &mut UplinkFacts, old: &UplinkFacts, gateway: u32) {
    facts.flags |= gateway;
    if gateway == flag::GATEWAY4 {
        facts.gateway4 = old.gateway4;
        facts.gateway4_via6 = old.gateway4_via6;
        facts.flags &= !flag::GATEWAY4_IS_V6;
        facts.flags |= old.flags & flag::GATEWAY4_IS_V6;
    } else {
        facts.gateway6 = old.gateway6;
    }
}

/// The gateways that replies are sent to.
pub(super) fn gateways(facts: &UplinkFacts) -> impl Iterator<Item = (Family, IpAddr)> + '_ {
    let of = |family, side: Side| Some((family, gateway(facts, side.gateway)?));
    [of(Family::V4, V4), of(Family::V6, V6)].into_iter().flatten()
}

fn gateway(facts: &UplinkFacts, gateway: u32) -> Option<IpAddr> {
    if facts.flags & gateway == 0 {
        return None;
    }
    let v6 = |address| IpAddr::V6(Ipv6Addr::from(octets6(address)));
    Some(match gateway {
        flag::GATEWAY6 => v6(facts.gateway6),
        _ if facts.flags & flag::GATEWAY4_IS_V6 != 0 => v6(facts.gateway4_via6),
        _ => IpAddr::V4(Ipv4Addr::from(octets4(facts.gateway4))),
    })
}

#[cfg(test)]
mod tests;
