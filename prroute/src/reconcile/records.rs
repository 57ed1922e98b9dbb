//! What outlives the daemon: journal, report and ids, written when they change.

use std::time::{Duration, Instant};

use crate::config::Config;
use crate::json::{SilentGatewayJson, UplinkJson};
use crate::reconcile::telling::summary;
use crate::reconcile::{Outlook, Reconciler};
use crate::runtime::{DaemonReport, Journal, Records, Store, seconds_since_1970, since_boot};
use crate::state::gateways::{GatewayKey, Silence};
use crate::state::remembered::{self, Recall, RememberedId};
use crate::state::uplink::Ifindex;

/// Files that could not be written are tried again after this.
const SAVE_RETRY: Duration = Duration::from_secs(5);

/// Journal, report and ids, and where they are written.
#[derive(Debug)]
pub(super) struct Written {
    /// What must be undone.
    pub(super) journal: Journal,
    /// What `status` and `reload` are told.
    pub(super) report: DaemonReport,
    /// Which device has which id, over reboots; and what of it is written down.
    pub(super) ids: Vec<RememberedId>,
    written_ids: Vec<RememberedId>,
    pub(super) store: Store,
    /// There was no report before.
    is_first: bool,
}

impl Written {
    /// Goes on where `records` end.
    pub(super) fn new(records: Records, store: Store) -> Self {
        let Records { journal, report, ids } = records;
        let is_first = !report.was_read();
        let report = DaemonReport::following(report);
        Self { journal, report, written_ids: ids.clone(), ids, store, is_first }
    }

    /// That a daemon starts, which may take seconds: an earlier daemon's report says so by itself, as that is
    /// of another process.
    pub(super) fn note_start(&mut self) {
        if self.is_first {
            self.store.save_report(&self.report);
        }
    }

    /// What `status` is told of a round.
    pub(super) fn note_round(&mut self, outlook: &Outlook, config: &Config) {
        self.note_config(config);
        let report = &mut self.report;
        report.summary = summary(&outlook.uplinks, config.mode);
        let uplinks: Vec<UplinkJson> = outlook.uplinks.iter().map(Into::into).collect();
        let lost = report.lost_gateways_after(&uplinks, &outlook.observed.links);
        report.lost_gateways = lost.iter().map(Into::into).collect();
        report.uplinks = uplinks;
        report.skipped = outlook.skipped.iter().map(Into::into).collect();
        report.left_out = outlook.left_out.iter().map(Into::into).collect();
        if !outlook.observed.unsteady {
            report.findings = outlook.findings.iter().map(Into::into).collect();
        }
    }

    /// What is in force, whatever becomes of the files.
    fn note_config(&mut self, config: &Config) {
        if self.report.in_force.as_ref() != Some(config) {
            self.report.in_force = Some(config.clone());
        }
    }

    /// Since when which gateways do not answer.
    pub(super) fn note_silence(&mut self, silent: impl Iterator<Item = (GatewayKey, Silence)>) {
        let of = |((Ifindex(ifindex), gateway), Silence { since, seen_to_begin })| {
            let since_boot_ms = since_boot(since)?.as_millis().try_into().ok()?;
            Some(SilentGatewayJson { ifindex, gateway, since_boot_ms, seen_to_begin })
        };
        self.report.silent_gateways = silent.filter_map(of).collect();
    }

    /// What is to be undone, whether or not the disk has it.
    pub(super) fn into_records(self) -> Records {
        let Self { journal, report, ids, .. } = self;
        Records { journal, report, ids }
    }
}

impl Reconciler {
    /// From when there is something to decide: before that the order of arrival would.
    pub(super) fn remember_ids(&mut self, outlook: &Outlook) {
        if self.datapath.loaded.is_none() {
            return;
        }
        let recall = Recall { remembered: &self.records.ids, links: &outlook.observed.links };
        self.records.ids = recall.updated(&outlook.uplinks, seconds_since_1970());
        if remembered::differs(&self.records.written_ids, &self.records.ids)
            && self.records.store.save_ids(&self.records.ids)
        {
            self.records.written_ids.clone_from(&self.records.ids);
        }
    }

    /// Writes what changed. What cannot be written now is tried again, also when nothing happens.
    pub(super) fn save(&mut self) {
        // Also after a reload that was refused.
        self.records.note_config(&self.config);
        self.records.store.save_journal(&self.records.journal);
        self.records.store.save_report(&self.records.report);
        if self.records.store.is_failing() {
            self.schedule.round_by(Instant::now() + SAVE_RETRY);
        }
    }
}
