//! `prroute doctor --json`.

use schemars::JsonSchema;
use serde::Serialize;

use super::FindingJson;
use crate::state::findings::{Check, Finding, Outcome, Severity};

#[derive(JsonSchema, Serialize)]
pub(crate) struct DoctorJson {
    /// Name and number of this format.
    pub(crate) schema: &'static str,
    /// Of the command.
    pub(crate) version: &'static str,
    /// Its release, as `uname -r` has it.
    pub(crate) kernel: String,
    /// The name of the instance.
    pub(crate) instance: String,
    /// `null` when no daemon runs.
    pub(crate) pid: Option<i32>,
    /// prroute has something in the kernel, or a daemon that sees to it.
    pub(crate) in_use: bool,
    /// Names of the interfaces that are uplinks.
    pub(crate) uplinks: Vec<String>,
    /// The worst that was found, notices aside.
    pub(crate) result: ResultJson,
    /// Findings by severity, and checks without any.
    pub(crate) counts: CountsJson,
    /// The worst first.
    pub(crate) findings: Vec<FindingJson>,
    /// What was looked at, whether or not it found something.
    pub(crate) checks: Vec<CheckJson>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ResultJson {
    Ok,
    Warning,
    Fault,
}

/// Findings by severity, and checks without any.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema, Serialize)]
pub(crate) struct CountsJson {
    /// Findings that are faults.
    pub(crate) fault: usize,
    /// Findings that are warnings.
    pub(crate) warning: usize,
    /// Findings that are notices.
    pub(crate) notice: usize,
    /// Checks that found nothing.
    pub(crate) ok: usize,
    /// Checks that could not be made, or had nothing to look at.
    pub(crate) skipped: usize,
}

#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
pub(crate) struct CheckJson {
    /// What of a finding stands before the colon.
    id: &'static str,
    /// What came of it.
    outcome: OutcomeJson,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize)]
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
