//! The daemon and its configuration.

use crate::examine::Examination;
use crate::json::LeftOutJson;
use crate::state::findings::{Finding, Kind, Severity, word};
use crate::state::share::LeftOut;

pub(super) fn findings(examined: &Examination) -> Vec<Finding> {
    let mut all = Vec::new();
    if examined.daemon.is_none() {
        all.push(Finding {
            severity: Severity::Fault,
            what: "no daemon runs: the programs work on their last state, and nobody follows what \
                   changes"
                .to_owned(),
            fix: Some(examined.start("start")),
            ..Finding::single(Kind::DaemonGone)
        });
    } else if !examined.is_reported {
        all.push(Finding {
            what: "what the daemon reports cannot be read".to_owned(),
            fix: examined.restart(),
            ..Finding::single(Kind::ReportUnreadable)
        });
    }
    all.extend(examined.stopped_daemon().map(|pid| Finding {
        severity: Severity::Fault,
        what: format!(
            "the daemon (pid {pid}) is stopped: the programs work on their last state, and nobody follows \
             what changes"
        ),
        evidence: vec![format!("/proc/{pid}/stat: T, as after SIGSTOP")],
        fix: examined.restart().or_else(|| Some(format!("kill -CONT {pid}"))),
        ..Finding::single(Kind::DaemonHangs)
    }));
    all.extend(examined.outlook.left_out.iter().map(left_out));
    all
}

/// What is wrong with the configuration's files, also before the first start, or with what the daemon has of them.
pub(super) fn configuration(examined: &Examination) -> Option<Finding> {
    let refusal = examined.report.reload.refusal.as_ref();
    if let Some(error) = &examined.configuration.error {
        Some(Finding {
            what: format!("{}; the daemon would not start with it", error.summary()),
            fix: Some(check(examined)),
            ..Finding::single(Kind::ConfigurationInvalid)
        })
    } else if let Some(refusal) = refusal.filter(|_| examined.is_in_use()) {
        Some(Finding {
            what: format!(
                "the last reload was refused, and the configuration before it is in force: {}",
                refusal.message
            ),
            fix: examined.reload(),
            ..Finding::single(Kind::ReloadRefused)
        })
    } else if examined.configuration.is_stale {
        Some(Finding {
            severity: Severity::Notice,
            what: "the configuration was changed since the daemon read it, and is not in force"
                .to_owned(),
            fix: examined.reload(),
            ..Finding::single(Kind::ConfigurationChanged)
        })
    } else {
        None
    }
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
        what: LeftOutJson::from(left_out).to_string(),
        device: Some(left_out.name.clone()),
        ..Finding::about(Kind::LeftOut, &left_out.name)
    }
}
