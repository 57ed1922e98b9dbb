//! Sysctls that another program changes back. The kernel announces no such change: they are read every
//! ten seconds, and the log says so once.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use tracing::Level;

use crate::reconcile::{Reconciler, events};
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
    fn tell(&mut self, strict: BTreeSet<String>) -> Vec<(Level, String)> {
        let begun = strict.difference(&self.strict).map(|device| {
            let line = format!(
                "{device}: another program set rp_filter to 1 again: packets of clients that are \
                 routed by another uplink are dropped here; prroute leaves it so; sysctl -w \
                 net/ipv4/conf/{device}/rp_filter=2 makes it loose"
            );
            (Level::WARN, line)
        });
        let ended = self.strict.difference(&strict);
        let ended =
            ended.map(|device| (Level::INFO, format!("{device}: rp_filter is not 1 any more")));
        let lines = begun.chain(ended).collect();
        self.strict = strict;
        lines
    }
}

impl Reconciler {
    /// When to look next; `None`: prroute has changed nothing.
    pub(super) fn next_sysctl_look(&self) -> Option<Instant> {
        (!self.records.journal.sysctls.is_empty()).then_some(self.sysctls.due)
    }

    /// Reads what prroute has set. What cannot be read is gone with its device.
    pub(super) fn look_at_sysctls(&mut self, now: Instant) {
        self.sysctls.due = now + PERIOD;
        let saved = self.records.journal.sysctls.rp_filter.values();
        let loosened = saved.filter(|saved| saved.applied && saved.set != STRICT);
        let strict = loosened.filter(|saved| sysctl::rp_filter(&saved.device).ok() == Some(STRICT));
        let strict = strict.map(|saved| saved.device.clone()).collect();
        events::write(&self.sysctls.tell(strict));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_that_is_set_back_is_told_once_and_its_end_too() {
        let mut watch = SysctlWatch::new(Instant::now());
        let eth1 = || BTreeSet::from(["eth1".to_owned()]);
        let told = watch.tell(eth1());
        assert_eq!(told.len(), 1);
        assert_eq!(told[0].0, Level::WARN);
        assert!(
            told[0].1.starts_with("eth1: another program set rp_filter to 1 again"),
            "{told:?}"
        );
        assert_eq!(watch.tell(eth1()), []);
        let over = (Level::INFO, "eth1: rp_filter is not 1 any more".to_owned());
        assert_eq!(watch.tell(BTreeSet::new()), [over]);
    }
}
