//! `prroute explain --json`.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::Serialize;

#[derive(Serialize)]
pub(crate) struct ExplainJson {
    pub(crate) schema: &'static str,
    pub(crate) request: RequestJson,
    /// One for the interface that was asked about, or one for each uplink.
    pub(crate) ways: Vec<WayJson>,
}

#[derive(Serialize)]
pub(crate) struct RequestJson {
    pub(crate) protocol: Cow<'static, str>,
    pub(crate) protocol_number: u8,
    pub(crate) client: IpAddr,
    /// Of an echo its identifier, as `local_port`; 0 for protocols without ports.
    pub(crate) client_port: u16,
    pub(crate) local: IpAddr,
    pub(crate) local_port: u16,
    /// `null`: each uplink.
    pub(crate) iif: Option<String>,
    /// It is a flow that exists.
    pub(crate) flow: bool,
}

#[derive(Serialize)]
pub(crate) struct WayJson {
    pub(crate) iif: String,
    /// Its id; `null`: it is no uplink.
    pub(crate) uplink: Option<u16>,
    pub(crate) steps: Vec<StepJson>,
    pub(crate) verdict: VerdictJson,
    /// The number of the step where the way ends, or that could not be read.
    pub(crate) stops_at: Option<usize>,
    pub(crate) cause: Option<String>,
    pub(crate) remedy: Option<String>,
    /// How the reply leaves; `null`: it does not, as far as is known.
    pub(crate) leaves: Option<LeavesJson>,
}

#[derive(Serialize)]
pub(crate) struct StepJson {
    pub(crate) n: usize,
    pub(crate) part: PartJson,
    pub(crate) stage: &'static str,
    pub(crate) result: StepResultJson,
    pub(crate) detail: String,
    pub(crate) cause: Option<String>,
    pub(crate) remedy: Option<String>,
    /// What it depends on: names and values as the kernel's tools have them.
    pub(crate) object: BTreeMap<&'static str, String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum PartJson {
    Request,
    Reply,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum StepResultJson {
    Ok,
    Warn,
    Stop,
    Unknown,
    /// There is nothing here that the packet depends on.
    None,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum VerdictJson {
    Answered,
    WrongUplink,
    Dropped,
    /// Nobody hears the request, and its sender is told so.
    Refused,
    Unknown,
}

#[derive(Serialize)]
pub(crate) struct LeavesJson {
    pub(crate) device: String,
    pub(crate) via: Option<IpAddr>,
    pub(crate) lladdr: Option<String>,
    /// A program moves it.
    pub(crate) moved: bool,
    /// From the device that routing chose.
    pub(crate) moved_from: Option<String>,
}
