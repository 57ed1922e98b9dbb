//! Whether the flow tables and the machine's memory fit each other.

use prroute_common::flow::MAX_DEFAULT_FLOWS;

use crate::config::Config;
use crate::datapath::sizes::{self, Demand, Machine, Sizes};
use crate::state::families::Families;
use crate::state::findings::{Finding, Kind, Severity};
use crate::state::observed::Observed;

pub(super) fn finding(config: &Config, observed: &Observed, machine: Machine) -> Option<Finding> {
    let (families, udp_source) = (Families::used(observed), config.gives_udp_sources());
    judge(machine, Demand { flows: config.flows, families, udp_source })
}

fn judge(machine: Machine, demand: Demand) -> Option<Finding> {
    let finding = |what, remedy: &str| {
        let (severity, remedy) = (Severity::Notice, Some(remedy.to_owned()));
        Some(Finding { severity, what, remedy, ..Finding::single(Kind::Memory) })
    };
    if let Some(excess) = sizes::excess(machine, demand) {
        return finding(excess, "lower `flows` in the configuration where memory is short");
    }
    let most = Sizes::plan(machine, demand).entries().map(|(_, entries)| entries).max()?;
    (demand.flows.is_none() && most < MAX_DEFAULT_FLOWS / 8).then_some(())?;
    finding(
        format!(
            "the flow tables have room for {most} conversations at most: they take 1 % of this machine's memory"
        ),
        "set `flows` in the configuration where this host answers more at a time",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(memory: u64, flows: Option<u32>) -> Option<String> {
        let demand = Demand { flows, ..Demand::of_flows(0) };
        judge(Machine { memory, cpus: 2 }, demand).map(|finding| finding.what)
    }

    #[test]
    fn small_tables_and_large_ones_are_told_of() {
        const GIB: u64 = 1 << 30;
        assert_eq!(said(64 * GIB, None), None);
        let small = said(GIB / 4, None).unwrap();
        assert!(small.contains("conversations at most"), "{small}");
        assert_eq!(said(64 * GIB, Some(262_144)), None);
        let large = said(GIB / 4, Some(262_144)).unwrap();
        assert!(large.contains("more than 1 % of this machine's memory"), "{large}");
    }
}
