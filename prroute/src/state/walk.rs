//! The kernel's walk through its rules (`fib_rules_lookup`), for tests.

use std::net::IpAddr;

use super::observed::{Family, Rule, host_net};

/// What the kernel routes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Packet {
    pub(super) family: Family,
    /// `None`: a socket without an address sends it.
    pub(super) source: Option<IpAddr>,
    /// The host sends it itself.
    pub(super) own: bool,
}

impl Packet {
    pub(super) const fn from(source: IpAddr) -> Self {
        Self { family: Family::of(&source), source: Some(source), own: true }
    }

    pub(super) const fn unbound(family: Family) -> Self {
        Self { family, source: None, own: true }
    }

    pub(super) const fn forwarded(source: IpAddr) -> Self {
        Self { own: false, ..Self::from(source) }
    }
}

/// Where a packet's walk led it, when no table had a route for it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Walk {
    /// Rules that were compared with the packet.
    pub(super) passed: usize,
    /// Tables that were asked, with what was suppressed; 0 where a rule refused the packet.
    pub(super) asked: Vec<(u32, Option<u32>)>,
}

fn matches(rule: &Rule, packet: Packet) -> bool {
    // A packet without a source has 0.0.0.0 in IPv4, and none at all in IPv6.
    let unbound4 = IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED);
    let source = packet.source.or_else(|| (packet.family == Family::V4).then_some(unbound4));
    let from = |net: ipnet::IpNet| source.is_some_and(|source| net.contains(&host_net(source)));
    let own = rule.iif.as_deref().is_none_or(|iif| iif == "lo" && packet.own);
    let unmarked = rule.mark.is_none_or(|mark| mark.value & mark.mask == 0);
    (own && unmarked && rule.oif.is_none() && rule.source.is_none_or(from)) != rule.invert
}

/// Sends a packet with a destination that no rule names through rules in the kernel's order.
pub(super) fn walk(rules: &[Rule], packet: Packet) -> Walk {
    let mut list: Vec<&Rule> = rules.iter().filter(|rule| rule.family == packet.family).collect();
    list.sort_by_key(|rule| rule.priority);
    let mut walk = Walk::default();
    let mut at = 0;
    while let Some(rule) = list.get(at) {
        walk.passed += 1;
        at += 1;
        if !matches(rule, packet) || (rule.destination.is_some() && rule.source.is_none()) {
            continue;
        }
        match rule.goto {
            // A target that is not there is passed over.
            Some(target) => at = list.iter().position(|r| r.priority == target).unwrap_or(at),
            None if rule.refusal.is_some() => {
                walk.asked.push((0, None));
                break;
            }
            None if rule.table == 0 => {}
            None => walk.asked.push((rule.table, rule.suppress_prefix_length)),
        }
    }
    walk
}
