//! `prroute status --json`.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{FindingJson, LeftOutJson, OwnSourceJson, SkippedJson, UplinkJson};
use crate::datapath::attach::Hook;
use crate::datapath::occupancy::{Occupancy, Table};
use crate::datapath::sockets::UdpSource;

#[derive(Serialize)]
pub(crate) struct StatusJson {
    pub(crate) schema: &'static str,
    pub(crate) instance: String,
    /// `null` when no daemon runs; the datapath may be there all the same.
    pub(crate) pid: Option<i32>,
    /// The datapath is loaded.
    pub(crate) datapath: bool,
    pub(crate) summary: String,
    pub(crate) uplinks: Vec<UplinkStatusJson>,
    pub(crate) skipped: Vec<SkippedJson>,
    /// Prefixes and addresses that the datapath has no room for.
    pub(crate) left_out: Vec<LeftOutJson>,
    /// What others deleted and the daemon put back.
    pub(crate) healed: Option<HealedJson>,
    /// What others put into the ranges that are prroute's.
    pub(crate) collision: Option<String>,
    pub(crate) findings: Vec<FindingJson>,
    /// Why the last reload was refused.
    pub(crate) refused: Option<RefusalJson>,
    /// What prroute made and is not there any more.
    pub(crate) faults: Vec<String>,
    /// `null` before the datapath is loaded.
    pub(crate) flow_tables: Option<OccupancyJson>,
    /// `null` before the datapath is loaded.
    pub(crate) udp_source: Option<UdpSourceJson>,
    /// By family; empty before the datapath is loaded.
    pub(crate) own_source: Vec<OwnSourceJson>,
}

#[derive(Serialize)]
pub(crate) struct UplinkStatusJson {
    #[serde(flatten)]
    pub(crate) uplink: UplinkJson,
    /// By what both programs are attached right now; `null`: they are not.
    pub(crate) hook: Option<Hook>,
    /// Packets per reason.
    pub(crate) counters: Map<String, Value>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct HealedJson {
    pub(crate) times: u64,
    /// Who deleted it, as far as could be told, the last time.
    pub(crate) by: String,
    /// What it was, the last time.
    #[serde(default)]
    pub(crate) what: String,
    /// When the last time was, in seconds since 1970; `null`: an earlier version did not note it.
    #[serde(default)]
    pub(crate) last: Option<u64>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RefusalJson {
    /// The configuration is at fault, not the kernel.
    pub(crate) configuration: bool,
    pub(crate) message: String,
}

#[derive(Serialize)]
pub(crate) struct OccupancyJson {
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
pub(crate) struct UdpSourceJson {
    #[serde(flatten)]
    pub(crate) state: UdpSourceStateJson,
    /// Calls per reason.
    pub(crate) counters: Map<String, Value>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub(crate) enum UdpSourceStateJson {
    Off,
    Attached { cgroup: PathBuf },
    Unavailable { reason: String },
}

impl From<Occupancy> for OccupancyJson {
    fn from(occupancy: Occupancy) -> Self {
        let Occupancy { tables, evicted_confirmed_at_most, evicted_unconfirmed_at_most } =
            occupancy;
        let table = |Table { name, confirmed, capacity, entries, live }| TableJson {
            name,
            confirmed,
            capacity,
            entries,
            live,
        };
        Self {
            tables: tables.into_iter().map(table).collect(),
            evicted_confirmed_at_most,
            evicted_unconfirmed_at_most,
        }
    }
}

impl fmt::Display for OccupancyJson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "flow tables (flows: TCP; datagrams: UDP and others; new: not confirmed yet):",
        )?;
        for TableJson { name, capacity, entries, live, .. } in &self.tables {
            let name = name.to_lowercase();
            write!(f, "\n  {name:<10} {live} live, {entries} of {capacity} entries used")?;
        }
        for (kind, evicted) in [
            ("confirmed", self.evicted_confirmed_at_most),
            ("unconfirmed", self.evicted_unconfirmed_at_most),
        ] {
            if evicted > 0 {
                write!(f, "\n  at most {evicted} {kind} entries made room for others")?;
            }
        }
        Ok(())
    }
}

impl From<UdpSource> for UdpSourceStateJson {
    fn from(state: UdpSource) -> Self {
        match state {
            UdpSource::Off => Self::Off,
            UdpSource::Attached { cgroup } => Self::Attached { cgroup },
            UdpSource::Unavailable { reason } => Self::Unavailable { reason },
        }
    }
}
