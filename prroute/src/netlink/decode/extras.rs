//! What routes say beside their way.

use netlink_packet_route::route::{RouteAttribute, RouteMessage, RouteMetric};

use super::route_address;
use crate::state::observed::RouteExtras;

pub(in crate::netlink) fn extras(message: &RouteMessage) -> RouteExtras {
    let mut extras = RouteExtras::default();
    extras.add("tos", format_args!("{:#x}", message.header.tos));
    for attribute in &message.attributes {
        add(attribute, &mut extras);
    }
    extras
}

fn add(attribute: &RouteAttribute, extras: &mut RouteExtras) {
    match attribute {
        RouteAttribute::PrefSource(address) => extras.source = route_address(address),
        RouteAttribute::Metrics(metrics) => {
            metrics.iter().for_each(|metric| add_metric(metric, extras));
        }
        RouteAttribute::Realm(realm) => {
            extras.add("realms", format_args!("{}/{}", realm.source, realm.destination));
        }
        RouteAttribute::EncapType(kind) => extras.add("encap", format_args!("{kind:?}")),
        RouteAttribute::MultiPath(hops) => {
            hops.iter().flat_map(|hop| &hop.attributes).for_each(|it| add(it, extras));
        }
        _ => {}
    }
}

fn add_metric(metric: &RouteMetric, extras: &mut RouteExtras) {
    let (word, value) = match metric {
        RouteMetric::Lock(bits) => ("lock", bits),
        RouteMetric::Mtu(value) => ("mtu", value),
        RouteMetric::Window(value) => ("window", value),
        RouteMetric::Rtt(value) => ("rtt", value),
        RouteMetric::RttVar(value) => ("rttvar", value),
        RouteMetric::SsThresh(value) => ("ssthresh", value),
        RouteMetric::Cwnd(value) => ("cwnd", value),
        RouteMetric::Advmss(value) => ("advmss", value),
        RouteMetric::Reordering(value) => ("reordering", value),
        RouteMetric::Hoplimit(value) => ("hoplimit", value),
        RouteMetric::InitCwnd(value) => ("initcwnd", value),
        RouteMetric::Features(value) => ("features", value),
        RouteMetric::RtoMin(value) => ("rto_min", value),
        RouteMetric::InitRwnd(value) => ("initrwnd", value),
        RouteMetric::QuickAck(value) => ("quickack", value),
        RouteMetric::FastopenNoCookie(value) => ("fastopen_no_cookie", value),
        RouteMetric::CcAlgo(name) => return extras.add("congctl", name),
        _ => return,
    };
    extras.add(word, value);
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn what_holds_without_it_is_not_said() {
        let mut message = RouteMessage::default();
        message.attributes = vec![
            RouteAttribute::Table(101),
            RouteAttribute::PrefSource(Ipv4Addr::new(10, 0, 1, 2).into()),
            RouteAttribute::Metrics(vec![
                RouteMetric::Hoplimit(64),
                RouteMetric::Lock(4),
                RouteMetric::Mtu(1400),
                RouteMetric::CcAlgo("bbr".to_owned()),
            ]),
        ];
        let found = extras(&message);
        assert_eq!(found.source, Some(Ipv4Addr::new(10, 0, 1, 2).into()));
        assert_eq!(found.words, ["lock 4", "mtu 1400", "congctl bbr"]);
        assert_eq!(extras(&RouteMessage::default()), RouteExtras::default());
    }
}
