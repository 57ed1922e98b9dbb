//! `prroute status --json`.

use std::path::PathBuf;

use serde::Serialize;
use serde_json::{Map, Value};

use super::FindingJson;
use super::own_source::OwnSourceJson;
use super::uplink::{SkippedJson, UplinkJson};
use crate::cmd::status::{Report, UdpSourceReport, UplinkReport};
use crate::datapath::attach::Hook;
use crate::datapath::occupancy::{Occupancy, Table};
use crate::datapath::sockets::UdpSource;
use crate::runtime::report::{Healed, Refusal};
use crate::state::share::LeftOut;

#[derive(Serialize)]
pub(crate) struct StatusJson {
    schema: &'static str,
    instance: String,
    /// `null` when no daemon runs; the datapath may be there all the same.
    pid: Option<i32>,
    /// The datapath is loaded.
    datapath: bool,
    summary: String,
    uplinks: Vec<UplinkStatusJson>,
    skipped: Vec<SkippedJson>,
    /// Prefixes and addresses that the datapath has no room for.
    left_out: Vec<LeftOutJson>,
    /// What others deleted and the daemon put back.
    healed: Option<HealedJson>,
    /// What others put into the ranges that are prroute's.
    collision: Option<String>,
    findings: Vec<FindingJson>,
    /// Why the last reload was refused.
    refused: Option<RefusalJson>,
    /// What prroute made and is not there any more.
    faults: Vec<String>,
    /// `null` before the datapath is loaded.
    flow_tables: Option<OccupancyJson>,
    /// `null` before the datapath is loaded.
    udp_source: Option<UdpSourceJson>,
    /// By family; empty before the datapath is loaded.
    own_source: Vec<OwnSourceJson>,
}

#[derive(Serialize)]
struct UplinkStatusJson {
    #[serde(flatten)]
    uplink: UplinkJson,
    /// By what both programs are attached right now; `null`: they are not.
    hook: Option<&'static str>,
    /// Packets per reason.
    counters: Map<String, Value>,
}

#[derive(Serialize)]
struct LeftOutJson {
    uplink: Option<u16>,
    name: String,
    prefixes: usize,
    main_routes: usize,
    addresses: usize,
}

#[derive(Serialize)]
struct HealedJson {
    times: u64,
    by: String,
    /// What it was, the last time.
    what: String,
}

#[derive(Serialize)]
struct RefusalJson {
    configuration: bool,
    message: String,
}

#[derive(Serialize)]
struct OccupancyJson {
    tables: Vec<TableJson>,
    evicted_confirmed_at_most: u64,
    evicted_unconfirmed_at_most: u64,
}

#[derive(Serialize)]
struct TableJson {
    name: &'static str,
    confirmed: bool,
    capacity: u32,
    entries: usize,
    live: usize,
}

#[derive(Serialize)]
struct UdpSourceJson {
    #[serde(flatten)]
    state: UdpSourceStateJson,
    /// Calls per reason.
    counters: Map<String, Value>,
}

#[derive(Serialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
enum UdpSourceStateJson {
    Off,
    Attached { cgroup: PathBuf },
    Unavailable { reason: String },
}

impl From<&Report> for StatusJson {
    fn from(report: &Report) -> Self {
        Self {
            schema: "prroute.status/1",
            instance: report.instance.clone(),
            pid: report.pid,
            datapath: report.datapath,
            summary: report.summary.clone(),
            uplinks: report.uplinks.iter().map(Into::into).collect(),
            skipped: report.skipped.iter().map(Into::into).collect(),
            left_out: report.left_out.iter().map(Into::into).collect(),
            healed: report.healed.as_ref().map(Into::into),
            collision: report.collision.clone(),
            findings: report.findings.iter().map(Into::into).collect(),
            refused: report.refused.as_ref().map(Into::into),
            faults: report.faults.clone(),
            flow_tables: report.flow_tables.as_ref().map(Into::into),
            udp_source: report.udp_source.as_ref().map(Into::into),
            own_source: report.own_source.iter().map(Into::into).collect(),
        }
    }
}

impl From<&UplinkReport> for UplinkStatusJson {
    fn from(report: &UplinkReport) -> Self {
        let hook = report.hook.map(|hook| match hook {
            Hook::Tcx => "tcx",
            Hook::Clsact => "clsact",
        });
        Self { uplink: (&report.uplink).into(), hook, counters: report.counters.clone() }
    }
}

impl From<&LeftOut> for LeftOutJson {
    fn from(left_out: &LeftOut) -> Self {
        let LeftOut { uplink, name, prefixes, main_routes, addresses } = left_out.clone();
        Self { uplink: uplink.map(|id| id.0), name, prefixes, main_routes, addresses }
    }
}

impl From<&Healed> for HealedJson {
    fn from(healed: &Healed) -> Self {
        let Healed { times, by, what } = healed.clone();
        Self { times, by, what }
    }
}

impl From<&Refusal> for RefusalJson {
    fn from(refusal: &Refusal) -> Self {
        let Refusal { configuration, message } = refusal.clone();
        Self { configuration, message }
    }
}

impl From<&Occupancy> for OccupancyJson {
    fn from(occupancy: &Occupancy) -> Self {
        let Occupancy { tables, evicted_confirmed_at_most, evicted_unconfirmed_at_most } =
            occupancy.clone();
        let table = |table: &Table| {
            let Table { name, confirmed, capacity, entries, live } = *table;
            TableJson { name, confirmed, capacity, entries, live }
        };
        Self {
            tables: tables.iter().map(table).collect(),
            evicted_confirmed_at_most,
            evicted_unconfirmed_at_most,
        }
    }
}

impl From<&UdpSourceReport> for UdpSourceJson {
    fn from(report: &UdpSourceReport) -> Self {
        let state = match report.state.clone() {
            UdpSource::Off => UdpSourceStateJson::Off,
            UdpSource::Attached { cgroup } => UdpSourceStateJson::Attached { cgroup },
            UdpSource::Unavailable { reason } => UdpSourceStateJson::Unavailable { reason },
        };
        Self { state, counters: report.counters.clone() }
    }
}
