//! For the tests of the checks.

use super::{Facts, Finding, Host};
use crate::config::Config;
use crate::state::fixture::{self, found};

/// Starts the instance.
pub(super) const START: &str = "prroute run --instance blue";

/// What a check finds on a host.
pub(super) fn found_by(
    check: impl Fn(&Host<'_>) -> Vec<Finding>,
    config: &Config,
    host: &fixture::Host,
    facts: &Facts,
) -> Vec<Finding> {
    let skipped = found(config, &host.0).1;
    let uplinks = fixture::uplinks(config, &host.0);
    let observed = &host.0;
    let known = ["eth0", "eth1"].map(str::to_owned);
    let (uplinks, skipped, known) = (&uplinks, &skipped, &known);
    check(&Host { config, observed, uplinks, skipped, known, start: START, facts })
}

/// Their ids.
pub(super) fn ids(findings: &[Finding]) -> Vec<&str> {
    findings.iter().map(|finding| finding.id.as_str()).collect()
}
