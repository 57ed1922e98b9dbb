//! The daemon and its configuration.

use crate::examine::Examination;
use crate::json::LeftOutJson;
use crate::state::findings::{Finding, Severity, word};
use crate::state::share::LeftOut;

pub(super) fn findings(examined: &Examination) -> Vec<Finding> {
    let mut all = Vec::new();
    let report = &examined.report;
    if examined.daemon.is_none() {
        all.push(Finding {
            id: "daemon-gone".to_owned(),
            severity: Severity::Fault,
            what: "no daemon runs: the programs work on their last state, and nobody follows what \
                   changes"
                .to_owned(),
            fix: Some(examined.start("start")),
            ..Finding::default()
        });
    } else if !examined.is_reported {
        all.push(Finding {
            id: "report-unreadable".to_owned(),
            what: "what the daemon reports cannot be read".to_owned(),
            fix: examined.restart(),
            ..Finding::default()
        });
    }
    if let Some(error) = &examined.configuration.error {
        all.push(Finding {
            id: "configuration-invalid".to_owned(),
            what: format!("{}; the daemon would not start with it", error.summary()),
            fix: Some(check(examined)),
            ..Finding::default()
        });
    } else if let Some(refusal) = &report.reload.refusal {
        all.push(Finding {
            id: "reload-refused".to_owned(),
            what: format!(
                "the last reload was refused, and the configuration before it is in force: {}",
                refusal.message
            ),
            fix: Some(examined.command("reload")),
            ..Finding::default()
        });
    } else if examined.configuration.is_stale {
        all.push(Finding {
            id: "configuration-changed".to_owned(),
            severity: Severity::Notice,
            what: "the configuration was changed since the daemon read it, and is not in force"
                .to_owned(),
            fix: Some(examined.command("reload")),
            ..Finding::default()
        });
    }
    all.extend(examined.outlook.left_out.iter().map(left_out));
    all
}

/// Of the files that the daemon reads.
fn check(examined: &Examination) -> String {
    match &examined.report.config_file {
        Some(file) => format!("prroute check {}", word(&file.to_string_lossy())),
        None => "prroute check".to_owned(),
    }
}

fn left_out(left_out: &LeftOut) -> Finding {
    Finding {
        id: format!("left-out:{}", left_out.name),
        what: LeftOutJson::from(left_out).to_string(),
        device: Some(left_out.name.clone()),
        ..Finding::default()
    }
}
