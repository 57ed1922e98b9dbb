//! From one look at the kernel to figures.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use nix::unistd::Pid;
use prroute_common::names;
use prroute_common::reason::Reason;
use prroute_common::udp_origin::SocketReason;

use super::figures::{Figures, Findings, Gateway, Table, Uplink, Way};
use crate::datapath::attach::Hook;
use crate::datapath::counters::Counters;
use crate::datapath::occupancy::{self, Occupancy};
use crate::datapath::wrong_uplinks::{self, WrongUplink};
use crate::datapath::{Pins, sockets};
use crate::examine::Examination;
use crate::instance::Instance;
use crate::netlink::Direction;
use crate::state;
use crate::state::findings::{Finding, Severity};
use crate::state::observed::{Link, Neighbour, Observed};
use crate::state::uplink::Discovered;

pub(super) async fn figures(instance: &Instance, daemon: Option<Pid>) -> Result<Figures> {
    let examined = Examination::of(instance, daemon).await?;
    let pins = Pins::of(instance);
    let has_tables = examined.in_force.is_this();
    let counters = has_tables.then(|| Counters::open(&pins)).transpose()?;
    // With fewer uplinks than two nothing is attached, and no gateway is asked.
    let is_managed = examined.outlook.uplinks.len() >= 2;
    let mut hooks = BTreeSet::new();
    let mut uplinks = Vec::new();
    for uplink in &examined.outlook.uplinks {
        let device = &uplink.device;
        let mut attached = Vec::new();
        for direction in Direction::BOTH.into_iter().filter(|_| is_managed) {
            let seen = examined.programs.as_ref();
            let hook = seen.and_then(|seen| seen.in_force(&device.name, direction));
            hooks.extend(hook.map(name_of));
            attached.push((direction, hook.is_some()));
        }
        let counts = counters.as_ref().map(|counters| counters.of(uplink.id)).transpose()?;
        let gateways = is_managed.then(|| gateways(&examined.outlook.observed, device));
        uplinks.push(Uplink {
            name: device.name.clone(),
            up: device.up,
            attached,
            gateways: gateways.unwrap_or_default(),
            packets: named(counts, Reason::name),
        });
    }
    let socket_calls = has_tables.then(|| sockets::counters(&pins)).transpose()?;
    let occupancy = has_tables.then(|| Occupancy::read(&pins)).transpose()?;
    let report = examined.is_reported.then_some(&examined.report);
    let observed = match has_tables && examined.observes() {
        true => wrong_uplinks::read(&pins)?,
        false => Vec::new(),
    };
    Ok(Figures {
        daemon: daemon.is_some() && examined.stopped_daemon().is_none(),
        observing: examined.is_in_use().then(|| examined.observes()),
        wrong_uplinks: ways(&observed, &examined.outlook.uplinks),
        hook: match hooks.len() {
            0 => Cow::Borrowed("none"),
            1 => hooks.into_iter().collect::<String>().into(),
            _ => Cow::Borrowed("mixed"),
        },
        uplinks,
        socket_calls: named(socket_calls, SocketReason::name),
        evictions: occupancy
            .as_ref()
            .map(|it| [it.evicted_confirmed_at_most, it.evicted_unconfirmed_at_most]),
        tables: occupancy.iter().flat_map(|it| it.tables.iter().filter_map(table)).collect(),
        findings: count(&examined.findings()),
        heals: report.map(|report| report.healed.as_ref().map_or(0, |healed| healed.times)),
        reload_success: report.map(|report| report.reload.refusal.is_none()),
        configuration_read: report.and_then(|report| report.configuration_read),
        // Only a daemon asks.
        probe_interval: (is_managed && daemon.is_some())
            .then_some(examined.configuration.config.gateway_probe),
    })
}

/// Packets by the uplink that they left by and the one that they belong on. Services are too many for labels.
fn ways(observed: &[WrongUplink], uplinks: &[state::uplink::Uplink]) -> Vec<Way> {
    let name = |id| {
        let uplink = uplinks.iter().find(|uplink| uplink.id == id);
        uplink.map(|uplink| uplink.device.name.clone())
    };
    let mut ways = BTreeMap::<(String, String), u64>::new();
    for it in observed {
        if let (Some(left_by), Some(belongs_on)) = (name(it.left_by), name(it.belongs_on)) {
            *ways.entry((belongs_on, left_by)).or_default() += it.packets;
        }
    }
    let way = |((uplink, left_by), packets)| Way { uplink, left_by, packets };
    ways.into_iter().map(way).collect()
}

fn name_of(hook: Hook) -> String {
    hook.to_string()
}

fn named<R: Copy>(
    counts: Option<Vec<(R, u64)>>,
    name: fn(R) -> &'static str,
) -> Vec<(&'static str, u64)> {
    counts.into_iter().flatten().map(|(reason, count)| (name(reason), count)).collect()
}

fn gateways(observed: &Observed, device: &Discovered) -> Vec<Gateway> {
    // Devices without neighbour discovery send to any address.
    let link = observed.link(device.ifindex);
    let asks = link.is_none_or(Link::has_neighbours);
    let gateway = |address| {
        let entry = observed.neighbour(device.ifindex, address);
        let is_known = !asks || entry.is_some_and(|entry| entry.state.has_address());
        Gateway {
            address,
            usable: device.up && is_known,
            answer_age: entry.and_then(Neighbour::last_answer),
        }
    };
    device.gateways.iter().copied().map(gateway).collect()
}

/// By the words of `prroute status`.
fn table(table: &occupancy::Table) -> Option<Table> {
    let (family, name) = match table.name {
        names::FLOWS4 => ("ipv4", "flows"),
        names::FLOWS6 => ("ipv6", "flows"),
        names::DATAGRAMS4 => ("ipv4", "datagrams"),
        names::DATAGRAMS6 => ("ipv6", "datagrams"),
        names::NEW4 => ("ipv4", "new"),
        names::NEW6 => ("ipv6", "new"),
        _ => return None,
    };
    let occupancy::Table { capacity, entries, live, .. } = *table;
    Some(Table { family, name, capacity, entries, live })
}

fn count(findings: &[Finding]) -> Vec<Findings> {
    let mut counts = BTreeMap::<(Severity, &str), usize>::new();
    for finding in findings {
        let kind = finding.id.kind().name();
        *counts.entry((finding.severity, kind)).or_default() += 1;
    }
    let named = |((severity, kind), count): ((Severity, &str), usize)| {
        let severity = match severity {
            Severity::Fault => "fault",
            Severity::Warning => "warning",
            Severity::Notice => "notice",
        };
        Findings { severity, kind: kind.to_owned(), count }
    };
    counts.into_iter().map(named).collect()
}

#[cfg(test)]
mod tests {
    use super::{Finding, Severity, count, gateways};
    use crate::state::findings::Kind;
    use crate::state::fixture::two_networks;
    use crate::state::observed::NeighbourState;

    /// Whether each gateway of eth0 can be used.
    fn usable(up: bool, state: Option<NeighbourState>) -> Vec<bool> {
        let mut host = two_networks();
        if let Some(state) = state {
            host = host.neighbour("eth0", "192.168.1.1", state);
        }
        let host = host.neighbour("eth0", "fe80::1", NeighbourState::Resolved);
        let mut device = host.uplinks().swap_remove(0).device;
        device.up = up;
        let mut all = gateways(&host.0, &device);
        all.sort_by_key(|gateway| gateway.address);
        all.iter().map(|gateway| gateway.usable).collect()
    }

    #[test]
    fn a_gateway_can_be_used_while_it_has_a_link_layer_address_and_its_uplink_is_up() {
        use NeighbourState::{Failed, Fixed, Incomplete, Probing, Resolved};
        for state in [Probing, Resolved, Fixed] {
            assert_eq!(usable(true, Some(state)), [true, true], "{state:?}");
            assert_eq!(usable(false, Some(state)), [false, false], "{state:?}");
        }
        for state in [Failed, Incomplete] {
            assert_eq!(usable(true, Some(state)), [false, true], "{state:?}");
        }
        assert_eq!(usable(true, None), [false, true]);
    }

    #[test]
    fn devices_without_neighbour_discovery_need_no_link_layer_address() {
        let host = two_networks().change("eth0", |link| link.noarp = true);
        let device = &host.uplinks()[0].device;
        let all = gateways(&host.0, device);
        assert!(!all.is_empty() && all.iter().all(|gateway| gateway.usable), "{all:?}");
    }

    #[test]
    fn findings_are_counted_by_severity_and_kind() {
        let finding = |severity, kind, object| Finding { severity, ..Finding::about(kind, object) };
        let counts = count(&[
            finding(Severity::Warning, Kind::RouteMissing, "eth0"),
            finding(Severity::Fault, Kind::RouteMissing, "eth0"),
            finding(Severity::Fault, Kind::RouteMissing, "eth1"),
            Finding { severity: Severity::Notice, ..Finding::single(Kind::Collision) },
        ]);
        let counts: Vec<_> = counts.iter().map(|it| (it.severity, &*it.kind, it.count)).collect();
        let expected = [
            ("fault", "route-missing", 2),
            ("warning", "route-missing", 1),
            ("notice", "collision", 1),
        ];
        assert_eq!(counts, expected);
    }
}
