//! Which gateways answer, and when each did last: as the kernel knows it, with or without a daemon.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use ipnet::IpNet;

use crate::json::{SilentGatewayJson, UplinkJson};
use crate::runtime::{DaemonReport, since_boot};
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
    /// For how long, where a daemon has seen it.
    pub(crate) silence: Option<SilentFor>,
    /// How long ago it answered last; `None`: not known, or it needs no answer.
    pub(crate) age: Option<Duration>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SilentFor {
    pub(crate) lasts: Duration,
    /// The daemon saw it begin; else it may have lasted longer.
    pub(crate) seen_to_begin: bool,
}

/// What a running daemon says of an uplink.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reported<'a> {
    uplink: &'a UplinkJson,
    silent: &'a [SilentGatewayJson],
}

impl<'a> Reported<'a> {
    pub(super) fn of(report: &'a DaemonReport, ifindex: Ifindex) -> Option<Self> {
        let uplink = report.uplinks.iter().find(|uplink| uplink.ifindex == ifindex.0)?;
        Some(Self { uplink, silent: &report.silent_gateways })
    }

    /// For how long a gateway has been silent until `now`, a time since the boot.
    fn silence(&self, gateway: IpAddr, now: Option<Duration>) -> Option<SilentFor> {
        let is_it =
            |it: &&SilentGatewayJson| (it.ifindex, it.gateway) == (self.uplink.ifindex, gateway);
        let SilentGatewayJson { since_boot_ms, seen_to_begin, .. } =
            *self.silent.iter().find(is_it)?;
        let lasts = now?.checked_sub(Duration::from_millis(since_boot_ms))?;
        Some(SilentFor { lasts, seen_to_begin })
    }
}

/// Those of an uplink, the preferred ones first. A `daemon` knows of a silent gateway also when the kernel
/// has dropped its entry.
pub(super) fn of(
    observed: &Observed,
    device: &Discovered,
    daemon: Option<Reported<'_>>,
) -> Vec<Answer> {
    let now = since_boot(Instant::now());
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
        let is_reported = daemon.is_some_and(|it| it.uplink.is_silent(gateway));
        let silent = match entry.map(|entry| entry.state) {
            Some(NeighbourState::Failed) => true,
            // The daemon knows since when.
            Some(NeighbourState::Incomplete) => daemon.is_none() || is_reported,
            Some(_) => false,
            None => is_reported,
        };
        let silence = daemon.filter(|_| silent).and_then(|it| it.silence(gateway, now));
        Answer { gateway, only_for, silent, silence, age: entry.and_then(Neighbour::last_answer) }
    };
    all.into_iter().map(answer).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::fixture::two_networks;
    use crate::state::uplink::Uplink;

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
        let reported = |uplink: &Uplink| {
            let uplink = UplinkJson::from(uplink);
            of(&host.0, &device, Some(Reported { uplink: &uplink, silent: &[] }))[0]
        };
        assert!(!reported(&uplink).silent);
        uplink.device.way_out.v4.usable = false;
        assert!(reported(&uplink).silent);
    }

    #[test]
    fn a_silence_lasts_from_what_the_daemon_saw_of_it() {
        let host = two_networks();
        let uplink = UplinkJson::from(&host.uplinks().remove(0));
        let gateway = uplink.gateways[0];
        let silent = |ifindex| {
            [SilentGatewayJson { ifindex, gateway, since_boot_ms: 2_000, seen_to_begin: true }]
        };
        let after = |silent: &[SilentGatewayJson], seconds| {
            let now = Some(Duration::from_secs(seconds));
            Reported { uplink: &uplink, silent }.silence(gateway, now).map(|it| it.lasts.as_secs())
        };
        assert_eq!(after(&silent(uplink.ifindex), 10), Some(8));
        assert_eq!(after(&silent(uplink.ifindex), 1), None, "the report may say anything");
        assert_eq!(after(&silent(uplink.ifindex + 1), 10), None);
        assert_eq!(after(&[], 10), None);
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
