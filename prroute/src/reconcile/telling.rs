//! What a round tells the log.

use std::collections::BTreeSet;
use std::time::Instant;

use tracing::Level;

use crate::config::Mode;
use crate::json::LeftOutJson;
use crate::reconcile::held_back::{Counts, Events};
use crate::reconcile::lines::{EventName, Line};
use crate::reconcile::outages::Outages;
use crate::reconcile::restless::Restless;
use crate::reconcile::{ENOUGH_UPLINKS, Outlook, Reconciler, events, lines};
use crate::state::discover::is_notable;
use crate::state::findings::{Finding, Severity, new_in};
use crate::state::ids::NO_ID_LEFT;
use crate::state::share::LeftOut;
use crate::state::uplink::{Skipped, Uplink};

/// What the log was told.
#[derive(Debug, Default)]
pub(super) struct Log {
    events: Events,
    outages: Outages,
    /// The uplinks as they were told last.
    pub(super) uplinks: Option<Vec<Uplink>>,
    left_out: Vec<LeftOut>,
    findings: Vec<Finding>,
    pub(super) restless: Restless,
    /// Rules and routes that the last round changed.
    pub(super) counts: Counts,
    /// Sentences that were true in the last round: they are said once, not every round.
    sentences: BTreeSet<String>,
}

impl Log {
    /// When what was held back is due.
    pub(super) fn due(&self) -> Option<Instant> {
        self.events.due()
    }

    /// Writes what was held back.
    pub(super) fn tell_the_rest(&mut self) {
        let uplinks = self.uplinks.as_deref().unwrap_or_default();
        self.events.flush(Instant::now(), uplinks).iter().for_each(lines::write);
    }

    /// Writes those that were not true in the last round.
    pub(super) fn say(&mut self, sentences: Vec<Line>) {
        let is_new = |line: &&Line| !self.sentences.contains(&line.text);
        sentences.iter().filter(is_new).for_each(lines::write);
        self.sentences = sentences.into_iter().map(|line| line.text).collect();
    }

    /// What is left out: when it begins, and when it ends; not each time that it is another number.
    pub(super) fn say_left_out(&mut self, now: &[LeftOut]) {
        let is_in = |all: &[LeftOut], one: &LeftOut| all.iter().any(|it| it.uplink == one.uplink);
        for begun in now.iter().filter(|one| !is_in(&self.left_out, one)) {
            let uplink = Some(begun.name.as_str());
            tracing::warn!(event = "left-out", uplink, "{}", LeftOutJson::from(begun));
        }
        for ended in self.left_out.iter().filter(|one| !is_in(now, one)) {
            let name = ended.name.as_str();
            tracing::info!(
                event = "left-out-over",
                uplink = Some(name),
                "{name}: there is room for all prefixes and addresses again"
            );
        }
        self.left_out = now.to_vec();
    }

    /// Findings: once when they come, once when they go.
    pub(super) fn say_findings(&mut self, now: &[Finding]) {
        for finding in new_in(now, &self.findings) {
            let (id, uplink) = (finding.id.as_str(), finding.device.as_deref());
            match finding.severity {
                Severity::Fault | Severity::Warning => {
                    tracing::warn!(event = "finding", finding = id, uplink, "{finding}");
                }
                Severity::Notice => {
                    tracing::info!(event = "finding", finding = id, uplink, "{finding}");
                }
            }
        }
        for finding in new_in(&self.findings, now) {
            let (id, uplink) = (finding.id.as_str(), finding.device.as_deref());
            let what = &finding.what;
            tracing::info!(event = "finding-over", finding = id, uplink, "resolved: {what}");
        }
        self.findings = now.to_vec();
    }
}

impl Reconciler {
    /// One line for the round.
    pub(super) fn tell(&mut self, outlook: &Outlook) {
        let (skipped, observed) = (&outlook.skipped, &outlook.observed);
        let before = self.log.uplinks.replace(outlook.uplinks.clone());
        if before.is_none() {
            let is_notable =
                |it: &&Skipped| it.reason != NO_ID_LEFT && is_notable(&self.config, observed, it);
            for skipped in skipped.iter().filter(is_notable) {
                let Skipped { name, reason, .. } = skipped;
                let uplink = Some(name.as_str());
                tracing::info!(event = "not-managed", uplink, "{name}: not managed: {reason}");
            }
        }
        let enough = |uplinks: &[Uplink]| uplinks.len() >= ENOUGH_UPLINKS;
        let changes = before.as_ref().is_some_and(|it| enough(it) != enough(&outlook.uplinks));
        let before = before.unwrap_or_default();
        let (outages, now) = (&mut self.log.outages, Instant::now());
        let mut happened =
            events::between(&before, &outlook.uplinks, skipped, observed, outages, now);
        if let Some(last) = happened.last_mut().filter(|_| changes) {
            last.text = format!("{}; {}", last.text, summary(&outlook.uplinks, self.config.mode));
        }
        let counts = std::mem::take(&mut self.log.counts);
        self.log.events.round(now, &happened, counts).iter().for_each(lines::write);
    }

    /// Addresses that others route, gateways that cannot be told apart, how own sources are kept, and
    /// devices that got no id.
    pub(super) fn say(&mut self, outlook: &Outlook) {
        let recognised = outlook.desired.recognised.iter().map(ToString::to_string);
        let recognised =
            recognised.map(|text| Line::new(Level::INFO, EventName("address-recognised"), text));
        let of = |name: &str, line: Line| Line { uplink: Some(name.to_owned()), ..line };
        let undecided = outlook.uplinks.iter().flat_map(|uplink| {
            let device = &uplink.device;
            device.undecided.iter().map(move |text| {
                let kind = EventName("gateway-undecided");
                of(&device.name, Line::new(Level::WARN, kind, text.clone()))
            })
        });
        let own_source = self.own_source_sentences(outlook).into_iter();
        let own_source =
            own_source.map(|(level, text)| Line::new(level, EventName("own-source"), text));
        let without_id = outlook.skipped.iter().filter(|it| it.reason == NO_ID_LEFT);
        let not_managed = without_id.map(|it| {
            let text = format!("{}: not managed: {NO_ID_LEFT}", it.name);
            of(&it.name, Line::new(Level::WARN, EventName("not-managed"), text))
        });
        self.log.say(recognised.chain(undecided).chain(own_source).chain(not_managed).collect());
    }
}

pub(super) fn summary(uplinks: &[Uplink], mode: Mode) -> String {
    let names: Vec<_> = uplinks.iter().map(|uplink| uplink.device.name.as_str()).collect();
    match uplinks.len() {
        0 => "waiting: no uplink found; two are needed".to_owned(),
        1 => format!("waiting: one uplink ({}); two are needed", names.join(", ")),
        count => {
            let does = if mode == Mode::Observe { "observing" } else { "managing" };
            format!("{does} {count} uplinks: {}", names.join(", "))
        }
    }
}
