//! `prroute doctor --json`.

use serde::Serialize;

use super::FindingJson;
use crate::state::findings::{Check, Finding, Outcome, Severity};

#[derive(Serialize)]
pub(crate) struct DoctorJson {
    pub(crate) schema: &'static str,
    pub(crate) version: &'static str,
    pub(crate) kernel: String,
    pub(crate) instance: String,
    /// `null` when no daemon runs.
    pub(crate) pid: Option<i32>,
    /// prroute has something in the kernel, or a daemon that sees to it.
    pub(crate) in_use: bool,
    /// Names of the interfaces that are uplinks.
    pub(crate) uplinks: Vec<String>,
    pub(crate) result: ResultJson,
    pub(crate) counts: CountsJson,
    /// The worst first.
    pub(crate) findings: Vec<FindingJson>,
    pub(crate) checks: Vec<CheckJson>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ResultJson {
    Ok,
    Warning,
    Fault,
}

/// Findings by severity, and checks without any.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct CountsJson {
    pub(crate) fault: usize,
    pub(crate) warning: usize,
    pub(crate) notice: usize,
    pub(crate) ok: usize,
    pub(crate) skipped: usize,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct CheckJson {
    id: &'static str,
    outcome: OutcomeJson,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum OutcomeJson {
    Ok,
    Found,
    /// It could not be looked at, or there is nothing to look at.
    Skipped,
}

impl CountsJson {
    pub(crate) fn of(findings: &[Finding], checks: &[Check]) -> Self {
        let of = |severity| {
            let is_it = |finding: &&Finding| finding.severity == severity;
            findings.iter().filter(is_it).count()
        };
        let with = |outcome| checks.iter().filter(|check| check.outcome == outcome).count();
        Self {
            fault: of(Severity::Fault),
            warning: of(Severity::Warning),
            notice: of(Severity::Notice),
            ok: with(Outcome::Ok),
            skipped: with(Outcome::Skipped),
        }
    }

    pub(crate) const fn result(&self) -> ResultJson {
        match self {
            Self { fault: 1.., .. } => ResultJson::Fault,
            Self { warning: 1.., .. } => ResultJson::Warning,
            _ => ResultJson::Ok,
        }
    }
}

impl From<&Check> for CheckJson {
    fn from(check: &Check) -> Self {
        let outcome = match check.outcome {
            Outcome::Ok => OutcomeJson::Ok,
            Outcome::Found => OutcomeJson::Found,
            Outcome::Skipped => OutcomeJson::Skipped,
        };
        Self { id: check.kind.name(), outcome }
    }
}
