//! What `doctor` looks at beyond an [`Examination`]: what costs more, is advice, or is asked before prroute
//! was ever started here. [`Facts`] are gathered, each check judges them without a kernel.

mod asymmetric;
mod checks;
mod facts;
mod forwarding;
mod gateways;
mod probe;
mod shared;
mod subnets;
mod uplinks;

#[cfg(test)]
mod testing;

use anyhow::Result;

use self::facts::Facts;
use self::probe::Reach;
pub(crate) use self::probe::ask_gateways;
use crate::config::Config;
use crate::datapath::flows;
use crate::examine::{Examination, advice};
use crate::state::findings::{Check, Finding};
use crate::state::observed::Observed;
use crate::state::uplink::{Skipped, Uplink};

/// What is the matter, the worst first, and what was looked at.
#[derive(Debug)]
pub(crate) struct Diagnosis {
    pub(crate) findings: Vec<Finding>,
    pub(crate) checks: Vec<Check>,
}

impl Diagnosis {
    /// # Errors
    ///
    /// When the kernel cannot be read.
    pub(crate) async fn of(examined: &Examination, probe: bool) -> Result<Self> {
        let pins = &examined.pins;
        // There may be a million.
        let recorded = examined.in_force.is_this().then(|| flows::read(pins)).transpose()?;
        let facts = Facts::gather(examined, recorded.as_deref().unwrap_or_default(), probe).await?;
        let start = examined.start("enable --now");
        let host = Host {
            config: &examined.configuration.config,
            observed: &examined.outlook.observed,
            uplinks: &examined.outlook.uplinks,
            skipped: &examined.outlook.skipped,
            known: &examined.known,
            start: &start,
            facts: &facts,
        };
        let mut findings = examined.findings();
        findings.extend(judge(&host));
        findings.extend(advice::findings(examined, recorded.as_deref())?);
        findings.sort_by_key(|finding| finding.severity);
        let is_answered = facts.reaches.iter().flatten().any(Reach::is_answered);
        let checks = checks::list(examined, &findings, is_answered);
        Ok(Self { findings, checks })
    }
}

/// All that the checks judge.
#[derive(Clone, Copy, Debug)]
struct Host<'a> {
    config: &'a Config,
    observed: &'a Observed,
    uplinks: &'a [Uplink],
    skipped: &'a [Skipped],
    /// Names of the interfaces that are uplinks, or were.
    known: &'a [String],
    /// The command that starts this instance's daemon from now on.
    start: &'a str,
    facts: &'a Facts,
}

fn judge(host: &Host<'_>) -> Vec<Finding> {
    let mut all = Vec::new();
    all.extend(uplinks::findings(host));
    all.extend(asymmetric::findings(host));
    all.extend(gateways::findings(host));
    all.extend(subnets::findings(host));
    all.extend(forwarding::findings(host));
    all.extend(shared::findings(host));
    all.extend(probe::findings(host));
    all
}
