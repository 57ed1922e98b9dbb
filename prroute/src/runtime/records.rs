//! What an earlier daemon left in files, as far as it can be used.

use std::path::Path;

use crate::config::Ranges;
use crate::json::UplinkJson;
use crate::runtime::directory::{Found, RunDirectory};
use crate::runtime::files;
use crate::runtime::journal::Journal;
use crate::runtime::report::DaemonReport;
use crate::state::ids::KnownId;
use crate::state::remembered::RememberedId;

/// What to go on with.
#[derive(Debug)]
pub struct Records {
    pub journal: Journal,
    pub report: DaemonReport,
    /// Which device has which id.
    pub ids: Vec<RememberedId>,
}

impl Records {
    /// For commands that change nothing. Without a journal, prroute's rules and tables are expected in
    /// `ranges`.
    pub fn read(directory: &RunDirectory, ranges: Ranges) -> Self {
        let journal = or_warn(directory.read_journal(), &directory.journal_path());
        let report = or_warn(directory.read_report(), &directory.report_path());
        let report = report.unwrap_or_default();
        let ids = or_warn(directory.read_ids(), &directory.ids_path());
        Self {
            journal: journal.unwrap_or_else(|| Journal::new(ranges)),
            ids: ids.unwrap_or_else(|| ids_of(&report)),
            report,
        }
    }

    /// For who holds the instance's lock: what cannot be used is set aside, with a warning. `managed`
    /// says whether the kernel has something of this instance.
    pub fn take(directory: &RunDirectory, ranges: Ranges, managed: bool) -> Self {
        let journal = match directory.read_journal() {
            Found::Usable(journal) => {
                if let [first, ..] = journal.not_understood.as_slice() {
                    tracing::warn!(
                        event = "file-unusable",
                        "{} is another version's, and says of {first} what this one does not know how to \
                         undo: what it did goes with `prroute down` of that version only",
                        directory.journal_path().display()
                    );
                }
                journal
            }
            Found::Nothing if !managed => Journal::new(ranges),
            Found::Nothing => {
                tracing::warn!(
                    event = "file-unusable",
                    "{} is gone; {UNKNOWN}",
                    directory.journal_path().display()
                );
                Journal::incomplete(ranges)
            }
            Found::Unusable(why) => {
                let (path, aside) = set_aside(&directory.journal_path());
                // The kernel started anew, or the container.
                let holds_here = managed || !why.is_elsewhere();
                if holds_here {
                    tracing::warn!(event = "file-unusable", "{path} {why}; {aside}; {UNKNOWN}");
                    Journal::incomplete(ranges)
                } else {
                    tracing::warn!(
                        event = "file-unusable",
                        "{path} {why}: nothing in it is left to undo here; {aside}"
                    );
                    Journal::new(ranges)
                }
            }
        };
        let lost = "only what `prroute status` showed is lost";
        let report = or_set_aside(directory.read_report(), &directory.report_path(), lost);
        let report = report.unwrap_or_default();
        let lost = "uplinks that come from now on may get other ids and table numbers than before";
        let ids = or_set_aside(directory.read_ids(), &directory.ids_path(), lost);
        let ids = ids.unwrap_or_else(|| ids_of(&report));
        Self { journal, report, ids }
    }
}

/// Those of the last daemon's uplinks; by name, until their hardware is looked at.
fn ids_of(report: &DaemonReport) -> Vec<RememberedId> {
    let known = report.uplinks.iter().map(UplinkJson::known);
    let entry = |(known, name): (KnownId, &str)| RememberedId {
        id: known.id,
        name: name.to_owned(),
        mac: None,
        last_used: 0,
    };
    known.map(entry).collect()
}

fn or_warn<T>(found: Found<T>, path: &Path) -> Option<T> {
    if let Found::Unusable(why) = &found {
        tracing::warn!(
            event = "file-unusable",
            "{} {why}: a running daemon writes it anew at the next change, `prroute run` renames \
             it",
            path.display()
        );
    }
    found.usable()
}

/// What a lost journal means.
const UNKNOWN: &str = "`prroute down` will still find its rules, routes and programs, but not the \
                       old values of rp_filter, nor who made a clsact qdisc";

fn or_set_aside<T>(found: Found<T>, path: &Path, lost: &str) -> Option<T> {
    if let Found::Unusable(why) = &found {
        let (path, aside) = set_aside(path);
        tracing::warn!(event = "file-unusable", "{path} {why}; {aside}; {lost}");
    }
    found.usable()
}

/// Takes a file that cannot be used out of the way of the next: its name, and what became of it.
fn set_aside(path: &Path) -> (String, String) {
    let aside = match files::set_aside(path) {
        Ok(kept) => format!("kept as {}", kept.display()),
        Err(error) => error.to_string(),
    };
    (path.display().to_string(), aside)
}
