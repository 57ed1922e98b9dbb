//! Other programs that manage the network here: what to know of them beside prroute.

use crate::managers::{Machine, known, networkd};
use crate::state::findings::{Finding, Kind, Severity};
use crate::state::observed::Observed;

pub(super) fn findings(machine: &Machine, observed: &Observed) -> Vec<Finding> {
    let foreign = networkd::Foreign::effective(machine);
    let recognised = known::recognised(machine, observed);
    recognised.into_iter().map(|known| finding(known, foreign)).collect()
}

fn finding(known: &known::Known, foreign: networkd::Foreign) -> Finding {
    let known::Known { id, name, what, .. } = known;
    if *id == known::NETWORKD && foreign.is_any() {
        return Finding {
            severity: Severity::Warning,
            what: "systemd-networkd deletes rules and routes that it did not make, when it starts and \
                   when a link changes: prroute puts its own back, and replies go astray meanwhile"
                .to_owned(),
            fix: Some("prroute setup networkd".to_owned()),
            ..Finding::single(Kind::Networkd)
        };
    }
    Finding {
        severity: Severity::Notice,
        what: format!("{name} {what}"),
        ..Finding::about(Kind::Manager, id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::managers::known::KNOWN;

    #[test]
    fn networkd_is_a_warning_while_it_deletes_what_is_ours() {
        let networkd = KNOWN.iter().find(|known| known.id == known::NETWORKD).unwrap();
        let deletes = networkd::Foreign { rules: true, routes: false };
        let found = finding(networkd, deletes);
        assert_eq!((found.id.as_str(), found.severity), ("networkd", Severity::Warning));
        assert_eq!(found.fix.as_deref(), Some("prroute setup networkd"));
        let leaves = networkd::Foreign { rules: false, routes: false };
        assert_eq!(finding(networkd, leaves).severity, Severity::Notice);
    }
}
