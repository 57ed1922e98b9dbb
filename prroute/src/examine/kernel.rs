//! What the kernel lacks.

use crate::datapath::features::{self, Feature};
use crate::datapath::{sockets, tcx};
use crate::state::findings::{Finding, Kind, Severity};
use crate::state::observed::Observed;

/// What prroute would use, and does without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Wish {
    name: &'static str,
    /// The first kernel of kernel.org that has it.
    since: &'static str,
    /// What prroute does without it.
    without: &'static str,
}

const COARSE_CLOCK: Wish = Wish {
    name: features::COARSE_CLOCK.name,
    since: features::COARSE_CLOCK.since,
    without: "the programs read a finer clock",
};
const COOKIE: Wish = Wish {
    name: "SO_NETNS_COOKIE",
    since: "5.14",
    without: "UDP servers on all addresses answer from the address that routing prefers",
};
const MANAGED: Wish = Wish {
    name: "NTF_EXT_MANAGED",
    since: "5.16",
    without: "the daemon has the gateways' link-layer addresses asked for, not the kernel",
};
const TCX: Wish =
    Wish { name: "tcx", since: "6.6", without: "the programs are filters of a clsact qdisc" };

pub(super) fn findings(observed: &Observed) -> Vec<Finding> {
    let needed = lacking(&features::missing(&features::NEEDED));
    // Without those no program runs, and the others do not matter.
    let wishes = || wishing(&missing(observed));
    needed.or_else(wishes).into_iter().collect()
}

/// What can be told of the kernel without changing anything.
fn missing(observed: &Observed) -> Vec<Wish> {
    let kept = || observed.neighbours.iter().filter(|it| it.is_ours());
    let wishes = [
        (COARSE_CLOCK, !features::has_coarse_clock()),
        (COOKIE, sockets::lacks_cookie()),
        (MANAGED, kept().next().is_some() && kept().all(|it| !it.managed)),
        (TCX, tcx::is_supported() == Some(false)),
    ];
    wishes.into_iter().filter(|(_, is_missing)| *is_missing).map(|(wish, _)| wish).collect()
}

fn lacking(missing: &[Feature]) -> Option<Finding> {
    (!missing.is_empty()).then(|| Finding {
        severity: Severity::Fault,
        what: "the kernel is too old for prroute's programs".to_owned(),
        remedy: Some("boot a newer kernel".to_owned()),
        evidence: vec![features::listing(missing)],
        fix: Some("uname -r".to_owned()),
        ..Finding::single(Kind::KernelFeature)
    })
}

fn wishing(missing: &[Wish]) -> Option<Finding> {
    let evidence = missing.iter().map(|Wish { name, since, without }| {
        format!("{name} (Linux {since}): without it {without}")
    });
    (!missing.is_empty()).then(|| Finding {
        severity: Severity::Notice,
        what: "the kernel is older than some of what prroute would use, and prroute does without"
            .to_owned(),
        evidence: evidence.collect(),
        ..Finding::single(Kind::KernelLacks)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named() {
        assert_eq!(lacking(&[]), None);
        let finding = lacking(&features::NEEDED).unwrap();
        assert!(finding.evidence[0].contains("bpf_redirect_neigh (Linux 5.10)"));
    }

    #[test]
    fn what_is_done_without_is_named_with_its_kernel_and_is_no_fault() {
        assert_eq!(wishing(&[]), None);
        let finding = wishing(&[COOKIE, TCX]).unwrap();
        assert_eq!(finding.severity, Severity::Notice);
        assert!(finding.evidence[0].starts_with("SO_NETNS_COOKIE (Linux 5.14): "));
        assert!(finding.evidence[1].ends_with("filters of a clsact qdisc"));
    }
}
