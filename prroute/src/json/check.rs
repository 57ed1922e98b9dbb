//! `prroute check --json`.

use serde::Serialize;

use super::FindingJson;
use crate::config::ConfigError;
use crate::state::advice::Advice;

#[derive(Serialize)]
pub(crate) struct CheckJson {
    schema: &'static str,
    valid: bool,
    error: Option<MistakeJson>,
    /// The kernel does not fit: the daemon would refuse to start.
    pub(super) conflict: Option<String>,
    warnings: Vec<String>,
    /// What of others would keep prroute from its work.
    findings: Vec<FindingJson>,
}

#[derive(Serialize)]
struct MistakeJson {
    file: String,
    line: Option<usize>,
    key: Option<String>,
    message: String,
}

impl CheckJson {
    pub(crate) fn of(advice: &Advice, error: Option<&ConfigError>) -> Self {
        Self {
            schema: "prroute.check/1",
            valid: error.is_none(),
            error: error.map(Into::into),
            conflict: advice.conflict.as_ref().map(ToString::to_string),
            warnings: advice.warnings.clone(),
            findings: advice.findings.iter().map(Into::into).collect(),
        }
    }
}

impl From<&ConfigError> for MistakeJson {
    fn from(error: &ConfigError) -> Self {
        let (path, line, key, message) = match error {
            ConfigError::Read { path, source } => (path, None, None, source.to_string()),
            ConfigError::Invalid { path, line, key, message } => {
                (path, *line, key.clone(), message.clone())
            }
        };
        Self { file: path.display().to_string(), line, key, message }
    }
}
