//! The state of the whole in one word.

use super::{Finding, Severity};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Health {
    /// A daemon runs, and nothing that replies need is missing.
    Ok,
    /// The daemon has not finished its start.
    Starting,
    /// There is a fault.
    Degraded,
    /// No daemon runs: nobody follows what changes.
    Unwatched,
}

impl Health {
    pub(crate) fn of(has_daemon: bool, is_ready: bool, findings: &[Finding]) -> Self {
        let has_fault = findings.iter().any(|it| it.severity == Severity::Fault);
        match (has_daemon, is_ready, has_fault) {
            (false, ..) => Self::Unwatched,
            (true, false, _) => Self::Starting,
            (true, true, true) => Self::Degraded,
            (true, true, false) => Self::Ok,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Kind;
    use super::*;

    #[test]
    fn a_fault_degrades_and_a_warning_does_not() {
        let with = |severity| vec![Finding { severity, ..Finding::single(Kind::Layout) }];
        let (fault, warning) = (with(Severity::Fault), with(Severity::Warning));
        assert_eq!(Health::of(true, true, &warning), Health::Ok);
        assert_eq!(Health::of(true, true, &fault), Health::Degraded);
        assert_eq!(Health::of(true, false, &fault), Health::Starting);
        assert_eq!(Health::of(false, true, &[]), Health::Unwatched);
    }
}
