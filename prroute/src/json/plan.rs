//! `prroute plan --json`.

use std::net::IpAddr;
use std::path::PathBuf;

use ipnet::IpNet;
use serde::Serialize;

use super::FindingJson;
use super::operation::OperationJson;
use super::own_source::OwnSourceJson;
use super::uplink::{SkippedJson, UplinkJson};
use crate::config::Mode;
use crate::datapath::attach::Hook;
use crate::state::desired::{Recognised, SourceRouting};

#[derive(Serialize)]
pub(crate) struct PlanJson {
    pub(crate) schema: &'static str,
    pub(crate) mode: Mode,
    /// With fewer than two uplinks nothing is managed.
    pub(crate) manages: bool,
    pub(crate) uplinks: Vec<UplinkJson>,
    pub(crate) skipped: Vec<SkippedJson>,
    pub(crate) recognised: Vec<RecognisedJson>,
    pub(crate) findings: Vec<FindingJson>,
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

#[derive(Serialize)]
pub(crate) struct ProgramsJson {
    pub(crate) device: String,
    pub(crate) directions: Vec<&'static str>,
    /// `null`: the kernel does not tell whether it has tcx.
    pub(crate) hook: Option<Hook>,
}

#[derive(Serialize)]
pub(crate) struct ExplainedJson {
    /// As an administrator would type it.
    pub(crate) command: String,
    pub(crate) reason: String,
    #[serde(flatten)]
    pub(crate) operation: OperationJson,
}

/// An address that others route by source already.
#[derive(Serialize)]
pub(crate) struct RecognisedJson {
    address: IpAddr,
    #[serde(flatten)]
    by: SourceRoutingJson,
    /// The same in words.
    #[serde(skip)]
    pub(crate) sentence: String,
}

#[derive(Serialize)]
#[serde(untagged)]
enum SourceRoutingJson {
    Rule { priority: u32, table: u32 },
    Route { table: u32, source: IpNet, device: String, gateway: Option<IpAddr> },
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
