//! What nobody knows any more after a journal was lost: settings whose old values were in it.

use crate::runtime::{DaemonReport, Journal};
use crate::state::observed::{Link, Observed, RP_FILTER_LOOSE};

/// Names that a message has room for.
const SHOWN: usize = 8;

/// Names what may be ours and stays, with the command that takes it back. `filtered` are interfaces that had our filters.
pub(super) fn say(
    observed: &Observed,
    journal: &Journal,
    report: &DaemonReport,
    filtered: &[&str],
) {
    let loose = may_be_ours(observed, journal, report);
    if let Some(first) = loose.first() {
        tracing::warn!(
            event = "left-behind",
            "rp_filter of {} is left at {RP_FILTER_LOOSE}: its value before prroute is not known; where it was \
             strict: sysctl -w net/ipv4/conf/{first}/rp_filter=1",
            list(&loose)
        );
    }
    if let Some(first) = filtered.first() {
        tracing::warn!(
            event = "left-behind",
            "the clsact qdisc of {} is left: whether prroute made it is not known; one that is not \
             needed goes with: tc qdisc del dev {first} clsact",
            list(filtered)
        );
    }
}

/// Loose filters without an old value: of the last daemon's uplinks, or, where it left no report
/// either, of any interface.
fn may_be_ours<'a>(
    observed: &'a Observed,
    journal: &Journal,
    report: &DaemonReport,
) -> Vec<&'a str> {
    let is_loose = |link: &&Link| link.rp_filter == Some(RP_FILTER_LOOSE) && !link.loopback;
    let is_recorded = |link: &Link| journal.sysctls.get(link).is_some();
    let is_uplink = |link: &Link| {
        report.uplinks.iter().any(|uplink| uplink.is_device(link.ifindex))
            || report.uplinks.is_empty()
    };
    let links = observed.links.iter().filter(is_loose);
    links.filter(|link| !is_recorded(link) && is_uplink(link)).map(|l| l.name.as_str()).collect()
}

fn list(names: &[&str]) -> String {
    let shown = names.iter().take(SHOWN).copied().collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}
