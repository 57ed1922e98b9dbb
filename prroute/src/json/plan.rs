//! `prroute plan --json`.

use std::net::IpAddr;
use std::path::PathBuf;

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::Serialize;

use super::FindingJson;
use super::operation::OperationJson;
use super::own_source::OwnSourceJson;
use super::uplink::{SkippedJson, UplinkJson};
use crate::config::Mode;
use crate::datapath::attach::Hook;
use crate::state::desired::{Recognised, SourceRouting};

#[derive(JsonSchema, Serialize)]
pub(crate) struct PlanJson {
    /// Name and number of this format.
    pub(crate) schema: &'static str,
    /// As the configuration says.
    pub(crate) mode: Mode,
    /// With fewer than two uplinks nothing is managed.
    pub(crate) manages: bool,
    /// The interfaces that would be managed.
    pub(crate) uplinks: Vec<UplinkJson>,
    /// The interfaces that would not.
    pub(crate) skipped: Vec<SkippedJson>,
    /// Addresses that need no rule of prroute.
    pub(crate) recognised: Vec<RecognisedJson>,
    /// What of others would be in the way.
    pub(crate) findings: Vec<FindingJson>,
    /// In the order in which they would be done.
    pub(crate) operations: Vec<ExplainedJson>,
    /// Devices that the programs would be attached to.
    pub(crate) attach: Vec<String>,
    /// Devices on top of uplinks that the ingress program would be attached to.
    pub(crate) attach_ingress: Vec<String>,
    /// The same devices, each with what would be attached, and how.
    pub(crate) programs: Vec<ProgramsJson>,
    /// Devices that would lose their programs.
    pub(crate) detach: Vec<String>,
    /// The control group to which the programs for wildcard UDP servers would be attached.
    pub(crate) cgroup: Option<PathBuf>,
    /// These programs would be taken away.
    pub(crate) detach_sockets: bool,
    /// The directory in which maps would be pinned.
    pub(crate) pins: Option<PathBuf>,
    /// By family; empty with fewer than two uplinks.
    pub(crate) own_source: Vec<OwnSourceJson>,
}

#[derive(JsonSchema, Serialize)]
pub(crate) struct ProgramsJson {
    /// Name of the interface.
    pub(crate) device: String,
    /// `ingress`, `egress`.
    pub(crate) directions: Vec<&'static str>,
    /// `null`: the kernel does not tell whether it has tcx.
    pub(crate) hook: Option<Hook>,
}

#[derive(JsonSchema, Serialize)]
pub(crate) struct ExplainedJson {
    /// As an administrator would type it.
    pub(crate) command: String,
    /// Why it would be done.
    pub(crate) reason: String,
    #[serde(flatten)]
    pub(crate) operation: OperationJson,
}

/// An address that others route by source already.
#[derive(JsonSchema, Serialize)]
pub(crate) struct RecognisedJson {
    /// Of the host.
    address: IpAddr,
    #[serde(flatten)]
    by: SourceRoutingJson,
    /// The same in words.
    #[serde(skip)]
    pub(crate) sentence: String,
}

#[derive(JsonSchema, Serialize)]
#[serde(untagged)]
enum SourceRoutingJson {
    /// A rule looks a table up.
    Rule {
        /// Of the rule.
        priority: u32,
        /// The table that it looks up.
        table: u32,
    },
    /// A route for some sources only.
    Route {
        /// The table that it is in.
        table: u32,
        /// The prefix of the sources.
        #[schemars(with = "String")]
        source: IpNet,
        /// The interface that it leads over.
        device: String,
        /// `null`: it has none.
        gateway: Option<IpAddr>,
    },
}

impl From<&Recognised> for RecognisedJson {
    fn from(recognised: &Recognised) -> Self {
        let sentence = recognised.to_string();
        let Recognised { address, by } = recognised.clone();
        let by = match by {
            SourceRouting::Rule { priority, table } => SourceRoutingJson::Rule { priority, table },
            SourceRouting::Route { table, source, device, gateway } => {
                SourceRoutingJson::Route { table, source, device, gateway }
            }
        };
        Self { address, by, sentence }
    }
}
