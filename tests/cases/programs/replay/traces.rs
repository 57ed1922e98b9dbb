//! What a run leaves behind in the programs' tables, compared with what it is to leave.

use std::net::IpAddr;

use prroute_common::reason::Reason;

use super::{IN, OUT};
use crate::fixture::Fixture;

/// A flow as it is listed: local and remote end, protocol, opened inbound.
pub(super) type Listed = ((IpAddr, u16), (IpAddr, u16), u8, bool);

/// What a run is to leave behind.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Traces {
    pub(super) flows: Vec<Listed>,
    pub(super) counts: Vec<(u16, Reason)>,
}

impl Traces {
    pub(super) fn counted(uplink: u16, reason: Reason) -> Self {
        Self { flows: Vec::new(), counts: vec![(uplink, reason)] }
    }
}

/// Runs something and compares what it leaves.
pub(super) fn expect(
    fixture: &mut Fixture,
    told: &str,
    expected: &Traces,
    run: impl FnOnce(&mut Fixture),
) {
    let counts = |fixture: &Fixture| [IN, OUT].map(|uplink| fixture.counts(uplink));
    let before = counts(fixture);
    run(fixture);
    let after = counts(fixture);
    let mut found = Traces::default();
    for (uplink, (before, after)) in [IN, OUT].into_iter().zip(before.iter().zip(&after)) {
        for ((reason, before), (_, after)) in before.iter().zip(after) {
            let times = usize::try_from(after - before).unwrap();
            found.counts.extend(std::iter::repeat_n((uplink, *reason), times));
        }
    }
    found.flows = fixture
        .flows()
        .into_iter()
        .map(|flow| {
            let (local, remote) = ((flow.local, flow.local_port), (flow.remote, flow.remote_port));
            (local, remote, flow.protocol, flow.opened_inbound)
        })
        .collect();
    let order =
        |traces: &mut Traces| traces.counts.sort_by_key(|(id, reason)| (*id, *reason as u32));
    let mut expected = Traces { flows: expected.flows.clone(), counts: expected.counts.clone() };
    order(&mut expected);
    order(&mut found);
    assert_eq!(found, expected, "{told}");
}
