//! What the flow tables tell: replies that get lost beyond an uplink, and flows that found no room.

use std::collections::BTreeMap;

use nix::libc::IPPROTO_TCP;

use crate::datapath::flows::FlowRecord;
use crate::datapath::occupancy::{Occupancy, Table};
use crate::state::findings::{Finding, Kind, Severity};
use crate::state::uplink::{Uplink, UplinkId};

/// So many connections say something about an uplink.
const ENOUGH: usize = 8;
/// Seconds for which a connection without an answer is remembered as one.
const RECENT: f64 = 60.0;

/// The connections that came in on an uplink.
#[derive(Clone, Copy, Default)]
struct Connections {
    /// Answered, and the client was not heard again.
    unconfirmed: usize,
    confirmed: usize,
}

/// Uplinks whose clients never hear the answers.
pub(super) fn unconfirmed(flows: &[FlowRecord], uplinks: &[Uplink]) -> Vec<Finding> {
    let mut by_uplink: BTreeMap<UplinkId, Connections> = BTreeMap::new();
    let is_tcp = |flow: &&FlowRecord| i32::from(flow.protocol) == IPPROTO_TCP;
    for flow in flows.iter().filter(is_tcp).filter(|flow| flow.opened_inbound) {
        if flow.idle_seconds > RECENT {
            continue;
        }
        let connections = by_uplink.entry(flow.uplink).or_default();
        match (flow.confirmed, flow.answered) {
            (true, _) => connections.confirmed += 1,
            (false, true) => connections.unconfirmed += 1,
            (false, false) => {}
        }
    }
    let lost = |uplink: &Uplink| {
        let connections = by_uplink.get(&uplink.id)?;
        let is_lost = connections.confirmed == 0 && connections.unconfirmed >= ENOUGH;
        is_lost.then(|| finding(&uplink.device.name, connections.unconfirmed))
    };
    uplinks.iter().filter_map(lost).collect()
}

fn finding(name: &str, count: usize) -> Finding {
    Finding {
        severity: Severity::Warning,
        what: format!(
            "{name}: all of the {count} TCP connections of the last minute were answered, and none was \
             heard of again: replies are lost beyond {name}, or the requests are forged"
        ),
        remedy: Some(format!("ask who runs the router behind {name} whether it lets replies out")),
        device: Some(name.to_owned()),
        fix: Some("prroute flows".to_owned()),
        ..Finding::about(Kind::Unconfirmed, name)
    }
}

/// Tables that make room for new flows by forgetting old ones.
pub(super) fn full(occupancy: &Occupancy) -> Vec<Finding> {
    let evicted = occupancy.evicted_confirmed_at_most;
    let full = occupancy.tables.iter().filter(|table| table.confirmed && table.is_full());
    full.map(|Table { name, capacity, live, .. }| Finding {
        severity: Severity::Warning,
        what: format!(
            "the flow table {} is full: the oldest connections are forgotten, and their replies follow \
             the routing tables",
            name.to_lowercase()
        ),
        remedy: Some("raise `flows` in the configuration, then `prroute down` and start it again: all flows are \
             forgotten".to_owned()),
        evidence: vec![
            format!("{live} live flows of {capacity}"),
            format!("at most {evicted} confirmed flows made room for others"),
        ],
        ..Finding::about(Kind::TableFull, name.to_lowercase())
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::fixture::{ip, two_networks};

    fn flow(confirmed: bool, answered: bool, idle_seconds: f64) -> FlowRecord {
        FlowRecord {
            protocol: 6,
            local: ip("192.168.2.10"),
            local_port: 80,
            remote: ip("203.0.113.7"),
            remote_port: 40_000,
            opened_inbound: true,
            answered,
            confirmed,
            closed: false,
            is_over: false,
            uplink: UplinkId(2),
            generation: 1,
            router: 0,
            idle_seconds,
        }
    }

    fn ids(flows: &[FlowRecord]) -> Vec<String> {
        let found = unconfirmed(flows, &two_networks().uplinks());
        found.into_iter().map(|finding| finding.id.to_string()).collect()
    }

    #[test]
    fn an_uplink_of_which_no_client_hears_answers_is_named() {
        let lost = vec![flow(false, true, 3.0); ENOUGH];
        assert_eq!(ids(&lost), ["unconfirmed:eth1"]);
        assert_eq!(ids(&lost[1..]), [""; 0], "too few to tell");
        let one_is_heard = [&lost[..], &[flow(true, true, 1.0)]].concat();
        assert_eq!(ids(&one_is_heard), [""; 0]);
        assert_eq!(ids(&vec![flow(false, false, 3.0); ENOUGH]), [""; 0], "nobody answers here");
        assert_eq!(ids(&vec![flow(false, true, 3600.0); ENOUGH]), [""; 0], "long ago");
    }

    #[test]
    fn a_table_without_room_is_named() {
        let table =
            |live| Table { name: "FLOWS4", confirmed: true, capacity: 100, entries: 100, live };
        let occupancy = |live| Occupancy {
            tables: vec![table(live)],
            evicted_confirmed_at_most: 7,
            evicted_unconfirmed_at_most: 0,
        };
        assert_eq!(full(&occupancy(99)).len(), 1);
        assert_eq!(full(&occupancy(60)).len(), 0, "entries of flows that are over make room first");
    }
}
