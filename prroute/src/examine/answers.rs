//! Which gateways answer, and when each did last: as the kernel knows it, with or without a daemon.

use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;

use crate::json::UplinkJson;
use crate::state::observed::{Family, Neighbour, NeighbourState, Observed};
use crate::state::uplink::{Discovered, Ifindex};

/// One gateway of an uplink.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) gateway: IpAddr,
    /// It is the gateway of these sources or this subnet only.
    pub(crate) only_for: Option<IpNet>,
    /// It was asked, and did not answer.
    pub(crate) silent: bool,
    /// How long ago it answered last; `None`: not known, or it needs no answer.
    pub(crate) age: Option<Duration>,
}

/// Those of an uplink, the preferred ones first. `daemon` is what a running daemon says of it: it knows of
/// a silent gateway also when the kernel has dropped its entry.
pub(super) fn of(
    observed: &Observed,
    device: &Discovered,
    daemon: Option<&UplinkJson>,
) -> Vec<Answer> {
    let preferred = Family::BOTH.into_iter().filter_map(|family| {
        let way_out = &device.way_out[family];
        way_out.gateway.filter(|_| !way_out.only_by_source)
    });
    let of_sources =
        device.source_routes.iter().filter_map(|it| Some((it.gateway?, Some(it.source))));
    let of_subnets = device.subnet_gateways.iter().map(|it| (it.gateway, Some(it.net)));
    let others = device.gateways.iter().map(|gateway| (*gateway, None));
    let mut all: Vec<(IpAddr, Option<IpNet>)> = Vec::new();
    let in_order = preferred.map(|gateway| (gateway, None)).chain(of_sources).chain(of_subnets);
    all.extend(in_order);
    for (gateway, only_for) in others {
        if !all.iter().any(|(known, _)| *known == gateway) {
            all.push((gateway, only_for));
        }
    }
    let answer = |(gateway, only_for)| {
        let entry = observed.neighbour(device.ifindex, gateway);
        let is_reported = daemon.is_some_and(|it| it.is_silent(gateway));
        let silent = match entry.map(|entry| entry.state) {
            Some(NeighbourState::Failed) => true,
            // The daemon knows since when.
            Some(NeighbourState::Incomplete) => daemon.is_none() || is_reported,
            Some(_) => false,
            None => is_reported,
        };
        Answer { gateway, only_for, silent, age: entry.and_then(Neighbour::last_answer) }
    };
    all.into_iter().map(answer).collect()
}

/// What the daemon says of the uplink.
pub(super) fn reported(uplinks: &[UplinkJson], ifindex: Ifindex) -> Option<&UplinkJson> {
    uplinks.iter().find(|uplink| uplink.ifindex == ifindex.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::fixture::two_networks;

    #[test]
    fn a_gateway_is_silent_when_the_kernel_or_the_daemon_says_so() {
        let host = two_networks();
        let device = host.uplinks().remove(0).device;
        let gateway = device.gateways[0];
        let name = device.name.clone();
        let with = |state| {
            let host = two_networks().neighbour(&name, &gateway.to_string(), state);
            of(&host.0, &device, None)[0]
        };
        assert!(with(NeighbourState::Failed).silent);
        assert!(with(NeighbourState::Incomplete).silent);
        assert!(!with(NeighbourState::Resolved).silent);
        let mut uplink = host.uplinks().remove(0);
        assert!(!of(&host.0, &device, Some(&(&uplink).into()))[0].silent);
        uplink.device.way_out.v4.usable = false;
        assert!(of(&host.0, &device, Some(&(&uplink).into()))[0].silent);
    }

    #[test]
    fn an_age_is_told_of_gateways_that_have_answered() {
        let host = two_networks();
        let device = host.uplinks().remove(0).device;
        let gateway = device.gateways[0];
        for (state, told) in [(NeighbourState::Resolved, true), (NeighbourState::Failed, false)] {
            let mut host = two_networks().neighbour(&device.name, &gateway.to_string(), state);
            host.0.neighbours.last_mut().unwrap().confirmed = Some(Duration::from_secs(3));
            assert_eq!(of(&host.0, &device, None)[0].age.is_some(), told, "{state:?}");
        }
    }
}
