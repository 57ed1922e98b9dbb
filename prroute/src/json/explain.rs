//! `prroute explain --json`.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::IpAddr;

use schemars::JsonSchema;
use serde::Serialize;

#[derive(JsonSchema, Serialize)]
pub(crate) struct ExplainJson {
    /// Name and number of this format.
    pub(crate) schema: &'static str,
    /// The packet that was asked about.
    pub(crate) request: RequestJson,
    /// One for the interface that was asked about, or one for each uplink.
    pub(crate) ways: Vec<WayJson>,
}

#[derive(JsonSchema, Serialize)]
pub(crate) struct RequestJson {
    /// By its name, where it has a common one; else the number.
    pub(crate) protocol: Cow<'static, str>,
    /// As in the IP header.
    pub(crate) protocol_number: u8,
    /// Who asks.
    pub(crate) client: IpAddr,
    /// Of an echo its identifier, as `local_port`; 0 for protocols without ports.
    pub(crate) client_port: u16,
    /// The address that is asked.
    pub(crate) local: IpAddr,
    /// The port that is asked.
    pub(crate) local_port: u16,
    /// `null`: each uplink.
    pub(crate) iif: Option<String>,
    /// It is a flow that exists.
    pub(crate) flow: bool,
}

#[derive(JsonSchema, Serialize)]
pub(crate) struct WayJson {
    /// The interface that the request comes in on.
    pub(crate) iif: String,
    /// Its id; `null`: it is no uplink.
    pub(crate) uplink: Option<u16>,
    /// In the order in which the packets pass them.
    pub(crate) steps: Vec<StepJson>,
    /// What becomes of the reply.
    pub(crate) verdict: VerdictJson,
    /// The number of the step where the way ends, or that could not be read.
    pub(crate) stops_at: Option<usize>,
    /// Why it is not answered over `iif`.
    pub(crate) cause: Option<String>,
    /// What to do about it.
    pub(crate) remedy: Option<String>,
    /// How the reply leaves; `null`: it does not, as far as is known.
    pub(crate) leaves: Option<LeavesJson>,
}

#[derive(JsonSchema, Serialize)]
pub(crate) struct StepJson {
    /// Counts from 1.
    pub(crate) n: usize,
    /// Which of the two packets passes it.
    pub(crate) part: PartJson,
    /// What is asked: `program in`, `rp_filter`, `route` and so on.
    pub(crate) stage: &'static str,
    /// What it does with the packet.
    pub(crate) result: StepResultJson,
    /// What was seen, in words.
    pub(crate) detail: String,
    /// Why the packet stops here.
    pub(crate) cause: Option<String>,
    /// What to do about it.
    pub(crate) remedy: Option<String>,
    /// What it depends on: names and values as the kernel's tools have them.
    pub(crate) object: BTreeMap<&'static str, String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum PartJson {
    Request,
    Reply,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum StepResultJson {
    Ok,
    Warn,
    Stop,
    Unknown,
    /// There is nothing here that the packet depends on.
    None,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum VerdictJson {
    Answered,
    WrongUplink,
    Dropped,
    /// Nobody hears the request, and its sender is told so.
    Refused,
    Unknown,
}

#[derive(JsonSchema, Serialize)]
pub(crate) struct LeavesJson {
    /// The interface.
    pub(crate) device: String,
    /// The next hop; `null`: the client itself, on the link.
    pub(crate) via: Option<IpAddr>,
    /// The next hop's link-layer address; `null`: none is known, or needed.
    pub(crate) lladdr: Option<String>,
    /// A program moves it.
    pub(crate) moved: bool,
    /// From the device that routing chose.
    pub(crate) moved_from: Option<String>,
}
