//! What of others keeps prroute from its work.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::state::findings::{Finding, Severity, explain};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FindingJson {
    pub(crate) id: String,
    severity: String,
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
        Self { id, severity: severity.to_owned(), what, owner, remedy }
    }
}

impl fmt::Display for FindingJson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        explain(f, &self.what, self.owner.as_deref(), self.remedy.as_deref())
    }
}
