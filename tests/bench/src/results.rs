//! What a run found, as it is written to the JSON file and shown.

use serde::Serialize;

pub(crate) const SCHEMA: &str = "prroute.bench/2";

/// Everything of one run.
#[derive(Debug, Serialize)]
pub(crate) struct Results {
    pub(crate) schema: &'static str,
    /// The command that gives these figures.
    pub(crate) command: String,
    /// RFC 3339, in UTC.
    pub(crate) finished: String,
    /// Few rounds: the figures show that the benchmark works, and little else.
    pub(crate) quick: bool,
    pub(crate) machine: Machine,
    pub(crate) targets: Vec<Target>,
    pub(crate) measurements: Vec<Measurement>,
    pub(crate) memory: Vec<Memory>,
}

/// Where it ran.
#[derive(Debug, Serialize)]
pub(crate) struct Machine {
    pub(crate) cpu: String,
    pub(crate) cpus: usize,
    /// Bytes.
    pub(crate) memory: f64,
    pub(crate) kernel: String,
    pub(crate) virtualised: bool,
    /// Each line of `/sys/devices/system/cpu/vulnerabilities` that tells of a mitigation.
    pub(crate) mitigations: Vec<String>,
    /// The bench ran before other processes on its CPU (SCHED_FIFO).
    pub(crate) real_time: bool,
    /// The CPU it was pinned to.
    pub(crate) pinned_to: usize,
    /// Share of the run in which the hypervisor gave the CPU to others, in per cent.
    pub(crate) steal_percent: f64,
    /// prroute's version.
    pub(crate) version: String,
}

/// Alternatives that were timed in turn, every few milliseconds.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Measurement {
    /// Stable, for programs: `udp-request-response-ipv4`.
    pub(crate) name: String,
    pub(crate) title: String,
    /// `ns per request and response`.
    pub(crate) unit: String,
    /// The contestant that the others are compared with.
    pub(crate) baseline: String,
    /// Operations of one sample.
    pub(crate) batch: u32,
    pub(crate) contestants: Vec<Contestant>,
}

/// One alternative.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Contestant {
    pub(crate) name: String,
    pub(crate) time: Spread,
    /// What it takes longer than the baseline, paired by round; `None` for the baseline.
    pub(crate) added: Option<Added>,
    /// One figure per round, in the measurement's unit.
    pub(crate) samples: Vec<f64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) lower_quartile: f64,
    pub(crate) upper_quartile: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Added {
    pub(crate) spread: Spread,
    /// Where the median lies with 95 % confidence.
    pub(crate) confidence: [f64; 2],
    /// The confidence interval does not contain 0.
    pub(crate) resolved: bool,
}

/// By the kernel's own accounting.
#[derive(Debug, Serialize)]
pub(crate) struct Memory {
    /// `prroute-maps`, `prroute-flow-ipv4`, `conntrack-flow`.
    pub(crate) name: String,
    /// Of all maps, or of one flow.
    pub(crate) bytes: f64,
    /// Where the figure comes from.
    pub(crate) source: String,
}

/// A promise of speed, and what became of it.
#[derive(Debug, Serialize)]
pub(crate) struct Target {
    pub(crate) what: &'static str,
    pub(crate) mode: Mode,
    /// `<= 10 % of what CONNMARK adds`.
    pub(crate) promise: String,
    /// In `unit`; `None` when it was not measured.
    pub(crate) measured: Option<f64>,
    /// Where the figure lies with 95 % confidence.
    pub(crate) confidence: Option<[f64; 2]>,
    pub(crate) limit: f64,
    /// `%`, `ns` or `MB`.
    pub(crate) unit: &'static str,
    pub(crate) verdict: Verdict,
    /// The measurement it is taken from, or the name of a figure of memory.
    pub(crate) measurement: String,
}

/// `own-source` of prroute's configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Mode {
    Rules,
    Datapath,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Verdict {
    Met,
    Missed,
    /// The limit lies inside the interval.
    NotResolved,
    /// Not part of this run.
    NotMeasured,
}
