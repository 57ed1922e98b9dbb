//! `prroute check --json`.

use schemars::JsonSchema;
use serde::Serialize;

use super::{FindingJson, Format};
use crate::config::{ConfigError, Mistake};
use crate::state::advice::Advice;

#[derive(JsonSchema, Serialize)]
pub(crate) struct CheckJson {
    /// Name and number of this format.
    schema: &'static str,
    /// No file has a mistake.
    valid: bool,
    /// The first mistake.
    error: Option<MistakeJson>,
    /// All mistakes, in the order of files and lines; 100 at most.
    errors: Vec<MistakeJson>,
    /// The kernel does not fit: the daemon would refuse to start.
    pub(super) conflict: Option<String>,
    /// What is valid and does not fit this host, one sentence each.
    warnings: Vec<String>,
    /// What of others would keep prroute from its work.
    findings: Vec<FindingJson>,
}

#[derive(JsonSchema, Serialize)]
struct MistakeJson {
    /// Its path, as it was opened.
    file: String,
    /// From 1; `null`: the whole file.
    line: Option<usize>,
    /// The key that is wrong; `null`: it is not about one.
    key: Option<String>,
    /// What is wrong with it.
    message: String,
}

impl CheckJson {
    pub(crate) fn of(advice: &Advice, error: Option<&ConfigError>) -> Self {
        let mistakes = error.map(ConfigError::mistakes).unwrap_or_default();
        Self {
            schema: Format::Check.id(),
            valid: error.is_none(),
            error: mistakes.first().map(Into::into),
            errors: mistakes.iter().map(Into::into).collect(),
            conflict: advice.conflict.as_ref().map(ToString::to_string),
            warnings: advice.warnings.clone(),
            findings: advice.findings.iter().map(Into::into).collect(),
        }
    }
}

impl From<&Mistake> for MistakeJson {
    fn from(mistake: &Mistake) -> Self {
        let (path, line, key, message) = match mistake {
            Mistake::Read { path, source } => (path, None, None, source.to_string()),
            Mistake::Invalid { path, line, key, message } => {
                (path, *line, key.clone(), message.clone())
            }
        };
        Self { file: path.display().to_string(), line, key, message }
    }
}
