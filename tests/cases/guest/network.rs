//! The guest between two providers, and whether it answers.

use std::net::IpAddr;

use anyhow::{Result, ensure};
use prroute_tests::addressing::{self, Family};
use prroute_tests::echo::{self, Echo};
use prroute_tests::lab::{Lab, Topology};
use prroute_tests::wait;

use crate::service::JOB;

/// The port of the echo servers, on all addresses of the guest.
const PORT: u16 = 7007;

/// Two uplinks, each with a default route in main, and no shared address.
pub(crate) const TWO_UPLINKS: Topology =
    Topology { uplinks: 2, shared: false, rp_filter: 2, ..Topology::DEFAULT };

/// Echo servers on all addresses of the guest, once the kernel has looked for duplicates.
pub(crate) fn serve(lab: &Lab) -> Result<Echo> {
    wait::until("no address is tentative", JOB, || {
        let tentative = lab.host.ip("-6 address show scope global tentative")?;
        Ok(tentative.is_empty().then_some(()))
    })?;
    Echo::start(&lab.host, &lab.host_addresses(), PORT)
}

/// TCP, UDP and ping to these addresses over each uplink: which are not answered.
pub(crate) fn silent(lab: &Lab, targets: impl Fn(u8, Family) -> IpAddr) -> Result<Vec<String>> {
    let mut unanswered = Vec::new();
    for n in 1..=lab.topology.uplinks {
        for family in Family::BOTH {
            let (source, target) = (addressing::client(n, family), targets(n, family));
            let silent = echo::silent(&lab.client, source, target, PORT)?;
            unanswered.extend(
                silent.into_iter().map(|question| format!("{question} to {target}, uplink {n}")),
            );
        }
    }
    Ok(unanswered)
}

/// Every question to the own addresses of every uplink is answered.
pub(crate) fn expect_answers(lab: &Lab) -> Result<()> {
    let silent = silent(lab, addressing::host)?;
    ensure!(silent.is_empty(), "not answered: {silent:?}");
    Ok(())
}
