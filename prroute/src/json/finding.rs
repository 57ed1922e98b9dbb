//! What keeps prroute from its work.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::state::findings::{Finding, Severity, explain};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FindingJson {
    pub(crate) id: String,
    pub(crate) severity: SeverityJson,
    pub(crate) what: String,
    pub(crate) owner: Option<String>,
    pub(crate) remedy: Option<String>,
    #[serde(default)]
    pub(crate) device: Option<String>,
    #[serde(default)]
    pub(crate) evidence: Vec<String>,
    #[serde(default)]
    pub(crate) fix: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum SeverityJson {
    Fault,
    Warning,
    Notice,
}

impl From<Severity> for SeverityJson {
    fn from(severity: Severity) -> Self {
        match severity {
            Severity::Fault => Self::Fault,
            Severity::Warning => Self::Warning,
            Severity::Notice => Self::Notice,
        }
    }
}

impl From<&Finding> for FindingJson {
    fn from(finding: &Finding) -> Self {
        let Finding { id, severity, what, owner, remedy, device, evidence, fix } = finding.clone();
        Self {
            id: id.to_string(),
            severity: severity.into(),
            what,
            owner,
            remedy,
            device,
            evidence,
            fix,
        }
    }
}

impl fmt::Display for FindingJson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        explain(f, &self.what, self.owner.as_deref(), self.remedy.as_deref())
    }
}
