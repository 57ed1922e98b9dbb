//! Uplinks that carry no replies, and gateways that do not answer.

use crate::examine::Examination;
use crate::state::findings::{Finding, Severity};
use crate::state::observed::NeighbourState;
use crate::state::uplink::Uplink;

pub(super) fn findings(examined: &Examination) -> Vec<Finding> {
    examined.outlook.uplinks.iter().flat_map(|uplink| of(examined, uplink)).collect()
}

fn of(examined: &Examination, uplink: &Uplink) -> Vec<Finding> {
    let device = &uplink.device;
    let name = &device.name;
    if !device.up {
        let set_down =
            examined.outlook.observed.link(device.ifindex).is_some_and(|link| !link.admin_up);
        let (what, fix) = match set_down {
            true => ("is set down", Some(format!("ip link set {name} up"))),
            false => ("has no carrier: look at the cable and the switch", None),
        };
        return vec![Finding {
            id: format!("carrier:{name}"),
            severity: Severity::Fault,
            what: format!("{name} {what}"),
            device: Some(name.clone()),
            fix,
            ..Finding::default()
        }];
    }
    let is_silent = |gateway: &&std::net::IpAddr| {
        let entry = examined.outlook.observed.neighbour(device.ifindex, **gateway);
        entry.is_some_and(|entry| {
            matches!(entry.state, NeighbourState::Failed | NeighbourState::Incomplete)
        })
    };
    let silent = device.gateways.iter().filter(is_silent);
    silent
        .map(|gateway| Finding {
            id: format!("gateway-silent:{name}:{gateway}"),
            severity: Severity::Fault,
            what: format!("{name}: gateway {gateway} does not answer"),
            device: Some(name.clone()),
            fix: Some(format!("ping -c 3 -I {name} {gateway}")),
            ..Finding::default()
        })
        .collect()
}
