//! Findings in the log: once when they come, once when they go.

use crate::state::findings::{Finding, Severity, new_in};

pub(super) fn say(before: &[Finding], now: &[Finding]) {
    for finding in new_in(now, before) {
        match finding.severity {
            Severity::Warning => tracing::warn!("{finding}"),
            Severity::Notice => tracing::info!("{finding}"),
        }
    }
    for finding in new_in(before, now) {
        tracing::info!("resolved: {}", finding.what);
    }
}
