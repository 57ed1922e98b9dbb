//! What an earlier daemon left in files, as far as it can be used.

use crate::config::Ranges;
use crate::runtime::directory::{Found, RunDirectory};
use crate::runtime::files::RuntimeError;
use crate::runtime::journal::Journal;
use crate::runtime::report::DaemonReport;

/// What to go on with.
#[derive(Debug)]
pub struct Records {
    pub journal: Journal,
    pub report: DaemonReport,
}

impl Records {
    /// For who only looks. Without a journal our rules and tables are expected in `ranges`.
    pub fn read(directory: &RunDirectory, ranges: Ranges) -> Self {
        let journal = directory.read_journal().usable().unwrap_or_else(|| Journal::new(ranges));
        Self { journal, report: directory.read_report().usable().unwrap_or_default() }
    }

    /// For who holds the instance's lock: what cannot be used is set aside, with a warning. `managed`
    /// says whether the kernel has something of this instance.
    pub fn take(directory: &RunDirectory, ranges: Ranges, managed: bool) -> Self {
        let journal = match directory.read_journal() {
            Found::Usable(journal) => journal,
            Found::Nothing if !managed => Journal::new(ranges),
            Found::Nothing => {
                tracing::warn!("{} is gone; {UNKNOWN}", directory.journal_path().display());
                Journal::incomplete(ranges)
            }
            Found::Unusable(why) => {
                let path = directory.journal_path().display().to_string();
                let aside = kept(directory.set_journal_aside());
                // The kernel started anew, or the container.
                if why.is_elsewhere() && !managed {
                    tracing::warn!("{path} {why}: nothing of it is left to undo; {aside}");
                    Journal::new(ranges)
                } else {
                    tracing::warn!("{path} {why}; {aside}; {UNKNOWN}");
                    Journal::incomplete(ranges)
                }
            }
        };
        let report = match directory.read_report() {
            Found::Usable(report) => report,
            Found::Nothing => DaemonReport::default(),
            Found::Unusable(why) => {
                let path = directory.report_path().display().to_string();
                let aside = kept(directory.set_report_aside());
                tracing::warn!("{path} {why}; {aside}; nothing is lost but what `status` showed");
                DaemonReport::default()
            }
        };
        Self { journal, report }
    }
}

/// What a lost journal means.
const UNKNOWN: &str = "`prroute down` will know its rules, routes and programs all the same, but \
                       not which rp_filter and which clsact qdiscs there were before";

fn kept(aside: Result<std::path::PathBuf, RuntimeError>) -> String {
    match aside {
        Ok(path) => format!("kept as {}", path.display()),
        Err(error) => error.to_string(),
    }
}
