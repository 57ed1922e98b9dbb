//! Another configuration for a running daemon, all or nothing.

use std::path::PathBuf;

use crate::config::{Config, ConfigError};
use crate::netlink::{Change, Monitor};
use crate::reconcile::{ReconcileError, Reconciler};
use crate::runtime::report::Refusal;

/// Why the configuration before stays in force.
#[derive(Debug, thiserror::Error)]
enum ReloadError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Reconcile(#[from] ReconcileError),
}

impl Reconciler {
    /// This process hears signals from now on, and reads this file when told to.
    pub(super) fn is_daemon(&mut self, config_file: Option<PathBuf>) {
        self.report.daemon = i32::try_from(std::process::id()).ok();
        self.report.config_file = config_file;
        // What an earlier daemon refused is past: this one has read what is there now.
        (self.report.reload.refusal, self.report.reload.notes) = (None, Vec::new());
    }

    /// Reads the configuration again and brings it into force. When it is invalid, or the kernel
    /// refuses what follows from it, the one before stays. Either way the outcome is logged and
    /// remembered for who asked.
    pub async fn reload(&mut self, monitor: &mut Monitor) {
        // Whoever looks for the outcome must be able to tell this reload from an earlier one.
        self.report.reload.started += 1;
        self.store.save_report(&self.report);
        let outcome = self.read_and_replace(monitor).await;
        let reload = &mut self.report.reload;
        reload.finished = reload.started;
        match outcome {
            Ok(notes) => {
                tracing::info!("the configuration was read again and is in force");
                for note in &notes {
                    tracing::warn!("{note}");
                }
                (reload.refusal, reload.notes) = (None, notes);
            }
            Err(error) => {
                tracing::error!("{error}; the configuration before stays in force");
                let configuration = matches!(error, ReloadError::Config(_));
                reload.refusal = Some(Refusal { configuration, message: error.to_string() });
                reload.notes.clear();
            }
        }
    }

    async fn read_and_replace(
        &mut self,
        monitor: &mut Monitor,
    ) -> Result<Vec<String>, ReloadError> {
        let new = Config::load(self.report.config_file.as_deref())?;
        let notes = not_in_force(&self.config, &new);
        self.put_pins()?;
        let old = std::mem::replace(&mut self.config, new);
        if old.udp_source != self.config.udp_source {
            // It is folded into the programs: they are loaded anew, in place of the old ones.
            self.datapath = None;
        }
        let reattach = old.attach != self.config.attach;
        if reattach {
            self.attach_anew();
        }
        if let Err(error) = self.enforce(monitor).await {
            self.config = old;
            if reattach {
                self.attach_anew();
            }
            if let Err(error) = self.converge(monitor, Change::default()).await {
                tracing::error!("go back to the configuration before: {error}");
            }
            return Err(error.into());
        }
        let rest = not_in_place(self.is_unfinished(), self.is_unsteady());
        let own_source = self.own_source_notes(old.own_source);
        Ok(notes.into_iter().chain(rest.map(str::to_owned)).chain(own_source).collect())
    }

    fn attach_anew(&mut self) {
        if let Some(datapath) = &mut self.datapath {
            datapath.attached.clear();
            datapath.stacked.clear();
        }
    }

    /// A configuration whose ranges are somebody else's is refused before anything is changed.
    async fn enforce(&mut self, monitor: &mut Monitor) -> Result<(), ReconcileError> {
        if self.config.ranges != self.journal.ranges {
            self.look().await?.plan?;
        }
        self.try_to_converge(monitor, Change::default()).await.map(drop)
    }

    /// Tells the world that the outcome of a reload can be looked at.
    pub fn publish(&mut self) {
        self.save();
    }
}

/// Keys that a running datapath cannot follow.
fn not_in_force(old: &Config, new: &Config) -> Vec<String> {
    let mut notes = Vec::new();
    if old.flows != new.flows {
        let flows = new.flows.map_or_else(
            || "flows, by the machine's memory, is".to_owned(),
            |flows| format!("flows = {flows} is"),
        );
        notes.push(format!(
            "{flows} not in force: the tables that are in use keep their size, and the \
             conversations in them, until `prroute down` and another start"
        ));
    }
    notes
}

/// What the round that enforced the configuration left to later ones.
fn not_in_place(unfinished: bool, unsteady: bool) -> Option<&'static str> {
    match (unfinished, unsteady) {
        (_, true) => Some(
            "no rule and route is changed yet: a routing table changes all the time; they follow \
             when it holds still",
        ),
        (true, false) => Some(
            "not all rules and routes are in place yet; the rest follows within seconds (`prroute \
             plan` lists it)",
        ),
        (false, false) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::not_in_place;

    #[test]
    fn what_is_left_to_later_rounds_is_said() {
        assert_eq!(not_in_place(false, false), None);
        assert!(not_in_place(true, false).unwrap().contains("not all"));
        // A table that does not hold still keeps everything from being changed.
        for unfinished in [false, true] {
            assert!(not_in_place(unfinished, true).unwrap().contains("no rule"));
        }
    }
}
