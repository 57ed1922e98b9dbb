//! `prroute plan --json`.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::Serialize;

use super::FindingJson;
use super::operation::OperationJson;
use super::own_source::OwnSourceJson;
use super::uplink::{SkippedJson, UplinkJson};
use crate::cmd::plan::{Operation, Report};
use crate::state::desired::{Recognised, SourceRouting};

#[derive(Serialize)]
pub(crate) struct PlanJson {
    schema: &'static str,
    /// With fewer than two uplinks nothing is managed.
    manages: bool,
    uplinks: Vec<UplinkJson>,
    skipped: Vec<SkippedJson>,
    recognised: Vec<RecognisedJson>,
    findings: Vec<FindingJson>,
    operations: Vec<ExplainedJson>,
    /// Devices that the programs would be attached to.
    attach: Vec<String>,
    /// Devices on top of uplinks that the ingress program would be attached to.
    attach_ingress: Vec<String>,
    /// By family; empty with fewer than two uplinks.
    own_source: Vec<OwnSourceJson>,
}

#[derive(Serialize)]
struct ExplainedJson {
    /// As an administrator would type it.
    command: String,
    reason: String,
    #[serde(flatten)]
    operation: OperationJson,
}

/// An address that others route by source already.
#[derive(Serialize)]
struct RecognisedJson {
    address: IpAddr,
    #[serde(flatten)]
    by: SourceRoutingJson,
}

#[derive(Serialize)]
#[serde(untagged)]
enum SourceRoutingJson {
    Rule { priority: u32, table: u32 },
    Route { table: u32, source: IpNet, device: String, gateway: Option<IpAddr> },
}

impl From<&Report<'_>> for PlanJson {
    fn from(report: &Report<'_>) -> Self {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Self {
            schema: "prroute.plan/1",
            manages: report.manages,
            uplinks: report.uplinks.iter().map(Into::into).collect(),
            skipped: report.skipped.iter().map(Into::into).collect(),
            recognised: report.recognised.iter().map(Into::into).collect(),
            findings: report.findings.iter().map(Into::into).collect(),
            operations: report.operations.iter().map(Into::into).collect(),
            attach: owned(&report.attach),
            attach_ingress: owned(&report.attach_ingress),
            own_source: report.own_source.iter().map(Into::into).collect(),
        }
    }
}

impl From<&Operation<'_>> for ExplainedJson {
    fn from(operation: &Operation<'_>) -> Self {
        Self {
            command: operation.command.clone(),
            reason: operation.reason.clone(),
            operation: operation.operation.into(),
        }
    }
}

impl From<&Recognised> for RecognisedJson {
    fn from(recognised: &Recognised) -> Self {
        let Recognised { address, by } = recognised.clone();
        let by = match by {
            SourceRouting::Rule { priority, table } => SourceRoutingJson::Rule { priority, table },
            SourceRouting::Route { table, source, device, gateway } => {
                SourceRoutingJson::Route { table, source, device, gateway }
            }
        };
        Self { address, by }
    }
}
