//! Sysctls that another program changes back: they are read every ten seconds, and the log says so once.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use tracing::Level;

use crate::config::RpFilter;
use crate::reconcile::lines::{EventName, Line};
use crate::reconcile::{Reconciler, lines};
use crate::state::uplink::Ifindex;
use crate::sysctl;

const PERIOD: Duration = Duration::from_secs(10);
/// `rp_filter`: what did not come in by the route back is dropped.
const STRICT: u8 = 1;

#[derive(Debug)]
pub(super) struct SysctlWatch {
    due: Instant,
    /// Devices that prroute made loose, and that are strict again.
    strict: BTreeSet<String>,
}

impl SysctlWatch {
    pub(super) fn new(now: Instant) -> Self {
        Self { due: now + PERIOD, strict: BTreeSet::new() }
    }

    /// What is to be said of the devices that are strict now.
    fn tell(&mut self, strict: BTreeSet<String>) -> Vec<Line> {
        let begun = strict.difference(&self.strict).map(|device| {
            let text = format!(
                "{device}: rp_filter was set to 1 again, by another program or on purpose: packets of \
                 clients that are routed by another uplink are dropped here; prroute leaves it so; \
                 sysctl -w net/ipv4/conf/{device}/rp_filter=2 makes it loose"
            );
            line(Level::WARN, EventName("sysctl-set-back"), device, text)
        });
        let ended = self.strict.difference(&strict).map(|device| {
            let text = format!("{device}: rp_filter is not strict any more");
            line(Level::INFO, EventName("sysctl-mended"), device, text)
        });
        let lines = begun.chain(ended).collect();
        self.strict = strict;
        lines
    }
}

impl Reconciler {
    /// When to look next; `None`: prroute has changed nothing, or changes it again without looking.
    pub(super) fn next_sysctl_look(&self) -> Option<Instant> {
        let leaves_it_so = self.config.rp_filter != RpFilter::Enforce;
        (leaves_it_so && !self.records.journal.sysctls.is_empty()).then_some(self.sysctls.due)
    }

    /// Reads what prroute has set. What cannot be read is gone with its device.
    pub(super) fn look_at_sysctls(&mut self, now: Instant) {
        self.sysctls.due = now + PERIOD;
        let saved = self.records.journal.sysctls.rp_filter.iter();
        let loosened = saved.filter(|(_, saved)| saved.applied && saved.set != STRICT);
        let all = sysctl::rp_filter("all").unwrap_or(0);
        let is_set_back = |ifindex: u32, device: &str| {
            let value = sysctl::rp_filter_of(device, Ifindex(ifindex));
            value.is_ok_and(|value| value.is_some_and(|value| is_strict(all, value)))
        };
        let strict = loosened.filter(|(ifindex, saved)| is_set_back(**ifindex, &saved.device));
        let strict = strict.map(|(_, saved)| saved.device.clone()).collect();
        self.sysctls.tell(strict).iter().for_each(lines::write);
    }
}

/// The greater one of the value of all interfaces and its own counts.
fn is_strict(all: u8, value: u8) -> bool {
    all.max(value) == STRICT
}

fn line(level: Level, kind: EventName, device: &str, text: String) -> Line {
    Line { uplink: Some(device.to_owned()), ..Line::new(level, kind, text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_that_is_loose_for_all_interfaces_drops_nothing() {
        assert!(is_strict(0, 1) && is_strict(1, 1) && is_strict(1, 0));
        assert!(!is_strict(2, 1) && !is_strict(0, 2) && !is_strict(1, 2) && !is_strict(0, 0));
    }

    #[test]
    fn a_filter_that_is_set_back_is_told_once_and_its_end_too() {
        let mut watch = SysctlWatch::new(Instant::now());
        let eth1 = || BTreeSet::from(["eth1".to_owned()]);
        let told = watch.tell(eth1());
        assert_eq!(told.len(), 1);
        assert_eq!((told[0].level, told[0].uplink.as_deref()), (Level::WARN, Some("eth1")));
        assert!(told[0].text.starts_with("eth1: rp_filter was set to 1 again"), "{told:?}");
        assert_eq!(watch.tell(eth1()), []);
        let over = watch.tell(BTreeSet::new());
        assert_eq!(over.len(), 1);
        assert_eq!(over[0].text, "eth1: rp_filter is not strict any more");
    }
}
