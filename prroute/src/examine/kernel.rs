//! What the kernel lacks.

use crate::datapath::features::{self, Feature};
use crate::state::findings::{Finding, Severity};

pub(super) fn finding() -> Option<Finding> {
    lacking(&features::missing(&features::NEEDED))
}

fn lacking(missing: &[Feature]) -> Option<Finding> {
    (!missing.is_empty()).then(|| Finding {
        id: "kernel-feature".to_owned(),
        severity: Severity::Fault,
        what: "the kernel is too old for prroute's programs".to_owned(),
        remedy: Some("boot a newer kernel".to_owned()),
        evidence: vec![features::listing(missing)],
        fix: Some("uname -r".to_owned()),
        ..Finding::default()
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
}
