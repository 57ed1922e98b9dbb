//! What `doctor` says beyond what is wrong: programs of others, and what only the flows tell. It costs
//! more than a look, or is no fault.

use anyhow::Result;

use crate::datapath::flows::FlowRecord;
use crate::datapath::memory::machine;
use crate::datapath::occupancy::Occupancy;
use crate::examine::{Examination, flows, healing, kernel, memory, netfilter, others, sockets};
use crate::managers::Machine;
use crate::netlink::nftables::{FilterRules, filter_rules};
use crate::state::findings::Finding;

/// `recorded` are all flows; `None`: there are no tables.
pub(super) fn findings(
    examined: &Examination,
    recorded: Option<&[FlowRecord]>,
) -> Result<Vec<Finding>> {
    let (uplinks, observed) = (&examined.outlook.uplinks, &examined.outlook.observed);
    let mut all = Vec::new();
    all.extend(kernel::findings(observed));
    if uplinks.len() > 1 {
        let FilterRules { rules, unread } = filter_rules();
        all.extend(netfilter::findings(&rules, uplinks, observed));
        all.extend(unread.map(netfilter::unread));
        all.extend(netfilter::legacy());
        all.extend(memory::finding(&examined.configuration.config, observed, machine()));
        all.extend(sockets::findings(&sockets::listeners(), uplinks));
    }
    all.extend(others::findings(&Machine::default(), observed));
    all.extend(healing::finding(examined.report.healed.as_ref()));
    if let Some(recorded) = recorded {
        // Replies that leave by the wrong uplink are lost beyond that.
        if !examined.observes() {
            all.extend(flows::unconfirmed(recorded, uplinks));
        }
        all.extend(flows::full(&Occupancy::read(&examined.pins)?));
    }
    Ok(all)
}
