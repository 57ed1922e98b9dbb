//! What `--json` prints: types of its own, so that a change of the model changes no report. Fields may
//! be added; names and meanings stay. `examples/` has one of each, which a test compares.

mod flows;
mod operation;
mod own_source;
mod plan;
mod status;
mod uplink;

#[cfg(test)]
mod tests;

pub(super) use flows::FlowsJson;
pub(super) use plan::PlanJson;
pub(super) use status::StatusJson;

use serde::Serialize;

use crate::state::findings::{Finding, Severity};
use crate::state::observed::Family;

const fn family(family: Family) -> &'static str {
    match family {
        Family::V4 => "v4",
        Family::V6 => "v6",
    }
}

/// What of others keeps prroute from its work.
#[derive(Serialize)]
pub(super) struct FindingJson {
    id: String,
    severity: &'static str,
    what: String,
    owner: Option<String>,
    remedy: Option<String>,
}

impl From<&Finding> for FindingJson {
    fn from(finding: &Finding) -> Self {
        let Finding { id, severity, what, owner, remedy } = finding.clone();
        let severity = match severity {
            Severity::Warning => "warning",
            Severity::Notice => "notice",
        };
        Self { id, severity, what, owner, remedy }
    }
}
