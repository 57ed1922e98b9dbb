//! What others deleted of prroute, and the daemon put back.

use crate::json::HealedJson;
use crate::runtime::seconds_since_1970;
use crate::state::findings::{Finding, Kind, Severity};

/// Seconds after which what happened once is over.
const RECENT: u64 = 600;

pub(super) fn finding(healed: Option<&HealedJson>) -> Option<Finding> {
    healed.map(|healed| said(healed, seconds_since_1970()))
}

fn said(healed: &HealedJson, now: u64) -> Finding {
    let HealedJson { times, by, what, last } = healed;
    let age = last.map(|last| now.saturating_sub(last));
    let is_recent = age.is_some_and(|age| age < RECENT);
    let when = match age {
        None => String::new(),
        Some(age @ 0..120) => format!(" {age} s ago"),
        Some(age @ 120..7200) => format!(" {} min ago", age / 60),
        Some(age) => format!(" {} h ago", age / 3600),
    };
    let times = match times {
        1 => "once".to_owned(),
        times => format!("{times} times, the last time"),
    };
    Finding {
        severity: if is_recent { Severity::Warning } else { Severity::Notice },
        what: format!("something of prroute was deleted {times}{when}, {by}, and was put back"),
        evidence: vec![what.clone()],
        ..Finding::single(Kind::Healing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_put_back_is_said_with_its_time() {
        let (by, what) = ("by an unknown program".to_owned(), "2 rules".to_owned());
        let healed = HealedJson { times: 3, by, what, last: Some(1000) };
        let recent = said(&healed, 1060);
        assert_eq!(recent.severity, Severity::Warning);
        let expected = "deleted 3 times, the last time 60 s ago, by an unknown program";
        assert!(recent.what.contains(expected), "{}", recent.what);
        let old = said(&healed, 9000);
        assert_eq!(old.severity, Severity::Notice);
        assert!(old.what.contains("2 h ago"), "{}", old.what);
        let unknown = said(&HealedJson { times: 1, last: None, ..healed }, 9000);
        assert!(unknown.what.contains("deleted once, by"), "{}", unknown.what);
    }
}
