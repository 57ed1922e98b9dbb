//! From netlink messages to the types of the model.

mod extras;
mod route;

use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;
use netlink_packet_route::AddressFamily;
use netlink_packet_route::address::{AddressAttribute, AddressFlags, AddressMessage, AddressScope};
use netlink_packet_route::link::{
    AfSpecInet6, AfSpecUnspec, LinkAttribute, LinkFlags, LinkInfo, LinkMessage, Prop,
};
use netlink_packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourExtFlags, NeighbourMessage,
    NeighbourState as State,
};
use netlink_packet_route::rule::{RuleAction, RuleAttribute, RuleFlags, RuleMessage};

pub(super) use self::extras::extras;
pub(super) use self::route::{gateway_of, route, route_address, validity};
use crate::state::observed::{
    Address, Family, Link, LinkLayer, Mark, Neighbour, NeighbourState, Rejection, Rule, host_net,
};
use crate::state::uplink::Ifindex;

pub(super) const fn family(family: AddressFamily) -> Option<Family> {
    match family {
        AddressFamily::Inet => Some(Family::V4),
        AddressFamily::Inet6 => Some(Family::V6),
        _ => None,
    }
}

/// `rp_filter` is not part of the message.
pub(super) fn link(message: LinkMessage) -> Link {
    let flags = message.header.flags;
    let link_layer = LinkLayer::of(message.header.link_layer_type.into());
    let ethernet = link_layer == LinkLayer::Ethernet;
    let mut link = Link {
        ifindex: Ifindex(message.header.index),
        name: String::new(),
        altnames: Vec::new(),
        kind: None,
        mac: None,
        permanent_mac: None,
        mtu: 0,
        admin_up: flags.contains(LinkFlags::Up),
        carrier: flags.contains(LinkFlags::LowerUp),
        loopback: flags.contains(LinkFlags::Loopback),
        noarp: flags.contains(LinkFlags::Noarp),
        link_layer,
        accepts_ra: false,
        lower: None,
        master: None,
        rp_filter: None,
    };
    let mut lower_is_elsewhere = false;
    for attribute in message.attributes {
        match attribute {
            LinkAttribute::Link(lower @ 1..) => link.lower = Some(Ifindex(lower)),
            LinkAttribute::LinkNetNsId(_) => lower_is_elsewhere = true,
            LinkAttribute::IfName(name) if link.name.is_empty() => link.name = name,
            LinkAttribute::Mtu(mtu) => link.mtu = mtu,
            LinkAttribute::Controller(0) => {}
            LinkAttribute::Controller(master) => link.master = Some(Ifindex(master)),
            LinkAttribute::Address(address) if ethernet => {
                link.mac = address.as_slice().try_into().ok();
            }
            LinkAttribute::PermAddress(address) if ethernet => {
                link.permanent_mac = address.as_slice().try_into().ok();
            }
            LinkAttribute::AfSpecUnspec(all) => link.accepts_ra = all.iter().any(accepts_ra),
            LinkAttribute::LinkInfo(infos) => {
                link.kind = infos.iter().find_map(|info| match info {
                    LinkInfo::Kind(kind) => Some(kind.to_string()),
                    _ => None,
                });
            }
            LinkAttribute::PropList(props) => {
                link.altnames = props
                    .into_iter()
                    .filter_map(|prop| match prop {
                        Prop::AltIfName(name) => Some(name),
                        _ => None,
                    })
                    .collect();
            }
            _ => {}
        }
    }
    if lower_is_elsewhere {
        link.lower = None;
    }
    link
}

fn accepts_ra(of_family: &AfSpecUnspec) -> bool {
    let AfSpecUnspec::Inet6(all) = of_family else { return false };
    all.iter().any(|one| matches!(one, AfSpecInet6::DevConf(settings) if settings.accept_ra > 0))
}

pub(super) fn address(message: &AddressMessage) -> Option<Address> {
    family(message.header.family)?;
    let (mut local, mut peer, mut flags) = (None, None, AddressFlags::empty());
    for attribute in &message.attributes {
        match attribute {
            AddressAttribute::Local(address) => local = Some(*address),
            AddressAttribute::Address(address) => peer = Some(*address),
            AddressAttribute::Flags(all) => flags = *all,
            _ => {}
        }
    }
    let address = local.or(peer)?;
    // The prefix is the peer's on a point-to-point link.
    let net = match peer {
        Some(peer) if peer != address => host_net(address),
        _ => IpNet::new(address, message.header.prefix_len).ok()?,
    };
    Some(Address {
        ifindex: Ifindex(message.header.index),
        net,
        scope_global: matches!(message.header.scope, AddressScope::Universe | AddressScope::Site),
        tentative: flags.contains(AddressFlags::Tentative),
        failed: flags.contains(AddressFlags::Dadfailed),
        no_prefix_route: flags.contains(AddressFlags::Noprefixroute),
    })
}

pub(super) fn rule(message: &RuleMessage) -> Option<Rule> {
    let header = &message.header;
    let mut rule = Rule {
        invert: header.flags.contains(RuleFlags::Invert),
        table: u32::from(header.table),
        refusal: refusal(header.action),
        protocol: 0,
        other: header.tos != 0 || !is_known_action(header.action),
        ..Rule::nop(family(header.family)?, 0)
    };
    let (mut value, mut mask) = (0, 0);
    for attribute in &message.attributes {
        match attribute {
            RuleAttribute::Priority(priority) => rule.priority = *priority,
            RuleAttribute::Source(address) => {
                rule.source = Some(IpNet::new(*address, header.src_len).ok()?);
            }
            RuleAttribute::Destination(address) => {
                rule.destination = Some(IpNet::new(*address, header.dst_len).ok()?);
            }
            RuleAttribute::Iifname(name) => rule.iif = Some(name.clone()),
            RuleAttribute::Oifname(name) => rule.oif = Some(name.clone()),
            RuleAttribute::Table(table) => rule.table = *table,
            RuleAttribute::Goto(priority) => rule.goto = Some(*priority),
            RuleAttribute::Protocol(protocol) => rule.protocol = (*protocol).into(),
            // The kernel writes -1 for "none".
            RuleAttribute::SuppressPrefixLen(u32::MAX)
            | RuleAttribute::SuppressIfGroup(u32::MAX) => {}
            RuleAttribute::SuppressPrefixLen(length) => {
                rule.suppress_prefix_length = Some(*length);
            }
            RuleAttribute::FwMark(mark) => value = *mark,
            RuleAttribute::FwMask(bits) => mask = *bits,
            RuleAttribute::TunId(0) => {}
            RuleAttribute::L3MDev(false) => {}
            _ => rule.other = true,
        }
    }
    // A rule without a mark may carry zeros.
    rule.mark = Some(Mark { value, mask }).filter(|_| (value, mask) != (0, 0));
    if header.action != RuleAction::ToTable {
        rule.table = 0;
    }
    Some(rule)
}

const fn refusal(action: RuleAction) -> Option<Rejection> {
    match action {
        RuleAction::Blackhole => Some(Rejection::Blackhole),
        RuleAction::Unreachable => Some(Rejection::Unreachable),
        RuleAction::Prohibit => Some(Rejection::Prohibit),
        _ => None,
    }
}

const fn is_known_action(action: RuleAction) -> bool {
    let looks_on = matches!(action, RuleAction::ToTable | RuleAction::Goto | RuleAction::Nop);
    looks_on || refusal(action).is_some()
}

pub(super) fn neighbour(message: &NeighbourMessage) -> Option<Neighbour> {
    family(message.header.family)?;
    let (mut address, mut managed, mut protocol, mut confirmed) = (None, false, 0, None);
    for attribute in &message.attributes {
        match attribute {
            NeighbourAttribute::Destination(NeighbourAddress::Inet(v4)) => {
                address = Some(IpAddr::V4(*v4));
            }
            NeighbourAttribute::Destination(NeighbourAddress::Inet6(v6)) => {
                address = Some(IpAddr::V6(*v6));
            }
            NeighbourAttribute::ExtFlags(flags) => {
                managed = flags.contains(NeighbourExtFlags::Managed);
            }
            NeighbourAttribute::Protocol(number) => protocol = (*number).into(),
            NeighbourAttribute::CacheInfo(info) => confirmed = Some(ticks(info.confirmed)),
            _ => {}
        }
    }
    Some(Neighbour {
        ifindex: Ifindex(message.header.ifindex),
        address: address?,
        state: neighbour_state(message.header.state),
        managed,
        protocol,
        confirmed,
    })
}

/// The kernel tells ages in `USER_HZ`, which is 100 wherever prroute runs.
const fn ticks(hundredths: u32) -> Duration {
    Duration::from_millis(hundredths as u64 * 10)
}

pub(super) const fn neighbour_state(state: State) -> NeighbourState {
    match state {
        State::Failed => NeighbourState::Failed,
        State::Incomplete | State::None => NeighbourState::Incomplete,
        State::Probe => NeighbourState::Probing,
        State::Permanent | State::Noarp => NeighbourState::Fixed,
        _ => NeighbourState::Resolved,
    }
}

#[cfg(test)]
mod tests;
