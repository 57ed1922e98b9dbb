//! What keeps prroute from its work.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::state::findings::{Finding, Severity, explain};

#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub(crate) struct FindingJson {
    /// Its kind, a colon, and the object that it is about.
    pub(crate) id: String,
    /// How bad it is.
    pub(crate) severity: SeverityJson,
    /// One sentence.
    pub(crate) what: String,
    /// Who likely did it.
    pub(crate) owner: Option<String>,
    /// What to do about it, in words.
    pub(crate) remedy: Option<String>,
    /// The interface, where it is about one.
    #[serde(default)]
    pub(crate) device: Option<String>,
    /// What was seen, one line each.
    #[serde(default)]
    pub(crate) evidence: Vec<String>,
    /// One command that mends it.
    #[serde(default)]
    pub(crate) fix: Option<String>,
}

#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, JsonSchema, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum SeverityJson {
    Fault,
    Warning,
    Notice,
}

impl FindingJson {
    /// The part of the id that is before the object: a section of docs/findings.md.
    pub(crate) fn kind(&self) -> &str {
        self.id.split(':').next().unwrap_or_default()
    }
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
