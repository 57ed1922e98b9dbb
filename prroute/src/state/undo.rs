//! Taking everything back.

use super::desired::nothing;
use super::diff::difference;
use super::observed::Observed;
use super::plan::Plan;
use crate::config::Config;
use crate::sysctl::SavedSysctls;

/// The plan that removes everything of ours. It needs nothing but what the kernel shows, apart
/// from the old values of sysctls.
pub fn undo(config: &Config, observed: &Observed, saved: &SavedSysctls) -> Plan {
    difference(config.ranges, &nothing(observed, saved), observed)
}
