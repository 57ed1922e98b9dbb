//! What was looked at, by stable ids: the kinds of findings.

use crate::examine::{Examination, netfilter};
use crate::state::findings::{Check, Finding, Outcome};

/// What a check needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Needs {
    Nothing,
    /// Something to decide about.
    TwoUplinks,
    /// Likewise, and all rules of netfilter.
    Netfilter,
    /// Something of prroute in the kernel, or a daemon.
    Use,
    /// Likewise, and the configuration in force is known.
    Configuration,
    Daemon,
    /// prroute was never started here.
    NoUse,
    /// A gateway answered pings, which are sent with `--probe`.
    Pings,
}

const CHECKS: &[(&str, Needs)] = &[
    ("configuration-invalid", Needs::Nothing),
    ("few-uplinks", Needs::Nothing),
    ("uplink-candidate", Needs::Nothing),
    ("uplink-excluded", Needs::Nothing),
    ("uplink-unfit", Needs::Nothing),
    ("address-missing", Needs::Nothing),
    ("carrier", Needs::Nothing),
    ("gateway-silent", Needs::Nothing),
    ("gateway-none", Needs::Nothing),
    ("gateway-off-subnet", Needs::Nothing),
    ("gateway-own-address", Needs::Nothing),
    ("gateway-fallback", Needs::Nothing),
    ("gateway-standby", Needs::Nothing),
    ("forwarding-off", Needs::Nothing),
    ("mtu", Needs::Pings),
    ("asymmetric", Needs::NoUse),
    ("shared-address-nowhere", Needs::Use),
    ("same-subnet", Needs::TwoUplinks),
    ("reverse-path-filter", Needs::Netfilter),
    ("catch-all", Needs::TwoUplinks),
    ("catch-all-destinations", Needs::TwoUplinks),
    ("direct-return", Needs::TwoUplinks),
    ("own-source", Needs::TwoUplinks),
    ("rp-filter", Needs::Use),
    ("daemon-gone", Needs::Use),
    ("report-unreadable", Needs::Daemon),
    ("reload-refused", Needs::Daemon),
    ("configuration-changed", Needs::Daemon),
    ("left-out", Needs::Use),
    ("memory", Needs::TwoUplinks),
    ("kernel-feature", Needs::Nothing),
    ("kernel-lacks", Needs::Nothing),
    ("nft-drop", Needs::Netfilter),
    ("nft-oif", Needs::Netfilter),
    ("netfilter-unread", Needs::TwoUplinks),
    ("iptables-legacy", Needs::TwoUplinks),
    ("listens-on-one-address", Needs::TwoUplinks),
    ("networkd", Needs::Nothing),
    ("healing", Needs::Daemon),
    ("unconfirmed", Needs::Use),
    ("table-full", Needs::Use),
    ("layout", Needs::Use),
    ("program-order", Needs::Use),
    ("program-foreign", Needs::Use),
    ("pins-missing", Needs::Use),
    ("program-missing", Needs::Use),
    ("cgroup-programs", Needs::Use),
    ("collision", Needs::Configuration),
    ("rule-missing", Needs::Configuration),
    ("route-missing", Needs::Configuration),
    ("neighbour-missing", Needs::Configuration),
    ("leftover", Needs::Configuration),
];

pub(super) fn list(examined: &Examination, findings: &[Finding], is_answered: bool) -> Vec<Check> {
    let is_met = |needs: Needs| match needs {
        Needs::Nothing => true,
        Needs::TwoUplinks => examined.outlook.uplinks.len() > 1,
        Needs::Netfilter => {
            examined.outlook.uplinks.len() > 1
                && findings.iter().all(|finding| finding.id != netfilter::UNREAD)
        }
        Needs::Use => examined.is_in_use(),
        Needs::Configuration => {
            examined.is_in_use()
                && examined.configuration.is_known()
                && !examined.outlook.observed.unsteady
        }
        Needs::Daemon => examined.daemon.is_some(),
        Needs::NoUse => !examined.is_in_use(),
        Needs::Pings => is_answered,
    };
    outcomes(CHECKS, findings, is_met)
}

fn outcomes(
    checks: &[(&str, Needs)],
    findings: &[Finding],
    is_met: impl Fn(Needs) -> bool,
) -> Vec<Check> {
    let found: Vec<&str> = findings.iter().map(kind).collect();
    let mut all: Vec<Check> = checks
        .iter()
        .map(|(id, needs)| {
            let outcome = match (found.contains(id), is_met(*needs)) {
                (true, _) => Outcome::Found,
                (false, true) => Outcome::Ok,
                (false, false) => Outcome::Skipped,
            };
            Check { id: (*id).to_owned(), outcome }
        })
        .collect();
    for id in found {
        if !all.iter().any(|check| check.id == id) {
            all.push(Check { id: id.to_owned(), outcome: Outcome::Found });
        }
    }
    all
}

/// What an id begins with.
fn kind(finding: &Finding) -> &str {
    finding.id.split(':').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_check_is_once_in_the_list() {
        let mut ids: Vec<&str> = CHECKS.iter().map(|(id, _)| *id).collect();
        ids.sort_unstable();
        let count = ids.len();
        ids.dedup();
        assert_eq!(ids.len(), count);
    }

    #[test]
    fn a_check_that_found_nothing_is_ok_only_where_it_could_look() {
        let finding = |id: &str| Finding { id: id.to_owned(), ..Finding::default() };
        let findings = [finding("carrier:eth0"), finding("carrier:eth1"), finding("new:eth0")];
        let checks =
            [("carrier", Needs::Nothing), ("few", Needs::Nothing), ("gone", Needs::Daemon)];
        let outcomes = outcomes(&checks, &findings, |needs| needs == Needs::Nothing);
        let said: Vec<(&str, Outcome)> =
            outcomes.iter().map(|check| (check.id.as_str(), check.outcome)).collect();
        assert_eq!(
            said,
            [
                ("carrier", Outcome::Found),
                ("few", Outcome::Ok),
                ("gone", Outcome::Skipped),
                ("new", Outcome::Found)
            ]
        );
    }
}
