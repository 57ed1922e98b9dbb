//! `prroute status --json`.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{FindingJson, LeftOutJson, ObservedJson, OwnSourceJson, SkippedJson, UplinkJson};
use crate::config::Mode;
use crate::datapath::attach::Hook;
use crate::datapath::occupancy::{Occupancy, Table};
use crate::datapath::sockets::UdpSource;
use crate::state::findings::Health;

#[derive(Clone, JsonSchema, Serialize)]
pub(crate) struct StatusJson {
    /// Name and number of this format.
    pub(crate) schema: &'static str,
    /// Of the command.
    pub(crate) version: &'static str,
    /// The name of the instance.
    pub(crate) instance: String,
    /// The first word that `status` prints.
    pub(crate) health: HealthJson,
    /// As the programs were loaded.
    pub(crate) mode: Mode,
    /// `null` when no daemon runs; the datapath may be there all the same.
    pub(crate) pid: Option<i32>,
    /// Of the daemon; `null` while none runs.
    pub(crate) uptime_seconds: Option<u64>,
    /// For how long no daemon has been running; `null` while one runs, or when nothing tells.
    pub(crate) unwatched_seconds: Option<u64>,
    /// The daemon that reported last.
    pub(crate) last_pid: Option<i32>,
    /// The datapath is loaded.
    pub(crate) datapath: bool,
    /// What is managed, in words.
    pub(crate) summary: String,
    /// The interfaces that are managed.
    pub(crate) uplinks: Vec<UplinkStatusJson>,
    /// Of all of them, where not all are here any more.
    #[serde(skip)]
    pub(crate) of_all: Option<Answering>,
    /// The host's addresses that are no single uplink's.
    pub(crate) shared: Vec<IpAddr>,
    /// The interfaces that are not.
    pub(crate) skipped: Vec<SkippedJson>,
    /// Prefixes and addresses that the datapath has no room for.
    pub(crate) left_out: Vec<LeftOutJson>,
    /// What others deleted and the daemon put back.
    pub(crate) healed: Option<HealedJson>,
    /// What others put into the ranges that are prroute's.
    pub(crate) collision: Option<String>,
    /// What is wrong or unusual, the worst first.
    pub(crate) findings: Vec<FindingJson>,
    /// Why the last reload was refused.
    pub(crate) refused: Option<RefusalJson>,
    /// The files that the daemon has read.
    pub(crate) configuration: ConfigurationJson,
    /// `null` unless packets are only observed.
    pub(crate) observed: Option<ObservedJson>,
    /// `null` before the datapath is loaded.
    pub(crate) flow_tables: Option<OccupancyJson>,
    /// `null` before the datapath is loaded.
    pub(crate) udp_source: Option<UdpSourceJson>,
    /// By family; empty before the datapath is loaded.
    pub(crate) own_source: Vec<OwnSourceJson>,
}

/// How many uplinks answer, and how many there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Answering {
    pub(crate) answering: usize,
    pub(crate) uplinks: usize,
}

impl StatusJson {
    /// Of all uplinks.
    pub(crate) fn answering(&self) -> Answering {
        let answering = || self.uplinks.iter().filter(|it| it.is_answering()).count();
        self.of_all
            .unwrap_or_else(|| Answering { answering: answering(), uplinks: self.uplinks.len() })
    }

    /// Keeps of the uplinks and of what is about one those of this name. Health, how many answer, and what is
    /// about no interface are still of the whole.
    pub(crate) fn keep_only(&mut self, device: &str) {
        self.of_all = Some(self.answering());
        self.uplinks.retain(|it| it.uplink.name == device);
        self.findings.retain(|it| it.device.as_deref().is_none_or(|of| of == device));
        self.skipped.retain(|it| it.name == device);
        if let Some(observed) = &mut self.observed {
            observed.keep_only(device);
        }
    }
}

#[derive(Clone, JsonSchema, Serialize)]
pub(crate) struct UplinkStatusJson {
    #[serde(flatten)]
    pub(crate) uplink: UplinkJson,
    /// Of the interface, and of what replies need there.
    pub(crate) state: UplinkStateJson,
    /// What main has no better route for leaves by it.
    pub(crate) default_route: bool,
    /// Its gateways, the preferred ones first.
    pub(crate) answers: Vec<GatewayJson>,
    /// By what both programs are attached right now; `null`: they are not.
    pub(crate) hook: Option<Hook>,
    /// Packets per reason.
    pub(crate) counters: Map<String, Value>,
    /// Packets that the interface has received, as the kernel counts them.
    pub(crate) received: Option<u64>,
    /// Since the look before; `null`: there was none.
    pub(crate) rates: Option<RatesJson>,
}

#[derive(Clone, Copy, Debug, PartialEq, JsonSchema, Serialize)]
pub(crate) struct RatesJson {
    /// Packets that came in.
    pub(crate) received_per_second: f64,
    /// Packets that were moved to this uplink.
    pub(crate) moved_per_second: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum UplinkStateJson {
    Up,
    /// Up, with a fault.
    Degraded,
    NoCarrier,
    /// Set down.
    Down,
}

impl UplinkStateJson {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Degraded => "degraded",
            Self::NoCarrier => "no-carrier",
            Self::Down => "down",
        }
    }
}

#[derive(Clone, JsonSchema, Serialize)]
pub(crate) struct GatewayJson {
    /// Its address.
    pub(crate) gateway: IpAddr,
    /// Of these sources, or of this subnet, only.
    #[schemars(with = "Option<String>")]
    pub(crate) only_for: Option<IpNet>,
    /// It was asked, and did not answer.
    pub(crate) silent: bool,
    /// For how long the daemon has seen it silent; `null`: nothing tells.
    pub(crate) silent_seconds: Option<f64>,
    /// It may have been silent for longer: it was when the daemon began to look.
    pub(crate) silent_at_least: bool,
    /// `null`: it never did, or nothing tells.
    pub(crate) answered_seconds_ago: Option<f64>,
}

#[derive(Clone, JsonSchema, Serialize)]
pub(crate) struct ConfigurationJson {
    /// In the order in which they were read; none: all is default.
    pub(crate) files: Vec<PathBuf>,
    /// `null`: no daemon has told.
    pub(crate) read_seconds_ago: Option<u64>,
}

impl UplinkStatusJson {
    /// It is up, and no gateway that it needs is silent.
    pub(crate) fn is_answering(&self) -> bool {
        let is_up = matches!(self.state, UplinkStateJson::Up | UplinkStateJson::Degraded);
        let answers = |is_v4| {
            let mut of_family = self.answers.iter().filter(|it| it.gateway.is_ipv4() == is_v4);
            let first = of_family.clone().next();
            first.is_none() || of_family.any(|it| !it.silent)
        };
        is_up && answers(true) && answers(false)
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub(crate) struct HealedJson {
    /// How often, since the daemon started.
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

#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub(crate) struct RefusalJson {
    /// The configuration is at fault, not the kernel.
    pub(crate) configuration: bool,
    /// Why it was refused.
    pub(crate) message: String,
}

#[derive(Clone, JsonSchema, Serialize)]
pub(crate) struct OccupancyJson {
    /// Of flows.
    pub(crate) tables: Vec<TableJson>,
    /// Upper limit of confirmed flows that made room for others.
    pub(crate) evicted_confirmed_at_most: u64,
    /// Upper limit of others that did.
    pub(crate) evicted_unconfirmed_at_most: u64,
}

#[derive(Clone, JsonSchema, Serialize)]
pub(crate) struct TableJson {
    /// As its map is pinned.
    pub(crate) name: &'static str,
    /// Its flows have shown that both ends take part.
    pub(crate) confirmed: bool,
    /// Entries that it has room for.
    pub(crate) capacity: u32,
    /// Entries that are used, old ones too.
    pub(crate) entries: usize,
    /// Entries that are not too old to count.
    pub(crate) live: usize,
}

#[derive(Clone, JsonSchema, Serialize)]
pub(crate) struct UdpSourceJson {
    #[serde(flatten)]
    pub(crate) state: UdpSourceStateJson,
    /// Calls per reason.
    pub(crate) counters: Map<String, Value>,
}

#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub(crate) enum UdpSourceStateJson {
    /// `udp-source = false`, or no uplinks.
    Off,
    /// The programs run.
    Attached {
        /// The control group to which they are attached.
        cgroup: PathBuf,
    },
    /// The kernel refused.
    Unavailable {
        /// Why.
        reason: String,
    },
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

/// In one line.
impl fmt::Display for OccupancyJson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let live: usize = self.tables.iter().map(|table| table.live).sum();
        let used = |table: &TableJson| 100.0 * table.live as f64 / f64::from(table.capacity.max(1));
        let fullest = self.tables.iter().map(used).fold(0.0, f64::max);
        write!(f, "{live} live (the fullest table: {fullest:.1} %)")
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

#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum HealthJson {
    Ok,
    Starting,
    Degraded,
    Unwatched,
}

impl From<Health> for HealthJson {
    fn from(health: Health) -> Self {
        match health {
            Health::Ok => Self::Ok,
            Health::Starting => Self::Starting,
            Health::Degraded => Self::Degraded,
            Health::Unwatched => Self::Unwatched,
        }
    }
}

impl fmt::Display for HealthJson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ok => "ok",
            Self::Starting => "starting",
            Self::Degraded => "DEGRADED",
            Self::Unwatched => "UNWATCHED",
        })
    }
}
