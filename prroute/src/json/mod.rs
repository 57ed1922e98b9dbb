//! What `--json` prints, and what the daemon tells the commands in its report: types of their own, so that
//! a change of the model changes neither. Fields may be added; names and meanings stay. `tests/formats`
//! has one of each, which a test compares.

mod check;
mod doctor;
mod events;
mod explain;
mod finding;
mod flows;
mod left_out;
mod mac;
mod monitor;
mod observed;
mod operation;
mod own_source;
mod plan;
mod ready;
mod schema;
mod status;
mod uplink;
mod version;

#[cfg(test)]
pub(crate) mod tests;

pub(crate) use check::CheckJson;
pub(crate) use doctor::{CountsJson, DoctorJson, ResultJson};
pub(crate) use events::{EventJson, EventsJson};
pub(crate) use explain::{
    ExplainJson, LeavesJson, PartJson, RequestJson, StepJson, StepResultJson, VerdictJson, WayJson,
};
pub(crate) use finding::{FindingJson, SeverityJson};
pub(crate) use flows::{FlowFacts, FlowsJson, FlowsSummaryJson, ServiceJson, protocol_name};
pub(crate) use left_out::LeftOutJson;
pub(crate) use monitor::{MonitorJson, SaidJson, TracedJson};
pub(crate) use observed::{ObservedJson, WrongUplinkJson};
pub(crate) use own_source::OwnSourceJson;
pub(crate) use plan::{ExplainedJson, PlanJson, ProgramsJson};
pub(crate) use ready::ReadyJson;
pub use schema::Format;
pub(crate) use status::{
    Answering, ConfigurationJson, GatewayJson, HealedJson, HealthJson, OccupancyJson, RatesJson,
    RefusalJson, StatusJson, UdpSourceJson, UdpSourceStateJson, UplinkStateJson, UplinkStatusJson,
};
pub(crate) use uplink::{LostGatewayJson, SilentGatewayJson, SkippedJson, UplinkJson};
#[cfg(test)]
use version::BpfObjectJson;
pub(crate) use version::{KernelJson, VersionJson};
