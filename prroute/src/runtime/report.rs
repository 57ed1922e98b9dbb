//! What `status` and `reload` are told by the daemon, in the words of `status --json`. Nothing here is needed
//! to undo anything.

use std::path::PathBuf;

use nix::unistd::Pid;
use prroute_common::LAYOUT_VERSION;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};

use crate::config::{Config, FileStamp, OwnSource};
use crate::datapath::hooks::ProgramIds;
use crate::json::{
    FindingJson, HealedJson, LeftOutJson, LostGatewayJson, RefusalJson, SilentGatewayJson,
    SkippedJson, UdpSourceStateJson, UplinkJson,
};
use crate::runtime::format::{self, Unusable, Versioned};
use crate::runtime::origin::Origin;
use crate::runtime::unit::StartedBy;
use crate::state::families::Families;
use crate::state::findings::word;
use crate::state::lost_gateways::{self, LostGateway};
use crate::state::observed::Link;

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DaemonReport {
    schema: String,
    origin: Origin,
    /// One sentence: what the daemon is doing.
    pub(crate) summary: String,
    /// The process id of the daemon, once it handles signals.
    pub(crate) daemon: Option<i32>,
    /// That daemon is `prroute try`: SIGHUP ends it, and it undoes everything.
    #[serde(default)]
    pub(crate) trial: bool,
    /// What started that daemon; `None`: an earlier version, which does not say it.
    #[serde(default, deserialize_with = "if_understood")]
    pub(crate) started_by: Option<StartedBy>,
    /// That daemon has finished its start: replies are steered.
    #[serde(default)]
    pub(crate) ready: Option<bool>,
    /// The file it was told to read; `None`: the usual ones.
    pub(crate) config_file: Option<PathBuf>,
    /// It was told to observe only, whatever the configuration says.
    #[serde(default)]
    pub(crate) observe: bool,
    /// The files as they were when they were read last, and accepted.
    #[serde(default)]
    pub(crate) configuration: Option<Vec<FileStamp>>,
    /// What the daemon works with, whatever became of the files since; `None`: an earlier version, which does
    /// not say it, or a later one, whose words are not known.
    #[serde(default, deserialize_with = "if_understood")]
    pub(crate) in_force: Option<Config>,
    /// When that was, in seconds since 1970.
    #[serde(default)]
    pub(crate) configuration_read: Option<u64>,
    pub(crate) reload: Reload,
    /// What others deleted and we put back.
    pub(crate) healed: Option<HealedJson>,
    /// What others put into our ranges.
    pub(crate) collision: Option<String>,
    /// What of others keeps prroute from its work.
    pub(crate) findings: Vec<FindingJson>,
    /// The programs that were loaded last: what is on a hook is ours if it is one of them.
    #[serde(default)]
    pub(crate) programs: Option<ProgramIds>,
    /// The layout of the maps that this daemon has loaded programs on, and keeps; `None`: none yet, or it is
    /// an earlier version, which does not say it.
    #[serde(default)]
    pub(crate) layout: Option<u32>,
    /// Since when what leaves by the wrong uplink is counted, in seconds since 1970; `None`: it is not.
    #[serde(default)]
    pub(crate) observing_since: Option<u64>,
    /// How many had been counted before then, when packets were observed earlier.
    #[serde(default)]
    pub(crate) observed_before: Option<u64>,
    /// `None` before the datapath is loaded.
    pub(crate) udp_source: Option<UdpSourceStateJson>,
    #[serde(default)]
    pub(crate) own_source: OwnSourceReport,
    pub(crate) uplinks: Vec<UplinkJson>,
    pub(crate) skipped: Vec<SkippedJson>,
    /// Gateways that uplinks had, and whose default route is gone.
    #[serde(default)]
    pub(crate) lost_gateways: Vec<LostGatewayJson>,
    /// Gateways that do not answer this daemon, and since when.
    #[serde(default)]
    pub(crate) silent_gateways: Vec<SilentGatewayJson>,
    /// Prefixes and addresses that the datapath has no room for.
    pub(crate) left_out: Vec<LeftOutJson>,
}

impl Versioned for DaemonReport {
    #[cfg(not(feature = "other-version"))]
    const SCHEMA: &'static str = "prroute.report/1";
    #[cfg(feature = "other-version")]
    const SCHEMA: &'static str = "prroute.report/1001";
    const EXACT: bool = false;
}

impl DaemonReport {
    /// Of a daemon that has looked at nothing yet. `uplinks` are those of the daemon before.
    pub(crate) fn new(uplinks: Vec<UplinkJson>) -> Self {
        let schema = Self::SCHEMA.to_owned();
        let ready = Some(false);
        Self { schema, origin: Origin::current(), uplinks, ready, ..Self::default() }
    }

    /// A new report that keeps what outlives a daemon.
    pub(crate) fn following(before: Self) -> Self {
        let Self { own_source, programs, lost_gateways, uplinks, .. } = before;
        let Self { observing_since, observed_before, .. } = before;
        Self {
            own_source,
            programs,
            observing_since,
            observed_before,
            lost_gateways,
            ..Self::new(uplinks)
        }
    }

    /// Gateways that are lost when the uplinks are these.
    pub(crate) fn lost_gateways_after(
        &self,
        uplinks: &[UplinkJson],
        links: &[Link],
    ) -> Vec<LostGateway> {
        let by_default = |uplinks: &[UplinkJson]| -> Vec<_> {
            uplinks.iter().map(UplinkJson::by_default).collect()
        };
        let lost: Vec<LostGateway> = self.lost_gateways.iter().map(Into::into).collect();
        // A port of another device is an uplink no longer, whatever becomes of its routes.
        let exists =
            |ifindex| links.iter().any(|link| link.ifindex == ifindex && link.master.is_none());
        lost_gateways::follow(&lost, &by_default(&self.uplinks), &by_default(uplinks), exists)
    }

    /// It came from a file: where there is none, or an unusable one, there is an empty report.
    pub(crate) fn was_read(&self) -> bool {
        !self.schema.is_empty()
    }

    /// Whether the daemon with this pid said that it is ready.
    pub(crate) fn is_ready(&self, pid: Pid) -> bool {
        // An older daemon does not say it.
        self.ready != Some(false) && self.daemon == Some(pid.as_raw())
    }

    /// Words of the command that starts a daemon like this one.
    pub(crate) fn run_words(&self) -> String {
        let mut words = "run".to_owned();
        if let Some(file) = &self.config_file {
            words += &format!(" --config {}", word(&file.to_string_lossy()));
        }
        if self.observe {
            words += " --observe";
        }
        words
    }

    /// Whether this daemon keeps tables of this version.
    pub(crate) fn has_loaded(&self, daemon: Option<Pid>) -> bool {
        let is_its = daemon.is_some_and(|pid| self.daemon == Some(pid.as_raw()));
        is_its && self.layout == Some(LAYOUT_VERSION)
    }

    /// The configuration that the daemon with this pid works with; `None`: it has not said it.
    pub(crate) fn in_force_of(&self, pid: Pid) -> Option<&Config> {
        self.in_force.as_ref().filter(|_| self.daemon == Some(pid.as_raw()))
    }

    /// # Errors
    ///
    /// When the text is not what this version writes, or speaks of another boot or network namespace.
    pub fn parse(text: &[u8], here: &Origin) -> Result<Self, Unusable> {
        let report: Self = format::parse(text)?.value;
        report.origin.expect(here)?;
        Ok(report)
    }
}

/// Words of another version, as of its configuration, take nothing else of its report away.
fn if_understood<'de, D: Deserializer<'de>, T: DeserializeOwned>(
    file: D,
) -> Result<Option<T>, D::Error> {
    let written = Option::<serde_json::Value>::deserialize(file)?;
    Ok(written.and_then(|written| serde_json::from_value(written).ok()))
}

/// About [`crate::state::own_source`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct OwnSourceReport {
    /// What the configuration in force says.
    pub(crate) asked: OwnSource,
    #[serde(with = "HadRulesEntry")]
    pub(crate) had_rules: Families,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Families")]
struct HadRulesEntry {
    v4: bool,
    v6: bool,
}

/// Counts reloads of the configuration, so that `prroute reload` finds the outcome of its own: it
/// notes `started` before it sends the signal, and waits until `finished` is above that.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Reload {
    pub(crate) started: u64,
    pub(crate) finished: u64,
    /// Why the last one was refused; the configuration before it is in force.
    pub(crate) refusal: Option<RefusalJson>,
    /// What of it is not in force yet, and when it will be.
    pub(crate) notes: Vec<String>,
}
