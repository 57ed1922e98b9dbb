//! Another configuration for a running daemon, all or nothing.

use std::path::PathBuf;

use crate::config::{Config, ConfigError, FileStamp, Mode};
use crate::datapath::memory;
use crate::json::RefusalJson;
use crate::netlink::{Change, Monitor};
use crate::reconcile::{Outcome, ReconcileError, Reconciler};
use crate::runtime::seconds_since_1970;
use crate::runtime::unit::StartedBy;

/// Why the configuration before stays in force.
#[derive(Debug, thiserror::Error)]
enum ReloadError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Reconcile(#[from] ReconcileError),
}

impl Reconciler {
    /// This process hears signals from now on, and reads this file when told to. `observe`: whatever that says
    /// about the mode.
    pub(super) fn is_daemon(
        &mut self,
        config_file: Option<PathBuf>,
        read: Vec<FileStamp>,
        observe: bool,
    ) {
        self.records.report.observe = observe;
        self.records.report.daemon = i32::try_from(std::process::id()).ok();
        self.records.report.started_by = Some(StartedBy::here());
        self.records.report.config_file = config_file;
        self.records.report.configuration = Some(read);
        self.records.report.configuration_read = Some(seconds_since_1970());
        // What an earlier daemon refused is past: this one has read what is there now.
        (self.records.report.reload.refusal, self.records.report.reload.notes) = (None, Vec::new());
    }

    /// Reads the configuration again and brings it into force. When it is invalid, or the kernel
    /// refuses what follows from it, the one before stays. Either way the outcome is logged and
    /// remembered for who asked.
    pub(super) async fn reload(&mut self, monitor: &mut Monitor) {
        // Whoever looks for the outcome must be able to tell this reload from an earlier one.
        self.records.report.reload.started += 1;
        self.records.store.save_report(&self.records.report);
        let outcome = self.read_and_replace(monitor).await;
        let reload = &mut self.records.report.reload;
        reload.finished = reload.started;
        match outcome {
            Ok(notes) => {
                tracing::info!(
                    event = "reload",
                    "the configuration was read again and is in force"
                );
                for note in &notes {
                    tracing::warn!(event = "reload-note", "{note}");
                }
                (reload.refusal, reload.notes) = (None, notes);
            }
            Err(error) => {
                tracing::error!(
                    event = "reload-refused",
                    "{error}; the previous configuration stays in force"
                );
                let configuration = matches!(error, ReloadError::Config(_));
                reload.refusal = Some(RefusalJson { configuration, message: error.to_string() });
                reload.notes.clear();
            }
        }
    }

    async fn read_and_replace(
        &mut self,
        monitor: &mut Monitor,
    ) -> Result<Vec<String>, ReloadError> {
        let file = self.records.report.config_file.as_deref();
        // Before they are read: what is written meanwhile is not in force.
        let read = FileStamp::of_configuration(file)?;
        let mut new = Config::load(file)?;
        if self.records.report.observe {
            new.mode = Mode::Observe;
        }
        self.put_pins()?;
        let old = std::mem::replace(&mut self.config, new);
        let folded = |config: &Config| (config.mode, config.gives_udp_sources());
        if folded(&old) != folded(&self.config) {
            // They are folded into the programs: they are loaded anew, in place of the old ones.
            self.datapath.loaded = None;
        }
        let reattach = old.attach != self.config.attach;
        if reattach {
            self.attach_anew();
        }
        let outcome = match self.enforce(monitor).await {
            Ok(outcome) => outcome,
            Err(error) => {
                if folded(&old) != folded(&self.config) {
                    self.datapath.loaded = None;
                }
                self.config = old;
                if reattach {
                    self.attach_anew();
                }
                if let Err(error) = self.converge(monitor, Change::default()).await {
                    tracing::error!(
                        event = "reload-not-undone",
                        "go back to the previous configuration: {error}"
                    );
                }
                return Err(error.into());
            }
        };
        self.records.report.configuration = Some(read);
        self.records.report.configuration_read = Some(seconds_since_1970());
        let rest = not_in_place(outcome).map(str::to_owned);
        let own_source = self.own_source_notes(old.own_source);
        Ok(self.flows_not_in_force().into_iter().chain(rest).chain(own_source).collect())
    }

    /// The tables in use keep the size that they were made with.
    fn flows_not_in_force(&self) -> Option<String> {
        let sizes = self.datapath.loaded.as_ref()?.programs.sizes();
        let flows = self.config.flows;
        (!sizes.follow(memory::machine(), flows)).then(|| not_in_force(flows))
    }

    fn attach_anew(&mut self) {
        if let Some(datapath) = &mut self.datapath.loaded {
            datapath.attached.clear();
            datapath.stacked.clear();
        }
    }

    /// A configuration whose ranges are somebody else's is refused before anything is changed.
    async fn enforce(&mut self, monitor: &mut Monitor) -> Result<Outcome, ReconcileError> {
        if self.config.ranges != self.records.journal.ranges {
            self.look().await?.plan?;
        }
        self.try_to_converge(monitor, Change::default()).await
    }

    /// Tells the world that the outcome of a reload can be looked at.
    pub(super) fn publish(&mut self) {
        self.save();
    }
}

/// The one key that a running datapath cannot follow.
fn not_in_force(flows: Option<u32>) -> String {
    let flows = flows.map_or_else(
        || "the default of flows is".to_owned(),
        |flows| format!("flows = {flows} is"),
    );
    format!(
        "{flows} not in force yet: the tables in use keep their size and their flows until \
         `prroute down` and another start"
    )
}

/// What the round that enforced the configuration left to later ones.
const fn not_in_place(outcome: Outcome) -> Option<&'static str> {
    match outcome {
        Outcome::Unsteady => Some(
            "no rule or route is changed yet, because a routing table keeps changing; prroute \
             changes them when it can read the table whole",
        ),
        Outcome::Unfinished | Outcome::Interrupted => Some(
            "not all rules and routes are in place yet; the rest follows within seconds (`prroute \
             plan` lists them)",
        ),
        Outcome::WithoutDevice => Some(
            "the programs are not attached to every uplink, because something of others is in their \
             place (`prroute status` names it)",
        ),
        Outcome::Complete => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{Outcome, not_in_place};

    #[test]
    fn what_is_left_to_later_rounds_is_said() {
        assert_eq!(not_in_place(Outcome::Complete), None);
        assert!(not_in_place(Outcome::Unfinished).unwrap().contains("not all"));
        assert!(not_in_place(Outcome::Interrupted).unwrap().contains("not all"));
        // A table that does not hold still keeps everything from being changed.
        assert!(not_in_place(Outcome::Unsteady).unwrap().contains("no rule"));
    }
}
