//! What routes say beside their way.

use netlink_packet_route::route::{RouteAttribute, RouteMessage, RouteMetric};

use super::route::{number, route_address};
use crate::state::observed::{RouteExtras, RouteMetrics};

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
    if let RouteMetric::CcAlgo(name) = metric {
        return extras.add("congctl", name);
    }
    let Some((number, value)) = number(metric) else { return };
    let not_copied = match metric {
        RouteMetric::Lock(_) => Some("lock"),
        RouteMetric::Rtt(_) => Some("rtt"),
        RouteMetric::RttVar(_) => Some("rttvar"),
        RouteMetric::Features(_) => Some("features"),
        _ => None,
    };
    if let Some(word) = not_copied.or_else(|| RouteMetrics::name(number)) {
        extras.add(word, value);
    }
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
