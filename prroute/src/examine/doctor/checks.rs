//! What was looked at: the kinds of findings.

use crate::examine::Examination;
use crate::state::findings::{Check, Finding, Kind, Outcome};

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

const fn needs(kind: Kind) -> Needs {
    match kind {
        Kind::ConfigurationInvalid
        | Kind::FewUplinks
        | Kind::UplinkCandidate
        | Kind::UplinkExcluded
        | Kind::UplinkUnfit
        | Kind::AddressMissing
        | Kind::Carrier
        | Kind::GatewaySilent
        | Kind::GatewayNone
        | Kind::GatewayOffSubnet
        | Kind::GatewayOwnAddress
        | Kind::GatewayFallback
        | Kind::GatewayStandby
        | Kind::GatewayUndecided
        | Kind::ForwardingOff
        | Kind::KernelFeature
        | Kind::KernelLacks
        | Kind::Networkd
        | Kind::Manager => Needs::Nothing,
        Kind::SameSubnet
        | Kind::CatchAll
        | Kind::CatchAllDestinations
        | Kind::Moved
        | Kind::DirectReturn
        | Kind::OwnSource
        | Kind::Memory
        | Kind::NetfilterUnread
        | Kind::IptablesLegacy
        | Kind::ListensOnOneAddress => Needs::TwoUplinks,
        Kind::ReversePathFilter | Kind::NftDrop | Kind::NftOif => Needs::Netfilter,
        Kind::GatewayGone
        | Kind::SharedAddressNowhere
        | Kind::RpFilter
        | Kind::DaemonGone
        | Kind::LeftOut
        | Kind::Unconfirmed
        | Kind::TableFull
        | Kind::Layout
        | Kind::ProgramOrder
        | Kind::ProgramForeign
        | Kind::PinsMissing
        | Kind::ProgramMissing
        | Kind::CgroupPrograms
        | Kind::Unsteady => Needs::Use,
        Kind::Collision
        | Kind::RuleMissing
        | Kind::RouteMissing
        | Kind::NeighbourMissing
        | Kind::Leftover => Needs::Configuration,
        Kind::DaemonHangs
        | Kind::ReportUnreadable
        | Kind::ReloadRefused
        | Kind::ConfigurationChanged
        | Kind::Healing => Needs::Daemon,
        Kind::Asymmetric => Needs::NoUse,
        Kind::Mtu => Needs::Pings,
    }
}

pub(super) fn list(examined: &Examination, findings: &[Finding], is_answered: bool) -> Vec<Check> {
    let is_met = |needs: Needs| match needs {
        Needs::Nothing => true,
        Needs::TwoUplinks => examined.outlook.uplinks.len() > 1,
        Needs::Netfilter => {
            examined.outlook.uplinks.len() > 1
                && findings.iter().all(|finding| finding.id.kind() != Kind::NetfilterUnread)
        }
        Needs::Use => examined.is_in_use(),
        Needs::Configuration => {
            examined.is_in_use()
                && examined.configuration.is_known
                && !examined.outlook.observed.unsteady
        }
        Needs::Daemon => examined.daemon.is_some(),
        Needs::NoUse => !examined.is_in_use(),
        Needs::Pings => is_answered,
    };
    Kind::ALL.iter().map(|kind| check(*kind, findings, is_met(needs(*kind)))).collect()
}

/// `is_met`: it could be looked at.
fn check(kind: Kind, findings: &[Finding], is_met: bool) -> Check {
    let is_found = findings.iter().any(|finding| finding.id.kind() == kind);
    let outcome = match (is_found, is_met) {
        (true, _) => Outcome::Found,
        (false, true) => Outcome::Ok,
        (false, false) => Outcome::Skipped,
    };
    Check { kind, outcome }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_that_found_nothing_is_ok_only_where_it_could_look() {
        let findings = ["eth0", "eth1"].map(|name| Finding::about(Kind::Carrier, name));
        let outcome = |kind, is_met| check(kind, &findings, is_met).outcome;
        assert_eq!(outcome(Kind::Carrier, true), Outcome::Found);
        assert_eq!(outcome(Kind::Carrier, false), Outcome::Found);
        assert_eq!(outcome(Kind::FewUplinks, true), Outcome::Ok);
        assert_eq!(outcome(Kind::DaemonGone, false), Outcome::Skipped);
    }
}
